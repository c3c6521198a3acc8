//! What is said to the kernel: routes, the ruleset, elements of its sets, and the packets it refused.

pub mod conntrack;
pub mod counters;
pub mod elements;
pub mod link;
pub mod log;
pub mod message;
pub mod route;
pub mod ruleset;
pub mod tables;

/// The table that holds all of Outcall's rules, in the family `inet`.
pub const TABLE: &str = "outcall";
