//! The rule file as JSON Schema (2020-12), for editors that complete and check YAML. Made from the tables of keys, fields,
//! layers, modes and presets.
//!
//! The schema never refuses what the compiler takes: text may be any scalar, because `id: 7` is the text `7` here. It says
//! nothing of conditions, which are a language of their own.

use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{FIELDS, FieldRow, FieldType};
use outcall_schema::layer::Layer;
use serde_json::{Map, Value, json};

use crate::preset;
use crate::syntax::keys::{Below, Context, KeyRow};

/// The identifier of the dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a rule file.
pub fn rule_file() -> Value {
    let mut definitions = Map::new();
    for context in Context::ALL.into_iter().filter(|context| *context != Context::File) {
        definitions.insert(name(context).to_owned(), mapping(context));
    }
    let mut schema = mapping(Context::File);
    if let Some(object) = schema.as_object_mut() {
        object.insert("$schema".to_owned(), DIALECT.into());
        object.insert("title".to_owned(), "Outcall rule file".into());
        object.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

/// What the schema calls a mapping.
const fn name(context: Context) -> &'static str {
    match context {
        Context::File => "file",
        Context::Preset => "preset",
        Context::PresetFile => "presetFile",
        Context::Parameter => "parameter",
        Context::Interception => "interception",
        Context::Rule => "rule",
        Context::Egress => "egress",
        Context::Hold => "hold",
        Context::Match => "match",
        Context::Inject => "inject",
        Context::Test => "test",
        Context::Expect => "expect",
    }
}

fn mapping(context: Context) -> Value {
    let mut properties = Map::new();
    for row in context.keys() {
        properties.insert(row.key.to_owned(), described(row));
    }
    let required: Vec<&str> = context.keys().filter(|row| row.default == "required").map(|row| row.key).collect();
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    let Some(object) = schema.as_object_mut() else { return schema };
    if !required.is_empty() {
        object.insert("required".to_owned(), json!(required));
    }
    for (key, value) in constraints(context) {
        object.insert(key.to_owned(), value);
    }
    schema
}

/// A key's value with its description.
fn described(row: &KeyRow) -> Value {
    let mut schema = value(row);
    if let Some(object) = schema.as_object_mut() {
        let default = match row.default {
            "required" => "Required.".to_owned(),
            default => format!("When left out: {default}."),
        };
        let text = format!("{}\n\nTakes: {}. {default}", row.doc, row.takes);
        object.insert("description".to_owned(), text.replace('`', "").into());
        object.insert("markdownDescription".to_owned(), text.into());
    }
    schema
}

/// Any scalar but nothing: it is read as the text it is written with.
fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"] })
}

fn pattern(pattern: &str) -> Value {
    json!({ "type": ["string", "number", "boolean"], "pattern": pattern })
}

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>() })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn filled_list(items: Value) -> Value {
    json!({ "type": "array", "items": items, "minItems": 1 })
}

/// A mapping with free keys.
fn free(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn reference(context: Context) -> Value {
    json!({ "$ref": format!("#/$defs/{}", name(context)) })
}

fn value(row: &KeyRow) -> Value {
    const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
    const DEFINITION: &str = "^[A-Za-z_][A-Za-z0-9_]{0,63}$";
    const DURATION: &str = "^(?=.)([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
    const PORTS: &str = "^ *[1-9][0-9]{0,4} *(- *[1-9][0-9]{0,4} *)?$";
    if row.context == Context::File && row.key == "presets" {
        return list(json!({ "anyOf": [words(preset::names().iter().copied()), reference(Context::Preset)] }));
    }
    match row.context.below(row.key) {
        Some(Below::One(context)) => return reference(context),
        Some(Below::Each(context)) => return list(reference(context)),
        None => {}
    }
    match (row.context, row.key) {
        (Context::File | Context::PresetFile, "version") => json!({ "enum": ["1", 1] }),
        (_, "definitions") => json!({
            "type": "object",
            "propertyNames": { "pattern": DEFINITION },
            "additionalProperties": text(),
        }),
        (Context::Preset, "name") => words(preset::names().iter().copied()),
        (Context::Preset, "with") => json!({ "type": ["object", "null"] }),
        (Context::Preset, "as") => pattern("^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"),
        (Context::Interception, _) => list(text()),
        (Context::Rule, "id") => {
            json!({ "type": ["string", "number", "boolean"], "pattern": NAME, "not": { "const": "default" } })
        }
        (Context::Rule, "description") => json!({ "type": ["string", "number", "boolean", "null"] }),
        (Context::Rule, "action") => words(Action::ALL.map(Action::name)),
        (Context::Rule, "priority") => json!({ "type": "integer" }),
        (Context::Rule, "log") | (Context::Egress, "allow_private_ips" | "match_body") => json!({ "type": "boolean" }),
        (_, "mode") => words(EgressMode::ALL.map(EgressMode::name)),
        (Context::Egress, "ports") => filled_list(json!({
            "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": PORTS },
            ],
        })),
        (Context::Hold, "direction") => words(["request", "response", "both"]),
        (Context::Hold, "timeout") => json!({ "type": "string", "pattern": DURATION }),
        (Context::Hold, "on_timeout") => words(["drop", "release"]),
        (Context::Match, "methods") => filled_list(text()),
        (Context::Match, "header_match") => free(text()),
        (Context::Rule, "require_header") => free(json!({ "type": "string", "pattern": "^sha256:[0-9a-fA-F]{64}$" })),
        (Context::Test, "layer") => words(Layer::ALL.map(Layer::name)),
        (Context::Test, "request") => request(),
        (Context::Expect, "decision") => words(["allow", "block", "intercept"]),
        (Context::Expect, "obligations") => list(text()),
        _ => text(),
    }
}

/// What JSON Schema can say about keys that depend on one another.
fn constraints(context: Context) -> Vec<(&'static str, Value)> {
    let only_with = |key: &str, action: Action| {
        json!({
            "if": { "required": [key] },
            "then": { "properties": { "action": { "const": action.name() } } },
        })
    };
    let when = |action: Action, then: Value| json!({ "if": { "properties": { "action": { "const": action.name() } }, "required": ["action"] }, "then": then });
    match context {
        Context::Rule => vec![(
            "allOf",
            json!([
                only_with("egress", Action::Allow),
                only_with("inject", Action::Enrich),
                only_with("require_header", Action::Enrich),
                only_with("hold", Action::Hold),
                only_with("match", Action::Hold),
                when(Action::Allow, json!({ "required": ["condition"] })),
                when(Action::Block, json!({ "required": ["condition"] })),
                when(
                    Action::Enrich,
                    json!({
                        "required": ["condition"],
                        "anyOf": [{ "required": ["inject"] }, { "required": ["require_header"] }],
                    }),
                ),
                when(Action::Hold, json!({ "oneOf": [{ "required": ["condition"] }, { "required": ["match"] }] })),
            ]),
        )],
        Context::Egress => vec![
            ("if", json!({ "properties": { "match_body": { "const": true } }, "required": ["match_body"] })),
            (
                "then",
                json!({ "properties": { "mode": { "const": EgressMode::Intercept.name() } }, "required": ["mode"] }),
            ),
        ],
        Context::Match => vec![("minProperties", json!(1))],
        Context::File
        | Context::Preset
        | Context::PresetFile
        | Context::Parameter
        | Context::Interception
        | Context::Hold
        | Context::Inject
        | Context::Test
        | Context::Expect => Vec::new(),
    }
}

/// The fields by namespace.
fn request() -> Value {
    let mut namespaces: Map<String, Value> = Map::new();
    for row in FIELDS {
        let Some((namespace, name)) = row.name.split_once('.') else { continue };
        let entry = namespaces
            .entry(namespace)
            .or_insert_with(|| json!({ "type": "object", "additionalProperties": false, "properties": {} }));
        if let Some(properties) = entry.get_mut("properties").and_then(Value::as_object_mut) {
            properties.insert(name.to_owned(), field(row));
        }
    }
    namespaces.insert("layer".to_owned(), words(Layer::ALL.map(Layer::name)));
    json!({ "type": "object", "additionalProperties": false, "properties": namespaces })
}

fn field(row: &FieldRow) -> Value {
    let mut schema = match row.ty {
        FieldType::String => text(),
        FieldType::NullableString => json!({ "type": ["string", "number", "boolean", "null"] }),
        FieldType::Int => json!({ "type": "integer" }),
        FieldType::StringList => list(text()),
        FieldType::StringMap => free(text()),
        FieldType::DynMap => json!({ "type": "object" }),
    };
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), row.doc.replace('`', "").into());
        object.insert("markdownDescription".to_owned(), row.doc.into());
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_of_the_language_is_described_and_every_reference_leads_somewhere() {
        let schema = rule_file();
        let text = schema.to_string();
        for context in Context::ALL.into_iter().filter(|context| *context != Context::File) {
            assert!(text.contains(&format!("\"#/$defs/{}\"", name(context))), "{context:?} is not used");
            let described = &schema["$defs"][name(context)]["properties"];
            assert_eq!(described.as_object().map(Map::len), Some(context.keys().count()), "{context:?}");
        }
        for reference in text.split("\"$ref\":\"#/$defs/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(schema["$defs"][reference].is_object(), "{reference}");
        }
    }
}
