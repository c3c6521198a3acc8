//! Which intercepted connections may pass as a tunnel where interception fails.
#![cfg(test)]

use std::net::IpAddr;
use std::path::Path;

use outcall_compiler::ask::{Compiled, Question, why};
use outcall_compiler::{Missing, compile};
use outcall_schema::decision::{Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts};

/// The policy whose artifacts are the golden case of the same name.
fn policy() -> Compiled {
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../golden/artifacts/fallback/rules");
    let compilation = compile(&[rules], Missing::Refused);
    Compiled::of(&compilation.artifacts.expect("the policy compiles")).expect("what was compiled can be read")
}

fn tunnel(host: &str, address: Fact<IpAddr>) -> Facts<'_> {
    Facts {
        agent_name: Fact::Known("ci"),
        http_host: Fact::Known(host),
        network_hostname: Fact::Known(host),
        network_port: Fact::Known(443),
        network_protocol: Fact::Known("tcp"),
        network_ip: address,
        http_method: Fact::Known("CONNECT"),
        http_path: Fact::Known("/"),
        http_scheme: Fact::Known("https"),
        tls_sni: Fact::Known(host),
        tls_alpn: Fact::Known(&[]),
        ..Facts::default()
    }
}

/// What is answered for a host: `allow` or `block` with the rule, `undecided`.
fn check(policy: &Compiled, host: &str, address: Fact<IpAddr>, expected: &str) {
    let rule = |rule| policy.manifest.rule(rule).map_or("?", |row| row.id.as_str());
    let answer = match policy.program.fallback(&tunnel(host, address)) {
        Outcome::Decided(Verdict::Allow(found)) => format!("allow {}", rule(found)),
        Outcome::Decided(Verdict::Block(found)) => format!("block {}", found.map_or("default", rule)),
        Outcome::Decided(Verdict::Intercept(found)) => format!("intercept {}", rule(found)),
        Outcome::Undecided => "undecided".to_owned(),
    };
    assert_eq!(answer, expected, "{host} at {address:?}");
}

#[test]
fn a_connection_falls_back_where_one_rule_allows_the_tunnel_and_all_inside_it() {
    let policy = policy();
    let anywhere = Fact::Known(IpAddr::from([203, 0, 113, 7]));
    for (host, expected) in [
        ("all.example.com", "allow whole-or-in-part"),
        // Two rules share what is inside, and each may have terms of its own.
        ("some.example.com", "block whole-or-in-part"),
        ("by-path.example.com", "block by-path"),
        ("refused.example.com", "block no-deleting"),
        ("refused-later.example.com", "allow the-others"),
        ("held.example.com", "block hold-writes"),
        ("held-answer.example.com", "block hold-large-answers"),
        // What a rule intercepts by itself always fails closed, whatever other rules say.
        ("by-mode.example.com", "block by-mode"),
        ("strict.example.com", "block and-the-rest"),
        ("a.wide.example.com", "allow wide"),
        ("no.wide.example.com", "block wide"),
        // Never intercepted, or refused: there is nothing to fall back from.
        ("pinned.wide.example.com", "block default"),
        ("a.b.wide.example.com", "block default"),
        ("stranger.example.com", "block default"),
    ] {
        check(&policy, host, anywhere, expected);
        check(&policy, host, Fact::Pending, expected);
    }
}

#[test]
fn an_address_that_a_rule_asks_for_is_waited_for() {
    let policy = policy();
    for (address, expected) in [
        (Fact::Pending, "undecided"),
        (Fact::Known(IpAddr::from([192, 0, 2, 1])), "allow by-address"),
        (Fact::Known(IpAddr::from([203, 0, 113, 7])), "block default"),
    ] {
        check(&policy, "by-address.example.com", address, expected);
    }
}

#[test]
fn why_says_where_a_connection_falls_back() {
    let policy = policy();
    for (host, note) in [("all.example.com", true), ("some.example.com", false), ("strict.example.com", false)] {
        let question = Question::parse(&["connect".to_owned(), format!("{host}:443")]).expect("a question");
        let told = why(&policy, &question, "ci", None).expect("an answer").human();
        assert!(told.contains("intercepted for"), "{told}");
        assert_eq!(told.contains("where interception fails, it passes as a tunnel"), note, "{told}");
    }
}
