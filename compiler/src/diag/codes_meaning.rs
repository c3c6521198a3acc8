//! OC02xx: what rules mean.

use super::Severity;
use super::codes::{CodeRow, Example};

/// A block rule that an error would keep from blocking.
pub(crate) const BLOCK_MAY_FAIL: &str = "OC0201";

/// The rows of this area.
pub(crate) const CODES: &[CodeRow] = &[CodeRow {
    code: BLOCK_MAY_FAIL,
    severity: Severity::Error,
    title: "a block rule that can open by accident",
    explain: "A rule applies only where its condition is true. Where evaluating it is an error (a header that is not there, a \
              body that is null because it was too large, an index out of range) a block rule would not block, and what it \
              was meant to stop could pass. Say what should happen in that case: `has(http.headers.x) && ...` blocks only \
              requests that have the header, `!has(http.headers.x) || ...` blocks those without it, too. An enrich rule with \
              `require_header` refuses as well, so the same holds for it.",
    bad: Example::Rules(
        "- id: no-internal-uploads\n  action: block\n  condition: http.headers[\"x-origin\"] == \"internal\"\n",
    ),
    good: Example::Rules(
        "- id: no-internal-uploads\n  action: block\n  condition: '\"x-origin\" in http.headers && http.headers[\"x-origin\"] == \"internal\"'\n",
    ),
}];
