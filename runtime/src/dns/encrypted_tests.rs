//! Resolvers over TLS on the loopback: honest ones, ones that end connections, say nothing, or are somebody else.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::ToName;
use domain::base::{Message, MessageBuilder, Name, Record, Ttl};
use domain::rdata::A;
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::answer::Answer;
use super::clock::Clock;
use super::message::wire;
use super::server::Server;
use super::upstream::{Failure, Upstreams};
use crate::dial::{Dialer, Reach};

/// What a server does with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Answers each question.
    Answers,
    /// Waits for two, and answers the second first.
    Reverses,
    /// Answers one question, and ends the connection.
    EndsAfterOne,
    /// Reads a question, and ends the connection.
    EndsBefore,
    /// Reads questions, and says nothing.
    Silent,
    /// Says that the reply has more bytes than follow, and ends the connection.
    CutsShort,
}

/// An authority, and how many connections and which questions reached its server.
struct Fixture {
    authority: CertificateDer<'static>,
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Fixture {
    async fn new(names: &[&str], manner: Manner) -> Fixture {
        let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap().der().clone();
        let issuer = rcgen::Issuer::new(parameters, authority_key);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, asked) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (counted, log) = (Arc::clone(&connections), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    // A client that goes away is no matter of the server's.
                    let _ = serve(stream, manner, &log).await;
                });
            }
        });
        Fixture { authority, address, connections, asked }
    }

    fn named(&self, name: &str) -> Server {
        format!("tls://{name}{}{}", if name.is_empty() { "" } else { "@" }, self.address).parse().unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>,
    manner: Manner,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut kept = Vec::new();
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let query = Message::from_octets(query).unwrap();
        log.lock().unwrap().push(query.sole_question().unwrap().qname().to_string());
        kept.push(reply(&query));
        match manner {
            Manner::Answers | Manner::EndsAfterOne => stream.write_all(&kept.remove(0)).await?,
            Manner::Reverses if kept.len() == 2 => {
                while let Some(reply) = kept.pop() {
                    stream.write_all(&reply).await?;
                }
            }
            Manner::CutsShort => {
                let reply = kept.remove(0);
                stream.write_all(&reply[..reply.len() - 3]).await?;
            }
            Manner::Reverses | Manner::EndsBefore | Manner::Silent => {}
        }
        stream.flush().await?;
        if matches!(manner, Manner::EndsAfterOne | Manner::EndsBefore | Manner::CutsShort) {
            return stream.shutdown().await;
        }
    }
}

/// An address that the name's first letter tells, framed.
fn reply(query: &Message<Vec<u8>>) -> Vec<u8> {
    let question = query.sole_question().unwrap();
    let letter = question.qname().to_string().as_bytes()[0];
    let mut builder = MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).unwrap();
    let owner: Name<Vec<u8>> = question.qname().to_name();
    builder.push(Record::new(owner, Class::IN, Ttl::from_secs(60), A::from_octets(1, 2, 3, letter))).unwrap();
    let message = builder.finish();
    let mut framed = u16::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    framed.extend(message);
    framed
}

fn upstreams(fixture: &Fixture, servers: Vec<Server>) -> Upstreams {
    let mut roots = RootCertStore::empty();
    roots.add(fixture.authority.clone()).unwrap();
    Upstreams::of_servers(servers, roots, Dialer::new()).unwrap()
}

async fn ask(upstreams: &Upstreams, name: &str) -> Result<String, Failure> {
    let (name, clock) = (wire(name).unwrap(), Clock::system());
    let asking = upstreams.ask(&name, Rtype::A, &clock);
    let answer: Answer = tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap()?;
    Ok(answer.visible(Reach::PublicOnly).addresses.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn a_connection_is_verified_kept_and_shared() {
    let fixture = Fixture::new(&["dns.example", "127.0.0.1"], Manner::Answers).await;
    for name in ["dns.example", ""] {
        let upstreams = upstreams(&fixture, vec![fixture.named(name)]);
        let before = fixture.connections();
        for (name, address) in [("a.example", "1.2.3.97"), ("b.example", "1.2.3.98"), ("c.example", "1.2.3.99")] {
            assert_eq!(ask(&upstreams, name).await.unwrap(), address);
        }
        assert_eq!(fixture.connections() - before, 1);
    }
}

#[tokio::test]
async fn questions_do_not_wait_for_each_other_and_answers_come_in_any_order() {
    let fixture = Fixture::new(&["dns.example"], Manner::Reverses).await;
    let upstreams = upstreams(&fixture, vec![fixture.named("dns.example")]);
    let (one, other) = tokio::join!(ask(&upstreams, "a.example"), ask(&upstreams, "b.example"));
    assert_eq!((one.unwrap(), other.unwrap()), ("1.2.3.97".to_owned(), "1.2.3.98".to_owned()));
    assert_eq!(fixture.connections(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_prove_its_name_hears_no_question() {
    let fixture = Fixture::new(&["dns.example"], Manner::Answers).await;
    let other = Fixture::new(&["dns.example"], Manner::Answers).await;
    // Another name, an address that the certificate does not have, and an authority that nobody trusts.
    for (fixture, trusted, name) in
        [(&fixture, &fixture, "other.example"), (&fixture, &fixture, ""), (&fixture, &other, "dns.example")]
    {
        let upstreams = upstreams(trusted, vec![fixture.named(name)]);
        assert_eq!(ask(&upstreams, "a.example").await, Err(Failure::Unavailable));
        assert!(fixture.connections() > 0, "it was tried");
        assert_eq!(fixture.asked(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_server_may_end_a_connection_whenever_it_likes() {
    let fixture = Fixture::new(&["dns.example"], Manner::EndsAfterOne).await;
    let upstreams_of = |fixture: &Fixture| upstreams(fixture, vec![fixture.named("dns.example")]);
    let upstreams = upstreams_of(&fixture);
    for _ in 0..4 {
        assert_eq!(ask(&upstreams, "a.example").await.unwrap(), "1.2.3.97");
    }
    assert_eq!(fixture.connections(), 4);
    for manner in [Manner::EndsBefore, Manner::CutsShort] {
        let fixture = Fixture::new(&["dns.example"], manner).await;
        assert_eq!(ask(&upstreams_of(&fixture), "a.example").await, Err(Failure::Unavailable), "{manner:?}");
        assert_eq!(fixture.asked().len(), 2, "each round asks once");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_costs_its_time_and_the_next_one_answers() {
    let fixture = Fixture::new(&["dns.example"], Manner::Silent).await;
    let silent = upstreams(&fixture, vec![fixture.named("dns.example")]);
    assert_eq!(ask(&silent, "a.example").await, Err(Failure::Timeout));
    // One that does not even shake hands.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mute = format!("tls://dns.example@{}", mute.local_addr().unwrap()).parse().unwrap();
    let honest = Fixture::new(&["dns.example"], Manner::Answers).await;
    let both = upstreams(&honest, vec![mute, honest.named("dns.example")]);
    assert_eq!(ask(&both, "a.example").await.unwrap(), "1.2.3.97");
}
