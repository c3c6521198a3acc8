//! Resolution for the proxy, over an upstream that logs what reaches it and lies in every way it can.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::base::iana::{Rcode, Rtype};
use outcall_runtime::dial::Dialer;
use outcall_runtime::dns::{Budget, ResolveError, Resolver};
use outcall_runtime::snapshot::Snapshot;
use outcall_schema::decision::RuleIndex;
use outcall_schema::reason::Reason;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::common::{Asked, Upstream, Zone, message, snapshot};

const RULES: &str = r#"
version: "1"
rules:
  - id: never
    condition: dns.query == "blocked.example"
    action: block
  - id: web
    condition: hostMatches(http.host, "**.example")
    action: allow
  - id: inside
    condition: http.host == "intern.test"
    action: allow
    egress: { allow_private_ips: true }
  - id: only-ci
    condition: http.host == "ci.test" && agent.name == "ci"
    action: allow
"#;

fn zone() -> Zone {
    Zone::default()
        .address("a.example", 60, "1.2.3.4")
        .address("a.example", 60, "2606:4700::1")
        .address("blocked.example", 60, "1.2.3.4")
        .address("ci.test", 60, "1.2.3.5")
        .address("other.test", 60, "1.2.3.6")
        .alias("www.example", 60, "edge.cdn.test")
        .alias("edge.cdn.test", 60, "node.cdn.test")
        .address("node.cdn.test", 60, "1.1.1.1")
        .alias("loop.example", 60, "pool.example")
        .alias("pool.example", 60, "loop.example")
        .address("private.example", 60, "10.0.0.1")
        .address("private.example", 60, "::ffff:8.8.8.8")
        .address("rebind.example", 60, "169.254.169.254")
        .address("rebind.example", 60, "1.2.3.7")
        .address("intern.test", 60, "10.0.0.1")
        .raw("empty.example", 60, Rtype::TXT, b"\x01x")
        .address("instant.example", 0, "1.2.3.8")
}

async fn resolve(upstreams: &[SocketAddr], agent: &str, name: &str) -> Result<Vec<String>, ResolveError> {
    ask(&resolver(upstreams), &snapshot(RULES), agent, name).await
}

fn resolver(upstreams: &[SocketAddr]) -> Resolver {
    Resolver::new(upstreams.to_vec(), Dialer::new())
}

async fn ask(resolver: &Resolver, snapshot: &Snapshot, agent: &str, name: &str) -> Result<Vec<String>, ResolveError> {
    let answer = tokio::time::timeout(Duration::from_secs(20), resolver.resolve(snapshot, agent, name)).await.unwrap();
    answer.map(|addresses| addresses.iter().map(IpAddr::to_string).collect())
}

#[tokio::test]
async fn an_allowed_name_has_its_public_addresses() {
    let upstream = Upstream::honest(zone());
    for (name, addresses) in [
        ("a.example", vec!["1.2.3.4", "2606:4700::1"]),
        ("www.example", vec!["1.1.1.1"]),
        ("rebind.example", vec!["1.2.3.7"]),
        ("intern.test", vec!["10.0.0.1"]),
    ] {
        assert_eq!(resolve(&[upstream.address], "", name).await.unwrap(), addresses, "{name}");
    }
}

#[tokio::test]
async fn invariant_6_a_name_that_is_not_allowed_never_leaves_the_host() {
    let upstream = Upstream::honest(zone());
    let never = Some(RuleIndex(0));
    for (agent, name, rule, reason) in [
        ("", "blocked.example", never, Reason::BlockedByRule),
        ("", "other.test", None, Reason::NoRuleAllows),
        ("", "example", None, Reason::NoRuleAllows),
        ("other", "ci.test", None, Reason::NoRuleAllows),
        ("", "A.example", None, Reason::AmbiguousRequest),
        ("", "a.example.", None, Reason::AmbiguousRequest),
        ("", "1.2.3.4", None, Reason::AmbiguousRequest),
        ("", "0x7f.1", None, Reason::AmbiguousRequest),
        ("", "a\0.example", None, Reason::AmbiguousRequest),
        ("", "", None, Reason::AmbiguousRequest),
    ] {
        let refused = resolve(&[upstream.address], agent, name).await;
        assert_eq!(refused, Err(ResolveError::Refused { rule, reason }), "{name:?}");
    }
    assert_eq!(upstream.log(), []);
    resolve(&[upstream.address], "ci", "ci.test").await.unwrap();
    assert_eq!(upstream.questions(), ["ci.test 1", "ci.test 28"]);
}

#[tokio::test]
async fn a_rule_that_the_rule_table_does_not_have_opens_nothing() {
    let upstream = Upstream::honest(zone());
    let mut snapshot = snapshot(RULES);
    snapshot.manifest.rules.clear();
    let refused = ask(&resolver(&[upstream.address]), &snapshot, "", "a.example").await;
    assert_eq!(refused, Err(ResolveError::Refused { rule: None, reason: Reason::NoRuleAllows }));
    assert_eq!(upstream.log(), []);
}

#[tokio::test]
async fn names_without_a_usable_address_say_why() {
    let upstream = Upstream::honest(zone());
    for (name, error) in [
        ("private.example", ResolveError::Private { rule: RuleIndex(1) }),
        ("empty.example", ResolveError::NotFound),
        ("missing.example", ResolveError::NotFound),
        ("loop.example", ResolveError::Failed),
    ] {
        assert_eq!(resolve(&[upstream.address], "", name).await, Err(error), "{name}");
    }
}

#[tokio::test]
async fn queries_upstream_are_our_own() {
    let upstream = Upstream::honest(zone());
    let (resolver, snapshot) = (resolver(&[upstream.address]), snapshot(RULES));
    for at in 0..16 {
        let _ = ask(&resolver, &snapshot, "", &format!("n{at}.example")).await;
    }
    let log = upstream.log();
    assert_eq!(log.len(), 32);
    assert!(log.iter().all(|asked| asked.has_edns && asked.option_bytes == 0 && !asked.tcp));
    let distinct = |values: Vec<u16>| values.into_iter().collect::<std::collections::HashSet<_>>().len();
    assert!(distinct(log.iter().map(|asked| asked.id).collect()) >= 30);
    assert!(distinct(log.iter().map(|asked| asked.port).collect()) >= 24);
}

#[tokio::test]
async fn answers_are_kept_for_their_time_and_judged_anew() {
    let upstream = Upstream::honest(zone());
    let resolver = resolver(&[upstream.address]);
    let open = snapshot(RULES);
    for _ in 0..3 {
        ask(&resolver, &open, "", "a.example").await.unwrap();
        assert_eq!(ask(&resolver, &open, "", "missing.example").await, Err(ResolveError::NotFound));
    }
    assert_eq!(upstream.questions(), ["a.example 1", "a.example 28", "missing.example 1", "missing.example 28"]);
    let closed = snapshot("version: \"1\"\nrules: []\n");
    assert!(matches!(ask(&resolver, &closed, "", "a.example").await, Err(ResolveError::Refused { rule: None, .. })));
    // One that may not be kept is asked for each time.
    for _ in 0..2 {
        ask(&resolver, &open, "", "instant.example").await.unwrap();
    }
    let instant = upstream.questions().iter().filter(|question| *question == "instant.example 1").count();
    assert_eq!(instant, 2);
}

#[tokio::test]
async fn many_who_ask_at_once_send_one_question() {
    let begun = Arc::new(Notify::new());
    let (open, gate) = std::sync::mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let begin = Arc::clone(&begun);
    let behaviour = move |asked: &Asked, zone: &Zone| {
        begin.notify_one();
        // Opened by dropping the other end.
        let _ = gate.lock().unwrap().recv();
        vec![zone.reply(asked)]
    };
    let upstream = Upstream::start(zone(), Box::new(behaviour));
    let (resolver, snapshot) = (resolver(&[upstream.address]), Arc::new(snapshot(RULES)));
    let mut tasks = JoinSet::new();
    let spawn = |tasks: &mut JoinSet<_>| {
        let (resolver, snapshot) = (resolver.clone(), Arc::clone(&snapshot));
        tasks.spawn(async move { ask(&resolver, &snapshot, "", "a.example").await })
    };
    let first = spawn(&mut tasks);
    begun.notified().await;
    (0..20).for_each(|_| drop(spawn(&mut tasks)));
    // The one that asked goes away while its question is on its way; the others get its answer.
    first.abort();
    assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    drop(open);
    while let Some(answer) = tasks.join_next().await {
        assert_eq!(answer.unwrap().unwrap().len(), 2);
    }
    assert_eq!(upstream.questions(), ["a.example 1", "a.example 28"]);
}

#[tokio::test]
async fn forged_replies_are_not_believed() {
    let forge = |asked: &Asked, zone: &Zone| {
        let bad = Zone::default().address(&asked.name, 60, "6.6.6.6").address("b.example", 60, "6.6.6.6");
        let mut other_id = bad.reply(asked);
        other_id[1] ^= 1;
        let other_name = bad.reply(&Asked { name: "b.example".into(), ..asked.clone() });
        let other_type = bad.reply(&Asked { rtype: Rtype::TXT, ..asked.clone() });
        let no_response = bad.reply_with(asked, |header| header.set_qr(false));
        vec![other_id, other_name, other_type, no_response, vec![1, 2, 3], Vec::new(), zone.reply(asked)]
    };
    let upstream = Upstream::start(zone(), Box::new(forge));
    assert_eq!(resolve(&[upstream.address], "", "www.example").await.unwrap(), ["1.1.1.1"]);
    // A flood of them sends the question over TCP, where nobody can guess.
    let flood = |asked: &Asked, zone: &Zone| {
        if asked.tcp {
            return vec![zone.reply(asked)];
        }
        let mut wrong = Zone::default().address(&asked.name, 60, "6.6.6.6").reply(asked);
        wrong[1] ^= 1;
        vec![wrong; 100]
    };
    let upstream = Upstream::start(zone(), Box::new(flood));
    assert_eq!(resolve(&[upstream.address], "", "www.example").await.unwrap(), ["1.1.1.1"]);
    assert!(upstream.log().iter().any(|asked| asked.tcp));
}

#[tokio::test]
async fn records_that_nobody_asked_for_are_not_kept() {
    let planting = |asked: &Asked, _: &Zone| {
        let mine = (asked.name.clone(), 60, Rtype::A, vec![1, 2, 3, 4]);
        let planted = ("a.example".to_owned(), 60, Rtype::A, vec![6, 6, 6, 6]);
        let of_other_type = (asked.name.clone(), 60, Rtype::AAAA, vec![0x26; 16]);
        match asked.rtype {
            Rtype::A => vec![message(asked, Rcode::NOERROR, &[planted, mine, of_other_type], false, |_| {})],
            _ => vec![message(asked, Rcode::NOERROR, &[], true, |_| {})],
        }
    };
    let upstream = Upstream::start(zone(), Box::new(planting));
    assert_eq!(resolve(&[upstream.address], "", "b.example").await.unwrap(), ["1.2.3.4"]);
}

#[tokio::test]
async fn a_reply_that_is_cut_off_is_asked_for_again_over_tcp() {
    let cut = |asked: &Asked, zone: &Zone| match asked.tcp {
        true => vec![zone.reply(asked)],
        false => vec![message(asked, Rcode::NOERROR, &[], false, |header| header.set_tc(true))],
    };
    let upstream = Upstream::start(zone(), Box::new(cut));
    assert_eq!(resolve(&[upstream.address], "", "www.example").await.unwrap(), ["1.1.1.1"]);
    assert_eq!(upstream.log().iter().filter(|asked| asked.tcp).count(), 2);
}

#[tokio::test]
async fn an_upstream_without_edns_is_asked_again_without() {
    let old = |asked: &Asked, zone: &Zone| match asked.has_edns {
        true => vec![message(asked, Rcode::FORMERR, &[], false, |_| {})],
        false => vec![zone.reply(asked)],
    };
    let upstream = Upstream::start(zone(), Box::new(old));
    assert_eq!(resolve(&[upstream.address], "", "www.example").await.unwrap(), ["1.1.1.1"]);
}

#[tokio::test]
async fn the_next_upstream_is_asked_when_one_fails_is_silent_or_is_not_there() {
    let failing =
        Upstream::start(zone(), Box::new(|asked, _| vec![message(asked, Rcode::SERVFAIL, &[], false, |_| {})]));
    let silent = Upstream::start(zone(), Box::new(|_, _| Vec::new()));
    let broken = Upstream::start(
        zone(),
        Box::new(|asked, _| {
            let mut reply =
                message(asked, Rcode::NOERROR, &[(asked.name.clone(), 60, Rtype::A, vec![1])], false, |_| {});
            reply.truncate(reply.len() - 3);
            vec![reply]
        }),
    );
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let honest = Upstream::honest(zone());
    for first in [failing.address, silent.address, broken.address, gone] {
        let answer = resolve(&[first, honest.address], "", "www.example").await;
        assert_eq!(answer.unwrap(), ["1.1.1.1"], "{first}");
    }
    let failed = resolve(&[failing.address, broken.address, gone], "", "www.example").await;
    assert_eq!(failed, Err(ResolveError::Failed));
    assert_eq!(resolve(&[], "", "www.example").await, Err(ResolveError::Failed));
}

#[tokio::test]
async fn arbitrary_replies_neither_panic_nor_resolve() {
    // A fixed sequence of bytes that look like replies more and more, from a small generator so that it is the same each time.
    let state = AtomicUsize::new(1);
    let noise = move |asked: &Asked, zone: &Zone| {
        let mut reply = zone.reply(asked);
        let end = reply.len();
        (0..8)
            .map(|_| {
                let next = state
                    .load(Ordering::Relaxed)
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.store(next, Ordering::Relaxed);
                let at = 12 + asked.name.len() + (next >> 33) % (end - 12 - asked.name.len());
                reply[at] = (next >> 24) as u8;
                reply.clone()
            })
            .collect()
    };
    let upstream = Upstream::start(zone(), Box::new(noise));
    let snapshot = snapshot(RULES);
    for _ in 0..24 {
        let resolver = resolver(&[upstream.address]);
        let answer = resolver.resolve(&snapshot, "", "private.example");
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap();
        for address in answer.unwrap_or_default() {
            assert_eq!(outcall_schema::addr::special(address), None);
        }
    }
}

#[tokio::test]
async fn invariant_6_names_under_a_wildcard_leave_the_host_within_a_budget() {
    let upstream = Upstream::honest(zone());
    let budget = Budget { names: 2, bytes: 20, labels: 2 };
    let (resolver, snapshot) = (resolver(&[upstream.address]).with_budget(Some(budget)), snapshot(RULES));
    let spent = Err(ResolveError::Refused { rule: Some(RuleIndex(1)), reason: Reason::DnsBudgetSpent });
    let addresses = |addresses: &[&str]| Ok(addresses.iter().map(|address| (*address).to_owned()).collect());
    for (name, expected) in [
        ("a.b.c.example", spent.clone()),
        ("a.example", addresses(&["1.2.3.4", "2606:4700::1"])),
        ("1234567890abcdefghi1.example", spent.clone()),
        ("www.example", addresses(&["1.1.1.1"])),
        ("instant.example", spent.clone()),
        // What the cache has does not leave, and what a rule writes out says nothing.
        ("a.example", addresses(&["1.2.3.4", "2606:4700::1"])),
        ("intern.test", addresses(&["10.0.0.1"])),
    ] {
        assert_eq!(ask(&resolver, &snapshot, "", name).await, expected, "{name}");
    }
    assert_eq!(ask(&resolver, &snapshot, "ci", "instant.example").await, addresses(&["1.2.3.8"]));
    let mut asked = upstream.questions();
    asked.retain(|question| question.ends_with(" 1"));
    assert_eq!(asked, ["a.example 1", "instant.example 1", "intern.test 1", "www.example 1"]);
    let unbounded = resolver.with_budget(None);
    assert_eq!(ask(&unbounded, &snapshot, "", "missing.a.b.c.example").await, Err(ResolveError::NotFound));
}

#[test]
fn what_rules_write_out_of_a_name_is_not_its_askers() {
    let rules = r#"
version: "1"
rules:
  - { id: one, condition: 'http.host == "a.example"', action: allow }
  - { id: suffix, condition: 'dns.query.endsWith(".deep.example")', action: allow }
  - { id: labels, condition: 'hostMatches(http.host, "*.wide.example")', action: allow }
  - { id: pattern, condition: 'http.host.matches("^shard-[0-9]+[.]b[.]example$")', action: allow }
  - { id: part, condition: 'dns.query.contains("cdn")', action: allow }
"#;
    let table = snapshot(rules).dns;
    for (name, unwritten) in [
        ("a.example", ""),
        ("x.deep.example", "x"),
        ("x.y.deep.example", "x.y"),
        ("secret.wide.example", "secret"),
        ("shard-7.b.example", "shard-7.b.example"),
        ("x.cdn.test", "x.cdn.test"),
        ("x.a.example", "x.a.example"),
    ] {
        assert_eq!(table.unwritten(name), unwritten, "{name}");
    }
}
