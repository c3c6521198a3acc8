//! Automata for tests of strings, and what the patterns of `matches` mean.
//!
//! Patterns are RE2's: `\d`, `\s`, `\w` and `\b` are about ASCII, `.` is any character but a line break, and what RE2 does
//! not know is refused rather than read another way.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use outcall_schema::artifact::writer::Automaton;
use regex_automata::dfa::{Automaton as _, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::ast::{self, Ast};
use regex_syntax::hir::{Dot, Hir, Look, Repetition};

use super::formula::{AtomId, Test};

/// The memory one automaton may take while it is built. A pattern that needs more is refused; several that need more
/// together are asked side by side. 1 MiB holds every ordinary set of host and path patterns with room to spare.
const SIZE_LIMIT_BYTES: usize = 1 << 20;

/// Reads a pattern of `matches`.
///
/// # Errors
/// In words, with the byte range in the pattern where there is one.
pub fn parse(pattern: &str) -> Result<Hir, (String, Option<std::ops::Range<usize>>)> {
    let span = |span: &ast::Span| Some(span.start.offset..span.end.offset);
    let mut tree = ast::parse::ParserBuilder::new()
        .nest_limit(100)
        .build()
        .parse(pattern)
        .map_err(|error| (error.kind().to_string(), span(error.span())))?;
    as_re2(&mut tree).map_err(|(message, place)| (message.to_owned(), span(&place)))?;
    regex_syntax::hir::translate::TranslatorBuilder::new()
        .utf8(true)
        .build()
        .translate(pattern, &tree)
        .map_err(|error| (error.kind().to_string(), span(error.span())))
}

/// Refuses what RE2 reads otherwise or not at all, and makes the classes that RE2 limits to ASCII say so.
fn as_re2(tree: &mut Ast) -> Result<(), (&'static str, ast::Span)> {
    match tree {
        Ast::Empty(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => Ok(()),
        Ast::Flags(flags) => check_flags(&flags.flags),
        Ast::Assertion(assertion) => match assertion.kind {
            ast::AssertionKind::WordBoundary | ast::AssertionKind::NotWordBoundary => {
                let span = assertion.span;
                let item = ast::FlagsItem { span, kind: ast::FlagsItemKind::Negation };
                let unicode = ast::FlagsItem { span, kind: ast::FlagsItemKind::Flag(ast::Flag::Unicode) };
                let flags = ast::Flags { span, items: vec![item, unicode] };
                let inner = Box::new(Ast::Assertion(assertion.clone()));
                *tree =
                    Ast::Group(Box::new(ast::Group { span, kind: ast::GroupKind::NonCapturing(flags), ast: inner }));
                Ok(())
            }
            ast::AssertionKind::StartLine
            | ast::AssertionKind::EndLine
            | ast::AssertionKind::StartText
            | ast::AssertionKind::EndText => Ok(()),
            _ => Err(("RE2 has no such word boundary; write `\\b`", assertion.span)),
        },
        Ast::ClassPerl(class) => {
            let class = ascii_class(class);
            *tree = Ast::ClassBracketed(Box::new(class));
            Ok(())
        }
        Ast::ClassBracketed(class) => bracketed(&mut class.kind),
        Ast::Repetition(repetition) => as_re2(&mut repetition.ast),
        Ast::Group(group) => {
            if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                check_flags(flags)?;
            }
            as_re2(&mut group.ast)
        }
        Ast::Alternation(alternation) => alternation.asts.iter_mut().try_for_each(as_re2),
        Ast::Concat(concat) => concat.asts.iter_mut().try_for_each(as_re2),
    }
}

fn check_flags(flags: &ast::Flags) -> Result<(), (&'static str, ast::Span)> {
    for item in &flags.items {
        if let ast::FlagsItemKind::Flag(ast::Flag::IgnoreWhitespace | ast::Flag::CRLF | ast::Flag::Unicode) = item.kind
        {
            return Err(("RE2 has only the flags `i`, `m`, `s` and `U`", item.span));
        }
    }
    Ok(())
}

fn bracketed(set: &mut ast::ClassSet) -> Result<(), (&'static str, ast::Span)> {
    match set {
        ast::ClassSet::Item(item) => class_item(item),
        ast::ClassSet::BinaryOp(operation) => Err((
            "RE2 has no set operations in brackets; escape the characters as `\\&`, `\\-` or `\\~`",
            operation.span,
        )),
    }
}

fn class_item(item: &mut ast::ClassSetItem) -> Result<(), (&'static str, ast::Span)> {
    match item {
        ast::ClassSetItem::Perl(class) => {
            let class = ascii_class(class);
            *item = ast::ClassSetItem::Bracketed(Box::new(class));
            Ok(())
        }
        ast::ClassSetItem::Bracketed(class) => {
            Err(("RE2 has no brackets within brackets; escape the inner one as `\\[`", class.span))
        }
        ast::ClassSetItem::Union(union) => union.items.iter_mut().try_for_each(class_item),
        ast::ClassSetItem::Empty(_)
        | ast::ClassSetItem::Literal(_)
        | ast::ClassSetItem::Range(_)
        | ast::ClassSetItem::Ascii(_)
        | ast::ClassSetItem::Unicode(_) => Ok(()),
    }
}

/// RE2's `\d`, `\s` and `\w` (and their negations) as a bracketed class.
fn ascii_class(class: &ast::ClassPerl) -> ast::ClassBracketed {
    let span = class.span;
    let literal = |c| ast::Literal { span, kind: ast::LiteralKind::Verbatim, c };
    let range =
        |low, high| ast::ClassSetItem::Range(ast::ClassSetRange { span, start: literal(low), end: literal(high) });
    let items = match class.kind {
        ast::ClassPerlKind::Digit => vec![range('0', '9')],
        ast::ClassPerlKind::Space => vec![range('\t', '\n'), range('\x0c', '\r'), range(' ', ' ')],
        ast::ClassPerlKind::Word => vec![range('0', '9'), range('A', 'Z'), range('_', '_'), range('a', 'z')],
    };
    let kind = ast::ClassSet::Item(ast::ClassSetItem::Union(ast::ClassSetUnion { span, items }));
    ast::ClassBracketed { span, negated: class.negated, kind }
}

fn any(least: u32) -> Hir {
    let sub = Box::new(Hir::dot(Dot::AnyByte));
    Hir::repetition(Repetition { min: least, max: None, greedy: true, sub })
}

fn literal(text: &str) -> Hir {
    Hir::literal(text.as_bytes())
}

/// The strings for which a test is true, as an expression that matches them whole.
fn expression(test: &Test) -> Option<Hir> {
    let end = Hir::look(Look::End);
    Some(match test {
        Test::Equals(values) => {
            Hir::concat(vec![Hir::alternation(values.iter().map(|value| literal(value)).collect()), end])
        }
        Test::Under { suffix, several: false } => {
            let label = regex_syntax::hir::ClassBytes::new([
                regex_syntax::hir::ClassBytesRange::new(0, b'-'),
                regex_syntax::hir::ClassBytesRange::new(b'/', 0xff),
            ]);
            let label = Hir::class(regex_syntax::hir::Class::Bytes(label));
            let labels = Hir::repetition(Repetition { min: 1, max: None, greedy: true, sub: Box::new(label) });
            Hir::concat(vec![labels, literal("."), literal(suffix), end])
        }
        Test::Under { suffix, several: true } => Hir::concat(vec![any(1), literal("."), literal(suffix), end]),
        Test::Prefix(text) => Hir::concat(vec![literal(text), any(0)]),
        Test::Suffix(text) => Hir::concat(vec![any(0), literal(text), end]),
        Test::Contains(text) => Hir::concat(vec![any(0), literal(text), any(0)]),
        Test::Matches(pattern) => Hir::concat(vec![any(0), parse(pattern).ok()?, any(0)]),
        Test::Present | Test::Ints(_) | Test::Addresses { .. } | Test::Opaque(_) => return None,
    })
}

/// Joint automata that were built already.
#[derive(Debug, Default)]
pub(crate) struct Automata {
    joint: HashMap<Vec<AtomId>, Option<Rc<Classes>>>,
}

impl Automata {
    /// The joint automaton of these atoms' tests, see [`classes`].
    pub(crate) fn joint(&mut self, atoms: &[AtomId], tests: &[Test]) -> Option<Rc<Classes>> {
        if let Some(known) = self.joint.get(atoms) {
            return known.clone();
        }
        let built = match tests {
            [test] => alone(test),
            _ => classes(&tests.iter().collect::<Vec<_>>()).map(Rc::new),
        };
        self.joint.insert(atoms.to_vec(), built.clone());
        built
    }
}

/// An automaton that tells which of several tests are true: for each of its classes, the numbers of those tests.
#[derive(Debug)]
pub(crate) struct Classes {
    pub(crate) automaton: Automaton,
    pub(crate) sets: Vec<BTreeSet<usize>>,
}

impl Classes {
    /// Whether any test is true in a class.
    fn is_true(&self, class: u32) -> bool {
        self.sets.get(class as usize).is_some_and(|set| !set.is_empty())
    }
}

/// Whether a test may be true wherever in a string its text is found: one automaton for several such tests has to remember
/// which of them were found, so that it doubles with each.
pub(crate) fn is_loose(test: &Test) -> bool {
    match test {
        Test::Contains(text) => !text.is_empty(),
        Test::Matches(pattern) => parse(pattern).is_ok_and(|expression| {
            let properties = expression.properties();
            !properties.look_set_prefix().contains(Look::Start) && !properties.look_set_suffix().contains(Look::End)
        }),
        _ => false,
    }
}

/// The joint automaton of tests of a string; `None` where it would be too large.
pub(crate) fn classes(tests: &[&Test]) -> Option<Classes> {
    let expressions: Vec<Hir> = tests.iter().map(|test| expression(test)).collect::<Option<_>>()?;
    let nfa = thompson::Compiler::new()
        .configure(
            thompson::Config::new()
                .utf8(false)
                .nfa_size_limit(Some(SIZE_LIMIT_BYTES))
                .which_captures(thompson::WhichCaptures::None),
        )
        .build_many_from_hir(&expressions)
        .ok()?;
    let dfa = dense::Builder::new()
        .configure(
            dense::Config::new()
                .match_kind(MatchKind::All)
                .start_kind(StartKind::Anchored)
                .accelerate(false)
                .dfa_size_limit(Some(SIZE_LIMIT_BYTES))
                .determinize_size_limit(Some(SIZE_LIMIT_BYTES * 4)),
        )
        .build_from_nfa(&nfa)
        .ok()?;
    let start = dfa.start_state(&start::Config::new().anchored(Anchored::Yes)).ok()?;
    let mut numbers = HashMap::from([(start, 0_u32)]);
    let mut states = vec![start];
    let (mut rows, mut accepts): (Vec<Vec<u32>>, Vec<BTreeSet<usize>>) = (Vec::new(), Vec::new());
    while let Some(state) = states.get(rows.len()).copied() {
        let mut row = Vec::with_capacity(256);
        for byte in 0..=255 {
            let next = dfa.next_state(state, byte);
            if dfa.is_quit_state(next) {
                return None;
            }
            row.push(*numbers.entry(next).or_insert_with(|| {
                states.push(next);
                states.len() as u32 - 1
            }));
        }
        rows.push(row);
        let end = dfa.next_eoi_state(state);
        let count = if dfa.is_match_state(end) { dfa.match_len(end) } else { 0 };
        accepts.push((0..count).map(|match_| dfa.match_pattern(end, match_).as_usize()).collect());
    }
    Some(minimal(&rows, &accepts))
}

/// The automaton that does what two do: the numbers of the second's tests are moved by `offset`. `None` where it would have
/// more than `limit` states.
pub(crate) fn product(left: &Classes, right: &Classes, offset: usize, limit: usize) -> Option<Classes> {
    let (one, two) = (&left.automaton, &right.automaton);
    let mut pairs: HashMap<(u8, u8), u8> = HashMap::new();
    let mut columns: Vec<(u8, u8)> = Vec::new();
    let mut byte_classes = [0_u8; 256];
    for (class, pair) in byte_classes.iter_mut().zip(one.byte_classes.iter().zip(&two.byte_classes)) {
        let pair = (*pair.0, *pair.1);
        *class = *pairs.entry(pair).or_insert_with(|| {
            columns.push(pair);
            columns.len() as u8 - 1
        });
    }
    let go = |automaton: &Automaton, state: u32, class: u8| {
        automaton.transitions.get((state * automaton.classes + u32::from(class)) as usize).copied().unwrap_or(0)
    };
    let mut numbers = HashMap::from([((one.start, two.start), 0_u32)]);
    let mut states = vec![(one.start, two.start)];
    let mut set_numbers: HashMap<(u32, u32), u32> = HashMap::new();
    let mut sets: Vec<BTreeSet<usize>> = Vec::new();
    let (mut accept, mut transitions) = (Vec::new(), Vec::new());
    while let Some((first, second)) = states.get(accept.len()).copied() {
        for column in &columns {
            let next = (go(one, first, column.0), go(two, second, column.1));
            transitions.push(*numbers.entry(next).or_insert_with(|| {
                states.push(next);
                states.len() as u32 - 1
            }));
        }
        if states.len() > limit {
            return None;
        }
        let class_of = |automaton: &Automaton, state: u32| automaton.accept.get(state as usize).copied().unwrap_or(0);
        let classes = (class_of(one, first), class_of(two, second));
        accept.push(*set_numbers.entry(classes).or_insert_with(|| {
            let of = |sets: &[BTreeSet<usize>], class: u32| sets.get(class as usize).cloned().unwrap_or_default();
            let moved = of(&right.sets, classes.1).into_iter().map(|number| number + offset);
            sets.push(of(&left.sets, classes.0).into_iter().chain(moved).collect());
            sets.len() as u32 - 1
        }));
    }
    let automaton = Automaton { byte_classes, classes: columns.len() as u32, start: 0, accept, transitions };
    Some(Classes { automaton, sets })
}

/// Joins states that no continuation tells apart (Moore's partition refinement) and bytes that no state tells apart.
fn minimal(rows: &[Vec<u32>], accepts: &[BTreeSet<usize>]) -> Classes {
    let mut sets: Vec<BTreeSet<usize>> = Vec::new();
    let mut blocks: Vec<u32> = Vec::with_capacity(rows.len());
    let mut accept_of: HashMap<&BTreeSet<usize>, u32> = HashMap::new();
    for accept in accepts {
        let class = *accept_of.entry(accept).or_insert_with(|| {
            sets.push(accept.clone());
            sets.len() as u32 - 1
        });
        blocks.push(class);
    }
    let block_of = |blocks: &[u32], state: u32| blocks.get(state as usize).copied().unwrap_or(0);
    // Columns that are equal stay equal under refinement, so compress the bytes first.
    let mut column_of: HashMap<Vec<u32>, u8> = HashMap::new();
    let mut byte_classes = [0_u8; 256];
    let mut representatives = Vec::new();
    for (byte, class) in byte_classes.iter_mut().enumerate() {
        let column: Vec<u32> = rows.iter().map(|row| row.get(byte).copied().unwrap_or(0)).collect();
        let next = representatives.len() as u8;
        *class = *column_of.entry(column).or_insert_with(|| {
            representatives.push(byte);
            next
        });
    }
    let mut count = sets.len();
    let width = representatives.len() + 1;
    let mut signatures = vec![0; rows.len() * width];
    loop {
        for ((state, row), signature) in rows.iter().enumerate().zip(signatures.chunks_exact_mut(width)) {
            let targets = representatives.iter().map(|byte| row.get(*byte).copied().unwrap_or(0));
            for (place, target) in signature.iter_mut().zip(std::iter::once(state as u32).chain(targets)) {
                *place = block_of(&blocks, target);
            }
        }
        let mut refined: HashMap<&[u32], u32> = HashMap::with_capacity(count);
        let mut next = Vec::with_capacity(rows.len());
        for signature in signatures.chunks_exact(width) {
            let fresh = refined.len() as u32;
            next.push(*refined.entry(signature).or_insert(fresh));
        }
        let grown = refined.len();
        blocks = next;
        if grown == count {
            break;
        }
        count = grown;
    }
    let mut accept = vec![0; count];
    let mut transitions = vec![0; count * representatives.len()];
    for (state, row) in rows.iter().enumerate() {
        let block = block_of(&blocks, state as u32) as usize;
        if let (Some(place), Some(set)) = (accept.get_mut(block), accepts.get(state)) {
            *place = accept_of.get(set).copied().unwrap_or(0);
        }
        for (class, byte) in representatives.iter().enumerate() {
            if let Some(place) = transitions.get_mut(block * representatives.len() + class) {
                *place = block_of(&blocks, row.get(*byte).copied().unwrap_or(0));
            }
        }
    }
    let automaton = Automaton {
        byte_classes,
        classes: representatives.len() as u32,
        start: block_of(&blocks, 0),
        accept,
        transitions,
    };
    Classes { automaton, sets }
}

/// The automaton of one test, whose class 1 is the strings for which it is true.
pub(crate) fn single(test: &Test) -> Option<Automaton> {
    let classes = alone(test)?;
    let accept = classes.automaton.accept.iter().map(|class| u32::from(classes.is_true(*class))).collect();
    Some(Automaton { accept, ..classes.automaton.clone() })
}

/// Whether a test is true of a known string.
pub(crate) fn is_true(test: &Test, text: &str) -> bool {
    match test {
        Test::Matches(_) => alone(test).is_some_and(|classes| classes.is_true(end(&classes.automaton, text))),
        _ => test.of_text(text).unwrap_or(false),
    }
}

/// The classes of one test. Those of patterns are kept: rules repeat patterns, and each is asked about when it is checked
/// and when each layer is lowered; building one takes about as long as everything else does for ten rules.
fn alone(test: &Test) -> Option<Rc<Classes>> {
    thread_local!(static RECENT: RefCell<Recent> = RefCell::default());
    let build = || classes(&[test]).map(Rc::new);
    match test {
        Test::Matches(pattern) => RECENT.with_borrow_mut(|recent| recent.find_or(pattern, build)),
        _ => build(),
    }
}

/// The classes of the latest patterns.
#[derive(Default)]
struct Recent {
    classes: HashMap<String, Option<Rc<Classes>>>,
    words: usize,
}

impl Recent {
    /// What is kept at most, in words of 32 bits: 32 MiB hold tens of thousands of ordinary patterns.
    const LIMIT_WORDS: usize = 8 << 20;

    fn find_or(&mut self, pattern: &str, build: impl FnOnce() -> Option<Rc<Classes>>) -> Option<Rc<Classes>> {
        if let Some(known) = self.classes.get(pattern) {
            return known.clone();
        }
        let built = build();
        // The rest of an entry, the table of bytes above all, takes some 128 words.
        self.words += 128 + built.as_ref().map_or(0, |classes| classes.automaton.transitions.len());
        if self.words > Recent::LIMIT_WORDS {
            *self = Recent::default();
        }
        self.classes.insert(pattern.to_owned(), built.clone());
        built
    }
}

/// Whether an automaton made by [`single`] accepts `text`.
pub(crate) fn accepts(automaton: &Automaton, text: &str) -> bool {
    end(automaton, text) == 1
}

/// The class in which an automaton puts a text.
fn end(automaton: &Automaton, text: &str) -> u32 {
    let state = text.bytes().fold(automaton.start, |state, byte| {
        let class = automaton.byte_classes.get(usize::from(byte)).copied().unwrap_or(0);
        automaton.transitions.get((state * automaton.classes + u32::from(class)) as usize).copied().unwrap_or(0)
    });
    automaton.accept.get(state as usize).copied().unwrap_or(0)
}

/// Whether a pattern, alone, fits an automaton.
///
/// # Errors
/// In words.
pub fn check_size(pattern: &str) -> Result<(), String> {
    match alone(&Test::Matches(pattern.to_owned())) {
        Some(_) => Ok(()),
        None => Err(format!("the pattern needs an automaton of more than {} KiB", SIZE_LIMIT_BYTES / 1024)),
    }
}
