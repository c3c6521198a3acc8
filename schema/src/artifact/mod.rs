//! The artifacts' formats: writer, validator and zero-copy reader side by side.

mod automaton;
pub mod bundle;
pub mod digest;
pub mod dns_table;
pub mod expr;
mod image;
pub mod item;
pub mod manifest;
pub mod match_program;
pub mod possible;
mod program;
pub mod render;
mod validate;
pub mod writer;

/// Why an artifact cannot be used. Reading never panics, whatever the bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The file does not begin with the magic of its kind.
    #[error("not a {expected} artifact")]
    Magic {
        /// The kind of artifact that was asked for.
        expected: &'static str,
    },
    /// A format version that this build does not read.
    #[error("format version {found} is not supported, this build reads version {supported}")]
    Version {
        /// The version in the file.
        found: u32,
        /// The version this build reads.
        supported: u32,
    },
    /// The checksum, or the digest in the manifest, does not match.
    #[error("the content does not match its digest: the file is damaged or was changed")]
    Digest,
    /// The file ends before its content does, or goes on after it.
    #[error("the file is truncated or has trailing bytes")]
    Length,
    /// The content breaks a rule of its format.
    #[error("the content is not valid: {0}")]
    Invalid(&'static str),
}
