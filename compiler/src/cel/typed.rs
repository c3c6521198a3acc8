//! A condition after type checking: names bound, macros expanded into binders, types known.

use std::ops::Range;

use outcall_schema::field::Field;

/// A type of the condition language.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Type {
    /// `null`
    Null,
    /// `bool`
    Bool,
    /// `int`, 64 bits, signed.
    Int,
    /// `string`
    String,
    /// A string or null.
    NullableString,
    /// `list(T)`
    List(Box<Type>),
    /// `map(K, V)`
    Map(Box<Type>, Box<Type>),
    /// Anything; checked when it is evaluated.
    Dyn,
}

/// An expression, its type and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its type.
    pub ty: Type,
    /// The bytes of the condition (definitions expanded) that it comes from.
    pub span: Range<usize>,
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl CompareOp {
    /// The comparison with its sides exchanged.
    #[must_use]
    pub const fn flipped(self) -> CompareOp {
        match self {
            CompareOp::Eq => CompareOp::Eq,
            CompareOp::Ne => CompareOp::Ne,
            CompareOp::Lt => CompareOp::Gt,
            CompareOp::Le => CompareOp::Ge,
            CompareOp::Gt => CompareOp::Lt,
            CompareOp::Ge => CompareOp::Le,
        }
    }
}

/// An arithmetic operation. On ints all of them, each an error on overflow or division by zero; `Add` also joins two
/// strings or two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ArithOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`, towards zero.
    Div,
    /// `%`, with the sign of the dividend.
    Rem,
}

/// A function. Arguments are in the order of the call, a method's receiver first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// `size(x)`: code points of a string, elements of a list, entries of a map.
    Size,
    /// `s.startsWith(p)`
    StartsWith,
    /// `s.endsWith(p)`
    EndsWith,
    /// `s.contains(p)`
    Contains,
    /// `s.matches(re)`: RE2 syntax, unanchored; the pattern is always a literal that has been checked.
    Matches,
    /// `s.lowerAscii()`
    LowerAscii,
    /// `s.upperAscii()`
    UpperAscii,
    /// `inCidr(s, "10.0.0.0/8")`: false for a string that is not a canonical address; the network is a checked literal.
    InCidr,
    /// `hostMatches(s, "*.example.com")`: the pattern is a checked, canonical literal.
    HostMatches,
}

/// A macro over a list, or over a map's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MacroKind {
    /// `all(x, p)`: a conjunction that absorbs errors.
    All,
    /// `exists(x, p)`: a disjunction that absorbs errors.
    Exists,
    /// `exists_one(x, p)`: exactly one; an error anywhere is an error.
    ExistsOne,
    /// `filter(x, p)`
    Filter,
    /// `map(x, f)` or `map(x, p, f)`
    Map,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `null`
    Null,
    /// A boolean literal.
    Bool(bool),
    /// An integer literal.
    Int(i64),
    /// A string literal.
    Str(String),
    /// A list literal.
    List(Vec<Expr>),
    /// A map literal. A repeated key is an error when evaluated.
    Map(Vec<(Expr, Expr)>),
    /// A field of the request.
    Field(Field),
    /// A variable bound by an enclosing macro: 0 is the innermost binder.
    Bound(u32),
    /// A free variable, only where the checker was given one (conformance tests); never in a rule.
    Free(String),
    /// `map[key]`, `map.key` (the key as a string literal) or `list[index]`. A missing key or an index out of range is
    /// an error.
    Index(Box<Expr>, Box<Expr>),
    /// `has(map.key)`: never an error for a map that is known.
    Has(Box<Expr>, String),
    /// `!x`
    Not(Box<Expr>),
    /// `-x`
    Negate(Box<Expr>),
    /// `a && b && ...`, flattened, at least two.
    And(Vec<Expr>),
    /// `a || b || ...`, flattened, at least two.
    Or(Vec<Expr>),
    /// `condition ? then : otherwise`
    Conditional(Box<Expr>, Box<Expr>, Box<Expr>),
    /// A comparison.
    Compare(CompareOp, Box<Expr>, Box<Expr>),
    /// Arithmetic.
    Arith(ArithOp, Box<Expr>, Box<Expr>),
    /// `x in list`, or `key in map`.
    In(Box<Expr>, Box<Expr>),
    /// A function call.
    Call(Function, Vec<Expr>),
    /// A macro: the range, an optional filter (`map` with three arguments), and the body. Filter and body see the element
    /// as `Bound(0)`.
    Macro {
        /// Which.
        kind: MacroKind,
        /// The list or map.
        range: Box<Expr>,
        /// The predicate of a three-argument `map`.
        filter: Option<Box<Expr>>,
        /// The predicate or the result.
        body: Box<Expr>,
    },
}
