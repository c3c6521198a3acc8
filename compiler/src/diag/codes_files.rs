//! OC00xx: files, YAML, keys and values.

use super::Severity;
use super::codes::{CodeRow, Example};

/// The file could not be read at all.
pub(crate) const CANNOT_READ: &str = "OC0001";

/// The rows of this area.
pub(crate) const CODES: &[CodeRow] = &[CodeRow {
    code: CANNOT_READ,
    severity: Severity::Error,
    title: "a file or directory cannot be read",
    explain: "A path that was named does not exist, or a file in a rules directory cannot be read. Nothing is compiled \
              from a directory that can only be read in part, because the missing file may hold a block rule. Check the \
              path and its permissions.",
    bad: Example::Files(&[("rules.yaml/inside", "a directory whose name ends like a rule file's\n")]),
    good: Example::File("version: \"1\"\n"),
}];
