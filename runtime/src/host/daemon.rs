//! The daemon: starts closed, opens what the policy opens, and stops closed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use outcall_schema::api::load::Loaded;
use outcall_schema::layer::KERNEL_LOG_GROUP;
use outcall_schema::signing::Trust;
use rustls::RootCertStore;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;

use super::agents::{AGENTS, Agent, Agents, Origin};
use super::bridge::{self, BridgeError};
use super::callers::Callers;
use super::confine::{self, Guard};
use super::doors::{self, Doors};
use super::gate::{Gate, GateError};
use super::network::Network;
use super::notify::Manager;
use super::operator::Operator;

use crate::api::agents::AgentApi;
use crate::api::{self, Api, SocketError};
use crate::audit::{Audit, Notice};
use crate::dial::Dialer;
use crate::direct::Direct;
use crate::dns::{Budget, Filter, Resolver, Server};
use crate::docker::{self, Docker};
use crate::identity::Identity;
use crate::intercept::{self, Files, Interception, LeafTtl, Leaves, Upstreams, upstream};
use crate::kernel::{link, log, ruleset};
use crate::load::{self, Artifacts, Authority, LoadError};
use crate::proxy::{self, Context, Mode};
use crate::refusals::{Refusals, Way};
use crate::secrets::{Secrets, Sources};
use crate::shares::{Shares, workers};
use crate::snapshot::{Snapshot, in_force};
use crate::state::{Pending, StateDir, StateError};
use crate::sys::{descriptors, filter, memory, privilege};

/// How long what is still to be logged may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// What to enforce, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The directory with the compiled policy.
    pub artifacts: PathBuf,
    /// The files with the keys that policies must be signed by; none where unsigned ones load.
    pub trust_keys: Vec<PathBuf>,
    /// Where the operator's API is served; nowhere when absent.
    pub socket: Option<PathBuf>,
    /// Where agents are answered.
    pub agent_socket: PathBuf,
    /// What containers get as the shim; the one beside this program when absent.
    pub agent_shim: Option<PathBuf>,
    /// Where the last policies and the agents are remembered.
    pub state: PathBuf,
    /// The agents' network.
    pub network: Network,
    /// The resolvers, asked in this order.
    pub upstreams: Vec<Server>,
    /// What an agent may ask them for that no rule writes out; anything when absent.
    pub dns_budget: Option<Budget>,
    /// Where Docker's engine serves; absent where it is not asked.
    pub docker: Option<PathBuf>,
    /// Where audit records go; to standard output when absent, where a service manager keeps them.
    pub log: Option<PathBuf>,
    /// The authority for policies that look inside TLS.
    pub authority: Option<Files>,
    /// Certificates that servers of intercepted connections and resolvers are verified against, beside those that this
    /// system trusts.
    pub upstream_ca: Option<PathBuf>,
    /// How long the certificates for hosts are valid.
    pub leaf_ttl: LeafTtl,
    /// Where the secrets that rules inject come from.
    pub secrets: Sources,
    /// The largest body of a request that is kept to be judged.
    pub body_cap_bytes: usize,
}

/// Why the daemon does not run. The kernel is closed, or as it was before.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The policy.
    #[error("cannot load the policy in {directory}: {error}")]
    Policy {
        /// Where.
        directory: String,
        /// Why.
        error: LoadError,
    },
    /// There is nothing to go back to.
    #[error("there is no policy before this one")]
    NoPrevious,
    /// Nothing can be remembered.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key that policies must be signed by is none.
    #[error("{0}")]
    Trust(String),
    /// The operator's socket, or that of agents.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// What containers would get to ask with.
    #[error("cannot give containers the shim {}: {error}", path.display())]
    Shim {
        /// Where it was looked for.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The bridge.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The kernel's part.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// What looking inside TLS takes.
    #[error("cannot look inside TLS: {0}")]
    Interception(String),
    /// What asking resolvers over TLS takes.
    #[error("cannot ask resolvers over TLS: {0}")]
    Resolvers(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Anything else the system refuses.
    #[error("cannot {step}: {error}")]
    System {
        /// What was to be done.
        step: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

pub(super) fn system(step: &'static str) -> impl Fn(io::Error) -> DaemonError {
    move |error| DaemonError::System { step, error }
}

/// Runs until a signal says to stop.
///
/// # Errors
/// See [`DaemonError`].
pub fn run(options: Options) -> Result<(), DaemonError> {
    privilege::keep_confidence().map_err(system("keep secrets out of core dumps"))?;
    let begun = Begun::new(&options)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    let ended = runtime.block_on(async {
        let (daemon, listeners) = Daemon::start(options, begun).await?;
        daemon.live(listeners).await
    });
    // What waits for a disk that hangs would keep this process from its end.
    runtime.shutdown_background();
    ended
}

/// What the daemon opens before it gives up the rights for it. The kernel is closed by then.
struct Begun {
    state: StateDir,
    doors: Doors,
    /// What containers ask with.
    shim: Option<Vec<u8>>,
    log: Option<File>,
    interception: Option<Interception>,
    trust: Trust,
    /// Who vouches for resolvers that are asked over TLS.
    roots: RootCertStore,
    /// What containers trust, where TLS is looked into.
    trusted: Option<intercept::Trust>,
}

impl Begun {
    /// Closes the kernel, opens files, and then gives up all that the daemon does not need any more: while there is one
    /// thread, as threads have capabilities, filters and confinement of their own and hand them down.
    fn new(options: &Options) -> Result<Begun, DaemonError> {
        // What has the name must not be cut off where it is not ours.
        bridge::check(&options.network)?;
        // Whatever happens from here on, agents reach nothing that no policy opens.
        let shut = ruleset::load(&super::ruleset::closed(&options.network, &Agents::default()));
        shut.map_err(GateError::from)?;
        let state = StateDir::open(&options.state)?;
        let interception = interception(options)?;
        // Of what this system trusts, which cannot be read later on.
        let gather = |it: &Interception| intercept::Trust::gather(it.leaves().authority(), |_| None);
        let trusted = interception.as_ref().filter(|_| options.docker.is_some()).map(gather);
        let trust = load::trusted(&options.trust_keys).map_err(|error| DaemonError::Trust(error.to_string()))?;
        let encrypted = options.upstreams.iter().any(|server| matches!(server, Server::Encrypted { .. }));
        let roots = match encrypted {
            true => upstream::roots(options.upstream_ca.as_deref()),
            false => Ok(RootCertStore::empty()),
        };
        let roots = roots.map_err(|error| DaemonError::Resolvers(error.to_string()))?;
        let log = options.log.as_deref().map(Audit::open).transpose().map_err(system("open the log"))?;
        let (doors, shim) = (Doors::open(options)?, doors::shim(options)?);
        privilege::keep_network().map_err(system("keep the rights over the network and no others"))?;
        let guard = confine::to_own_files(options)
            .map_err(|error| system("confine itself to its files")(io::Error::other(error)))?;
        match guard {
            Guard::Whole => {}
            Guard::Part => {
                crate::say!("this kernel has an old Landlock, which confines it to its files in part")
            }
            Guard::None => crate::say!("this kernel has no Landlock; its user's permissions alone confine it"),
        }
        filter::install().map_err(system("filter system calls"))?;
        Ok(Begun { state, doors, shim, log, interception, trust, roots, trusted })
    }
}

/// The sockets at the gateway.
struct Listeners {
    udp: Vec<UdpSocket>,
    tcp: Vec<TcpListener>,
    proxy: Vec<TcpListener>,
}

impl Listeners {
    fn bind(network: &Network) -> Result<Listeners, DaemonError> {
        fn at<S>(
            addresses: &[IpAddr],
            port: u16,
            bind: impl Fn(SocketAddr) -> io::Result<S>,
        ) -> Result<Vec<S>, DaemonError> {
            let bind = |address: &IpAddr| {
                let address = SocketAddr::new(*address, port);
                bind(address).map_err(|error| DaemonError::Listen { address, error })
            };
            addresses.iter().map(bind).collect()
        }
        let gateways = network.gateways();
        Ok(Listeners {
            udp: at(&gateways, network.dns_port, UdpSocket::bind)?,
            tcp: at(&gateways, network.dns_port, TcpListener::bind)?,
            proxy: at(&gateways, network.proxy_port, TcpListener::bind)?,
        })
    }
}

/// The running daemon.
pub struct Daemon {
    options: Options,
    trust: Arc<Trust>,
    pub(super) gate: Arc<Gate>,
    pub(super) audit: Audit,
    direct: Direct,
    interception: Option<Interception>,
    dialer: Dialer,
    resolver: Resolver,
    pub(super) docker: Option<Docker>,
    pub(super) manager: Manager,
    doors: Doors,
    state: StateDir,
    loading: Mutex<()>,
    ready: AtomicBool,
}

impl Daemon {
    /// Makes the bridge, binds, and only then opens what the policy opens.
    async fn start(options: Options, begun: Begun) -> Result<(Arc<Daemon>, Listeners), DaemonError> {
        let Begun { state, doors, shim, log, interception, trust, roots, trusted } = begun;
        let network = options.network.clone();
        let manager = Manager::find(|name| std::env::var_os(name));
        let agents = remembered(&state, &network)?;
        let (artifacts, snapshot) = tokio::task::block_in_place(|| first_policy(&options, &trust, &state))?;
        let audit = match log {
            Some(file) => Audit::to_file(file),
            None => Audit::to_writer(Box::new(io::stdout())),
        };
        let audit = audit.map_err(system("start the log"))?;
        let dialer = Dialer::measured(audit.meters());
        let resolver = Resolver::of_servers(options.upstreams.clone(), roots, dialer.clone());
        let resolver = resolver.map_err(|error| DaemonError::Resolvers(error.to_string()))?;
        let resolver = resolver.with_budget(options.dns_budget);
        let direct = Direct::default();
        let policy = in_force(snapshot);
        let gate = Gate::new(network.clone(), policy, direct.clone(), agents)?;
        bridge::bring_up(&network)?;
        gate.settle().await;
        gate.sweep().await.map_err(system("remove ports of agents that are not known"))?;
        let listeners = Listeners::bind(&network)?;
        let gate = Arc::new(gate);
        let docker = docker(&options, &gate, &audit, &state, trusted, shim)?;
        let daemon = Daemon {
            options,
            trust: Arc::new(trust),
            gate,
            audit,
            direct,
            interception,
            dialer,
            resolver,
            docker,
            manager,
            doors,
            state,
            loading: Mutex::default(),
            ready: AtomicBool::new(false),
        };
        if daemon.begin().await? == First::AsGiven {
            daemon.remember(artifacts).await;
        }
        Ok((Arc::new(daemon), listeners))
    }

    /// Puts the first policy in force, or where the kernel does not take that one, the last that was.
    async fn begin(&self) -> Result<First, DaemonError> {
        let Err(error) = self.gate.enforce(self.gate.policy.load_full()).await else { return Ok(First::AsGiven) };
        for generation in self.state.generations() {
            let (state, trust, authority) = (self.state.clone(), Arc::clone(&self.trust), self.options.authority());
            let Ok((_, snapshot)) = blocking(move || state.load(&generation, &trust, authority)).await? else {
                continue;
            };
            if self.gate.enforce(Arc::new(snapshot)).await.is_ok() {
                crate::say!("{error}; beginning with the policy {} that was in force", generation.digest);
                return Ok(First::AsBefore);
            }
        }
        Err(error.into())
    }

    /// Keeps the first policy, so that a later start without a good one has it. Where that cannot be, it is still enforced.
    async fn remember(&self, artifacts: Artifacts) {
        let (state, digest) = (self.state.clone(), self.gate.policy.load().digest().to_owned());
        if state.current().is_some_and(|current| current.digest.to_string() == digest) {
            return;
        }
        if let Ok(Err(error)) = blocking(move || state.keep(&artifacts, &digest)).await {
            crate::say!("the policy in force is not remembered: {error}");
        }
    }

    /// Opens the kernel and serves until told to stop.
    async fn live(self: Arc<Daemon>, listeners: Listeners) -> Result<(), DaemonError> {
        let (stop, stopping) = watch::channel(false);
        let mut serving = JoinSet::new();
        self.serve(listeners, &stopping, &mut serving)?;
        self.ready.store(true, Ordering::Release);
        self.manager.tell("READY=1");
        blocking(memory::give_back).await?;
        let mut reload = signal(SignalKind::hangup()).map_err(system("take signals"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(system("take signals"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(system("take signals"))?;
        let failed = loop {
            tokio::select! {
                _ = reload.recv() => {
                    self.manager.tell("RELOADING=1");
                    if let Err(error) = self.reload().await {
                        crate::say!("{error}; the policy that was in force still is");
                    }
                    self.manager.tell("READY=1");
                }
                _ = terminate.recv() => break None,
                _ = interrupt.recv() => break None,
                Some(ended) = serving.join_next() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => break Some(error),
                    Err(error) => break Some(io::Error::other(error)),
                },
            }
        };
        self.manager.tell("STOPPING=1");
        // Closed first: what is open may end in peace, but nothing new begins.
        let shut = self.gate.shut().await;
        let _ = stop.send(true);
        let drained = async { while serving.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(proxy::Limits::default().drain, drained).await;
        serving.shutdown().await;
        let audit = self.audit.clone();
        match tokio::time::timeout(LAST_WORDS, tokio::task::spawn_blocking(move || audit.flush())).await {
            Ok(Ok(Err(error))) => crate::say!("the audit log is not complete: {error}"),
            Err(_) => crate::say!("the audit log is not complete: it is not written in time"),
            Ok(_) => {}
        }
        shut?;
        failed.map_or(Ok(()), |error| Err(system("serve")(error)))
    }

    /// Everything that goes on while the daemon lives.
    fn serve(
        self: &Arc<Daemon>,
        listeners: Listeners,
        stopping: &watch::Receiver<bool>,
        serving: &mut JoinSet<io::Result<()>>,
    ) -> Result<(), DaemonError> {
        let identity: Identity = Arc::clone(&self.gate.directory) as Identity;
        let policy = Arc::clone(&self.gate.policy);
        let dialer = self.dialer.clone();
        let resolver = self.resolver.clone();
        let dns_listening: Vec<SocketAddr> =
            listeners.udp.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let proxy_listening = listeners.proxy.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let proxy_url = self.gate.network.proxy_url();
        let callers = Box::new(Callers(Arc::clone(&self.gate)));
        let of_agents = AgentApi::new(Arc::clone(&policy), self.audit.clone(), callers, &dns_listening, proxy_url);
        let api = Api::new(Arc::clone(&policy), self.audit.clone(), resolver.clone())
            .listening(dns_listening, proxy_listening)
            .intercepting(self.interception.clone());
        let filter = Filter::new(Arc::clone(&policy), Arc::clone(&identity), self.audit.clone(), resolver.clone())
            .on_answer(Arc::clone(&self.gate) as Arc<dyn crate::dns::OnAnswer>);
        let context = Context {
            policy: Arc::clone(&policy),
            identity: Arc::clone(&identity),
            audit: self.audit.clone(),
            resolver: resolver.clone(),
            dialer,
            // The kernel sees to it.
            direct: Direct::default(),
            interception: self.interception.clone(),
            changes: self.gate.changes().into(),
            shares: Shares::default(),
            limits: proxy::Limits { body_bytes: self.options.body_cap_bytes, ..proxy::Limits::default() },
        };
        let until = |mut stopping: watch::Receiver<bool>| async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let (names, stop) = (filter.serve(listeners.udp, listeners.tcp), until(stopping.clone()));
        serving.spawn(async move {
            tokio::select! {
                ended = names => ended,
                () = stop => Ok(()),
            }
        });
        for listener in listeners.proxy {
            serving.spawn(proxy::serve(listener, Mode::Either, context.clone(), stopping.clone()));
        }
        let (direct, audit) = (self.direct.clone(), self.audit.clone());
        let refusals = Refusals { policy, audit, identity, direct, way: Way::Kernel, seen: Arc::default() };
        let (accounting, gate, stop) = (refusals.clone(), Arc::clone(&self.gate), until(stopping.clone()));
        serving.spawn(async move {
            tokio::select! {
                () = accounting.account(|| gate.refused()) => {}
                () = stop => {}
            }
            Ok(())
        });
        // A kernel without the module has no log; the counters still count.
        if let Ok(log) = log::subscribe(KERNEL_LOG_GROUP) {
            let log = descriptors::watch(log).map_err(system("follow the kernel's log"))?;
            let stop = until(stopping.clone());
            serving.spawn(async move {
                tokio::select! {
                    ended = refusals.follow(&log) => ended,
                    () = stop => Ok(()),
                }
            });
        }
        for socket in &self.doors.agents {
            let listener = socket.listener().map_err(system("share the agents' socket"))?;
            let (api, stop) = (of_agents.clone(), until(stopping.clone()));
            serving.spawn(async move {
                tokio::select! {
                    ended = api::agents::serve(listener, api) => ended,
                    () = stop => Ok(()),
                }
            });
        }
        if let Some(socket) = &self.doors.operator {
            let listener = socket.listener().map_err(system("share the socket"))?;
            let api = api.operated_by(api::group()).of_host(Arc::new(Operator(Arc::clone(self))));
            let stop = until(stopping.clone());
            serving.spawn(async move {
                tokio::select! {
                    ended = api::serve(listener, api) => ended,
                    () = stop => Ok(()),
                }
            });
        }
        for tending in [self.clone().look(), self.clone().tend(), self.clone().watchdog(), self.clone().containers()] {
            let stop = until(stopping.clone());
            serving.spawn(async move {
                tokio::select! {
                    () = tending => Ok(()),
                    () = stop => Ok(()),
                }
            });
        }
        Ok(())
    }

    /// Reads the directory again and puts what is in it in force.
    ///
    /// # Errors
    /// See [`DaemonError`]; the policy that was in force still is.
    pub async fn reload(&self) -> Result<Loaded, DaemonError> {
        let directory = self.options.artifacts.clone();
        let read = blocking(move || Artifacts::read(&directory)).await?;
        self.load(read.map_err(|error| self.options.unusable(error))?).await
    }

    /// Puts a policy in force, when it is signed as it must be, whole, and the kernel takes it.
    ///
    /// # Errors
    /// See [`DaemonError`]; the policy that was in force still is.
    pub async fn load(&self, artifacts: Artifacts) -> Result<Loaded, DaemonError> {
        // One load after the other: what is replaced is what the one before put in force.
        let _one = self.loading.lock().await;
        let (trust, authority, state) = (Arc::clone(&self.trust), self.options.authority(), self.state.clone());
        let verified = blocking(move || {
            let snapshot = artifacts.verify(&trust, authority)?;
            let pending = state.pending(&artifacts, snapshot.digest());
            Ok((snapshot, pending))
        });
        let (snapshot, pending) = verified.await?.map_err(|error| self.options.unusable(error))?;
        self.change(snapshot, pending?).await
    }

    /// Puts the policy in force that was before this one.
    ///
    /// # Errors
    /// See [`DaemonError`]; the policy that was in force still is.
    pub async fn rollback(&self) -> Result<Loaded, DaemonError> {
        let _one = self.loading.lock().await;
        let (trust, authority, state) = (Arc::clone(&self.trust), self.options.authority(), self.state.clone());
        let found = blocking(move || {
            let Some(pending) = state.back()? else { return Err(DaemonError::NoPrevious) };
            Ok(state.load(&pending.generation(), &trust, authority).map(|(_, snapshot)| (snapshot, pending)))
        });
        let (snapshot, pending) = found.await??.map_err(|error| self.options.unusable(error))?;
        self.change(snapshot, pending).await
    }

    /// The kernel first, then names and requests, then the disk: whoever is killed in between starts with the one before.
    async fn change(&self, snapshot: Snapshot, pending: Pending) -> Result<Loaded, DaemonError> {
        let snapshot = Arc::new(snapshot);
        let replaced = self.gate.policy.load_full();
        let connections_cut = self.gate.enforce(Arc::clone(&snapshot)).await?;
        let mut warnings = Vec::new();
        if let Err(error) = blocking(move || pending.promote()).await? {
            warnings.push(format!("it is in force, and forgotten at the next start: {error}"));
        }
        let manifest = &snapshot.manifest;
        let files: BTreeSet<&str> = manifest.rules.iter().map(|rule| rule.file.as_str()).collect();
        let notice = Notice::new("host", "policy_loaded", snapshot.digest());
        self.audit.note(&notice.with("replaced", replaced.digest()).with("rules", manifest.rules.len()));
        let loaded = Loaded {
            files_loaded: files.len(),
            rules_loaded: manifest.rules.len(),
            warnings,
            policy_digest: snapshot.digest().to_owned(),
            replaced_digest: replaced.digest().to_owned(),
            connections_cut,
        };
        drop((snapshot, replaced));
        blocking(memory::give_back).await?;
        Ok(loaded)
    }

    /// What still stands in the way of guarding agents.
    pub fn not_ready(&self) -> Vec<String> {
        match self.ready.load(Ordering::Acquire) {
            true => Vec::new(),
            false => vec!["no policy is in force yet".to_owned()],
        }
    }

    /// Gives an agent addresses and a port.
    ///
    /// # Errors
    /// See [`GateError`].
    pub async fn attach(&self, name: &str) -> Result<Agent, GateError> {
        self.gate.attach(name, Origin::Namespace, |agents| self.keep(agents)).await
    }

    pub(super) fn keep(&self, agents: &Agents) -> io::Result<()> {
        let kept = tokio::task::block_in_place(|| self.state.write_json(AGENTS, agents));
        kept.map_err(io::Error::other)
    }

    /// Takes them from it, and its port from the bridge. Beside it comes why that could not be remembered.
    ///
    /// # Errors
    /// See [`GateError`].
    pub async fn detach(&self, name: &str) -> Result<(Agent, Option<io::Error>), GateError> {
        let (agent, unkept) = self.gate.detach(name, |agents| self.keep(agents)).await?;
        // The port of a container is Docker's to remove, and so is that of a namespace that is gone already.
        if agent.origin == Origin::Namespace {
            let _ = link::remove(&agent.port);
        }
        Ok((agent, unkept))
    }
}

impl Options {
    fn authority(&self) -> Authority {
        if self.authority.is_some() { Authority::Present } else { Authority::Absent }
    }

    fn unusable(&self, error: LoadError) -> DaemonError {
        DaemonError::Policy { directory: self.artifacts.display().to_string(), error }
    }
}

/// The agents that there were, as far as they still fit the network.
fn remembered(state: &StateDir, network: &Network) -> Result<Agents, DaemonError> {
    let mut agents: Agents = state.read_json(AGENTS)?.unwrap_or_default();
    agents.retain(|agent| agent.fits(network));
    Ok(agents)
}

/// The policy to begin with: the given one, or where that cannot be loaded, the last that was in force.
fn first_policy(options: &Options, trust: &Trust, state: &StateDir) -> Result<(Artifacts, Snapshot), DaemonError> {
    let given = Artifacts::read(&options.artifacts).and_then(|artifacts| {
        let snapshot = artifacts.verify(trust, options.authority())?;
        Ok((artifacts, snapshot))
    });
    let error = match given {
        Ok(given) => return Ok(given),
        Err(error) => options.unusable(error),
    };
    for generation in state.generations() {
        match state.load(&generation, trust, options.authority()) {
            Ok(last) => {
                crate::say!("{error}; beginning with the policy {} that was in force", generation.digest);
                return Ok(last);
            }
            Err(last) => crate::say!("nor can the policy {} be loaded: {last}", generation.digest),
        }
    }
    Err(error)
}

/// Which policy the daemon began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    /// The one that it was given, or found to be the last good one.
    AsGiven,
    /// One that was in force before.
    AsBefore,
}

/// Does what may take a while where nobody else waits.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, DaemonError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| system("do the work")(io::Error::other(error)))
}

/// The containers, where the engine is asked.
fn docker(
    options: &Options,
    gate: &Arc<Gate>,
    audit: &Audit,
    state: &StateDir,
    trust: Option<intercept::Trust>,
    shim: Option<Vec<u8>>,
) -> Result<Option<Docker>, DaemonError> {
    let Some(socket) = &options.docker else { return Ok(None) };
    // Whoever can write there changes the policy or the guard, and whoever can read there knows its secrets.
    let beside = |path: &PathBuf| path.parent().filter(|parent| *parent != std::path::Path::new("")).map(PathBuf::from);
    let authority = options.authority.iter().map(|files| files.key().to_owned());
    let sockets = options.socket.iter().chain([&options.agent_socket]);
    let protected = sockets.filter_map(beside).chain([options.artifacts.clone()]);
    let protected = protected.chain(options.trust_keys.iter().cloned()).chain(options.log.clone());
    let protected = protected.chain(authority).chain(options.secrets.directory.clone());
    let docker = Docker::new(docker::Options {
        socket: socket.clone(),
        gate: Arc::clone(gate),
        audit: audit.clone(),
        state: state.clone(),
        directory: options.state.clone(),
        protected: protected.filter_map(|path| std::path::absolute(path).ok()).collect(),
        trust,
        shim,
    });
    docker.map(Some).map_err(system("write what containers are given"))
}

/// What looking inside TLS takes; nothing where no authority is named.
fn interception(options: &Options) -> Result<Option<Interception>, DaemonError> {
    fn unable(error: impl std::fmt::Display) -> DaemonError {
        DaemonError::Interception(error.to_string())
    }
    let Some(files) = &options.authority else { return Ok(None) };
    let leaves = Leaves::new(files.load().map_err(unable)?, options.leaf_ttl).map_err(unable)?;
    let roots = upstream::roots(options.upstream_ca.as_deref()).map_err(unable)?;
    let upstreams = Upstreams::new(roots).map_err(unable)?;
    let secrets = Secrets::open(&options.secrets, |name| std::env::var_os(name)).map_err(unable)?;
    Ok(Some(Interception::new(leaves, upstreams).with_secrets(secrets)))
}
