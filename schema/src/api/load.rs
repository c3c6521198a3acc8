//! What is said of policies that are loaded.

use serde::{Deserialize, Serialize};

/// The answer of `POST rules/artifacts`, `POST rules/reload` and `POST rules/rollback`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Loaded {
    /// How many files the rules in force came from.
    pub files_loaded: usize,
    /// How many rules are in force.
    pub rules_loaded: usize,
    /// What the operator should know of them, a sentence each.
    pub warnings: Vec<String>,
    /// The digest of the policy that is in force now.
    pub policy_digest: String,
    /// The digest of the one that it replaced, which `POST rules/rollback` puts back.
    pub replaced_digest: String,
    /// How many open connections were cut because the new policy would not allow them.
    pub connections_cut: usize,
}
