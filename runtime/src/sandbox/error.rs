//! Why a command cannot be run in a sandbox, and what to do about it.

use std::io;

use crate::api::SocketError;
use crate::kernel::ruleset::RulesetError;

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel makes no namespaces for this user.
    #[error("cannot make a user namespace: {error}; {}", remedy(&ENVIRONMENT))]
    Namespaces {
        /// What the kernel said.
        error: io::Error,
    },
    /// A step of the setup was refused although the namespaces exist.
    #[error("cannot {step}: {error}{}", if permission(error) { format!("; {}", remedy(&ENVIRONMENT)) } else { String::new() })]
    Step {
        /// What was tried.
        step: String,
        /// What the kernel said.
        error: io::Error,
    },
    /// A listener could not be opened.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: std::net::SocketAddr,
        /// Why: usually that the port is in use.
        error: io::Error,
    },
    /// The ruleset is not in force.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// The policy cannot be used.
    #[error("cannot load the policy in `{directory}`: {why}")]
    Policy {
        /// The directory with the artifacts.
        directory: String,
        /// Why.
        why: String,
    },
    /// The policy looks inside TLS, and that cannot be done.
    #[error("cannot look inside TLS, as the policy says: {why}")]
    Interception {
        /// Why.
        why: String,
    },
    /// The operator's API cannot be served.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The command does not exist.
    #[error("`{0}` was not found")]
    NotFound(String),
    /// The command cannot be executed.
    #[error("cannot run `{command}`: {error}")]
    NotExecutable {
        /// The command.
        command: String,
        /// Why.
        error: io::Error,
    },
    /// A step closer to the command than this process failed, and said so.
    #[error("{text}")]
    Command {
        /// The exit status for it.
        status: u8,
        /// Why.
        text: String,
    },
    /// A process of the sandbox is gone.
    #[error("the sandbox ended unexpectedly")]
    Gone,
}

impl SandboxError {
    /// A step that failed.
    pub(super) fn step(step: impl Into<String>) -> impl FnOnce(io::Error) -> SandboxError {
        let step = step.into();
        |error| SandboxError::Step { step, error }
    }

    /// The exit status for it: 127 and 126 as shells have them for commands, else 1.
    pub fn status(&self) -> u8 {
        match self {
            SandboxError::NotFound(_) => 127,
            SandboxError::NotExecutable { .. } => 126,
            SandboxError::Command { status, .. } => *status,
            SandboxError::Namespaces { .. }
            | SandboxError::Step { .. }
            | SandboxError::Listen { .. }
            | SandboxError::Ruleset(_)
            | SandboxError::Policy { .. }
            | SandboxError::Interception { .. }
            | SandboxError::Socket(_)
            | SandboxError::Gone => 1,
        }
    }
}

fn permission(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// A switch of the kernel that forbids user namespaces, the value with which it does, and one with which it does not.
struct Switch {
    path: &'static str,
    name: &'static str,
    forbids: &'static str,
    allows: &'static str,
}

const ENVIRONMENT: [Switch; 4] = [
    Switch {
        path: "/proc/sys/kernel/unprivileged_userns_clone",
        name: "kernel.unprivileged_userns_clone",
        forbids: "0",
        allows: "1",
    },
    Switch {
        path: "/proc/sys/user/max_user_namespaces",
        name: "user.max_user_namespaces",
        forbids: "0",
        allows: "15000",
    },
    Switch {
        path: "/proc/sys/user/max_net_namespaces",
        name: "user.max_net_namespaces",
        forbids: "0",
        allows: "15000",
    },
    Switch {
        path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        name: "kernel.apparmor_restrict_unprivileged_userns",
        forbids: "1",
        allows: "0",
    },
];

/// What to do so that namespaces can be made, from what the kernel's switches say.
fn remedy(switches: &[Switch]) -> String {
    let off = |switch: &&Switch| std::fs::read_to_string(switch.path).is_ok_and(|value| value.trim() == switch.forbids);
    match switches.iter().find(off) {
        Some(Switch { name, forbids, allows, .. }) => {
            format!("the host has {name} = {forbids}; allow it with `sysctl -w {name}={allows}` as root")
        }
        None => "no sysctl forbids it, so a container's or service's own confinement (seccomp, AppArmor, SELinux) \
                 likely does: allow user namespaces there, or run as root on the host"
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_that_is_off_is_named_with_its_remedy() {
        let directory = std::env::temp_dir().join(format!("outcall-switch-{}", std::process::id()));
        std::fs::write(&directory, "0\n").unwrap();
        let path: &'static str = Box::leak(directory.display().to_string().into_boxed_str());
        let said = remedy(&[Switch { path, name: "user.some_switch", forbids: "0", allows: "7" }]);
        std::fs::remove_file(&directory).unwrap();
        assert_eq!(said, "the host has user.some_switch = 0; allow it with `sysctl -w user.some_switch=7` as root");
        assert!(remedy(&[]).contains("no sysctl forbids it"));
    }
}
