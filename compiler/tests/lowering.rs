//! Lowering on policies of a few rules: what the written programs answer.
#![cfg(test)]

use std::net::IpAddr;

use outcall_compiler::cel::{Env, parse_and_check};
use outcall_compiler::diag::{SourceFile, SourceSpan};
use outcall_compiler::emit::artifacts;
use outcall_compiler::resolve::{Policy, Rule};
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::decision::{Action, NameVerdict, Outcome, RuleIndex, Verdict};
use outcall_schema::egress::{Egress, EgressMode};
use outcall_schema::facts::{Fact, Facts, Headers};
use outcall_schema::layer::Layer;

fn rule(id: &str, action: Action, condition: &str) -> Rule {
    let span = SourceSpan { file: SourceFile::new("test.yaml", ""), start: 0, end: 0 };
    let checked = parse_and_check(condition, &Env::rule());
    Rule {
        id: id.to_owned(),
        span: span.clone(),
        action,
        priority: 100,
        description: String::new(),
        log: false,
        condition: checked.unwrap_or_else(|errors| panic!("{condition}: {errors:?}")),
        condition_text: condition.to_owned(),
        condition_span: span,
        condition_map: Default::default(),
        egress: (action == Action::Allow).then(Egress::default),
        hold: None,
        inject: Vec::new(),
        require_header: Vec::new(),
        written: Default::default(),
    }
}

struct Compiled {
    program: MatchProgram,
    dns: DnsTable,
}

fn compile(rules: Vec<Rule>) -> Compiled {
    let policy = Policy { rules, ..Policy::default() };
    let (artifacts, findings) = artifacts(&policy);
    assert!(findings.is_empty(), "{findings:?}");
    let artifacts = artifacts.unwrap();
    Compiled {
        program: MatchProgram::from_bytes(artifacts.proxy.into()).unwrap(),
        dns: DnsTable::from_bytes(artifacts.dns.into()).unwrap(),
    }
}

fn http<'a>(host: &'a str, method: &'a str, path: &'a str, headers: &'a Headers) -> Facts<'a> {
    Facts {
        agent_name: Fact::Known("ci"),
        http_host: Fact::Known(host),
        network_hostname: Fact::Known(host),
        network_port: Fact::Known(80),
        network_protocol: Fact::Known("tcp"),
        http_method: Fact::Known(method),
        http_path: Fact::Known(path),
        http_scheme: Fact::Known("http"),
        http_headers: Fact::Known(headers),
        http_body_size: Fact::Known(0),
        http_body: Fact::Known(None),
        network_ip: Fact::Known(IpAddr::from([203, 0, 113, 7])),
        ..Facts::default()
    }
}

fn allow(rule: u32) -> Outcome {
    Outcome::Decided(Verdict::Allow(RuleIndex(rule)))
}

fn block(rule: u32) -> Outcome {
    Outcome::Decided(Verdict::Block(Some(RuleIndex(rule))))
}

const DEFAULT: Outcome = Outcome::Decided(Verdict::DEFAULT);

#[test]
fn the_first_true_rule_decides() {
    let compiled = compile(vec![
        rule("secrets", Action::Block, "http.path.startsWith(\"/admin\") || http.path.contains(\"secret\")"),
        rule("exact", Action::Allow, "http.host == \"a.example.com\" && http.method in [\"GET\", \"HEAD\"]"),
        rule("wild", Action::Allow, "hostMatches(http.host, \"*.example.com\") && http.path.matches(\"^/v[0-9]+/\")"),
        rule("header", Action::Allow, "has(http.headers.x) && http.headers.x == \"1\""),
        rule("deep", Action::Allow, "http.host.endsWith(\".deep.example.com\") && !(http.method == \"POST\")"),
    ]);
    let (none, x) = (Headers::default(), Headers::collect([("X", "1")]));
    for (host, method, path, headers, expected) in [
        ("a.example.com", "GET", "/", &none, allow(1)),
        ("a.example.com", "GET", "/admin", &none, block(0)),
        ("a.example.com", "GET", "/the/secret", &none, block(0)),
        ("a.example.com", "POST", "/", &none, DEFAULT),
        ("a.example.com", "POST", "/v1/x", &none, allow(2)),
        ("b.example.com", "POST", "/v12/", &none, allow(2)),
        ("b.example.com", "POST", "/v/", &none, DEFAULT),
        ("c.b.example.com", "GET", "/v1/", &none, DEFAULT),
        ("other.test", "GET", "/", &x, allow(3)),
        ("x.y.deep.example.com", "GET", "/", &none, allow(4)),
        ("x.deep.example.com", "POST", "/", &none, DEFAULT),
        ("deep.example.com", "GET", "/", &none, DEFAULT),
    ] {
        let outcome = compiled.program.decide(Layer::Http, &http(host, method, path, headers));
        assert_eq!(outcome, expected, "{method} {host}{path}");
    }
}

#[test]
fn an_address_that_is_not_known_yet_leaves_open_only_what_it_can_change() {
    let compiled = compile(vec![
        rule("inside", Action::Block, "inCidr(network.ip, \"10.0.0.0/8\")"),
        rule("a", Action::Allow, "http.host == \"a.test\""),
        rule("b", Action::Allow, "http.host == \"b.test\" && inCidr(network.ip, \"203.0.113.0/24\")"),
    ]);
    let headers = Headers::default();
    let ask = |host: &str, address: Fact<IpAddr>| {
        let facts = Facts { network_ip: address, ..http(host, "GET", "/", &headers) };
        compiled.program.decide(Layer::Http, &facts)
    };
    assert_eq!(ask("a.test", Fact::Pending), Outcome::Undecided);
    // Refused either way; by the block rule only if the address turns out to be inside.
    assert_eq!(ask("c.test", Fact::Pending), DEFAULT);
    assert_eq!(ask("a.test", Fact::Known([10, 1, 1, 1].into())), block(0));
    assert_eq!(ask("a.test", Fact::Known([11, 1, 1, 1].into())), allow(1));
    assert_eq!(ask("b.test", Fact::Known([203, 0, 113, 255].into())), allow(2));
    assert_eq!(ask("b.test", Fact::Known([203, 0, 114, 0].into())), DEFAULT);
    assert_eq!(ask("b.test", Fact::Known("2001:db8::1".parse().unwrap())), DEFAULT);
}

#[test]
fn names_follow_from_rules_and_only_from_them() {
    let compiled = compile(vec![
        rule("no-evil", Action::Block, "dns.query == \"evil.test\""),
        rule("hosts", Action::Allow, "http.host in [\"a.test\", \"evil.test\"] && http.method == \"GET\""),
        rule("txt", Action::Allow, "dns.query == \"t.test\" && dns.record_type == \"TXT\""),
        rule("plain", Action::Allow, "hostMatches(dns.query, \"**.p.test\")"),
        rule("shut", Action::Block, "http.host == \"shut.test\""),
        rule(
            "late",
            Action::Allow,
            "http.host == \"shut.test\" || http.host == \"agent.test\" && agent.name == \"ci\"",
        ),
    ]);
    let ask = |name: &str, ty: &str| {
        let facts = Facts {
            dns_query: Fact::Known(name),
            dns_record_type: Fact::Known(ty),
            agent_name: Fact::Known("ci"),
            ..Facts::default()
        };
        compiled.dns.lookup(&facts)
    };
    let implied = |rule| NameVerdict::Implied { rule: RuleIndex(rule), private: false };
    assert_eq!(ask("a.test", "A"), implied(1));
    assert_eq!(ask("a.test", "TXT"), NameVerdict::Block(None));
    assert_eq!(ask("evil.test", "A"), NameVerdict::Block(Some(RuleIndex(0))));
    assert_eq!(ask("t.test", "TXT"), NameVerdict::Allow(RuleIndex(2)));
    assert_eq!(ask("t.test", "A"), NameVerdict::Block(None));
    assert_eq!(ask("x.p.test", "CNAME"), NameVerdict::Allow(RuleIndex(3)));
    assert_eq!(ask("x.p.test", "MX"), NameVerdict::Block(None));
    assert_eq!(ask("shut.test", "A"), NameVerdict::Block(None));
    assert_eq!(ask("agent.test", "AAAA"), implied(5));
    assert_eq!(ask("b.test", "A"), NameVerdict::Block(None));
}

#[test]
fn a_rule_that_sees_inside_intercepts_and_others_decide_the_tunnel() {
    let mut seeing = rule("api", Action::Allow, "http.host == \"api.test\" && http.path.startsWith(\"/v1/\")");
    seeing.egress = Some(Egress { mode: EgressMode::Intercept, ..Egress::default() });
    let compiled = compile(vec![
        rule("blocked", Action::Block, "http.host == \"api.test\" && network.port == 8443"),
        seeing,
        rule("get", Action::Allow, "http.host == \"b.test\" && http.method == \"GET\""),
        rule("tunnel", Action::Allow, "http.host == \"b.test\" || http.host == \"api.test\""),
    ]);
    let ask = |host: &str, port: i64| {
        let facts = Facts {
            agent_name: Fact::Known(""),
            http_host: Fact::Known(host),
            network_hostname: Fact::Known(host),
            network_port: Fact::Known(port),
            tls_sni: Fact::Pending,
            tls_alpn: Fact::Pending,
            network_ip: Fact::Pending,
            ..Facts::default()
        };
        compiled.program.decide(Layer::Connect, &facts)
    };
    assert_eq!(ask("api.test", 443), Outcome::Decided(Verdict::Intercept(RuleIndex(1))));
    assert_eq!(ask("api.test", 8443), block(0));
    assert_eq!(ask("b.test", 443), allow(3));
    assert_eq!(ask("c.test", 443), DEFAULT);
}

#[test]
fn many_rules_with_nothing_in_common_stay_small() {
    let mut rules = Vec::new();
    for number in 0..2000 {
        rules.push(match number % 4 {
            0 => rule(&format!("h{number}"), Action::Allow, &format!("http.host == \"h{number}.test\"")),
            1 => rule(&format!("p{number}"), Action::Block, &format!("http.path.startsWith(\"/p{number}/\")")),
            2 => rule(&format!("a{number}"), Action::Block, &format!("agent.name == \"agent{number}\"")),
            _ => rule(
                &format!("r{number}"),
                Action::Allow,
                &format!("http.host.matches(\"^x[0-9]+-{number}\\\\.test$\") && http.path.contains(\"/z{number}\")"),
            ),
        });
    }
    let headers = Headers::default();
    let compiled = compile(rules);
    let ask = |host: &str, path: &str| compiled.program.decide(Layer::Http, &http(host, "GET", path, &headers));
    assert_eq!(ask("h1000.test", "/"), allow(1000));
    assert_eq!(ask("h1000.test", "/p5/x"), block(5));
    assert_eq!(ask("h1000.test", "/p1001/x"), allow(1000));
    assert_eq!(ask("x77-1003.test", "/q/z1003"), allow(1003));
    assert_eq!(ask("x77-1003.test", "/q/z1007"), DEFAULT);
}

#[test]
fn the_kernel_gets_what_it_can_enforce_and_nft_takes_it() {
    let mut ssh = rule(
        "ssh",
        Action::Allow,
        "inCidr(network.ip, \"93.184.0.0/16\") && network.port == 22 && agent.name == \"ci\"",
    );
    ssh.egress = Some(Egress { mode: EgressMode::DirectIp, ..Egress::default() });
    let mut db = rule("db.main", Action::Allow, "dns.query == \"db.example.com\"");
    db.egress = Some(Egress { mode: EgressMode::DirectIp, allow_private_ips: true, ..Egress::default() });
    let mut ping = rule("ping", Action::Allow, "network.protocol in [\"icmp\", \"icmpv6\"]");
    ping.egress = Some(Egress { mode: EgressMode::DirectIp, ..Egress::default() });
    let policy = Policy {
        rules: vec![
            rule(
                "no-smtp",
                Action::Block,
                "network.port in [25, 465, 587] || network.port >= 6000 && network.port < 7000",
            ),
            ssh,
            rule("web", Action::Allow, "http.host == \"93.184.216.34\" || http.host == \"a.test\""),
            db,
            rule(
                "two",
                Action::Block,
                "inCidr(network.ip, \"1.0.0.0/8\") || inCidr(network.ip, \"3.0.0.0/8\") || inCidr(network.ip, \"2001:db8::/32\")",
            ),
            ping,
        ],
        ..Policy::default()
    };
    let (artifacts, findings) = artifacts(&policy);
    assert!(findings.is_empty(), "{findings:?}");
    let nft = artifacts.unwrap().nft;
    println!("{nft}");
    let mut child = std::process::Command::new("unshare")
        .args(["-rn", "nft", "-c", "-f", "-"])
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), nft.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}
