//! Every diagnostic, as people see it: one folder a case under `golden/diagnostics`, the rule files beside what the
//! compiler says about them.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outcall_compiler::diag::render::{Colour, human};
use outcall_compiler::diag::{CodeRow, Example, Finding, Severity, codes, row};
use outcall_compiler::fix::{Scope, fix};
use outcall_compiler::lints::{Check, LINTS};
use outcall_compiler::resolve::PresetTests;
use outcall_compiler::{Missing, compile, compile_files, source};
use outcall_tests::golden;

/// In a case's folder, in place of rule files: the code whose example in the table is meant, for files that cannot be
/// checked in (a mebibyte, a directory).
const EXAMPLE_OF: &str = "example-of";

#[test]
fn every_case_says_what_it_said() {
    golden::run(|| {
        for case in cases() {
            let (text, _) = report(&case);
            golden::check(&case, "diagnostics", &text);
        }
    });
}

#[test]
fn there_are_enough_cases_and_each_says_something() {
    let cases = cases();
    assert!(cases.len() >= 45, "{}", cases.len());
    for case in cases {
        assert!(!report(&case).1.is_empty(), "{} finds nothing", case.display());
    }
}

#[test]
fn every_code_has_a_case() {
    let shown: BTreeSet<&str> = cases().iter().flat_map(|case| report(case).1).map(|finding| finding.code).collect();
    let missing: Vec<&str> = codes().iter().map(|row| row.code).filter(|code| !shown.contains(code)).collect();
    assert!(missing.is_empty(), "no case under golden/diagnostics shows {missing:?}");
    let unknown: Vec<&&str> = shown.iter().filter(|code| row(code).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not in the table");
}

#[test]
fn every_code_s_bad_example_yields_it_and_the_good_one_nothing() {
    let directory = tempfile::tempdir().unwrap();
    for row in codes() {
        let bad = compiled(&row.bad, &directory.path().join(row.code).join("bad"));
        let found = bad.iter().find(|finding| finding.code == row.code);
        assert!(found.is_some(), "{}: the bad example yields {bad:#?}", row.code);
        assert_eq!(found.map(|finding| finding.severity), Some(row.severity), "{}", row.code);
        let mut good = compiled(&row.good, &directory.path().join(row.code).join("good"));
        // What shows how to write a condition need not be a policy that lints are content with; a lint's own example is.
        let strict = is_lint(row.code);
        let exact = |code: &str| {
            code != row.code && LINTS.iter().any(|lint| lint.row.code == code && matches!(lint.check, Check::Exact(_)))
        };
        good.retain(|finding| finding.severity != Severity::Note && (strict || !is_lint(finding.code)));
        // A rule without the others that a policy has around it may do nothing.
        good.retain(|finding| !exact(finding.code));
        assert!(good.is_empty(), "{}: the good example yields {good:#?}", row.code);
    }
}

#[test]
fn every_fix_mends_what_it_is_for() {
    for case in cases() {
        for finding in report(&case).1 {
            let Some(fix) = &finding.fix else { continue };
            let text = &fix.span.file.text;
            let mended = format!("{}{}{}", &text[..fix.span.start], fix.replacement, &text[fix.span.end..]);
            let directory = tempfile::tempdir().unwrap();
            std::fs::write(directory.path().join(&fix.span.file.name), mended).unwrap();
            let left = compile(&[directory.path().to_owned()], Missing::Refused).findings;
            let same =
                left.iter().filter(|other| (other.code, &other.message) == (finding.code, &finding.message)).count();
            let before = report(&case).1;
            let were =
                before.iter().filter(|other| (other.code, &other.message) == (finding.code, &finding.message)).count();
            assert!(same < were, "{}: the fix of {} leaves {left:#?}", case.display(), finding.code);
        }
    }
}

fn is_lint(code: &str) -> bool {
    LINTS.iter().any(|lint| lint.row.code == code)
}

#[test]
fn fixing_never_adds_an_error_and_has_an_end() {
    let errors = |findings: &[Finding]| findings.iter().filter(|finding| finding.is_error()).count();
    let mut changed = 0;
    for case in cases().into_iter().filter(|case| !case.join(EXAMPLE_OF).exists()) {
        let (files, unreadable) = source::load(std::slice::from_ref(&case), Missing::Refused);
        let before = compile_files(&files, Vec::new(), PresetTests::Left).findings;
        let fixed = fix(&files, Scope::Whole);
        assert!(errors(&fixed.findings) <= errors(&before), "{}: {:#?}", case.display(), fixed.changes);
        let again = fix(&fixed.files, Scope::Whole);
        assert_eq!(again.changes, Vec::new(), "{}", case.display());
        changed += usize::from(!fixed.changes.is_empty() && unreadable.is_empty());
    }
    assert!(changed >= 10, "{changed}");
}

fn cases() -> Vec<PathBuf> {
    let directory = golden::directory().join("diagnostics");
    let mut cases: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// What is found in a case, as text without the path that leads to it.
fn report(case: &Path) -> (String, Vec<Finding>) {
    let (findings, prefix) = match std::fs::read_to_string(case.join(EXAMPLE_OF)) {
        Ok(code) => {
            let row: &CodeRow = row(code.trim()).unwrap_or_else(|| panic!("{} names no code", case.display()));
            let directory = tempfile::tempdir().unwrap();
            (compiled(&row.bad, directory.path()), directory.path().to_owned())
        }
        Err(_) => (compile(&[case.to_owned()], Missing::Refused).findings, case.to_owned()),
    };
    let text = human(&findings, Colour::Never);
    (text.replace(&format!("{}/", prefix.display()), ""), findings)
}

fn compiled(example: &Example, directory: &Path) -> Vec<Finding> {
    std::fs::create_dir_all(directory).unwrap();
    for (name, bytes) in example.files() {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    compile(&[directory.to_owned()], Missing::Refused).findings
}
