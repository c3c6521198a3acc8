//! Walks a validated artifact from an entry point to an answer.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use super::ArtifactError;
use super::automaton::classify;
use super::expr::{Evaluator, Truth};
use super::image::{self, Image, words_for};
use super::item::{Child, NO_LEAF, TRUE_LEAF, kind};
use super::possible::{Possible, earlier};
use super::validate;
use crate::facts::{Fact, Facts, FieldValue};
use crate::field::Field;
use crate::layer::{Layer, Stage};

/// One question and what became of it.
struct Question<'a> {
    facts: &'a Facts<'a>,
    /// An expression reached its step limit, so there is no answer.
    spent: Cell<bool>,
}

/// Where a node leads.
enum Step {
    To(Child),
    /// The value the node looks at is not known yet.
    Pending,
}

/// A validated program.
#[derive(Debug, Clone)]
pub(super) struct Program {
    image: Image,
    roots: Vec<(u32, Child)>,
    /// For the nodes that look at a value which can be pending at some layer: what lies below.
    possible: Arc<HashMap<u32, Possible>>,
    /// The nodes that look whole names up in tables.
    names: Arc<[u32]>,
    fields: u64,
}

impl Program {
    pub(super) fn open(bytes: Arc<[u8]>, magic: [u8; 4], name: &'static str) -> Result<Program, ArtifactError> {
        let image = Image::open(bytes, magic, name)?;
        let checked = validate::check(&image)?;
        let names = checked.items.iter().copied().filter(|at| names_host(&image, *at)).collect();
        let mut program = Program { image, roots: checked.roots, possible: Arc::default(), names, fields: 0 };
        let mut possible = HashMap::new();
        program.summarise(&checked.items, &mut possible);
        program.possible = Arc::new(possible);
        Ok(program)
    }

    /// Which fields some node reads, as bits by field number.
    pub(super) fn fields(&self) -> u64 {
        self.fields
    }

    pub(super) fn root(&self, number: u32) -> Option<Child> {
        self.roots.iter().find(|(found, _)| *found == number).map(|(_, root)| *root)
    }

    pub(super) fn roots(&self) -> &[(u32, Child)] {
        &self.roots
    }

    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// The answer from `at` on. An evaluation that was given up on counts as the default block.
    pub(super) fn ask(&self, at: Child, facts: &Facts<'_>) -> Possible {
        let question = Question { facts, spent: Cell::new(false) };
        let possible = match self.certain(at, &question) {
            Some(leaf) => Possible::only(leaf),
            None => self.walk(at, &question),
        };
        if question.spent.get() { Possible::only(NO_LEAF) } else { possible }
    }

    /// The fast path: no field on the way is pending and no list is met that needs more.
    fn certain(&self, mut at: Child, question: &Question<'_>) -> Option<Child> {
        while !at.is_leaf() {
            match self.image.word(at.0) {
                kind::PARALLEL => {
                    let mut best = NO_LEAF;
                    for part in 0..self.image.word(at.0 + 1) {
                        best = earlier(best, self.certain(Child(self.image.word(at.0 + 2 + part)), question)?);
                    }
                    return Some(best);
                }
                kind::LIST | kind::SET => return None,
                _ => match self.step(at.0, question) {
                    Step::To(next) => at = next,
                    Step::Pending => return None,
                },
            }
        }
        Some(at)
    }

    fn walk(&self, mut at: Child, question: &Question<'_>) -> Possible {
        loop {
            if at.is_leaf() {
                return Possible::only(at);
            }
            match self.image.word(at.0) {
                kind::PARALLEL => {
                    let mut result = Possible::only(NO_LEAF);
                    for part in 0..self.image.word(at.0 + 1) {
                        result = result.beside(self.walk(Child(self.image.word(at.0 + 2 + part)), question));
                    }
                    return result;
                }
                kind::LIST => return self.list(at.0, |formula| self.formula(formula, question)),
                kind::SET => return Possible::only(NO_LEAF),
                _ => match self.step(at.0, question) {
                    Step::To(next) => at = next,
                    Step::Pending => {
                        return self.possible.get(&at.0).copied().unwrap_or_else(|| self.possible_below(at.0));
                    }
                },
            }
        }
    }

    fn list(&self, at: u32, truth: impl Fn(u32) -> Truth) -> Possible {
        let mut result: Option<Possible> = None;
        let mut add =
            |leaf| result = Some(result.map_or(Possible::only(leaf), |so_far| so_far.or(Possible::only(leaf))));
        for entry in 0..self.image.word(at + 1) {
            let truth = truth(self.image.word(at + 2 + entry * 2));
            if truth.has(Truth::TRUE) {
                add(Child(self.image.word(at + 3 + entry * 2)));
            }
            if truth == Truth::TRUE {
                return result.unwrap_or(Possible::only(NO_LEAF));
            }
        }
        add(NO_LEAF);
        result.unwrap_or(Possible::only(NO_LEAF))
    }

    /// All leaves that apply, and whether that is final.
    pub(super) fn collect(&self, at: Child, facts: &Facts<'_>, leaves: &mut Vec<Child>) -> bool {
        let question = Question { facts, spent: Cell::new(false) };
        self.gather(at, &question, leaves) && !question.spent.get()
    }

    fn gather(&self, mut at: Child, question: &Question<'_>, leaves: &mut Vec<Child>) -> bool {
        loop {
            if at.is_leaf() {
                leaves.extend(Some(at).filter(|leaf| *leaf != NO_LEAF));
                return true;
            }
            match self.image.word(at.0) {
                kind::PARALLEL => {
                    let mut settled = true;
                    for part in 0..self.image.word(at.0 + 1) {
                        settled &= self.gather(Child(self.image.word(at.0 + 2 + part)), question, leaves);
                    }
                    return settled;
                }
                kind::LIST => {
                    let mut settled = true;
                    for entry in 0..self.image.word(at.0 + 1) {
                        let truth = self.formula(self.image.word(at.0 + 2 + entry * 2), question);
                        if truth == Truth::TRUE {
                            leaves.push(Child(self.image.word(at.0 + 3 + entry * 2)));
                        }
                        settled &= truth == Truth::TRUE || !truth.has(Truth::TRUE);
                    }
                    return settled;
                }
                kind::SET => {
                    leaves.extend((0..self.image.word(at.0 + 1)).map(|leaf| Child(self.image.word(at.0 + 2 + leaf))));
                    return true;
                }
                _ => match self.step(at.0, question) {
                    Step::To(next) => at = next,
                    Step::Pending => return false,
                },
            }
        }
    }

    /// The possible truth values of a formula.
    fn formula(&self, at: u32, question: &Question<'_>) -> Truth {
        let operands = self.image.word(at + 1);
        match self.image.word(at) {
            kind::AND => {
                let mut result = Truth::TRUE;
                for operand in 0..operands {
                    result = result.and(self.formula(self.image.word(at + 2 + operand), question));
                    if !result.has(Truth::TRUE) {
                        return Truth::FALSE;
                    }
                }
                result
            }
            kind::OR => {
                let mut result = Truth::FALSE;
                for operand in 0..operands {
                    result = result.or(self.formula(self.image.word(at + 2 + operand), question));
                    if result == Truth::TRUE {
                        break;
                    }
                }
                result
            }
            _ => {
                let wanted = if self.image.word(at + 2) == 1 { Truth::TRUE } else { Truth::FALSE };
                self.literal(Child(self.image.word(at + 1)), wanted, question)
            }
        }
    }

    /// Whether a literal's node can come out, or must come out, as wanted. Never unknown: unknown is not as wanted.
    fn literal(&self, mut at: Child, wanted: Truth, question: &Question<'_>) -> Truth {
        while !at.is_leaf() {
            if self.image.word(at.0) == kind::TEST {
                let mut evaluator = Evaluator::new(&self.image, question.facts);
                let truth = evaluator.truth(self.image.word(at.0 + 1));
                question.spent.set(question.spent.get() || evaluator.exhausted());
                return match (truth == wanted, truth.has(wanted)) {
                    (true, _) => Truth::TRUE,
                    (false, true) => Truth::FALSE_OR_TRUE,
                    (false, false) => Truth::FALSE,
                };
            }
            match self.step(at.0, question) {
                Step::To(next) => at = next,
                Step::Pending => return Truth::FALSE_OR_TRUE,
            }
        }
        let found = if at == NO_LEAF {
            return Truth::FALSE;
        } else if at == TRUE_LEAF {
            Truth::TRUE
        } else {
            Truth::FALSE
        };
        if found == wanted { Truth::TRUE } else { Truth::FALSE }
    }

    /// One step from a node that looks at one value or one expression.
    #[inline]
    fn step(&self, at: u32, question: &Question<'_>) -> Step {
        let image = &self.image;
        let to = |word: u32| Step::To(Child(image.word(word)));
        match image.word(at) {
            kind::STR => match self.string(at, question) {
                Fact::Pending => Step::Pending,
                Fact::Unknown => to(at + 3),
                Fact::Known(text) => Step::To(self.strings(at, &text)),
            },
            kind::SCAN => match self.string(at, question) {
                Fact::Pending => Step::Pending,
                Fact::Unknown => to(at + 3),
                Fact::Known(text) => to(at + 6 + classify(image, image.word(at + 4), &text)),
            },
            kind::INT => match field_of(image, at).map(|field| question.facts.fact(field)) {
                Some(Fact::Known(FieldValue::Int(value))) => {
                    let bounds = image.word(at + 2);
                    let class = partition(bounds, |bound| image.long(at + 4 + 2 * bound) as i64 <= value);
                    to(at + 4 + 2 * bounds + class)
                }
                Some(Fact::Pending) => Step::Pending,
                _ => to(at + 3),
            },
            kind::IP => match question.facts.network_ip {
                Fact::Known(address) => {
                    let (v4, v6) = (image.word(at + 2), image.word(at + 3));
                    match address {
                        IpAddr::V4(address) => {
                            let class = partition(v4, |bound| image.word(at + 5 + bound) <= address.to_bits());
                            to(at + 5 + v4 + class)
                        }
                        IpAddr::V6(address) => {
                            let bounds = at + 6 + 2 * v4;
                            let class = partition(v6, |bound| image.wide(bounds + 4 * bound) <= address.to_bits());
                            to(bounds + 4 * v6 + class)
                        }
                    }
                }
                Fact::Pending => Step::Pending,
                Fact::Unknown => to(at + 4),
            },
            kind::TEST => {
                let mut evaluator = Evaluator::new(image, question.facts);
                let truth = evaluator.truth(image.word(at + 1));
                question.spent.set(question.spent.get() || evaluator.exhausted());
                match truth {
                    Truth::TRUE => to(at + 2),
                    Truth::FALSE => to(at + 3),
                    Truth::UNKNOWN => to(at + 4),
                    _ => Step::Pending,
                }
            }
            _ => Step::To(NO_LEAF),
        }
    }

    /// The string that a node looks at; unknown where a map has no such entry or the value is null.
    #[inline]
    fn string<'a>(&'a self, at: u32, question: &Question<'a>) -> Fact<Text<'a>> {
        let Some(field) = field_of(&self.image, at) else { return Fact::Unknown };
        match question.facts.fact(field) {
            // Without a word on headers or the body none of them can be taken for absent.
            Fact::Unknown if matches!(field, Field::HttpHeaders | Field::ResponseHeaders | Field::HttpBody) => {
                Fact::Pending
            }
            Fact::Unknown => Fact::Unknown,
            Fact::Pending => Fact::Pending,
            Fact::Known(FieldValue::Str(text)) => Fact::Known(Text::Borrowed(text)),
            Fact::Known(FieldValue::Ip(address)) => Fact::Known(Text::address(address)),
            Fact::Known(FieldValue::Headers(headers)) => {
                let key = self.image.word(at + 2);
                let name = self.image.text(key + 2, self.image.word(key + 1));
                headers.get(name).map_or(Fact::Unknown, |value| Fact::Known(Text::Borrowed(value)))
            }
            Fact::Known(FieldValue::Null | FieldValue::Int(_) | FieldValue::List(_) | FieldValue::Json(_)) => {
                Fact::Unknown
            }
        }
    }

    #[inline]
    fn strings(&self, at: u32, text: &str) -> Child {
        let image = &self.image;
        let (exact, labels, prefixes) = (image.word(at + 5), image.word(at + 6), image.word(at + 7));
        if exact != 0
            && let Some(entry) = self.lookup(exact, 1, text.as_bytes())
        {
            return Child(image.word(entry));
        }
        if labels != 0 {
            for (number, (dot, _)) in text.match_indices('.').filter(|(dot, _)| *dot > 0).enumerate() {
                let suffix = text.as_bytes().get(dot + 1..).unwrap_or_default();
                if let Some(entry) = self.lookup(labels, 2, suffix) {
                    let several = number > 0 || text.as_bytes().first() == Some(&b'.');
                    return Child(image.word(entry + u32::from(several)));
                }
            }
        }
        if prefixes != 0
            && let Some(child) = self.longest_prefix(prefixes, text.as_bytes())
        {
            return child;
        }
        Child(image.word(at + 4))
    }

    /// What is left of a host's name without the part that some rule writes out: nothing where one writes the whole name out,
    /// everything where none says so much as how it ends.
    pub(super) fn unwritten<'a>(&self, name: &'a str) -> &'a str {
        let mut rest = name.len();
        for at in self.names.iter().copied() {
            let (exact, labels) = (self.image.word(at + 5), self.image.word(at + 6));
            if exact != 0 && self.lookup(exact, 1, name.as_bytes()).is_some() {
                return "";
            }
            let dots = name.match_indices('.').map(|(dot, _)| dot).take_while(|dot| *dot < rest);
            let ends =
                |dot: &usize| self.lookup(labels, 2, name.as_bytes().get(dot + 1..).unwrap_or_default()).is_some();
            if let Some(dot) = dots.filter(|_| labels != 0).find(ends) {
                rest = dot;
            }
        }
        name.get(..rest).unwrap_or(name)
    }

    #[inline]
    fn lookup(&self, table: u32, children: u32, key: &[u8]) -> Option<u32> {
        let image = &self.image;
        let mask = image.word(table + 1);
        let hash = image::hash(key);
        let mut slot = hash & mask;
        loop {
            let place = table + 3 + 2 * slot;
            let entry = image.word(place + 1);
            if entry == 0 {
                return None;
            }
            if image.word(place) == hash && image.bytes(entry + children + 1, image.word(entry + children)) == key {
                return Some(entry);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn longest_prefix(&self, table: u32, text: &[u8]) -> Option<Child> {
        let image = &self.image;
        let prefix = |number: u32| {
            let place = image.word(table + 4 + 3 * number);
            image.bytes(place + 2, image.word(place + 1))
        };
        // The longest prefix of `text` is the greatest entry not above it or one of that entry's own prefixes.
        let mut number = partition(image.word(table + 1), |number| prefix(number) <= text);
        while let Some(candidate) = number.checked_sub(1) {
            if text.starts_with(prefix(candidate)) {
                return Some(Child(image.word(table + 2 + 3 * candidate)));
            }
            number = image.word(table + 3 + 3 * candidate);
        }
        None
    }

    /// Finds out, back to front, which nodes lie below a value that can be pending, and, front to back, what they may
    /// answer. Children stand before their parents.
    fn summarise(&mut self, items: &[u32], possible: &mut HashMap<u32, Possible>) {
        let mut needed = vec![false; self.image.len() as usize];
        let mut children = Vec::new();
        for at in items.iter().rev().copied() {
            self.fields |= self.reads(at);
            let is_needed = needed.get(at as usize).copied().unwrap_or(false) || self.can_be_pending(at);
            if !is_needed {
                continue;
            }
            children.clear();
            self.children(at, &mut children);
            for below in
                std::iter::once(at).chain(children.iter().filter(|child| !child.is_leaf()).map(|child| child.0))
            {
                if let Some(place) = needed.get_mut(below as usize) {
                    *place = true;
                }
            }
        }
        let nodes = items.iter().copied().filter(|at| needed.get(*at as usize).copied().unwrap_or(false));
        self.summarise_nodes(nodes, possible);
    }

    /// For a node that looks at a value which no layer leaves pending: tools may ask all the same.
    fn possible_below(&self, at: u32) -> Possible {
        let (mut reached, mut open, mut children) = (BTreeSet::from([at]), vec![at], Vec::new());
        while let Some(node) = open.pop() {
            children.clear();
            self.children(node, &mut children);
            open.extend(
                children.iter().filter(|child| !child.is_leaf() && reached.insert(child.0)).map(|child| child.0),
            );
        }
        let mut possible = HashMap::new();
        self.summarise_nodes(reached.into_iter(), &mut possible);
        possible.get(&at).copied().unwrap_or(Possible::only(NO_LEAF))
    }

    fn summarise_nodes(&self, ascending: impl Iterator<Item = u32>, possible: &mut HashMap<u32, Possible>) {
        let mut children = Vec::new();
        for at in ascending {
            children.clear();
            self.children(at, &mut children);
            let below = children.iter().map(|child| {
                if child.is_leaf() {
                    Possible::only(*child)
                } else {
                    possible.get(&child.0).copied().unwrap_or(Possible::only(NO_LEAF))
                }
            });
            let summary = match self.image.word(at) {
                kind::PARALLEL => Some(below.fold(Possible::only(NO_LEAF), Possible::beside)),
                kind::LIST => Some(self.list(at, |_| Truth::FALSE_OR_TRUE)),
                _ => below.reduce(Possible::or),
            };
            possible.insert(at, summary.unwrap_or(Possible::only(NO_LEAF)));
        }
    }

    /// Whether an item looks at a value that can be pending: one that some layer learns late, or any at all for
    /// expressions. The DNS table asks about everything but names, so there every field counts.
    fn can_be_pending(&self, at: u32) -> bool {
        match self.image.word(at) {
            kind::TEST => true,
            kind::STR | kind::SCAN | kind::INT | kind::IP => field_of(&self.image, at).is_some_and(|field| {
                Layer::ALL.into_iter().any(|layer| {
                    matches!(field.knowledge(layer), Some(crate::field::Knowledge::From(stage)) if stage > Stage::Head)
                })
            }),
            _ => false,
        }
    }

    fn reads(&self, at: u32) -> u64 {
        match self.image.word(at) {
            kind::STR | kind::SCAN | kind::INT | kind::IP => 1 << self.image.word(at + 1),
            kind::EXPR if self.image.word(at + 1) == super::expr::Op::Field as u32 => 1 << self.image.word(at + 3),
            _ => 0,
        }
    }

    /// Where an item's answers can come from.
    pub(super) fn children(&self, at: u32, children: &mut Vec<Child>) {
        let image = &self.image;
        let mut run =
            |start: u32, count: u32| children.extend((0..count).map(|number| Child(image.word(start + number))));
        match image.word(at) {
            kind::STR => {
                run(at + 3, 2);
                for (word, inner) in [(5, 1), (6, 2)] {
                    let table = image.word(at + word);
                    if table != 0 {
                        let mut place = table + 3 + 2 * (image.word(table + 1) + 1);
                        for _ in 0..image.word(table + 2) {
                            run(place, inner);
                            place += inner + 1 + words_for(image.word(place + inner));
                        }
                    }
                }
                let prefixes = image.word(at + 7);
                if prefixes != 0 {
                    (0..image.word(prefixes + 1)).for_each(|number| run(prefixes + 2 + 3 * number, 1));
                }
            }
            kind::INT => {
                let bounds = image.word(at + 2);
                run(at + 3, 1);
                run(at + 4 + 2 * bounds, bounds + 1);
            }
            kind::IP => {
                let (v4, v6) = (image.word(at + 2), image.word(at + 3));
                run(at + 4, 1);
                run(at + 5 + v4, v4 + 1);
                run(at + 6 + 2 * v4 + 4 * v6, v6 + 1);
            }
            kind::SCAN => {
                run(at + 3, 1);
                run(at + 6, image.word(at + 5));
            }
            kind::TEST => run(at + 2, 3),
            kind::PARALLEL => run(at + 2, image.word(at + 1)),
            _ => {}
        }
    }
}

/// Whether an item looks up the name of a host.
fn names_host(image: &Image, at: u32) -> bool {
    let hosts = [Field::DnsQuery, Field::HttpHost, Field::NetworkHostname, Field::TlsSni];
    image.word(at) == kind::STR && field_of(image, at).is_some_and(|field| hosts.contains(&field))
}

fn field_of(image: &Image, at: u32) -> Option<Field> {
    u8::try_from(image.word(at + 1)).ok().and_then(Field::from_number)
}

/// How many of `count` sorted things lie below the point where `below` turns false.
#[inline]
fn partition(count: u32, below: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if below(middle) { low = middle + 1 } else { high = middle }
    }
    low
}

/// A string borrowed from the request, or an address written out without allocating.
enum Text<'a> {
    Borrowed(&'a str),
    Address { bytes: [u8; 48], len: usize },
}

impl Text<'_> {
    fn address(address: IpAddr) -> Text<'static> {
        /// Writes into the buffer, which the longest address (45 bytes) does not fill.
        struct Buffer([u8; 48], usize);
        impl std::fmt::Write for Buffer {
            fn write_str(&mut self, text: &str) -> std::fmt::Result {
                let place = self.0.get_mut(self.1..self.1 + text.len()).ok_or(std::fmt::Error)?;
                place.copy_from_slice(text.as_bytes());
                self.1 += text.len();
                Ok(())
            }
        }
        let mut buffer = Buffer([0; 48], 0);
        let _ = write!(buffer, "{address}");
        Text::Address { bytes: buffer.0, len: buffer.1 }
    }
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Address { bytes, len } => {
                bytes.get(..*len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
            }
        }
    }
}
