//! The text of the host's ruleset: the policy's, as it was compiled, with the host's own settings and the sets that the
//! runtime fills, and the bridge's own table beside it. All of it is one transaction.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::{KERNEL_LOG_GROUP, KERNEL_LOG_RATE};

use super::agents::{Agent, Agents};
use super::network::Network;
use crate::kernel::TABLE;
use crate::kernel::counters::Count;
use crate::kernel::elements::{Change, Element, Family, Part};
use crate::kernel::log::FORGED;
use crate::snapshot::Snapshot;

/// The sets of the bridge's table: the ports of agents, and which addresses are behind which port.
const PORTS: &str = "ports";
const PINNED_V4: &str = "pinned_v4";
const PINNED_V6: &str = "pinned_v6";
/// The set of the agents' hardware addresses.
const HARDWARE: &str = "hardware";
/// The counter of frames that somebody sent to another.
pub const BETWEEN: &str = "between_agents";
/// The set of the packets' table that has the ports of agents as well.
const PLUGGED: &str = "plugged";

/// Why a policy's ruleset is not what the compiler writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignRuleset {
    /// A setting is not there, or there twice.
    #[error("outcall.nft does not define `{0}` exactly once")]
    Setting(&'static str),
}

/// An address that an agent may talk to as it likes, since a name led there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The set of the rule that opens it, without the family.
    pub rule: String,
    /// The agent's address.
    pub from: IpAddr,
    /// The address that is open.
    pub to: IpAddr,
    /// For how long.
    pub lifetime: Duration,
}

/// What the named counters have seen; they go on counting from there.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Those of the table for packets.
    pub packets: Vec<Count>,
    /// Those of the table for frames.
    pub frames: Vec<Count>,
}

/// The whole ruleset for a policy.
///
/// # Errors
/// [`ForeignRuleset`].
pub fn text(
    snapshot: &Snapshot,
    network: &Network,
    agents: &Agents,
    opened: &[Opened],
    counts: &Counts,
) -> Result<String, ForeignRuleset> {
    let mut text = counted(settings(&snapshot.nft, network)?, &counts.packets);
    text.push('\n');
    for element in agents.iter().flat_map(|agent| agent_sets(snapshot, agent)) {
        element_text(&mut text, &element);
    }
    for element in opened.iter().map(opened_element) {
        element_text(&mut text, &element);
    }
    text.push_str(&counted(bridge(network), &counts.frames));
    for element in agents.iter().flat_map(pins) {
        element_text(&mut text, &element);
    }
    Ok(text)
}

/// A table's text with what its counters have seen.
fn counted(mut text: String, counts: &[Count]) -> String {
    for Count { name, packets, bytes } in counts {
        let open = format!("\tcounter {name} {{\n");
        text = text.replacen(&open, &format!("{open}\t\tpackets {packets} bytes {bytes}\n"), 1);
    }
    text
}

/// A ruleset under which nothing passes and nothing is answered: for the time without a policy.
pub fn closed(network: &Network, agents: &Agents) -> String {
    let Network { bridge: name, .. } = network;
    let mut text = format!(
        "\
add table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
	counter refused {{
	}}

	# There is no policy in force.
	chain first {{
		type filter hook prerouting priority raw; policy accept;
		iifname \"{name}\" meta l4proto != {{ icmp, icmpv6 }} counter name \"refused\" drop
	}}

	chain forward {{
		type filter hook forward priority filter; policy drop;
		iifname != \"{name}\" oifname != \"{name}\" accept
		counter name \"refused\"
	}}

	chain input {{
		type filter hook input priority filter; policy drop;
		iifname != \"{name}\" accept
		icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} ip6 hoplimit 255 accept
		counter name \"refused\"
	}}
}}
"
    );
    text.push_str(&bridge(network));
    for element in agents.iter().flat_map(pins) {
        element_text(&mut text, &element);
    }
    text
}

/// The policy's text with the host's settings in place of the compiler's.
fn settings(nft: &str, network: &Network) -> Result<String, ForeignRuleset> {
    let mut text = nft.to_owned();
    for (name, value) in [
        ("outcall_bridge", format!("\"{}\"", network.bridge)),
        ("outcall_subnet_v4", network.v4.to_string()),
        // A kernel without IPv6 has no packets of it, whatever stands there.
        ("outcall_subnet_v6", network.v6.map_or_else(|| "::/128".to_owned(), |v6| v6.to_string())),
        ("outcall_dns_port", network.dns_port.to_string()),
        ("outcall_proxy_port", network.proxy_port.to_string()),
    ] {
        let define = format!("define {name} = ");
        let mut lines = text.lines().filter(|line| line.starts_with(&define));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(ForeignRuleset::Setting(name)) };
        text = text.replacen(line, &format!("{define}{value}"), 1);
    }
    Ok(text)
}

/// The bridge's own table: agents are who they are known as, and reach the host alone, never each other. And what keeps
/// them from being links of the host's when there is no bridge.
///
/// It works on frames, so it holds whatever is said to packets, with or without `br_netfilter`. Not every kernel can tell of
/// which bridge a frame's port is, so ours are known by their ports and by the addresses of the agents' network, which no
/// other bridge has. What comes from a port that nobody is known to be behind has none of these addresses, and the table
/// for packets lets nothing in from the bridge that has any other.
fn bridge(network: &Network) -> String {
    let (v4, v6) = (network.v4, network.v6);
    let mut text = format!(
        "
table inet {TABLE} {{
	# Filled: the ports of agents. A packet that comes in by one and not by the bridge came past everything that guards the
	# bridge: somebody took the port off, or the bridge away.
	set {PLUGGED} {{
		type ifname
	}}

	chain unplugged {{
		type filter hook prerouting priority -310; policy accept;
		iifname @{PLUGGED} counter name \"refused\" drop
	}}
}}
"
    );
    let mut chains = String::new();
    for (family, part, subnet, pinned) in
        [("ip", "ip", Some(v4.to_string()), PINNED_V4), ("ip6", "ip6", v6.map(|v6| v6.to_string()), PINNED_V6)]
    {
        let Some(subnet) = subnet else { continue };
        let known = format!("iifname . ether saddr . {part} saddr @{pinned}");
        let _ = writeln!(chains, "\t\tether type {family} {known} accept\n\t\t{part} saddr {subnet} goto forged");
    }
    let _ = write!(
        text,
        "
add table bridge {TABLE}
delete table bridge {TABLE}
table bridge {TABLE} {{
	# Filled: the ports of agents, their hardware addresses, and for each port the addresses of the agent behind it.
	set {PORTS} {{
		type ifname
	}}
	set {HARDWARE} {{
		type ether_addr
	}}
	set {PINNED_V4} {{
		type ifname . ether_addr . ipv4_addr
	}}
	set {PINNED_V6} {{
		type ifname . ether_addr . ipv6_addr
	}}

	counter {FORGED} {{
	}}
	counter {BETWEEN} {{
	}}
	counter chatter {{
	}}

	# Whatever comes in by a port, before anything else looks at it, with or without `br_netfilter`. Ports pass nothing on to
	# each other and say nothing of what they drop, so what is for other agents ends here: for one of them, or for a group that
	# somebody may be in. What is for the host is said by agents as themselves alone.
	chain first {{
		type filter hook prerouting priority filter; policy accept;
		iifname @{PORTS} ether daddr @{HARDWARE} goto between
		iifname @{PORTS} ip daddr 224.0.0.0/4 ip protocol != igmp goto between
		iifname @{PORTS} ip6 daddr ff00::/8 meta l4proto != icmpv6 goto between
{chains}\
		ether type arp iifname . ether saddr . arp saddr ip @{PINNED_V4} iifname . arp saddr ether . arp saddr ip @{PINNED_V4} accept
		arp saddr ip {v4} goto forged
		arp daddr ip {v4} goto forged
		iifname @{PORTS} icmpv6 type {{ mld-listener-report, mld-listener-done, mld2-listener-report, nd-router-solicit, nd-neighbor-solicit }} goto chatter
		iifname @{PORTS} goto forged
	}}

	# What kernels say to a link of their own accord, before they have an address and from those they give themselves: which
	# groups they are in, whether there is a router, whether somebody has the address. It is no attempt at anything.
	chain chatter {{
		counter name \"chatter\"
		drop
	}}

	chain forged {{
		counter name \"{FORGED}\"
		limit rate {KERNEL_LOG_RATE}/second burst {KERNEL_LOG_RATE} packets log prefix \"{FORGED}\" group {KERNEL_LOG_GROUP}
		drop
	}}

	# What agents say to each other: nothing.
	chain forward {{
		type filter hook forward priority filter; policy accept;
		iifname @{PORTS} goto between
		oifname @{PORTS} goto between
		ip saddr {v4} goto between
		ip daddr {v4} goto between
		arp saddr ip {v4} goto between
{forwarded}\
	}}

	chain between {{
		counter name \"{BETWEEN}\"
		limit rate {KERNEL_LOG_RATE}/second burst {KERNEL_LOG_RATE} packets log group {KERNEL_LOG_GROUP}
		drop
	}}
}}
",
        forwarded = v6.map_or(String::new(), |v6| {
            format!("\t\tip6 saddr {v6} goto between\n\t\tip6 daddr {v6} goto between\n")
        }),
    );
    text
}

/// The elements that tie an agent to its port.
pub fn pins(agent: &Agent) -> Vec<Element> {
    let link = || Part::Link(agent.port.clone());
    let member = |family: Family, set: &str, part: Part| Element {
        family,
        set: set.to_owned(),
        key: vec![part],
        change: Change::Put(None),
    };
    let ports = [
        member(Family::Inet, PLUGGED, link()),
        member(Family::Bridge, PORTS, link()),
        member(Family::Bridge, HARDWARE, Part::Mac(agent.mac)),
    ];
    let pin = |address: IpAddr| Element {
        family: Family::Bridge,
        set: if address.is_ipv4() { PINNED_V4 } else { PINNED_V6 }.to_owned(),
        key: vec![link(), Part::Mac(agent.mac), Part::Address(address)],
        change: Change::Put(None),
    };
    ports.into_iter().chain(agent.addresses().map(pin)).collect()
}

/// The elements by which an agent belongs to the sets of agents that a policy's rules name.
pub fn agent_sets(snapshot: &Snapshot, agent: &Agent) -> Vec<Element> {
    let facts = Facts { agent_name: Fact::Known(agent.shown()), ..Facts::default() };
    let sets = snapshot.manifest.agent_sets.iter().filter(|set| snapshot.program.predicate(set.predicate, &facts));
    let element = |name: &str, address: IpAddr| Element {
        family: Family::Inet,
        set: format!("{name}_{}", version(address)),
        key: vec![Part::Address(address)],
        change: Change::Put(None),
    };
    sets.flat_map(|set| agent.addresses().map(|address| element(&set.name, address))).collect()
}

/// The element that opens an address to an agent.
pub fn opened_element(opened: &Opened) -> Element {
    Element {
        family: Family::Inet,
        set: format!("direct_{}_{}", opened.rule, version(opened.to)),
        key: vec![Part::Address(opened.from), Part::Address(opened.to)],
        change: Change::Put(Some(opened.lifetime)),
    }
}

fn version(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "v4" } else { "v6" }
}

/// The element as a line of the ruleset's text.
fn element_text(text: &mut String, element: &Element) {
    let family = match element.family {
        Family::Inet => "inet",
        Family::Bridge => "bridge",
    };
    let key: Vec<String> = element.key.iter().map(ToString::to_string).collect();
    let timeout = match element.change {
        Change::Put(Some(lifetime)) => format!(" timeout {}ms", lifetime.as_millis().max(1)),
        Change::Put(None) | Change::Remove => String::new(),
    };
    let _ = writeln!(text, "add element {family} {TABLE} {} {{ {}{timeout} }}", element.set, key.join(" . "));
}
