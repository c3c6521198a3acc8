//! The condition language: parser, type checker and the typed form everything later works on.

pub mod typed;
