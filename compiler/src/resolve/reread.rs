//! A policy out of a manifest: artifacts carry every rule's condition, so they can be compared with rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use outcall_schema::artifact::manifest::Manifest;

use super::{Policy, Rule, Written};
use crate::cel;
use crate::diag::{SourceFile, SourceSpan};

/// The policy that a manifest was made from, tests and comments aside.
///
/// # Errors
/// In words, when a condition is none of this compiler's language.
pub fn from_manifest(manifest: &Manifest) -> Result<Policy, String> {
    let mut lines: BTreeMap<&str, u32> = BTreeMap::new();
    for row in &manifest.rules {
        let last = lines.entry(&row.file).or_default();
        *last = row.line.max(*last);
    }
    // The files themselves are not there; what is called by its line needs that many.
    let files: BTreeMap<&str, Arc<SourceFile>> =
        lines.into_iter().map(|(name, lines)| (name, SourceFile::new(name, "\n".repeat(lines as usize)))).collect();
    let mut rules = Vec::with_capacity(manifest.rules.len());
    for row in &manifest.rules {
        let condition = cel::parse_and_check(&row.condition, &cel::Env::rule()).map_err(|errors| {
            let why = errors.first().map(|error| error.message.clone()).unwrap_or_default();
            format!("the condition of rule `{}` is not of this version's language: {why}", row.id)
        })?;
        let file = files.get(row.file.as_str()).cloned().unwrap_or_else(|| SourceFile::new(row.file.clone(), ""));
        let at = row.line.saturating_sub(1) as usize;
        let span = SourceSpan { file, start: at, end: at };
        rules.push(Rule {
            id: row.id.clone(),
            span: span.clone(),
            action: row.action,
            priority: row.priority,
            description: row.description.clone(),
            log: row.log,
            condition,
            condition_text: row.condition.clone(),
            condition_span: span,
            condition_map: Vec::new(),
            egress: row.egress.clone(),
            hold: row.hold.clone(),
            inject: row.inject.clone(),
            require_header: row.require_header.clone(),
            written: Written::default(),
        });
    }
    Ok(Policy { rules, interception: manifest.interception.clone(), ..Policy::default() })
}
