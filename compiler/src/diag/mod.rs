//! Findings: what is wrong with a policy, where, and what to write instead.

pub mod codes;
pub(crate) mod codes_files;
pub(crate) mod codes_meaning;
pub mod github;
pub mod render;
pub mod sarif;
mod source_file;

pub use codes::{CodeRow, Example, codes, row};
pub(crate) use source_file::deceives;
pub use source_file::{Position, SourceFile, SourceSpan};

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The policy cannot be compiled.
    Error,
    /// The policy compiles but very likely does not do what its author wants. Fails with `--deny warnings`.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        }
    }
}

/// A replacement that mends a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What to replace.
    pub span: SourceSpan,
    /// By what.
    pub replacement: String,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable code, `OC0001`.
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What is wrong, one line, lower case, no full stop, user's names in backticks.
    pub message: String,
    /// Where; `None` for a finding about a whole directory.
    pub span: Option<SourceSpan>,
    /// What to do about it.
    pub help: Option<String>,
    /// The replacement, where there is one.
    pub fix: Option<Fix>,
}

impl Finding {
    /// A finding at a place. Its severity is the one in its code's row.
    pub fn at(code: &'static str, span: SourceSpan, message: impl Into<String>) -> Finding {
        Finding { span: Some(span), ..Finding::general(code, message) }
    }

    /// A finding without a place.
    pub fn general(code: &'static str, message: impl Into<String>) -> Finding {
        let severity = row(code).map_or(Severity::Error, |row| row.severity);
        Finding { code, severity, message: message.into(), span: None, help: None, fix: None }
    }

    /// The same, with what to do about it.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Finding {
        self.help = Some(help.into());
        self
    }

    /// The same, with a replacement that mends it.
    #[must_use]
    pub fn fix(mut self, span: SourceSpan, replacement: impl Into<String>) -> Finding {
        self.fix = Some(Fix { span, replacement: replacement.into() });
        self
    }

    /// The same, with the name that was meant in its place, if no other name is as near.
    #[must_use]
    pub(crate) fn meant<'a>(
        self,
        span: SourceSpan,
        name: &str,
        near: &str,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> Finding {
        if is_nearest_alone(name, near, candidates) { self.fix(span, near) } else { self }
    }

    /// For a finding in the text of a preset, where a rule file uses it: what its reader can open and change.
    pub fn used_at(&self) -> Option<&SourceSpan> {
        self.span.as_ref()?.file.used_at.as_deref()
    }

    /// Whether something could not be read, which is a failure of the command rather than of the rules.
    pub fn is_unreadable(&self) -> bool {
        self.code == codes_files::CANNOT_READ
    }

    /// Whether the policy cannot be compiled because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Brings findings into the order in which they are reported (by file, place and code) and drops repetitions.
pub fn sort(findings: &mut Vec<Finding>) {
    fn place(finding: &Finding) -> Option<(&str, &str, usize, usize)> {
        let span = finding.span.as_ref()?;
        Some((&span.file.name, &span.file.path, span.start, span.end))
    }
    findings.sort_by(|left, right| {
        (place(left), left.code, &left.message).cmp(&(place(right), right.code, &right.message))
    });
    findings.dedup();
}

/// A name out of a rule file as messages show it: in backticks, on one line and not too long.
pub fn quoted(name: &str) -> String {
    /// Longer names are cut: a message is one line.
    const SHOWN: usize = 80;
    let mut shown = String::from("`");
    for (at, character) in name.chars().enumerate() {
        if at == SHOWN {
            shown.push_str("...");
            break;
        }
        if character.is_control() || deceives(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown.push('`');
    shown
}

/// Whether `near` is nearer to `name` than every other candidate: only then a fix may choose it.
pub(crate) fn is_nearest_alone<'a>(name: &str, near: &str, candidates: impl IntoIterator<Item = &'a str>) -> bool {
    nearest(name, candidates.into_iter().filter(|other| *other != near))
        .is_none_or(|second| distance(name, second) > distance(name, near))
}

fn distance(name: &str, candidate: &str) -> usize {
    strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase())
}

/// The candidate that was most likely meant by `name`, for a "did you mean".
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Comparing is quadratic in the length, and no key or name comes near this.
    const LONGEST: usize = 200;
    if name.len() > LONGEST {
        return None;
    }
    let allowed = 1 + name.chars().count() / 4;
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_on_one_line_and_cut() {
        assert_eq!(quoted("a\nb\u{202e}"), "`a\\u{a}b\\u{202e}`");
        assert_eq!(quoted(&"x".repeat(100)).len(), 2 + 80 + 3);
    }

    #[test]
    fn the_nearest_name_is_near() {
        assert_eq!(nearest("conditon", ["condition", "action"]), Some("condition"));
        assert_eq!(nearest("Condition", ["condition", "action"]), Some("condition"));
        assert_eq!(nearest("zebra", ["condition", "action"]), None);
        assert_eq!(nearest(&"x".repeat(1000), ["x"]), None);
        assert!(is_nearest_alone("conditon", "condition", ["condition", "action"]));
        assert!(!is_nearest_alone("abx", "aby", ["aby", "abz"]));
    }
}
