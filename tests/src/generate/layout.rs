//! Rule files that say something plain in every layout that YAML has for it, with comments wherever one may stand.

use super::Random;

/// A value without a layout.
#[derive(Debug, Clone)]
enum Value {
    Text(String),
    /// Text that has to stand as it is.
    Word(&'static str),
    List(Vec<Value>),
    Mapping(Vec<(&'static str, Value)>),
}

/// A rule file in a random layout, and the comments in it.
#[derive(Debug)]
pub struct Laid {
    /// The file.
    pub text: String,
    /// Its comments, each from its `#`.
    pub comments: Vec<String>,
}

/// A random rule file.
pub fn file(random: &mut Random) -> Laid {
    let content = content(random);
    let mut writer = Writer { random, out: String::new(), comments: Vec::new(), within: usize::MAX };
    writer.between(0);
    if writer.random.once_in(10) {
        writer.out.push_str("---\n");
    }
    writer.mapping(&content, 0, false);
    writer.between(0);
    let Writer { out, comments, random, .. } = writer;
    let text = if random.once_in(10) { out.replace('\n', "\r\n") } else { out };
    Laid { text, comments }
}

const PROSE: &[&str] = &[
    "plain",
    "two words",
    "a: b",
    "x # y",
    "- a",
    "it's",
    "\"quoted\"",
    "back\\slash",
    "ends:",
    "é 😀",
    "",
    " leading",
    "one\ntwo",
    "one\n\ntwo\n",
    "  deep\nless\n   deeper\n",
    "trailing \nblank",
    "\n",
    "\n\none",
    "end\n\n\n",
    "~",
    "null",
    "yes",
    "1",
    "0x1f",
    "{a}",
    "[a",
    "a, b",
    "%",
    "@x",
    "*x",
    "&x",
    "!x",
    "a\tb",
    "#",
    "key: |",
    "2026-11-21",
    "...",
    "---",
    "one two  three four",
];

const PRIORITIES: &[&str] = &["1", "100", "-5"];

const CONDITIONS: &[&str] = &[
    "http.host == \"a.example.com\"",
    "http.host == 'it''s'",
    "$one && http.method in [\"GET\", \"HEAD\"]",
    "true",
    "http.path.matches(r\"^/v\\d+$\") // a comment of the condition",
    "http.host == \"a\"\n&& http.path == \"/#x\"",
    "http.host == \"a: b\" || http.path == \"{}\"",
    "(\n  http.host == \"a\"\n\n  || true\n)",
    "!(\"x\" in http.headers)",
];

fn content(random: &mut Random) -> Vec<(&'static str, Value)> {
    let text = |random: &mut Random, of: &[&str]| Value::Text((*random.pick(of)).to_owned());
    let mut rules = Vec::new();
    for number in 0..random.below(4) {
        let mut rule = vec![
            ("id", Value::Text(format!("rule-{number}"))),
            ("action", Value::Word("allow")),
            ("condition", text(random, CONDITIONS)),
        ];
        if random.once_in(2) {
            rule.push(("description", text(random, PROSE)));
        }
        if random.once_in(3) {
            let priority = random.pick(PRIORITIES);
            rule.push(("priority", Value::Word(priority)));
        }
        if random.once_in(3) {
            rule.push(("log", Value::Word("true")));
        }
        if random.once_in(2) {
            let ports = vec![Value::Word("443"), Value::Text("8000-8010".to_owned())];
            let egress = vec![("ports", Value::List(ports)), ("mode", Value::Word("intercept"))];
            rule.push(("egress", Value::Mapping(shuffled(random, egress))));
        }
        rules.push(Value::Mapping(shuffled(random, rule)));
    }
    let host = |text: &str| Value::Text(text.to_owned());
    let mut tests = Vec::new();
    for number in 0..random.below(3) {
        let http = vec![("host", host("a.example.com")), ("body", Value::Word("null")), ("scheme", host("http"))];
        let context = Value::Mapping(vec![
            ("n", Value::Word("1")),
            ("s", host("1")),
            ("list", Value::List(vec![text(random, PROSE), Value::List(vec![host("x")])])),
        ]);
        let request = match random.below(2) {
            0 => vec![("http", Value::Mapping(http)), ("agent", Value::Mapping(vec![("name", text(random, PROSE))]))],
            _ => vec![("run", Value::Mapping(vec![("context", context)]))],
        };
        let expect = vec![("decision", Value::Word("block")), ("rule", host("default"))];
        let test = vec![
            ("name", Value::Text(format!("test {number}"))),
            ("request", Value::Mapping(shuffled(random, request))),
            ("expect", Value::Mapping(shuffled(random, expect))),
        ];
        tests.push(Value::Mapping(shuffled(random, test)));
    }
    let mut file = vec![
        ("version", if random.once_in(2) { Value::Word("1") } else { host("1") }),
        (
            "definitions",
            Value::Mapping(vec![("one", text(random, &["true", "http.host == \"a\""])), ("_two", host("$one"))]),
        ),
        ("rules", Value::List(rules)),
    ];
    if random.once_in(2) {
        let hosts = Value::List(vec![host("a.example.com"), host("*.example.com"), host("10.0.0.1")]);
        file.push(("interception", Value::Mapping(vec![("bypass", Value::List(Vec::new())), ("hosts", hosts)])));
    }
    if random.once_in(2) {
        file.push(("tests", Value::List(tests)));
    }
    shuffled(random, file)
}

fn shuffled<T>(random: &mut Random, mut items: Vec<T>) -> Vec<T> {
    for at in (1..items.len()).rev() {
        let other = random.below(at + 1);
        items.swap(at, other);
    }
    items
}

struct Writer<'a> {
    random: &'a mut Random,
    out: String,
    comments: Vec<String>,
    /// Behind a block scalar: the column from which on a comment would be a part of it.
    within: usize,
}

impl Writer<'_> {
    fn blanks(&mut self, count: usize) {
        self.out.extend(std::iter::repeat_n(' ', count));
    }

    fn comment(&mut self) {
        let number = self.comments.len();
        let text = format!("{}c{number}", self.random.pick(&["# ", "#", "## \"", "# - x: [", "#\t"]));
        self.out.push_str(&text);
        self.comments.push(text);
        let trailing = self.random.below(2);
        self.blanks(trailing);
        self.out.push('\n');
    }

    /// Empty lines and comments on lines of their own.
    fn between(&mut self, indent: usize) {
        while self.random.once_in(3) {
            if self.random.once_in(2) {
                self.out.push('\n');
            } else {
                let column = if self.random.once_in(3) { self.random.below(9) } else { indent };
                self.blanks(column.min(self.within.saturating_sub(1)));
                self.comment();
            }
        }
    }

    /// The end of a line, perhaps with a comment.
    fn end(&mut self) {
        if self.random.once_in(6) {
            let blanks = 1 + self.random.below(3);
            self.blanks(blanks);
            self.comment();
        } else {
            let trailing = if self.random.once_in(8) { 2 } else { 0 };
            self.blanks(trailing);
            self.out.push('\n');
        }
    }

    /// Entries at `indent`; the first may stand behind a dash.
    fn mapping(&mut self, entries: &[(&'static str, Value)], indent: usize, behind_dash: bool) {
        for (at, (key, value)) in entries.iter().enumerate() {
            if at > 0 || !behind_dash {
                self.between(indent);
                self.blanks(indent);
            }
            self.within = usize::MAX;
            match self.random.below(8) {
                0 => self.out.push_str(&format!("\"{key}\"")),
                1 => self.out.push_str(&format!("'{key}' ")),
                _ => self.out.push_str(key),
            }
            self.out.push(':');
            self.value(value, indent, true);
        }
    }

    fn items(&mut self, items: &[Value], indent: usize) {
        for item in items {
            self.between(indent);
            self.blanks(indent);
            self.within = usize::MAX;
            self.out.push('-');
            match item {
                Value::Mapping(entries) if !entries.is_empty() && !self.random.once_in(4) => {
                    if self.random.once_in(5) {
                        self.end();
                        let deeper = indent + 1 + self.random.below(4);
                        self.mapping(entries, deeper, false);
                    } else {
                        let gap = 1 + self.random.below(3);
                        self.blanks(gap);
                        self.mapping(entries, indent + 1 + gap, true);
                    }
                }
                _ => self.value(item, indent, false),
            }
        }
    }

    /// A value behind a key or a dash that stands at `indent`.
    fn value(&mut self, value: &Value, indent: usize, keyed: bool) {
        let deeper = indent + 1 + self.random.below(4);
        match value {
            Value::Text(text) => self.text(text, deeper),
            Value::Word(word) => {
                self.out.push(' ');
                self.out.push_str(word);
                self.end();
            }
            Value::List(items) if !items.is_empty() && !self.random.once_in(3) => {
                self.end();
                // Items may stand at the indent of their key.
                let at = if keyed && self.random.once_in(3) { indent } else { deeper };
                self.items(items, at);
            }
            Value::Mapping(entries) if !entries.is_empty() && !self.random.once_in(4) => {
                self.end();
                self.mapping(entries, deeper, false);
            }
            _ => {
                self.out.push(' ');
                let lines = self.random.once_in(2);
                self.flow(value, deeper, lines);
                self.end();
            }
        }
    }

    fn gap(&mut self, indent: usize, lines: bool) {
        if lines && self.random.once_in(3) {
            self.end();
            self.between(indent);
            self.blanks(indent);
        } else {
            let blanks = self.random.below(3);
            self.blanks(blanks);
        }
    }

    fn flow(&mut self, value: &Value, indent: usize, lines: bool) {
        match value {
            Value::Text(text) => self.quoted(text),
            Value::Word(word) => self.out.push_str(word),
            Value::List(items) => {
                self.out.push('[');
                for (at, item) in items.iter().enumerate() {
                    self.gap(indent, lines);
                    self.flow(item, indent, lines);
                    self.gap(indent, lines);
                    if at + 1 < items.len() || self.random.once_in(4) {
                        self.out.push(',');
                    }
                }
                self.gap(indent, lines);
                self.out.push(']');
            }
            Value::Mapping(entries) => {
                self.out.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    self.gap(indent, lines);
                    self.out.push_str(key);
                    self.out.push_str(": ");
                    self.flow(value, indent, lines);
                    self.gap(indent, lines);
                    if at + 1 < entries.len() || self.random.once_in(4) {
                        self.out.push(',');
                    }
                }
                self.gap(indent, lines);
                self.out.push('}');
            }
        }
    }

    fn quoted(&mut self, text: &str) {
        let printable = text.chars().all(|character| !character.is_control());
        if printable && self.random.once_in(2) {
            self.out.push_str(&format!("'{}'", text.replace('\'', "''")));
        } else {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t");
            self.out.push_str(&format!("\"{escaped}\""));
        }
    }

    fn text(&mut self, text: &str, indent: usize) {
        let words = |text: &str| {
            text.split(' ').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric()))
        };
        match self.random.below(6) {
            0 => return self.block(text, indent),
            // Plain, perhaps over several lines.
            1 if words(text)
                && text.starts_with(|first: char| first.is_ascii_alphabetic())
                && !matches!(text, "null" | "yes") =>
            {
                self.out.push(' ');
                let folded = format!("\n{}", " ".repeat(indent));
                let lines = self.random.once_in(2);
                self.out.push_str(&if lines { text.replace(' ', &folded) } else { text.to_owned() });
            }
            2 if !text.contains(['\n', '\\', '"', '\t'])
                && !text.contains("  ")
                && text.trim() == text
                && !text.is_empty() =>
            {
                let folded = format!("  \n\t{}", " ".repeat(indent)).replace('\t', "");
                self.out.push_str(&format!(" \"{}\"", text.replace(' ', &folded)));
            }
            _ => {
                self.out.push(' ');
                self.quoted(text);
            }
        }
        self.end();
    }

    /// A block scalar, with the chomping that the text needs.
    fn block(&mut self, text: &str, indent: usize) {
        let body = text.trim_end_matches('\n');
        let breaks = text.len() - body.len();
        if body.is_empty() || body.contains('\t') || body.lines().any(|line| !line.is_empty() && line.trim().is_empty())
        {
            self.out.push(' ');
            self.quoted(text);
            return self.end();
        }
        let chomping = match breaks {
            0 => "-",
            1 => *self.random.pick(&["", "+"]),
            _ => "+",
        };
        // Folding would join lines, so only a text of one line is folded.
        let kind = if !body.contains('\n') && self.random.once_in(2) { '>' } else { '|' };
        let explicit = body.trim_start_matches('\n').starts_with(' ');
        // The indicator counts from the parent, which is only known to be further out when the indent is small.
        if explicit {
            self.out.push(' ');
            self.quoted(text);
            return self.end();
        }
        self.out.push_str(&format!(" {kind}{chomping}"));
        self.end();
        for line in body.split('\n') {
            if !line.is_empty() {
                self.blanks(indent);
                self.out.push_str(line);
            }
            self.out.push('\n');
        }
        self.within = indent;
        if chomping == "+" {
            self.out.push_str(&"\n".repeat(breaks - 1));
            // What follows must not be an empty line.
            self.comment();
        }
    }
}
