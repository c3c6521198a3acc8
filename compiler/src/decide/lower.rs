//! A typed condition as a formula, seen from one layer.
//!
//! What the layer never knows is unknown, so no test on it comes out either way; what it always knows is filled in; a body
//! that the rule may not read is null. Constant parts are folded with the evaluator that the runtime uses.

use std::net::IpAddr;
use std::rc::Rc;

use outcall_schema::artifact::expr::{self, Value, canonical_address};
use outcall_schema::artifact::writer::{Source, Writer};
use outcall_schema::facts::Facts;
use outcall_schema::field::{Field, FieldType, Knowledge};
use outcall_schema::layer::Layer;

use super::formula::{Formula, Formulas, Test, is_host};
use super::range;
use crate::cel::typed::{CompareOp, Expr, ExprKind, Function, MacroKind, Type};
use crate::emit::expr::write_expr;

/// From where a condition is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// The layer.
    pub layer: Layer,
    /// Whether `http.body` is null whatever the request: so in allow rules without `match_body`.
    pub null_body: bool,
}

/// The formula that `condition` is true.
pub fn lower(formulas: &mut Formulas, condition: &Expr, view: View) -> Formula {
    let condition = fill_in(condition, view);
    Lowering { formulas, view }.truth(&condition, true)
}

/// The formula that a host lies under a pattern of a host list.
pub fn host_pattern(formulas: &mut Formulas, pattern: &str, wanted: bool) -> Formula {
    let source = Source { field: Field::HttpHost, key: None };
    formulas.literal(source, pattern_test(pattern), wanted)
}

fn pattern_test(pattern: &str) -> Test {
    if let Some(suffix) = pattern.strip_prefix("**.") {
        Test::Under { suffix: suffix.to_owned(), several: true }
    } else if let Some(suffix) = pattern.strip_prefix("*.") {
        Test::Under { suffix: suffix.to_owned(), several: false }
    } else {
        Test::Equals([pattern.to_owned()].into())
    }
}

/// Puts constants where the view fixes a field.
pub fn fill_in(expr: &Expr, view: View) -> Expr {
    map(expr, &mut |expr| match &expr.kind {
        ExprKind::Field(Field::HttpBody) if view.null_body && knows(Field::HttpBody, view.layer) => {
            Some(Expr { kind: ExprKind::Null, ty: Type::Null, span: expr.span.clone() })
        }
        ExprKind::Field(field) => match field.knowledge(view.layer) {
            Some(Knowledge::Always(text)) => {
                Some(Expr { kind: ExprKind::Str(text.to_owned()), ty: Type::String, span: expr.span.clone() })
            }
            _ => None,
        },
        _ => None,
    })
}

fn knows(field: Field, layer: Layer) -> bool {
    field.knowledge(layer).is_some()
}

/// Rebuilds an expression with some parts replaced.
fn map(expr: &Expr, replace: &mut dyn FnMut(&Expr) -> Option<Expr>) -> Expr {
    if let Some(replacement) = replace(expr) {
        return replacement;
    }
    let mut one = |expr: &Expr| Box::new(map(expr, replace));
    let kind = match &expr.kind {
        ExprKind::Null
        | ExprKind::Bool(_)
        | ExprKind::Int(_)
        | ExprKind::Str(_)
        | ExprKind::Field(_)
        | ExprKind::Bound(_)
        | ExprKind::Free(_) => expr.kind.clone(),
        ExprKind::List(items) => ExprKind::List(items.iter().map(|item| map(item, replace)).collect()),
        ExprKind::Map(entries) => {
            ExprKind::Map(entries.iter().map(|(key, value)| (map(key, replace), map(value, replace))).collect())
        }
        ExprKind::Index(container, key) => ExprKind::Index(one(container), one(key)),
        ExprKind::Has(container, key) => ExprKind::Has(one(container), key.clone()),
        ExprKind::Not(operand) => ExprKind::Not(one(operand)),
        ExprKind::Negate(operand) => ExprKind::Negate(one(operand)),
        ExprKind::And(operands) => ExprKind::And(operands.iter().map(|operand| map(operand, replace)).collect()),
        ExprKind::Or(operands) => ExprKind::Or(operands.iter().map(|operand| map(operand, replace)).collect()),
        ExprKind::Conditional(condition, then, otherwise) => {
            ExprKind::Conditional(one(condition), one(then), one(otherwise))
        }
        ExprKind::Compare(op, left, right) => ExprKind::Compare(*op, one(left), one(right)),
        ExprKind::Arith(op, left, right) => ExprKind::Arith(*op, one(left), one(right)),
        ExprKind::In(element, container) => ExprKind::In(one(element), one(container)),
        ExprKind::Call(function, arguments) => {
            ExprKind::Call(*function, arguments.iter().map(|argument| map(argument, replace)).collect())
        }
        ExprKind::Macro { kind, range, filter, body } => {
            ExprKind::Macro { kind: *kind, range: one(range), filter: filter.as_deref().map(&mut one), body: one(body) }
        }
    };
    Expr { kind, ty: expr.ty.clone(), span: expr.span.clone() }
}

/// The body of a macro with a constant in place of the variable at `depth`.
pub(crate) fn bind(body: &Expr, depth: u32, value: &Expr) -> Expr {
    match &body.kind {
        ExprKind::Bound(index) if *index == depth => value.clone(),
        ExprKind::Bound(index) if *index > depth => Expr { kind: ExprKind::Bound(index - 1), ..body.clone() },
        ExprKind::Macro { kind, range, filter, body: inner } => Expr {
            kind: ExprKind::Macro {
                kind: *kind,
                range: Box::new(bind(range, depth, value)),
                filter: filter.as_deref().map(|filter| Box::new(bind(filter, depth + 1, value))),
                body: Box::new(bind(inner, depth + 1, value)),
            },
            ..body.clone()
        },
        _ => {
            // The closure sees every part, and stops `map` from descending where binders or variables are met.
            let mut first = true;
            map(body, &mut |part| {
                if std::mem::take(&mut first) {
                    return None;
                }
                match &part.kind {
                    ExprKind::Bound(_) | ExprKind::Macro { .. } => Some(bind(part, depth, value)),
                    _ => None,
                }
            })
        }
    }
}

/// Whether an expression reads a field.
pub fn reads_field(expr: &Expr, field: Field) -> bool {
    fields_of(expr).contains(&field)
}

/// The fields an expression reads, each once.
pub fn fields_of(expr: &Expr) -> Vec<Field> {
    let mut fields = Vec::new();
    reads(expr, &mut fields);
    fields.sort_unstable();
    fields.dedup();
    fields
}

/// What an expression reads.
fn reads(expr: &Expr, fields: &mut Vec<Field>) {
    map(expr, &mut |part| {
        if let ExprKind::Field(field) = &part.kind {
            fields.push(*field);
        }
        None
    });
}

fn is_constant(expr: &Expr) -> bool {
    let mut constant = true;
    map(expr, &mut |part| {
        constant &= !matches!(part.kind, ExprKind::Field(_) | ExprKind::Bound(_) | ExprKind::Free(_));
        None
    });
    constant
}

/// The value of an expression without fields; `None` for an error.
pub(crate) fn constant(expr: &Expr) -> Option<Option<serde_json::Value>> {
    match &expr.kind {
        ExprKind::Str(text) => return Some(Some(text.as_str().into())),
        ExprKind::Int(value) => return Some(Some((*value).into())),
        ExprKind::Bool(value) => return Some(Some((*value).into())),
        ExprKind::Null => return Some(Some(serde_json::Value::Null)),
        ExprKind::Field(_) | ExprKind::Bound(_) | ExprKind::Free(_) => return None,
        // Lists of literals are by far the most frequent, and as large as people make them.
        ExprKind::List(elements) if elements.iter().all(is_plain) => {
            return Some(elements.iter().map(|element| constant(element).flatten()).collect());
        }
        _ if !is_constant(expr) => return None,
        _ => {}
    }
    let mut writer = Writer::default();
    let root = write_expr(&mut writer, expr);
    Some(expr::evaluate(writer, root, &Facts::default(), |value| scalar(&value)).ok().flatten())
}

/// The JSON form of values that stand for themselves; lists of them too.
fn scalar(value: &Value<'_>) -> Option<serde_json::Value> {
    match value {
        Value::Map(_) | Value::Headers(_) | Value::Json(_) | Value::Number(_) => None,
        other => Some(expr::to_json(other)),
    }
}

fn constant_text(expr: &Expr) -> Option<String> {
    match constant(expr)?? {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    }
}

struct Lowering<'a> {
    formulas: &'a mut Formulas,
    view: View,
}

impl Lowering<'_> {
    /// The formula that `expr` comes out as `wanted`.
    fn truth(&mut self, expr: &Expr, wanted: bool) -> Formula {
        match &expr.kind {
            ExprKind::Bool(value) => constant_formula(*value == wanted),
            ExprKind::Not(operand) => self.truth(operand, !wanted),
            ExprKind::And(operands) => {
                let operands: Vec<Formula> = operands.iter().map(|operand| self.truth(operand, wanted)).collect();
                if wanted { self.formulas.and(operands) } else { self.formulas.or(operands) }
            }
            ExprKind::Or(operands) => {
                let operands: Vec<Formula> = operands.iter().map(|operand| self.truth(operand, wanted)).collect();
                if wanted { self.formulas.or(operands) } else { self.formulas.and(operands) }
            }
            ExprKind::Conditional(condition, then, otherwise) => {
                let branches = [(true, then), (false, otherwise)].map(|(taken, branch)| {
                    let parts = [self.truth(condition, taken), self.truth(branch, wanted)];
                    self.formulas.and(parts)
                });
                self.formulas.or(branches)
            }
            ExprKind::Compare(op @ (CompareOp::Eq | CompareOp::Ne), left, right)
                if left.ty == Type::Bool && right.ty == Type::Bool =>
            {
                let same = (*op == CompareOp::Eq) == wanted;
                let pairs = [true, false].map(|value| {
                    let parts = [self.truth(left, value), self.truth(right, value == same)];
                    self.formulas.and(parts)
                });
                self.formulas.or(pairs)
            }
            ExprKind::Compare(CompareOp::Eq, left, right)
                if [left, right].map(|side| &side.kind).contains(&&ExprKind::Null)
                    && [left, right].iter().any(|side| side.kind == ExprKind::Field(Field::HttpBody))
                    && knows(Field::HttpBody, self.view.layer) =>
            {
                self.formulas.literal(Source { field: Field::HttpBody, key: None }, Test::Present, !wanted)
            }
            ExprKind::Compare(CompareOp::Ne, left, right) => {
                let kind = ExprKind::Compare(CompareOp::Eq, left.clone(), right.clone());
                self.truth(&Expr { kind, ..expr.clone() }, !wanted)
            }
            ExprKind::Macro { kind: kind @ (MacroKind::All | MacroKind::Exists), range, body, .. } => {
                match &range.kind {
                    ExprKind::List(elements) if elements.iter().all(is_plain) => {
                        let parts: Vec<Formula> =
                            elements.iter().map(|element| self.truth(&bind(body, 0, element), wanted)).collect();
                        let conjunction = (*kind == MacroKind::All) == wanted;
                        if conjunction { self.formulas.and(parts) } else { self.formulas.or(parts) }
                    }
                    _ => self.test(expr, wanted),
                }
            }
            _ => self.test(expr, wanted),
        }
    }

    fn test(&mut self, expr: &Expr, wanted: bool) -> Formula {
        if let Some(value) = constant(expr) {
            return constant_formula(value == Some(serde_json::Value::Bool(wanted)));
        }
        if let Some((source, test)) = self.single(expr) {
            return if knows(source.field, self.view.layer) {
                self.formulas.literal(source, test, wanted)
            } else {
                Formulas::FALSE
            };
        }
        let fields = fields_of(expr);
        if self.hopeless(expr) {
            return Formulas::FALSE;
        }
        self.formulas.opaque(&key(expr), expr.clone(), Rc::from(fields), wanted)
    }

    /// Whether an expression never has a value here: it needs a field that the layer never knows, or works on null. Were it
    /// left open, every name would follow from a rule that no request can make true.
    fn hopeless(&self, expr: &Expr) -> bool {
        let null = |expr: &Expr| matches!(expr.kind, ExprKind::Null);
        match &expr.kind {
            ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Str(_) | ExprKind::Bound(_) => false,
            ExprKind::Free(_) => true,
            ExprKind::Field(field) => !knows(*field, self.view.layer),
            ExprKind::List(items) => items.iter().any(|item| self.hopeless(item)),
            ExprKind::Map(entries) => entries.iter().any(|(key, value)| self.hopeless(key) || self.hopeless(value)),
            ExprKind::Has(operand, _) | ExprKind::Negate(operand) => null(operand) || self.hopeless(operand),
            ExprKind::Not(operand) => self.hopeless(operand),
            // One operand with a value may be enough.
            ExprKind::And(operands) | ExprKind::Or(operands) => operands.iter().all(|operand| self.hopeless(operand)),
            ExprKind::Conditional(condition, then, otherwise) => {
                self.hopeless(condition) || (self.hopeless(then) && self.hopeless(otherwise))
            }
            ExprKind::Compare(CompareOp::Eq | CompareOp::Ne, left, right) | ExprKind::In(left, right) => {
                self.hopeless(left) || self.hopeless(right)
            }
            ExprKind::Compare(_, left, right) | ExprKind::Arith(_, left, right) | ExprKind::Index(left, right) => {
                null(left) || null(right) || self.hopeless(left) || self.hopeless(right)
            }
            ExprKind::Call(_, arguments) => arguments.iter().any(|argument| null(argument) || self.hopeless(argument)),
            ExprKind::Macro { range, .. } => null(range) || self.hopeless(range),
        }
    }

    /// The expression as a test of one value.
    fn single(&self, expr: &Expr) -> Option<(Source, Test)> {
        match &expr.kind {
            ExprKind::Compare(op, left, right) => {
                if let Some(source) = source(left) {
                    compare(source, *op, right)
                } else {
                    compare(source(right)?, op.flipped(), left)
                }
            }
            ExprKind::In(element, container) => {
                if let ExprKind::Field(field) = container.kind
                    && field.row().ty == FieldType::StringMap
                {
                    return Some((Source { field, key: Some(constant_text(element)?) }, Test::Present));
                }
                member(source(element)?, constant(container)??)
            }
            ExprKind::Has(container, key) => match container.kind {
                ExprKind::Field(field) if field.row().ty == FieldType::StringMap => {
                    Some((Source { field, key: Some(key.clone()) }, Test::Present))
                }
                _ => None,
            },
            ExprKind::Call(function, arguments) => {
                let [receiver, argument] = arguments.as_slice() else { return None };
                let source = source(receiver)?;
                let text = constant_text(argument)?;
                call(source, *function, text)
            }
            _ => None,
        }
    }
}

fn constant_formula(value: bool) -> Formula {
    if value { Formulas::TRUE } else { Formulas::FALSE }
}

fn is_plain(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Str(_))
}

/// The value that an expression is, if it is one that tests can be made on.
fn source(expr: &Expr) -> Option<Source> {
    match &expr.kind {
        ExprKind::Field(field) => match field.row().ty {
            FieldType::String | FieldType::NullableString | FieldType::Int => Some(Source { field: *field, key: None }),
            FieldType::StringList | FieldType::StringMap | FieldType::DynMap => None,
        },
        ExprKind::Index(container, key) => match container.kind {
            ExprKind::Field(field) if field.row().ty == FieldType::StringMap => {
                Some(Source { field, key: Some(constant_text(key)?) })
            }
            _ => None,
        },
        _ => None,
    }
}

fn compare(source: Source, op: CompareOp, constant_side: &Expr) -> Option<(Source, Test)> {
    let value = constant(constant_side)??;
    if source.field.row().ty == FieldType::Int && source.key.is_none() {
        let value = value.as_i64()?;
        let (min, max) = (i64::MIN, i64::MAX);
        let range = match op {
            CompareOp::Eq => Some((value, value)),
            CompareOp::Lt => value.checked_sub(1).map(|high| (min, high)),
            CompareOp::Le => Some((min, value)),
            CompareOp::Gt => value.checked_add(1).map(|low| (low, max)),
            CompareOp::Ge => Some((value, max)),
            CompareOp::Ne => return None,
        };
        return Some((source, Test::Ints(range.into_iter().collect())));
    }
    if op != CompareOp::Eq {
        return None;
    }
    if value.is_null() {
        // Only the body can be null; that it is not is the test.
        return None;
    }
    member(source, serde_json::Value::Array(vec![value]))
}

/// Membership in a constant list.
fn member(source: Source, list: serde_json::Value) -> Option<(Source, Test)> {
    let serde_json::Value::Array(values) = list else { return None };
    if source.field.row().ty == FieldType::Int && source.key.is_none() {
        let ranges = values.iter().filter_map(serde_json::Value::as_i64).map(|value| (value, value)).collect();
        return Some((source, Test::Ints(range::normalise(ranges))));
    }
    let texts = values.iter().filter_map(|value| value.as_str().map(str::to_owned));
    if source.field == Field::HttpBody && values.iter().any(serde_json::Value::is_null) {
        return None;
    }
    if source.field == Field::NetworkIp {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for address in texts.filter_map(|text| canonical_address(&text)) {
            match address {
                IpAddr::V4(address) => v4.push((address.to_bits(), address.to_bits())),
                IpAddr::V6(address) => v6.push((address.to_bits(), address.to_bits())),
            }
        }
        return Some((source, Test::Addresses { v4: range::normalise(v4), v6: range::normalise(v6) }));
    }
    Some((source, Test::Equals(texts.collect())))
}

fn call(source: Source, function: Function, text: String) -> Option<(Source, Test)> {
    let is_address = source.field == Field::NetworkIp;
    let test = match function {
        Function::InCidr if is_address => {
            let (v4, v6) = network(&text)?;
            Test::Addresses { v4: v4.into_iter().collect(), v6: v6.into_iter().collect() }
        }
        _ if is_address => return None,
        Function::StartsWith => Test::Prefix(text),
        Function::EndsWith => match text.strip_prefix('.') {
            // On canonical hosts the same as one more label or several, and looked up as quickly as a name.
            Some(suffix) if source.key.is_none() && is_host(source.field) && is_plain_suffix(suffix) => {
                Test::Under { suffix: suffix.to_owned(), several: true }
            }
            _ => Test::Suffix(text),
        },
        Function::Contains => Test::Contains(text),
        Function::Matches => Test::Matches(text),
        // No body equals no string, but is no string either: of a function's argument nothing is then known.
        Function::HostMatches if source.field == Field::HttpBody && !text.starts_with('*') => {
            Test::Matches(format!("^{}$", regex_syntax::escape(&text)))
        }
        Function::HostMatches => pattern_test(&text),
        Function::InCidr | Function::Size | Function::LowerAscii | Function::UpperAscii => return None,
    };
    Some((source, test))
}

fn is_plain_suffix(suffix: &str) -> bool {
    !suffix.is_empty() && suffix.split('.').all(|label| !label.is_empty())
}

/// The addresses of a network in CIDR form.
#[expect(clippy::type_complexity, reason = "one family or the other, as ranges")]
pub(crate) fn network(text: &str) -> Option<(Option<(u32, u32)>, Option<(u128, u128)>)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix: u32 = prefix.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(prefix).unwrap_or(0);
            let low = v4.to_bits() & !host;
            Some((Some((low, low | host)), None))
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(prefix).unwrap_or(0);
            let low = v6.to_bits() & !host;
            Some((None, Some((low, low | host))))
        }
    }
}

/// An expression as text, positions aside: equal for equal expressions.
pub(crate) fn key(expr: &Expr) -> String {
    fn all(items: &[Expr]) -> String {
        items.iter().map(key).collect::<Vec<_>>().join(" ")
    }
    match &expr.kind {
        ExprKind::Null => "null".to_owned(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::List(items) => format!("(list {})", all(items)),
        ExprKind::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|(key_part, value)| format!("{} {}", key(key_part), key(value))).collect();
            format!("(map {})", entries.join(" "))
        }
        ExprKind::Field(field) => field.name().to_owned(),
        ExprKind::Bound(index) => format!("#{index}"),
        ExprKind::Free(name) => format!("${name}"),
        ExprKind::Index(container, index) => format!("(index {} {})", key(container), key(index)),
        ExprKind::Has(container, name) => format!("(has {} {name:?})", key(container)),
        ExprKind::Not(operand) => format!("(not {})", key(operand)),
        ExprKind::Negate(operand) => format!("(negate {})", key(operand)),
        ExprKind::And(operands) => format!("(and {})", all(operands)),
        ExprKind::Or(operands) => format!("(or {})", all(operands)),
        ExprKind::Conditional(condition, then, otherwise) => {
            format!("(if {} {} {})", key(condition), key(then), key(otherwise))
        }
        ExprKind::Compare(op, left, right) => format!("({op:?} {} {})", key(left), key(right)),
        ExprKind::Arith(op, left, right) => format!("({op:?} {} {})", key(left), key(right)),
        ExprKind::In(element, container) => format!("(in {} {})", key(element), key(container)),
        ExprKind::Call(function, arguments) => format!("({function:?} {})", all(arguments)),
        ExprKind::Macro { kind, range, filter, body } => {
            let filter = filter.as_deref().map(key).unwrap_or_default();
            format!("({kind:?} {} [{filter}] {})", key(range), key(body))
        }
    }
}
