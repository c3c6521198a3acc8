//! `outcall why`: what becomes of a request at each layer it passes, by which rule, and which rules nearly applied.

use std::fmt::Write as _;
use std::net::IpAddr;

use outcall_schema::artifact::expr;
use outcall_schema::artifact::manifest::RuleRow;
use outcall_schema::artifact::writer::Writer;
use outcall_schema::decision::{Action, Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts, FieldValue};
use outcall_schema::field::Field;
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Answer, Compiled, Decision, Request};
use crate::cel::{self, typed::Expr, typed::ExprKind};
use crate::decide::lower::{View, fields_of, fill_in};
use crate::emit::expr::write_expr;

/// How many near misses are shown for a layer.
const NEAR_MISSES: usize = 5;

/// What is asked.
#[derive(Debug, Clone)]
pub enum Question {
    /// A request by method and URL.
    Url {
        /// The method, upper case.
        method: String,
        /// Whether it is `https`.
        tls: bool,
        /// The canonical host.
        host: Host,
        /// The port.
        port: u16,
        /// Path and query.
        path: String,
    },
    /// A name.
    Dns {
        /// The canonical name.
        name: String,
        /// The record type, upper case.
        record_type: String,
    },
    /// A TLS connection.
    Connect {
        /// The canonical host.
        host: Host,
        /// The port.
        port: u16,
    },
    /// Raw traffic.
    Raw {
        /// `tcp`, `udp`, ...
        protocol: String,
        /// The destination.
        address: IpAddr,
        /// Its port; 0 for protocols without.
        port: u16,
    },
    /// The fields of one request at one layer.
    Fields {
        /// The layer.
        layer: Layer,
        /// The fields.
        fields: Map<String, Value>,
    },
}

impl Question {
    /// Reads a question from the words of a command line.
    ///
    /// # Errors
    /// In words, for people.
    pub fn parse(words: &[String]) -> Result<Question, String> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["dns", name] => Question::parse(&["dns".into(), (*name).into(), "A".into()]),
            ["dns", name, record_type] => Ok(Question::Dns {
                name: host(name)?.as_text().into_owned(),
                record_type: record_type.to_ascii_uppercase(),
            }),
            ["connect", target] => {
                let (host, port) = authority(target, None)?;
                Ok(Question::Connect { host, port })
            }
            [protocol @ ("tcp" | "udp" | "sctp"), target] => {
                let (host, port) = authority(target, None)?;
                let Host::Ip(address) = host else { return Err(format!("`{target}` is not an address and a port")) };
                Ok(Question::Raw { protocol: (*protocol).to_owned(), address, port })
            }
            ["icmp", target] => match host(target)? {
                Host::Ip(address) => {
                    let protocol = if address.is_ipv4() { "icmp" } else { "icmpv6" };
                    Ok(Question::Raw { protocol: protocol.to_owned(), address, port: 0 })
                }
                Host::Name(_) => Err(format!("`{target}` is not an address")),
            },
            [method, url] => {
                let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
                    (Some(rest), _) => (true, rest),
                    (None, Some(rest)) => (false, rest),
                    (None, None) => return Err(format!("`{url}` does not begin with http:// or https://")),
                };
                let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let (target, path) = rest.split_at(end);
                let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
                outcall_schema::path::check(&path).map_err(|error| format!("`{path}`: {error}"))?;
                let (host, port) = authority(target, Some(if tls { 443 } else { 80 }))?;
                Ok(Question::Url { method: method.to_ascii_uppercase(), tls, host, port, path })
            }
            _ => Err(
                "ask `GET https://host/path`, `dns NAME [TYPE]`, `connect HOST:PORT`, `tcp IP:PORT` or `udp IP:PORT`"
                    .to_owned(),
            ),
        }
    }
}

fn host(text: &str) -> Result<Host, String> {
    Host::parse(text).map_err(|error| format!("`{text}`: {error}"))
}

fn authority(text: &str, default: Option<u16>) -> Result<(Host, u16), String> {
    let split = match text.rfind(']') {
        Some(bracket) => {
            text.get(bracket + 1..).and_then(|rest| rest.strip_prefix(':')).map(|port| (bracket + 1, port))
        }
        None => text.rsplit_once(':').map(|(host, port)| (host.len(), port)),
    };
    match (split, default) {
        (Some((end, port)), _) => {
            let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
            Ok((host(text.get(..end).unwrap_or_default())?, port))
        }
        (None, Some(port)) => Ok((host(text)?, port)),
        (None, None) => Err(format!("`{text}` has no port")),
    }
}

/// A rule that did not apply, but parts of which did.
#[derive(Debug, Clone, Serialize)]
pub struct NearMiss {
    /// The rule.
    pub rule: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// The first test that did not hold.
    pub test: String,
    /// What it came out as: `false` or `unknown`.
    pub result: &'static str,
    /// The values it looked at.
    pub seen: Vec<(&'static str, String)>,
}

/// What one layer answered.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// The layer.
    pub layer: Layer,
    /// What was asked of it.
    pub asked: String,
    /// The decision.
    pub decision: Decision,
    /// The rule; `default` where none decided.
    pub rule: String,
    /// Its file.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// How an allowed request leaves.
    pub mode: Option<&'static str>,
    /// The hold and enrich rules that apply.
    pub obligations: Vec<String>,
    /// What to know about the answer.
    pub note: Option<String>,
    /// Rules that nearly applied, nearest first.
    pub near_misses: Vec<NearMiss>,
}

/// The whole answer.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The agent.
    pub agent: String,
    /// The layers that the request passes, up to the first that refuses it.
    pub steps: Vec<Step>,
    /// What becomes of it.
    pub verdict: Decision,
}

/// Explains what becomes of a request. `address` is the destination, where it matters and is known.
///
/// # Errors
/// A question whose fields cannot be read.
pub fn why(
    compiled: &Compiled,
    question: &Question,
    agent: &str,
    address: Option<IpAddr>,
) -> Result<Explanation, String> {
    let base = Request::default().text(Field::AgentName, agent);
    let mut steps = Vec::new();
    let resolve = |steps: &mut Vec<Step>, name: &str, record_type: &str| {
        let request = base.clone().text(Field::DnsQuery, name).text(Field::DnsRecordType, record_type);
        steps.push(step(compiled, Layer::Dns, format!("{name} {record_type}"), &request));
    };
    match question {
        Question::Dns { name, record_type } => resolve(&mut steps, name, record_type),
        Question::Raw { protocol, address, port } => {
            let request = base
                .text(Field::NetworkIp, &address.to_string())
                .text(Field::NetworkProtocol, protocol)
                .number(Field::NetworkPort, i64::from(*port));
            steps.push(step(compiled, Layer::Network, format!("{protocol} {address} port {port}"), &request));
        }
        Question::Fields { layer, fields } => {
            let request = Request::from_json(fields).map_err(|error| error.to_string())?;
            let request = if request.has(Field::AgentName) { request } else { request.text(Field::AgentName, agent) };
            steps.push(step(compiled, *layer, "the request's fields".to_owned(), &request));
        }
        Question::Connect { host, port } => connection(compiled, &base, host, *port, true, address, None, &mut steps),
        Question::Url { method, tls, host, port, path } => {
            connection(compiled, &base, host, *port, *tls, address, Some((method, path)), &mut steps);
        }
    }
    let verdict = steps.last().map_or(Decision::Block, |step| step.decision);
    Ok(Explanation { agent: agent.to_owned(), steps, verdict })
}

#[expect(clippy::too_many_arguments, reason = "a request in parts, and where its steps go")]
fn connection(
    compiled: &Compiled,
    base: &Request,
    host: &Host,
    port: u16,
    tls: bool,
    address: Option<IpAddr>,
    request: Option<(&String, &String)>,
    steps: &mut Vec<Step>,
) {
    let text = host.as_text();
    if let Host::Name(name) = host {
        let query = base.clone().text(Field::DnsQuery, name).text(Field::DnsRecordType, "A");
        steps.push(step(compiled, Layer::Dns, format!("{name} A"), &query));
        if refused(steps) {
            return;
        }
    }
    let address = match host {
        Host::Ip(address) => Some(*address),
        Host::Name(_) => address,
    };
    let mut facts = base.clone().text(Field::HttpHost, &text).number(Field::NetworkPort, i64::from(port));
    facts = match address {
        Some(address) => facts.text(Field::NetworkIp, &address.to_string()),
        None => facts.pending(Field::NetworkIp),
    };
    if tls {
        let asked = format!("{text} port {port}");
        steps.push(step(compiled, Layer::Connect, asked, &facts.clone().pending(Field::TlsAlpn)));
        let intercepted = steps.last().is_some_and(|step| step.decision == Decision::Intercept);
        let of_tunnel = facts.clone().pending(Field::TlsAlpn).complete(Layer::Connect);
        if let (Some(last), Outcome::Decided(Verdict::Allow(_))) =
            (steps.last_mut(), compiled.program.fallback(&of_tunnel.facts(Layer::Connect)))
        {
            last.note = Some("where interception fails, it passes as a tunnel by the same rule".to_owned());
        }
        if let (Some(last), Some(_), false) = (steps.last_mut(), request, intercepted)
            && last.decision == Decision::Allow
        {
            last.note = Some("tunnelled: the method and the path inside TLS are not seen".to_owned());
        }
        if !intercepted {
            return;
        }
    }
    let Some((method, path)) = request else { return };
    let layer = if tls { Layer::Https } else { Layer::Http };
    let facts = facts.text(Field::HttpMethod, method).text(Field::HttpPath, path);
    steps.push(step(compiled, layer, format!("{method} {path}"), &facts));
}

fn refused(steps: &[Step]) -> bool {
    steps.last().is_some_and(|step| step.decision == Decision::Block)
}

fn step(compiled: &Compiled, layer: Layer, asked: String, request: &Request) -> Step {
    let request = request.clone().complete(layer);
    let mut facts = request.facts(layer);
    let mut answer = compiled.ask(layer, &facts);
    let mut note = None;
    if answer.decision == Decision::Undecided {
        // Say what happens to an address that no rule mentions, and that others may be treated otherwise.
        facts.network_ip = Fact::Unknown;
        facts.tls_alpn = Fact::Unknown;
        answer = compiled.ask(layer, &facts);
        note = Some("for an address that no rule mentions; `--ip ADDRESS` asks about one".to_owned());
    }
    let rule = compiled.rule(answer.rule);
    Step {
        layer,
        asked,
        decision: answer.decision,
        rule: rule.map_or("default", |row| row.id.as_str()).to_owned(),
        file: rule.map(|row| row.file.clone()),
        line: rule.map(|row| row.line),
        mode: rule.and_then(|row| row.egress.as_ref()).map(|egress| egress.mode.name()),
        obligations: answer
            .obligations
            .iter()
            .filter_map(|rule| compiled.rule(Some(*rule)))
            .map(|row| row.id.clone())
            .collect(),
        near_misses: near_misses(compiled, layer, &facts, &answer),
        note,
    }
}

/// The allow rules of which some test held, nearest first.
fn near_misses(compiled: &Compiled, layer: Layer, facts: &Facts<'_>, answer: &Answer) -> Vec<NearMiss> {
    if answer.decision != Decision::Block {
        return Vec::new();
    }
    let mut misses: Vec<(usize, usize, NearMiss)> = Vec::new();
    for (number, row) in compiled.manifest.rules.iter().enumerate().filter(|(_, row)| row.action == Action::Allow) {
        let Ok(condition) = cel::parse_and_check(&row.condition, &cel::Env::rule()) else { continue };
        let body = row.egress.as_ref().is_some_and(|egress| egress.match_body);
        let condition = fill_in(&condition, View { layer, null_body: !body });
        let alternatives = match &condition.kind {
            ExprKind::Or(operands) => operands.iter().collect(),
            _ => vec![&condition],
        };
        let nearest = alternatives.into_iter().filter_map(|one| miss(row, one, facts)).max_by_key(|(held, _)| *held);
        if let Some((held, miss)) = nearest.filter(|(held, _)| *held > 0) {
            misses.push((held, number, miss));
        }
    }
    misses.sort_by_key(|(held, number, _)| (std::cmp::Reverse(*held), *number));
    misses.into_iter().take(NEAR_MISSES).map(|(_, _, miss)| miss).collect()
}

/// How many tests of an alternative held, and the first that did not.
fn miss(row: &RuleRow, condition: &Expr, facts: &Facts<'_>) -> Option<(usize, NearMiss)> {
    let mut tests = Vec::new();
    conjuncts(condition, &mut tests);
    let mut held = 0;
    let mut first = None;
    for test in tests {
        match truth(test, facts) {
            Some(true) => held += 1,
            result => {
                first.get_or_insert((test, if result.is_some() { "false" } else { "unknown" }));
            }
        }
    }
    let (test, result) = first?;
    let seen = fields_of(test).into_iter().map(|field| (field.name(), shown(facts.fact(field)))).collect();
    let text = row.condition.get(test.span.clone()).unwrap_or_default();
    let miss = NearMiss {
        rule: row.id.clone(),
        file: row.file.clone(),
        line: row.line,
        test: text.split_whitespace().collect::<Vec<_>>().join(" "),
        result,
        seen,
    };
    Some((held, miss))
}

fn conjuncts<'a>(expr: &'a Expr, tests: &mut Vec<&'a Expr>) {
    match &expr.kind {
        ExprKind::And(operands) => operands.iter().for_each(|operand| conjuncts(operand, tests)),
        _ => tests.push(expr),
    }
}

/// How an expression comes out, evaluated as a tree; `None` is unknown.
pub(crate) fn truth(expr: &Expr, facts: &Facts<'_>) -> Option<bool> {
    let mut writer = Writer::default();
    let root = write_expr(&mut writer, expr);
    expr::evaluate(writer, root, facts, |value| match value {
        expr::Value::Bool(truth) => Some(truth),
        _ => None,
    })
    .ok()
    .flatten()
}

fn shown(fact: Fact<FieldValue<'_>>) -> String {
    match fact {
        Fact::Unknown => "not known at this layer".to_owned(),
        Fact::Pending => "not known yet".to_owned(),
        Fact::Known(value) => match value {
            FieldValue::Str(text) => format!("{text:?}"),
            FieldValue::Ip(address) => format!("\"{address}\""),
            FieldValue::Int(number) => number.to_string(),
            FieldValue::Null => "null".to_owned(),
            FieldValue::List(list) => format!("{list:?}"),
            FieldValue::Headers(headers) => {
                let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
                format!("{{{}}}", names.join(", "))
            }
            FieldValue::Json(object) => Value::Object(object.clone()).to_string(),
        },
    }
}

impl Explanation {
    /// For people.
    pub fn human(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let place = match (&step.file, step.line) {
                (Some(file), Some(line)) => format!(" ({file}:{line})"),
                _ => String::new(),
            };
            let decided = match step.decision {
                Decision::Implied => format!("implied by {}{place}", step.rule),
                Decision::Block => format!("blocked by {}{place}", step.rule),
                Decision::Allow => format!("allowed by {}{place}", step.rule),
                Decision::Intercept => format!("intercepted for {}{place}", step.rule),
                Decision::Undecided => "depends on what is not known".to_owned(),
            };
            let mode = match (step.decision, step.mode) {
                (Decision::Allow, Some(mode)) if mode != "proxy" => format!(", mode {mode}"),
                _ => String::new(),
            };
            let _ = writeln!(text, "{:8} {}: {decided}{mode}", step.layer.name(), step.asked);
            for obligation in &step.obligations {
                let _ = writeln!(text, "         also {obligation}");
            }
            if let Some(note) = &step.note {
                let _ = writeln!(text, "         {note}");
            }
            for miss in &step.near_misses {
                let seen: Vec<String> = miss.seen.iter().map(|(field, value)| format!("{field} is {value}")).collect();
                let _ = writeln!(
                    text,
                    "         near miss {} ({}:{}): {} is {}",
                    miss.rule, miss.file, miss.line, miss.test, miss.result
                );
                if !seen.is_empty() {
                    let _ = writeln!(text, "             {}", seen.join(", "));
                }
            }
        }
        let verdict = match self.verdict {
            Decision::Block => "blocked",
            Decision::Undecided => "undecided",
            Decision::Allow | Decision::Intercept | Decision::Implied => "allowed",
        };
        let agent = if self.agent.is_empty() { "an agent without a name" } else { &self.agent };
        let _ = writeln!(text, "{verdict} for {agent}");
        text
    }
}
