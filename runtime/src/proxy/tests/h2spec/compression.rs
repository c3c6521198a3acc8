//! RFC 7541: how fields are compressed, and the blocks that cannot be read.

use super::*;

const BROKEN: &[Outcome] = &[Connection(Code::COMPRESSION_ERROR)];

/// A request with these octets after its fields.
fn after(script: &mut Script, octets: &[u8]) {
    let fields = [script.fields("GET", &[]), octets.to_vec()].concat();
    script.frame(HEADERS, WHOLE, 1, fields);
}

/// A request with these octets before its fields.
fn before(script: &mut Script, octets: &[u8]) {
    let fields = [octets.to_vec(), script.fields("GET", &[])].concat();
    script.frame(HEADERS, WHOLE, 1, fields);
}

pub(super) const CASES: &[Case] = &[
    ("HPACK 2.3.3: an index that stands for nothing", |s| after(s, &[0xc6]), BROKEN),
    ("HPACK 2.3.3: the index of a name that stands for nothing", |s| after(s, &[0x7f, 0x0f, 1, b'a']), BROKEN),
    ("HPACK 4.2: a table's size after a field", |s| after(s, &[0x3f, 0]), BROKEN),
    ("HPACK 4.2: a table's size before the fields", |s| before(s, &[0x20]), &[Answered]),
    ("HPACK 4.2: a table's size twice", |s| before(s, &[0x20, 0x3f, 0xe1, 0x1f]), &[Answered]),
    (
        "HPACK 5.1: a number without an end",
        |s| after(s, &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
        BROKEN,
    ),
    (
        "HPACK 5.2: Huffman padding of more than seven bits",
        |s| after(s, &[0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff]),
        BROKEN,
    ),
    (
        "HPACK 5.2: Huffman padding of zeros",
        |s| after(s, &[0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x49, 0x50, 0x90]),
        BROKEN,
    ),
    (
        "HPACK 5.2: Huffman with EOS",
        |s| after(s, &[0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0xff, 0xff, 0xff, 0xff]),
        BROKEN,
    ),
    ("HPACK 5.2: a string that is longer than the block", |s| after(s, &[0, 1, b'x', 0x7e, b'y']), BROKEN),
    ("HPACK 6.1: index 0", |s| after(s, &[0x80]), BROKEN),
    (
        "HPACK 6.1: fields of the static table",
        |s| {
            let authority = literal(":authority", format!("a.example:{}", s.port));
            s.frame(HEADERS, WHOLE, 1, [&[0x82, 0x87, 0x84][..], &authority].concat());
        },
        &[Answered],
    ),
    (
        "HPACK 6.1: fields of the dynamic table",
        |s| {
            let fields =
                [s.fields("GET", &[]), remembered(b"x-a", b"1"), remembered(b"x-b", b"2"), vec![0xbe, 0xbf]].concat();
            s.frame(HEADERS, WHOLE, 1, fields).answered(1);
            let fields = [s.fields("GET", &[]), vec![0xbe, 0xbf]].concat();
            s.frame(HEADERS, WHOLE, 3, fields);
        },
        &[Answered],
    ),
    ("HPACK 6.2.1: a literal to remember with a static name", |s| after(s, &[0x53, 3, b'*', b'/', b'*']), &[Answered]),
    ("HPACK 6.2.2: a literal with a static name", |s| after(s, &[0x0f, 4, 3, b'*', b'/', b'*']), &[Answered]),
    ("HPACK 6.2.3: a literal never to be remembered", |s| after(s, &[0x10, 1, b'x', 1, b'y']), &[Answered]),
    ("HPACK 6.2.3: one with a static name", |s| after(s, &[0x1f, 4, 3, b'*', b'/', b'*']), &[Answered]),
    ("HPACK 6.2: Huffman", |s| after(s, &[0, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x83, 0x49, 0x50, 0x9f]), &[Answered]),
    ("HPACK 6.3: a table larger than was allowed", |s| before(s, &[0x3f, 0xe1, 0xff, 3]), BROKEN),
    (
        "HPACK 6.3: a table that was emptied",
        |s| {
            let fields = [s.fields("GET", &[]), remembered(b"x-a", b"1")].concat();
            s.frame(HEADERS, WHOLE, 1, fields).answered(1);
            let fields = [vec![0x20], s.fields("GET", &[]), vec![0xbe]].concat();
            s.frame(HEADERS, WHOLE, 3, fields);
        },
        BROKEN,
    ),
];

#[tokio::test]
async fn the_cases_of_compression() {
    check(CASES).await;
}
