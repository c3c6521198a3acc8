//! A request that is decided without being sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::egress::EgressMode;
use crate::layer::Layer;

/// The body of `POST rule/evaluate`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Evaluate {
    /// The request's fields by namespace, `{"http": {"host": "example.com"}}`. Each namespace and each field is optional.
    #[cfg_attr(feature = "openapi", schemars(schema_with = "super::openapi::context"))]
    pub context: Map<String, Value>,
    /// The layer that is asked; where it is left out it follows from the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
}

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum Decision {
    /// It passes.
    Allow,
    /// It is refused.
    Block,
    /// TLS is terminated and each request inside is decided.
    Intercept,
}

impl Decision {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Block => "block",
            Decision::Intercept => "intercept",
        }
    }
}

/// The answer of `POST rule/evaluate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Evaluated {
    /// What comes of it.
    pub decision: Decision,
    /// The layer that was asked.
    pub layer: Layer,
    /// The rule that decided, or `default`.
    pub matched_rule: String,
    /// Its file.
    pub file: Option<String>,
    /// The line of its id.
    pub line: Option<u32>,
    /// Whether such a request leaves a line in the log.
    pub logged: bool,
    /// How an allowed request leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<EgressMode>,
    /// The ids of the hold and enrich rules that apply, in evaluation order.
    pub obligations: Vec<String>,
    /// The digest of the policy that decided.
    pub policy_digest: String,
}
