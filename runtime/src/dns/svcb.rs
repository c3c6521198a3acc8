//! SVCB and HTTPS records without what would lead a client around the proxy (RFC 9460, RFC 9848).

/// Parameters that stay. All others go: address hints and ECH lead around the judged name, and what is not known
/// today may do so tomorrow.
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;
const PORT: u16 = 3;

/// The data of a record without `ech`, address hints, unknown parameters and the `h3` protocols; `None` when it is not
/// well-formed or nothing that a client could use is left.
pub(super) fn stripped(data: &[u8]) -> Option<Vec<u8>> {
    let (priority, rest) = data.split_first_chunk::<2>()?;
    let (target, mut rest) = split_name(rest)?;
    let mut kept: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut previous = None;
    while !rest.is_empty() {
        let (key, after) = rest.split_first_chunk::<2>()?;
        let (length, after) = after.split_first_chunk::<2>()?;
        let (value, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let key = u16::from_be_bytes(*key);
        // Keys come in strictly increasing order (RFC 9460, section 2.2).
        if previous.is_some_and(|previous| key <= previous) {
            return None;
        }
        previous = Some(key);
        rest = after;
        match key {
            ALPN => kept.extend(tcp_protocols(value)?.map(|value| (key, value))),
            MANDATORY | NO_DEFAULT_ALPN | PORT => kept.push((key, value.to_vec())),
            _ => {}
        }
    }
    let has = |key: u16| kept.iter().any(|(kept, _)| *kept == key);
    // A client must not use a record whose mandatory parameters are gone, nor one that leaves it no protocol.
    let mandatory =
        kept.iter().find(|(key, _)| *key == MANDATORY).map(|(_, value)| value.as_slice()).unwrap_or_default();
    let (pairs, []) = mandatory.as_chunks::<2>() else { return None };
    if pairs.iter().any(|key| !has(u16::from_be_bytes(*key))) || has(NO_DEFAULT_ALPN) && !has(ALPN) {
        return None;
    }
    let mut stripped = priority.to_vec();
    stripped.extend_from_slice(target);
    // An alias has no parameters (RFC 9460, section 2.4.2).
    for (key, value) in kept.iter().filter(|_| *priority != [0, 0]) {
        stripped.extend_from_slice(&key.to_be_bytes());
        stripped.extend_from_slice(&u16::try_from(value.len()).ok()?.to_be_bytes());
        stripped.extend_from_slice(value);
    }
    Some(stripped)
}

/// The protocols that run over TCP; the inner `None` when there are none.
fn tcp_protocols(mut value: &[u8]) -> Option<Option<Vec<u8>>> {
    let mut kept = Vec::new();
    while let Some((length, rest)) = value.split_first() {
        let (protocol, rest) = rest.split_at_checked(usize::from(*length))?;
        if !protocol.starts_with(b"h3") {
            kept.push(*length);
            kept.extend_from_slice(protocol);
        }
        value = rest;
    }
    Some((!kept.is_empty()).then_some(kept))
}

/// An uncompressed name and what follows it (RFC 9460, section 2.2).
fn split_name(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0_usize;
    loop {
        let length = *data.get(at)?;
        at += 1 + usize::from(length);
        if length > 63 || at > 255 {
            return None;
        }
        if length == 0 {
            return data.split_at_checked(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn data(priority: u16, params: &[(u16, &[u8])]) -> Vec<u8> {
        let mut data = priority.to_be_bytes().to_vec();
        data.extend_from_slice(b"\x01a\x07example\x00");
        for (key, value) in params {
            data.extend_from_slice(&key.to_be_bytes());
            data.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            data.extend_from_slice(value);
        }
        data
    }

    #[test]
    fn hints_ech_h3_and_the_unknown_go() {
        let before = data(
            1,
            &[
                (1, b"\x02h3\x05h3-29\x02h2\x08http/1.1"),
                (3, &[1, 187]),
                (4, &[1, 2, 3, 4]),
                (5, b"ech"),
                (6, &[0; 16]),
                (7, b"/dns{?dns}"),
                (65_280, b"x"),
            ],
        );
        assert_eq!(stripped(&before), Some(data(1, &[(1, b"\x02h2\x08http/1.1"), (3, &[1, 187])])));
    }

    #[test]
    fn what_leaves_a_client_without_a_way_is_dropped() {
        for (params, left) in [
            (vec![(1, &b"\x02h3"[..])], Some(data(1, &[]))),
            (vec![(1, &b"\x02h3"[..]), (2, b"")], None),
            (vec![(1, &b"\x02h2\x02h3"[..]), (2, b"")], Some(data(1, &[(1, b"\x02h2"), (2, b"")]))),
            (vec![(0, &b"\x00\x05"[..]), (5, b"ech")], None),
            (vec![(0, &b"\x00\x01"[..]), (1, b"\x02h2")], Some(data(1, &[(0, b"\x00\x01"), (1, b"\x02h2")]))),
            (vec![(0, &b"\x00"[..])], None),
            (vec![(3, &b"\x01\xbb"[..]), (1, b"\x02h2")], None),
            (vec![(1, &b"\x09h2"[..])], None),
        ] {
            assert_eq!(stripped(&data(1, &params)), left, "{params:?}");
        }
        assert_eq!(stripped(&data(0, &[(3, &[0, 80])])), Some(data(0, &[])));
        assert_eq!(stripped(b"\x00\x01\xc0\x0c"), None);
        assert_eq!(stripped(b"\x00"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_have_an_answer_that_is_stable(data in proptest::collection::vec(prop_oneof![0_u8..8, any::<u8>()], 0..40)) {
            if let Some(once) = stripped(&data) {
                prop_assert_eq!(stripped(&once), Some(once.clone()));
            }
        }
    }
}
