//! The `match:` form of a hold rule as a condition.

use std::ops::Range;

use crate::source::scalar::Segment;
use crate::syntax::{Match, Text};

/// The condition that says the same, with the places its parts come from.
pub(super) fn condition(matching: &Match) -> Text {
    let mut out = Text { value: String::new(), span: matching.span.clone(), segments: Vec::new() };
    if let Some(host) = &matching.host_pattern {
        conjunct(&mut out, "http.host.matches(", &host.value, &host.span, ")");
    }
    if let Some(path) = &matching.path_pattern {
        conjunct(&mut out, "http.path.matches(", &path.value, &path.span, ")");
    }
    if !matching.methods.is_empty() {
        join(&mut out);
        out.value.push_str("http.method in [");
        for (at, method) in matching.methods.iter().enumerate() {
            if at > 0 {
                out.value.push_str(", ");
            }
            literal(&mut out, &method.value, &method.span);
        }
        out.value.push(']');
    }
    for (name, expression) in &matching.header_match {
        join(&mut out);
        literal(&mut out, &name.value, &name.span);
        out.value.push_str(" in http.headers && http.headers[");
        literal(&mut out, &name.value, &name.span);
        out.value.push_str("].matches(");
        literal(&mut out, &expression.value, &expression.span);
        out.value.push(')');
    }
    out
}

fn conjunct(out: &mut Text, before: &str, text: &str, span: &Range<usize>, after: &str) {
    join(out);
    out.value.push_str(before);
    literal(out, text, span);
    out.value.push_str(after);
}

fn join(out: &mut Text) {
    if !out.value.is_empty() {
        out.value.push_str(" && ");
    }
}

/// A string literal, which as a whole stands for the text at `span`.
fn literal(out: &mut Text, text: &str, span: &Range<usize>) {
    let start = out.value.len();
    push_literal(&mut out.value, text);
    out.segments.push(Segment { text: start..out.value.len(), source: span.clone() });
}

/// Appends a string literal of the condition language that stands for `text`, whatever that holds.
pub(super) fn push_literal(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' => out.push_str("\\u0024"),
            other if other.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => out.push(other),
        }
    }
    out.push('"');
}
