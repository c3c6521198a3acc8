//! Questions about a policy, answered by the very readers that enforce it.

mod condition;
mod test;
mod why;

use std::path::Path;
use std::sync::Arc;

use outcall_schema::artifact::ArtifactError;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::{Manifest, RuleRow, file};
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::decision::{NameVerdict, Outcome, RuleIndex, Verdict};
use outcall_schema::facts::Facts;
use outcall_schema::layer::Layer;
use serde::Serialize;

use crate::emit::Artifacts;

pub use condition::condition;
pub use outcall_schema::request::{Request, RequestError};
pub use test::{Report, TestResult};
pub(crate) use why::truth;
pub use why::{Explanation, NearMiss, Question, Step, why};

/// A compiled policy, ready to be asked.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The DNS table.
    pub dns: DnsTable,
    /// The match program.
    pub program: MatchProgram,
    /// The manifest.
    pub manifest: Manifest,
}

/// Why a directory of artifacts cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{file}: {error}")]
    Artifact {
        /// The file.
        file: String,
        /// Why.
        error: ArtifactError,
    },
}

impl Compiled {
    /// Opens artifacts that were just compiled.
    ///
    /// # Errors
    /// Never, for what the compiler wrote.
    pub fn of(artifacts: &Artifacts) -> Result<Compiled, ArtifactError> {
        Ok(Compiled {
            dns: DnsTable::from_bytes(Arc::from(artifacts.dns.as_slice()))?,
            program: MatchProgram::from_bytes(Arc::from(artifacts.proxy.as_slice()))?,
            manifest: Manifest::from_bytes(&artifacts.manifest)?,
        })
    }

    /// Opens the artifacts in a directory.
    ///
    /// # Errors
    /// What cannot be read, or does not match the manifest's digests.
    pub fn open(dir: &Path) -> Result<Compiled, LoadError> {
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|error| LoadError::Read { file: path.display().to_string(), error })
        };
        let damaged = |name: &str, error| LoadError::Artifact { file: dir.join(name).display().to_string(), error };
        let manifest = Manifest::from_bytes(&read(file::MANIFEST)?).map_err(|error| damaged(file::MANIFEST, error))?;
        let checked = |name: &str| {
            let bytes = read(name)?;
            let row = manifest.files.iter().find(|row| row.name == name);
            if row.is_some_and(|row| row.digest == outcall_schema::artifact::digest::Digest::of(&bytes)) {
                Ok(bytes)
            } else {
                Err(damaged(name, ArtifactError::Digest))
            }
        };
        checked(file::NFT)?;
        let dns = DnsTable::from_bytes(checked(file::DNS)?.into()).map_err(|error| damaged(file::DNS, error))?;
        let program =
            MatchProgram::from_bytes(checked(file::PROXY)?.into()).map_err(|error| damaged(file::PROXY, error))?;
        Ok(Compiled { dns, program, manifest })
    }

    /// Asks one layer.
    pub fn ask(&self, layer: Layer, facts: &Facts<'_>) -> Answer {
        let (decision, rule) = match layer {
            Layer::Dns => match self.dns.lookup(facts) {
                NameVerdict::Block(rule) => (Decision::Block, rule),
                NameVerdict::Allow(rule) => (Decision::Allow, Some(rule)),
                NameVerdict::Implied { rule, .. } => (Decision::Implied, Some(rule)),
            },
            _ => match self.program.decide(layer, facts) {
                Outcome::Undecided => (Decision::Undecided, None),
                Outcome::Decided(verdict) => match verdict {
                    Verdict::Block(rule) => (Decision::Block, rule),
                    Verdict::Allow(rule) => (Decision::Allow, Some(rule)),
                    Verdict::Intercept(rule) => (Decision::Intercept, Some(rule)),
                },
            },
        };
        let obligations =
            if decision == Decision::Allow { self.program.obligations(layer, facts).rules } else { Vec::new() };
        Answer { decision, rule, obligations }
    }

    fn rule(&self, rule: Option<RuleIndex>) -> Option<&RuleRow> {
        rule.and_then(|rule| self.manifest.rule(rule))
    }
}

/// What a layer answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The decision.
    pub decision: Decision,
    /// The rule that decided; `None` for the default.
    pub rule: Option<RuleIndex>,
    /// The hold and enrich rules that apply.
    pub obligations: Vec<RuleIndex>,
}

/// A decision as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Allowed.
    Allow,
    /// Refused.
    Block,
    /// TLS is terminated and each request inside decided.
    Intercept,
    /// A name that resolves because a request to it could be allowed.
    Implied,
    /// It depends on what is not known yet.
    Undecided,
}

impl Decision {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Decision::Allow => "allow",
            Decision::Block => "block",
            Decision::Intercept => "intercept",
            Decision::Implied => "implied",
            Decision::Undecided => "undecided",
        }
    }
}
