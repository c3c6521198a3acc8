//! A condition as lints look at it: tests joined by "all" and "any", negations pushed down to the tests.

use std::borrow::Cow;
use std::ops::Range;
use std::rc::Rc;

use outcall_schema::field::{FIELDS, Field, FieldType, Knowledge};
use outcall_schema::layer::Layer;

use super::hosts::{HostTest, Hosts};
use super::patterns::Patterns;
use crate::cel::typed::{CompareOp, Expr, ExprKind, Function, MacroKind, Type};
use crate::decide::lower;

/// A set of fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fields(u32);

impl Fields {
    pub(crate) const NONE: Fields = Fields(0);

    pub(crate) fn of(fields: &[Field]) -> Fields {
        Fields(fields.iter().fold(0, |all, field| all | 1 << (*field as u32)))
    }

    pub(crate) fn and(self, other: Fields) -> Fields {
        Fields(self.0 | other.0)
    }

    fn common(self, other: Fields) -> Fields {
        Fields(self.0 & other.0)
    }

    pub(crate) fn has(self, field: Field) -> bool {
        self.0 & 1 << (field as u32) != 0
    }

    pub(crate) fn meets(self, others: &[Field]) -> bool {
        self.0 & Fields::of(others).0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Field> {
        FIELDS.iter().map(|row| row.field).filter(move |field| self.has(*field))
    }
}

/// The fields that hold a host.
pub(crate) const HOST_FIELDS: [Field; 4] = [Field::HttpHost, Field::NetworkHostname, Field::TlsSni, Field::DnsQuery];

/// The fields that say where something goes, or what a container or tool is.
pub(crate) const TARGETS: [Field; 15] = [
    Field::HttpHost,
    Field::NetworkHostname,
    Field::TlsSni,
    Field::DnsQuery,
    Field::NetworkIp,
    Field::DockerImage,
    Field::DockerCommand,
    Field::DockerVolumes,
    Field::DockerEnvKeys,
    Field::DockerCapabilities,
    Field::RunTool,
    Field::RunArgs,
    Field::RunFlags,
    Field::RunCwd,
    Field::RunContext,
];

/// The fields that are only seen in plain HTTP and where TLS is terminated.
pub(crate) const REQUEST_FIELDS: [Field; 5] =
    [Field::HttpMethod, Field::HttpPath, Field::HttpHeaders, Field::HttpBodySize, Field::HttpBody];

/// A set of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layers(u16);

impl Layers {
    pub(crate) const ALL: Layers = Layers(u16::MAX);
    pub(crate) const NONE: Layers = Layers(0);

    pub(crate) fn knowing(field: Field) -> Layers {
        Layers(field.row().layers.iter().fold(0, |all, (layer, _)| all | 1 << (*layer as u16)))
    }

    pub(crate) fn of(layers: &[Layer]) -> Layers {
        Layers(layers.iter().fold(0, |all, layer| all | 1 << (*layer as u16)))
    }

    pub(crate) fn and(self, other: Layers) -> Layers {
        Layers(self.0 & other.0)
    }

    pub(crate) fn has(self, layer: Layer) -> bool {
        self.0 & 1 << (layer as u16) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// How a test looks at its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    /// `==`, or `in` a list.
    Equals,
    /// `startsWith`
    Prefix,
    /// `endsWith`
    Suffix,
    /// `contains`
    Contains,
    /// `matches`
    Matches,
    /// `hostMatches`
    HostMatches,
    /// `inCidr`
    InCidr,
    /// `<`, `<=`, `>` or `>=`, the value on the left.
    Order(CompareOp),
    /// The map has the entry.
    Present,
}

/// A literal that a value is compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Literal<'e> {
    expr: &'e Expr,
}

impl<'e> Literal<'e> {
    pub(crate) fn text(&self) -> Option<&'e str> {
        match &self.expr.kind {
            ExprKind::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match &self.expr.kind {
            ExprKind::Int(value) => Some(*value),
            ExprKind::Negate(operand) => match operand.kind {
                ExprKind::Int(value) => value.checked_neg(),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn span(&self) -> &'e Range<usize> {
        &self.expr.span
    }
}

/// A test of one value against literals.
#[derive(Debug, Clone)]
pub(crate) struct Atom<'e> {
    /// The field.
    pub(crate) field: Field,
    /// The entry, where the field is a map.
    pub(crate) key: Option<&'e str>,
    /// How.
    pub(crate) op: Op,
    /// Against what.
    pub(crate) literals: Vec<Literal<'e>>,
    /// Whether the value is brought to lower or upper case first.
    pub(crate) folded: Option<Function>,
}

impl<'e> Atom<'e> {
    pub(crate) fn is_host(&self) -> bool {
        HOST_FIELDS.contains(&self.field)
    }

    /// The literals that are strings, with where they stand.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'e str, &'e Range<usize>)> + '_ {
        self.literals.iter().filter_map(|literal| Some((literal.text()?, literal.span())))
    }

    /// Whether the value is compared with texts, as a whole or in part.
    pub(crate) fn compares(&self) -> bool {
        matches!(self.op, Op::Equals | Op::Prefix | Op::Suffix | Op::Contains)
    }

    /// Whether the test with this literal alone is true of a text.
    pub(crate) fn fits(&self, text: &str, literal: &str) -> bool {
        match self.op {
            Op::Equals => text == literal,
            Op::Prefix => text.starts_with(literal),
            Op::Suffix => text.ends_with(literal),
            Op::Contains => text.contains(literal),
            Op::Matches | Op::HostMatches | Op::InCidr | Op::Order(_) | Op::Present => false,
        }
    }

    /// Whether the test is true of this text; `None` where that takes more than comparing.
    pub(crate) fn holds(&self, text: &str) -> Option<bool> {
        let folded = match self.folded {
            Some(Function::LowerAscii) => Cow::Owned(text.to_ascii_lowercase()),
            Some(_) => Cow::Owned(text.to_ascii_uppercase()),
            None => Cow::Borrowed(text),
        };
        self.compares().then(|| self.texts().any(|(literal, _)| self.fits(&folded, literal)))
    }
}

/// A test as it stands in a condition.
#[derive(Debug, Clone)]
pub(crate) struct Test<'e> {
    /// The expression, without the negations around it.
    pub(crate) expr: &'e Expr,
    /// Whether it has to be true, else false.
    pub(crate) positive: bool,
    /// The fields it reads.
    pub(crate) fields: Fields,
    /// The same as a test of one value, if it is one.
    pub(crate) atom: Option<Atom<'e>>,
}

impl<'e> Test<'e> {
    /// The entry of a map that the test looks at, and whether it only asks for its presence.
    pub(crate) fn entry(&self) -> Option<(Field, &'e str, bool)> {
        let atom = self.atom.as_ref()?;
        Some((atom.field, atom.key?, atom.op == Op::Present))
    }
}

/// What a part of a condition is.
#[derive(Debug, Clone)]
pub(crate) enum Shape<'e> {
    /// All of these hold.
    All(Vec<Part<'e>>),
    /// One of these holds.
    Any(Vec<Part<'e>>),
    /// A test.
    Test(Test<'e>),
}

/// A part of a condition.
#[derive(Debug, Clone)]
pub(crate) struct Part<'e> {
    /// What it is.
    pub(crate) shape: Shape<'e>,
    /// Where it stands.
    pub(crate) span: Range<usize>,
    /// The fields that some test looks at on every way to be true.
    pub(crate) asks: Fields,
    /// The same for tests that have to come out true.
    pub(crate) pins: Fields,
    /// The hosts it can be true for.
    pub(crate) hosts: Hosts<'e>,
    /// The layers in which it can be true.
    pub(crate) layers: Layers,
    /// What it can be true of.
    pub(crate) over: Over,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Over {
    /// Inside TLS that is terminated.
    pub(crate) tls: bool,
    /// In plain HTTP.
    pub(crate) plain: bool,
    /// Unseen in a tunnel, whose method is `CONNECT` and whose path is `/`.
    pub(crate) tunnel: bool,
}

impl Over {
    const ANY: Over = Over { tls: true, plain: true, tunnel: true };
    const NONE: Over = Over { tls: false, plain: false, tunnel: false };

    pub(crate) fn and(self, other: Over) -> Over {
        Over { tls: self.tls && other.tls, plain: self.plain && other.plain, tunnel: self.tunnel && other.tunnel }
    }

    fn or(self, other: Over) -> Over {
        Over { tls: self.tls || other.tls, plain: self.plain || other.plain, tunnel: self.tunnel || other.tunnel }
    }
}

/// What has to hold beside a test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Around<'a, 'e> {
    /// As [`Part::asks`], of everything that has to hold too.
    pub(crate) asks: Fields,
    /// As [`Part::pins`].
    pub(crate) pins: Fields,
    /// As [`Part::hosts`].
    pub(crate) hosts: &'a Hosts<'e>,
    /// As [`Part::over`].
    pub(crate) over: Over,
}

impl<'e> Part<'e> {
    /// The condition that `expr` is true.
    pub(crate) fn of(expr: &'e Expr, patterns: &Patterns) -> Part<'e> {
        part(expr, true, patterns)
    }

    /// Whether a positive test says, on every way to be true, where something goes.
    pub(crate) fn targets(&self) -> bool {
        match &self.shape {
            Shape::Test(test) => {
                let everywhere =
                    |atom: &Atom<'_>| atom.op == Op::InCidr && atom.texts().any(|(it, _)| it.ends_with("/0"));
                test.positive && test.fields.meets(&TARGETS) && !test.atom.as_ref().is_some_and(everywhere)
            }
            Shape::All(parts) => parts.iter().any(Part::targets),
            Shape::Any(parts) => parts.iter().all(Part::targets),
        }
    }

    /// Calls `see` with every test and what has to hold beside it.
    pub(crate) fn tests<'a>(&'a self, see: &mut dyn FnMut(&'a Test<'e>, Around<'a, 'e>)) {
        let around = Around { asks: Fields::NONE, pins: Fields::NONE, hosts: &Hosts::Any, over: Over::ANY };
        self.walk(around, &mut |part, around| {
            if let Shape::Test(test) = &part.shape {
                see(test, around);
            }
        });
    }

    /// Calls `see` with every part, the outer before the inner, and what has to hold beside it.
    pub(crate) fn parts<'a>(&'a self, see: &mut dyn FnMut(&'a Part<'e>, Around<'a, 'e>)) {
        let around = Around { asks: Fields::NONE, pins: Fields::NONE, hosts: &Hosts::Any, over: Over::ANY };
        self.walk(around, see);
    }

    fn walk<'a>(&'a self, around: Around<'a, 'e>, see: &mut dyn FnMut(&'a Part<'e>, Around<'a, 'e>)) {
        see(self, around);
        match &self.shape {
            Shape::Test(_) => {}
            Shape::Any(parts) => parts.iter().for_each(|part| part.walk(around, see)),
            Shape::All(parts) => {
                // What the parts behind each one say together, so that the walk stays linear.
                let mut behind = Vec::with_capacity(parts.len());
                let mut rest = (Fields::NONE, Fields::NONE, Over::ANY);
                for part in parts.iter().rev() {
                    behind.push(rest);
                    rest = (rest.0.and(part.asks), rest.1.and(part.pins), rest.2.and(part.over));
                }
                let mut limiting = parts.iter().enumerate().filter(|(_, part)| !part.hosts.is_any());
                let (first, second) = (limiting.next(), limiting.next());
                let mut before = (around.asks, around.pins, around.over);
                for ((at, part), behind) in parts.iter().enumerate().zip(behind.into_iter().rev()) {
                    let other = [first, second].into_iter().flatten().find(|(limits, _)| *limits != at);
                    let hosts = match (around.hosts.is_any(), other) {
                        (true, Some((_, other))) => &other.hosts,
                        _ => around.hosts,
                    };
                    let around = Around {
                        asks: before.0.and(behind.0),
                        pins: before.1.and(behind.1),
                        hosts,
                        over: before.2.and(behind.2),
                    };
                    part.walk(around, see);
                    before = (before.0.and(part.asks), before.1.and(part.pins), before.2.and(part.over));
                }
            }
        }
    }
}

fn part<'e>(expr: &'e Expr, positive: bool, patterns: &Patterns) -> Part<'e> {
    let span = expr.span.clone();
    match &expr.kind {
        ExprKind::Not(operand) => part(operand, !positive, patterns),
        ExprKind::And(operands) | ExprKind::Or(operands) => {
            let parts = operands.iter().map(|operand| part(operand, positive, patterns)).collect();
            let together = matches!(expr.kind, ExprKind::And(_)) == positive;
            if together { all(parts, span) } else { any(parts, span) }
        }
        ExprKind::Conditional(condition, then, otherwise) if expr.ty == Type::Bool => {
            let ways = [(true, then), (false, otherwise)].map(|(taken, way)| {
                let parts = vec![part(condition, taken, patterns), part(way, positive, patterns)];
                all(parts, way.span.clone())
            });
            any(ways.into(), span)
        }
        ExprKind::Compare(CompareOp::Ne, left, right) => {
            comparison(expr, [left, right], CompareOp::Ne, !positive, patterns)
        }
        ExprKind::Compare(op, left, right) => comparison(expr, [left, right], *op, positive, patterns),
        _ => single(expr, positive, atom(expr), patterns),
    }
}

fn comparison<'e>(
    expr: &'e Expr,
    [left, right]: [&'e Expr; 2],
    op: CompareOp,
    positive: bool,
    patterns: &Patterns,
) -> Part<'e> {
    for (value, other) in [(left, right), (right, left)] {
        if let (ExprKind::Bool(constant), CompareOp::Eq | CompareOp::Ne, Type::Bool) = (&other.kind, op, &value.ty) {
            return part(value, *constant == positive, patterns);
        }
    }
    single(expr, positive, compared(op, left, right), patterns)
}

fn all<'e>(parts: Vec<Part<'e>>, span: Range<usize>) -> Part<'e> {
    let hosts = parts.iter().map(|part| &part.hosts).find(|hosts| !hosts.is_any()).cloned().unwrap_or(Hosts::Any);
    Part {
        asks: parts.iter().fold(Fields::NONE, |all, part| all.and(part.asks)),
        pins: parts.iter().fold(Fields::NONE, |all, part| all.and(part.pins)),
        layers: parts.iter().fold(Layers::ALL, |all, part| Layers(all.0 & part.layers.0)),
        over: parts.iter().fold(Over::ANY, |all, part| all.and(part.over)),
        hosts,
        shape: Shape::All(parts),
        span,
    }
}

fn any<'e>(parts: Vec<Part<'e>>, span: Range<usize>) -> Part<'e> {
    let every = Fields(u32::MAX);
    Part {
        asks: parts.iter().fold(every, |all, part| all.common(part.asks)),
        pins: parts.iter().fold(every, |all, part| all.common(part.pins)),
        layers: parts.iter().fold(Layers::NONE, |all, part| Layers(all.0 | part.layers.0)),
        over: parts.iter().fold(Over::NONE, |all, part| all.or(part.over)),
        hosts: Hosts::union(parts.iter().map(|part| &part.hosts)),
        shape: Shape::Any(parts),
        span,
    }
}

fn single<'e>(expr: &'e Expr, positive: bool, atom: Option<Atom<'e>>, patterns: &Patterns) -> Part<'e> {
    let fields = Fields::of(&lower::fields_of(expr));
    let hosts = match &atom {
        Some(atom) if positive && atom.is_host() && !matches!(atom.op, Op::InCidr | Op::Order(_) | Op::Present) => {
            let tests = atom.texts().map(|(text, span)| HostTest { op: atom.op, text, span: span.clone() });
            Hosts::Of(Rc::from(tests.collect::<Vec<_>>()))
        }
        _ => Hosts::Any,
    };
    let never = matches!(expr.kind, ExprKind::Bool(value) if value != positive);
    let layers = match &atom {
        _ if never => Layers::NONE,
        Some(atom) => Layers::knowing(atom.field),
        None if joins(expr) => Layers::ALL,
        None => fields.iter().fold(Layers::ALL, |all, field| Layers(all.0 & Layers::knowing(field).0)),
    };
    let test = Test { expr, positive, fields, atom };
    let at = |layer| !never && possible(&test, layer, patterns);
    let tunnel = layers.has(Layer::Connect) && at(Layer::Connect);
    let over = if connects(&test) {
        Over { tunnel, ..Over::NONE }
    } else {
        Over { tls: at(Layer::Https) && !plain_port(&test), plain: at(Layer::Http), tunnel }
    };
    Part {
        over,
        asks: fields,
        pins: if positive { fields } else { Fields::NONE },
        hosts,
        layers,
        shape: Shape::Test(test),
        span: expr.span.clone(),
    }
}

/// Whether an expression has operators in it that may have a value although a part has none.
fn joins(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::And(_) | ExprKind::Or(_) | ExprKind::Conditional(..) | ExprKind::Macro { .. } => true,
        ExprKind::Compare(_, left, right) | ExprKind::In(left, right) | ExprKind::Arith(_, left, right) => {
            joins(left) || joins(right)
        }
        ExprKind::Not(operand) | ExprKind::Negate(operand) => joins(operand),
        ExprKind::Call(_, arguments) => arguments.iter().any(joins),
        _ => false,
    }
}

/// Whether a test can come out as it must in a layer, as far as its constants tell.
fn possible(test: &Test<'_>, layer: Layer, patterns: &Patterns) -> bool {
    let Some(atom) = &test.atom else { return true };
    match atom.field.knowledge(layer) {
        None => false,
        Some(Knowledge::From(_)) => true,
        Some(Knowledge::Always(text)) => match (atom.op, atom.holds(text)) {
            (_, Some(holds)) => holds == test.positive,
            (Op::Matches, None) if atom.folded.is_none() => {
                let holds = |pattern| patterns.accepts(pattern, text);
                atom.texts().next().and_then(|(pattern, _)| holds(pattern)).is_none_or(|holds| holds == test.positive)
            }
            (_, None) => true,
        },
    }
}

/// Whether a test of the method leaves only tunnels.
fn connects(test: &Test<'_>) -> bool {
    let atom = test.atom.as_ref().filter(|atom| atom.field == Field::HttpMethod && atom.op == Op::Equals);
    test.positive && atom.is_some_and(|atom| atom.texts().all(|(text, _)| text == "CONNECT"))
}

/// Whether a test of the port leaves only the one of plain HTTP.
fn plain_port(test: &Test<'_>) -> bool {
    let atom = test.atom.as_ref().filter(|atom| atom.field == Field::NetworkPort && atom.op == Op::Equals);
    test.positive && atom.is_some_and(|atom| atom.literals.iter().all(|literal| literal.int() == Some(80)))
}

/// A value that tests are made on: a field, or an entry of a map, perhaps in one case.
fn subject(expr: &Expr) -> Option<(Field, Option<&str>, Option<Function>)> {
    match &expr.kind {
        ExprKind::Field(field) => match field.row().ty {
            FieldType::String | FieldType::NullableString | FieldType::Int => Some((*field, None, None)),
            FieldType::StringList | FieldType::StringMap | FieldType::DynMap => None,
        },
        ExprKind::Index(container, key) => match (&container.kind, &key.kind) {
            (ExprKind::Field(field), ExprKind::Str(key)) if is_map(*field) => Some((*field, Some(key), None)),
            _ => None,
        },
        ExprKind::Call(function @ (Function::LowerAscii | Function::UpperAscii), arguments) => {
            let (field, key, folded) = subject(arguments.first()?)?;
            Some((field, key, Some(folded.unwrap_or(*function))))
        }
        _ => None,
    }
}

fn is_map(field: Field) -> bool {
    matches!(field.row().ty, FieldType::StringMap | FieldType::DynMap)
}

fn is_literal(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Str(_) | ExprKind::Null) || Literal { expr }.int().is_some()
}

fn compared<'e>(op: CompareOp, left: &'e Expr, right: &'e Expr) -> Option<Atom<'e>> {
    let (value, literal, op) = match (is_literal(right), is_literal(left)) {
        (true, false) => (left, right, op),
        (false, true) => (right, left, op.flipped()),
        _ => return None,
    };
    let (field, key, folded) = subject(value)?;
    let op = if matches!(op, CompareOp::Eq | CompareOp::Ne) { Op::Equals } else { Op::Order(op) };
    Some(Atom { field, key, op, literals: vec![Literal { expr: literal }], folded })
}

fn atom(expr: &Expr) -> Option<Atom<'_>> {
    match &expr.kind {
        ExprKind::In(element, container) => match (&element.kind, &container.kind) {
            (ExprKind::Str(key), ExprKind::Field(field)) if is_map(*field) => Some(Atom {
                field: *field,
                key: Some(key),
                op: Op::Present,
                literals: vec![Literal { expr: element }],
                folded: None,
            }),
            (_, ExprKind::List(items)) if items.iter().all(is_literal) => {
                let (field, key, folded) = subject(element)?;
                let literals = items.iter().map(|expr| Literal { expr }).collect();
                Some(Atom { field, key, op: Op::Equals, literals, folded })
            }
            _ => None,
        },
        ExprKind::Has(container, key) => match &container.kind {
            ExprKind::Field(field) => {
                Some(Atom { field: *field, key: Some(key), op: Op::Present, literals: Vec::new(), folded: None })
            }
            _ => None,
        },
        ExprKind::Call(function, arguments) => {
            let [value, argument] = arguments.as_slice() else { return None };
            let op = match function {
                Function::StartsWith => Op::Prefix,
                Function::EndsWith => Op::Suffix,
                Function::Contains => Op::Contains,
                Function::Matches => Op::Matches,
                Function::HostMatches => Op::HostMatches,
                Function::InCidr => Op::InCidr,
                Function::Size | Function::LowerAscii | Function::UpperAscii => return None,
            };
            let (field, key, folded) = subject(value)?;
            is_literal(argument).then(|| Atom { field, key, op, literals: vec![Literal { expr: argument }], folded })
        }
        _ => None,
    }
}

/// The condition with `all` and `exists` over lists of literals written out, where that stays small: people write
/// `["a.example.com", "b.example.com"].exists(h, http.host == h)`.
pub(crate) fn written_out(condition: &Expr) -> Cow<'_, Expr> {
    /// Twice the bytes of the longest condition.
    const LARGEST: usize = 128 * 1024;
    let mut left = LARGEST;
    if has_macro(condition) { Cow::Owned(write_out(condition, &mut left)) } else { Cow::Borrowed(condition) }
}

fn has_macro(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Not(operand) => has_macro(operand),
        ExprKind::And(operands) | ExprKind::Or(operands) => operands.iter().any(has_macro),
        ExprKind::Macro { kind: MacroKind::All | MacroKind::Exists, range, .. } => {
            matches!(range.kind, ExprKind::List(_))
        }
        _ => false,
    }
}

fn write_out(expr: &Expr, left: &mut usize) -> Expr {
    let kind = match &expr.kind {
        ExprKind::Not(operand) => ExprKind::Not(Box::new(write_out(operand, left))),
        ExprKind::And(operands) => ExprKind::And(operands.iter().map(|operand| write_out(operand, left)).collect()),
        ExprKind::Or(operands) => ExprKind::Or(operands.iter().map(|operand| write_out(operand, left)).collect()),
        ExprKind::Macro { kind: kind @ (MacroKind::All | MacroKind::Exists), range, body, .. } => match &range.kind {
            ExprKind::List(items) if items.iter().all(is_literal) && !items.is_empty() => {
                let size = body.span.len().saturating_mul(items.len());
                let Some(rest) = left.checked_sub(size) else { return expr.clone() };
                *left = rest;
                let parts = items.iter().map(|item| lower::bind(body, 0, item)).collect();
                if *kind == MacroKind::All { ExprKind::And(parts) } else { ExprKind::Or(parts) }
            }
            _ => return expr.clone(),
        },
        _ => return expr.clone(),
    };
    Expr { kind, ty: expr.ty.clone(), span: expr.span.clone() }
}
