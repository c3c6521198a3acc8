//! Which parts of a condition can make it unknown through a runtime error.
//!
//! Asked of block rules, which would not block then. Sound: when nothing is reported, the condition is true or false
//! wherever its fields are known. It follows what must hold for the whole to be unknown: an operand of `&&` can make the
//! whole unknown only where no other operand is false, so whatever the others then say can be relied on; likewise `||`.

use std::ops::Range;

use outcall_schema::field::Field;

use super::typed::{ArithOp, CompareOp, Expr, ExprKind, Function, MacroKind, Type};

/// A part of a condition that can fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fallible {
    /// Where it stands.
    pub range: Range<usize>,
    /// When it fails, in words.
    pub why: String,
    /// The condition to put before it with `&&`; empty where no test makes it safe and it has to be written otherwise.
    pub guard: String,
}

/// The parts of `condition` that can make it unknown through a runtime error: a missing key, null, an index out of range,
/// overflow, division by zero, a value of another type out of `run.context`. Fields that a layer does not know are no
/// error.
pub fn fallible(condition: &Expr) -> Vec<Fallible> {
    let mut search = Search { found: Vec::new() };
    search.boolean(condition, &[]);
    search.found.sort_by_key(|fallible| (fallible.range.start, fallible.range.end));
    search.found.dedup();
    search.found
}

/// Something that is known to hold where a part is evaluated.
#[derive(Debug, Clone)]
enum Known {
    /// A map has a key.
    Key(Expr, Expr),
    /// A value is not null.
    NotNull(Expr),
    /// An integer lies in a range.
    Within(Expr, i128, i128),
    /// An integer is not this.
    Not(Expr, i128),
}

/// The most elements or code points a value can have: what fits a request many times over.
const LONGEST: i128 = 1 << 40;

struct Search {
    found: Vec<Fallible>,
}

impl Search {
    fn report(&mut self, expr: &Expr, why: &str, guard: String) {
        let fallible = Fallible { range: expr.span.clone(), why: why.to_owned(), guard };
        if !self.found.contains(&fallible) {
            self.found.push(fallible);
        }
    }

    fn all(&mut self, parts: &[Expr], known: &[Known]) {
        for part in parts {
            self.expr(part, known);
        }
    }

    fn expr(&mut self, expr: &Expr, known: &[Known]) {
        match &expr.kind {
            ExprKind::Null
            | ExprKind::Bool(_)
            | ExprKind::Int(_)
            | ExprKind::Str(_)
            | ExprKind::Field(_)
            | ExprKind::Bound(_)
            | ExprKind::Free(_) => {}
            ExprKind::List(items) => self.all(items, known),
            ExprKind::Map(entries) => self.map(expr, entries, known),
            ExprKind::Index(of, key) => {
                self.expr(of, known);
                self.expr(key, known);
                self.index(expr, of, key, known);
            }
            ExprKind::Has(of, _) => {
                self.expr(of, known);
                if of.ty == Type::Dyn {
                    self.report(expr, "the value may be no map", String::new());
                }
            }
            ExprKind::Not(operand) => self.boolean(operand, known),
            ExprKind::Negate(operand) => {
                self.expr(operand, known);
                self.int(operand);
                self.range(expr, known);
            }
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                let and = matches!(expr.kind, ExprKind::And(_));
                let says: Vec<Vec<Known>> =
                    operands.iter().map(|operand| if and { not_false(operand) } else { not_true(operand) }).collect();
                for (at, operand) in operands.iter().enumerate() {
                    let mut known = known.to_vec();
                    for (other, says) in says.iter().enumerate() {
                        if other != at {
                            known.extend(says.iter().cloned());
                        }
                    }
                    self.boolean(operand, &known);
                }
            }
            ExprKind::Conditional(condition, then, otherwise) => {
                self.boolean(condition, known);
                self.expr(then, &with(known, not_false(condition)));
                self.expr(otherwise, &with(known, not_true(condition)));
            }
            ExprKind::Compare(op, left, right) => {
                self.expr(left, known);
                self.expr(right, known);
                if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
                    for side in [left, right] {
                        self.not_null(side, known);
                        self.same_type(side);
                    }
                }
            }
            ExprKind::Arith(op, left, right) => {
                self.expr(left, known);
                self.expr(right, known);
                self.arithmetic(*op, expr, left, right, known);
            }
            ExprKind::In(element, container) => {
                self.expr(element, known);
                self.expr(container, known);
                if container.ty == Type::Dyn {
                    self.report(container, "the value may be no list or map", String::new());
                }
            }
            ExprKind::Call(_, arguments) => {
                self.all(arguments, known);
                for argument in arguments {
                    self.not_null(argument, known);
                    self.same_type(argument);
                }
            }
            ExprKind::Macro { kind, range, filter, body } => {
                self.expr(range, known);
                if range.ty == Type::Dyn {
                    self.report(range, "the value may be no list or map", String::new());
                }
                let mut inside: Vec<Known> = known.iter().map(shift_known).collect();
                if matches!(range.ty, Type::Map(..)) {
                    let element = Expr { kind: ExprKind::Bound(0), ty: Type::Dyn, span: 0..0 };
                    inside.push(Known::Key(shift(range, 0), element));
                }
                if let Some(filter) = filter {
                    self.boolean(filter, &inside);
                    inside.extend(not_false(filter));
                }
                if *kind == MacroKind::Map { self.expr(body, &inside) } else { self.boolean(body, &inside) }
            }
        }
    }

    /// A part that has to be a boolean.
    fn boolean(&mut self, expr: &Expr, known: &[Known]) {
        self.expr(expr, known);
        if expr.ty == Type::Dyn {
            self.report(expr, "the value may be no bool; write `== true`", String::new());
        }
    }

    /// A part that has to be an integer.
    fn int(&mut self, expr: &Expr) {
        if expr.ty == Type::Dyn {
            self.same_type(expr);
        }
    }

    fn same_type(&mut self, expr: &Expr) {
        if expr.ty == Type::Dyn {
            self.report(expr, "the value may be of another type; `==` and `in` never fail", String::new());
        }
    }

    fn not_null(&mut self, expr: &Expr, known: &[Known]) {
        let sure = known.iter().any(|known| matches!(known, Known::NotNull(other) if same(other, expr)));
        if expr.ty == Type::NullableString && !sure {
            let guard = print(expr).map(|shown| format!("{shown} != null")).unwrap_or_default();
            let why = match expr.kind {
                ExprKind::Field(Field::HttpBody) => "the body is null when it is over the cap",
                _ => "the value may be null",
            };
            self.report(expr, why, guard);
        }
    }

    fn map(&mut self, expr: &Expr, entries: &[(Expr, Expr)], known: &[Known]) {
        for (key, value) in entries {
            self.expr(key, known);
            self.expr(value, known);
        }
        let literal = |key: &Expr| matches!(key.kind, ExprKind::Str(_) | ExprKind::Int(_) | ExprKind::Bool(_));
        let computed = entries.iter().any(|(key, _)| !literal(key));
        let repeated = entries
            .iter()
            .enumerate()
            .any(|(at, (key, _))| entries.iter().skip(at + 1).any(|(other, _)| same(key, other)));
        if repeated || (computed && (entries.len() > 1 || entries.iter().any(|(key, _)| key.ty == Type::Dyn))) {
            self.report(expr, "two keys may be the same, or one no key", String::new());
        }
    }

    fn index(&mut self, expr: &Expr, of: &Expr, key: &Expr, known: &[Known]) {
        match (&of.ty, &of.kind) {
            (Type::List(_), kind) => {
                let size = match kind {
                    ExprKind::List(items) => items.len() as i128,
                    _ => interval(&size_of(of), known).0,
                };
                let (low, high) = interval(key, known);
                if key.ty == Type::Dyn || low < 0 || high >= size {
                    let guard = match (&key.kind, print(of)) {
                        (ExprKind::Int(number), Some(shown)) if *number >= 0 => format!("size({shown}) > {number}"),
                        _ => String::new(),
                    };
                    let why = match &key.kind {
                        ExprKind::Int(number) => format!("the list may have no element {number}"),
                        _ => "the index may be out of range".to_owned(),
                    };
                    self.report(expr, &why, guard);
                }
            }
            (Type::Map(..), kind) => {
                let sure = known
                    .iter()
                    .any(|known| matches!(known, Known::Key(map, name) if same(map, of) && same(name, key)));
                let written = match kind {
                    ExprKind::Map(entries) => entries.iter().any(|(name, _)| same(name, key)),
                    _ => false,
                };
                if !sure && !written {
                    self.report(expr, &missing(of, key), key_guard(of, key));
                }
            }
            _ => self.report(expr, &missing(of, key), key_guard(of, key)),
        }
    }

    fn range(&mut self, expr: &Expr, known: &[Known]) {
        let (low, high) = interval_raw(expr, known);
        if low < i128::from(i64::MIN) || high > i128::from(i64::MAX) {
            self.report(expr, "the result may not fit 64 bits", String::new());
        }
    }

    fn arithmetic(&mut self, op: ArithOp, expr: &Expr, left: &Expr, right: &Expr, known: &[Known]) {
        if op == ArithOp::Add && left.ty != Type::Int && right.ty != Type::Int {
            for side in [left, right] {
                self.not_null(side, known);
                self.same_type(side);
            }
            return;
        }
        self.int(left);
        self.int(right);
        if matches!(op, ArithOp::Div | ArithOp::Rem) {
            let (low, high) = interval(right, known);
            if low <= 0 && high >= 0 && !excludes_zero(right, known) {
                let guard = print(right).map(|shown| format!("{shown} != 0")).unwrap_or_default();
                self.report(expr, "the divisor may be zero", guard);
            }
            let lowest = interval(left, known).0 == i128::from(i64::MIN);
            if lowest && low <= -1 && high >= -1 {
                self.report(expr, "the result may not fit 64 bits", String::new());
            }
            return;
        }
        self.range(expr, known);
    }
}

fn with(known: &[Known], more: Vec<Known>) -> Vec<Known> {
    let mut all = known.to_vec();
    all.extend(more);
    all
}

/// What holds wherever a boolean is not false, that is true or unknown.
fn not_false(expr: &Expr) -> Vec<Known> {
    says(expr, true)
}

/// What holds wherever a boolean is not true.
fn not_true(expr: &Expr) -> Vec<Known> {
    says(expr, false)
}

/// What can be relied on where `expr` is true or unknown (`holds`), or else where it is false or unknown. Only tests that
/// cannot be unknown themselves say something: one that is neither true nor false proves nothing.
fn says(expr: &Expr, holds: bool) -> Vec<Known> {
    match &expr.kind {
        ExprKind::Not(operand) => says(operand, !holds),
        ExprKind::And(operands) | ExprKind::Or(operands) => {
            let joined = matches!(expr.kind, ExprKind::And(_)) == holds;
            let mut parts = operands.iter().map(|operand| says(operand, holds));
            if joined {
                return parts.flatten().collect();
            }
            // Only one of them need hold: what all of them say.
            let first = parts.next().unwrap_or_default();
            parts.fold(first, |common, part| {
                common.into_iter().filter(|known| part.iter().any(|other| same_known(known, other))).collect()
            })
        }
        ExprKind::Has(of, name) if holds && certain(of) => {
            let key = Expr { kind: ExprKind::Str(name.clone()), ty: Type::String, span: expr.span.clone() };
            vec![Known::Key((**of).clone(), key)]
        }
        ExprKind::In(element, container) if holds && certain(element) && certain(container) => match &container.ty {
            Type::Map(..) => vec![Known::Key((**container).clone(), (**element).clone())],
            Type::List(_) => vec![Known::Within(size_of(container), 1, LONGEST)],
            _ => Vec::new(),
        },
        ExprKind::Compare(op, left, right) if certain(left) && certain(right) => {
            let mut known = compared(*op, left, right, holds);
            known.extend(compared(op.flipped(), right, left, holds));
            known
        }
        _ => Vec::new(),
    }
}

/// What a comparison of two certain values says of the left one.
fn compared(op: CompareOp, value: &Expr, with: &Expr, holds: bool) -> Vec<Known> {
    let op = match (op, holds) {
        (op, true) => op,
        (CompareOp::Eq, false) => CompareOp::Ne,
        (CompareOp::Ne, false) => CompareOp::Eq,
        (CompareOp::Lt, false) => CompareOp::Ge,
        (CompareOp::Le, false) => CompareOp::Gt,
        (CompareOp::Gt, false) => CompareOp::Le,
        (CompareOp::Ge, false) => CompareOp::Lt,
    };
    match (&value.ty, op, &with.kind) {
        (Type::NullableString, CompareOp::Ne, ExprKind::Null) => vec![Known::NotNull(value.clone())],
        (Type::NullableString, CompareOp::Eq, _) if with.ty == Type::String => vec![Known::NotNull(value.clone())],
        (Type::List(_), CompareOp::Ne, ExprKind::List(items)) if items.is_empty() => {
            vec![Known::Within(size_of(value), 1, LONGEST)]
        }
        (Type::List(_), CompareOp::Eq, ExprKind::List(items)) => {
            let size = items.len() as i128;
            vec![Known::Within(size_of(value), size, size)]
        }
        (Type::Int, _, ExprKind::Int(number)) => {
            let number = i128::from(*number);
            let (low, high) = (i128::from(i64::MIN), i128::from(i64::MAX));
            vec![match op {
                CompareOp::Eq => Known::Within(value.clone(), number, number),
                CompareOp::Ne => Known::Not(value.clone(), number),
                CompareOp::Lt => Known::Within(value.clone(), low, number - 1),
                CompareOp::Le => Known::Within(value.clone(), low, number),
                CompareOp::Gt => Known::Within(value.clone(), number + 1, high),
                CompareOp::Ge => Known::Within(value.clone(), number, high),
            }]
        }
        _ => Vec::new(),
    }
}

/// Whether a value can have no runtime error, whatever is known, so that a test on it that is neither true nor false is
/// one on a field that the layer does not know.
fn certain(expr: &Expr) -> bool {
    let mut search = Search { found: Vec::new() };
    search.expr(expr, &[]);
    search.found.is_empty() && !matches!(expr.ty, Type::Dyn)
}

fn size_of(expr: &Expr) -> Expr {
    let kind = ExprKind::Call(Function::Size, vec![expr.clone()]);
    Expr { kind, ty: Type::Int, span: expr.span.clone() }
}

fn excludes_zero(expr: &Expr, known: &[Known]) -> bool {
    known.iter().any(|known| matches!(known, Known::Not(other, 0) if same(other, expr)))
}

/// The range of an integer, within 64 bits.
fn interval(expr: &Expr, known: &[Known]) -> (i128, i128) {
    let (low, high) = interval_raw(expr, known);
    (low.max(i128::from(i64::MIN)), high.min(i128::from(i64::MAX)))
}

/// The range that an integer would have if integers had no limits, its operands being within theirs.
fn interval_raw(expr: &Expr, known: &[Known]) -> (i128, i128) {
    let all = (i128::from(i64::MIN), i128::from(i64::MAX));
    let (mut low, mut high) = match &expr.kind {
        ExprKind::Int(number) => (i128::from(*number), i128::from(*number)),
        ExprKind::Call(Function::Size, arguments) => match arguments.first().map(|argument| &argument.kind) {
            Some(ExprKind::List(items)) => (items.len() as i128, items.len() as i128),
            _ => (0, LONGEST),
        },
        ExprKind::Negate(operand) => {
            let (low, high) = interval(operand, known);
            (-high, -low)
        }
        ExprKind::Arith(op, left, right) => {
            let ((a, b), (c, d)) = (interval(left, known), interval(right, known));
            match op {
                ArithOp::Add => (a + c, b + d),
                ArithOp::Sub => (a - d, b - c),
                ArithOp::Mul => {
                    let corners = [a * c, a * d, b * c, b * d];
                    (corners.into_iter().fold(i128::MAX, i128::min), corners.into_iter().fold(i128::MIN, i128::max))
                }
                ArithOp::Div | ArithOp::Rem => {
                    let widest = a.abs().max(b.abs());
                    (-widest, widest)
                }
            }
        }
        ExprKind::Conditional(_, then, otherwise) => {
            let ((a, b), (c, d)) = (interval(then, known), interval(otherwise, known));
            (a.min(c), b.max(d))
        }
        _ => all,
    };
    for known in known {
        if let Known::Within(other, from, to) = known
            && same(other, expr)
        {
            low = low.max(*from);
            high = high.min(*to);
        }
    }
    for known in known {
        if let Known::Not(other, number) = known
            && same(other, expr)
        {
            low += i128::from(low == *number);
            high -= i128::from(high == *number);
        }
    }
    (low, high)
}

/// Whether two expressions are the same, wherever they stand.
fn same(left: &Expr, right: &Expr) -> bool {
    let each = |left: &[Expr], right: &[Expr]| {
        left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
    };
    match (&left.kind, &right.kind) {
        (ExprKind::List(left), ExprKind::List(right))
        | (ExprKind::And(left), ExprKind::And(right))
        | (ExprKind::Or(left), ExprKind::Or(right)) => each(left, right),
        (ExprKind::Index(left, key), ExprKind::Index(right, other))
        | (ExprKind::In(left, key), ExprKind::In(right, other)) => same(left, right) && same(key, other),
        (ExprKind::Has(left, name), ExprKind::Has(right, other)) => name == other && same(left, right),
        (ExprKind::Not(left), ExprKind::Not(right)) | (ExprKind::Negate(left), ExprKind::Negate(right)) => {
            same(left, right)
        }
        (ExprKind::Compare(op, a, b), ExprKind::Compare(other, c, d)) => op == other && same(a, c) && same(b, d),
        (ExprKind::Arith(op, a, b), ExprKind::Arith(other, c, d)) => op == other && same(a, c) && same(b, d),
        (ExprKind::Call(function, left), ExprKind::Call(other, right)) => function == other && each(left, right),
        (ExprKind::Map(_) | ExprKind::Macro { .. } | ExprKind::Conditional(..), _) => false,
        (left, right) => left == right,
    }
}

fn same_known(left: &Known, right: &Known) -> bool {
    match (left, right) {
        (Known::Key(a, b), Known::Key(c, d)) => same(a, c) && same(b, d),
        (Known::NotNull(a), Known::NotNull(b)) => same(a, b),
        (Known::Within(a, low, high), Known::Within(b, from, to)) => same(a, b) && low == from && high == to,
        (Known::Not(a, left), Known::Not(b, right)) => same(a, b) && left == right,
        _ => false,
    }
}

/// The expression as it reads inside one more macro; `depth` binders within it are its own.
fn shift(expr: &Expr, depth: u32) -> Expr {
    let one = |expr: &Expr| Box::new(shift(expr, depth));
    let each = |items: &[Expr]| items.iter().map(|item| shift(item, depth)).collect();
    let kind = match &expr.kind {
        ExprKind::Bound(index) if *index >= depth => ExprKind::Bound(index + 1),
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Field(_)
        | ExprKind::Bound(_)
        | ExprKind::Free(_) => expr.kind.clone(),
        ExprKind::List(items) => ExprKind::List(each(items)),
        ExprKind::Map(entries) => {
            ExprKind::Map(entries.iter().map(|(key, value)| (shift(key, depth), shift(value, depth))).collect())
        }
        ExprKind::Index(of, key) => ExprKind::Index(one(of), one(key)),
        ExprKind::Has(of, name) => ExprKind::Has(one(of), name.clone()),
        ExprKind::Not(operand) => ExprKind::Not(one(operand)),
        ExprKind::Negate(operand) => ExprKind::Negate(one(operand)),
        ExprKind::And(operands) => ExprKind::And(each(operands)),
        ExprKind::Or(operands) => ExprKind::Or(each(operands)),
        ExprKind::Conditional(a, b, c) => ExprKind::Conditional(one(a), one(b), one(c)),
        ExprKind::Compare(op, a, b) => ExprKind::Compare(*op, one(a), one(b)),
        ExprKind::Arith(op, a, b) => ExprKind::Arith(*op, one(a), one(b)),
        ExprKind::In(a, b) => ExprKind::In(one(a), one(b)),
        ExprKind::Call(function, arguments) => ExprKind::Call(*function, each(arguments)),
        ExprKind::Macro { kind, range, filter, body } => ExprKind::Macro {
            kind: *kind,
            range: one(range),
            filter: filter.as_deref().map(|filter| Box::new(shift(filter, depth + 1))),
            body: Box::new(shift(body, depth + 1)),
        },
    };
    Expr { kind, ty: expr.ty.clone(), span: expr.span.clone() }
}

fn shift_known(known: &Known) -> Known {
    match known {
        Known::Key(map, key) => Known::Key(shift(map, 0), shift(key, 0)),
        Known::NotNull(value) => Known::NotNull(shift(value, 0)),
        Known::Within(value, low, high) => Known::Within(shift(value, 0), *low, *high),
        Known::Not(value, number) => Known::Not(shift(value, 0), *number),
    }
}

fn missing(of: &Expr, key: &Expr) -> String {
    match (print(of), &key.kind) {
        (Some(map), ExprKind::Str(name)) => format!("`{map}` may have no entry {}", crate::diag::quoted(name)),
        _ => "the key may be missing".to_owned(),
    }
}

fn key_guard(of: &Expr, key: &Expr) -> String {
    let plain = |name: &str| {
        name.bytes().next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match (print(of), &key.kind, print(key)) {
        (Some(map), ExprKind::Str(name), _) if plain(name) => format!("has({map}.{name})"),
        (Some(map), _, Some(key)) if matches!(of.ty, Type::Map(..)) => format!("{key} in {map}"),
        _ => String::new(),
    }
}

/// An expression in CEL, where it is short enough to be shown.
fn print(expr: &Expr) -> Option<String> {
    Some(match &expr.kind {
        ExprKind::Field(field) => field.name().to_owned(),
        ExprKind::Int(number) => number.to_string(),
        ExprKind::Str(text) if !text.contains(['"', '\\', '\n', '\r']) => format!("\"{text}\""),
        ExprKind::Index(of, key) => format!("{}[{}]", print(of)?, print(key)?),
        ExprKind::Call(Function::Size, arguments) => format!("size({})", print(arguments.first()?)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cel::{Env, parse_and_check};

    fn found(condition: &str) -> Vec<(String, String)> {
        let expr = parse_and_check(condition, &Env::rule()).unwrap_or_else(|errors| panic!("{condition}: {errors:?}"));
        fallible(&expr).into_iter().map(|part| (condition[part.range].to_owned(), part.guard)).collect()
    }

    #[test]
    fn natural_guards_are_seen() {
        for condition in [
            "has(http.headers.x) && http.headers.x == \"1\"",
            "http.headers.x == \"1\" && has(http.headers.x)",
            "\"x-y\" in http.headers && http.headers[\"x-y\"].startsWith(\"a\")",
            "!has(http.headers.x) || http.headers.x == \"1\"",
            "!(\"x\" in http.headers && http.headers.x == \"1\")",
            "has(http.headers.x) ? http.headers.x == \"1\" : true",
            "http.body != null && http.body.contains(\"x\")",
            "http.body == null || size(http.body) > 3",
            "http.body == \"x\"",
            "size(run.args) > 1 && run.args[1] == \"push\"",
            "2 <= run.args.size() && run.args[1] == \"push\"",
            "run.args != [] && run.args[0] == \"push\"",
            "http.headers.exists(name, name.startsWith(\"x-\") && http.headers[name] == \"1\")",
            "network.port > 0 && 1000 / network.port == 2",
            "network.port != 0 && 1000 / network.port == 2",
            "size(http.path) + 1 > 3",
            "http.body_size < 100 && http.body_size + 1 > 3",
            "network.port % 2 == 0",
            "run.context == {} || (\"n\" in run.context && run.context.n == 1)",
            "run.context.exists(key, run.context[key] == 1)",
        ] {
            assert_eq!(found(condition), [], "{condition}");
        }
    }

    #[test]
    fn what_can_fail_is_found_with_its_guard() {
        for (condition, part, guard) in [
            ("http.headers.x == \"1\"", "http.headers.x", "has(http.headers.x)"),
            ("http.headers[\"x-y\"] == \"1\"", "http.headers[\"x-y\"]", "\"x-y\" in http.headers"),
            ("has(http.headers.x) || http.headers.x == \"1\"", "http.headers.x", "has(http.headers.x)"),
            ("has(http.headers.y) && http.headers.x == \"1\"", "http.headers.x", "has(http.headers.x)"),
            ("http.body.contains(\"x\")", "http.body", "http.body != null"),
            ("http.body < \"x\"", "http.body", "http.body != null"),
            ("run.args[1] == \"push\"", "run.args[1]", "size(run.args) > 1"),
            ("size(run.args) > 0 && run.args[1] == \"push\"", "run.args[1]", "size(run.args) > 1"),
            ("1000 / network.port == 2", "1000 / network.port", "network.port != 0"),
            ("http.body_size + 1 > 3", "http.body_size + 1", ""),
            ("has(run.context.x) && !run.context.x", "run.context.x", ""),
            ("has(run.context.x) ? run.context.x : false", "has(run.context.x) ? run.context.x : false", ""),
            ("has(run.context.x) && (run.context.x ? true : false)", "run.context.x", ""),
            ("has(run.context.x) && run.context.x > 3", "run.context.x", ""),
        ] {
            assert!(
                found(condition).contains(&(part.to_owned(), guard.to_owned())),
                "{condition}: {:?}",
                found(condition)
            );
        }
    }
}
