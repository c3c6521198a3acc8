//! The techniques, one a file, by what they attack.

pub(crate) mod control;
pub(crate) mod dns;
pub(crate) mod http;
pub(crate) mod kernel;
