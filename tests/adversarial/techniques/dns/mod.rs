//! Names: who is asked, and what leaves with the question.

use crate::technique::Technique;

mod allowed_name;
mod any_record;
mod compressed_question;
mod cut_question;
mod dns_over_quic;
mod dns_over_tls;
mod mail_record;
mod name_below_allowed;
mod name_of_metadata;
mod name_of_private_address;
mod name_with_allowed_behind;
mod name_with_allowed_inside;
mod null_record;
mod other_class;
mod other_resolver;
mod other_resolver_tcp;
mod rebinding_mapped;
mod rebinding_nat64;
mod rebinding_six_to_four;
mod rebinding_to_loopback;
mod refused_name;
mod second_question;
mod service_record;
mod text_record;
mod two_queries_one_segment;
mod unknown_record;
mod update_message;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &allowed_name::TECHNIQUE,
    &any_record::TECHNIQUE,
    &compressed_question::TECHNIQUE,
    &cut_question::TECHNIQUE,
    &dns_over_quic::TECHNIQUE,
    &dns_over_tls::TECHNIQUE,
    &mail_record::TECHNIQUE,
    &name_below_allowed::TECHNIQUE,
    &name_of_metadata::TECHNIQUE,
    &name_of_private_address::TECHNIQUE,
    &name_with_allowed_behind::TECHNIQUE,
    &name_with_allowed_inside::TECHNIQUE,
    &null_record::TECHNIQUE,
    &other_class::TECHNIQUE,
    &other_resolver::TECHNIQUE,
    &other_resolver_tcp::TECHNIQUE,
    &rebinding_mapped::TECHNIQUE,
    &rebinding_nat64::TECHNIQUE,
    &rebinding_six_to_four::TECHNIQUE,
    &rebinding_to_loopback::TECHNIQUE,
    &refused_name::TECHNIQUE,
    &second_question::TECHNIQUE,
    &service_record::TECHNIQUE,
    &text_record::TECHNIQUE,
    &two_queries_one_segment::TECHNIQUE,
    &unknown_record::TECHNIQUE,
    &update_message::TECHNIQUE,
];
