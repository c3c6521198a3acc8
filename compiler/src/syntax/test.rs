//! An entry of `tests:` as written: its fields have their types and canonical forms, its rules are still names.

use std::ops::Range;

use granit_parser::ScalarStyle;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{FIELDS, Field, FieldType};
use outcall_schema::host::Host;
use outcall_schema::layer::Layer;
use serde_json::Value;

use super::keys::Context;
use super::reader::{Reader, decimal, is_null};
use super::rule::{is_token, mode};
use super::{Spanned, listed};
use crate::diag::codes_files::{DUPLICATE_KEY, GIVEN_TWICE, TEST_FIELD, TEST_VALUE};
use crate::diag::{Finding, nearest, quoted};
use crate::source::{Entry, Node, NodeKind};

/// A policy test.
#[derive(Debug)]
pub struct Test {
    /// `name:`
    pub name: Spanned<String>,
    /// `request:`; `None` when it was refused.
    pub request: Option<Request>,
    /// `expect:`; `None` when it was refused.
    pub expect: Option<Expect>,
}

/// The `request:` block.
#[derive(Debug)]
pub struct Request {
    /// `layer:`
    pub layer: Option<Spanned<Layer>>,
    /// The fields it gives, each once.
    pub fields: Vec<(Spanned<Field>, Value)>,
    /// Where it stands.
    pub span: Range<usize>,
}

/// The `expect:` block.
#[derive(Debug)]
pub struct Expect {
    /// `decision:`
    pub decision: Spanned<&'static str>,
    /// `rule:`
    pub rule: Option<Spanned<String>>,
    /// `mode:`
    pub mode: Option<EgressMode>,
    /// `obligations:`
    pub obligations: Option<Vec<Spanned<String>>>,
}

pub(super) fn read(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Test> {
    let mut out: Vec<Test> = Vec::new();
    let mut names = std::collections::HashSet::new();
    for item in reader.list(node, "`tests`").unwrap_or_default() {
        let (mut name, mut layer, mut request, mut expect) = (None, None, None, None);
        let mut missing = vec!["name", "request", "expect"];
        for entry in reader.known(item, "a test", Context::Test) {
            missing.retain(|key| *key != entry.key);
            match &*entry.key {
                "name" => name = reader.filled(&entry.value, "`name`"),
                "layer" => layer = read_layer(reader, &entry.value),
                "request" => request = read_request(reader, &entry.value),
                "expect" => expect = read_expect(reader, &entry.value),
                _ => {}
            }
        }
        if matches!(item.kind, NodeKind::Mapping(_)) {
            for key in missing {
                reader.missing(&item.span, "the test", key, "");
            }
        }
        if let Some(name) = &name
            && !names.insert(name.value.clone())
        {
            let message = format!("two tests of this file are called {}", quoted(&name.value));
            reader.error(
                GIVEN_TWICE,
                &name.span,
                message,
                "give each a name of its own, so that a report can tell them apart",
            );
        }
        match (&mut request, layer) {
            (Some(Request { layer: Some(_), .. }), Some(layer)) => {
                reader.error(
                    GIVEN_TWICE,
                    &layer.span,
                    "`layer` is given here and in the request",
                    "remove one of them",
                );
            }
            (Some(request), Some(layer)) => request.layer = Some(layer),
            (_, None) | (None, _) => {}
        }
        out.extend(name.map(|name| Test { name, request, expect }));
    }
    out
}

fn read_request(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Request> {
    let entries = reader.mapping(node, "`request`")?;
    let before = reader.findings.len();
    let mut out = Request { layer: None, fields: Vec::new(), span: node.span.clone() };
    for entry in entries {
        if entry.key == "layer" {
            out.layer = read_layer(reader, &entry.value);
            continue;
        }
        let mut namespace = FIELDS.iter().filter(|row| in_namespace(row.name, &entry.key)).peekable();
        if namespace.peek().is_none() {
            unknown(reader, entry, namespaces(), "a request", "namespace");
            continue;
        }
        for inner in reader.mapping(&entry.value, &format!("`{}`", entry.key)).unwrap_or_default() {
            let name = format!("{}.{}", entry.key, inner.key);
            let Some(field) = Field::from_name(&name) else {
                let names = FIELDS.iter().filter(|row| in_namespace(row.name, &entry.key));
                let names = names.filter_map(|row| row.name.split_once('.').map(|(_, name)| name)).collect();
                unknown(reader, inner, names, &format!("`{}`", entry.key), "field");
                continue;
            };
            if let Some(value) = value(reader, field, &inner.value) {
                out.fields.push((Spanned { value: field, span: inner.key_span.clone() }, value));
            }
        }
    }
    (reader.findings.len() == before).then_some(out)
}

fn read_layer(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<Layer>> {
    reader.choice(node, "`layer`", &Layer::ALL.map(|layer| (layer.name(), layer)))
}

fn in_namespace(name: &str, namespace: &str) -> bool {
    name.split_once('.').is_some_and(|(before, _)| before == namespace)
}

fn namespaces() -> Vec<&'static str> {
    let mut names: Vec<_> = FIELDS.iter().filter_map(|row| row.name.split_once('.')).map(|(name, _)| name).collect();
    names.dedup();
    names
}

fn unknown(reader: &mut Reader<'_>, entry: &Entry<'_>, names: Vec<&str>, what: &str, kind: &str) {
    if entry.key.is_empty() {
        return;
    }
    let place = reader.place(&entry.key_span);
    let finding = Finding::at(TEST_FIELD, place.clone(), format!("{what} has no {kind} {}", quoted(&entry.key)));
    reader.report(match nearest(&entry.key, names.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")).meant(place, &entry.key, near, names),
        None => finding.help(format!("it has {}", listed(names.into_iter()))),
    });
}

/// A field's value: of its type, and in the only form in which a request can carry it.
fn value(reader: &mut Reader<'_>, field: Field, node: &Node<'_>) -> Option<Value> {
    let name = format!("`{}`", field.name());
    match field.row().ty {
        FieldType::String => {
            let text = reader.string(node, &name)?;
            let canonical = canonical(reader, field, &text)?;
            Some(Value::String(canonical))
        }
        FieldType::NullableString => match &node.kind {
            NodeKind::Scalar(scalar) if is_null(scalar) => Some(Value::Null),
            _ => reader.string(node, &name).map(|text| Value::String(text.value)),
        },
        FieldType::Int => {
            let range = match field {
                Field::NetworkPort => 0..=65535,
                Field::ResponseStatus => 100..=999,
                _ => -1..=i64::MAX,
            };
            reader.integer(node, &name, range).map(Value::from)
        }
        FieldType::StringList => {
            let items = reader.list(node, &name)?;
            let texts = items.iter().map(|item| reader.string(item, "an entry").map(|text| Value::String(text.value)));
            texts.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
        FieldType::StringMap => {
            let mut map = serde_json::Map::new();
            for entry in reader.mapping(node, &name)? {
                if !is_token(&entry.key) || entry.key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    let key = Spanned { value: entry.key.clone().into_owned(), span: entry.key_span.clone() };
                    not_canonical(reader, &key, "a header name", Some(entry.key.to_ascii_lowercase()));
                }
                let value = reader.string(&entry.value, "a header's value")?;
                map.insert(entry.key.clone().into_owned(), Value::String(value.value));
            }
            Some(Value::Object(map))
        }
        FieldType::DynMap => {
            reader.mapping(node, &name)?;
            json(reader, node)
        }
    }
}

fn canonical(reader: &mut Reader<'_>, field: Field, text: &Spanned<String>) -> Option<String> {
    let fixed = match field {
        Field::HttpHost | Field::NetworkHostname | Field::DnsQuery => match Host::parse(&text.value) {
            Ok(host) => host.as_text().into_owned(),
            Err(error) => {
                let message = format!("`{}` cannot be {}: {error}", field.name(), quoted(&text.value));
                reader.error(TEST_VALUE, &text.span, message, "write a host without scheme, port or path");
                return None;
            }
        },
        // The client may have sent none.
        Field::TlsSni if text.value.is_empty() => String::new(),
        Field::TlsSni => match Host::parse(&text.value) {
            Ok(host @ Host::Name(_)) => host.as_text().into_owned(),
            _ => {
                let message = format!("`tls.sni` cannot be {}", quoted(&text.value));
                reader.error(TEST_VALUE, &text.span, message, "write a host name, or an empty text for none");
                return None;
            }
        },
        Field::NetworkIp => match text.value.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => {
                let message = format!("`network.ip` cannot be {}", quoted(&text.value));
                reader.error(TEST_VALUE, &text.span, message, "write an IPv4 or IPv6 address");
                return None;
            }
        },
        Field::HttpMethod if is_token(&text.value) => text.value.to_ascii_uppercase(),
        Field::HttpMethod => {
            not_canonical(reader, text, "a method", None);
            return None;
        }
        Field::HttpPath => match outcall_schema::path::check(&text.value) {
            Ok(()) => text.value.clone(),
            Err(error) => {
                let message = format!("`http.path` cannot be {}: {error}", quoted(&text.value));
                reader.error(
                    TEST_VALUE,
                    &text.span,
                    message,
                    "requests with such a path are refused before any rule is asked",
                );
                return None;
            }
        },
        Field::HttpScheme if !matches!(text.value.as_str(), "http" | "https") => {
            not_canonical(reader, text, "a scheme", Some(text.value.to_ascii_lowercase()));
            return None;
        }
        Field::DnsRecordType => text.value.to_ascii_uppercase(),
        Field::NetworkProtocol => text.value.to_ascii_lowercase(),
        _ => text.value.clone(),
    };
    if fixed != text.value {
        not_canonical(reader, text, &format!("`{}`", field.name()), Some(fixed));
        return None;
    }
    Some(fixed)
}

fn not_canonical(reader: &mut Reader<'_>, text: &Spanned<String>, what: &str, canonical: Option<String>) {
    let place = reader.place(&text.span);
    let finding = Finding::at(TEST_VALUE, place.clone(), format!("{what} never has the form {}", quoted(&text.value)));
    reader.report(match canonical.filter(|canonical| *canonical != text.value) {
        Some(canonical) => finding.help("write it as conditions see it").fix(place, canonical),
        None => finding.help("write it as conditions see it"),
    });
}

/// Any value, as JSON would have it (YAML 1.2.2, section 10.3.2, without its octal and hexadecimal numbers).
fn json(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Value> {
    match &node.kind {
        NodeKind::Refused => None,
        NodeKind::Scalar(scalar) if is_null(scalar) => Some(Value::Null),
        NodeKind::Scalar(scalar) if scalar.style != ScalarStyle::Plain => {
            Some(Value::String(scalar.text.clone().into_owned()))
        }
        NodeKind::Scalar(scalar) => Some(match &*scalar.text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => match decimal(text) {
                Some(number) => Value::from(number),
                None => Value::String(text.to_owned()),
            },
        }),
        NodeKind::List(items) => items
            .iter()
            .map(|item| json(reader, item))
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(Value::Array),
        NodeKind::Mapping(entries) => {
            let mut map = serde_json::Map::new();
            for entry in entries {
                let value = json(reader, &entry.value)?;
                if map.insert(entry.key.clone().into_owned(), value).is_some() {
                    reader.error(DUPLICATE_KEY, &entry.key_span, "the key is given twice", "");
                }
            }
            Some(Value::Object(map))
        }
    }
}

fn read_expect(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Expect> {
    const DECISIONS: [(&str, &str); 3] = [("allow", "allow"), ("block", "block"), ("intercept", "intercept")];
    let (mut decision, mut rule, mut expected_mode, mut obligations) = (None, None, None, None);
    let mut decided = false;
    let before = reader.findings.len();
    for entry in reader.known(node, "`expect`", Context::Expect) {
        let value = &entry.value;
        match &*entry.key {
            "decision" => {
                decided = true;
                decision = reader.choice(value, "`decision`", &DECISIONS);
            }
            "rule" => rule = reader.filled(value, "`rule`"),
            "mode" => expected_mode = mode(reader, value).map(|mode| mode.value),
            "obligations" => {
                let items = reader.list(value, "`obligations`")?;
                obligations = Some(items.iter().filter_map(|item| reader.filled(item, "an obligation")).collect());
            }
            _ => {}
        }
    }
    if !decided && matches!(node.kind, NodeKind::Mapping(_)) {
        reader.missing(&node.span, "`expect`", "decision", "add `decision: allow` or `decision: block`");
    }
    let decision = decision.filter(|_| reader.findings.len() == before)?;
    Some(Expect { decision, rule, mode: expected_mode, obligations })
}
