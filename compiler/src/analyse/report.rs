//! Answers as people and programs read them.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::diff::{Change, Difference, Kind};
use super::query::{Answer, Wanted, Witness};
use super::unproven::{self, Unproven};
use crate::diag::deceives;
use crate::resolve::Rule;

const EVERY_AGENT: &str = "every agent";

fn place(rule: Option<&Rule>) -> String {
    match rule {
        Some(rule) => format!("{} ({}:{})", rule.id, plain(&rule.span.file.name), rule.span.line()),
        None => "default".to_owned(),
    }
}

fn rule_json(rule: Option<&Rule>) -> Value {
    match rule {
        Some(rule) => json!({ "id": rule.id, "file": rule.span.file.name, "line": rule.span.line() }),
        None => Value::Null,
    }
}

impl Kind {
    /// The heading for people.
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Allowed => "Newly allowed",
            Kind::Loosened => "Allowed with less in the way",
            Kind::Changed => "Allowed in another way",
            Kind::Tightened => "Allowed with more in the way",
            Kind::Refused => "Newly refused",
        }
    }
}

impl Change<'_> {
    /// Whom it is about.
    fn agent(&self) -> String {
        let said: Option<Vec<&str>> = self.examples.iter().map(|example| example.agent()).collect();
        let Some(mut said) = said else { return EVERY_AGENT.to_owned() };
        said.sort_unstable();
        said.dedup();
        // The empty name stands by itself between `, ` and ` or `; within another name it is part of that.
        let named = |names: &str, nameless: &str| {
            let lists = names.split(", ").map(|list| {
                let names = list.split(" or ").map(|name| if name == "``" { nameless } else { name });
                names.collect::<Vec<_>>().join(" or ")
            });
            lists.collect::<Vec<_>>().join(", ")
        };
        let words = |said: &str| {
            if said == "is ``" {
                "agents without a name".to_owned()
            } else if said == "is other than ``" {
                "every agent with a name".to_owned()
            } else if let Some(names) = said.strip_prefix("is other than ") {
                format!("every agent but {}", named(names, "those without a name"))
            } else if let Some(names) = said.strip_prefix("is ").filter(|names| names.starts_with('`')) {
                format!("agent {}", named(names, "without a name"))
            } else {
                format!("agents whose name {said}")
            }
        };
        said.into_iter().map(words).collect::<Vec<_>>().join("; ")
    }

    fn sides(&self, place: &dyn Fn(Option<&Rule>) -> String) -> [String; 2] {
        let [before, after] = match self.kind {
            Kind::Allowed => ["refused by", "allowed by"],
            Kind::Refused => ["allowed by", "refused by"],
            Kind::Loosened | Kind::Changed | Kind::Tightened => ["allowed by", "allowed by"],
        };
        [format!("{before} {}", place(self.before)), format!("{after} {}", place(self.after))]
    }

    fn json(&self) -> Value {
        let examples: Vec<Value> = self
            .examples
            .iter()
            .map(|example| {
                json!({
                    "request": example.human(), "region": example.region, "layer": example.layer, "fields": example.fields
                })
            })
            .collect();
        json!({
            "kind": self.kind, "widens": self.kind.widens(), "layer": self.layer, "agent": self.agent(),
            "before": rule_json(self.before), "after": rule_json(self.after), "what": self.what,
            "examples": examples, "more": self.more,
        })
    }
}

/// A region in words.
fn region(parts: &[String]) -> String {
    if parts.is_empty() { "any request".to_owned() } else { plain(&parts.join(", ")) }
}

/// Text on one line, in which nothing moves the cursor or passes for something else: rules under review are foreign.
fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() || deceives(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

impl Difference<'_> {
    fn verdict(&self) -> String {
        if self.is_none() {
            return "No semantic change: every request is treated as before.".to_owned();
        }
        let count = |widens: bool| self.changes.iter().filter(|change| change.kind.widens() == widens).count();
        let mut text = match (count(true), count(false)) {
            (0, 0) => String::new(),
            (0, 1) => "1 change, which opens nothing.".to_owned(),
            (0, other) => format!("{other} changes, none of which opens anything."),
            (open, 0) => {
                format!("{open} change{} that open{} something.", plural(open), if open == 1 { "s" } else { "" })
            }
            (open, other) => {
                format!(
                    "{open} change{} that open{} something, {other} other{}.",
                    plural(open),
                    if open == 1 { "s" } else { "" },
                    plural(other)
                )
            }
        };
        if !self.unproven.is_empty() {
            if !text.is_empty() {
                text.push(' ');
            }
            let _ = write!(
                text,
                "Not proven that there is nothing more at: {} ({} steps).",
                unproven::words(&self.unproven),
                self.steps
            );
        }
        text
    }

    /// For a terminal.
    pub fn human(&self) -> String {
        let mut text = String::new();
        let mut kind = None;
        for change in &self.changes {
            if kind != Some(change.kind) {
                let _ = writeln!(text, "{}{}", if kind.is_some() { "\n" } else { "" }, change.kind.title());
                kind = Some(change.kind);
            }
            let [before, after] = change.sides(&place);
            let Some(example) = change.examples.first() else { continue };
            let _ = writeln!(text, "  {}, {}: {}", plain(&change.agent()), change.layer, plain(&example.human()));
            let _ = writeln!(text, "    before  {before}\n    now     {after}");
            for what in &change.what {
                let _ = writeln!(text, "    change  {what}");
            }
            for example in &change.examples {
                let _ = writeln!(text, "    where   {}", region(&example.region));
            }
            if change.more {
                text.push_str("            and more\n");
            }
        }
        if !self.changes.is_empty() {
            text.push('\n');
        }
        text.push_str(&self.verdict());
        text.push('\n');
        text
    }

    /// To be posted on a pull request. Whatever comes out of rules stands in code spans, where it says nothing to Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("### What this change of rules does\n\n{}\n", self.verdict());
        let place = |rule: Option<&Rule>| rule.map_or_else(|| "default".to_owned(), |rule| cell(&place(Some(rule))));
        let mut kind = None;
        for change in &self.changes {
            if kind != Some(change.kind) {
                let _ = write!(
                    text,
                    "\n#### {}\n\n| agent | layer | example | where | before | now |\n|---|---|---|---|---|---|\n",
                    change.kind.title()
                );
                kind = Some(change.kind);
            }
            let [before, mut after] = change.sides(&place);
            for what in &change.what {
                let _ = write!(after, "<br>{}", cell(what));
            }
            let Some(example) = change.examples.first() else { continue };
            let agent = match change.agent() {
                agent if agent == EVERY_AGENT => agent,
                agent => cell(&agent),
            };
            let mut regions: Vec<String> =
                change.examples.iter().map(|example| cell(&region(&example.region))).collect();
            if change.more {
                regions.push("and more".to_owned());
            }
            let _ = writeln!(
                text,
                "| {agent} | {} | {} | {} | {before} | {after} |",
                change.layer,
                cell(&example.human()),
                regions.join("<br>"),
            );
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({
            "no_semantic_change": self.is_none(),
            "widens": self.widens(),
            "changes": self.changes.iter().map(Change::json).collect::<Vec<_>>(),
            "not_proven": self.unproven.iter().map(Unproven::json).collect::<Vec<_>>(),
            "steps": self.steps,
        })
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A cell of a table that holds any text, as a code span. A bar ends a cell there, too, unless a backslash stands before it
/// that is not itself escaped (GFM, section 4.10): after an odd number of them two are needed, of which one is seen.
fn cell(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut backslashes = 0_usize;
    for character in plain(text).chars() {
        if character == '|' {
            escaped.push_str(if backslashes.is_multiple_of(2) { "\\" } else { "\\\\" });
        }
        backslashes = if character == '\\' { backslashes + 1 } else { 0 };
        escaped.push(character);
    }
    code(&escaped)
}

/// A code span that holds any text (CommonMark, section 6.1).
fn code(text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat(longest + 1);
    // A blank at each end is taken off where both are there and something else is, too.
    let pad = if longest > 0 || text.starts_with(' ') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

impl Witness<'_> {
    fn line(&self) -> String {
        let tunnel = if self.tunnelled { ", unseen inside a tunnel" } else { "" };
        format!("{}{tunnel}", plain(&self.example.human()))
    }
}

impl Answer<'_> {
    /// For a terminal.
    pub fn human(&self, wanted: Wanted) -> String {
        let done = match wanted {
            Wanted::Allow => "allowed",
            Wanted::Block => "refused",
        };
        match self {
            Answer::None => format!("No request can be {done}: proven for every layer.\n"),
            Answer::Unknown(open, steps) => {
                format!("Not proven in {steps} steps whether a request can be {done} at: {}.\n", unproven::words(open))
            }
            Answer::Some(found) => {
                let mut text = format!("Yes: such requests are {done}.\n");
                for witness in found {
                    let _ = writeln!(text, "  {:8} {}", witness.example.layer.name(), witness.line());
                    let _ = writeln!(text, "           {done} by {}", place(witness.rule));
                    let _ = writeln!(text, "           where {}", region(&witness.example.region));
                }
                text
            }
        }
    }

    /// For programs.
    pub fn json(&self) -> Value {
        match self {
            Answer::None => json!({ "answer": "no", "examples": [] }),
            Answer::Unknown(open, steps) => {
                json!({ "answer": "not proven", "examples": [], "not_proven": open.iter().map(Unproven::json).collect::<Vec<_>>(), "steps": steps })
            }
            Answer::Some(found) => {
                let examples: Vec<Value> = found
                    .iter()
                    .map(|witness| {
                        json!({
                            "layer": witness.example.layer, "request": witness.example.human(),
                            "tunnelled": witness.tunnelled, "region": witness.example.region,
                            "fields": witness.example.fields, "rule": rule_json(witness.rule),
                        })
                    })
                    .collect();
                json!({ "answer": "yes", "examples": examples })
            }
        }
    }
}
