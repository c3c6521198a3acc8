//! Tells of the authority in use.

use std::time::SystemTime;

use outcall_schema::api::ca::CaStatus;
use outcall_schema::ca::text;

use super::Api;
use super::message::Failure;
use crate::intercept::{Interception, Leaves};

pub(super) fn status(api: &Api) -> Result<CaStatus, Failure> {
    let leaves = authority(api)?.leaves();
    let certificate = leaves.authority();
    Ok(CaStatus {
        loaded: certificate.valid_at(SystemTime::now()).is_ok(),
        subject: certificate.subject().to_owned(),
        fingerprint_sha256: certificate.fingerprint_text(),
        not_before: text(certificate.not_before()),
        not_after: text(certificate.not_after()),
        leaf_cache_size: leaves.len(),
        leaf_cache_max: Leaves::MAX,
    })
}

pub(super) fn bundle(api: &Api) -> Result<String, Failure> {
    Ok(authority(api)?.leaves().authority().to_pem())
}

fn authority(api: &Api) -> Result<&Interception, Failure> {
    let none = || Failure::new(404, "there is no certificate authority, as the policy does not look inside TLS");
    api.interception.as_ref().ok_or_else(none)
}
