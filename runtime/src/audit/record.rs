//! One line of the audit log.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outcall_schema::decision::RuleIndex;
use outcall_schema::facts::{Fact, Facts, FieldValue};
use outcall_schema::field::{FIELDS, Field};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use serde::Serialize;

use super::line::Line;
use crate::snapshot::Snapshot;

/// Longest string of a request that is logged; what is longer is cut and ends in `...`. 1 KiB holds every host and
/// nearly every path, and bounds what an agent can make the log grow by.
const TEXT_MAX: usize = 1024;
/// What most lines take, in bytes.
const LINE_BYTES: usize = 768;
/// Most list entries of a request that are logged.
const LIST_MAX: usize = 32;

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It passed.
    Allow,
    /// It was refused, or failed.
    Block,
}

/// One decision: a line of the log, and one step of its counter.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When; written as in RFC 3339, in UTC with milliseconds.
    pub time: SystemTime,
    /// The agent's name as the host knows it; empty when it does not.
    pub agent: String,
    /// The layer that decided.
    pub layer: Layer,
    /// The request's fields by namespace, as the members of a JSON object, `"dns":{"query":"example.com"}`. Headers and
    /// bodies are left out: they hold secrets.
    pub request: Line,
    /// What more the peer sent, by name.
    pub said: Vec<(String, String)>,
    /// What was decided.
    pub decision: Decision,
    /// The deciding rule's id, or `default`.
    pub rule: String,
    /// The deciding rule's file.
    pub file: Option<String>,
    /// The line of the rule's id.
    pub line: Option<u32>,
    /// The code of the reason.
    pub reason: &'static str,
    /// The policy's digest.
    pub policy: String,
    /// What more there is to say of a request inside TLS.
    pub intercepted: Option<Intercepted>,
    /// What the counters call the request: a host with its port, or a name with its record type.
    pub destination: String,
    /// Whether the line is written although it is no refusal.
    pub log: bool,
}

/// What the record of a request inside TLS has beside the rest. Its host, method, path and declared size of the body are
/// in `request`, as for every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intercepted {
    /// Always `proxy_intercept`.
    pub subsystem: &'static str,
    /// The protocol inside, by its ALPN name: `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// Bytes of the request's body that were received, without their framing.
    pub body_bytes: u64,
    /// The status code that the agent got; absent when it got none.
    pub status: Option<u16>,
    /// How long it took.
    pub timings: Timings,
}

/// How long a request inside TLS took, in microseconds since its head was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    /// Until it was decided, its name resolved and its body received where that took part.
    pub decided_us: u64,
    /// Until the head of the server's final response was received; absent when there was none.
    pub answered_us: Option<u64>,
    /// Until it ended: the response passed on, the request refused, or one of the two sides gone.
    pub total_us: u64,
}

impl Record {
    /// A refusal by `rule` or by default, with the request's known fields.
    pub fn refusal(
        snapshot: &Snapshot,
        layer: Layer,
        facts: &Facts<'_>,
        rule: Option<RuleIndex>,
        reason: Reason,
    ) -> Record {
        Record::new(snapshot, layer, facts, Decision::Block, rule, reason)
    }

    /// Something that passed. Its line is written only where the rule says `log: true`.
    pub fn allowed(snapshot: &Snapshot, layer: Layer, facts: &Facts<'_>, rule: RuleIndex) -> Record {
        Record::new(snapshot, layer, facts, Decision::Allow, Some(rule), Reason::Allowed)
    }

    fn new(
        snapshot: &Snapshot,
        layer: Layer,
        facts: &Facts<'_>,
        decision: Decision,
        rule: Option<RuleIndex>,
        reason: Reason,
    ) -> Record {
        let row = snapshot.rule(rule);
        Record {
            time: SystemTime::now(),
            agent: cut(facts.agent_name.known().unwrap_or_default()).into_owned(),
            layer,
            request: request(facts),
            said: Vec::new(),
            decision,
            rule: snapshot.rule_name(rule).to_owned(),
            file: row.map(|row| row.file.clone()),
            line: row.map(|row| row.line),
            reason: reason.code(),
            policy: snapshot.digest().to_owned(),
            intercepted: None,
            destination: destination(facts),
            log: row.is_some_and(|row| row.log),
        }
    }

    /// Adds what the peer sent and no field holds, such as a host that is not canonical, as `request.<name>`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Record {
        self.said.retain(|(before, _)| before != name);
        self.said.push((name.to_owned(), cut(value).into_owned()));
        self
    }

    /// The line, newline included. Only printable ASCII stands in it, whatever was in the request, so that it neither
    /// breaks the log's lines nor drives the terminal it is read on.
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = Line::with_capacity(LINE_BYTES);
        line.open();
        line.name("time").text(&rfc3339(self.time));
        line.name("agent").text(&self.agent);
        line.name("layer").text(self.layer.name());
        line.name("request").open();
        line.members(&self.request);
        for (name, value) in &self.said {
            line.name(name).text(value);
        }
        line.close();
        line.name("decision").text(self.decision.name());
        line.name("rule").text(&self.rule);
        match &self.file {
            Some(file) => line.name("file").text(file),
            None => line.name("file").null(),
        }
        match self.line {
            Some(number) => line.name("line").number(number),
            None => line.name("line").null(),
        }
        line.name("reason").text(self.reason);
        line.name("policy").text(&self.policy);
        if let Some(intercepted) = &self.intercepted {
            intercepted.write(&mut line);
        }
        line.close();
        line.end()
    }
}

impl Intercepted {
    fn write(&self, line: &mut Line) {
        line.name("subsystem").text(self.subsystem);
        line.name("protocol").text(self.protocol);
        line.name("body_bytes").number(self.body_bytes);
        if let Some(status) = self.status {
            line.name("status").number(status);
        }
        line.name("timings").open();
        line.name("decided_us").number(self.timings.decided_us);
        if let Some(answered_us) = self.timings.answered_us {
            line.name("answered_us").number(answered_us);
        }
        line.name("total_us").number(self.timings.total_us);
        line.close();
    }
}

impl Decision {
    /// As records have it.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Block => "block",
        }
    }
}

/// The known fields, each namespace once: fields of one namespace stand together in [`FIELDS`].
fn request(facts: &Facts<'_>) -> Line {
    let mut line = Line::with_capacity(LINE_BYTES / 2);
    let mut within = None;
    for row in FIELDS {
        if matches!(row.field, Field::AgentName | Field::HttpBody | Field::DockerEnvKeys) {
            continue;
        }
        let Fact::Known(value) = facts.fact(row.field) else { continue };
        let Some((namespace, name)) = row.name.split_once('.') else { continue };
        if matches!(value, FieldValue::Null | FieldValue::Headers(_) | FieldValue::Json(_)) {
            continue;
        }
        if within != Some(namespace) {
            if within.is_some() {
                line.close();
            }
            line.name(namespace).open();
            within = Some(namespace);
        }
        line.name(name);
        match value {
            FieldValue::Str(text) => line.text(&cut(text)),
            FieldValue::Ip(address) => line.text(&address.to_string()),
            FieldValue::Int(number) => line.number(number),
            FieldValue::List(list) => line.list(list.iter().take(LIST_MAX).map(|text| cut(text))),
            FieldValue::Null | FieldValue::Headers(_) | FieldValue::Json(_) => line.null(),
        }
    }
    if within.is_some() {
        line.close();
    }
    line
}

fn destination(facts: &Facts<'_>) -> String {
    if let Fact::Known(name) = facts.dns_query {
        return match facts.dns_record_type {
            Fact::Known(record_type) => format!("{} {}", cut(name), cut(record_type)),
            Fact::Unknown | Fact::Pending => cut(name).into_owned(),
        };
    }
    let host = match (facts.http_host, facts.network_hostname, facts.network_ip) {
        (Fact::Known(host), _, _) | (_, Fact::Known(host), _) => cut(host),
        (_, _, Fact::Known(address)) => address.to_string().into(),
        _ => facts.tls_sni.known().map(cut).unwrap_or_default(),
    };
    match facts.network_port {
        Fact::Known(port) if host.contains(':') => format!("[{host}]:{port}"),
        Fact::Known(port) => format!("{host}:{port}"),
        Fact::Unknown | Fact::Pending => host.into_owned(),
    }
}

fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= TEXT_MAX {
        return text.into();
    }
    let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default()).into()
}

/// RFC 3339, section 5.6, in UTC with milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days to a date, counting years from 1 March so that the leap day is the last (Hinnant, `civil_from_days`).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    use super::*;

    /// A record of a refusal, for tests that need some record.
    pub(crate) fn record(rule: &str, destination: &str, decision: Decision) -> Record {
        Record {
            time: UNIX_EPOCH,
            agent: "ci".into(),
            layer: Layer::Dns,
            request: request(&Facts { dns_query: Fact::Known(destination), ..Facts::default() }),
            said: Vec::new(),
            decision,
            rule: rule.into(),
            file: None,
            line: None,
            reason: Reason::NoRuleAllows.code(),
            policy: "sha256:0".into(),
            intercepted: None,
            destination: destination.into(),
            log: false,
        }
    }

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_798_761_599_123, "2026-12-31T23:59:59.123Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_line_is_one_line_of_printable_ascii_and_reads_back() {
        let hostile = "a\n{\"decision\":\"allow\"}\r\u{1b}[2J\u{9b}31m\u{7f}\u{2028}\u{202e}é😀\"\\";
        let line = record("default", hostile, Decision::Block).with("host", hostile).to_line();
        let (last, text) = line.split_last().unwrap();
        assert_eq!(*last, b'\n');
        assert!(text.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let back: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(back["request"]["dns"]["query"], hostile);
        assert_eq!(back["request"]["host"], hostile);
        assert_eq!(back["decision"], "block");
        assert_eq!(back["file"], Value::Null);
    }

    #[test]
    fn requests_hold_neither_headers_nor_bodies_and_long_text_is_cut() {
        let headers = outcall_schema::facts::Headers::collect([("authorization", "Bearer hush")]);
        let path = format!("/{}", "é".repeat(2_000));
        let facts = Facts {
            http_host: Fact::Known("a.example"),
            http_path: Fact::Known(&path),
            http_headers: Fact::Known(&headers),
            http_body: Fact::Known(Some("hush")),
            network_port: Fact::Known(443),
            tls_sni: Fact::Pending,
            ..Facts::default()
        };
        let mut line = Line::default();
        line.open();
        line.members(&request(&facts));
        line.close();
        let request: Value = serde_json::from_slice(&line.end()).unwrap();
        assert!(!request.to_string().contains("hush"), "{request}");
        assert!(request["http"]["path"].as_str().unwrap().len() <= TEXT_MAX + 3);
        assert_eq!(request["tls"], Value::Null);
        assert_eq!(destination(&facts), "a.example:443");
        assert_eq!(
            destination(&Facts {
                network_ip: Fact::Known("::1".parse().unwrap()),
                network_port: Fact::Known(1),
                ..Facts::default()
            }),
            "[::1]:1"
        );
    }
}
