//! Names: who is asked, and what leaves with the question.

use crate::technique::Technique;

mod address_as_name;
mod alias_to_private;
mod alias_to_refused;
mod allowed_name;
mod answer_as_question;
mod any_record;
mod blank_in_label;
mod bytes_behind_question;
mod client_subnet;
mod compressed_question;
mod cookie_option;
mod cut_question;
mod dns_over_https_inside;
mod dns_over_quic;
mod dns_over_tls;
mod dot_in_label;
mod edns_version;
mod embedded_resolver;
mod engines_resolver;
mod escape_in_label;
mod false_punycode;
mod flood_of_questions;
mod forged_replies;
mod full_width_dot;
mod hints_of_services;
mod key_record;
mod long_label;
mod mail_record;
mod many_options;
mod mixed_case;
mod name_below_allowed;
mod name_leaked_by_hello;
mod name_leaked_by_request;
mod name_leaked_by_tunnel;
mod name_of_many_labels;
mod name_of_metadata;
mod name_of_private_address;
mod name_that_moves;
mod name_with_allowed_behind;
mod name_with_allowed_inside;
mod notify_message;
mod nul_in_label;
mod null_record;
mod other_class;
mod other_resolver;
mod other_resolver_tcp;
mod padding_option;
mod private_among_public;
mod query_in_three_segments;
mod question_with_answers;
mod rebinding_broadcast;
mod rebinding_compatible;
mod rebinding_link_local;
mod rebinding_local_nat64;
mod rebinding_mapped;
mod rebinding_multicast;
mod rebinding_nat64;
mod rebinding_shared;
mod rebinding_six_to_four;
mod rebinding_teredo;
mod rebinding_to_loopback;
mod rebinding_unique_local;
mod rebinding_unspecified;
mod refused_name;
mod reverse_lookup;
mod search_domain;
mod second_question;
mod service_record;
mod status_message;
mod stray_records;
mod text_record;
mod tunnel_under_wildcard;
mod two_queries_one_segment;
mod unicode_label;
mod unknown_option;
mod unknown_record;
mod update_message;
mod whole_zone;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &address_as_name::TECHNIQUE,
    &alias_to_private::TECHNIQUE,
    &alias_to_refused::TECHNIQUE,
    &allowed_name::TECHNIQUE,
    &answer_as_question::TECHNIQUE,
    &any_record::TECHNIQUE,
    &blank_in_label::TECHNIQUE,
    &bytes_behind_question::TECHNIQUE,
    &client_subnet::TECHNIQUE,
    &compressed_question::TECHNIQUE,
    &cookie_option::TECHNIQUE,
    &cut_question::TECHNIQUE,
    &dns_over_https_inside::TECHNIQUE,
    &dns_over_quic::TECHNIQUE,
    &dns_over_tls::TECHNIQUE,
    &dot_in_label::TECHNIQUE,
    &edns_version::TECHNIQUE,
    &embedded_resolver::TECHNIQUE,
    &engines_resolver::TECHNIQUE,
    &escape_in_label::TECHNIQUE,
    &false_punycode::TECHNIQUE,
    &flood_of_questions::TECHNIQUE,
    &forged_replies::TECHNIQUE,
    &full_width_dot::TECHNIQUE,
    &hints_of_services::TECHNIQUE,
    &key_record::TECHNIQUE,
    &long_label::TECHNIQUE,
    &mail_record::TECHNIQUE,
    &many_options::TECHNIQUE,
    &mixed_case::TECHNIQUE,
    &name_below_allowed::TECHNIQUE,
    &name_leaked_by_hello::TECHNIQUE,
    &name_leaked_by_request::TECHNIQUE,
    &name_leaked_by_tunnel::TECHNIQUE,
    &name_of_many_labels::TECHNIQUE,
    &name_of_metadata::TECHNIQUE,
    &name_of_private_address::TECHNIQUE,
    &name_that_moves::TECHNIQUE,
    &name_with_allowed_behind::TECHNIQUE,
    &name_with_allowed_inside::TECHNIQUE,
    &notify_message::TECHNIQUE,
    &nul_in_label::TECHNIQUE,
    &null_record::TECHNIQUE,
    &other_class::TECHNIQUE,
    &other_resolver::TECHNIQUE,
    &other_resolver_tcp::TECHNIQUE,
    &padding_option::TECHNIQUE,
    &private_among_public::TECHNIQUE,
    &query_in_three_segments::TECHNIQUE,
    &question_with_answers::TECHNIQUE,
    &rebinding_broadcast::TECHNIQUE,
    &rebinding_compatible::TECHNIQUE,
    &rebinding_link_local::TECHNIQUE,
    &rebinding_local_nat64::TECHNIQUE,
    &rebinding_mapped::TECHNIQUE,
    &rebinding_multicast::TECHNIQUE,
    &rebinding_nat64::TECHNIQUE,
    &rebinding_shared::TECHNIQUE,
    &rebinding_six_to_four::TECHNIQUE,
    &rebinding_teredo::TECHNIQUE,
    &rebinding_to_loopback::TECHNIQUE,
    &rebinding_unique_local::TECHNIQUE,
    &rebinding_unspecified::TECHNIQUE,
    &refused_name::TECHNIQUE,
    &reverse_lookup::TECHNIQUE,
    &search_domain::TECHNIQUE,
    &second_question::TECHNIQUE,
    &service_record::TECHNIQUE,
    &status_message::TECHNIQUE,
    &stray_records::TECHNIQUE,
    &text_record::TECHNIQUE,
    &tunnel_under_wildcard::TECHNIQUE,
    &two_queries_one_segment::TECHNIQUE,
    &unicode_label::TECHNIQUE,
    &unknown_option::TECHNIQUE,
    &unknown_record::TECHNIQUE,
    &update_message::TECHNIQUE,
    &whole_zone::TECHNIQUE,
];
