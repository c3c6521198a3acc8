//! A way through the classes as a whole request, and what the rules say of it when each is evaluated by itself.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::rc::Rc;

use outcall_schema::field::{FIELDS, Field, Knowledge};
use outcall_schema::layer::Layer;
use serde_json::{Map, Value};

use super::explore::{self, Path};
use crate::ask::Request;
use crate::decide::formula::Formulas;

/// A request that shows something, and the part of it that matters, in words.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// The layer that is asked.
    pub layer: Layer,
    /// The request, by namespace: everything that the layer knows.
    pub fields: Map<String, Value>,
    /// What of it matters: the fields that decide, each with the values for which the answer is the same.
    pub region: Vec<String>,
}

/// The request at the end of a way; `None` where some value on it could not be named.
pub(super) fn example(formulas: &Formulas, layer: Layer, way: Option<&Rc<Path>>) -> Option<Example> {
    let mut fields = Map::new();
    let mut region = Vec::new();
    let mut next = way;
    while let Some(path) = next {
        next = path.rest.as_ref();
        let Some(source) = path.choice.source else { continue };
        let source = formulas.source_of(source);
        let name = match &source.key {
            Some(key) => format!("{}[\"{key}\"]", source.field.name()),
            None => source.field.name().to_owned(),
        };
        let value = match &path.choice.value {
            explore::Value::Text(text) => Value::from(text.as_deref()?),
            explore::Value::Missing => Value::Null,
            explore::Value::Number(value) => Value::from(*value),
            explore::Value::Address(address) => Value::from(address.to_string()),
            explore::Value::Assumed => continue,
        };
        match &source.key {
            Some(_) if value.is_null() => {}
            Some(key) => put(&mut fields, source.field, Some(key), value),
            // The later choice is the more exact one: a table's class, then the automaton's within it.
            None => put(&mut fields, source.field, None, value),
        }
        region.push(format!("{name} {}", path.choice.words));
    }
    complete(&mut fields, layer);
    Some(Example { layer, fields, region })
}

pub(super) fn put(fields: &mut Map<String, Value>, field: Field, key: Option<&str>, value: Value) {
    let (namespace, name) = field.name().split_once('.').unwrap_or((field.name(), ""));
    let group = fields.entry(namespace).or_insert_with(|| Value::Object(Map::new()));
    let Some(group) = group.as_object_mut() else { return };
    match key {
        None => {
            // What is nearer to the beginning of the way came first, and is less exact only for the same field.
            group.insert(name.to_owned(), value);
        }
        Some(key) => {
            let entries = group.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Some(entries) = entries.as_object_mut() {
                entries.insert(key.to_owned(), value);
            }
        }
    }
}

fn get(fields: &Map<String, Value>, field: Field) -> Option<&Value> {
    let (namespace, name) = field.name().split_once('.')?;
    fields.get(namespace)?.get(name)
}

/// Fills in the fields that the layer knows and that do not matter.
fn complete(fields: &mut Map<String, Value>, layer: Layer) {
    let name = [Field::HttpHost, Field::NetworkHostname, Field::TlsSni]
        .into_iter()
        .find_map(|field| get(fields, field))
        .cloned()
        .unwrap_or_else(|| "other.example".into());
    let scheme = get(fields, Field::HttpScheme).and_then(Value::as_str);
    let plain = layer == Layer::Http || (layer == Layer::Response && scheme == Some("http"));
    for row in FIELDS {
        let Some(knowledge) = row.field.knowledge(layer) else { continue };
        if get(fields, row.field).is_some() {
            continue;
        }
        let value = match (knowledge, row.field) {
            (Knowledge::Always(text), _) => text.into(),
            (_, Field::HttpHost | Field::NetworkHostname) => name.clone(),
            (_, Field::TlsSni) => match name.as_str() {
                // An address is never a server name (RFC 6066, section 3).
                Some(text) if text.parse::<IpAddr>().is_ok() => "".into(),
                _ => name.clone(),
            },
            (_, Field::NetworkIp) => "203.0.113.7".into(),
            (_, Field::NetworkPort) => if plain { 80 } else { 443 }.into(),
            (_, Field::NetworkProtocol) => "tcp".into(),
            (_, Field::HttpMethod) => "GET".into(),
            (_, Field::HttpPath) => "/".into(),
            (_, Field::HttpScheme) => "https".into(),
            (_, Field::HttpHeaders | Field::ResponseHeaders | Field::RunContext) => Value::Object(Map::new()),
            (_, Field::HttpBodySize) => 0.into(),
            (_, Field::HttpBody) => "".into(),
            (_, Field::DnsQuery) => "other.example".into(),
            (_, Field::DnsRecordType) => "A".into(),
            (_, Field::AgentName) => "agent".into(),
            (_, Field::ResponseStatus) => 200.into(),
            (_, Field::TlsAlpn) => Value::Array(vec!["http/1.1".into()]),
            (_, Field::RunTool) => "tool".into(),
            (_, Field::RunCwd) => "/workspace".into(),
            (_, Field::DockerImage) => "image".into(),
            (_, _) => Value::Array(Vec::new()),
        };
        put(fields, row.field, None, value);
    }
}

impl Example {
    /// The request as the readers take it.
    pub(super) fn request(&self) -> Option<Request> {
        Request::from_json(&self.fields).ok()
    }

    /// A field's value, where the layer knows it.
    pub fn get(&self, field: Field) -> Option<&Value> {
        get(&self.fields, field)
    }

    /// The request on one line, as people write it.
    pub fn human(&self) -> String {
        let text = |field: Field| self.get(field).and_then(Value::as_str).unwrap_or_default();
        let number = |field: Field| self.get(field).and_then(Value::as_i64).unwrap_or_default();
        let host = |field: Field| {
            if text(field).contains(':') { format!("[{}]", text(field)) } else { text(field).to_owned() }
        };
        let mut line = match self.layer {
            Layer::Dns => format!("dns {} {}", text(Field::DnsQuery), text(Field::DnsRecordType)),
            Layer::Network => {
                format!(
                    "{} {} port {}",
                    text(Field::NetworkProtocol),
                    text(Field::NetworkIp),
                    number(Field::NetworkPort)
                )
            }
            Layer::Connect => format!("connect {}:{}", host(Field::HttpHost), number(Field::NetworkPort)),
            Layer::Http | Layer::Https | Layer::Response => {
                let (scheme, usual) = match text(Field::HttpScheme) {
                    "http" => ("http", 80),
                    _ => ("https", 443),
                };
                let port = number(Field::NetworkPort);
                let port = if port == usual { String::new() } else { format!(":{port}") };
                let method = text(Field::HttpMethod);
                format!("{method} {scheme}://{}{port}{}", host(Field::HttpHost), text(Field::HttpPath))
            }
            Layer::Docker => format!("container of {}", text(Field::DockerImage)),
            Layer::Run => format!("run {}", text(Field::RunTool)),
        };
        for (name, value) in self.get(Field::HttpHeaders).and_then(Value::as_object).into_iter().flatten() {
            let _ = write!(line, " with {name}: {}", value.as_str().unwrap_or_default());
        }
        let by_address = self.region.iter().any(|part| part.starts_with("network.ip "));
        if by_address && !matches!(self.layer, Layer::Dns | Layer::Network) {
            let _ = write!(line, " at {}", text(Field::NetworkIp));
        }
        let body = text(Field::HttpBody);
        if !body.is_empty() {
            let _ = write!(line, " with body {body:?}");
        }
        let agent = text(Field::AgentName);
        if self.region.iter().any(|part| part.starts_with("agent.name ")) {
            let _ = write!(line, " by {}", if agent.is_empty() { "an agent without a name" } else { agent });
        }
        line
    }
}
