//! The language a second time: what rules mean, written as plainly as possible and without any of the compiler's lowering.
//!
//! Conditions are walked as they are written ([`eval`]), policies rule by rule ([`policy`]). Only the grammar is shared with
//! the compiler; nothing of `compiler/src/decide` and `schema/src/artifact` is used.
//!
//! # What it promises
//!
//! - *Final questions*, where no field is pending, have exactly one answer, and a compiled program must give it: decision,
//!   rule and obligations.
//! - *Early questions*: [`policy::Policy::possible`] gives every answer that Kleene's logic cannot rule out, so each answer
//!   of a completion is among them. When there is one only, a compiled program must give it. It may know better: what it
//!   says is decided must then be the answer of every completion.
//! - *Existential questions* (what could be true of some request inside TLS, which names follow from rules) are asked with
//!   samples from below and with Kleene's logic from above: a compiled program must see what a sample shows, and must not
//!   see what Kleene's logic rules out.
pub mod compare;
pub mod eval;
pub mod policy;
pub mod value;
