//! What `outcall diff` says of realistic edits: one folder a case under `golden/diff`, the rules before and after beside
//! what a reviewer is to be told, and the answer as people, pull requests and programs read it.
#![cfg(test)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use outcall_compiler::analyse::{Change, Difference, Example, Kind, diff};
use outcall_compiler::ask::{Compiled, Decision, Question, Step, why};
use outcall_compiler::diag::SourceFile;
use outcall_compiler::resolve::{self, Policy};
use outcall_compiler::source::yaml::{self, Node, NodeKind};
use outcall_compiler::{Compilation, Missing, compile};
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;
use outcall_tests::golden;
use serde_json::{Map, Value};

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(golden::directory().join("diff")).unwrap();
    let mut cases: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

/// The rules of one side.
fn compiled(case: &Path, side: &str) -> Compilation {
    let compilation = compile(&[case.join(side)], Missing::Refused);
    let errors: Vec<_> = compilation.findings.iter().filter(|finding| finding.is_error()).collect();
    assert!(errors.is_empty(), "{}: {errors:#?}", case.display());
    compilation
}

fn both(case: &Path) -> [Compilation; 2] {
    ["old", "new"].map(|side| compiled(case, side))
}

fn askable(compilation: &Compilation) -> Compiled {
    Compiled::of(compilation.artifacts.as_ref().unwrap()).unwrap()
}

fn json(node: &Node<'_>) -> Value {
    match &node.kind {
        NodeKind::Scalar(scalar) => Value::from(scalar.text.as_ref()),
        NodeKind::List(items) => items.iter().map(json).collect(),
        NodeKind::Mapping(entries) => Value::Object(
            entries.iter().map(|entry| (entry.key.to_string(), json(&entry.value))).collect::<Map<_, _>>(),
        ),
        NodeKind::Refused => unreachable!("a file without findings has no refused node"),
    }
}

/// What a reviewer is to be told.
fn intended(case: &Path) -> Value {
    let path = case.join("intended.yaml");
    let file = SourceFile::new("intended.yaml", std::fs::read_to_string(&path).unwrap());
    let (document, findings) = yaml::read(&file);
    assert!(findings.is_empty(), "{}: {findings:?}", path.display());
    json(&document.root.unwrap())
}

/// Whether a change is the intended one: the same kind, layer and rules, and what else is said of it.
fn is_intended(change: &Value, wanted: &Value) -> bool {
    let rule = |side: &str| change[side]["id"].as_str().unwrap_or("default").to_owned();
    let example = &change["examples"][0];
    wanted.as_object().unwrap().iter().all(|(key, value)| {
        let value = value.as_str().unwrap();
        match key.as_str() {
            "kind" | "layer" | "agent" => change[key] == value,
            "before" | "after" => rule(key) == value,
            "shown" => example["request"].as_str().unwrap().contains(value),
            "where" => example["region"].to_string().contains(value),
            "what" => change["what"].as_array().unwrap().iter().any(|what| what.as_str().unwrap().contains(value)),
            other => unreachable!("no intention is called {other}"),
        }
    })
}

#[test]
fn every_case_says_what_it_said() {
    golden::run(|| {
        for case in cases() {
            let [old, new] = both(&case);
            let difference = diff(&old.policy, &new.policy);
            golden::check(&case, "human", &difference.human());
            golden::check(&case, "markdown", &difference.markdown());
            golden::check(&case, "json", &format!("{:#}", difference.json()));
        }
    });
}

#[test]
fn every_case_is_answered_as_intended() {
    for case in cases() {
        let [old, new] = both(&case);
        let difference = diff(&old.policy, &new.policy);
        let (answer, intended) = (difference.json(), intended(&case));
        let fail = |why: &str| panic!("{}: {why}\n{}", case.display(), difference.human());
        assert!(!intended["tell"].as_str().unwrap().is_empty());
        let widens = if difference.widens() { "true" } else { "false" };
        if intended["widening"] != widens {
            fail("widening is not as intended");
        }
        let mut left: Vec<&Value> = answer["changes"].as_array().unwrap().iter().collect();
        for wanted in intended["changes"].as_array().unwrap() {
            match left.iter().position(|change| is_intended(change, wanted)) {
                Some(at) => drop(left.remove(at)),
                None => fail(&format!("{wanted} is missing")),
            }
        }
        if !left.is_empty() || !difference.unproven.is_empty() {
            fail("more is said than intended");
        }
        assert_eq!(difference.is_none(), intended["changes"].as_array().unwrap().is_empty());
    }
}

/// The cells of a row as GitHub's Markdown reads them: a backslash takes the character behind it along.
fn cells(row: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut characters = row.chars();
    while let Some(character) = characters.next() {
        match (character, cells.last_mut()) {
            ('|', _) => cells.push(String::new()),
            (_, Some(cell)) => {
                cell.push(character);
                cell.extend((character == '\\').then(|| characters.next()).flatten());
            }
            (_, None) => unreachable!("there is always a cell"),
        }
    }
    cells
}

/// What of a text stands outside code spans (CommonMark, section 6.1).
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        prose.push_str(&rest[..at]);
        let fence = rest[at..].len() - rest[at..].trim_start_matches('`').len();
        let inside = &rest[at + fence..];
        let runs = inside.match_indices('`').map(|(at, _)| at).filter(|at| !inside[..*at].ends_with('`'));
        let is_end = |at: &usize| inside[*at..].len() - inside[*at..].trim_start_matches('`').len() == fence;
        let end = runs.into_iter().find(is_end).unwrap_or_else(|| panic!("a code span does not end: {text}"));
        rest = &inside[end + fence..];
    }
    prose.push_str(rest);
    prose
}

#[test]
fn nothing_from_rules_means_anything_to_markdown() {
    let mut rows = 0;
    for case in cases() {
        let [old, new] = both(&case);
        let markdown = diff(&old.policy, &new.policy).markdown();
        for row in markdown.lines().filter(|line| line.starts_with('|')) {
            let cells = cells(row);
            assert_eq!(cells.len(), 8, "six cells between bars: {row}");
            for cell in cells {
                let prose = prose(&cell).replace("<br>", "");
                let plain = prose.chars().all(|it| it.is_ascii_lowercase() || it == ' ');
                assert!(plain || prose.trim_matches('-').is_empty(), "{prose:?} in {row}");
            }
            rows += 1;
        }
        assert!(!markdown.chars().any(|it| it.is_control() && it != '\n'), "{markdown}");
    }
    assert!(rows > 80, "{rows}");
}

#[test]
fn there_are_enough_cases_of_every_kind() {
    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    let (mut kinds, mut layers, mut same) = (BTreeSet::new(), BTreeSet::new(), 0);
    for case in cases {
        let intended = intended(&case);
        let changes = intended["changes"].as_array().unwrap();
        same += usize::from(changes.is_empty());
        kinds.extend(changes.iter().map(|change| change["kind"].as_str().unwrap().to_owned()));
        layers.extend(changes.iter().map(|change| change["layer"].as_str().unwrap().to_owned()));
    }
    assert!(same >= 4, "{same} edits that change nothing");
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    assert!(layers.len() >= 7, "{layers:?}");
}

#[test]
fn artifacts_are_compared_as_the_rules_they_came_from() {
    for case in cases() {
        let sides = both(&case);
        let reread: Vec<Policy> =
            sides.iter().map(|side| resolve::from_manifest(&askable(side).manifest).unwrap()).collect();
        let [old, new] = &sides;
        let told = diff(&old.policy, &new.policy);
        for (before, after) in [(&reread[0], &reread[1]), (&old.policy, &reread[1]), (&reread[0], &new.policy)] {
            let again = diff(before, after);
            assert_eq!(again.human(), told.human(), "{}", case.display());
            assert_eq!(again.json(), told.json(), "{}", case.display());
        }
    }
}

/// What became of a request, asked of the compiled artifacts as `outcall why` does. A request at `https` is in a connection.
fn asked(policy: &Compiled, example: &Example) -> Step {
    let ask = |layer, fields: &Map<String, Value>| {
        let question = Question::Fields { layer, fields: fields.clone() };
        why(policy, &question, "", None).unwrap().steps.pop().unwrap()
    };
    match example.layer {
        Layer::Https => {
            let mut fields = example.fields.clone();
            let http = fields.get_mut("http").unwrap().as_object_mut().unwrap();
            http.retain(|name, _| matches!(name.as_str(), "host" | "scheme"));
            let connection = ask(Layer::Connect, &fields);
            if connection.decision == Decision::Intercept { ask(Layer::Https, &example.fields) } else { connection }
        }
        // What is asked about a response is what the request was allowed by.
        Layer::Response => {
            let mut fields = example.fields.clone();
            fields.remove("response");
            ask(Layer::Http, &fields)
        }
        layer => ask(layer, &example.fields),
    }
}

/// Asks the artifacts of both sides about an example.
fn confirm(change: &Change<'_>, example: &Example, sides: &[Compiled; 2]) {
    let passes = match change.kind {
        Kind::Allowed => [false, true],
        Kind::Refused => [true, false],
        Kind::Loosened | Kind::Changed | Kind::Tightened => [true, true],
    };
    for ((policy, passes), rule) in sides.iter().zip(passes).zip([change.before, change.after]) {
        let step = asked(policy, example);
        let said = matches!(step.decision, Decision::Allow | Decision::Implied | Decision::Intercept);
        let shown = format!("{} at {}: {step:?}", example.human(), example.layer);
        assert_eq!(said, passes, "{shown}");
        assert_ne!(step.decision, Decision::Undecided, "{shown}");
        if step.decision == Decision::Implied {
            continue;
        }
        assert_eq!(step.rule, rule.map_or("default", |rule| rule.id.as_str()), "{shown}");
    }
    // The port is one that is open on the side that allows more.
    let open = if change.kind.widens() { change.after } else { change.before };
    let ports = open.and_then(|rule| rule.egress.as_ref()).map(|egress| egress.ports.clone()).unwrap_or_default();
    if let Some(port) = example.get(Field::NetworkPort).and_then(Value::as_u64).filter(|_| !ports.is_empty()) {
        let within = ports.iter().any(|range| (u64::from(range.low)..=u64::from(range.high)).contains(&port));
        assert!(within, "{} at port {port}, and open are {ports:?}", example.human());
    }
}

#[test]
fn every_example_is_confirmed_by_the_artifacts_of_both_sides() {
    let mut confirmed = 0;
    for case in cases() {
        let sides = both(&case);
        let compiled = [askable(&sides[0]), askable(&sides[1])];
        let difference: Difference<'_> = diff(&sides[0].policy, &sides[1].policy);
        for change in &difference.changes {
            assert!(!change.examples.is_empty(), "{}", case.display());
            for example in &change.examples {
                confirm(change, example, &compiled);
                confirmed += 1;
            }
        }
    }
    assert!(confirmed >= 60, "{confirmed}");
}

#[test]
fn what_opens_one_way_closes_the_other_way() {
    for case in cases() {
        let [old, new] = both(&case);
        let (there, back) = (diff(&old.policy, &new.policy), diff(&new.policy, &old.policy));
        let count = |difference: &Difference<'_>, kind: Kind| {
            let changes = difference.changes.iter().filter(|change| change.kind == kind);
            changes.map(|change| change.layer.name()).collect::<BTreeSet<_>>()
        };
        for (kind, contrary) in [(Kind::Allowed, Kind::Refused), (Kind::Refused, Kind::Allowed)] {
            assert_eq!(count(&there, kind), count(&back, contrary), "{}\n{}", case.display(), back.human());
        }
        assert_eq!(there.is_none(), back.is_none(), "{}", case.display());
        for policy in [&old.policy, &new.policy] {
            assert!(diff(policy, policy).is_none(), "{}", case.display());
        }
    }
}
