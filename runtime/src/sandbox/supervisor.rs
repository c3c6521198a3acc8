//! The enforcing process: outside the sandbox's namespaces, with the policy, the upstream sockets and the log.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, WaitOptions, waitpid};

use super::control::Message;
use super::inside::{self, Plan, Sockets};
use super::maps::Maps;
use super::mounts::Outside;
use super::{Options, SandboxError, ruleset};
use crate::sys::process::{Ended, Forked, Namespace, fork_into};
use crate::sys::{descriptors, privilege};

/// Lives as the supervisor until the command has ended; tells the front how.
pub(super) fn live(front: &OwnedFd, options: &Options) -> ! {
    let last = match supervise(front, options) {
        Ok(ended) => Message::Ended(ended),
        Err(error) => Message::Failed(error.status(), error.to_string()),
    };
    let _ = last.send(front);
    std::process::exit(0);
}

fn supervise(front: &OwnedFd, options: &Options) -> Result<Ended, SandboxError> {
    let step = |step: &str| SandboxError::step(step.to_owned());
    let plan = Plan {
        command: options.command.clone(),
        maps: Maps::of_caller().map_err(step("read the user maps"))?,
        outside: Outside::look().map_err(step("look for unix sockets"))?,
        ruleset: ruleset::text(
            "    set literal_v4 {\n        type ipv4_addr\n        flags interval\n    }\n    set literal_v6 {\n        type ipv6_addr\n        flags interval\n    }\n",
        ),
    };
    let (control, theirs) = descriptors::pair().map_err(step("make a socket pair"))?;
    let namespaces = [Namespace::User, Namespace::Net, Namespace::Mount, Namespace::Pid, Namespace::Ipc];
    let inside = match fork_into(&namespaces).map_err(|error| SandboxError::Namespaces { error })? {
        Forked::Child => {
            drop(control);
            inside::live(&theirs, &plan)
        }
        Forked::Parent(inside) => inside,
    };
    drop(theirs);
    let sandbox = Sandbox { control, inside };
    plan.maps.write_first(sandbox.inside).map_err(|error| SandboxError::Namespaces { error })?;
    privilege::hide().map_err(step("hide the supervisor"))?;
    // In a session of its own, no signal to the agent's group reaches this process.
    rustix::process::setsid().map_err(|error| step("leave the session")(error.into()))?;
    Message::Go.send(&sandbox.control).map_err(step("set the sandbox up"))?;
    let _sockets = match Message::receive(&sandbox.control).map_err(step("wait for the sandbox"))? {
        Some((Message::Ready, passed)) => Sockets::received(passed).ok_or(SandboxError::Gone)?,
        Some((Message::Failed(status, text), _)) => return Err(SandboxError::Command { status, text }),
        _ => return Err(SandboxError::Gone),
    };
    Message::Go.send(&sandbox.control).map_err(step("start the command"))?;
    let _ = front;
    match Message::receive(&sandbox.control).map_err(step("wait for the sandbox"))? {
        Some((Message::Ended(ended), _)) => Ok(ended),
        Some((Message::Failed(status, text), _)) => Err(SandboxError::Command { status, text }),
        _ => Err(SandboxError::Gone),
    }
}

/// The running sandbox. Dropping it ends everything inside and waits until it has.
struct Sandbox {
    control: OwnedFd,
    inside: Pid,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.inside, rustix::process::Signal::KILL);
        let _ = waitpid(Some(self.inside), WaitOptions::empty());
    }
}
