//! The description of the operator's API is what the table of endpoints and the types of the bodies say.
#![cfg(test)]

use outcall_schema::api::{ENDPOINTS, Takes, openapi};
use outcall_tests::golden;
use serde_json::{Value, json};

#[test]
fn what_is_served_is_what_the_types_say() {
    let text = format!("{:#}\n", openapi::document());
    golden::check_file(&golden::directory().join("schema/openapi.json"), &text);
}

/// A validator of a schema of the document, which may refer to the others.
fn validator(document: &Value, schema: &Value) -> jsonschema::Validator {
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::draft202012::new(&whole).expect("it is a schema")
}

#[test]
fn every_endpoint_is_described_and_every_schema_can_be_used() {
    let document = openapi::document();
    assert_eq!(document["paths"].as_object().map(serde_json::Map::len), Some(ENDPOINTS.len()));
    for row in ENDPOINTS {
        let operation = &document["paths"][row.path][row.method.name().to_ascii_lowercase()];
        assert_eq!(operation["summary"], row.summary, "{}", row.path);
        assert_eq!(operation["requestBody"].is_object(), row.takes != Takes::Nothing, "{}", row.path);
        assert_eq!(operation["parameters"].is_array(), row.flag.is_some() || row.named(), "{}", row.path);
        let responses = operation["responses"].as_object().expect("it has answers");
        for (status, response) in responses {
            let named = response["$ref"].as_str().and_then(|name| document.pointer(name.trim_start_matches('#')));
            let response = named.unwrap_or(response);
            for (_, content) in response["content"].as_object().expect("an answer has content") {
                validator(&document, &content["schema"]);
                assert!(!response["description"].as_str().unwrap_or_default().is_empty(), "{} {status}", row.path);
            }
        }
    }
}

#[test]
fn bodies_are_refused_by_the_description_as_by_the_api() {
    let document = openapi::document();
    let body = |path: &str| {
        let schema = &document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{path}");
        validator(&document, schema)
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
    let test = body("/api/v1/dns/test");
    assert!(test.is_valid(&json!({"name": "a"})) && !test.is_valid(&json!({"record_type": "A"})));
}
