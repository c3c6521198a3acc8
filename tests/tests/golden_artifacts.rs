//! What policies compile to: one folder a case under `golden/artifacts`, the rules beside every artifact as text.
//!
//! Each ruleset is also checked by `nft` in a network namespace of its own, and everything is compiled twice: what comes
//! out is the same to the byte.
#![cfg(test)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use outcall_compiler::ask::Compiled;
use outcall_compiler::{Artifacts, Missing, compile, diag};
use outcall_schema::artifact::render;
use outcall_tests::golden;

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(golden::directory().join("artifacts"))
        .expect("the cases are there")
        .map(|entry| entry.expect("the cases can be listed").path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    cases
}

fn compiled(case: &Path) -> Artifacts {
    let compilation = compile(&[case.join("rules")], Missing::Refused);
    let report = diag::render::human(&compilation.findings, diag::render::Colour::Never);
    compilation.artifacts.unwrap_or_else(|| panic!("{}:\n{report}", case.display()))
}

#[test]
fn every_case_compiles_to_what_it_did() {
    golden::run(|| {
        for case in cases() {
            let artifacts = compiled(&case);
            let policy = Compiled::of(&artifacts).expect("what was compiled can be read");
            golden::check(&case, "outcall.nft", &artifacts.nft);
            golden::check(&case, "dns.table", &render::dns_table(&policy.dns, &policy.manifest));
            golden::check(&case, "proxy.prog", &render::match_program(&policy.program, &policy.manifest));
            golden::check(&case, "manifest.json", std::str::from_utf8(&artifacts.manifest).expect("JSON is text"));
        }
    });
}

#[test]
fn there_are_enough_cases() {
    assert!(cases().len() >= 12, "{}", cases().len());
}

#[test]
fn compiling_again_gives_the_same_bytes() {
    for case in cases() {
        let (first, second) = (compiled(&case), compiled(&case));
        assert_eq!(first.files(), second.files(), "{}", case.display());
    }
}

#[test]
fn the_tests_of_every_case_pass() {
    for case in cases() {
        let report = Compiled::of(&compiled(&case)).expect("what was compiled can be read").test();
        assert_eq!(report.failed, 0, "{}: {}", case.display(), report.human());
    }
}

#[test]
fn nft_takes_every_ruleset() {
    for case in cases() {
        let mut child = Command::new("unshare")
            .args(["-rn", "nft", "-c", "-f", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nft can be run in a namespace");
        child
            .stdin
            .take()
            .expect("standard input is a pipe")
            .write_all(compiled(&case).nft.as_bytes())
            .expect("nft reads its input");
        let output = child.wait_with_output().expect("nft ends");
        assert!(output.status.success(), "{}: {}", case.display(), String::from_utf8_lossy(&output.stderr));
    }
}
