//! The list of weakenings: each takes away one thing that protects, and names the techniques that must then fail. It shows
//! that they can.
//!
//! Nothing of the product can be told to be weaker. A mutation changes the rules before they are compiled, or an artifact
//! after, with its digest in the manifest made to fit, as somebody who got hold of the policy could. What is no part of a
//! policy is weakened as somebody could who got hold of the host: by an option, by another nft(8), by what the kernel is told of
//! a port. The last of them have no guard at all: what techniques do then is what they are for.

mod list;
pub(crate) mod nft;

use std::path::Path;

use outcall_compiler::Artifacts;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{Manifest, file};

use crate::policy;
use crate::run::Place;
use crate::technique::{Family, Technique};

pub use list::MUTATIONS;

/// One weakening.
#[derive(Debug)]
pub struct Mutation {
    /// Its name.
    pub id: &'static str,
    /// Whose protection it takes away.
    pub family: Family,
    /// What it changes, in a sentence.
    pub what: &'static str,
    /// The changes.
    pub changes: &'static [Change],
    /// Where it makes a difference.
    pub places: &'static [Place],
    /// Which techniques are tried under it.
    pub tried: Tried,
    /// The techniques that must fail, wherever they can be tried.
    pub must_fail: &'static [&'static str],
}

/// Which techniques are tried under a weakening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Those that must fail.
    Named,
    /// All, to see which others fail as well.
    All,
}

/// What is put in the place of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// In the rules: text for text.
    Rules(&'static str, &'static str),
    /// In the compiled ruleset: text for text.
    Ruleset(&'static str, &'static str),
    /// The table of names is that of the rules with this change.
    Names(&'static str, &'static str),
    /// The match program is that of the rules with this change.
    Program(&'static str, &'static str),
    /// In what the host's daemon loads into the kernel, its own tables included: text for text.
    Loaded(&'static str, &'static str),
    /// Questions for names under wildcards are without a budget.
    Unbudgeted,
    /// The ports of agents on the host's bridge pass on to each other.
    Joined,
    /// Agents are answered at the operator's socket.
    Answered,
}

/// Techniques that no weakening of the list makes fail, and why.
pub const UNSHOWN: &[(&str, &str)] = &[
    (
        "last-fragment",
        "The kernel keeps it until the rest comes, which never does: it puts fragments together before any ruleset sees them.",
    ),
    (
        "own-namespace",
        "What it would gain is the right over the sandbox's namespaces, which is the kernel's to refuse and no policy's.",
    ),
    (
        "operator-over-resolver",
        "What speaks HTTP to a resolver is answered by none, guarded or not: nothing but an answer would be a fault.",
    ),
    (
        "engines-resolver",
        "It takes a container, and weakenings are tried where no engine is needed; what becomes of a question that is not refused, `other-resolver` shows.",
    ),
    ("well-known-sockets", "It depends on what the machine has; a host in the world has no such sockets."),
];

impl Mutation {
    /// The techniques that are tried under it in a place.
    pub fn tries(&self, place: Place, all: impl Iterator<Item = &'static Technique>) -> Vec<String> {
        let wanted = |technique: &&Technique| self.tried == Tried::All || self.must_fail.contains(&technique.id);
        all.filter(|technique| place.has(technique)).filter(wanted).map(|technique| technique.id.to_owned()).collect()
    }

    /// Whether this is one of its changes.
    pub(crate) fn has(&self, change: Change) -> bool {
        self.changes.contains(&change)
    }

    /// What is changed in what the host's daemon loads.
    pub(crate) fn loaded(&self) -> Vec<(&'static str, &'static str)> {
        let pair = |change: &Change| if let Change::Loaded(from, to) = change { Some((*from, *to)) } else { None };
        self.changes.iter().filter_map(pair).collect()
    }

    /// The rules to compile.
    pub fn rules(&self, rules: &str) -> String {
        self.changes.iter().fold(rules.to_owned(), |rules, change| match change {
            Change::Rules(from, to) => rules.replacen(from, to, 1),
            Change::Ruleset(..) | Change::Names(..) | Change::Program(..) | Change::Loaded(..) => rules,
            Change::Unbudgeted | Change::Joined | Change::Answered => rules,
        })
    }

    /// Changes the artifacts, and has the manifest agree.
    ///
    /// # Errors
    /// When what is to be changed is not there.
    pub fn apply(&self, artifacts: &mut Artifacts, work: &Path) -> Result<(), String> {
        let nothing = || format!("the mutation `{}` finds nothing to change", self.id);
        let other = |from: &str, to: &str| {
            let rules = policy::RULES.replacen(from, to, 1);
            if rules == policy::RULES { Err(nothing()) } else { policy::compile(&rules, &[], work) }
        };
        let mut changed = false;
        for change in self.changes {
            match change {
                Change::Rules(from, _) => {
                    policy::RULES.contains(from).then_some(()).ok_or_else(nothing)?;
                    continue;
                }
                Change::Ruleset(from, to) => {
                    artifacts.nft.contains(from).then_some(()).ok_or_else(nothing)?;
                    artifacts.nft = artifacts.nft.replace(from, to);
                }
                Change::Names(from, to) => artifacts.dns = other(from, to)?.dns,
                Change::Program(from, to) => artifacts.proxy = other(from, to)?.proxy,
                // These are no part of a policy.
                Change::Loaded(..) | Change::Unbudgeted | Change::Joined | Change::Answered => continue,
            }
            changed = true;
        }
        if !changed {
            return Ok(());
        }
        let mut manifest = Manifest::from_bytes(&artifacts.manifest).map_err(|error| error.to_string())?;
        for row in &mut manifest.files {
            let bytes = match row.name.as_str() {
                file::NFT => artifacts.nft.as_bytes(),
                file::DNS => artifacts.dns.as_slice(),
                _ => artifacts.proxy.as_slice(),
            };
            (row.size, row.digest) = (bytes.len() as u64, Digest::of(bytes));
        }
        artifacts.manifest = manifest.to_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn each_family_has_one_and_each_names_techniques_that_there_are() {
        for family in Family::ALL {
            assert!(MUTATIONS.iter().any(|mutation| mutation.family == family), "{}", family.name());
        }
        assert!(MUTATIONS.len() >= 25, "{}", MUTATIONS.len());
        let work = tempfile::tempdir().unwrap();
        for mutation in MUTATIONS {
            assert!(MUTATIONS.iter().filter(|other| other.id == mutation.id).count() == 1, "{}", mutation.id);
            assert!(!mutation.must_fail.is_empty() && !mutation.places.is_empty(), "{}", mutation.id);
            for id in mutation.must_fail {
                let technique = table::technique(id).unwrap_or_else(|| panic!("{}: `{id}`", mutation.id));
                assert!(mutation.places.iter().any(|place| place.has(technique)), "{}: `{id}`", mutation.id);
            }
            let mut artifacts = policy::compile(&mutation.rules(policy::RULES), &[], work.path()).unwrap();
            let before = artifacts.manifest.clone();
            mutation.apply(&mut artifacts, work.path()).unwrap();
            let is_artifact =
                |change: &Change| matches!(change, Change::Ruleset(..) | Change::Names(..) | Change::Program(..));
            assert_eq!(artifacts.manifest != before, mutation.changes.iter().any(is_artifact), "{}", mutation.id);
            assert!(Manifest::from_bytes(&artifacts.manifest).is_ok(), "{}", mutation.id);
        }
        for (id, why) in UNSHOWN {
            assert!(table::technique(id).is_some() && why.ends_with('.'), "{id}");
        }
    }
}
