//! Requests whose values lie on and beside what a policy tests for.

use outcall_compiler::cel::ast::{Ast, AstKind};
use outcall_schema::field::{FIELDS, Field, FieldType, Knowledge};
use outcall_schema::host::Host;
use outcall_schema::layer::{Layer, Stage};
use outcall_schema::path;

use super::Random;
use super::condition::{ADDRESSES, HOSTS, METHODS, NAMES, PATHS, WORDS};
use crate::reference::value::{Request, Value};

/// What a policy's conditions mention.
#[derive(Debug, Clone, Default)]
pub struct Constants {
    /// Strings.
    pub texts: Vec<String>,
    /// Integers.
    pub ints: Vec<i64>,
}

impl Constants {
    /// Collects what a condition mentions.
    pub fn collect(&mut self, ast: &Ast) {
        match &ast.kind {
            AstKind::Str(text) => self.texts.push(text.clone()),
            AstKind::Int(value) => self.ints.push(*value),
            AstKind::Null | AstKind::Bool(_) | AstKind::Name(_) => {}
            AstKind::List(items) | AstKind::And(items) | AstKind::Or(items) => {
                items.iter().for_each(|item| self.collect(item));
            }
            AstKind::Map(entries) => entries.iter().for_each(|(key, value)| {
                self.collect(key);
                self.collect(value);
            }),
            AstKind::Select(of, _) => self.collect(of),
            AstKind::Index(one, two)
            | AstKind::In(one, two)
            | AstKind::Compare(_, one, two)
            | AstKind::Arith(_, one, two) => {
                self.collect(one);
                self.collect(two);
            }
            AstKind::Call(receiver, _, arguments) => {
                receiver.iter().for_each(|receiver| self.collect(receiver));
                arguments.iter().for_each(|argument| self.collect(argument));
            }
            AstKind::Not(operand) | AstKind::Negate(operand) => self.collect(operand),
            AstKind::Conditional(one, two, three) => {
                [one, two, three].into_iter().for_each(|part| self.collect(part));
            }
        }
    }

    fn text(&self, random: &mut Random, pool: &[&str]) -> String {
        let base = if self.texts.is_empty() || random.once_in(3) {
            (*random.pick(pool)).to_owned()
        } else {
            random.pick(&self.texts).clone()
        };
        match random.below(8) {
            0 => {
                let other = if self.texts.is_empty() {
                    (*random.pick(pool)).to_owned()
                } else {
                    random.pick(&self.texts).clone()
                };
                base + &other
            }
            1 => base + "x",
            2 => format!("a{base}"),
            3 => base.chars().skip(1).collect(),
            4 => {
                let count = base.chars().count();
                base.chars().take(count.saturating_sub(1)).collect()
            }
            _ => base,
        }
    }

    fn int(&self, random: &mut Random) -> i64 {
        let base = if self.ints.is_empty() || random.once_in(4) {
            *random.pick(&[0, 1, 2, 3, 80, 443])
        } else {
            *random.pick(&self.ints)
        };
        base.saturating_add(random.below(3) as i64 - 1)
    }

    /// A value for a field, canonical.
    pub fn value(&self, random: &mut Random, field: Field) -> Value {
        match field {
            Field::HttpHost | Field::NetworkHostname | Field::DnsQuery | Field::TlsSni => {
                let host = self.text(random, HOSTS);
                let canonical = Host::parse(&host).is_ok_and(|parsed| parsed.as_text() == host);
                let address = host.parse::<std::net::IpAddr>().is_ok();
                let fits = canonical && !(address && field == Field::DnsQuery);
                Value::Str(if fits { host } else { (*random.pick(HOSTS.split_at(10).0)).to_owned() })
            }
            Field::HttpPath => {
                let path = self.text(random, PATHS);
                Value::Str(if path::check(&path).is_ok() { path } else { (*random.pick(PATHS)).to_owned() })
            }
            Field::HttpMethod => {
                let method = self.text(random, METHODS);
                let token = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase());
                Value::Str(if token { method } else { (*random.pick(METHODS)).to_owned() })
            }
            Field::HttpScheme => Value::text(*random.pick(&["http", "https"])),
            Field::NetworkProtocol => Value::text(*random.pick(&["tcp", "udp", "icmp", "icmpv6"])),
            Field::NetworkIp => {
                let address = random
                    .pick(&self.texts.iter().map(String::as_str).chain(ADDRESSES.iter().copied()).collect::<Vec<_>>())
                    .parse::<std::net::IpAddr>();
                Value::Str(address.map_or_else(|_| (*random.pick(ADDRESSES)).to_owned(), |address| address.to_string()))
            }
            Field::NetworkPort => Value::Int(self.int(random).clamp(0, 65535)),
            Field::HttpBodySize => Value::Int(self.int(random).max(-1)),
            Field::ResponseStatus => Value::Int(self.int(random).clamp(100, 599)),
            Field::DnsRecordType => {
                Value::text(*random.pick(&["A", "AAAA", "HTTPS", "CNAME", "TXT", "MX", "A", "AAAA"]))
            }
            Field::HttpBody if random.once_in(3) => Value::Null,
            Field::RunContext => self.object(random),
            _ => match field.row().ty {
                FieldType::StringList => {
                    let count = random.below(4);
                    Value::List((0..count).map(|_| Value::Str(self.text(random, WORDS))).collect())
                }
                FieldType::StringMap => self.headers(random),
                _ => Value::Str(self.text(random, WORDS)),
            },
        }
    }

    /// Headers: names sorted, values without line breaks.
    fn headers(&self, random: &mut Random) -> Value {
        let mut names: Vec<&str> = NAMES.iter().copied().filter(|_| random.once_in(2)).collect();
        names.sort_unstable();
        let entries = names.into_iter().map(|name| (Value::text(name), Value::Str(self.text(random, WORDS))));
        Value::Map(entries.collect())
    }

    fn object(&self, random: &mut Random) -> Value {
        let mut names: Vec<&str> = NAMES.iter().copied().filter(|_| random.once_in(2)).collect();
        names.sort_unstable();
        let entries = names.into_iter().map(|name| {
            let value = match random.below(9) {
                0 => Value::Null,
                1 => Value::Bool(random.once_in(2)),
                2..=4 => Value::Int(self.int(random)),
                5 => Value::Number(1.5),
                6 => Value::List(vec![Value::text("a"), Value::Int(1)]),
                7 => Value::Map(vec![(Value::text("a"), Value::Int(self.int(random)))]),
                _ => Value::Str(self.text(random, WORDS)),
            };
            (Value::text(name), value)
        });
        Value::Map(entries.collect())
    }

    /// A request as `layer` sees it, with everything known up to and with `stage`; a field now and then is not known.
    pub fn request(&self, random: &mut Random, layer: Layer) -> Request {
        let mut request = Request::default();
        for row in FIELDS {
            // What the layer fixes is what it fixes, and what it does not know is left out.
            let always = match row.field.knowledge(layer) {
                None => continue,
                Some(Knowledge::Always(text)) => Some(Value::text(text)),
                Some(Knowledge::From(_)) => None,
            };
            let value = always.unwrap_or_else(|| self.value(random, row.field));
            // A request always has a host, and a body or null.
            if matches!(row.field, Field::HttpHost | Field::HttpBody) || !random.once_in(60) {
                request.known.insert(row.field, value);
            }
        }
        // Nearly always the name of a connection is the host.
        if !random.once_in(8)
            && let Some(host) = request.known.get(&Field::HttpHost).cloned()
        {
            for field in [Field::NetworkHostname, Field::TlsSni] {
                if let Some(value) = request.known.get_mut(&field) {
                    *value = host.clone();
                }
            }
        }
        request
    }
}

/// The stages at which a layer is asked, the last first.
pub fn stages(layer: Layer) -> Vec<Stage> {
    let mut stages: Vec<Stage> = FIELDS
        .iter()
        .filter_map(|row| match row.field.knowledge(layer) {
            Some(Knowledge::From(stage)) => Some(stage),
            _ => None,
        })
        .collect();
    stages.sort_unstable();
    stages.dedup();
    stages.reverse();
    stages
}

/// The request as it is known at an earlier stage.
pub fn at_stage(request: &Request, layer: Layer, stage: Stage) -> Request {
    let mut early = request.clone();
    for row in FIELDS {
        if matches!(row.field.knowledge(layer), Some(Knowledge::From(from)) if from > stage)
            && early.known.remove(&row.field).is_some()
        {
            early.pending.push(row.field);
        }
    }
    early
}
