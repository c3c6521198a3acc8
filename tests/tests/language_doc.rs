//! `docs/language.md` is the language's contract: its tables come from the code, and every example in it compiles.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fmt::Write;
use std::path::PathBuf;

use outcall_compiler::cel::reference::{FUNCTIONS, OPERATORS, ReferenceRow};
use outcall_compiler::diag::{Example, Severity, codes};
use outcall_compiler::syntax::keys::Context;
use outcall_compiler::{Missing, compile};
use outcall_schema::field::{FIELDS, Knowledge};
use outcall_schema::layer::{Layer, Stage};
use outcall_tests::golden;

fn page() -> PathBuf {
    golden::root().join("docs/language.md")
}

#[test]
fn the_tables_are_those_of_the_code() {
    let written = std::fs::read_to_string(page()).unwrap();
    let mut text = written.clone();
    for (name, table) in [
        ("keys", keys()),
        ("fields", fields()),
        ("operators", reference(OPERATORS)),
        ("functions", reference(FUNCTIONS)),
        ("layers", layers()),
        ("diagnostics", diagnostics()),
    ] {
        let begin = format!("<!-- generated: {name} -->\n");
        let start = text.find(&begin).unwrap_or_else(|| unreachable!("{begin}")) + begin.len();
        let end = start + text[start..].find("<!-- end -->").unwrap();
        text.replace_range(start..end, &format!("\n{table}\n"));
    }
    golden::check_file(&page(), &text);
}

#[test]
fn every_example_compiles() {
    let text = std::fs::read_to_string(page()).unwrap();
    let mut compiled = 0;
    for (language, block) in blocks(&text) {
        let examples: Vec<Example> = match language {
            "yaml" if block.starts_with("- id:") => vec![Example::Rules(leak(block))],
            "yaml" => vec![Example::File(leak(block))],
            "cel" => block.lines().map(|line| Example::Condition(leak(line))).collect(),
            other => unreachable!("what is a block of {other:?}?"),
        };
        for example in examples {
            let directory = tempfile::tempdir().unwrap();
            for (name, bytes) in example.files() {
                std::fs::write(directory.path().join(name), bytes).unwrap();
            }
            let mut findings = compile(&[directory.path().to_owned()], Missing::Refused).findings;
            // A condition that is shown by itself is not a whole rule, so only its errors count.
            findings.retain(|it| if language == "cel" { it.is_error() } else { it.severity != Severity::Note });
            assert!(findings.is_empty(), "{block}\n{findings:#?}");
            compiled += 1;
        }
    }
    assert!(compiled >= 12, "{compiled}");
}

fn leak(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// The fenced blocks with their languages.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

/// A cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn keys() -> String {
    let mut out = String::new();
    for context in Context::ALL {
        writeln!(out, "### Keys of {}\n\n| key | takes | when left out | |\n|---|---|---|---|", context.name())
            .unwrap();
        for row in context.keys() {
            writeln!(out, "| `{}` | {} | {} | {} |", row.key, cell(row.takes), cell(row.default), cell(row.doc))
                .unwrap();
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn fields() -> String {
    let mut out = String::from("| field | type | value | for example |\n|---|---|---|---|\n");
    for row in FIELDS {
        writeln!(out, "| `{}` | {} | {} | `{}` |", row.name, row.ty.name(), cell(row.doc), cell(row.example)).unwrap();
    }
    out
}

fn reference(rows: &[ReferenceRow]) -> String {
    let mut out = String::from("| | types | | for example |\n|---|---|---|---|\n");
    for row in rows {
        let names: Vec<String> = match row.name {
            name @ ("? :" | ". [ ]") => vec![format!("`{name}`")],
            name => name.split(' ').map(|name| format!("`{}`", cell(name))).collect(),
        };
        writeln!(out, "| {} | {} | {} | `{}` |", names.join(" "), cell(row.types), cell(row.doc), cell(row.example))
            .unwrap();
    }
    out
}

fn layers() -> String {
    let asked = |layer| match layer {
        Layer::Dns => "the DNS filter gets a query",
        Layer::Network => "a packet or a raw connection needs a verdict",
        Layer::Connect => "a CONNECT request or a transparent TLS connection arrives",
        Layer::Http => "the head of a plain-text HTTP request has been read",
        Layer::Https => "the head of a request inside terminated TLS has been read",
        Layer::Response => "a response's head is on its way back (hold and enrich only)",
        Layer::Docker => "a container is to be created or an image pulled",
        Layer::Run => "the agent's shim asks for permission",
    };
    let mut out = String::from("| layer | asked when | knows |\n|---|---|---|\n");
    for layer in Layer::ALL {
        let known: Vec<String> = FIELDS
            .iter()
            .filter_map(|row| {
                let late = match row.field.knowledge(layer)? {
                    Knowledge::Always(always) => format!(" (always `{always}`)"),
                    Knowledge::From(Stage::Head) => String::new(),
                    Knowledge::From(Stage::Hello) => " (after the ClientHello)".to_owned(),
                    Knowledge::From(Stage::Address) => " (after resolution)".to_owned(),
                    Knowledge::From(Stage::Body) => " (after the body)".to_owned(),
                };
                Some(format!("`{}`{late}", row.name))
            })
            .collect();
        writeln!(out, "| `{layer}` | {} | {} |", asked(layer), known.join(", ")).unwrap();
    }
    out
}

fn diagnostics() -> String {
    let mut out = String::from("| code | | about |\n|---|---|---|\n");
    for row in codes() {
        writeln!(out, "| {} | {} | {} |", row.code, row.severity.name(), cell(row.title)).unwrap();
    }
    out
}
