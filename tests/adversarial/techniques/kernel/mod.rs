//! Packets past the proxy and the filter.

use crate::technique::Technique;

mod bluetooth_socket;
mod bound_to_device;
mod can_socket;
mod crypto_socket;
mod daemon_killed;
mod dccp;
mod direct_ipv4;
mod direct_ipv6;
mod esp;
mod fragments;
mod gateway_datagram;
mod gateway_ports;
mod gre;
mod host_address;
mod icmp_echo;
mod icmpv6_echo;
mod igmp;
mod ip_in_ip;
mod ipv6_in_ipv4;
mod kept_request_after_change;
mod last_fragment;
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
mod neighbour_ipv4;
mod neighbour_ipv6;
mod neighbour_link_local;
mod ntp_datagram;
mod own_namespace;
mod own_tables;
mod packet_socket;
mod private_address;
mod quic_port;
mod raw_socket;
mod rds_socket;
mod resolver_other_port;
mod sctp;
mod sending_at_start;
mod sending_in_sandbox;
mod six_to_four_address;
mod socket_mark;
mod spoofed_gateway;
mod spoofed_hardware;
mod spoofed_neighbour;
mod spoofed_public_source;
mod spoofed_source;
mod straight_after_change;
mod straight_after_expiry;
mod tables_flushed;
mod teredo_address;
mod tipc_socket;
mod udp_datagram;
mod udp_datagram_ipv6;
mod udp_lite;
mod unique_local_address;
mod unknown_protocol;
mod vsock;
mod xdp_socket;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &bluetooth_socket::TECHNIQUE,
    &bound_to_device::TECHNIQUE,
    &can_socket::TECHNIQUE,
    &crypto_socket::TECHNIQUE,
    &daemon_killed::TECHNIQUE,
    &dccp::TECHNIQUE,
    &direct_ipv4::TECHNIQUE,
    &direct_ipv6::TECHNIQUE,
    &esp::TECHNIQUE,
    &fragments::TECHNIQUE,
    &gateway_datagram::TECHNIQUE,
    &gateway_ports::TECHNIQUE,
    &gre::TECHNIQUE,
    &host_address::TECHNIQUE,
    &icmp_echo::TECHNIQUE,
    &icmpv6_echo::TECHNIQUE,
    &igmp::TECHNIQUE,
    &ip_in_ip::TECHNIQUE,
    &ipv6_in_ipv4::TECHNIQUE,
    &kept_request_after_change::TECHNIQUE,
    &last_fragment::TECHNIQUE,
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
    &neighbour_ipv4::TECHNIQUE,
    &neighbour_ipv6::TECHNIQUE,
    &neighbour_link_local::TECHNIQUE,
    &ntp_datagram::TECHNIQUE,
    &own_namespace::TECHNIQUE,
    &own_tables::TECHNIQUE,
    &packet_socket::TECHNIQUE,
    &private_address::TECHNIQUE,
    &quic_port::TECHNIQUE,
    &raw_socket::TECHNIQUE,
    &rds_socket::TECHNIQUE,
    &resolver_other_port::TECHNIQUE,
    &sctp::TECHNIQUE,
    &sending_at_start::TECHNIQUE,
    &sending_in_sandbox::TECHNIQUE,
    &six_to_four_address::TECHNIQUE,
    &socket_mark::TECHNIQUE,
    &spoofed_gateway::TECHNIQUE,
    &spoofed_hardware::TECHNIQUE,
    &spoofed_neighbour::TECHNIQUE,
    &spoofed_public_source::TECHNIQUE,
    &spoofed_source::TECHNIQUE,
    &straight_after_change::TECHNIQUE,
    &straight_after_expiry::TECHNIQUE,
    &tables_flushed::TECHNIQUE,
    &teredo_address::TECHNIQUE,
    &tipc_socket::TECHNIQUE,
    &udp_datagram::TECHNIQUE,
    &udp_datagram_ipv6::TECHNIQUE,
    &udp_lite::TECHNIQUE,
    &unique_local_address::TECHNIQUE,
    &unknown_protocol::TECHNIQUE,
    &vsock::TECHNIQUE,
    &xdp_socket::TECHNIQUE,
];
