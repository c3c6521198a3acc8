//! OC03xx: what lowering cannot do.

use crate::diag::Severity;
use crate::diag::codes::{CodeRow, Example};

pub(crate) const NOT_IN_KERNEL: &str = "OC0301";
pub(crate) const TOO_MANY_WAYS: &str = "OC0302";

/// The rows of this area.
pub(crate) const CODES: &[CodeRow] = &[
    CodeRow {
        code: NOT_IN_KERNEL,
        severity: Severity::Error,
        title: "the kernel cannot decide a condition that it must enforce",
        explain: "Direct traffic is decided by the kernel, packet by packet, in the order of the rules. It knows the address, \
the port, the protocol and the agent, and each by itself: what compares two of them, or computes with one, has no form in \
its ruleset. Rather than skip such a rule, which would let through or refuse what it should not, it is refused. This concerns \
rules with `mode: direct_ip`, and the rules before the last of them.",
        bad: Example::Rules(
            "- id: odd-ports\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port % 2 == 1\n  egress: { mode: direct_ip, ports: [\"1-1023\"] }\n",
        ),
        good: Example::Rules(
            "- id: two-ports\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port in [21, 23]\n  egress: { mode: direct_ip, ports: [21, 23] }\n",
        ),
    },
    CodeRow {
        code: TOO_MANY_WAYS,
        severity: Severity::Error,
        title: "a condition has too many alternatives for the kernel",
        explain: "Each alternative of a condition that the kernel enforces is a line of its ruleset. A condition that multiplies \
out into more than 256 of them is refused. Split it, or test membership in a list instead of joining comparisons.",
        bad: Example::Made("a conjunction of nine alternatives of two, 512 in all", multiplied),
        good: Example::Rules(
            "- id: ports\n  action: allow\n  condition: inCidr(network.ip, \"203.0.113.0/24\") && network.port in [22, 443, 8443]\n  egress: { mode: direct_ip, ports: [22, 443, 8443] }\n",
        ),
    },
];

/// A rule file with a condition that multiplies out.
fn multiplied() -> Vec<u8> {
    let parts: Vec<String> =
        (0..9).map(|at| format!("(inCidr(network.ip, \"198.51.{at}.0/24\") || network.port == {at})")).collect();
    format!(
        "version: \"1\"\nrules:\n  - id: example\n    action: allow\n    condition: '{}'\n    egress: {{ mode: direct_ip }}\n",
        parts.join(" && ")
    )
    .into_bytes()
}
