//! Redirected connections of other protocols.

use std::io::ErrorKind;

use super::*;

fn rules(port: u16) -> String {
    let block = "  - id: no-secret\n    action: block\n    condition: 'http.path.startsWith(\"/secret\")'\n";
    format!("rules:\n{block}{}", allow("raw", &format!("network.ip == \"127.0.0.1\" && network.port == {port}")))
}

/// An upstream that greets first and then says what it hears.
async fn greeter() -> Upstream {
    Upstream::start(Box::new(|mut client, received| {
        tokio::spawn(async move {
            client.send("220 ready\r\n").await;
            let said = client.rest_text().await;
            received.lock().unwrap().push(said);
        })
    }))
    .await
}

#[tokio::test]
async fn other_protocols_pass_where_a_rule_allows_the_address() {
    let upstream = Upstream::echo().await;
    let world = World::new(&rules(upstream.port())).await;
    let mut client = world.redirected(upstream.address).await;
    client.send("SSH-2.0-x\r\n").await;
    assert_eq!(client.until("\r\n").await, "SSH-2.0-x\r\n");
    client.send("GET /secret HTTP/1.1\r\n").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(client.rest_text().await, "GET /secret HTTP/1.1\r\n");
    assert_eq!((world.passed(), world.refusals().len()), (1, 0));
}

#[tokio::test]
async fn other_protocols_are_reset_at_once_where_none_does() {
    let upstream = Upstream::echo().await;
    let world = World::new(&usual_rules()).await;
    let mut client = world.redirected(upstream.address).await;
    client.send("SSH-2.0-x\r\n").await;
    let ended = tokio::time::timeout(PATIENCE, client.stream.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    world.assert_refusals(&[("default", "raw_traffic")]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_where_a_rule_allows_it() {
    let limits = || Limits { silence: Duration::from_millis(50), ..Limits::default() };
    let upstream = greeter().await;
    let world = World::with_limits(&rules(upstream.port()), limits()).await;
    let mut client = world.redirected(upstream.address).await;
    assert_eq!(client.until("\r\n").await, "220 ready\r\n");
    client.send("GET /secret HTTP/1.1\r\n").await;
    client.stream.shutdown().await.unwrap();
    client.rest().await;
    assert_eq!(world.passed(), 1);
    let closed = World::with_limits(&usual_rules(), limits()).await;
    let mut client = closed.redirected(upstream.address).await;
    let ended = tokio::time::timeout(PATIENCE, client.stream.read(&mut [0])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    closed.assert_refusals(&[("default", "raw_traffic")]);
}

#[tokio::test]
async fn a_client_that_waits_before_it_speaks_http_is_still_judged_as_such() {
    let limits = Limits { silence: Duration::from_millis(20), ..Limits::default() };
    let upstream = Upstream::echo().await;
    let world = World::with_limits(&rules(upstream.port()), limits).await;
    let mut client = world.redirected(upstream.address).await;
    eventually(|| upstream.connections() == 1).await;
    let answer = client.ask(&format!("GET /secret HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", upstream.port())).await;
    assert_eq!(answer, forbidden("no-secret"));
    eventually(|| !upstream.received().is_empty()).await;
    assert_eq!(upstream.received(), [""]);
    let mut client = world.redirected(upstream.address).await;
    eventually(|| upstream.connections() == 2).await;
    client.send("get /secret\n").await;
    assert!(client.rest_text().await.starts_with("HTTP/1.1 400 "));
}

/// A world whose agent was told that `a.example` is at the loopback.
async fn told(rules: &str) -> World {
    let world = World::new(rules).await;
    let snapshot = world.context.policy.load_full();
    let (agent, name, record_type) = ("ci", "a.example", "A");
    let facts = outcall_schema::facts::Facts {
        dns_query: outcall_schema::facts::Fact::Known(name),
        dns_record_type: outcall_schema::facts::Fact::Known(record_type),
        ..Default::default()
    };
    world.context.direct.keep(&crate::dns::Told {
        snapshot: &snapshot,
        agent,
        name,
        record_type,
        verdict: snapshot.dns.lookup(&facts),
        addresses: &[Ipv4Addr::LOCALHOST.into()],
        ttl: PATIENCE,
    });
    world
}

fn direct(port: u16, more: &str) -> String {
    format!(
        "  - id: direct\n    action: allow\n    condition: dns.query == \"a.example\"\n    egress: {{ mode: direct_ip, ports: [{port}]{more} }}\n"
    )
}

#[tokio::test]
async fn where_a_name_of_a_direct_rule_led_bytes_pass_as_they_are() {
    let upstream = greeter().await;
    let private = ", allow_private_ips: true";
    let world = told(&format!("rules:\n{}", direct(upstream.port(), private))).await;
    for said in ["GET /secret HTTP/1.1\r\n\r\n", "\u{16}\u{3}\u{1}no hello at all", "SSH-2.0-x\r\n"] {
        let mut client = world.redirected(upstream.address).await;
        client.send(said).await;
        assert_eq!(client.until("\r\n").await, "220 ready\r\n");
        client.stream.shutdown().await.unwrap();
        client.rest().await;
        eventually(|| upstream.received().last().is_some_and(|last| last == said)).await;
    }
    assert_eq!((world.passed(), world.refusals().len()), (3, 0));
}

#[tokio::test]
async fn a_direct_rule_yields_to_rules_on_the_address_before_it_and_opens_no_private_ones() {
    let upstream = greeter().await;
    let port = upstream.port();
    let private = ", allow_private_ips: true";
    let rule = |action: &str| format!("  - id: first\n    action: {action}\n    condition: network.port == {port}\n");
    for (rules, refused) in [
        (format!("rules:\n{}{}", rule("block"), direct(port, private)), Some(("first", "blocked_by_rule"))),
        (format!("rules:\n{}", direct(port, "")), Some(("direct", "private_address"))),
        (format!("rules:\n{}{}", direct(port, private), rule("block")), None),
    ] {
        let world = told(&rules).await;
        let mut client = world.redirected(upstream.address).await;
        client.send("SSH-2.0-x\r\n").await;
        match refused {
            Some(refused) => {
                let ended = tokio::time::timeout(PATIENCE, client.stream.read(&mut [0])).await.unwrap();
                assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset, "{rules}");
                world.assert_refusals(&[refused]);
            }
            None => assert_eq!(client.until("\r\n").await, "220 ready\r\n"),
        }
    }
    assert_eq!(upstream.connections(), 1);
}
