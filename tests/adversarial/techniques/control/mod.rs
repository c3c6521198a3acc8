//! Outcall itself.

use crate::technique::Technique;

mod abstract_socket;
mod authority_key;
mod descriptors_of_others;
mod files_everywhere;
mod host_socket;
mod identity_by_credentials;
mod identity_by_header;
mod identity_by_proxy_protocol;
mod identity_in_checkin;
mod kernel_files;
mod log_injection;
mod log_injection_field;
mod log_injection_host;
mod log_injection_method;
mod log_injection_path;
mod operator_over_agents_socket;
mod operator_over_proxy;
mod operator_over_resolver;
mod operator_socket;
mod own_proxy;
mod own_socks_proxy;
mod secret_echoed;
mod secret_echoed_in_a_field;
mod secret_files;
mod secret_in_environment;
mod secret_in_the_clear;
mod secret_in_two_frames;
mod secret_over_own_field;
mod secret_placeholder_elsewhere;
mod secret_to_other_host;
mod supervisor_memory;
mod well_known_sockets;

pub(crate) const TECHNIQUES: &[&Technique] = &[
    &abstract_socket::TECHNIQUE,
    &authority_key::TECHNIQUE,
    &descriptors_of_others::TECHNIQUE,
    &files_everywhere::TECHNIQUE,
    &host_socket::TECHNIQUE,
    &identity_by_credentials::TECHNIQUE,
    &identity_by_header::TECHNIQUE,
    &identity_by_proxy_protocol::TECHNIQUE,
    &identity_in_checkin::TECHNIQUE,
    &kernel_files::TECHNIQUE,
    &log_injection::TECHNIQUE,
    &log_injection_field::TECHNIQUE,
    &log_injection_host::TECHNIQUE,
    &log_injection_method::TECHNIQUE,
    &log_injection_path::TECHNIQUE,
    &operator_over_agents_socket::TECHNIQUE,
    &operator_over_proxy::TECHNIQUE,
    &operator_over_resolver::TECHNIQUE,
    &operator_socket::TECHNIQUE,
    &own_proxy::TECHNIQUE,
    &own_socks_proxy::TECHNIQUE,
    &secret_echoed::TECHNIQUE,
    &secret_echoed_in_a_field::TECHNIQUE,
    &secret_files::TECHNIQUE,
    &secret_in_environment::TECHNIQUE,
    &secret_in_the_clear::TECHNIQUE,
    &secret_in_two_frames::TECHNIQUE,
    &secret_over_own_field::TECHNIQUE,
    &secret_placeholder_elsewhere::TECHNIQUE,
    &secret_to_other_host::TECHNIQUE,
    &supervisor_memory::TECHNIQUE,
    &well_known_sockets::TECHNIQUE,
];
