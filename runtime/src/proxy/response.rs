//! Reads a response's head and writes the one that is forwarded. The upstream may be hostile too: what two clients could
//! read differently never reaches the agent.

use outcall_schema::facts::Headers;

use super::fields::{self, Field, Framing, HeadError, Values, Version};
use super::request::{Persistence, Upgrade};

/// A response's head.
#[derive(Debug, Clone)]
pub struct Response<'a> {
    /// The status code.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// How the body ends; for the method that was asked.
    pub framing: Framing,
    /// Whether the upstream's connection is meant to go on.
    pub persistence: Persistence,
    /// The protocol that the upstream switches to.
    pub upgrade: Upgrade,
    line: &'a [u8],
    fields: Vec<Field<'a>>,
    nominated: Vec<String>,
}

impl<'a> Response<'a> {
    /// Reads a head that ends with its empty line, as the answer to a request with `method` that asked for `upgrade`.
    ///
    /// # Errors
    /// Whatever another parser could read differently; see [`HeadError`].
    pub fn parse(head: &'a [u8], method: &str, asked: Upgrade) -> Result<Response<'a>, HeadError> {
        let (line, rest) = fields::split_line(head)?;
        let (version, status) = status_line(line)?;
        let fields = fields::parse(rest, Values::Bytes)?;
        let declared = fields::framing(&fields, version)?;
        let nominated = fields::nominated(&fields)?;
        let (framing, upgrade) = match (status, declared) {
            (101, None) => (Framing::None, switched(asked, version, &fields, &nominated)?),
            // These end with their head; a length there would be a body to some (RFC 9112, section 6.3).
            (100..=199 | 204, None | Some(Framing::Length(0))) => (Framing::None, Upgrade::None),
            (100..=199 | 204, Some(_)) => return Err(HeadError::Framing),
            (304, _) => (Framing::None, Upgrade::None),
            (_, _) if method == "HEAD" => (Framing::None, Upgrade::None),
            (_, Some(declared)) => (declared, Upgrade::None),
            (_, None) => (Framing::UntilClose, Upgrade::None),
        };
        let close = version == Version::Http10
            || framing == Framing::UntilClose
            || nominated.iter().any(|name| name == "close");
        let persistence = if close { Persistence::Close } else { Persistence::KeepAlive };
        Ok(Response { status, version, framing, persistence, upgrade, line, fields, nominated })
    }

    /// Whether another response to the same request follows.
    pub fn informational(&self) -> bool {
        (100..=199).contains(&self.status) && self.status != 101
    }

    /// The head to send to the client, whose connection goes on or ends as `persistence` says.
    pub fn forwarded(&self, persistence: Persistence) -> Vec<u8> {
        let mut head = self.line.to_vec();
        head.extend_from_slice(b"\r\n");
        for field in &self.fields {
            let upgrade = self.upgrade == Upgrade::WebSocket && field.is("upgrade");
            if upgrade || !fields::hop_by_hop(field, &self.nominated) {
                head.extend_from_slice(field.line);
            }
        }
        if self.upgrade == Upgrade::WebSocket {
            head.extend_from_slice(b"Connection: Upgrade\r\n");
        } else if persistence == Persistence::Close && !self.informational() {
            head.extend_from_slice(b"Connection: close\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The header fields that were received.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field<'a>> + Clone {
        self.fields.iter()
    }

    /// The header fields that are forwarded, as conditions see them.
    pub fn headers(&self) -> Headers {
        let kept = self.fields.iter().filter(|field| !fields::hop_by_hop(field, &self.nominated));
        Headers::collect(kept.map(|field| (field.name, String::from_utf8_lossy(field.value))))
    }
}

/// `HTTP/1.x SP 3DIGIT [SP reason]`.
fn status_line(line: &[u8]) -> Result<(Version, u16), HeadError> {
    let (version, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
    let version = Version::parse(version).ok_or(HeadError::StatusLine)?;
    let [b' ', digits @ ..] = rest else { return Err(HeadError::StatusLine) };
    let (digits, reason) = digits.split_at_checked(3).ok_or(HeadError::StatusLine)?;
    let status = fields::decimal(digits).filter(|status| *status >= 100).ok_or(HeadError::StatusLine)?;
    let printable = |byte: &u8| *byte == b'\t' || *byte >= b' ' && *byte != 0x7f;
    if !matches!(reason.first(), None | Some(b' ')) || !reason.iter().all(printable) {
        return Err(HeadError::StatusLine);
    }
    Ok((version, u16::try_from(status).map_err(|_| HeadError::StatusLine)?))
}

/// What a 101 switches to: exactly what was asked for.
fn switched(
    asked: Upgrade,
    version: Version,
    fields: &[Field<'_>],
    nominated: &[String],
) -> Result<Upgrade, HeadError> {
    let mut named = fields.iter().filter(|field| field.is("upgrade"));
    let websocket = match (named.next(), named.next()) {
        (Some(only), None) => only.value.eq_ignore_ascii_case(b"websocket"),
        _ => false,
    };
    let expected = asked == Upgrade::WebSocket && version == Version::Http11;
    if expected && websocket && nominated.iter().any(|name| name == "upgrade") {
        Ok(Upgrade::WebSocket)
    } else {
        Err(HeadError::Unexpected)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(head: &str, method: &str, asked: Upgrade) -> Result<(u16, Framing, Persistence), HeadError> {
        Response::parse(head.as_bytes(), method, asked)
            .map(|response| (response.status, response.framing, response.persistence))
    }

    #[test]
    fn a_response_ends_where_the_method_the_status_and_the_fields_say() {
        use Framing::{Chunked, Length, None, UntilClose};
        use Persistence::{Close, KeepAlive};
        for (method, head, expected) in [
            ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", (200, Length(3), KeepAlive)),
            ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (200, Length(0), KeepAlive)),
            ("GET", "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", (200, Chunked, KeepAlive)),
            ("GET", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", (200, Length(3), Close)),
            ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", (200, Length(3), Close)),
            ("GET", "HTTP/1.1 200 OK\r\n\r\n", (200, UntilClose, Close)),
            ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", (200, None, KeepAlive)),
            ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (200, None, KeepAlive)),
            ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", (200, None, KeepAlive)),
            ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", (304, None, KeepAlive)),
            ("GET", "HTTP/1.1 204 No Content\r\n\r\n", (204, None, KeepAlive)),
            ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", (204, None, KeepAlive)),
            ("GET", "HTTP/1.1 100 Continue\r\n\r\n", (100, None, KeepAlive)),
            ("GET", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", (103, None, KeepAlive)),
            ("GET", "HTTP/1.1 999 \u{e9}\r\nContent-Length: 0\r\n\r\n", (999, Length(0), KeepAlive)),
        ] {
            assert_eq!(check(head, method, Upgrade::None), Ok(expected), "{head:?}");
        }
    }

    #[test]
    fn responses_with_two_readings_are_refused() {
        use HeadError::*;
        for (head, problem) in [
            ("HTTP/2.0 200 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1  200 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1\t200 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 20 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 099 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 2000 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 +20 OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 200OK\r\n\r\n", StatusLine),
            ("HTTP/1.1 200 O\0K\r\n\r\n", StatusLine),
            ("HTTP/1.1 200 O\rK\r\n\r\n", StatusLine),
            ("ICY 200 OK\r\n\r\n", StatusLine),
            ("", LineBreak),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", ContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\n", ContentLength),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", Framing),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferEncoding),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncoding),
            ("HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", Framing),
            ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", Framing),
            ("HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n", Framing),
            ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", FieldName),
            ("HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n", Folded),
            ("HTTP/1.1 200 OK\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\n", Connection),
            ("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", Unexpected),
        ] {
            assert_eq!(check(head, "GET", Upgrade::None), Err(problem), "{head:?}");
        }
    }

    #[test]
    fn only_the_protocol_that_was_asked_for_is_switched_to() {
        let head = |lines: &str| format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\n");
        let good = head("Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n");
        let response = Response::parse(good.as_bytes(), "GET", Upgrade::WebSocket).unwrap();
        assert_eq!(response.upgrade, Upgrade::WebSocket);
        assert_eq!(
            response.forwarded(Persistence::Close),
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\n\r\n"
        );
        for lines in [
            "",
            "Upgrade: h2c\r\nConnection: upgrade\r\n",
            "Upgrade: websocket\r\n",
            "Upgrade: websocket\r\nUpgrade: h2c\r\nConnection: upgrade\r\n",
        ] {
            assert_eq!(check(&head(lines), "GET", Upgrade::WebSocket), Err(HeadError::Unexpected), "{lines}");
        }
    }

    #[test]
    fn the_head_is_forwarded_as_it_came_but_for_its_hop() {
        let head = b"HTTP/1.1 200 Fine\r\nserver: x\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-hop: y\r\nUpgrade: h2c\r\nSet-Cookie: \xff\r\nContent-Length: 0\r\n\r\n";
        let response = Response::parse(head, "GET", Upgrade::None).unwrap();
        let kept = b"HTTP/1.1 200 Fine\r\nserver: x\r\nSet-Cookie: \xff\r\nContent-Length: 0\r\n";
        assert_eq!(response.forwarded(Persistence::KeepAlive), [&kept[..], b"\r\n"].concat());
        assert_eq!(response.forwarded(Persistence::Close), [&kept[..], b"Connection: close\r\n\r\n"].concat());
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_answer(head in proptest::collection::vec(any::<u8>(), 0..200), rest in "[ -~\r\n]{0,60}") {
            let _ = Response::parse(&head, "GET", Upgrade::WebSocket);
            let _ = Response::parse(format!("HTTP/1.1 {rest}\r\n\r\n").as_bytes(), "GET", Upgrade::WebSocket);
        }
    }
}
