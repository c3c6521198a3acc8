//! What exact analysis found out, once for all lints that ask.

use std::collections::HashMap;

use crate::analyse::{Analysis, Example, Reach};
use crate::resolve::Policy;

/// The answers.
pub(crate) struct Exact {
    /// What can become of each rule.
    pub(crate) reach: Reach,
    /// Rules with the condition of an earlier rule, by number.
    pub(crate) same_condition: HashMap<usize, usize>,
    /// See [`Analysis::names_for_nothing`].
    pub(crate) names_for_nothing: Vec<(usize, Example)>,
    /// See [`Analysis::refused_names`].
    pub(crate) refused_names: Vec<(usize, Vec<usize>)>,
    /// See [`Analysis::nameless_agents`].
    pub(crate) nameless_agents: Vec<(usize, Example)>,
    /// See [`Analysis::order_by_file_name`].
    pub(crate) order_by_file_name: Vec<(usize, usize, Example)>,
}

impl Exact {
    pub(crate) fn of(policy: &Policy) -> Exact {
        let mut analysis = Analysis::new(policy);
        Exact {
            reach: analysis.reach(),
            same_condition: analysis.same_condition(),
            names_for_nothing: analysis.names_for_nothing(),
            refused_names: analysis.refused_names(),
            nameless_agents: analysis.nameless_agents(),
            order_by_file_name: analysis.order_by_file_name(),
        }
    }
}
