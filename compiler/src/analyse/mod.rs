//! Exact answers about a policy: what can never happen, and a request that shows what can.
//!
//! The same formulas that are lowered into artifacts are explored as wholes: every value is split into the classes that
//! the rules tell apart, so that "no request" is a proof. What an expression over several values does is left open, which
//! keeps "never" true; a request that is shown is first replayed, rule by rule, on the conditions themselves.

mod cases;
mod diff;
mod domain;
mod doubts;
mod example;
mod explore;
mod joint;
mod names;
mod part;
mod query;
mod reach;
mod reached;
mod replay;
mod report;
mod side;
mod space;
mod split;
mod unproven;
mod words;

pub use diff::{Change, Difference, Kind, diff};
pub use example::Example;
pub use query::{Answer, Wanted, Witness, query};
pub use reach::{Fate, Reach};
pub use unproven::Unproven;

use crate::decide::formula::Formulas;
use crate::resolve::Policy;
use side::Side;

/// A policy, lowered for questions about its rules.
pub struct Analysis<'p> {
    formulas: Formulas,
    side: Side<'p>,
}

impl<'p> Analysis<'p> {
    /// Lowers a policy.
    pub fn new(policy: &'p Policy) -> Analysis<'p> {
        let mut formulas = Formulas::new();
        let side = Side::new(policy, &mut formulas, 0);
        Analysis { formulas, side }
    }

    /// What can become of each rule.
    pub fn reach(&mut self) -> Reach {
        reach::reach(&mut self.formulas, &self.side)
    }
}
