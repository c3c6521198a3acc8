//! Binary artifacts as text, for `outcall inspect`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::dns_table::DnsTable;
use super::image::{Image, words_for};
use super::item::{Child, FALSE_LEAF, LeafKind, NO_LEAF, TRUE_LEAF, kind};
use super::manifest::Manifest;
use super::match_program::MatchProgram;
use super::program::Program;
use crate::field::Field;

/// The DNS table as text. Rules are named as in the manifest.
pub fn dns_table(table: &DnsTable, manifest: &Manifest) -> String {
    render(table.program(), manifest, DnsTable::root_name)
}

/// The match program as text. Rules are named as in the manifest.
pub fn match_program(program: &MatchProgram, manifest: &Manifest) -> String {
    render(program.program(), manifest, MatchProgram::root_name)
}

fn render(program: &Program, manifest: &Manifest, root_name: impl Fn(u32) -> String) -> String {
    let mut renderer = Renderer {
        image: program.image(),
        manifest,
        numbers: HashMap::new(),
        waiting: Vec::new(),
        text: String::new(),
    };
    let mut same: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (number, root) in program.roots() {
        same.entry(root.0).or_default().push(root_name(*number));
    }
    for (number, root) in program.roots() {
        let names = same.remove(&root.0).unwrap_or_default();
        if names.first() == Some(&root_name(*number)) {
            let target = renderer.target(*root);
            let _ = writeln!(renderer.text, "{}: {target}", names.join(", "));
        }
    }
    let mut next = 0;
    while let Some(at) = renderer.waiting.get(next).copied() {
        next += 1;
        let _ = write!(renderer.text, "\n#{next} ");
        renderer.node(at);
    }
    renderer.text
}

struct Renderer<'a> {
    image: &'a Image,
    manifest: &'a Manifest,
    numbers: HashMap<u32, usize>,
    waiting: Vec<u32>,
    text: String,
}

impl Renderer<'_> {
    /// A leaf by its rule, or the number under which a node is printed.
    fn target(&mut self, child: Child) -> String {
        if child == NO_LEAF {
            return "no rule".to_owned();
        }
        if let Some(rule) = child.rule().filter(|_| child.is_leaf()) {
            let name = self.manifest.rules.get(rule as usize).map_or("?", |row| row.id.as_str());
            return match child.kind() {
                LeafKind::Allow => format!("allow {name}"),
                LeafKind::Block => format!("block {name}"),
                LeafKind::Intercept => format!("intercept {name}"),
                LeafKind::AllowPrivate => format!("allow {name} (private addresses too)"),
            };
        }
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(child.0).or_insert(next);
        if number == next {
            self.waiting.push(child.0);
        }
        format!("#{number}")
    }

    fn line(&mut self, what: &str, child: Child) {
        let target = self.target(child);
        let _ = writeln!(self.text, "    {what} -> {target}");
    }

    fn child(&self, at: u32) -> Child {
        Child(self.image.word(at))
    }

    fn item_text(&self, at: u32) -> &str {
        self.image.text(at + 2, self.image.word(at + 1))
    }

    fn source(&self, at: u32) -> String {
        let field = u8::try_from(self.image.word(at + 1)).ok().and_then(Field::from_number).map_or("?", Field::name);
        match (self.image.word(at), self.image.word(at + 2)) {
            (kind::STR | kind::SCAN, key) if key != 0 => format!("{field}[{:?}]", self.item_text(key)),
            _ => field.to_owned(),
        }
    }

    fn node(&mut self, at: u32) {
        let image = self.image;
        let source = self.source(at);
        match image.word(at) {
            kind::STR => {
                let _ = writeln!(self.text, "{source}");
                self.table(image.word(at + 5), &[""]);
                self.table(image.word(at + 6), &["*.", "**.*."]);
                let prefixes = image.word(at + 7);
                for number in 0..if prefixes == 0 { 0 } else { image.word(prefixes + 1) } {
                    let entry = prefixes + 2 + 3 * number;
                    let text = format!("{:?}...", self.item_text(image.word(entry + 2)));
                    self.line(&text, self.child(entry));
                }
                self.ending(at + 3, self.child(at + 4));
            }
            kind::INT => {
                let _ = writeln!(self.text, "{source}");
                let bounds = image.word(at + 2);
                for class in 0..=bounds {
                    let low = (class > 0).then(|| image.long(at + 4 + 2 * (class - 1)) as i64);
                    let high = (class < bounds).then(|| image.long(at + 4 + 2 * class) as i64);
                    let text = match (low, high) {
                        (Some(low), Some(high)) if low + 1 == high => low.to_string(),
                        (Some(low), Some(high)) => format!("{low} to {}", high - 1),
                        (Some(low), None) => format!("{low} and above"),
                        (None, Some(high)) => format!("below {high}"),
                        (None, None) => "any".to_owned(),
                    };
                    self.line(&text, self.child(at + 4 + 2 * bounds + class));
                }
            }
            kind::IP => {
                let _ = writeln!(self.text, "{source}");
                let (v4, v6) = (image.word(at + 2), image.word(at + 3));
                for class in 0..=v4 {
                    let low = if class == 0 { 0 } else { image.word(at + 5 + class - 1) };
                    let text = format!("from {}", Ipv4Addr::from_bits(low));
                    self.line(&text, self.child(at + 5 + v4 + class));
                }
                let bounds = at + 6 + 2 * v4;
                for class in 0..=v6 {
                    let low = if class == 0 { 0 } else { image.wide(bounds + 4 * (class - 1)) };
                    let text = format!("from {}", Ipv6Addr::from_bits(low));
                    self.line(&text, self.child(bounds + 4 * v6 + class));
                }
            }
            kind::SCAN => {
                let automaton = image.word(at + 4);
                let states = image.word(automaton + 1);
                let _ = writeln!(self.text, "{source}, by an automaton of {states} states");
                let examples = examples(image, automaton, image.word(at + 5));
                for (class, example) in (0..).zip(examples) {
                    let text = format!("like {example:?}");
                    self.line(&text, self.child(at + 6 + class));
                }
                if image.word(at + 2) != 0 {
                    self.line("missing", self.child(at + 3));
                }
            }
            kind::TEST => {
                let _ = writeln!(self.text, "{}", self.expression(image.word(at + 1)));
                for (word, text) in [(2, "true"), (3, "false"), (4, "unknown")] {
                    self.leaf_line(text, self.child(at + word));
                }
            }
            kind::PARALLEL => {
                let _ = writeln!(self.text, "the first in evaluation order of");
                for part in 0..image.word(at + 1) {
                    self.line("part", self.child(at + 2 + part));
                }
            }
            kind::LIST => {
                let _ = writeln!(self.text, "the first that is true of");
                for entry in 0..image.word(at + 1) {
                    let text = self.formula(image.word(at + 2 + 2 * entry));
                    self.line(&text, self.child(at + 3 + 2 * entry));
                }
            }
            _ => {
                let _ = writeln!(self.text, "all of");
                for leaf in 0..image.word(at + 1) {
                    self.line("also", self.child(at + 2 + leaf));
                }
            }
        }
    }

    fn leaf_line(&mut self, what: &str, child: Child) {
        match child {
            TRUE_LEAF | FALSE_LEAF => {}
            _ => self.line(what, child),
        }
    }

    fn ending(&mut self, missing: u32, otherwise: Child) {
        self.line("otherwise", otherwise);
        if self.child(missing) != otherwise {
            self.line("missing", self.child(missing));
        }
    }

    fn table(&mut self, table: u32, forms: &[&str]) {
        if table == 0 {
            return;
        }
        let (mask, entries, inner) = (self.image.word(table + 1), self.image.word(table + 2), forms.len() as u32);
        let mut place = table + 3 + 2 * (mask + 1);
        for _ in 0..entries {
            let len = self.image.word(place + inner);
            let text = self.image.text(place + inner + 1, len).to_owned();
            for (number, form) in (0..).zip(forms) {
                self.line(&format!("{:?}", format!("{form}{text}")), self.child(place + number));
            }
            place += inner + 1 + words_for(len);
        }
    }

    fn formula(&self, at: u32) -> String {
        let operands = |word: &str| {
            let all: Vec<String> =
                (0..self.image.word(at + 1)).map(|operand| self.formula(self.image.word(at + 2 + operand))).collect();
            if all.is_empty() { word.trim().to_owned() } else { format!("({})", all.join(word)) }
        };
        match self.image.word(at) {
            kind::AND => operands(" and "),
            kind::OR => operands(" or "),
            _ => {
                let not = if self.image.word(at + 2) == 1 { "" } else { "not " };
                let node = self.image.word(at + 1);
                match self.image.word(node) {
                    kind::TEST => format!("{not}{}", self.expression(self.image.word(node + 1))),
                    _ => format!("{not}a test of {}", self.source(node)),
                }
            }
        }
    }

    fn expression(&self, at: u32) -> String {
        super::expr::show(self.image, at)
    }
}

/// For each class, a shortest string that an automaton puts there.
fn examples(image: &Image, automaton: u32, classes: u32) -> Vec<String> {
    let (states, width) = (image.word(automaton + 1), image.word(automaton + 2));
    let byte_classes = image.bytes(automaton + 4, 256);
    // A byte that people can read, where the class has one.
    let letter = |class: u32| {
        let of = |byte: &u8| byte_classes.get(usize::from(*byte)).is_some_and(|found| u32::from(*found) == class);
        (b'a'..=b'z').chain(b'!'..=b'~').chain(0..=255).find(of).unwrap_or(b'?')
    };
    let letters: Vec<u8> = (0..width).map(letter).collect();
    let accept = automaton + 4 + 64;
    let mut found: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let start = image.word(automaton + 3).checked_div(width).unwrap_or(0);
    let mut seen = vec![false; states as usize];
    let mut queue = std::collections::VecDeque::from([(start, Vec::new())]);
    while let Some((state, text)) = queue.pop_front() {
        match seen.get_mut(state as usize) {
            Some(place) if !*place => *place = true,
            _ => continue,
        }
        found.entry(image.word(accept + state)).or_insert_with(|| text.clone());
        for (class, letter) in (0..).zip(&letters) {
            let next = image.word(accept + states + state * width + class).checked_div(width).unwrap_or(0);
            let mut longer = text.clone();
            longer.push(*letter);
            queue.push_back((next, longer));
        }
    }
    (0..classes)
        .map(|class| String::from_utf8_lossy(found.get(&class).map_or(&[], Vec::as_slice)).into_owned())
        .collect()
}
