//! What a sandbox takes to look inside TLS: an authority, what servers are verified against, and the command's trust.
//!
//! Invariant: only called once nothing is forked any more, as whatever is forked would have the authority's key.

use super::{Options, SandboxError};
use crate::intercept::authority::for_one_run;
use crate::intercept::{Interception, Leaves, Trust, Upstreams, upstream};
use crate::secrets::Secrets;

/// Loads the authority that the options name, or makes one for this run.
///
/// # Errors
/// [`SandboxError::Interception`].
pub(super) fn prepare(options: &Options) -> Result<(Interception, Trust), SandboxError> {
    fn unable(error: impl std::fmt::Display) -> SandboxError {
        SandboxError::Interception { why: error.to_string() }
    }
    let issuer = match &options.authority {
        Some(files) => files.load(),
        None => for_one_run(),
    };
    let issuer = issuer.map_err(unable)?;
    let trust = Trust::gather(issuer.certificate(), |name| std::env::var_os(name));
    let leaves = Leaves::new(issuer, options.leaf_ttl).map_err(unable)?;
    let roots = upstream::roots(options.upstream_ca.as_deref()).map_err(unable)?;
    let upstreams = Upstreams::new(roots).map_err(unable)?;
    let secrets = Secrets::open(&options.secrets, |name| std::env::var_os(name)).map_err(unable)?;
    Ok((Interception::new(leaves, upstreams).with_secrets(secrets), trust))
}
