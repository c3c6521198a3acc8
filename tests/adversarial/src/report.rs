//! The scorecard as text for people, as JSON, as JUnit's XML and as Markdown.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::run::{Row, Scorecard, Verdict};
use crate::technique::Family;

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed(_) => "FAILED",
        Verdict::NotTried(_) => "not tried",
    }
}

fn of(card: &Scorecard, family: Family) -> Vec<&Row> {
    card.rows.iter().filter(|row| row.technique.family == family).collect()
}

fn total(card: &Scorecard) -> String {
    let (passed, failed, not_tried) = card.counts();
    let strays = if card.strays.is_empty() { String::new() } else { format!(", {} strays", card.strays.len()) };
    format!(
        "{passed} passed, {failed} failed, {not_tried} not tried{strays} in {:.1} s ({}, policy {})",
        card.took.as_secs_f64(),
        card.place.name(),
        card.policy
    )
}

/// For people.
pub fn human(card: &Scorecard) -> String {
    let mut text = String::new();
    for family in Family::ALL {
        let rows = of(card, family);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "{}", family.title());
        for row in rows {
            let _ = writeln!(text, "  {:<9} {:<28} {}", word(&row.verdict), row.technique.id, row.evidence);
            match &row.verdict {
                Verdict::Passed => {}
                Verdict::NotTried(why) => {
                    let _ = writeln!(text, "              {why}");
                }
                Verdict::Failed(faults) => {
                    for fault in faults {
                        let _ = writeln!(text, "            - {fault}");
                    }
                }
            }
        }
    }
    for stray in &card.strays {
        let _ = writeln!(text, "after the last technique: {stray}");
    }
    let _ = writeln!(text, "{}", total(card));
    text
}

/// As one JSON document.
pub fn json(card: &Scorecard) -> Value {
    let (passed, failed, not_tried) = card.counts();
    let rows: Vec<Value> = card
        .rows
        .iter()
        .map(|row| {
            let (verdict, faults, why) = match &row.verdict {
                Verdict::Passed => ("passed", [].as_slice(), None),
                Verdict::Failed(faults) => ("failed", faults.as_slice(), None),
                Verdict::NotTried(why) => ("not_tried", [].as_slice(), Some(why)),
            };
            json!({
                "id": row.technique.id, "family": row.technique.family.name(), "name": row.technique.name,
                "verdict": verdict, "evidence": row.evidence, "faults": faults, "not_tried": why,
            })
        })
        .collect();
    json!({
        "version": 1, "place": card.place.name(), "policy": card.policy, "passed": passed, "failed": failed,
        "not_tried": not_tried, "took_ms": u64::try_from(card.took.as_millis()).unwrap_or(u64::MAX),
        "strays": card.strays, "techniques": rows,
    })
}

/// As JUnit's XML, which most continuous integration shows.
pub fn junit(card: &Scorecard) -> String {
    let (_, failed, not_tried) = card.counts();
    let stray = usize::from(!card.strays.is_empty());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"outcall verify --{}\" tests=\"{}\" failures=\"{}\" skipped=\"{not_tried}\" time=\"{:.3}\">\n",
        card.place.name(),
        card.rows.len() + 1,
        failed + stray,
        card.took.as_secs_f64()
    );
    let mut case = |class: &str, name: &str, inner: &str| {
        let _ = writeln!(
            text,
            "  <testcase classname=\"{}\" name=\"{}\">{inner}</testcase>",
            escaped(class),
            escaped(name)
        );
    };
    let failure = |faults: &[String]| format!("<failure>{}</failure>", escaped(&faults.join("\n")));
    for row in &card.rows {
        let inner = match &row.verdict {
            Verdict::Passed => format!("<system-out>{}</system-out>", escaped(&row.evidence)),
            Verdict::Failed(faults) => failure(faults),
            Verdict::NotTried(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
        };
        case(row.technique.family.name(), row.technique.id, &inner);
    }
    case("run", "strays", &if card.strays.is_empty() { String::new() } else { failure(&card.strays) });
    text.push_str("</testsuite>\n");
    text
}

/// Text in XML: what means something there by its name, and what may not be there at all as `?`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

/// As Markdown.
pub fn markdown(card: &Scorecard) -> String {
    let mut text = format!("# `outcall verify --{}`\n\n{}\n", card.place.name(), total(card));
    for family in Family::ALL {
        let rows = of(card, family);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "\n## {}\n\n| technique | evidence | verdict |\n|---|---|---|", family.title());
        for row in rows {
            let why = match &row.verdict {
                Verdict::Passed => String::new(),
                Verdict::Failed(faults) => format!(": {}", faults.join("; ")),
                Verdict::NotTried(why) => format!(": {why}"),
            };
            let cell = |text: &str| text.replace('|', "\\|").replace(['\n', '\r'], " ");
            let _ = writeln!(
                text,
                "| `{}`: {} | {} | {}{} |",
                row.technique.id,
                cell(row.technique.name),
                cell(&row.evidence),
                word(&row.verdict),
                cell(&why)
            );
        }
    }
    for stray in &card.strays {
        let _ = writeln!(text, "\nAfter the last technique: {stray}");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::run::Place;
    use crate::table;

    fn card() -> Scorecard {
        let mut techniques = table::techniques();
        let mut row = |verdict| Row {
            technique: techniques.next().unwrap(),
            verdict,
            evidence: "nothing | <arrived>".to_owned(),
        };
        let rows = vec![
            row(Verdict::Passed),
            row(Verdict::Failed(vec!["this arrived: \u{1b}[2J & \"more\"".to_owned()])),
            row(Verdict::NotTried("no such socket".to_owned())),
        ];
        Scorecard {
            place: Place::Sandbox,
            policy: "sha256:0".into(),
            rows,
            strays: vec![],
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn every_format_says_the_same() {
        let card = card();
        assert!(!card.passed());
        let text = human(&card);
        assert!(text.ends_with("1 passed, 1 failed, 1 not tried in 1.0 s (sandbox, policy sha256:0)\n"), "{text}");
        let value = json(&card);
        assert_eq!((&value["passed"], &value["failed"], &value["not_tried"]), (&json!(1), &json!(1), &json!(1)));
        assert_eq!(value["techniques"][1]["verdict"], "failed");
        let xml = junit(&card);
        assert!(xml.contains("tests=\"4\" failures=\"1\" skipped=\"1\""), "{xml}");
        assert!(
            xml.contains("this arrived: ?[2J &amp; &quot;more&quot;") && xml.contains("nothing | &lt;arrived&gt;"),
            "{xml}"
        );
        let page = markdown(&card);
        assert!(page.contains("nothing \\| <arrived> | passed |"), "{page}");
    }
}
