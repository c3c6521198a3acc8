//! `outcall test`: a policy's own tests, run on the compiled programs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use outcall_schema::artifact::manifest::TestRow;
use outcall_schema::decision::RuleIndex;
use outcall_schema::layer::Layer;
use serde::Serialize;

use super::{Answer, Compiled, Decision, Request};

/// One test and how it went.
#[derive(Debug, Clone, Serialize)]
pub struct TestResult {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// Its line.
    pub line: u32,
    /// The layer asked.
    pub layer: Option<Layer>,
    /// What was wrong, a line each; empty for a test that passed.
    pub failures: Vec<String>,
}

/// All tests of a policy.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The tests, in file order.
    pub tests: Vec<TestResult>,
    /// How many passed.
    pub passed: usize,
    /// How many failed.
    pub failed: usize,
    /// How many rules decided, or were an obligation, in some test.
    pub rules_covered: usize,
    /// How many rules there are.
    pub rules: usize,
    /// The rules that no test reaches.
    pub rules_not_covered: Vec<String>,
}

impl Compiled {
    /// Runs the policy's tests.
    pub fn test(&self) -> Report {
        let mut covered: BTreeSet<RuleIndex> = BTreeSet::new();
        let tests: Vec<TestResult> = self
            .manifest
            .tests
            .iter()
            .map(|row| {
                let failures = match self.answer(row) {
                    Ok(answer) => {
                        covered.extend(answer.rule);
                        covered.extend(&answer.obligations);
                        self.compare(row, &answer)
                    }
                    Err(why) => vec![why],
                };
                TestResult {
                    name: row.name.clone(),
                    file: row.file.clone(),
                    line: row.line,
                    layer: row.layer,
                    failures,
                }
            })
            .collect();
        let failed = tests.iter().filter(|test| !test.failures.is_empty()).count();
        let rules_not_covered: Vec<String> = (0..)
            .zip(&self.manifest.rules)
            .filter(|(number, _)| !covered.contains(&RuleIndex(*number)))
            .map(|(_, row)| row.id.clone())
            .collect();
        Report {
            passed: tests.len() - failed,
            failed,
            tests,
            rules_covered: covered.len(),
            rules: self.manifest.rules.len(),
            rules_not_covered,
        }
    }

    fn answer(&self, row: &TestRow) -> Result<Answer, String> {
        let layer = row.layer.ok_or("the test does not say which layer it asks")?;
        let request = Request::from_json(&row.request).map_err(|error| error.to_string())?.complete(layer);
        Ok(self.ask(layer, &request.facts(layer)))
    }

    fn compare(&self, row: &TestRow, answer: &Answer) -> Vec<String> {
        let mut failures = Vec::new();
        let mut differ = |what: &str, expected: &str, found: &str| {
            if expected != found {
                failures.push(format!("{what}: expected {expected}, found {found}"));
            }
        };
        // A name that follows from a rule is allowed by it.
        let decision = if answer.decision == Decision::Implied { Decision::Allow } else { answer.decision };
        differ("decision", &row.expect.decision, decision.name());
        let found = self.rule(answer.rule);
        if let Some(rule) = &row.expect.rule {
            differ("rule", rule, found.map_or("default", |found| &found.id));
        }
        if let Some(mode) = row.expect.mode {
            let egress = found.and_then(|found| found.egress.as_ref());
            differ("mode", mode.name(), egress.map_or("none", |egress| egress.mode.name()));
        }
        if let Some(obligations) = &row.expect.obligations {
            let found: Vec<&str> = answer
                .obligations
                .iter()
                .filter_map(|rule| self.rule(Some(*rule)))
                .map(|row| row.id.as_str())
                .collect();
            differ("obligations", &format!("[{}]", obligations.join(", ")), &format!("[{}]", found.join(", ")));
        }
        failures
    }
}

impl Report {
    /// For people.
    pub fn human(&self) -> String {
        let mut text = String::new();
        for test in self.tests.iter().filter(|test| !test.failures.is_empty()) {
            let _ = writeln!(text, "FAILED {} ({}:{})", test.name, test.file, test.line);
            for failure in &test.failures {
                let _ = writeln!(text, "    {failure}");
            }
        }
        let _ = writeln!(text, "{} passed, {} failed", self.passed, self.failed);
        let _ = writeln!(text, "rules: {} of {} decided some test", self.rules_covered, self.rules);
        /// More names than this are only counted.
        const SHOWN: usize = 20;
        for rule in self.rules_not_covered.iter().take(SHOWN) {
            let _ = writeln!(text, "    no test reaches {rule}");
        }
        if self.rules_not_covered.len() > SHOWN {
            let _ = writeln!(text, "    and {} more", self.rules_not_covered.len() - SHOWN);
        }
        text
    }

    /// In the form that CI systems read (JUnit's XML).
    pub fn junit(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let _ = writeln!(
            text,
            "<testsuites>\n  <testsuite name=\"outcall\" tests=\"{}\" failures=\"{}\">",
            self.tests.len(),
            self.failed
        );
        for test in &self.tests {
            let head = format!(
                "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" line=\"{}\"",
                escape(&test.file),
                escape(&test.name),
                escape(&test.file),
                test.line
            );
            if test.failures.is_empty() {
                let _ = writeln!(text, "{head}/>");
            } else {
                let why = escape(&test.failures.join("; "));
                let _ = writeln!(text, "{head}>\n      <failure message=\"{why}\"/>\n    </testcase>");
            }
        }
        text.push_str("  </testsuite>\n</testsuites>\n");
        text
    }
}

/// Text as an XML attribute; characters that XML 1.0 does not have become U+FFFD.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(escaped, "&#{};", character as u32);
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}
