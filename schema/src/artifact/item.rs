//! The kinds of items in an artifact and what a reference to a decision looks like.
//!
//! | item | words after the kind |
//! |---|---|
//! | `TEXT` | length in bytes, the bytes padded to a word |
//! | `DFA` | states, classes, start state × classes, 64 words of byte classes, accept class of each state, transitions (next state × classes) |
//! | `EXACT` | mask, entries, slots (hash, entry offset) × (mask + 1), entries (child, length, bytes) |
//! | `LABELS` | as `EXACT` with entries (child for one more label, child for several more, length, bytes) |
//! | `PREFIX` | entries, (child, number of the longest shorter prefix + 1, text) each, sorted by bytes |
//! | `STR` | field, key text or 0, child when missing, child otherwise, `EXACT` or 0, `LABELS` or 0, `PREFIX` or 0 |
//! | `INT` | field, bounds, child when unknown, (low, high word) each, children: one more than bounds |
//! | `IP` | field, IPv4 bounds, IPv6 bounds, child when unknown, IPv4 bounds (1 word) and children, IPv6 bounds (4 words) and children |
//! | `SCAN` | field, key text or 0, child when missing, `DFA`, accept classes, child of each class |
//! | `TEST` | expression, child when true, when false, when unknown |
//! | `PARALLEL` | parts, child each: the answer is the part's that comes first in evaluation order |
//! | `LIST` | entries, (formula, leaf) each: the first whose formula is true |
//! | `SET` | leaves, leaf each: all of them |
//! | `AND`, `OR` | operands, formula each |
//! | `LITERAL` | node with the leaves [`TRUE_LEAF`] and [`FALSE_LEAF`], 1 or 0: which of them is wanted |
//! | `EXPR` | see [`super::expr`] |
//! | `ROOTS` | count, (number, node) each; the last item |

/// Item kinds.
pub(super) mod kind {
    pub(in super::super) const TEXT: u32 = 1;
    pub(in super::super) const DFA: u32 = 2;
    pub(in super::super) const EXACT: u32 = 3;
    pub(in super::super) const LABELS: u32 = 4;
    pub(in super::super) const PREFIX: u32 = 5;
    pub(in super::super) const STR: u32 = 10;
    pub(in super::super) const INT: u32 = 11;
    pub(in super::super) const IP: u32 = 12;
    pub(in super::super) const SCAN: u32 = 13;
    pub(in super::super) const TEST: u32 = 14;
    pub(in super::super) const PARALLEL: u32 = 15;
    pub(in super::super) const LIST: u32 = 16;
    pub(in super::super) const SET: u32 = 17;
    pub(in super::super) const AND: u32 = 20;
    pub(in super::super) const OR: u32 = 21;
    pub(in super::super) const LITERAL: u32 = 22;
    pub(in super::super) const EXPR: u32 = 30;
    pub(in super::super) const ROOTS: u32 = 40;
}

/// A reference to a node, or a leaf: the top bit tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Child(pub(super) u32);

/// What a leaf says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum LeafKind {
    /// Allowed by the rule.
    Allow = 0,
    /// Refused by the rule.
    Block = 1,
    /// TLS is to be terminated because of the rule.
    Intercept = 2,
    /// Allowed by the rule, and some rule that may apply says `allow_private_ips`.
    AllowPrivate = 3,
}

const LEAF: u32 = 1 << 31;

/// No rule: the default block, or no obligation.
pub const NO_LEAF: Child = Child(LEAF);
/// In the node of a literal: the test is true.
pub const TRUE_LEAF: Child = Child(LEAF | 1);
/// In the node of a literal: the test is false. Unknown is [`NO_LEAF`].
pub const FALSE_LEAF: Child = Child(LEAF | 2);

impl Child {
    /// The leaf that names a rule.
    pub fn leaf(kind: LeafKind, rule: u32) -> Child {
        Child(LEAF | (1 + (rule << 3 | kind as u32)))
    }

    pub(super) const fn is_leaf(self) -> bool {
        self.0 & LEAF != 0
    }

    /// The rule a leaf names.
    pub const fn rule(self) -> Option<u32> {
        match self.0 & !LEAF {
            0 => None,
            code => Some((code - 1) >> 3),
        }
    }

    /// What the leaf says; meaningless for [`NO_LEAF`].
    pub const fn kind(self) -> LeafKind {
        match (self.0 & !LEAF).wrapping_sub(1) & 7 {
            0 => LeafKind::Allow,
            2 => LeafKind::Intercept,
            3 => LeafKind::AllowPrivate,
            _ => LeafKind::Block,
        }
    }

    /// The place in evaluation order; after every rule where no rule is named.
    pub const fn position(self) -> u32 {
        match self.rule() {
            Some(rule) => rule,
            None => u32::MAX,
        }
    }

    /// Whether the leaf lets anything pass.
    pub const fn passes(self) -> bool {
        self.rule().is_some() && !matches!(self.kind(), LeafKind::Block)
    }
}
