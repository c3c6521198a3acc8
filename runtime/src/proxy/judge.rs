//! Asks the policy about one connection or request, as often as more becomes known.
//!
//! Invariant: nothing here waits, resolves or dials; a subject is judged by one snapshot from beginning to end.

use std::net::IpAddr;
use std::string::FromUtf8Error;
use std::sync::Arc;

use outcall_schema::addr;
use outcall_schema::decision::{Action, Outcome, RuleIndex, Verdict};
use outcall_schema::facts::{Fact, Facts, Headers};
use outcall_schema::field::Field;
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;

use crate::snapshot::Snapshot;

/// Why something is refused, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) reason: Reason,
    pub(super) rule: Option<RuleIndex>,
    /// What was found, where the reason's own words say too little.
    pub(super) detail: Option<String>,
}

impl Refusal {
    /// A refusal that no rule brought about.
    pub(super) fn of(reason: Reason) -> Refusal {
        Refusal { reason, rule: None, detail: None }
    }

    /// The same with what was found.
    pub(super) fn because(reason: Reason, detail: impl std::fmt::Display) -> Refusal {
        Refusal { reason, rule: None, detail: Some(detail.to_string()) }
    }

    /// A refusal that this rule brought about.
    pub(super) fn by(reason: Reason, rule: RuleIndex) -> Refusal {
        Refusal { reason, rule: Some(rule), detail: None }
    }
}

/// What a request says.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Headers,
    /// As declared; -1 when not known.
    pub(super) body_size: i64,
    pub(super) body: BodyText,
}

/// A request's body as far as conditions see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyText {
    /// Not read yet.
    Pending,
    /// Read. The bytes may be the very ones that go to the server.
    Text(Arc<String>),
    /// Not within the cap: null.
    Null,
}

/// What a ClientHello says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Greeting {
    /// Not read yet.
    Pending,
    /// Read. The name is empty when there was none.
    Known { server_name: String, alpn: Vec<String> },
}

impl Asked {
    fn facts<'a>(&'a self, scheme: &'a str, named: Facts<'a>) -> Facts<'a> {
        Facts {
            http_method: Fact::Known(&self.method),
            http_path: Fact::Known(&self.path),
            http_scheme: Fact::Known(scheme),
            http_headers: Fact::Known(&self.headers),
            http_body_size: Fact::Known(self.body_size),
            http_body: match &self.body {
                BodyText::Pending => Fact::Pending,
                BodyText::Text(text) => Fact::Known(Some(text)),
                BodyText::Null => Fact::Known(None),
            },
            ..named
        }
    }
}

impl Greeting {
    /// The server name and the application protocols.
    fn facts(&self) -> (Fact<&str>, Fact<&[String]>) {
        match self {
            Greeting::Pending => (Fact::Pending, Fact::Pending),
            Greeting::Known { server_name, alpn } => (Fact::Known(server_name.as_str()), Fact::Known(alpn.as_slice())),
        }
    }
}

/// What is judged, and all that is known of it so far.
#[derive(Debug, Clone)]
pub(super) struct Subject {
    pub(super) agent: String,
    pub(super) port: u16,
    pub(super) kind: Kind,
    host: Host,
    host_text: String,
}

/// What kind of question it is, which says the layer.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A tunnel, at the connect layer.
    Tunnel(Greeting),
    /// A request in the clear, at the http layer.
    Request(Asked),
    /// A request inside TLS that we terminated, at the https layer, with what the ClientHello said.
    Inside(Asked, Arc<Greeting>),
    /// Bytes of no known protocol, at the network layer. The host is an address.
    Raw,
}

impl Subject {
    pub(super) fn new(agent: &str, host: Host, port: u16, kind: Kind) -> Subject {
        let host_text = host.as_text().into_owned();
        Subject { agent: agent.to_owned(), port, kind, host, host_text }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn layer(&self) -> Layer {
        match self.kind {
            Kind::Tunnel(_) => Layer::Connect,
            Kind::Request(_) => Layer::Http,
            Kind::Inside(..) => Layer::Https,
            Kind::Raw => Layer::Network,
        }
    }

    /// The facts, with the address where one has been chosen.
    pub(super) fn facts(&self, address: Option<IpAddr>) -> Facts<'_> {
        let own = match self.host {
            Host::Ip(address) => Some(address),
            Host::Name(_) => None,
        };
        let common = Facts {
            network_ip: address.or(own).map_or(Fact::Pending, Fact::Known),
            network_port: Fact::Known(i64::from(self.port)),
            network_protocol: Fact::Known("tcp"),
            agent_name: Fact::Known(&self.agent),
            ..Facts::default()
        };
        if let Kind::Raw = self.kind {
            return common;
        }
        let named = Facts {
            network_hostname: if own.is_some() { Fact::Unknown } else { Fact::Known(&self.host_text) },
            http_host: Fact::Known(&self.host_text),
            ..common
        };
        match &self.kind {
            Kind::Raw => named,
            Kind::Tunnel(greeting) => {
                let (tls_sni, tls_alpn) = greeting.facts();
                let (http_method, http_path) = (Fact::Known("CONNECT"), Fact::Known("/"));
                Facts { http_method, http_path, http_scheme: Fact::Known("https"), tls_sni, tls_alpn, ..named }
            }
            Kind::Request(asked) => asked.facts("http", named),
            Kind::Inside(asked, greeting) => {
                let (tls_sni, tls_alpn) = greeting.facts();
                Facts { tls_sni, tls_alpn, ..asked.facts("https", named) }
            }
        }
    }

    /// Sets what became known of a request's body.
    pub(super) fn set_body(&mut self, body: BodyText) {
        match &mut self.kind {
            Kind::Request(asked) | Kind::Inside(asked, _) => asked.body = body,
            Kind::Tunnel(_) | Kind::Raw => {}
        }
    }

    /// Whether something about the subject itself, and not just the address, is yet to be known.
    fn incomplete(&self) -> bool {
        match &self.kind {
            Kind::Raw => false,
            Kind::Tunnel(greeting) => *greeting == Greeting::Pending,
            Kind::Request(asked) | Kind::Inside(asked, _) => asked.body == BodyText::Pending,
        }
    }
}

/// An answer that lets something go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judged {
    /// Allowed by this rule, whatever else becomes known.
    Allowed(RuleIndex),
    /// A tunnel that is not to be: TLS is terminated because of this rule, and each request inside is judged by itself.
    Inside(RuleIndex),
    /// To be asked again when more is known.
    Undecided,
}

/// The header fields of a request as conditions see them, where any looks at them.
pub(super) fn headers(snapshot: &Snapshot, headers: impl FnOnce() -> Headers) -> Headers {
    if snapshot.program.reads(Layer::Https, Field::HttpHeaders) { headers() } else { Headers::default() }
}

/// Judges before the address is known. What is refused here is never resolved.
pub(super) fn early(snapshot: &Snapshot, subject: &Subject) -> Result<Judged, Refusal> {
    match snapshot.program.decide(subject.layer(), &subject.facts(None)) {
        Outcome::Decided(verdict) => settle(snapshot, subject, verdict),
        Outcome::Undecided => Ok(Judged::Undecided),
    }
}

/// Judges with one address that could be dialled. `Undecided` only while the subject is incomplete.
pub(super) fn at_address(snapshot: &Snapshot, subject: &Subject, address: IpAddr) -> Result<Judged, Refusal> {
    let facts = subject.facts(Some(address));
    let rule = match snapshot.program.decide(subject.layer(), &facts) {
        Outcome::Decided(verdict) => match settle(snapshot, subject, verdict)? {
            Judged::Allowed(rule) => rule,
            // What passes and to which addresses is decided inside, at the https layer.
            judged @ (Judged::Inside(_) | Judged::Undecided) => return Ok(judged),
        },
        Outcome::Undecided if subject.incomplete() => return Ok(Judged::Undecided),
        Outcome::Undecided => return Err(Refusal::of(Reason::NoRuleAllows)),
    };
    reachable(snapshot, rule, address)?;
    let obligations = snapshot.program.obligations(subject.layer(), &facts);
    // Inside TLS, what an enrich rule adds is added on the way to the server; see `enrich`.
    let inside = matches!(subject.kind, Kind::Inside(..));
    match obligations.rules.iter().find(|rule| !(inside && enriches(snapshot, **rule))) {
        Some(obligation) => Err(Refusal::by(Reason::ObligationUnavailable, *obligation)),
        None if obligations.settled => Ok(Judged::Allowed(rule)),
        None if subject.incomplete() => Ok(Judged::Undecided),
        None => Err(Refusal::by(Reason::ObligationUnavailable, rule)),
    }
}

/// Whether some request inside a connection that this rule sees into could pass at an address, as far as can be said before
/// one came.
pub(super) fn could_pass(snapshot: &Snapshot, subject: &Subject, address: IpAddr, rule: RuleIndex) -> bool {
    let facts = Facts {
        http_method: Fact::Pending,
        http_path: Fact::Pending,
        http_headers: Fact::Pending,
        http_body_size: Fact::Pending,
        http_body: Fact::Pending,
        ..subject.facts(Some(address))
    };
    if matches!(snapshot.program.decide(Layer::Https, &facts), Outcome::Decided(Verdict::Block(_))) {
        return false;
    }
    let public = addr::special(address).is_none();
    match snapshot.egress(rule) {
        Some(egress) => egress.opens(subject.port) && (public || egress.allow_private_ips),
        None => public,
    }
}

fn reachable(snapshot: &Snapshot, rule: RuleIndex, address: IpAddr) -> Result<(), Refusal> {
    let private = snapshot.egress(rule).is_some_and(|egress| egress.allow_private_ips);
    if addr::special(address).is_some() && !private {
        return Err(Refusal { detail: Some(address.to_string()), ..Refusal::by(Reason::PrivateAddress, rule) });
    }
    Ok(())
}

/// Whether a tunnel that is intercepted may pass as it is where that fails, for all that is known so far. What may not is
/// never resolved for it.
pub(super) fn may_fall_back(snapshot: &Snapshot, subject: &Subject) -> bool {
    matches!(subject.kind, Kind::Tunnel(_)) && snapshot.program.fallback(&subject.facts(None)).may_pass()
}

/// The rule by which a tunnel that is intercepted may pass to this address where interception fails. That rule allows every
/// request inside as well; see [`outcall_schema::artifact::match_program::MatchProgram::fallback`].
pub(super) fn falls_back_at(snapshot: &Snapshot, subject: &Subject, address: IpAddr) -> Option<RuleIndex> {
    if subject.incomplete() || !matches!(subject.kind, Kind::Tunnel(_)) {
        return None;
    }
    let Outcome::Decided(verdict) = snapshot.program.fallback(&subject.facts(Some(address))) else { return None };
    match settle(snapshot, subject, verdict) {
        Ok(Judged::Allowed(rule)) => reachable(snapshot, rule, address).ok().map(|()| rule),
        Ok(Judged::Inside(_) | Judged::Undecided) | Err(_) => None,
    }
}

/// The enrich rules that are true of a request inside TLS that may pass to this address.
pub(super) fn enriching(snapshot: &Snapshot, subject: &Subject, address: IpAddr) -> Vec<RuleIndex> {
    let mut rules = snapshot.program.obligations(subject.layer(), &subject.facts(Some(address))).rules;
    rules.retain(|rule| enriches(snapshot, *rule));
    rules
}

fn enriches(snapshot: &Snapshot, rule: RuleIndex) -> bool {
    snapshot.manifest.rule(rule).is_some_and(|row| row.action == Action::Enrich)
}

/// Judges a response's head: hold and enrich rules may apply to it, and nothing here can act on them.
pub(super) fn response(
    snapshot: &Snapshot,
    subject: &Subject,
    address: IpAddr,
    status: u16,
    headers: impl FnOnce() -> Headers,
) -> Result<(), Refusal> {
    let program = &snapshot.program;
    let reads = |field| program.reads(Layer::Response, field);
    if !reads(Field::ResponseStatus) && !reads(Field::ResponseHeaders) {
        // Without these fields a rule is as true for the response as it was for the request.
        return Ok(());
    }
    let headers = headers();
    let facts = Facts {
        response_status: Fact::Known(i64::from(status)),
        response_headers: Fact::Known(&headers),
        ..subject.facts(Some(address))
    };
    // What never became known about the request, its body above all, is as good as null by now.
    let facts = Facts { http_body: facts.http_body.known().map_or(Fact::Known(None), Fact::Known), ..facts };
    let obligations = program.obligations(Layer::Response, &facts);
    // What was true of the request already has had its effect there.
    let met = match subject.kind {
        Kind::Inside(..) => enriching(snapshot, subject, address),
        Kind::Request(_) | Kind::Tunnel(_) | Kind::Raw => Vec::new(),
    };
    match obligations.rules.iter().find(|rule| !met.contains(rule)) {
        Some(rule) => Err(Refusal::by(Reason::ObligationUnavailable, *rule)),
        None if obligations.settled => Ok(()),
        None => Err(Refusal::of(Reason::ObligationUnavailable)),
    }
}

fn settle(snapshot: &Snapshot, subject: &Subject, verdict: Verdict) -> Result<Judged, Refusal> {
    match verdict {
        Verdict::Block(None) if matches!(subject.kind, Kind::Raw) => Err(Refusal::of(Reason::RawTraffic)),
        Verdict::Block(None) => Err(Refusal::of(Reason::NoRuleAllows)),
        Verdict::Block(Some(rule)) => Err(Refusal::by(Reason::BlockedByRule, rule)),
        Verdict::Intercept(rule) if matches!(subject.kind, Kind::Tunnel(_)) => Ok(Judged::Inside(rule)),
        Verdict::Intercept(rule) => Err(Refusal::by(Reason::InterceptionUnavailable, rule)),
        Verdict::Allow(rule) => {
            let egress = snapshot.manifest.rule(rule).and_then(|row| row.egress.as_ref());
            // An allow rule always has its egress settings; one without them opens nothing.
            let open = egress.is_some_and(|egress| egress.opens(subject.port));
            if open { Ok(Judged::Allowed(rule)) } else { Err(Refusal::by(Reason::PortNotOpen, rule)) }
        }
    }
}

/// The most rules that a warning names.
const MAX_NAMED: usize = 5;

/// Says with a refusal that rules did not see the body, where that may be why.
pub(super) fn explained(snapshot: &Snapshot, subject: &Subject, refusal: Refusal) -> Refusal {
    let detail = refusal.detail.clone().or_else(|| unseen_body(snapshot, subject, None));
    Refusal { detail, ..refusal }
}

/// A warning where the body was null to rules that would have looked at it; it names them.
pub(super) fn unseen_body(snapshot: &Snapshot, subject: &Subject, address: Option<IpAddr>) -> Option<String> {
    let (Kind::Request(asked) | Kind::Inside(asked, _)) = &subject.kind else { return None };
    if asked.body != BodyText::Null {
        return None;
    }
    let facts = Facts { http_body: Fact::Pending, ..subject.facts(address) };
    if snapshot.program.decide(subject.layer(), &facts) != Outcome::Undecided {
        return None;
    }
    let reads = |condition: &str| {
        let after = condition.match_indices("http.body").filter_map(|(at, word)| condition.get(at + word.len()..));
        after.into_iter().any(|rest| !rest.starts_with('_'))
    };
    let named: Vec<String> = snapshot
        .manifest
        .rules
        .iter()
        .filter(|row| reads(&row.condition))
        .map(|row| format!("`{}`", row.id))
        .take(MAX_NAMED)
        .collect();
    let named = named.join(", ");
    Some(format!("the body is over the cap or of an unknown encoding, so `http.body` was null to {named}"))
}

/// A body as conditions see it: invalid UTF-8 becomes U+FFFD.
pub(super) fn text(content: Vec<u8>) -> BodyText {
    // Whether all is valid is found out many bytes at a time, what of it is not one by one.
    let lossy = |error: FromUtf8Error| String::from_utf8_lossy(error.as_bytes()).into_owned();
    BodyText::Text(Arc::new(String::from_utf8(content).unwrap_or_else(lossy)))
}
