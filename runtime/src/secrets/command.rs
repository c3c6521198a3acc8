//! A secret that a program gives, for those that live in another store.
//!
//! The program is started outside of every sandbox, as the caller and with the caller's environment, without a terminal.
//! It is started by posix_spawn(3), which gives the new process no copy of this one's memory, neither the authority's key
//! nor other secrets: nothing is asked of [`std::process::Command`] for which it would fork.

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::{MAX_BYTES, Secret};
use crate::sys::privilege;

/// How long what a program gave is used before it is asked again. Tokens that programs give live for minutes at least.
const KEPT: Duration = Duration::from_secs(300);
/// How long a failure stands, so that requests cannot have a program started as often as they like.
const FAILED: Duration = Duration::from_secs(5);
/// How long a program may take; some ask a server in their turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// Room for the line break as well.
const OUTPUT_MAX: usize = MAX_BYTES + 2;

/// A program and what it gave last.
#[derive(Debug)]
pub(super) struct Program {
    command: OsString,
    patience: Duration,
    last: Mutex<Option<Given>>,
    /// One at a time; who comes meanwhile gets what that one gave.
    turn: Semaphore,
}

#[derive(Debug, Clone)]
struct Given {
    secret: Result<Secret, String>,
    until: Instant,
}

impl Program {
    pub(super) fn new(command: OsString) -> Program {
        Program { command, patience: PATIENCE, last: Mutex::new(None), turn: Semaphore::new(1) }
    }

    #[cfg(test)]
    pub(super) fn with_patience(command: OsString, patience: Duration) -> Program {
        Program { patience, ..Program::new(command) }
    }

    /// What the program gives, or gave a short time ago.
    pub(super) async fn secret(&self) -> Result<Secret, String> {
        if let Some(secret) = self.last() {
            return secret;
        }
        let _turn = self.turn.acquire().await.map_err(|error| error.to_string())?;
        if let Some(secret) = self.last() {
            return secret;
        }
        let secret = self.ask().await;
        let until = Instant::now() + if secret.is_ok() { KEPT } else { FAILED };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Given { secret: secret.clone(), until });
        secret
    }

    fn last(&self) -> Option<Result<Secret, String>> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|given| given.until <= Instant::now()) {
            *last = None;
        }
        last.as_ref().map(|given| given.secret.clone())
    }

    async fn ask(&self) -> Result<Secret, String> {
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(&self.command)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // In a group of its own, so that all of it can be ended.
            .process_group(0)
            .kill_on_drop(true);
        let runtime = Handle::current();
        // It gets none of the rights over the network that the daemon keeps.
        let started = privilege::without_any(|| {
            let _inside = runtime.enter();
            command.spawn()
        });
        let mut child = started
            .and_then(std::convert::identity)
            .map_err(|error| format!("its command could not be started: {error}"))?;
        let group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let outcome = timeout(self.patience, output(&mut child)).await;
        drop(group);
        let (text, status) = match outcome {
            Ok(outcome) => outcome.map_err(|error| format!("what its command gives could not be read: {error}"))?,
            Err(_) => return Err(format!("its command took longer than {} s", self.patience.as_secs_f32())),
        };
        if !status.success() {
            return Err(format!("its command failed: {status}"));
        }
        if text.len() > OUTPUT_MAX {
            return Err(format!("its command gave more than {MAX_BYTES} bytes"));
        }
        Secret::of(&text)
    }
}

/// What a program writes, or the beginning of what is too much, and how it ended.
async fn output(child: &mut Child) -> io::Result<(Zeroizing<Vec<u8>>, ExitStatus)> {
    let stdout = child.stdout.take().ok_or_else(|| io::Error::other("there is no pipe"))?;
    // Sized beforehand: a buffer that grows leaves what it held behind.
    let mut text = Zeroizing::new(Vec::with_capacity(OUTPUT_MAX + 64));
    let mut stdout = stdout.take(OUTPUT_MAX as u64 + 1);
    while stdout.read_buf(&mut *text).await? > 0 {}
    drop(stdout);
    Ok((text, child.wait().await?))
}

/// A program and all that it started, which end when this is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        // None of them may be left.
        let _ = self.0.map(|group| kill_process_group(group, Signal::KILL));
    }
}
