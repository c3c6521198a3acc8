//! Findings as annotations of a GitHub workflow: a command a line, which the runner takes from the output.
//!
//! Invariant: whatever a file or a message is called, one finding is one line and one command.

use super::{Finding, Severity, row};

/// The findings as workflow commands, in the order given.
pub fn github(findings: &[Finding]) -> String {
    findings.iter().map(annotation).collect()
}

fn annotation(finding: &Finding) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "notice",
    };
    let mut properties: Vec<(&str, String)> = Vec::new();
    let mut text = finding.message.clone();
    if let Some(own) = &finding.span {
        // In the text of a preset nothing can be annotated; where a rule file uses it can.
        let span = finding.used_at().unwrap_or(own);
        if finding.used_at().is_some() {
            text = format!("{}:{}: {text}", own.file.name, own.line());
        }
        properties.push(("file", span.file.path.trim_start_matches("./").to_owned()));
        if !span.file.text.is_empty() {
            let (start, end) = (span.position(), span.end_position());
            properties.push(("line", start.line.to_string()));
            properties.push(("endLine", end.line.to_string()));
            // Columns are shown only where an annotation stays on one line; with more lines the checks refuse them.
            if start.line == end.line {
                properties.push(("col", start.column.to_string()));
                properties.push(("endColumn", end.column.to_string()));
            }
        }
    }
    let title = row(finding.code).map_or("", |row| row.title);
    properties.push(("title", format!("{} {title}", finding.code)));
    if let Some(help) = &finding.help {
        text.push_str("\nhelp: ");
        text.push_str(help);
    }
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    format!("::{command} {}::{}\n", properties.join(","), data(&text))
}

/// The message of a command, as the runner's own toolkit escapes it.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, as the runner's own toolkit escapes it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
