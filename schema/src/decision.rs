//! What a policy answers.

use serde::{Deserialize, Serialize};

/// A rule by its place in evaluation order, which is its place in the manifest's rule table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleIndex(pub u32);

/// What a rule does when its condition is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Let it pass.
    Allow,
    /// Refuse it.
    Block,
    /// Pause an allowed message until somebody decides.
    Hold,
    /// Add to an allowed request what the agent must not have.
    Enrich,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 4] = [Action::Allow, Action::Block, Action::Hold, Action::Enrich];

    /// The name in rule files.
    pub const fn name(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Block => "block",
            Action::Hold => "hold",
            Action::Enrich => "enrich",
        }
    }
}

/// A final answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Refused by this rule, or by the default when `None`.
    Block(Option<RuleIndex>),
    /// Allowed by this rule, on the terms of its egress block.
    Allow(RuleIndex),
    /// Only at the connect layer: terminate TLS and decide each request inside. The rule is the first that could.
    Intercept(RuleIndex),
}

impl Verdict {
    /// The default answer.
    pub const DEFAULT: Verdict = Verdict::Block(None);

    /// The deciding rule; `None` for the default block.
    pub const fn rule(self) -> Option<RuleIndex> {
        match self {
            Verdict::Block(rule) => rule,
            Verdict::Allow(rule) | Verdict::Intercept(rule) => Some(rule),
        }
    }

    /// Whether anything may pass: allowed, or to be decided request by request inside TLS.
    pub const fn passes(self) -> bool {
        matches!(self, Verdict::Allow(_) | Verdict::Intercept(_))
    }
}

/// An answer that may have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every completion of the pending fields has this answer. When all of them are refused but by different rules, the
    /// one named is the last of them in evaluation order: the one that refuses when nothing pending matches a rule before
    /// it, which most often is the default.
    Decided(Verdict),
    /// The completions differ; ask again when more is known.
    Undecided,
}

impl Outcome {
    /// Whether some completion may pass.
    pub const fn may_pass(self) -> bool {
        match self {
            Outcome::Decided(verdict) => verdict.passes(),
            Outcome::Undecided => true,
        }
    }
}

/// The DNS filter's answer to a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameVerdict {
    /// NXDOMAIN, by this rule or by default.
    Block(Option<RuleIndex>),
    /// A rule on `dns.query` allows it. The rule's egress says whether private answers and direct traffic are allowed.
    Allow(RuleIndex),
    /// No rule decides the query itself, but a request to this host could be allowed by this rule (the first that
    /// could).
    Implied {
        /// The first rule that could allow a request to the name.
        rule: RuleIndex,
        /// Whether some rule that could allow such a request has `allow_private_ips`.
        private: bool,
    },
}
