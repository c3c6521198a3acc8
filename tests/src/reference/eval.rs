//! A condition's value: one walk over the tree as written, three-valued, with room for fields that are still open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use outcall_compiler::cel::ast::{Ast, AstKind};
use outcall_compiler::cel::typed::{ArithOp, CompareOp};
use outcall_schema::field::Field;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

use super::value::{Slot, Value};

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A runtime error, or a field that is not known here.
    Error,
    /// It depends on what is still pending.
    Open,
}

/// A value, or why there is none.
pub type Outcome = Result<Value, Stop>;

/// What a boolean may turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truth {
    /// It may be true.
    pub yes: bool,
    /// It may be false.
    pub no: bool,
    /// It may be unknown.
    pub unknown: bool,
}

impl Truth {
    const ANY: Truth = Truth { yes: true, no: true, unknown: true };
    const UNKNOWN: Truth = Truth { yes: false, no: false, unknown: true };

    fn of(value: bool) -> Truth {
        Truth { yes: value, no: !value, unknown: false }
    }

    /// True whatever is still open.
    pub fn certain(self) -> bool {
        self.yes && !self.no && !self.unknown
    }

    fn not(self) -> Truth {
        Truth { yes: self.no, no: self.yes, unknown: self.unknown }
    }

    fn and(self, other: Truth) -> Truth {
        let may_hold = |truth: Truth| truth.yes || truth.unknown;
        Truth {
            yes: self.yes && other.yes,
            no: self.no || other.no,
            unknown: (self.unknown && may_hold(other)) || (other.unknown && may_hold(self)),
        }
    }

    fn or(self, other: Truth) -> Truth {
        self.not().and(other.not()).not()
    }

    fn either(self, other: Truth) -> Truth {
        Truth { yes: self.yes || other.yes, no: self.no || other.no, unknown: self.unknown || other.unknown }
    }
}

thread_local! {
    static PATTERNS: RefCell<HashMap<String, Option<Regex>>> = RefCell::new(HashMap::new());
}

/// Walks conditions.
pub struct Evaluator<'a> {
    /// What is known of a field.
    pub field: &'a dyn Fn(Field) -> Slot,
    /// Free variables, which only conformance cases have.
    pub free: &'a HashMap<String, Value>,
    bound: Vec<(String, Value)>,
}

impl<'a> Evaluator<'a> {
    /// Over the fields of a request and free variables.
    pub fn new(field: &'a dyn Fn(Field) -> Slot, free: &'a HashMap<String, Value>) -> Evaluator<'a> {
        Evaluator { field, free, bound: Vec::new() }
    }

    /// What a boolean expression may turn out to be.
    pub fn truth(&mut self, ast: &Ast) -> Truth {
        match &ast.kind {
            AstKind::Not(operand) => self.truth(operand).not(),
            AstKind::And(operands) => {
                operands.iter().fold(Truth::of(true), |all, operand| all.and(self.truth(operand)))
            }
            AstKind::Or(operands) => operands.iter().fold(Truth::of(false), |any, operand| any.or(self.truth(operand))),
            AstKind::Conditional(condition, then, otherwise) => {
                let condition = self.truth(condition);
                let mut result = Truth { yes: false, no: false, unknown: condition.unknown };
                if condition.yes {
                    result = result.either(self.truth(then));
                }
                if condition.no {
                    result = result.either(self.truth(otherwise));
                }
                result
            }
            AstKind::Call(Some(range), name, arguments)
                if matches!(name.text.as_str(), "all" | "exists" | "exists_one") && arguments.len() == 2 =>
            {
                self.quantified(range, &name.text, arguments)
            }
            _ => match self.value(ast) {
                Ok(Value::Bool(value)) => Truth::of(value),
                Ok(_) | Err(Stop::Error) => Truth::UNKNOWN,
                Err(Stop::Open) => Truth::ANY,
            },
        }
    }

    fn quantified(&mut self, range: &Ast, name: &str, arguments: &[Ast]) -> Truth {
        let (elements, variable, body) = match (self.elements(range), arguments) {
            (Ok(elements), [Ast { kind: AstKind::Name(variable), .. }, body]) => (elements, variable, body),
            (Err(Stop::Open), _) => return Truth::ANY,
            _ => return Truth::UNKNOWN,
        };
        let truths: Vec<Truth> =
            elements.into_iter().map(|element| self.with(variable, element, |this| this.truth(body))).collect();
        match name {
            "all" => truths.into_iter().fold(Truth::of(true), Truth::and),
            "exists" => truths.into_iter().fold(Truth::of(false), Truth::or),
            _ if truths
                .iter()
                .any(|truth| [truth.yes, truth.no, truth.unknown].iter().filter(|may| **may).count() > 1) =>
            {
                Truth::ANY
            }
            _ if truths.iter().any(|truth| truth.unknown) => Truth::UNKNOWN,
            _ => Truth::of(truths.iter().filter(|truth| truth.yes).count() == 1),
        }
    }

    fn with<T>(&mut self, variable: &str, value: Value, run: impl FnOnce(&mut Self) -> T) -> T {
        self.bound.push((variable.to_owned(), value));
        let result = run(self);
        self.bound.pop();
        result
    }

    fn elements(&mut self, range: &Ast) -> Result<Vec<Value>, Stop> {
        match self.value(range)? {
            Value::List(items) => Ok(items),
            Value::Map(entries) => Ok(entries.into_iter().map(|(key, _)| key).collect()),
            _ => Err(Stop::Error),
        }
    }

    fn boolean(&mut self, ast: &Ast) -> Result<bool, Stop> {
        match self.truth(ast) {
            Truth { yes: true, no: false, unknown: false } => Ok(true),
            Truth { yes: false, no: true, unknown: false } => Ok(false),
            Truth { yes: false, no: false, unknown: true } => Err(Stop::Error),
            _ => Err(Stop::Open),
        }
    }

    /// The values of operands that are all needed. What is open wins over what is an error: the answer is then as open as
    /// it can be, and a compiled program may know better.
    fn all(&mut self, operands: &[&Ast]) -> Result<Vec<Value>, Stop> {
        let values: Vec<Outcome> = operands.iter().map(|operand| self.value(operand)).collect();
        if values.iter().any(|value| matches!(value, Err(Stop::Open))) {
            return Err(Stop::Open);
        }
        values.into_iter().collect()
    }

    /// An expression's value.
    pub fn value(&mut self, ast: &Ast) -> Outcome {
        match &ast.kind {
            AstKind::Null => Ok(Value::Null),
            AstKind::Bool(value) => Ok(Value::Bool(*value)),
            AstKind::Int(value) => Ok(Value::Int(*value)),
            AstKind::Str(text) => Ok(Value::text(text.as_str())),
            AstKind::Name(name) => {
                let bound = self.bound.iter().rev().find(|(bound, _)| bound == name).map(|(_, value)| value);
                bound.or_else(|| self.free.get(name)).cloned().ok_or(Stop::Error)
            }
            AstKind::List(items) => self.all(&items.iter().collect::<Vec<_>>()).map(Value::List),
            AstKind::Map(entries) => {
                let keys = self.all(&entries.iter().map(|(key, _)| key).collect::<Vec<_>>());
                let values = self.all(&entries.iter().map(|(_, value)| value).collect::<Vec<_>>());
                if matches!(keys, Err(Stop::Open)) || matches!(values, Err(Stop::Open)) {
                    return Err(Stop::Open);
                }
                let mut map: Vec<(Value, Value)> = Vec::new();
                for (key, value) in keys?.into_iter().zip(values?) {
                    let is_key = matches!(key, Value::Bool(_) | Value::Int(_) | Value::Str(_));
                    if !is_key || map.iter().any(|(other, _)| other.equals(&key)) {
                        return Err(Stop::Error);
                    }
                    map.push((key, value));
                }
                Ok(Value::Map(map))
            }
            AstKind::Select(of, name) => {
                if let Some(field) = self.named(of, &name.text) {
                    return match (self.field)(field) {
                        Slot::Known(value) => Ok(value),
                        Slot::Unknown => Err(Stop::Error),
                        Slot::Pending => Err(Stop::Open),
                    };
                }
                let of = self.value(of)?;
                element(&of, &Value::text(name.text.as_str()))
            }
            AstKind::Index(of, key) => match self.all(&[of, key])?.as_slice() {
                [of, key] => element(of, key),
                _ => Err(Stop::Error),
            },
            AstKind::Call(receiver, name, arguments) => self.call(receiver.as_deref(), &name.text, arguments, ast),
            AstKind::Not(_) | AstKind::And(_) | AstKind::Or(_) => self.boolean(ast).map(Value::Bool),
            AstKind::Negate(operand) => match self.value(operand)? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Stop::Error),
                _ => Err(Stop::Error),
            },
            AstKind::Conditional(condition, then, otherwise) => {
                let branch = if self.boolean(condition)? { then } else { otherwise };
                self.value(branch)
            }
            AstKind::Compare(op, left, right) => match self.all(&[left, right])?.as_slice() {
                [left, right] => compare(*op, left, right).map(Value::Bool),
                _ => Err(Stop::Error),
            },
            AstKind::Arith(op, left, right) => match self.all(&[left, right])?.as_slice() {
                [left, right] => arithmetic(*op, left, right),
                _ => Err(Stop::Error),
            },
            AstKind::In(needle, container) => match self.all(&[needle, container])?.as_slice() {
                [needle, Value::List(items)] => Ok(Value::Bool(items.iter().any(|item| item.equals(needle)))),
                [key, Value::Map(entries)] => Ok(Value::Bool(entries.iter().any(|(other, _)| other.equals(key)))),
                _ => Err(Stop::Error),
            },
        }
    }

    /// The field that `of.name` is.
    fn named(&self, of: &Ast, name: &str) -> Option<Field> {
        match &of.kind {
            AstKind::Name(namespace)
                if !self.bound.iter().any(|(bound, _)| bound == namespace) && !self.free.contains_key(namespace) =>
            {
                Field::from_name(&format!("{namespace}.{name}"))
            }
            _ => None,
        }
    }

    fn call(&mut self, receiver: Option<&Ast>, name: &str, arguments: &[Ast], whole: &Ast) -> Outcome {
        match (name, receiver, arguments) {
            ("has", None, [Ast { kind: AstKind::Select(of, key), .. }]) => match self.value(of)? {
                Value::Map(entries) => {
                    let key = Value::text(key.text.as_str());
                    Ok(Value::Bool(entries.iter().any(|(other, _)| other.equals(&key))))
                }
                _ => Err(Stop::Error),
            },
            ("all" | "exists" | "exists_one", Some(_), [_, _]) => self.boolean(whole).map(Value::Bool),
            ("filter", Some(range), [variable, filter]) => self.mapped(range, variable, Some(filter), None),
            ("map", Some(range), [variable, body]) => self.mapped(range, variable, None, Some(body)),
            ("map", Some(range), [variable, filter, body]) => self.mapped(range, variable, Some(filter), Some(body)),
            _ => {
                let operands: Vec<&Ast> = receiver.into_iter().chain(arguments).collect();
                let values = self.all(&operands)?;
                function(name, &values)
            }
        }
    }

    fn mapped(&mut self, range: &Ast, variable: &Ast, filter: Option<&Ast>, body: Option<&Ast>) -> Outcome {
        let AstKind::Name(variable) = &variable.kind else { return Err(Stop::Error) };
        let elements = self.elements(range)?;
        let mut results = Vec::new();
        let mut failed = false;
        for element in elements {
            let result = self.with(variable, element.clone(), |this| {
                if let Some(filter) = filter
                    && !this.boolean(filter)?
                {
                    return Ok(None);
                }
                body.map_or(Ok(element), |body| this.value(body)).map(Some)
            });
            match result {
                Ok(result) => results.extend(result),
                Err(Stop::Open) => return Err(Stop::Open),
                Err(Stop::Error) => failed = true,
            }
        }
        if failed { Err(Stop::Error) } else { Ok(Value::List(results)) }
    }
}

fn element(of: &Value, key: &Value) -> Outcome {
    let found = match (of, key) {
        (Value::List(items), Value::Int(index)) => usize::try_from(*index).ok().and_then(|index| items.get(index)),
        (Value::Map(entries), key) => entries.iter().find(|(other, _)| other.equals(key)).map(|(_, value)| value),
        _ => None,
    };
    found.cloned().ok_or(Stop::Error)
}

fn compare(op: CompareOp, left: &Value, right: &Value) -> Result<bool, Stop> {
    let order = match (op, left, right) {
        (CompareOp::Eq, ..) => return Ok(left.equals(right)),
        (CompareOp::Ne, ..) => return Ok(!left.equals(right)),
        (_, Value::Int(left), Value::Int(right)) => left.cmp(right),
        (_, Value::Str(left), Value::Str(right)) => left.chars().cmp(right.chars()),
        (_, Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        _ => return Err(Stop::Error),
    };
    Ok(match op {
        CompareOp::Lt => order.is_lt(),
        CompareOp::Le => order.is_le(),
        CompareOp::Gt => order.is_gt(),
        CompareOp::Ge => order.is_ge(),
        CompareOp::Eq | CompareOp::Ne => order.is_eq(),
    })
}

fn arithmetic(op: ArithOp, left: &Value, right: &Value) -> Outcome {
    match (op, left, right) {
        (_, Value::Int(left), Value::Int(right)) => {
            let (left, right) = (i128::from(*left), i128::from(*right));
            let result = match op {
                ArithOp::Add => Some(left + right),
                ArithOp::Sub => Some(left - right),
                ArithOp::Mul => Some(left * right),
                ArithOp::Div => left.checked_div(right),
                // What overflows in 64 bits as a division does so as a remainder.
                ArithOp::Rem if left == i128::from(i64::MIN) && right == -1 => None,
                ArithOp::Rem => left.checked_rem(right),
            };
            result.and_then(|result| i64::try_from(result).ok()).map(Value::Int).ok_or(Stop::Error)
        }
        (ArithOp::Add, Value::Str(left), Value::Str(right)) => Ok(Value::Str(format!("{left}{right}"))),
        (ArithOp::Add, Value::List(left), Value::List(right)) => {
            Ok(Value::List(left.iter().chain(right).cloned().collect()))
        }
        _ => Err(Stop::Error),
    }
}

fn function(name: &str, arguments: &[Value]) -> Outcome {
    let result = match (name, arguments) {
        ("size", [Value::Str(text)]) => Value::Int(text.chars().count() as i64),
        ("size", [Value::List(items)]) => Value::Int(items.len() as i64),
        ("size", [Value::Map(entries)]) => Value::Int(entries.len() as i64),
        ("startsWith", [Value::Str(text), Value::Str(part)]) => Value::Bool(text.get(..part.len()) == Some(part)),
        ("endsWith", [Value::Str(text), Value::Str(part)]) => {
            let from = text.len().checked_sub(part.len());
            Value::Bool(from.is_some_and(|from| text.as_bytes().get(from..) == Some(part.as_bytes())))
        }
        ("contains", [Value::Str(text), Value::Str(part)]) => {
            Value::Bool((0..=text.len()).any(|at| text.as_bytes().get(at..at + part.len()) == Some(part.as_bytes())))
        }
        ("matches", [Value::Str(text), Value::Str(pattern)]) => Value::Bool(matches(text, pattern)?),
        ("lowerAscii", [Value::Str(text)]) => Value::Str(text.to_ascii_lowercase()),
        ("upperAscii", [Value::Str(text)]) => Value::Str(text.to_ascii_uppercase()),
        ("inCidr", [Value::Str(text), Value::Str(network)]) => Value::Bool(in_network(text, network)?),
        ("hostMatches", [Value::Str(host), Value::Str(pattern)]) => Value::Bool(host_matches(host, pattern)),
        _ => return Err(Stop::Error),
    };
    Ok(result)
}

/// Whether a pattern in RE2's syntax is found in a text.
fn matches(text: &str, pattern: &str) -> Result<bool, Stop> {
    PATTERNS.with_borrow_mut(|patterns| {
        let regex = patterns.entry(pattern.to_owned()).or_insert_with(|| {
            Regex::builder().syntax(syntax::Config::new().unicode(true)).build(&ascii_classes(pattern)).ok()
        });
        regex.as_ref().map(|regex| regex.is_match(text)).ok_or(Stop::Error)
    })
}

/// Writes out the classes that RE2 limits to ASCII.
fn ascii_classes(pattern: &str) -> String {
    let (mut out, mut inside) = (String::new(), false);
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let class = match characters.next() {
                    Some('d') => "0-9",
                    Some('w') => "0-9A-Za-z_",
                    Some('s') => "\\t\\n\\x0C\\r ",
                    Some('b') if !inside => "(?-u:\\b)",
                    Some(other) => {
                        out.push('\\');
                        out.push(other);
                        continue;
                    }
                    None => continue,
                };
                let bare = inside || class.starts_with('(');
                out.push_str(&if bare { class.to_owned() } else { format!("[{class}]") });
            }
            '[' => {
                inside = true;
                out.push('[');
            }
            ']' => {
                inside = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

fn in_network(text: &str, network: &str) -> Result<bool, Stop> {
    let bits = |address: IpAddr| -> Vec<bool> {
        let bytes = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> (7 - bit) & 1 == 1)).collect()
    };
    let (start, length) = network.split_once('/').ok_or(Stop::Error)?;
    let start = bits(start.parse().map_err(|_| Stop::Error)?);
    let length: usize = length.parse().map_err(|_| Stop::Error)?;
    let Ok(address) = text.parse::<IpAddr>() else { return Ok(false) };
    if address.to_string() != text {
        return Ok(false);
    }
    let address = bits(address);
    Ok(address.len() == start.len() && address.get(..length) == start.get(..length))
}

/// Whether a host is what a pattern stands for: label by label, from the right. What a wildcard stands for is not empty.
pub fn host_matches(host: &str, pattern: &str) -> bool {
    let labels: Vec<&str> = host.split('.').collect();
    let pattern: Vec<&str> = pattern.split('.').collect();
    let (wildcard, suffix) = match pattern.split_first() {
        Some((first @ (&"*" | &"**"), suffix)) => (Some(*first), suffix),
        _ => return labels == pattern,
    };
    let Some(extra) = labels.len().checked_sub(suffix.len()) else { return false };
    let before = labels.get(..extra).unwrap_or_default();
    let fits = match wildcard {
        Some("*") => before.len() == 1,
        _ => !before.is_empty(),
    };
    fits && !before.join(".").is_empty() && labels.get(extra..) == Some(suffix)
}
