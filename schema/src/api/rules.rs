//! What is said of the rules in force.

use serde::{Deserialize, Serialize};

use crate::artifact::manifest::{Hold, RuleRow};
use crate::decision::Action;
use crate::egress::Egress;

/// How much of a condition the list shows, in characters.
pub const PREVIEW: usize = 80;

/// One rule in the answer of `GET rules`, which has them in evaluation order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// The file it is from.
    pub file: String,
    /// The line of its id, from 1.
    pub line: u32,
    /// What it does.
    pub action: Action,
    /// The beginning of its condition, with definitions expanded, on one line.
    pub condition_preview: String,
    /// Its description; empty when it has none.
    pub description: String,
    /// Its priority; lower comes first.
    pub priority: i64,
    /// How many requests it decided since this process runs. What `hold` and `enrich` add to a request decides nothing.
    pub hits: u64,
}

/// The answer of `GET rule/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct RuleDetail {
    /// What the list has.
    #[serde(flatten)]
    pub rule: Rule,
    /// Its place in evaluation order, from 1.
    pub position: usize,
    /// Its whole condition with definitions expanded, in CEL.
    pub condition: String,
    /// Whether what it lets pass is written to the log.
    pub log: bool,
    /// The terms on which an allow rule lets things out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// The settings of a hold rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The names of the headers that an enrich rule sets. Their values are not told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injects: Vec<String>,
    /// Requests that it let pass.
    pub allowed: u64,
    /// Requests that it refused, or that failed on its terms.
    pub blocked: u64,
}

impl Rule {
    /// The rule of a row of the manifest that decided so many requests.
    pub fn of(row: &RuleRow, hits: u64) -> Rule {
        Rule {
            id: row.id.clone(),
            file: row.file.clone(),
            line: row.line,
            action: row.action,
            condition_preview: preview(&row.condition),
            description: row.description.clone(),
            priority: row.priority,
            hits,
        }
    }
}

/// The beginning of a text, on one line.
fn preview(text: &str) -> String {
    let mut line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(PREVIEW) {
        line.truncate(end);
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_are_one_line_and_cut_at_a_character() {
        assert_eq!(preview(" a ==\n  b "), "a == b");
        assert_eq!(preview(&"é".repeat(PREVIEW)), "é".repeat(PREVIEW));
        assert_eq!(preview(&"é".repeat(PREVIEW + 1)), format!("{}...", "é".repeat(PREVIEW)));
    }
}
