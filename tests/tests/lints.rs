//! Lints: each has a case that fires and a near miss that stays silent, the page is that of the table, the example
//! policies are clean, and the analysis behind them grows with the rules.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use outcall_compiler::analyse::{Analysis, Fate};
use outcall_compiler::diag::render::{Colour, human};
use outcall_compiler::diag::{Finding, Severity, SourceSpan};
use outcall_compiler::lints::{Check, LINTS, page};
use outcall_compiler::resolve::Policy;
use outcall_compiler::{Missing, compile};
use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;
use outcall_tests::generate::condition::Conditions;
use outcall_tests::generate::request::Constants;
use outcall_tests::generate::{self, Random};
use outcall_tests::reference::policy::Rule;
use outcall_tests::reference::value::{Request, Value};
use outcall_tests::{golden, scale};

fn case(name: &str) -> PathBuf {
    golden::directory().join("diagnostics").join(format!("lint-{name}"))
}

fn findings(path: &Path) -> Vec<Finding> {
    compile(&[path.to_owned()], Missing::Refused).findings
}

/// What is found in the files of a case that fire; one lint needs two.
fn firing(case: &Path) -> Vec<Finding> {
    let files = ["fires.yaml", "fires-too.yaml"].map(|name| case.join(name));
    compile(&files.into_iter().filter(|file| file.exists()).collect::<Vec<_>>(), Missing::Refused).findings
}

#[test]
fn the_page_is_that_of_the_table() {
    golden::check_file(&golden::root().join("compiler/LINTS.md"), &page());
}

#[test]
fn every_lint_has_a_case_that_fires_and_a_near_miss_that_stays_silent() {
    for lint in LINTS {
        let case = case(lint.name);
        let exact = |code: &str| LINTS.iter().any(|it| it.row.code == code && matches!(it.check, Check::Exact(_)));
        let found = firing(&case);
        let own = found.iter().filter(|finding| finding.code == lint.row.code).count();
        assert!(own > 0, "{}: fires.yaml yields {}", lint.name, human(&found, Colour::Never));
        let quiet = compile(&[case.join("quiet.yaml")], Missing::Refused);
        assert!(quiet.artifacts.is_some() && !quiet.policy.rules.is_empty(), "{}: quiet.yaml", lint.name);
        let mut silent = quiet.findings;
        // A rule without the others that a policy has around it may do nothing; that is not what the case is about.
        silent.retain(|it| it.code == lint.row.code || !exact(it.code));
        let text = human(&silent, Colour::Never);
        assert!(silent.is_empty(), "{}: quiet.yaml is not:\n{text}", lint.name);
        // Together they are a golden case, in which whatever is found of single rules is found in the one that fires; how
        // the rules of both stand to one another is what exact analysis is about.
        let both: Vec<Finding> = findings(&case).into_iter().filter(|it| !exact(it.code)).collect();
        let place = |finding: &Finding| finding.span.as_ref().map(|span| span.file.name.clone());
        let astray: Vec<_> = both.iter().filter(|it| place(it).as_deref() == Some("quiet.yaml")).collect();
        assert!(astray.is_empty(), "{}: {astray:#?}", lint.name);
    }
}

#[test]
fn every_lint_says_what_to_write_instead() {
    for lint in LINTS {
        for finding in firing(&case(lint.name)) {
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

/// Ten times the rules take about ten times the steps, and every rule has its answer.
#[test]
fn the_analysis_grows_with_the_rules() {
    let steps = |kind: scale::Kind, rules: usize| {
        let directory = tempfile::tempdir().unwrap();
        scale::write(kind, rules, directory.path()).unwrap();
        let policy = compile(&[directory.path().to_owned()], Missing::Refused).policy;
        assert_eq!(policy.rules.len(), rules);
        let reach = Analysis::new(&policy).reach();
        assert!(!reach.fates.contains(&Fate::Unknown), "{kind:?} {rules}");
        println!("{kind:?}, {rules} rules: {} steps", reach.steps);
        reach.steps
    };
    for kind in [scale::Kind::Hosts, scale::Kind::Mixed, scale::Kind::Review] {
        let (small, large) = (steps(kind, 1_000), steps(kind, 10_000));
        assert!(large < small * 15, "{kind:?}: {small} and then {large}");
    }
}

/// A rule of a policy as the reference evaluates it.
fn reference(policy: &Policy, span: &SourceSpan) -> Option<Rule> {
    let holds =
        |whole: &SourceSpan| whole.file.path == span.file.path && (whole.start..whole.end).contains(&span.start);
    let rule = policy.rules.iter().find(|rule| rule.written.rule.as_ref().is_some_and(holds))?;
    let egress = rule.egress.clone().unwrap_or_default();
    generate::policy::rule(rule.action, rule.condition_text.clone(), egress.mode, egress.match_body, false)
}

#[test]
fn what_a_message_shows_is_what_the_rule_lets_through() {
    let mut proven = 0;
    for (name, field) in [
        ("suffix-without-dot", Field::HttpHost),
        ("host-contains", Field::HttpHost),
        ("host-pattern-open", Field::HttpHost),
        ("host-pattern-dot", Field::HttpHost),
        ("host-prefix", Field::HttpHost),
        ("path-prefix-open", Field::HttpPath),
        ("path-test-in-query", Field::HttpPath),
    ] {
        let code = LINTS.iter().find(|lint| lint.name == name).map(|lint| lint.row.code).unwrap();
        let compilation = compile(&[case(name).join("fires.yaml")], Missing::Refused);
        for finding in compilation.findings.iter().filter(|finding| finding.code == code) {
            let rule = reference(&compilation.policy, finding.span.as_ref().unwrap()).unwrap();
            let shown = finding.message.split('`').rev().nth(1).unwrap();
            let shown = if name == "path-test-in-query" { finding.message.split('`').nth(1).unwrap() } else { shown };
            if rule.action != Action::Allow {
                continue;
            }
            // The rest of the condition is a port, or the host that a path belongs to.
            let truth = [80, 443, 8080].into_iter().flat_map(|port| {
                ["docs.example.com", "api.example.com"].map(|host| {
                    let mut known = BTreeMap::from([
                        (Field::HttpHost, Value::text(host)),
                        (Field::HttpPath, Value::text("/")),
                        (Field::NetworkPort, Value::Int(port)),
                    ]);
                    known.insert(field, Value::text(shown));
                    rule.truth(Layer::Http, &Request { known, pending: Vec::new() })
                })
            });
            assert!(truth.into_iter().any(|truth| truth.yes && truth.certain()), "{name}: {}", finding.message);
            proven += 1;
        }
    }
    assert!(proven >= 14, "only {proven} values were tried");
}

/// Lints that say of one literal that the test with it never comes out another way.
const CONSTANT: [&str; 12] = [
    "OC0217", "OC0218", "OC0219", "OC0220", "OC0222", "OC0223", "OC0225", "OC0226", "OC0228", "OC0229", "OC0291",
    "OC0292",
];

#[test]
fn what_a_lint_says_never_happens_never_happens_under_the_reference() {
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(11);
    let mut tried = 0;
    for _ in 0..6_000 {
        // One test, in capitals or with a dot at its end now and then, as the generator writes canonical values.
        let mut condition = Conditions::new(&mut random, None).boolean(0);
        if random.once_in(3) {
            condition =
                condition.replacen(".com\"", ".com.\"", 1).replacen("\"/", "\"", 1).replacen("\"GET", "\"get", 1);
        } else if random.once_in(3) {
            condition = condition
                .replacen("\"example", "\"Example", 1)
                .replacen("\"tcp", "\"TCP", 1)
                .replacen("\"A\"", "\"a\"", 1);
        }
        // What is said of an element of a list is not said of the list.
        if condition.contains(['[', '?']) {
            continue;
        }
        let text =
            format!("version: \"1\"\nrules:\n  - id: a\n    action: allow\n    condition: |-\n      {condition}\n");
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        let compilation = compile(&[directory.path().to_owned()], Missing::Refused);
        let Some(finding) = compilation.findings.iter().find(|finding| CONSTANT.contains(&finding.code)) else {
            continue;
        };
        let rule = generate::policy::rule(Action::Hold, condition.clone(), EgressMode::Proxy, false, false).unwrap();
        let mut constants = Constants::default();
        constants.collect(&rule.condition);
        let truths = Layer::ALL.into_iter().flat_map(|layer| {
            (0..12).map(|_| rule.truth(layer, &constants.request(&mut random, layer))).collect::<Vec<_>>()
        });
        let (yes, no) = truths.fold((false, false), |(yes, no), truth| (yes || truth.yes, no || truth.no));
        assert!(!(yes && no), "{} is wrong of `{condition}`: {}", finding.code, finding.message);
        tried += 1;
    }
    println!("{tried}");
    assert!(tried >= 100, "{tried}");
}

#[test]
fn what_a_lint_says_of_layers_holds_under_the_reference() {
    const ASKED: [Layer; 7] =
        [Layer::Dns, Layer::Network, Layer::Connect, Layer::Http, Layer::Https, Layer::Docker, Layer::Run];
    let directory = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    let mut tried = BTreeMap::new();
    for _ in 0..4_000 {
        let condition = Conditions::new(&mut random, None).boolean(3);
        // There a part goes with one way of two, which the mark does not show.
        if condition.contains(" ? ") {
            continue;
        }
        let text =
            format!("version: \"1\"\nrules:\n  - id: a\n    action: allow\n    condition: |-\n      {condition}\n");
        std::fs::write(directory.path().join("a.yaml"), text).unwrap();
        let compilation = compile(&[directory.path().to_owned()], Missing::Refused);
        for finding in &compilation.findings {
            let layers: &[Layer] = match finding.code {
                // The part that is marked never comes out as it must, in any layer that asks.
                "OC0241" | "OC0242" => &ASKED,
                // It comes out the same way for every tunnel.
                "OC0230" | "OC0231" => &[Layer::Connect],
                _ => continue,
            };
            let part = finding.span.as_ref().unwrap().text().to_owned();
            // A part that reads a macro's variable is no condition by itself.
            let Some(part) = generate::policy::rule(Action::Allow, part, EgressMode::Proxy, false, false) else {
                continue;
            };
            let mut constants = Constants::default();
            constants.collect(&part.condition);
            let (mut yes, mut no) = (false, false);
            for layer in layers {
                for _ in 0..8 {
                    let mut request = constants.request(&mut random, *layer);
                    request.pending.clear();
                    let truth = part.truth(*layer, &request);
                    yes |= truth.yes;
                    no |= truth.no;
                }
            }
            assert!(!(yes && no), "{}: `{}` in {condition}", finding.code, part.text);
            *tried.entry(finding.code).or_insert(0) += 1;
        }
    }
    println!("{tried:?}");
    assert!(tried.len() == 4 && tried.values().all(|count| *count >= 20), "{tried:?}");
}
