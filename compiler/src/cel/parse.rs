//! Text to expression as written. Bounded before anything recurses: no input overflows the stack.

use std::ops::Range;

use pest::Parser as _;
use pest::iterators::Pair;

use super::ast::{Ast, AstKind, Word};
use super::codes;
use super::typed::{ArithOp, CompareOp};
use super::{CelError, LEVELS, LONGEST_BYTES};

mod generated {
    //! The parser that pest makes of `cel.pest`.

    /// See `cel.pest`.
    #[derive(pest_derive::Parser)]
    #[grammar = "cel/cel.pest"]
    pub(super) struct CelParser;
}

use generated::{CelParser, Rule};

/// Operators in a row that nest (arithmetic, member access). A row of `&&` or `||` is one level, however long.
const ROW: usize = 128;

/// A piece of text outside comments: a string literal, or a single byte.
enum Piece {
    Text,
    Byte(usize, u8),
}

/// Runs over the text, telling string literals from the rest and leaving comments out.
fn pieces(text: &str, mut see: impl FnMut(Piece)) {
    let bytes = text.as_bytes();
    let at = |place: usize| bytes.get(place).copied();
    let mut place = 0;
    while let Some(byte) = at(place) {
        match byte {
            b'/' if at(place + 1) == Some(b'/') => {
                while at(place).is_some_and(|byte| byte != b'\n') {
                    place += 1;
                }
            }
            b'"' | b'\'' => {
                let before = |back: usize| place.checked_sub(back).and_then(at).map(|byte| byte.to_ascii_lowercase());
                let joined =
                    |back: usize| before(back).is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let raw = (before(1) == Some(b'r') && !joined(2))
                    || (matches!((before(1), before(2)), (Some(b'r'), Some(b'b')) | (Some(b'b'), Some(b'r')))
                        && !joined(3));
                let triple = at(place + 1) == Some(byte) && at(place + 2) == Some(byte);
                place += if triple { 3 } else { 1 };
                loop {
                    match at(place) {
                        None => break,
                        Some(b'\\') if !raw => place += 2,
                        Some(b'\n' | b'\r') if !triple => break,
                        Some(quote) if quote == byte => {
                            if !triple {
                                place += 1;
                                break;
                            }
                            if at(place + 1) == Some(byte) && at(place + 2) == Some(byte) {
                                place += 3;
                                break;
                            }
                            place += 1;
                        }
                        Some(_) => place += 1,
                    }
                }
                place = place.min(bytes.len());
                see(Piece::Text);
            }
            _ => {
                see(Piece::Byte(place, byte));
                place += 1;
            }
        }
    }
}

/// Where `$name` stands outside string literals and comments: the bytes with the `$`, and the name without.
pub(super) fn references(text: &str) -> Vec<(Range<usize>, String)> {
    let mut starts = Vec::new();
    pieces(text, |piece| {
        if let Piece::Byte(place, b'$') = piece {
            starts.push(place);
        }
    });
    let name = |start: usize| {
        let rest = text.get(start + 1..).unwrap_or_default();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default().to_owned()
    };
    starts
        .into_iter()
        .map(|start| (start, name(start)))
        .map(|(start, name)| (start..start + 1 + name.len(), name))
        .collect()
}

/// Refuses what would nest too deeply, before the parser recurses into it.
fn check_depth(text: &str) -> Result<(), CelError> {
    let (mut brackets, mut deepest, mut signs, mut questions) = (0_usize, None, 0_usize, 0_usize);
    pieces(text, |piece| {
        let Piece::Byte(place, byte) = piece else {
            signs = 0;
            return;
        };
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'?' => questions += 1,
            _ => {}
        }
        match byte {
            b'!' | b'-' => signs += 1,
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => signs = 0,
        }
        if brackets.max(signs).max(questions) > LEVELS && deepest.is_none() {
            deepest = Some(place);
        }
    });
    match deepest {
        Some(place) => Err(too_deep(place..place + 1)),
        None => Ok(()),
    }
}

fn too_deep(range: Range<usize>) -> CelError {
    CelError::new(codes::TOO_DEEP, range, format!("the condition is nested deeper than {LEVELS} levels"))
        .help("split it into several rules, or name parts of it under `definitions:` and use fewer brackets")
}

/// Parses a condition.
pub(super) fn parse(text: &str) -> Result<Ast, Vec<CelError>> {
    if text.len() > LONGEST_BYTES {
        let message = format!("the condition has {} bytes, more than {LONGEST_BYTES}", text.len());
        return Err(vec![CelError::new(codes::TOO_LONG, 0..text.len(), message).help("split it into several rules")]);
    }
    check_depth(text).map_err(|error| vec![error])?;
    let mut pairs = CelParser::parse(Rule::condition, text).map_err(|error| vec![syntax_error(text, &error)])?;
    let mut builder = Builder { errors: Vec::new() };
    let root = pairs.next().and_then(|pair| builder.expression(pair));
    match root {
        Some((ast, _)) if builder.errors.is_empty() => Ok(ast),
        _ => Err(builder.errors),
    }
}

fn syntax_error(text: &str, error: &pest::error::Error<Rule>) -> CelError {
    let start = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
    };
    let rest = text.get(start..).unwrap_or_default();
    let token = rest.char_indices().nth(1).map_or(rest.len(), |(at, _)| at);
    let word = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let range = start..start + word.max(token);
    if text.trim().is_empty() {
        return CelError::new(codes::SYNTAX, 0..text.len(), "the condition is empty".to_owned())
            .help("write `true` for a rule that always applies");
    }
    if rest.trim().is_empty() {
        return CelError::new(
            codes::SYNTAX,
            text.trim_end().len()..text.trim_end().len(),
            "the condition ends too early".to_owned(),
        )
        .help("an operand, a closing bracket or a closing quote is missing");
    }
    let shown = crate::diag::quoted(text.get(range.clone()).unwrap_or_default());
    let mut found = CelError::new(codes::SYNTAX, range.clone(), format!("unexpected {shown}"));
    let replace = |with: &str, len: usize| Some((start..start + len, with.to_owned()));
    let previous = text.get(..start).unwrap_or_default().trim_end();
    let hint = match rest.as_bytes() {
        [b'=', ..] if previous.ends_with(['=', '!', '<', '>']) => {
            Some("comparisons are `==`, `!=`, `<`, `<=`, `>` and `>=`")
        }
        [b'=', ..] => {
            found.replacement = replace("==", 1);
            Some("equality is written `==`")
        }
        [b'&', ..] => {
            found.replacement = replace("&&", 1);
            Some("`and` is written `&&`")
        }
        [b'|', ..] => {
            found.replacement = replace("||", 1);
            Some("`or` is written `||`")
        }
        _ => match text.get(range).unwrap_or_default() {
            "and" | "AND" => {
                found.replacement = replace("&&", 3);
                Some("`and` is written `&&`")
            }
            "or" | "OR" => {
                found.replacement = replace("||", 2);
                Some("`or` is written `||`")
            }
            "not" | "NOT" => Some("`not` is written `!`"),
            _ if rest.starts_with(['"', '\'']) => {
                Some("a string literal is not closed, or stands where an operator is expected")
            }
            _ => Some("an operator such as `&&`, `||` or `==` is expected here, or a bracket is not closed"),
        },
    };
    found.help = hint.map(str::to_owned);
    found
}

struct Builder {
    errors: Vec<CelError>,
}

/// An expression and how deep it is.
type Built = Option<(Ast, usize)>;

impl Builder {
    fn refuse(&mut self, code: &'static str, span: Range<usize>, message: impl Into<String>, help: &str) -> Built {
        self.errors.push(CelError::new(code, span, message.into()).help(help));
        None
    }

    fn node(&mut self, kind: AstKind, span: Range<usize>, below: usize) -> Built {
        if below >= ROW {
            self.errors.push(
                CelError::new(codes::TOO_DEEP, span, format!("more than {ROW} operators follow one another"))
                    .help("split the condition into several rules, or group the operators with brackets"),
            );
            return None;
        }
        Some((Ast { kind, span }, below + 1))
    }

    fn expression(&mut self, pair: Pair<'_, Rule>) -> Built {
        let span = span(&pair);
        let mut parts = pair.into_inner();
        let condition = self.disjunction(parts.next()?);
        let (Some(then), Some(otherwise)) = (parts.next(), parts.next()) else { return condition };
        let (then, otherwise) = (self.disjunction(then), self.expression(otherwise));
        let ((condition, a), (then, b), (otherwise, c)) = (condition?, then?, otherwise?);
        let kind = AstKind::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise));
        self.node(kind, span, a.max(b).max(c))
    }

    fn disjunction(&mut self, pair: Pair<'_, Rule>) -> Built {
        self.flat(pair, |builder, part| builder.flat(part, Self::relation, AstKind::And), AstKind::Or)
    }

    fn flat(
        &mut self,
        pair: Pair<'_, Rule>,
        mut operand: impl FnMut(&mut Self, Pair<'_, Rule>) -> Built,
        join: fn(Vec<Ast>) -> AstKind,
    ) -> Built {
        let span = span(&pair);
        let built: Vec<Built> = pair.into_inner().map(|part| operand(self, part)).collect();
        let mut operands = Vec::with_capacity(built.len());
        let mut deepest = 0;
        for (ast, depth) in built.into_iter().collect::<Option<Vec<_>>>()? {
            operands.push(ast);
            deepest = deepest.max(depth);
        }
        if operands.len() == 1 {
            return operands.pop().map(|ast| (ast, deepest));
        }
        self.node(join(operands), span, deepest)
    }

    fn relation(&mut self, pair: Pair<'_, Rule>) -> Built {
        self.row(pair, Self::sum, |op, left, right| match op {
            "in" => AstKind::In(left, right),
            _ => {
                let op = match op {
                    "==" => CompareOp::Eq,
                    "!=" => CompareOp::Ne,
                    "<" => CompareOp::Lt,
                    "<=" => CompareOp::Le,
                    ">" => CompareOp::Gt,
                    _ => CompareOp::Ge,
                };
                AstKind::Compare(op, left, right)
            }
        })
    }

    fn sum(&mut self, pair: Pair<'_, Rule>) -> Built {
        self.row(pair, Self::product, |op, left, right| {
            AstKind::Arith(if op == "+" { ArithOp::Add } else { ArithOp::Sub }, left, right)
        })
    }

    fn product(&mut self, pair: Pair<'_, Rule>) -> Built {
        self.row(pair, Self::unary, |op, left, right| {
            let op = match op {
                "*" => ArithOp::Mul,
                "/" => ArithOp::Div,
                _ => ArithOp::Rem,
            };
            AstKind::Arith(op, left, right)
        })
    }

    /// Operators of one precedence, grouped from the left.
    fn row(
        &mut self,
        pair: Pair<'_, Rule>,
        operand: fn(&mut Self, Pair<'_, Rule>) -> Built,
        join: impl Fn(&str, Box<Ast>, Box<Ast>) -> AstKind,
    ) -> Built {
        let mut parts = pair.into_inner();
        let mut result = operand(self, parts.next()?);
        while let (Some(op), Some(right)) = (parts.next(), parts.next()) {
            let right = operand(self, right);
            if let (Some((left, a)), Some((right, b))) = (result, right) {
                let span = left.span.start..right.span.end;
                result = self.node(join(op.as_str(), Box::new(left), Box::new(right)), span, a.max(b));
                // One report is enough for a row that is too long.
                result.as_ref()?;
            } else {
                result = None;
            }
        }
        result
    }

    fn unary(&mut self, pair: Pair<'_, Rule>) -> Built {
        let whole = span(&pair);
        let mut signs = Vec::new();
        let mut result = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::not | Rule::minus => signs.push((part.as_rule() == Rule::not, span(&part).start)),
                _ => {
                    // `-9223372036854775808` is one literal: its magnitude alone would not fit.
                    let negative = signs.last().is_some_and(|(not, _)| !not);
                    let text = part.as_str().trim_end();
                    if negative && matches!(text, "9223372036854775808" | "0x8000000000000000" | "0X8000000000000000") {
                        let start = signs.pop().map_or(whole.start, |(_, start)| start);
                        result = Some((Ast { kind: AstKind::Int(i64::MIN), span: start..whole.end }, 1));
                    } else {
                        result = self.member(part);
                    }
                }
            }
        }
        for (not, start) in signs.into_iter().rev() {
            let (operand, depth) = result?;
            let span = start..operand.span.end;
            let kind = match operand.kind {
                AstKind::Int(value) if !not && value != i64::MIN => AstKind::Int(-value),
                _ if not => AstKind::Not(Box::new(operand)),
                _ => AstKind::Negate(Box::new(operand)),
            };
            result = self.node(kind, span, depth);
        }
        result
    }

    fn member(&mut self, pair: Pair<'_, Rule>) -> Built {
        let mut parts = pair.into_inner();
        let mut result = self.primary(parts.next()?);
        for part in parts {
            let place = span(&part);
            let rule = part.as_rule();
            let mut inner: Vec<Pair<'_, Rule>> = part.into_inner().collect();
            if inner.first().is_some_and(|first| first.as_rule() == Rule::optional) {
                return self.refuse(
                    codes::NOT_IN_LANGUAGE,
                    place,
                    "optional access is not part of the language",
                    "guard the access with `has(...)` instead",
                );
            }
            if rule == Rule::construct {
                return self.refuse(
                    codes::NOT_IN_LANGUAGE,
                    place,
                    "messages cannot be constructed",
                    "compare the fields of the request with plain values",
                );
            }
            if rule == Rule::index {
                let key = self.expression(inner.pop()?);
                let ((operand, a), (key, b)) = (result?, key?);
                let whole = operand.span.start..place.end;
                result = self.node(AstKind::Index(Box::new(operand), Box::new(key)), whole, a.max(b));
                continue;
            }
            let mut inner = inner.into_iter();
            let name = self.word(&inner.next()?)?;
            let arguments = if rule == Rule::method { Some(self.arguments(inner.next())) } else { None };
            let (operand, a) = result?;
            let whole = operand.span.start..place.end;
            result = match arguments {
                None => self.node(AstKind::Select(Box::new(operand), name), whole, a),
                Some(arguments) => {
                    let (arguments, b) = arguments?;
                    self.node(AstKind::Call(Some(Box::new(operand)), name, arguments), whole, a.max(b))
                }
            };
        }
        result
    }

    fn arguments(&mut self, pair: Option<Pair<'_, Rule>>) -> Option<(Vec<Ast>, usize)> {
        let built: Vec<Built> = pair.into_iter().flat_map(Pair::into_inner).map(|part| self.expression(part)).collect();
        let built: Vec<(Ast, usize)> = built.into_iter().collect::<Option<_>>()?;
        let deepest = built.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
        Some((built.into_iter().map(|(ast, _)| ast).collect(), deepest))
    }

    fn word(&mut self, pair: &Pair<'_, Rule>) -> Option<Word> {
        let text = pair.as_str().trim_end();
        let span = pair.as_span().start()..pair.as_span().start() + text.len();
        if text.starts_with('`') {
            self.refuse(
                codes::NOT_IN_LANGUAGE,
                span.clone(),
                "names in backticks are not part of the language",
                "write `map[\"name\"]`",
            )?;
        }
        Some(Word { text: text.to_owned(), span })
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Built {
        let place = span(&pair);
        match pair.as_rule() {
            Rule::group => {
                let (ast, depth) = self.expression(pair.into_inner().next()?)?;
                Some((Ast { kind: ast.kind, span: place }, depth))
            }
            Rule::list => {
                let parts: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
                if parts.iter().any(|part| part.as_rule() == Rule::optional) {
                    return self.refuse(
                        codes::NOT_IN_LANGUAGE,
                        place,
                        "optional elements are not part of the language",
                        "leave the element out, or use `? :`",
                    );
                }
                let built: Vec<Built> = parts.into_iter().map(|part| self.expression(part)).collect();
                let built: Vec<(Ast, usize)> = built.into_iter().collect::<Option<_>>()?;
                let deepest = built.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
                self.node(AstKind::List(built.into_iter().map(|(ast, _)| ast).collect()), place, deepest)
            }
            Rule::map => {
                let mut entries = Vec::new();
                let mut deepest = 0;
                for entry in pair.into_inner() {
                    let mut parts: Vec<Pair<'_, Rule>> = entry.into_inner().collect();
                    if parts.len() != 2 {
                        return self.refuse(
                            codes::NOT_IN_LANGUAGE,
                            place,
                            "optional entries are not part of the language",
                            "leave the entry out, or use `? :`",
                        );
                    }
                    let (value, key) = (parts.pop()?, parts.pop()?);
                    let (key, value) = (self.expression(key), self.expression(value));
                    let ((key, a), (value, b)) = (key?, value?);
                    deepest = deepest.max(a).max(b);
                    entries.push((key, value));
                }
                self.node(AstKind::Map(entries), place, deepest)
            }
            Rule::bytes => self.refuse(
                codes::NOT_IN_LANGUAGE,
                place,
                "byte strings are not part of the language",
                "write a string without `b`",
            ),
            Rule::text => {
                let text = self.text(pair.as_str().trim_end(), place.start)?;
                Some((Ast { kind: AstKind::Str(text), span: place }, 1))
            }
            Rule::number => self.number(pair.as_str().trim_end(), place),
            Rule::global_call => {
                let mut inner = pair.into_inner();
                let name = self.word(&inner.next()?)?;
                let (arguments, depth) = self.arguments(inner.next())?;
                self.node(AstKind::Call(None, name, arguments), place, depth)
            }
            Rule::root_name => {
                self.refuse(codes::NOT_IN_LANGUAGE, place, "names do not begin with a dot", "leave the leading dot out")
            }
            _ => {
                let text = pair.as_str().trim_end();
                let kind = match text {
                    "true" => AstKind::Bool(true),
                    "false" => AstKind::Bool(false),
                    "null" => AstKind::Null,
                    _ => AstKind::Name(text.to_owned()),
                };
                Some((Ast { kind, span: place }, 1))
            }
        }
    }

    fn number(&mut self, text: &str, place: Range<usize>) -> Built {
        let lower = text.to_ascii_lowercase();
        let hex = lower.strip_prefix("0x");
        if lower.ends_with('u') && lower.trim_end_matches('u').chars().all(|c| c.is_ascii_hexdigit() || c == 'x') {
            let message = "unsigned integers are not part of the language".to_owned();
            let error = CelError::new(codes::NOT_IN_LANGUAGE, place.clone(), message);
            let plain = text.trim_end_matches(['u', 'U']);
            self.errors.push(error.help("write the number without `u`").replace(place, plain));
            return None;
        }
        if hex.is_none()
            && lower.contains(['.', 'e'])
            && lower.chars().all(|c| c.is_ascii_digit() || ".e+-".contains(c))
        {
            return self.refuse(
                codes::NOT_IN_LANGUAGE,
                place,
                "numbers with a fraction or an exponent are not part of the language",
                "write a whole number",
            );
        }
        let value = match hex {
            Some(hex) => i64::from_str_radix(hex, 16),
            None => lower.parse::<i64>(),
        };
        match value {
            Ok(value) => Some((Ast { kind: AstKind::Int(value), span: place }, 1)),
            Err(error) if matches!(error.kind(), std::num::IntErrorKind::PosOverflow) => self.refuse(
                codes::NUMBER_RANGE,
                place,
                format!("{} does not fit a 64-bit integer", crate::diag::quoted(text)),
                "integers go from -9223372036854775808 to 9223372036854775807",
            ),
            Err(_) => self.refuse(
                codes::SYNTAX,
                place,
                format!("{} is not a number", crate::diag::quoted(text)),
                "an operator is missing, or the name may not begin with a digit",
            ),
        }
    }

    /// Decodes a string literal. `start` is where it stands.
    fn text(&mut self, literal: &str, start: usize) -> Option<String> {
        let (raw, body) = match literal.strip_prefix(['r', 'R']) {
            Some(body) => (true, body),
            None => (false, literal),
        };
        let quotes = if body.len() >= 6 && (body.starts_with("\"\"\"") || body.starts_with("'''")) { 3 } else { 1 };
        let inner = body.get(quotes..body.len() - quotes)?;
        if raw || !inner.contains('\\') {
            return Some(inner.to_owned());
        }
        let base = start + (literal.len() - body.len()) + quotes;
        let mut decoded = String::with_capacity(inner.len());
        let mut rest = inner;
        while let Some(at) = rest.find('\\') {
            decoded.push_str(rest.get(..at)?);
            let place = base + (inner.len() - rest.len()) + at;
            let escape = rest.get(at + 1..)?;
            match unescape(escape) {
                Ok((character, len)) => {
                    decoded.push(character);
                    rest = escape.get(len..)?;
                }
                Err(message) => {
                    let len = escape.chars().next().map_or(0, char::len_utf8);
                    self.refuse(codes::ESCAPE, place..place + 1 + len, message, "escapes are \\\\ \\\" \\' \\` \\? \\a \\b \\f \\n \\r \\t \\v, \\x41, \\101, \\u0041 and \\U00000041; a backslash of a pattern is written `\\\\`, or the literal begins with `r`")?;
                }
            }
        }
        decoded.push_str(rest);
        Some(decoded)
    }
}

/// The character that an escape stands for, and the length of the escape after its backslash.
fn unescape(escape: &str) -> Result<(char, usize), &'static str> {
    let simple = |character| Ok((character, 1));
    let number = |digits: Option<&str>, radix, len| {
        digits
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|digits| u32::from_str_radix(digits, radix).ok())
            .and_then(char::from_u32)
            .map(|character| (character, len))
            .ok_or("the escape stands for no character")
    };
    match escape.bytes().next() {
        Some(b'a') => simple('\x07'),
        Some(b'b') => simple('\x08'),
        Some(b'f') => simple('\x0c'),
        Some(b'n') => simple('\n'),
        Some(b'r') => simple('\r'),
        Some(b't') => simple('\t'),
        Some(b'v') => simple('\x0b'),
        Some(byte @ (b'\\' | b'"' | b'\'' | b'`' | b'?')) => simple(char::from(byte)),
        Some(b'x' | b'X') => number(escape.get(1..3), 16, 3),
        Some(b'u') => number(escape.get(1..5), 16, 5),
        Some(b'U') => number(escape.get(1..9), 16, 9),
        Some(b'0'..=b'3') => number(escape.get(..3), 8, 3),
        _ => Err("there is no such escape"),
    }
}

fn span(pair: &Pair<'_, Rule>) -> Range<usize> {
    let span = pair.as_span();
    // Spans of composite rules include the blanks that follow.
    span.start()..span.start() + span.as_str().trim_end().len()
}
