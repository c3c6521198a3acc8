//! Writes what is counted and measured as OpenMetrics text (OpenMetrics 1.0).
//!
//! Label sets are bounded: rules and agents beyond the first so many are counted together, as `(other)`, which no rule and no
//! agent can be called.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use super::Api;
use super::host::Counter;
use crate::audit::{Counts, Decision, Passed};
use crate::intercept::Leaves;
use crate::meters::{BUCKETS_US, Histogram};

/// Pairs of rule and decision that have a series of their own: the first so many that came.
const RULES_MAX: usize = 1_000;
/// What the rest is called.
const OTHER: &str = "(other)";

/// What a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Counter,
    Gauge,
    Histogram,
    Info,
}

impl Type {
    const fn name(self) -> &'static str {
        match self {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
            Type::Info => "info",
        }
    }

    /// What is appended to the family's name in its samples.
    const fn suffix(self) -> &'static str {
        match self {
            Type::Counter => "_total",
            Type::Gauge | Type::Histogram => "",
            Type::Info => "_info",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct FamilyRow {
    pub(super) name: &'static str,
    pub(super) ty: Type,
    pub(super) help: &'static str,
}

macro_rules! families {
    ($($variant:ident, $name:literal, $ty:ident, $help:literal;)*) => {
        /// A metric family.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Family { $($variant,)* }

        /// The table of families, in the order in which they are written.
        pub(super) const FAMILIES: &[FamilyRow] =
            &[$(FamilyRow { name: $name, ty: Type::$ty, help: $help },)*];
    };
}

families! {
    Build, "outcall_build", Info, "The version that runs.";
    Policy, "outcall_policy", Info, "The digest of the policy in force.";
    PolicyRules, "outcall_policy_rules", Gauge, "Rules of the policy in force.";
    Decisions, "outcall_decisions", Counter, "Decisions by layer, decision and code of the reason.";
    RuleDecisions, "outcall_rule_decisions", Counter, "Decisions by the rule that decided.";
    AgentDecisions, "outcall_agent_decisions", Counter, "Decisions by the agent that asked.";
    DnsQueries, "outcall_dns_queries", Counter, "Queries by what became of them.";
    DnsAnswer, "outcall_dns_answer_seconds", Histogram, "From a query to its answer.";
    DnsUpstream, "outcall_dns_upstream_seconds", Histogram, "From a question to an upstream resolver to its usable answer.";
    DnsCacheEntries, "outcall_dns_cache_entries", Gauge, "Answers that are kept.";
    DnsCacheEntriesMax, "outcall_dns_cache_entries_max", Gauge, "Answers that are kept at most.";
    DnsCacheUses, "outcall_dns_cache_uses", Counter, "Looks into the cache by what they found.";
    DnsCacheEvictions, "outcall_dns_cache_evictions", Counter, "Answers that had to make room.";
    Connect, "outcall_connect_seconds", Histogram, "From dialling an address to the connection.";
    Connections, "outcall_proxy_connections", Gauge, "Connections of agents that are open.";
    InsideDecided, "outcall_intercept_decided_seconds", Histogram, "From the head of a request inside TLS to the decision.";
    InsideTotal, "outcall_intercept_request_seconds", Histogram, "From the head of a request inside TLS to its end.";
    LeafEntries, "outcall_leaf_cache_entries", Gauge, "Certificates for hosts that are kept.";
    LeafEntriesMax, "outcall_leaf_cache_entries_max", Gauge, "Certificates for hosts that are kept at most.";
    Agents, "outcall_agents", Gauge, "Agents that are guarded.";
    NftPackets, "outcall_nft_packets", Counter, "Packets that a named counter of the kernel's tables saw.";
    NftBytes, "outcall_nft_bytes", Counter, "Bytes in them.";
    Followers, "outcall_event_followers", Gauge, "Readers that follow the events.";
    EventsLost, "outcall_events_lost", Counter, "Events that slow readers lost.";
    RecordsLost, "outcall_audit_lost", Counter, "Records that the audit log is without, as it could not be written.";
    Strangers, "outcall_api_refused_peers", Counter, "Peers of the operator's socket that may not ask.";
    AgentStrangers, "outcall_agent_api_refused_peers", Counter, "Peers of the agents' socket that are no agents.";
    Started, "process_start_time_seconds", Gauge, "When the process began to serve, since 1970.";
    Memory, "process_resident_memory_bytes", Gauge, "Memory that the process has.";
    Descriptors, "process_open_fds", Gauge, "Descriptors that the process has open.";
}

/// Everything at this moment.
pub(super) async fn text(api: &Api) -> String {
    let mut page = Page::default();
    policy(&mut page, api);
    decisions(&mut page, &api.audit.counts());
    dns(&mut page, api);
    proxy(&mut page, api);
    kernel(&mut page, api).await;
    process(&mut page, api);
    page.finish()
}

fn policy(page: &mut Page, api: &Api) {
    let snapshot = api.policy.load();
    page.family(Family::Build).sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let labels = [("digest", snapshot.digest()), ("compiler", snapshot.manifest.compiler.as_str())];
    page.family(Family::Policy).sample(&labels, 1);
    page.family(Family::PolicyRules).sample(&[], snapshot.manifest.rules.len() as u64);
}

fn decisions(page: &mut Page, counts: &Counts) {
    let mut family = page.family(Family::Decisions);
    for ((layer, decision, reason), count) in &counts.layers {
        family.sample(&[("layer", layer.name()), ("decision", decision_name(*decision)), ("reason", reason)], *count);
    }
    let mut family = page.family(Family::RuleDecisions);
    let (shown, rest) = counts.by_rule.split_at(counts.by_rule.len().min(RULES_MAX));
    for (rule, decision, count) in shown {
        family.sample(&[("rule", rule), ("decision", decision_name(*decision))], *count);
    }
    for decision in [Decision::Allow, Decision::Block] {
        let others = rest.iter().filter(|(_, other, _)| *other == decision).map(|(_, _, count)| count).sum();
        family.sample(&[("rule", OTHER), ("decision", decision_name(decision))], others);
    }
    let mut family = page.family(Family::AgentDecisions);
    let others = (OTHER.to_owned(), counts.other_agents);
    for (agent, Passed { allowed, blocked }) in counts.agents.iter().chain([&others]) {
        family.sample(&[("agent", agent), ("decision", decision_name(Decision::Allow))], *allowed);
        family.sample(&[("agent", agent), ("decision", decision_name(Decision::Block))], *blocked);
    }
}

const fn decision_name(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Block => "block",
    }
}

fn dns(page: &mut Page, api: &Api) {
    let (meters, cache) = (api.audit.meters(), api.resolver.cache());
    let mut family = page.family(Family::DnsQueries);
    family.sample(&[("decision", "allow")], meters.dns_allowed.total());
    family.sample(&[("decision", "block")], meters.dns_blocked.total());
    page.family(Family::DnsAnswer).histogram(&meters.dns_answer);
    page.family(Family::DnsUpstream).histogram(&meters.dns_upstream);
    page.family(Family::DnsCacheEntries).sample(&[], cache.entries as u64);
    page.family(Family::DnsCacheEntriesMax).sample(&[], cache.max_entries as u64);
    let mut family = page.family(Family::DnsCacheUses);
    family.sample(&[("result", "hit")], cache.hits);
    family.sample(&[("result", "miss")], cache.misses);
    page.family(Family::DnsCacheEvictions).sample(&[], cache.evictions);
}

fn proxy(page: &mut Page, api: &Api) {
    let meters = api.audit.meters();
    page.family(Family::Connect).histogram(&meters.connect);
    page.family(Family::Connections).sample(&[], meters.connections());
    page.family(Family::InsideDecided).histogram(&meters.inside_decided);
    page.family(Family::InsideTotal).histogram(&meters.inside_total);
    let leaves = api.interception.as_ref().map_or(0, |interception| interception.leaves().len());
    page.family(Family::LeafEntries).sample(&[], leaves as u64);
    page.family(Family::LeafEntriesMax).sample(&[], Leaves::MAX as u64);
}

/// What the host's core and its kernel count. What cannot be had is left out: a number that is not known is not zero.
async fn kernel(page: &mut Page, api: &Api) {
    let (agents, counters) = match &api.host {
        Some(host) => (host.agents().await.ok().map(|agents| agents.len()), host.counters().await.unwrap_or_default()),
        None => (Some(usize::from(api.sandbox.is_some())), Vec::new()),
    };
    let mut family = page.family(Family::Agents);
    if let Some(agents) = agents {
        family.sample(&[], agents as u64);
    }
    // Tables of two families may have counters of one name, and a sample stands once.
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for Counter { name, packets, bytes } in counters {
        let sum = sums.entry(name).or_default();
        *sum = (sum.0.saturating_add(packets), sum.1.saturating_add(bytes));
    }
    let mut family = page.family(Family::NftPackets);
    for (name, (packets, _)) in &sums {
        family.sample(&[("counter", name)], *packets);
    }
    let mut family = page.family(Family::NftBytes);
    for (name, (_, bytes)) in &sums {
        family.sample(&[("counter", name)], *bytes);
    }
}

fn process(page: &mut Page, api: &Api) {
    let (followers, lost) = api.audit.followers();
    page.family(Family::Followers).sample(&[], followers as u64);
    page.family(Family::EventsLost).sample(&[], lost);
    page.family(Family::RecordsLost).sample(&[], api.audit.lost());
    page.family(Family::Strangers).sample(&[], api.audit.meters().strangers.total());
    page.family(Family::AgentStrangers).sample(&[], api.audit.meters().agent_strangers.total());
    let started = api.started.clock.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    page.family(Family::Started).sample(&[], started.as_secs());
    let mut family = page.family(Family::Memory);
    if let Some(bytes) = resident() {
        family.sample(&[], bytes);
    }
    let mut family = page.family(Family::Descriptors);
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        family.sample(&[], open.count() as u64);
    }
}

/// The memory that this process has, in bytes (proc_pid_status(5)).
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.trim().parse::<u64>().ok()? * 1024)
}

/// The text so far.
#[derive(Default)]
struct Page {
    text: String,
}

/// A family whose samples come next.
struct Samples<'a> {
    page: &'a mut Page,
    row: &'static FamilyRow,
}

impl Page {
    #[expect(
        clippy::indexing_slicing,
        reason = "the table has one row per variant, in order; both are made from one list"
    )]
    fn family(&mut self, family: Family) -> Samples<'_> {
        let row = &FAMILIES[family as usize];
        let FamilyRow { name, ty, help } = row;
        let _ = writeln!(self.text, "# TYPE {name} {}", ty.name());
        for unit in ["seconds", "bytes"] {
            if name.ends_with(unit) {
                let _ = writeln!(self.text, "# UNIT {name} {unit}");
            }
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
        Samples { page: self, row }
    }

    fn finish(mut self) -> String {
        self.text.push_str("# EOF\n");
        self.text
    }
}

impl Samples<'_> {
    fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        let _ = write!(self.page.text, "{}{}", self.row.name, self.row.ty.suffix());
        for (at, (name, text)) in labels.iter().enumerate() {
            let _ = write!(self.page.text, "{}{name}=\"{}\"", if at == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.page.text, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn histogram(&mut self, histogram: &Histogram) {
        let (name, measured) = (self.row.name, histogram.measured());
        let bounds = BUCKETS_US.iter().map(|micros| bound(*micros)).chain(["+Inf".to_owned()]);
        for (bound, count) in bounds.zip(measured.cumulative) {
            let _ = writeln!(self.page.text, "{name}_bucket{{le=\"{bound}\"}} {count}");
        }
        let count = measured.cumulative.last().copied().unwrap_or(0);
        let _ = writeln!(self.page.text, "{name}_count {count}");
        let _ = writeln!(self.page.text, "{name}_sum {:.9}", measured.sum.as_secs_f64());
    }
}

/// Microseconds as seconds in the canonical form of numbers (OpenMetrics 1.0, "Canonical Numbers"): `0.0025`, `1.0`.
fn bound(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_no_name_twice_and_names_say_their_units() {
        for row in FAMILIES {
            assert_eq!(FAMILIES.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
            assert!(row.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", row.name);
            assert!(row.help.ends_with('.') && !row.help.contains(['\\', '"', '\n']), "{}", row.name);
            assert!(!row.name.ends_with("_total") && !row.name.ends_with("_info"), "{}", row.name);
            assert_eq!(
                row.ty == Type::Histogram,
                row.name.ends_with("_seconds") && row.ty != Type::Gauge,
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn the_page_lists_each_family() {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api.md")).unwrap();
        let rows: Vec<&str> =
            page.lines().filter(|line| line.starts_with("| `outcall_") || line.starts_with("| `process_")).collect();
        let row =
            |row: &FamilyRow| format!("| `{}` | {} | {} |", row.name, row.ty.name(), row.help.trim_end_matches('.'));
        assert_eq!(rows, FAMILIES.iter().map(row).collect::<Vec<_>>());
    }

    #[test]
    fn bounds_are_canonical_numbers() {
        let expected =
            [(100, "0.0001"), (250_000, "0.25"), (1_000_000, "1.0"), (10_000_000, "10.0"), (2_500, "0.0025")];
        for (micros, text) in expected {
            assert_eq!(bound(micros), text);
        }
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
    }
}
