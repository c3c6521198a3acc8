//! How findings are printed: for people with the source beside them, for programs as one JSON document.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Patch, Renderer, Snippet};
use serde::Serialize;

use super::{Finding, Fix, Severity, SourceSpan};

/// Whether the output may carry colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Plain text.
    Never,
    /// ANSI escape sequences, for a terminal.
    Always,
}

/// Lines of a long span that are shown; the rest is cut so that one finding stays on one screen.
const SHOWN_LINES: u32 = 8;

/// The findings as text for people, each with its source line and the place marked, in the order given.
pub fn human(findings: &[Finding], colour: Colour) -> String {
    let renderer = match colour {
        Colour::Never => Renderer::plain(),
        Colour::Always => Renderer::styled(),
    };
    let mut out = String::new();
    for finding in findings {
        out.push_str(&one(finding, &renderer));
        out.push_str("\n\n");
    }
    out
}

fn one(finding: &Finding, renderer: &Renderer) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let title = level.primary_title(finding.message.as_str()).id(finding.code);
    let mut group = match &finding.span {
        Some(span) if span.file.text.is_empty() => title.element(Origin::path(span.file.path.as_str())),
        Some(span) => {
            let window = Window::around(span);
            title.element(window.snippet().annotation(AnnotationKind::Primary.span(window.range(span))))
        }
        None => Group::with_title(title),
    };
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    if let Some(used_at) = finding.used_at() {
        group = group.element(Level::NOTE.message(format!(
            "the preset is used in {}:{}",
            used_at.file.path,
            used_at.line()
        )));
    }
    let mut report = vec![group];
    if let Some(Fix { span, replacement }) = &finding.fix {
        let window = Window::around(span);
        let title = if replacement.is_empty() { "remove this" } else { "write instead" };
        report.push(
            Level::HELP
                .secondary_title(title)
                .element(window.snippet().patch(Patch::new(window.range(span), replacement.as_str()))),
        );
    }
    renderer.render(&report)
}

/// The lines of a file that a span needs. A renderer that is given whole files takes time quadratic in their length.
struct Window<'a> {
    span: &'a SourceSpan,
    start: usize,
    end: usize,
    line: u32,
}

impl<'a> Window<'a> {
    fn around(span: &'a SourceSpan) -> Window<'a> {
        let file = &span.file;
        let first = file.line(span.start);
        let last = file.line(span.end.max(span.start)).min(first + SHOWN_LINES);
        Window { span, start: file.line_start(first), end: file.line_start(last + 1), line: first }
    }

    fn snippet<T: Clone>(&self) -> Snippet<'a, T> {
        let text = self.span.file.text.get(self.start..self.end).unwrap_or_default();
        Snippet::source(text.strip_suffix('\n').unwrap_or(text))
            .line_start(usize::try_from(self.line).unwrap_or(usize::MAX))
            .path(self.span.file.path.as_str())
    }

    fn range(&self, span: &SourceSpan) -> std::ops::Range<usize> {
        let start = span.start.clamp(self.start, self.end) - self.start;
        let end = span.end.clamp(self.start, self.end) - self.start;
        start..end.max(start)
    }
}

/// A finding as `--format json` prints it.
#[derive(Debug, Serialize)]
struct JsonFinding<'a> {
    code: &'a str,
    severity: &'a str,
    message: &'a str,
    #[serde(flatten)]
    place: JsonPlace<'a>,
    help: Option<&'a str>,
    fix: Option<JsonFix<'a>>,
    /// For a finding in the text of a preset, where a rule file uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    used_at: Option<JsonPlace<'a>>,
}

#[derive(Debug, Serialize)]
struct JsonFix<'a> {
    #[serde(flatten)]
    place: JsonPlace<'a>,
    replacement: &'a str,
}

/// Lines and columns count from 1, columns in characters; the end is the position after the last character.
#[derive(Debug, Default, Serialize)]
struct JsonPlace<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    column: Option<u32>,
    end_line: Option<u32>,
    end_column: Option<u32>,
}

impl<'a> JsonPlace<'a> {
    fn of(span: &'a SourceSpan) -> JsonPlace<'a> {
        let (start, end) = (span.position(), span.end_position());
        JsonPlace {
            file: Some(&span.file.path),
            line: Some(start.line),
            column: Some(start.column),
            end_line: Some(end.line),
            end_column: Some(end.column),
        }
    }
}

/// The findings as a JSON value: an array in the order given.
pub fn json(findings: &[Finding]) -> serde_json::Value {
    let rows: Vec<JsonFinding<'_>> = findings
        .iter()
        .map(|finding| JsonFinding {
            code: finding.code,
            severity: finding.severity.name(),
            message: &finding.message,
            place: finding.span.as_ref().map(JsonPlace::of).unwrap_or_default(),
            help: finding.help.as_deref(),
            fix: finding
                .fix
                .as_ref()
                .map(|fix| JsonFix { place: JsonPlace::of(&fix.span), replacement: &fix.replacement }),
            used_at: finding.used_at().map(JsonPlace::of),
        })
        .collect();
    serde_json::to_value(rows).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::SourceFile;
    use super::*;

    fn finding() -> Finding {
        let file = SourceFile::new("a.yaml", "version: \"1\"\nrulez: []\n");
        let span = SourceSpan { file, start: 13, end: 18 };
        Finding::at("OC0001", span.clone(), "unknown key `rulez`").help("did you mean `rules`?").fix(span, "rules")
    }

    #[test]
    fn people_see_the_line_with_the_place_marked() {
        let text = human(&[finding()], Colour::Never);
        assert!(text.starts_with("error[OC0001]: unknown key `rulez`\n --> a.yaml:2:1\n"), "{text}");
        assert!(text.contains("2 | rulez: []\n  | ^^^^^\n"), "{text}");
        assert!(text.contains("2 + rules: []"), "{text}");
    }

    #[test]
    fn programs_see_positions_from_one() {
        let value = json(&[finding(), Finding::general("OC0001", "gone")]);
        assert_eq!(value[0]["line"], 2);
        assert_eq!(value[0]["column"], 1);
        assert_eq!(value[0]["end_column"], 6);
        assert_eq!(value[0]["fix"]["replacement"], "rules");
        assert!(value[1]["file"].is_null());
    }

    #[test]
    fn a_finding_on_a_huge_line_or_at_the_very_end_prints() {
        let file = SourceFile::new("a.yaml", "x".repeat(70_000));
        let text = human(&[Finding::at("OC0001", SourceSpan { file, start: 60_000, end: 60_003 }, "m")], Colour::Never);
        assert!(text.len() < 2_000, "{}", text.len());
        let file = SourceFile::new("a.yaml", "abc\n");
        let text = human(&[Finding::at("OC0001", SourceSpan { file, start: 4, end: 4 }, "m")], Colour::Never);
        assert!(text.contains("a.yaml"), "{text}");
    }
}
