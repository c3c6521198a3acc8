//! From what was seen from outside to a verdict.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use crate::around::shows_secret;
use crate::policy::{AGENT, SECRET_SITE};
use crate::technique::{Count, Expect};
use crate::world::event::{Event, Packet};
use crate::world::{upstream, zone};

/// What was seen from outside while one technique was tried.
#[derive(Debug, Clone, Default)]
pub(crate) struct Evidence {
    /// What arrived at the servers.
    pub(crate) events: Vec<Event>,
    /// What crossed the cable.
    pub(crate) packets: Vec<Packet>,
    /// The records of the audit log.
    pub(crate) audit: Vec<Value>,
    /// How far the kernel's counter of refused packets moved; unknown where it could not be read.
    pub(crate) refused: Option<u64>,
    /// What was reached on the host that nobody must reach.
    pub(crate) touched: Vec<String>,
    /// What the agent says that it got hold of.
    pub(crate) got: Vec<String>,
    /// Whether the log is known to hold everything: the mark after it was seen.
    pub(crate) complete: bool,
}

/// How strictly records are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The rule must be the one that was expected.
    Named,
    /// An operator's own rules are in force as well, and may refuse what would be refused anyway.
    Others,
}

/// Places that earlier techniques were allowed to reach: packets of their connections may still be on their way.
pub(crate) type Before = BTreeSet<(IpAddr, u16)>;

type Key = (String, String, String);

/// What is wrong with the evidence; nothing, where everything is as it must be.
pub(crate) fn faults(expect: &Expect, evidence: &Evidence, rules: Rules, before: &Before) -> Vec<String> {
    let mut faults = Vec::new();
    arrivals(expect, evidence, &mut faults);
    cable(expect, evidence, before, &mut faults);
    names(expect, evidence, &mut faults);
    records(expect, evidence, rules, &mut faults);
    secrets(evidence, &mut faults);
    faults.extend(evidence.touched.iter().map(|what| format!("this was reached: {what}")));
    faults.extend(evidence.got.iter().map(|what| format!("the agent got hold of {what}")));
    match evidence.refused {
        Some(count) if !expect.refused_packets.holds(count) => {
            faults.push(format!("the kernel refused {count} packets instead of {}", expect.refused_packets));
        }
        None if expect.refused_packets != Count::Any => {
            faults.push("the kernel's counter of refused packets cannot be read".to_owned());
        }
        _ => {}
    }
    if !evidence.complete {
        faults.push(NO_MARK.to_owned());
    }
    faults
}

const NO_MARK: &str = "the mark that follows every technique is missing from the audit log";

/// Whether all that is wrong is that something is missing.
pub(crate) fn harmless(faults: &[String]) -> bool {
    faults.iter().all(|fault| {
        fault.starts_with("this did not arrive")
            || fault.starts_with("0 records")
            || fault.starts_with("the kernel refused 0")
            || fault == NO_MARK
    })
}

/// What arrived at servers, in short.
fn arrived(evidence: &Evidence) -> Vec<String> {
    evidence.events.iter().filter_map(Event::short).collect()
}

pub(crate) fn arrivals(expect: &Expect, evidence: &Evidence, faults: &mut Vec<String>) {
    let mut missing: Vec<&str> = expect.arrives.to_vec();
    for arrived in arrived(evidence) {
        match missing.iter().position(|expected| *expected == arrived) {
            Some(at) => drop(missing.remove(at)),
            None if arrived.strip_prefix("tls ").is_some_and(|name| expect.greets.contains(&name)) => {}
            None => faults.push(format!("this arrived: {arrived}")),
        }
    }
    faults.extend(missing.iter().map(|expected| format!("this did not arrive: {expected}")));
}

pub(crate) fn cable(expect: &Expect, evidence: &Evidence, before: &Before, faults: &mut Vec<String>) {
    let is_resolver =
        |to: IpAddr, port: u16| port == 53 && (to == IpAddr::V4(zone::DNS_V4) || to == IpAddr::V6(zone::DNS_V6));
    let expected = |to: IpAddr, port: u16| is_resolver(to, port) || expect.reaches.contains(&(to, port));
    for event in &evidence.events {
        if let Event::Connection { to } = event
            && !expected(to.ip(), to.port())
        {
            faults.push(format!("a connection to {to} was made"));
        }
    }
    for packet in &evidence.packets {
        let late = packet.protocol == "tcp" && before.contains(&(packet.to, packet.port));
        if !expected(packet.to, packet.port) && !late {
            let to = SocketAddr::new(packet.to, packet.port);
            faults.push(format!("{} packets of {} to {to} left the host", packet.count, packet.protocol));
        }
    }
}

pub(crate) fn names(expect: &Expect, evidence: &Evidence, faults: &mut Vec<String>) {
    for event in &evidence.events {
        let Event::Query { name, spelled, kind, options, .. } = event else { continue };
        if !expect.asks.contains(&name.as_str()) {
            faults.push(format!("the resolver outside was asked for `{name}` {kind}"));
        }
        if spelled != name {
            faults.push(format!("the resolver outside was asked for `{name}` as `{spelled}`"));
        }
        if !options.is_empty() {
            faults.push(format!("the question for `{name}` brought the EDNS options {options:?} along"));
        }
    }
}

/// The secret arrives where rules add it, and nowhere else; the log never has it.
fn secrets(evidence: &Evidence, faults: &mut Vec<String>) {
    if evidence.audit.iter().any(|record| shows_secret(record.to_string().as_bytes())) {
        faults.push("the audit log has a secret".to_owned());
    }
    for event in &evidence.events {
        let (place, shown) = match event {
            Event::Http { to, sni, head, body } => {
                let host = upstream::header(head, "host").unwrap_or_default();
                let right = sni.as_deref() == Some(SECRET_SITE) && host == SECRET_SITE;
                (format!("`{host}` at {to}"), !right && shows_secret(format!("{head}{body}").as_bytes()))
            }
            Event::Bytes { to, text } | Event::Datagram { to, text } => (to.to_string(), shows_secret(text.as_bytes())),
            Event::Query { .. } | Event::Connection { .. } | Event::Tls { .. } => continue,
        };
        if shown {
            faults.push(format!("a secret arrived at {place}"));
        }
    }
}

fn text(record: &Value, member: &str) -> String {
    record.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The refusals by layer, rule and reason, and how many of each.
fn refused(evidence: &Evidence) -> BTreeMap<Key, u64> {
    let mut found = BTreeMap::new();
    for record in evidence.audit.iter().filter(|record| text(record, "decision") == "block") {
        *found.entry((text(record, "layer"), text(record, "rule"), text(record, "reason"))).or_default() += 1;
    }
    found
}

fn records(expect: &Expect, evidence: &Evidence, rules: Rules, faults: &mut Vec<String>) {
    let mut found = refused(evidence);
    for expected in expect.refusals {
        let is = |(layer, rule, reason): &Key| match rules {
            Rules::Named => {
                (layer.as_str(), rule.as_str(), reason.as_str()) == (expected.layer, expected.rule, expected.reason)
            }
            // A rule of the operator's that blocks says so in its own words.
            Rules::Others => layer == expected.layer && (reason == expected.reason || reason == "blocked_by_rule"),
        };
        let keys: Vec<Key> = found.keys().filter(|key| is(key)).cloned().collect();
        let count: u64 = keys.iter().filter_map(|key| found.remove(key)).sum();
        if !expected.times.holds(count) {
            let (layer, rule, reason) = (expected.layer, expected.rule, expected.reason);
            faults.push(format!("{count} records instead of {} of: {layer} {rule} {reason}", expected.times));
        }
    }
    for ((layer, rule, reason), count) in found {
        faults.push(format!("{count} records that nobody expected: {layer} {rule} {reason}"));
    }
    for record in &evidence.audit {
        let agent = text(record, "agent");
        let nobody = expect.nameless && agent.is_empty() && text(record, "layer") == "network";
        if record.get("decision").is_some() && agent != AGENT && !nobody {
            faults.push(format!("a record names the agent `{agent}`"));
        }
    }
}

/// What was seen, in a line.
pub(crate) fn seen(evidence: &Evidence) -> String {
    let mut parts = Vec::new();
    let arrived = arrived(evidence);
    parts.push(if arrived.is_empty() {
        "nothing arrived".to_owned()
    } else {
        format!("arrived: {}", arrived.join(", "))
    });
    let asked: BTreeSet<String> = evidence
        .events
        .iter()
        .filter_map(|event| if let Event::Query { name, .. } = event { Some(name.clone()) } else { None })
        .collect();
    if !asked.is_empty() {
        parts.push(format!("asked outside: {}", asked.into_iter().collect::<Vec<_>>().join(", ")));
    }
    for ((layer, rule, reason), count) in refused(evidence) {
        parts.push(format!("{count} x {layer} {rule} {reason}"));
    }
    if let Some(count @ 1..) = evidence.refused {
        parts.push(format!("kernel refused {count}"));
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::technique::{NOTHING, refusal};

    fn check(expect: &Expect, evidence: &Evidence, faults_expected: &[&str]) {
        assert_eq!(faults(expect, evidence, Rules::Named, &Before::new()), faults_expected);
    }

    fn evidence() -> Evidence {
        Evidence { refused: Some(0), complete: true, ..Evidence::default() }
    }

    #[test]
    fn whatever_is_not_expected_is_a_fault() {
        check(&NOTHING, &evidence(), &[]);
        let to = SocketAddr::from(([93, 184, 216, 34], 80));
        let mut more = evidence();
        more.events = vec![
            Event::Connection { to },
            Event::Http {
                to,
                sni: None,
                head: "GET /x HTTP/1.1\r\nHost: evil.test\r\n\r\n".into(),
                body: String::new(),
            },
            Event::Query {
                name: "evil.test".into(),
                spelled: "evil.test".into(),
                kind: "A".into(),
                transport: "udp".into(),
                options: vec![],
            },
        ];
        more.packets = vec![Packet { protocol: "udp".into(), to: to.ip(), port: 9, count: 2 }];
        more.refused = Some(3);
        more.complete = false;
        check(
            &NOTHING,
            &more,
            &[
                "this arrived: GET /x evil.test",
                "a connection to 93.184.216.34:80 was made",
                "2 packets of udp to 93.184.216.34:9 left the host",
                "the resolver outside was asked for `evil.test` A",
                "the kernel refused 3 packets instead of 0",
                "the mark that follows every technique is missing from the audit log",
            ],
        );
        assert_eq!(more.refused.take(), Some(3));
        more.events.clear();
        more.packets.clear();
        more.complete = true;
        check(&NOTHING, &more, &["the kernel's counter of refused packets cannot be read"]);
    }

    #[test]
    fn records_are_counted_and_belong_to_the_agent() {
        const EXPECT: Expect = Expect { refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING };
        let record = |agent: &str| json!({"agent": agent, "layer": "dns", "decision": "block", "rule": "default", "reason": "no_rule_allows"});
        check(&EXPECT, &evidence(), &["0 records instead of 1 of: dns default no_rule_allows"]);
        let with = |audit: Vec<Value>| Evidence { audit, ..evidence() };
        check(&EXPECT, &with(vec![record(AGENT)]), &[]);
        check(&EXPECT, &with(vec![record(AGENT); 2]), &["2 records instead of 1 of: dns default no_rule_allows"]);
        check(&EXPECT, &with(vec![record("neighbour")]), &["a record names the agent `neighbour`"]);
        check(&NOTHING, &with(vec![record(AGENT)]), &["1 records that nobody expected: dns default no_rule_allows"]);
    }
}
