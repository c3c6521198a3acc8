//! TLS and HTTP: one name for the judge, another for the server.

use crate::technique::Technique;

mod absolute_against_host;
mod allowed_http;
mod allowed_tls;
mod backslash_in_path;
mod bare_carriage_return;
mod bare_line_feeds;
mod blank_before_colon;
mod chunked_twice;
mod chunked_with_tab;
mod dot_segments;
mod empty_host;
mod escaped_dot_segments;
mod folded_field;
mod fragment_in_path;
mod h2_allowed;
mod h2_other_authority;
mod h2_other_host;
mod h2_refused_path;
mod host_as_number;
mod host_as_short_address;
mod host_with_escape;
mod host_with_user;
mod inside_dot_segments;
mod inside_length_and_chunked;
mod inside_other_host;
mod inside_refused_method;
mod inside_refused_path;
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
mod refused_host;
mod signed_length;
mod tunnel_address;
mod tunnel_mail_port;
mod tunnel_metadata;
mod tunnel_not_tls;
mod tunnel_other_sni;
mod tunnel_refused_name;
mod tunnel_shell_port;
mod tunnel_without_sni;
mod two_blanks;
mod two_hosts;
mod two_lengths;
mod unknown_transfer_coding;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &absolute_against_host::TECHNIQUE,
    &allowed_http::TECHNIQUE,
    &allowed_tls::TECHNIQUE,
    &backslash_in_path::TECHNIQUE,
    &bare_carriage_return::TECHNIQUE,
    &bare_line_feeds::TECHNIQUE,
    &blank_before_colon::TECHNIQUE,
    &chunked_twice::TECHNIQUE,
    &chunked_with_tab::TECHNIQUE,
    &dot_segments::TECHNIQUE,
    &empty_host::TECHNIQUE,
    &escaped_dot_segments::TECHNIQUE,
    &folded_field::TECHNIQUE,
    &fragment_in_path::TECHNIQUE,
    &h2_allowed::TECHNIQUE,
    &h2_other_authority::TECHNIQUE,
    &h2_other_host::TECHNIQUE,
    &h2_refused_path::TECHNIQUE,
    &host_as_number::TECHNIQUE,
    &host_as_short_address::TECHNIQUE,
    &host_with_escape::TECHNIQUE,
    &host_with_user::TECHNIQUE,
    &inside_dot_segments::TECHNIQUE,
    &inside_length_and_chunked::TECHNIQUE,
    &inside_other_host::TECHNIQUE,
    &inside_refused_method::TECHNIQUE,
    &inside_refused_path::TECHNIQUE,
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
    &refused_host::TECHNIQUE,
    &signed_length::TECHNIQUE,
    &tunnel_address::TECHNIQUE,
    &tunnel_mail_port::TECHNIQUE,
    &tunnel_metadata::TECHNIQUE,
    &tunnel_not_tls::TECHNIQUE,
    &tunnel_other_sni::TECHNIQUE,
    &tunnel_refused_name::TECHNIQUE,
    &tunnel_shell_port::TECHNIQUE,
    &tunnel_without_sni::TECHNIQUE,
    &two_blanks::TECHNIQUE,
    &two_hosts::TECHNIQUE,
    &two_lengths::TECHNIQUE,
    &unknown_transfer_coding::TECHNIQUE,
];
