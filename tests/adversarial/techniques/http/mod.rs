//! TLS and HTTP: one name for the judge, another for the server.

use crate::technique::Technique;

mod absolute_against_host;
mod absolute_ftp;
mod absolute_https;
mod absolute_other_port;
mod allowed_http;
mod allowed_name_elsewhere;
mod allowed_tls;
mod backslash_in_path;
mod bare_carriage_return;
mod bare_line_feeds;
mod blank_before_colon;
mod body_allowed;
mod body_bomb;
mod body_gzip_allowed;
mod body_in_brotli;
mod body_in_false_coding;
mod body_in_gzip;
mod body_in_three_codings;
mod body_in_two_codings;
mod body_in_unknown_coding;
mod body_oversized;
mod body_refused;
mod body_two_members;
mod certificate_expired;
mod certificate_misnamed;
mod certificate_self_signed;
mod chunked_twice;
mod chunked_with_tab;
mod dot_segments;
mod empty_host;
mod escaped_dot_segments;
mod folded_field;
mod fragment_in_path;
mod h2_absolute_path;
mod h2_allowed;
mod h2_connect;
mod h2_continuation_flood;
mod h2_large_head;
mod h2_line_break_in_field;
mod h2_other_authority;
mod h2_other_host;
mod h2_other_scheme;
mod h2_ping_flood;
mod h2_rapid_reset;
mod h2_refused_path;
mod h2_settings_flood;
mod h2_transfer_encoding;
mod h2_two_authorities;
mod h2_two_paths;
mod h2_upper_case_field;
mod h2_websocket_elsewhere;
mod h2c_prior_knowledge;
mod hello_address_as_name;
mod hello_cut;
mod hello_dotted_name;
mod hello_dripped;
mod hello_empty_name;
mod hello_in_many_records;
mod hello_in_pieces;
mod hello_large;
mod hello_null_in_name;
mod hello_other_kind_of_name;
mod hello_resumed_without_name;
mod hello_ssl2;
mod hello_then_other_record;
mod hello_tls10;
mod hello_too_large;
mod hello_two_extensions;
mod hello_two_names;
mod hello_upper_case;
mod hello_with_early_data;
mod hello_with_ech;
mod hello_with_message_behind;
mod host_as_number;
mod host_as_short_address;
mod host_in_hex;
mod host_in_octal;
mod host_with_escape;
mod host_with_user;
mod inside_absolute;
mod inside_connect;
mod inside_dot_segments;
mod inside_length_and_chunked;
mod inside_other_host;
mod inside_other_name;
mod inside_refused_method;
mod inside_refused_path;
mod inside_upgrade;
mod length_and_chunked;
mod list_of_lengths;
mod no_host;
mod null_in_field;
mod null_in_path;
mod pipelined_other_host;
mod proxy_localhost;
mod proxy_loopback;
mod proxy_metadata;
mod proxy_private;
mod proxy_public_address;
mod redirect_elsewhere;
mod redirected_no_name;
mod redirected_other_name;
mod refused_host;
mod request_after_refusal;
mod signed_length;
mod ticket_for_another_site;
mod ticket_under_another_name;
mod tunnel_address;
mod tunnel_after_request;
mod tunnel_in_hex;
mod tunnel_in_octal;
mod tunnel_ipv6_address;
mod tunnel_large_port;
mod tunnel_mail_port;
mod tunnel_mapped_address;
mod tunnel_metadata;
mod tunnel_name_server_port;
mod tunnel_not_tls;
mod tunnel_other_host_field;
mod tunnel_other_sni;
mod tunnel_port_zero;
mod tunnel_refused_host_field;
mod tunnel_refused_name;
mod tunnel_shell_port;
mod tunnel_without_sni;
mod tunnel_zoned_address;
mod two_blanks;
mod two_hosts;
mod two_lengths;
mod unknown_transfer_coding;
mod upgrade_in_one_segment;
mod upgrade_then_request;
mod upgrade_to_h2c;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &absolute_against_host::TECHNIQUE,
    &absolute_ftp::TECHNIQUE,
    &absolute_https::TECHNIQUE,
    &absolute_other_port::TECHNIQUE,
    &allowed_http::TECHNIQUE,
    &allowed_name_elsewhere::TECHNIQUE,
    &allowed_tls::TECHNIQUE,
    &backslash_in_path::TECHNIQUE,
    &bare_carriage_return::TECHNIQUE,
    &bare_line_feeds::TECHNIQUE,
    &blank_before_colon::TECHNIQUE,
    &body_allowed::TECHNIQUE,
    &body_bomb::TECHNIQUE,
    &body_gzip_allowed::TECHNIQUE,
    &body_in_brotli::TECHNIQUE,
    &body_in_false_coding::TECHNIQUE,
    &body_in_gzip::TECHNIQUE,
    &body_in_three_codings::TECHNIQUE,
    &body_in_two_codings::TECHNIQUE,
    &body_in_unknown_coding::TECHNIQUE,
    &body_oversized::TECHNIQUE,
    &body_refused::TECHNIQUE,
    &body_two_members::TECHNIQUE,
    &certificate_expired::TECHNIQUE,
    &certificate_misnamed::TECHNIQUE,
    &certificate_self_signed::TECHNIQUE,
    &chunked_twice::TECHNIQUE,
    &chunked_with_tab::TECHNIQUE,
    &dot_segments::TECHNIQUE,
    &empty_host::TECHNIQUE,
    &escaped_dot_segments::TECHNIQUE,
    &folded_field::TECHNIQUE,
    &fragment_in_path::TECHNIQUE,
    &h2_absolute_path::TECHNIQUE,
    &h2_allowed::TECHNIQUE,
    &h2_connect::TECHNIQUE,
    &h2_continuation_flood::TECHNIQUE,
    &h2_large_head::TECHNIQUE,
    &h2_line_break_in_field::TECHNIQUE,
    &h2_other_authority::TECHNIQUE,
    &h2_other_host::TECHNIQUE,
    &h2_other_scheme::TECHNIQUE,
    &h2_ping_flood::TECHNIQUE,
    &h2_rapid_reset::TECHNIQUE,
    &h2_refused_path::TECHNIQUE,
    &h2_settings_flood::TECHNIQUE,
    &h2_transfer_encoding::TECHNIQUE,
    &h2_two_authorities::TECHNIQUE,
    &h2_two_paths::TECHNIQUE,
    &h2_upper_case_field::TECHNIQUE,
    &h2_websocket_elsewhere::TECHNIQUE,
    &h2c_prior_knowledge::TECHNIQUE,
    &hello_address_as_name::TECHNIQUE,
    &hello_cut::TECHNIQUE,
    &hello_dotted_name::TECHNIQUE,
    &hello_dripped::TECHNIQUE,
    &hello_empty_name::TECHNIQUE,
    &hello_in_many_records::TECHNIQUE,
    &hello_in_pieces::TECHNIQUE,
    &hello_large::TECHNIQUE,
    &hello_null_in_name::TECHNIQUE,
    &hello_other_kind_of_name::TECHNIQUE,
    &hello_resumed_without_name::TECHNIQUE,
    &hello_ssl2::TECHNIQUE,
    &hello_then_other_record::TECHNIQUE,
    &hello_tls10::TECHNIQUE,
    &hello_too_large::TECHNIQUE,
    &hello_two_extensions::TECHNIQUE,
    &hello_two_names::TECHNIQUE,
    &hello_upper_case::TECHNIQUE,
    &hello_with_early_data::TECHNIQUE,
    &hello_with_ech::TECHNIQUE,
    &hello_with_message_behind::TECHNIQUE,
    &host_as_number::TECHNIQUE,
    &host_as_short_address::TECHNIQUE,
    &host_in_hex::TECHNIQUE,
    &host_in_octal::TECHNIQUE,
    &host_with_escape::TECHNIQUE,
    &host_with_user::TECHNIQUE,
    &inside_absolute::TECHNIQUE,
    &inside_connect::TECHNIQUE,
    &inside_dot_segments::TECHNIQUE,
    &inside_length_and_chunked::TECHNIQUE,
    &inside_other_host::TECHNIQUE,
    &inside_other_name::TECHNIQUE,
    &inside_refused_method::TECHNIQUE,
    &inside_refused_path::TECHNIQUE,
    &inside_upgrade::TECHNIQUE,
    &length_and_chunked::TECHNIQUE,
    &list_of_lengths::TECHNIQUE,
    &no_host::TECHNIQUE,
    &null_in_field::TECHNIQUE,
    &null_in_path::TECHNIQUE,
    &pipelined_other_host::TECHNIQUE,
    &proxy_localhost::TECHNIQUE,
    &proxy_loopback::TECHNIQUE,
    &proxy_metadata::TECHNIQUE,
    &proxy_private::TECHNIQUE,
    &proxy_public_address::TECHNIQUE,
    &redirect_elsewhere::TECHNIQUE,
    &redirected_no_name::TECHNIQUE,
    &redirected_other_name::TECHNIQUE,
    &refused_host::TECHNIQUE,
    &request_after_refusal::TECHNIQUE,
    &signed_length::TECHNIQUE,
    &ticket_for_another_site::TECHNIQUE,
    &ticket_under_another_name::TECHNIQUE,
    &tunnel_address::TECHNIQUE,
    &tunnel_after_request::TECHNIQUE,
    &tunnel_in_hex::TECHNIQUE,
    &tunnel_in_octal::TECHNIQUE,
    &tunnel_ipv6_address::TECHNIQUE,
    &tunnel_large_port::TECHNIQUE,
    &tunnel_mail_port::TECHNIQUE,
    &tunnel_mapped_address::TECHNIQUE,
    &tunnel_metadata::TECHNIQUE,
    &tunnel_name_server_port::TECHNIQUE,
    &tunnel_not_tls::TECHNIQUE,
    &tunnel_other_host_field::TECHNIQUE,
    &tunnel_other_sni::TECHNIQUE,
    &tunnel_port_zero::TECHNIQUE,
    &tunnel_refused_host_field::TECHNIQUE,
    &tunnel_refused_name::TECHNIQUE,
    &tunnel_shell_port::TECHNIQUE,
    &tunnel_without_sni::TECHNIQUE,
    &tunnel_zoned_address::TECHNIQUE,
    &two_blanks::TECHNIQUE,
    &two_hosts::TECHNIQUE,
    &two_lengths::TECHNIQUE,
    &unknown_transfer_coding::TECHNIQUE,
    &upgrade_in_one_segment::TECHNIQUE,
    &upgrade_then_request::TECHNIQUE,
    &upgrade_to_h2c::TECHNIQUE,
];
