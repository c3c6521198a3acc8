//! From paths to rule files, and from a file's bytes to a tree in which every key and value has its place.
//!
//! Invariant: nothing here knows what a rule is.

mod load;
pub mod scalar;
pub mod suppress;
mod text;
pub mod yaml;

use std::sync::Arc;

pub use load::{Missing, from_bytes, load};
pub use suppress::Suppression;
pub use text::decode;
pub use yaml::{Document, Entry, Node, NodeKind};

use crate::diag::{Finding, SourceFile};

/// The most bytes a rule file may have: far more than anybody reviews.
pub const FILE_LIMIT_BYTES: usize = 1 << 20;

/// The deepest nesting of lists and mappings.
pub const NESTING_LIMIT: usize = 64;

/// Reads any bytes as a rule file would be: a file and its tree's findings, or the findings alone. Never panics, and takes
/// time and memory linear in the length.
pub fn parse(bytes: &[u8]) -> (Option<Arc<SourceFile>>, Vec<Finding>) {
    match text::decode("input.yaml", "input.yaml", bytes) {
        Ok(file) => {
            let (_, findings) = yaml::read(&file);
            (Some(file), findings)
        }
        Err(finding) => (None, vec![*finding]),
    }
}
