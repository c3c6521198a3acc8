//! The system calls that have no safe wrapper elsewhere: every `unsafe` block of the project lives below this module.
//!
//! What [`rustix`] wraps safely is called through it where it is needed; here stands only what it leaves out (raw
//! `clone`, `signalfd`, signal masks, system-call filters) or what needs a few calls in a fixed order to be safe to use
//! (passing descriptors, dropping privilege).
#![expect(unsafe_code, reason = "this is the one module that calls the system without a safe wrapper")]

pub mod descriptors;
pub mod filter;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod peer;
pub mod privilege;
pub mod process;
pub mod signal;
