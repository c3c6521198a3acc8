//! A condition as written: what the parser saw, with no name looked up.

use std::ops::Range;

use super::typed::{ArithOp, CompareOp};

/// An expression as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    /// What it is.
    pub kind: AstKind,
    /// Where it stands, in bytes of the condition.
    pub span: Range<usize>,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum AstKind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// An integer literal.
    Int(i64),
    /// A string literal, decoded.
    Str(String),
    /// A name.
    Name(String),
    /// `[...]`
    List(Vec<Ast>),
    /// `{...}`
    Map(Vec<(Ast, Ast)>),
    /// `operand.name`
    Select(Box<Ast>, Word),
    /// `operand[index]`
    Index(Box<Ast>, Box<Ast>),
    /// `name(...)` or `operand.name(...)`
    Call(Option<Box<Ast>>, Word, Vec<Ast>),
    /// `!operand`
    Not(Box<Ast>),
    /// `-operand`
    Negate(Box<Ast>),
    /// `... && ...`, flattened
    And(Vec<Ast>),
    /// `... || ...`, flattened
    Or(Vec<Ast>),
    /// `condition ? then : otherwise`
    Conditional(Box<Ast>, Box<Ast>, Box<Ast>),
    /// A comparison.
    Compare(CompareOp, Box<Ast>, Box<Ast>),
    /// Arithmetic.
    Arith(ArithOp, Box<Ast>, Box<Ast>),
    /// `element in container`
    In(Box<Ast>, Box<Ast>),
}

/// A name and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Word {
    /// The name.
    pub text: String,
    /// Its bytes.
    pub span: Range<usize>,
}
