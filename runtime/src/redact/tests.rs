//! Secrets are found in every form that is promised, however the bytes come in, and nothing else is touched.

use proptest::prelude::*;

use super::*;

const SECRET: &str = "sk-7/aB+c=\"\\x&y";

fn needles(secrets: &[&str]) -> Arc<Needles> {
    Arc::new(Needles::of(secrets.iter().map(|secret| secret.as_bytes())))
}

/// What comes out when `text` comes in at once, byte by byte and in two pieces cut anywhere: the same.
#[track_caller]
fn check(secrets: &[&str], text: &[u8], expected: &str) {
    let needles = needles(secrets);
    let mut pieces: Vec<Vec<&[u8]>> = vec![text.chunks(1).collect(), text.chunks(3).collect()];
    pieces.extend((0..=text.len()).map(|at| vec![&text[..at], &text[at..]]));
    for pieces in pieces {
        let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
        pieces.iter().for_each(|piece| redactor.push(piece, &mut out));
        redactor.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{pieces:?}");
        assert_eq!(redactor.found(), out != text);
    }
}

fn percent(text: &str, digits: impl Fn(u8) -> String) -> String {
    text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { digits(byte) }).collect()
}

#[test]
fn a_secret_is_found_in_every_form() {
    let mut forms = vec![
        SECRET.to_owned(),
        SECRET.replace('\\', "\\\\").replace('"', "\\\""),
        SECRET.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/"),
        SECRET.bytes().map(|byte| format!("\\u{byte:04x}")).collect(),
        SECRET.bytes().map(|byte| format!("\\u{byte:04X}")).collect(),
        SECRET.replace('\\', "\\u005C").replace('"', "\\u0022").replace('&', "\\u0026").replace('+', "\\u002b"),
        percent(SECRET, |byte| format!("%{byte:02X}")),
        percent(SECRET, |byte| format!("%{byte:02x}")),
        SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect(),
        SECRET.replace('&', "&amp;").replace('"', "&quot;"),
        SECRET.replace('&', "&#38;").replace('"', "&#x22;").replace('/', "&#x2F;").replace('+', "&#0043;"),
    ];
    for before in ["", "u", "u:", "us:", "use:"] {
        for after in ["", "a", "ab"] {
            let text = format!("{before}{SECRET}{after}");
            for alphabet in [base64::Alphabet::Standard, base64::Alphabet::UrlSafe] {
                let digits = String::from_utf8(base64::digits(text.as_bytes(), alphabet).to_vec()).unwrap();
                forms.push(digits.replace('/', "\\/"));
                forms.push(percent(&digits, |byte| format!("%{byte:02x}")));
                forms.push(digits);
            }
        }
    }
    let needles = needles(&[SECRET]);
    for form in forms {
        let text = format!("<{{\"echo\": \"{form}\"}}>");
        let out = String::from_utf8(redacted(&needles, text.as_bytes()).expect(&form)).unwrap();
        assert!(out.starts_with("<{\"echo\": \"") && out.ends_with("\"}>"), "{form}: {out}");
        assert_eq!(out.matches("[outcall:secret]").count(), 1, "{form}: {out}");
        // Of base64, digits that the neighbours share may stay.
        assert!(out.len() <= text.len() - form.len() + MARKER.len() + 16, "{form}: {out}");
    }
}

#[test]
fn matches_that_touch_overlap_or_lie_within_one_another() {
    check(&["secret"], b"a secret.", "a [outcall:secret].");
    check(&["secret"], b"secretsecret", "[outcall:secret][outcall:secret]");
    check(&["abab"], b"xababab y", "x[outcall:secret] y");
    check(&["abcdef", "cd"], b"abcdex cd", "ab[outcall:secret]ex [outcall:secret]");
    check(&["abcdef", "cd"], b"abcdef", "[outcall:secret]");
    check(&["abcd", "cdef"], b"abcdef!", "[outcall:secret]!");
    check(&["aaa"], b"aaaaaaa", "[outcall:secret]");
    check(&["secret"], b"secresecret secre", "secre[outcall:secret] secre");
    check(&["s%41t"], b"s%41t sAt s%2541t", "[outcall:secret] sAt [outcall:secret]");
}

#[test]
fn what_is_no_secret_stays_whatever_it_looks_like() {
    for text in [
        &b"100% of \\u00 \\ud83d\\ude00 \\q \\\\ &amp; &amp &#; &#x; &#99999999999; & \\"[..],
        b"%",
        b"%4",
        b"%zz%",
        b"\\",
        b"\\u",
        b"&",
        b"&#",
        b"%%%41",
        b"\xff\xfe\0",
        b"secre",
        b"ecret",
        b"",
    ] {
        check(&["secret"], text, &String::from_utf8_lossy(text));
        check(&[], text, &String::from_utf8_lossy(text));
    }
}

#[test]
fn only_what_may_be_a_beginning_is_held_back() {
    let mut redactor = Redactor::new(needles(&["secret"]));
    for (piece, expected) in [
        ("data: 1\n\n", "data: 1\n\n"),
        ("data: se", "data: "),
        ("e\n\n", "see\n\n"),
        ("50%", "50"),
        (" off", "% off"),
        ("secre", ""),
        ("t", "[outcall:secret]"),
        ("sec", ""),
    ] {
        let mut out = Vec::new();
        redactor.push(piece.as_bytes(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{piece}");
    }
    let mut out = Vec::new();
    redactor.finish(&mut out);
    assert_eq!(out, b"sec");
}

#[test]
fn what_is_held_back_is_bounded_and_long_streams_are_fast() {
    let secret = "a".repeat(8 << 10);
    let (mut redactor, mut out) = (Redactor::new(needles(&[&secret])), Vec::new());
    for _ in 0..64 {
        redactor.push(&vec![b'a'; (8 << 10) - 1], &mut out);
        redactor.push(b"b", &mut out);
        assert!(redactor.held.len() <= 8 << 10);
    }
    assert_eq!(out.len(), 64 * (8 << 10));
}

#[test]
fn what_cannot_wait_gives_out_half_of_a_secret_at_most() {
    let needles = needles(&[SECRET]);
    for form in [SECRET.to_owned(), percent(SECRET, |byte| format!("%{byte:02X}"))] {
        for size in 1..=form.len() {
            let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
            let mut given = 0;
            for piece in [b"say: ", form.as_bytes()].concat().chunks(size) {
                redactor.push(piece, &mut out);
                redactor.let_go(&mut out);
                if redactor.found() {
                    break;
                }
                given = out.len();
            }
            assert!(redactor.found(), "{size}");
            let shown = given.saturating_sub("say: ".len());
            assert!(shown <= form.len() / 2 + 1, "{shown} of {} in pieces of {size}", form.len());
        }
    }
}

#[test]
fn what_cannot_wait_passes_at_once() {
    let needles = needles(&[SECRET]);
    let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
    for text in ["yes", " %", "2", "f &am", "p; sk", "-8", " \\", "u00", "sk-7"] {
        let before = out.len();
        redactor.push(text.as_bytes(), &mut out);
        redactor.let_go(&mut out);
        assert_eq!(String::from_utf8_lossy(&out[before..]), text);
    }
    redactor.finish(&mut out);
    assert!(!redactor.found());
}

fn pieces(text: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
    let (mut rest, mut pieces) = (text, Vec::new());
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cuts_change_nothing_no_secret_is_left_and_no_other_byte_touched(
        words in proptest::collection::vec(
            prop_oneof![
                3 => "[a-c%\\\\&u01;#]{0,6}",
                1 => Just("abcab".to_owned()),
                1 => Just("%61bcab".to_owned()),
                1 => Just("a\\u0062cab".to_owned()),
                1 => Just("abc&#97;b".to_owned()),
                1 => Just("bcaabca".to_owned()),
            ],
            0..12,
        ),
        cuts in proptest::collection::vec(1_usize..7, 1..12),
    ) {
        let text = words.concat();
        let needles = needles(&["abcab", "bcaabca"]);
        let whole = redacted(&needles, text.as_bytes());
        let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
        for piece in pieces(text.as_bytes(), &cuts) {
            redactor.push(&piece, &mut out);
        }
        redactor.finish(&mut out);
        prop_assert_eq!(redactor.found(), whole.is_some());
        prop_assert_eq!(&out, whole.as_deref().unwrap_or(text.as_bytes()));
        let out = String::from_utf8(out).unwrap();
        // Piece by piece between the markers: none holds a secret, and each is a piece of what came, in its order.
        let mut rest = text.as_str();
        for (at, part) in out.split("[outcall:secret]").enumerate() {
            prop_assert!(!part.contains("abcab") && !part.contains("bcaabca"), "{}", part);
            prop_assert!(redacted(&needles, part.as_bytes()).is_none(), "{}", part);
            let found = rest.find(part);
            prop_assert!(found.is_some() && (at > 0 || found == Some(0)), "{} in {}", part, rest);
            rest = &rest[found.unwrap() + part.len()..];
        }
    }
}
