//! The presets in the binary: each says what it takes, passes its own tests with its example parameters, and nothing that
//! a rule file gives for a parameter becomes a part of a condition's text.
#![cfg(test)]

use std::collections::BTreeSet;
use std::fmt::Write;

use outcall_compiler::ask::Compiled;
use outcall_compiler::diag::Finding;
use outcall_compiler::diag::render::{Colour, human};
use outcall_compiler::preset::{PRESETS, PresetRow, example, find, shown};
use outcall_compiler::resolve::{Policy, from_texts};
use outcall_compiler::syntax::PresetFile;
use outcall_compiler::{Compilation, Missing, compile};
use outcall_runtime::load;
use outcall_tests::golden;

fn read(row: &PresetRow) -> PresetFile {
    row.read().unwrap_or_else(|| panic!("{} cannot be read", row.name))
}

#[track_caller]
fn compiled(compilation: &Compilation) -> Compiled {
    let findings = human(&compilation.findings, Colour::Never);
    assert!(compilation.findings.is_empty(), "{findings}");
    Compiled::of(compilation.artifacts.as_ref().unwrap()).unwrap()
}

#[test]
fn every_file_is_a_preset_and_every_preset_a_file() {
    let folder = golden::root().join("rules.d/presets");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap().trim_end_matches(".yaml").to_owned())
        .collect();
    let rows: Vec<&str> = PRESETS.iter().map(|row| row.name).collect();
    assert!(rows.is_sorted() && rows.len() >= 13, "{rows:?}");
    assert_eq!(files, rows.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>());
}

#[test]
fn every_preset_says_what_it_does_and_takes() {
    for row in PRESETS {
        let preset = read(row);
        let description = &preset.description.as_ref().unwrap().value;
        assert!(description.len() > 60 && description.ends_with('.'), "{}: {description}", row.name);
        let says = description.contains("Needs interception: ");
        assert_eq!(says, row.intercepts(), "{} says whether it needs interception", row.name);
        assert!(preset.rules.presets.is_empty(), "{} uses no other", row.name);
        for rule in &preset.rules.rules {
            let id = &rule.id.as_ref().unwrap().value;
            assert!(!rule.description.is_empty(), "{}.{id} has a description", row.name);
            assert!(id.len() <= 63 && rule.priority.is_none(), "{}.{id}", row.name);
        }
        let definitions: Vec<&str> = preset.rules.definitions.iter().map(|it| it.name.value.as_str()).collect();
        for parameter in &preset.parameters {
            let name = &parameter.name.value;
            assert!(row.text.contains(&format!("${name}")), "{}: {name} is used", row.name);
            assert!(!definitions.contains(&name.as_str()), "{}: {name} is a parameter and a definition", row.name);
            assert_eq!(parameter.pattern.is_some(), parameter.form.is_some(), "{}: {name}", row.name);
            assert!(example(parameter).is_some(), "{}: {name} has an example", row.name);
        }
    }
}

#[test]
fn every_preset_passes_its_tests_which_reach_every_rule() {
    for row in PRESETS {
        let report = compiled(&row.compile()).test();
        assert!(report.failed == 0 && report.rules_not_covered.is_empty(), "{}\n{}", row.name, report.human());
        assert!(report.tests.len() >= 8, "{} has {} tests", row.name, report.tests.len());
        let refused = report.tests.iter().filter(|test| row.text.contains(&test.name)).count();
        assert_eq!(refused, report.tests.len(), "{}: tests are the preset's own", row.name);
        let near = ["ends alike", "begins alike"].map(|what| report.tests.iter().any(|test| test.name.contains(what)));
        assert_eq!(near, [true, true], "{} tries names that look like its own", row.name);
    }
}

#[test]
fn presets_hold_what_they_promise_together() {
    // Of two for the same mirror one is enough, and the other would be without effect.
    let presets: Vec<_> = PRESETS.iter().filter(|row| row.name != "package-mirror-readonly").collect();
    let all: String = presets
        .iter()
        .map(|row| row.example().lines().skip(1).collect::<Vec<_>>().join("\n"))
        .map(|entry| match entry.strip_prefix("presets: [") {
            Some(name) => format!("  - {}\n", name.trim_end_matches(']')),
            None => entry.trim_start_matches("presets:\n").to_owned() + "\n",
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("all.yaml"), format!("version: \"1\"\npresets:\n{all}")).unwrap();
    let compilation = compile(&[directory.path().to_owned()], Missing::Refused);
    let together = compiled(&compilation);
    assert!(together.manifest.tests.is_empty(), "a preset's tests stay with it");
    assert!(together.manifest.rules.len() > presets.len());
    for row in &together.manifest.rules {
        let preset = row.file.strip_prefix("preset:").unwrap();
        assert!(row.id.starts_with(&format!("{preset}.")), "{} in {}", row.id, row.file);
        let line = find(preset).unwrap().text.lines().nth(row.line as usize - 1).unwrap();
        assert!(
            line.ends_with(&format!(" id: {}", row.id.split_once('.').unwrap().1)),
            "{}:{}: {line}",
            row.file,
            row.line
        );
    }
}

#[test]
fn no_public_package_registry_is_named() {
    // Written apart, so that this file does not name them either.
    let registries = [["crates", ".io"], ["pypi", ".org"], ["npmjs", ".org"], ["rubygems", ".org"], ["maven", ".org"]];
    for row in PRESETS {
        for name in registries.map(|name| name.concat()) {
            assert!(!row.text.contains(&name), "{} names {name}", row.name);
        }
    }
}

fn resolved(text: &str) -> (Policy, Vec<Finding>) {
    from_texts(&[("a.yaml", text)])
}

/// What the condition of the first rule of `github-push` says with this organisation, or the codes of the findings.
fn with_organisation(text: &str) -> Result<String, Vec<&'static str>> {
    let written = serde_json::Value::from(text);
    let file = format!("version: \"1\"\npresets:\n  - name: github-push\n    with: {{organisation: {written}}}\n");
    let (policy, findings) = resolved(&file);
    match findings.is_empty() {
        true => Ok(policy.rules[0].condition_text.clone()),
        false => Err(findings.iter().map(|finding| finding.code).collect()),
    }
}

#[test]
fn a_value_never_becomes_syntax() {
    let condition = with_organisation("acme").unwrap();
    assert!(condition.contains(r#"startsWith("/" + ("acme") + "/")"#), "{condition}");
    for hostile in [
        "",
        "acme\") || true || (\"",
        "acme\"",
        "$repository",
        "acme\\",
        "acme\n",
        "acme/../evil",
        "ac me",
        "acme\u{202e}",
    ] {
        let refused = with_organisation(hostile);
        assert!(
            refused.as_ref().is_err_and(|codes| codes.contains(&"OC0043") || codes.contains(&"OC0004")),
            "{refused:?}"
        );
    }
}

#[test]
fn every_parameter_has_a_form() {
    for row in PRESETS {
        for parameter in read(row).parameters {
            let bounded = parameter.pattern.is_some() || parameter.kind.name() == "hosts";
            assert!(bounded, "{}: {} takes any text; do its conditions stand that?", row.name, parameter.name.value);
        }
    }
}

#[test]
fn the_page_shows_a_preset() {
    let page = std::fs::read_to_string(golden::root().join("docs/presets.md")).unwrap();
    let text = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let row = PresetRow { name: "part", text: text.to_owned().leak() };
    let preset = read(&row);
    assert_eq!((preset.parameters.len(), preset.rules.rules.len()), (1, 1));
    assert_eq!(row.example(), "version: \"1\"\npresets:\n  - name: part\n    with: { part: guide }\n");
}

#[test]
fn hosts_are_brought_into_canonical_form() {
    let (policy, findings) = resolved(
        "version: \"1\"\npresets:\n  - name: package-mirror\n    with: {hosts: [Mirror.Example.COM., bücher.example, mirror.example.com, \"[2001:DB8::0:1]\"]}\n",
    );
    assert!(findings.is_empty(), "{findings:?}");
    let list = r#"(["mirror.example.com", "xn--bcher-kva.example", "2001:db8::1"])"#;
    assert!(policy.rules[0].condition_text.contains(list), "{}", policy.rules[0].condition_text);
}

#[test]
fn rules_of_presets_follow_the_file_s_own_and_precede_the_next_file_s() {
    let rule = |id: &str, priority: i64| {
        format!(
            "  - {{id: {id}, action: allow, condition: 'http.host == \"{id}.example.com\"', priority: {priority}}}\n"
        )
    };
    let a = format!("version: \"1\"\npresets: [openai, anthropic]\nrules:\n{}{}", rule("a-late", 200), rule("a", 100));
    let b = format!("version: \"1\"\nrules:\n{}{}", rule("b", 100), rule("b-early", 1));
    let (policy, findings) = from_texts(&[("a.yaml", &a), ("b.yaml", &b)]);
    assert!(findings.is_empty(), "{findings:?}");
    let ids: Vec<&str> = policy.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["b-early", "a", "openai.api", "anthropic.api", "b", "a-late"]);
}

#[test]
fn one_preset_can_be_used_twice_under_another_name() {
    let (policy, findings) = resolved(
        "version: \"1\"\npresets:\n  - {name: github-push, with: {organisation: one}}\n  - {name: github-push, as: two, with: {organisation: two}}\n",
    );
    assert!(findings.is_empty(), "{findings:?}");
    let pushes: Vec<(&str, &str, u32)> = policy
        .rules
        .iter()
        .filter(|rule| rule.id.ends_with(".push"))
        .map(|rule| (rule.id.as_str(), rule.span.file.name.as_str(), rule.span.line()))
        .collect();
    let line = pushes[0].2;
    assert_eq!(pushes, [("github-push.push", "preset:github-push", line), ("two.push", "preset:github-push", line)]);
}

#[test]
fn artifacts_do_not_depend_on_where_the_rules_stand() {
    let text =
        "version: \"1\"\npresets: [github-readonly, {name: package-mirror, with: {hosts: [mirror.example.com]}}]\n";
    let artifacts = [0, 1].map(|_| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        let compilation = compile(&[directory.path().to_owned()], Missing::Refused);
        compilation.artifacts.unwrap().files().map(|(name, bytes)| (name, bytes.to_vec()))
    });
    assert_eq!(artifacts[0], artifacts[1]);
}

#[test]
fn a_preset_that_needs_interception_does_not_load_without_it() {
    for row in PRESETS {
        let directory = tempfile::tempdir().unwrap();
        for (name, content) in row.compile().artifacts.unwrap().files() {
            std::fs::write(directory.path().join(name), content).unwrap();
        }
        let loaded = load::from_dir(directory.path(), load::Authority::Absent, &load::Trust::unsigned());
        assert_eq!(loaded.is_err(), row.intercepts(), "{}", row.name);
        if let Err(error) = loaded {
            assert!(error.to_string().contains("needs TLS interception"), "{}: {error}", row.name);
        }
    }
}

#[test]
fn a_policy_uses_a_bounded_number_of_presets() {
    let uses = |count: usize| {
        let uses: String = (0..count).map(|number| format!("  - {{name: openai, as: api-{number}}}\n")).collect();
        resolved(&format!("version: \"1\"\npresets:\n{uses}"))
    };
    let (policy, findings) = uses(256);
    assert!(findings.is_empty() && policy.rules.len() == 256, "{findings:?}");
    let (policy, findings) = uses(20_000);
    assert_eq!(policy.rules.len(), 256);
    assert!(findings.iter().all(|finding| finding.code == "OC0044" && finding.message.contains("more than 256")));
}

#[test]
fn a_finding_in_a_preset_says_where_it_is_used() {
    // The literal is short, the condition that it becomes too long.
    let hosts: Vec<String> = (0..4000).map(|number| format!("mirror-{number}.example.com")).collect();
    let text =
        format!("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {{hosts: [{}]}}\n", hosts.join(", "));
    let (_, findings) = resolved(&text);
    assert!(findings.iter().all(|finding| finding.code == "OC0033"), "{findings:?}");
    let printed = human(&findings, Colour::Never);
    assert!(printed.contains("--> preset:package-mirror:"), "{printed}");
    assert!(printed.contains("note: the preset is used in a.yaml:3"), "{printed}");
}

#[test]
fn the_page_lists_every_preset() {
    let path = golden::root().join("docs/presets.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut list = String::new();
    for row in PRESETS {
        let preset = read(row);
        let description = &preset.description.as_ref().unwrap().value;
        writeln!(list, "## `{}`\n\n{description}\n", row.name).unwrap();
        if !preset.parameters.is_empty() {
            list.push_str("| parameter | type | when left out | |\n|---|---|---|---|\n");
            for parameter in &preset.parameters {
                let default =
                    parameter.default.as_ref().map_or("required".to_owned(), |it| format!("`{}`", shown(&it.value)));
                let form = parameter.form.as_ref().map(|form| format!("; {form}")).unwrap_or_default();
                let (name, kind) = (&parameter.name.value, parameter.kind.name());
                writeln!(list, "| `{name}` | {kind} | {default} | {}{form} |", parameter.description).unwrap();
            }
            list.push('\n');
        }
        writeln!(list, "| rule | |\n|---|---|").unwrap();
        for rule in &preset.rules.rules {
            writeln!(list, "| `{}.{}` | {} |", row.name, rule.id.as_ref().unwrap().value, rule.description).unwrap();
        }
        writeln!(list, "\n```yaml\n{}```\n", row.example()).unwrap();
    }
    let (begin, end) = ("<!-- generated: presets -->\n", "<!-- end -->");
    let start = written.find(begin).unwrap() + begin.len();
    let stop = start + written[start..].find(end).unwrap();
    golden::check_file(&path, &format!("{}\n{list}{}", &written[..start], &written[stop..]));
}
