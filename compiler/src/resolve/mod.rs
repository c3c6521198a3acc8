//! A policy with all names bound, defaults filled in and types known: what lowering works on.

use std::ops::Range;

use outcall_schema::artifact::manifest::{Hold, Inject, Interception, TestRow};
use outcall_schema::decision::Action;
use outcall_schema::egress::Egress;

use crate::cel::typed::Expr;
use crate::diag::SourceSpan;

/// A whole policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The rules in evaluation order: by priority, then file name, then position.
    pub rules: Vec<Rule>,
    /// The merged host lists: canonical patterns, sorted, each once.
    pub interception: Interception,
    /// The policy's unit tests, in file order.
    pub tests: Vec<TestRow>,
}

/// Where the bytes of a condition come from: sorted, disjoint ranges of its text, each with its place in a file. Where
/// both are equally long they correspond byte by byte; else the place stands for the range as a whole.
pub type ConditionMap = Vec<(Range<usize>, SourceSpan)>;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The id.
    pub id: String,
    /// Where the id stands.
    pub span: SourceSpan,
    /// What it does.
    pub action: Action,
    /// Lower comes first.
    pub priority: i64,
    /// Its description; empty when there is none.
    pub description: String,
    /// Whether matches are logged.
    pub log: bool,
    /// The condition: boolean, definitions expanded.
    pub condition: Expr,
    /// The condition's text after expansion, which the spans in `condition` count in.
    pub condition_text: String,
    /// Where the condition stands in its file.
    pub condition_span: SourceSpan,
    /// For each byte range of `condition_text` that can be told: where it stands in a file. Sorted, see
    /// [`Rule::locate`].
    pub condition_map: ConditionMap,
    /// The egress settings, for an allow rule.
    pub egress: Option<Egress>,
    /// The hold settings, for a hold rule.
    pub hold: Option<Hold>,
    /// What is injected, for an enrich rule.
    pub inject: Vec<Inject>,
}

impl Rule {
    /// Where a range of `condition_text`, such as an expression's span, stands in a file.
    pub fn locate(&self, range: &Range<usize>) -> SourceSpan {
        locate(&self.condition_map, &self.condition_span, range)
    }
}

/// Where `range` stands according to `map`; the whole condition where that cannot be told, or where the range begins in
/// one place (a rule) and ends in another (a definition).
pub fn locate(map: &ConditionMap, whole: &SourceSpan, range: &Range<usize>) -> SourceSpan {
    let holding = |byte: usize| {
        let at = map.partition_point(|(from, _)| from.end <= byte);
        map.get(at).filter(|(from, _)| from.start <= byte)
    };
    let exact = |from: &Range<usize>, to: &SourceSpan| from.len() == to.end - to.start;
    let Some((first, start)) = holding(range.start) else { return whole.clone() };
    let begin = if exact(first, start) { start.start + (range.start - first.start) } else { start.start };
    if range.is_empty() {
        return SourceSpan { file: start.file.clone(), start: begin, end: begin };
    }
    let Some((last, end)) = holding(range.end - 1) else { return whole.clone() };
    let finish = if exact(last, end) { end.start + (range.end - last.start) } else { end.end };
    let inside = |part: &SourceSpan| whole.start <= part.start && part.end <= whole.end;
    if !std::sync::Arc::ptr_eq(&start.file, &end.file) || finish < begin || inside(start) != inside(end) {
        return whole.clone();
    }
    SourceSpan { file: start.file.clone(), start: begin, end: finish }
}
