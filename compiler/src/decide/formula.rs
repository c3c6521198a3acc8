//! Formulas: `and` and `or` over tests that must come out one way, each written once.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use outcall_schema::artifact::writer::Source;
use outcall_schema::field::Field;

use super::pattern::Automata;
use super::range;
use crate::cel::typed::Expr;

/// A test of one value. On a value that is missing or null every test but [`Test::Present`] is unknown, save that null
/// equals no string.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// The string is one of these.
    Equals(BTreeSet<String>),
    /// The host has one more label than the suffix, or with `several` at least one more.
    Under {
        /// The suffix, without a leading dot.
        suffix: String,
        /// One or more labels instead of exactly one.
        several: bool,
    },
    /// The string begins so.
    Prefix(String),
    /// The string ends so.
    Suffix(String),
    /// The string has this in it.
    Contains(String),
    /// The pattern is found in the string.
    Matches(String),
    /// The map has the entry; the value is not null.
    Present,
    /// The number lies in one of these ranges.
    Ints(Vec<(i64, i64)>),
    /// The address lies in one of these ranges.
    Addresses {
        /// IPv4, as numbers.
        v4: Vec<(u32, u32)>,
        /// IPv6, as numbers.
        v6: Vec<(u128, u128)>,
    },
    /// A boolean expression that is not a test of one value.
    Opaque(Rc<Expr>),
}

impl Test {
    /// Whether the test is true of a string; `None` for tests of other things and for patterns, which need an automaton.
    pub(super) fn of_text(&self, text: &str) -> Option<bool> {
        Some(match self {
            Test::Equals(values) => values.contains(text),
            Test::Under { suffix, several } => {
                let rest = text.strip_suffix(suffix.as_str()).and_then(|rest| rest.strip_suffix('.'));
                rest.is_some_and(|rest| !rest.is_empty() && (*several || !rest.contains('.')))
            }
            Test::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Test::Suffix(suffix) => text.ends_with(suffix.as_str()),
            Test::Contains(part) => text.contains(part.as_str()),
            Test::Present => true,
            Test::Matches(_) | Test::Ints(_) | Test::Addresses { .. } | Test::Opaque(_) => return None,
        })
    }

    pub(crate) fn of_int(&self, value: i64) -> Option<bool> {
        match self {
            Test::Ints(ranges) => Some(range::contains(ranges, value)),
            _ => None,
        }
    }
}

/// Numbers of values that are looked at, tests, formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub(super) u32);
/// See [`Formulas::atom`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AtomId(pub(super) u32);
/// See [`Formulas`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Formula(pub(super) u32);

/// How a value is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Look {
    /// Tables of whole strings and of prefixes, or of domain suffixes.
    Table,
    /// An automaton.
    Scan,
    /// Bounds of numbers.
    Ints,
    /// Bounds of addresses.
    Addresses,
}

/// One way of looking at one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dimension {
    /// The value.
    pub source: SourceId,
    /// How.
    pub look: Look,
}

/// A test and the value it is made on; `None` for opaque expressions.
#[derive(Debug, Clone)]
pub struct Atom {
    /// The value.
    pub source: Option<SourceId>,
    /// The test.
    pub test: Test,
    /// How it is decided; `None` for opaque expressions.
    pub dimension: Option<Dimension>,
    /// For opaque expressions: the fields read.
    pub reads: Rc<[Field]>,
}

/// What a formula is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Node {
    /// Always.
    True,
    /// Never.
    False,
    /// The test comes out so.
    Literal(AtomId, bool),
    /// All of these.
    And(Rc<[Formula]>),
    /// Any of these.
    Or(Rc<[Formula]>),
}

/// All formulas of a compilation, each once.
#[derive(Debug, Default)]
pub struct Formulas {
    nodes: Vec<Node>,
    numbers: HashMap<Node, Formula>,
    dimensions: Vec<Rc<[Dimension]>>,
    atoms: Vec<Atom>,
    atom_numbers: HashMap<String, AtomId>,
    sources: Vec<Source>,
    source_numbers: HashMap<Source, SourceId>,
    /// Kept here so that every layer's graph shares them.
    pub(super) automata: Automata,
}

/// Whether a field holds host names, whose suffixes are looked up label by label.
pub(super) fn is_host(field: Field) -> bool {
    matches!(field, Field::HttpHost | Field::NetworkHostname | Field::DnsQuery | Field::TlsSni)
}

impl Formulas {
    /// The formula that is always true.
    pub const TRUE: Formula = Formula(0);
    /// The formula that is never true.
    pub const FALSE: Formula = Formula(1);

    /// No formulas but the constants.
    pub fn new() -> Formulas {
        let mut formulas = Formulas::default();
        formulas.node(Node::True);
        formulas.node(Node::False);
        formulas
    }

    fn node(&mut self, node: Node) -> Formula {
        if let Some(formula) = self.numbers.get(&node) {
            return *formula;
        }
        let dimensions: Rc<[Dimension]> = match &node {
            Node::True | Node::False => Rc::from([]),
            Node::Literal(atom, _) => self.atom(*atom).dimension.into_iter().collect(),
            Node::And(operands) | Node::Or(operands) => {
                let all: BTreeSet<Dimension> =
                    operands.iter().flat_map(|operand| self.dimensions(*operand).iter().copied()).collect();
                all.into_iter().collect()
            }
        };
        let formula = Formula(self.nodes.len() as u32);
        self.nodes.push(node.clone());
        self.dimensions.push(dimensions);
        self.numbers.insert(node, formula);
        formula
    }

    /// The number of a value.
    pub fn source(&mut self, source: Source) -> SourceId {
        if let Some(id) = self.source_numbers.get(&source) {
            return *id;
        }
        let id = SourceId(self.sources.len() as u32);
        self.sources.push(source.clone());
        self.source_numbers.insert(source, id);
        id
    }

    /// The value with this number.
    #[expect(clippy::indexing_slicing, reason = "numbers are only made by `source`, and nothing is ever removed")]
    pub fn source_of(&self, id: SourceId) -> &Source {
        &self.sources[id.0 as usize]
    }

    /// The atom with this number.
    #[expect(clippy::indexing_slicing, reason = "numbers are only made by `literal`, and nothing is ever removed")]
    pub fn atom(&self, id: AtomId) -> &Atom {
        &self.atoms[id.0 as usize]
    }

    /// What a formula is made of.
    #[expect(clippy::indexing_slicing, reason = "numbers are only made by `node`, and nothing is ever removed")]
    pub fn kind(&self, formula: Formula) -> &Node {
        &self.nodes[formula.0 as usize]
    }

    /// The ways of looking at values that can change a formula, sorted.
    #[expect(clippy::indexing_slicing, reason = "numbers are only made by `node`, and nothing is ever removed")]
    pub fn dimensions(&self, formula: Formula) -> &Rc<[Dimension]> {
        &self.dimensions[formula.0 as usize]
    }

    /// The formula that a test of a value comes out as `wanted`.
    pub fn literal(&mut self, source: Source, test: Test, wanted: bool) -> Formula {
        let look = match &test {
            Test::Equals(_) | Test::Present => Look::Table,
            Test::Under { .. } if is_host(source.field) => Look::Table,
            Test::Prefix(_) if !is_host(source.field) => Look::Table,
            Test::Under { .. } | Test::Prefix(_) | Test::Suffix(_) | Test::Contains(_) | Test::Matches(_) => Look::Scan,
            Test::Ints(_) => Look::Ints,
            Test::Addresses { .. } => Look::Addresses,
            Test::Opaque(_) => Look::Table,
        };
        let source = self.source(source);
        let key = format!("{}:{test:?}", source.0);
        let atom =
            Atom { source: Some(source), test, dimension: Some(Dimension { source, look }), reads: Rc::from([]) };
        self.add(key, atom, wanted)
    }

    /// The formula that an expression comes out as `wanted`. `key` stands for the expression, positions aside.
    pub fn opaque(&mut self, key: &str, expr: Expr, reads: Rc<[Field]>, wanted: bool) -> Formula {
        let atom = Atom { source: None, test: Test::Opaque(Rc::new(expr)), dimension: None, reads };
        self.add(format!("opaque:{key}"), atom, wanted)
    }

    fn add(&mut self, key: String, atom: Atom, wanted: bool) -> Formula {
        let id = match self.atom_numbers.get(&key) {
            Some(id) => *id,
            None => {
                let id = AtomId(self.atoms.len() as u32);
                self.atoms.push(atom);
                self.atom_numbers.insert(key, id);
                id
            }
        };
        self.node(Node::Literal(id, wanted))
    }

    /// The formula that an atom comes out as `wanted`.
    pub fn repeat(&mut self, atom: AtomId, wanted: bool) -> Formula {
        self.node(Node::Literal(atom, wanted))
    }

    /// A formula in words, for comments in artifacts.
    pub fn show(&self, formula: Formula) -> String {
        let joined = |operands: &[Formula], word: &str| {
            operands.iter().map(|operand| self.show(*operand)).collect::<Vec<_>>().join(word)
        };
        match self.kind(formula) {
            Node::True => "true".to_owned(),
            Node::False => "false".to_owned(),
            Node::And(operands) => format!("({})", joined(operands, " && ")),
            Node::Or(operands) => format!("({})", joined(operands, " || ")),
            Node::Literal(atom, wanted) => {
                let atom = self.atom(*atom);
                let source = atom.source.map(|source| self.source_of(source));
                let name = source.map_or(String::new(), |source| match &source.key {
                    Some(key) => format!("{}[{key:?}]", source.field.name()),
                    None => source.field.name().to_owned(),
                });
                let not = if *wanted { "" } else { "!" };
                let test = match &atom.test {
                    Test::Equals(values) => {
                        let values: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
                        format!("{name} in [{}]", values.join(", "))
                    }
                    Test::Under { suffix, several } => {
                        format!("hostMatches({name}, \"{}.{suffix}\")", if *several { "**" } else { "*" })
                    }
                    Test::Prefix(text) => format!("{name}.startsWith({text:?})"),
                    Test::Suffix(text) => format!("{name}.endsWith({text:?})"),
                    Test::Contains(text) => format!("{name}.contains({text:?})"),
                    Test::Matches(text) => format!("{name}.matches({text:?})"),
                    Test::Present => format!("has({name})"),
                    Test::Ints(ranges) => format!("{name} in {ranges:?}"),
                    Test::Addresses { v4, v6 } => format!("{name} in {v4:?} {v6:?}"),
                    Test::Opaque(expr) => super::lower::key(expr),
                };
                format!("{not}({test})")
            }
        }
    }

    /// All of these.
    pub fn and(&mut self, operands: impl IntoIterator<Item = Formula>) -> Formula {
        self.join(operands, Formulas::TRUE, Formulas::FALSE)
    }

    /// Any of these.
    pub fn or(&mut self, operands: impl IntoIterator<Item = Formula>) -> Formula {
        self.join(operands, Formulas::FALSE, Formulas::TRUE)
    }

    fn join(&mut self, operands: impl IntoIterator<Item = Formula>, unit: Formula, absorbing: Formula) -> Formula {
        let conjunction = unit == Formulas::TRUE;
        let mut flat = BTreeSet::new();
        for operand in operands {
            if operand == absorbing {
                return absorbing;
            }
            match self.kind(operand) {
                _ if operand == unit => {}
                Node::And(inner) if conjunction => flat.extend(inner.iter().copied()),
                Node::Or(inner) if !conjunction => flat.extend(inner.iter().copied()),
                _ => drop(flat.insert(operand)),
            }
        }
        if conjunction {
            // A test cannot come out both ways.
            let literals: BTreeSet<(AtomId, bool)> = flat
                .iter()
                .filter_map(|operand| match self.kind(*operand) {
                    Node::Literal(atom, wanted) => Some((*atom, *wanted)),
                    _ => None,
                })
                .collect();
            if literals.iter().any(|(atom, wanted)| *wanted && literals.contains(&(*atom, false))) {
                return Formulas::FALSE;
            }
        }
        match flat.len() {
            0 => unit,
            1 => flat.first().copied().unwrap_or(unit),
            _ => {
                let operands: Rc<[Formula]> = flat.into_iter().collect();
                self.node(if conjunction { Node::And(operands) } else { Node::Or(operands) })
            }
        }
    }

    /// The formula once some tests are settled: `settle` says how a literal comes out, or `None` to leave it.
    pub fn settle(
        &mut self,
        formula: Formula,
        settle: &mut dyn FnMut(&Atom, bool) -> Option<bool>,
        known: &mut HashMap<Formula, Formula>,
    ) -> Formula {
        if let Some(result) = known.get(&formula) {
            return *result;
        }
        let result = match self.kind(formula).clone() {
            Node::True | Node::False => formula,
            Node::Literal(atom, wanted) => match settle(self.atom(atom), wanted) {
                Some(true) => Formulas::TRUE,
                Some(false) => Formulas::FALSE,
                None => formula,
            },
            Node::And(operands) => {
                let mut settled = Vec::with_capacity(operands.len());
                for operand in operands.iter() {
                    let operand = self.settle(*operand, settle, known);
                    if operand == Formulas::FALSE {
                        settled = vec![operand];
                        break;
                    }
                    settled.push(operand);
                }
                self.and(settled)
            }
            Node::Or(operands) => {
                let mut settled = Vec::with_capacity(operands.len());
                for operand in operands.iter() {
                    let operand = self.settle(*operand, settle, known);
                    if operand == Formulas::TRUE {
                        settled = vec![operand];
                        break;
                    }
                    settled.push(operand);
                }
                self.or(settled)
            }
        };
        known.insert(formula, result);
        result
    }

    /// The formula with the same tests on other values: `to` says on which, or `None` to leave them.
    pub fn rename(&mut self, formula: Formula, to: &dyn Fn(&Source) -> Option<Source>) -> Formula {
        match self.kind(formula).clone() {
            Node::True | Node::False => formula,
            Node::Literal(atom, wanted) => {
                let Atom { source, test, .. } = self.atom(atom).clone();
                match source.and_then(|source| to(self.source_of(source))) {
                    Some(source) => self.literal(source, test, wanted),
                    None => formula,
                }
            }
            Node::And(operands) => {
                let operands: Vec<Formula> = operands.iter().map(|operand| self.rename(*operand, to)).collect();
                self.and(operands)
            }
            Node::Or(operands) => {
                let operands: Vec<Formula> = operands.iter().map(|operand| self.rename(*operand, to)).collect();
                self.or(operands)
            }
        }
    }

    /// Every atom a formula mentions.
    pub fn atoms(&self, formula: Formula, atoms: &mut BTreeSet<AtomId>) {
        match self.kind(formula) {
            Node::True | Node::False => {}
            Node::Literal(atom, _) => drop(atoms.insert(*atom)),
            Node::And(operands) | Node::Or(operands) => {
                operands.iter().for_each(|operand| self.atoms(*operand, atoms));
            }
        }
    }
}
