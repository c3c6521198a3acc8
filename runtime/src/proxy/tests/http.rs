//! Plain HTTP: each request judged by itself, forwarded as it came.

use proptest::prelude::*;

use super::*;

#[tokio::test]
async fn a_request_and_its_response_pass_byte_for_byte() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let host = format!("a.example:{}", upstream.port());
    let lines = format!("hOST: {host}\r\nx-Odd:  a \r\nX-oDD: b\r\nContent-Length: 3\r\n\r\na\0b");
    let mut client = world.client().await;
    let response =
        client.ask(&format!("POST http://{host}/x%2Fy//z?q HTTP/1.1\r\nProxy-Connection: x\r\n{lines}")).await;
    assert_eq!(response, OK);
    assert_eq!(upstream.received(), [format!("POST /x%2Fy//z?q HTTP/1.1\r\n{lines}")]);
    assert_eq!((world.resolved(), world.refusals().len(), world.passed()), (vec!["a.example".into()], 0, 1));
}

#[tokio::test]
async fn a_refused_request_is_never_resolved_and_leaves_one_record() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let port = upstream.port();
    let mut client = world.client().await;
    for (host, path, rule) in [("c.example", "/", "default"), ("a.example", "/secret/x", "no-secret")] {
        let request = format!("GET http://{host}:{port}{path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        assert_eq!(client.ask(&request).await, forbidden(rule));
    }
    assert!(world.resolved().is_empty());
    let head = format!("HEAD http://c.example:{port}/ HTTP/1.1\r\nHost: c.example:{port}\r\n\r\n");
    client.send(head).await;
    assert!(forbidden("default").starts_with(&client.until("\r\n\r\n").await));
    // The connection goes on.
    let request = format!("GET http://a.example:{port}/ HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n");
    assert_eq!(client.ask(&request).await, OK);
    let refusals = [("default", "no_rule_allows"), ("no-secret", "blocked_by_rule"), ("default", "no_rule_allows")];
    world.assert_refusals(&refusals);
    assert_eq!((upstream.connections(), upstream.received().len()), (1, 1));
    let record = &world.records()[1];
    assert_eq!((&record["agent"], &record["layer"], &record["line"]), (&"ci".into(), &"http".into(), &3.into()));
    assert_eq!(record["request"]["http"]["path"], "/secret/x");
}

#[tokio::test]
async fn pipelined_requests_are_judged_one_by_one_and_answered_in_order() {
    let world = World::new(&usual_rules()).await;
    let upstream = Upstream::http(|message| {
        let path = message.split(' ').nth(1).unwrap().to_owned();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len())
    })
    .await;
    let destination = upstream.address;
    let port = upstream.port();
    let mut client = world.redirected(destination).await;
    let request = |host: &str, path: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
    let all =
        [("a.example", "/1"), ("a.example", "/secret"), ("c.example", "/2"), ("b.example", "/3"), ("a.example", "/4")];
    client.send(all.map(|(host, path)| request(host, path)).concat()).await;
    let mut answers = Vec::new();
    for _ in all {
        answers.push(client.message().await);
    }
    let ok = |path: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{path}");
    assert_eq!(answers, [ok("/1"), forbidden("no-secret"), forbidden("default"), ok("/3"), ok("/4")]);
    assert_eq!(
        upstream.received(),
        [request("a.example", "/1"), request("b.example", "/3"), request("a.example", "/4")]
    );
    assert_eq!(upstream.connections(), 3, "a connection to the server is for one name");
    assert_eq!(world.resolved(), ["a.example", "b.example"]);
}

#[tokio::test]
async fn a_connection_to_the_server_is_reused_for_the_same_name() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let port = upstream.port();
    let mut client = world.redirected(upstream.address).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n");
    for _ in 0..10_000 {
        assert_eq!(client.ask(&request).await, OK);
    }
    assert_eq!((upstream.connections(), upstream.received().len(), world.passed()), (1, 10_000, 10_000));
}

#[tokio::test]
async fn responses_end_where_they_say_and_the_next_request_is_answered() {
    let world = World::new(&usual_rules()).await;
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;e=1\r\nabc\r\n0\r\nX-T: 1\r\n\r\n";
    let upstream = Upstream::http(move |message| match message.split(' ').nth(1).unwrap() {
        "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".into(),
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".into(),
        "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n".into(),
        "/hints" => format!("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{OK}"),
        "/chunked" => chunked.into(),
        "/close" => "HTTP/1.1 200 OK\r\nX: Connection: close\r\n\r\nuntil the end".into(),
        _ => OK.into(),
    })
    .await;
    let port = upstream.port();
    let mut client = world.redirected(upstream.address).await;
    for (method, path, expected) in [
        ("HEAD", "/head", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ("GET", "/204", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n"),
        ("GET", "/hints", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"),
    ] {
        client.send(format!("{method} {path} HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n")).await;
        assert_eq!(client.until("\r\n\r\n").await, expected);
    }
    assert_eq!(client.message().await, OK);
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example:{port}\r\n\r\n");
    assert_eq!(client.ask(&get("/chunked")).await, chunked);
    assert_eq!(client.ask(&get("/")).await, OK);
    client.send(get("/close")).await;
    let expected = "HTTP/1.1 200 OK\r\nX: Connection: close\r\nConnection: close\r\n\r\nuntil the end";
    assert_eq!(client.rest_text().await, expected);
    assert_eq!(world.refusals().len(), 0);
}

#[tokio::test]
async fn chunks_and_trailers_of_a_request_pass_as_they_came() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let host = format!("a.example:{}", upstream.port());
    let mut client = world.redirected(upstream.address).await;
    let head = format!("PUT /x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in [head.as_str(), "1\r", "\na\r\n", "00A;x=y\r\n12345", "67890\r\n", "0\r\nX-Sum: z\r", "\n\r\n"] {
        client.send(piece).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.message().await, OK);
    let body = "1\r\na\r\n00A;x=y\r\n1234567890\r\n0\r\nX-Sum: z\r\n\r\n";
    assert_eq!(upstream.received(), [format!("{head}{body}")]);
}

#[tokio::test]
async fn a_client_that_waits_for_100_gets_it_from_the_server() {
    let world = World::new(&usual_rules()).await;
    let upstream = Upstream::start(Box::new(|mut client, received| {
        tokio::spawn(async move {
            let head = client.until("\r\n\r\n").await;
            if head.contains("/refused") {
                client.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            client.send("HTTP/1.1 100 Continue\r\n\r\n").await;
            let body = client.until("end").await;
            received.lock().unwrap().push(head + &body);
            client.send(OK).await;
        })
    }))
    .await;
    let host = format!("a.example:{}", upstream.port());
    let lines = format!("Host: {host}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    let mut client = world.redirected(upstream.address).await;
    client.send(format!("PUT / HTTP/1.1\r\n{lines}")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("end").await;
    assert_eq!(client.message().await, OK);
    assert_eq!(upstream.received(), [format!("PUT / HTTP/1.1\r\n{lines}end")]);
    let mut client = world.redirected(upstream.address).await;
    client.send(format!("PUT /refused HTTP/1.1\r\n{lines}")).await;
    let expected = "HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(client.rest_text().await, expected);
}

#[tokio::test]
async fn web_sockets_pass_and_other_upgrades_are_answered_plainly() {
    let world = World::new(&usual_rules()).await;
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n\r\n";
    let upstream = Upstream::start(Box::new(move |mut client, received| {
        tokio::spawn(async move {
            let head = client.until("\r\n\r\n").await;
            received.lock().unwrap().push(head.clone());
            if !head.contains("Upgrade:") {
                return client.send(OK).await;
            }
            client.send(format!("{switching}hello")).await;
            while client.more().await > 0 {
                let bytes = std::mem::take(&mut client.unread);
                client.send(bytes).await;
            }
        })
    }))
    .await;
    let host = format!("a.example:{}", upstream.port());
    let head = |upgrade: &str| {
        format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Key: k\r\n\r\n"
        )
    };
    let mut client = world.redirected(upstream.address).await;
    client.send(head("websocket")).await;
    assert_eq!(client.until("\r\n\r\n").await, switching);
    assert_eq!(client.until("hello").await, "hello");
    client.send(b"\x81\x05GET /").await;
    assert!(client.until("GET /").await.ends_with("\u{5}GET /"));
    client.stream.shutdown().await.unwrap();
    assert!(client.rest().await.is_empty());
    let mut client = world.redirected(upstream.address).await;
    assert_eq!(client.ask(&head("h2c")).await, OK);
    let plain = format!("GET /ws HTTP/1.1\r\nHost: {host}\r\nSec-WebSocket-Key: k\r\n\r\n");
    assert_eq!(upstream.received(), [head("websocket"), plain]);
    let refused = format!("GET /secret HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(world.redirected(upstream.address).await.ask(&refused).await, forbidden("no-secret"));
}

fn body_rules() -> String {
    let block = "  - id: no-key\n    action: block\n    condition: 'http.host == \"a.example\" && http.body != null && http.body.contains(\"hush\")'\n";
    let big = "  - id: no-big\n    action: block\n    condition: 'http.host == \"a.example\" && http.body == null'\n";
    format!("rules:\n{block}{big}{}", allow("web", "http.host in [\"a.example\", \"b.example\"]"))
}

#[tokio::test]
async fn a_body_is_read_where_the_answer_depends_on_it_and_forwarded_as_it_came() {
    let limits = Limits { body_bytes: 64, ..Limits::default() };
    let (world, upstream) = (World::with_limits(&body_rules(), limits).await, Upstream::ok().await);
    let port = upstream.port();
    let long = "x".repeat(65);
    let chunks = "2\r\nhu\r\n2;x\r\nsh\r\n0\r\n\r\n";
    let harmless = "2\r\nhu\r\n2;x\r\ngs\r\n0\r\nT: u\r\n\r\n";
    let length = |body: &str| format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let chunked = |body: &str| format!("Transfer-Encoding: chunked\r\n\r\n{body}");
    let request = |host: &str, rest: &str| format!("POST / HTTP/1.1\r\nHost: {host}:{port}\r\n{rest}");
    let mut passed = Vec::new();
    for (host, rest, rule) in [
        ("a.example", length("harmless"), None),
        ("a.example", length("hush"), Some("no-key")),
        ("a.example", chunked(harmless), None),
        ("a.example", chunked(chunks), Some("no-key")),
        ("a.example", length(""), None),
        ("b.example", length("hush"), None),
        ("a.example", length(&long), Some("no-big")),
        ("a.example", chunked(&format!("41\r\n{long}\r\n0\r\n\r\n")), Some("no-big")),
    ] {
        let request = request(host, &rest);
        let mut client = world.redirected(upstream.address).await;
        client.send(&request).await;
        let answer = client.message().await;
        match rule {
            None => {
                assert_eq!(answer, OK, "{request}");
                passed.push(request);
            }
            Some(rule) => assert_eq!(answer.replace("Connection: close\r\n", ""), forbidden(rule), "{request}"),
        }
    }
    assert_eq!(upstream.received(), passed);
}

#[tokio::test]
async fn a_client_that_waits_with_a_body_that_is_judged_is_asked_for_it() {
    let (world, upstream) = (World::new(&body_rules()).await, Upstream::ok().await);
    let host = format!("a.example:{}", upstream.port());
    let mut client = world.redirected(upstream.address).await;
    client.send(format!("PUT / HTTP/1.1\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")).await;
    assert_eq!(client.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(upstream.connections(), 0);
    client.send("hush").await;
    assert_eq!(client.message().await, forbidden("no-key"));
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn what_a_hold_or_enrich_rule_applies_to_is_refused() {
    let hold =
        "  - id: look\n    action: hold\n    condition: 'http.path == \"/held\"'\n    hold: { direction: request }\n";
    let answer =
        "  - id: odd\n    action: hold\n    condition: 'response.status == 299'\n    hold: { direction: response }\n";
    let rules = format!("rules:\n{hold}{answer}{}", allow("web", "http.host == \"a.example\""));
    let world = World::new(&rules).await;
    let upstream =
        Upstream::http(|message| if message.contains("/odd") { OK.replace("200", "299") } else { OK.into() }).await;
    let host = format!("a.example:{}", upstream.port());
    let mut client = world.redirected(upstream.address).await;
    for (path, rule) in [("/held", "look"), ("/odd", "odd")] {
        let answer = client.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let extra = "X-Outcall-Failure-Reason: obligation_unavailable\r\n";
        assert_eq!(answer.replace(extra, ""), forbidden(rule), "{path}");
        assert!(answer.contains(extra));
    }
    assert_eq!(client.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await, OK);
    world.assert_refusals(&[("look", "obligation_unavailable"), ("odd", "obligation_unavailable")]);
    assert_eq!(upstream.received().len(), 2);
}

#[tokio::test]
async fn an_upstream_that_is_away_is_a_502_and_one_record() {
    let world = World::new(&usual_rules()).await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut client = world.redirected(gone).await;
    let answer = client.ask(&format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", gone.port())).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\n"), "{answer}");
    assert!(answer.contains("\r\nX-Outcall-Failure-Reason: upstream_unreachable\r\n"), "{answer}");
    assert!(answer.ends_with("Outcall could not complete the request: the upstream could not be reached"), "{answer}");
    world.assert_refusals(&[("default", "upstream_unreachable")]);
}

#[tokio::test]
async fn a_private_address_needs_a_rule_that_says_so() {
    let rules =
        "rules:\n  - id: web\n    action: allow\n    condition: 'http.host in [\"a.example\", \"127.0.0.1\"]'\n";
    let (world, upstream) = (World::new(rules).await, Upstream::ok().await);
    for host in ["a.example", "127.0.0.1"] {
        let mut client = world.redirected(upstream.address).await;
        let answer = client.ask(&format!("GET / HTTP/1.1\r\nHost: {host}:{}\r\n\r\n", upstream.port())).await;
        assert_eq!(answer, forbidden("web"));
    }
    world.assert_refusals(&[("web", "private_address"), ("web", "private_address")]);
    assert_eq!(upstream.connections(), 0);
}

#[tokio::test]
async fn the_address_a_name_resolves_to_is_judged() {
    let block = "  - id: no-loopback\n    action: block\n    condition: 'inCidr(network.ip, \"127.0.0.0/8\")'\n";
    let rules = format!("rules:\n{block}{}", allow("web", "http.host == \"a.example\""));
    let (world, upstream) = (World::new(&rules).await, Upstream::ok().await);
    let mut client = world.redirected(upstream.address).await;
    let answer = client.ask(&format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port())).await;
    assert_eq!((answer, upstream.connections()), (forbidden("no-loopback"), 0));
}

#[tokio::test]
async fn a_request_on_a_connection_that_the_server_just_closed_is_sent_again() {
    let world = World::new(&usual_rules()).await;
    // Each connection answers one request and closes without saying so.
    let upstream = Upstream::start(Box::new(|mut client, received| {
        tokio::spawn(async move {
            let message = client.message().await;
            received.lock().unwrap().push(message);
            client.send(OK).await;
        })
    }))
    .await;
    let mut client = world.redirected(upstream.address).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port());
    for _ in 0..50 {
        assert_eq!(client.ask(&request).await, OK);
    }
    assert_eq!((upstream.connections(), upstream.received().len(), world.refusals().len()), (50, 50, 0));
}

#[tokio::test]
async fn either_side_may_leave_in_the_middle() {
    let world = World::new(&usual_rules()).await;
    let upstream =
        Upstream::http(|_| "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nX: Connection: close\r\n\r\nhalf".into()).await;
    let mut client = world.redirected(upstream.address).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port())).await;
    let text = client.rest_text().await;
    assert!(text.ends_with("\r\n\r\nhalf"), "{text}");
    let waiting = Upstream::echo().await;
    let mut client = world.redirected(waiting.address).await;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: a.example:{}\r\nContent-Length: 9\r\n\r\nhalf", waiting.port()))
        .await;
    drop(client);
    eventually(|| !waiting.received().is_empty()).await;
    assert!(waiting.received()[0].ends_with("half"));
}

#[tokio::test]
async fn a_slow_head_is_refused_and_an_idle_connection_closed() {
    let limits =
        Limits { head: Duration::from_millis(200), keep_alive: Duration::from_millis(200), ..Limits::default() };
    let (world, upstream) = (World::with_limits(&usual_rules(), limits).await, Upstream::ok().await);
    let mut client = world.client().await;
    client.send("GET http://a.example/ HT").await;
    assert!(client.rest_text().await.starts_with("HTTP/1.1 408 "));
    let mut client = world.client().await;
    let host = format!("a.example:{}", upstream.port());
    assert_eq!(client.ask(&format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n")).await, OK);
    assert!(client.rest().await.is_empty());
    world.assert_refusals(&[("default", "agent_timeout")]);
}

#[tokio::test]
async fn version_1_0_is_served_and_closed() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let mut client = world.client().await;
    let host = format!("a.example:{}", upstream.port());
    client.send(format!("GET http://{host}/ HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n")).await;
    assert_eq!(client.rest_text().await, OK.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"));
    assert_eq!(upstream.received(), [format!("GET / HTTP/1.0\r\nHost: {host}\r\n\r\n")]);
}

#[tokio::test]
async fn an_agent_has_so_many_connections_at_a_time() {
    let limits = Limits { connections_per_agent: 2, ..Limits::default() };
    let world = World::with_limits(&usual_rules(), limits).await;
    let refused = "GET http://c.example/ HTTP/1.1\r\nHost: c.example\r\n\r\n";
    let (mut one, mut two) = (world.client().await, world.client().await);
    assert_eq!((one.ask(refused).await, two.ask(refused).await), (forbidden("default"), forbidden("default")));
    assert!(world.client().await.rest().await.is_empty());
    assert_eq!(world.refusals()[2].1, "too_many_connections");
    drop(one);
    for attempt in 0.. {
        let mut again = world.client().await;
        let _ = again.stream.write_all(refused.as_bytes()).await;
        if again.message().await == forbidden("default") {
            return;
        }
        assert!(attempt < 1_000, "a place that is free again is never given");
    }
}

#[tokio::test]
async fn shutdown_closes_what_is_idle_and_cuts_off_the_rest_in_time() {
    let limits = Limits { drain: Duration::from_millis(300), ..Limits::default() };
    let (world, upstream) = (World::with_limits(&usual_rules(), limits).await, Upstream::echo().await);
    let mut idle = world.client().await;
    let refused = "GET http://c.example/ HTTP/1.1\r\nHost: c.example\r\n\r\n";
    assert_eq!(idle.ask(refused).await, forbidden("default"));
    let mut busy = world.client().await;
    let host = format!("a.example:{}", upstream.port());
    busy.send(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\r\n")).await;
    eventually(|| upstream.connections() > 0).await;
    world.shutdown.send(true).unwrap();
    assert!(idle.rest().await.is_empty());
    tokio::time::timeout(PATIENCE, world.serving).await.unwrap().unwrap().unwrap();
    busy.rest().await;
    assert!(TcpStream::connect(world.explicit).await.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_valid_request_arrives_as_it_was_sent(
        method in "[A-Z]{1,8}",
        path in "(/[a-zA-Z0-9_~%-]{0,0}[a-zA-Z0-9_~-]{0,6}){1,4}(\\?[ -~&&[^#\\\\% ]]{0,12})?",
        lines in proptest::collection::vec(("X-[A-Za-z0-9-]{1,8}", "[ \t]{0,2}[!-~é]{0,12}[ \t]{0,2}"), 0..6),
        body in proptest::option::of(proptest::collection::vec("[ -~]{1,30}", 0..4)),
        cuts in proptest::collection::vec(1_usize..60, 1..6),
    ) {
        prop_assume!(method != "CONNECT" && method != "HEAD");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
            let mut message = format!("{method} {path} HTTP/1.1\r\n");
            for (name, value) in &lines {
                message += &format!("{name}:{value}\r\n");
            }
            message += &format!("Host: a.example:{}\r\n", upstream.port());
            match body {
                Some(chunks) => {
                    message += "Transfer-Encoding: chunked\r\n\r\n";
                    for chunk in chunks {
                        message += &format!("{:x};{}\r\n{}\r\n", chunk.len() + 1, chunk.len(), chunk + "\n");
                    }
                    message += "0\r\n\r\n";
                }
                None => message += "\r\n",
            }
            let mut client = world.redirected(upstream.address).await;
            let (mut rest, mut cuts) = (message.as_bytes(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                client.send(piece).await;
                rest = after;
            }
            prop_assert_eq!(client.message().await, OK);
            prop_assert_eq!(upstream.received().concat(), message);
            Ok(())
        })?;
    }
}
