//! Section 8 of RFC 9113: requests that are well formed, and those that are not, which are an error of their stream.

use super::*;

const MALFORMED: &[Outcome] = &[Stream(Code::PROTOCOL_ERROR)];
/// Fields that cannot be written in HTTP/2 at all end the connection of who sends them.
const UNREADABLE: &[Outcome] = &[Connection(Code::PROTOCOL_ERROR)];
const GET: [(&str, &str); 4] = [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "@")];

/// A request without a body with exactly these fields.
fn exactly(script: &mut Script, fields: &[(&str, &str)]) {
    let fields = script.exactly(fields);
    script.frame(HEADERS, WHOLE, 1, fields);
}

/// The usual request, with these fields after its own.
fn with(script: &mut Script, more: &[(&str, &str)]) {
    exactly(script, &[&GET[..], more].concat());
}

/// A request with a body of these parts that says its length.
fn with_length(script: &mut Script, length: &str, parts: &[&str]) {
    let fields = script.fields("POST", &[("content-length", length)]);
    script.frame(HEADERS, if parts.is_empty() { WHOLE } else { END_HEADERS }, 1, fields);
    for (at, part) in parts.iter().enumerate() {
        script.frame(DATA, if at + 1 == parts.len() { END_STREAM } else { NONE }, 1, part);
    }
}

pub(super) const CASES: &[Case] = &[
    ("8.1: GET", |s| with(s, &[]), &[Answered]),
    (
        "8.1: HEAD, POST, OPTIONS",
        |s| {
            for (stream, method) in [(1, "HEAD"), (3, "POST"), (5, "OPTIONS")] {
                let fields = s.fields(method, &[]);
                s.frame(HEADERS, WHOLE, stream, fields).answered(stream);
            }
        },
        &[Answered],
    ),
    (
        "8.1: second HEADERS without END_STREAM",
        |s| {
            s.post(1).frame(HEADERS, END_HEADERS, 1, block(&[("x-trailer", "1")])).frame(DATA, END_STREAM, 1, b"x");
        },
        &[Stream(Code::PROTOCOL_ERROR), Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "8.1: trailers twice",
        |s| {
            let trailers = block(&[("x-trailer", "1")]);
            s.post(1).frame(HEADERS, WHOLE, 1, &trailers).frame(HEADERS, WHOLE, 1, &trailers);
        },
        &[Stream(Code::STREAM_CLOSED), Connection(Code::STREAM_CLOSED)],
    ),
    (
        "8.1: a body of its own after trailers",
        |s| {
            s.post(1).frame(HEADERS, WHOLE, 1, block(&[("x-trailer", "1")])).frame(DATA, END_STREAM, 1, b"x");
        },
        &[Stream(Code::STREAM_CLOSED), Connection(Code::STREAM_CLOSED)],
    ),
    ("8.1.1: a length that is more", |s| with_length(s, "2", &["x"]), MALFORMED),
    ("8.1.1: a length that is less", |s| with_length(s, "1", &["xy"]), MALFORMED),
    ("8.1.1: a length that is less than all parts", |s| with_length(s, "3", &["xy", "z", "!"]), MALFORMED),
    ("8.1.1: a length that is more than all parts", |s| with_length(s, "5", &["xy", "z", "!"]), MALFORMED),
    ("8.1.1: a length without a body", |s| with_length(s, "1", &[]), MALFORMED),
    (
        "8.1.1: a length and trailers",
        |s| {
            let fields = s.fields("POST", &[("content-length", "5")]);
            s.frame(HEADERS, END_HEADERS, 1, fields).frame(DATA, NONE, 1, b"xy");
            s.frame(HEADERS, WHOLE, 1, block(&[("x-trailer", "1")]));
        },
        MALFORMED,
    ),
    ("8.1.1: the length of the body", |s| with_length(s, "3", &["xy", "", "z"]), &[Answered]),
    ("8.1.1: no length for no body", |s| with_length(s, "0", &[]), &[Answered]),
    ("8.2: a name in upper case", |s| with(s, &[("X-test", "a")]), UNREADABLE),
    ("8.2.1: a name with a blank", |s| with(s, &[("x test", "a")]), UNREADABLE),
    ("8.2.1: a name with a colon within", |s| with(s, &[("x:test", "a")]), UNREADABLE),
    ("8.2.1: a name with a control character", |s| with(s, &[("x\0", "a")]), UNREADABLE),
    ("8.2.1: a name beyond ASCII", |s| with(s, &[("x\u{e9}", "a")]), UNREADABLE),
    ("8.2.1: a name of nothing", |s| with(s, &[("", "a")]), UNREADABLE),
    ("8.2.1: a value with NUL", |s| with(s, &[("x", "a\0b")]), UNREADABLE),
    ("8.2.1: a value with CR", |s| with(s, &[("x", "a\rb")]), UNREADABLE),
    ("8.2.1: a value with LF", |s| with(s, &[("x", "a\nb")]), UNREADABLE),
    ("8.2.1: a value with CR LF and a field", |s| with(s, &[("x", "a\r\nhost: b.example")]), UNREADABLE),
    ("8.2.2: connection", |s| with(s, &[("connection", "keep-alive")]), MALFORMED),
    ("8.2.2: keep-alive", |s| with(s, &[("keep-alive", "timeout=5")]), MALFORMED),
    ("8.2.2: proxy-connection", |s| with(s, &[("proxy-connection", "keep-alive")]), MALFORMED),
    ("8.2.2: transfer-encoding", |s| with(s, &[("transfer-encoding", "chunked")]), MALFORMED),
    ("8.2.2: upgrade", |s| with(s, &[("upgrade", "h2c")]), MALFORMED),
    ("8.2.2: te other than trailers", |s| with(s, &[("te", "trailers, deflate")]), MALFORMED),
    ("8.2.2: te of trailers", |s| with(s, &[("te", "trailers")]), &[Answered]),
    (
        "8.2.2: connection in trailers",
        |s| {
            s.post(1).frame(DATA, NONE, 1, b"x").frame(HEADERS, WHOLE, 1, block(&[("connection", "x")]));
        },
        MALFORMED,
    ),
    ("8.2.3: cookies in pieces", |s| with(s, &[("cookie", "a=1"), ("cookie", "b=2")]), &[Answered]),
    ("8.3: an unknown pseudo-header field", |s| exactly(s, &[&GET[..], &[(":test", "a")]].concat()), UNREADABLE),
    ("8.3: one of responses", |s| exactly(s, &[&GET[..], &[(":status", "200")]].concat()), MALFORMED),
    (
        "8.3: one in trailers",
        |s| {
            s.post(1).frame(DATA, NONE, 1, b"x").frame(HEADERS, WHOLE, 1, block(&[(":method", "GET")]));
        },
        MALFORMED,
    ),
    ("8.3: one after a field", |s| exactly(s, &[GET[0], GET[1], GET[3], ("x", "y"), GET[2]]), MALFORMED),
    ("8.3: one in upper case", |s| exactly(s, &[(":METHOD", "GET"), GET[1], GET[2], GET[3]]), UNREADABLE),
    ("8.3.1: :path of nothing", |s| exactly(s, &[GET[0], GET[1], (":path", ""), GET[3]]), MALFORMED),
    ("8.3.1: no :method", |s| exactly(s, &[GET[1], GET[2], GET[3]]), MALFORMED),
    ("8.3.1: no :scheme", |s| exactly(s, &[GET[0], GET[2], GET[3]]), MALFORMED),
    ("8.3.1: no :path", |s| exactly(s, &[GET[0], GET[1], GET[3]]), MALFORMED),
    ("8.3.1: no field at all", |s| exactly(s, &[]), MALFORMED),
    ("8.3.1: :method twice", |s| exactly(s, &[&GET[..], &GET[..1]].concat()), MALFORMED),
    ("8.3.1: :scheme twice", |s| exactly(s, &[&GET[..], &GET[1..2]].concat()), MALFORMED),
    ("8.3.1: :path twice", |s| exactly(s, &[&GET[..], &GET[2..3]].concat()), MALFORMED),
    ("8.3.1: :authority twice", |s| exactly(s, &[&GET[..], &GET[3..]].concat()), MALFORMED),
    ("8.3.1: a :scheme that is none", |s| exactly(s, &[GET[0], (":scheme", "ht tp"), GET[2], GET[3]]), MALFORMED),
    ("8.3.1: an :authority that is none", |s| exactly(s, &[GET[0], GET[1], GET[2], (":authority", "a b")]), MALFORMED),
    ("8.3.1: a :method that is none", |s| exactly(s, &[(":method", "G ET"), GET[1], GET[2], GET[3]]), UNREADABLE),
    ("8.5: CONNECT with a :scheme", |s| exactly(s, &[(":method", "CONNECT"), GET[1], GET[3]]), MALFORMED),
    ("8.5: CONNECT with a :path", |s| exactly(s, &[(":method", "CONNECT"), GET[2], GET[3]]), MALFORMED),
    (
        "RFC 8441: :protocol without CONNECT",
        |s| exactly(s, &[&GET[..], &[(":protocol", "websocket")]].concat()),
        MALFORMED,
    ),
    (
        "RFC 8441: :protocol without :path",
        |s| exactly(s, &[(":method", "CONNECT"), (":protocol", "websocket"), GET[1], GET[3]]),
        MALFORMED,
    ),
    (
        "8.4: PUSH_PROMISE from a client",
        |s| s.get(1).frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2, 0x82]).done(),
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
];

#[tokio::test]
async fn the_cases_of_messages() {
    check(CASES).await;
}
