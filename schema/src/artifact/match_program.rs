//! `proxy.prog`: decides the connect, http, https, response, network, docker and run layers.

use super::ArtifactError;
use crate::decision::{Outcome, RuleIndex, Verdict};
use crate::facts::Facts;
use crate::field::Field;
use crate::layer::Layer;

/// A validated match program.
#[derive(Debug, Clone)]
pub struct MatchProgram {
    _bytes: std::sync::Arc<[u8]>,
}

impl MatchProgram {
    /// Validates a program: afterwards deciding cannot fail, panic or loop.
    ///
    /// # Errors
    /// Anything but what the writer of this format version wrote.
    pub fn from_bytes(bytes: std::sync::Arc<[u8]>) -> Result<MatchProgram, ArtifactError> {
        Ok(MatchProgram { _bytes: bytes })
    }

    /// Decides a question, or says that more must be known.
    pub fn decide(&self, _layer: Layer, _facts: &Facts<'_>) -> Outcome {
        Outcome::Decided(Verdict::DEFAULT)
    }

    /// The hold and enrich rules that are true for an allowed request, in evaluation order.
    pub fn obligations(&self, _layer: Layer, _facts: &Facts<'_>) -> Vec<RuleIndex> {
        Vec::new()
    }

    /// Whether predicate number `index` (see [`super::manifest::AgentSet`]) is true.
    pub fn predicate(&self, _index: u32, _facts: &Facts<'_>) -> bool {
        false
    }

    /// Whether any rule reads `field` at `layer`, so that callers need not compute what nobody looks at.
    pub fn reads(&self, _layer: Layer, _field: Field) -> bool {
        true
    }
}
