//! `proxy.prog`: decides the connect, http, https, response, network, docker and run layers.

use std::sync::Arc;

use super::ArtifactError;
use super::item::{Child, LeafKind, NO_LEAF};
use super::possible::Possible;
use super::program::Program;
use super::writer::Writer;
use crate::decision::{Outcome, RuleIndex, Verdict};
use crate::facts::Facts;
use crate::field::Field;
use crate::layer::Layer;

/// What the file begins with.
pub const MAGIC: [u8; 4] = *b"OCPP";

/// Entry points are numbered: decisions by layer, obligations by layer, the two of [`Fallback`], then predicates.
const OBLIGATIONS: u32 = 16;
const FALLBACK_TUNNEL: u32 = 24;
const FALLBACK_OBLIGATIONS: u32 = 25;
const PREDICATES: u32 = 32;

/// A validated match program.
#[derive(Debug, Clone)]
pub struct MatchProgram {
    program: Program,
}

/// The entry points of a match program to write.
#[derive(Debug, Clone, Default)]
pub struct MatchRoots {
    /// For each layer, the node that decides.
    pub decisions: Vec<(Layer, Child)>,
    /// For each layer, the node that collects hold and enrich rules.
    pub obligations: Vec<(Layer, Child)>,
    /// Where some intercepted connection may pass as a tunnel when interception fails; most policies have none.
    pub fallback: Option<Fallback>,
    /// Predicates, numbered from 0: true where any leaf is reached.
    pub predicates: Vec<Child>,
}

/// What [`MatchProgram::fallback`] asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// The allow rules that are true for the tunnel and for every request that could be made inside, where the lists of
    /// hosts let a connection fall back.
    pub tunnel: Child,
    /// The hold and enrich rules that could be true for the tunnel, for a request inside or for its response.
    pub obligations: Child,
}

impl MatchRoots {
    /// The artifact's bytes.
    pub fn write(&self, writer: Writer) -> Vec<u8> {
        let mut roots: Vec<(u32, Child)> = Vec::new();
        roots.extend(self.decisions.iter().map(|(layer, root)| (*layer as u32, *root)));
        roots.extend(self.obligations.iter().map(|(layer, root)| (OBLIGATIONS + *layer as u32, *root)));
        if let Some(Fallback { tunnel, obligations }) = self.fallback {
            roots.extend([(FALLBACK_TUNNEL, tunnel), (FALLBACK_OBLIGATIONS, obligations)]);
        }
        roots.extend((PREDICATES..).zip(self.predicates.iter().copied()));
        writer.finish(&roots, MAGIC)
    }
}

/// The hold and enrich rules that apply to a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Obligations {
    /// Those that apply for certain, in evaluation order.
    pub rules: Vec<RuleIndex>,
    /// Whether that is all: false while others depend on what is still pending, or where an evaluation was given up on.
    pub settled: bool,
}

impl MatchProgram {
    /// Validates a program: afterwards deciding cannot fail, panic or loop.
    ///
    /// # Errors
    /// Anything but what the writer of this format version wrote.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Result<MatchProgram, ArtifactError> {
        Program::open(bytes, MAGIC, "proxy.prog").map(|program| MatchProgram { program })
    }

    /// Decides a question, or says that more must be known. A layer without an entry point blocks.
    pub fn decide(&self, layer: Layer, facts: &Facts<'_>) -> Outcome {
        match self.program.root(layer as u32) {
            Some(root) => outcome(self.program.ask(root, facts)),
            None => Outcome::Decided(Verdict::DEFAULT),
        }
    }

    /// The hold and enrich rules that are true for an allowed request, in evaluation order, as far as is known.
    pub fn obligations(&self, layer: Layer, facts: &Facts<'_>) -> Obligations {
        self.collect(self.program.root(OBLIGATIONS + layer as u32).unwrap_or(NO_LEAF), facts)
    }

    fn collect(&self, root: Child, facts: &Facts<'_>) -> Obligations {
        let mut leaves = Vec::new();
        let settled = self.program.collect(root, facts, &mut leaves);
        let mut rules: Vec<RuleIndex> = leaves.into_iter().filter_map(Child::rule).map(RuleIndex).collect();
        rules.sort_unstable();
        rules.dedup();
        Obligations { rules, settled }
    }

    /// Whether a connection that is intercepted may pass as a tunnel where interception fails: `facts` are those of the
    /// connect layer. It may where interception would have allowed every request inside by the very rule that allows the
    /// tunnel, on no further terms, so that failing on purpose opens nothing. [`Verdict::Allow`] names that rule;
    /// [`Verdict::Block`] the rule that stands in the way, if one does.
    pub fn fallback(&self, facts: &Facts<'_>) -> Outcome {
        let root = |number| self.program.root(number);
        let (Some(tunnel), Some(obligations)) = (root(FALLBACK_TUNNEL), root(FALLBACK_OBLIGATIONS)) else {
            return Outcome::Decided(Verdict::DEFAULT);
        };
        // The first rule that could be true for anything inside.
        let first = match self.decide(Layer::Connect, facts) {
            Outcome::Decided(Verdict::Intercept(rule)) => rule,
            Outcome::Decided(_) => return Outcome::Decided(Verdict::DEFAULT),
            Outcome::Undecided => return Outcome::Undecided,
        };
        match outcome(self.program.ask(tunnel, facts)) {
            Outcome::Decided(Verdict::Allow(rule)) if rule == first => {}
            Outcome::Decided(_) => return Outcome::Decided(Verdict::Block(Some(first))),
            Outcome::Undecided => return Outcome::Undecided,
        }
        let Obligations { rules, settled } = self.collect(obligations, facts);
        match rules.first() {
            Some(rule) => Outcome::Decided(Verdict::Block(Some(*rule))),
            None if settled => Outcome::Decided(Verdict::Allow(first)),
            None => Outcome::Undecided,
        }
    }

    /// Whether predicate number `index` (see [`super::manifest::AgentSet`]) is true. One that does not exist is not.
    pub fn predicate(&self, index: u32, facts: &Facts<'_>) -> bool {
        let root = index.checked_add(PREDICATES).and_then(|number| self.program.root(number));
        root.is_some_and(|root| {
            let possible = self.program.ask(root, facts);
            possible.single && possible.pass != NO_LEAF
        })
    }

    /// Whether any rule reads `field`, so that callers need not compute what nobody looks at. The layer may narrow the
    /// answer in a later format; today every layer gives the same.
    pub fn reads(&self, _layer: Layer, field: Field) -> bool {
        self.program.fields() & 1 << field as u32 != 0
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// A name for each entry point, for reports.
    pub(super) fn root_name(number: u32) -> String {
        match number {
            FALLBACK_TUNNEL => return "fallback, if connect names the same rule".to_owned(),
            FALLBACK_OBLIGATIONS => return "fallback obligations".to_owned(),
            _ => {}
        }
        let layer = |number: u32| Layer::ALL.into_iter().find(|layer| *layer as u32 == number);
        match (layer(number), number.checked_sub(OBLIGATIONS).and_then(layer)) {
            (Some(layer), _) => layer.name().to_owned(),
            (None, Some(layer)) => format!("{layer} obligations"),
            (None, None) => format!("predicate {}", number.saturating_sub(PREDICATES)),
        }
    }
}

fn outcome(possible: Possible) -> Outcome {
    if possible.pass == NO_LEAF {
        // Where several rules may refuse, the one that does when no pending test holds; most often that is the default.
        Outcome::Decided(Verdict::Block(Some(possible.last).filter(|last| *last != u32::MAX).map(RuleIndex)))
    } else if possible.single {
        Outcome::Decided(verdict(possible.first))
    } else {
        Outcome::Undecided
    }
}

fn verdict(leaf: Child) -> Verdict {
    let Some(rule) = leaf.rule().map(RuleIndex) else { return Verdict::DEFAULT };
    match leaf.kind() {
        LeafKind::Allow | LeafKind::AllowPrivate => Verdict::Allow(rule),
        LeafKind::Block => Verdict::Block(Some(rule)),
        LeafKind::Intercept => Verdict::Intercept(rule),
    }
}
