//! `outcall schema`: takes what the compiler takes, and refuses what it refuses where a schema can say so.
#![cfg(test)]

use std::path::PathBuf;

use granit_parser::ScalarStyle;
use jsonschema::Validator;
use outcall_compiler::diag::{Finding, SourceFile, codes};
use outcall_compiler::source::{self, Node, NodeKind};
use outcall_compiler::{Missing, compile, schema_json};
use outcall_tests::golden;
use serde_json::{Map, Value};

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema_json::rule_file()).expect("it is a schema")
}

/// A rule file as an editor's YAML reader sees it (the core schema of YAML 1.2).
fn value(node: &Node<'_>) -> Value {
    match &node.kind {
        NodeKind::Scalar(scalar) if scalar.style != ScalarStyle::Plain => scalar.text.as_ref().into(),
        NodeKind::Scalar(scalar) => match scalar.text.as_ref() {
            "" | "~" | "null" => Value::Null,
            "true" => true.into(),
            "false" => false.into(),
            text => text.parse::<i64>().map_or_else(|_| text.into(), Value::from),
        },
        NodeKind::List(items) => items.iter().map(value).collect(),
        NodeKind::Mapping(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.to_string(), value(&entry.value))).collect::<Map<_, _>>(),
        ),
        NodeKind::Refused => Value::Null,
    }
}

fn instance(text: &str) -> Value {
    let file = SourceFile::new("a.yaml", text);
    let (document, _) = source::yaml::read(&file);
    document.root.as_ref().map_or(Value::Null, value)
}

#[test]
fn the_schema_is_the_one_that_was_reviewed() {
    golden::run(|| {
        let text = format!("{:#}", schema_json::rule_file());
        golden::check(&golden::directory().join("schema"), "rule-file", &text);
    });
}

#[test]
fn every_rule_file_that_compiles_is_valid() {
    let validator = validator();
    let mut directories = vec![golden::root().join("rules.d")];
    let cases = std::fs::read_dir(golden::directory().join("artifacts")).expect("the cases are there");
    directories.extend(cases.map(|case| case.expect("it is listed").path().join("rules")));
    let mut checked = 0;
    for file in
        directories.iter().flat_map(|path: &PathBuf| source::load(std::slice::from_ref(path), Missing::Refused).0)
    {
        valid(&validator, &file.path, &file.text);
        checked += 1;
    }
    for row in codes() {
        for (name, bytes) in row.good.files() {
            valid(&validator, &format!("{} {name}", row.code), &String::from_utf8_lossy(&bytes));
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}

fn valid(validator: &Validator, name: &str, text: &str) {
    let instance = instance(text);
    let errors: Vec<String> =
        validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}

#[test]
fn what_is_wrong_with_the_structure_is_refused() {
    /// The diagnostics about structure that a schema can make. Others are about text, other files or conditions.
    const STRUCTURAL: [&str; 15] = [
        "OC0015", "OC0016", "OC0017", "OC0018", "OC0019", "OC0020", "OC0022", "OC0023", "OC0026", "OC0027", "OC0028",
        "OC0029", "OC0030", "OC0034", "OC0037",
    ];
    let validator = validator();
    let directory = tempfile::tempdir().expect("a directory");
    for code in STRUCTURAL {
        let row = outcall_compiler::diag::row(code).expect("it is in the table");
        for (name, bytes) in row.bad.files() {
            assert!(!validator.is_valid(&instance(&String::from_utf8_lossy(&bytes))), "{code}: {}", row.bad.shown());
            let path = directory.path().join(name);
            std::fs::write(&path, bytes).expect("it can be written");
            let findings = compile(&[path], Missing::Refused).findings;
            assert!(findings.iter().any(Finding::is_error), "{code}");
        }
    }
}

#[test]
fn the_fields_of_tests_are_those_of_conditions() {
    let schema = schema_json::rule_file();
    let namespaces = &schema["$defs"]["test"]["properties"]["request"]["properties"];
    for row in outcall_schema::field::FIELDS {
        let (namespace, name) = row.name.split_once('.').expect("a field has a namespace");
        assert!(namespaces[namespace]["properties"][name].is_object(), "{}", row.name);
    }
}
