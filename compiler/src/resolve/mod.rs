//! A policy with all names bound, defaults filled in and types known: what lowering works on.

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
    pub condition_map: Vec<(std::ops::Range<usize>, SourceSpan)>,
    /// The egress settings, for an allow rule.
    pub egress: Option<Egress>,
    /// The hold settings, for a hold rule.
    pub hold: Option<Hold>,
    /// What is injected, for an enrich rule.
    pub inject: Vec<Inject>,
}
