//! Exact answers about a policy: what can never happen, and a request that shows what can.
//!
//! The same formulas that are lowered into artifacts are explored as wholes: every value is split into the classes that
//! the rules tell apart, so that "no request" is a proof. What an expression over several values does is left open, which
//! keeps "never" true; a request that is shown is first replayed, rule by rule, on the conditions themselves.

mod diff;
mod domain;
mod example;
mod explore;
mod part;
mod query;
mod reach;
mod report;
mod side;
mod space;
mod split;
mod words;

pub use diff::{Change, Difference, Kind, diff};
pub use example::Example;
pub use query::{Answer, Wanted, Witness, query};
pub use reach::{Fate, Reach, reach};
