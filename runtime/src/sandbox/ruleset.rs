//! The ruleset of the sandbox's network namespace: the sets that a policy compiles to, and hooks that leave no way out.

use super::{DNS_PORT, PROXY_PORT};
use crate::kernel::TABLE;
use crate::kernel::route::{OWN_V4, OWN_V6};

/// The set of IPv4 addresses that the DNS filter handed out, for as long as it said. Part of every policy's ruleset.
pub(super) const HANDED_V4: &str = "handed_v4";
/// The same for IPv6.
pub(super) const HANDED_V6: &str = "handed_v6";

/// What stands before and after the part of `outcall.nft` that is policy; the rest is for a host with a bridge.
const POLICY: &str = "# --- policy ---";
const POLICY_END: &str = "# --- end of policy ---";

/// The policy's sets, counters and chains; `None` when the text has no such part, or more than one.
pub(super) fn policy_part(nft: &str) -> Option<&str> {
    let (_, rest) = nft.split_once(POLICY)?;
    let (part, rest) = rest.split_once(POLICY_END)?;
    let once = !part.contains(POLICY) && !rest.contains(POLICY) && !rest.contains(POLICY_END);
    once.then_some(part)
}

/// The text for `nft -f`, around the policy's part (see [`policy_part`]), which brings the sets, the counter and the chain
/// `refuse` that are used here.
pub(super) fn text(policy: &str) -> String {
    format!(
        "\
table inet {TABLE} {{
{policy}
    # Decides once for each connection where it goes.
    chain connect {{
        type nat hook output priority -100
        # Whatever resolver the agent names, the filter answers.
        meta l4proto {{ tcp, udp }} th dport 53 redirect to :{DNS_PORT}
        # The agent's own servers.
        ip daddr {{ 127.0.0.0/8, {OWN_V4} }} return
        ip6 daddr {{ ::1, {OWN_V6} }} return
        # Addresses that a name led to, or that some rule could allow as they stand, are the proxy's to decide.
        meta l4proto tcp ip daddr @{HANDED_V4} redirect to :{PROXY_PORT}
        meta l4proto tcp ip6 daddr @{HANDED_V6} redirect to :{PROXY_PORT}
        meta l4proto tcp ip daddr @literal_v4 redirect to :{PROXY_PORT}
        meta l4proto tcp ip6 daddr @literal_v6 redirect to :{PROXY_PORT}
    }}

    # Nothing but the loopback is reached; what was redirected goes there too.
    chain output {{
        type filter hook output priority 0
        policy drop
        ip daddr {{ 127.0.0.0/8, {OWN_V4} }} accept
        ip6 daddr {{ ::1, {OWN_V6} }} accept
        # The refusals below, on their way back to the agent.
        meta l4proto {{ icmp, icmpv6 }} ct state related accept
        goto refuse
    }}

    # Nothing is forwarded.
    chain forward {{
        type filter hook forward priority 0
        policy drop
    }}
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_part_stands_between_its_markers_once() {
        assert_eq!(policy_part("a\n# --- policy ---\nset x\n# --- end of policy ---\nb"), Some("\nset x\n"));
        for text in ["", "# --- policy ---", "# --- end of policy ---\n# --- policy ---"] {
            assert_eq!(policy_part(text), None, "{text}");
        }
        let twice = "# --- policy ---\n# --- end of policy ---\n# --- policy ---\n# --- end of policy ---";
        assert_eq!(policy_part(twice), None);
    }
}
