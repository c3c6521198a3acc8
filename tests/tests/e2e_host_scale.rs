//! A host with many agents and many rules: each agent is served and guarded, and what it took is printed.
//!
//! `OUTCALL_SCALE_AGENTS` and `OUTCALL_SCALE_RULES` ask for more; the long form is 200 agents and 100,000 rules.
#![cfg(test)]

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::Host;

fn number(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// How many rules are in a file: files have at most 1 MiB.
const FILE: usize = 5_000;

/// The rules of these numbers; the first allows what the agents ask for.
fn rules(numbers: Range<usize>) -> String {
    let mut text = "version: \"1\"\nrules:\n".to_owned();
    for number in numbers {
        if number == 0 {
            text.push_str("  - { id: first, action: allow, condition: 'http.host == \"allowed.test\"' }\n");
            continue;
        }
        let condition = match number % 4 {
            0 => format!("http.host == \"h{number}.example.com\""),
            1 => format!("http.host == \"h{number}.example.com\" && http.path.startsWith(\"/p{number}/\")"),
            2 => format!("hostMatches(http.host, \"*.w{number}.example.net\") && http.method == \"GET\""),
            _ => format!("http.host == \"h{number}.example.org\" && agent.name == \"a{}\"", number % 100),
        };
        let _ = writeln!(text, "  - {{ id: r{number}, action: allow, condition: '{condition}' }}");
    }
    text
}

/// Resident memory of the daemon, in MiB: of the child of timeout(1), which started it.
fn resident(host: &Host) -> f64 {
    let status = host.sh(&format!("grep VmRSS /proc/$(pgrep --parent {})/status", host.pid()));
    let kib: f64 = status.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap();
    kib / 1024.0
}

#[test]
fn many_agents_under_many_rules_are_each_served_and_guarded() {
    let host = Host::new(&rules(0..2));
    println!("idle with 2 rules: {:.1} MiB", resident(&host));
    let (count, wanted) = (number("OUTCALL_SCALE_RULES", 1000), number("OUTCALL_SCALE_AGENTS", 8));
    let many = host.dir().join("many");
    std::fs::create_dir(&many).unwrap();
    for begin in (0..count).step_by(FILE) {
        let text = rules(begin..count.min(begin + FILE));
        std::fs::write(many.join(format!("{begin:06}.yaml")), text).unwrap();
    }
    let mut compile = host.world.command("outcall", 60);
    let compiled = compile.arg("compile").arg(&many).arg("-o").arg(host.artifacts()).output().unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stdout));
    let began = Instant::now();
    let reloaded = host.outcall(&["rules", "reload", "--artifacts"]);
    assert_eq!(reloaded.status, 0, "{reloaded}");
    println!("a load took {:?}, the command included", began.elapsed());
    println!("with {count} rules: {:.1} MiB", resident(&host));
    let mut agents = Vec::new();
    let mut took: Vec<Duration> = Vec::new();
    for number in 0..wanted {
        let agent = outcall_tests::fixtures::host::Agent::new(&host, &format!("a{number}"));
        let began = Instant::now();
        host.plug(&agent);
        took.push(began.elapsed());
        agents.push(agent);
    }
    took.sort();
    println!("{wanted} attached, the median in {:?}, the slowest in {:?}", took[wanted / 2], took[wanted - 1]);
    for agent in &agents {
        let ran = host.agent_sh(agent, "curl -sS --max-time 20 http://allowed.test/");
        assert!(ran.stdout.contains("saw GET / for allowed.test"), "{}: {ran}", agent.name());
        let ran = host.agent_sh(agent, "curl -sS --max-time 20 -o /dev/null -w '%{http_code}' http://93.184.216.34/");
        assert_eq!(ran.stdout, "403", "{}: {ran}", agent.name());
    }
    println!("with {wanted} agents that were served: {:.1} MiB", resident(&host));
    let listed = host.outcall(&["netns", "list"]).stdout;
    assert_eq!(listed.lines().count(), wanted + 1, "{listed}");
}
