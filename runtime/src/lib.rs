//! The enforcing side of Outcall: loads compiled artifacts and enforces them in the kernel, in DNS and in a proxy.
//!
//! Invariant: no parser of YAML, CEL or regular expressions is part of this crate. Policies arrive compiled.
#![deny(unsafe_code)]
#![deny(clippy::print_stderr)] // see `say`

pub mod api;
pub mod audit;
pub mod dial;
pub mod direct;
pub mod dns;
pub mod docker;
pub mod host;
pub mod identity;
pub mod intercept;
pub mod kernel;
pub mod load;
pub mod meters;
pub mod proxy;
pub mod redact;
pub mod refusals;
pub mod sandbox;
#[macro_use]
pub mod say;
pub mod secrets;
pub mod shares;
pub mod snapshot;
pub mod state;
pub mod sys;
