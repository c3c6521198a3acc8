//! Secrets on their way inside TLS: to the one server and to nobody else, and never back to the agent.

use std::fs::Permissions;
use std::future::Future;
use std::os::unix::fs::PermissionsExt;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::inside::{Inner, get, handshake};
use super::*;
use crate::proxy::coding::Coding;
use crate::proxy::decoding::tests::encoded;
use crate::redact::base64;
use crate::secrets::{Secrets, Sources};

pub(super) const SECRET: &str = "sk-0/12+345\"6789";
pub(super) const MARKER: &str = "[outcall:secret]";

/// Everything on two hosts; the key is for one of them, and for `/basic` there it is a password.
pub(super) const RULES: &str = r#"rules:
  - id: api
    action: allow
    condition: 'http.host in ["a.example", "b.example"] && !("x-no" in http.headers && http.headers["x-no"] == "1")'
    egress: { mode: intercept, allow_private_ips: true }
  - id: basic
    action: enrich
    priority: 10
    condition: 'http.host == "a.example" && http.path == "/basic"'
    inject: [{ header: authorization, value: "${secret:key}" }]
  - id: team
    action: enrich
    condition: 'http.host == "a.example" && http.path != "/plain"'
    inject: [{ header: Authorization, value: "Bearer ${secret:key}" }, { header: X-Team, value: blue }]
  - id: key-seen
    action: block
    priority: 1
    condition: '"authorization" in http.headers && http.headers.authorization.contains("sk-0")'
"#;

/// A proxy that intercepts, with a directory of secrets.
pub(super) struct Keyed {
    pub(super) inner: Inner,
    pub(super) directory: tempfile::TempDir,
}

impl Keyed {
    pub(super) async fn new(rules: &str) -> Keyed {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let sources = Sources { directory: Some(directory.path().to_owned()), named: Vec::new() };
        let secrets = Secrets::open(&sources, |_| None).unwrap();
        let keyed = Keyed { inner: Inner::with_secrets(rules, secrets).await, directory };
        keyed.write(SECRET, 0o600);
        keyed
    }

    fn write(&self, text: &str, mode: u32) {
        let path = self.directory.path().join("key");
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A server for `a.example` that does with each connection what it is told.
    async fn upstream<F>(
        &self,
        serve: impl Fn(Client<TlsStream<TcpStream>>) -> F + Send + Sync + Clone + 'static,
    ) -> Upstream
    where
        F: Future<Output = ()> + Send,
    {
        let acceptor = TlsAcceptor::from(Arc::new(self.inner.server("a.example", |_| {})));
        Upstream::start(Box::new(move |client, _| {
            let (acceptor, serve) = (acceptor.clone(), serve.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(client.stream).await {
                    serve(Client::new(stream)).await;
                }
            })
        }))
        .await
    }

    /// A server that answers every request with these bytes.
    async fn answering(&self, answer: Vec<u8>) -> Upstream {
        self.upstream(move |mut client| {
            let answer = answer.clone();
            async move {
                while !client.message().await.is_empty() {
                    client.send(&answer).await;
                }
            }
        })
        .await
    }

    /// The answer to a GET of `/`, where the server answers with these bytes.
    async fn get(&self, answer: Vec<u8>) -> String {
        let upstream = self.answering(answer).await;
        let mut client = self.inner.open(upstream.port()).await;
        client.ask(&get(upstream.port(), "/")).await
    }

    /// Asserts that neither the log nor `answer` shows the secret in a form that is looked for.
    #[track_caller]
    fn check_hidden(&self, answer: &str) {
        let log = self.inner.world.records().iter().map(ToString::to_string).collect::<String>();
        for text in [answer, &log] {
            for form in [SECRET, "sk-0", "c2stMC8xMiszNDU"] {
                assert!(!text.contains(form), "{text}");
            }
        }
    }
}

fn chunks(content: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in content.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}

/// A chunked message, put together.
fn content(message: &str) -> String {
    let (head, mut rest) = message.split_once("\r\n\r\n").unwrap();
    assert!(head.to_ascii_lowercase().contains("\r\ntransfer-encoding: chunked"), "{head}");
    assert!(!head.to_ascii_lowercase().contains("content-length"), "{head}");
    let mut out = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return out;
        }
        out += &after[..size];
        rest = &after[size + 2..];
    }
}

#[tokio::test]
async fn the_server_gets_the_secret_once_and_rules_the_log_and_the_agent_never() {
    let keyed = Keyed::new(RULES).await;
    let upstream = keyed.inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    let mut client = keyed.inner.open(port).await;
    let ask = |lines: &str| format!("GET /x HTTP/1.1\r\nHost: a.example:{port}\r\n{lines}\r\n");
    for (lines, expected) in [
        ("", format!("Authorization: Bearer {SECRET}\r\nX-Team: blue\r\n")),
        (
            "authorization: mine\r\nAccept: */*\r\nAUTHORIZATION: x\r\n",
            format!("authorization: Bearer {SECRET}\r\nAccept: */*\r\nX-Team: blue\r\n"),
        ),
        ("X_Team: red\r\nx-team: red\r\n", format!("x-team: blue\r\nAuthorization: Bearer {SECRET}\r\n")),
    ] {
        let answer = client.ask(&ask(lines)).await;
        assert_eq!(content(&answer), "ok", "{answer}");
        assert_eq!(upstream.received().last(), Some(&ask(&expected)), "{lines}");
    }
    // A request that no rule adds to is not touched, and neither is its answer.
    let plain = format!(
        "GET /plain HTTP/1.1\r\nHost: a.example:{port}\r\nAuthorization: Bearer outcall-secret-key\r\nRange: bytes=1-\r\n\r\n"
    );
    assert_eq!(client.ask(&plain).await, OK);
    assert_eq!(upstream.received().last(), Some(&plain));
    assert_eq!(client.ask(&ask("X-No: 1\r\n")).await, forbidden("default"));
    assert_eq!((upstream.connections(), upstream.received().len()), (1, 4));
    keyed.check_hidden("");
    let basic = |password: &str| {
        let token = base64::encode(format!("me:{password}").as_bytes());
        format!(
            "GET /basic HTTP/1.1\r\nHost: a.example:{port}\r\nAuthorization: Basic {}\r\n\r\n",
            String::from_utf8_lossy(&token)
        )
    };
    client.ask(&basic("outcall-secret-key")).await;
    assert_eq!(upstream.received().last(), Some(&basic(SECRET).replacen("\r\n\r\n", "\r\nX-Team: blue\r\n\r\n", 1)));
}

#[tokio::test]
async fn another_host_does_not_get_it() {
    let keyed = Keyed::new(RULES).await;
    let upstream = super::inside::serving(keyed.inner.server("b.example", |_| {}), |_| OK.to_owned()).await;
    let port = upstream.port();
    let stream = keyed.inner.tunnel("b.example", port).await;
    let mut client = Client::new(handshake(keyed.inner.client_config(), "b.example", stream).await.unwrap());
    let request =
        format!("GET /x HTTP/1.1\r\nHost: b.example:{port}\r\nAuthorization: Bearer outcall-secret-key\r\n\r\n");
    assert_eq!(client.ask(&request).await, OK);
    assert_eq!(upstream.received(), [request]);
    // A server that is not who it must be gets nothing at all.
    let stranger = super::inside::serving(keyed.inner.server("b.example", |_| {}), |_| OK.to_owned()).await;
    let mut client = keyed.inner.open(stranger.port()).await;
    assert!(client.ask(&get(stranger.port(), "/")).await.contains("upstream_handshake_failed"));
    assert_eq!(stranger.received(), [""; 0]);
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_an_error_and_a_new_one_is_used_at_once() {
    let keyed = Keyed::new(RULES).await;
    let upstream = keyed.inner.upstream(|_| OK.to_owned()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    let path = keyed.directory.path().join("key");
    for (change, why) in [
        (Box::new(|| std::fs::remove_file(&path).unwrap()) as Box<dyn Fn()>, "there is no secret `key`"),
        (Box::new(|| keyed.write(SECRET, 0o644)), "chmod 600"),
        (Box::new(|| keyed.write("short", 0o600)), "5 bytes"),
    ] {
        change();
        let answer = client.ask(&get(upstream.port(), "/")).await;
        assert!(
            answer.starts_with("HTTP/1.1 502 ") && answer.contains("X-Outcall-Failure-Reason: secret_unavailable\r\n"),
            "{answer}"
        );
        assert!(!answer.contains("key"), "the agent need not know its name: {answer}");
        let records = keyed.inner.world.records();
        let record = records.last().unwrap();
        assert_eq!((record["rule"].as_str(), record["reason"].as_str()), (Some("team"), Some("secret_unavailable")));
        assert!(record["request"]["detail"].as_str().unwrap().contains(why), "{record}");
    }
    assert_eq!(upstream.connections(), 0);
    for secret in ["sk-another-one", "sk-and-a-third"] {
        keyed.write(secret, 0o600);
        client.ask(&get(upstream.port(), "/")).await;
        assert!(upstream.received().last().unwrap().contains(&format!("\r\nAuthorization: Bearer {secret}\r\n")));
    }
}

#[tokio::test]
async fn an_echo_is_taken_out_of_bodies_however_they_are_framed_and_encoded() {
    let keyed = Keyed::new(RULES).await;
    let json = SECRET.replace('"', "\\\"");
    let url = SECRET.replace('/', "%2F").replace('+', "%2b").replace('"', "%22");
    let token = String::from_utf8(base64::encode(format!("x{SECRET}").as_bytes()).to_vec()).unwrap();
    let echo = format!("{{\"a\": \"Bearer {json}\", \"b\": \"{url}\", \"c\": \"{token}\"}} {SECRET}");
    let expected = |out: &str| {
        assert_eq!(out.matches(MARKER).count(), 4, "{out}");
        assert!(out.starts_with("{\"a\": \"") && out.ends_with("} [outcall:secret]"), "{out}");
        keyed.check_hidden(out);
    };
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\nX-From: upstream\r\n{lines}\r\n").into_bytes();
    let length =
        |body: &[u8], lines: &str| [&head(&format!("{lines}Content-Length: {}\r\n", body.len()))[..], body].concat();
    expected(&content(&keyed.get(length(echo.as_bytes(), "")).await));
    for size in [1, 2, 7, 1000] {
        let chunked = [head("Transfer-Encoding: chunked\r\n"), chunks(echo.as_bytes(), size)].concat();
        expected(&content(&keyed.get(chunked).await));
    }
    for (coding, name) in
        [(Coding::Gzip, "gzip"), (Coding::Deflate, "deflate"), (Coding::Brotli, "br"), (Coding::Zstd, "zstd")]
    {
        let body = encoded(coding, echo.as_bytes());
        let lines = format!("Content-Encoding: {name}\r\nETag: \"x\"\r\nContent-Digest: x\r\n");
        for answer in [
            length(&body, &lines),
            [head(&format!("{lines}Transfer-Encoding: chunked\r\n")), chunks(&body, 3)].concat(),
        ] {
            let answer = keyed.get(answer).await;
            expected(&content(&answer));
            let (head, _) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(head, "HTTP/1.1 200 OK\r\nX-From: upstream\r\nETag: W/\"x\"\r\nTransfer-Encoding: chunked");
        }
    }
}

#[tokio::test]
async fn an_echo_is_taken_out_of_heads_early_hints_and_trailers() {
    let keyed = Keyed::new(RULES).await;
    let answer = format!(
        "HTTP/1.1 103 Early Hints\r\nLink: <{SECRET}>\r\n\r\nHTTP/1.1 200 {SECRET}\r\nX-Echo:  {SECRET} \r\nX-Fine:  a \r\n\
         Location: /?k={SECRET}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: {SECRET}\r\nX-Ok:  b\r\n\r\n"
    );
    let upstream = keyed.answering(answer.into_bytes()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    assert_eq!(client.message().await, "HTTP/1.1 103 Early Hints\r\nLink: <[outcall:secret]>\r\n\r\n");
    let answer = client.message().await;
    assert_eq!(
        answer,
        "HTTP/1.1 200 [outcall:secret]\r\nX-Echo: [outcall:secret]\r\nX-Fine:  a \r\nLocation: /?k=[outcall:secret]\r\n\
         Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: [outcall:secret]\r\nX-Ok:  b\r\n\r\n"
    );
    keyed.check_hidden(&answer);
    // The connection goes on.
    client.send(get(upstream.port(), "/")).await;
    assert!(client.message().await.starts_with("HTTP/1.1 103 "));
}

#[tokio::test]
async fn a_name_that_shows_it_goes_and_a_response_without_a_body_stays_as_it_is() {
    let keyed = Keyed::new(RULES).await;
    keyed.write("sk-0123456789", 0o600);
    let answer =
        "HTTP/1.1 200 OK\r\nX-sk-0123456789: 1\r\nX-Fine: 2\r\nContent-Encoding: odd\r\nContent-Length: 0\r\n\r\n";
    let expected = answer.replace("X-sk-0123456789: 1\r\n", "");
    assert_eq!(keyed.get(answer.into()).await, expected);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: odd\r\nETag: \"sk-0123456789\"\r\n\r\n";
    let upstream = keyed.answering(head.into()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/").replace("GET", "HEAD")).await;
    assert_eq!(client.until("\r\n\r\n").await, head.replace("sk-0123456789", MARKER));
}

#[tokio::test]
async fn an_encoding_that_cannot_be_read_is_refused_and_one_that_breaks_ends() {
    let keyed = Keyed::new(RULES).await;
    for lines in [
        "Content-Encoding: compress",
        "Content-Encoding: dcz",
        "Content-Encoding: gzip, br, zstd",
        "Content-Type: application/grpc\r\ngrpc-encoding: gzip",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\n{lines}\r\nContent-Length: 2\r\n\r\nok");
        let answer = keyed.get(answer.into()).await;
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("body_decode_failed"), "{answer}");
    }
    let answer = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nplain";
    let upstream = keyed.answering(answer.into()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    assert_eq!(client.rest_text().await, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(keyed.inner.world.records().last().unwrap()["reason"], "body_decode_failed");
}

#[tokio::test]
async fn events_flow_at_once() {
    let keyed = Keyed::new(RULES).await;
    let (next, turns) = watch::channel(0);
    let upstream = keyed
        .upstream(move |mut client| {
            let mut turns = turns.clone();
            async move {
                client.until("\r\n\r\n").await;
                client.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n").await;
                for number in 0..3 {
                    turns.wait_for(|turn| *turn >= number).await.unwrap();
                    client.send(format!("data: {number} {SECRET}\n\n")).await;
                }
                client.stream.shutdown().await.unwrap();
            }
        })
        .await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    client.until("\r\n\r\n").await;
    for number in 0..3 {
        assert_eq!(client.until("\n\n").await, format!("data: {number} [outcall:secret]\n\n"));
        next.send(number + 1).unwrap();
    }
    assert_eq!(client.rest_text().await, "");
}

#[tokio::test]
async fn a_client_of_version_1_0_gets_it_until_the_end() {
    let keyed = Keyed::new(RULES).await;
    let upstream =
        keyed.answering(format!("HTTP/1.1 200 OK\r\nContent-Length: 19\r\n\r\n<{SECRET}> ").into_bytes()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/").replace("HTTP/1.1", "HTTP/1.0")).await;
    assert_eq!(client.rest_text().await, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<[outcall:secret]> ");
}

#[tokio::test]
async fn a_websocket_passes_until_it_shows_the_secret() {
    let keyed = Keyed::new(RULES).await;
    let upstream = keyed
        .upstream(|mut client| async move {
            let head = client.until("\r\n\r\n").await;
            assert!(head.contains(SECRET) && !head.to_ascii_lowercase().contains("permessage-deflate"), "{head}");
            let early = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nhi";
            client.send(early).await;
            let said = client.until("!").await;
            client.send(format!("you said {said}")).await;
            client.until("?").await;
            client.send(format!("it is {SECRET} really")).await;
            client.rest().await;
        })
        .await;
    let port = upstream.port();
    let mut client = keyed.inner.open(port).await;
    client
        .send(format!(
            "GET /ws HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        ))
        .await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    client.send("frames!").await;
    assert_eq!(client.until("!").await, "hiyou said frames!");
    client.send("and?").await;
    assert_eq!(client.rest_text().await, "it is ");
    eventually(|| keyed.inner.world.refusals().iter().any(|(_, reason)| reason == "secret_echoed")).await;
}

/// A frame from a server.
fn frame(first: u8, payload: &str) -> Vec<u8> {
    [&[first, u8::try_from(payload.len()).unwrap()][..], payload.as_bytes()].concat()
}

/// Each is a frame of its own, and the agent asks for the next: what is kept from it would never come.
#[tokio::test]
async fn a_secret_in_several_frames_of_a_websocket_shows_by_half_at_most() {
    let (one, rest) = SECRET.split_at(5);
    let (two, three) = rest.split_at(5);
    for (frames, passed) in [
        // In a message of three parts, in three messages, with a ping in between, and the whole in pings.
        (vec![frame(0x01, one), frame(0x00, two), frame(0x80, three)], 1),
        (vec![frame(0x81, one), frame(0x81, two), frame(0x81, three)], 1),
        (vec![frame(0x81, one), frame(0x89, "you?"), frame(0x81, two), frame(0x81, three)], 2),
        (vec![frame(0x89, one), frame(0x81, "x"), frame(0x89, two), frame(0x89, three)], 2),
        (vec![frame(0x81, one), frame(0x81, one), frame(0x81, "s"), frame(0x81, "sk-0/"), frame(0x81, SECRET)], 4),
    ] {
        let keyed = Keyed::new(RULES).await;
        let sent = frames.clone();
        let upstream = keyed
            .upstream(move |mut client| {
                let frames = sent.clone();
                async move {
                    client.until("\r\n\r\n").await;
                    client
                        .send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                        .await;
                    for frame in frames {
                        client.until("!").await;
                        client.send(frame).await;
                    }
                    client.rest().await;
                }
            })
            .await;
        let port = upstream.port();
        let mut client = keyed.inner.open(port).await;
        client
            .send(format!(
                "GET /ws HTTP/1.1\r\nHost: a.example:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
            ))
            .await;
        client.until("\r\n\r\n").await;
        for frame in frames.iter().take(passed) {
            client.send("!").await;
            assert_eq!(client.exactly(frame.len()).await, *frame);
        }
        client.send("!").await;
        // Of a frame with all of it, the header.
        let left = client.rest().await;
        assert!(left.len() <= 2, "{left:?} of {frames:?}");
        eventually(|| keyed.inner.world.refusals().iter().any(|(_, reason)| reason == "secret_echoed")).await;
    }
}

#[tokio::test]
async fn grpc_passes_with_its_length_and_is_cut_where_it_shows_the_secret() {
    let keyed = Keyed::new(RULES).await;
    let answer = |body: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web+proto\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let fine = answer("\0\0\0\0\u{3}abc");
    assert_eq!(keyed.get(fine.clone().into()).await, fine);
    let upstream = keyed.answering(answer(&format!("\0\0\0\0\u{15}it is {SECRET}")).into()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    assert!(client.rest_text().await.ends_with("\r\n\r\n\0\0\0\0\u{15}it is "));
    // In two messages.
    let (one, two) = SECRET.split_at(8);
    let upstream = keyed.answering(answer(&format!("\0\0\0\0\u{8}{one}\0\0\0\0\u{8}{two}")).into()).await;
    let mut client = keyed.inner.open(upstream.port()).await;
    client.send(get(upstream.port(), "/")).await;
    assert!(!client.rest_text().await.contains(two));
    assert_eq!(keyed.inner.world.records().last().unwrap()["reason"], "secret_echoed");
}

#[tokio::test]
async fn a_pinned_host_takes_our_key_alone() {
    use outcall_schema::artifact::digest::Digest;
    let rules = format!(
        "rules:\n  - id: api\n    action: allow\n    condition: 'http.host == \"a.example\"'\n    egress: {{ mode: intercept, allow_private_ips: true }}\n  - id: ours\n    action: enrich\n    condition: 'http.host == \"a.example\"'\n    require_header: {{ Authorization: \"{}\" }}\n  - id: key\n    action: enrich\n    condition: 'http.path == \"/injected\"'\n    inject: [{{ header: Authorization, value: \"Bearer ${{secret:key}}\" }}]\n",
        Digest::of(b"Bearer sk-ours-alone")
    );
    let keyed = Keyed::new(&rules).await;
    keyed.write("sk-ours-alone", 0o600);
    let upstream = keyed.inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    let mut client = keyed.inner.open(port).await;
    let ask = |path: &str, line: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example:{port}\r\n{line}\r\n");
    assert_eq!(client.ask(&ask("/", "Authorization: Bearer sk-ours-alone\r\n")).await, OK);
    assert_eq!(client.ask(&ask("/", "Authorization: Bearer sk-theirs\r\n")).await, forbidden("ours"));
    assert_eq!(client.ask(&ask("/", "")).await, forbidden("ours"));
    assert_eq!(content(&client.ask(&ask("/injected", "Authorization: Bearer sk-theirs\r\n")).await), "ok");
    keyed.write("sk-rotated-without-a-word", 0o600);
    assert_eq!(client.ask(&ask("/injected", "")).await, forbidden("ours"));
    assert_eq!(upstream.received().len(), 2);
    keyed.inner.world.assert_refusals(&[("ours", "credential_refused"); 3]);
}

/// A server that puts trailers among the headers would take it for the one that was set.
#[tokio::test]
async fn what_is_set_or_pinned_does_not_come_in_a_trailer() {
    let keyed = Keyed::new(RULES).await;
    let upstream = keyed.inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    for (trailer, passes) in [
        ("X-Sum: 1", true),
        ("X-Team: theirs", false),
        ("x_team: theirs", false),
        ("Authorization: Bearer sk-theirs", false),
    ] {
        for body in ["1\r\nx\r\n0\r\n", "0\r\n"] {
            let mut client = keyed.inner.open(port).await;
            let head = format!("POST / HTTP/1.1\r\nHost: a.example:{port}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let answer = client.ask(&format!("{head}{body}{trailer}\r\n\r\n")).await;
            assert_eq!(answer.starts_with("HTTP/1.1 200"), passes, "{trailer}: {answer}");
        }
    }
    assert!(upstream.received().iter().all(|message| !message.contains("theirs")), "{:?}", upstream.received());
}

#[tokio::test]
async fn in_a_tunnel_and_in_the_clear_nothing_is_added_and_nothing_passes() {
    let rules = format!(
        "rules:\n{}  - id: key\n    action: enrich\n    condition: 'http.host == \"a.example\"'\n    inject: [{{ header: Authorization, value: \"Bearer ${{secret:key}}\" }}]\n",
        allow("web", "http.host == \"a.example\"")
    );
    let keyed = Keyed::new(&rules).await;
    let upstream = Upstream::ok().await;
    let mut client = keyed.inner.world.client().await;
    let request = format!("GET http://a.example:{0}/ HTTP/1.1\r\nHost: a.example:{0}\r\n\r\n", upstream.port());
    assert!(client.ask(&request).await.starts_with("HTTP/1.1 403 "));
    keyed.inner.world.assert_refusals(&[("key", "obligation_unavailable")]);
    assert_eq!(upstream.connections(), 0);
}
