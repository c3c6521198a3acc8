//! Asks the upstream resolvers, and believes only the one that was asked (RFC 5452).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use domain::base::iana::Rtype;
use domain::base::{MessageBuilder, StaticCompressor};
use outcall_schema::reason::Reason;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

use super::answer::{Answer, Unusable};
use super::clock::Clock;
use super::encrypted::{self, Encrypted};
use super::message::{UDP_MAX, WireName};
use super::server::Server;
use crate::dial::Dialer;

/// How long one upstream may take for one attempt. Clients commonly ask again after 5 s; by then two attempts at each of
/// two upstreams should be through.
const ATTEMPT: Duration = Duration::from_millis(1_200);
/// Rounds over all upstreams.
const ROUNDS: usize = 2;
/// Longest that a question may take over all upstreams and rounds.
const TOTAL: Duration = Duration::from_secs(6);
/// Replies with a wrong id or question that are put up with in one attempt. More is somebody guessing (RFC 5452,
/// section 9.3), and the question goes on over TCP.
const FORGERIES_MAX: usize = 16;

/// Why no upstream gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// None can be reached, or each says that it failed.
    Unavailable,
    /// None answered in time.
    Timeout,
    /// The last answer made no sense.
    Malformed,
}

/// The upstream resolvers in the operator's order, which is followed from the one that answered last: one that is gone
/// costs its time once, not for every name.
#[derive(Debug)]
pub(super) struct Upstreams {
    servers: Vec<(Server, Way)>,
    answered: AtomicUsize,
    dialer: Dialer,
}

/// How a server is asked.
#[derive(Debug)]
enum Way {
    Plain(SocketAddr),
    Encrypted(Encrypted),
}

/// Whether a query offers EDNS. A server that does not understand it is asked again without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edns {
    Offered,
    Plain,
}

/// What is asked, and the clock that the answer ages by.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    name: &'a WireName,
    rtype: Rtype,
    clock: &'a Clock,
}

impl Question<'_> {
    fn read(self, reply: &[u8], id: u16) -> Result<Answer, Unusable> {
        Answer::parse(reply, id, self.name, self.rtype, self.clock.now())
    }
}

impl Failure {
    /// The reason code for the audit record.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Failure::Unavailable => Reason::UpstreamUnreachable,
            Failure::Timeout => Reason::UpstreamTimeout,
            Failure::Malformed => Reason::UpstreamMalformed,
        }
    }
}

impl Upstreams {
    pub(super) fn new(servers: Vec<SocketAddr>, dialer: Dialer) -> Upstreams {
        let servers = servers.into_iter().map(|address| (Server::Plain(address), Way::Plain(address))).collect();
        Upstreams { servers, answered: AtomicUsize::new(0), dialer }
    }

    /// Those that are asked over TLS must have certificates that `roots` vouch for.
    pub(super) fn of_servers(
        servers: Vec<Server>,
        roots: RootCertStore,
        dialer: Dialer,
    ) -> Result<Upstreams, rustls::Error> {
        let connector = encrypted::connector(roots)?;
        let way = |server: &Server| match server {
            Server::Plain(address) => Way::Plain(*address),
            Server::Encrypted { address, name } => {
                Way::Encrypted(Encrypted::new(*address, name.clone(), connector.clone(), dialer.clone()))
            }
        };
        let servers = servers.into_iter().map(|server| (server.clone(), way(&server))).collect();
        Ok(Upstreams { servers, answered: AtomicUsize::new(0), dialer })
    }

    /// Who is asked, in the operator's order.
    pub(super) fn names(&self) -> Vec<String> {
        self.servers.iter().map(|(server, _)| server.to_string()).collect()
    }

    /// Asks one upstream after the other until one answers.
    pub(super) async fn ask(&self, name: &WireName, rtype: Rtype, clock: &Clock) -> Result<Answer, Failure> {
        let question = Question { name, rtype, clock };
        let begun = Instant::now();
        let end = begun + TOTAL;
        let mut failure = Failure::Unavailable;
        let first = self.answered.load(Ordering::Relaxed);
        let round = self.servers.iter().enumerate().cycle().skip(first).take(self.servers.len() * ROUNDS);
        for (at, (_, way)) in round {
            if Instant::now() >= end {
                break;
            }
            let deadline = end.min(Instant::now() + ATTEMPT);
            match timeout_at(deadline, self.attempt(way, question)).await {
                Ok(Ok(answer)) => {
                    self.answered.store(at, Ordering::Relaxed);
                    self.dialer.meters().dns_upstream.observe(begun.elapsed());
                    return Ok(answer);
                }
                Ok(Err(why)) => failure = why,
                Err(_) => failure = Failure::Timeout,
            }
        }
        Err(failure)
    }

    /// Asks one upstream: over TLS where it was named so, else over UDP, over TCP where the reply is cut off or somebody is guessing, and without EDNS where it
    /// is not understood.
    async fn attempt(&self, way: &Way, question: Question<'_>) -> Result<Answer, Failure> {
        let mut edns = Edns::Offered;
        loop {
            let reply = match way {
                Way::Encrypted(server) => over_tls(server, question, edns).await,
                Way::Plain(server) => match self.over_udp(*server, question, edns).await {
                    Err(Unusable::Truncated | Unusable::NotOurs) => self.over_tcp(*server, question, edns).await,
                    reply => reply,
                },
            };
            return match reply {
                Ok(answer) => Ok(answer),
                Err(Unusable::NoEdns) if edns == Edns::Offered => {
                    edns = Edns::Plain;
                    continue;
                }
                Err(Unusable::Failed | Unusable::NoEdns) => Err(Failure::Unavailable),
                Err(Unusable::Malformed | Unusable::NotOurs | Unusable::Truncated) => Err(Failure::Malformed),
            };
        }
    }

    async fn over_udp(&self, server: SocketAddr, question: Question<'_>, edns: Edns) -> Result<Answer, Unusable> {
        let (id, query) = query(question, edns).ok_or(Unusable::Failed)?;
        // Connected: the kernel drops what comes from anywhere else.
        let socket = self.dialer.dns_datagrams(server).await.map_err(|_| Unusable::Failed)?;
        socket.send(&query).await.map_err(|_| Unusable::Failed)?;
        let mut buffer = vec![0; usize::from(u16::MAX)];
        for _ in 0..FORGERIES_MAX {
            let length = socket.recv(&mut buffer).await.map_err(|_| Unusable::Failed)?;
            match question.read(buffer.get(..length).unwrap_or_default(), id) {
                Err(Unusable::NotOurs) => {}
                answer => return answer,
            }
        }
        Err(Unusable::NotOurs)
    }

    async fn over_tcp(&self, server: SocketAddr, question: Question<'_>, edns: Edns) -> Result<Answer, Unusable> {
        let (id, query) = query(question, edns).ok_or(Unusable::Failed)?;
        let mut stream = self.dialer.dns_stream(server, ATTEMPT).await.map_err(|_| Unusable::Failed)?;
        let mut framed = u16::try_from(query.len()).map_err(|_| Unusable::Failed)?.to_be_bytes().to_vec();
        framed.extend_from_slice(&query);
        stream.write_all(&framed).await.map_err(|_| Unusable::Failed)?;
        let length = stream.read_u16().await.map_err(|_| Unusable::Failed)?;
        let mut reply = vec![0; usize::from(length)];
        stream.read_exact(&mut reply).await.map_err(|_| Unusable::Failed)?;
        question.read(&reply, id)
    }
}

async fn over_tls(server: &Encrypted, question: Question<'_>, edns: Edns) -> Result<Answer, Unusable> {
    let (id, query) = query(question, edns).ok_or(Unusable::Failed)?;
    let reply = server.ask(&query).await.map_err(|_| Unusable::Failed)?;
    question.read(&reply, id)
}

/// A query of our own: a fresh random id, recursion, and nothing that the agent chose but the name and the type.
fn query(question: Question<'_>, edns: Edns) -> Option<(u16, Vec<u8>)> {
    let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(300))).ok()?.question();
    builder.header_mut().set_random_id();
    builder.header_mut().set_rd(true);
    let id = builder.header().id();
    builder.push((question.name, question.rtype)).ok()?;
    let mut builder = builder.additional();
    if edns == Edns::Offered {
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(UDP_MAX);
                Ok(())
            })
            .ok()?;
    }
    Some((id, builder.finish().into_target()))
}
