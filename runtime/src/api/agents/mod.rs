//! Serves the agents' API over sockets that anybody may connect to: one request a connection.
//!
//! Who asks is what the kernel says of whoever connected (see [`Recognise`]); nothing that is sent is asked for it. Who is no
//! agent is told so before anything of theirs is read. Whatever is not answered leaves one record, and permits nothing.

mod action;
mod limits;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outcall_schema::api::agents::Agent;
use outcall_schema::api::permissions::{Check, Checked, CheckedIn};
use outcall_schema::api::{Door, Endpoint, JSON_TYPE, Route, route};
use outcall_schema::decision::{Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::action::{Action, NoAction};
use self::limits::{Account, Accounts, TooOften, Visits, whole_seconds};
use super::message::{Failure, Unread, head};
use super::{answer, peer::who};
use crate::audit::{Audit, Notice, Record};
use crate::proxy::last_words;
use crate::snapshot::Policy;
use crate::sys::peer::namespace_number;

/// Connections at a time on one socket; further ones wait. Each agent has a few of them at most.
const CONNECTIONS: usize = 512;
/// From the connection to the decision. What takes longer is a no.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an agent may take to read its answer, which fits what the kernel keeps for it.
const READING: Duration = Duration::from_secs(5);
/// How long accepting pauses when the process has no descriptors left, so that it does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The agent that it is.
    pub agent: Agent,
}

/// Why somebody is no agent.
#[derive(Debug)]
pub enum NoAgent {
    /// It is in no network namespace that a port of the bridge leads to.
    Elsewhere,
    /// Its process and its socket are in two network namespaces.
    Apart,
    /// More than one agent is where it is.
    Several,
    /// Its process has no number here.
    Unseen,
    /// Its process has ended, or the agent was let go meanwhile.
    Gone,
    /// The system does not say.
    Unknown(io::Error),
}

impl fmt::Display for NoAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAgent::Elsewhere => f.write_str("only agents on the bridge may ask here"),
            NoAgent::Apart => f.write_str("the process and its socket are in two network namespaces"),
            NoAgent::Several => f.write_str("more than one port of the bridge leads to its network namespace"),
            NoAgent::Unseen => {
                f.write_str("outcalld does not see the process: it has to be in the same process namespace, or above")
            }
            NoAgent::Gone => f.write_str("the process has ended, or the agent was let go"),
            NoAgent::Unknown(error) => write!(f, "who asks cannot be told: {error}"),
        }
    }
}

/// What comes of looking who asks.
pub type Recognised<'a> = Pin<Box<dyn Future<Output = Result<Caller, NoAgent>> + Send + 'a>>;

/// Tells which agent is at the other end of a socket, by what the kernel says of it.
pub trait Recognise: Send + Sync {
    /// Looks who is at the other end of this socket, which was accepted.
    fn caller(&self, socket: OwnedFd) -> Recognised<'_>;
}

/// What agents are told of and decided by. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct AgentApi {
    all: Arc<All>,
}

struct All {
    policy: Policy,
    audit: Audit,
    recognise: Box<dyn Recognise>,
    dns: Vec<String>,
    proxy_url: String,
    accounts: Accounts,
    visits: Visits,
}

/// What is not answered, and what its record says.
struct Refused {
    failure: Failure,
    reason: Reason,
}

impl Refused {
    fn of(failure: Failure) -> Refused {
        let reason = match failure.status {
            408 => Reason::AgentTimeout,
            429 => Reason::TooManyRequests,
            431 => Reason::HeadTooLarge,
            _ => Reason::BadRequest,
        };
        Refused { failure, reason }
    }

    fn too_often(wait: Duration) -> Refused {
        Refused::of(Failure::later(whole_seconds(wait), "asked too often"))
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Refused {
        Refused::of(failure)
    }
}

/// Why there is no answer.
enum Unanswered {
    Refused(Refused),
    Gone,
}

impl From<Unread> for Unanswered {
    fn from(unread: Unread) -> Unanswered {
        match unread {
            Unread::Failed(failure) => Unanswered::Refused(failure.into()),
            Unread::Gone => Unanswered::Gone,
        }
    }
}

impl From<Refused> for Unanswered {
    fn from(refused: Refused) -> Unanswered {
        Unanswered::Refused(refused)
    }
}

impl From<Failure> for Unanswered {
    fn from(failure: Failure) -> Unanswered {
        Unanswered::Refused(failure.into())
    }
}

/// What an agent sent, as far as it was read.
#[derive(Debug, Default)]
struct Sent {
    method: String,
    path: String,
}

impl AgentApi {
    /// Decides by this policy for the agents that `recognise` knows. Names are answered at `dns`, and the proxy is at
    /// `proxy_url`.
    pub fn new(
        policy: Policy,
        audit: Audit,
        recognise: Box<dyn Recognise>,
        dns: &[SocketAddr],
        proxy_url: String,
    ) -> AgentApi {
        let dns = dns.iter().map(SocketAddr::to_string).collect();
        let (accounts, visits) = Default::default();
        AgentApi { all: Arc::new(All { policy, audit, recognise, dns, proxy_url, accounts, visits }) }
    }
}

/// Serves whoever may ask, until the future is dropped.
///
/// # Errors
/// The listener cannot be used. What fails on a single connection ends that connection alone.
pub async fn serve(listener: UnixListener, api: AgentApi) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        // Each leaves a record at most.
        api.all.audit.room().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let all = Arc::clone(&api.all);
        tasks.spawn(async move {
            all.meet(stream).await;
            drop(place);
        });
    }
}

impl All {
    /// Looks who connected, and answers where it is an agent.
    async fn meet(&self, stream: UnixStream) {
        let begun = Instant::now();
        let looked = (namespace_number(&stream), stream.as_fd().try_clone_to_owned());
        let (namespace, socket) = match looked {
            (Ok(namespace), Ok(socket)) => (namespace, socket),
            (Err(error), _) | (_, Err(error)) => return self.turn_away(&stream, &NoAgent::Unknown(error).to_string()),
        };
        match self.visits.visit(namespace, begun) {
            Ok(()) => {}
            Err(TooOften { agent: Some(agent), wait }) => {
                return self.stop_short(&stream, &agent, &Refused::too_often(wait));
            }
            Err(TooOften { agent: None, .. }) => {
                return self.turn_away(&stream, "no agent asked from there, and too often");
            }
        }
        let found = timeout(PATIENCE, self.recognise.caller(socket)).await;
        let found = found.unwrap_or_else(|_| Err(NoAgent::Unknown(io::ErrorKind::TimedOut.into())));
        let caller = match found {
            Ok(caller) => caller,
            Err(none) => {
                self.visits.was(namespace, None);
                return self.turn_away(&stream, &none.to_string());
            }
        };
        let agent: Arc<str> = caller.agent.agent.as_str().into();
        self.visits.was(namespace, Some(Arc::clone(&agent)));
        let account = self.accounts.of(&caller.agent.name, begun);
        let Some(open) = account.open() else {
            let failure = Failure::later(1, "too many requests at a time");
            return self.stop_short(&stream, &agent, &Refused { failure, reason: Reason::TooManyConnections });
        };
        let rest = PATIENCE.saturating_sub(begun.elapsed());
        self.converse(stream, &caller, &account, rest).await;
        drop(open);
    }

    /// Tells a stranger so. Nothing of theirs is read, nothing waited for.
    fn turn_away(&self, stream: &UnixStream, why: &str) {
        answer::dismiss(stream, &Failure::new(403, why));
        self.audit.meters().agent_strangers.add();
        let notice = Notice::new("api", "stranger_refused", self.policy.load().digest()).with("socket", "agents");
        let notice = who(stream).into_iter().fold(notice, |notice, (name, number)| notice.with(name, number));
        self.audit.note(&notice.with("decision", "block").with("why", why));
    }

    /// Tells an agent no, of which nothing was read.
    fn stop_short(&self, stream: &UnixStream, agent: &str, refused: &Refused) {
        self.record(agent, "", refused);
        answer::dismiss(stream, &refused.failure);
    }

    /// Reads one request, answers it and closes.
    async fn converse(&self, mut stream: UnixStream, caller: &Caller, account: &Account, patience: Duration) {
        let (mut reader, mut writer) = stream.split();
        let mut sent = Sent::default();
        let asked = self.ask(caller, account, &mut sent, &mut reader, &mut writer);
        let late = || Failure::new(408, "the request did not arrive in time");
        let done = timeout(patience, asked).await.unwrap_or_else(|_| Err(late().into()));
        let words = match done {
            Ok(body) => answer::whole(&sent.method, 200, JSON_TYPE, &body, ""),
            Err(Unanswered::Refused(refused)) => {
                self.record(&caller.agent.agent, &sent.path, &refused);
                answer::failure(&sent.method, &refused.failure)
            }
            Err(Unanswered::Gone) => return,
        };
        if matches!(timeout(READING, writer.write_all(&words)).await, Ok(Ok(()))) {
            last_words(&mut reader, &mut writer, b"").await;
        }
    }

    async fn ask(
        &self,
        caller: &Caller,
        account: &Account,
        sent: &mut Sent,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Vec<u8>, Unanswered> {
        let head = head(reader).await?;
        *sent = Sent { method: head.method.clone(), path: head.path.clone() };
        let endpoint = match route(Door::Agents, &sent.method, &sent.path) {
            Route::To(endpoint, _) => endpoint,
            Route::OtherMethod(method) => return Err(Failure::other_method(method).into()),
            Route::Nowhere => return Err(Failure::new(404, "there is no such path for agents").into()),
        };
        let now = Instant::now();
        // What is asked for too often is not read to its end either.
        let body = match endpoint {
            Endpoint::AgentCheckin => {
                account.checkin(now).map_err(Refused::too_often)?;
                head.body(endpoint.row(), reader, writer).await?;
                serde_json::to_vec(&self.checkin(caller))
            }
            Endpoint::AgentCheck => {
                account.check(now).map_err(Refused::too_often)?;
                let asked = head.body(endpoint.row(), reader, writer).await?;
                serde_json::to_vec(&self.check(caller, asked.json()?)?)
            }
            _ => return Err(Failure::new(404, "there is no such path for agents").into()),
        };
        Ok(body.map_err(|error| Failure::new(500, error.to_string()))?)
    }

    /// Who the agent is, and what it may use.
    fn checkin(&self, caller: &Caller) -> CheckedIn {
        let agent = &caller.agent;
        CheckedIn {
            name: agent.name.clone(),
            agent: agent.agent.clone(),
            kind: agent.kind,
            ipv4: agent.ipv4,
            ipv6: agent.ipv6,
            policy_digest: self.policy.load().digest().to_owned(),
            dns: self.dns.clone(),
            proxy_url: self.proxy_url.clone(),
        }
    }

    /// Decides by the policy in force. What is refused leaves a record.
    fn check(&self, caller: &Caller, asked: Check) -> Result<Checked, Refused> {
        let action = Action::read(asked).map_err(|none| match none {
            NoAction::Bad(why) => Refused::of(Failure::new(400, why)),
            NoAction::Ambiguous(why) => Refused { failure: Failure::new(400, why), reason: Reason::AmbiguousRequest },
        })?;
        let facts = action.facts(&caller.agent.agent);
        let snapshot = self.policy.load_full();
        let verdict = match snapshot.program.decide(Layer::Run, &facts) {
            Outcome::Decided(verdict) => verdict,
            // Nothing is still to come, and what is not decided is not allowed.
            Outcome::Undecided => Verdict::DEFAULT,
        };
        let (rule, reason) = match verdict {
            Verdict::Allow(rule) => {
                // Nothing here can hold what an agent does, nor add to it.
                let obliged = snapshot.program.obligations(Layer::Run, &facts);
                match obliged.rules.first() {
                    Some(obliged) => (Some(*obliged), Reason::ObligationUnavailable),
                    None if obliged.settled => (Some(rule), Reason::Allowed),
                    None => (Some(rule), Reason::ObligationUnavailable),
                }
            }
            Verdict::Block(None) => (None, Reason::NoRuleAllows),
            Verdict::Block(rule) => (rule, Reason::BlockedByRule),
            Verdict::Intercept(rule) => (Some(rule), Reason::BlockedByRule),
        };
        let record = match (rule, reason) {
            (Some(rule), Reason::Allowed) => Record::allowed(&snapshot, Layer::Run, &facts, rule),
            _ => Record::refusal(&snapshot, Layer::Run, &facts, rule, reason),
        };
        self.audit.record(&record.with("action", action.action_type.name()).with("target", &action.target));
        Ok(Checked {
            allowed: reason == Reason::Allowed,
            matched_rule: snapshot.rule_name(rule).to_owned(),
            reason: reason.code().to_owned(),
        })
    }

    /// Writes down that an agent got no answer to what it asked.
    fn record(&self, agent: &str, path: &str, refused: &Refused) {
        let snapshot = self.policy.load_full();
        let facts = Facts { agent_name: Fact::Known(agent), ..Facts::default() };
        let record = Record::refusal(&snapshot, Layer::Run, &facts, None, refused.reason);
        self.audit.record(&record.with("path", path).with("why", &refused.failure.why));
    }
}
