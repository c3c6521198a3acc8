//! The rows of the list of weakenings.

use super::{Change, Mutation, Tried};
use crate::run::Place;
use crate::technique::Family;

const ONE_SITE: &str = "http.host == \"allowed.test\"";
const MANY_SITES: &str = "http.host in [\"allowed.test\", \"evil.test\"]";
const ONE_NAME: &str = "dns.query == \"allowed.test\"";
const NO_PRIVATE: &str = "\"alias.test\"]\n    action: allow\n    egress: { ports: [80, 443] }";
const PRIVATE: &str = "\"alias.test\"]\n    action: allow\n    egress: { ports: [80, 443], allow_private_ips: true }";
const INSIDE: &str = "http.host == \"modern.test\" && http.scheme == \"https\" && http.method == \"GET\" && http.path.startsWith(\"/ok/\")\n    action: allow\n    egress: { mode: intercept, ports: [443] }";
const REFUSE: &str = "\tchain refuse {\n";
const LOGGED: &str = "\t\tlimit rate 200/second burst 200 packets log group 28515\n";
const TO_THE_PROXY: &str = "\t\tmeta l4proto tcp redirect to :$outcall_proxy_port\n";
const TO_THE_FILTER: &str = "\t\tmeta l4proto { tcp, udp } th dport 53 redirect to :$outcall_dns_port\n";
const METADATA: &str = "\t\tip daddr @metadata_v4 ip daddr != @literal_v4 goto nowhere\n";

const SANDBOX: &[Place] = &[Place::Sandbox];
const HOST: &[Place] = &[Place::Host];
const BOTH: &[Place] = &[Place::Sandbox, Place::Host];

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        id: "refusals-unlogged",
        family: Family::Kernel,
        what: "The kernel refuses without telling the log.",
        changes: &[Change::Ruleset(LOGGED, "")],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["udp-datagram", "icmp-echo", "udp-datagram-ipv6"],
    },
    Mutation {
        id: "refusals-uncounted",
        family: Family::Kernel,
        what: "The kernel refuses without counting.",
        changes: &[Change::Ruleset("	chain refuse {\n		counter name \"refused\"\n", REFUSE)],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["udp-datagram", "quic-port"],
    },
    Mutation {
        id: "udp-let-through",
        family: Family::Kernel,
        what: "The ruleset accepts UDP before it refuses.",
        changes: &[Change::Ruleset(REFUSE, "\tchain refuse {\n\t\tmeta l4proto udp accept\n")],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &[
            "udp-datagram",
            "udp-datagram-ipv6",
            "quic-port",
            "ntp-datagram",
            "dns-over-quic",
            "sending-in-sandbox",
        ],
    },
    Mutation {
        id: "icmp-let-through",
        family: Family::Kernel,
        what: "The ruleset accepts ICMP before it refuses.",
        changes: &[Change::Ruleset(REFUSE, "\tchain refuse {\n\t\tmeta l4proto { icmp, ipv6-icmp } accept\n")],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["icmp-echo", "icmpv6-echo"],
    },
    Mutation {
        id: "ipv6-let-through",
        family: Family::Kernel,
        what: "The ruleset was written with IPv4 in mind.",
        changes: &[Change::Ruleset(REFUSE, "\tchain refuse {\n\t\tmeta nfproto ipv6 accept\n")],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["udp-datagram-ipv6", "icmpv6-echo"],
    },
    Mutation {
        id: "other-protocols-let-through",
        family: Family::Kernel,
        what: "The ruleset refuses TCP, UDP and ICMP, and accepts whatever else there is.",
        changes: &[Change::Ruleset(
            REFUSE,
            "\tchain refuse {\n\t\tmeta l4proto != { tcp, udp, icmp, ipv6-icmp } accept\n",
        )],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["udp-lite"],
    },
    Mutation {
        id: "raw-protocols-let-through",
        family: Family::Kernel,
        what: "The same, where the agent may write such packets.",
        changes: &[Change::Ruleset(
            REFUSE,
            "\tchain refuse {\n\t\tmeta l4proto != { tcp, udp, icmp, ipv6-icmp } accept\n",
        )],
        places: HOST,
        tried: Tried::Named,
        must_fail: &["gre", "esp", "ip-in-ip", "ipv6-in-ipv4", "igmp"],
    },
    Mutation {
        id: "groups-let-through",
        family: Family::Kernel,
        what: "The ruleset accepts what is sent to groups and to the link's own addresses.",
        changes: &[Change::Ruleset(
            REFUSE,
            "\tchain refuse {\n\t\tip daddr { 224.0.0.0/4, 169.254.0.0/16 } accept\n\t\tip6 daddr { ff00::/8, fe80::/10 } accept\n",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["multicast", "multicast-ipv6", "link-local-names", "link-local-address", "metadata-address"],
    },
    Mutation {
        id: "metadata-chain-removed",
        family: Family::Kernel,
        what: "The host drops nothing that is for the clouds' metadata services.",
        changes: &[Change::Ruleset(METADATA, "")],
        places: HOST,
        tried: Tried::Named,
        must_fail: &["metadata-address"],
    },
    Mutation {
        id: "proxy-passed-by",
        family: Family::Kernel,
        what: "The host leads TCP past the proxy, and accepts it.",
        changes: &[
            Change::Ruleset(TO_THE_PROXY, ""),
            Change::Ruleset(REFUSE, "\tchain refuse {\n\t\tmeta l4proto tcp accept\n"),
        ],
        places: HOST,
        tried: Tried::Named,
        must_fail: &["direct-ipv4", "direct-ipv6", "private-address", "dns-over-tls"],
    },
    Mutation {
        id: "everything-accepted",
        family: Family::Kernel,
        what: "The ruleset refuses nothing; rules, filter and proxy are as they were.",
        changes: &[Change::Ruleset(TO_THE_PROXY, ""), Change::Ruleset(REFUSE, "\tchain refuse {\n\t\taccept\n")],
        places: BOTH,
        tried: Tried::All,
        must_fail: &["direct-ipv4", "direct-ipv6", "udp-datagram", "icmp-echo", "udp-lite", "mptcp"],
    },
    Mutation {
        id: "filter-passed-by",
        family: Family::Dns,
        what: "The host leaves it to agents which resolver they ask.",
        changes: &[
            Change::Ruleset(TO_THE_FILTER, ""),
            Change::Ruleset(REFUSE, "\tchain refuse {\n\t\tmeta l4proto udp accept\n"),
        ],
        places: HOST,
        tried: Tried::Named,
        must_fail: &["other-resolver", "other-resolver-tcp"],
    },
    Mutation {
        id: "name-added-to-the-table",
        family: Family::Dns,
        what: "The table of names has one name more than the rules.",
        changes: &[Change::Names(ONE_SITE, "http.host in [\"allowed.test\", \"a-secret.evil.test\", \"evil.test\"]")],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["refused-name", "other-resolver", "other-resolver-tcp"],
    },
    Mutation {
        id: "names-of-another-policy",
        family: Family::Dns,
        what: "The table of names is that of a policy that allows every name; the match program is not.",
        changes: &[Change::Names(ONE_SITE, "http.host.endsWith(\"test\")")],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["refused-name", "name-with-allowed-behind", "name-with-allowed-inside", "name-below-allowed"],
    },
    Mutation {
        id: "names-by-their-end",
        family: Family::Dns,
        what: "A rule means a name and matches every name that ends like it.",
        changes: &[Change::Rules(ONE_NAME, "dns.query.endsWith(\"allowed.test\")")],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["name-below-allowed", "name-with-allowed-behind"],
    },
    Mutation {
        id: "names-by-their-middle",
        family: Family::Dns,
        what: "A rule means a name and matches every name that contains it.",
        changes: &[Change::Rules(ONE_NAME, "dns.query.contains(\"allowed.test\")")],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["name-with-allowed-inside"],
    },
    Mutation {
        id: "text-records-allowed",
        family: Family::Dns,
        what: "A rule allows the text records of a name that is for the web.",
        changes: &[Change::Rules(
            "rules:\n",
            "rules:\n  - { id: text-records, action: allow, condition: 'dns.query == \"allowed.test\" && dns.record_type == \"TXT\"' }\n",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["text-record"],
    },
    Mutation {
        id: "all-records-allowed",
        family: Family::Dns,
        what: "A rule allows all records of a name that is for the web.",
        changes: &[Change::Rules(
            "rules:\n",
            "rules:\n  - { id: all-records, action: allow, condition: 'dns.query == \"allowed.test\" && dns.record_type != \"A\"' }\n",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["text-record", "mail-record", "null-record", "service-record", "unknown-record"],
    },
    Mutation {
        id: "private-addresses-allowed",
        family: Family::Dns,
        what: "The rule for public names allows private addresses.",
        changes: &[Change::Rules(NO_PRIVATE, PRIVATE)],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &[
            "name-of-private-address",
            "name-of-metadata",
            "rebinding-to-loopback",
            "rebinding-nat64",
            "rebinding-six-to-four",
        ],
    },
    Mutation {
        id: "rule-too-wide",
        family: Family::Http,
        what: "The rule for one site allows its neighbour as well.",
        changes: &[Change::Rules(ONE_SITE, MANY_SITES)],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["refused-host", "pipelined-other-host", "tunnel-refused-name"],
    },
    Mutation {
        id: "program-of-another-policy",
        family: Family::Http,
        what: "The match program and the names are those of a wider policy; the kernel's part is not.",
        changes: &[Change::Names(ONE_SITE, MANY_SITES), Change::Program(ONE_SITE, MANY_SITES)],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["refused-host", "pipelined-other-host"],
    },
    Mutation {
        id: "ports-widened",
        family: Family::Http,
        what: "The rule for a site does not say which ports.",
        changes: &[Change::Rules("egress: { ports: [80, 443] }", "egress: { ports: [22, 25, 80, 443] }")],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["tunnel-mail-port", "tunnel-shell-port"],
    },
    Mutation {
        id: "methods-forgotten",
        family: Family::Http,
        what: "The rule for a part of a site, seen inside TLS, does not ask for the method.",
        changes: &[Change::Rules(
            "http.scheme == \"https\" && http.method == \"GET\" && ",
            "http.scheme == \"https\" && ",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["inside-refused-method"],
    },
    Mutation {
        id: "paths-forgotten",
        family: Family::Http,
        what: "The rule for a part of a site, seen inside TLS, does not ask for the path.",
        changes: &[Change::Rules(
            "http.scheme == \"https\" && http.method == \"GET\" && http.path.startsWith(\"/ok/\")",
            "http.scheme == \"https\" && http.method == \"GET\"",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &["inside-refused-path", "h2-refused-path"],
    },
    Mutation {
        id: "not-looked-inside",
        family: Family::Http,
        what: "The rule for a part of a site allows all of it, without a look inside TLS.",
        changes: &[Change::Rules(
            INSIDE,
            "http.host == \"modern.test\"\n    action: allow\n    egress: { ports: [443] }",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &[
            "inside-refused-path",
            "inside-refused-method",
            "inside-other-host",
            "inside-dot-segments",
            "inside-length-and-chunked",
            "h2-other-authority",
            "h2-other-host",
            "h2-refused-path",
        ],
    },
    Mutation {
        id: "addresses-allowed",
        family: Family::Http,
        what: "A rule allows sites by their addresses, whatever these are.",
        changes: &[Change::Rules(
            "rules:\n",
            "rules:\n  - { id: addresses, priority: -2000000, action: allow, condition: 'http.host in [\"93.184.216.35\", \"10.99.0.7\", \"169.254.169.254\", \"127.0.0.1\"]', egress: { allow_private_ips: true } }\n",
        )],
        places: SANDBOX,
        tried: Tried::Named,
        must_fail: &[
            "proxy-public-address",
            "proxy-private",
            "proxy-metadata",
            "proxy-loopback",
            "tunnel-address",
            "tunnel-metadata",
            "direct-ipv4",
        ],
    },
    Mutation {
        id: "everything-allowed",
        family: Family::Http,
        what: "A rule before all others allows everything.",
        changes: &[Change::Rules(
            "rules:\n",
            "rules:\n  - { id: everything, priority: -2000000, action: allow, condition: true, egress: { allow_private_ips: true } }\n",
        )],
        places: BOTH,
        tried: Tried::All,
        must_fail: &["refused-host", "refused-name", "identity-by-header", "direct-ipv4"],
    },
    Mutation {
        id: "nothing-allowed",
        family: Family::Http,
        what: "A rule before all others blocks everything: what must pass does not.",
        changes: &[Change::Rules(
            "rules:\n",
            "rules:\n  - { id: nothing, priority: -2000000, action: block, condition: true }\n",
        )],
        places: SANDBOX,
        tried: Tried::All,
        must_fail: &["allowed-name", "allowed-http", "allowed-tls", "h2-allowed"],
    },
    Mutation {
        id: "anybody-is-the-neighbour",
        family: Family::Control,
        what: "The rule for another agent forgets to ask who it is.",
        changes: &[Change::Rules(" && agent.name == \"neighbour\"", "")],
        places: BOTH,
        tried: Tried::Named,
        must_fail: &["identity-by-header"],
    },
    Mutation {
        id: "no-guard",
        family: Family::Control,
        what: "There is no Outcall: a resolver and a proxy that pass everything on stand in its place.",
        changes: &[],
        places: &[Place::Unguarded],
        tried: Tried::All,
        must_fail: &["direct-ipv4", "refused-name", "refused-host", "tunnel-other-sni", "two-hosts"],
    },
];
