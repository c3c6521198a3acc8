//! Reads a request's fields and writes those that are forwarded, in HTTP/2.
//!
//! What is matched is what is forwarded: the facts a rule sees are read off the outgoing fields, which are the incoming
//! ones in their order, without those that are for one hop alone. What an HTTP/1.1 request is refused for, this one is
//! too; the frames, their compression and the pseudo-header fields are checked by `h2` (RFC 9113, section 8.1.1).

use std::sync::Arc;

use h2::ext::Protocol;
use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use outcall_schema::facts::Headers;

use super::super::chunked::NOT_IN_TRAILERS;
use super::super::coding::{self, Coding};
use super::super::fields::{self, HeadError, MAX_FIELDS};
use super::super::judge::{Asked, BodyText};
use super::super::request::{Authority, read_method};

/// The one protocol that an extended CONNECT may ask for (RFC 8441, section 5).
const WEBSOCKET: &str = "websocket";

/// Reads a request whose head is all of it, and gives the one that would be sent.
///
/// # Errors
/// Whatever another parser could read differently; see [`HeadError`].
pub fn forwarded(parts: Parts) -> Result<Request<()>, HeadError> {
    Head::read(parts, true)?.forwarded()
}

/// A request's fields.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) method: Method,
    /// The `:authority`; its text is canonical.
    pub(super) authority: Authority,
    path: String,
    /// `Content-Length`.
    length: Option<u64>,
    /// Whether nothing follows.
    pub(super) ends: bool,
    /// An extended CONNECT, after which both sides talk (RFC 8441, section 4).
    pub(super) websocket: bool,
    pub(super) fields: HeaderMap,
}

impl Head {
    /// Reads a request. `ends`: it has no body.
    ///
    /// # Errors
    /// Whatever another parser could read differently; see [`HeadError`].
    pub(super) fn read(parts: Parts, ends: bool) -> Result<Head, HeadError> {
        let Parts { method, uri, mut headers, extensions, .. } = parts;
        read_method(method.as_str())?;
        let websocket = match (method == Method::CONNECT, extensions.get::<Protocol>()) {
            (false, None) => false,
            (true, Some(protocol)) if protocol.as_str() == WEBSOCKET => true,
            _ => return Err(HeadError::TargetForm),
        };
        if uri.scheme_str() != Some("https") {
            // `h2` reads no scheme off a request without an authority.
            return Err(if uri.authority().is_none() { HeadError::HostMissing } else { HeadError::TargetForm });
        }
        let named = uri.authority().ok_or(HeadError::HostMissing)?;
        let authority = Authority::parse(named.as_str())?;
        let path = uri.path_and_query().ok_or(HeadError::TargetForm)?.as_str().to_owned();
        if !path.starts_with('/') {
            return Err(HeadError::TargetForm);
        }
        outcall_schema::path::check(&path)?;
        for_one_hop(&mut headers);
        check(&headers)?;
        one_host(&mut headers, &authority)?;
        let length = length(&headers)?;
        Ok(Head { method, authority, path, length, ends, websocket, fields: headers })
    }

    /// What conditions see, with the header fields where any condition looks at them. A body that cannot fit the cap, or that there
    /// is none of, is known at once.
    pub(super) fn asked(&self, cap: usize, headers: Headers) -> Asked {
        let (body_size, body) = match self.length {
            _ if self.ends || self.websocket => (0, BodyText::Text(Arc::default())),
            Some(0) => (0, BodyText::Text(Arc::default())),
            Some(length) => {
                let body = if length > cap as u64 { BodyText::Null } else { BodyText::Pending };
                (i64::try_from(length).unwrap_or(i64::MAX), body)
            }
            None => (-1, BodyText::Pending),
        };
        Asked { method: self.method.as_str().to_owned(), path: self.path.clone(), headers, body_size, body }
    }

    /// How the body is encoded; `None` where that is not known.
    pub(super) fn codings(&self) -> Option<Vec<Coding>> {
        coding::codings(self.fields.get_all(http::header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes))
    }

    /// Whether the client waits for `100 Continue` (RFC 9110, section 10.1.1).
    pub(super) fn expects_continue(&self) -> bool {
        self.fields.get_all(EXPECT).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
    }

    /// The request to send to the server.
    ///
    /// # Errors
    /// [`HeadError::Authority`] or [`HeadError::TargetForm`], where what was read cannot be written: never.
    pub(super) fn forwarded(&self) -> Result<Request<()>, HeadError> {
        let authority = self.authority.text();
        let uri = Uri::builder().scheme("https").authority(authority).path_and_query(self.path.as_str()).build();
        let mut request = Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.map_err(|_| HeadError::TargetForm)?;
        *request.version_mut() = http::Version::HTTP_2;
        *request.headers_mut() = self.fields.clone();
        if self.websocket {
            request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
        }
        Ok(request)
    }
}

/// Takes out the fields that are between a client and its proxy. `h2` refuses those of a connection.
pub(super) fn for_one_hop(fields: &mut HeaderMap) {
    let between: Vec<_> = fields.keys().filter(|name| fields::is_for_proxies(name.as_str())).cloned().collect();
    for name in between {
        fields.remove(name);
    }
}

/// Header fields as conditions see them. `Cookie` may come in pieces, which belong together with `; ` (RFC 9113,
/// section 8.2.3).
pub(super) fn facts(fields: &HeaderMap) -> Headers {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Headers::collect(fields.keys().map(|name| {
        let between = if *name == COOKIE { "; " } else { ", " };
        let values: Vec<String> = fields.get_all(name).iter().map(text).collect();
        (name.as_str().to_owned(), values.join(between))
    }))
}

/// Fields of a request must be text, so that conditions see exactly what is forwarded.
fn check(fields: &HeaderMap) -> Result<(), HeadError> {
    if fields.len() > MAX_FIELDS {
        return Err(HeadError::TooLarge);
    }
    for (name, value) in fields {
        if fields::is_lookalike(name.as_str()) {
            return Err(HeadError::Lookalike);
        }
        // White space around a value is nobody's to remove in HTTP/2 (RFC 9113, section 8.2.1).
        let value = value.as_bytes();
        if std::str::from_utf8(value).is_err() || value.trim_ascii().len() != value.len() {
            return Err(HeadError::Control);
        }
    }
    Ok(())
}

/// A `Host` beside the `:authority` must be the same (RFC 9113, section 8.3.1).
fn one_host(fields: &mut HeaderMap, authority: &Authority) -> Result<(), HeadError> {
    let mut hosts = fields.get_all(HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(()),
        (Some(_), Some(_)) => return Err(HeadError::HostTwice),
        (Some(host), None) => Authority::parse(host.to_str().map_err(|_| HeadError::Authority)?)?,
    };
    if named != *authority {
        return Err(HeadError::HostDiffers);
    }
    let canonical = HeaderValue::try_from(authority.text()).map_err(|_| HeadError::Authority)?;
    fields.insert(HOST, canonical);
    Ok(())
}

fn length(fields: &HeaderMap) -> Result<Option<u64>, HeadError> {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => Ok(None),
        (Some(length), None) => fields::decimal(length.as_bytes()).map(Some).ok_or(HeadError::ContentLength),
        (Some(_), Some(_)) => Err(HeadError::ContentLength),
    }
}

/// Whether trailers may pass: none of them says where the message goes or ends (RFC 9110, section 6.5.1).
pub(super) fn trailers(mut trailers: HeaderMap) -> Option<HeaderMap> {
    for_one_hop(&mut trailers);
    let fine = trailers.len() <= MAX_FIELDS && !NOT_IN_TRAILERS.iter().any(|name| trailers.contains_key(*name));
    fine.then_some(trailers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &str, uri: &str, fields: &[(&str, &str)]) -> Result<Head, HeadError> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Head::read(request.body(()).unwrap().into_parts().0, false)
    }

    #[test]
    fn a_request_is_read_and_forwarded_as_it_came() {
        let fields = [("b", "1"), ("a", "2"), ("b", "3"), ("te", "trailers"), ("cookie", "x=1"), ("cookie", "y=2")];
        let more = [("proxy-authorization", "Basic x"), ("content-length", "5")];
        let head = read("POST", "https://A.Example.:443/p%2Fq?r", &[&fields[..], &more].concat()).unwrap();
        let asked = head.asked(5, facts(&head.fields));
        assert_eq!((asked.method.as_str(), asked.path.as_str(), asked.body_size), ("POST", "/p%2Fq?r", 5));
        assert_eq!(asked.body, BodyText::Pending);
        assert_eq!(head.asked(4, Headers::default()).body, BodyText::Null);
        assert_eq!(asked.headers.get("b"), Some("1, 3"));
        assert_eq!(asked.headers.get("cookie"), Some("x=1; y=2"));
        assert_eq!(asked.headers.get("proxy-authorization"), None);
        let forwarded = head.forwarded().unwrap();
        assert_eq!(forwarded.uri().to_string(), "https://a.example:443/p%2Fq?r");
        let sent: Vec<_> =
            forwarded.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        // Fields of one name stand together; their order is kept, and no other order means anything (RFC 9110, 5.3).
        let expected = [
            ("b", "1"),
            ("b", "3"),
            ("a", "2"),
            ("te", "trailers"),
            ("cookie", "x=1"),
            ("cookie", "y=2"),
            ("content-length", "5"),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn requests_with_two_readings_are_refused() {
        use HeadError::*;
        const URL: &str = "https://a.example/";
        for (method, uri, fields, problem) in [
            ("get", URL, &[][..], Method),
            ("GET", "http://a.example/", &[], TargetForm),
            ("GET", "https://user@a.example/", &[], Authority),
            ("GET", "https://0x7f000001/", &[], Authority),
            ("GET", "/", &[], HostMissing),
            ("GET", "https://a.example/a/../b", &[], Path(outcall_schema::path::check("/a/../b").unwrap_err())),
            ("CONNECT", "https://a.example/", &[], TargetForm),
            ("CONNECT", "a.example:443", &[], TargetForm),
            ("GET", URL, &[("content_length", "3")], Lookalike),
            ("GET", URL, &[("content-length", "3"), ("content-length", "3")], ContentLength),
            ("GET", URL, &[("content-length", "+3")], ContentLength),
            ("GET", URL, &[("host", "b.example")], HostDiffers),
            ("GET", URL, &[("host", "a.example:443")], HostDiffers),
            ("GET", URL, &[("host", "a.example"), ("host", "a.example")], HostTwice),
            ("GET", URL, &[("x", "\u{e9} ")], Control),
            ("GET", URL, &[("x", " a")], Control),
        ] {
            assert_eq!(read(method, uri, fields).map(|_| ()), Err(problem), "{method} {uri} {fields:?}");
        }
        let many = vec![("a", "b"); MAX_FIELDS + 1];
        assert_eq!(read("GET", URL, &many).map(|_| ()), Err(TooLarge));
    }

    #[test]
    fn trailers_say_nothing_about_the_message() {
        let of = |name: &'static str| HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static("1"))]);
        assert_eq!(trailers(of("grpc-status")), Some(of("grpc-status")));
        assert_eq!(trailers(of("proxy-status")), Some(HeaderMap::new()));
        for name in ["content-length", "host", "content-encoding"] {
            assert_eq!(trailers(of(name)), None, "{name}");
        }
    }
}
