//! Conditions, as text.

use outcall_schema::field::{FIELDS, Field, FieldType};
use outcall_schema::layer::Layer;

use super::Random;

/// Hosts that are close to one another: equal but for a label, a letter or a suffix.
pub const HOSTS: &[&str] = &[
    "example.com",
    "a.example.com",
    "b.example.com",
    "a.b.example.com",
    "xexample.com",
    "example.com.evil.net",
    "example.org",
    "com",
    "api.example.com",
    "apix.example.com",
    "10.0.0.1",
    "192.0.2.7",
    "2001:db8::1",
    "a.com",
];
/// Paths with common beginnings and ends.
pub const PATHS: &[&str] = &[
    "/",
    "/v1",
    "/v1/",
    "/v1/a",
    "/v1/ab",
    "/v2/a",
    "/admin",
    "/admin/x",
    "/a/admin",
    "/v10/",
    "/A",
    "/v1/a?b=c",
    "/%2F",
];
/// Methods.
pub const METHODS: &[&str] = &["GET", "POST", "PUT", "HEAD", "CONNECT", "GETX", "DELETE"];
/// Addresses at the edges of the networks below.
pub const ADDRESSES: &[&str] = &[
    "10.0.0.0",
    "10.0.0.1",
    "10.255.255.255",
    "11.0.0.0",
    "9.255.255.255",
    "192.0.2.7",
    "192.0.2.8",
    "0.0.0.0",
    "255.255.255.255",
    "2001:db8::1",
    "2001:db8::",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "::1",
];
const NETWORKS: &[&str] = &[
    "10.0.0.0/8",
    "10.0.0.0/32",
    "192.0.2.0/29",
    "0.0.0.0/0",
    "2001:db8::/32",
    "::/0",
    "2001:db8::1/128",
    "128.0.0.0/1",
];
const HOST_PATTERNS: &[&str] =
    &["*.example.com", "**.example.com", "example.com", "*.com", "**.com", "*.b.example.com", "10.0.0.1"];
/// Other strings, among them ones that only differ in case, in length or beyond ASCII.
pub const WORDS: &[&str] = &[
    "",
    "a",
    "b",
    "ab",
    "A",
    "abc",
    "bc",
    "ci",
    "agent-1",
    "h2",
    "http/1.1",
    "git",
    "push",
    "--force",
    "-f",
    "é",
    "\u{1F600}",
    "1",
    "text/html",
    "tcp",
    "udp",
    "TXT",
    "AAAA",
    "HTTPS",
    "CNAME",
    "MX",
    "https",
    "http",
    "10.0.0.1",
    "x=1",
    "null",
];
const PARTS: &[&str] = &[
    "",
    "a",
    "b",
    "v1",
    "/v1",
    "/",
    ".",
    ".com",
    "example",
    ".example.com",
    "admin",
    "x",
    "e",
    "1",
    "é",
    "-",
    "/a",
    "G",
    "T",
    ".",
];
const PATTERNS: &[&str] = &[
    "a",
    "^a",
    "a$",
    "^$",
    "",
    "^/v[0-9]+/",
    "(?i)ADMIN",
    "^[^/]*$",
    "a|b",
    "(ab)+",
    "^.{2}$",
    "\\\\d",
    "^\\\\w+$",
    "^(GET|POST)$",
    "\\\\.example\\\\.com$",
    "x*",
    "[a-c]{2,3}",
    "é",
    "^[[:alpha:]]+$",
    "\\\\bv1\\\\b",
    "(?s)^.*$",
    "^/(v1|v2)/[a-z]*$",
];
/// Names of headers and of entries in `run.context`.
pub const NAMES: &[&str] = &["x", "x-y", "accept", "n", "list"];
const INTS: &[&str] = &[
    "0",
    "1",
    "-1",
    "2",
    "3",
    "80",
    "443",
    "444",
    "1024",
    "65535",
    "200",
    "404",
    "9223372036854775807",
    "-9223372036854775808",
];

/// Makes conditions for the fields that some layer knows.
pub struct Conditions<'r> {
    /// Where chance comes from.
    pub random: &'r mut Random,
    /// The fields to use.
    pub fields: Vec<Field>,
    variables: Vec<(String, FieldType)>,
}

impl<'r> Conditions<'r> {
    /// Mostly over what `layer` knows, so that rules decide something.
    pub fn new(random: &'r mut Random, layer: Option<Layer>) -> Conditions<'r> {
        let known = |field: Field| layer.is_none_or(|layer| field.knowledge(layer).is_some());
        let fields = FIELDS.iter().map(|row| row.field).filter(|field| known(*field)).collect();
        Conditions { random, fields, variables: Vec::new() }
    }

    fn string(&mut self, text: &str) -> String {
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    }

    /// A boolean expression.
    pub fn boolean(&mut self, depth: usize) -> String {
        if depth == 0 || self.random.once_in(4) {
            return self.test();
        }
        let mut inner = || self.boolean(depth - 1);
        let (a, b) = (inner(), inner());
        match self.random.below(9) {
            0..=2 => format!("({a} && {b})"),
            3 | 4 => format!("({a} || {b})"),
            5 | 6 => format!("!({a})"),
            7 => {
                let c = self.boolean(depth - 1);
                format!("({a} && {b} && {c})")
            }
            _ => {
                let c = self.test();
                format!("({c} ? {a} : {b})")
            }
        }
    }

    fn field(&mut self) -> Field {
        // The fields that nearly every rule tests come more often.
        let usual = [
            Field::HttpHost,
            Field::HttpPath,
            Field::HttpMethod,
            Field::NetworkPort,
            Field::DnsQuery,
            Field::AgentName,
        ];
        if self.random.once_in(3) {
            let field = *self.random.pick(&usual);
            if self.fields.contains(&field) {
                return field;
            }
        }
        *self.random.pick(&self.fields)
    }

    fn test(&mut self) -> String {
        if self.random.once_in(40) {
            return (*self.random.pick(&[
                "true",
                "false",
                "1 / 0 == 1",
                "{\"a\": 1}[\"b\"] == 1",
                "[1, 2][1] == 2",
                "null == null",
            ]))
            .to_owned();
        }
        let field = self.field();
        let name = field.name();
        match field.row().ty {
            FieldType::String => self.text_test(name, Some(field)),
            FieldType::NullableString => match self.random.below(6) {
                0 => format!("{name} == null"),
                1 => format!("{name} != null"),
                2 => format!("{name} in [null, \"a\"]"),
                _ => self.text_test(name, Some(field)),
            },
            FieldType::Int => self.int_test(name),
            FieldType::StringList => self.list_test(name),
            FieldType::StringMap => self.map_test(name),
            FieldType::DynMap => self.dyn_test(name),
        }
    }

    /// A constant that a field may well be equal to.
    fn constant(&mut self, field: Option<Field>) -> String {
        let pool = match field {
            Some(Field::HttpHost | Field::NetworkHostname | Field::DnsQuery | Field::TlsSni) => HOSTS,
            Some(Field::HttpPath | Field::RunCwd) => PATHS,
            Some(Field::HttpMethod) => METHODS,
            Some(Field::NetworkIp) => ADDRESSES,
            _ => WORDS,
        };
        let pool = if self.random.once_in(12) { WORDS } else { pool };
        let constant = *self.random.pick(pool);
        self.string(constant)
    }

    fn part(&mut self, field: Option<Field>) -> String {
        if self.random.once_in(2) {
            let constant = self.constant(field);
            let inner: Vec<char> = constant.trim_matches('"').chars().collect();
            let (from, to) = (self.random.below(inner.len() + 1), self.random.below(inner.len() + 1));
            let part: String = inner.get(from.min(to)..from.max(to)).unwrap_or_default().iter().collect();
            return self.string(&part);
        }
        let part = *self.random.pick(PARTS);
        self.string(part)
    }

    fn list_of(&mut self, field: Option<Field>) -> String {
        let count = self.random.below(4);
        let items: Vec<String> = (0..count).map(|_| self.constant(field)).collect();
        format!("[{}]", items.join(", "))
    }

    /// Another string of the request.
    fn other_text(&mut self) -> String {
        let texts: Vec<Field> =
            self.fields.iter().copied().filter(|field| field.row().ty == FieldType::String).collect();
        if texts.is_empty() { "\"a\"".to_owned() } else { self.random.pick(&texts).name().to_owned() }
    }

    fn text_test(&mut self, text: &str, field: Option<Field>) -> String {
        match self.random.below(24) {
            0..=4 => format!("{text} == {}", self.constant(field)),
            5 => format!("{text} != {}", self.constant(field)),
            6 | 7 => format!("{text} in {}", self.list_of(field)),
            8 => format!("{text}.startsWith({})", self.part(field)),
            9 => format!("{text}.endsWith({})", self.part(field)),
            10 => format!("{text}.contains({})", self.part(field)),
            11 | 12 => format!("{text}.matches(\"{}\")", self.random.pick(PATTERNS)),
            13 => {
                let op = *self.random.pick(&["<", "<=", ">", ">="]);
                format!("{text} {op} {}", self.constant(field))
            }
            14 => {
                let size = format!("size({text})");
                self.int_test(&size)
            }
            15 => format!("{text} + \"x\" == {} + \"x\"", self.constant(field)),
            16 => format!("{text}.lowerAscii() == {}.lowerAscii()", self.constant(field)),
            17 => format!("{text}.upperAscii().contains({})", self.part(field)),
            18 => format!("{text} == {}", self.other_text()),
            19 => format!("{}.contains({text})", self.other_text()),
            20 | 21 => format!("hostMatches({text}, \"{}\")", self.random.pick(HOST_PATTERNS)),
            22 => format!("{} == {text}", self.constant(field)),
            _ if field == Some(Field::NetworkIp) || self.random.once_in(2) => {
                format!("inCidr({text}, \"{}\")", self.random.pick(NETWORKS))
            }
            _ => format!("{{{}: 1}}[{text}] == 1", self.constant(field)),
        }
    }

    fn int_test(&mut self, int: &str) -> String {
        let number = *self.random.pick(INTS);
        let other = *self.random.pick(INTS);
        let op = *self.random.pick(&["==", "!=", "<", "<=", ">", ">="]);
        match self.random.below(12) {
            0..=5 => format!("{int} {op} {number}"),
            6 => format!("{number} {op} {int}"),
            7 => format!("{int} in [{number}, {other}, 443]"),
            8 => {
                let arith = *self.random.pick(&["+", "-", "*", "/", "%"]);
                format!("{int} {arith} {number} {op} {other}")
            }
            9 => format!("{number} / {int} {op} {other}"),
            10 => format!("-{int} {op} {number}"),
            _ => format!("[1, 2, 3][{int}] == 2"),
        }
    }

    /// A new variable.
    fn variable(&mut self) -> String {
        let names = ["x", "y", "z", "http"];
        names.get(self.variables.len() % 3).copied().unwrap_or("x").to_owned()
    }

    fn element_test(&mut self, variable: &str) -> String {
        self.variables.push((variable.to_owned(), FieldType::String));
        let test = if self.variables.len() < 2 && self.random.once_in(5) {
            let inner = self.boolean(0);
            format!("({inner} && {variable} != \"a\")")
        } else {
            self.text_test(variable, None)
        };
        self.variables.pop();
        test
    }

    fn list_test(&mut self, list: &str) -> String {
        let variable = self.variable();
        match self.random.below(12) {
            0 | 1 => format!("{} in {list}", self.constant(None)),
            2 | 3 => format!("{list}.exists({variable}, {})", self.element_test(&variable)),
            4 => format!("{list}.all({variable}, {})", self.element_test(&variable)),
            5 => format!("{list}.exists_one({variable}, {})", self.element_test(&variable)),
            6 => {
                let size = format!("size({list})");
                self.int_test(&size)
            }
            7 => {
                let index = self.random.below(3);
                self.text_test(&format!("{list}[{index}]"), None)
            }
            8 => format!("{list} == {}", self.list_of(None)),
            9 => {
                let size = format!("size({list}.filter({variable}, {}))", self.element_test(&variable));
                self.int_test(&size)
            }
            10 => {
                let filter = self.element_test(&variable);
                format!("{} in {list}.map({variable}, {filter}, {variable} + \"b\")", self.constant(None))
            }
            _ => format!("{list}.map({variable}, {variable}.lowerAscii()) == {}", self.list_of(None)),
        }
    }

    fn map_test(&mut self, map: &str) -> String {
        let name = *self.random.pick(NAMES);
        let variable = self.variable();
        let value = format!("{map}[\"{name}\"]");
        let has = if name.contains('-') { format!("\"{name}\" in {map}") } else { format!("has({map}.{name})") };
        match self.random.below(10) {
            0 | 1 => has,
            2..=4 => self.text_test(&value, None),
            5 => format!("({has} && {})", self.text_test(&value, None)),
            6 => format!("{map}.exists({variable}, {})", self.element_test(&variable)),
            7 => format!("{map}.exists({variable}, {})", self.text_test(&format!("{map}[{variable}]"), None)),
            8 => {
                let size = format!("size({map})");
                self.int_test(&size)
            }
            _ => format!("{} in {map}", self.other_text()),
        }
    }

    fn dyn_test(&mut self, map: &str) -> String {
        let name = *self.random.pick(NAMES);
        let value = format!("{map}[\"{name}\"]");
        match self.random.below(9) {
            0 => format!("\"{name}\" in {map}"),
            1 => format!("{value} == {}", self.random.pick(INTS)),
            2 => {
                format!("{value} == {}", self.random.pick(&["null", "true", "false", "[\"a\"]", "{\"a\": 1}", "\"a\""]))
            }
            3 => self.text_test(&value, None),
            4 => self.int_test(&value),
            5 => format!("{value} in [1, \"a\", null, true]"),
            6 => format!("(\"{name}\" in {map} && {value}.a == {})", self.random.pick(INTS)),
            7 => {
                let variable = self.variable();
                format!("{value}.exists({variable}, {variable} == \"a\")")
            }
            _ => self.map_test(map),
        }
    }
}
