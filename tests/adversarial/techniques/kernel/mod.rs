//! Packets past the proxy and the filter.

use crate::technique::Technique;

mod bluetooth_socket;
mod can_socket;
mod crypto_socket;
mod dccp;
mod direct_ipv4;
mod direct_ipv6;
mod esp;
mod gre;
mod host_address;
mod icmp_echo;
mod icmpv6_echo;
mod igmp;
mod ip_in_ip;
mod ipv6_in_ipv4;
mod link_local_address;
mod link_local_names;
mod mapped_address;
mod metadata_address;
mod metadata_datagram;
mod metadata_mapped;
mod metadata_other_clouds;
mod mptcp;
mod multicast;
mod multicast_ipv6;
mod nat64_address;
mod ntp_datagram;
mod packet_socket;
mod private_address;
mod quic_port;
mod raw_socket;
mod rds_socket;
mod resolver_other_port;
mod sctp;
mod six_to_four_address;
mod teredo_address;
mod tipc_socket;
mod udp_datagram;
mod udp_datagram_ipv6;
mod udp_lite;
mod unique_local_address;
mod vsock;
mod xdp_socket;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &bluetooth_socket::TECHNIQUE,
    &can_socket::TECHNIQUE,
    &crypto_socket::TECHNIQUE,
    &dccp::TECHNIQUE,
    &direct_ipv4::TECHNIQUE,
    &direct_ipv6::TECHNIQUE,
    &esp::TECHNIQUE,
    &gre::TECHNIQUE,
    &host_address::TECHNIQUE,
    &icmp_echo::TECHNIQUE,
    &icmpv6_echo::TECHNIQUE,
    &igmp::TECHNIQUE,
    &ip_in_ip::TECHNIQUE,
    &ipv6_in_ipv4::TECHNIQUE,
    &link_local_address::TECHNIQUE,
    &link_local_names::TECHNIQUE,
    &mapped_address::TECHNIQUE,
    &metadata_address::TECHNIQUE,
    &metadata_datagram::TECHNIQUE,
    &metadata_mapped::TECHNIQUE,
    &metadata_other_clouds::TECHNIQUE,
    &mptcp::TECHNIQUE,
    &multicast::TECHNIQUE,
    &multicast_ipv6::TECHNIQUE,
    &nat64_address::TECHNIQUE,
    &ntp_datagram::TECHNIQUE,
    &packet_socket::TECHNIQUE,
    &private_address::TECHNIQUE,
    &quic_port::TECHNIQUE,
    &raw_socket::TECHNIQUE,
    &rds_socket::TECHNIQUE,
    &resolver_other_port::TECHNIQUE,
    &sctp::TECHNIQUE,
    &six_to_four_address::TECHNIQUE,
    &teredo_address::TECHNIQUE,
    &tipc_socket::TECHNIQUE,
    &udp_datagram::TECHNIQUE,
    &udp_datagram_ipv6::TECHNIQUE,
    &udp_lite::TECHNIQUE,
    &unique_local_address::TECHNIQUE,
    &vsock::TECHNIQUE,
    &xdp_socket::TECHNIQUE,
];
