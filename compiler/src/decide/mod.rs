//! From typed conditions to a program that decides: formulas, classes of values, the decision graph.
//!
//! A condition that is *true* (neither false nor unknown) is the same as a formula of `and` and `or` over tests that must
//! come out true, or must come out false ([`formula`], [`lower`]). All tests on one value split its range into classes
//! ([`pattern`]); walking from value to value by class, every formula becomes constant ([`build`]). What would make that
//! walk explode is asked side by side, and what is not a test of one value stays a formula in an ordered list.

pub mod build;
pub mod codes;
pub mod exists;
pub mod formula;
pub mod kernel;
pub mod lower;
pub mod pattern;
pub(crate) mod range;
pub mod sink;
