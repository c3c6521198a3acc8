//! The numbers of a scrape, as far as they are shown.

use std::collections::BTreeMap;

/// How often something passed and was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Passed {
    pub(super) allowed: u64,
    pub(super) blocked: u64,
}

/// What is shown of a scrape.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    pub(super) agents: BTreeMap<String, Passed>,
    pub(super) rules: BTreeMap<String, Passed>,
    pub(super) layers: BTreeMap<String, Passed>,
    pub(super) single: BTreeMap<String, u64>,
}

impl Numbers {
    /// Reads OpenMetrics text. What is not known is passed over.
    pub(super) fn read(text: &str) -> Numbers {
        let mut numbers = Numbers::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((key, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<u64>() else { continue };
            let Some((name, labels)) = key.split_once('{') else {
                numbers.single.insert(key.to_owned(), value);
                continue;
            };
            let labels = labels_of(labels);
            let label = |name: &str| labels.iter().find(|(found, _)| found == name).map(|(_, text)| text.clone());
            let by = match name {
                "outcall_agent_decisions_total" => (&mut numbers.agents, label("agent")),
                "outcall_rule_decisions_total" => (&mut numbers.rules, label("rule")),
                "outcall_decisions_total" => (&mut numbers.layers, label("layer")),
                _ => continue,
            };
            if let (map, Some(key)) = by {
                let passed = map.entry(key).or_default();
                let count = if label("decision").as_deref() == Some("allow") {
                    &mut passed.allowed
                } else {
                    &mut passed.blocked
                };
                *count += value;
            }
        }
        numbers
    }

    /// One number without labels.
    pub(super) fn one(&self, name: &str) -> u64 {
        self.single.get(name).copied().unwrap_or(0)
    }

    /// All decisions.
    pub(super) fn total(&self) -> Passed {
        let sum = |total: Passed, one: &Passed| Passed {
            allowed: total.allowed + one.allowed,
            blocked: total.blocked + one.blocked,
        };
        self.layers.values().fold(Passed::default(), sum)
    }
}

fn labels_of(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.trim_start_matches(',').split_once("=\"") {
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next() {
                Some((_, '\\')) => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped)) => value.push(escaped),
                    None => return labels,
                },
                Some((at, '"')) => break at,
                Some((_, plain)) => value.push(plain),
                None => return labels,
            }
        };
        labels.push((name.to_owned(), value));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_summed_and_nonsense_is_passed_over() {
        let text = "# TYPE outcall_agent_decisions counter\n\
            outcall_agent_decisions_total{agent=\"a\\\"b\",decision=\"allow\"} 3\n\
            outcall_agent_decisions_total{agent=\"a\\\"b\",decision=\"block\"} 4\n\
            outcall_decisions_total{layer=\"dns\",decision=\"block\",reason=\"x\"} 4\n\
            outcall_decisions_total{layer=\"http\",decision=\"allow\",reason=\"y\"} 1\n\
            outcall_decisions_total{layer=\"dns\n\
            outcall_proxy_connections 7\noutcall_connect_seconds_sum 0.5\nnonsense\n# EOF\n";
        let numbers = Numbers::read(text);
        assert_eq!(numbers.agents.get("a\"b"), Some(&Passed { allowed: 3, blocked: 4 }));
        assert_eq!(numbers.total(), Passed { allowed: 1, blocked: 4 });
        assert_eq!((numbers.one("outcall_proxy_connections"), numbers.one("other")), (7, 0));
    }
}
