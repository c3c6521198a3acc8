//! Tells of the process itself: that it lives, and whether it guards.

use std::time::SystemTime;

use outcall_schema::api::process::{Health, Ready};

use super::Api;
use crate::audit::rfc3339;

pub(super) fn health(api: &Api) -> Health {
    let snapshot = api.policy.load();
    Health {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        started_at: rfc3339(api.started.clock),
        uptime_secs: api.started.instant.elapsed().as_secs(),
        policy_digest: snapshot.digest().to_owned(),
        rules: snapshot.manifest.rules.len(),
    }
}

pub(super) fn ready(api: &Api) -> Ready {
    let mut waiting_for = api.host.as_ref().map_or_else(Vec::new, |host| host.not_ready());
    if api.dns_listening.is_empty() {
        waiting_for.push("the DNS filter does not listen".to_owned());
    }
    if api.proxy_listening.is_empty() {
        waiting_for.push("the proxy does not listen".to_owned());
    }
    Ready { ready: waiting_for.is_empty(), waiting_for }
}

/// When the process began to serve.
#[derive(Debug, Clone, Copy)]
pub(super) struct Started {
    pub(super) clock: SystemTime,
    pub(super) instant: std::time::Instant,
}

impl Started {
    pub(super) fn now() -> Started {
        Started { clock: SystemTime::now(), instant: std::time::Instant::now() }
    }
}
