//! What a question may be answered while some values are still open.

use super::item::{Child, LeafKind, NO_LEAF};

/// What a part of the program may still answer, over all values of the fields that are pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    /// The answer that comes first in evaluation order.
    pub first: Child,
    /// Whether `first` is the only one.
    pub single: bool,
    /// The position of the answer that comes last.
    pub last: u32,
    /// The first answer that lets something pass, else [`NO_LEAF`].
    pub pass: Child,
    /// Whether an answer that lets something pass says that private addresses may be reached.
    pub private: bool,
}

impl Possible {
    /// Exactly this answer.
    pub fn only(leaf: Child) -> Possible {
        let pass = if leaf.passes() { leaf } else { NO_LEAF };
        let private = leaf.passes() && leaf.kind() == LeafKind::AllowPrivate;
        Possible { first: leaf, single: true, last: leaf.position(), pass, private }
    }

    /// The answers of either of two.
    #[must_use]
    pub fn or(self, other: Possible) -> Possible {
        Possible {
            first: earlier(self.first, other.first),
            single: self.single && other.single && self.first == other.first,
            last: self.last.max(other.last),
            pass: earlier(self.pass, other.pass),
            private: self.private || other.private,
        }
    }

    /// The answers of two parts asked side by side: of each pair, the one that comes first.
    #[must_use]
    pub fn beside(self, other: Possible) -> Possible {
        let reachable = |pass: Child, others: u32| if pass.position() <= others { pass } else { NO_LEAF };
        let (left, right) = (reachable(self.pass, other.last), reachable(other.pass, self.last));
        let settled = |one: &Possible, two: &Possible| one.single && one.last <= two.first.position();
        Possible {
            first: earlier(self.first, other.first),
            single: settled(&self, &other) || settled(&other, &self),
            last: self.last.min(other.last),
            pass: earlier(left, right),
            private: self.private && left != NO_LEAF || other.private && right != NO_LEAF,
        }
    }
}

/// The answer that comes first in evaluation order.
pub(super) fn earlier(left: Child, right: Child) -> Child {
    if right.position() < left.position() { right } else { left }
}
