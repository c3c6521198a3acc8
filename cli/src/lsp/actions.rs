//! What an editor offers to do about a finding.

use outcall_compiler::diag::{Finding, SourceFile, SourceSpan, quoted};
use outcall_compiler::language::suppression;
use serde_json::{Value, json};

use super::server::diagnostic;
use super::text::Encoding;

/// The finding's fix, and for one that is no error the comment that suppresses it.
pub(super) fn of(
    finding: &Finding,
    place: &SourceSpan,
    encoding: Encoding,
    uri: impl Fn(&SourceFile) -> String,
) -> Vec<Value> {
    let told = diagnostic(finding, place, encoding);
    let action = |title: String, file: &SourceFile, range: Value, text: &str, preferred: bool| {
        json!({
            "title": title,
            "kind": "quickfix",
            "diagnostics": [told],
            "isPreferred": preferred,
            "edit": { "changes": { uri(file): [{ "range": range, "newText": text }] } },
        })
    };
    let mut found = Vec::new();
    if let Some(fix) = &finding.fix {
        let file = &fix.span.file;
        let title = match fix.replacement.trim() {
            "" => format!("Remove {}", quoted(fix.span.text())),
            text => format!("Write {}", quoted(text)),
        };
        let range = encoding.range(&file.text, fix.span.start..fix.span.end);
        found.push(action(title, file, range, &fix.replacement, true));
    }
    if !finding.is_error()
        && finding.used_at().is_none()
        && let Some((at, indent)) = suppression(&place.file, place.start)
    {
        let text = format!("{indent}# outcall: allow {} say why\n", finding.code);
        let range = encoding.range(&place.file.text, at..at);
        found.push(action(format!("Suppress {} with a comment", finding.code), &place.file, range, &text, false));
    }
    found
}
