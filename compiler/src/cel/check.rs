//! Names and types: from an expression as written to the typed form, or to all that is wrong with it.

use std::collections::HashMap;
use std::ops::Range;

use outcall_schema::field::{FIELDS, Field, FieldRow, FieldType};

use super::CelError;
use super::ast::{Ast, AstKind, Word};
use super::codes;
use super::literal;
use super::typed::{ArithOp, CompareOp, Expr, ExprKind, Function, MacroKind, Type};
use crate::diag::{is_nearest_alone, nearest, quoted};

/// What an expression may refer to, and what it must be.
#[derive(Debug, Clone, Default)]
pub struct Env {
    boolean: bool,
    /// For expressions that are no rules: free variables, and types left to evaluation.
    lenient: Option<HashMap<String, Type>>,
}

impl Env {
    /// A rule's condition: over the request's fields, and boolean.
    pub fn rule() -> Env {
        Env { boolean: true, lenient: None }
    }

    /// A definition: over the request's fields, of any type.
    pub fn definition() -> Env {
        Env { boolean: false, lenient: None }
    }

    /// An expression by itself, as CEL's conformance tests have it: over these variables, of any type, with what does not
    /// fit an error of evaluation.
    pub fn free(variables: HashMap<String, Type>) -> Env {
        Env { boolean: false, lenient: Some(variables) }
    }
}

/// How a function is called and what it takes.
pub(super) struct FunctionRow {
    pub(super) name: &'static str,
    function: Function,
    /// The number of arguments with the receiver.
    arity: usize,
    method: bool,
    global: bool,
}

const fn method(name: &'static str, function: Function, arity: usize) -> FunctionRow {
    FunctionRow { name, function, arity, method: true, global: false }
}

const fn global(name: &'static str, function: Function, arity: usize) -> FunctionRow {
    FunctionRow { name, function, arity, method: false, global: true }
}

pub(super) const FUNCTIONS: &[FunctionRow] = &[
    FunctionRow { name: "size", function: Function::Size, arity: 1, method: true, global: true },
    method("startsWith", Function::StartsWith, 2),
    method("endsWith", Function::EndsWith, 2),
    method("contains", Function::Contains, 2),
    FunctionRow { name: "matches", function: Function::Matches, arity: 2, method: true, global: true },
    method("lowerAscii", Function::LowerAscii, 1),
    method("upperAscii", Function::UpperAscii, 1),
    global("inCidr", Function::InCidr, 2),
    global("hostMatches", Function::HostMatches, 2),
];

pub(super) const MACROS: &[(&str, MacroKind)] = &[
    ("all", MacroKind::All),
    ("exists", MacroKind::Exists),
    ("exists_one", MacroKind::ExistsOne),
    ("filter", MacroKind::Filter),
    ("map", MacroKind::Map),
];

/// Functions of CEL and its extensions that are left out, with what to write instead.
const LEFT_OUT: &[(&str, &str)] = &[
    ("int", "numbers are integers already; header values are compared as strings"),
    ("uint", "write a plain integer"),
    ("double", "there are no fractions; write a plain integer"),
    ("string", "compare the number itself"),
    ("bytes", "compare strings"),
    ("bool", "compare with `true` or with a string"),
    ("dyn", "leave it out; types are known"),
    ("type", "types are known; leave it out"),
    ("timestamp", "conditions do not read the clock"),
    ("duration", "conditions do not read the clock"),
    ("now", "conditions do not read the clock"),
    ("charAt", "use `startsWith`, `endsWith` or `matches`"),
    ("indexOf", "use `contains` or `matches`"),
    ("lastIndexOf", "use `endsWith` or `matches`"),
    ("join", "test the elements with `exists` or `all`"),
    ("split", "use `matches`"),
    ("substring", "use `startsWith`, `endsWith` or `matches`"),
    ("replace", "use `matches`"),
    ("trim", "values are canonical already"),
    ("format", "write the string out"),
    ("quote", "write the string out"),
    ("reverse", "use `endsWith`"),
    ("find", "use `matches`"),
    ("optional", "guard with `has(...)`"),
    ("orValue", "guard with `has(...)`"),
    ("ip", "use `inCidr(network.ip, \"10.0.0.0/8\")`"),
    ("cidr", "use `inCidr(network.ip, \"10.0.0.0/8\")`"),
    ("url", "use `http.host` and `http.path`"),
    ("isURL", "use `http.host` and `http.path`"),
    ("existsOne", "write `exists_one`"),
];

/// Checks an expression.
pub(super) fn check(ast: &Ast, env: &Env) -> Result<Expr, Vec<CelError>> {
    let mut checker = Checker { env, scope: Vec::new(), errors: Vec::new() };
    let root = checker.check(ast);
    if let Some(root) = &root
        && env.boolean
        && !matches!(root.ty, Type::Bool | Type::Dyn)
    {
        let message = format!("the condition is of type {}, not true or false", type_name(&root.ty));
        checker.errors.push(
            CelError::new(codes::NOT_BOOLEAN, ast.span.clone(), message)
                .help("compare the value with something, as in `http.host == \"example.com\"`"),
        );
    }
    checker.errors.sort_by_key(|error| (error.range.start, error.range.end));
    match root {
        Some(root) if checker.errors.is_empty() => Ok(root),
        _ => Err(checker.errors),
    }
}

/// A type as messages name it.
pub(super) fn type_name(ty: &Type) -> String {
    match ty {
        Type::Null => "null".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Int => "int".to_owned(),
        Type::String => "string".to_owned(),
        Type::NullableString => "string or null".to_owned(),
        Type::List(element) => format!("list({})", type_name(element)),
        Type::Map(key, value) => format!("map({}, {})", type_name(key), type_name(value)),
        Type::Dyn => "dyn".to_owned(),
    }
}

/// The type of a field's values.
pub(crate) fn field_type(field: Field) -> Type {
    let map = |value| Type::Map(Box::new(Type::String), Box::new(value));
    match field.row().ty {
        FieldType::String => Type::String,
        FieldType::NullableString => Type::NullableString,
        FieldType::Int => Type::Int,
        FieldType::StringList => Type::List(Box::new(Type::String)),
        FieldType::StringMap => map(Type::String),
        FieldType::DynMap => map(Type::Dyn),
    }
}

fn is_text(ty: &Type) -> bool {
    matches!(ty, Type::String | Type::NullableString | Type::Dyn)
}

/// Whether values of two types can be equal.
fn comparable(left: &Type, right: &Type) -> bool {
    match (left, right) {
        (Type::Dyn, _) | (_, Type::Dyn) => true,
        (Type::NullableString, Type::String | Type::Null) | (Type::String | Type::Null, Type::NullableString) => true,
        (Type::List(left), Type::List(right)) => comparable(left, right),
        (Type::Map(left_key, left), Type::Map(right_key, right)) => {
            comparable(left_key, right_key) && comparable(left, right)
        }
        _ => left == right,
    }
}

/// The type of what is one or the other.
fn join(left: &Type, right: &Type) -> Type {
    match (left, right) {
        _ if left == right => left.clone(),
        (Type::String | Type::Null | Type::NullableString, Type::String | Type::Null | Type::NullableString) => {
            Type::NullableString
        }
        (Type::List(left), Type::List(right)) => Type::List(Box::new(join(left, right))),
        (Type::Map(left_key, left), Type::Map(right_key, right)) => {
            Type::Map(Box::new(join(left_key, right_key)), Box::new(join(left, right)))
        }
        _ => Type::Dyn,
    }
}

struct Checker<'a> {
    env: &'a Env,
    scope: Vec<(String, Type)>,
    errors: Vec<CelError>,
}

/// `None` once an error has been reported.
type Checked = Option<Expr>;

impl Checker<'_> {
    fn refuse(&mut self, error: CelError) -> Checked {
        self.errors.push(error);
        None
    }

    /// A value of the wrong type: an error in rules, of evaluation elsewhere.
    fn mismatch(&mut self, span: Range<usize>, message: String, help: &str) -> Option<()> {
        if self.env.lenient.is_some() {
            return Some(());
        }
        self.errors.push(CelError::new(codes::WRONG_TYPE, span, message).help(help));
        None
    }

    fn check(&mut self, ast: &Ast) -> Checked {
        let span = ast.span.clone();
        let done = |kind, ty| Some(Expr { kind, ty, span: span.clone() });
        match &ast.kind {
            AstKind::Null => done(ExprKind::Null, Type::Null),
            AstKind::Bool(value) => done(ExprKind::Bool(*value), Type::Bool),
            AstKind::Int(value) => done(ExprKind::Int(*value), Type::Int),
            AstKind::Str(text) => done(ExprKind::Str(text.clone()), Type::String),
            AstKind::Name(name) => self.name(name, span),
            AstKind::List(items) => {
                let items: Vec<Checked> = items.iter().map(|item| self.check(item)).collect();
                let items: Vec<Expr> = items.into_iter().collect::<Option<_>>()?;
                let element = items.iter().map(|item| item.ty.clone()).reduce(|left, right| join(&left, &right));
                done(ExprKind::List(items), Type::List(Box::new(element.unwrap_or(Type::Dyn))))
            }
            AstKind::Map(entries) => self.map(entries, span),
            AstKind::Select(operand, name) => self.select(operand, name, span),
            AstKind::Index(operand, key) => {
                let (operand, key) = (self.check(operand), self.check(key));
                self.index(operand?, key?, span)
            }
            AstKind::Call(receiver, name, arguments) => self.call(receiver.as_deref(), name, arguments, span),
            AstKind::Not(operand) => {
                let operand = self.boolean(operand)?;
                done(ExprKind::Not(Box::new(operand)), Type::Bool)
            }
            AstKind::Negate(operand) => {
                let operand = self.check(operand)?;
                if !matches!(operand.ty, Type::Int | Type::Dyn) {
                    let message = format!("`-` takes an int, not {}", type_name(&operand.ty));
                    self.mismatch(operand.span.clone(), message, "only integers can be negated")?;
                }
                done(ExprKind::Negate(Box::new(operand)), Type::Int)
            }
            AstKind::And(operands) | AstKind::Or(operands) => {
                let checked: Vec<Checked> = operands.iter().map(|operand| self.boolean(operand)).collect();
                let operands: Vec<Expr> = checked.into_iter().collect::<Option<_>>()?;
                let conjunction = matches!(ast.kind, AstKind::And(_));
                done(if conjunction { ExprKind::And(operands) } else { ExprKind::Or(operands) }, Type::Bool)
            }
            AstKind::Conditional(condition, then, otherwise) => {
                let (condition, then, otherwise) = (self.boolean(condition), self.check(then), self.check(otherwise));
                let (condition, then, otherwise) = (condition?, then?, otherwise?);
                if !comparable(&then.ty, &otherwise.ty) {
                    let message = format!(
                        "the branches of `? :` are of different types, {} and {}",
                        type_name(&then.ty),
                        type_name(&otherwise.ty)
                    );
                    self.mismatch(otherwise.span.clone(), message, "both branches must be of one type")?;
                }
                let ty = join(&then.ty, &otherwise.ty);
                done(ExprKind::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)), ty)
            }
            AstKind::Compare(op, left, right) => {
                let (left, right) = (self.check(left), self.check(right));
                let (left, right) = (left?, right?);
                self.compare(*op, &left, &right, &span)?;
                done(ExprKind::Compare(*op, Box::new(left), Box::new(right)), Type::Bool)
            }
            AstKind::Arith(op, left, right) => {
                let (left, right) = (self.check(left), self.check(right));
                let (left, right) = (left?, right?);
                let ty = self.arithmetic(*op, &left, &right, &span)?;
                done(ExprKind::Arith(*op, Box::new(left), Box::new(right)), ty)
            }
            AstKind::In(element, container) => {
                let (element, container) = (self.check(element), self.check(container));
                let (element, container) = (element?, container?);
                let within = match &container.ty {
                    Type::List(inner) | Type::Map(inner, _) => Some(inner.as_ref()),
                    Type::Dyn => Some(&Type::Dyn),
                    _ => None,
                };
                match within {
                    None => {
                        let message = format!("`in` looks into a list or a map, not into {}", type_name(&container.ty));
                        self.mismatch(
                            container.span.clone(),
                            message,
                            "for a part of a string write `text.contains(part)`",
                        )?;
                    }
                    Some(inner) if !comparable(&element.ty, inner) => {
                        let message = format!("{} is never in {}", type_name(&element.ty), type_name(&container.ty));
                        self.mismatch(span.clone(), message, "the value and the elements must be of one type")?;
                    }
                    Some(_) => {}
                }
                done(ExprKind::In(Box::new(element), Box::new(container)), Type::Bool)
            }
        }
    }

    fn boolean(&mut self, ast: &Ast) -> Checked {
        let expr = self.check(ast)?;
        if !matches!(expr.ty, Type::Bool | Type::Dyn) {
            let message = format!("this is of type {}, not true or false", type_name(&expr.ty));
            self.mismatch(expr.span.clone(), message, "compare it with something, as in `http.method == \"GET\"`")?;
        }
        Some(expr)
    }

    fn compare(&mut self, op: CompareOp, left: &Expr, right: &Expr, span: &Range<usize>) -> Option<()> {
        if matches!(op, CompareOp::Eq | CompareOp::Ne) {
            if !comparable(&left.ty, &right.ty) {
                let message = format!("{} is never equal to {}", type_name(&left.ty), type_name(&right.ty));
                self.mismatch(span.clone(), message, "compare values of one type")?;
            }
            return Some(());
        }
        let ordered = |ty: &Type| matches!(ty, Type::Int | Type::Bool | Type::Dyn) || is_text(ty);
        if !ordered(&left.ty) || !ordered(&right.ty) || !comparable(&left.ty, &right.ty) {
            let message = format!("{} and {} have no order", type_name(&left.ty), type_name(&right.ty));
            self.mismatch(span.clone(), message, "`<`, `<=`, `>` and `>=` compare two ints or two strings")?;
        }
        Some(())
    }

    fn arithmetic(&mut self, op: ArithOp, left: &Expr, right: &Expr, span: &Range<usize>) -> Option<Type> {
        match (&left.ty, &right.ty) {
            (Type::Int, Type::Int | Type::Dyn) | (Type::Dyn, Type::Int) => Some(Type::Int),
            (left, right) if op == ArithOp::Add && is_text(left) && is_text(right) => Some(join(left, right)),
            (Type::List(left), Type::List(right)) if op == ArithOp::Add => {
                Some(Type::List(Box::new(join(left, right))))
            }
            (Type::Dyn, _) | (_, Type::Dyn) => Some(Type::Dyn),
            (left, right) => {
                let message = format!("there is no arithmetic on {} and {}", type_name(left), type_name(right));
                self.mismatch(
                    span.clone(),
                    message,
                    "`-`, `*`, `/` and `%` take two ints; `+` two ints, two strings or two lists",
                )?;
                Some(Type::Dyn)
            }
        }
    }

    fn name(&mut self, name: &str, span: Range<usize>) -> Checked {
        let bound = self.scope.iter().rev().zip(0..).find(|((bound, _), _)| bound == name);
        if let Some(((_, ty), depth)) = bound {
            return Some(Expr { kind: ExprKind::Bound(depth), ty: ty.clone(), span });
        }
        if let Some(free) = &self.env.lenient {
            let ty = free.get(name).cloned().unwrap_or(Type::Dyn);
            return Some(Expr { kind: ExprKind::Free(name.to_owned()), ty, span });
        }
        let fields = || FIELDS.iter().filter(|row| row.name.starts_with(&format!("{name}.")));
        let error = CelError::new(codes::UNKNOWN_NAME, span.clone(), format!("{} is not a field", quoted(name)));
        if let Some(first) = fields().next() {
            let all: Vec<&str> = fields().map(|row| row.name).collect();
            return self.refuse(error.help(format!(
                "{} is a group of fields, such as `{}`: {}",
                quoted(name),
                first.name,
                all.join(", ")
            )));
        }
        let error = match name {
            "and" | "or" | "not" => error.help("the operators are `&&`, `||` and `!`"),
            _ if name.starts_with('$') => error.help("definitions are looked up in the file's `definitions:`"),
            _ => {
                let candidates = FIELDS.iter().map(|row| row.name);
                let short = FIELDS.iter().find(|row| row.name.split('.').nth(1) == Some(name)).map(|row| row.name);
                match short.or_else(|| nearest(name, candidates.clone())) {
                    Some(meant) => {
                        let ends_alike = |row: &&FieldRow| row.name.split('.').nth(1) == Some(name);
                        let alone = match short {
                            Some(_) => FIELDS.iter().filter(ends_alike).count() == 1,
                            None => is_nearest_alone(name, meant, candidates),
                        };
                        error.help(format!("did you mean `{meant}`?")).replace_if(alone, span, meant)
                    }
                    None => error.help("text stands in quotes; fields are listed in docs/language.md"),
                }
            }
        };
        self.refuse(error)
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scope.iter().any(|(bound, _)| bound == name)
    }

    fn map(&mut self, entries: &[(Ast, Ast)], span: Range<usize>) -> Checked {
        let checked: Vec<(Checked, Checked)> =
            entries.iter().map(|(key, value)| (self.check(key), self.check(value))).collect();
        let mut typed = Vec::with_capacity(checked.len());
        for (key, value) in checked {
            typed.push((key?, value?));
        }
        let mut types: Option<(Type, Type)> = None;
        for (key, value) in &typed {
            if !matches!(key.ty, Type::Bool | Type::Int | Type::String | Type::Dyn) {
                let message = format!("a map's key cannot be {}", type_name(&key.ty));
                self.mismatch(key.span.clone(), message, "keys are strings, ints or booleans")?;
            }
            types = Some(match types {
                None => (key.ty.clone(), value.ty.clone()),
                Some((keys, values)) => (join(&keys, &key.ty), join(&values, &value.ty)),
            });
        }
        let (key, value) = types.unwrap_or((Type::Dyn, Type::Dyn));
        Some(Expr { kind: ExprKind::Map(typed), ty: Type::Map(Box::new(key), Box::new(value)), span })
    }

    fn select(&mut self, operand: &Ast, name: &Word, span: Range<usize>) -> Checked {
        if let AstKind::Name(root) = &operand.kind
            && self.env.lenient.is_none()
            && !self.is_bound(root)
        {
            return self.field(root, name, span, operand.span.clone());
        }
        let operand = self.check(operand)?;
        let key = Expr { kind: ExprKind::Str(name.text.clone()), ty: Type::String, span: name.span.clone() };
        if !matches!(operand.ty, Type::Map(..) | Type::Dyn) {
            let message = format!("{} has no {}", type_name(&operand.ty), quoted(&name.text));
            self.mismatch(
                name.span.clone(),
                message,
                "only maps have entries; functions are called with brackets, as in `http.host.size()`",
            )?;
        }
        self.index(operand, key, span)
    }

    fn field(&mut self, root: &str, name: &Word, span: Range<usize>, root_span: Range<usize>) -> Checked {
        let full = format!("{root}.{}", name.text);
        if let Some(field) = Field::from_name(&full) {
            return Some(Expr { kind: ExprKind::Field(field), ty: field_type(field), span });
        }
        let error = CelError::new(codes::UNKNOWN_NAME, span.clone(), format!("{} is not a field", quoted(&full)));
        let in_group = |group: &str| {
            FIELDS
                .iter()
                .map(|row| row.name)
                .filter(move |row| row.split('.').next() == Some(group))
                .collect::<Vec<_>>()
        };
        let group = in_group(root);
        let candidates: Vec<&str> =
            if group.is_empty() { FIELDS.iter().map(|row| row.name).collect() } else { group.clone() };
        let meant = nearest(&full, candidates.iter().copied());
        let error = match meant {
            Some(meant) => {
                let alone = is_nearest_alone(&full, meant, candidates.iter().copied());
                error.help(format!("did you mean `{meant}`?")).replace_if(alone, span, meant)
            }
            None if !group.is_empty() => error.help(format!("the fields of `{root}` are {}", group.join(", "))),
            None => {
                let groups = FIELDS.iter().filter_map(|row| row.name.split('.').next());
                match nearest(root, groups.clone()) {
                    Some(group) => error
                        .help(format!("did you mean `{group}`? its fields are {}", in_group(group).join(", ")))
                        .replace_if(is_nearest_alone(root, group, groups), root_span, group),
                    None => error.help("fields are listed in docs/language.md"),
                }
            }
        };
        self.refuse(error)
    }

    fn index(&mut self, operand: Expr, key: Expr, span: Range<usize>) -> Checked {
        let ty = match &operand.ty {
            Type::List(element) => {
                if !matches!(key.ty, Type::Int | Type::Dyn) {
                    let message = format!("a list's index is an int, not {}", type_name(&key.ty));
                    self.mismatch(key.span.clone(), message, "for membership write `value in list`")?;
                }
                element.as_ref().clone()
            }
            Type::Map(keys, value) => {
                if !comparable(keys, &key.ty) {
                    let message = format!("the map's keys are {}, not {}", type_name(keys), type_name(&key.ty));
                    self.mismatch(key.span.clone(), message, "use a key of the map's type")?;
                }
                value.as_ref().clone()
            }
            Type::Dyn => Type::Dyn,
            other => {
                let message = format!("{} has no elements", type_name(other));
                self.mismatch(operand.span.clone(), message, "only lists and maps are indexed")?;
                Type::Dyn
            }
        };
        if let (ExprKind::Field(Field::HttpHeaders | Field::ResponseHeaders), ExprKind::Str(name)) =
            (&operand.kind, &key.kind)
            && name.bytes().any(|byte| byte.is_ascii_uppercase())
        {
            let lower = name.to_ascii_lowercase();
            let message = format!("header names are lower case, so {} is never there", quoted(name));
            let error = CelError::new(codes::WRONG_TYPE, key.span.clone(), message).help(format!("write `{lower}`"));
            let quoted_key = matches!(span.end.checked_sub(key.span.end), Some(1..));
            return self.refuse(if quoted_key {
                error.replace(key.span, format!("\"{lower}\""))
            } else {
                error.replace(key.span, lower)
            });
        }
        Some(Expr { kind: ExprKind::Index(Box::new(operand), Box::new(key)), ty, span })
    }

    fn call(&mut self, receiver: Option<&Ast>, name: &Word, arguments: &[Ast], span: Range<usize>) -> Checked {
        if name.text == "has" && receiver.is_none() {
            return self.has(arguments, span, name);
        }
        if let (Some(receiver), Some((_, kind))) =
            (receiver, MACROS.iter().find(|(macro_name, _)| *macro_name == name.text))
        {
            return self.macro_call(*kind, receiver, name, arguments, span);
        }
        let Some(row) = FUNCTIONS.iter().find(|row| row.name == name.text) else {
            return self.unknown_function(receiver, name, span);
        };
        if if receiver.is_some() { !row.method } else { !row.global } {
            let form =
                if row.method { format!("value.{}(...)", row.name) } else { format!("{}(value, ...)", row.name) };
            return self.refuse(
                CelError::new(
                    codes::UNKNOWN_FUNCTION,
                    name.span.clone(),
                    format!("`{}` is not called this way", row.name),
                )
                .help(format!("write `{form}`")),
            );
        }
        let checked: Vec<Checked> =
            receiver.into_iter().chain(arguments).map(|argument| self.check(argument)).collect();
        let arguments: Vec<Expr> = checked.into_iter().collect::<Option<_>>()?;
        if arguments.len() != row.arity {
            let extra = usize::from(receiver.is_some());
            let message = format!(
                "`{}` takes {} {}, not {}",
                row.name,
                row.arity - extra,
                if row.arity - extra == 1 { "argument" } else { "arguments" },
                arguments.len() - extra
            );
            return self.refuse(
                CelError::new(codes::ARGUMENTS, span, message).help("see the table of functions in docs/language.md"),
            );
        }
        self.apply(row, arguments, span)
    }

    fn apply(&mut self, row: &FunctionRow, arguments: Vec<Expr>, span: Range<usize>) -> Checked {
        let wanted = |at: usize| match row.function {
            Function::Size => "a string, a list or a map",
            _ if at == 0 => "a string",
            _ => "a string as its argument",
        };
        for (at, argument) in arguments.iter().enumerate() {
            let fits = match row.function {
                Function::Size => is_text(&argument.ty) || matches!(argument.ty, Type::List(_) | Type::Map(..)),
                _ => is_text(&argument.ty),
            };
            if !fits {
                let message = format!("`{}` takes {}, not {}", row.name, wanted(at), type_name(&argument.ty));
                let help = match argument.ty {
                    Type::List(_) => "test the elements with `exists` or `all`, or membership with `in`",
                    _ => "see the table of functions in docs/language.md",
                };
                self.mismatch(argument.span.clone(), message, help)?;
            }
        }
        let mut arguments = arguments;
        if let (Function::Matches | Function::InCidr | Function::HostMatches, Some(literal)) =
            (row.function, arguments.last_mut())
        {
            let ExprKind::Str(text) = &literal.kind else {
                let message = format!("the second operand of `{}` must be a string literal", row.name);
                let error = CelError::new(codes::NOT_LITERAL, literal.span.clone(), message);
                return self
                    .refuse(error.help("it is compiled ahead of time; write one call for each, joined with `||`"));
            };
            let problem = match row.function {
                Function::Matches => literal::pattern(text, &literal.span),
                Function::InCidr => literal::network(text, &literal.span),
                _ => literal::host_pattern(text, &literal.span),
            };
            if let Err(error) = problem {
                return self.refuse(error);
            }
        }
        let ty = match row.function {
            Function::Size => Type::Int,
            Function::LowerAscii | Function::UpperAscii => Type::String,
            Function::StartsWith
            | Function::EndsWith
            | Function::Contains
            | Function::Matches
            | Function::InCidr
            | Function::HostMatches => Type::Bool,
        };
        Some(Expr { kind: ExprKind::Call(row.function, arguments), ty, span })
    }

    fn unknown_function(&mut self, receiver: Option<&Ast>, name: &Word, span: Range<usize>) -> Checked {
        if let Some((_, instead)) = LEFT_OUT
            .iter()
            .find(|(left_out, _)| *left_out == name.text)
            .or_else(|| LEFT_OUT.iter().find(|_| name.text.starts_with("get") && receiver.is_some()))
        {
            let instead = if name.text.starts_with("get") { "conditions do not read the clock" } else { instead };
            let message = format!("`{}` is not part of the language", name.text);
            let error = CelError::new(codes::NOT_IN_LANGUAGE, name.span.clone(), message).help(instead);
            return self.refuse(error.replace_if(name.text == "existsOne", name.span.clone(), "exists_one"));
        }
        if self.env.lenient.is_some() {
            return Some(Expr { kind: ExprKind::Free(format!("{}()", name.text)), ty: Type::Dyn, span });
        }
        let mut error = CelError::new(
            codes::UNKNOWN_FUNCTION,
            name.span.clone(),
            format!("there is no function {}", quoted(&name.text)),
        );
        let candidates =
            FUNCTIONS.iter().map(|row| row.name).chain(MACROS.iter().map(|(name, _)| *name)).chain(["has"]);
        error = match nearest(&name.text, candidates.clone()) {
            Some(meant) => {
                let alone = is_nearest_alone(&name.text, meant, candidates);
                error.help(format!("did you mean `{meant}`?")).replace_if(alone, name.span.clone(), meant)
            }
            None => {
                let all: Vec<&str> = FUNCTIONS.iter().map(|row| row.name).collect();
                error
                    .help(format!("the functions are {}, has, all, exists, exists_one, filter and map", all.join(", ")))
            }
        };
        self.refuse(error)
    }

    fn has(&mut self, arguments: &[Ast], span: Range<usize>, name: &Word) -> Checked {
        let [Ast { kind: AstKind::Select(operand, key), .. }] = arguments else {
            let message = "`has` takes one entry of a map".to_owned();
            return self.refuse(
                CelError::new(codes::ARGUMENTS, name.span.start..span.end, message)
                    .help("write `has(http.headers.accept)`, or `\"x-y\" in http.headers` for a name with a dash"),
            );
        };
        if let AstKind::Name(root) = &operand.kind
            && self.env.lenient.is_none()
            && !self.is_bound(root)
        {
            let checked = self.field(root, key, span.clone(), operand.span.clone())?;
            let message = "a field is always there; `has` is for entries of a map".to_owned();
            let help = match checked.ty {
                Type::NullableString => "write `http.body != null`",
                _ => "leave the guard out",
            };
            return self.refuse(CelError::new(codes::ARGUMENTS, span, message).help(help));
        }
        let operand = self.check(operand)?;
        if !matches!(operand.ty, Type::Map(..) | Type::Dyn) {
            let message = format!("`has` looks into a map, not into {}", type_name(&operand.ty));
            self.mismatch(operand.span.clone(), message, "write `has(http.headers.accept)`")?;
        }
        // The same check of header names as for the access itself.
        let lookup = Expr { kind: ExprKind::Str(key.text.clone()), ty: Type::String, span: key.span.clone() };
        self.index(operand.clone(), lookup, span.clone())?;
        Some(Expr { kind: ExprKind::Has(Box::new(operand), key.text.clone()), ty: Type::Bool, span })
    }

    fn macro_call(
        &mut self,
        kind: MacroKind,
        receiver: &Ast,
        name: &Word,
        arguments: &[Ast],
        span: Range<usize>,
    ) -> Checked {
        let range = self.check(receiver);
        let (variable, filter, body) = match (kind, arguments) {
            (_, [variable, body]) => (variable, None, body),
            (MacroKind::Map, [variable, filter, body]) => (variable, Some(filter), body),
            _ => {
                let message = format!("`{}` takes a variable and an expression", name.text);
                return self.refuse(
                    CelError::new(codes::ARGUMENTS, span, message)
                        .help(format!("write `list.{}(x, x == \"a\")`", name.text)),
                );
            }
        };
        let AstKind::Name(variable_name) = &variable.kind else {
            let message = format!("the first argument of `{}` is the name of a variable", name.text);
            return self.refuse(
                CelError::new(codes::ARGUMENTS, variable.span.clone(), message)
                    .help(format!("write `list.{}(x, x == \"a\")`", name.text)),
            );
        };
        let range = range?;
        if !matches!(range.ty, Type::List(_) | Type::Map(..) | Type::Dyn) {
            let message =
                format!("`{}` runs over a list or a map's keys, not over {}", name.text, type_name(&range.ty));
            self.mismatch(range.span.clone(), message, "use `contains` or `matches` for strings")?;
        }
        let element = match &range.ty {
            Type::List(element) => element.as_ref().clone(),
            Type::Map(key, _) => key.as_ref().clone(),
            _ => Type::Dyn,
        };
        self.scope.push((variable_name.clone(), element));
        let (filter, body) = (
            filter.map(|filter| self.boolean(filter)),
            match kind {
                MacroKind::Map => self.check(body),
                _ => self.boolean(body),
            },
        );
        self.scope.pop();
        let filter = match filter {
            Some(filter) => Some(Box::new(filter?)),
            None => None,
        };
        let body = body?;
        let ty = match (kind, &range.ty) {
            (MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne, _) => Type::Bool,
            (MacroKind::Filter, Type::Map(key, _)) => Type::List(key.clone()),
            (MacroKind::Filter, ty) => ty.clone(),
            (MacroKind::Map, _) => Type::List(Box::new(body.ty.clone())),
        };
        let kind = ExprKind::Macro { kind, range: Box::new(range), filter, body: Box::new(body) };
        Some(Expr { kind, ty, span })
    }
}
