//! Formulas with some values left open: true where those values could make them true, or where they cannot but.

use std::collections::{BTreeSet, HashMap};

use outcall_schema::artifact::writer::Source;
use outcall_schema::field::Field;

use super::formula::{AtomId, Formula, Formulas, SourceId, Test};
use super::pattern;
use super::range;

/// Which values of what is open have to make a formula true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Values {
    Some,
    Every,
}

/// The formula that is true where some values of the given sources would make `formula` true. What cannot be told is
/// taken to.
pub fn exists(formulas: &mut Formulas, formula: Formula, open: &dyn Fn(&Source) -> bool) -> Formula {
    without(formulas, formula, open, Values::Some)
}

/// The formula that is true where all values of the given sources make `formula` true, missing ones among them. What
/// cannot be told is taken not to.
pub fn every(formulas: &mut Formulas, formula: Formula, open: &dyn Fn(&Source) -> bool) -> Formula {
    without(formulas, formula, open, Values::Every)
}

fn without(formulas: &mut Formulas, formula: Formula, open: &dyn Fn(&Source) -> bool, values: Values) -> Formula {
    let mut result = formula;
    loop {
        let mut atoms = BTreeSet::new();
        formulas.atoms(result, &mut atoms);
        let next = atoms.iter().filter_map(|atom| formulas.atom(*atom).source).find(|id| open(formulas.source_of(*id)));
        let Some(source) = next else { break };
        result = without_value(formulas, result, source, &atoms, values);
    }
    // An expression over a value that is open may come out any way.
    formulas.settle(
        result,
        &mut |atom, _| {
            let reads_open = atom.reads.iter().any(|field| open(&Source { field: *field, key: None }));
            (atom.source.is_none() && reads_open).then_some(values == Values::Some)
        },
        &mut HashMap::new(),
    )
}

fn without_value(
    formulas: &mut Formulas,
    formula: Formula,
    source: SourceId,
    atoms: &BTreeSet<AtomId>,
    values: Values,
) -> Formula {
    let tests: Vec<Test> = atoms
        .iter()
        .map(|atom| formulas.atom(*atom))
        .filter(|atom| atom.source == Some(source))
        .map(|atom| atom.test.clone())
        .collect();
    let is_body = formulas.source_of(source).field == Field::HttpBody;
    // Each class of values is a set of tests that are true together; missing is one more.
    let mut classes: Vec<Vec<bool>> = Vec::new();
    if let [_] = tests.as_slice() {
        classes.extend([vec![true], vec![false]]);
    } else if tests.iter().all(|test| matches!(test, Test::Ints(_))) {
        let ranges = tests.iter().flat_map(|test| match test {
            Test::Ints(ranges) => ranges.clone(),
            _ => Vec::new(),
        });
        let bounds = range::bounds(ranges, i64::MIN);
        for value in std::iter::once(i64::MIN).chain(bounds) {
            classes.push(tests.iter().map(|test| test.of_int(value).unwrap_or(false)).collect());
        }
    } else {
        let strings: Vec<&Test> = tests.iter().filter(|test| !matches!(test, Test::Present)).collect();
        match pattern::classes(&strings) {
            Some(found) => {
                for set in found.sets {
                    let truth = |test: &Test| {
                        matches!(test, Test::Present)
                            || strings.iter().position(|other| *other == test).is_some_and(|at| set.contains(&at))
                    };
                    classes.push(tests.iter().map(truth).collect());
                }
            }
            // Too large to tell: any test may come out any way.
            None => {
                return formulas.settle(
                    formula,
                    &mut |atom, _| (atom.source == Some(source)).then_some(values == Values::Some),
                    &mut HashMap::new(),
                );
            }
        }
    }
    let mut cases: Vec<Formula> = classes
        .iter()
        .map(|truths| {
            formulas.settle(
                formula,
                &mut |atom, wanted| {
                    let at = tests.iter().position(|test| atom.source == Some(source) && *test == atom.test)?;
                    Some(truths.get(at) == Some(&wanted))
                },
                &mut HashMap::new(),
            )
        })
        .collect();
    cases.push(formulas.settle(
        formula,
        &mut |atom, wanted| {
            (atom.source == Some(source)).then_some(match atom.test {
                Test::Present => !wanted,
                Test::Equals(_) if is_body => !wanted,
                _ => false,
            })
        },
        &mut HashMap::new(),
    ));
    match values {
        Values::Some => formulas.or(cases),
        Values::Every => formulas.and(cases),
    }
}
