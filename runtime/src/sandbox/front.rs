//! The process that the caller sees: it has the terminal and the caller's process group, and it ends as the command did.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, WaitOptions, getpgrp, test_kill_process_group, waitpid};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

use super::control::Message;
use super::{Options, SandboxError, supervisor};
use crate::sys::descriptors;
use crate::sys::process::{Ended, Forked, end_like, fork_into};
use crate::sys::signal::{self, Received, SignalFd};

/// Signals that are passed on. Those of the terminal reach the command by themselves, as it is in the same group.
const FORWARDED: [i32; 8] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGWINCH,
    libc::SIGALRM,
];

/// Runs the command to its end, and ends this process with the same status or by the same signal.
pub fn run(options: &Options) -> ! {
    match front(options) {
        Ok(ended) => end_like(ended),
        Err(error) => {
            complain(&error.to_string());
            end_like(Ended::Exited(error.status()))
        }
    }
}

/// Tells the person who ran the command.
pub(super) fn complain(text: &str) {
    // When nobody listens there is nobody to tell.
    let _ = io::Write::write_all(&mut io::stderr(), format!("outcall: {text}\n").as_bytes());
}

fn front(options: &Options) -> Result<Ended, SandboxError> {
    let signals = SignalFd::block(&FORWARDED).map_err(SandboxError::step("take signals over"))?;
    let terminal = Terminal::held();
    let (ours, theirs) = descriptors::pair().map_err(SandboxError::step("make a socket pair"))?;
    let supervisor = match fork_into(&[]).map_err(SandboxError::step("start the supervisor"))? {
        Forked::Child => {
            drop((ours, signals));
            supervisor::live(theirs, options)
        }
        Forked::Parent(supervisor) => supervisor,
    };
    drop(theirs);
    let ended = watch(&ours, &signals);
    let _ = waitpid(Some(supervisor), WaitOptions::empty());
    if let Some(terminal) = terminal {
        terminal.take_back();
    }
    match ended.map_err(SandboxError::step("watch the sandbox"))? {
        Some(Message::Ended(ended)) => Ok(ended),
        Some(Message::Failed(status, text)) => Err(SandboxError::Command { status, text }),
        _ => Err(SandboxError::Gone),
    }
}

/// Passes signals on until the supervisor says its last word.
fn watch(supervisor: &OwnedFd, signals: &SignalFd) -> io::Result<Option<Message>> {
    loop {
        let mut polled = [PollFd::new(supervisor, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        let [spoken, _] = polled.map(|polled| !polled.revents().is_empty());
        while let Some(Received { signal, by_kernel }) = signals.read()? {
            // But a terminal that goes away tells only its session's leader, which this may be, and its foreground.
            if !by_kernel || signal == libc::SIGHUP {
                let _ = Message::Signal(signal).send(supervisor);
            }
        }
        if spoken {
            return Ok(Message::receive(supervisor)?.map(|(message, _)| message));
        }
    }
}

/// The terminal, when this process's group was in its foreground at the start.
struct Terminal {
    descriptor: OwnedFd,
    group: Pid,
}

impl Terminal {
    fn held() -> Option<Terminal> {
        let descriptor = std::fs::File::options().read(true).write(true).open("/dev/tty").ok()?;
        let group = getpgrp();
        (tcgetpgrp(descriptor.as_fd()).ok()? == group).then(|| Terminal { descriptor: descriptor.into(), group })
    }

    /// A shell inside made its own groups and could not give the terminal back to one it cannot see.
    ///
    /// A foreground group that is alive is the caller's own, which has moved this process to the background meanwhile.
    fn take_back(&self) {
        let living = tcgetpgrp(&self.descriptor).map(test_kill_process_group);
        if matches!(living, Ok(Ok(()) | Err(rustix::io::Errno::PERM))) {
            return;
        }
        signal::ignore(libc::SIGTTOU);
        let _ = tcsetpgrp(&self.descriptor, self.group);
    }
}
