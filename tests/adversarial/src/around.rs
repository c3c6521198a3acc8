//! What stands around an agent that it must not reach: sockets of the host, a key, secrets. The agent is told where they
//! are, so that it need not find them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use outcall_schema::artifact::digest::Digest;
use serde::{Deserialize, Serialize};

use crate::run::Options;
use crate::stand::lines;
use crate::world::World;

/// What secrets begin with; as many hexadecimal digits follow as [`DIGITS`] says.
pub(crate) const CANARY: &str = "outcall-verify-canary-";
/// How many digits.
pub(crate) const DIGITS: usize = 32;
/// The secret that rules name; a placeholder of it is `outcall-secret-canary`.
pub(crate) const SECRET: &str = "canary";
/// The variable that another secret is in.
pub(crate) const VARIABLE: &str = "OUTCALL_VERIFY_SECRET";

/// Where it all is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Around {
    /// The operator's socket.
    pub operator: PathBuf,
    /// The agents' socket.
    pub agents: PathBuf,
    /// A socket that the run listens on, on the host.
    pub trap: PathBuf,
    /// The name of another, in the abstract namespace.
    pub hidden: String,
    /// The authority's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The directory with the secrets.
    pub secrets: PathBuf,
    /// The digests of the key and of the secret in its directory, by which they are known wherever they are found.
    pub digests: [Digest; 2],
}

impl Around {
    /// Makes the key and the secrets below a directory, and says where the rest will be.
    ///
    /// # Errors
    /// What the system says, in words.
    pub(crate) fn make(options: &Options, work: &Path) -> Result<Around, String> {
        let cannot = |error: io::Error| format!("cannot write a secret: {error}");
        let authority = work.join("ca");
        let mut making = Command::new(&options.outcall);
        making.args(["ca", "init", "--out"]).arg(&authority).stdin(Stdio::null());
        let made = making.output().map_err(|error| format!("the authority cannot be made: {error}"))?;
        if !made.status.success() {
            return Err(format!("the authority cannot be made: {}", String::from_utf8_lossy(&made.stderr).trim()));
        }
        let secrets = work.join("secrets");
        DirBuilder::new().mode(0o700).create(&secrets).map_err(cannot)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(secrets.join(SECRET)).map_err(cannot)?;
        let secret = canary()?;
        file.write_all(secret.as_bytes()).map_err(cannot)?;
        let key = fs::read(authority.join("ca.key")).map_err(cannot)?;
        Ok(Around {
            operator: work.join("host.sock"),
            agents: work.join("agent.sock"),
            trap: work.join("trap.sock"),
            hidden: format!("outcall-verify-{}", digits()?),
            certificate: authority.join("ca.crt"),
            digests: [Digest::of(&key), Digest::of(secret.as_bytes())],
            key: authority.join("ca.key"),
            secrets,
        })
    }

    /// Whether this is the key or the secret as it stands in its file. Those of other runs on the machine are not meant.
    pub fn is_kept(&self, text: &[u8]) -> bool {
        self.digests.contains(&Digest::of(text))
    }

    /// As one word for a command line.
    pub(crate) fn word(&self) -> Result<String, String> {
        serde_json::to_string(self).map_err(|error| error.to_string())
    }
}

/// A secret like no other.
pub(crate) fn canary() -> Result<String, String> {
    Ok(format!("{CANARY}{}", digits()?))
}

fn digits() -> Result<String, String> {
    let mut bytes = [0; DIGITS / 2];
    let random = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    random.map_err(|error| format!("no random numbers: {error}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether there is a secret in a text.
pub(crate) fn shows_secret(text: &[u8]) -> bool {
    let after = |at: usize| text.get(at + CANARY.len()..at + CANARY.len() + DIGITS);
    let at = text.windows(CANARY.len()).enumerate().filter(|(_, window)| *window == CANARY.as_bytes());
    at.filter_map(|(at, _)| after(at)).any(|digits| digits.iter().all(u8::is_ascii_hexdigit))
}

/// Sockets of the host that nobody must reach, and who did.
#[derive(Debug)]
pub(crate) struct Traps {
    process: Child,
    touched: Receiver<String>,
}

impl Traps {
    /// Sets them, on the client host.
    pub(crate) fn set(options: &Options, world: &World, around: &Around) -> Result<Traps, String> {
        let mut command = world.on_host(&options.helper);
        command.args(options.helper.line("trap")).arg(&around.trap).arg(&around.hidden);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("no trap can be set: {error}"))?;
        let touched = lines(process.stdout.take().ok_or("no standard output")?);
        let set = touched.recv_timeout(std::time::Duration::from_secs(10));
        let traps = Traps { process, touched };
        set.map(|_| traps).map_err(|_| "no trap can be set".to_owned())
    }

    /// What was reached since the last time.
    pub(crate) fn touched(&self) -> Vec<String> {
        self.touched.try_iter().collect()
    }
}

impl Drop for Traps {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Lives as the process that listens: a line for itself, and one for each connection.
///
/// # Errors
/// What the kernel says.
pub(crate) fn trap(path: &str, hidden: &str) -> Result<(), String> {
    let cannot = |error: io::Error| format!("the trap: {error}");
    let name = SocketAddr::from_abstract_name(hidden).map_err(cannot)?;
    let listeners = [
        (UnixListener::bind(path).map_err(cannot)?, "a unix socket of the host"),
        (UnixListener::bind_addr(&name).map_err(cannot)?, "an abstract unix socket of the host"),
    ];
    println_now("set").map_err(cannot)?;
    for (listener, what) in listeners {
        std::thread::spawn(move || while listener.accept().is_ok() && println_now(what).is_ok() {});
    }
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop).map_err(cannot)
}

fn println_now(what: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{what}").and_then(|()| out.flush())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_told_from_its_name() {
        let secret = canary().unwrap();
        assert!(shows_secret(format!("authorization: Bearer {secret}\r\n").as_bytes()));
        assert!(shows_secret(format!("{CANARY}x {secret}").as_bytes()));
        for text in [CANARY.to_owned(), format!("{CANARY}{}", "g".repeat(DIGITS)), "[outcall:secret]".to_owned()] {
            assert!(!shows_secret(text.as_bytes()), "{text}");
        }
    }
}
