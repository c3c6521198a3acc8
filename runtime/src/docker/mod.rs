//! Containers of Docker's engine as agents of a host.
//!
//! - [`Docker`] is asked by the operator: for networks in `networks`, for containers in `containers`.
//! - `follow` hears of containers that come and go, and `adopt` says of each whether it is an agent, and ties it to its port.
//! - `wanted`, `image` and `excess` say what may be asked for, and what is more than an agent may have.
//! - `given` is what containers see of the host: where they ask the daemon, and what they trust.
//! - `engine` and `inspected` are how the engine is asked and what it answers.
//!
//! Invariant: a container reaches nothing before it was looked at and its port is known to the kernel. What the engine does
//! not say, or says in a way that is not understood, opens nothing. Without an engine everything else goes on.

mod adopt;
mod containers;
mod engine;
mod excess;
mod follow;
pub mod given;
mod image;
mod inspected;
mod networks;
mod profile;
mod wanted;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use outcall_schema::api::docker;
use tokio::sync::Mutex as Lock;

use self::engine::Engine;
use self::excess::Protected;
use crate::audit::{Audit, Notice};
use crate::host::agents::{AGENTS, Agents};
use crate::host::gate::Gate;
use crate::intercept::{Trust, trust};
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
    /// The program that they ask the daemon with.
    pub shim: Option<Vec<u8>>,
}

/// The containers of a host.
#[derive(Debug)]
pub struct Docker {
    engine: Engine,
    gate: Arc<Gate>,
    audit: Audit,
    state: StateDir,
    paths: Vec<PathBuf>,
    /// What of the host they see, and where.
    given: Vec<(PathBuf, &'static str)>,
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
        let Options { socket, gate, audit, state, directory, protected, trust, shim } = options;
        let given = given::write(&directory, trust.as_ref(), shim.as_deref())?;
        let trust_variables = if trust.is_some() { trust::environment(|_| None) } else { Vec::new() };
        let paths = protected.into_iter().chain([socket.clone(), directory]).collect();
        let known = Known { error: Some("it was not asked yet".to_owned()), ..Known::default() };
        Ok(Docker {
            engine: Engine::at(socket),
            gate,
            audit,
            state,
            paths,
            given,
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
        Protected::new(paths, self.given.iter().map(|(path, _)| path.clone()).collect())
    }

    fn keep(&self, agents: &Agents) -> io::Result<()> {
        tokio::task::block_in_place(|| self.state.write_json(AGENTS, agents)).map_err(io::Error::other)
    }

    fn notice(&self, event: &'static str) -> Notice {
        Notice::new("docker", event, self.gate.policy.load().digest())
    }
}
