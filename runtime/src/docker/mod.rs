//! Containers of Docker's engine as agents of a host.
//!
//! - [`Docker`] is asked by the operator: for networks in `networks`, for containers in `containers`.
//! - `follow` hears of containers that come and go, and `adopt` says of each whether it is an agent, and ties it to its port.
//! - `wanted`, `image` and `excess` say what may be asked for, and what is more than an agent may have.
//! - `engine` and `inspected` are how the engine is asked and what it answers.
//!
//! Invariant: a container reaches nothing before it was looked at and its port is known to the kernel. What the engine does
//! not say, or says in a way that is not understood, opens nothing. Without an engine everything else goes on.

mod adopt;
mod containers;
mod engine;
mod excess;
mod follow;
mod image;
mod inspected;
mod networks;
mod wanted;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use outcall_schema::api::docker;
use tokio::sync::Mutex as Lock;

use self::engine::Engine;
use self::excess::Protected;
use crate::audit::{Audit, Notice};
use crate::host::agents::{AGENTS, Agents};
use crate::host::gate::Gate;
use crate::intercept::Trust;
use crate::intercept::trust::{self, BUNDLE, TRUSTSTORE};
use crate::state::StateDir;

/// Where the engine serves unless somebody says otherwise.
pub const SOCKET: &str = "/run/docker.sock";

/// What of the daemon's the containers are kept by.
#[derive(Debug)]
pub struct Options {
    /// Where the engine serves.
    pub socket: PathBuf,
    /// What agents are kept in.
    pub gate: Arc<Gate>,
    /// Where it is said what happened.
    pub audit: Audit,
    /// Where agents are remembered.
    pub state: StateDir,
    /// The directory of the same, for files that containers see.
    pub directory: PathBuf,
    /// What containers must not see.
    pub protected: Vec<PathBuf>,
    /// What containers trust, where TLS is looked into.
    pub trust: Option<Trust>,
}

/// The containers of a host.
#[derive(Debug)]
pub struct Docker {
    engine: Engine,
    gate: Arc<Gate>,
    audit: Audit,
    state: StateDir,
    paths: Vec<PathBuf>,
    trust: Vec<(PathBuf, &'static str)>,
    trust_variables: Vec<(&'static str, OsString)>,
    known: Mutex<Known>,
    /// One container is looked at or changed at a time.
    one: Lock<()>,
}

/// What is known of the engine.
#[derive(Debug, Clone, Default)]
struct Known {
    connected: bool,
    version: Option<String>,
    api: String,
    root: Option<PathBuf>,
    error: Option<String>,
}

impl Docker {
    /// Readies the files that containers see. The engine is asked later.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn new(options: Options) -> io::Result<Docker> {
        let Options { socket, gate, audit, state, directory, protected, trust } = options;
        let files = trust.map(|trust| write_trust(&directory, &trust)).transpose()?.unwrap_or_default();
        let trust_variables = if files.is_empty() { Vec::new() } else { trust::environment(|_| None) };
        let paths = protected.into_iter().chain([socket.clone(), directory]).collect();
        let known = Known { error: Some("it was not asked yet".to_owned()), ..Known::default() };
        Ok(Docker {
            engine: Engine::at(socket),
            gate,
            audit,
            state,
            paths,
            trust: files,
            trust_variables,
            known: Mutex::new(known),
            one: Lock::default(),
        })
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// How the engine is.
    pub fn status(&self) -> docker::Engine {
        let Known { connected, version, error, .. } = self.known();
        docker::Engine { socket: Some(self.engine.socket().display().to_string()), connected, version, error }
    }

    fn protected(&self) -> Protected {
        let paths = self.paths.iter().cloned().chain(self.known().root);
        Protected::new(paths, self.trust.iter().map(|(path, _)| path.clone()).collect())
    }

    fn keep(&self, agents: &Agents) -> io::Result<()> {
        tokio::task::block_in_place(|| self.state.write_json(AGENTS, agents)).map_err(io::Error::other)
    }

    fn notice(&self, event: &'static str) -> Notice {
        Notice::new("docker", event, self.gate.policy.load().digest())
    }
}

/// Writes the files of what is trusted to where containers get them from. Those that run see the ones that were there.
fn write_trust(directory: &Path, trust: &Trust) -> io::Result<Vec<(PathBuf, &'static str)>> {
    let directory = fs::canonicalize(directory)?.join("docker");
    match fs::DirBuilder::new().mode(0o755).create(&directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let mut files = Vec::new();
    for (name, content, inside) in
        [("ca-bundle.pem", trust.bundle(), BUNDLE), ("truststore.p12", trust.truststore(), TRUSTSTORE)]
    {
        let (path, next) = (directory.join(name), directory.join(format!("{name}.next")));
        if fs::read(&path).ok().as_deref() != Some(content) {
            let _ = fs::remove_file(&next);
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(&next)?;
            io::Write::write_all(&mut file, content)?;
            fs::rename(&next, &path)?;
        }
        files.push((path, inside));
    }
    Ok(files)
}
