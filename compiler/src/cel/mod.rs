//! The condition language: parser, type checker and the typed form everything later works on.

pub mod ast;
mod check;
pub(crate) mod codes;
mod fallible;
mod literal;
mod parse;
pub mod reference;
pub mod typed;

use std::net::IpAddr;
use std::ops::Range;

pub use check::Env;
pub use fallible::{Fallible, fallible};

use crate::decide::lower;
use typed::Expr;

/// The longest condition, with its definitions expanded.
pub const LONGEST_BYTES: usize = 64 * 1024;

/// How deeply brackets, signs and `? :` nest.
pub const LEVELS: usize = 64;

/// What is wrong with a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CelError {
    /// The code, `OC01xx`.
    pub code: &'static str,
    /// Where, in bytes of the condition.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// A replacement that mends it.
    pub replacement: Option<(Range<usize>, String)>,
}

impl CelError {
    fn new(code: &'static str, range: Range<usize>, message: String) -> CelError {
        CelError { code, range, message, help: None, replacement: None }
    }

    fn help(mut self, help: impl Into<String>) -> CelError {
        self.help = Some(help.into());
        self
    }

    fn replace_if(self, sure: bool, range: Range<usize>, text: impl Into<String>) -> CelError {
        if sure { self.replace(range, text) } else { self }
    }

    fn replace(mut self, range: Range<usize>, text: impl Into<String>) -> CelError {
        self.replacement = Some((range, text.into()));
        self
    }
}

/// Parses a condition without looking up names.
///
/// # Errors
/// Everything that is wrong with its syntax, as far as it can be told.
pub fn parse(text: &str) -> Result<ast::Ast, Vec<CelError>> {
    parse::parse(text)
}

/// Parses and checks a condition.
///
/// # Errors
/// Everything that is wrong with it, in the order of the text.
pub fn parse_and_check(text: &str, env: &Env) -> Result<Expr, Vec<CelError>> {
    let ast = parse::parse(text)?;
    check::check(&ast, env)
}

/// Whether a text is a network in the form that `inCidr` takes.
pub(crate) fn network(text: &str) -> bool {
    literal::network(text, &(0..0)).is_ok()
}

/// Whether a network holds an address.
pub(crate) fn holds(network: &str, address: IpAddr) -> bool {
    match (address, lower::network(network)) {
        (IpAddr::V4(address), Some((Some((low, high)), _))) => (low..=high).contains(&address.to_bits()),
        (IpAddr::V6(address), Some((_, Some((low, high))))) => (low..=high).contains(&address.to_bits()),
        _ => false,
    }
}

/// Where `$name` stands in a condition, outside string literals and comments: its bytes with the `$`, and the name.
pub fn references(text: &str) -> Vec<(Range<usize>, String)> {
    parse::references(text)
}
