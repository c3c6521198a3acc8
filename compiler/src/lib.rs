//! Text in, artifacts and findings out.
//!
//! In pipeline order: `source` (files and positions) -> `syntax` and [`cel`] (as written) -> [`resolve`] (names bound,
//! types known) -> `decide` (classes, diagram, residual) -> `emit` (artifacts); `ask` answers questions about a policy.
//!
//! Invariant: no socket is opened here, and nothing here runs in the enforcing process.
#![forbid(unsafe_code)]

pub mod cel;
pub mod decide;
pub mod diag;
pub mod emit;
pub mod resolve;
pub mod source;
pub mod syntax;
