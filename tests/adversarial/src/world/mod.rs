//! The world in which techniques are tried: a client host and an internet, each a network namespace of its own, joined by
//! a virtual cable. Real sockets, a real kernel, and not one packet leaves the machine.
//!
//! The internet answers on every address there is, IPv4 and IPv6, and keeps three logs to prove what did *not* arrive:
//! the packets the kernel saw, the names its DNS server was asked, and the bytes its servers were sent. The namespaces
//! have no name and belong to the process that made them: when it ends, whatever the reason, they are gone.

pub(crate) mod cable;
pub mod certificates;
pub mod dns;
pub mod event;
pub mod internet;
pub mod modern;
pub mod upstream;
pub mod zone;

use std::io::{BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::de::DeserializeOwned;

use crate::helper::Helper;
use event::{Event, Packet};

/// A client host and an internet.
#[derive(Debug)]
pub struct World {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// A process in the client host's namespace.
    pub host_pid: u32,
    /// The authority of the internet's servers, in PEM.
    pub ca_pem: String,
}

impl World {
    /// Starts a world: as root with plain namespaces, otherwise with a user namespace around them.
    ///
    /// # Errors
    /// Why it cannot stand, in words.
    pub fn start(helper: &Helper) -> Result<World, String> {
        let mut command = helper.command("internet");
        command.env_clear().env("PATH", PATH).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("the world does not start: {error}"))?;
        let commands = process.stdin.take();
        let mut answers = BufReader::new(process.stdout.take().ok_or("the world has no standard output")?);
        match internet::ready(&mut answers) {
            Ok(ready) => Ok(World { process, commands, answers, host_pid: ready.host_pid, ca_pem: ready.ca_pem }),
            Err(why) => {
                let _ = process.kill();
                let _ = process.wait();
                Err(why)
            }
        }
    }

    /// A command on the client host.
    pub fn on_host(&self, helper: &Helper) -> Command {
        enter(helper, self.host_pid)
    }

    /// Everything that arrived at the internet's servers so far, in order. Waits until they have read what was sent, and
    /// a moment for closed connections to end.
    ///
    /// # Errors
    /// When the world does not answer.
    pub fn events(&mut self) -> Result<Vec<Event>, String> {
        self.ask("events")
    }

    /// The same, waiting for connections to end no longer than it takes to pass through a proxy.
    ///
    /// # Errors
    /// When the world does not answer.
    pub fn events_now(&mut self) -> Result<Vec<Event>, String> {
        self.ask("events-now")
    }

    /// What the kernel counted on the cable so far.
    ///
    /// # Errors
    /// When the world does not answer.
    pub fn packets(&mut self) -> Result<Vec<Packet>, String> {
        self.ask("packets")
    }

    fn ask<T: DeserializeOwned>(&mut self, what: &str) -> Result<T, String> {
        let gone = |error: std::io::Error| format!("the world is gone: {error}");
        let commands = self.commands.as_mut().ok_or("the world has ended")?;
        writeln!(commands, "{what}").and_then(|()| commands.flush()).map_err(gone)?;
        let mut line = String::new();
        std::io::BufRead::read_line(&mut self.answers, &mut line).map_err(gone)?;
        serde_json::from_str(&line).map_err(|error| format!("the world does not answer: {error}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The end of its standard input is its order to go; the signal is for one that hangs.
        drop(self.commands.take());
        let mut rest = String::new();
        if std::io::BufRead::read_line(&mut self.answers, &mut rest).is_err() {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

/// Where system programs are; nothing of the caller's own.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command in the namespaces of a process of ours; the program and its arguments are still to be added.
pub fn enter(helper: &Helper, pid: u32) -> Command {
    let mut command = helper.command("enter");
    command.arg(pid.to_string()).env_clear().env("PATH", PATH);
    command
}
