//! Streams that secrets are taken out of: how the bytes are cut changes nothing, and none is left.

use std::sync::Arc;

use outcall_runtime::redact::{MARKER, Needles, Redactor, redacted};

const SECRETS: [&[u8]; 2] = [b"sk-0/1+2", b"a\"b%c&d\\e"];

const SEEDS: [&str; 6] = [
    "\u{3}Authorization: Bearer sk-0/1+2",
    "\u{1}{\"a\": \"sk-0\\/1\\u002b2\", \"b\": \"a\\\"b%c&d\\\\e\"}",
    "\u{7}k=sk-0%2F1%2b2&b=a%22b%25c%26d%5Ce",
    "\u{2}<p>sk-0&#x2f;1&plus;2 a&quot;b%c&amp;d\\e</p>",
    "\u{5}c2stMC8xKzI= x c2stMC8xKzI",
    "\u{9}sk-0/1+sk-0/1+2sk-0/1+2",
];

pub(super) const WORDS: &[&str] =
    &["sk-0/1+2", "a\"b%c&d\\e", "\\u00", "\\/", "%2", "&#", "&amp;", ";", "\\\"", "sk-0", "/1+", "[outcall:secret]"];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    SEEDS.iter().map(|seed| seed.as_bytes().to_vec()).collect()
}

/// The first byte says how the rest is cut.
pub(super) fn check(input: &[u8]) {
    let Some((size, text)) = input.split_first() else { return };
    let needles = Arc::new(Needles::of(SECRETS));
    let whole = redacted(&needles, text);
    let (mut redactor, mut out) = (Redactor::new(Arc::clone(&needles)), Vec::new());
    for piece in text.chunks(usize::from(*size).max(1)) {
        redactor.push(piece, &mut out);
    }
    redactor.finish(&mut out);
    assert_eq!(out, whole.as_deref().unwrap_or(text), "cut into pieces of {size}");
    assert_eq!(redactor.found(), whole.is_some());
    let marked = text.windows(MARKER.len()).any(|window| window == MARKER);
    if let Some(out) = whole.filter(|_| !marked) {
        assert!(out.windows(MARKER.len()).any(|window| window == MARKER), "a secret leaves its mark");
    }
    for secret in SECRETS {
        assert!(!out.windows(secret.len()).any(|window| window == secret), "a secret is left");
    }
}
