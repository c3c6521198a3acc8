//! The filter: answers an agent's queries as the policy in force says.

use std::future::Future;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use outcall_schema::decision::{NameVerdict, RuleIndex};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::host::HostError;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;

use super::answer::{Answer, Visible};
use super::cache::Key;
use super::judge::{Allowed, Judgement, Refusal, facts, judge};
use super::message::{Carrier, Malformed, Query, Reply, Stored, refusal_soa, type_name};
use super::resolver::Resolver;
use super::serve::{self, Limits, Step};
use super::upstream::Failure;
use crate::audit::{Audit, Record};
use crate::identity::Identity;
use crate::snapshot::{Policy, Snapshot};

/// Hears of addresses before the agent does, so that the kernel can open what a `direct_ip` rule opens in time.
pub trait OnAnswer: Send + Sync {
    /// Called once for each answer that tells an agent addresses. The answer is sent when the future is done, so it must
    /// be quick and must end.
    fn on_answer<'a>(&'a self, answer: Told<'a>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

/// Addresses that an agent is about to be told.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The policy that decided.
    pub snapshot: &'a Snapshot,
    /// The agent.
    pub agent: &'a str,
    /// The canonical name it asked for.
    pub name: &'a str,
    /// The record type it asked for, by its name.
    pub record_type: &'a str,
    /// What lets the name resolve, with its rule.
    pub verdict: NameVerdict,
    /// The addresses, at least one.
    pub addresses: &'a [IpAddr],
    /// How long the agent may use them.
    pub ttl: Duration,
}

/// The DNS filter. Cheap to clone.
#[derive(Clone)]
pub struct Filter {
    policy: Policy,
    identity: Identity,
    audit: Audit,
    resolver: Resolver,
    limits: Limits,
    hook: Option<Arc<dyn OnAnswer>>,
    refusal: Arc<Stored>,
}

impl Filter {
    /// A filter that asks `policy` for each query anew.
    pub fn new(policy: Policy, identity: Identity, audit: Audit, resolver: Resolver) -> Filter {
        let refusal = Arc::new(refusal_soa());
        Filter { policy, identity, audit, resolver, limits: Limits::default(), hook: None, refusal }
    }

    /// With other limits than the default ones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Filter {
        Filter { limits, ..self }
    }

    /// With somebody who hears of each address before the agent does.
    #[must_use]
    pub fn on_answer(self, hook: Arc<dyn OnAnswer>) -> Filter {
        Filter { hook: Some(hook), ..self }
    }

    /// Serves on bound sockets until one of them fails for good. Dropping the future closes all sockets and connections.
    ///
    /// # Errors
    /// A socket cannot be used, or there is none.
    pub async fn serve(self, udp: Vec<UdpSocket>, tcp: Vec<TcpListener>) -> io::Result<()> {
        let (identity, limits) = (Arc::clone(&self.identity), self.limits.clone());
        serve::serve(self, identity, limits, udp, tcp).await
    }

    /// One refusal: one record, and one step of the counter.
    fn refused(&self, record: &Record) {
        self.audit.meters().dns_blocked.add();
        self.audit.record(record);
    }

    /// A message that is no usable question. It leaves its record whether or not it gets a reply.
    fn malformed(&self, snapshot: &Snapshot, agent: &str, malformed: Malformed) -> Step {
        let facts = Facts { agent_name: Fact::Known(agent), ..Facts::default() };
        let record = Record::refusal(snapshot, Layer::Dns, &facts, None, Reason::MalformedQuery);
        self.refused(&record.with("problem", malformed.problem.words()));
        malformed.reply().map_or(Step::Silence, Step::Reply)
    }

    /// A question for a name that no condition can ever see.
    fn no_host(&self, snapshot: &Snapshot, agent: &str, query: &Query, error: HostError, carrier: Carrier) -> Step {
        let rtype = type_name(query.rtype);
        let facts = Facts { agent_name: Fact::Known(agent), dns_record_type: Fact::Known(&rtype), ..Facts::default() };
        let record = Record::refusal(snapshot, Layer::Dns, &facts, None, Reason::AmbiguousRequest);
        self.refused(&record.with("name", &query.asked.to_string()).with("problem", &error.to_string()));
        // That the root does not exist would be said of every name (RFC 8020).
        let rcode = if error == HostError::Empty { Rcode::REFUSED } else { Rcode::NXDOMAIN };
        self.refusal(snapshot, query, rcode, None, carrier)
    }

    /// A refusal by policy: one record, and the rule in the reply.
    fn refuse(&self, asked: &Asked, refusal: Refusal, rcode: Rcode, carrier: Carrier) -> Step {
        self.record_refusal(asked, refusal);
        self.refusal(&asked.snapshot, &asked.query, rcode, refusal.rule, carrier)
    }

    fn record_refusal(&self, asked: &Asked, refusal: Refusal) {
        let rtype = type_name(asked.query.rtype);
        let facts = facts(&asked.agent, &asked.name, &rtype);
        self.refused(&Record::refusal(&asked.snapshot, Layer::Dns, &facts, refusal.rule, refusal.reason));
    }

    fn refusal(
        &self,
        snapshot: &Snapshot,
        query: &Query,
        rcode: Rcode,
        rule: Option<RuleIndex>,
        carrier: Carrier,
    ) -> Step {
        let authority = (rcode != Rcode::REFUSED).then_some(&*self.refusal);
        let reply = Reply { authority, filtered_by: Some(snapshot.rule_name(rule)), ..Reply::empty(rcode) };
        Step::Reply(bytes(&reply, query, carrier))
    }

    /// What an agent gets to see of an outcome: the reply, and the one record.
    fn conclude(
        &self,
        asked: &Asked,
        allowed: Allowed,
        outcome: Result<(&Answer, Visible<'_>), Failure>,
        carrier: Carrier,
    ) -> Vec<u8> {
        let query = &asked.query;
        let (answer, visible) = match outcome {
            Ok(found) => found,
            Err(failure) => {
                let refusal = Refusal { rule: Some(allowed.rule), reason: failure.reason() };
                self.record_refusal(asked, refusal);
                return bytes(&Reply::empty(Rcode::SERVFAIL), query, carrier);
            }
        };
        if visible.addresses.is_empty() && visible.held_back {
            let refusal = Refusal { rule: Some(allowed.rule), reason: Reason::PrivateAddress };
            self.record_refusal(asked, refusal);
            let reply = Reply {
                authority: Some(&self.refusal),
                filtered_by: Some(asked.snapshot.rule_name(refusal.rule)),
                ..Reply::empty(Rcode::NOERROR)
            };
            return bytes(&reply, query, carrier);
        }
        self.audit.meters().dns_allowed.add();
        // A name that only follows from other rules is counted where those decide.
        if matches!(allowed.verdict, NameVerdict::Allow(_)) {
            let rtype = type_name(query.rtype);
            let facts = facts(&asked.agent, &asked.name, &rtype);
            self.audit.record(&Record::allowed(&asked.snapshot, Layer::Dns, &facts, allowed.rule));
        }
        let age = u32::try_from(self.resolver.age(answer).as_secs()).unwrap_or(u32::MAX);
        let reply =
            Reply { answer: visible.records, authority: answer.soa.as_ref(), age, ..Reply::empty(answer.rcode) };
        bytes(&reply, query, carrier)
    }

    /// Fetches, tells the hook, answers.
    async fn wait(&self, asked: Asked, allowed: Allowed, known: Option<Arc<Answer>>, carrier: Carrier) -> Vec<u8> {
        let outcome = match known {
            Some(answer) => Ok(answer),
            None => self.resolver.fetch(&asked.key()).await,
        };
        let answer = match outcome {
            Ok(answer) => answer,
            Err(failure) => return self.conclude(&asked, allowed, Err(failure), carrier),
        };
        let visible = answer.visible(allowed.reach);
        if let Some(hook) = self.hook.as_ref().filter(|_| !visible.addresses.is_empty()) {
            let told = Told {
                snapshot: &asked.snapshot,
                agent: &asked.agent,
                name: &asked.name,
                record_type: &type_name(asked.query.rtype),
                verdict: allowed.verdict,
                addresses: &visible.addresses,
                ttl: answer.ttl.saturating_sub(self.resolver.age(&answer)),
            };
            hook.on_answer(told).await;
        }
        self.conclude(&asked, allowed, Ok((&*answer, visible)), carrier)
    }
}

/// One question with everything it is answered by.
struct Asked {
    snapshot: Arc<Snapshot>,
    agent: Arc<str>,
    query: Query,
    name: Arc<str>,
}

impl Asked {
    /// What its answer is kept by.
    fn key(&self) -> Key {
        (Arc::clone(&self.name), self.query.rtype)
    }
}

impl serve::Answer for Filter {
    async fn room(&self) {
        self.audit.room().await;
    }

    fn begin(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier) -> Step {
        let begun = Instant::now();
        let step = self.step(agent, message, carrier, begun);
        if !matches!(step, Step::Later(_)) {
            self.audit.meters().dns_answer.observe(begun.elapsed());
        }
        step
    }

    fn overloaded(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier) -> Vec<u8> {
        self.turned_away(agent);
        Query::parse(message)
            .map_or_else(|_| Vec::new(), |query| bytes(&Reply::empty(Rcode::SERVFAIL), &query, carrier))
    }

    fn turned_away(&self, agent: &Arc<str>) {
        let facts = Facts { agent_name: Fact::Known(agent), ..Facts::default() };
        let snapshot = self.policy.load();
        self.refused(&Record::refusal(&snapshot, Layer::Dns, &facts, None, Reason::TooManyConnections));
    }
}

impl Filter {
    /// What becomes of a message; what has to be waited for is measured when it is there.
    fn step(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier, begun: Instant) -> Step {
        let snapshot = self.policy.load_full();
        let query = match Query::parse(message) {
            Ok(query) => query,
            Err(malformed) => return self.malformed(&snapshot, agent, malformed),
        };
        let name: Arc<str> = match &query.name {
            Ok(name) => name.as_str().into(),
            Err(error) => return self.no_host(&snapshot, agent, &query, *error, carrier),
        };
        let asked = Asked { snapshot, agent: Arc::clone(agent), query, name };
        let allowed = match judge(&asked.snapshot, agent, &asked.name, asked.query.rtype) {
            Judgement::Resolve(allowed) => allowed,
            Judgement::Refuse(refusal) => return self.refuse(&asked, refusal, Rcode::NXDOMAIN, carrier),
            Judgement::NoSuchType(refusal) => return self.refuse(&asked, refusal, Rcode::NOERROR, carrier),
            Judgement::NoRecord(refusal) => return self.refuse(&asked, refusal, Rcode::REFUSED, carrier),
        };
        let key = asked.key();
        let known = self.resolver.cached(&key);
        if known.is_none() && self.resolver.charge(&asked.snapshot, agent, &key).is_err() {
            let refusal = Refusal { rule: Some(allowed.rule), reason: Reason::DnsBudgetSpent };
            // The name may well exist, and may be asked for again: nobody is to remember that it does not.
            return self.refuse(&asked, refusal, Rcode::REFUSED, carrier);
        }
        match known {
            Some(answer) if self.hook.is_none() => {
                let visible = answer.visible(allowed.reach);
                Step::Reply(self.conclude(&asked, allowed, Ok((&*answer, visible)), carrier))
            }
            known => {
                let filter = self.clone();
                Step::Later(Box::pin(async move {
                    let reply = filter.wait(asked, allowed, known, carrier).await;
                    filter.audit.meters().dns_answer.observe(begun.elapsed());
                    reply
                }))
            }
        }
    }
}

/// The message; nothing, which is not sent, where it cannot be written.
fn bytes(reply: &Reply<'_>, query: &Query, carrier: Carrier) -> Vec<u8> {
    reply.to_bytes(query, carrier).unwrap_or_default()
}
