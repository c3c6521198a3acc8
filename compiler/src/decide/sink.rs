//! Where a decision graph goes: into an artifact, or into a summary of what it may answer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use outcall_schema::artifact::item::{Child, FALSE_LEAF, LeafKind, NO_LEAF, TRUE_LEAF};
use outcall_schema::artifact::possible::Possible;
use outcall_schema::artifact::writer::{Automaton, FormulaRef, Source, StrCases, Writer};

use super::build::{Builder, Cases, Entry, Mode, Sink};
use super::formula::{AtomId, Formula, Formulas, Node, Test};
use super::pattern;
use super::range;
use crate::emit::expr::write_expr;

/// Writes the graph to an artifact.
#[derive(Default)]
pub struct Written {
    /// The artifact so far.
    pub writer: Writer,
    formulas: HashMap<Formula, FormulaRef>,
    atoms: HashMap<AtomId, Child>,
    /// Values that this artifact can look at; the rest of a list that needs others is summed up into a leaf.
    pub known: Option<fn(&Source) -> bool>,
}

impl Written {
    fn formula(&mut self, formulas: &Formulas, formula: Formula) -> FormulaRef {
        if let Some(written) = self.formulas.get(&formula) {
            return *written;
        }
        let written = match formulas.kind(formula) {
            Node::True => self.writer.and(&[]),
            Node::False => self.writer.or(&[]),
            Node::Literal(atom, wanted) => {
                let node = self.atom(formulas, *atom);
                self.writer.literal(node, *wanted)
            }
            Node::And(operands) => {
                let operands: Vec<FormulaRef> =
                    operands.iter().map(|operand| self.formula(formulas, *operand)).collect();
                self.writer.and(&operands)
            }
            Node::Or(operands) => {
                let operands: Vec<FormulaRef> =
                    operands.iter().map(|operand| self.formula(formulas, *operand)).collect();
                self.writer.or(&operands)
            }
        };
        self.formulas.insert(formula, written);
        written
    }

    /// A node that tells how one test comes out.
    fn atom(&mut self, formulas: &Formulas, id: AtomId) -> Child {
        if let Some(node) = self.atoms.get(&id) {
            return *node;
        }
        let atom = formulas.atom(id);
        let leaf = |truth: bool| if truth { TRUE_LEAF } else { FALSE_LEAF };
        let node = match (&atom.test, atom.source.map(|source| formulas.source_of(source))) {
            (Test::Opaque(expr), _) => {
                let expr = write_expr(&mut self.writer, expr);
                self.writer.test(expr, TRUE_LEAF, FALSE_LEAF, NO_LEAF)
            }
            (_, None) => NO_LEAF,
            (Test::Present, Some(source)) => self.writer.strings(source, FALSE_LEAF, TRUE_LEAF, &StrCases::default()),
            (Test::Ints(ranges), Some(source)) => {
                let bounds = range::bounds(ranges.iter().copied(), i64::MIN);
                let values = std::iter::once(i64::MIN).chain(bounds.iter().copied());
                let children: Vec<Child> = values.map(|value| leaf(range::contains(ranges, value))).collect();
                self.writer.integers(source, NO_LEAF, &bounds, &children)
            }
            (Test::Addresses { v4, v6 }, Some(source)) => {
                let (four, six) = (range::bounds(v4.iter().copied(), 0), range::bounds(v6.iter().copied(), 0));
                let truths = |values: &mut dyn Iterator<Item = bool>| values.map(leaf).collect::<Vec<Child>>();
                let children4 =
                    truths(&mut std::iter::once(0).chain(four.iter().copied()).map(|value| range::contains(v4, value)));
                let children6 =
                    truths(&mut std::iter::once(0).chain(six.iter().copied()).map(|value| range::contains(v6, value)));
                let four: Vec<Ipv4Addr> = four.into_iter().map(Ipv4Addr::from_bits).collect();
                let six: Vec<Ipv6Addr> = six.into_iter().map(Ipv6Addr::from_bits).collect();
                self.writer.addresses(source, NO_LEAF, (&four, &children4), (&six, &children6))
            }
            (Test::Equals(values), Some(source)) => {
                // Null equals no string; a missing map entry is unknown.
                let is_body = source.field == outcall_schema::field::Field::HttpBody;
                let missing = if is_body { FALSE_LEAF } else { NO_LEAF };
                let exact = values.iter().map(|value| (value.clone(), TRUE_LEAF)).collect();
                self.writer.strings(source, missing, FALSE_LEAF, &StrCases { exact, ..StrCases::default() })
            }
            (test, Some(source)) => match pattern::single(test) {
                Some(automaton) => {
                    let automaton = self.writer.automaton(&automaton);
                    self.writer.scan(source, NO_LEAF, automaton, &[FALSE_LEAF, TRUE_LEAF])
                }
                None => NO_LEAF,
            },
        };
        self.atoms.insert(id, node);
        node
    }
}

impl Sink for Written {
    type Out = Child;

    fn leaf(&mut self, leaf: Child) -> Child {
        leaf
    }

    fn set(&mut self, leaves: &[Child]) -> Child {
        self.writer.set(leaves)
    }

    fn strings(&mut self, source: &Source, missing: Child, otherwise: Child, cases: Cases<Child>) -> Child {
        // Cases that lead nowhere else need no entry, unless a longer one hides a shorter.
        let mut cases = cases.into_artifact();
        if cases.labels.is_empty() && cases.prefixes.is_empty() {
            cases.exact.retain(|(_, child)| *child != otherwise);
        }
        self.writer.strings(source, missing, otherwise, &cases)
    }

    fn scan(&mut self, source: &Source, missing: Child, automaton: &Automaton, children: Vec<Child>) -> Child {
        let automaton = self.writer.automaton(automaton);
        self.writer.scan(source, missing, automaton, &children)
    }

    fn integers(&mut self, source: &Source, unknown: Child, bounds: &[i64], children: Vec<Child>) -> Child {
        self.writer.integers(source, unknown, bounds, &children)
    }

    fn addresses(
        &mut self,
        source: &Source,
        unknown: Child,
        v4: (&[Ipv4Addr], Vec<Child>),
        v6: (&[Ipv6Addr], Vec<Child>),
    ) -> Child {
        self.writer.addresses(source, unknown, (v4.0, &v4.1), (v6.0, &v6.1))
    }

    fn parallel(&mut self, parts: Vec<Child>) -> Child {
        self.writer.parallel(&parts)
    }

    fn list(&mut self, formulas: &Formulas, entries: &[Entry]) -> Child {
        let entries: Vec<(FormulaRef, Child)> =
            entries.iter().map(|(formula, leaf)| (self.formula(formulas, *formula), *leaf)).collect();
        self.writer.list(&entries)
    }

    fn cut(&mut self, formulas: &mut Formulas, entries: &[Entry]) -> Option<Child> {
        let known = self.known?;
        let open = entries.iter().all(|(formula, _)| {
            formulas.dimensions(*formula).iter().all(|dimension| !known(formulas.source_of(dimension.source)))
        });
        if !open {
            return None;
        }
        Some(possible(formulas, entries))
    }
}

/// What entries come to when nothing that they ask about is known: what could pass, as far as they leave something to pass.
pub(crate) fn possible(formulas: &mut Formulas, entries: &[Entry]) -> Child {
    let mut builder = Builder::new(formulas, Summed, Mode::First, entries.len(), |_| 0);
    let possible = builder.build(entries.to_vec());
    match (possible.pass.rule(), possible.last) {
        (Some(rule), _) if possible.private => Child::leaf(LeafKind::AllowPrivate, rule),
        (Some(rule), _) => Child::leaf(LeafKind::Allow, rule),
        (None, u32::MAX) => NO_LEAF,
        // Refused whatever else is known; at the latest by this rule.
        (None, rule) => Child::leaf(LeafKind::Block, rule),
    }
}

/// Sums the graph up: which answers it may give.
pub struct Summed;

fn any(parts: impl IntoIterator<Item = Possible>) -> Possible {
    parts.into_iter().reduce(Possible::or).unwrap_or(Possible::only(NO_LEAF))
}

impl Sink for Summed {
    type Out = Possible;

    fn leaf(&mut self, leaf: Child) -> Possible {
        Possible::only(leaf)
    }

    fn set(&mut self, _leaves: &[Child]) -> Possible {
        Possible::only(NO_LEAF)
    }

    fn strings(&mut self, source: &Source, missing: Possible, otherwise: Possible, cases: Cases<Possible>) -> Possible {
        let found = cases.exact.into_iter().map(|(_, part)| part);
        let found = found.chain(cases.labels.into_iter().flat_map(|(_, one, several)| [one, several]));
        let found = found.chain(cases.prefixes.into_iter().map(|(_, part)| part));
        // Only map entries and the body can be missing.
        let nullable = source.key.is_some() || source.field == outcall_schema::field::Field::HttpBody;
        any(found.chain([otherwise]).chain(nullable.then_some(missing)))
    }

    fn scan(&mut self, source: &Source, missing: Possible, _: &Automaton, children: Vec<Possible>) -> Possible {
        let nullable = source.key.is_some() || source.field == outcall_schema::field::Field::HttpBody;
        any(children.into_iter().chain(nullable.then_some(missing)))
    }

    fn integers(&mut self, _: &Source, _: Possible, _: &[i64], children: Vec<Possible>) -> Possible {
        any(children)
    }

    fn addresses(
        &mut self,
        _: &Source,
        _: Possible,
        v4: (&[Ipv4Addr], Vec<Possible>),
        v6: (&[Ipv6Addr], Vec<Possible>),
    ) -> Possible {
        any(v4.1.into_iter().chain(v6.1))
    }

    fn parallel(&mut self, parts: Vec<Possible>) -> Possible {
        parts.into_iter().fold(Possible::only(NO_LEAF), Possible::beside)
    }

    fn list(&mut self, _: &Formulas, entries: &[Entry]) -> Possible {
        any(entries.iter().map(|(_, leaf)| Possible::only(*leaf)).chain([Possible::only(NO_LEAF)]))
    }
}
