//! The APIs as OpenAPI 3.1 documents, made from the table of endpoints and the types of the bodies.
//!
//! They are made by the tests alone and checked in; what is served to operators is the checked-in document.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::{Map, Value, json};

use super::{
    Behind, Door, ENDPOINTS, EVENTS_TYPE, Endpoint, EndpointRow, Gives, JSON_TYPE, METRICS_TYPE, Method, Takes,
    UPLOAD_TYPE,
};
use super::{agents, bridge, ca, dns, docker, evaluate, grants, intercept, load, permissions, process, proxy, rules};
use crate::artifact::manifest;
use crate::decision::Action;
use crate::egress::{Egress, EgressMode};
use crate::field::{FIELDS, FieldType};
use crate::layer::Layer;

/// The document of a socket.
pub fn document(door: Door) -> Value {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let mut paths: Map<String, Value> = Map::new();
    for row in ENDPOINTS.iter().filter(|row| row.door() == door) {
        let mut path = json!({ row.method.name().to_ascii_lowercase(): operation(row, &mut generator) });
        if row.path.contains("{id}")
            && let Some(path) = path.as_object_mut()
        {
            let parameter = json!({
                "name": "id", "in": "path", "required": true, "description": "The rule's id.",
                "schema": { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" },
            });
            path.insert("parameters".to_owned(), json!([parameter]));
        }
        paths.insert(row.path.to_owned(), path);
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Failure".to_owned(), failure());
    let (title, what, socket) = match door {
        Door::Operator => (
            "Outcall's host API",
            "What a running outcalld tells its operator and does for them, over a unix socket.",
            super::SOCKET,
        ),
        Door::Agents => (
            "Outcall's agent API",
            "What a running outcalld tells the agents of its host, over a unix socket. Who asks it knows from the kernel.",
            permissions::AGENT_SOCKET,
        ),
    };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": "1",
            "description": what,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "http://outcall", "description": format!("The host is not looked at; the socket is {socket}.") }],
        "paths": paths,
        "components": { "schemas": schemas, "responses": answers(door) },
    })
}

/// What is said when something is not done.
fn failure() -> Value {
    json!({
        "type": "object",
        "description": "Something was not done.",
        "properties": {
            "success": { "const": false },
            "error": { "type": "string", "description": "Why not, in words." },
        },
        "required": ["success", "error"],
        "additionalProperties": false,
    })
}

fn operation(row: &EndpointRow, generator: &mut SchemaGenerator) -> Value {
    let (body, data) = bodies(row.endpoint, generator);
    let name = format!("{:?}", row.endpoint);
    let mut operation = json!({
        "operationId": name,
        "summary": row.summary,
        "responses": responses(row, data),
    });
    let Some(members) = operation.as_object_mut() else { return operation };
    if let Some(flag) = row.flag {
        let schema = json!({ "type": "boolean" });
        members.insert("parameters".to_owned(), json!([{ "name": flag, "in": "query", "schema": schema }]));
    }
    if row.named() {
        let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$" });
        let parameter = json!({ "name": "name", "in": "query", "required": true, "schema": schema });
        members.insert("parameters".to_owned(), json!([parameter]));
    }
    let content = match row.takes {
        Takes::Nothing => return operation,
        Takes::Json => json!({ JSON_TYPE: { "schema": body } }),
        Takes::Upload => json!({ UPLOAD_TYPE: { "schema": { "type": "string", "format": "binary" } } }),
    };
    members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    operation
}

fn responses(row: &EndpointRow, data: Option<Schema>) -> Value {
    let content = match row.gives {
        Gives::Data => json!({ JSON_TYPE: { "schema": envelope(data) } }),
        Gives::Document => {
            let schema = data.map_or_else(|| json!({ "type": "object" }), Into::into);
            json!({ JSON_TYPE: { "schema": schema } })
        }
        Gives::Metrics => json!({ METRICS_TYPE: { "schema": { "type": "string" } } }),
        Gives::Events => json!({ EVENTS_TYPE: { "schema": { "type": "string" } } }),
    };
    let mut responses = Map::new();
    responses.insert("200".to_owned(), json!({ "description": "Done.", "content": content }));
    if row.endpoint == Endpoint::Ready {
        responses.insert("503".to_owned(), json!({ "description": "Not ready.", "content": content }));
    }
    for status in failures(row) {
        let reference = json!({ "$ref": format!("#/components/responses/{}", name(status)) });
        responses.entry(status.to_string()).or_insert(reference);
    }
    Value::Object(responses)
}

/// The failures that there are.
const FAILURES: [(u16, &str); 12] = [
    (400, "No request, one with two readings, or one that says something it cannot."),
    (403, "Asked by somebody who may not, or the policy says no."),
    (404, "There is no such thing, or no host behind this socket."),
    (408, "The request took too long to arrive."),
    (409, "As things are it cannot be."),
    (413, "The body is too large."),
    (415, "The body is of another type."),
    (422, "What was sent cannot be used."),
    (429, "Asked too often; Retry-After says when to ask again, in seconds."),
    (431, "The head is too large."),
    (500, "The host cannot."),
    (503, "Not now."),
];

/// What a failure is called in the document.
fn name(status: u16) -> String {
    format!("Failure{status}")
}

/// The failures that a socket answers with, by their names.
fn answers(door: Door) -> Value {
    let content = json!({ JSON_TYPE: { "schema": { "$ref": "#/components/schemas/Failure" } } });
    let answer = |(status, why): (u16, &str)| (name(status), json!({ "description": why, "content": content }));
    let rows = || ENDPOINTS.iter().filter(|row| row.door() == door);
    let given = |(status, _): &(u16, &str)| rows().any(|row| failures(row).contains(status));
    FAILURES.into_iter().filter(given).map(answer).collect::<Map<_, _>>().into()
}

/// The failures that an endpoint answers with.
fn failures(row: &EndpointRow) -> Vec<u16> {
    let mut failures = vec![400, 403, 408, 413, 431];
    if row.takes != Takes::Nothing {
        failures.push(415);
    }
    if row.behind == Behind::Agents {
        failures.push(429);
    }
    let host = row.behind == Behind::Host;
    if host || matches!(row.endpoint, Endpoint::Rule | Endpoint::CaStatus | Endpoint::CaBundle) {
        failures.push(404);
    }
    if host && row.method == Method::Post {
        failures.extend([409, 422]);
    }
    if host || row.gives == Gives::Events || row.endpoint == Endpoint::Agents {
        failures.extend([500, 503]);
    }
    failures
}

fn envelope(data: Option<Schema>) -> Value {
    let data = data.map_or(json!({}), Into::into);
    json!({
        "type": "object",
        "properties": { "success": { "const": true }, "data": data },
        "required": ["success", "data"],
        "additionalProperties": false,
    })
}

/// The types of the body and of the data.
fn bodies(endpoint: Endpoint, generator: &mut SchemaGenerator) -> (Option<Schema>, Option<Schema>) {
    fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Option<Schema> {
        Some(generator.subschema_for::<T>())
    }
    match endpoint {
        Endpoint::Rules => (None, of::<Vec<rules::Rule>>(generator)),
        Endpoint::Rule => (None, of::<rules::RuleDetail>(generator)),
        Endpoint::RuleEvaluate => (of::<evaluate::Evaluate>(generator), of::<evaluate::Evaluated>(generator)),
        Endpoint::RulesArtifacts | Endpoint::RulesReload | Endpoint::RulesRollback => {
            (None, of::<load::Loaded>(generator))
        }
        Endpoint::RulesActive => (None, of::<Vec<grants::Grant>>(generator)),
        Endpoint::RulesFlush => (None, of::<grants::GrantsFlushed>(generator)),
        Endpoint::Dns => (None, of::<dns::DnsStatus>(generator)),
        Endpoint::DnsCache => (None, of::<dns::CacheStatus>(generator)),
        Endpoint::DnsCacheFlush | Endpoint::InterceptCacheFlush => (None, of::<intercept::Flushed>(generator)),
        Endpoint::DnsTest => (of::<dns::DnsTest>(generator), of::<dns::DnsTested>(generator)),
        Endpoint::Proxy => (None, of::<proxy::ProxyStatus>(generator)),
        Endpoint::Intercept => (None, of::<intercept::InterceptStatus>(generator)),
        Endpoint::CaStatus => (None, of::<ca::CaStatus>(generator)),
        Endpoint::CaBundle => (None, of::<String>(generator)),
        Endpoint::Bridge | Endpoint::BridgeUp | Endpoint::BridgeDown => (None, of::<bridge::Bridge>(generator)),
        Endpoint::Agents => (None, of::<Vec<agents::AgentRow>>(generator)),
        Endpoint::AgentsAttach => (of::<agents::Attach>(generator), of::<agents::Attached>(generator)),
        Endpoint::AgentsDetach => (of::<agents::Detach>(generator), of::<agents::Detached>(generator)),
        Endpoint::Networks => (None, of::<Vec<docker::Network>>(generator)),
        Endpoint::Network => (None, of::<docker::Network>(generator)),
        Endpoint::NetworkConfig => (None, of::<docker::NetworkConfig>(generator)),
        Endpoint::NetworkCreate => (of::<docker::NetworkCreate>(generator), of::<docker::Network>(generator)),
        Endpoint::NetworkDestroy => (of::<docker::NetworkDestroy>(generator), of::<docker::Named>(generator)),
        Endpoint::Containers => (None, of::<Vec<docker::Container>>(generator)),
        Endpoint::Container => (None, of::<docker::ContainerDetail>(generator)),
        Endpoint::ContainerLogs => (None, of::<docker::ContainerLogs>(generator)),
        Endpoint::ContainerCreate => (of::<docker::ContainerCreate>(generator), of::<docker::Container>(generator)),
        Endpoint::ContainerStop => (of::<docker::ContainerStop>(generator), of::<docker::Named>(generator)),
        Endpoint::ContainerRemove => (of::<docker::ContainerRemove>(generator), of::<docker::Named>(generator)),
        Endpoint::ContainerPull => (of::<docker::ContainerPull>(generator), of::<docker::Named>(generator)),
        Endpoint::Health => (None, of::<process::Health>(generator)),
        Endpoint::Ready => (None, of::<process::Ready>(generator)),
        Endpoint::Events | Endpoint::Metrics | Endpoint::MetricsUsual | Endpoint::OpenApi => (None, None),
        Endpoint::AgentCheckin => (None, of::<permissions::CheckedIn>(generator)),
        Endpoint::AgentCheck => (of::<permissions::Check>(generator), of::<permissions::Checked>(generator)),
    }
}

/// The fields of a request by namespace, from the table of fields.
pub(super) fn context(_: &mut SchemaGenerator) -> Schema {
    let mut namespaces: Map<String, Value> = Map::new();
    for row in FIELDS {
        let Some((namespace, name)) = row.name.split_once('.') else { continue };
        let schema = match row.ty {
            FieldType::String => json!({ "type": "string" }),
            FieldType::NullableString => json!({ "type": ["string", "null"] }),
            FieldType::Int => json!({ "type": "integer" }),
            FieldType::StringList => json!({ "type": "array", "items": { "type": "string" } }),
            FieldType::StringMap => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
            FieldType::DynMap => json!({ "type": "object" }),
        };
        let empty = || json!({ "type": "object", "properties": {}, "additionalProperties": false });
        let namespace = namespaces.entry(namespace).or_insert_with(empty);
        if let Some(properties) = namespace.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(name.to_owned(), schema);
        }
    }
    json_schema!({ "type": "object", "properties": namespaces, "additionalProperties": false })
}

macro_rules! names {
    ($($ty:ty, $name:literal;)*) => {$(
        impl JsonSchema for $ty {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "enum": <$ty>::ALL.map(<$ty>::name) })
            }
        }
    )*};
}

names! {
    Action, "Action";
    EgressMode, "EgressMode";
    Layer, "Layer";
}

impl JsonSchema for Egress {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Egress".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let port = json!({ "type": "integer", "minimum": 0, "maximum": 65535 });
        json_schema!({
            "type": "object",
            "description": "The terms on which an allow rule lets things out.",
            "properties": {
                "mode": generator.subschema_for::<EgressMode>(),
                "ports": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": { "low": port, "high": port },
                        "required": ["low", "high"],
                        "additionalProperties": false,
                    },
                },
                "allow_private_ips": { "type": "boolean" },
                "match_body": { "type": "boolean" },
            },
            "required": ["mode", "allow_private_ips", "match_body"],
            "additionalProperties": false,
        })
    }
}

impl JsonSchema for manifest::Hold {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Hold".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "The settings of a hold rule.",
            "properties": {
                "direction": { "enum": ["request", "response", "both"] },
                "timeout_ms": { "type": "integer", "minimum": 0 },
                "on_timeout": { "enum": ["drop", "release"] },
            },
            "required": ["direction", "on_timeout"],
            "additionalProperties": false,
        })
    }
}
