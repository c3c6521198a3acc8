//! `outcall fmt`: another layout never says anything else, and keeps every comment.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use outcall_compiler::diag::SourceFile;
use outcall_compiler::format::{Unformatted, format};
use outcall_compiler::{Artifacts, Missing, compile, compile_files, resolve, source};
use outcall_tests::generate::{Random, layout};
use outcall_tests::golden;

fn formatted(name: &str, text: &str) -> Result<String, Unformatted> {
    format(&SourceFile::new(name, text))
}

/// Every directory of rule files in the repository.
fn directories() -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        let entries: Vec<PathBuf> = std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("it is listed").path())
            .collect();
        if entries.iter().any(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml")) {
            found.push(directory.to_owned());
        }
        entries.iter().filter(|path| path.is_dir()).for_each(|path| walk(path, found));
    }
    let mut found = Vec::new();
    walk(&golden::root().join("rules.d"), &mut found);
    walk(&golden::directory(), &mut found);
    found.sort();
    found
}

/// Artifacts with the lines of rules, and the digests that depend on them, put aside.
fn without_lines(artifacts: &Artifacts) -> [String; 2] {
    let text = &artifacts.nft;
    let mut nft = String::new();
    for (at, piece) in text.split(".yaml:").enumerate() {
        let digits =
            if at == 0 { 0 } else { piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len() };
        nft.push_str(&piece[digits..]);
        nft.push_str(".yaml:");
    }
    // The policy's digest is written into the ruleset.
    let nft = nft.lines().filter(|line| !line.contains("sha256:")).collect::<Vec<_>>().join("\n");
    let mut manifest: serde_json::Value = serde_json::from_slice(&artifacts.manifest).expect("the manifest is JSON");
    for list in ["rules", "tests"] {
        for row in manifest[list].as_array_mut().into_iter().flatten() {
            row.as_object_mut().expect("a row is an object").remove("line");
        }
    }
    manifest.as_object_mut().expect("it is an object").remove("policy_digest");
    for row in manifest["files"].as_array_mut().into_iter().flatten().filter(|row| row["name"] == "outcall.nft") {
        row.as_object_mut().expect("a row is an object").retain(|key, _| key == "name");
    }
    [nft, manifest.to_string()]
}

#[test]
fn every_rule_file_compiles_to_the_same_before_and_after() {
    let mut compiled = 0;
    let mut moved = 0;
    for directory in directories() {
        let before = compile(std::slice::from_ref(&directory), Missing::Refused);
        let Some(artifacts) = &before.artifacts else { continue };
        let (files, _) = source::load(std::slice::from_ref(&directory), Missing::Refused);
        let after: Vec<Arc<SourceFile>> = files
            .iter()
            .map(|file| {
                let text = format(file).unwrap_or_else(|why| panic!("{}: {why:?}", file.path));
                assert_eq!(
                    formatted(&file.name, &text).as_deref(),
                    Ok(text.as_str()),
                    "{} is laid out twice",
                    file.path
                );
                moved += usize::from(text != file.text);
                SourceFile::with_path(file.name.as_str(), file.path.as_str(), text)
            })
            .collect();
        let after = compile_files(&after, Vec::new(), resolve::PresetTests::Left).artifacts.expect("it still compiles");
        assert_eq!(artifacts.dns, after.dns, "{}", directory.display());
        assert_eq!(artifacts.proxy, after.proxy, "{}", directory.display());
        assert_eq!(without_lines(artifacts), without_lines(&after), "{}", directory.display());
        compiled += 1;
    }
    assert!(compiled >= 20 && moved >= 10, "{compiled} policies, {moved} files changed");
}

#[test]
fn the_example_policies_are_in_their_canonical_layout() {
    let directories = [golden::root().join("rules.d"), golden::root().join("rules.d/presets")];
    for file in directories.into_iter().flat_map(|directory| source::load(&[directory], Missing::Refused).0) {
        let command = "run `outcall fmt rules.d rules.d/presets`";
        assert_eq!(format(&file).as_deref(), Ok(file.text.as_str()), "{command}: {}", file.path);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_left_alone_with_what_is_wrong() {
    let mut refused = 0;
    for directory in directories() {
        for file in source::load(&[directory], Missing::Refused).0 {
            match format(&file) {
                Ok(_) => {}
                Err(Unformatted::Errors(findings)) => {
                    assert!(!findings.is_empty() && findings.iter().all(outcall_compiler::diag::Finding::is_error));
                    refused += 1;
                }
                Err(Unformatted::Unsure) => panic!("{} has another layout", file.path),
            }
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn a_file_that_would_grow_over_the_limit_keeps_its_layout() {
    let mut text = String::from("version: 1\nrules:\n");
    for number in 0.. {
        let rule = format!("- {{action: allow, id: r{number}, condition: 'true', egress: {{ports: [443,\n80]}}}}\n");
        if text.len() + rule.len() > source::FILE_LIMIT_BYTES {
            break;
        }
        text.push_str(&rule);
    }
    assert_eq!(formatted("a.yaml", &text), Err(Unformatted::Unsure));
}

/// What a file says, without where.
fn said(text: &str) -> String {
    let file = source::decode("a.yaml", "a.yaml", text.as_bytes()).expect("it is text");
    let (policy, findings) = resolve::resolve(&[file]);
    let findings: Vec<_> = findings.iter().map(|finding| (finding.code, &finding.message)).collect();
    let mut findings: Vec<String> = findings.iter().map(|finding| format!("{finding:?}")).collect();
    findings.sort();
    let rules: Vec<String> = policy
        .rules
        .iter()
        .map(|rule| {
            format!(
                "{} {:?} {} {:?} {} {:?} {:?} {:?} {:?}",
                rule.id,
                rule.action,
                rule.priority,
                rule.description,
                rule.log,
                rule.condition_text,
                rule.egress,
                rule.hold,
                rule.inject
            )
        })
        .collect();
    let tests: Vec<String> = policy
        .tests
        .iter()
        .map(|test| format!("{} {:?} {:?} {:?}", test.name, test.layer, test.request, test.expect))
        .collect();
    format!("{rules:#?}\n{tests:#?}\n{:?}\n{findings:#?}", policy.interception)
}

#[test]
fn any_layout_of_a_file_becomes_one_that_says_the_same_and_keeps_its_comments() {
    let mut done = 0;
    for seed in 0..4000 {
        let laid = layout::file(&mut Random::new(seed));
        let text = match formatted("a.yaml", &laid.text) {
            Ok(text) => text,
            Err(why) => panic!("seed {seed}: {why:?}\n{}", laid.text),
        };
        assert_eq!(formatted("a.yaml", &text).as_deref(), Ok(text.as_str()), "seed {seed}\n{}", laid.text);
        assert_eq!(said(&laid.text), said(&text), "seed {seed}\n{}\n{text}", laid.text);
        for comment in &laid.comments {
            let shown = text.lines().filter(|line| line.ends_with(comment.as_str())).count();
            assert_eq!(shown, 1, "seed {seed}: {comment:?}\n{}\n{text}", laid.text);
        }
        assert!(!text.ends_with("\n\n") || text.contains("|+") || text.contains(">+"), "seed {seed}\n{text}");
        assert!(!text.contains('\r'), "seed {seed}");
        done += 1;
    }
    assert!(done > 1000);
}
