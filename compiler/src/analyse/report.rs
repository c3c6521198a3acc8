//! Answers as people and programs read them.

use std::fmt::Write as _;

use outcall_schema::layer::Layer;
use serde_json::{Value, json};

use super::diff::{Change, Difference, Kind};
use super::query::{Answer, Wanted, Witness};
use crate::resolve::Rule;

fn place(rule: Option<&Rule>) -> String {
    match rule {
        Some(rule) => format!("{} ({}:{})", rule.id, rule.span.file.name, rule.span.line()),
        None => "default".to_owned(),
    }
}

fn rule_json(rule: Option<&Rule>) -> Value {
    match rule {
        Some(rule) => json!({ "id": rule.id, "file": rule.span.file.name, "line": rule.span.line() }),
        None => Value::Null,
    }
}

fn layers(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(", ")
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
    fn agent(&self) -> String {
        let agents: Option<Vec<&str>> = self.examples.iter().map(|example| example.agent()).collect();
        match agents {
            Some(mut agents) => {
                agents.sort_unstable();
                agents.dedup();
                let named = agents.iter().map(|agent| if agent.is_empty() { "without a name" } else { agent });
                format!("agent {}", named.collect::<Vec<_>>().join(", "))
            }
            None => "every agent".to_owned(),
        }
    }

    fn sides(&self) -> (String, String) {
        let [before, after] = match self.kind {
            Kind::Allowed => ["refused by", "allowed by"],
            Kind::Refused => ["allowed by", "refused by"],
            _ => ["allowed by", "allowed by"],
        };
        (format!("{before} {}", place(self.before)), format!("{after} {}", place(self.after)))
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
    if parts.is_empty() { "any request".to_owned() } else { parts.join(", ") }
}

impl Difference<'_> {
    fn verdict(&self) -> String {
        if self.is_none() {
            return "No semantic change: every request is treated as before.".to_owned();
        }
        let count = |widens: bool| self.changes.iter().filter(|change| change.kind.widens() == widens).count();
        let mut text = match (count(true), count(false)) {
            (0, 0) => String::new(),
            (0, other) => format!("{other} change{}, none of which opens anything.", if other == 1 { "" } else { "s" }),
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
                layers(&self.unproven),
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
            let (before, after) = change.sides();
            let Some(example) = change.examples.first() else { continue };
            let _ = writeln!(text, "  {}, {}: {}", change.agent(), change.layer, example.human());
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

    /// To be posted on a pull request.
    pub fn markdown(&self) -> String {
        let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;").replace(['\n', '\r'], " ");
        let mut text = format!("### What this change of rules does\n\n{}\n", self.verdict());
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
            let (before, after) = change.sides();
            let Some(example) = change.examples.first() else { continue };
            let mut regions: Vec<String> =
                change.examples.iter().map(|example| cell(&region(&example.region))).collect();
            if change.more {
                regions.push("and more".to_owned());
            }
            let what: String = change.what.iter().map(|what| format!("; {}", cell(what))).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {}{what} |",
                cell(&change.agent()),
                change.layer,
                code(&cell(&example.human())),
                regions.join("<br>"),
                cell(&before),
                cell(&after),
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
            "not_proven": self.unproven,
            "steps": self.steps,
        })
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
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
    let pad = if longest > 0 { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

impl Witness<'_> {
    fn line(&self) -> String {
        let tunnel = if self.tunnelled { ", unseen inside a tunnel" } else { "" };
        format!("{}{tunnel}", self.example.human())
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
                format!("Not proven in {steps} steps whether a request can be {done} at: {}.\n", layers(open))
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
                json!({ "answer": "not proven", "examples": [], "layers": open, "steps": steps })
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
