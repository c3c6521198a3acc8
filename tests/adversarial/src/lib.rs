//! The proof, from inside: techniques that an agent tries to get past Outcall, a world to try them in, and a judge that looks
//! at nothing but what arrived there, what the kernel counted and what the audit log says.
//!
//! One technique is one file in `techniques/`; see [`technique::Technique`]. [`run::run`] starts the world, puts an agent
//! into a real sandbox or onto a real host, has it try one technique after the other, and gives the scorecard.
//!
//! Invariant: nothing outside the world is ever contacted, and no switch of the product is used that would weaken it.
#![forbid(unsafe_code)]

pub mod around;
pub mod coded;
pub mod docker;
pub mod document;
pub mod h2;
pub mod hello;
pub mod helper;
mod host;
pub mod inside;
mod judge;
pub mod mutations;
mod open;
pub mod outside;
mod packets;
pub mod policy;
pub mod prelude;
pub mod question;
pub mod report;
pub mod run;
mod stand;
pub mod table;
pub mod technique;
#[path = "../techniques/mod.rs"]
mod techniques;
pub mod world;
