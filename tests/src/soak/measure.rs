//! What a daemon holds at a moment, and what it must have let go.

use serde_json::Value;

use crate::fixtures::host::Host;

/// How much more resident memory there may be at the end than before, in KiB: what an allocator keeps for later differs from
/// run to run by some of this, whereas what each of the thousands of requests, reloads and agents of a soak would leave behind
/// goes past it.
const MEMORY_MARGIN_KIB: u64 = 24 * 1024;
/// How many more descriptors: connections to upstreams that are kept for the next request.
const DESCRIPTOR_MARGIN: u64 = 4;
/// How many more threads: those for what blocks come and go.
const THREAD_MARGIN: u64 = 2;

/// What a daemon holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// Resident memory.
    pub resident_kib: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads, of the daemon and of all its children.
    pub threads: u64,
    /// Processes: it and its descendants.
    pub processes: u64,
    /// Elements of all sets and maps of nft.
    pub elements: u64,
    /// Network interfaces of the host.
    pub links: u64,
    /// Agents that are guarded.
    pub agents: u64,
    /// Connections of agents.
    pub connections: u64,
}

impl Measure {
    /// Measures the daemon of a host.
    ///
    /// # Panics
    /// When it is not there.
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot go on")]
    pub fn take(host: &Host) -> Measure {
        let script = format!(
            "pid=$(pgrep --parent {}); sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/$pid/status; ls /proc/$pid/fd | wc -l; \
             all=$pid; next=$pid; while next=$(pgrep --parent $(echo $next | tr ' ' ,)); do next=$(echo $next); all=\"$all $next\"; done; \
             cat $(for one in $all; do echo /proc/$one/status; done) | awk '/^Threads:/ {{ n += $2 }} END {{ print n }}'; echo $all | wc -w; \
             ls /sys/class/net 2>/dev/null | wc -l; ip -o link | wc -l",
            host.pid()
        );
        let said = host.sh(&script);
        let numbers: Vec<u64> = said.lines().filter_map(|line| line.trim().parse().ok()).collect();
        let [resident_kib, descriptors, threads, processes, _, links] = numbers.try_into().expect("six numbers");
        let ruleset: Value = serde_json::from_str(&host.sh("nft -j list ruleset")).expect("the ruleset");
        let objects = ruleset.get("nftables").and_then(Value::as_array).cloned().unwrap_or_default();
        let elements = objects
            .iter()
            .filter_map(|object| object.get("set").or_else(|| object.get("map"))?.get("elem")?.as_array())
            .map(|elements| elements.len() as u64)
            .sum();
        let agents = Measure::metric(host, "outcall_agents");
        let connections = Measure::metric(host, "outcall_proxy_connections");
        Measure { resident_kib, descriptors, threads, processes, elements, links, agents, connections }
    }

    /// A metric without labels, or the sum of it over all labels.
    pub fn metric(host: &Host, name: &str) -> u64 {
        let text = host.curl_text("/metrics");
        let lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let values = lines.filter(|rest| rest.starts_with([' ', '{'])).filter_map(|rest| rest.rsplit(' ').next());
        values.filter_map(|value| value.parse::<u64>().ok()).sum()
    }

    /// Whether nothing but the memory is another.
    pub fn same_counts(&self, other: &Measure) -> bool {
        Measure { resident_kib: 0, ..self.clone() } == Measure { resident_kib: 0, ..other.clone() }
    }

    /// What there is more of than there was.
    pub fn leaks(&self, before: &Measure) -> Vec<String> {
        let rows = [
            ("KiB of resident memory", self.resident_kib, before.resident_kib, MEMORY_MARGIN_KIB),
            ("descriptors", self.descriptors, before.descriptors, DESCRIPTOR_MARGIN),
            ("threads", self.threads, before.threads, THREAD_MARGIN),
            ("processes", self.processes, before.processes, 0),
            ("elements of nft", self.elements, before.elements, 0),
            ("network interfaces", self.links, before.links, 0),
            ("agents", self.agents, before.agents, 0),
            ("connections of agents", self.connections, before.connections, 0),
        ];
        let leaked = rows.into_iter().filter(|(_, now, before, margin)| *now > before + margin);
        leaked.map(|(what, now, before, _)| format!("{now} {what}, and {before} before")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_before_is_a_leak_and_less_is_none() {
        let before = Measure {
            resident_kib: 50_000,
            descriptors: 40,
            threads: 8,
            processes: 2,
            elements: 30,
            links: 5,
            agents: 3,
            connections: 0,
        };
        assert_eq!(before.leaks(&before), Vec::<String>::new());
        let fewer = Measure { descriptors: 1, elements: 0, ..before.clone() };
        assert_eq!(fewer.leaks(&before), Vec::<String>::new());
        let more = Measure { resident_kib: 80_000, elements: 31, ..before.clone() };
        assert_eq!(
            more.leaks(&before),
            ["80000 KiB of resident memory, and 50000 before", "31 elements of nft, and 30 before"]
        );
    }
}
