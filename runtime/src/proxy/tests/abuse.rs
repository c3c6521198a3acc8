//! Clients and servers that mean harm: what they send is bounded, ends in time, and others are served meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};

use ::http::Response;
use bytes::Bytes;

use super::h2spec::wire::*;
use super::http2::{ALL, Agent, OnStream, Server, all};
use super::inside::{Inner, RULES, get, handshake};
use super::*;
use crate::proxy::fields::MAX_HEAD_BYTES;

/// RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 11;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// What came of a flood.
#[derive(Debug)]
struct Flood {
    /// How many pieces went out before the connection ended.
    pieces: usize,
    /// The code of the GOAWAY, if there was one.
    code: Option<u32>,
}

/// Sends pieces and reads what comes, until all were sent or the connection ends.
async fn flood(raw: Raw, most: usize, piece: impl Fn(usize) -> Vec<u8>) -> Flood {
    let (reader, mut writer) = tokio::io::split(raw.client.stream);
    let reading = tokio::spawn(async move {
        let mut raw = Client::new(tokio::io::join(reader, tokio::io::sink()));
        let mut code = None;
        loop {
            while let [a, b, c, kind, rest @ ..] = raw.unread.as_slice() {
                let length = 9 + u32::from_be_bytes([0, *a, *b, *c]) as usize;
                if rest.len() + 4 < length {
                    break;
                }
                if *kind == GOAWAY {
                    code = Some(u32::from_be_bytes(raw.unread[13..17].try_into().unwrap()));
                }
                raw.unread.drain(..length);
            }
            if raw.more().await == 0 {
                return code;
            }
        }
    });
    let mut pieces = 0;
    for number in 0..most {
        let sending = async {
            writer.write_all(&piece(number)).await?;
            writer.flush().await
        };
        if tokio::time::timeout(PATIENCE, sending).await.expect("somebody reads").is_err() || reading.is_finished() {
            break;
        }
        pieces += 1;
    }
    let _ = writer.shutdown().await;
    let code = tokio::time::timeout(PATIENCE, reading).await.expect("an end in time").unwrap();
    Flood { pieces, code }
}

/// What others are answered meanwhile.
async fn calm(inner: &Inner, server: &Server) {
    let mut agent = Agent::open(inner, server.port()).await;
    for _ in 0..10 {
        assert_eq!(agent.get("/calm").await.unwrap().status, 200);
    }
}

async fn world() -> (Inner, Server) {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    (inner, server)
}

fn stream(number: usize) -> u32 {
    2 * u32::try_from(number).unwrap() + 1
}

#[tokio::test]
async fn each_request_that_makes_no_sense_leaves_one_record_and_the_connection_goes_on() {
    let (inner, server) = world().await;
    let mut raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let good = raw.request("GET", "/");
    let nonsense = [
        [&good[..], &block(&[(":path", "/other")])].concat(),
        [&good[..], &block(&[("transfer-encoding", "chunked")])].concat(),
        [&good[..], &block(&[(":protocol", "websocket")])].concat(),
        raw.request("GET", "https://b.example/"),
        raw.request("GET", ""),
    ];
    for (number, head) in nonsense.iter().enumerate() {
        raw.send(&frame(HEADERS, WHOLE, stream(number), head)).await;
        while raw.next().await.is_some_and(|frame| frame.kind != RST_STREAM || frame.stream != stream(number)) {}
        assert_eq!(inner.world.refusals().len(), number + 1, "{number}");
    }
    let refusals = inner.world.refusals();
    let expected = ("default".to_owned(), "ambiguous_request".to_owned());
    assert!(refusals.len() == 5 && refusals.iter().all(|refusal| *refusal == expected), "{refusals:?}");
    let id = stream(nonsense.len());
    raw.send(&frame(HEADERS, WHOLE, id, &good)).await;
    while raw.next().await.is_some_and(|frame| !frame.has(END_STREAM) || frame.stream != id) {}
    assert_eq!((server.received().len(), inner.world.refusals().len()), (1, 5));
}

#[tokio::test]
async fn a_head_that_is_too_large_leaves_one_record_and_the_connection_goes_on() {
    let (inner, server) = world().await;
    let mut raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let good = raw.request("GET", "/");
    let large = [&good[..], &block(&[("x-large", &"a".repeat(MAX_HEAD_BYTES))])].concat();
    let mut pieces = large.chunks(16_000).peekable();
    raw.send(&frame(HEADERS, END_STREAM, 1, pieces.next().unwrap())).await;
    while let Some(piece) = pieces.next() {
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        raw.send(&frame(CONTINUATION, flags, 1, piece)).await;
    }
    while raw.next().await.is_some_and(|frame| frame.kind != HEADERS || frame.stream != 1) {}
    raw.send(&frame(HEADERS, WHOLE, 3, &good)).await;
    while raw.next().await.is_some_and(|frame| !frame.has(END_STREAM) || frame.stream != 3) {}
    assert_eq!(server.received().len(), 1);
    assert_eq!(inner.world.refusals(), [("default".to_owned(), "head_too_large".to_owned())]);
}

#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let (inner, server) = world().await;
    let raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let head = raw.request("GET", "/reset");
    let pair = |number| {
        let id = stream(number);
        [frame(HEADERS, WHOLE, id, &head), frame(RST_STREAM, NONE, id, CANCEL)].concat()
    };
    let (flood, ()) = tokio::join!(flood(raw, 100_000, pair), calm(&inner, &server));
    assert_eq!(flood.code, Some(ENHANCE_YOUR_CALM), "{flood:?}");
    let reached = server.received().iter().filter(|one| one.uri.ends_with("/reset")).count();
    assert!(reached <= 400 && flood.pieces < 50_000, "{reached} {flood:?}");
}

#[tokio::test]
async fn requests_that_are_reset_after_their_answer_are_requests() {
    let (inner, server) = world().await;
    let mut raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let head = raw.request("GET", "/");
    for number in 0..500 {
        raw.send(&frame(HEADERS, WHOLE, stream(number), &head)).await;
        while raw.next().await.is_some_and(|frame| !frame.has(END_STREAM) || frame.stream != stream(number)) {}
        raw.send(&frame(RST_STREAM, NONE, stream(number), CANCEL)).await;
    }
    assert_eq!(server.received().len(), 500);
}

#[tokio::test]
async fn streams_that_a_client_has_us_reset_end_the_connection() {
    let (inner, server) = world().await;
    let raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let head = raw.request("POST", "/made");
    let made = |number| {
        let id = stream(number);
        [frame(HEADERS, END_HEADERS, id, &head), frame(WINDOW_UPDATE, NONE, id, [0; 4])].concat()
    };
    let (flood, ()) = tokio::join!(flood(raw, 100_000, made), calm(&inner, &server));
    assert!(flood.code.is_some_and(|code| code != 0) && flood.pieces < 50_000, "{flood:?}");
    assert!(!server.received().iter().any(|one| one.uri.ends_with("/made")));
}

#[tokio::test]
async fn endless_continuations_end_the_connection() {
    let (inner, server) = world().await;
    for content in [block(&[("x", &"y".repeat(1000))]), Vec::new()] {
        let raw = Raw::with_settings(&inner, server.port(), &[]).await;
        let head = raw.request("GET", "/endless");
        let part = |number| match number {
            0 => frame(HEADERS, END_STREAM, 1, &head),
            _ => frame(CONTINUATION, NONE, 1, &content),
        };
        let (flood, ()) = tokio::join!(flood(raw, 1_000_000, part), calm(&inner, &server));
        assert!(flood.code.is_some_and(|code| code != 0) && flood.pieces < 100_000, "{flood:?}");
    }
}

#[tokio::test]
async fn a_few_octets_that_stand_for_many_fields_end_the_connection() {
    let (inner, server) = world().await;
    let raw = Raw::with_settings(&inner, server.port(), &[]).await;
    let bomb = [raw.request("GET", "/bomb"), remembered(b"x", &[b'y'; 4000]), vec![0xbe; 12_000]].concat();
    let one = |number| frame(HEADERS, WHOLE, stream(number), &bomb);
    let (flood, ()) = tokio::join!(flood(raw, 10_000, one), calm(&inner, &server));
    assert!(flood.code.is_some_and(|code| code != 0) && flood.pieces < 5_000, "{flood:?}");
    assert!(!server.received().iter().any(|one| one.uri.ends_with("/bomb")));
}

#[tokio::test]
async fn a_header_of_a_mebibyte_goes_nowhere() {
    let (inner, server) = world().await;
    for size in [70 << 10, 200 << 10, 1 << 20] {
        let raw = Raw::with_settings(&inner, server.port(), &[]).await;
        let fields = [raw.request("GET", "/large"), literal("x", vec![b'y'; size])].concat();
        let parts: Vec<_> = fields.chunks(16_000).collect();
        let last = parts.len() - 1;
        let part = |number: usize| {
            let kind = if number == 0 { HEADERS } else { CONTINUATION };
            let ends = if number == last { END_HEADERS } else { NONE };
            frame(kind, ends | u8::from(number == 0), 1, parts[number])
        };
        flood(raw, parts.len(), part).await;
        calm(&inner, &server).await;
    }
    assert!(!server.received().iter().any(|one| one.uri.ends_with("/large")));
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let mut client = inner.open(upstream.port()).await;
    let large = get(upstream.port(), "/").replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "y".repeat(1 << 20)));
    let _ = client.stream.write_all(large.as_bytes()).await;
    let answer = client.rest_text().await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(upstream.received().is_empty());
}

#[tokio::test]
async fn floods_of_frames_hold_nobody_up() {
    let (inner, server) = world().await;
    let floods: [(&str, Vec<u8>); 7] = [
        ("PING", frame(PING, NONE, 0, [0; 8])),
        ("SETTINGS", frame(SETTINGS, NONE, 0, setting(3, 100))),
        ("empty DATA", frame(DATA, NONE, 1, [])),
        ("DATA of an octet", frame(DATA, NONE, 1, b"x")),
        ("PRIORITY", frame(PRIORITY, NONE, 9, [0, 0, 0, 3, 1])),
        ("WINDOW_UPDATE", frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 1])),
        ("unknown", frame(0xfe, NONE, 1, [0; 8])),
    ];
    for (name, one) in floods {
        let mut raw = Raw::with_settings(&inner, server.port(), &[]).await;
        let head = raw.request("POST", "/flood");
        raw.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
        let many = one.repeat(100);
        let (flood, ()) = tokio::join!(flood(raw, 300, |_| many.clone()), calm(&inner, &server));
        println!("{name}: {flood:?}");
    }
}

/// A server that sends 64 MiB on `/big` as far as it may, and counts what it could send.
async fn big(inner: &Inner, sent: &Arc<AtomicUsize>) -> Server {
    let sent = Arc::clone(sent);
    let on_stream: Arc<OnStream> = Arc::new(move |request, mut respond, _| {
        let sent = Arc::clone(&sent);
        tokio::spawn(async move {
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            let pieces = if request.uri().path() == "/big" { 4096 } else { 1 };
            for _ in 0..pieces {
                if all(&mut sender, Bytes::from_static(&[b'x'; 16 << 10])).await.is_err() {
                    return;
                }
                sent.fetch_add(16 << 10, Ordering::Relaxed);
            }
            let _ = sender.send_data(Bytes::new(), true);
        })
    });
    Server::start(inner, |builder| builder, on_stream).await
}

#[tokio::test]
async fn clients_that_never_read_hold_up_no_other_and_little_of_a_server() {
    let inner = Inner::new(ALL).await;
    let sent = Arc::default();
    let server = big(&inner, &sent).await;
    let mut raw = Raw::with_settings(&inner, server.port(), &setting(4, 0)).await;
    let head = raw.request("GET", "/big");
    for number in 0..128 {
        raw.send(&frame(HEADERS, WHOLE, stream(number), &head)).await;
    }
    let mut heads = 0;
    while heads < 128 {
        heads += usize::from(raw.next().await.unwrap().kind == HEADERS);
    }
    // The connections to the server are shared, and still there is a way.
    calm(&inner, &server).await;
    assert!(sent.load(Ordering::Relaxed) < 80 << 20, "{sent:?}");
}

#[tokio::test]
async fn bodies_that_wait_to_be_judged_hold_up_none_that_is() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let body = [&b"please "[..], &[b'x'; 200 << 10]].concat();
    let mut answers = Vec::new();
    for _ in 0..40 {
        let request = agent.request("PUT", "/");
        let (response, mut sender) = agent.begin(request, false).await;
        let body = Bytes::from(body.clone());
        tokio::spawn(async move {
            let _ = all(&mut sender, body).await;
            let _ = sender.send_data(Bytes::new(), true);
        });
        // Who does not read its answers holds itself up.
        answers.push(tokio::spawn(super::http2::got(response)));
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_client_hello_of_17_kib_is_one_like_any_other() {
    let (inner, server) = world().await;
    let mut config = inner.client_config();
    let odd = (0..80_u8).map(|number| [&[b'x'; 220][..], &[number]].concat());
    config.alpn_protocols = std::iter::once(b"h2".to_vec()).chain(odd).collect();
    let stream = handshake(config, "a.example", inner.tunnel("a.example", server.port()).await).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn what_is_no_tls_after_connect_ends_without_an_upstream() {
    let (inner, server) = world().await;
    for garbage in [
        &b"\x16\x03\x01\xff\xff"[..],
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",
        &[0x16; 70_000],
        b"\x80\x2e\x01\x03\x01",
        b"\0\0\0\0",
    ] {
        let mut client = Client::new(inner.tunnel("a.example", server.port()).await);
        let _ = client.stream.write_all(garbage).await;
        let _ = client.stream.shutdown().await;
        client.rest().await;
    }
    assert_eq!(server.upstream.connections(), 0);
    calm(&inner, &server).await;
}

/// Limits so short that a test can wait for them.
fn short() -> Limits {
    let soon = Duration::from_millis(300);
    Limits { hello: soon, head: soon, keep_alive: soon, body: soon, response: soon, connect: soon, ..Limits::default() }
}

#[tokio::test]
async fn slow_clients_are_not_waited_for() {
    let inner = Inner::with_limits(RULES, short()).await;
    let server = Server::echo(&inner).await;
    type Begin = fn(&Raw) -> Vec<u8>;
    let slow: [(&str, Begin); 5] = [
        ("nothing", |_| Vec::new()),
        ("half a preface", |_| PREFACE[..10].to_vec()),
        ("a preface alone", |_| PREFACE.to_vec()),
        ("half a frame", |_| [PREFACE, &frame(SETTINGS, NONE, 0, []), &[0, 1]].concat()),
        ("half a head", |raw| {
            let head = frame(HEADERS, END_STREAM, 1, raw.request("GET", "/"));
            [PREFACE, &frame(SETTINGS, NONE, 0, []), &head].concat()
        }),
    ];
    for (name, begin) in slow {
        let mut raw = Raw::open(&inner, server.port()).await;
        let bytes = begin(&raw);
        raw.send(&bytes).await;
        while raw.next().await.is_some() {}
        println!("{name}: ended");
    }
    // A body that is judged and does not come; one that is not read.
    let mut raw = Raw::with_settings(&inner, server.port(), &setting(4, 0)).await;
    let head = raw.request("PUT", "/");
    raw.send(&[frame(HEADERS, END_HEADERS, 1, head), frame(DATA, NONE, 1, b"ple")].concat()).await;
    while raw.next().await.expect("an answer").kind != HEADERS {}
    let head = raw.request("GET", "/");
    raw.send(&frame(HEADERS, WHOLE, 3, head)).await;
    assert!(inner.world.refusals().iter().any(|(_, reason)| reason == "agent_timeout"));
    assert!(server.received().len() <= 1);
}

#[tokio::test]
async fn slow_servers_are_not_waited_for() {
    let inner = Inner::with_limits(ALL, short()).await;
    // One that takes connections and says nothing, and one that answers nothing.
    let silent =
        Upstream::start(Box::new(|mut client, _| tokio::spawn(async move { while client.more().await > 0 {} }))).await;
    let on_stream: Arc<OnStream> = Arc::new(|request, mut respond, _| {
        tokio::spawn(async move {
            if request.uri().path() == "/begins" {
                let _sender = respond.send_response(Response::new(()), false).unwrap();
                std::future::pending::<()>().await;
            }
            std::future::pending::<()>().await;
            drop(respond);
        })
    });
    let mute = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, silent.port()).await;
    let answer = agent.get("/").await.unwrap();
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    let mut agent = Agent::open(&inner, mute.port()).await;
    let answer = agent.get("/").await.unwrap();
    assert!(matches!(answer.status, 502 | 504), "{answer:?}");
    let cut = agent.get("/begins").await.unwrap_err();
    assert_eq!(cut.reason(), Some(h2::Reason::CANCEL));
}
