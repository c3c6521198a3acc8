//! Findings in the form that code scanning reads: SARIF 2.1.0.
//!
//! Columns are counted in Unicode code points, as everywhere in outcall, and `columnKind` says so. A finding in the text of
//! a preset is reported where a rule file uses the preset, because nobody can open the text.

use std::collections::HashMap;
use std::path::Path;

use outcall_schema::artifact::digest::Digest;
use serde_json::{Value, json};

use super::{CodeRow, Finding, Fix, SourceSpan, codes};

/// The schema that the document names: the standard with its errata.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The name of a finding's fingerprint; a change in what it is made from is a new version.
const FINGERPRINT: &str = "outcall/v1";

/// The findings as one SARIF log with one run, in the order given.
pub fn sarif(findings: &[Finding]) -> Value {
    let rules: Vec<Value> = codes().iter().map(|row| rule(row)).collect();
    let mut seen = HashMap::new();
    let results: Vec<Value> = findings.iter().map(|finding| result(finding, &mut seen)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "outcall",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            // Whether all of the policy was looked at.
            "invocations": [{ "executionSuccessful": !findings.iter().any(Finding::is_unreadable) }],
            "results": results,
        }],
    })
}

fn rule(row: &CodeRow) -> Value {
    let (bad, good) = (row.bad.shown(), row.good.shown());
    json!({
        "id": row.code,
        "shortDescription": { "text": sentence(row.title) },
        "fullDescription": { "text": row.explain },
        "help": {
            "text": format!("{}\n\nFor example:\n\n{bad}\nInstead:\n\n{good}", row.explain),
            "markdown": format!("{}\n\nFor example:\n\n{}\nInstead:\n\n{}", row.explain, fenced(&bad), fenced(&good)),
        },
        "defaultConfiguration": { "level": row.severity.name() },
    })
}

fn result(finding: &Finding, seen: &mut HashMap<String, usize>) -> Value {
    let index = codes().iter().position(|row| row.code == finding.code);
    let mut text = sentence(&finding.message);
    if let Some(help) = &finding.help {
        text = format!("{text}\n{}", sentence(help));
    }
    let mut out = json!({
        "ruleId": finding.code,
        "level": finding.severity.name(),
        "message": { "text": text },
        "partialFingerprints": { FINGERPRINT: fingerprint(finding, seen) },
    });
    let Some(fields) = out.as_object_mut() else { return out };
    fields.extend(index.map(|index| ("ruleIndex".to_owned(), index.into())));
    if let Some(span) = &finding.span {
        let mut location = json!({ "physicalLocation": physical(finding.used_at().unwrap_or(span)) });
        if let (Some(_), Some(location)) = (finding.used_at(), location.as_object_mut()) {
            let name = format!("{}:{}", span.file.name, span.line());
            location.insert("logicalLocations".to_owned(), json!([{ "fullyQualifiedName": name, "kind": "module" }]));
        }
        fields.insert("locations".to_owned(), json!([location]));
    }
    if let (Some(fix), None) = (&finding.fix, finding.used_at()) {
        fields.insert("fixes".to_owned(), json!([change(fix)]));
    }
    out
}

fn change(fix: &Fix) -> Value {
    let title = if fix.replacement.is_empty() { "Remove this." } else { "Write this instead." };
    json!({
        "description": { "text": title },
        "artifactChanges": [{
            "artifactLocation": { "uri": uri(&fix.span.file.path) },
            "replacements": [{
                "deletedRegion": region(&fix.span),
                "insertedContent": { "text": fix.replacement },
            }],
        }],
    })
}

fn physical(span: &SourceSpan) -> Value {
    let mut out = json!({ "artifactLocation": { "uri": uri(&span.file.path) } });
    // A file that could not be read has no lines.
    if let (false, Some(fields)) = (span.file.text.is_empty(), out.as_object_mut()) {
        fields.insert("region".to_owned(), region(span));
    }
    out
}

/// A region's end is the column after its last character (SARIF 2.1.0, section 3.30.8).
fn region(span: &SourceSpan) -> Value {
    let (start, end) = (span.position(), span.end_position());
    json!({ "startLine": start.line, "startColumn": start.column, "endLine": end.line, "endColumn": end.column })
}

/// A path as a URI reference (RFC 3986, section 4.1): relative as it was given, or a `file` URI.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    if Path::new(path).is_absolute() {
        out.push_str("file://");
    }
    for byte in path.trim_start_matches("./").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => out.push(char::from(byte)),
            // A colon as well: in the first segment it would end a scheme.
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What stays the same when lines above a finding come and go: its code, file, message and the text it marks, and how many
/// like it came before.
fn fingerprint(finding: &Finding, seen: &mut HashMap<String, usize>) -> String {
    let (file, text) = finding.span.as_ref().map_or(("", ""), |span| (span.file.name.as_str(), span.text()));
    let key = [finding.code, file, &finding.message, text].map(|part| format!("{}:{part}", part.len())).concat();
    let before = seen.entry(key.clone()).or_default();
    *before += 1;
    Digest::of(format!("{before}:{key}").as_bytes()).to_string().trim_start_matches("sha256:").to_owned()
}

/// A message as a sentence, as SARIF wants them.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.by_ref().take(1).flat_map(char::to_uppercase).collect();
    let end = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{end}", characters.as_str())
}

/// Text as a Markdown block, which no run of backticks in it can end.
fn fenced(text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}yaml\n{}\n{fence}\n", text.trim_end_matches('\n'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_uri_references() {
        for (path, expected) in [
            ("rules.d/a.yaml", "rules.d/a.yaml"),
            ("./rules.d/a.yaml", "rules.d/a.yaml"),
            ("/etc/outcall/a b.yaml", "file:///etc/outcall/a%20b.yaml"),
            ("http://evil.test/x.yaml", "http%3A//evil.test/x.yaml"),
            ("100%/é.yaml", "100%25/%C3%A9.yaml"),
            ("a?b#c.yaml", "a%3Fb%23c.yaml"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }

    #[test]
    fn messages_are_sentences() {
        assert_eq!(sentence("there is no rule `a`"), "There is no rule `a`.");
        assert_eq!(sentence("did you mean `a`?"), "Did you mean `a`?");
        assert_eq!(sentence("`a` is empty"), "`a` is empty.");
        assert_eq!(fenced("a ``` b\n"), "````yaml\na ``` b\n````\n");
    }
}
