//! The table of fuzz targets: one row and one function each.

use std::net::IpAddr;

use outcall_compiler::diag::{Finding, Severity};
use outcall_compiler::{Artifacts, Missing, cel, compile};
use outcall_runtime::dns::probe::{self, Read};
use outcall_runtime::proxy::chunked::Chunked;
use outcall_runtime::proxy::hello::{Hello, HelloReader};
use outcall_runtime::proxy::request::{Persistence, Request, Upgrade};
use outcall_runtime::proxy::response::Response;
use outcall_schema::addr::special;
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::host::Host;
use outcall_schema::path;

use super::{Target, artifacts, authorities, codings, connections, heads, redaction, signatures, sockets};
use crate::fixtures::dns;

const HTTP_WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    ": ",
    "Host: allowed.test\r\n",
    "host: evil.test\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "chunked, chunked",
    "Connection: close, x-a\r\n",
    "Upgrade: websocket\r\n",
    "Connection: Upgrade\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "HTTP/2.0",
    "CONNECT",
    "GET",
    "http://",
    "allowed.test:443",
    "@",
    "%00",
    "%2e%2e",
    "/../",
    "\\",
    "#",
    "[::1]",
    "0x7f.1",
    "\u{e9}",
    "\t",
    "Expect: 100-continue\r\n",
    "+5",
    "5, 5",
];

const HOST_WORDS: &[&str] = &[
    ".",
    "..",
    "xn--",
    "xn--bcher-kva",
    "b\u{fc}cher",
    "\u{3002}",
    "\u{ff0e}",
    "[",
    "]",
    "::",
    "%",
    "127.0.0.1",
    "0x7f",
    "1e3",
    "255.255.255.255",
    "::ffff:1.2.3.4",
    "fe80::1%eth0",
    "\u{0}",
    "\u{200d}",
    "\u{df}",
    "localhost",
    "*.",
    "**.",
    "-",
    "_",
    "@",
    ":",
    "0177.0.0.1",
    "4294967295",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
];

const CEL_WORDS: &[&str] = &[
    "http.host",
    "http.headers",
    "http.headers[\"x\"]",
    "has(http.headers.x)",
    "network.ip",
    "network.port",
    "agent.name",
    "run.context",
    " == ",
    " != ",
    " && ",
    " || ",
    "!",
    " in ",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    " ? ",
    " : ",
    "\"",
    "'",
    "\\",
    "r\"",
    "b\"",
    "\"\"\"",
    "inCidr(network.ip, \"10.0.0.0/8\")",
    "hostMatches(http.host, \"*.a\")",
    ".matches(\"^a+$\")",
    ".startsWith(\"a\")",
    ".exists(x, x == 1)",
    ".all(",
    ".map(",
    "size(",
    "null",
    "true",
    "-9223372036854775808",
    "9223372036854775808",
    "1u",
    "1.5",
    "// c\n",
    "$d",
    "\u{1F600}",
];

const YAML_WORDS: &[&str] = &[
    "version: \"1\"\n",
    "rules:\n",
    "  - id: a\n",
    "    condition: ",
    "    action: allow\n",
    "|\n",
    ">-\n",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "{",
    "}",
    "[",
    "]",
    "? ",
    "\"",
    "'",
    "\\u0000",
    "\\\n",
    "\t",
    "# outcall: allow OC0203 why\n",
    "\u{feff}",
    "\u{85}",
    "\r\n",
    "- ",
    ": ",
    "null",
    "~",
    "tests:\n",
    "definitions:\n",
];

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "hosts", seeds: host_seeds, words: HOST_WORDS, check: hosts },
    Target { name: "paths", seeds: path_seeds, words: HTTP_WORDS, check: paths },
    Target { name: "http-requests", seeds: request_seeds, words: HTTP_WORDS, check: requests },
    Target { name: "http2-requests", seeds: heads::seeds, words: heads::WORDS, check: heads::check },
    Target { name: connections::NAME, seeds: connections::seeds, words: connections::WORDS, check: connections::check },
    Target { name: "http-responses", seeds: response_seeds, words: HTTP_WORDS, check: responses },
    Target { name: "chunked-bodies", seeds: chunked_seeds, words: HTTP_WORDS, check: chunked },
    Target { name: "content-codings", seeds: codings::seeds, words: &[], check: codings::check },
    Target { name: "encoded-responses", seeds: codings::stream_seeds, words: &[], check: codings::check_stream },
    Target { name: "redaction", seeds: redaction::seeds, words: redaction::WORDS, check: redaction::check },
    Target { name: "client-hellos", seeds: hello_seeds, words: &[], check: hellos },
    Target { name: "dns-queries", seeds: query_seeds, words: &[], check: queries },
    Target { name: "dns-answers", seeds: answer_seeds, words: &[], check: answers },
    Target { name: "conditions", seeds: condition_seeds, words: CEL_WORDS, check: conditions },
    Target { name: "rule-files", seeds: rule_file_seeds, words: YAML_WORDS, check: rule_files },
    Target { name: "layouts", seeds: rule_file_seeds, words: YAML_WORDS, check: layouts },
    Target { name: "cursors", seeds: rule_file_seeds, words: YAML_WORDS, check: cursors },
    Target { name: "policies", seeds: policy_seeds, words: YAML_WORDS, check: policies },
    Target { name: "dns-tables", seeds: dns_table_seeds, words: &[], check: artifacts::dns_tables },
    Target { name: "match-programs", seeds: match_program_seeds, words: &[], check: artifacts::match_programs },
    Target { name: "api-bodies", seeds: api_seeds, words: MANIFEST_WORDS, check: artifacts::api_bodies },
    Target { name: sockets::HOST, seeds: sockets::host_seeds, words: sockets::WORDS, check: sockets::check_host },
    Target { name: sockets::AGENTS, seeds: sockets::agents_seeds, words: sockets::WORDS, check: sockets::check_agents },
    Target { name: "bundles", seeds: bundle_seeds, words: &[], check: artifacts::bundles },
    Target { name: "authorities", seeds: authorities::seeds, words: authorities::WORDS, check: authorities::check },
    Target { name: "signatures", seeds: signatures::seeds, words: signatures::WORDS, check: signatures::check },
    Target { name: "manifests", seeds: manifest_seeds, words: MANIFEST_WORDS, check: artifacts::manifests },
];

const MANIFEST_WORDS: &[&str] =
    &["{", "}", "[", "]", "\"version\": 2", "null", "sha256:", ",", "\"rules\": []", "-1", "1e400", "\\u0000"];

fn api_seeds() -> Vec<Vec<u8>> {
    let context =
        r#"{"context":{"http":{"host":"A.example","path":"/a?b","headers":{"x":"y"}},"network":{"port":443}}}"#;
    [context, r#"{"name":"a.example","record_type":"A","agent":"ci","resolve":false}"#, r#"{"name":"web-1"}"#]
        .map(|text| text.as_bytes().to_vec())
        .to_vec()
}

fn bundle_seeds() -> Vec<Vec<u8>> {
    let bundle = |signature: Option<&[u8]>| Bundle {
        manifest: b"{}".to_vec(),
        nft: b"table inet outcall {}".to_vec(),
        dns: vec![0; 40],
        proxy: Vec::new(),
        signature: signature.map(<[u8]>::to_vec),
    };
    vec![bundle(None).to_bytes(), bundle(Some(b"signature")).to_bytes()]
}

fn dns_table_seeds() -> Vec<Vec<u8>> {
    compiled(|artifacts| artifacts.dns.clone())
}

fn match_program_seeds() -> Vec<Vec<u8>> {
    compiled(|artifacts| artifacts.proxy.clone())
}

fn manifest_seeds() -> Vec<Vec<u8>> {
    compiled(|artifacts| artifacts.manifest.clone())
}

/// The artifacts of the golden policies, which have every construct in them.
fn compiled(part: impl Fn(&Artifacts) -> Vec<u8>) -> Vec<Vec<u8>> {
    let dir = crate::golden::directory().join("artifacts");
    let mut cases: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("rules")))
        .collect();
    cases.sort();
    let compile = |case| compile(&[case], Missing::Refused).artifacts;
    cases.into_iter().filter_map(compile).map(|artifacts| part(&artifacts)).collect()
}

fn policy_seeds() -> Vec<Vec<u8>> {
    let root = crate::golden::root();
    let mut dirs = vec![root.join("rules.d")];
    for kind in ["artifacts", "diagnostics"] {
        let cases = std::fs::read_dir(root.join("golden").join(kind)).into_iter().flatten();
        dirs.extend(cases.filter_map(|entry| Some(entry.ok()?.path())).flat_map(|case| [case.join("rules"), case]));
    }
    dirs.sort();
    let files = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten());
    let mut files: Vec<_> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files.into_iter().filter_map(|path| std::fs::read(path).ok()).filter(|bytes| bytes.len() < 1 << 14).collect()
}

/// A whole policy, from bytes to artifacts: findings point into the file, errors leave no artifact, and what comes out
/// its own readers take.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn policies(input: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("policy.yaml");
    std::fs::write(&file, input).expect("a file");
    let compilation = compile(&[file], Missing::Refused);
    check_findings(&compilation.findings);
    let errors = compilation.count(Severity::Error);
    assert_eq!(errors == 0, compilation.artifacts.is_some(), "{:?}", compilation.findings);
    if let Some(artifacts) = compilation.artifacts {
        assert!(DnsTable::from_bytes(artifacts.dns.into()).is_ok());
        assert!(MatchProgram::from_bytes(artifacts.proxy.into()).is_ok());
        assert!(Manifest::from_bytes(&artifacts.manifest).is_ok());
    }
}

fn seeds(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn host_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "example.com",
        "EXAMPLE.com.",
        "b\u{fc}cher.example",
        "xn--bcher-kva.example",
        "192.0.2.1",
        "[2001:db8::1]",
        "2001:DB8:0::1",
        "a_b.example",
        "*.example.com",
        "**.example.com",
    ])
}

/// A canonical host is its own canonical form, and has none of the characters that could be read as something else.
fn hosts(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(host) = Host::parse(&text) else { return };
    let canonical = host.as_text().into_owned();
    match &host {
        Host::Name(name) => {
            assert!(name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len())), "{name:?}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte)),
                "{name:?}"
            );
            assert!(name.parse::<IpAddr>().is_err(), "{name:?} is an address");
            let last = name.rsplit('.').next().unwrap_or_default();
            assert!(!last.bytes().all(|byte| byte.is_ascii_digit()), "{name:?} ends in a number");
        }
        Host::Ip(address) => assert_eq!(canonical.parse::<IpAddr>().ok(), Some(*address)),
    }
    assert_eq!(Host::parse(&canonical).as_ref(), Ok(&host), "{canonical:?} again");
    assert_eq!(Host::parse(&host.as_authority()).as_ref(), Ok(&host), "as an authority");
}

fn path_seeds() -> Vec<Vec<u8>> {
    seeds(&["/", "/a/b?c=d&e=%20", "/a%2Fb//c", "/%7Euser/.hidden/..x", "/?a=/../b"])
}

fn paths(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if path::check(&text).is_err() {
        return;
    }
    assert!(
        text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#'),
        "{text:?}"
    );
    let decoded = text.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    assert!(!decoded.split('/').any(|segment| segment == "." || segment == ".."), "{text:?}");
    let (path, query) = text.split_once('?').unwrap_or((&text, ""));
    let escaped = |part: &str| -> Vec<Option<u8>> {
        part.split('%').skip(1).map(|rest| rest.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok())).collect()
    };
    assert!(escaped(path).iter().all(|byte| byte.is_some_and(|byte| byte > 0x1f && byte != 0x7f)), "{text:?}");
    assert!(escaped(query).iter().all(|byte| byte.is_some_and(|byte| byte != 0)), "{text:?}");
}

fn request_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n",
        "GET http://allowed.test:8080/a?b HTTP/1.1\r\nHost: allowed.test:8080\r\nAccept: */*\r\nProxy-Connection: keep-alive\r\n\r\n",
        "CONNECT allowed.test:443 HTTP/1.1\r\nHost: allowed.test:443\r\n\r\n",
        "POST /u HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nContent-Length: 4\r\nX-A: 1\r\nX-A: 2\r\nConnection: x-a\r\n\r\n",
        "PUT /u HTTP/1.1\r\nhost: allowed.test\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\ntrailer: x-t\r\n\r\n",
        "GET /chat HTTP/1.1\r\nHost: allowed.test\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: allowed.test\r\n\r\n",
    ])
}

/// What was matched is what is forwarded: the forwarded head reads the same, and forwarding it again changes nothing.
fn requests(input: &[u8]) {
    let Ok(request) = Request::parse(input) else { return };
    let forwarded = request.forwarded();
    let text = String::from_utf8_lossy(&forwarded).into_owned();
    if request.method == "CONNECT" {
        return;
    }
    let again = Request::parse(&forwarded);
    let Ok(again) = again else { panic_with("the forwarded head is refused", &text) };
    assert_eq!((again.method, &again.path, again.framing), (request.method, &request.path, request.framing), "{text}");
    assert_eq!(again.authority.host, request.authority.host, "{text}");
    assert_eq!(again.headers(), request.headers(), "{text}");
    assert_eq!(String::from_utf8_lossy(&again.forwarded()), text);
    assert_eq!(text.matches("\r\n\r\n").count(), 1, "{text:?}");
    let lines = || text.split("\r\n").skip(1);
    let count = |name: &str| {
        lines().filter(|line| line.split(':').next().is_some_and(|known| known.eq_ignore_ascii_case(name))).count()
    };
    assert!(count("host") == 1, "{text:?}");
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{text:?}");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']), "{text:?}");
}

#[expect(clippy::panic, reason = "this is an assertion")]
fn panic_with(what: &str, text: &str) -> ! {
    panic!("{what}: {text:?}")
}

fn response_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ])
}

fn responses(input: &[u8]) {
    for (method, asked) in [("GET", Upgrade::None), ("HEAD", Upgrade::None), ("GET", Upgrade::WebSocket)] {
        let Ok(response) = Response::parse(input, method, asked) else { continue };
        for persistence in [Persistence::KeepAlive, Persistence::Close] {
            let forwarded = response.forwarded(persistence);
            let text = String::from_utf8_lossy(&forwarded).into_owned();
            assert!((100..=999).contains(&response.status), "{text:?}");
            assert!(forwarded.ends_with(b"\r\n\r\n") && text.matches("\r\n\r\n").count() == 1, "{text:?}");
            let Ok(again) = Response::parse(&forwarded, method, asked) else {
                panic_with("the forwarded head is refused", &text)
            };
            assert_eq!((again.status, again.framing), (response.status, response.framing), "{text:?}");
        }
    }
}

fn chunked_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "5\r\nhello\r\n0\r\n\r\n",
        "1;x=y\r\na\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n",
        "0\r\n\r\nnext",
        "ffffffffffffffff\r\n",
    ])
}

/// However a body is cut into pieces, it is the same body.
fn chunked(input: &[u8]) {
    let read = |piece: usize| {
        let mut body = Chunked::default();
        let mut content = Vec::new();
        let mut taken = 0;
        for bytes in input.chunks(piece.max(1)) {
            let mut collect = |data: &[u8]| content.extend_from_slice(data);
            match body.advance(bytes, &mut collect) {
                Ok(count) => taken += count,
                Err(_) => return None,
            }
            if body.done() {
                break;
            }
        }
        Some((content, taken, body.done()))
    };
    let whole = read(input.len());
    assert_eq!(read(1), whole, "byte by byte");
    assert_eq!(read(3), whole, "in threes");
    if let Some((content, taken, _)) = whole {
        assert!(taken <= input.len() && content.len() <= taken);
    }
}

/// Hellos of a real client, made here.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn hello_seeds() -> Vec<Vec<u8>> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions: [&[&rustls::SupportedProtocolVersion]; 2] = [rustls::ALL_VERSIONS, &[&rustls::version::TLS12]];
    let mut out = Vec::new();
    for versions in versions {
        for (name, alpn) in
            [("allowed.test", ["h2", "http/1.1"].as_slice()), ("a.very.long.name.example", &[]), ("192.0.2.1", &["h2"])]
        {
            let mut config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::clone(&provider))
                .with_protocol_versions(versions)
                .expect("versions")
                .with_root_certificates(rustls::RootCertStore::empty())
                .with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            let name = name.to_owned().try_into().expect("a name");
            let mut client = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("a client");
            let mut bytes = Vec::new();
            client.write_tls(&mut bytes).expect("a hello");
            out.push(bytes);
        }
    }
    out
}

/// However a hello is cut, it is the same hello, no byte is lost, and where another implementation takes it as well, it
/// reads the same names.
fn hellos(input: &[u8]) {
    let read = |piece: usize| -> (Result<Option<Hello>, _>, usize) {
        let mut reader = HelloReader::default();
        let mut fed = 0;
        for bytes in input.chunks(piece.max(1)) {
            fed += bytes.len();
            match reader.push(bytes) {
                Ok(None) => {}
                done => {
                    assert_eq!(reader.into_bytes(), input.get(..fed).unwrap_or_default());
                    return (done, fed);
                }
            }
        }
        (Ok(None), fed)
    };
    let (whole, _) = read(input.len());
    let (bytewise, fed) = read(1);
    // Bytes that follow a hello are not its own, but may be refused together with it when they arrive together.
    match (&whole, &bytewise) {
        (Ok(Some(one)), Ok(Some(other))) => assert_eq!(one, other),
        (Ok(None), Ok(None)) | (Err(_), _) => {}
        (one, other) => panic_with("cut differently", &format!("{one:?} {other:?} after {fed}")),
    }
    let Ok(Some(hello)) = whole else { return };
    let mut acceptor = rustls::server::Acceptor::default();
    let mut rest = input;
    while acceptor.read_tls(&mut rest).is_ok_and(|count| count > 0) {
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                let theirs = accepted.client_hello();
                assert_eq!(theirs.server_name().map(str::to_ascii_lowercase), hello.server_name, "the names differ");
                let alpn: Vec<String> = theirs
                    .alpn()
                    .map(|list| list.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
                    .unwrap_or_default();
                assert_eq!(alpn, hello.alpn, "the protocols differ");
                return;
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}

/// Queries with and without EDNS, of all kinds of types.
fn query_seeds() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (name, kind) in [
        ("allowed.test", 1),
        ("a.very.long.name.example", 28),
        ("_443._tcp.allowed.test", 65),
        (".", 2),
        ("txt.test", 16),
    ] {
        let plain = dns::query(0x1234, name, kind);
        let mut edns = plain.clone();
        if let Some(additional) = edns.get_mut(11) {
            *additional = 1;
        }
        edns.extend([0, 0, 41, 4, 208, 0, 0, 0x80, 0, 0, 8, 0, 8, 0, 4, 0, 1, 0, 0]);
        out.extend([plain, edns]);
    }
    out
}

/// What an agent asks is one canonical question, or is told that it is none; a reply is never a question again.
fn queries(input: &[u8]) {
    match probe::query(input) {
        Read::Question { name, record_type, refusal } => {
            if let Some(name) = name {
                assert_eq!(Host::parse(&name).map(|host| host.as_text().into_owned()).as_deref(), Ok(name.as_str()));
            }
            assert!(!record_type.is_empty());
            let refusal = refusal.unwrap_or_default();
            assert_eq!(refusal.get(..2), input.get(..2), "the id");
            assert!(refusal.len() <= 1232, "{} bytes", refusal.len());
            assert_eq!(refusal.get(3).map(|flags| flags & 15), Some(3), "NXDOMAIN");
            assert_eq!(probe::query(&refusal), Read::Malformed(None));
        }
        Read::Malformed(Some(reply)) => {
            assert!(reply.len() <= 64 && reply.get(..2) == input.get(..2));
            assert_eq!(probe::query(&reply), Read::Malformed(None));
        }
        Read::Malformed(None) => {}
    }
}

/// The question, and after it the answer, as the target for answers takes them: the length of the first in one byte.
fn answer_seeds() -> Vec<Vec<u8>> {
    let responder = dns::Responder::default();
    let names = [
        "allowed.test",
        "alias.test",
        "mixed.test",
        "mapped.test",
        "https.test",
        "txt.test",
        "loop.test",
        "poison.test",
        "nowhere.test",
        "big.test",
        "servfail.test",
    ];
    let kinds = [1, 28, 5, 16, 65];
    let mut out = Vec::new();
    for (name, kind) in names.iter().flat_map(|name| kinds.map(|kind| (name, kind))) {
        let query = dns::query(0x1234, name, kind);
        if let Some(answer) = responder.respond(&query, "udp").1 {
            let length = u8::try_from(query.len()).unwrap_or(0);
            out.push([[length].as_slice(), &query, &answer].concat());
        }
    }
    out
}

/// Whatever the upstream says: no special address is passed on, and what is passed on is a reply.
fn answers(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else { return };
    let Some((question, bytes)) = rest.split_at_checked(usize::from(*length)) else { return };
    let Some((reply, told)) = probe::answer(question, bytes) else { return };
    assert!(told.iter().all(|address| special(*address).is_none()), "{told:?}");
    assert!(dns::addresses(&reply).iter().all(|address| told.contains(address)), "{told:?}");
    assert_eq!(reply.get(..2), question.get(..2), "the id");
    assert_eq!(probe::query(&reply), Read::Malformed(None));
    // No hints of addresses, no key of an encrypted hello, and nothing that is not known.
    assert!(dns::parameters(&reply).iter().all(|key| *key <= 3), "{:?}", dns::parameters(&reply));
}

fn condition_seeds() -> Vec<Vec<u8>> {
    seeds(&[
        "http.host == \"a.example\" && network.port in [80, 443]",
        "inCidr(network.ip, \"10.0.0.0/8\") || !(agent.name.startsWith(\"ci-\"))",
        "http.headers.exists(h, h.startsWith(\"x-\") && http.headers[h].contains('a'))",
        "has(http.headers.x) ? http.headers.x.matches(\"^[a-z]{1,3}$\") : size(http.path) > 5 + 3 * 2 % 7",
        "run.args.filter(a, a != \"-f\").map(a, a.lowerAscii()) == [r\"\\a\", 'b\\u00e9'] && run.context[\"k\"] == {\"a\": [1, null, true]}",
        "$github && dns.record_type in ['A', \"AAAA\"] // comment\n",
    ])
}

/// Whatever is written, there is an answer, and every finding points into the text.
fn conditions(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Err(errors) = cel::parse_and_check(&text, &cel::Env::rule()) {
        assert!(!errors.is_empty(), "refused without a reason");
        for error in errors {
            assert!(text.get(error.range.clone()).is_some(), "{error:?} does not point into the text");
            assert!(!error.message.is_empty() && !error.message.contains('\n'), "{error:?}");
        }
    }
    for (range, name) in cel::references(&text) {
        assert_eq!(text.get(range.clone()).and_then(|reference| reference.strip_prefix('$')), Some(name.as_str()));
    }
}

fn rule_file_seeds() -> Vec<Vec<u8>> {
    let mut out = seeds(&[
        "version: \"1\"\nrules:\n  - id: a\n    condition: |\n      http.host == \"a\"\n      && true\n    action: allow\n    egress: { mode: proxy, ports: [443, \"1-2\"] }\n",
    ]);
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../rules.d");
    out.extend(std::fs::read_dir(dir).into_iter().flatten().filter_map(|entry| std::fs::read(entry.ok()?.path()).ok()));
    out
}

fn check_findings(findings: &[Finding]) {
    for finding in findings {
        assert!(!finding.message.is_empty(), "{finding:?}");
        if let Some(span) = &finding.span {
            assert!(span.file.text.get(span.start..span.end).is_some(), "{finding:?} does not point into the file");
        }
    }
}

/// What an editor asks has an answer wherever the cursor stands, or none.
fn cursors(input: &[u8]) {
    use outcall_compiler::{diag::SourceFile, language};
    let (first, text) = input.split_first().unwrap_or((&0, &[]));
    let file = SourceFile::new("a.yaml", String::from_utf8_lossy(text));
    let mut offset = file.text.len() * usize::from(*first) / 255;
    while !file.text.is_char_boundary(offset) {
        offset -= 1;
    }
    for candidate in language::complete(&file.text, offset, &["docs".to_owned()]) {
        assert!(file.text.get(candidate.start..offset).is_some(), "{candidate:?} at {offset}");
    }
    if let Some((_, range)) = language::hover(&file.text, offset) {
        assert!(file.text.get(range.clone()).is_some(), "{range:?}");
    }
    if let Some(place) = language::definition(&file, offset, std::slice::from_ref(&file)) {
        assert!(!place.text().is_empty());
    }
    if let Some((line, _)) = language::suppression(&file, offset) {
        assert!(line == 0 || file.text.as_bytes().get(line - 1) == Some(&b'\n'));
    }
}

/// A layout is laid out as it is, and says what the file said.
fn layouts(input: &[u8]) {
    use outcall_compiler::{format::format, resolve::resolve, source::decode};
    let Ok(file) = decode("a.yaml", "a.yaml", input) else { return };
    let Ok(text) = format(&file) else { return };
    let again = decode("a.yaml", "a.yaml", text.as_bytes()).map_err(|finding| finding.message.clone());
    let again = again.unwrap_or_else(|why| unreachable!("{why}"));
    assert_eq!(format(&again).as_deref(), Ok(text.as_str()), "laid out twice");
    let conditions = |file: &std::sync::Arc<outcall_compiler::diag::SourceFile>| {
        let (policy, findings) = resolve(std::slice::from_ref(file));
        let rules: Vec<String> =
            policy.rules.iter().map(|rule| format!("{} {}", rule.id, rule.condition_text)).collect();
        let mut codes: Vec<&str> = findings.iter().map(|finding| finding.code).collect();
        codes.sort_unstable();
        (rules, codes)
    };
    assert_eq!(conditions(&file), conditions(&again));
}

fn rule_files(input: &[u8]) {
    let (_, findings) = outcall_compiler::source::parse(input);
    check_findings(&findings);
}
