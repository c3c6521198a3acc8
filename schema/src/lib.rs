//! What every part of Outcall agrees on.
//!
//! The compiler writes what this crate describes and the runtime reads it back with the reader that stands beside the
//! writer, so that `outcall why`, `outcall test` and the enforcing process decide with the very same code.
//!
//! Invariant: no I/O, no async, no unsafe, and no parser of YAML, CEL or regular expressions.
#![forbid(unsafe_code)]

pub mod addr;
pub mod api;
pub mod artifact;
pub mod ca;
pub mod decision;
pub mod egress;
pub mod facts;
pub mod field;
pub mod host;
pub mod layer;
pub mod path;
mod pem;
pub mod reason;
pub mod request;
pub mod signing;
