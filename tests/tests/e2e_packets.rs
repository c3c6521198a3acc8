//! The kernel's layer with real packets: random policies on addresses, ports and protocols as compiled `outcall.nft`, packets
//! at the boundaries of their ranges, and what arrives beside what the reference evaluator says of each.
//!
//! `OUTCALL_PACKETS_POLICIES` asks for more policies, `OUTCALL_PACKETS_SEED` for another beginning.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;

use outcall_compiler::{emit, resolve};
use outcall_schema::addr::special;
use outcall_schema::decision::{Action, Verdict};
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;
use outcall_tests::fixtures::Packet;
use outcall_tests::fixtures::bridge::{Bridge, Fate, Sent, Transport};
use outcall_tests::fixtures::world::PATH;
use outcall_tests::generate::Random;
use outcall_tests::generate::policy::rule;
use outcall_tests::reference::policy as reference;
use outcall_tests::reference::value::{Request, Value};

/// A few seconds' worth.
const POLICIES: usize = 30;
/// Packets under each policy, half of them TCP.
const PACKETS: usize = 300;

/// A rule with the ports of its `egress`, which the reference does not know.
#[derive(Debug, Clone)]
struct Rule {
    rule: reference::Rule,
    ports: Vec<(u16, u16)>,
}

#[derive(Debug, Default)]
struct Policy {
    rules: Vec<Rule>,
    ranges: Vec<(IpAddr, IpAddr)>,
    edges: BTreeSet<u16>,
}

impl Policy {
    fn random(random: &mut Random) -> Policy {
        let mut policy = Policy::default();
        for _ in 0..2 + random.below(5) {
            let direct = !random.once_in(4);
            let action = if random.once_in(4) { Action::Block } else { Action::Allow };
            let mode = if direct { EgressMode::DirectIp } else { EgressMode::Proxy };
            let text = policy.condition(random);
            let private = random.once_in(2);
            let ports = (0..1 + random.below(2)).map(|_| policy.ports(random)).collect();
            let rule = rule(action, text.clone(), mode, false, private).unwrap_or_else(|| panic!("{text}"));
            policy.rules.push(Rule { rule, ports });
        }
        policy
    }

    fn ports(&mut self, random: &mut Random) -> (u16, u16) {
        let low = *random.pick(&[22, 80, 443, 1000, 5000, 8443]);
        let high = if random.once_in(2) { low } else { low + *random.pick(&[1, 10, 3000]) };
        self.edges.extend([low - 1, low, high, high + 1]);
        (low, high)
    }

    /// One alternative or two; where they say something of protocols, both do.
    fn condition(&mut self, random: &mut Random) -> String {
        let protocols = random.once_in(2);
        let one = self.conjunction(random, protocols);
        if random.once_in(3) { format!("({one}) || ({})", self.conjunction(random, protocols)) } else { one }
    }

    fn conjunction(&mut self, random: &mut Random, protocols: bool) -> String {
        let mut tests = Vec::new();
        if protocols {
            tests.push(
                (*random.pick(&[
                    "network.protocol == \"tcp\"",
                    "network.protocol == \"udp\"",
                    "network.protocol in [\"icmp\", \"icmpv6\"]",
                    "network.protocol in [\"udp\", \"tcp\", \"icmp\"]",
                    "network.protocol != \"tcp\"",
                    "!(network.protocol in [\"udp\", \"icmpv6\"])",
                ]))
                .to_owned(),
            );
        }
        tests.push(self.address(random, false));
        if random.once_in(3) {
            tests.push(self.address(random, true));
        }
        if random.once_in(3) {
            let (low, high) = self.ports(random);
            tests.push(match random.below(4) {
                0 => format!("network.port == {low}"),
                1 => format!("network.port != {high}"),
                2 => format!("network.port >= {low} && network.port <= {high}"),
                _ => format!("(network.port in [{low}, {high}] || network.port > {})", high + 1),
            });
        }
        tests.join(" && ")
    }

    fn address(&mut self, random: &mut Random, outside: bool) -> String {
        let v4 = [
            "45.3.0.0",
            "45.3.128.0",
            "45.200.7.8",
            "10.20.0.0",
            "10.20.30.0",
            "172.16.4.0",
            "100.64.9.0",
            "198.18.0.0",
        ];
        let v6 = [
            "2a00:1450::",
            "2a00:1450:4001::",
            "2a00:1450:4001:8000::8",
            "fd12:3456::",
            "fd12:3456:0:1::",
            "2001:db8::",
        ];
        let (text, prefix) = if random.once_in(2) {
            (*random.pick(&v4), *random.pick(&[9, 16, 17, 23, 24, 30, 31, 32]))
        } else {
            (*random.pick(&v6), *random.pick(&[32, 33, 48, 63, 64, 127, 128]))
        };
        let (low, high) = range(text.parse().unwrap(), prefix);
        self.ranges.push((low, high));
        let inside = format!("inCidr(network.ip, \"{low}/{prefix}\")");
        match random.below(6) {
            5 => format!("!{inside}"),
            _ if outside => format!("!{inside}"),
            0 => format!("network.ip == \"{high}\""),
            1 => format!("network.ip in [\"{low}\", \"{high}\"]"),
            _ => inside,
        }
    }

    fn text(&self) -> String {
        let mut text = "version: \"1\"\nrules:\n".to_owned();
        for (number, Rule { rule, ports }) in self.rules.iter().enumerate() {
            let _ =
                write!(text, "  - id: r{number}\n    action: {}\n    condition: '{}'\n", rule.action.name(), rule.text);
            if rule.action == Action::Allow {
                let ports: Vec<String> = ports.iter().map(|(low, high)| format!("\"{low}-{high}\"")).collect();
                let (mode, ports) = (rule.mode.name(), ports.join(", "));
                let _ = writeln!(
                    text,
                    "    egress: {{ mode: {mode}, ports: [{ports}], allow_private_ips: {} }}",
                    rule.private
                );
            }
        }
        text
    }

    fn ruleset(&self) -> String {
        let text = self.text();
        let (policy, findings) = resolve::from_texts(&[("policy.yaml", &text)]);
        let (artifacts, more) = emit::artifacts(&policy);
        artifacts.unwrap_or_else(|| panic!("{text}\n{findings:?}\n{more:?}")).nft
    }

    /// Packets to both sides of each range's ends, and to both sides of each port range's ends: a third of them such as
    /// should pass, where there are so many.
    fn packets(&self, random: &mut Random) -> Vec<Sent> {
        let ends = self.ranges.iter().flat_map(|(low, high)| [before(*low), Some(*low), Some(*high), after(*high)]);
        let addresses: Vec<IpAddr> = ends.flatten().filter(|address| routed(*address)).collect();
        let ports: Vec<u16> = self.edges.iter().copied().chain([9, 65535]).filter(|port| *port != 53).collect();
        let mut packets = BTreeSet::new();
        for number in 0..PACKETS * 8 {
            let to = *random.pick(&addresses);
            let transport = match number % 6 {
                0..=2 => Transport::Syn,
                3 | 4 => Transport::Datagram,
                _ => Transport::Echo,
            };
            let port = if transport == Transport::Echo { 0 } else { *random.pick(&ports) };
            packets.insert(Sent { transport, to, port });
        }
        let (passing, other): (Vec<Sent>, Vec<Sent>) =
            packets.into_iter().partition(|sent| self.passes(sent).is_some());
        let mut sample = |from: Vec<Sent>, count: usize| -> Vec<Sent> {
            from.iter().filter(|_| from.len() <= count || random.below(from.len()) < count).copied().collect()
        };
        let passing = sample(passing, PACKETS / 3);
        let rest = PACKETS - passing.len().min(PACKETS);
        passing.into_iter().chain(sample(other, rest)).collect()
    }

    fn verdict(&self, request: &Request) -> Verdict {
        let rules = self.rules.iter().map(|rule| rule.rule.clone()).collect();
        let possible = reference::Policy { rules, ..reference::Policy::default() }.possible(Layer::Network, request);
        let [verdict] = possible.as_slice() else { panic!("{request:?} has {possible:?}") };
        *verdict
    }

    /// The rule that lets the packet straight out, if one does.
    fn passes(&self, sent: &Sent) -> Option<usize> {
        let request = request(sent, true);
        let Verdict::Allow(index) = self.verdict(&request) else { return None };
        let index = usize::try_from(index.0).unwrap();
        let Rule { rule, ports } = self.rules.get(index)?;
        // A protocol without ports passes where the rule itself speaks of protocols.
        let open = match sent.transport {
            Transport::Echo => !rule.truth(Layer::Network, &self::request(sent, false)).certain(),
            Transport::Syn | Transport::Datagram => ports.iter().any(|(low, high)| (*low..=*high).contains(&sent.port)),
        };
        let reached = rule.private || special(sent.to).is_none();
        (rule.mode == EgressMode::DirectIp && open && reached).then_some(index)
    }
}

fn protocol(sent: &Sent) -> &'static str {
    match (sent.transport, sent.to) {
        (Transport::Syn, _) => "tcp",
        (Transport::Datagram, _) => "udp",
        (Transport::Echo, IpAddr::V4(_)) => "icmp",
        (Transport::Echo, IpAddr::V6(_)) => "icmpv6",
    }
}

/// What the network layer knows of a packet, with its protocol or without.
fn request(sent: &Sent, with_protocol: bool) -> Request {
    let mut request = Request::default();
    request.known.insert(Field::NetworkIp, Value::text(sent.to.to_string()));
    request.known.insert(Field::AgentName, Value::text(""));
    if sent.transport != Transport::Echo {
        request.known.insert(Field::NetworkPort, Value::Int(sent.port.into()));
    }
    if with_protocol {
        request.known.insert(Field::NetworkProtocol, Value::text(protocol(sent)));
    }
    request
}

fn range(address: IpAddr, prefix: u32) -> (IpAddr, IpAddr) {
    match address {
        IpAddr::V4(address) => {
            let rest = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let low = address.to_bits() & !rest;
            (Ipv4Addr::from_bits(low).into(), Ipv4Addr::from_bits(low | rest).into())
        }
        IpAddr::V6(address) => {
            let rest = u128::MAX.checked_shr(prefix).unwrap_or(0);
            let low = address.to_bits() & !rest;
            (Ipv6Addr::from_bits(low).into(), Ipv6Addr::from_bits(low | rest).into())
        }
    }
}

fn before(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_sub(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_sub(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

fn after(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| Ipv6Addr::from_bits(bits).into()),
    }
}

/// Whether a router forwards to the address at all, and it is not the test's own.
fn routed(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            !matches!(first, 0 | 127 | 224..) && (first, second) != (10, 200)
        }
        IpAddr::V6(address) => !matches!(address.segments()[0], 0 | 0xfe80.. | 0xfd00),
    }
}

/// Sends `packets` under the policy and says where what became of them differs from what the reference says.
fn compare(bridge: &mut Bridge, policy: &Policy, ruleset: &str, packets: &[Sent]) -> Vec<String> {
    let Fate { arrived, counters, redirected } = bridge.fate(ruleset, packets);
    let mut differences = Vec::new();
    let mut expected: BTreeMap<usize, u64> = BTreeMap::new();
    let mut should = Vec::new();
    for sent in packets {
        if let Some(rule) = policy.passes(sent) {
            *expected.entry(rule).or_default() += 1;
            should.push(Packet { protocol: protocol(sent).to_owned(), to: sent.to, port: sent.port, count: 1 });
        }
    }
    should.sort();
    differences.extend(should.iter().filter(|it| !arrived.contains(it)).map(|it| format!("did not arrive: {it:?}")));
    differences.extend(arrived.iter().filter(|it| !should.contains(it)).map(|it| format!("arrived: {it:?}")));
    let counted = |name: &str| counters.iter().find(|(it, _)| it == name).map_or(0, |(_, count)| *count);
    let passed = u64::try_from(should.len()).unwrap();
    let sent = u64::try_from(packets.len()).unwrap();
    if counted("refused") + redirected + passed != sent {
        differences
            .push(format!("{} refused, {redirected} redirected and {passed} passed of {sent}", counted("refused")));
    }
    let last_direct = policy
        .rules
        .iter()
        .rposition(|rule| rule.rule.mode == EgressMode::DirectIp && rule.rule.action == Action::Allow);
    for (number, rule) in policy.rules.iter().enumerate() {
        let count = counted(&format!("rule_r{number}"));
        let expected = if rule.rule.action == Action::Block {
            // Those that are turned to the proxy are refused there; rules after the last direct one are the proxy's alone.
            let blocked = packets.iter().filter(|sent| {
                let rule = policy.verdict(&request(sent, true)).rule();
                sent.transport != Transport::Syn && rule.is_some_and(|rule| usize::try_from(rule.0) == Ok(number))
            });
            let only_udp = packets.iter().all(|sent| sent.transport != Transport::Syn);
            (only_udp && Some(number) < last_direct).then(|| u64::try_from(blocked.count()).unwrap())
        } else {
            (rule.rule.mode == EgressMode::DirectIp).then(|| expected.get(&number).copied().unwrap_or_default())
        };
        if expected.is_some_and(|expected| expected != count) {
            differences.push(format!("rule r{number} counted {count} instead of {expected:?}"));
        }
    }
    differences
}

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Namespaces with a bridge in them: root has them, and others where user namespaces are allowed.
fn can_run() -> bool {
    let mut probe = Command::new("unshare");
    probe.env_clear().env("PATH", PATH).args([
        "--user",
        "--map-root-user",
        "--net",
        "ip",
        "link",
        "add",
        "outcall0",
        "type",
        "bridge",
    ]);
    outcall_tests::fixtures::world::is_root() || probe.output().is_ok_and(|output| output.status.success())
}

#[test]
fn invariant_1_the_kernel_passes_what_the_reference_says_and_counts_it() {
    if !can_run() {
        println!("skipped: this needs root, or user namespaces in which bridges can be made");
        return;
    }
    let mut bridge = Bridge::new();
    let mut random = Random::new(number("OUTCALL_PACKETS_SEED", 2).try_into().unwrap());
    let (mut sent, mut passed) = (0, 0);
    for _ in 0..number("OUTCALL_PACKETS_POLICIES", POLICIES) {
        let policy = Policy::random(&mut random);
        let ruleset = policy.ruleset();
        let packets = policy.packets(&mut random);
        let (tcp, other): (Vec<Sent>, Vec<Sent>) =
            packets.into_iter().partition(|sent| sent.transport == Transport::Syn);
        for packets in [tcp, other] {
            let differences = compare(&mut bridge, &policy, &ruleset, &packets);
            assert!(differences.is_empty(), "{}\n{}\n{ruleset}", policy.text(), differences.join("\n"));
            sent += packets.len();
            passed += packets.iter().filter(|sent| policy.passes(sent).is_some()).count();
        }
    }
    println!("{sent} packets, {passed} of them passed");
    // Neither all nor nothing, or this would show little.
    assert!(passed * 20 > sent && passed * 2 < sent, "{passed} of {sent} passed");
}
