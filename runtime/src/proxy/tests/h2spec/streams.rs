//! Section 5 of RFC 9113: the states of streams, their ids, how many there may be, and priority.

use super::*;

const STRANGE: &[Outcome] = &[Connection(Code::PROTOCOL_ERROR)];
const CLOSED: &[Outcome] = &[Connection(Code::STREAM_CLOSED), Stream(Code::STREAM_CLOSED)];
const UPDATE: [u8; 4] = [0, 0, 0, 100];
const CANCEL: [u8; 4] = [0, 0, 0, 8];

pub(super) const CASES: &[Case] = &[
    ("5.1 idle: DATA", |s| s.frame(DATA, END_STREAM, 1, b"x").done(), STRANGE),
    ("5.1 idle: RST_STREAM", |s| s.frame(RST_STREAM, NONE, 1, CANCEL).done(), STRANGE),
    ("5.1 idle: WINDOW_UPDATE", |s| s.frame(WINDOW_UPDATE, NONE, 1, UPDATE).done(), STRANGE),
    ("5.1 idle: CONTINUATION", |s| s.frame(CONTINUATION, END_HEADERS, 1, [0x82]).done(), STRANGE),
    ("5.1 idle: PRIORITY", |s| s.frame(PRIORITY, NONE, 1, [0, 0, 0, 0, 255]).done(), &[Ignored]),
    ("5.1 idle: DATA above a stream that is open", |s| s.post(1).frame(DATA, NONE, 3, b"x").done(), STRANGE),
    ("5.1 half-closed: DATA", |s| s.get(1).frame(DATA, END_STREAM, 1, b"x").done(), CLOSED),
    (
        "5.1 half-closed: HEADERS",
        |s| s.get(1).get(1).done(),
        &[Connection(Code::STREAM_CLOSED), Stream(Code::STREAM_CLOSED)],
    ),
    (
        "5.1 half-closed: CONTINUATION",
        |s| s.get(1).frame(CONTINUATION, END_HEADERS, 1, [0x82]).done(),
        &[Connection(Code::PROTOCOL_ERROR), Connection(Code::STREAM_CLOSED)],
    ),
    ("5.1 half-closed: WINDOW_UPDATE", |s| s.get(1).frame(WINDOW_UPDATE, NONE, 1, UPDATE).done(), &[Answered]),
    ("5.1 half-closed: PRIORITY", |s| s.get(1).frame(PRIORITY, NONE, 1, [0, 0, 0, 0, 1]).done(), &[Answered]),
    ("5.1 half-closed: RST_STREAM", |s| s.get(1).frame(RST_STREAM, NONE, 1, CANCEL).done(), &[Ignored]),
    (
        "5.1 reset: DATA",
        |s| s.post(1).frame(RST_STREAM, NONE, 1, CANCEL).frame(DATA, END_STREAM, 1, b"x").done(),
        CLOSED,
    ),
    ("5.1 reset: HEADERS", |s| s.post(1).frame(RST_STREAM, NONE, 1, CANCEL).get(1).done(), CLOSED),
    (
        "5.1 reset: CONTINUATION",
        |s| s.post(1).frame(RST_STREAM, NONE, 1, CANCEL).frame(CONTINUATION, END_HEADERS, 1, [0x82]).done(),
        &[Connection(Code::PROTOCOL_ERROR), Connection(Code::STREAM_CLOSED)],
    ),
    ("5.1 closed: DATA", |s| s.get(1).answered(1).frame(DATA, END_STREAM, 1, b"x").done(), CLOSED),
    (
        "5.1 closed: HEADERS",
        |s| s.get(1).answered(1).get(1).done(),
        &[Connection(Code::STREAM_CLOSED), Connection(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.1 closed: CONTINUATION",
        |s| s.get(1).answered(1).frame(CONTINUATION, END_HEADERS, 1, [0x82]).done(),
        &[Connection(Code::PROTOCOL_ERROR), Connection(Code::STREAM_CLOSED)],
    ),
    ("5.1 closed: PRIORITY", |s| s.get(1).answered(1).frame(PRIORITY, NONE, 1, [0, 0, 0, 0, 1]).done(), &[Ignored]),
    ("5.1 closed: WINDOW_UPDATE", |s| s.get(1).answered(1).frame(WINDOW_UPDATE, NONE, 1, UPDATE).done(), &[Ignored]),
    ("5.1 closed: RST_STREAM", |s| s.get(1).answered(1).frame(RST_STREAM, NONE, 1, CANCEL).done(), &[Ignored]),
    ("5.1.1: an even id", |s| s.get(2).done(), STRANGE),
    ("5.1.1: an id below the last one", |s| s.get(5).answered(5).get(3).done(), STRANGE),
    ("5.1.1: stream 0", |s| s.get(0).done(), STRANGE),
    ("5.1.1: ids may be left out", |s| s.get(1).get(77).done(), &[Answered]),
    (
        "5.1.2: more streams than SETTINGS_MAX_CONCURRENT_STREAMS",
        |s| {
            for stream in 0..=crate::proxy::http2::MAX_STREAMS {
                s.post(2 * stream + 1);
            }
        },
        &[Stream(Code::REFUSED_STREAM), Stream(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.3.2: HEADERS with a priority",
        |s| {
            let fields = [&[0x80, 0, 0, 0, 15][..], &s.fields("GET", &[])].concat();
            s.frame(HEADERS, WHOLE | PRIORITIZED, 1, fields);
        },
        &[Answered],
    ),
    (
        "5.3.2: HEADERS of a stream that depends on itself",
        |s| {
            let fields = [&[0, 0, 0, 1, 255][..], &s.fields("GET", &[])].concat();
            s.frame(HEADERS, WHOLE | PRIORITIZED, 1, fields);
        },
        &[Stream(Code::PROTOCOL_ERROR), Answered],
    ),
    (
        "5.3.2: PRIORITY of a stream that depends on itself",
        |s| s.post(1).frame(PRIORITY, NONE, 1, [0, 0, 0, 1, 255]).done(),
        &[Stream(Code::PROTOCOL_ERROR)],
    ),
    (
        "5.3.2: PRIORITY of many streams that are none",
        |s| {
            for stream in 0..50 {
                s.frame(PRIORITY, NONE, 2 * stream + 101, [0, 0, 0, 3, 16]);
            }
        },
        &[Ignored],
    ),
    (
        "5.4.2: an error on one stream",
        |s| {
            let fields = s.fields("GET", &[("connection", "x")]);
            s.post(1).frame(HEADERS, WHOLE, 3, fields);
        },
        &[Stream(Code::PROTOCOL_ERROR)],
    ),
];

#[tokio::test]
async fn the_cases_of_streams() {
    check(CASES).await;
}
