//! Is there a suppression for something that is not there?

use super::{Check, Family, LintRow};
use crate::diag::{CodeRow, Example, Severity};

/// The code; what suppresses findings also knows what suppressed none.
pub(crate) const UNUSED_SUPPRESSION: &str = "OC0299";

pub(super) const LINT: LintRow = LintRow {
    name: "suppression-unused",
    family: Family::Style,
    row: CodeRow {
        code: UNUSED_SUPPRESSION,
        severity: Severity::Warning,
        title: "a suppression that suppresses nothing",
        explain: "The finding that a comment `# outcall: allow ...` is about is not there (any more). Left standing, the \
comment would hide the same mistake when somebody makes it again. Remove it.",
        bad: Example::Rules(
            "# outcall: allow OC0260 all names that end like this are ours\n- id: docs\n  action: allow\n  condition: http.host.endsWith(\".example.com\")\n",
        ),
        good: Example::Rules(
            "# outcall: allow OC0260 all names that end like this are ours\n- id: docs\n  action: allow\n  condition: http.host.endsWith(\"example.com\")\n",
        ),
    },
    check: Check::Elsewhere,
};
