//! Requests and responses that two parsers read differently: none gets through, in either direction, outside TLS or inside.

use super::http2::ALL;
use super::inside::Inner;
use super::*;

/// Heads of requests; `HOST` stands for a `Host` field that is right.
pub(super) const SHAPES: [&str; 42] = [
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0, 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length: +5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0x5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent-Length : 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nContent_Length: 5\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding:\x0bchunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding\r\n : chunked\r\n\r\n",
    "POST / HTTP/1.1\r\nHOST\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n",
    "POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\nHOST\n\n",
    "GET / HTTP/1.1\r\nHOST\nX: y\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST\r\nX: a\rGET /secret HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST\r\nX: a\0b\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nHOST\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST\r\nHost: b.example\r\n\r\n",
    "GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "GET http://c.example/ HTTP/1.1\r\nHOST\r\n\r\n",
    "GET http://u@a.example/ HTTP/1.1\r\nHOST\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a.example@b.example\r\n\r\n",
    "GET /a/../secret HTTP/1.1\r\nHOST\r\n\r\n",
    "GET /%2e%2e/secret HTTP/1.1\r\nHOST\r\n\r\n",
    "GET /..%2fsecret HTTP/1.1\r\nHOST\r\n\r\n",
    "GET /\\secret HTTP/1.1\r\nHOST\r\n\r\n",
    "GET /%00 HTTP/1.1\r\nHOST\r\n\r\n",
    "GET  / HTTP/1.1\r\nHOST\r\n\r\n",
    "GET / HTTP/1.1 \r\nHOST\r\n\r\n",
    "GET /\r\nHOST\r\n\r\n",
    "get / HTTP/1.1\r\nHOST\r\n\r\n",
    "GET / HTTP/1.2\r\nHOST\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHOST\r\n\r\n",
    "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
    "GET / HTTP/1.1\r\nHOST\r\nConnection: host\r\n\r\n",
];

/// Bodies in chunks.
const CHUNKS: [&str; 8] = [
    "5 \r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n",
    "5;\n\r\nhello\r\n",
    "1\r\naX\r\n",
    "0\r\nHost: x\r\n\r\n",
    "0\r\nX : y\r\n\r\n",
    "ffffffffffffffff\r\n",
];

/// Responses.
const RESPONSES: [&str; 12] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "SSH-2.0-x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Le",
];

#[tokio::test]
async fn no_request_with_two_readings_reaches_a_server() {
    let world = World::new(&usual_rules()).await;
    let upstream = Upstream::ok().await;
    let port = upstream.port();
    let host = format!("Host: a.example:{port}");
    let smuggled = format!("GET /secret HTTP/1.1\r\n{host}\r\n\r\n");
    let shapes = SHAPES.map(|shape| shape.replace("HOST", &host));
    for shape in &shapes {
        let mut client = world.redirected(upstream.address).await;
        client.send(format!("{shape}{smuggled}")).await;
        let answer = client.rest_text().await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n"), "{shape:?}: {answer}");
        assert!(answer.contains("\r\nX-Outcall-Block-Reason: ambiguous_request\r\n"), "{shape:?}: {answer}");
        assert!(!answer.contains("HTTP/1.1 200"), "{shape:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 4").count() + answer.matches("HTTP/1.1 5").count(),
            1,
            "{shape:?}: {answer}"
        );
    }
    assert_eq!(world.refusals(), vec![("default".into(), "ambiguous_request".into()); SHAPES.len()]);
    assert_eq!((upstream.connections(), world.resolved().len()), (0, 0));
}

#[tokio::test]
async fn chunks_with_two_readings_break_the_connection_off() {
    let world = World::new(&usual_rules()).await;
    for body in CHUNKS {
        let upstream = Upstream::echo().await;
        let mut client = world.redirected(upstream.address).await;
        let head =
            format!("POST / HTTP/1.1\r\nHost: a.example:{}\r\nTransfer-Encoding: chunked\r\n\r\n", upstream.port());
        client.send(format!("{head}{body}")).await;
        // The upstream echoes the request, which is no response either: whatever comes first, one refusal is the answer.
        let answer = client.rest_text().await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 502 "), "{body:?}: {answer}");
        assert_eq!(
            answer.matches("HTTP/1.1 4").count() + answer.matches("HTTP/1.1 5").count(),
            1,
            "{body:?}: {answer}"
        );
        if let [received] = upstream.received().as_slice() {
            assert!(received.starts_with(&head) && !received.ends_with(body), "{received:?}");
        }
    }
    assert_eq!(world.refusals().len(), CHUNKS.len());
}

#[tokio::test]
async fn a_large_head_is_refused() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let mut client = world.redirected(upstream.address).await;
    let padding = "x".repeat(66 * 1024);
    client.send(format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\nX: {padding}\r\n\r\n", upstream.port())).await;
    assert!(client.rest_text().await.starts_with("HTTP/1.1 431 "));
    world.assert_refusals(&[("default", "head_too_large")]);
}

#[tokio::test]
async fn another_address_in_host_is_a_misdirected_request() {
    let (world, upstream) = (World::new(&usual_rules()).await, Upstream::ok().await);
    let mut client = world.redirected(upstream.address).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: 127.0.0.2:{}\r\n\r\n", upstream.port())).await;
    assert!(client.rest_text().await.starts_with("HTTP/1.1 421 Misdirected Request\r\n"));
    world.assert_refusals(&[("default", "host_mismatch")]);
}

#[tokio::test]
async fn no_response_with_two_readings_reaches_the_agent() {
    let world = World::new(&usual_rules()).await;
    for shape in RESPONSES {
        let upstream = Upstream::http(move |_| format!("{shape}Connection: close")).await;
        let mut client = world.redirected(upstream.address).await;
        let request = format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port());
        let answer = client.ask(&request).await;
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{shape:?}: {answer}");
        assert!(answer.contains("X-Outcall-Failure-Reason: upstream_malformed\r\n"), "{shape:?}: {answer}");
    }
    assert_eq!(world.refusals(), vec![("default".into(), "upstream_malformed".into()); RESPONSES.len()]);
    assert_eq!(world.passed(), 0);
}

#[tokio::test]
async fn what_a_server_says_unasked_is_no_answer_to_the_next_request() {
    let world = World::new(&usual_rules()).await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    let upstream =
        Upstream::http(move |message| if message.contains("/first") { format!("{OK}{forged}") } else { OK.to_owned() })
            .await;
    let mut client = world.redirected(upstream.address).await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port());
    assert_eq!(client.ask(&request("/first")).await, OK);
    assert_eq!(client.ask(&request("/second")).await, OK);
    assert_eq!(upstream.connections(), 2);
}

/// One answer, and no other after it.
fn refused(answer: &str) -> bool {
    let count = |start: &str| answer.matches(start).count();
    (answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 502 "))
        && count("HTTP/1.1 4") + count("HTTP/1.1 5") == 1
        && count("HTTP/1.1 2") == 0
}

#[tokio::test]
async fn no_request_with_two_readings_reaches_a_server_inside_tls() {
    let inner = Inner::new(ALL).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let host = format!("Host: a.example:{}", upstream.port());
    for shape in SHAPES {
        let mut client = inner.open(upstream.port()).await;
        let smuggled = format!("GET /secret HTTP/1.1\r\n{host}\r\n\r\n");
        client.send(format!("{}{smuggled}", shape.replace("HOST", &host))).await;
        let answer = client.rest_text().await;
        assert!(refused(&answer), "{shape:?}: {answer}");
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 421 "), "{shape:?}: {answer}");
    }
    assert_eq!((inner.world.refusals().len(), upstream.connections()), (SHAPES.len(), 0));
}

#[tokio::test]
async fn chunks_with_two_readings_break_the_connection_off_inside_tls() {
    let inner = Inner::new(ALL).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    for body in CHUNKS {
        let mut client = inner.open(upstream.port()).await;
        let host = format!("Host: a.example:{}", upstream.port());
        client.send(format!("POST / HTTP/1.1\r\n{host}\r\nTransfer-Encoding: chunked\r\n\r\n{body}")).await;
        let answer = client.rest_text().await;
        assert!(refused(&answer), "{body:?}: {answer}");
    }
    assert_eq!(inner.world.refusals().len(), CHUNKS.len());
}

#[tokio::test]
async fn no_response_with_two_readings_reaches_the_agent_inside_tls() {
    let inner = Inner::new(ALL).await;
    for shape in RESPONSES {
        let upstream = inner.upstream(move |_| format!("{shape}Connection: close")).await;
        let mut client = inner.open(upstream.port()).await;
        let answer = client.ask(&format!("GET / HTTP/1.1\r\nHost: a.example:{}\r\n\r\n", upstream.port())).await;
        assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{shape:?}: {answer}");
        assert!(answer.contains("X-Outcall-Failure-Reason: upstream_malformed\r\n"), "{shape:?}: {answer}");
    }
    assert_eq!(inner.world.refusals(), vec![("default".into(), "upstream_malformed".into()); RESPONSES.len()]);
}
