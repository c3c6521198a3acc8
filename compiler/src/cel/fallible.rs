//! Which parts of a condition can be an error at run time, so that the whole would be unknown.
//!
//! A block rule that is unknown does not block, so this must never miss one. Errors are absorbed as CEL absorbs them: a
//! part of `&&` matters only while no other part is false, a part of `||` only while no other part is true.

use std::ops::Range;

use outcall_schema::field::Field;

use super::typed::{ArithOp, CompareOp, Expr, ExprKind, Function, MacroKind, Type};

/// A part of a condition that can be an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallible {
    /// Where, in bytes of the condition.
    pub range: Range<usize>,
    /// Why, in words.
    pub why: String,
    /// A guard that makes it safe, to be joined with `&&`.
    pub guard: String,
}

/// What is known to hold where a part is evaluated.
#[derive(Debug, Clone, PartialEq)]
enum Known {
    /// The map has the entry.
    Entry(ExprKind, String),
    /// The value is not null.
    NotNull(ExprKind),
    /// The list has at least so many elements.
    Longer(ExprKind, i64),
}

/// The parts of `condition` that can be errors and are not guarded, in the order of the text.
pub fn fallible(condition: &Expr) -> Vec<Fallible> {
    let mut found = Vec::new();
    look(condition, &[], &mut found);
    found.sort_by_key(|fallible| (fallible.range.start, fallible.range.end));
    found.dedup();
    found
}

fn infallible(expr: &Expr, known: &[Known]) -> bool {
    let mut found = Vec::new();
    look(expr, known, &mut found);
    found.is_empty()
}

/// An expression without its positions, for comparing.
fn bare(expr: &Expr) -> Option<ExprKind> {
    match &expr.kind {
        ExprKind::Field(field) => Some(ExprKind::Field(*field)),
        _ => None,
    }
}

/// What follows from `expr` being `truth`. Only from parts that cannot be errors themselves: two parts that fail together
/// do not guard each other.
fn follows(expr: &Expr, truth: bool, known: &[Known], facts: &mut Vec<Known>) {
    match (&expr.kind, truth) {
        (ExprKind::Has(map, key), true) => {
            facts.extend(bare(map).map(|map| Known::Entry(map, key.clone())));
        }
        (ExprKind::In(key, map), true) => {
            if let (ExprKind::Str(key), Type::Map(..)) = (&key.kind, &map.ty) {
                facts.extend(bare(map).map(|map| Known::Entry(map, key.clone())));
            }
        }
        (ExprKind::Compare(op @ (CompareOp::Eq | CompareOp::Ne), left, right), _)
            if (*op == CompareOp::Ne) == truth =>
        {
            let value = match (&left.kind, &right.kind) {
                (ExprKind::Null, _) => bare(right),
                (_, ExprKind::Null) => bare(left),
                _ => None,
            };
            facts.extend(value.map(Known::NotNull));
        }
        (ExprKind::Compare(op, left, right), _) => facts.extend(length(*op, left, right, truth)),
        (ExprKind::Not(operand), _) => follows(operand, !truth, known, facts),
        (ExprKind::And(operands), true) | (ExprKind::Or(operands), false) => {
            for operand in operands.iter().filter(|operand| infallible(operand, known)) {
                follows(operand, truth, known, facts);
            }
        }
        _ => {}
    }
}

/// A lower bound of a list's length: `size(list) > 2`, `3 <= list.size()`, `size(list) == 3`.
fn length(op: CompareOp, left: &Expr, right: &Expr, truth: bool) -> Option<Known> {
    let (call, number, op) = match (&left.kind, &right.kind) {
        (ExprKind::Call(Function::Size, arguments), ExprKind::Int(number)) => (arguments, *number, op),
        (ExprKind::Int(number), ExprKind::Call(Function::Size, arguments)) => {
            let flipped = match op {
                CompareOp::Lt => CompareOp::Gt,
                CompareOp::Le => CompareOp::Ge,
                CompareOp::Gt => CompareOp::Lt,
                CompareOp::Ge => CompareOp::Le,
                CompareOp::Eq | CompareOp::Ne => op,
            };
            (arguments, *number, flipped)
        }
        _ => return None,
    };
    let least = match (op, truth) {
        (CompareOp::Gt, true) | (CompareOp::Le, false) => number.checked_add(1)?,
        (CompareOp::Ge, true) | (CompareOp::Lt, false) | (CompareOp::Eq, true) => number,
        (CompareOp::Ne, false) => number,
        _ => return None,
    };
    bare(call.first()?).map(|list| Known::Longer(list, least))
}

fn with(known: &[Known], facts: Vec<Known>) -> Vec<Known> {
    known.iter().cloned().chain(facts).collect()
}

fn report(expr: &Expr, why: impl Into<String>, guard: impl Into<String>, found: &mut Vec<Fallible>) {
    found.push(Fallible { range: expr.span.clone(), why: why.into(), guard: guard.into() });
}

fn look(expr: &Expr, known: &[Known], found: &mut Vec<Fallible>) {
    match &expr.kind {
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Field(_)
        | ExprKind::Bound(_) => {}
        ExprKind::Free(name) => report(expr, format!("`{name}` may have no value"), "", found),
        ExprKind::List(items) => items.iter().for_each(|item| look(item, known, found)),
        ExprKind::Map(entries) => {
            entries.iter().for_each(|(key, value)| {
                look(key, known, found);
                look(value, known, found);
            });
            let plain = |key: &Expr| matches!(key.kind, ExprKind::Str(_) | ExprKind::Int(_) | ExprKind::Bool(_));
            let repeated = entries
                .iter()
                .enumerate()
                .any(|(at, (key, _))| !plain(key) || entries.iter().take(at).any(|(other, _)| other.kind == key.kind));
            if repeated {
                report(expr, "a map's key may be there twice", "", found);
            }
        }
        ExprKind::Index(container, key) => {
            look(container, known, found);
            look(key, known, found);
            index(expr, container, key, known, found);
        }
        ExprKind::Has(container, _) => {
            look(container, known, found);
            if container.ty == Type::Dyn {
                report(expr, "the value may not be a map", "", found);
            }
        }
        ExprKind::Not(operand) => look(operand, known, found),
        ExprKind::Negate(operand) => {
            look(operand, known, found);
            report(expr, "the negation may overflow", "", found);
        }
        ExprKind::And(operands) | ExprKind::Or(operands) => {
            let truth = matches!(expr.kind, ExprKind::And(_));
            for (at, operand) in operands.iter().enumerate() {
                let mut facts = Vec::new();
                for (_, other) in operands.iter().enumerate().filter(|(other, _)| *other != at) {
                    if infallible(other, known) {
                        follows(other, truth, known, &mut facts);
                    }
                }
                look(operand, &with(known, facts), found);
                if operand.ty == Type::Dyn {
                    report(operand, "the value may be neither true nor false", "", found);
                }
            }
        }
        ExprKind::Conditional(condition, then, otherwise) => {
            look(condition, known, found);
            for (branch, truth) in [(then, true), (otherwise, false)] {
                let mut facts = Vec::new();
                follows(condition, truth, known, &mut facts);
                look(branch, &with(known, facts), found);
            }
        }
        ExprKind::Compare(op, left, right) => {
            look(left, known, found);
            look(right, known, found);
            if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
                [left, right].into_iter().for_each(|side| not_null(side, known, found));
            }
        }
        ExprKind::Arith(op, left, right) => {
            look(left, known, found);
            look(right, known, found);
            arithmetic(expr, *op, left, right, known, found);
        }
        ExprKind::In(element, container) => {
            look(element, known, found);
            look(container, known, found);
            if container.ty == Type::Dyn {
                report(container, "the value may be neither a list nor a map", "", found);
            }
        }
        ExprKind::Call(_, arguments) => {
            for argument in arguments {
                look(argument, known, found);
                not_null(argument, known, found);
            }
        }
        ExprKind::Macro { kind, range, filter, body } => {
            look(range, known, found);
            if range.ty == Type::Dyn {
                report(range, "the value may be neither a list nor a map", "", found);
            }
            let mut inside = known.to_vec();
            if let Some(filter) = filter {
                look(filter, known, found);
                if infallible(filter, known) {
                    follows(filter, true, known, &mut inside);
                }
            }
            look(body, &inside, found);
            let boolean = !matches!(kind, MacroKind::Map);
            if boolean && body.ty == Type::Dyn {
                report(body, "the value may be neither true nor false", "", found);
            }
        }
    }
}

fn index(expr: &Expr, container: &Expr, key: &Expr, known: &[Known], found: &mut Vec<Fallible>) {
    match (&container.ty, &key.kind, bare(container)) {
        (Type::Map(..), ExprKind::Str(name), Some(map)) => {
            if known.contains(&Known::Entry(map.clone(), name.clone())) {
                return;
            }
            let field = match map {
                ExprKind::Field(field) => field.name(),
                _ => "map",
            };
            let word = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let guard = if word { format!("has({field}.{name})") } else { format!("{name:?} in {field}") };
            report(expr, format!("`{field}` may have no entry `{name}`"), guard, found);
        }
        (Type::List(_), ExprKind::Int(at), _) => {
            let literal = match &container.kind {
                ExprKind::List(items) => usize::try_from(*at).is_ok_and(|at| at < items.len()),
                _ => false,
            };
            let long = bare(container).is_some_and(|list| {
                known.iter().any(|known| matches!(known, Known::Longer(other, least) if *other == list && at < least))
            });
            if !(literal || (long && *at >= 0)) {
                let list = match bare(container) {
                    Some(ExprKind::Field(field)) => field.name(),
                    _ => "list",
                };
                report(expr, format!("the list may have no element {at}"), format!("size({list}) > {at}"), found);
            }
        }
        _ => report(expr, "there may be no such element", "", found),
    }
}

/// Functions and orders have no value for null, and none for anything of another type.
fn not_null(expr: &Expr, known: &[Known], found: &mut Vec<Fallible>) {
    match expr.ty {
        Type::NullableString | Type::Null => {
            let guarded = bare(expr).is_some_and(|value| known.contains(&Known::NotNull(value)));
            if !guarded {
                let guard = match &expr.kind {
                    ExprKind::Field(field) => format!("{} != null", field.name()),
                    _ => String::new(),
                };
                let why = match &expr.kind {
                    ExprKind::Field(Field::HttpBody) => "the body is null when it is over the cap",
                    _ => "the value may be null",
                };
                report(expr, why, guard, found);
            }
        }
        Type::Dyn => {
            report(expr, "the value may be of another type", "", found);
        }
        _ => {}
    }
}

fn arithmetic(expr: &Expr, op: ArithOp, left: &Expr, right: &Expr, known: &[Known], found: &mut Vec<Fallible>) {
    match (&left.ty, &right.ty) {
        (Type::List(_), Type::List(_)) => {}
        (Type::Int, Type::Int) => {
            let divisor = match right.kind {
                ExprKind::Int(divisor) => Some(divisor),
                _ => None,
            };
            match (op, divisor) {
                (ArithOp::Div | ArithOp::Rem, Some(divisor)) if divisor != 0 && divisor != -1 => {}
                (ArithOp::Div | ArithOp::Rem, _) => report(expr, "the divisor may be zero", "", found),
                _ => report(expr, "the result may overflow", "", found),
            }
        }
        _ => {
            not_null(left, known, found);
            not_null(right, known, found);
        }
    }
}
