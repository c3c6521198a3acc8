//! Reads the header fields of HTTP/1 messages, strictly: what some other parser could read differently is refused.

use std::sync::Arc;

/// The largest head that is read, request or response: what the common servers allow at most, and far more than
/// ordinary clients send.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The most header fields of one message. Common servers stop at 100; some applications send more cookies than that.
pub const MAX_FIELDS: usize = 256;

/// Why a message's head, or its body's framing, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Over [`MAX_HEAD_BYTES`] or [`MAX_FIELDS`].
    #[error("the head is too large or has too many fields")]
    TooLarge,
    /// A line feed or carriage return alone, or an empty line before the message (RFC 9112, section 2.2).
    #[error("a line break is not exactly CR LF")]
    LineBreak,
    /// A control character, or a byte that is no text where text is needed.
    #[error("a line has a control character or is not text")]
    Control,
    /// A field that goes on in the next line (RFC 9112, section 5.2).
    #[error("a header field is folded over two lines")]
    Folded,
    /// No colon, no name, or a character that no name has, white space before the colon included.
    #[error("a header field's name is not a token followed by a colon")]
    FieldName,
    /// A name that some servers read as `Host`, `Content-Length` or `Transfer-Encoding`.
    #[error("a header field's name can be read as another")]
    Lookalike,
    /// Not `METHOD SP target SP HTTP/1.x` (RFC 9112, section 3).
    #[error("the request line is not a method, a target and a version with single spaces")]
    RequestLine,
    /// Not a token in upper case.
    #[error("the method is not a token in upper case")]
    Method,
    /// Neither HTTP/1.1 nor HTTP/1.0.
    #[error("the version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// A target of a form that does not go with the method, or of another scheme.
    #[error("the target has the wrong form")]
    TargetForm,
    /// A path with two readings.
    #[error(transparent)]
    Path(#[from] outcall_schema::path::PathError),
    /// An authority with userinfo, without a host, with a non-canonical port or a host with two readings.
    #[error("the host or port is not one that has a single reading")]
    Authority,
    /// No `Host`.
    #[error("the Host field is missing")]
    HostMissing,
    /// More than one `Host`.
    #[error("there is more than one Host field")]
    HostTwice,
    /// `Host` and the target's authority differ.
    #[error("the Host field and the target name different hosts")]
    HostDiffers,
    /// Not one canonical number.
    #[error("the Content-Length is not one canonical number")]
    ContentLength,
    /// Not exactly `chunked`, or not on HTTP/1.1.
    #[error("the Transfer-Encoding is not exactly chunked on HTTP/1.1")]
    TransferEncoding,
    /// Both lengths, or a length where there can be none.
    #[error("the body has two lengths, or one where there can be none")]
    Framing,
    /// A `Connection` that nominates a field which must reach the other end.
    #[error("the Connection field names one that must not be removed")]
    Connection,
    /// Not `HTTP/1.x SP 3DIGIT [SP reason]` (RFC 9112, section 4).
    #[error("the status line cannot be parsed")]
    StatusLine,
    /// A switch of protocols that was not asked for, or endless informational responses.
    #[error("the response is not one to this request")]
    Unexpected,
    /// A chunk with an invalid size, ending or trailer (RFC 9112, section 7.1).
    #[error("the chunked body is not well formed")]
    Chunk,
}

/// The version of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// The version as it stands in a message.
    pub const fn text(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }

    /// Reads a version.
    pub(super) fn parse(text: &[u8]) -> Option<Version> {
        [Version::Http10, Version::Http11].into_iter().find(|version| version.text().as_bytes() == text)
    }
}

/// How the end of a body is found (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All until the connection ends; responses only.
    UntilClose,
}

/// One header field as it was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    /// The whole line with its CR LF.
    pub line: &'a [u8],
    /// The name as it was sent.
    pub name: &'a str,
    /// The value without the white space around it.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether this is the field called `name`.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The members of a comma-separated list (RFC 9110, section 5.6.1), empty ones left out.
    pub fn members(&self) -> impl Iterator<Item = &'a [u8]> {
        self.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
    }
}

/// What the bytes of a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Values {
    /// UTF-8, so that conditions see exactly what is forwarded.
    Text,
    /// Whatever RFC 9110, section 5.5 lets through, obsolete text included.
    Bytes,
}

/// Looks for the end of a head while its bytes come in.
#[derive(Debug, Default)]
pub(crate) struct EndOfHead {
    scanned: usize,
    line: usize,
}

impl EndOfHead {
    /// The head's length with its empty line, if that has been received; `bytes` must begin as in the calls before.
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, HeadError> {
        for (at, byte) in bytes.iter().enumerate().skip(self.scanned) {
            if at >= MAX_HEAD_BYTES {
                return Err(HeadError::TooLarge);
            }
            if *byte != b'\n' {
                continue;
            }
            let length = at - self.line;
            if length == 0 || at.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'\r') {
                return Err(HeadError::LineBreak);
            }
            if length == 1 {
                return if self.line == 0 { Err(HeadError::LineBreak) } else { Ok(Some(at + 1)) };
            }
            self.line = at + 1;
        }
        self.scanned = bytes.len();
        Ok(None)
    }
}

/// The first line of `bytes` without its CR LF, and what follows.
pub(super) fn split_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), HeadError> {
    let at = bytes.windows(2).position(|pair| pair == b"\r\n").ok_or(HeadError::LineBreak)?;
    let (line, rest) = bytes.split_at_checked(at).ok_or(HeadError::LineBreak)?;
    Ok((line, rest.get(2..).unwrap_or_default()))
}

/// Reads field lines up to the empty line that ends `bytes`.
pub(super) fn parse(mut bytes: &[u8], values: Values) -> Result<Vec<Field<'_>>, HeadError> {
    let mut fields = Vec::new();
    loop {
        let whole = bytes;
        let (line, rest) = split_line(bytes)?;
        bytes = rest;
        if line.is_empty() {
            return if rest.is_empty() { Ok(fields) } else { Err(HeadError::LineBreak) };
        }
        if fields.len() >= MAX_FIELDS {
            return Err(HeadError::TooLarge);
        }
        let whole = whole.get(..line.len() + 2).unwrap_or_default();
        fields.push(field(whole, line, values)?);
    }
}

fn field<'a>(whole: &'a [u8], line: &'a [u8], values: Values) -> Result<Field<'a>, HeadError> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(HeadError::Folded);
    }
    let colon = line.iter().position(|byte| *byte == b':').ok_or(HeadError::FieldName)?;
    let (name, value) = line.split_at_checked(colon).ok_or(HeadError::FieldName)?;
    let name = token(name).ok_or(HeadError::FieldName)?;
    if is_lookalike(name) {
        return Err(HeadError::Lookalike);
    }
    let value = trim(value.get(1..).unwrap_or_default());
    let control = |byte: &u8| matches!(byte, 0..=8 | 10..=31 | 127);
    if value.iter().any(control) || values == Values::Text && std::str::from_utf8(value).is_err() {
        return Err(HeadError::Control);
    }
    Ok(Field { line: whole, name, value })
}

/// Whether some servers read this name as that of a field which says where a message goes or ends.
pub(super) fn is_lookalike(name: &str) -> bool {
    name.contains('_') && FRAMING_FIELDS.iter().any(|known| name.replace('_', "-").eq_ignore_ascii_case(known))
}

/// The fields that say where a message goes and where it ends.
const FRAMING_FIELDS: [&str; 3] = ["host", "content-length", "transfer-encoding"];

/// Optional white space is spaces and tabs (RFC 9110, section 5.6.3), and nothing else.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Whether two names are the same to some server: those that hand fields on as variables make `_` of `-`.
pub(super) fn alike(left: &[u8], right: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    left.len() == right.len() && left.iter().map(plain).eq(right.iter().map(plain))
}

/// Names that a message's trailer may not have, beside those that none may.
#[derive(Debug, Clone, Default)]
pub(super) struct Guarded(Arc<[String]>);

impl Guarded {
    /// These names.
    pub(super) fn of(names: impl Iterator<Item = String>) -> Guarded {
        Guarded(names.collect())
    }

    /// Whether this name is one of them, or looks like one to some server.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.0.iter().any(|guarded| alike(guarded.as_bytes(), name))
    }
}

/// `bytes` as a token (RFC 9110, section 5.6.2), if it is one.
pub(super) fn token(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && text.bytes().all(is_token_byte)).then_some(text)
}

/// Whether a token may have this byte.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A body's length from the fields: `None` where there is neither `Content-Length` nor `Transfer-Encoding`.
pub(super) fn framing(fields: &[Field<'_>], version: Version) -> Result<Option<Framing>, HeadError> {
    let mut lengths = fields.iter().filter(|field| field.is("content-length"));
    let mut codings = fields.iter().filter(|field| field.is("transfer-encoding"));
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(HeadError::Framing),
        (Some(length), None) => match lengths.next() {
            Some(_) => Err(HeadError::ContentLength),
            None => decimal(length.value).map(|length| Some(Framing::Length(length))).ok_or(HeadError::ContentLength),
        },
        (None, Some(coding)) => {
            let exact = coding.value == b"chunked" && version == Version::Http11 && codings.next().is_none();
            if exact { Ok(Some(Framing::Chunked)) } else { Err(HeadError::TransferEncoding) }
        }
    }
}

/// A canonical decimal number of up to 18 digits: no sign, no white space, no leading zero.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    let canonical = match digits {
        [] => false,
        [b'0'] => true,
        [first, ..] => *first != b'0' && digits.len() <= 18,
    };
    if !canonical {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0')))
}

/// The names that `Connection` fields nominate, in lower case.
pub(super) fn nominated(fields: &[Field<'_>]) -> Result<Vec<String>, HeadError> {
    let mut names = Vec::new();
    for field in fields.iter().filter(|field| field.is("connection")) {
        for member in field.members() {
            names.push(token(member).ok_or(HeadError::Connection)?.to_ascii_lowercase());
        }
    }
    if names.iter().any(|name| FRAMING_FIELDS.contains(&name.as_str())) {
        return Err(HeadError::Connection);
    }
    Ok(names)
}

/// Whether a field of this name is between a client and its proxy.
pub(super) fn is_for_proxies(name: &str) -> bool {
    name.get(..6).is_some_and(|prefix| prefix.eq_ignore_ascii_case("proxy-"))
}

/// Whether a field is for the next hop alone (RFC 9110, section 7.6.1) and so never forwarded.
pub(super) fn hop_by_hop(field: &Field<'_>, nominated: &[String]) -> bool {
    is_for_proxies(field.name)
        || ["connection", "keep-alive", "te", "upgrade"].iter().any(|name| field.is(name))
        || nominated.iter().any(|name| field.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_however_the_bytes_come_in() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        assert_eq!(EndOfHead::default().find(head), Ok(Some(27)));
        let mut by_bytes = EndOfHead::default();
        for end in 0..27 {
            assert_eq!(by_bytes.find(&head[..end]), Ok(None), "{end}");
        }
        assert_eq!(by_bytes.find(head), Ok(Some(27)));
    }

    #[test]
    fn bare_line_breaks_and_leading_ones_are_refused() {
        for head in ["a\nb\r\n\r\n", "a\r\nb\n\r\n", "a\r\n\n", "\r\nGET / HTTP/1.1\r\n\r\n", "\nGET", "\n"] {
            assert_eq!(EndOfHead::default().find(head.as_bytes()), Err(HeadError::LineBreak), "{head:?}");
        }
    }

    #[test]
    fn a_head_over_the_limit_is_refused_and_one_at_the_limit_is_not() {
        let mut head = vec![b'a'; MAX_HEAD_BYTES - 4];
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(EndOfHead::default().find(&head), Ok(Some(MAX_HEAD_BYTES)));
        head.insert(0, b'a');
        assert_eq!(EndOfHead::default().find(&head), Err(HeadError::TooLarge));
        assert_eq!(EndOfHead::default().find(&vec![b'a'; MAX_HEAD_BYTES + 1]), Err(HeadError::TooLarge));
    }

    fn check(lines: &str, values: Values) -> Result<Vec<(String, String)>, HeadError> {
        parse(lines.as_bytes(), values).map(|fields| {
            let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
            fields.iter().map(|field| (field.name.to_owned(), text(field.value))).collect()
        })
    }

    #[test]
    fn fields_keep_their_order_case_and_bytes() {
        let lines = "Host: a\r\nx-Y:\t b \t\r\nEmpty:\r\nUtf8: é\r\n\r\n";
        let fields = parse(lines.as_bytes(), Values::Text).unwrap();
        let joined: Vec<u8> = fields.iter().flat_map(|field| field.line.to_vec()).collect();
        assert_eq!(joined, &lines.as_bytes()[..lines.len() - 2]);
        let expected = [("Host", "a"), ("x-Y", "b"), ("Empty", ""), ("Utf8", "é")];
        assert_eq!(check(lines, Values::Text).unwrap(), expected.map(|(name, value)| (name.into(), value.into())));
    }

    #[test]
    fn fields_with_two_readings_are_refused() {
        use HeadError::{Control, FieldName, Folded, LineBreak, Lookalike};
        for (lines, problem) in [
            ("Host : a\r\n\r\n", FieldName),
            (" Host: a\r\n\r\n", Folded),
            ("a: b\r\n c\r\n\r\n", Folded),
            ("a: b\r\n\tc\r\n\r\n", Folded),
            ("a\r\n\r\n", FieldName),
            (": a\r\n\r\n", FieldName),
            ("a b: c\r\n\r\n", FieldName),
            ("a\tb: c\r\n\r\n", FieldName),
            ("é: c\r\n\r\n", FieldName),
            ("a(: c\r\n\r\n", FieldName),
            ("a: b\0\r\n\r\n", Control),
            ("a: b\rc\r\n\r\n", Control),
            ("a: b\nc\r\n\r\n", Control),
            ("a: b\x0bc\r\n\r\n", Control),
            ("a: b\x7f\r\n\r\n", Control),
            ("a: \rb\r\n\r\n", Control),
            ("a\r: b\r\n\r\n", FieldName),
            ("Content_Length: 5\r\n\r\n", Lookalike),
            ("transfer_encoding: chunked\r\n\r\n", Lookalike),
            ("a: b\r\n", LineBreak),
            ("a: b\r\n\r\nx: y\r\n\r\n", LineBreak),
        ] {
            assert_eq!(check(lines, Values::Text), Err(problem), "{lines:?}");
        }
        assert_eq!(parse(b"a: \xff\r\n\r\n", Values::Text), Err(Control));
        assert!(parse(b"a: \xff\r\n\r\n", Values::Bytes).is_ok());
        let many = "a: b\r\n".repeat(MAX_FIELDS);
        assert!(check(&format!("{many}\r\n"), Values::Text).is_ok());
        assert_eq!(check(&format!("{many}a: b\r\n\r\n"), Values::Text), Err(HeadError::TooLarge));
    }

    #[test]
    fn a_body_has_one_length_or_is_refused() {
        use HeadError::{ContentLength, TransferEncoding};
        for (lines, expected) in [
            ("", Ok(None)),
            ("Content-Length: 0\r\n", Ok(Some(Framing::Length(0)))),
            ("Content-Length: 42\r\n", Ok(Some(Framing::Length(42)))),
            ("Content-Length: 999999999999999999\r\n", Ok(Some(Framing::Length(999_999_999_999_999_999)))),
            ("Transfer-Encoding: chunked\r\n", Ok(Some(Framing::Chunked))),
            ("Content-Length:\r\n", Err(ContentLength)),
            ("Content-Length: +5\r\n", Err(ContentLength)),
            ("Content-Length: -5\r\n", Err(ContentLength)),
            ("Content-Length: 05\r\n", Err(ContentLength)),
            ("Content-Length: 0x5\r\n", Err(ContentLength)),
            ("Content-Length: 5, 5\r\n", Err(ContentLength)),
            ("Content-Length: 5 5\r\n", Err(ContentLength)),
            ("Content-Length: 5.0\r\n", Err(ContentLength)),
            ("Content-Length: 1000000000000000000\r\n", Err(ContentLength)),
            ("Content-Length: 18446744073709551621\r\n", Err(ContentLength)),
            ("Content-Length: 5\r\ncontent-length: 5\r\n", Err(ContentLength)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(ContentLength)),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(HeadError::Framing)),
            ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", Err(HeadError::Framing)),
            ("Transfer-Encoding: Chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: xchunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked, chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: gzip, chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: identity\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding:\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(TransferEncoding)),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Err(TransferEncoding)),
        ] {
            let all = format!("{lines}\r\n");
            let fields = parse(all.as_bytes(), Values::Text).unwrap();
            assert_eq!(framing(&fields, Version::Http11), expected, "{lines:?}");
            if expected == Ok(Some(Framing::Chunked)) {
                assert_eq!(framing(&fields, Version::Http10), Err(TransferEncoding));
            }
        }
    }

    #[test]
    fn connection_cannot_remove_what_says_where_a_message_goes_or_ends() {
        let names = |lines: &str| {
            let all = format!("{lines}\r\n");
            nominated(&parse(all.as_bytes(), Values::Text).unwrap())
        };
        assert_eq!(
            names("Connection: close, X-A\r\nConnection: , Te\r\n"),
            Ok(vec!["close".into(), "x-a".into(), "te".into()])
        );
        for lines in [
            "Connection: Host\r\n",
            "Connection: a, content-length\r\n",
            "Connection: transfer-encoding\r\n",
            "Connection: a b\r\n",
        ] {
            assert_eq!(names(lines), Err(HeadError::Connection), "{lines}");
        }
    }
}
