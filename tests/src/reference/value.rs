//! Values of the language, and the fields of one request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use outcall_schema::facts::{Fact, Facts, Headers};
use outcall_schema::field::{FIELDS, Field, FieldType};

/// A value.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number that is no integer, out of JSON. It is equal to the same number and has no other use.
    Number(f64),
    /// A string.
    Str(String),
    /// A list.
    List(Vec<Value>),
    /// A map, in the order of its iteration.
    Map(Vec<(Value, Value)>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<String>) -> Value {
        Value::Str(text.into())
    }

    /// JSON as a value.
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Value::Int(value),
                (None, value) => Value::Number(value.unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Value::text(text.as_str()),
            serde_json::Value::Array(items) => Value::List(items.iter().map(Value::from_json).collect()),
            serde_json::Value::Object(entries) => Value::Map(
                entries.iter().map(|(key, value)| (Value::text(key.as_str()), Value::from_json(value))).collect(),
            ),
        }
    }

    /// Whether two values are equal; values of different types are not.
    pub fn equals(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(two)) => one == two,
            (Value::Int(one), Value::Int(two)) => one == two,
            (Value::Number(one), Value::Number(two)) => one == two,
            (Value::Int(int), Value::Number(number)) | (Value::Number(number), Value::Int(int)) => {
                *int as f64 == *number
            }
            (Value::Str(one), Value::Str(two)) => one == two,
            (Value::List(one), Value::List(two)) => {
                one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.equals(two))
            }
            (Value::Map(one), Value::Map(two)) => {
                one.len() == two.len()
                    && one
                        .iter()
                        .all(|(key, value)| two.iter().any(|(other, same)| key.equals(other) && value.equals(same)))
            }
            _ => false,
        }
    }
}

/// What is known of a field.
#[derive(Debug, Clone)]
pub enum Slot {
    /// Never known here.
    Unknown,
    /// Not known yet.
    Pending,
    /// Known.
    Known(Value),
}

/// A request: its fields, owned. Unknown is what is not there.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The known fields.
    pub known: BTreeMap<Field, Value>,
    /// The pending ones.
    pub pending: Vec<Field>,
}

impl Request {
    /// A field of the request.
    pub fn slot(&self, field: Field) -> Slot {
        if self.pending.contains(&field) {
            return Slot::Pending;
        }
        self.known.get(&field).cloned().map_or(Slot::Unknown, Slot::Known)
    }

    /// The request as the compiled programs take it.
    pub fn with_facts<T>(&self, ask: impl FnOnce(&Facts<'_>) -> T) -> T {
        let mut owned = Owned::default();
        for (field, value) in &self.known {
            owned.take(*field, value);
        }
        let mut facts = Facts::default();
        for row in FIELDS {
            if self.pending.contains(&row.field) {
                pending(&mut facts, row.field);
            } else if let Some(value) = self.known.get(&row.field) {
                owned.put(&mut facts, row.field, value);
            }
        }
        ask(&facts)
    }
}

/// What the facts borrow.
#[derive(Default)]
struct Owned {
    lists: BTreeMap<Field, Vec<String>>,
    headers: BTreeMap<Field, Headers>,
    objects: BTreeMap<Field, serde_json::Map<String, serde_json::Value>>,
}

fn as_text(value: &Value) -> &str {
    match value {
        Value::Str(text) => text,
        _ => "",
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Number(value) => (*value).into(),
        Value::Str(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(to_json).collect(),
        Value::Map(entries) => serde_json::Value::Object(
            entries.iter().map(|(key, value)| (as_text(key).to_owned(), to_json(value))).collect(),
        ),
    }
}

impl Owned {
    fn take(&mut self, field: Field, value: &Value) {
        match (field.row().ty, value) {
            (FieldType::StringList, Value::List(items)) => {
                self.lists.insert(field, items.iter().map(|item| as_text(item).to_owned()).collect());
            }
            (FieldType::StringMap, Value::Map(entries)) => {
                let entries = entries.iter().map(|(name, value)| (as_text(name), as_text(value)));
                self.headers.insert(field, Headers::collect(entries));
            }
            (FieldType::DynMap, value) => {
                if let serde_json::Value::Object(object) = to_json(value) {
                    self.objects.insert(field, object);
                }
            }
            _ => {}
        }
    }

    fn put<'a>(&'a self, facts: &mut Facts<'a>, field: Field, value: &'a Value) {
        let text = || Fact::Known(as_text(value));
        let int = || match value {
            Value::Int(int) => Fact::Known(*int),
            _ => Fact::Unknown,
        };
        let list = || self.lists.get(&field).map_or(Fact::Unknown, |list| Fact::Known(list.as_slice()));
        let headers = || self.headers.get(&field).map_or(Fact::Unknown, Fact::Known);
        match field {
            Field::NetworkHostname => facts.network_hostname = text(),
            Field::NetworkIp => {
                facts.network_ip = as_text(value).parse::<IpAddr>().map_or(Fact::Unknown, Fact::Known);
            }
            Field::NetworkPort => facts.network_port = int(),
            Field::NetworkProtocol => facts.network_protocol = text(),
            Field::HttpHost => facts.http_host = text(),
            Field::HttpMethod => facts.http_method = text(),
            Field::HttpPath => facts.http_path = text(),
            Field::HttpScheme => facts.http_scheme = text(),
            Field::HttpHeaders => facts.http_headers = headers(),
            Field::HttpBodySize => facts.http_body_size = int(),
            Field::HttpBody => {
                facts.http_body = Fact::Known(match value {
                    Value::Str(text) => Some(text.as_str()),
                    _ => None,
                });
            }
            Field::DnsQuery => facts.dns_query = text(),
            Field::DnsRecordType => facts.dns_record_type = text(),
            Field::TlsSni => facts.tls_sni = text(),
            Field::TlsAlpn => facts.tls_alpn = list(),
            Field::AgentName => facts.agent_name = text(),
            Field::DockerImage => facts.docker_image = text(),
            Field::DockerCommand => facts.docker_command = list(),
            Field::DockerVolumes => facts.docker_volumes = list(),
            Field::DockerEnvKeys => facts.docker_env_keys = list(),
            Field::DockerCapabilities => facts.docker_capabilities = list(),
            Field::RunTool => facts.run_tool = text(),
            Field::RunArgs => facts.run_args = list(),
            Field::RunFlags => facts.run_flags = list(),
            Field::RunCwd => facts.run_cwd = text(),
            Field::RunContext => {
                facts.run_context = self.objects.get(&field).map_or(Fact::Unknown, Fact::Known);
            }
            Field::ResponseStatus => facts.response_status = int(),
            Field::ResponseHeaders => facts.response_headers = headers(),
        }
    }
}

fn pending(facts: &mut Facts<'_>, field: Field) {
    match field {
        Field::NetworkHostname => facts.network_hostname = Fact::Pending,
        Field::NetworkIp => facts.network_ip = Fact::Pending,
        Field::NetworkPort => facts.network_port = Fact::Pending,
        Field::NetworkProtocol => facts.network_protocol = Fact::Pending,
        Field::HttpHost => facts.http_host = Fact::Pending,
        Field::HttpMethod => facts.http_method = Fact::Pending,
        Field::HttpPath => facts.http_path = Fact::Pending,
        Field::HttpScheme => facts.http_scheme = Fact::Pending,
        Field::HttpHeaders => facts.http_headers = Fact::Pending,
        Field::HttpBodySize => facts.http_body_size = Fact::Pending,
        Field::HttpBody => facts.http_body = Fact::Pending,
        Field::DnsQuery => facts.dns_query = Fact::Pending,
        Field::DnsRecordType => facts.dns_record_type = Fact::Pending,
        Field::TlsSni => facts.tls_sni = Fact::Pending,
        Field::TlsAlpn => facts.tls_alpn = Fact::Pending,
        Field::AgentName => facts.agent_name = Fact::Pending,
        Field::DockerImage => facts.docker_image = Fact::Pending,
        Field::DockerCommand => facts.docker_command = Fact::Pending,
        Field::DockerVolumes => facts.docker_volumes = Fact::Pending,
        Field::DockerEnvKeys => facts.docker_env_keys = Fact::Pending,
        Field::DockerCapabilities => facts.docker_capabilities = Fact::Pending,
        Field::RunTool => facts.run_tool = Fact::Pending,
        Field::RunArgs => facts.run_args = Fact::Pending,
        Field::RunFlags => facts.run_flags = Fact::Pending,
        Field::RunCwd => facts.run_cwd = Fact::Pending,
        Field::RunContext => facts.run_context = Fact::Pending,
        Field::ResponseStatus => facts.response_status = Fact::Pending,
        Field::ResponseHeaders => facts.response_headers = Fact::Pending,
    }
}
