//! An entry of `rules:` as written.

use std::ops::Range;

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{Direction, OnTimeout, is_name};
use outcall_schema::decision::Action;
use outcall_schema::egress::{EgressMode, PortRange};

use super::keys::Context;
use super::reader::{Reader, decimal, is_null};
use super::{Egress, Hold, Inject, RequiredHeader, Rule, Spanned, Text};
use crate::diag::codes_files::{
    CONDITION_OR_MATCH, DURATION, EMPTY, GIVEN_TWICE, HEADER_DIGEST, HEADER_NAME, KEY_NOT_FOR_ACTION, MATCH_BODY, PORT,
    RULE_ID, UNKNOWN_VALUE,
};
use crate::diag::quoted;
use crate::source::{Node, NodeKind};

/// The `match:` form of a hold rule.
#[derive(Debug)]
pub struct Match {
    /// Where it stands.
    pub span: Range<usize>,
    /// `host_pattern:`
    pub host_pattern: Option<Text>,
    /// `path_pattern:`
    pub path_pattern: Option<Text>,
    /// `methods:`, in upper case.
    pub methods: Vec<Spanned<String>>,
    /// `header_match:`, the names in lower case.
    pub header_match: Vec<(Spanned<String>, Text)>,
}

/// Where a rule's keys stand, to be checked against its action.
#[derive(Default)]
struct Given {
    id: Option<Range<usize>>,
    action: Option<Range<usize>>,
    condition: Option<Range<usize>>,
    matching: Option<Range<usize>>,
    egress: Option<Range<usize>>,
    hold: Option<Range<usize>>,
    inject: Option<Range<usize>>,
    require_header: Option<Range<usize>>,
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> Rule {
    let mut rule = Rule {
        span: node.span.clone(),
        id: None,
        description: String::new(),
        condition: None,
        matching: None,
        action: None,
        priority: None,
        log: false,
        egress: Egress::default(),
        hold: Hold::default(),
        inject: Vec::new(),
        require_header: Vec::new(),
        broken: false,
    };
    if !matches!(node.kind, NodeKind::Mapping(_)) {
        rule.broken = true;
    }
    let before = reader.findings.len();
    let mut given = Given::default();
    for entry in reader.known(node, "a rule", Context::Rule) {
        let (value, key) = (&entry.value, Some(entry.key_span.clone()));
        match &*entry.key {
            "id" => (given.id, rule.id) = (key, id(reader, value)),
            "description" => rule.description = text_or_nothing(reader, value),
            "condition" => (given.condition, rule.condition) = (key, reader.located(value, "`condition`")),
            "match" => (given.matching, rule.matching) = (key, matching(reader, value)),
            "action" => {
                let choices = Action::ALL.map(|action| (action.name(), action));
                (given.action, rule.action) = (key, reader.choice(value, "`action`", &choices));
            }
            "priority" => {
                let priority = reader.integer(value, "`priority`", i64::MIN..=i64::MAX);
                rule.priority = priority.map(|value| Spanned { value, span: entry.span() });
            }
            "log" => rule.log = reader.boolean(value, "`log`").unwrap_or_default(),
            "egress" => (given.egress, rule.egress) = (key, egress(reader, value)),
            "hold" => (given.hold, rule.hold) = (stated(value).and(key), hold(reader, value)),
            "inject" => (given.inject, rule.inject) = (stated(value).and(key), inject(reader, value)),
            "require_header" => {
                (given.require_header, rule.require_header) = (stated(value).and(key), require_header(reader, value));
            }
            _ => {}
        }
    }
    if !rule.broken {
        required(reader, &rule, &given);
        by_action(reader, &rule, &given);
    }
    rule.broken |= reader.findings.len() > before;
    rule
}

/// An empty list or mapping states nothing, so it is no mistake on any action.
fn stated(node: &Node<'_>) -> Option<()> {
    match &node.kind {
        NodeKind::List(items) if items.is_empty() => None,
        NodeKind::Mapping(entries) if entries.is_empty() => None,
        _ => Some(()),
    }
}

fn required(reader: &mut Reader<'_>, rule: &Rule, given: &Given) {
    let name = rule.id.as_ref().map_or_else(|| "the rule".to_owned(), |id| format!("the rule {}", quoted(&id.value)));
    if given.id.is_none() {
        reader.missing(&rule.span, &name, "id", "give it a name that is unique over all files");
    }
    if given.action.is_none() {
        reader.missing(&rule.span, &name, "action", "add `action: allow`, `block`, `hold` or `enrich`");
    }
    let holds = rule.action.as_ref().is_some_and(|action| action.value == Action::Hold);
    match (&given.condition, &given.matching) {
        (None, None) if holds && reader.whole(&rule.span) => {
            let message = format!("{name} says neither with `condition` nor with `match` what it holds");
            let at = rule.id.as_ref().map_or_else(|| rule.span.start..rule.span.start, |id| id.span.clone());
            reader.error(CONDITION_OR_MATCH, &at, message, "add a `condition`");
        }
        (None, None) => reader.missing(&rule.span, &name, "condition", "add a condition, `'true'` for always"),
        (Some(_), Some(matching)) if holds => {
            let message = format!("{name} has both `condition` and `match`");
            reader.error(CONDITION_OR_MATCH, matching, message, "write all of it in `condition`, and remove `match`");
        }
        _ => {}
    }
}

fn by_action(reader: &mut Reader<'_>, rule: &Rule, given: &Given) {
    let Some(action) = &rule.action else { return };
    let keys = [
        ("egress", Action::Allow, &given.egress),
        ("hold", Action::Hold, &given.hold),
        ("match", Action::Hold, &given.matching),
        ("inject", Action::Enrich, &given.inject),
        ("require_header", Action::Enrich, &given.require_header),
    ];
    for (key, wanted, at) in keys {
        if let Some(at) = at.as_ref().filter(|_| action.value != wanted) {
            let message = format!("`{key}` has no effect on `action: {}`", action.value.name());
            let help = format!("it belongs to `action: {}`; remove it", wanted.name());
            reader.error(KEY_NOT_FOR_ACTION, at, message, &help);
        }
    }
    if action.value == Action::Enrich && given.inject.is_none() && given.require_header.is_none() {
        let help = "add `inject:` with a `header` and a `value`, or `require_header:`";
        reader.missing(&rule.span, "the enrich rule", "inject", help);
    }
}

/// A rule's id: what logs, headers and the kernel's ruleset can carry.
fn id(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<String>> {
    let id = reader.string(node, "`id`")?;
    if id.value == "default" {
        let help = "choose another id: `default` stands for the block when no rule decides";
        reader.error(RULE_ID, &node.span, "a rule cannot have the id `default`", help);
        return None;
    }
    if !is_name(&id.value) {
        let help = "begin with a letter or digit, go on with letters, digits, `.`, `_` and `-`, at most 128";
        reader.error(RULE_ID, &node.span, format!("a rule cannot have the id {}", quoted(&id.value)), help);
        return None;
    }
    Some(id)
}

/// A description may be left empty.
fn text_or_nothing(reader: &mut Reader<'_>, node: &Node<'_>) -> String {
    match &node.kind {
        NodeKind::Scalar(scalar) if is_null(scalar) => String::new(),
        _ => reader.string(node, "`description`").map(|text| text.value).unwrap_or_default(),
    }
}

const MODES: [(&str, EgressMode); 3] = [
    (EgressMode::Proxy.name(), EgressMode::Proxy),
    (EgressMode::DirectIp.name(), EgressMode::DirectIp),
    (EgressMode::Intercept.name(), EgressMode::Intercept),
];

pub(super) fn mode(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<EgressMode>> {
    reader.choice(node, "`mode`", &MODES)
}

fn egress(reader: &mut Reader<'_>, node: &Node<'_>) -> Egress {
    let mut out = Egress::default();
    let mut mode_refused = false;
    for entry in reader.known(node, "`egress`", Context::Egress) {
        let value = &entry.value;
        match &*entry.key {
            "mode" => {
                out.mode = mode(reader, value);
                mode_refused = out.mode.is_none();
            }
            "ports" => (out.ports, out.ports_span) = (ports(reader, value), Some(entry.span())),
            "allow_private_ips" => {
                let allowed = reader.boolean(value, "`allow_private_ips`");
                out.allow_private_ips = allowed.map(|value| Spanned { value, span: entry.span() });
            }
            "match_body" => {
                let read = reader.boolean(value, "`match_body`");
                out.match_body = read.map(|value| Spanned { value, span: entry.span() });
            }
            _ => {}
        }
    }
    let intercepts = out.mode.as_ref().is_some_and(|mode| mode.value == EgressMode::Intercept);
    if let Some(Spanned { value: true, span: at }) = out.match_body.as_ref().filter(|_| !mode_refused && !intercepts) {
        let help = "bodies are only read where TLS is terminated: write `mode: intercept`, or remove it";
        reader.error(MATCH_BODY, at, "`match_body` needs `mode: intercept`", help);
    }
    out
}

fn ports(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<PortRange> {
    let Some(items) = reader.list(node, "`ports`") else { return Vec::new() };
    if items.is_empty() && reader.whole(&node.span) {
        reader.error(EMPTY, &node.span, "`ports` is empty", "leave it out for the default, or name the ports");
    }
    let mut ranges: Vec<PortRange> = items.iter().filter_map(|item| port(reader, item)).collect();
    ranges.sort_unstable();
    let mut merged: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if u32::from(range.low) <= u32::from(last.high) + 1 => last.high = last.high.max(range.high),
            _ => merged.push(range),
        }
    }
    merged
}

fn port(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<PortRange> {
    let text = reader.string(node, "a port")?;
    let number = |text: &str| decimal(text.trim()).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
    let range = match text.value.split_once('-') {
        Some((low, high)) => number(low).zip(number(high)),
        None => number(&text.value).map(|port| (port, port)),
    };
    match range {
        Some((low, high)) if low <= high => Some(PortRange { low, high }),
        Some((low, high)) => {
            let message = format!("the port range {} ends before it begins", quoted(&text.value));
            let place = reader.place(&node.span);
            let finding = crate::diag::Finding::at(PORT, place.clone(), message);
            reader.report(finding.help("write the lower port first").fix(place, format!("\"{high}-{low}\"")));
            None
        }
        None => {
            let help = "write a number from 1 to 65535, or a range as `\"8000-8010\"`";
            reader.error(PORT, &node.span, format!("{} is not a port", quoted(&text.value)), help);
            None
        }
    }
}

fn hold(reader: &mut Reader<'_>, node: &Node<'_>) -> Hold {
    const DIRECTIONS: [(&str, Direction); 3] =
        [("request", Direction::Request), ("response", Direction::Response), ("both", Direction::Both)];
    const TIMEOUTS: [(&str, OnTimeout); 2] = [("drop", OnTimeout::Drop), ("release", OnTimeout::Release)];
    let mut out = Hold::default();
    for entry in reader.known(node, "`hold`", Context::Hold) {
        let value = &entry.value;
        match &*entry.key {
            "direction" => {
                out.direction = reader.choice(value, "`direction`", &DIRECTIONS).map(|direction| direction.value);
            }
            "timeout" => out.timeout_ms = duration(reader, value),
            "on_timeout" => out.on_timeout = reader.choice(value, "`on_timeout`", &TIMEOUTS).map(|then| then.value),
            _ => {}
        }
    }
    out
}

fn duration(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<u64> {
    let text = reader.string(node, "`timeout`")?;
    let milliseconds = milliseconds(&text.value);
    if milliseconds.is_none() {
        let message = format!("{} is not a duration", quoted(&text.value));
        let help = match decimal(&text.value) {
            Some(_) => "write the unit too: `ms`, `s`, `m` or `h`",
            None => "write it as `30s`, `5m` or `1h30m`; at most 24 hours",
        };
        reader.error(DURATION, &node.span, message, help);
    }
    milliseconds
}

/// `1h30m` in milliseconds: numbers with units from large to small, more than nothing and at most a day.
fn milliseconds(text: &str) -> Option<u64> {
    /// A connection that has been held for longer is gone.
    const LONGEST_MS: u64 = 24 * 60 * 60 * 1000;
    const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.len() - after.trim_start_matches(|character: char| character.is_ascii_lowercase()).len();
        let (unit, after) = after.split_at_checked(letters)?;
        let number = u64::try_from(decimal(number)?).ok()?;
        let (_, size) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*size)?)?;
        rest = after;
    }
    (1..=LONGEST_MS).contains(&total).then_some(total)
}

fn matching(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Match> {
    let mut out = Match {
        span: node.span.clone(),
        host_pattern: None,
        path_pattern: None,
        methods: Vec::new(),
        header_match: Vec::new(),
    };
    let before = reader.findings.len();
    for entry in reader.known(node, "`match`", Context::Match) {
        let value = &entry.value;
        match &*entry.key {
            "host_pattern" => out.host_pattern = reader.located(value, "`host_pattern`"),
            "path_pattern" => out.path_pattern = reader.located(value, "`path_pattern`"),
            "methods" => out.methods = methods(reader, value),
            "header_match" => {
                let entries = reader.mapping(value, "`header_match`").unwrap_or_default();
                for entry in entries.iter().filter(|entry| !entry.key.is_empty()) {
                    let name = Spanned { value: entry.key.to_ascii_lowercase(), span: entry.key_span.clone() };
                    let valid = header_name(reader, &name);
                    if out.header_match.iter().any(|(known, _)| known.value == name.value) {
                        let message = format!("the header {} is given twice", quoted(&entry.key));
                        reader.error(GIVEN_TWICE, &name.span, message, "names of headers differ in more than case");
                    }
                    if let Some(text) = reader.located(&entry.value, "the expression for a header").filter(|_| valid) {
                        out.header_match.push((name, text));
                    }
                }
            }
            _ => {}
        }
    }
    if reader.findings.len() > before {
        return None;
    }
    if out.host_pattern.is_none() && out.path_pattern.is_none() && out.methods.is_empty() && out.header_match.is_empty()
    {
        if reader.whole(&node.span) {
            let help = "give at least one of `host_pattern`, `path_pattern`, `methods` and `header_match`";
            reader.error(CONDITION_OR_MATCH, &node.span, "`match` is empty", help);
        }
        return None;
    }
    Some(out)
}

fn methods(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Spanned<String>> {
    let items = reader.list(node, "`methods`").unwrap_or_default();
    if items.is_empty() && matches!(node.kind, NodeKind::List(_)) && reader.whole(&node.span) {
        reader.error(EMPTY, &node.span, "`methods` is empty", "leave it out for any method");
    }
    let mut methods = Vec::with_capacity(items.len());
    for item in items {
        let Some(Spanned { value, span }) = reader.filled(item, "a method") else { continue };
        if !is_token(&value) {
            let message = format!("{} is not a method", quoted(&value));
            reader.error(UNKNOWN_VALUE, &span, message, "a method is a word like `POST`");
        }
        methods.push(Spanned { value: value.to_ascii_uppercase(), span });
    }
    methods.dedup_by(|left, right| left.value == right.value);
    methods
}

fn inject(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Inject> {
    let mut out: Vec<Inject> = Vec::new();
    for item in reader.list(node, "`inject`").unwrap_or_default() {
        let (mut header, mut value) = (None, None);
        let mut given = (false, false);
        for entry in reader.known(item, "an entry of `inject`", Context::Inject) {
            match &*entry.key {
                "header" => (given.0, header) = (true, reader.string(&entry.value, "`header`")),
                "value" => (given.1, value) = (true, reader.filled(&entry.value, "`value`")),
                _ => {}
            }
        }
        if matches!(item.kind, NodeKind::Mapping(_)) {
            for key in [(given.0, "header"), (given.1, "value")].into_iter().filter(|(given, _)| !given) {
                reader.missing(&item.span, "the entry of `inject`", key.1, "");
            }
        }
        let Some(header) = header else { continue };
        if !settable(reader, &header, "injected") {
            continue;
        }
        if out.iter().any(|other| other.header.value.eq_ignore_ascii_case(&header.value)) {
            let message = format!("the header {} is injected twice", quoted(&header.value));
            reader.error(GIVEN_TWICE, &header.span, message, "a rule sets a header once; names of headers ignore case");
        }
        out.extend(value.map(|value| Inject { header, value }));
    }
    out
}

fn require_header(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<RequiredHeader> {
    let mut out: Vec<RequiredHeader> = Vec::new();
    for entry in reader.mapping(node, "`require_header`").unwrap_or_default() {
        let written = Spanned { value: entry.key.to_string(), span: entry.key_span.clone() };
        let digest = header_digest(reader, &entry.value);
        if !settable(reader, &written, "required") {
            continue;
        }
        let header = Spanned { value: written.value.to_ascii_lowercase(), span: written.span };
        if out.iter().any(|other| other.header.value == header.value) {
            let message = format!("the header {} is required twice", quoted(&entry.key));
            reader.error(GIVEN_TWICE, &header.span, message, "names of headers differ in more than case");
        }
        out.extend(digest.map(|digest| RequiredHeader { header, digest }));
    }
    out
}

fn header_digest(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Digest> {
    let text = reader.filled(node, "the digest for a header")?;
    let digest = text.value.parse().ok();
    if digest.is_none() {
        let help =
            "write `sha256:` and the 64 digits that `printf %s VALUE | sha256sum` gives for the header's whole value";
        // What stands there may be the credential itself.
        reader.error(HEADER_DIGEST, &text.span, "this is not a digest of a header's value", help);
    }
    digest
}

/// Headers that say where a message goes, where it ends, or how the connection is used (RFC 9110, section 7.6.1; RFC
/// 9112, section 6): injecting one could make the upstream read another request than the one that was judged.
const FRAMING: [&str; 14] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn settable(reader: &mut Reader<'_>, name: &Spanned<String>, what: &str) -> bool {
    if !header_name(reader, name) {
        return false;
    }
    let framing = FRAMING.iter().any(|framing| name.value.eq_ignore_ascii_case(framing));
    if framing {
        let help = "it says how the message is delivered, which the proxy decides";
        reader.error(HEADER_NAME, &name.span, format!("the header {} cannot be {what}", quoted(&name.value)), help);
    }
    !framing
}

fn header_name(reader: &mut Reader<'_>, name: &Spanned<String>) -> bool {
    let valid = is_token(&name.value) && name.value.len() <= 256;
    if !valid {
        let help = "a header name has letters, digits and `-`, and no colon";
        reader.error(HEADER_NAME, &name.span, format!("{} is not a header name", quoted(&name.value)), help);
    }
    valid
}

/// A token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_from_large_to_small() {
        for (text, expected) in [
            ("5m", Some(300_000)),
            ("300s", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1m30s500ms", Some(90_500)),
            ("24h", Some(86_400_000)),
            ("1ms", Some(1)),
            ("24h1ms", None),
            ("0s", None),
            ("5", None),
            ("m", None),
            ("", None),
            ("5M", None),
            ("5 m", None),
            ("-5m", None),
            ("1s1m", None),
            ("1s1s", None),
            ("05m", None),
            ("99999999999999999999h", None),
            ("9223372036854775807h", None),
        ] {
            assert_eq!(milliseconds(text), expected, "{text}");
        }
    }

    #[test]
    fn names_are_short_and_plain() {
        assert!(is_name("a") && is_name("0.x_Y-z") && is_name(&"a".repeat(128)));
        for text in ["", "-a", ".a", "a b", "a\"b", "é", "a\n"] {
            assert!(!is_name(text), "{text}");
        }
        assert!(!is_name(&"a".repeat(129)));
    }
}
