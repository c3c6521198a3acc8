//! Residual expressions: what is not a test of a single field. Written, checked and evaluated here; total and bounded.

use std::borrow::Cow;
use std::net::IpAddr;

use super::ArtifactError;
use super::image::Image;
use super::item::kind;
use super::writer::{AutomatonRef, ExprRef, Writer, len32, push_wide};
use crate::facts::{Fact, Facts, FieldValue, Headers};
use crate::field::Field;

/// How many steps one evaluation may take. A condition over lists of ordinary length takes a few dozen; nested macros over
/// lists that an agent made huge reach the bound and are then refused.
pub const STEP_LIMIT: u32 = 1 << 20;

/// How many levels an expression may have. The language allows 64 in what people write; checking adds a few.
pub const DEPTH_LIMIT: u16 = 200;

macro_rules! operators {
    ($($name:ident = $code:literal, $arity:expr;)*) => {
        /// The operators. `EXPR` items are: operator, count of words, words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Op { $(
            #[doc = stringify!($name)]
            $name = $code,
        )* }

        impl Op {
            fn from_code(code: u32) -> Option<Op> {
                match code { $($code => Some(Op::$name),)* _ => None }
            }

            /// How many operands it takes; `None` for any number.
            fn arity(self) -> Option<u32> {
                match self { $(Op::$name => $arity,)* }
            }
        }
    };
}

operators! {
    Null = 1, Some(0);
    True = 2, Some(0);
    False = 3, Some(0);
    List = 4, None;
    Map = 5, None;
    Index = 6, Some(2);
    Has = 7, Some(2);
    Not = 8, Some(1);
    Negate = 9, Some(1);
    And = 10, None;
    Or = 11, None;
    Conditional = 12, Some(3);
    Eq = 13, Some(2);
    Ne = 14, Some(2);
    Lt = 15, Some(2);
    Le = 16, Some(2);
    Gt = 17, Some(2);
    Ge = 18, Some(2);
    Add = 19, Some(2);
    Sub = 20, Some(2);
    Mul = 21, Some(2);
    Div = 22, Some(2);
    Rem = 23, Some(2);
    In = 24, Some(2);
    Size = 25, Some(1);
    StartsWith = 26, Some(2);
    EndsWith = 27, Some(2);
    Contains = 28, Some(2);
    LowerAscii = 29, Some(1);
    UpperAscii = 30, Some(1);
    HostMatches = 31, Some(2);
    All = 32, Some(2);
    Exists = 33, Some(2);
    ExistsOne = 34, Some(2);
    Filter = 35, Some(2);
    Transform = 36, Some(2);
    FilterTransform = 37, Some(3);
    // Operands that are not expressions.
    Int = 50, Some(2);
    Text = 51, Some(1);
    Field = 52, Some(1);
    Bound = 53, Some(1);
    Matches = 54, Some(2);
    InCidr = 55, Some(6);
}

impl Op {
    /// Which of the words are expressions: all, none, or only the first.
    fn operands(self, words: u32) -> u32 {
        match self {
            Op::Int | Op::Text | Op::Field | Op::Bound => 0,
            Op::Matches | Op::InCidr => 1,
            _ => words,
        }
    }
}

impl Writer {
    fn expr_item(&mut self, op: Op, words: &[u32]) -> ExprRef {
        let mut item = vec![kind::EXPR, op as u32, len32(words.len())];
        item.extend_from_slice(words);
        ExprRef(self.item(item))
    }

    /// An operator whose operands are all expressions.
    pub fn expr(&mut self, op: Op, operands: &[ExprRef]) -> ExprRef {
        let words: Vec<u32> = operands.iter().map(|operand| operand.0).collect();
        self.expr_item(op, &words)
    }

    /// An integer.
    pub fn expr_int(&mut self, value: i64) -> ExprRef {
        let mut words = Vec::new();
        push_wide(&mut words, value as u64 as u128, 2);
        self.expr_item(Op::Int, &words)
    }

    /// A string.
    pub fn expr_text(&mut self, text: &str) -> ExprRef {
        let text = self.text(text);
        self.expr_item(Op::Text, &[text])
    }

    /// A field.
    pub fn expr_field(&mut self, field: Field) -> ExprRef {
        self.expr_item(Op::Field, &[field as u32])
    }

    /// A variable of an enclosing macro, 0 being the innermost.
    pub fn expr_bound(&mut self, index: u32) -> ExprRef {
        self.expr_item(Op::Bound, &[index])
    }

    /// Whether a string is in class 1 of an automaton.
    pub fn expr_matches(&mut self, operand: ExprRef, automaton: AutomatonRef) -> ExprRef {
        self.expr_item(Op::Matches, &[operand.0, automaton.0])
    }

    /// Whether a string is an address in a network.
    pub fn expr_in_cidr(&mut self, operand: ExprRef, network: IpAddr, prefix: u8) -> ExprRef {
        let (bits, family) = match network {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 4 << 8),
            IpAddr::V6(v6) => (v6.to_bits(), 6 << 8),
        };
        let mut words = vec![operand.0, family | u32::from(prefix)];
        push_wide(&mut words, bits, 4);
        self.expr_item(Op::InCidr, &words)
    }
}

/// Checks one `EXPR` item. `depth` gives the depth of an item of this kind before it.
pub(super) fn check(
    image: &Image,
    at: u32,
    mut item: impl FnMut(u32, u32) -> Result<u16, ArtifactError>,
) -> Result<(u32, u16), ArtifactError> {
    let invalid = ArtifactError::Invalid("an expression has a wrong operator or operand");
    let op = Op::from_code(image.word(at + 1)).ok_or(invalid.clone())?;
    let words = image.word(at + 2);
    if op.arity().is_some_and(|arity| arity != words) || (op == Op::Map && !words.is_multiple_of(2)) {
        return Err(invalid);
    }
    let end = at.checked_add(3).and_then(|start| start.checked_add(words)).ok_or(ArtifactError::Length)?;
    if end > image.len() {
        return Err(ArtifactError::Length);
    }
    let mut depth = 0;
    for operand in 0..op.operands(words) {
        depth = depth.max(item(image.word(at + 3 + operand), kind::EXPR)?);
    }
    match op {
        Op::Text => drop(item(image.word(at + 3), kind::TEXT)?),
        Op::Field => {
            u8::try_from(image.word(at + 3)).ok().and_then(Field::from_number).ok_or(invalid)?;
        }
        Op::Matches => drop(item(image.word(at + 4), kind::DFA)?),
        Op::InCidr => {
            let longest = match image.word(at + 4) >> 8 {
                4 => 32,
                6 => 128,
                _ => return Err(invalid),
            };
            if image.word(at + 4) & 0xff > longest {
                return Err(invalid);
            }
        }
        _ => {}
    }
    if depth >= DEPTH_LIMIT {
        return Err(ArtifactError::Invalid("an expression is nested too deeply"));
    }
    Ok((end - at, depth + 1))
}

/// A value of the condition language.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A string.
    Str(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// A list of strings of the request.
    Strings(&'a [String]),
    /// A map, in the order it was written.
    Map(Vec<(Value<'a>, Value<'a>)>),
    /// Headers.
    Headers(&'a Headers),
    /// A JSON object.
    Json(&'a serde_json::Map<String, serde_json::Value>),
    /// A number with a fraction, or too large for an integer, from `run.context`. Equal only to the same number; nothing
    /// else can be done with it.
    Number(f64),
}

/// Evaluates an expression that was just written, and hands its value on.
///
/// # Errors
/// [`Stop`] when it has none.
pub fn evaluate<T>(
    writer: Writer,
    root: ExprRef,
    facts: &Facts<'_>,
    take: impl FnOnce(Value<'_>) -> T,
) -> Result<T, Stop> {
    let image = Image::unchecked(writer);
    let mut evaluator = Evaluator::new(&image, facts);
    evaluator.value(root.0).map(take)
}

/// Why there is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// A runtime error of CEL, or a field that the layer does not know.
    Unknown,
    /// A field that is not known yet.
    Pending,
}

/// A set of truth values: what a boolean may turn out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Truth(u8);

impl Truth {
    pub(super) const FALSE: Truth = Truth(1);
    pub(super) const TRUE: Truth = Truth(2);
    pub(super) const UNKNOWN: Truth = Truth(4);
    pub(super) const FALSE_OR_TRUE: Truth = Truth(3);
    pub(super) const ANY: Truth = Truth(7);

    const fn of(value: bool) -> Truth {
        if value { Truth::TRUE } else { Truth::FALSE }
    }

    pub(super) const fn has(self, other: Truth) -> bool {
        self.0 & other.0 != 0
    }

    const fn either(self, other: Truth) -> Truth {
        Truth(self.0 | other.0)
    }

    const fn not(self) -> Truth {
        Truth((self.0 & 1) << 1 | (self.0 & 2) >> 1 | self.0 & 4)
    }

    /// Conjunction that absorbs errors, for every pair of possibilities.
    pub(super) const fn and(self, other: Truth) -> Truth {
        let mut result = 0;
        if self.has(Truth::FALSE) || other.has(Truth::FALSE) {
            result |= 1;
        }
        if self.has(Truth::TRUE) && other.has(Truth::TRUE) {
            result |= 2;
        }
        if (self.has(Truth::UNKNOWN) && other.0 & 6 != 0) || (other.has(Truth::UNKNOWN) && self.0 & 6 != 0) {
            result |= 4;
        }
        Truth(result)
    }

    pub(super) const fn or(self, other: Truth) -> Truth {
        self.not().and(other.not()).not()
    }
}

/// Evaluates expressions over the facts of one request.
pub(super) struct Evaluator<'a> {
    image: &'a Image,
    facts: &'a Facts<'a>,
    bound: Vec<Value<'a>>,
    steps: u32,
}

type Evaluated<'a> = Result<Value<'a>, Stop>;

impl<'a> Evaluator<'a> {
    pub(super) fn new(image: &'a Image, facts: &'a Facts<'a>) -> Evaluator<'a> {
        Evaluator { image, facts, bound: Vec::new(), steps: 0 }
    }

    /// Whether an evaluation was given up on.
    pub(super) fn exhausted(&self) -> bool {
        self.steps >= STEP_LIMIT
    }

    fn operand(&self, at: u32, number: u32) -> u32 {
        self.image.word(at + 3 + number)
    }

    /// A boolean expression's possible truth values.
    pub(super) fn truth(&mut self, at: u32) -> Truth {
        match Op::from_code(self.image.word(at + 1)) {
            Some(Op::Not) => self.truth(self.operand(at, 0)).not(),
            Some(Op::And) => self.fold(at, Truth::TRUE, Truth::and, Truth::FALSE),
            Some(Op::Or) => self.fold(at, Truth::FALSE, Truth::or, Truth::TRUE),
            Some(Op::Conditional) => {
                let condition = self.truth(self.operand(at, 0));
                let mut result = Truth(condition.0 & 4);
                for (branch, taken) in [(1, Truth::TRUE), (2, Truth::FALSE)] {
                    if condition.has(taken) {
                        result = result.either(self.truth(self.operand(at, branch)));
                    }
                }
                result
            }
            Some(op @ (Op::All | Op::Exists | Op::ExistsOne)) => self.quantified(at, op),
            _ => match self.value(at) {
                Ok(Value::Bool(value)) => Truth::of(value),
                Ok(_) | Err(Stop::Unknown) => Truth::UNKNOWN,
                Err(Stop::Pending) => Truth::ANY,
            },
        }
    }

    fn fold(&mut self, at: u32, unit: Truth, join: fn(Truth, Truth) -> Truth, absorbing: Truth) -> Truth {
        let mut result = unit;
        for number in 0..self.image.word(at + 2) {
            result = join(result, self.truth(self.operand(at, number)));
            if result == absorbing {
                break;
            }
        }
        result
    }

    fn quantified(&mut self, at: u32, op: Op) -> Truth {
        let elements = match self.elements(self.operand(at, 0)) {
            Ok(elements) => elements,
            Err(Stop::Unknown) => return Truth::UNKNOWN,
            Err(Stop::Pending) => return Truth::ANY,
        };
        let body = self.operand(at, 1);
        let mut result = if op == Op::All { Truth::TRUE } else { Truth::FALSE };
        let (mut sure, mut possible, mut unknown, mut undecided) = (0u32, 0u32, false, false);
        for element in elements {
            self.bound.push(element);
            let truth = self.truth(body);
            self.bound.pop();
            match op {
                Op::All => result = result.and(truth),
                Op::Exists => result = result.or(truth),
                _ => {
                    sure += u32::from(truth == Truth::TRUE);
                    possible += u32::from(truth.has(Truth::TRUE));
                    unknown |= truth == Truth::UNKNOWN;
                    undecided |= !matches!(truth, Truth::TRUE | Truth::FALSE | Truth::UNKNOWN);
                }
            }
            if self.exhausted() {
                return Truth::UNKNOWN;
            }
        }
        match op {
            Op::All | Op::Exists => result,
            _ if unknown => Truth::UNKNOWN,
            _ if undecided => Truth::ANY,
            _ => Truth::of(sure == 1 && possible == 1),
        }
    }

    /// The elements of a list, or the keys of a map.
    fn elements(&mut self, at: u32) -> Result<Vec<Value<'a>>, Stop> {
        match self.value(at)? {
            Value::List(elements) => Ok(elements),
            Value::Strings(strings) => Ok(strings.iter().map(|text| Value::Str(text.as_str().into())).collect()),
            Value::Map(entries) => Ok(entries.into_iter().map(|(key, _)| key).collect()),
            Value::Headers(headers) => Ok(headers.iter().map(|(name, _)| Value::Str(name.into())).collect()),
            Value::Json(object) => Ok(object.keys().map(|key| Value::Str(key.as_str().into())).collect()),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Str(_) | Value::Number(_) => Err(Stop::Unknown),
        }
    }

    /// An expression's value.
    pub(super) fn value(&mut self, at: u32) -> Evaluated<'a> {
        self.steps += 1;
        if self.exhausted() {
            return Err(Stop::Unknown);
        }
        let Some(op) = Op::from_code(self.image.word(at + 1)) else { return Err(Stop::Unknown) };
        match op {
            Op::Null => Ok(Value::Null),
            Op::True => Ok(Value::Bool(true)),
            Op::False => Ok(Value::Bool(false)),
            Op::Int => Ok(Value::Int(self.image.long(at + 3) as i64)),
            Op::Text => {
                let text = self.operand(at, 0);
                Ok(Value::Str(self.image.text(text + 2, self.image.word(text + 1)).into()))
            }
            Op::Field => self.field(self.operand(at, 0)),
            Op::Bound => {
                let depth = self.operand(at, 0) as usize;
                self.bound.iter().rev().nth(depth).cloned().ok_or(Stop::Unknown)
            }
            Op::List => {
                let mut elements = Vec::new();
                for number in 0..self.image.word(at + 2) {
                    elements.push(self.value(self.operand(at, number))?);
                }
                Ok(Value::List(elements))
            }
            Op::Map => self.map_literal(at),
            Op::Not | Op::And | Op::Or | Op::All | Op::Exists | Op::ExistsOne => self.boolean(at),
            Op::Conditional => match self.truth(self.operand(at, 0)) {
                Truth::TRUE => self.value(self.operand(at, 1)),
                Truth::FALSE => self.value(self.operand(at, 2)),
                Truth::UNKNOWN => Err(Stop::Unknown),
                _ => Err(Stop::Pending),
            },
            Op::Eq => self.two(at).map(|(left, right)| Value::Bool(equal(&left, &right))),
            Op::Ne => self.two(at).map(|(left, right)| Value::Bool(!equal(&left, &right))),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => {
                let (left, right) = self.two(at)?;
                let order = match (&left, &right) {
                    (Value::Int(left), Value::Int(right)) => left.cmp(right),
                    (Value::Str(left), Value::Str(right)) => left.cmp(right),
                    (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
                    _ => return Err(Stop::Unknown),
                };
                Ok(Value::Bool(match op {
                    Op::Lt => order.is_lt(),
                    Op::Le => order.is_le(),
                    Op::Gt => order.is_gt(),
                    _ => order.is_ge(),
                }))
            }
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Rem => {
                let (left, right) = self.two(at)?;
                self.arithmetic(op, left, right)
            }
            Op::Negate => match self.value(self.operand(at, 0))? {
                Value::Int(value) => value.checked_neg().map(Value::Int).ok_or(Stop::Unknown),
                _ => Err(Stop::Unknown),
            },
            Op::Index => self.two(at).and_then(|(container, key)| index(container, &key)),
            Op::Has => match self.two(at)? {
                (container @ (Value::Map(_) | Value::Headers(_) | Value::Json(_)), key) => {
                    Ok(Value::Bool(index(container, &key).is_ok()))
                }
                _ => Err(Stop::Unknown),
            },
            Op::In => match self.two(at)? {
                (key, container @ (Value::Map(_) | Value::Headers(_) | Value::Json(_))) => {
                    Ok(Value::Bool(index(container, &key).is_ok()))
                }
                (needle, Value::List(elements)) => {
                    self.steps = self.steps.saturating_add(len32(elements.len()));
                    Ok(Value::Bool(elements.iter().any(|element| equal(element, &needle))))
                }
                (needle, Value::Strings(strings)) => {
                    self.steps = self.steps.saturating_add(len32(strings.len()));
                    Ok(Value::Bool(matches!(needle, Value::Str(text) if strings.iter().any(|other| *other == *text))))
                }
                _ => Err(Stop::Unknown),
            },
            Op::Size => {
                let size = match self.value(self.operand(at, 0))? {
                    Value::Str(text) => text.chars().count(),
                    Value::List(elements) => elements.len(),
                    Value::Strings(strings) => strings.len(),
                    Value::Map(entries) => entries.len(),
                    Value::Headers(headers) => headers.iter().len(),
                    Value::Json(object) => object.len(),
                    Value::Null | Value::Bool(_) | Value::Int(_) | Value::Number(_) => return Err(Stop::Unknown),
                };
                i64::try_from(size).map(Value::Int).map_err(|_| Stop::Unknown)
            }
            Op::StartsWith => self.texts(at, |text, other| text.starts_with(other)),
            Op::EndsWith => self.texts(at, |text, other| text.ends_with(other)),
            Op::Contains => self.texts(at, |text, other| text.contains(other)),
            Op::HostMatches => self.texts(at, host_matches),
            Op::LowerAscii => self.text(self.operand(at, 0)).map(|text| Value::Str(text.to_ascii_lowercase().into())),
            Op::UpperAscii => self.text(self.operand(at, 0)).map(|text| Value::Str(text.to_ascii_uppercase().into())),
            Op::Matches => {
                let text = self.text(self.operand(at, 0))?;
                Ok(Value::Bool(super::automaton::classify(self.image, self.operand(at, 1), &text) == 1))
            }
            Op::InCidr => {
                let text = self.text(self.operand(at, 0))?;
                Ok(Value::Bool(self.in_cidr(at, &text)))
            }
            Op::Filter | Op::Transform | Op::FilterTransform => self.mapped(at, op),
        }
    }

    fn boolean(&mut self, at: u32) -> Evaluated<'a> {
        match self.truth(at) {
            Truth::TRUE => Ok(Value::Bool(true)),
            Truth::FALSE => Ok(Value::Bool(false)),
            Truth::UNKNOWN => Err(Stop::Unknown),
            _ => Err(Stop::Pending),
        }
    }

    fn two(&mut self, at: u32) -> Result<(Value<'a>, Value<'a>), Stop> {
        let (left, right) = (self.value(self.operand(at, 0)), self.value(self.operand(at, 1)));
        // An error wins over what is pending: whatever that turns out to be, there will be no value.
        match (left, right) {
            (Ok(left), Ok(right)) => Ok((left, right)),
            (Err(Stop::Unknown), _) | (_, Err(Stop::Unknown)) => Err(Stop::Unknown),
            _ => Err(Stop::Pending),
        }
    }

    fn text(&mut self, at: u32) -> Result<Cow<'a, str>, Stop> {
        match self.value(at)? {
            Value::Str(text) => Ok(text),
            _ => Err(Stop::Unknown),
        }
    }

    fn texts(&mut self, at: u32, test: fn(&str, &str) -> bool) -> Evaluated<'a> {
        match self.two(at)? {
            (Value::Str(text), Value::Str(other)) => Ok(Value::Bool(test(&text, &other))),
            _ => Err(Stop::Unknown),
        }
    }

    fn field(&self, number: u32) -> Evaluated<'a> {
        let field = u8::try_from(number).ok().and_then(Field::from_number).ok_or(Stop::Unknown)?;
        match self.facts.fact(field) {
            Fact::Unknown => Err(Stop::Unknown),
            Fact::Pending => Err(Stop::Pending),
            Fact::Known(value) => Ok(match value {
                FieldValue::Str(text) => Value::Str(text.into()),
                FieldValue::Ip(address) => Value::Str(address.to_string().into()),
                FieldValue::Int(value) => Value::Int(value),
                FieldValue::Null => Value::Null,
                FieldValue::List(strings) => Value::Strings(strings),
                FieldValue::Headers(headers) => Value::Headers(headers),
                FieldValue::Json(object) => Value::Json(object),
            }),
        }
    }

    fn map_literal(&mut self, at: u32) -> Evaluated<'a> {
        let mut entries: Vec<(Value<'a>, Value<'a>)> = Vec::new();
        for pair in 0..self.image.word(at + 2) / 2 {
            let (key, value) = (self.value(self.operand(at, pair * 2))?, self.value(self.operand(at, pair * 2 + 1))?);
            let is_key = matches!(key, Value::Bool(_) | Value::Int(_) | Value::Str(_));
            if !is_key || entries.iter().any(|(other, _)| equal(other, &key)) {
                return Err(Stop::Unknown);
            }
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }

    fn mapped(&mut self, at: u32, op: Op) -> Evaluated<'a> {
        let elements = self.elements(self.operand(at, 0))?;
        let mut results = Vec::new();
        for element in elements {
            if self.exhausted() {
                return Err(Stop::Unknown);
            }
            self.bound.push(element.clone());
            let kept = match op {
                Op::Transform => Ok(Value::Bool(true)),
                _ => self.boolean_of(self.operand(at, 1)),
            };
            let result = match (kept, op) {
                (Ok(Value::Bool(false)), _) => Ok(None),
                (Ok(Value::Bool(true)), Op::Filter) => Ok(Some(element)),
                (Ok(Value::Bool(true)), Op::Transform) => self.value(self.operand(at, 1)).map(Some),
                (Ok(Value::Bool(true)), _) => self.value(self.operand(at, 2)).map(Some),
                (Ok(_), _) => Err(Stop::Unknown),
                (Err(stop), _) => Err(stop),
            };
            self.bound.pop();
            results.extend(result?);
        }
        Ok(Value::List(results))
    }

    fn boolean_of(&mut self, at: u32) -> Evaluated<'a> {
        self.boolean(at)
    }

    fn arithmetic(&mut self, op: Op, left: Value<'a>, right: Value<'a>) -> Evaluated<'a> {
        match (left, right) {
            (Value::Int(left), Value::Int(right)) => match op {
                Op::Add => left.checked_add(right),
                Op::Sub => left.checked_sub(right),
                Op::Mul => left.checked_mul(right),
                Op::Div => left.checked_div(right),
                _ => left.checked_rem(right),
            }
            .map(Value::Int)
            .ok_or(Stop::Unknown),
            (Value::Str(left), Value::Str(right)) if op == Op::Add => {
                // Long results cost steps, so that a macro cannot grow a string without bound.
                self.steps = self.steps.saturating_add(len32((left.len() + right.len()) / 64));
                Ok(Value::Str((left.into_owned() + &right).into()))
            }
            (left, right) if op == Op::Add => {
                let (Some(mut left), Some(right)) = (list_elements(left), list_elements(right)) else {
                    return Err(Stop::Unknown);
                };
                self.steps = self.steps.saturating_add(len32(left.len() + right.len()));
                left.extend(right);
                Ok(Value::List(left))
            }
            _ => Err(Stop::Unknown),
        }
    }

    fn in_cidr(&self, at: u32, text: &str) -> bool {
        let (family, prefix) = (self.operand(at, 1) >> 8, self.operand(at, 1) & 0xff);
        let network = self.image.wide(at + 5);
        let Some(address) = canonical_address(text) else { return false };
        let (address, bits) = match address {
            IpAddr::V4(v4) if family == 4 => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) if family == 6 => (v6.to_bits(), 128),
            _ => return false,
        };
        let shift = bits - prefix.min(bits);
        shift == 128 || address >> shift == network >> shift
    }
}

/// The address that `text` is the canonical form of (RFC 5952 for IPv6).
pub fn canonical_address(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| address.to_string() == text)
}

/// Whether a host lies under `*.suffix` (exactly one more label) or `**.suffix` (one or more), or is the host.
pub fn host_matches(host: &str, pattern: &str) -> bool {
    let under = |suffix: &str| {
        host.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.')).filter(|rest| !rest.is_empty())
    };
    if let Some(suffix) = pattern.strip_prefix("**.") {
        under(suffix).is_some()
    } else if let Some(suffix) = pattern.strip_prefix("*.") {
        under(suffix).is_some_and(|rest| !rest.contains('.'))
    } else {
        host == pattern
    }
}

fn list_elements(value: Value<'_>) -> Option<Vec<Value<'_>>> {
    match value {
        Value::List(elements) => Some(elements),
        Value::Strings(strings) => Some(strings.iter().map(|text| Value::Str(text.as_str().into())).collect()),
        _ => None,
    }
}

fn index<'a>(container: Value<'a>, key: &Value<'a>) -> Evaluated<'a> {
    match (container, key) {
        (Value::List(mut elements), Value::Int(index)) => match usize::try_from(*index) {
            Ok(index) if index < elements.len() => Ok(elements.swap_remove(index)),
            _ => Err(Stop::Unknown),
        },
        (Value::Strings(strings), Value::Int(index)) => usize::try_from(*index)
            .ok()
            .and_then(|index| strings.get(index))
            .map(|text| Value::Str(text.as_str().into()))
            .ok_or(Stop::Unknown),
        (Value::Map(entries), key) => {
            entries.into_iter().find(|(other, _)| equal(other, key)).map(|(_, value)| value).ok_or(Stop::Unknown)
        }
        (Value::Headers(headers), Value::Str(name)) => {
            headers.get(name).map(|value| Value::Str(value.into())).ok_or(Stop::Unknown)
        }
        (Value::Json(object), Value::Str(name)) => object.get(name.as_ref()).map(from_json).ok_or(Stop::Unknown),
        _ => Err(Stop::Unknown),
    }
}

/// JSON as a value of the language.
pub fn from_json(json: &serde_json::Value) -> Value<'_> {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(value) => Value::Int(value),
            None => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(text) => Value::Str(text.as_str().into()),
        serde_json::Value::Array(elements) => Value::List(elements.iter().map(from_json).collect()),
        serde_json::Value::Object(object) => Value::Json(object),
    }
}

/// Equality across types is false, not an error (CEL, "Equality").
pub fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Bool(left), Value::Bool(right)) => left == right,
        (Value::Int(left), Value::Int(right)) => left == right,
        (Value::Number(left), Value::Number(right)) => left == right,
        (Value::Int(int), Value::Number(number)) | (Value::Number(number), Value::Int(int)) => {
            number.fract() == 0.0 && *number == *int as f64
        }
        (Value::Str(left), Value::Str(right)) => left == right,
        (Value::List(_) | Value::Strings(_), Value::List(_) | Value::Strings(_)) => {
            match (list_elements(left.clone()), list_elements(right.clone())) {
                (Some(left), Some(right)) => {
                    left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| equal(left, right))
                }
                _ => false,
            }
        }
        (Value::Map(_) | Value::Headers(_) | Value::Json(_), Value::Map(_) | Value::Headers(_) | Value::Json(_)) => {
            let (left, right) = (entries(left), entries(right));
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.iter().any(|(other, found)| equal(key, other) && equal(value, found)))
        }
        _ => false,
    }
}

fn entries<'a>(value: &Value<'a>) -> Vec<(Value<'a>, Value<'a>)> {
    match value {
        Value::Map(entries) => entries.clone(),
        Value::Headers(headers) => {
            headers.iter().map(|(name, value)| (Value::Str(name.into()), Value::Str(value.into()))).collect()
        }
        Value::Json(object) => {
            object.iter().map(|(key, value)| (Value::Str(key.as_str().into()), from_json(value))).collect()
        }
        _ => Vec::new(),
    }
}

/// The JSON form of a value, for tests and reports.
pub fn to_json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Number(value) => (*value).into(),
        Value::Str(text) => text.as_ref().into(),
        Value::List(elements) => elements.iter().map(to_json).collect(),
        Value::Strings(strings) => strings.iter().map(|text| serde_json::Value::from(text.as_str())).collect(),
        Value::Map(_) | Value::Headers(_) | Value::Json(_) => {
            let entries = entries(value).into_iter().map(|(key, value)| {
                let key = match key {
                    Value::Str(text) => text.into_owned(),
                    other => to_json(&other).to_string(),
                };
                (key, to_json(&value))
            });
            serde_json::Value::Object(entries.collect())
        }
    }
}

/// An expression as text, in prefix form.
pub(super) fn show(image: &Image, at: u32) -> String {
    let Some(op) = Op::from_code(image.word(at + 1)) else { return "?".to_owned() };
    let words = image.word(at + 2);
    match op {
        Op::Int => (image.long(at + 3) as i64).to_string(),
        Op::Text => {
            let text = image.word(at + 3);
            format!("{:?}", image.text(text + 2, image.word(text + 1)))
        }
        Op::Field => {
            u8::try_from(image.word(at + 3)).ok().and_then(Field::from_number).map_or("?", Field::name).to_owned()
        }
        Op::Bound => format!("#{}", image.word(at + 3)),
        _ => {
            let operands: Vec<String> =
                (0..op.operands(words)).map(|operand| show(image, image.word(at + 3 + operand))).collect();
            format!("{op:?}({})", operands.join(", "))
        }
    }
}
