//! Requests in HTTP/2 with two readings: each is refused, or reaches the server exactly as it was judged.

use super::h2spec::wire::*;
use super::http2::{ALL, Received, Server};
use super::inside::Inner;
use super::*;

/// What becomes of a request.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It is malformed: the stream is reset, or the connection ends.
    Reset,
    /// It is answered with this status.
    Status(u16),
    /// It passes to this path, at the connection's authority.
    Passes(&'static str),
}
use Fate::{Passes, Reset, Status};

const GET: (&str, &str) = (":method", "GET");
const HTTPS: (&str, &str) = (":scheme", "https");
const ROOT: (&str, &str) = (":path", "/");
const HOST: (&str, &str) = (":authority", "a.example:PORT");
const EXTENDED: [(&str, &str); 4] = [(":method", "CONNECT"), HTTPS, ROOT, HOST];

/// The code of a response's status, as the library compresses it.
fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x8c, ..] => 400,
        [0x48, 0x83, 0x68, 0x0c, 0xff, ..] => 403,
        [0x48, 0x82, 0x68, 0x41, ..] => 421,
        [0x48, 0x82, 0x6c, 0x02, ..] => 502,
        other => panic!("{other:x?}"),
    }
}

/// Sends one request on a connection of its own and tells its status, or none if it was reset. `PORT` is the server's.
async fn fate(inner: &Inner, server: &Server, fields: &[(&str, &str)], then: &[(u8, u8, Vec<u8>)]) -> Option<u16> {
    let mut raw = Raw::with_settings(inner, server.port(), &[]).await;
    let port = server.port().to_string();
    let fields: Vec<u8> = fields.iter().flat_map(|(name, value)| literal(name, value.replace("PORT", &port))).collect();
    let flags = if then.is_empty() { WHOLE } else { END_HEADERS };
    raw.send(&frame(HEADERS, flags, 1, fields)).await;
    for (kind, flags, payload) in then {
        raw.send(&frame(*kind, *flags, 1, payload)).await;
    }
    loop {
        match raw.next().await {
            Some(Frame { kind: HEADERS, payload, .. }) => return Some(status(&payload)),
            Some(Frame { kind: RST_STREAM | GOAWAY, .. }) | None => return None,
            _ => {}
        }
    }
}

fn request(replaced: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
    let usual = [GET, HTTPS, ROOT, HOST];
    let kept = usual.map(|field| replaced.iter().copied().find(|(name, _)| *name == field.0).unwrap_or(field));
    let more = replaced.iter().copied().filter(|(name, _)| usual.iter().all(|field| field.0 != *name));
    kept.into_iter().chain(more).collect()
}

async fn check(rows: Vec<(Vec<(&str, &str)>, Fate)>) {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    let mut wrong = Vec::new();
    for (fields, expected) in rows {
        let before = server.received().len();
        let status = fate(&inner, &server, &fields, &[]).await;
        let received: Vec<Received> = server.received().split_off(before);
        let paths: Vec<_> = received.iter().map(|one| one.uri.clone()).collect();
        let fine = match expected {
            Reset => status.is_none() && paths.is_empty(),
            Status(code) => status == Some(code) && paths.is_empty(),
            Passes(path) => status == Some(200) && paths == [format!("https://a.example:{}{path}", server.port())],
        };
        if !fine {
            wrong.push(format!("{fields:?}: {status:?} {paths:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_path_has_one_reading_or_goes_nowhere() {
    let rows = [
        ("/x%2Fy//z?q?r", Passes("/x%2Fy//z?q?r")),
        // The library cuts a fragment off before anything is judged.
        ("/a#b", Passes("/a")),
        ("/a#/../b", Passes("/a")),
        ("/a b", Reset),
        ("/a\tb", Reset),
        ("/a\r\nhost: b.example", Reset),
        ("/a\0", Reset),
        ("a", Reset),
        ("https://a.example:PORT/", Reset),
        ("*", Status(400)),
        ("?q", Status(400)),
        ("/a/../b", Status(400)),
        ("/%2e%2E/b", Status(400)),
        ("/..%2fb", Status(400)),
        ("/\\b", Status(400)),
        ("/%00", Status(400)),
        ("/%", Status(400)),
        ("/\u{e9}", Status(400)),
    ];
    check(rows.map(|(path, fate)| (request(&[(":path", path)]), fate)).into()).await;
}

#[tokio::test]
async fn an_authority_has_one_reading_and_is_the_connections() {
    let rows = [
        ("A.Example:PORT", Passes("/")),
        ("a.example:0PORT", Status(400)),
        ("a.example", Status(421)),
        ("a.example:1", Status(421)),
        ("b.example:PORT", Status(421)),
        ("[::1]:PORT", Status(421)),
        ("127.0.0.1:PORT", Status(421)),
        ("0x7f000001:PORT", Status(400)),
        ("u@a.example:PORT", Status(400)),
        ("b.example@a.example:PORT", Status(400)),
        ("::1", Reset),
        ("[::1", Reset),
        ("a.example:PORT:PORT", Reset),
        ("a.example:PORT/x", Reset),
        ("a.example:PORT#x", Reset),
        ("a.example :PORT", Reset),
        ("a.example,b.example", Status(400)),
        ("a%2eexample:PORT", Reset),
        ("", Reset),
    ];
    check(rows.map(|(authority, fate)| (request(&[(":authority", authority)]), fate)).into()).await;
}

#[tokio::test]
async fn fields_have_one_reading_or_go_nowhere() {
    let rows = [
        (request(&[("host", "A.example:PORT")]), Passes("/")),
        (request(&[("host", "b.example:PORT")]), Status(400)),
        (request(&[("host", "a.example:PORT"), ("host", "a.example:PORT")]), Status(400)),
        (request(&[("host", "u@a.example:PORT")]), Status(400)),
        (request(&[("host", "")]), Status(400)),
        (vec![GET, HTTPS, ROOT, ("host", "a.example:PORT")], Status(400)),
        (vec![GET, HTTPS, ROOT], Status(400)),
        (request(&[(":scheme", "http")]), Status(400)),
        (request(&[(":scheme", "ftp")]), Status(400)),
        (request(&[(":method", "get")]), Status(400)),
        (request(&[(":method", "GE T")]), Reset),
        (request(&[("cookie", "a=1"), ("cookie", "b=2")]), Passes("/")),
        (request(&[("x", "a\tb")]), Passes("/")),
        (request(&[("x", "")]), Passes("/")),
        (request(&[("x", " a")]), Status(400)),
        (request(&[("x", "a ")]), Status(400)),
        (request(&[("x", "a\0")]), Reset),
        (request(&[("x", "a\r\nb: c")]), Reset),
        (request(&[("x:y", "a")]), Reset),
        (request(&[("x ", "a")]), Reset),
        (request(&[("content_length", "1")]), Status(400)),
        (request(&[("transfer-encoding", "chunked")]), Reset),
        (request(&[("content-length", "5")]), Reset),
        (request(&[("content-length", "0"), ("content-length", "0")]), Status(400)),
        (request(&[("content-length", "0"), ("content-length", "5")]), Reset),
        (request(&[("content-length", "+0")]), Reset),
        (request(&[("content-length", "0, 0")]), Reset),
        (request(&[("content-length", "00")]), Status(400)),
        (request(&[("content-length", "18446744073709551616")]), Reset),
        (request(&[("upgrade", "h2c"), ("http2-settings", "AAMAAABk")]), Reset),
        (vec![(":method", "CONNECT"), HOST], Status(400)),
    ];
    check(rows.into()).await;
}

/// Where it is offered, what is no WebSocket is a 400: see the tests of HTTP/2.
#[tokio::test]
async fn an_extended_connect_that_was_not_offered_is_malformed() {
    let protocols = ["websocket", "connect-udp", "WebSocket", "websocket, h2c", "h2c", "", "websocket\0"];
    let extended = |protocol| [&EXTENDED[..], &[(":protocol", protocol)]].concat();
    check(protocols.map(|protocol| (extended(protocol), Reset)).into()).await;
}

#[tokio::test]
async fn trailers_that_say_something_of_the_message_take_it_back() {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    let post = request(&[(":method", "POST")]);
    for (name, value, passes) in [
        ("x-fine", "1", true),
        ("content-length", "1", false),
        ("host", "b.example", false),
        ("content-encoding", "gzip", false),
        ("transfer-encoding", "chunked", false),
        ("connection", "x", false),
        ("authorization", "Bearer x", false),
        ("cookie", "a=1", false),
    ] {
        let before = server.received().len();
        let then = [(DATA, NONE, b"x".to_vec()), (HEADERS, WHOLE, block(&[(name, value)]))];
        let status = fate(&inner, &server, &post, &then).await;
        assert_eq!((status == Some(200), server.received().len() - before), (passes, usize::from(passes)), "{name}");
    }
}

#[tokio::test]
async fn pieces_of_a_cookie_and_of_other_fields_arrive_as_they_were_sent() {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    let fields = request(&[("cookie", "a=1"), ("x", "1"), ("cookie", "b=2; c"), ("x", "2, 3")]);
    assert_eq!(fate(&inner, &server, &fields, &[]).await, Some(200));
    let received = server.received();
    let all = |name: &str| received[0].fields.get_all(name).iter().map(|it| it.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!((all("cookie"), all("x")), (vec!["a=1", "b=2; c"], vec!["1", "2, 3"]));
}

#[tokio::test]
async fn what_begins_an_http2_connection_is_nothing_in_http11() {
    let inner = Inner::new(ALL).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    client.send([PREFACE, &frame(SETTINGS, NONE, 0, [])].concat()).await;
    let answer = client.rest_text().await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    // An offer to go on in HTTP/2 is for this hop alone, and this hop does not take it.
    let mut client = inner.open(upstream.port()).await;
    let host = format!("Host: a.example:{}\r\n", upstream.port());
    let offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    assert_eq!(client.ask(&format!("GET / HTTP/1.1\r\n{host}{offer}\r\n")).await, OK);
    assert_eq!(upstream.received(), [format!("GET / HTTP/1.1\r\n{host}\r\n")]);
}
