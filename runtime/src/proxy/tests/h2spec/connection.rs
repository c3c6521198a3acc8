//! Sections 3.4 to 4.3, 5.4, 5.5 and 7 of RFC 9113: how a connection begins, what a frame is, and what is not known.

use super::*;

pub(super) const CASES: &[Case] = &[
    (
        "3.4: settings come first",
        |s| {
            s.silent = true;
            s.bytes(PREFACE).frame(SETTINGS, NONE, 0, []).expect(|frame| {
                assert_eq!((frame.kind, frame.flags, frame.stream), (SETTINGS, NONE, 0));
                true
            });
        },
        &[Seen],
    ),
    ("3.4: the preface and no more", |s| s.get(1).done(), &[Answered]),
    (
        "3.4: another preface",
        |s| {
            s.silent = true;
            s.bytes(b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n").frame(SETTINGS, NONE, 0, []);
        },
        &[Closed, Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "3.4: HTTP/1.1 in place of the preface",
        |s| {
            s.silent = true;
            s.bytes(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
        },
        &[Closed, Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "3.4: a frame other than SETTINGS after the preface",
        |s| {
            s.silent = true;
            s.bytes(PREFACE).frame(PING, NONE, 0, [0; 8]);
        },
        &[Closed, Connection(Code::PROTOCOL_ERROR)],
    ),
    ("4.1: an unknown type", |s| s.frame(0x16, NONE, 0, [0; 8]).done(), &[Ignored]),
    (
        "4.1: an unknown type on a stream",
        |s| s.post(1).frame(0xff, 0xff, 1, [0; 80]).frame(DATA, END_STREAM, 1, b"x").done(),
        &[Answered],
    ),
    (
        "4.1: unknown flags",
        |s| s.frame(PING, 0x16, 0, b"flagged!").expect(|frame| frame.payload == b"flagged!" && frame.has(ACK)).done(),
        &[Seen],
    ),
    (
        "4.1: the reserved bit of a stream",
        |s| {
            s.frame(PING, NONE, 1 << 31, b"reserved").expect(|frame| frame.payload == b"reserved" && frame.has(ACK));
        },
        &[Seen],
    ),
    (
        "4.1: the reserved bit of a request's stream",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, WHOLE, 1 << 31 | 1, fields).last = 1;
        },
        &[Answered],
    ),
    ("4.2: DATA of 2^14 octets", |s| s.post(1).frame(DATA, END_STREAM, 1, [b'x'; 1 << 14]).done(), &[Answered]),
    (
        "4.2: DATA of more than SETTINGS_MAX_FRAME_SIZE",
        |s| s.post(1).frame(DATA, END_STREAM, 1, [b'x'; (1 << 14) + 1]).done(),
        &[Connection(Code::FRAME_SIZE_ERROR), Stream(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "4.2: HEADERS of more than SETTINGS_MAX_FRAME_SIZE",
        |s| {
            let long = "x".repeat((1 << 14) + 1);
            let fields = s.fields("GET", &[("x", &long)]);
            s.frame(HEADERS, WHOLE, 1, fields);
        },
        &[Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "4.2: SETTINGS of more than SETTINGS_MAX_FRAME_SIZE",
        |s| s.frame(SETTINGS, NONE, 0, setting(0xff, 0).repeat(2731)).done(),
        &[Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "4.2: an unknown type of more than SETTINGS_MAX_FRAME_SIZE",
        |s| s.frame(0x16, NONE, 0, [0; (1 << 14) + 1]).done(),
        &[Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "4.3: a block that is none",
        |s| s.frame(HEADERS, WHOLE, 1, [0x40]).done(),
        &[Connection(Code::COMPRESSION_ERROR)],
    ),
    (
        "4.3: PRIORITY within a block",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(PRIORITY, NONE, 1, [0, 0, 0, 0, 255]);
        },
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "4.3: HEADERS of another stream within a block",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).get(3);
        },
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "4.3: PING within a block",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(PING, NONE, 0, [0; 8]);
        },
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.4.1: the connection ends after an error",
        |s| s.frame(PING, NONE, 3, [0; 8]).done(),
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.5: an unknown type within a block",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(0x16, NONE, 1, [0; 8]).frame(
                CONTINUATION,
                END_HEADERS,
                1,
                [],
            );
        },
        &[Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.5: an unknown setting",
        |s| {
            s.frame(SETTINGS, NONE, 0, setting(0xff, 1)).expect(|frame| frame.kind == SETTINGS && frame.has(ACK)).done()
        },
        &[Seen],
    ),
    (
        "5.5: an ALTSVC and an ORIGIN from a client",
        |s| s.frame(0xa, NONE, 0, b"\0\0x").frame(0xc, NONE, 0, b"\0\x01x").done(),
        &[Ignored],
    ),
    (
        "7: GOAWAY with an unknown code",
        |s| s.frame(GOAWAY, NONE, 0, [0, 0, 0, 0, 0, 0, 0, 0xff]).done(),
        &[Closed, Ignored],
    ),
    (
        "7: RST_STREAM with an unknown code",
        |s| s.post(1).frame(RST_STREAM, NONE, 1, [0, 0, 0, 0xff]).done(),
        &[Ignored],
    ),
];

#[tokio::test]
async fn the_cases_of_a_connection() {
    check(CASES).await;
}
