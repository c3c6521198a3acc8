//! What is said to the kernel: routes, the ruleset, elements of its sets, and the packets it refused.

pub mod counters;
pub mod elements;
pub mod log;
pub mod message;
pub mod route;
pub mod ruleset;

/// The table that holds all of Outcall's rules, in the family `inet`.
pub const TABLE: &str = "outcall";
