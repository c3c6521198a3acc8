//! A rule as lints look at it, with the findings about it.

use std::ops::Range;

use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::layer::Layer;

use super::condition::{Around, Atom, Layers, Part, Shape, Test};
use super::patterns::Patterns;
use crate::cel::typed::Expr;
use crate::diag::{Finding, SourceSpan};
use crate::resolve::Rule;

/// A rule and its condition.
pub struct Subject<'p> {
    /// The rule.
    pub rule: &'p Rule,
    /// Its condition.
    pub(crate) condition: Part<'p>,
}

impl<'p> Subject<'p> {
    pub(crate) fn of(rule: &'p Rule, condition: &'p Expr, patterns: &Patterns) -> Subject<'p> {
        Subject { rule, condition: Part::of(condition, patterns) }
    }

    pub(crate) fn is(&self, action: Action) -> bool {
        self.rule.action == action
    }

    /// Whether the rule allows something or gives something away. One that only insists on a header stops requests.
    pub(crate) fn grants(&self) -> bool {
        match self.rule.action {
            Action::Allow => true,
            Action::Enrich => !self.rule.inject.is_empty(),
            Action::Block | Action::Hold => false,
        }
    }

    /// Whether a test that is true more often than it seems lets more through: in a rule that allows something, or gives
    /// something away, and where a rule that stops something makes an exception.
    pub(crate) fn widens(&self, test: &Test<'_>) -> bool {
        self.grants() == test.positive
    }

    /// Calls `see` with each test by which more is let through, see [`Subject::widens`].
    pub(crate) fn widening<'a>(&'a self, see: &mut dyn FnMut(&'a Test<'p>, Around<'a, 'p>)) {
        self.condition.tests(&mut |test, around| {
            if self.widens(test) {
                see(test, around);
            }
        });
    }

    /// Calls `see` with each test that has to come out true.
    pub(crate) fn positive<'a>(&'a self, see: &mut dyn FnMut(&'a Test<'p>, Around<'a, 'p>)) {
        self.condition.tests(&mut |test, around| {
            if test.positive {
                see(test, around);
            }
        });
    }

    /// The layers that ask rules of this kind.
    pub(crate) fn asked(&self) -> Layers {
        match self.rule.action {
            Action::Allow | Action::Block => Layers::of(&[
                Layer::Dns,
                Layer::Network,
                Layer::Connect,
                Layer::Http,
                Layer::Https,
                Layer::Docker,
                Layer::Run,
            ]),
            Action::Hold | Action::Enrich => {
                Layers::of(&[Layer::Connect, Layer::Http, Layer::Https, Layer::Response, Layer::Docker, Layer::Run])
            }
        }
    }

    /// How an allow rule lets requests out.
    pub(crate) fn mode(&self) -> Option<EgressMode> {
        self.rule.egress.as_ref().map(|egress| egress.mode)
    }

    /// Every test.
    pub(crate) fn tests(&self) -> Vec<&Test<'p>> {
        let mut tests = Vec::new();
        self.condition.tests(&mut |test, _| tests.push(test));
        tests
    }

    /// Every literal that is a text, with the test it is in and its place.
    pub(crate) fn texts(&self) -> Vec<(&Atom<'p>, &'p str, &'p Range<usize>)> {
        let atoms = self.tests().into_iter().filter_map(|test| test.atom.as_ref());
        atoms.flat_map(|atom| atom.texts().map(move |(text, span)| (atom, text, span))).collect()
    }

    /// The parts of a condition that are alternatives of each other as a whole.
    pub(crate) fn alternatives(&self) -> &[Part<'p>] {
        match &self.condition.shape {
            Shape::Any(parts) => parts,
            Shape::All(_) | Shape::Test(_) => std::slice::from_ref(&self.condition),
        }
    }

    /// A finding about what stands at `range` of the condition, whatever rule it is in: in a definition where it comes out
    /// of one.
    pub(crate) fn anywhere(&self, code: &'static str, range: &Range<usize>, message: String) -> Finding {
        Finding::at(code, self.rule.locate(range), message)
    }

    /// A finding about what stands at `range` of the condition because of the rule it is in.
    pub(crate) fn here(&self, code: &'static str, range: &Range<usize>, message: String) -> Finding {
        Finding::at(code, self.rule.locate_here(range), message)
    }

    /// A finding about the rule as a whole.
    pub(crate) fn whole(&self, code: &'static str, message: String) -> Finding {
        Finding::at(code, self.rule.span.clone(), message)
    }

    /// The text at `range` of the condition as its file has it; `None` where the file says it in other bytes (an escape, a
    /// fold), so that a replacement would have to be written in them, too.
    pub(crate) fn source(&self, range: &Range<usize>) -> Option<SourceSpan> {
        let place = self.rule.locate(range);
        (self.rule.condition_text.get(range.clone()) == Some(place.text())).then_some(place)
    }

    /// The finding with a literal replaced by another, in the quotes that are there.
    pub(crate) fn with_literal(&self, finding: Finding, range: &Range<usize>, text: &str) -> Finding {
        match self.source(range).and_then(|place| Some((requoted(place.text(), text)?, place))) {
            Some((literal, place)) => finding.fix(place, literal),
            None => finding,
        }
    }

    /// The finding with an expression replaced by another.
    pub(crate) fn with_expression(&self, finding: Finding, range: &Range<usize>, text: &str) -> Finding {
        let Some(place) = self.source(range) else { return finding };
        // In a flow mapping a comma would end the value.
        let line = place.file.text.get(place.file.line_start(place.line())..place.start).unwrap_or_default();
        if line.contains(['{', '[']) && text.contains([',', '[', ']', '{', '}']) {
            finding
        } else {
            finding.fix(place, text)
        }
    }
}

/// A string literal in the quotes of another.
fn requoted(written: &str, text: &str) -> Option<String> {
    let (prefix, rest) = match written.strip_prefix(['r', 'R']) {
        Some(rest) => (written.get(..1)?, rest),
        None => ("", written),
    };
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let tripled = rest.get(1..).is_some_and(|rest| rest.starts_with(quote)) && rest.len() > 2;
    let plain =
        |character: char| character != quote && !character.is_control() && (character != '\\' || !prefix.is_empty());
    (!tripled && text.chars().all(plain)).then(|| format!("{prefix}{quote}{text}{quote}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_keep_their_quotes() {
        assert_eq!(requoted("\"a\"", "b").as_deref(), Some("\"b\""));
        assert_eq!(requoted("'a'", "b").as_deref(), Some("'b'"));
        assert_eq!(requoted("r'a'", r"b\.").as_deref(), Some(r"r'b\.'"));
        assert_eq!(requoted("''", "b").as_deref(), Some("'b'"));
        for (written, text) in [("\"a\"", "b\""), ("\"a\"", "b\\"), ("\"\"\"a\"\"\"", "b"), ("x", "b")] {
            assert_eq!(requoted(written, text), None, "{written}");
        }
    }
}
