//! The table of diagnostic codes: every finding the compiler can make has a row here, from which `outcall explain`, the
//! documentation and the tests come.

use std::sync::OnceLock;

use super::Severity;
use super::{codes_files, codes_meaning};

/// One diagnostic.
#[derive(Debug, Clone, Copy)]
pub struct CodeRow {
    /// The stable code, `OC0001`. A code is never given a second meaning.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about, in a few words, lower case, no full stop.
    pub title: &'static str,
    /// The long form that `outcall explain` prints: why it is refused and what to do, in a few sentences.
    pub explain: &'static str,
    /// An example that yields this code.
    pub bad: Example,
    /// The same, put right: it yields no error and no warning. Lints may find something in an example of something else: a
    /// condition by itself is not a policy.
    pub good: Example,
}

/// An example of a diagnostic. All of them are compiled by a test.
#[derive(Debug, Clone, Copy)]
pub enum Example {
    /// A condition. It is compiled as the condition of an allow rule in a file of its own.
    Condition(&'static str),
    /// The entries of a `rules:` list, unindented (the first line begins with `- id:`).
    Rules(&'static str),
    /// A whole rule file.
    File(&'static str),
    /// Several files, by name; a name with a slash makes a directory.
    Files(&'static [(&'static str, &'static str)]),
    /// A file that cannot or should not be printed: what is shown instead, and what makes its bytes.
    Made(&'static str, fn() -> Vec<u8>),
}

impl Example {
    /// The files of the example, by name: what the tests compile.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let single = |bytes: Vec<u8>| vec![("example.yaml".to_owned(), bytes)];
        match self {
            Example::Condition(condition) => {
                let mut text =
                    String::from("version: \"1\"\nrules:\n  - id: example\n    action: allow\n    condition: |-\n");
                push_indented(&mut text, condition, "      ");
                single(text.into_bytes())
            }
            Example::Rules(rules) => {
                let mut text = String::from("version: \"1\"\nrules:\n");
                push_indented(&mut text, rules, "  ");
                single(text.into_bytes())
            }
            Example::File(text) => single(text.as_bytes().to_vec()),
            Example::Files(files) => {
                files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
            }
            Example::Made(_, make) => single(make()),
        }
    }

    /// The example as it is shown to people.
    pub fn shown(&self) -> String {
        match self {
            Example::Condition(text) | Example::Rules(text) | Example::File(text) | Example::Made(text, _) => {
                (*text).to_owned()
            }
            Example::Files(files) => {
                files.iter().map(|(name, text)| format!("# {name}\n{text}")).collect::<Vec<_>>().join("\n")
            }
        }
    }
}

fn push_indented(text: &mut String, lines: &str, indent: &str) {
    for line in lines.lines() {
        if !line.is_empty() {
            text.push_str(indent);
            text.push_str(line);
        }
        text.push('\n');
    }
}

/// Every diagnostic, ordered by code. An area adds its rows as a constant of its own and a line here.
pub fn codes() -> &'static [&'static CodeRow] {
    static ROWS: OnceLock<Vec<&'static CodeRow>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let areas: [&'static [CodeRow]; 4] =
            [codes_files::CODES, crate::cel::codes::CODES, codes_meaning::CODES, crate::decide::codes::CODES];
        let lints = crate::lints::LINTS.iter().map(|lint| &lint.row);
        let mut rows: Vec<&'static CodeRow> = areas.into_iter().flatten().chain(lints).collect();
        rows.sort_by_key(|row| row.code);
        rows
    })
}

/// The row of a code.
pub fn row(code: &str) -> Option<&'static CodeRow> {
    let rows = codes();
    rows.binary_search_by_key(&code, |row| row.code).ok().and_then(|at| rows.get(at).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_well_formed_code_of_its_own_and_its_texts() {
        let rows = codes();
        for row in rows {
            assert!(row.code.len() == 6 && row.code.starts_with("OC"), "{}", row.code);
            assert!(row.code.bytes().skip(2).all(|byte| byte.is_ascii_digit()), "{}", row.code);
            assert_eq!(rows.iter().filter(|other| other.code == row.code).count(), 1, "{} twice", row.code);
            assert!(row.explain.len() > 40 && row.explain.ends_with('.'), "{} needs a long form", row.code);
            assert!(!row.title.is_empty() && !row.title.ends_with('.'), "{}", row.code);
            assert!(!row.bad.shown().is_empty() && !row.good.shown().is_empty(), "{} needs examples", row.code);
        }
    }
}
