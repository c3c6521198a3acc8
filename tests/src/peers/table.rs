//! The columns as a page.

use std::fmt::Write as _;

use outcall_verify::run::{Scorecard, Verdict as Ours};
use outcall_verify::technique::{Family, Technique};

use super::{Column, Verdict};

/// Our own scorecard as a column; it is held to more, as its log and the kernel's counters are judged as well.
pub fn own(card: Scorecard, version: &str, about: &str) -> Column {
    let rows = card.rows.into_iter().map(|row| {
        let verdict = match row.verdict {
            Ours::Passed => Verdict::Passed,
            Ours::NotTried(why) => Verdict::Foreign(why),
            Ours::Failed(faults) if faults.iter().all(|fault| fault.starts_with("this did not arrive")) => {
                Verdict::Blocked(faults)
            }
            Ours::Failed(faults) => Verdict::Leaked(faults),
        };
        (row.technique.id, verdict)
    });
    let name = format!("outcall --{}", card.place.name());
    let rows = Ok(rows.collect());
    Column { name, version: version.to_owned(), about: about.to_owned(), rows, ended: Vec::new() }
}

/// The verdict of a column on a technique; none, where it was not tried.
fn verdict<'a>(column: &'a Column, technique: &Technique) -> Option<&'a Verdict> {
    column.rows.as_ref().ok()?.iter().find(|(id, _)| *id == technique.id).map(|(_, verdict)| verdict)
}

fn word(verdict: Option<&Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Passed) => "passed",
        Some(Verdict::Leaked(_)) => "**failed**",
        Some(Verdict::Blocked(_)) => "**blocked**",
        Some(Verdict::Foreign(_)) | None => "–",
    }
}

fn cell(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('|', "\\|")
}

/// The most of one fault that is printed: what was sent may be long.
const FAULT_CHARACTERS: usize = 160;

/// The page, below its head.
pub fn page(columns: &[Column], techniques: &[&'static Technique]) -> String {
    let mut text = String::from("## Products\n\n| product | version | how it was configured |\n|---|---|---|\n");
    for column in columns {
        let _ = writeln!(text, "| {} | {} | {} |", column.name, cell(&column.version), cell(&column.about));
    }
    for column in columns {
        if let Err(why) = &column.rows {
            let _ = writeln!(text, "\n`{}` does not run here: {}", column.name, cell(why));
        }
    }
    for column in columns.iter().filter(|column| !column.ended.is_empty()) {
        let ids: Vec<String> = column.ended.iter().map(|id| format!("`{id}`")).collect();
        let _ = writeln!(
            text,
            "\n{} ended of itself during or right after {}, and was started anew each time for what came next.",
            column.name,
            ids.join(", ")
        );
    }
    text.push_str("\n## In all\n\n| product | passed | failed | blocked | does not apply |\n|---|--:|--:|--:|--:|\n");
    for column in columns.iter().filter(|column| column.rows.is_ok()) {
        let count =
            |wanted: &str| techniques.iter().filter(|technique| word(verdict(column, technique)) == wanted).count();
        let (passed, failed) = (count("passed"), count("**failed**"));
        let _ = writeln!(text, "| {} | {passed} | {failed} | {} | {} |", column.name, count("**blocked**"), count("–"));
    }
    for family in Family::ALL {
        let _ = writeln!(text, "\n## {}\n", family.title());
        let shown: Vec<&Column> = columns.iter().filter(|column| column.rows.is_ok()).collect();
        let heads: Vec<&str> = shown.iter().map(|column| column.name.as_str()).collect();
        let _ = writeln!(text, "| technique | {} |\n|---|{}", heads.join(" | "), "---|".repeat(heads.len()));
        for technique in techniques.iter().filter(|technique| technique.family == family) {
            let words: Vec<&str> = shown.iter().map(|column| word(verdict(column, technique))).collect();
            let _ = writeln!(text, "| `{}`: {} | {} |", technique.id, cell(technique.name), words.join(" | "));
        }
    }
    text.push_str("\n## What was seen of the rows that were lost\n");
    for column in columns {
        let Ok(rows) = &column.rows else { continue };
        let lost: Vec<_> = rows
            .iter()
            .filter_map(|(id, verdict)| match verdict {
                Verdict::Leaked(faults) | Verdict::Blocked(faults) => Some((id, faults)),
                Verdict::Passed | Verdict::Foreign(_) => None,
            })
            .collect();
        if lost.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n### {}\n", column.name);
        for (id, faults) in lost {
            let faults: Vec<String> =
                faults.iter().map(|fault| cell(fault).chars().take(FAULT_CHARACTERS).collect()).collect();
            let _ = writeln!(text, "- `{id}`: {}", faults.join("; "));
        }
    }
    text
}
