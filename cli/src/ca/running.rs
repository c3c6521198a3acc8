//! The authority that a running `outcalld` signs with, as it says itself.

use std::path::Path;

use outcall_schema::api::Endpoint;
use outcall_schema::api::ca::CaStatus;
use outcall_schema::ca::CaCertificate;
use serde_json::json;

use super::Failure;
use crate::Exit;
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::Output;

pub(super) fn bundle(daemon: &Daemon, out: &mut Output) -> Result<Exit, Failure> {
    let pem: String = daemon.ask(Endpoint::CaBundle).map_err(failure)?;
    // Read, so that nothing but certificates is printed.
    let certificate = CaCertificate::from_pem(&pem).map_err(|why| (Exit::Failed, why.to_string()))?;
    out.text(certificate.to_pem());
    Ok(Exit::Done)
}

pub(super) fn status(daemon: &Daemon, json: bool, out: &mut Output) -> Result<Exit, Failure> {
    let status: CaStatus = daemon.ask(Endpoint::CaStatus).map_err(failure)?;
    let exit = if status.loaded { Exit::Done } else { Exit::Failed };
    if json {
        out.json(&json!(status));
        return Ok(exit);
    }
    out.line(format_args!("{:13}{}", "authority", printable(&status.subject)));
    out.line(format_args!("  SHA-256    {}", printable(&status.fingerprint_sha256)));
    out.line(format_args!("  valid      from {} to {}", printable(&status.not_before), printable(&status.not_after)));
    out.line(in_use(&status));
    out.line(if status.loaded { "can be used" } else { "cannot be used: its time has not come or is over" });
    Ok(exit)
}

/// What a running `outcalld` says that signs with this authority. Without `--socket` there need not be one.
pub(super) fn kept(socket: Option<&Path>, certificate: &CaCertificate) -> Result<Option<CaStatus>, Failure> {
    match Daemon::at(socket).ask::<CaStatus>(Endpoint::CaStatus) {
        Ok(status) => Ok(Some(status).filter(|it| it.fingerprint_sha256 == certificate.fingerprint_text())),
        Err(NoAnswer::Refused(404, _)) => Ok(None),
        Err(_) if socket.is_none() => Ok(None),
        Err(why) => Err(failure(why)),
    }
}

/// What is in use of it.
pub(super) fn in_use(status: &CaStatus) -> String {
    format!("  in use     {} of at most {} certificates kept", status.leaf_cache_size, status.leaf_cache_max)
}

fn failure(why: NoAnswer) -> Failure {
    (why.exit(), why.to_string())
}
