//! TLS connections that are looked into: terminated with a certificate for their one name, each request judged by itself.
//!
//! Both sides speak the same protocol, HTTP/1.1 or HTTP/2. Nothing is sent to a server before a request inside was judged
//! and may pass. The server is shaken hands with beforehand where the client offers HTTP/2, and where the connection could
//! still pass as a tunnel.

use std::io::{self, Cursor};
use std::sync::Arc;

use outcall_schema::decision::RuleIndex;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use rustls::AlertDescription;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection::{Connection, found};
use super::entry::Entry;
use super::fallback::{self, Fallen};
use super::judge::{self, Asked, Greeting, Kind, Refusal, Subject};
use super::request::{Authority, Form, Request};
use super::revoke::Passing;
use super::{http, http2, tunnel, verified};
use crate::audit::Record;
use crate::intercept::Leaf;
use crate::intercept::pool::Seat;
use crate::intercept::upstream::{Offer, Protocol, tls};
use crate::snapshot::Snapshot;

/// The port that a `Host` field without one means inside TLS (RFC 9110, section 4.2.2).
const HTTPS: u16 = 443;

/// A connection whose ClientHello was read and judged, to be terminated.
pub(super) struct Greeted {
    pub(super) snapshot: Arc<Snapshot>,
    /// The tunnel that was asked for.
    pub(super) subject: Subject,
    /// The rule that sees inside.
    pub(super) rule: RuleIndex,
    pub(super) leaf: Arc<Leaf>,
    /// Every byte that was received so far: the ClientHello and perhaps more.
    pub(super) bytes: Vec<u8>,
}

/// The certificate for the host of a tunnel that is to be terminated.
pub(super) async fn leaf(connection: &Connection, subject: &Subject, rule: RuleIndex) -> Result<Arc<Leaf>, Refusal> {
    let Some(interception) = &connection.context.interception else {
        return Err(Refusal::by(Reason::InterceptionUnavailable, rule));
    };
    let minted = interception.leaf(subject.host(), &connection.share).await;
    minted.map_err(|error| Refusal { rule: Some(rule), ..Refusal::because(Reason::CertGenFailed, error) })
}

/// What a client offers of what is read inside. One that offers nothing speaks HTTP/1.1 (RFC 9110, section 4.2.2).
#[derive(Debug, Clone, Copy)]
struct Offered {
    http11: bool,
    h2: bool,
}

impl Offered {
    fn of(greeting: &Greeting) -> Offered {
        let Greeting::Known { alpn, .. } = greeting else { return Offered { http11: true, h2: false } };
        let offers = |protocol: Protocol| alpn.iter().any(|offered| offered.as_bytes() == protocol.alpn());
        Offered { http11: alpn.is_empty() || offers(Protocol::Http11), h2: offers(Protocol::H2) }
    }
}

/// Whether the client speaks what is read inside.
pub(super) fn speaks(greeting: &Greeting, rule: RuleIndex) -> Result<(), Refusal> {
    let Offered { http11, h2 } = Offered::of(greeting);
    let Greeting::Known { alpn, .. } = greeting else { return Ok(()) };
    if http11 || h2 {
        return Ok(());
    }
    let detail = format!("the client offers {} alone, and inside TLS only h2 and http/1.1 are read", alpn.join(", "));
    Err(Refusal { rule: Some(rule), ..Refusal::because(Reason::AlpnMismatch, detail) })
}

/// What to say to a client.
enum Spoken {
    /// This protocol, on both sides, and with HTTP/2 a place on the connection to the server, if there is one already.
    As(Protocol, Option<Seat>),
    /// Nothing: it passes as a tunnel, as its server cannot be spoken to.
    Not(Fallen),
}

/// Finds out what to say to a client. The server is asked where the client could take HTTP/2, and where the connection can
/// still pass as a tunnel, should the server not be one that can be spoken to.
async fn spoken(connection: &Connection, snapshot: &Snapshot, subject: &Subject, rule: RuleIndex) -> Spoken {
    let Kind::Tunnel(greeting) = &subject.kind else { return Spoken::As(Protocol::Http11, None) };
    let (offer, otherwise) = match Offered::of(greeting) {
        Offered { h2: false, .. } if !judge::may_fall_back(snapshot, subject) => {
            return Spoken::As(Protocol::Http11, None);
        }
        Offered { h2: false, .. } => (Offer::Only(Protocol::Http11), Protocol::Http11),
        Offered { h2: true, http11: true } => (Offer::Both, Protocol::Http11),
        Offered { h2: true, http11: false } => (Offer::Only(Protocol::H2), Protocol::H2),
    };
    match verified::ahead(connection, snapshot, subject, rule, offer).await {
        Ok(Some((Protocol::H2, seat))) => Spoken::As(Protocol::H2, seat),
        // The requests inside will say why there is no connection to the server.
        Ok(_) => Spoken::As(otherwise, None),
        Err(failure) => match fallback::tunnel(connection, snapshot, subject, failure).await {
            Ok(fallen) => Spoken::Not(fallen),
            Err(_) => Spoken::As(otherwise, None),
        },
    }
}

/// Serves a connection to be terminated until it ends.
pub(super) async fn serve(connection: &mut Connection, stream: &mut TcpStream, greeted: Greeted) {
    let Greeted { snapshot, subject, rule, leaf, bytes } = greeted;
    let (protocol, seat) = match spoken(connection, &snapshot, &subject, rule).await {
        Spoken::As(protocol, seat) => (protocol, seat),
        Spoken::Not(fallen) => {
            connection.fell_back(&snapshot, &subject, &fallen);
            let (mut reader, mut writer) = stream.split();
            let address = fallen.candidate.address;
            let passing = Passing { snapshot: &snapshot, subject: &subject, address, fallen: true };
            return tunnel::copy(connection, passing, (&mut reader, &mut writer), fallen.upstream, &bytes).await;
        }
    };
    let patience = connection.limits().hello;
    let accepted = {
        let (reader, writer) = stream.split();
        let joined = tokio::io::join(Cursor::new(bytes).chain(reader), writer);
        let acceptor = TlsAcceptor::from(leaf.server_config(protocol));
        match timeout(patience, acceptor.accept(joined)).await {
            Ok(Ok(accepted)) => same_name(&subject, accepted.get_ref().1.server_name()).map(|()| accepted),
            Ok(Err(error)) => Err(failed(&error)),
            Err(_) => Err(Refusal::of(Reason::AgentTimeout)),
        }
    };
    let accepted = match accepted {
        Ok(accepted) => accepted,
        Err(refusal) => {
            let refusal = fallback::remember(connection, &snapshot, &subject, refusal);
            connection.refused(&snapshot, &subject, &Refusal { rule: refusal.rule.or(Some(rule)), ..refusal });
            return;
        }
    };
    let Kind::Tunnel(greeting) = subject.kind.clone() else { return };
    let inside = Inside { host: subject.host().clone(), port: subject.port, greeting: Arc::new(greeting) };
    match protocol {
        Protocol::Http11 => {
            let (reader, writer) = tokio::io::split(accepted);
            http::inside(connection, reader, writer, inside).await;
        }
        Protocol::H2 => {
            let known = seat.map(|seat| seat.extended());
            let extended = async {
                match known {
                    Some(known) => known.await,
                    None => std::future::pending().await,
                }
            };
            http2::serve(connection, accepted, inside, extended).await;
        }
    }
}

/// What rustls read must be what was judged.
fn same_name(subject: &Subject, server_name: Option<&str>) -> Result<(), Refusal> {
    let same = match (subject.host(), server_name) {
        (Host::Name(name), Some(server_name)) => name.eq_ignore_ascii_case(server_name),
        (Host::Ip(_), None) => true,
        (Host::Name(_), None) | (Host::Ip(_), Some(_)) => false,
    };
    if same { Ok(()) } else { Err(Refusal::of(Reason::HostMismatch)) }
}

/// Why a client did not go on with the handshake, as far as it says.
fn failed(error: &io::Error) -> Refusal {
    const REMEDY: &str = "or list the host under `interception.bypass`";
    let cause = match (tls(error), error.kind()) {
        (Some(rustls::Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate)), _) => {
            format!("untrusted_ca: {error}: have the client trust the authority, {REMEDY}")
        }
        (Some(rustls::Error::AlertReceived(_)), _)
        | (None, io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            format!(
                "pinned: {error}: the client may insist on a certificate of its own; have it trust the authority, {REMEDY}"
            )
        }
        _ => error.to_string(),
    };
    Refusal::because(Reason::ClientHandshakeFailed, cause)
}

/// A terminated connection: what every request inside must go with.
pub(super) struct Inside {
    host: Host,
    port: u16,
    greeting: Arc<Greeting>,
}

impl Inside {
    /// The port of a request in HTTP/1.1, if its form and its host go with the connection.
    pub(super) fn port(&self, request: &Request<'_>) -> Result<u16, Refusal> {
        if request.form != Form::Origin {
            return Err(Refusal::because(Reason::AmbiguousRequest, "inside TLS a target is a path"));
        }
        self.admits(&request.authority)
    }

    /// The port of a request to this host, if it goes with the connection.
    pub(super) fn admits(&self, authority: &Authority) -> Result<u16, Refusal> {
        if authority.host != self.host || authority.port.unwrap_or(HTTPS) != self.port {
            let detail = "the request names another host or port than the connection's";
            return Err(Refusal::because(Reason::HostMismatch, detail));
        }
        Ok(self.port)
    }

    pub(super) fn kind(&self, asked: Asked) -> Kind {
        Kind::Inside(asked, Arc::clone(&self.greeting))
    }

    /// Writes the record of what was no request.
    pub(super) fn unreadable(
        &self,
        connection: &Connection,
        snapshot: &Snapshot,
        protocol: Protocol,
        refusal: &Refusal,
    ) {
        let host = self.host.as_text();
        let facts = Facts {
            agent_name: Fact::Known(&connection.agent),
            network_port: Fact::Known(i64::from(self.port)),
            http_host: Fact::Known(&host),
            http_scheme: Fact::Known("https"),
            ..Facts::default()
        };
        let record = Record::refusal(snapshot, Layer::Https, &facts, refusal.rule, refusal.reason);
        Entry::begin(protocol).unreadable(connection, found(record, refusal), refusal);
    }
}
