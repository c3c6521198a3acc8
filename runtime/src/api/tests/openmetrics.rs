//! The metrics, read by a strict reader of OpenMetrics text.

use std::collections::{BTreeMap, BTreeSet};

use outcall_schema::api::METRICS_TYPE;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;

use super::*;
use crate::audit::Record;

/// Samples by name with labels, in the order of the text.
type Samples = BTreeMap<String, f64>;

/// Reads a whole exposition (OpenMetrics 1.0, sections 4 and 5), and panics at whatever is not as it must be.
fn read(text: &str) -> Samples {
    let body = text.strip_suffix("# EOF\n").expect("it ends in EOF");
    let (mut samples, mut families) = (Samples::new(), BTreeSet::new());
    let (mut family, mut ty, mut unit) = (String::new(), String::new(), None);
    for line in body.split_terminator('\n') {
        if let Some(rest) = line.strip_prefix("# ") {
            let (kind, rest) = rest.split_once(' ').unwrap();
            let (name, value) = rest.split_once(' ').unwrap();
            match kind {
                "TYPE" => {
                    assert!(families.insert(name.to_owned()), "{name} is described twice");
                    assert!(["counter", "gauge", "histogram", "info"].contains(&value), "{line}");
                    (family, ty, unit) = (name.to_owned(), value.to_owned(), None);
                }
                "UNIT" => {
                    assert!(name == family && name.ends_with(&format!("_{value}")), "{line}");
                    unit = Some(value.to_owned());
                }
                "HELP" => assert!(name == family && !value.is_empty(), "{line}"),
                other => panic!("{other}: {line}"),
            }
            continue;
        }
        let (key, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = match key.split_once('{') {
            Some((name, rest)) => (name, labels(rest.strip_suffix('}').unwrap())),
            None => (key, Vec::new()),
        };
        let suffixes: &[&str] = match ty.as_str() {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            _ => &[""],
        };
        let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
        assert!(suffixes.contains(&suffix), "{line}");
        assert_eq!(suffix == "_bucket", labels.iter().any(|(name, _)| name == "le"), "{line}");
        assert!(unit.is_none() || family.ends_with(unit.as_deref().unwrap()), "{line}");
        let names: BTreeSet<&String> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), labels.len(), "{line} has a label twice");
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(samples.insert(key.to_owned(), value).is_none(), "{key} stands twice");
    }
    histograms(&families, &samples, text);
    samples
}

fn labels(text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{text}");
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next().expect("a label's value ends") {
                (at, '"') => break at,
                (_, '\\') => match chars.next().unwrap().1 {
                    'n' => value.push('\n'),
                    escaped @ ('\\' | '"') => value.push(escaped),
                    other => panic!("\\{other}"),
                },
                (_, plain) => value.push(plain),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
        assert!(rest.is_empty() || rest.starts_with(',') && rest.len() > 1, "{text}");
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    labels
}

/// Buckets rise to `+Inf`, which is the count.
fn histograms(families: &BTreeSet<String>, samples: &Samples, text: &str) {
    for family in families {
        let prefix = format!("{family}_bucket{{le=\"");
        let buckets: Vec<(f64, f64)> = text
            .lines()
            .filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "))
            .map(|(bound, count)| (bound.replace("+Inf", "inf").parse().unwrap(), count.parse().unwrap()))
            .collect();
        let Some(last) = buckets.last() else { continue };
        assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{family}: {buckets:?}");
        assert_eq!((last.0, Some(&last.1)), (f64::INFINITY, samples.get(&format!("{family}_count"))), "{family}");
    }
}

async fn scrape(served: &Served) -> Samples {
    let answer = served.raw("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Type: {METRICS_TYPE}\r\n")), "{head}");
    read(body)
}

#[tokio::test]
async fn what_was_decided_is_in_the_metrics() {
    let served = Served::with(LIMITS, |api| api.of_host(hosted::Recorded::host()));
    let snapshot = policy(RULES);
    let facts =
        |agent| Facts { agent_name: Fact::Known(agent), http_host: Fact::Known("a.example"), ..Facts::default() };
    let hostile = "\\a\"\n{}";
    for agent in ["ci", hostile, hostile] {
        served.audit.record(&Record::refusal(&snapshot, Layer::Http, &facts(agent), None, Reason::NoRuleAllows));
    }
    served.audit.meters().connect.observe(Duration::from_millis(3));
    let _open = served.audit.meters().connection();
    let samples = scrape(&served).await;
    let value = |key: &str| *samples.get(key).unwrap_or_else(|| panic!("{key} is not in {samples:#?}"));
    assert_eq!(value("outcall_decisions_total{layer=\"http\",decision=\"block\",reason=\"no_rule_allows\"}"), 3.0);
    assert_eq!(value("outcall_rule_decisions_total{rule=\"default\",decision=\"block\"}"), 3.0);
    assert_eq!(value("outcall_agent_decisions_total{agent=\"ci\",decision=\"block\"}"), 1.0);
    assert_eq!(value("outcall_agent_decisions_total{agent=\"\\\\a\\\"\\n{}\",decision=\"block\"}"), 2.0);
    assert_eq!(value("outcall_connect_seconds_bucket{le=\"0.0025\"}"), 0.0);
    assert_eq!(value("outcall_connect_seconds_bucket{le=\"0.005\"}"), 1.0);
    assert_eq!(value("outcall_connect_seconds_sum"), 0.003);
    assert_eq!(value("outcall_proxy_connections"), 1.0);
    assert_eq!(value("outcall_nft_packets_total{counter=\"rule_web\"}"), 3.0);
    assert_eq!(value("outcall_nft_bytes_total{counter=\"rule_web\"}"), 180.0);
    assert_eq!(value("outcall_policy_rules"), 3.0);
    let digest = format!("outcall_policy_info{{digest=\"{}\"", snapshot.digest());
    assert!(samples.keys().any(|key| key.starts_with(&digest)), "{samples:#?}");
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") > 2.0);
}

#[tokio::test]
async fn labels_are_bounded_whatever_is_asked() {
    let served = Served::with(LIMITS, |api| api);
    let snapshot = policy(RULES);
    for at in 0..3_000 {
        let name = format!("agent-{at}");
        let facts = Facts { agent_name: Fact::Known(&name), ..Facts::default() };
        let record = Record::refusal(&snapshot, Layer::Http, &facts, None, Reason::NoRuleAllows);
        served.audit.record(&Record { rule: format!("rule-{at}"), ..record });
    }
    let before = scrape(&served).await;
    assert!(before.len() < 4_000, "{}", before.len());
    let sum =
        |family: &str| before.iter().filter(|(key, _)| key.starts_with(family)).map(|(_, value)| value).sum::<f64>();
    assert_eq!(sum("outcall_rule_decisions_total"), 3_000.0);
    assert_eq!(sum("outcall_agent_decisions_total"), 3_000.0);
    assert_eq!(before["outcall_rule_decisions_total{rule=\"(other)\",decision=\"block\"}"], 2_000.0);
    // Counters only grow, whoever comes next.
    for at in 0..3_000 {
        let facts = Facts::default();
        let record = Record::refusal(&snapshot, Layer::Http, &facts, None, Reason::NoRuleAllows);
        served.audit.record(&Record { rule: format!("rule-{}", 3_000 - at), ..record });
    }
    let after = scrape(&served).await;
    for (key, value) in before.iter().filter(|(key, _)| key.contains("_total")) {
        assert!(after[key] >= *value, "{key}");
    }
}
