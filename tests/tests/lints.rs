//! Lints: each has a case that fires and a near miss that stays silent, the page is that of the table, the example
//! policies are clean, and large policies are looked at quickly.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outcall_compiler::diag::render::{Colour, human};
use outcall_compiler::diag::{Finding, Severity};
use outcall_compiler::lints::{LINTS, page};
use outcall_compiler::{Missing, compile, lints};
use outcall_tests::{golden, scale};

fn case(name: &str) -> PathBuf {
    golden::directory().join("diagnostics").join(format!("lint-{name}"))
}

fn findings(path: &Path) -> Vec<Finding> {
    compile(&[path.to_owned()], Missing::Refused).findings
}

#[test]
fn the_page_is_that_of_the_table() {
    golden::check_file(&golden::root().join("compiler/LINTS.md"), &page());
}

#[test]
fn every_lint_has_a_case_that_fires_and_a_near_miss_that_stays_silent() {
    for lint in LINTS {
        let case = case(lint.name);
        let found = findings(&case.join("fires.yaml"));
        let own = found.iter().filter(|finding| finding.code == lint.row.code).count();
        assert!(own > 0, "{}: fires.yaml yields {}", lint.name, human(&found, Colour::Never));
        let quiet = compile(&[case.join("quiet.yaml")], Missing::Refused);
        assert!(quiet.artifacts.is_some() && !quiet.policy.rules.is_empty(), "{}: quiet.yaml", lint.name);
        let text = human(&quiet.findings, Colour::Never);
        assert!(quiet.findings.is_empty(), "{}: quiet.yaml is not:\n{text}", lint.name);
        // Together they are a golden case, in which whatever is found is found in the one that fires.
        let both = findings(&case);
        let place = |finding: &Finding| finding.span.as_ref().map(|span| span.file.name.clone());
        let astray: Vec<_> = both.iter().filter(|it| place(it).as_deref() == Some("quiet.yaml")).collect();
        assert!(astray.is_empty(), "{}: {astray:#?}", lint.name);
    }
}

#[test]
fn every_lint_says_what_to_write_instead() {
    for lint in LINTS {
        for finding in findings(&case(lint.name).join("fires.yaml")) {
            let help = finding.help.as_deref().unwrap_or_default();
            assert!(finding.is_error() || !help.is_empty(), "{}: {}", lint.name, finding.message);
            let line = |text: &str| !text.contains('\n') && !text.ends_with('.');
            assert!(line(&finding.message) && line(help), "{}: {}\n{help}", lint.name, finding.message);
        }
    }
}

#[test]
fn the_example_policies_are_clean() {
    let found = findings(&golden::root().join("rules.d"));
    assert!(found.is_empty(), "{}", human(&found, Colour::Never));
}

#[test]
fn the_golden_policies_have_no_lint_that_is_an_error() {
    for lint in LINTS {
        assert_ne!(lint.row.severity, Severity::Error, "{} would refuse a policy that can be enforced", lint.name);
    }
}

/// Ten times the rules take about ten times as long, and ten thousand of them no time that anybody waits for. The bound is
/// for a debug build on a busy machine; a release build takes a tenth of it.
#[test]
fn large_policies_are_looked_at_quickly() {
    let elapsed = |rules: usize| {
        let directory = tempfile::tempdir().unwrap();
        scale::write(scale::Kind::Mixed, rules, directory.path()).unwrap();
        let policy = compile(&[directory.path().to_owned()], Missing::Refused).policy;
        assert_eq!(policy.rules.len(), rules);
        let begun = Instant::now();
        let found = lints::check(&policy);
        let elapsed = begun.elapsed();
        println!("{rules} rules: {} findings in {elapsed:?}", found.len());
        elapsed
    };
    let (small, large) = (elapsed(1_000), elapsed(10_000));
    assert!(large < Duration::from_secs(4), "{large:?}");
    assert!(large < small * 40 + Duration::from_millis(200), "{small:?} and then {large:?}");
}
