//! The policy in force: one immutable value behind one pointer.

use std::sync::Arc;

use arc_swap::ArcSwap;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::{Manifest, RuleRow};
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::decision::RuleIndex;
use outcall_schema::egress::Egress;

/// Everything that belongs to one policy. A request takes it once and is decided by it from beginning to end.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Decides names.
    pub dns: DnsTable,
    /// Decides everything else.
    pub program: MatchProgram,
    /// The rule table and what the host must provide.
    pub manifest: Manifest,
    /// The kernel's ruleset as text.
    pub nft: String,
}

/// The pointer to the policy in force, shared by all that decide.
pub type Policy = Arc<ArcSwap<Snapshot>>;

/// Puts a first snapshot in force.
pub fn in_force(snapshot: Snapshot) -> Policy {
    Arc::new(ArcSwap::from_pointee(snapshot))
}

impl Snapshot {
    /// The policy's digest, `sha256:...`.
    pub fn digest(&self) -> &str {
        &self.manifest.policy_digest
    }

    /// The row of a deciding rule; `None` for the default block.
    pub fn rule(&self, rule: Option<RuleIndex>) -> Option<&RuleRow> {
        rule.and_then(|rule| self.manifest.rule(rule))
    }

    /// The id of a deciding rule, or `default`.
    pub fn rule_name(&self, rule: Option<RuleIndex>) -> &str {
        self.manifest.rule_name(rule)
    }

    /// The terms on which an allow rule lets things out. `None` for a rule that has none, which then opens nothing.
    pub fn egress(&self, rule: RuleIndex) -> Option<&Egress> {
        self.manifest.rule(rule)?.egress.as_ref()
    }
}
