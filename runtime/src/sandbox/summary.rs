//! What is said at the end of a run: what was reached and what was refused, by rule, on one screen.

use std::fmt::Write as _;

use super::Options;
use crate::audit::{Decision, RuleSummary};
use crate::snapshot::Snapshot;

/// Rules of each kind that are listed; with headings this stays below the 24 lines of a small terminal.
const RULES: usize = 8;
/// Destinations that are listed of each rule.
const DESTINATIONS: usize = 3;
/// Longest destination that is shown whole.
const WIDTH: usize = 60;

/// The text for the terminal.
pub(super) fn text(options: &Options, snapshot: &Snapshot, rules: &[RuleSummary]) -> String {
    let digest: String = snapshot.digest().chars().take("sha256:".len() + 12).collect();
    let mut text = format!("outcall: agent `{}` under policy {digest}\n", plain(&options.name));
    let of = |decision: Decision| rules.iter().filter(move |rule| rule.decision == decision);
    for (decision, heading) in [(Decision::Allow, "reached"), (Decision::Block, "refused")] {
        section(&mut text, heading, snapshot, &of(decision).collect::<Vec<_>>());
    }
    text
}

fn section(text: &mut String, heading: &str, snapshot: &Snapshot, rules: &[&RuleSummary]) {
    if rules.is_empty() {
        let _ = writeln!(text, "  {heading}: nothing");
        return;
    }
    let total: u64 = rules.iter().map(|rule| rule.count).sum();
    let _ = writeln!(text, "  {heading}: {total}");
    for rule in rules.iter().take(RULES) {
        let place = snapshot.manifest.rules.iter().find(|row| row.id == rule.rule);
        let place = place.map(|row| format!(" ({}:{})", plain(&row.file), row.line)).unwrap_or_default();
        let _ = write!(text, "    {:>6}  {}{place}: ", rule.count, plain(&rule.rule));
        let shown: Vec<String> = rule.destinations.iter().take(DESTINATIONS).map(destination).collect();
        text.push_str(&shown.join(", "));
        match rule.destinations.len().saturating_sub(DESTINATIONS) {
            0 => {}
            more => {
                let _ = write!(text, ", and {more} more");
            }
        }
        text.push('\n');
    }
    if rules.len() > RULES {
        let _ = writeln!(text, "            and {} more rules", rules.len() - RULES);
    }
}

fn destination((name, count): &(String, u64)) -> String {
    let name = plain(name);
    if *count == 1 { name } else { format!("{name} ({count} times)") }
}

/// What the agent sent must not drive the terminal, nor fill it.
fn plain(text: &str) -> String {
    let mut plain: String = text.chars().take(WIDTH).map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
    if text.chars().nth(WIDTH).is_some() {
        plain.push_str("...");
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_long_names_stay_off_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a?[2Jb?");
        assert_eq!(plain(&"x".repeat(99)).len(), WIDTH + 3);
        assert_eq!(destination(&("a.example:443".into(), 2)), "a.example:443 (2 times)");
        assert_eq!(destination(&("a.example:443".into(), 1)), "a.example:443");
    }
}
