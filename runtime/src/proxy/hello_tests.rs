//! What a ClientHello says, and what is refused.

use proptest::prelude::*;

use super::*;

fn short(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &long(content)].concat()
}

fn sni_entry(name: &[u8]) -> Vec<u8> {
    [&[0_u8][..], &long(name)].concat()
}

fn sni(name: &str) -> Vec<u8> {
    extension(SERVER_NAME, &long(&sni_entry(name.as_bytes())))
}

fn alpn(protocols: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = protocols.iter().flat_map(|protocol| short(protocol)).collect();
    extension(ALPN, &long(&list))
}

/// The body of a hello with these extensions.
fn body(extensions: &[Vec<u8>]) -> Vec<u8> {
    let start = [&[3, 3][..], &[7; 32], &short(&[9; 32]), &long(&[0x13, 0x01]), &short(&[0])].concat();
    [start, long(&extensions.concat())].concat()
}

fn message(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[CLIENT_HELLO][..], &length[1..], body].concat()
}

/// The message in records of at most `size` bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|fragment| [&[HANDSHAKE, 3, 1][..], &long(fragment)].concat()).collect()
}

/// A whole ClientHello as it stands on the wire.
pub(in crate::proxy) fn client_hello(name: Option<&str>) -> Vec<u8> {
    let extensions: Vec<Vec<u8>> = name.map(sni).into_iter().chain([alpn(&[b"h2", b"http/1.1"])]).collect();
    records(&message(&body(&extensions)), MAX_FRAGMENT_BYTES)
}

fn check(bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
    HelloReader::default().push(bytes)
}

fn check_extensions(extensions: &[Vec<u8>]) -> Result<Hello, HelloError> {
    check(&records(&message(&body(extensions)), MAX_FRAGMENT_BYTES)).map(|hello| hello.expect("a whole hello"))
}

#[test]
fn name_protocols_and_versions_are_read() {
    let versions = extension(SUPPORTED_VERSIONS, &short(&[0x7a, 0x7a, 3, 4, 3, 3]));
    let hello =
        check_extensions(&[extension(0x0a0a, &[]), sni("Api.Example.com"), alpn(&[b"\xca\xca", b"h2"]), versions]);
    let expected = Hello {
        server_name: Some("api.example.com".into()),
        alpn: vec!["\u{fffd}\u{fffd}".into(), "h2".into()],
        versions: vec![0x7a7a, 0x304, 0x303],
    };
    assert_eq!(hello, Ok(expected));
}

#[test]
fn a_hello_without_extensions_names_nothing() {
    let plain = [&[3, 1][..], &[7; 32], &short(&[]), &long(&[0, 47]), &short(&[1, 0])].concat();
    let expected = Hello { server_name: None, alpn: vec![], versions: vec![0x301] };
    assert_eq!(check(&records(&message(&plain), 100)), Ok(Some(expected.clone())));
    assert_eq!(check_extensions(&[]), Ok(Hello { versions: vec![0x303], ..expected }));
}

#[test]
fn an_encrypted_hello_inside_does_not_matter() {
    let hello = check_extensions(&[sni("outer.example"), extension(0xfe0d, &[0; 64])]).unwrap();
    assert_eq!(hello.server_name.as_deref(), Some("outer.example"));
}

#[test]
fn names_with_two_readings_are_refused() {
    for name in [
        "192.0.2.1",
        "127.1",
        "0x7f000001",
        "2130706433",
        "a.example.",
        "a..b",
        "a b",
        "a%00b",
        "bücher.example",
        "[::1]",
        "::1",
        "a\0.example",
        "u@a",
        "*",
    ] {
        assert_eq!(check_extensions(&[sni(name)]), Err(HelloError::ServerName), "{name:?}");
    }
    assert_eq!(check_extensions(&[extension(SERVER_NAME, &long(&sni_entry(b"\xff")))]), Err(HelloError::ServerName));
}

#[test]
fn doubled_parts_are_refused() {
    let two = [sni_entry(b"a.example"), sni_entry(b"b.example")].concat();
    for extensions in [
        vec![sni("a.example"), sni("a.example")],
        vec![sni("a.example"), extension(5, &[]), sni("b.example")],
        vec![extension(5, &[]), extension(5, &[])],
        vec![extension(SERVER_NAME, &long(&two))],
    ] {
        assert_eq!(check_extensions(&extensions), Err(HelloError::Twice));
    }
}

#[test]
fn malformed_lengths_and_values_are_refused() {
    for extensions in [
        vec![extension(SERVER_NAME, &[])],
        vec![extension(SERVER_NAME, &long(&[]))],
        vec![extension(SERVER_NAME, &long(&sni_entry(b"")))],
        vec![extension(SERVER_NAME, &long(&[&[1][..], &long(b"a.example")].concat()))],
        vec![extension(SERVER_NAME, &[long(&sni_entry(b"a.example")), vec![0]].concat())],
        vec![extension(ALPN, &long(&[]))],
        vec![extension(ALPN, &long(&[0]))],
        vec![extension(ALPN, &long(&[5, b'a']))],
        vec![extension(SUPPORTED_VERSIONS, &short(&[3]))],
        vec![extension(SUPPORTED_VERSIONS, &short(&[]))],
    ] {
        assert_eq!(check_extensions(&extensions), Err(HelloError::Malformed), "{extensions:x?}");
    }
    let good = body(&[sni("a.example")]);
    let broken: [Vec<u8>; 6] = [
        [&good[..], &[0]].concat(),
        good[..good.len() - 1].to_vec(),
        [&[2, 0][..], &good[2..]].concat(),
        [&[3, 3][..], &[7; 32], &short(&[9; 33]), &long(&[0x13, 1]), &short(&[0]), &long(&[])].concat(),
        [&[3, 3][..], &[7; 32], &short(&[]), &long(&[0x13]), &short(&[0]), &long(&[])].concat(),
        [&[3, 3][..], &[7; 32], &short(&[]), &long(&[0x13, 1]), &short(&[1]), &long(&[])].concat(),
    ];
    for body in broken {
        assert_eq!(check(&records(&message(&body), 1 << 14)), Err(HelloError::Malformed), "{body:x?}");
    }
    let good = message(&good);
    assert_eq!(check(&records(&[&good[..], &[0]].concat(), 1 << 14)), Err(HelloError::Malformed));
    assert_eq!(check(&records(&[&[2][..], &good[1..]].concat(), 1 << 14)), Err(HelloError::Malformed));
}

#[test]
fn what_is_not_a_handshake_record_is_not_tls() {
    for bytes in
        [&b"GET / HTTP/1.1\r\n"[..], &[0x80, 0x2e, 1, 0, 2], &[0x15, 3, 1, 0, 2], &[0x16, 2, 0], &[0x16, 3, 9], &[0]]
    {
        assert_eq!(check(bytes), Err(HelloError::NotTls), "{bytes:x?}");
    }
    let whole = records(&message(&body(&[sni("a.example")])), 20);
    let mut interleaved = whole.clone();
    interleaved[25] = 0x14;
    assert_eq!(check(&interleaved), Err(HelloError::Malformed));
    assert_eq!(check(&[0x16, 3, 1, 0, 0]), Err(HelloError::Malformed));
    assert_eq!(check(&[0x16, 3, 1, 0x40, 1]), Err(HelloError::Malformed));
}

#[test]
fn the_size_is_bounded_before_the_bytes_arrive() {
    assert_eq!(check(&[0x16, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]), Err(HelloError::TooLarge));
    let huge = records(&message(&vec![0; MAX_HELLO_BYTES]), 1);
    let mut reader = HelloReader::default();
    let taken = huge.chunks(1000).take_while(|piece| reader.push(piece) == Ok(None)).count();
    assert_eq!(reader.push(&[]), Err(HelloError::TooLarge));
    assert!(taken <= MAX_HELLO_BYTES / 1000);
}

#[test]
fn every_byte_is_kept_for_the_server() {
    let bytes = [client_hello(Some("a.example")), b"early data".to_vec()].concat();
    let mut reader = HelloReader::default();
    assert!(reader.push(&bytes).unwrap().is_some());
    assert_eq!(reader.into_bytes(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_pieces_is_as_in_one(
        name in "[a-z]{1,8}\\.example",
        record in 1_usize..80,
        noise in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(1_usize..40, 1..8),
    ) {
        let mut bytes = records(&message(&body(&[sni(&name), alpn(&[b"h2"])])), record);
        if let Some((at, byte)) = noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let whole = check(&bytes);
        if noise.is_none() {
            prop_assert_eq!(whole.clone().unwrap().unwrap().server_name, Some(name));
        }
        for cuts in [cuts, vec![1]] {
            let mut reader = HelloReader::default();
            let (mut rest, mut cuts, mut found) = (bytes.as_slice(), cuts.into_iter().cycle(), Ok(None));
            while !rest.is_empty() && found == Ok(None) {
                let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                found = reader.push(piece);
                rest = after;
            }
            prop_assert_eq!(&found, &whole);
        }
    }

    #[test]
    fn any_bytes_have_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&bytes);
        let _ = check(&records(&message(&bytes), 1 << 14));
        let _ = parse(&body(&[bytes]));
    }
}
