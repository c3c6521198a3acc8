//! What a request head says, and what is refused.

use proptest::prelude::*;

use super::*;

/// What is forwarded, or why nothing is.
fn check(head: &str) -> Result<String, HeadError> {
    Request::parse(head.as_bytes()).map(|request| String::from_utf8(request.forwarded()).unwrap())
}

#[test]
fn lines_are_forwarded_in_their_order_and_case() {
    for head in [
        "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
        "POST /a%2Fb//c?d=e HTTP/1.1\r\nx-B:  two  \r\nHOST: A.Example:80\r\nX-a: 1\r\nX-A:\r\nContent-Length: 3\r\n\r\n",
        "M-SEARCH /!$ HTTP/1.0\r\nHost: 192.0.2.1\r\nCookie: é\r\n\r\n",
        "PUT / HTTP/1.1\r\nhost: [2001:db8::1]:8080\r\ntransfer-encoding: chunked\r\nExpect: 100-continue\r\n\r\n",
    ] {
        assert_eq!(check(head).as_deref(), Ok(head));
    }
}

#[test]
fn what_is_for_one_hop_is_not_forwarded() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nx-hop: 1\r\nTE: trailers\r\n\
                Proxy-Authorization: Basic x\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nX-End: 2\r\n\r\n";
    let request = Request::parse(head.as_bytes()).unwrap();
    assert_eq!(request.forwarded(), b"GET / HTTP/1.1\r\nHost: a\r\nX-End: 2\r\n\r\n");
    assert_eq!(request.headers(), Headers::collect([("host", "a"), ("x-end", "2")]));
    assert_eq!((request.upgrade, request.persistence), (Upgrade::None, Persistence::KeepAlive));
}

#[test]
fn a_web_socket_handshake_keeps_its_upgrade_and_no_other_does() {
    let lines = "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    let head = format!("GET /chat HTTP/1.1\r\n{lines}");
    let kept =
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Key: x\r\n\r\n";
    assert_eq!(check(&head).as_deref(), Ok(kept));
    let bare = "Host: a\r\nSec-WebSocket-Key: x\r\n\r\n";
    for head in [
        format!("POST / HTTP/1.1\r\n{lines}"),
        format!("GET / HTTP/1.0\r\n{lines}"),
        format!("GET / HTTP/1.1\r\n{}", lines.replace("keep-alive, Upgrade", "keep-alive")),
        format!("GET / HTTP/1.1\r\n{}", lines.replace("WebSocket\r\nSec", "websocket, h2c\r\nSec")),
        format!("GET / HTTP/1.1\r\nUpgrade: h2c\r\n{lines}"),
    ] {
        assert!(check(&head).unwrap().ends_with(&format!("\r\n{bare}")), "{head:?}");
    }
    let with_body = format!("GET / HTTP/1.1\r\nContent-Length: 1\r\n{lines}");
    assert_eq!(Request::parse(with_body.as_bytes()).unwrap().upgrade, Upgrade::None);
}

#[test]
fn absolute_targets_are_forwarded_in_origin_form() {
    for (target, path) in [
        ("http://a.example/x?y", "/x?y"),
        ("HTTP://A.EXAMPLE:80/", "/"),
        ("http://a.example", "/"),
        ("http://a.example?q", "/?q"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
        assert_eq!(check(&head), Ok(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")));
    }
}

#[test]
fn a_host_is_forwarded_in_the_form_that_was_judged() {
    for (sent, forwarded) in [
        ("a.example.", "a.example"),
        ("A.Example", "A.Example"),
        ("a.example.:80", "a.example:80"),
        ("[2001:DB8:0::1]", "[2001:db8::1]"),
        ("bücher.example", "xn--bcher-kva.example"),
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {sent}\r\n\r\n");
        assert_eq!(check(&head), Ok(format!("GET / HTTP/1.1\r\nHost: {forwarded}\r\n\r\n")));
        let request = Request::parse(head.as_bytes()).unwrap();
        assert_eq!(request.headers().get("host"), Some(forwarded));
    }
}

#[test]
fn connect_names_a_host_and_a_port() {
    for head in [
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: A.example\r\n\r\n",
        "CONNECT A.example.:443 HTTP/1.0\r\n\r\n",
        "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\nContent-Length: 0\r\n\r\n",
    ] {
        let request = Request::parse(head.as_bytes()).unwrap();
        assert_eq!(request.authority, Authority { host: Host::Name("a.example".into()), port: Some(443) });
        assert_eq!((request.form, &*request.path), (Form::Connect, "/"));
    }
}

#[test]
fn requests_with_two_readings_are_refused() {
    use HeadError::*;
    let host = "Host: a.example\r\n";
    for (line, lines, problem) in [
        ("GET  / HTTP/1.1", host, RequestLine),
        ("GET / HTTP/1.1 ", host, RequestLine),
        (" GET / HTTP/1.1", host, RequestLine),
        ("GET\t/ HTTP/1.1", host, RequestLine),
        ("GET /\tHTTP/1.1", host, RequestLine),
        ("GET / x HTTP/1.1", host, RequestLine),
        ("GET /", host, RequestLine),
        ("GET  HTTP/1.1", host, RequestLine),
        ("GET /\0 HTTP/1.1", host, RequestLine),
        ("GET /\x0b HTTP/1.1", host, RequestLine),
        ("get / HTTP/1.1", host, Method),
        ("Get / HTTP/1.1", host, Method),
        ("G(T / HTTP/1.1", host, Method),
        ("GÉT / HTTP/1.1", host, Method),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA / HTTP/1.1", host, Method),
        ("GET / HTTP/1.2", host, Version),
        ("GET / HTTP/2.0", host, Version),
        ("GET / HTTP/0.9", host, Version),
        ("GET / http/1.1", host, Version),
        ("GET / HTTP/01.1", host, Version),
        ("GET / HTTP/1.1x", host, Version),
        ("PRI * HTTP/2.0", host, Version),
        ("OPTIONS * HTTP/1.1", host, TargetForm),
        ("OPTIONS http://a.example HTTP/1.1", host, TargetForm),
        ("GET * HTTP/1.1", host, TargetForm),
        ("GET a.example:80 HTTP/1.1", host, TargetForm),
        ("GET https://a.example/ HTTP/1.1", host, TargetForm),
        ("GET ftp://a.example/ HTTP/1.1", host, TargetForm),
        ("GET http:/a.example/ HTTP/1.1", host, TargetForm),
        ("GET ?x HTTP/1.1", host, TargetForm),
        ("GET http:///x HTTP/1.1", host, Authority),
        ("GET http://u@a.example/ HTTP/1.1", host, Authority),
        ("GET http://u:p@a.example/ HTTP/1.1", host, Authority),
        ("GET http://a.example\\@b/ HTTP/1.1", host, Authority),
        ("GET http://a.example:/ HTTP/1.1", host, Authority),
        ("GET http://a.example:080/ HTTP/1.1", host, Authority),
        ("GET http://a.example:0/ HTTP/1.1", host, Authority),
        ("GET http://a.example:65536/ HTTP/1.1", host, Authority),
        ("GET http://a.example:+80/ HTTP/1.1", host, Authority),
        ("GET http://2130706433/ HTTP/1.1", host, Authority),
        ("GET http://a%2eexample/ HTTP/1.1", host, Authority),
        ("GET http://2001:db8::1/ HTTP/1.1", host, Authority),
        ("GET http://[192.0.2.1]/ HTTP/1.1", host, Authority),
        ("GET http://b.example/ HTTP/1.1", host, HostDiffers),
        ("GET http://a.example:81/ HTTP/1.1", host, HostDiffers),
        ("GET http://a.example#x HTTP/1.1", host, Path(outcall_schema::path::PathError::Character)),
        ("GET /../x HTTP/1.1", host, Path(outcall_schema::path::PathError::DotSegment)),
        ("GET /%00 HTTP/1.1", host, Path(outcall_schema::path::PathError::Character)),
        ("GET /\\x HTTP/1.1", host, Path(outcall_schema::path::PathError::Backslash)),
        ("GET http://a.example/%2e HTTP/1.1", host, Path(outcall_schema::path::PathError::DotSegment)),
        ("CONNECT a.example HTTP/1.1", host, TargetForm),
        ("CONNECT / HTTP/1.1", host, Authority),
        ("CONNECT http://a.example:443 HTTP/1.1", host, Authority),
        ("CONNECT u@a.example:443 HTTP/1.1", host, Authority),
        ("CONNECT a.example:443/x HTTP/1.1", host, Authority),
        ("CONNECT b.example:443 HTTP/1.1", host, HostDiffers),
        ("CONNECT a.example:443 HTTP/1.1", "Host: a.example:80\r\n", HostDiffers),
        ("CONNECT a.example:443 HTTP/1.1", "", HostMissing),
        ("CONNECT a.example:443 HTTP/1.1", "Host: a.example\r\nContent-Length: 5\r\n", Framing),
        ("CONNECT a.example:443 HTTP/1.1", "Host: a.example\r\nTransfer-Encoding: chunked\r\n", Framing),
        ("GET / HTTP/1.1", "", HostMissing),
        ("GET / HTTP/1.0", "", HostMissing),
        ("GET http://a.example/ HTTP/1.1", "", HostMissing),
        ("GET / HTTP/1.1", "Host: a\r\nHost: a\r\n", HostTwice),
        ("GET / HTTP/1.1", "Host: a\r\nhost: b\r\n", HostTwice),
        ("GET / HTTP/1.1", "Host: a, b\r\n", Authority),
        ("GET / HTTP/1.1", "Host: a b\r\n", Authority),
        ("GET / HTTP/1.1", "Host:\r\n", Authority),
        ("GET / HTTP/1.1", "Host: u@a\r\n", Authority),
        ("GET / HTTP/1.1", "Host: a/b\r\n", Authority),
        ("GET / HTTP/1.1", "Host: 127.1\r\n", Authority),
        ("GET / HTTP/1.1", "Host: a:\r\n", Authority),
        ("GET / HTTP/1.1", "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n", Framing),
        ("GET / HTTP/1.0", "Host: a\r\nTransfer-Encoding: chunked\r\n", TransferEncoding),
        ("GET / HTTP/1.1", "Host: a\r\nConnection: host\r\n", Connection),
    ] {
        let head = format!("{line}\r\n{lines}\r\n");
        assert_eq!(check(&head), Err(problem), "{head:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_have_an_answer(head in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::parse(&head);
    }

    /// Valid heads with one byte changed: whatever is still accepted is forwarded with nothing lost and nothing added.
    #[test]
    fn what_is_accepted_is_forwarded_line_by_line(
        path in "/[a-z0-9/?=&%2F]{0,12}",
        lines in proptest::collection::vec(("X-[A-Za-z0-9-]{1,8}", "[ -~\t]{0,20}"), 0..6),
        at in any::<proptest::sample::Index>(),
        byte in proptest::option::of(any::<u8>()),
    ) {
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n").into_bytes();
        for (name, value) in &lines {
            head.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        if let Some(byte) = byte {
            let at = at.index(head.len());
            head[at] = byte;
        }
        if let Ok(request) = Request::parse(&head) {
            let forwarded = request.forwarded();
            prop_assert!(Request::parse(&forwarded).is_ok());
            // A host that came with its trailing dot goes on without it.
            let canonical = request.host_value();
            let kept = |field: &Field<'_>| match field.is("host") {
                true => canonical.as_bytes().eq_ignore_ascii_case(field.value),
                false => field.name.starts_with("X-"),
            };
            if request.fields.iter().all(kept) {
                prop_assert_eq!(forwarded.len(), head.len());
            }
            prop_assert!(forwarded.iter().filter(|byte| **byte == b'\n').count() <= head.iter().filter(|byte| **byte == b'\n').count());
        }
    }
}
