//! Rule files that try to break the compiler: too long, too deep, too many, and not text at all. Each has a clear error,
//! and none takes long.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::time::{Duration, Instant};

use outcall_compiler::diag::Finding;
use outcall_compiler::{Missing, compile, source};

/// What one hostile file may take on a busy machine with unoptimised code; quadratic behaviour takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Compiles one file and returns what is found.
#[track_caller]
fn findings(bytes: &[u8]) -> Vec<Finding> {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.yaml"), bytes).unwrap();
    let begun = Instant::now();
    let found = compile(&[directory.path().to_owned()], Missing::Refused).findings;
    assert!(begun.elapsed() < PATIENCE, "took {:?}", begun.elapsed());
    found
}

/// The file is refused with this code.
#[track_caller]
fn check(bytes: impl AsRef<[u8]>, code: &str) {
    let found = findings(bytes.as_ref());
    assert!(found.iter().any(|finding| finding.code == code), "no {code} among {found:#?}");
}

fn rule(condition: &str) -> String {
    format!(
        "version: \"1\"\nrules:\n  - id: a\n    description: a test\n    action: allow\n    condition: |-\n      {condition}\n"
    )
}

#[test]
fn conditions_of_64_kib_compile_and_longer_ones_are_refused() {
    const LIMIT: usize = 64 << 10;
    let hosts: Vec<String> = (0..2600).map(|number| format!("\"host-{number}.example.com\"")).collect();
    let mut condition = format!("http.host in [{}]", hosts.join(", "));
    assert!(condition.len() < LIMIT);
    condition.push_str(&" ".repeat(LIMIT - condition.len() - 1));
    condition.push('\n');
    let found = findings(rule(condition.trim_end()).as_bytes());
    assert!(found.is_empty(), "{found:#?}");
    let alternatives: Vec<String> =
        (0..1_500).map(|number| format!("http.host == \"h{number}.example.com\"")).collect();
    let alternatives = alternatives.join(" || ");
    assert!(alternatives.len() < LIMIT);
    let found = findings(rule(&alternatives).as_bytes());
    assert!(found.is_empty(), "{found:#?}");
    check(rule(&format!("http.host == \"{}\"", "a".repeat(LIMIT))), "OC0102");
}

/// Found here: of patterns that match anywhere, one automaton for a dozen doubles with each, and 400 rules took minutes.
#[test]
fn hundreds_of_patterns_that_match_anywhere_compile() {
    let mut text = String::from("version: \"1\"\nrules:\n");
    for number in 0..400 {
        text += &format!(
            "  - {{ id: r{number}, description: d, action: allow, condition: 'http.host.contains(\"a{number}b\") && \
             http.path.contains(\"x{number}y\") && http.method.matches(\"Q{number}\")' }}\n"
        );
    }
    let found = findings(text.as_bytes());
    assert!(!found.iter().any(Finding::is_error), "{found:#?}");
}

#[test]
fn conditions_nested_10_000_deep_are_refused() {
    const DEEP: usize = 10_000;
    for (open, middle, close) in [
        ("(", "true", ")"),
        ("!", "true", ""),
        ("[", "1", "]"),
        ("{1: ", "1", "}"),
        ("true ? true : ", "true", ""),
        ("true ? (", "true", ") : true"),
        ("size(", "\"\"", ")"),
    ] {
        let condition = format!("{}{middle}{}", open.repeat(DEEP), close.repeat(DEEP));
        let found = findings(rule(&condition).as_bytes());
        assert!(found.iter().any(|finding| finding.code.starts_with("OC01")), "{open}: {found:#?}");
    }
}

#[test]
fn yaml_nested_10_000_deep_is_refused() {
    const DEEP: usize = 10_000;
    check(format!("version: \"1\"\nrules: {}{}\n", "[".repeat(DEEP), "]".repeat(DEEP)), "OC0011");
    check(format!("version: \"1\"\nrules: {}\n", "[".repeat(DEEP)), "OC0011");
    check(format!("version: \"1\"\nrules: {}1{}\n", "{a: ".repeat(DEEP), "}".repeat(DEEP)), "OC0011");
    check(format!("version: \"1\"\nrules:\n{}1\n", "- ".repeat(DEEP)), "OC0011");
    check(format!("version: \"1\"\n{}\n", "? ".repeat(DEEP)), "OC0011");
    let steps: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    check(steps, "OC0011");
}

#[test]
fn yaml_bombs_are_refused_where_they_begin() {
    let mut laughs = String::from(
        "version: \"1\"\na: &a [\"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\"]\n",
    );
    for (next, last) in ('b'..='z').zip('a'..='y') {
        laughs.push_str(&format!("{next}: &{next} [{}]\n", vec![format!("*{last}"); 9].join(", ")));
    }
    check(laughs, "OC0007");
    check("version: \"1\"\na: &a [*a]\n", "OC0007");
    check("version: \"1\"\na: &a {<<: *a}\n", "OC0008");
}

#[test]
fn definitions_that_would_grow_to_gigabytes_are_refused() {
    let mut text = String::from("version: \"1\"\ndefinitions:\n");
    text.push_str(&format!("  big: http.host == \"{}\"\n", "a".repeat(60_000)));
    text.push_str("rules:\n");
    for number in 0..9000 {
        text.push_str(&format!("  - {{id: r{number}, action: allow, condition: $big}}\n"));
    }
    check(text, "OC0033");
    let mut text = String::from("version: \"1\"\ndefinitions:\n  d0: 'true'\n");
    for number in 1..10_000 {
        text.push_str(&format!("  d{number}: $d{}\n", number - 1));
    }
    check(text, "OC0033");
    let mut text = String::from("version: \"1\"\ndefinitions:\n");
    for number in 0..10_000 {
        text.push_str(&format!("  d{number}: $d{}\n", (number + 1) % 10_000));
    }
    check(text, "OC0032");
}

/// One mebibyte of the same thing over and over.
#[test]
fn files_full_of_one_thing_take_time_in_proportion() {
    const FULL: usize = 1 << 20;
    let fill = |head: &str, piece: &str| {
        let mut text = head.to_owned();
        while text.len() + piece.len() <= FULL {
            text.push_str(piece);
        }
        text
    };
    for (head, piece) in [
        ("version: \"1\"\n", "# a comment\n"),
        ("version: \"1\"\n", "# outcall: allow OC0014 why\n"),
        ("version: \"1\"\n", "\n"),
        ("version: \"1\"\nrules:\n", "  -\n"),
        ("version: \"1\"\nrules: [", "a,"),
        ("version: \"1\"\ninterception:\n  hosts:\n", "    - a.example.com\n"),
        ("version: \"1\"\ndefinitions:\n", "  a: 'true'\n"),
        ("", "a: b\n"),
        ("", "- "),
        ("", ":"),
        ("", "\""),
        ("", "'"),
        ("", "{"),
        ("", "? a\n"),
        ("", "&a "),
        ("", "!a "),
        ("", "*a "),
        ("", "a"),
        ("", "---\n"),
        ("a: |\n", "  b\n"),
        ("a: \"", "\\\n"),
        ("a: \"", "\\u0041"),
        ("a: >\n", "  b\n\n"),
        ("a: b\n", "  c\n"),
    ] {
        let begun = Instant::now();
        let found = findings(fill(head, piece).as_bytes());
        println!("{head:?} {piece:?}: {} findings in {:?}", found.len(), begun.elapsed());
    }
    let mut numbered = String::from("version: \"1\"\ndefinitions:\n");
    for number in 0..60_000 {
        numbered.push_str(&format!("  d{number}: 'true'\n"));
    }
    let found = findings(numbered.as_bytes());
    assert!(found.iter().all(|it| it.code == "OC0216"), "nobody uses them, and that is all: {:?}", found.first());
    assert_eq!(found.len(), 60_000);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_place() {
    for (bytes, line, column) in [
        (b"version: \"1\"\n\xff".as_slice(), 2, 1),
        (b"version: \"\xc3\xa9\xc3\"", 1, 12),
        (b"\xff\xfev\0e\0r\0", 1, 1),
        (b"version: \"1\"\nrules: [\xed\xa0\x80]\n", 2, 9),
        (b"version: \"1\"\n\xf0\x9f\x98", 2, 1),
    ] {
        let found = findings(bytes);
        let finding = found.iter().find(|finding| finding.code == "OC0003").unwrap();
        let position = finding.span.as_ref().unwrap().position();
        assert_eq!((position.line, position.column), (line, column), "{bytes:?}");
    }
    check(b"version: \"1\"\0\n", "OC0004");
    check(b"version: \"1\"\rrules: []\n", "OC0004");
    assert!(findings(b"\xef\xbb\xbfversion: \"1\"\n").is_empty(), "a byte order mark of UTF-8 is fine");
    assert!(findings(b"version: \"1\"\r\nrules: []\r\n").is_empty(), "so are line ends of Windows");
}

#[test]
fn files_of_one_mebibyte_are_read_and_larger_ones_are_not() {
    let mut text = String::from("version: \"1\"\n#");
    text.push_str(&"x".repeat(source::FILE_LIMIT_BYTES - text.len()));
    assert!(findings(text.as_bytes()).is_empty());
    text.push('x');
    check(text, "OC0002");
}
