//! `outcall.nft`: the kernel's part of a policy as text that a person can read and `nft -f` can load.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use askama::Template;
use outcall_schema::addr;
use outcall_schema::layer::{KERNEL_LOG_GROUP, KERNEL_LOG_RATE};

use crate::decide::kernel::{Conjunction, KernelPolicy, KernelRule, KernelVerdict, PROTOCOLS};
use crate::decide::range;
use crate::resolve::Policy;

#[derive(Template)]
#[template(path = "outcall.nft", escape = "none")]
struct Ruleset<'a> {
    compiler: &'a str,
    rules: usize,
    special_v4: String,
    special_v6: String,
    metadata_v4: String,
    metadata_v6: String,
    log_group: u16,
    log_rate: u16,
    literal_v4: String,
    literal_v6: String,
    agent_sets: Vec<AgentSet>,
    lines: Vec<Line>,
}

struct AgentSet {
    name: String,
    condition: String,
}

/// A rule's part.
struct Line {
    id: String,
    place: String,
    verdict: &'static str,
    named: bool,
    sets: Vec<Set>,
    matches: Vec<String>,
    /// The same as far as it concerns redirection: what goes straight out, and what is settled before that.
    direct: Vec<String>,
}

struct Set {
    name: String,
    kind: &'static str,
    elements: String,
}

/// The name of an agent set.
pub(super) fn agent_set(number: usize) -> String {
    format!("agents_{number}")
}

/// Writes the ruleset.
pub(super) fn write(policy: &Policy, kernel: &KernelPolicy, agents: &[String]) -> String {
    let last_direct = kernel.rules.iter().rposition(|rule| rule.verdict == KernelVerdict::Direct);
    let numbered = kernel.rules.iter().enumerate();
    // After the last rule that lets something straight out, whatever is left is refused anyway.
    let lines = numbered.filter_map(|(at, rule)| line(policy, rule, Some(at) < last_direct)).collect();
    let ruleset = Ruleset {
        compiler: env!("CARGO_PKG_VERSION"),
        rules: policy.rules.len(),
        special_v4: ranges4(&range::normalise(addr::special_ranges_v4())),
        special_v6: ranges6(&range::normalise(addr::special_ranges_v6())),
        metadata_v4: listed(addr::METADATA_V4),
        metadata_v6: listed(addr::METADATA_V6),
        log_group: KERNEL_LOG_GROUP,
        log_rate: KERNEL_LOG_RATE,
        literal_v4: ranges4(&kernel.literal_v4),
        literal_v6: ranges6(&kernel.literal_v6),
        agent_sets: agents
            .iter()
            .enumerate()
            .map(|(number, condition)| AgentSet { name: agent_set(number), condition: condition.clone() })
            .collect(),
        lines,
    };
    // The template has no expression that can fail.
    ruleset.render().unwrap_or_default()
}

fn line(policy: &Policy, rule: &KernelRule, before_direct: bool) -> Option<Line> {
    let source = policy.rules.get(rule.number as usize)?;
    let id = source.id.clone();
    let mut line = Line {
        place: format!("{}:{}", source.span.file.name, source.span.line()),
        verdict: match rule.verdict {
            KernelVerdict::Direct => "allow",
            KernelVerdict::Refuse => "block",
            KernelVerdict::Proxy => "allow through the proxy",
        },
        named: rule.named,
        sets: Vec::new(),
        matches: Vec::new(),
        direct: Vec::new(),
        id: id.clone(),
    };
    let count = format!("counter name \"rule_{id}\"");
    if rule.named && !rule.opens.is_empty() {
        let ports = ports(&rule.opens);
        for (family, set) in [("ip", "v4"), ("ip6", "v6")] {
            let matched = format!("{family} saddr . {family} daddr @direct_{id}_{set} th dport {ports}");
            line.matches.push(format!("{matched} {count} accept"));
            line.direct.push(format!("{matched} accept"));
        }
    }
    let mut beyond = Vec::new();
    for (number, way) in rule.ways.iter().enumerate() {
        let found = ways(rule, way, number, &mut line);
        beyond.extend(found.decided.into_iter().filter(|decided| !found.matches.contains(decided)));
        for matched in found.matches {
            let (full, early) = match rule.verdict {
                KernelVerdict::Direct => (format!("{matched}{count} accept"), format!("{matched}accept")),
                KernelVerdict::Refuse => (format!("{matched}{count} goto refuse"), format!("{matched}return")),
                KernelVerdict::Proxy => (format!("{matched}{count} return"), format!("{matched}return")),
            };
            line.matches.push(full);
            line.direct.push(early);
        }
    }
    // The first rule that is true decides: what it does not open, no later rule does.
    for matched in beyond.iter().filter(|_| before_direct && rule.verdict == KernelVerdict::Direct) {
        line.matches.push(format!("{matched}goto refuse"));
        line.direct.push(format!("{matched}return"));
    }
    Some(line)
}

/// One alternative of a condition as statements, each ending in a blank unless it is empty.
struct Ways {
    /// What matches on the rule's terms.
    matches: Vec<String>,
    /// What matches the condition, on its terms or not.
    decided: Vec<String>,
}

/// The statements that match one alternative: by family where addresses or agents matter, once where they don't.
fn ways(rule: &KernelRule, way: &Conjunction, number: usize, line: &mut Line) -> Ways {
    let tail = transports(way, (rule.verdict == KernelVerdict::Direct).then_some(rule.opens.as_slice()));
    let any_tail = transports(way, None);
    let guarded = rule.verdict == KernelVerdict::Direct && !rule.special;
    if way.v4.is_none() && way.v6.is_none() && way.agents.is_none() && !guarded {
        return Ways { matches: tail, decided: any_tail };
    }
    let (mut matches, mut decided) = (Vec::new(), Vec::new());
    for (family, version) in [("ip", "v4"), ("ip6", "v6")] {
        let mut head = String::new();
        let family_alone = format!("meta nfproto {} ", if version == "v4" { "ipv4" } else { "ipv6" });
        if let Some(agents) = way.agents {
            let _ = write!(head, "{family} saddr @{}_{version} ", agent_set(agents));
        }
        let given = match version {
            "v4" => way.v4.as_ref().map(|ranges| (ranges.len(), ranges4(ranges))),
            _ => way.v6.as_ref().map(|ranges| (ranges.len(), ranges6(ranges))),
        };
        match given {
            Some((0, _)) => continue,
            Some((1, elements)) => {
                let _ = write!(head, "{family} daddr {elements} ");
            }
            Some((_, elements)) => {
                let name = format!("static_{}_{number}_{version}", line.id);
                let _ = write!(head, "{family} daddr @{name} ");
                let kind = if version == "v4" { "ipv4_addr" } else { "ipv6_addr" };
                line.sets.push(Set { name, kind, elements });
            }
            None if head.is_empty() => {
                head.clone_from(&family_alone);
            }
            None => {}
        }
        decided.extend(any_tail.iter().map(|tail| format!("{head}{tail}")));
        if guarded {
            if head == family_alone {
                head.clear();
            }
            let _ = write!(head, "{family} daddr != @special_{version} ");
        }
        matches.extend(tail.iter().map(|tail| format!("{head}{tail}")));
    }
    Ways { matches, decided }
}

/// Protocols and ports: one statement, or two where a rule opens ports and also protocols that have none.
fn transports(way: &Conjunction, opens: Option<&[(i64, i64)]>) -> Vec<String> {
    let opened = opens.filter(|opens| !opens.is_empty()).map(<[_]>::to_vec);
    let ports: Option<Vec<(i64, i64)>> = match (&way.ports, opened) {
        (None, opened) => opened,
        (Some(ports), None) => Some(ports.clone()),
        (Some(ports), Some(opened)) => Some(
            ports
                .iter()
                .flat_map(|(low, high)| opened.iter().map(move |(from, to)| (*low.max(from), *high.min(to))))
                .filter(|(low, high)| low <= high)
                .collect(),
        ),
    };
    let Some(ports) = ports else {
        return vec![way.protocols.as_ref().map_or(String::new(), protocols)];
    };
    let mut statements = Vec::new();
    let has_ports = |number: &u8| PROTOCOLS.iter().any(|(_, known, ports)| known == number && *ports);
    let all: BTreeSet<u8> = PROTOCOLS.iter().map(|(_, number, _)| *number).collect();
    let chosen = way.protocols.as_ref().unwrap_or(&all);
    let with: BTreeSet<u8> = chosen.iter().copied().filter(has_ports).collect();
    if !with.is_empty() && !ports.is_empty() {
        statements.push(format!("{}th dport {} ", protocols(&with), self::ports(&ports)));
    }
    // A rule that names a protocol without ports opens it whatever ports it opens.
    if way.ports.is_none()
        && let Some(named) = &way.protocols
    {
        let without: BTreeSet<u8> = named.iter().copied().filter(|number| !has_ports(number)).collect();
        if !without.is_empty() {
            statements.push(protocols(&without));
        }
    }
    statements
}

/// One port or range, or a set of them.
fn ports(ranges: &[(i64, i64)]) -> String {
    let shown = |(low, high): &(i64, i64)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    match ranges {
        [one] => shown(one),
        _ => format!("{{ {} }}", ranges.iter().map(shown).collect::<Vec<_>>().join(", ")),
    }
}

fn listed(addresses: &[impl ToString]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn protocols(numbers: &BTreeSet<u8>) -> String {
    let name = |number: &u8| PROTOCOLS.iter().find(|(_, known, _)| known == number).map(|(name, ..)| *name);
    // nft itself knows all of these but one: other names, `ipv6-icmp` too, it looks up in /etc/protocols, which small systems
    // do not have.
    let names: Vec<&str> =
        numbers.iter().filter_map(name).map(|name| if name == "gre" { "47" } else { name }).collect();
    match names.as_slice() {
        [one] => format!("meta l4proto {one} "),
        _ => format!("meta l4proto {{ {} }} ", names.join(", ")),
    }
}

fn ranges4(ranges: &[(u32, u32)]) -> String {
    let shown = ranges.iter().map(|(low, high)| {
        let size = u64::from(*high) - u64::from(*low) + 1;
        let address = Ipv4Addr::from_bits(*low);
        if size.is_power_of_two() && u64::from(*low) % size == 0 {
            prefixed(&address, 32 - size.trailing_zeros(), 32)
        } else {
            format!("{address}-{}", Ipv4Addr::from_bits(*high))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn ranges6(ranges: &[(u128, u128)]) -> String {
    let shown = ranges.iter().map(|(low, high)| {
        let address = Ipv6Addr::from_bits(*low);
        // One less than the size, which for all addresses would not fit.
        let span = high - low;
        if span & span.wrapping_add(1) == 0 && low & span == 0 {
            prefixed(&address, 128 - span.count_ones(), 128)
        } else {
            format!("{address}-{}", Ipv6Addr::from_bits(*high))
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn prefixed(address: &dyn std::fmt::Display, prefix: u32, longest: u32) -> String {
    if prefix == longest { address.to_string() } else { format!("{address}/{prefix}") }
}
