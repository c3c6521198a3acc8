//! Findings for machines: SARIF logs that the standard's schema accepts and that mark and mend what people are shown, and
//! annotations of a GitHub workflow that no name can break out of.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use outcall_compiler::diag::github::github;
use outcall_compiler::diag::sarif::sarif;
use outcall_compiler::diag::{Finding, Fix, SourceFile, SourceSpan, codes};
use outcall_compiler::{Missing, compile};
use outcall_tests::golden;
use serde_json::Value;

/// The findings of every golden case and of every code's example.
fn everything() -> Vec<Vec<Finding>> {
    let cases = std::fs::read_dir(golden::directory().join("diagnostics")).unwrap();
    let mut all: Vec<Vec<Finding>> =
        cases.map(|case| compile(&[case.unwrap().path()], Missing::Refused).findings).collect();
    let directory = tempfile::tempdir().unwrap();
    for row in codes() {
        let home = directory.path().join(row.code);
        for (name, bytes) in row.bad.files() {
            let path = home.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        all.push(compile(&[home], Missing::Refused).findings);
    }
    let count: usize = all.iter().map(Vec::len).sum();
    assert!(count > 200, "{count} findings");
    all
}

fn results(log: &Value) -> &Vec<Value> {
    log["runs"][0]["results"].as_array().unwrap()
}

#[test]
fn every_log_fits_the_schema_of_the_standard() {
    let schema = golden::directory().join("sarif/sarif-schema-2.1.0.json");
    let schema = std::fs::read_to_string(schema).unwrap();
    // Two of its expressions have a bracket too many, which only lenient readers take for itself.
    let stray = r#"[a-zA-Z]{2}]?$""#;
    assert_eq!(schema.matches(stray).count(), 2);
    let schema: Value = serde_json::from_str(&schema.replace(stray, r#"[a-zA-Z]{2}\\]?$""#)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let check = |log: &Value| {
        let errors: Vec<String> =
            validator.iter_errors(log).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    };
    for findings in everything().iter().chain([&Vec::new()]) {
        check(&sarif(findings));
    }
    // The check can fail.
    for (path, broken) in [("/version", "2.0.0"), ("/runs/0/columnKind", "bytes"), ("/runs/0/results", "none")] {
        let mut log = sarif(&[]);
        *log.pointer_mut(path).unwrap() = broken.into();
        assert!(!validator.is_valid(&log), "{path}");
    }
}

#[test]
fn a_log_names_every_rule_and_each_result_one_of_them() {
    for findings in everything() {
        let log = sarif(&findings);
        let rules = log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
        assert_eq!(rules.len(), codes().len());
        assert_eq!(results(&log).len(), findings.len());
        for (result, finding) in results(&log).iter().zip(&findings) {
            let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
            assert_eq!((rule["id"].as_str(), result["ruleId"].as_str()), (Some(finding.code), Some(finding.code)));
            assert_eq!(result["level"], finding.severity.name());
            assert!(rule["help"]["markdown"].as_str().unwrap().contains("```yaml\n"), "{rule}");
        }
    }
}

/// The bytes that a SARIF region stands for: lines end with a line feed, columns count code points from 1.
fn bytes_of(text: &str, region: &Value) -> std::ops::Range<usize> {
    let offset = |line: &str, column: &str| {
        let (line, column) = (region[line].as_u64().unwrap() as usize, region[column].as_u64().unwrap() as usize);
        let start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let mut characters = text[start..].char_indices().map(|(at, _)| at).chain([text.len() - start]);
        start + characters.nth(column - 1).unwrap()
    };
    offset("startLine", "startColumn")..offset("endLine", "endColumn")
}

#[test]
fn regions_mark_and_fixes_mend_what_people_are_shown() {
    let (mut marked, mut mended) = (0, 0);
    for findings in everything() {
        for (result, finding) in results(&sarif(&findings)).iter().zip(&findings) {
            let Some(span) = &finding.span else { continue };
            let region = &result["locations"][0]["physicalLocation"]["region"];
            if span.file.text.is_empty() || finding.used_at().is_some() {
                continue;
            }
            assert_eq!(bytes_of(&span.file.text, region), span.start..span.end, "{finding:?}");
            marked += 1;
            let Some(Fix { span, replacement }) = &finding.fix else { continue };
            let change = &result["fixes"][0]["artifactChanges"][0];
            let replaced = &change["replacements"][0];
            assert_eq!(bytes_of(&span.file.text, &replaced["deletedRegion"]), span.start..span.end);
            assert_eq!(replaced["insertedContent"]["text"], *replacement);
            mended += 1;
        }
    }
    assert!(marked > 150 && mended > 20, "{marked} marked, {mended} mended");
}

fn fingerprints(text: &str) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    let findings = compile(&[directory.path().to_owned()], Missing::Refused).findings;
    let print = |result: &Value| result["partialFingerprints"]["outcall/v1"].as_str().unwrap().to_owned();
    results(&sarif(&findings)).iter().map(print).collect()
}

#[test]
fn fingerprints_tell_findings_apart_and_survive_lines_that_come_and_go() {
    let rule = |id: &str| format!("  - {{id: {id}, action: allow, condition: http.hots == \"a.example.com\"}}\n");
    let before = fingerprints(&format!("version: \"1\"\nrules:\n{}{}", rule("one"), rule("two")));
    assert_eq!(before.len(), 2);
    assert_ne!(before[0], before[1]);
    let after = fingerprints(&format!("# a comment\n\nversion: \"1\"\nrules:\n\n{}\n{}", rule("one"), rule("two")));
    assert_eq!(before, after);
    for findings in everything() {
        let log = sarif(&findings);
        let prints: BTreeSet<&str> =
            results(&log).iter().map(|it| it["partialFingerprints"]["outcall/v1"].as_str().unwrap()).collect();
        assert_eq!(prints.len(), findings.len());
    }
}

#[test]
fn a_finding_in_a_preset_stands_where_a_rule_file_uses_it() {
    let hosts: Vec<String> = (0..4000).map(|number| format!("mirror-{number}.example.com")).collect();
    let directory = tempfile::tempdir().unwrap();
    let text =
        format!("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {{hosts: [{}]}}\n", hosts.join(", "));
    std::fs::write(directory.path().join("a.yaml"), text).unwrap();
    let findings = compile(&[directory.path().to_owned()], Missing::Refused).findings;
    assert!(!findings.is_empty());
    for (result, line) in results(&sarif(&findings)).iter().zip(github(&findings).lines()) {
        let location = &result["locations"][0];
        let uri = location["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.ends_with("/a.yaml"), "{uri}");
        assert_eq!(location["physicalLocation"]["region"]["startLine"], 3);
        let name = location["logicalLocations"][0]["fullyQualifiedName"].as_str().unwrap();
        assert!(name.starts_with("preset:package-mirror:"), "{name}");
        let annotation = command(line);
        assert!(annotation.properties["file"].ends_with("/a.yaml") && annotation.properties["line"] == "3", "{line}");
        assert!(annotation.message.starts_with("preset:package-mirror:"), "{line}");
    }
}

/// A workflow command as the runner reads it.
#[derive(Debug)]
struct Annotation {
    command: String,
    properties: BTreeMap<String, String>,
    message: String,
}

/// Reads a command as the runner does: up to the next `::` come its name and properties, separated by commas.
fn command(line: &str) -> Annotation {
    let (head, message) = line.strip_prefix("::").unwrap().split_once("::").unwrap();
    let (command, properties) = head.split_once(' ').unwrap();
    let unescaped = |text: &str| text.replace("%0D", "\r").replace("%0A", "\n");
    let property = |text: &str| unescaped(text).replace("%3A", ":").replace("%2C", ",").replace("%25", "%");
    Annotation {
        command: command.to_owned(),
        properties: properties
            .split(',')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(name, value)| (name.to_owned(), property(value)))
            .collect(),
        message: unescaped(message).replace("%25", "%"),
    }
}

#[test]
fn every_finding_is_one_annotation() {
    for findings in everything() {
        let text = github(&findings);
        assert_eq!(text.lines().count(), findings.len());
        for (line, finding) in text.lines().zip(&findings) {
            let annotation = command(line);
            assert!(["error", "warning", "notice"].contains(&annotation.command.as_str()), "{line}");
            assert!(annotation.properties["title"].starts_with(finding.code), "{line}");
            assert!(annotation.message.starts_with(&finding.message), "{line}");
            let Some(span) = finding.span.as_ref().filter(|span| !span.file.text.is_empty()) else { continue };
            assert_eq!(annotation.properties["line"], span.line().to_string(), "{line}");
            let one_line = annotation.properties["line"] == annotation.properties["endLine"];
            assert_eq!(annotation.properties.contains_key("col"), one_line, "{line}");
        }
    }
}

#[test]
fn no_name_breaks_out_of_an_annotation() {
    let hostile = [
        "a,line=7::stop.yaml",
        "a\n::error::injected\r\n.yaml",
        "%0A::warning::injected.yaml",
        "a:b,c%2Cd%3Ae%25f.yaml",
        "::add-mask::x",
        "a=b title=c.yaml",
    ];
    for name in hostile {
        let file = SourceFile::new(name, "version: \"1\"\n");
        let message = format!("about {name} 100% :: , \r\n::set-output name=x::y");
        let finding = Finding::at("OC0001", SourceSpan { file, start: 0, end: 7 }, message.clone()).help(name);
        let text = github(&[finding]);
        assert_eq!(text.matches('\n').count(), 1, "{text:?}");
        assert!(!text.contains('\r') && text.ends_with('\n'), "{text:?}");
        let annotation = command(text.trim_end_matches('\n'));
        assert_eq!(annotation.command, "error");
        assert_eq!(annotation.properties["file"], name);
        assert_eq!(annotation.properties["line"], "1");
        assert_eq!((&*annotation.properties["col"], &*annotation.properties["endColumn"]), ("1", "8"));
        assert_eq!(annotation.message, format!("{message}\nhelp: {name}"));
    }
}

#[test]
fn a_file_with_such_a_name_is_annotated_by_the_command() {
    let home = tempfile::tempdir().unwrap();
    let name = "a,b:c%0A d=é.yaml";
    std::fs::create_dir(home.path().join("rules.d")).unwrap();
    std::fs::write(home.path().join("rules.d").join(name), "version: \"2\"\n").unwrap();
    let run = |format: &str| {
        let output = std::process::Command::new(outcall_tests::fixtures::world::binary("outcall"))
            .args(["compile", "rules.d", "--check", "--format", format])
            .current_dir(home.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run("github");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((lines.len(), lines[1]), (2, "Not compiled: 1 error."), "{text}");
    let annotation = command(lines[0]);
    assert_eq!(Path::new(&annotation.properties["file"]), Path::new("rules.d").join(name));
    let log: Value = serde_json::from_str(&run("sarif")).unwrap();
    let location = &results(&log)[0]["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "rules.d/a%2Cb%3Ac%250A%20d%3D%C3%A9.yaml");
    assert_eq!(location["region"]["startColumn"], 10);
}
