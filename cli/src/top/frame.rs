//! One screen of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use outcall_schema::api::process::Health;
use serde::Serialize;

use super::numbers::{Numbers, Passed};
use crate::daemon::printable;

/// How much there is room for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    pub(super) lines: usize,
    pub(super) columns: usize,
}

impl Size {
    /// Everything.
    pub(super) const WHOLE: Size = Size { lines: usize::MAX, columns: usize::MAX };

    /// That of the terminal; of a small one where it does not say.
    pub(super) fn of_terminal() -> Size {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
        let (lines, columns) = size.map_or((0, 0), |size| (usize::from(size.ws_row), usize::from(size.ws_col)));
        Size { lines: if lines == 0 { 24 } else { lines }, columns: if columns == 0 { 80 } else { columns } }
    }
}

/// What is shown.
#[derive(Debug, Serialize)]
pub(super) struct Frame {
    version: String,
    uptime_secs: u64,
    policy_digest: String,
    rules_loaded: usize,
    connections: u64,
    dns_cache_entries: u64,
    memory_bytes: u64,
    total: Row,
    layers: Vec<Row>,
    agents: Vec<Row>,
    rules: Vec<Row>,
}

/// A name and what was decided by it or for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    allowed: u64,
    blocked: u64,
    /// Since the frame before.
    #[serde(skip_serializing_if = "Option::is_none")]
    per_second: Option<f64>,
}

impl Frame {
    /// `before` is the frame before and how long ago it was.
    pub(super) fn new(health: &Health, numbers: &Numbers, before: Option<(&Numbers, Duration)>) -> Frame {
        let rows = |of: fn(&Numbers) -> &BTreeMap<String, Passed>| {
            let mut rows: Vec<Row> = of(numbers)
                .iter()
                .filter(|(_, passed)| passed.allowed + passed.blocked > 0)
                .map(|(name, passed)| {
                    let then = before.map(|(before, since)| (of(before).get(name).copied().unwrap_or_default(), since));
                    row(name, *passed, then)
                })
                .collect();
            let sum = |row: &Row| row.allowed + row.blocked;
            // What is busy now comes first, then what was.
            rows.sort_by(|a, b| {
                let rates = b.per_second.partial_cmp(&a.per_second).unwrap_or(std::cmp::Ordering::Equal);
                rates.then(sum(b).cmp(&sum(a))).then_with(|| a.name.cmp(&b.name))
            });
            rows
        };
        Frame {
            version: health.version.clone(),
            uptime_secs: health.uptime_secs,
            policy_digest: health.policy_digest.clone(),
            rules_loaded: health.rules,
            connections: numbers.one("outcall_proxy_connections"),
            dns_cache_entries: numbers.one("outcall_dns_cache_entries"),
            memory_bytes: numbers.one("process_resident_memory_bytes"),
            total: row("decisions", numbers.total(), before.map(|(before, since)| (before.total(), since))),
            layers: rows(|numbers| &numbers.layers),
            agents: rows(|numbers| &numbers.agents),
            rules: rows(|numbers| &numbers.rules),
        }
    }

    /// As text of at most so many lines and columns, with the last records below.
    pub(super) fn text(&self, size: Size, recent: &[String]) -> String {
        let mut lines = vec![
            format!(
                "outcalld {}  up {}  {} rule(s) of policy {}",
                self.version,
                span(self.uptime_secs),
                self.rules_loaded,
                self.policy_digest.chars().take("sha256:".len() + 12).collect::<String>()
            ),
            format!(
                "{} open connection(s), {} answer(s) kept, {} MiB",
                self.connections,
                self.dns_cache_entries,
                self.memory_bytes >> 20
            ),
            String::new(),
            format!("{:>12} {:>12} {:>9}  LAYER", "ALLOWED", "BLOCKED", "PER S"),
        ];
        lines.extend(self.layers.iter().chain([&self.total]).map(shown));
        // What is left of the screen is shared by agents, rules and records, after their headings.
        let left = size.lines.saturating_sub(lines.len() + 7);
        let share = (left / 3).max(1);
        for (heading, rows) in [("AGENT", &self.agents), ("RULE", &self.rules)] {
            lines.push(String::new());
            lines.push(format!("{:>12} {:>12} {:>9}  {heading}", "ALLOWED", "BLOCKED", "PER S"));
            lines.extend(rows.iter().take(share).map(shown));
        }
        if !recent.is_empty() {
            lines.push(String::new());
            lines.extend(recent.iter().take(share).cloned());
        }
        let mut text = String::new();
        for line in lines.iter().take(size.lines.saturating_sub(1)) {
            let line: String = printable(line).chars().take(size.columns).collect();
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}

fn row(name: &str, now: Passed, before: Option<(Passed, Duration)>) -> Row {
    let sum = |passed: Passed| passed.allowed + passed.blocked;
    let per_second = before.map(|(before, since)| {
        // A process that was started anew counts from nothing.
        sum(now).saturating_sub(sum(before)) as f64 / since.as_secs_f64().max(0.001)
    });
    Row { name: name.to_owned(), allowed: now.allowed, blocked: now.blocked, per_second }
}

fn shown(row: &Row) -> String {
    let rate = row.per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}"));
    let name = if row.name.is_empty() { "-" } else { &row.name };
    format!("{:>12} {:>12} {rate:>9}  {name}", row.allowed, row.blocked)
}

fn span(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health() -> Health {
        Health {
            version: "1".to_owned(),
            pid: 1,
            started_at: String::new(),
            uptime_secs: 3_700,
            policy_digest: "sha256:0123456789abcdef".to_owned(),
            rules: 2,
        }
    }

    fn numbers(allowed: u64) -> Numbers {
        Numbers::read(&format!(
            "outcall_agent_decisions_total{{agent=\"ci\",decision=\"allow\"}} {allowed}\n\
             outcall_agent_decisions_total{{agent=\"idle\",decision=\"allow\"}} 90\n\
             outcall_agent_decisions_total{{agent=\"x\\u001b\",decision=\"allow\"}} 0\n\
             outcall_rule_decisions_total{{rule=\"web\",decision=\"allow\"}} {allowed}\n\
             outcall_decisions_total{{layer=\"http\",decision=\"allow\",reason=\"allowed\"}} {allowed}\n"
        ))
    }

    #[test]
    fn a_frame_says_how_much_and_how_fast_with_the_busiest_first() {
        let (before, now) = (numbers(10), numbers(30));
        let frame = Frame::new(&health(), &now, Some((&before, Duration::from_secs(2))));
        let text = frame.text(Size::WHOLE, &["\x1b[2Jlast".to_owned()]);
        let expected = "\
outcalld 1  up 1 h 1 min  2 rule(s) of policy sha256:0123456789ab
0 open connection(s), 0 answer(s) kept, 0 MiB

     ALLOWED      BLOCKED     PER S  LAYER
          30            0      10.0  http
          30            0      10.0  decisions

     ALLOWED      BLOCKED     PER S  AGENT
          30            0      10.0  ci
          90            0       0.0  idle

     ALLOWED      BLOCKED     PER S  RULE
          30            0      10.0  web

?[2Jlast
";
        assert_eq!(text, expected);
        let first = Frame::new(&health(), &now, None).text(Size::WHOLE, &[]);
        assert!(first.contains("          90            0         -  idle\n          30"), "{first}");
    }

    #[test]
    fn a_frame_fits_its_screen() {
        let frame = Frame::new(&health(), &numbers(1), None);
        let recent: Vec<String> = (0..50).map(|at| format!("{at} {}", "x".repeat(200))).collect();
        for lines in [1, 5, 10, 24, 60] {
            let text = frame.text(Size { lines, columns: 40 }, &recent);
            assert!(
                text.lines().count() < lines.max(2) && text.lines().all(|line| line.chars().count() <= 40),
                "{text}"
            );
        }
    }
}
