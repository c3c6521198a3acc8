//! The canonical form of request targets: what has two readings is refused, everything else stays byte for byte.

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// A `.` or `..` segment, also percent-encoded, also with path parameters (`..;x`) or beside an encoded slash.
    #[error("the path has a dot segment")]
    DotSegment,
    /// A backslash; in the path also percent-encoded.
    #[error("the path has a backslash")]
    Backslash,
    /// A control character, a space, a byte outside ASCII or a `#`; in the path also a percent-encoded control
    /// character, and `%00` everywhere.
    #[error("the path has a control character or one that must be escaped")]
    Character,
    /// `%` without two hexadecimal digits.
    #[error("the path has an invalid percent-escape")]
    Escape,
}

/// Checks an origin-form request target: path and query (RFC 9112, section 3.2.1).
///
/// The path is everything before the first `?`. Servers resolve dot segments there (RFC 3986, section 5.2.4), some of
/// them after decoding `%2e`, `%2f` and `%5c` or after cutting path parameters off, so a segment that any of them could
/// take for `.` or `..` is refused. In the query an escape stands for data: `%0A` and `%5C` have one reading there, and
/// only `%00`, at which some programs stop reading, is refused. `%2F`, `//` and every other byte stay as they are.
///
/// # Errors
/// Whatever has two readings is refused; see [`PathError`]. The first problem from the left is the one named.
pub fn check(target: &str) -> Result<(), PathError> {
    let mut segment = Segment::default();
    let mut in_query = false;
    let mut rest = target.strip_prefix('/').ok_or(PathError::NotAbsolute)?.bytes();
    while let Some(raw) = rest.next() {
        match raw {
            0x21..=0x7e => {}
            _ => return Err(PathError::Character),
        }
        let byte = match raw {
            b'#' => return Err(PathError::Character),
            b'\\' => return Err(PathError::Backslash),
            b'%' => escaped(&mut rest).ok_or(PathError::Escape)?,
            other => other,
        };
        if in_query {
            if byte == 0 {
                return Err(PathError::Character);
            }
            continue;
        }
        match byte {
            0..=0x1f | 0x7f => return Err(PathError::Character),
            b'\\' => return Err(PathError::Backslash),
            b'?' if raw == b'?' => {
                segment.end()?;
                in_query = true;
            }
            b'/' => {
                segment.end()?;
                segment = Segment::default();
            }
            other => segment.push(other),
        }
    }
    if in_query { Ok(()) } else { segment.end() }
}

/// The byte that the two digits after a `%` stand for.
fn escaped(rest: &mut std::str::Bytes<'_>) -> Option<u8> {
    let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let high = digit()?;
    Some(high << 4 | digit()?)
}

/// What has been read of one path segment, decoded once.
#[derive(Default)]
struct Segment {
    /// Dots so far, while there is nothing but dots.
    dots: usize,
    /// Something other than a dot came before any `;`.
    ordinary: bool,
    /// A `;` began path parameters.
    parameters: bool,
}

impl Segment {
    fn push(&mut self, byte: u8) {
        match byte {
            _ if self.parameters => {}
            b';' => self.parameters = true,
            b'.' => self.dots += 1,
            _ => self.ordinary = true,
        }
    }

    fn end(&self) -> Result<(), PathError> {
        if !self.ordinary && matches!(self.dots, 1 | 2) { Err(PathError::DotSegment) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_one_reading_passes() {
        for target in [
            "/",
            "//",
            "/a//b/",
            "/a%2Fb%2f",
            "/.well-known/x",
            "/...",
            "/a..b/..a/a..",
            "/a.;v=1/b",
            "/;x",
            "/%20%7E%c3%a9",
            "/a?",
            "/a?b=../c/./..",
            "/a?b=%0A%5C%2e%2e",
            "/a?/../b",
            "/a?b?c=d&e=[1]{2}|\"<>^`",
            "/%3f/x",
            "/%252e%252e/x",
            "/a:b@c!$&'()*+,=~_-",
        ] {
            assert_eq!(check(target), Ok(()), "{target}");
        }
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        use PathError::{Backslash, Character, DotSegment, Escape, NotAbsolute};
        for (target, problem) in [
            ("", NotAbsolute),
            ("a", NotAbsolute),
            ("*", NotAbsolute),
            ("?a", NotAbsolute),
            ("http://a/", NotAbsolute),
            ("%2f", NotAbsolute),
            ("/.", DotSegment),
            ("/..", DotSegment),
            ("/./", DotSegment),
            ("/a/../b", DotSegment),
            ("/a/..?b", DotSegment),
            ("/%2e", DotSegment),
            ("/a/%2E%2e/b", DotSegment),
            ("/a/.%2e", DotSegment),
            ("/a/..;/b", DotSegment),
            ("/a/.;x=1", DotSegment),
            ("/a/..%3bx/b", DotSegment),
            ("/a/..%2fb", DotSegment),
            ("/a%2f../b", DotSegment),
            ("/a%2F%2e%2E%2Fb", DotSegment),
            ("/%3f/..", DotSegment),
            ("/a\\b", Backslash),
            ("/a%5cb", Backslash),
            ("/a?b\\c", Backslash),
            ("/a b", Character),
            ("/a?b c", Character),
            ("/a\tb", Character),
            ("/a\0", Character),
            ("/a\u{7f}", Character),
            ("/é", Character),
            ("/a#b", Character),
            ("/a?b#c", Character),
            ("/a%00", Character),
            ("/a%0d%0ab", Character),
            ("/a%7F", Character),
            ("/a?b=%00", Character),
            ("/a%", Escape),
            ("/a%2", Escape),
            ("/a%zz", Escape),
            ("/a%+1", Escape),
            ("/a?b=50%", Escape),
            ("/a?b=%u0041", Escape),
        ] {
            assert_eq!(check(target), Err(problem), "{target}");
        }
    }

    /// What the most obliging server could make of a path: decoded until nothing changes, parameters cut off, and
    /// backslashes taken for slashes.
    fn obliging_segments(path: &str) -> Vec<String> {
        let bytes = path.as_bytes();
        let mut decoded = String::new();
        let mut at = 0;
        while at < bytes.len() {
            let escape = path.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
            match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
                Some(byte) => {
                    decoded.push(char::from(byte));
                    at += 3;
                }
                None => {
                    decoded.push(char::from(bytes[at]));
                    at += 1;
                }
            }
        }
        let cut = |segment: &str| segment.split(';').next().unwrap_or_default().to_owned();
        decoded.split(['/', '\\']).map(cut).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_accepted_path_climbs_for_any_server(target in "/([.;/a?]|%2e|%2E|%2f|%5c|\\\\|%3b|%3f|%25){0,12}") {
            if check(&target).is_ok() {
                let path = target.split('?').next().unwrap_or_default();
                prop_assert!(!path.contains('\\'));
                for segment in obliging_segments(path) {
                    prop_assert!(segment != "." && segment != "..", "{target}");
                }
            }
        }

        #[test]
        fn any_text_has_an_answer_and_accepted_text_is_visible_ascii(target in "\\PC{0,40}|/[ -~]{0,40}|.{0,40}") {
            if check(&target).is_ok() {
                prop_assert!(target.starts_with('/'));
                prop_assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#' && byte != b'\\'));
            }
        }

        #[test]
        fn ordinary_targets_pass(path in "(/[a-zA-Z0-9_~-][a-zA-Z0-9._~-]{0,8}){1,6}", query in "(\\?[a-z0-9=&./]{0,20})?") {
            prop_assert_eq!(check(&format!("{path}{query}")), Ok(()));
        }
    }
}
