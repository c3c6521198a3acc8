//! The descriptions of the operator's and the agents' API are what the table of endpoints and the types of the bodies say.
#![cfg(test)]

use outcall_schema::api::{Door, ENDPOINTS, Takes, openapi};
use outcall_tests::golden;
use serde_json::{Value, json};

#[test]
fn what_is_served_is_what_the_types_say() {
    for (door, file) in [(Door::Operator, "schema/openapi.json"), (Door::Agents, "schema/openapi-agents.json")] {
        let text = format!("{:#}\n", openapi::document(door));
        golden::check_file(&golden::directory().join(file), &text);
    }
}

/// A validator of a schema of the document, which may refer to the others.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&whole).expect("it is a schema")
}

#[test]
fn every_endpoint_is_described_and_every_schema_can_be_used() {
    let (operators, agents) = (openapi::document(Door::Operator), openapi::document(Door::Agents));
    let paths = [&operators, &agents].map(|document| document["paths"].as_object().map_or(0, serde_json::Map::len));
    assert_eq!(paths.iter().sum::<usize>(), ENDPOINTS.len());
    for row in ENDPOINTS {
        let document = if row.door() == Door::Agents { &agents } else { &operators };
        let operation = &document["paths"][row.path][row.method.name().to_ascii_lowercase()];
        assert_eq!(operation["summary"], row.summary, "{}", row.path);
        assert_eq!(operation["requestBody"].is_object(), row.takes != Takes::Nothing, "{}", row.path);
        assert_eq!(operation["parameters"].is_array(), row.flag.is_some() || row.named(), "{}", row.path);
        let responses = operation["responses"].as_object().expect("it has answers");
        for (status, response) in responses {
            let named = response["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
            let response = named.unwrap_or(response);
            for (_, content) in response["content"].as_object().expect("an answer has content") {
                validator(document, &content["schema"]);
                assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{} {status}", row.path);
            }
        }
    }
}

#[test]
fn bodies_are_refused_by_the_description_as_by_the_api() {
    let (operators, agents) = (openapi::document(Door::Operator), openapi::document(Door::Agents));
    let body = |path: &str| {
        let document = if path.starts_with("/v1/") { &agents } else { &operators };
        let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}");
        validator(document, schema)
    };
    let evaluate = body("/api/v1/rule/evaluate");
    assert!(evaluate.is_valid(&json!({"context": {"http": {"host": "a"}, "network": {"port": 1}}, "layer": "http"})));
    for wrong in [
        json!({}),
        json!({"context": {"http": {"hots": "a"}}}),
        json!({"context": {}, "x": 1}),
        json!({"context": {}, "layer": "x"}),
    ] {
        assert!(!evaluate.is_valid(&wrong), "{wrong}");
    }
    let attach = body("/api/v1/agents/attach");
    assert!(attach.is_valid(&json!({"name": "web-1"})));
    for wrong in [json!({}), json!({"name": ""}), json!({"name": "a/b"}), json!({"name": "a", "x": 1})] {
        assert!(!attach.is_valid(&wrong), "{wrong}");
    }
    let check = body("/v1/permissions/check");
    assert!(check.is_valid(&json!({"action_type": "shell_exec", "target": "git", "metadata": {"args": ["push"]}})));
    for wrong in [
        json!({"target": "git"}),
        json!({"action_type": "shell", "target": "git"}),
        json!({"action_type": "shell_exec", "target": ""}),
        json!({"action_type": "shell_exec", "target": "git", "metadata": []}),
        json!({"action_type": "shell_exec", "target": "git", "agent": "other"}),
    ] {
        assert!(!check.is_valid(&wrong), "{wrong}");
    }
    let test = body("/api/v1/dns/test");
    assert!(test.is_valid(&json!({"name": "a"})) && !test.is_valid(&json!({"record_type": "A"})));
}
