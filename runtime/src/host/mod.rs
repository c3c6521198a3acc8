//! Enforces one policy for all agents of a host: network namespaces and containers on one bridge.
//!
//! - [`network`] and [`agents`] say who lives on the bridge and at which addresses; [`bridge`] makes it.
//! - [`gate`] is the kernel's part: the ruleset as one transaction, and whatever enters its sets between two of them.
//! - `doors` are the sockets of the operator and of agents; `callers` says which agent is at the other end of one.
//! - [`daemon`] starts all of it in an order in which nothing is ever open, serves, loads and stops.
//!
//! When the process dies the ruleset stays, and what it redirects finds nobody: the kernel refuses it.

pub mod agents;
pub mod attach;
pub mod bridge;
mod callers;
mod confine;
pub mod daemon;
mod doors;
mod flows;
pub mod gate;
pub mod network;
mod notify;
mod operator;
pub mod ruleset;
mod tend;
