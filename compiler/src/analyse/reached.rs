//! Which rules of an ordered list ever answer.
//!
//! Unlike [`explore`](super::explore), which finds every outcome, this only has to find each rule once: what can only give
//! answers that are known already is not looked at, and the values that meet fewest tests are tried first.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use outcall_schema::artifact::item::Child;

use super::cases::Region;
use super::domain;
use super::explore::DEPTH;
use super::space::{ListId, Space};
use super::split::{Left, choose, split};
use crate::decide::build::Mode;
use crate::decide::formula::{Formulas, SourceId, Test};
use crate::decide::{pattern, range};

/// A list, and where the values lie of which some tests are left.
type State = (ListId, Vec<(SourceId, Region)>);

/// The search in one list.
struct Search<'s, 'f> {
    space: &'s mut Space<'f>,
    limit: u64,
    known: HashSet<State>,
    /// The values for which there is one that meets no test.
    plain: BTreeSet<SourceId>,
    reached: BTreeSet<u32>,
    open: bool,
}

/// The rules that answer some request, and whether the search gave up, so that there may be others.
pub(super) fn reached(space: &mut Space<'_>, list: ListId, budget: u64) -> (BTreeSet<u32>, bool) {
    let limit = space.steps.saturating_add(budget);
    let sources = space.get(list).sources.clone();
    let plain = sources.iter().copied().filter(|source| has_plain(space, list, *source)).collect();
    let mut search = Search { space, limit, known: HashSet::new(), plain, reached: BTreeSet::new(), open: false };
    search.go((list, Vec::new()), 0);
    (search.reached, search.open)
}

/// Whether some value of the source meets none of the list's tests.
fn has_plain(space: &mut Space<'_>, list: ListId, source: SourceId) -> bool {
    let tests = space.tests_on(list, source);
    let place = space.source(source);
    if !domain::can_be_present(&place) {
        return false;
    }
    let tests: Vec<&Test> = tests.atoms.iter().map(|atom| &space.formulas.atom(*atom).test).collect();
    let none =
        |is_true: &dyn Fn(&Test) -> bool| !tests.iter().any(|test| !matches!(test, Test::Present) && is_true(test));
    let after = tests.iter().filter_map(|test| match test {
        Test::Ints(ranges) => ranges.last()?.1.checked_add(1),
        _ => None,
    });
    let (lowest, highest) = domain::numbers(place.field);
    match tests.first() {
        Some(Test::Ints(_)) => domain::usual_numbers(place.field)
            .iter()
            .copied()
            .chain(after)
            .any(|number| (lowest..=highest).contains(&number) && none(&|test| test.of_int(number).unwrap_or(true))),
        Some(Test::Addresses { .. }) => domain::USUAL_ADDRESSES.iter().any(|address| {
            none(&|test| match (test, address) {
                (Test::Addresses { v4, .. }, IpAddr::V4(value)) => range::contains(v4, value.to_bits()),
                (Test::Addresses { v6, .. }, IpAddr::V6(value)) => range::contains(v6, value.to_bits()),
                _ => true,
            })
        }),
        _ => domain::usual(&place)
            .iter()
            .any(|text| domain::has(&place, text) && none(&|test| pattern::is_true(test, text))),
    }
}

impl Search<'_, '_> {
    fn go(&mut self, (list, mut regions): State, depth: usize) {
        let Some(mut list) = self.relevant(list) else { return };
        // With plain values for all that is left, one rule is often reached, and then the next.
        while let Some(leaf) = self.plainly(list, &regions) {
            if !leaf.rule().is_some_and(|rule| self.reached.insert(rule)) {
                break;
            }
            let Some(rest) = self.relevant(list) else { return };
            list = rest;
        }
        let here = self.space.get(list);
        if let Some(answer) = here.constant() {
            self.reached.extend(answer.iter().filter_map(|leaf| leaf.rule()));
            return;
        }
        regions.retain(|(source, _)| here.sources.contains(source));
        if !self.known.insert((list, regions.clone())) {
            return;
        }
        if self.space.steps > self.limit || depth > DEPTH {
            self.open = true;
            return;
        }
        // What the last rule asks about comes first: once it is known to be true, only what is before it matters.
        let last = here.entries.last().copied();
        let last = self.space.list(Mode::First, last);
        let source =
            choose(self.space, &[list], &[last], &|_| true).or_else(|| choose(self.space, &[list], &[list], &|_| true));
        let region =
            |source: SourceId| regions.iter().find(|(known, _)| *known == source).map(|(_, region)| region.clone());
        let (classes, left) = split(self.space, &[list], &[list], source, false, &region);
        self.open |= left == Left::Unknown;
        for class in classes {
            let Some(rest) = class.lists.first().copied() else { continue };
            let mut regions = regions.clone();
            regions.retain(|(known, _)| Some(*known) != class.source);
            if let (Some(source), Some(region)) = (class.source, class.region) {
                regions.push((source, region));
                regions.sort_unstable_by_key(|(source, _)| *source);
            }
            self.go((rest, regions), depth + 1);
        }
    }

    /// The list up to the last rule that is not known to be reached; `None` where there is none.
    fn relevant(&mut self, list: ListId) -> Option<ListId> {
        let list = self.space.get(list);
        let new = |leaf: Child| leaf.rule().is_some_and(|rule| !self.reached.contains(&rule));
        let last = list.entries.iter().rposition(|(_, leaf)| new(*leaf))?;
        self.space.steps += last as u64 / 16;
        Some(self.space.list(list.mode, list.entries.iter().take(last + 1).copied()))
    }

    /// What answers where every value meets no test, as far as there are such values.
    fn plainly(&mut self, list: ListId, regions: &[(SourceId, Region)]) -> Option<Child> {
        let plain = &self.plain;
        let here = self.space.get(list);
        let free = |source: &SourceId| plain.contains(source) && !regions.iter().any(|(known, _)| known == source);
        if !here.opaque.is_empty() || !here.sources.iter().all(free) {
            return None;
        }
        let mut known = HashMap::new();
        for (formula, leaf) in &here.entries {
            self.space.steps += 1;
            let settled = self.space.formulas.settle(
                *formula,
                &mut |atom, wanted| Some(matches!(atom.test, Test::Present) == wanted),
                &mut known,
            );
            if settled == Formulas::TRUE {
                return Some(*leaf);
            }
        }
        None
    }
}
