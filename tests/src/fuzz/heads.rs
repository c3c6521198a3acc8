//! The fuzz target of requests in HTTP/2, as they are once frames and their compression were read: the first line is the
//! method and the target, each other one a field.

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use outcall_runtime::proxy::http2::head::forwarded;
use outcall_schema::path;

pub(super) const WORDS: &[&str] = &[
    "\n",
    "host: a.test\n",
    "host: b.test\n",
    "content-length: 5\n",
    "content_length: 5\n",
    "proxy-authorization: Basic eA==\n",
    "cookie: a=1\n",
    "te: trailers\n",
    "https://a.test/",
    "https://",
    "http://",
    "a.test:443",
    "u@",
    "[::1]",
    "0x7f.1",
    ":",
    "%00",
    "%2e%2e",
    "/../",
    "\\",
    "#",
    "?",
    "*",
    "CONNECT",
    "GET",
    "\u{e9}",
    "\t",
    " ",
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    [
        "GET https://a.test/\naccept: */*",
        "POST https://a.test:8443/a/b?c=d&e=%20\ncontent-length: 4\nx-a: 1\nx-a: 2\nhost: A.test:8443",
        "OPTIONS https://[2001:db8::1]:443/a%2Fb//c\ncookie: a=1\ncookie: b=2\nproxy-connection: x",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// The request that stands in the input, if it is one that the library under HTTP/2 would give out.
fn request(input: &[u8]) -> Option<Request<()>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let mut first = lines.next()?.splitn(2, |byte| *byte == b' ');
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(first.next()?).ok()?;
    *request.uri_mut() = Uri::try_from(first.next()?).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let value = value.strip_prefix(b": ").or_else(|| value.strip_prefix(b":"))?;
        request.headers_mut().append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
    }
    Some(request)
}

/// What was judged is what is forwarded: reading that again changes nothing, and it has one reading.
pub(super) fn check(input: &[u8]) {
    let Some(sent) = request(input).and_then(|request| forwarded(request.into_parts().0).ok()) else { return };
    let (parts, ()) = sent.into_parts();
    let again = forwarded(parts.clone()).map(|again| again.into_parts().0);
    let same = again
        .as_ref()
        .is_ok_and(|again| (&again.method, &again.uri, &again.headers) == (&parts.method, &parts.uri, &parts.headers));
    assert!(same, "{parts:?} and then {again:?}");
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    assert_eq!(path::check(target), Ok(()), "{target:?}");
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    assert!(!authority.is_empty() && !authority.contains('@') && parts.uri.scheme_str() == Some("https"), "{parts:?}");
    let hosts: Vec<_> = parts.headers.get_all(HOST).iter().collect();
    assert!(hosts.len() <= 1 && hosts.iter().all(|host| host.as_bytes() == authority.as_bytes()), "{parts:?}");
    assert!(parts.headers.get_all(CONTENT_LENGTH).iter().count() <= 1, "{parts:?}");
    let misleads = |name: &str| {
        let lookalike =
            name.contains('_') && ["host", "content-length", "transfer-encoding"].contains(&&*name.replace('_', "-"));
        name == "proxy-authorization" || name == "proxy-connection" || lookalike
    };
    assert!(!parts.headers.keys().any(|name| misleads(name.as_str())), "{parts:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_requests() {
        for seed in seeds() {
            let request = request(&seed).unwrap();
            assert!(forwarded(request.into_parts().0).is_ok(), "{}", String::from_utf8_lossy(&seed));
        }
    }
}
