//! Where a text lies that is in no single case of a table: under a suffix, behind a prefix, or in none of them.

use std::collections::BTreeSet;
use std::hash::{Hash, Hasher};
use std::rc::Rc;

use outcall_schema::artifact::writer::Source;

use super::domain;
use super::joint::Joint;
use crate::decide::formula::Test;

/// A case of a table that is not one text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Case {
    /// One more label than a suffix, or several more.
    Under(String, bool),
    /// A text that begins so.
    Prefix(String),
    /// None of the others.
    Other,
}

/// What a table tells apart.
#[derive(Debug)]
pub(super) struct Cases {
    /// Which table.
    pub(super) number: usize,
    /// The value looked at.
    pub(super) place: Source,
    /// Whole texts.
    pub(super) texts: BTreeSet<String>,
    /// Suffixes.
    pub(super) labels: BTreeSet<String>,
    /// Prefixes.
    pub(super) prefixes: BTreeSet<String>,
    /// The tests on the value that need an automaton, in one, where there are some and it is not too large.
    pub(super) joint: Option<Rc<Joint>>,
}

/// The texts in one case of a table.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub(super) cases: Rc<Cases>,
    pub(super) case: Case,
}

impl PartialEq for Region {
    fn eq(&self, other: &Region) -> bool {
        self.cases.number == other.cases.number && self.case == other.case
    }
}

impl Eq for Region {}

impl Hash for Region {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.cases.number.hash(state);
        self.case.hash(state);
    }
}

impl Case {
    /// Texts that may lie in the case and that people expect in an example.
    pub(super) fn candidates(&self, place: &Source) -> Vec<String> {
        match self {
            Case::Under(suffix, several) => ["www", "other", "x", "another", "a", "third", "x1", "y", "z"]
                .iter()
                .map(|label| if *several { format!("{label}.sub.{suffix}") } else { format!("{label}.{suffix}") })
                .collect(),
            Case::Prefix(prefix) => {
                let rests = ["", "x", "other", "0", "/x", "-x", "xy", "zzz"];
                rests.iter().map(|rest| format!("{prefix}{rest}")).collect()
            }
            Case::Other => domain::usual(place).iter().map(|text| (*text).to_owned()).collect(),
        }
    }
}

impl Region {
    /// A text in the region, found by trying.
    pub(super) fn example(&self) -> Option<String> {
        let place = &self.cases.place;
        self.case.candidates(place).into_iter().find(|text| self.has(text) && domain::has(place, text))
    }

    /// Whether a text lies in the region, as the runtime's tables have it.
    pub(super) fn has(&self, text: &str) -> bool {
        let cases = &self.cases;
        if cases.texts.contains(text) {
            return false;
        }
        let label = text.match_indices('.').find_map(|(dot, _)| {
            let suffix = text.get(dot + 1..)?;
            // Several more labels where the text before the dot has a dot itself; the first dot is the longest suffix.
            cases.labels.contains(suffix).then(|| (suffix, text.get(..dot).unwrap_or_default().contains('.')))
        });
        let prefix = (0..=text.len()).rev().find_map(|end| {
            let prefix = text.get(..end)?;
            cases.prefixes.contains(prefix).then_some(prefix)
        });
        match &self.case {
            Case::Under(suffix, several) => label == Some((suffix, *several)),
            Case::Prefix(wanted) => prefix == Some(wanted),
            Case::Other => label.is_none() && prefix.is_none(),
        }
    }

    /// The region as tests and how they come out.
    pub(super) fn tests(&self) -> Vec<(Test, bool)> {
        let Region { cases, case } = self;
        let mut tests: Vec<(Test, bool)> = Vec::new();
        let beneath = |text: &&String| match case {
            Case::Under(suffix, _) => text.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.ends_with('.')),
            Case::Prefix(prefix) => text.starts_with(prefix) && *text != prefix,
            Case::Other => true,
        };
        match case {
            Case::Under(suffix, several) => {
                tests.push((Test::Under { suffix: suffix.clone(), several: true }, true));
                tests.push((Test::Under { suffix: suffix.clone(), several: false }, !several));
            }
            Case::Prefix(prefix) => tests.push((Test::Prefix(prefix.clone()), true)),
            Case::Other => {}
        }
        for suffix in cases.labels.iter().filter(beneath) {
            tests.push((Test::Under { suffix: suffix.clone(), several: true }, false));
        }
        for prefix in cases.prefixes.iter().filter(beneath) {
            tests.push((Test::Prefix(prefix.clone()), false));
        }
        let here = |text: &&String| beneath(text) || matches!(case, Case::Prefix(prefix) if *text == prefix);
        let texts: BTreeSet<String> = cases.texts.iter().filter(here).cloned().collect();
        if !texts.is_empty() {
            tests.push((Test::Equals(texts), false));
        }
        tests
    }
}
