//! Policies of any size for the benches: rules as people write them, many times over.

use std::fmt::Write;
use std::path::Path;

use outcall_schema::decision::Outcome;
use outcall_schema::facts::{Fact, Facts, Headers};

/// The sizes that are measured.
pub const SIZES: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// Rules in one file: well below the limit on a file's size.
const RULES_A_FILE: usize = 2_500;

/// A kind of policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One host a rule.
    Hosts,
    /// Of ten rules: five hosts, two with method and path, one wildcard, one with a regular expression on the path, one for
    /// a single agent. Ten percent of all are block rules before the others.
    Mixed,
    /// Five rules a host that touch one another, as reviewers see them: a block of one method, methods, a path prefix, a
    /// regular expression on the path, and an agent or a subdomain on one port.
    Review,
}

impl Kind {
    /// Those that decisions and compilation are measured with.
    pub const ALL: [Kind; 2] = [Kind::Hosts, Kind::Mixed];

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Hosts => "hosts",
            Kind::Mixed => "mixed",
            Kind::Review => "review",
        }
    }

    /// The condition of rule number `number`, in the part of the language that every CEL implementation has.
    pub fn condition(self, number: usize) -> String {
        let host = self.host(number);
        match (self, number % 10) {
            (Kind::Review, 0 | 5) => format!("http.host == \"{host}\" && http.method == \"DELETE\""),
            (Kind::Review, 1 | 6) => format!("http.host == \"{host}\" && http.method in [\"GET\", \"HEAD\"]"),
            (Kind::Review, 2 | 7) => {
                format!("http.host == \"{host}\" && http.path.startsWith(\"/v{}/\")", number % 3)
            }
            (Kind::Review, 3 | 8) => {
                format!(
                    "http.host == \"{host}\" && http.path.matches(\"^/repos/[a-z0-9-]+/(issues|pulls)(/[0-9]+)?$\")"
                )
            }
            (Kind::Review, 4) => format!("http.host == \"{host}\" && agent.name == \"agent-{}\"", number % 50),
            (Kind::Review, _) => format!("http.host.endsWith(\".{host}\") && network.port == 443"),
            (Kind::Hosts, _) | (Kind::Mixed, 0..=4) => format!("http.host == \"{host}\""),
            (Kind::Mixed, 5 | 6) => {
                format!(
                    "http.host == \"{host}\" && http.method in [\"GET\", \"HEAD\"] && http.path.startsWith(\"/v1/\")"
                )
            }
            (Kind::Mixed, 7) => format!("http.host.endsWith(\".zone-{number}.example.org\")"),
            (Kind::Mixed, 8) => {
                format!(
                    "http.host == \"{host}\" && http.path.matches(\"^/repos/[a-z0-9-]+/(issues|pulls)(/[0-9]+)?$\")"
                )
            }
            (Kind::Mixed, _) => format!("http.host == \"{host}\" && agent.name == \"agent-{}\"", number % 50),
        }
    }

    /// Whether rule number `number` blocks.
    pub fn blocks(self, number: usize) -> bool {
        match self {
            Kind::Hosts => false,
            Kind::Mixed => number % 20 == 5,
            Kind::Review => number.is_multiple_of(5),
        }
    }

    /// The host of a request that rule number `number` may decide.
    pub fn host(self, number: usize) -> String {
        match self {
            Kind::Mixed if number % 10 == 7 => format!("a.zone-{number}.example.org"),
            Kind::Review => format!("host-{}.example.com", number / 5),
            Kind::Hosts | Kind::Mixed => format!("host-{number}.example.com"),
        }
    }
}

/// Writes `rules` rules as rule files into `dir`.
///
/// # Errors
/// What writing files can fail with.
pub fn write(kind: Kind, rules: usize, dir: &Path) -> std::io::Result<()> {
    write_edited(kind, rules, dir, &|condition, _| Some(condition))
}

/// The same with some conditions written otherwise, or their rules left out.
///
/// # Errors
/// What writing files can fail with.
pub fn write_edited(
    kind: Kind,
    rules: usize,
    dir: &Path,
    edit: &dyn Fn(String, usize) -> Option<String>,
) -> std::io::Result<()> {
    for (file, first) in (0..rules).step_by(RULES_A_FILE).enumerate() {
        let mut text = String::from("version: \"1\"\nrules:\n");
        for number in first..rules.min(first + RULES_A_FILE) {
            let action = if kind.blocks(number) { "block" } else { "allow" };
            let Some(condition) = edit(kind.condition(number), number) else { continue };
            let condition = condition.replace('\'', "''");
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  - id: rule-{number}\n    condition: '{condition}'\n    action: {action}");
        }
        std::fs::write(dir.join(format!("{file:04}.yaml")), text)?;
    }
    Ok(())
}

/// The values of one request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The host.
    pub host: String,
    /// The path.
    pub path: &'static str,
    /// The agent.
    pub agent: String,
    headers: Headers,
}

/// `count` requests to a policy of `rules` rules: most meet a rule somewhere in it, every fourth meets none.
pub fn requests(kind: Kind, rules: usize, count: usize) -> Vec<Request> {
    let paths = ["/v1/items?limit=5", "/", "/repos/my-repo/issues/17", "/static/app.js"];
    (0..count)
        .map(|at| {
            // Spread over the whole policy, in no order.
            let number = at.wrapping_mul(2_654_435_761) % rules;
            let host = if at % 4 == 3 { format!("nobody-{at}.example.net") } else { kind.host(number) };
            let headers = Headers::collect([("accept", "*/*"), ("user-agent", "bench/1.0")]);
            let path = paths.get(at % paths.len()).copied().unwrap_or("/");
            Request { host, path, agent: format!("agent-{}", number % 50), headers }
        })
        .collect()
}

impl Request {
    /// The request as the proxy asks about it, all fields known.
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            network_hostname: Fact::Known(&self.host),
            network_ip: Fact::Known(std::net::IpAddr::V4(std::net::Ipv4Addr::new(93, 184, 216, 34))),
            network_port: Fact::Known(80),
            network_protocol: Fact::Known("tcp"),
            http_host: Fact::Known(&self.host),
            http_method: Fact::Known("GET"),
            http_path: Fact::Known(self.path),
            http_scheme: Fact::Known("http"),
            http_headers: Fact::Known(&self.headers),
            http_body_size: Fact::Known(0),
            http_body: Fact::Known(None),
            agent_name: Fact::Known(&self.agent),
            ..Facts::default()
        }
    }

    /// The same for the `cel` crate, which is the peer in the benches: only what these policies read.
    ///
    /// # Panics
    /// When the crate refuses a plain map of strings.
    #[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
    pub fn context(&self) -> cel::Context<'static, 'static> {
        let mut context = cel::Context::default();
        let http = std::collections::HashMap::from([
            ("host", self.host.clone()),
            ("method", "GET".to_owned()),
            ("path", self.path.to_owned()),
        ]);
        context.add_variable("http", http).expect("a variable");
        context
            .add_variable("agent", std::collections::HashMap::from([("name", self.agent.clone())]))
            .expect("a variable");
        context
    }
}

/// The rules by themselves, for the peer: a compiled program each, tried one after the other.
///
/// # Panics
/// When the crate does not understand one.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
pub fn programs(kind: Kind, rules: usize) -> Vec<cel::Program> {
    (0..rules).map(|number| cel::Program::compile(&kind.condition(number)).expect("standard CEL")).collect()
}

/// The first rule that is true, the plain way.
pub fn first_true(programs: &[cel::Program], context: &cel::Context<'_, '_>) -> Option<usize> {
    programs.iter().position(|program| matches!(program.execute(context), Ok(cel::Value::Bool(true))))
}

/// The rule's number in a final answer.
pub fn decided(outcome: Outcome) -> Option<usize> {
    match outcome {
        Outcome::Decided(verdict) => verdict.rule().and_then(|rule| usize::try_from(rule.0).ok()),
        Outcome::Undecided => None,
    }
}
