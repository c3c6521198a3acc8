//! The command itself: what it is given, what is taken from it, and its start.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{PROXY_PORT, SandboxError};
use crate::intercept::trust;
use crate::kernel::route::{OWN_V4, OWN_V6};
use crate::sys::{descriptors, filter, privilege, signal};

/// Variables that name the proxy, in both spellings, since clients differ in which they read.
const PROXY: [&str; 4] = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"];
const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// Variables of the host's that would lead clients to a proxy that does not exist in here. `ALL_PROXY` is taken away and not
/// set: it sends protocols other than HTTP into CONNECT, which the transparent redirection serves better.
const FOREIGN: [&str; 6] = ["all_proxy", "ALL_PROXY", "ftp_proxy", "FTP_PROXY", "socks_proxy", "SOCKS_PROXY"];

/// Whom the command's clients trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trusts {
    /// Whom the caller's do.
    AsBefore,
    /// The authority as well, which variables have to tell them.
    Authority,
}

/// Gives up all privilege and becomes the command, without the `secret` variables of its caller; returns only why that failed.
pub(super) fn become_command(command: &[OsString], secret: &[OsString], trusts: Trusts) -> SandboxError {
    let Some((program, arguments)) = command.split_first() else {
        return SandboxError::NotFound(String::new());
    };
    if let Err(error) = give_up() {
        return SandboxError::step("give up privileges")(error);
    }
    let mut command = Command::new(program);
    command.args(arguments);
    for name in PROXY {
        command.env(name, format!("http://127.0.0.1:{PROXY_PORT}"));
    }
    for name in NO_PROXY {
        command.env(name, format!("localhost,127.0.0.1,::1,{OWN_V4},{OWN_V6}"));
    }
    for name in FOREIGN {
        command.env_remove(name);
    }
    for name in secret {
        command.env_remove(name);
    }
    if trusts == Trusts::Authority {
        command.envs(trust::environment(|name| std::env::var_os(name)));
    }
    // `exec` resets what Rust changed of the dispositions (SIGPIPE), but not the mask.
    signal::unblock_all();
    let error = command.exec();
    let name = program.to_string_lossy().into_owned();
    match error.kind() {
        io::ErrorKind::NotFound
            if !program.to_string_lossy().contains('/') || !std::path::Path::new(program).exists() =>
        {
            SandboxError::NotFound(name)
        }
        _ => SandboxError::NotExecutable { command: name, error },
    }
}

fn give_up() -> io::Result<()> {
    descriptors::keep_only_standard()?;
    privilege::drop_all()?;
    filter::install()
}
