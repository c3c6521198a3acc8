//! Section 6 of RFC 9113: each type of frame, what it may hold and when it may come.

use super::*;

const STRANGE: &[Outcome] = &[Connection(Code::PROTOCOL_ERROR)];
const SIZE: &[Outcome] = &[Connection(Code::FRAME_SIZE_ERROR)];
const WINDOW: &[Outcome] = &[Connection(Code::FLOW_CONTROL_ERROR)];

/// Ids of settings (RFC 9113, section 6.5.2).
const TABLE: u16 = 1;
const PUSH: u16 = 2;
const STREAMS: u16 = 3;
const INITIAL_WINDOW: u16 = 4;
const FRAME_SIZE: u16 = 5;
const HEADER_LIST: u16 = 6;
const CONNECT: u16 = 8;

fn acked(frame: &Frame) -> bool {
    frame.kind == SETTINGS && frame.has(ACK)
}

/// One octet of a response's body.
fn one_octet(frame: &Frame) -> bool {
    frame.kind == DATA && frame.payload.len() == 1
}

pub(super) const CASES: &[Case] = &[
    ("6.1: DATA", |s| s.post(1).frame(DATA, NONE, 1, b"a").frame(DATA, END_STREAM, 1, b"b").done(), &[Answered]),
    ("6.1: DATA with padding", |s| s.post(1).frame(DATA, END_STREAM | PADDED, 1, b"\x03ab\0\0\0").done(), &[Answered]),
    (
        "6.1: DATA that is padding alone",
        |s| s.post(1).frame(DATA, END_STREAM | PADDED, 1, [3, 0, 0, 0]).done(),
        &[Answered],
    ),
    ("6.1: DATA without an octet", |s| s.post(1).frame(DATA, END_STREAM, 1, []).done(), &[Answered]),
    ("6.1: DATA on stream 0", |s| s.frame(DATA, END_STREAM, 0, b"x").done(), STRANGE),
    (
        "6.1: DATA with more padding than payload",
        |s| s.post(1).frame(DATA, END_STREAM | PADDED, 1, b"\x06abc").done(),
        STRANGE,
    ),
    (
        "6.1: DATA with padding and no length",
        |s| s.post(1).frame(DATA, END_STREAM | PADDED, 1, []).done(),
        &[Connection(Code::PROTOCOL_ERROR), Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "6.2: HEADERS with padding",
        |s| {
            let fields = [&[2][..], &s.fields("GET", &[]), &[0, 0]].concat();
            s.frame(HEADERS, WHOLE | PADDED, 1, fields);
        },
        &[Answered],
    ),
    (
        "6.2: HEADERS with padding and priority",
        |s| {
            let fields = [&[2, 0, 0, 0, 0, 7][..], &s.fields("GET", &[]), &[0, 0]].concat();
            s.frame(HEADERS, WHOLE | PADDED | PRIORITIZED, 1, fields);
        },
        &[Answered],
    ),
    (
        "6.2: HEADERS on stream 0",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, WHOLE, 0, fields);
        },
        STRANGE,
    ),
    (
        "6.2: HEADERS with more padding than payload",
        |s| {
            let fields = [&[255][..], &s.fields("GET", &[])].concat();
            s.frame(HEADERS, WHOLE | PADDED, 1, fields);
        },
        STRANGE,
    ),
    (
        "6.2: HEADERS with a cut priority",
        |s| s.frame(HEADERS, WHOLE | PRIORITIZED, 1, [0, 0, 0]).done(),
        &[Connection(Code::PROTOCOL_ERROR), Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "6.2: trailers",
        |s| {
            s.post(1).frame(DATA, NONE, 1, b"x").frame(HEADERS, WHOLE, 1, block(&[("x-trailer", "1")]));
        },
        &[Answered],
    ),
    ("6.3: PRIORITY on stream 0", |s| s.frame(PRIORITY, NONE, 0, [0, 0, 0, 1, 1]).done(), STRANGE),
    (
        "6.3: PRIORITY of four octets",
        |s| s.post(1).frame(PRIORITY, NONE, 1, [0, 0, 0, 1]).done(),
        &[Stream(Code::FRAME_SIZE_ERROR), Connection(Code::FRAME_SIZE_ERROR)],
    ),
    (
        "6.3: PRIORITY of six octets",
        |s| s.post(1).frame(PRIORITY, NONE, 1, [0, 0, 0, 1, 1, 1]).done(),
        &[Stream(Code::FRAME_SIZE_ERROR), Connection(Code::FRAME_SIZE_ERROR)],
    ),
    ("6.4: RST_STREAM on stream 0", |s| s.frame(RST_STREAM, NONE, 0, [0, 0, 0, 8]).done(), STRANGE),
    ("6.4: RST_STREAM of three octets", |s| s.post(1).frame(RST_STREAM, NONE, 1, [0, 0, 0]).done(), SIZE),
    ("6.4: RST_STREAM of five octets", |s| s.post(1).frame(RST_STREAM, NONE, 1, [0; 5]).done(), SIZE),
    ("6.5: SETTINGS without any", |s| s.frame(SETTINGS, NONE, 0, []).expect(acked).done(), &[Seen]),
    (
        "6.5: SETTINGS are acknowledged",
        |s| s.frame(SETTINGS, NONE, 0, setting(STREAMS, 100)).expect(acked).done(),
        &[Seen],
    ),
    ("6.5: an acknowledgement with payload", |s| s.frame(SETTINGS, ACK, 0, setting(STREAMS, 1)).done(), SIZE),
    ("6.5: SETTINGS on a stream", |s| s.frame(SETTINGS, NONE, 1, setting(STREAMS, 1)).done(), STRANGE),
    ("6.5: SETTINGS of five octets", |s| s.frame(SETTINGS, NONE, 0, [0, 3, 0, 0, 0]).done(), SIZE),
    ("6.5: SETTINGS of seven octets", |s| s.frame(SETTINGS, NONE, 0, [0, 3, 0, 0, 0, 1, 1]).done(), SIZE),
    ("6.5.2: ENABLE_PUSH of 2", |s| s.frame(SETTINGS, NONE, 0, setting(PUSH, 2)).done(), STRANGE),
    ("6.5.2: ENABLE_PUSH of 0", |s| s.frame(SETTINGS, NONE, 0, setting(PUSH, 0)).expect(acked).done(), &[Seen]),
    ("6.5.2: a window of 2^31", |s| s.frame(SETTINGS, NONE, 0, setting(INITIAL_WINDOW, 1 << 31)).done(), WINDOW),
    (
        "6.5.2: frames of less than 2^14",
        |s| s.frame(SETTINGS, NONE, 0, setting(FRAME_SIZE, (1 << 14) - 1)).done(),
        STRANGE,
    ),
    (
        "6.5.2: frames of more than 2^24 - 1",
        |s| s.frame(SETTINGS, NONE, 0, setting(FRAME_SIZE, 1 << 24)).done(),
        STRANGE,
    ),
    ("6.5.2: ENABLE_CONNECT_PROTOCOL of 2", |s| s.frame(SETTINGS, NONE, 0, setting(CONNECT, 2)).done(), STRANGE),
    (
        "6.5.2: a header list of nothing",
        |s| {
            s.settings = setting(HEADER_LIST, 0);
            s.get(1);
        },
        &[Answered],
    ),
    (
        "6.5.2: no table",
        |s| {
            s.settings = setting(TABLE, 0);
            s.get(1).answered(1).get(3);
        },
        &[Answered],
    ),
    (
        "6.5.2: a table as large as can be",
        |s| {
            s.settings = setting(TABLE, u32::MAX);
            s.get(1).answered(1).get(3);
        },
        &[Answered],
    ),
    (
        "6.5.3: of one setting twice the last one holds",
        |s| {
            s.settings = [setting(INITIAL_WINDOW, 100), setting(INITIAL_WINDOW, 1)].concat();
            s.post(1).frame(DATA, END_STREAM, 1, b"four").expect(one_octet);
            s.frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 3]);
        },
        &[Answered],
    ),
    (
        "6.6: PUSH_PROMISE from a client",
        |s| s.post(1).frame(PUSH_PROMISE, END_HEADERS, 1, [0, 0, 0, 2, 0x82]).done(),
        STRANGE,
    ),
    (
        "6.7: PING",
        |s| {
            s.frame(PING, NONE, 0, b"whatever")
                .expect(|it| it.kind == PING && it.has(ACK) && it.payload == b"whatever");
        },
        &[Seen],
    ),
    ("6.7: an acknowledgement of no PING", |s| s.frame(PING, ACK, 0, b"whatever").done(), &[Ignored]),
    ("6.7: PING on a stream", |s| s.frame(PING, NONE, 1, [0; 8]).done(), STRANGE),
    ("6.7: PING of six octets", |s| s.frame(PING, NONE, 0, [0; 6]).done(), SIZE),
    ("6.7: PING of nine octets", |s| s.frame(PING, NONE, 0, [0; 9]).done(), SIZE),
    ("6.8: GOAWAY on a stream", |s| s.frame(GOAWAY, NONE, 1, [0; 8]).done(), STRANGE),
    ("6.8: GOAWAY of seven octets", |s| s.frame(GOAWAY, NONE, 0, [0; 7]).done(), SIZE),
    (
        "6.8: what was begun ends after GOAWAY",
        |s| {
            s.post(1).frame(GOAWAY, NONE, 0, [0; 8]).frame(DATA, END_STREAM, 1, b"x").answered(1).expect(|_| false);
        },
        &[Closed],
    ),
    ("6.9: WINDOW_UPDATE by 0 on the connection", |s| s.frame(WINDOW_UPDATE, NONE, 0, [0; 4]).done(), STRANGE),
    (
        "6.9: WINDOW_UPDATE by 0 on a stream",
        |s| s.post(1).frame(WINDOW_UPDATE, NONE, 1, [0; 4]).done(),
        &[Stream(Code::PROTOCOL_ERROR), Connection(Code::PROTOCOL_ERROR)],
    ),
    ("6.9: WINDOW_UPDATE of three octets", |s| s.frame(WINDOW_UPDATE, NONE, 0, [0, 0, 1]).done(), SIZE),
    ("6.9: WINDOW_UPDATE of five octets", |s| s.post(1).frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 0, 1]).done(), SIZE),
    (
        "6.9.1: no more than the window",
        |s| {
            s.settings = setting(INITIAL_WINDOW, 1);
            s.post(1).frame(DATA, END_STREAM, 1, b"ab").expect(one_octet).frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 1]);
        },
        &[Answered],
    ),
    (
        "6.9.1: a window of the connection above 2^31 - 1",
        |s| {
            let most = [0x7f, 0xff, 0xff, 0xff];
            s.frame(WINDOW_UPDATE, NONE, 0, most).frame(WINDOW_UPDATE, NONE, 0, most);
        },
        WINDOW,
    ),
    (
        "6.9.1: a window of a stream above 2^31 - 1",
        |s| {
            let most = [0x7f, 0xff, 0xff, 0xff];
            s.post(1).frame(WINDOW_UPDATE, NONE, 1, most).frame(WINDOW_UPDATE, NONE, 1, most);
        },
        &[Stream(Code::FLOW_CONTROL_ERROR), Connection(Code::FLOW_CONTROL_ERROR)],
    ),
    (
        "6.9.1: more DATA than the window of a stream",
        |s| {
            s.post(1);
            for _ in 0..64 {
                s.frame(DATA, NONE, 1, [b'x'; 1 << 14]);
            }
        },
        &[Stream(Code::FLOW_CONTROL_ERROR), Connection(Code::FLOW_CONTROL_ERROR)],
    ),
    (
        "6.9.2: a window that opens after the request",
        |s| {
            s.settings = setting(INITIAL_WINDOW, 0);
            s.post(1).frame(DATA, END_STREAM, 1, b"x").expect(|frame| frame.kind == HEADERS);
            s.frame(SETTINGS, NONE, 0, setting(INITIAL_WINDOW, 1)).expect(one_octet);
        },
        &[Answered],
    ),
    (
        "6.9.2: a window below nothing",
        |s| {
            s.settings = setting(INITIAL_WINDOW, 3);
            s.post(1)
                .frame(DATA, END_STREAM, 1, b"abcde")
                .expect(|frame| frame.kind == DATA && frame.payload.len() == 3);
            s.frame(SETTINGS, NONE, 0, setting(INITIAL_WINDOW, 2))
                .frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 2])
                .expect(one_octet);
            s.frame(WINDOW_UPDATE, NONE, 1, [0, 0, 0, 1]);
        },
        &[Answered],
    ),
    (
        "6.9.2: settings that take a window above 2^31 - 1",
        |s| {
            s.post(1).frame(WINDOW_UPDATE, NONE, 1, [0x7f, 0xff, 0, 0]);
            s.frame(SETTINGS, NONE, 0, setting(INITIAL_WINDOW, 0x7fff_ffff));
        },
        WINDOW,
    ),
    (
        "6.10: CONTINUATION",
        |s| {
            let fields = s.fields("GET", &[("x", "y")]);
            let (first, rest) = fields.split_at(9);
            let (second, third) = rest.split_at(1);
            s.frame(HEADERS, END_STREAM, 1, first).frame(CONTINUATION, NONE, 1, second);
            s.frame(CONTINUATION, NONE, 1, []).frame(CONTINUATION, END_HEADERS, 1, third);
        },
        &[Answered],
    ),
    (
        "6.10: CONTINUATION followed by something else",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(CONTINUATION, NONE, 1, block(&[("x", "y")]));
            s.frame(DATA, END_STREAM, 1, b"x");
        },
        STRANGE,
    ),
    (
        "6.10: CONTINUATION on stream 0",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(CONTINUATION, END_HEADERS, 0, []);
        },
        STRANGE,
    ),
    (
        "6.10: CONTINUATION of another stream",
        |s| {
            let fields = s.fields("GET", &[]);
            s.frame(HEADERS, END_STREAM, 1, fields).frame(CONTINUATION, END_HEADERS, 3, []);
        },
        STRANGE,
    ),
    (
        "6.10: CONTINUATION after a block that was whole",
        |s| s.post(1).frame(CONTINUATION, END_HEADERS, 1, block(&[("x", "y")])).done(),
        STRANGE,
    ),
    (
        "6.10: CONTINUATION after one that was the last",
        |s| {
            let fields = s.fields("POST", &[]);
            s.frame(HEADERS, NONE, 1, fields).frame(CONTINUATION, END_HEADERS, 1, block(&[("x", "y")]));
            s.frame(CONTINUATION, END_HEADERS, 1, block(&[("x", "y")]));
        },
        STRANGE,
    ),
    (
        "6.10: CONTINUATION after DATA",
        |s| s.post(1).frame(DATA, NONE, 1, b"x").frame(CONTINUATION, END_HEADERS, 1, block(&[("x", "y")])).done(),
        STRANGE,
    ),
];

#[tokio::test]
async fn the_cases_of_frames() {
    check(CASES).await;
}
