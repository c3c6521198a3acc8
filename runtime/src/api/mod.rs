//! Serves the operator's API over a unix socket: one request a connection, each answered in JSON. That of agents, with a socket
//! of its own, is in [`agents`].
//!
//! The reader of heads is the proxy's, so what has two readings is refused here as well, and every refusal is answered in
//! the same envelope. Invariant: no agent reaches this. Its view of the file system does not have the socket, and who
//! lives in a process namespace below ours or behind an agent's port is refused whatever way it found (see `api::peer`).

pub mod agents;
mod answer;
mod ca;
mod events;
mod host;
mod hosted;
mod intercept;
mod message;
mod metrics;
mod network;
mod peer;
mod process;
mod rules;
mod socket;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::api::agents::Agent;
use outcall_schema::api::{Door, Endpoint, JSON_TYPE, METRICS_TYPE, Route, Takes, route};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::answer::{Reply, data, document, with_status};
use self::message::{Asked, Failure, Unread};
use self::peer::{Peer, Stranger};
use self::process::Started;
use crate::audit::{Audit, FOLLOWERS_MAX, Notice};
use crate::dns::Resolver;
use crate::intercept::Interception;
use crate::proxy::last_words;
use crate::snapshot::Policy;

pub use self::host::{Counter, Failed, Host, Kind, Later};
pub use self::peer::group;
pub use self::socket::{Place, Socket, SocketError};

/// Connections at a time beside those that follow the events; further ones wait. A person and a few scripts ask.
const CONNECTIONS: usize = 48;
/// From the connection to the end of the request.
const REQUEST: Duration = Duration::from_secs(5);
/// From the end of its head to the end of an upload: [`outcall_schema::api::UPLOAD_MAX`] at 10 MiB a second.
const UPLOAD: Duration = Duration::from_secs(60);
/// How long whoever asked may take to read the answer, which can have tens of megabytes.
const READING: Duration = Duration::from_secs(60);
/// How long accepting pauses when the process has no descriptors left, so that it does not spin.
const PAUSE: Duration = Duration::from_millis(50);
/// What is served as the description of this API.
const OPENAPI: &str = include_str!("../../../golden/schema/openapi.json");

/// Where people know that conditions could be tried, and what they are told: the enforcing process has no reader of them.
const RULE_TEST: &str = "/api/v1/rule/test";
const NO_RULE_TEST: &str =
    "outcalld has no reader of conditions: `outcall rules test EXPRESSION --context FILE` compiles and decides them";

/// What the endpoints tell of and act on.
#[derive(Clone)]
pub struct Api {
    /// The policy in force.
    policy: Policy,
    /// What was decided, and what is being decided.
    audit: Audit,
    /// Answers names.
    resolver: Resolver,
    /// Where the DNS filter listens.
    dns_listening: Vec<SocketAddr>,
    /// Where the proxy listens.
    proxy_listening: Vec<SocketAddr>,
    /// What looks inside TLS; absent where no policy needs it.
    interception: Option<Interception>,
    /// The host's core.
    host: Option<Arc<dyn Host>>,
    /// The one agent, where there is no host.
    sandbox: Option<Agent>,
    /// The group whose members may ask.
    operators: Option<u32>,
    started: Started,
    /// One upload at a time: each may take half a gigabyte.
    uploads: Arc<Semaphore>,
}

impl Api {
    /// Tells of this policy, and of what is decided by it.
    pub fn new(policy: Policy, audit: Audit, resolver: Resolver) -> Api {
        Api {
            policy,
            audit,
            resolver,
            dns_listening: Vec::new(),
            proxy_listening: Vec::new(),
            interception: None,
            host: None,
            sandbox: None,
            operators: None,
            started: Started::now(),
            uploads: Arc::new(Semaphore::new(1)),
        }
    }

    /// Where the DNS filter and the proxy listen. Without both nothing is ready.
    #[must_use]
    pub fn listening(self, dns: Vec<SocketAddr>, proxy: Vec<SocketAddr>) -> Api {
        Api { dns_listening: dns, proxy_listening: proxy, ..self }
    }

    /// What looks inside TLS.
    #[must_use]
    pub fn intercepting(self, interception: Option<Interception>) -> Api {
        Api { interception, ..self }
    }

    /// The host's core.
    #[must_use]
    pub fn of_host(self, host: Arc<dyn Host>) -> Api {
        Api { host: Some(host), ..self }
    }

    /// The one agent of a sandbox.
    #[must_use]
    pub fn of_sandbox(self, agent: Agent) -> Api {
        Api { sandbox: Some(agent), ..self }
    }

    /// The group whose members may ask as well; see [`group`].
    #[must_use]
    pub fn operated_by(self, group: Option<u32>) -> Api {
        Api { operators: group, ..self }
    }
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    request: Duration,
    upload: Duration,
}

/// Serves whoever may ask, until the future is dropped.
///
/// # Errors
/// The listener cannot be used. What fails on a single connection ends that connection alone.
pub async fn serve(listener: UnixListener, api: Api) -> io::Result<()> {
    let limits = Limits { connections: CONNECTIONS + FOLLOWERS_MAX, request: REQUEST, upload: UPLOAD };
    serve_within(listener, api, limits).await
}

async fn serve_within(listener: UnixListener, api: Api, limits: Limits) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let api = api.clone();
        tasks.spawn(async move {
            match api.known(&stream).await {
                Ok(peer) => api.converse(stream, peer, limits).await,
                Err(stranger) => {
                    api.audit.room().await;
                    api.turn_away(&stream, &stranger);
                }
            }
            drop(place);
        });
    }
}

impl Api {
    /// Looks at who connected. Where there are agents in network namespaces, none of them is answered, whatever its user.
    async fn known(&self, stream: &UnixStream) -> Result<Peer, Stranger> {
        let peer = peer::check(stream, self.operators)?;
        let Some(host) = &self.host else { return Ok(peer) };
        if peer::is_near(stream)? {
            return Ok(peer);
        }
        if !peer.is_ours() {
            return Err(Stranger::Network);
        }
        let socket = stream.as_fd().try_clone_to_owned().map_err(Stranger::Unknown)?;
        match host.is_agent(socket).await {
            Ok(false) => Ok(peer),
            Ok(true) => Err(Stranger::Agent),
            Err(failed) => Err(Stranger::Unknown(io::Error::other(failed))),
        }
    }

    /// Tells a stranger so. Nothing of theirs is read, nothing waited for.
    fn turn_away(&self, stream: &UnixStream, stranger: &Stranger) {
        answer::dismiss(stream, &Failure::new(403, stranger.to_string()));
        self.audit.meters().strangers.add();
        let notice = Notice::new("api", "stranger_refused", self.policy.load().digest());
        let notice = peer::who(stream).into_iter().fold(notice, |notice, (name, number)| notice.with(name, number));
        self.audit.note(&notice.with("decision", "block").with("why", stranger.to_string()));
    }

    /// Reads one request, answers it and closes.
    async fn converse(&self, mut stream: UnixStream, peer: Peer, limits: Limits) {
        let (mut reader, mut writer) = stream.split();
        let late = || Failure::new(408, "the request did not arrive in time");
        let (mut method, mut patience) = (String::new(), limits.request);
        let done = async {
            let head = timeout(patience, message::head(&mut reader)).await.map_err(|_| late())??;
            method.clone_from(&head.method);
            let path = head.path.clone();
            let (endpoint, id) = match route(Door::Operator, &head.method, &path) {
                Route::To(endpoint, id) => (endpoint, id),
                Route::OtherMethod(_) if path == RULE_TEST => return Err(Failure::new(404, NO_RULE_TEST).into()),
                Route::OtherMethod(method) => return Err(Failure::other_method(method).into()),
                Route::Nowhere => return Err(Failure::new(404, "there is no such path").into()),
            };
            let row = endpoint.row();
            let mut upload = None;
            if row.takes == Takes::Upload {
                // Who has no host to send it to is told before it is sent.
                hosted::host(self)?;
                let busy = || Failure::new(503, "another upload is under way: try again when it is done");
                upload = Some(self.uploads.try_acquire().map_err(|_| busy())?);
                patience = limits.upload;
            }
            let asked = timeout(patience, head.body(row, &mut reader, &mut writer)).await.map_err(|_| late())??;
            let done = self.answer(endpoint, id, asked).await;
            drop(upload);
            self.remember(endpoint, &path, peer, &done);
            Ok(done?)
        };
        let words = match done.await {
            Ok(Reply::Whole { status, content_type, body }) => answer::whole(&method, status, content_type, &body, ""),
            Ok(Reply::Events(follower)) => {
                events::send(*follower, &mut reader, &mut writer).await;
                return;
            }
            Err(Unread::Failed(failure)) => answer::failure(&method, &failure),
            Err(Unread::Gone) => return,
        };
        if matches!(timeout(READING, writer.write_all(&words)).await, Ok(Ok(()))) {
            last_words(&mut reader, &mut writer, b"").await;
        }
    }

    /// Does what is asked for.
    async fn answer(&self, endpoint: Endpoint, id: &str, asked: Asked) -> Result<Reply, Failure> {
        match endpoint {
            Endpoint::Rules => self.aside(|api| data(rules::list(api))).await,
            Endpoint::Rule => data(rules::one(self, id)?),
            Endpoint::RuleEvaluate => data(rules::evaluate(self, &asked.json()?)?),
            Endpoint::RulesArtifacts => data(hosted::load(self, asked.body).await?),
            Endpoint::RulesReload => data(hosted::host(self)?.reload().await?),
            Endpoint::RulesRollback => data(hosted::host(self)?.rollback().await?),
            Endpoint::RulesActive => data(hosted::host(self)?.grants().await?),
            Endpoint::RulesFlush => data(hosted::host(self)?.flush_grants().await?),
            Endpoint::Dns => data(network::status(self)),
            Endpoint::DnsCache => self.aside(move |api| data(network::cache(api, asked.flag))).await,
            Endpoint::DnsCacheFlush => data(network::flush(self)),
            Endpoint::DnsTest => data(network::test(self, &asked.json()?).await?),
            Endpoint::Proxy => data(network::proxy(self)),
            Endpoint::Intercept => data(intercept::status(self)),
            Endpoint::InterceptCacheFlush => data(intercept::flush(self)),
            Endpoint::CaStatus => data(ca::status(self)?),
            Endpoint::CaBundle => data(ca::bundle(self)?),
            Endpoint::Bridge => data(hosted::host(self)?.bridge().await?),
            Endpoint::BridgeUp => data(hosted::host(self)?.bridge_up().await?),
            Endpoint::BridgeDown => data(hosted::host(self)?.bridge_down().await?),
            Endpoint::Agents => data(hosted::agents(self).await?),
            Endpoint::AgentsAttach => data(hosted::attach(self, asked.json()?).await?),
            Endpoint::AgentsDetach => data(hosted::detach(self, asked.json()?).await?),
            Endpoint::Networks => data(hosted::host(self)?.networks().await?),
            Endpoint::Network => data(hosted::network(self, &asked.name).await?),
            Endpoint::NetworkConfig => data(hosted::host(self)?.network_config().await?),
            Endpoint::NetworkCreate => data(hosted::host(self)?.network_create(asked.json()?).await?),
            Endpoint::NetworkDestroy => data(hosted::host(self)?.network_destroy(asked.json()?).await?),
            Endpoint::Containers => data(hosted::host(self)?.containers().await?),
            Endpoint::Container => data(hosted::host(self)?.container(asked.name).await?),
            Endpoint::ContainerLogs => data(hosted::host(self)?.container_logs(asked.name).await?),
            Endpoint::ContainerCreate => data(hosted::host(self)?.container_create(asked.json()?).await?),
            Endpoint::ContainerStop => data(hosted::host(self)?.container_stop(asked.json()?).await?),
            Endpoint::ContainerRemove => data(hosted::host(self)?.container_remove(asked.json()?).await?),
            Endpoint::ContainerPull => data(hosted::host(self)?.container_pull(asked.json()?).await?),
            Endpoint::Health => data(process::health(self)),
            Endpoint::Ready => {
                let ready = process::ready(self);
                with_status(if ready.ready { 200 } else { 503 }, ready)
            }
            Endpoint::Events => events::follow(self),
            Endpoint::Metrics | Endpoint::MetricsUsual => document(METRICS_TYPE, metrics::text(self).await),
            Endpoint::OpenApi => document(JSON_TYPE, OPENAPI),
            // No request goes there by this socket.
            Endpoint::AgentCheckin | Endpoint::AgentCheck => Err(Failure::new(404, "there is no such path")),
        }
    }

    /// Does what may take as long as there is much of it, out of the way of what enforces.
    async fn aside(
        &self,
        work: impl FnOnce(&Api) -> Result<Reply, Failure> + Send + 'static,
    ) -> Result<Reply, Failure> {
        let api = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&api));
        done.await.unwrap_or_else(|error| Err(Failure::new(500, error.to_string())))
    }

    /// Writes down who changed what, or tried to.
    fn remember(&self, endpoint: Endpoint, path: &str, peer: Peer, done: &Result<Reply, Failure>) {
        if !changes(endpoint) {
            return;
        }
        let notice = Notice::new("api", "operator_request", self.policy.load().digest())
            .with("path", path)
            .with("status", done.as_ref().map_or_else(|failure| failure.status, |_| 200))
            .with("uid", peer.uid)
            .with("pid", peer.pid);
        self.audit.note(&match done {
            Ok(_) => notice,
            Err(failure) => notice.with("why", failure.why.as_str()),
        });
    }
}

/// Whether an endpoint changes what is enforced, or for whom.
const fn changes(endpoint: Endpoint) -> bool {
    match endpoint {
        Endpoint::RulesArtifacts
        | Endpoint::RulesReload
        | Endpoint::RulesRollback
        | Endpoint::RulesFlush
        | Endpoint::DnsCacheFlush
        | Endpoint::InterceptCacheFlush
        | Endpoint::BridgeUp
        | Endpoint::BridgeDown
        | Endpoint::AgentsAttach
        | Endpoint::AgentsDetach
        | Endpoint::NetworkCreate
        | Endpoint::NetworkDestroy
        | Endpoint::ContainerCreate
        | Endpoint::ContainerStop
        | Endpoint::ContainerRemove
        | Endpoint::ContainerPull => true,
        Endpoint::Rules
        | Endpoint::Rule
        | Endpoint::RuleEvaluate
        | Endpoint::RulesActive
        | Endpoint::Dns
        | Endpoint::DnsCache
        | Endpoint::DnsTest
        | Endpoint::Proxy
        | Endpoint::Intercept
        | Endpoint::CaStatus
        | Endpoint::CaBundle
        | Endpoint::Bridge
        | Endpoint::Agents
        | Endpoint::Networks
        | Endpoint::Network
        | Endpoint::NetworkConfig
        | Endpoint::Containers
        | Endpoint::Container
        | Endpoint::ContainerLogs
        | Endpoint::Health
        | Endpoint::Ready
        | Endpoint::Events
        | Endpoint::Metrics
        | Endpoint::MetricsUsual
        | Endpoint::OpenApi
        | Endpoint::AgentCheckin
        | Endpoint::AgentCheck => false,
    }
}
