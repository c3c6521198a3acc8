//! One line of the audit log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outcall_schema::decision::RuleIndex;
use outcall_schema::facts::{Fact, Facts, FieldValue};
use outcall_schema::field::{FIELDS, Field};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::snapshot::Snapshot;

/// Longest string of a request that is logged; what is longer is cut and ends in `...`. 1 KiB holds every host and
/// nearly every path, and bounds what an agent can make the log grow by.
const TEXT_MAX: usize = 1024;
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
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// The agent's name as the host knows it; empty when it does not.
    pub agent: String,
    /// The layer that decided.
    pub layer: Layer,
    /// The request's fields by namespace, `{"dns": {"query": "example.com"}}`. Headers and bodies are left out: they
    /// hold secrets.
    pub request: Map<String, Value>,
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
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub intercepted: Option<Intercepted>,
    /// What the counters call the request: a host with its port, or a name with its record type.
    #[serde(skip)]
    pub destination: String,
    /// Whether the line is written although it is no refusal.
    #[serde(skip)]
    pub log: bool,
}

/// What the record of a request inside TLS has beside the rest. Its host, method, path and declared size of the body are
/// in `request`, as for every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Intercepted {
    /// Always `proxy_intercept`.
    pub subsystem: &'static str,
    /// The protocol inside, by its ALPN name: `http/1.1` or `h2`.
    pub protocol: &'static str,
    /// Bytes of the request's body that were received, without their framing.
    pub body_bytes: u64,
    /// The status code that the agent got; absent when it got none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took.
    pub timings: Timings,
}

/// How long a request inside TLS took, in microseconds since its head was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Timings {
    /// Until it was decided, its name resolved and its body received where that took part.
    pub decided_us: u64,
    /// Until the head of the server's final response was received; absent when there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
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
            time: rfc3339(SystemTime::now()),
            agent: cut(facts.agent_name.known().unwrap_or_default()),
            layer,
            request: request(facts),
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
        self.request.insert(name.to_owned(), cut(value).into());
        self
    }

    /// The line, newline included. Only printable ASCII stands in it, whatever was in the request, so that it neither
    /// breaks the log's lines nor drives the terminal it is read on.
    pub fn to_line(&self) -> Vec<u8> {
        ascii_line(self)
    }
}

/// A value as one line of JSON in printable ASCII, newline included.
pub(super) fn ascii_line(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, AsciiOnly);
    // Strings, numbers and maps with string keys cannot fail to serialise into memory.
    if value.serialize(&mut serializer).is_err() {
        line.clear();
        line.extend_from_slice(br#"{"reason":"unwritable_record"}"#);
    }
    line.push(b'\n');
    line
}

/// Writes every character beyond printable ASCII as an escape.
struct AsciiOnly;

impl serde_json::ser::Formatter for AsciiOnly {
    fn write_string_fragment<W: std::io::Write + ?Sized>(&mut self, writer: &mut W, text: &str) -> std::io::Result<()> {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(text.as_bytes());
        }
        for character in text.chars() {
            match character {
                ' '..='~' => writer.write_all(&[u8::try_from(u32::from(character)).unwrap_or(b'?')])?,
                other => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The known fields by namespace.
fn request(facts: &Facts<'_>) -> Map<String, Value> {
    let mut request = Map::new();
    for row in FIELDS {
        if matches!(row.field, Field::AgentName | Field::HttpBody | Field::DockerEnvKeys) {
            continue;
        }
        let Fact::Known(value) = facts.fact(row.field) else { continue };
        let (Some((namespace, name)), Some(value)) = (row.name.split_once('.'), json(value)) else { continue };
        if let Value::Object(members) = request.entry(namespace).or_insert_with(|| Value::Object(Map::new())) {
            members.insert(name.to_owned(), value);
        }
    }
    request
}

fn json(value: FieldValue<'_>) -> Option<Value> {
    match value {
        FieldValue::Str(text) => Some(cut(text).into()),
        FieldValue::Ip(address) => Some(address.to_string().into()),
        FieldValue::Int(number) => Some(number.into()),
        FieldValue::List(list) => Some(list.iter().take(LIST_MAX).map(|text| Value::from(cut(text))).collect()),
        FieldValue::Null | FieldValue::Headers(_) | FieldValue::Json(_) => None,
    }
}

fn destination(facts: &Facts<'_>) -> String {
    if let Fact::Known(name) = facts.dns_query {
        return match facts.dns_record_type {
            Fact::Known(record_type) => format!("{} {}", cut(name), cut(record_type)),
            Fact::Unknown | Fact::Pending => cut(name),
        };
    }
    let host = match (facts.http_host, facts.network_hostname, facts.network_ip) {
        (Fact::Known(host), _, _) | (_, Fact::Known(host), _) => cut(host),
        (_, _, Fact::Known(address)) => address.to_string(),
        _ => facts.tls_sni.known().map(cut).unwrap_or_default(),
    };
    match facts.network_port {
        Fact::Known(port) if host.contains(':') => format!("[{host}]:{port}"),
        Fact::Known(port) => format!("{host}:{port}"),
        Fact::Unknown | Fact::Pending => host,
    }
}

fn cut(text: &str) -> String {
    if text.len() <= TEXT_MAX {
        return text.to_owned();
    }
    let end = (0..=TEXT_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", text.get(..end).unwrap_or_default())
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
    use super::*;

    /// A record of a refusal, for tests that need some record.
    pub(crate) fn record(rule: &str, destination: &str, decision: Decision) -> Record {
        Record {
            time: rfc3339(UNIX_EPOCH),
            agent: "ci".into(),
            layer: Layer::Dns,
            request: request(&Facts { dns_query: Fact::Known(destination), ..Facts::default() }),
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
        let request = Value::Object(request(&facts));
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
