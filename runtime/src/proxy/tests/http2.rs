//! HTTP/2 inside TLS that was terminated: each stream judged by itself, both sides in the same protocol.

mod enriched;

use std::future::poll_fn;

use ::http::request::Builder;
use ::http::{HeaderMap, Method, Request, Response, StatusCode};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason as Code, RecvStream, SendStream};
use rustls::ServerConfig;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use super::inside::{Inner, RULES, get, handshake};
use super::*;

/// Rules for everything on `a.example`.
pub(super) const ALL: &str = "rules:\n  - { id: all, action: allow, condition: 'http.host == \"a.example\"', egress: { mode: intercept, allow_private_ips: true } }\n";

/// What an upstream received on one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct Received {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) fields: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
}

/// What an upstream does with one stream.
pub(super) type OnStream = dyn Fn(Request<RecvStream>, SendResponse<Bytes>, Arc<Mutex<Vec<Received>>>) -> tokio::task::JoinHandle<()>
    + Send
    + Sync;

/// A server for `a.example` in HTTP/2.
pub(super) struct Server {
    pub(super) upstream: Upstream,
    pub(super) received: Arc<Mutex<Vec<Received>>>,
}

impl Server {
    /// One that answers with 200, echoes what came as body and has a trailer.
    pub(super) async fn echo(inner: &Inner) -> Server {
        Server::start(
            inner,
            |builder| builder,
            Arc::new(|request, respond, received| {
                tokio::spawn(async move {
                    let _ = echo(request, respond, &received).await;
                })
            }),
        )
        .await
    }

    pub(super) async fn start(
        inner: &Inner,
        change: fn(&mut h2::server::Builder) -> &mut h2::server::Builder,
        on_stream: Arc<OnStream>,
    ) -> Server {
        Server::offering(inner.server("a.example", |_| {}), &["h2", "http/1.1"], change, on_stream).await
    }

    pub(super) async fn offering(
        mut config: ServerConfig,
        protocols: &[&str],
        change: fn(&mut h2::server::Builder) -> &mut h2::server::Builder,
        on_stream: Arc<OnStream>,
    ) -> Server {
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let kept = Arc::clone(&received);
        let upstream = Upstream::start(Box::new(move |client, texts| {
            let (acceptor, on_stream, received) = (acceptor.clone(), Arc::clone(&on_stream), Arc::clone(&kept));
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(client.stream).await else { return };
                if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return answer_each(Client::new(stream), &texts, |_| OK.to_owned()).await;
                }
                let mut builder = h2::server::Builder::new();
                let Ok(mut connection) = change(&mut builder).handshake(stream).await else { return };
                while let Some(Ok((request, respond))) = connection.accept().await {
                    on_stream(request, respond, Arc::clone(&received));
                }
            })
        }))
        .await;
        Server { upstream, received }
    }

    pub(super) fn port(&self) -> u16 {
        self.upstream.port()
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

pub(super) async fn echo(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    received: &Mutex<Vec<Received>>,
) -> Result<(), h2::Error> {
    let (parts, mut body) = request.into_parts();
    let mut one = Received {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        fields: parts.headers,
        ..Received::default()
    };
    (one.body, one.trailers) = drain(&mut body).await?;
    received.lock().unwrap().push(one.clone());
    let response = Response::builder().header("x-from", "upstream").body(()).unwrap();
    let mut sender = respond.send_response(response, false)?;
    all(&mut sender, Bytes::from(one.body)).await?;
    sender.send_trailers(HeaderMap::from_iter([("x-trailer".parse().unwrap(), "1".parse().unwrap())]))
}

/// Sends within the window.
pub(super) async fn all(sender: &mut SendStream<Bytes>, mut data: Bytes) -> Result<(), h2::Error> {
    while !data.is_empty() {
        sender.reserve_capacity(data.len());
        let Some(room) = poll_fn(|context| sender.poll_capacity(context)).await.transpose()? else { break };
        sender.send_data(data.split_to(room.min(data.len())), false)?;
    }
    Ok(())
}

/// Everything of one half.
pub(super) async fn drain(body: &mut RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut content = Vec::new();
    while let Some(data) = body.data().await {
        let data = data?;
        body.flow_control().release_capacity(data.len())?;
        content.extend_from_slice(&data);
    }
    Ok((content, body.trailers().await?))
}

/// A client inside TLS with `a.example`, in HTTP/2.
pub(super) struct Agent {
    pub(super) requests: SendRequest<Bytes>,
    pub(super) port: u16,
}

/// What an agent got.
#[derive(Debug)]
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) fields: HeaderMap,
    pub(super) body: String,
    pub(super) trailers: Option<HeaderMap>,
}

impl Agent {
    pub(super) async fn open(inner: &Inner, port: u16) -> Agent {
        Agent::offering(inner, port, &["h2"]).await
    }

    pub(super) async fn stream(inner: &Inner, port: u16, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut config = inner.client_config();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        handshake(config, "a.example", inner.tunnel("a.example", port).await).await
    }

    pub(super) async fn offering(inner: &Inner, port: u16, protocols: &[&str]) -> Agent {
        let stream = Agent::stream(inner, port, protocols).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let (requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Agent { requests, port }
    }

    pub(super) fn request(&self, method: &str, path: &str) -> Builder {
        Request::builder().method(method).uri(format!("https://a.example:{}{path}", self.port))
    }

    /// Sends a head.
    pub(super) async fn begin(&mut self, request: Builder, ends: bool) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = self.requests.clone().ready().await.unwrap();
        ready.send_request(request.body(()).unwrap(), ends).unwrap()
    }

    pub(super) async fn ask(&mut self, request: Builder, body: &[u8]) -> Result<Got, h2::Error> {
        let (response, mut sender) = self.begin(request, body.is_empty()).await;
        if !body.is_empty() {
            let body = Bytes::copy_from_slice(body);
            tokio::spawn(async move {
                let _ = all(&mut sender, body).await;
                let _ = sender.send_data(Bytes::new(), true);
            });
        }
        got(response).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Got, h2::Error> {
        let request = self.request("GET", path);
        self.ask(request, b"").await
    }
}

pub(super) async fn got(response: ResponseFuture) -> Result<Got, h2::Error> {
    let whole = async {
        let (parts, mut body) = response.await?.into_parts();
        let (content, trailers) = drain(&mut body).await?;
        let body = String::from_utf8_lossy(&content).into_owned();
        Ok(Got { status: parts.status.as_u16(), fields: parts.headers, body, trailers })
    };
    tokio::time::timeout(PATIENCE, whole).await.expect("an answer in time")
}

fn reason(got: &Got) -> (u16, &str, &str) {
    let field = |name: &str| got.fields.get(name).map_or("", |value| value.to_str().unwrap());
    (got.status, field("x-outcall-block-reason"), field("x-outcall-failure-reason"))
}

#[tokio::test]
async fn each_stream_is_judged_by_itself_and_passes_as_it_came() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let answer = agent.get("/x%2Fy//z?q").await.unwrap();
    assert_eq!((answer.status, answer.fields["x-from"].to_str().unwrap()), (200, "upstream"));
    assert_eq!(answer.trailers.unwrap()["x-trailer"], "1");
    // A stream that is held up, one that is refused beside it, and one that passes beside it.
    let marked = agent.request("POST", "/").header("x-mark", "1").header("te", "trailers").header("proxy-x", "y");
    let (held, mut sender) = agent.begin(marked, false).await;
    let refused = agent.get("/secret/x").await.unwrap();
    assert_eq!(reason(&refused), (403, "no-secret", ""));
    assert_eq!(refused.body, "Blocked by outcall: no-secret");
    assert_eq!(agent.get("/2").await.unwrap().status, 200);
    sender.send_data(Bytes::from_static(b"a\0b"), false).unwrap();
    sender.send_trailers(HeaderMap::from_iter([("x-end".parse().unwrap(), "2".parse().unwrap())])).unwrap();
    assert_eq!(got(held).await.unwrap().body, "a\0b");
    for (body, status) in [(&b"yes please"[..], 200), (b"now", 403)] {
        let put = agent.request("PUT", "/");
        assert_eq!(agent.ask(put, body).await.unwrap().status, status);
    }
    let bare = agent.request("POST", "/");
    assert_eq!(reason(&agent.ask(bare, b"x").await.unwrap()), (403, "default", ""));
    let received = server.received();
    let seen: Vec<_> = received.iter().map(|one| (one.method.as_str(), one.body.as_slice())).collect();
    let expected = [("GET", &b""[..]), ("GET", b""), ("POST", b"a\0b"), ("PUT", b"yes please")];
    assert_eq!(seen, expected);
    assert_eq!(received[0].uri, format!("https://a.example:{}/x%2Fy//z?q", server.port()));
    let fields: Vec<_> = received[2].fields.keys().map(|name| name.as_str()).collect();
    assert_eq!(fields, ["x-mark", "te"]);
    assert_eq!(received[2].trailers.as_ref().unwrap()["x-end"], "2");
    assert_eq!(server.upstream.connections(), 1, "one connection to the server carries all");
    let refusals = [("no-secret", "blocked_by_rule"), ("default", "no_rule_allows"), ("default", "no_rule_allows")];
    inner.world.assert_refusals(&refusals);
    let records = inner.world.records();
    let blocked = records.iter().find(|record| record["rule"] == "no-secret").unwrap();
    assert_eq!((&blocked["request"]["http"]["path"], &blocked["protocol"]), (&"/secret/x".into(), &"h2".into()));
    assert_eq!(inner.world.passed(), 4);
}

#[tokio::test]
async fn both_sides_speak_what_the_server_speaks() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::offering(&inner, server.port(), &["h2", "http/1.1"]).await;
    assert_eq!(agent.get("/").await.unwrap().status, 200);
    assert_eq!(server.upstream.connections(), 1, "the connection that was asked beforehand is the one that is used");
    // What is known of the server is used again, and so is the connection.
    let mut second = Agent::offering(&inner, server.port(), &["http/1.1", "h2"]).await;
    assert_eq!(second.get("/").await.unwrap().status, 200);
    assert_eq!(server.upstream.connections(), 1);
    // A client without HTTP/2 does without.
    let stream = Agent::stream(&inner, server.port(), &[]).await.unwrap();
    assert_eq!(Client::new(stream).ask(&get(server.port(), "/")).await, OK);
    // A server without it: clients that speak both speak HTTP/1.1, and one that does not is told.
    let old = inner.upstream(|_| OK.to_owned()).await;
    for _ in 0..2 {
        let stream = Agent::stream(&inner, old.port(), &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
        assert_eq!(Client::new(stream).ask(&get(old.port(), "/")).await, OK);
    }
    assert_eq!(old.connections(), 1);
    let mut insisting = Agent::open(&inner, old.port()).await;
    assert_eq!(reason(&insisting.get("/").await.unwrap()), (502, "", "alpn_mismatch"));
}

#[tokio::test]
async fn a_server_is_asked_beforehand_only_where_some_request_could_pass() {
    let inner = Inner::new(&RULES.replace(", allow_private_ips: true", "")).await;
    let server = Server::echo(&inner).await;
    let stream = Agent::stream(&inner, server.port(), &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
    let answer = Client::new(stream).ask(&get(server.port(), "/")).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let mut agent = Agent::open(&inner, server.port()).await;
    assert_eq!(reason(&agent.get("/").await.unwrap()), (403, "read", ""));
    assert!(inner.world.refusals().contains(&("read".into(), "private_address".into())));
    assert_eq!(server.upstream.connections(), 0);
}

#[tokio::test]
async fn the_host_is_the_connections_on_every_stream() {
    let rules = format!("{RULES}{}", allow("all", "http.host in [\"b.example\", \"127.0.0.1\"]"));
    let inner = Inner::new(&rules).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let port = server.port();
    for _ in 0..2 {
        assert_eq!(agent.get("/").await.unwrap().status, 200);
    }
    for (uri, status) in [
        (format!("https://b.example:{port}/"), 421),
        (format!("https://127.0.0.1:{port}/"), 421),
        ("https://a.example/".to_owned(), 421),
        (format!("https://u@a.example:{port}/"), 400),
        (format!("http://a.example:{port}/"), 400),
        (format!("https://a.example:{port}/a/../b"), 400),
    ] {
        let answer = agent.ask(Request::builder().uri(&uri), b"").await.unwrap();
        assert_eq!(answer.status, status, "{uri}");
    }
    for host in ["b.example".to_owned(), "a.example".to_owned()] {
        let request = agent.request("GET", "/").header("host", host);
        assert_eq!(agent.ask(request, b"").await.unwrap().status, 400);
    }
    let same = agent.request("GET", "/").header("host", format!("A.example:{port}"));
    assert_eq!(agent.ask(same, b"").await.unwrap().status, 200);
    assert_eq!(server.received().len(), 3);
    assert_eq!(inner.world.refusals().len(), 8);
}

#[tokio::test]
async fn a_length_that_disagrees_with_the_body_is_no_request() {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    for (length, body) in [("3", &b"more than that"[..]), ("30", b"less")] {
        let request = agent.request("POST", "/").header("content-length", length);
        let (response, mut sender) = agent.begin(request, false).await;
        sender.send_data(Bytes::from_static(body), true).unwrap();
        assert_eq!(got(response).await.unwrap_err().reason(), Some(Code::PROTOCOL_ERROR));
    }
    for length in ["+3", "03", "3, 3"] {
        let request = agent.request("POST", "/").header("content-length", length);
        // What `h2` finds first is a reset, and what we find is a 400.
        match agent.ask(request, b"abc").await {
            Ok(answer) => assert_eq!(answer.status, 400),
            Err(error) => assert_eq!(error.reason(), Some(Code::PROTOCOL_ERROR)),
        }
    }
    let twice = agent.request("POST", "/").header("content-length", "3").header("content-length", "3");
    assert_eq!(agent.ask(twice, b"abc").await.unwrap().status, 400);
    assert_eq!(agent.get("/").await.unwrap().status, 200);
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn bodies_flow_both_ways_at_once_and_no_faster_than_they_are_taken() {
    let inner = Inner::new(ALL).await;
    let on_stream: Arc<OnStream> = Arc::new(|request, mut respond, _| {
        tokio::spawn(async move {
            let mut body = request.into_body();
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            // What comes is sent back piece by piece.
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                if all(&mut sender, data).await.is_err() {
                    return;
                }
            }
            let _ = sender.send_data(Bytes::new(), true);
        })
    });
    let server = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let request = agent.request("POST", "/");
    let (response, mut sender) = agent.begin(request, false).await;
    let mut body = response.await.unwrap().into_body();
    for number in 0..3_u8 {
        sender.send_data(Bytes::from(vec![number]), false).unwrap();
        let data = body.data().await.unwrap().unwrap();
        assert_eq!(data, [number].as_slice());
        body.flow_control().release_capacity(1).unwrap();
    }
    // Nobody takes what comes back, so the sender is held up after what the windows on the way hold.
    let mut sent = 0;
    let filling = async {
        loop {
            sender.reserve_capacity(64 << 10);
            let room = poll_fn(|context| sender.poll_capacity(context)).await.unwrap().unwrap();
            sender.send_data(Bytes::from(vec![0; room]), false).unwrap();
            sent += room;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), filling).await;
    assert!(sent < 8 << 20, "{sent} bytes are on the way");
    let total = sent;
    sender.send_data(Bytes::new(), true).unwrap();
    assert_eq!(drain(&mut body).await.unwrap().0.len(), total);
}

#[tokio::test]
async fn informational_responses_and_heads_without_bodies_pass() {
    let inner = Inner::new(ALL).await;
    let on_stream: Arc<OnStream> = Arc::new(|request, mut respond, _| {
        tokio::spawn(async move {
            let hints = Response::builder().status(103).header("link", "x").body(()).unwrap();
            respond.send_informational(hints).unwrap();
            let status = if request.method() == Method::HEAD { 200 } else { 204 };
            let response = Response::builder().status(status).header("content-length", "500");
            let response = if status == 204 { Response::builder().status(204) } else { response };
            respond.send_response(response.body(()).unwrap(), true).unwrap();
        })
    });
    let server = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    for (method, status, length) in [("HEAD", 200, Some("500")), ("GET", 204, None)] {
        let request = agent.request(method, "/");
        let (mut response, _) = agent.begin(request, true).await;
        let hints = poll_fn(|context| response.poll_informational(context)).await.unwrap().unwrap();
        assert_eq!((hints.status().as_u16(), &hints.headers()["link"]), (103, &"x".parse().unwrap()));
        let answer = got(response).await.unwrap();
        assert_eq!(
            (answer.status, answer.fields.get("content-length").map(|it| it.to_str().unwrap())),
            (status, length)
        );
    }
}

#[tokio::test]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let request = agent.request("PUT", "/").header("expect", "100-continue");
    let (mut response, mut sender) = agent.begin(request, false).await;
    let asked = poll_fn(|context| response.poll_informational(context)).await.unwrap().unwrap();
    assert_eq!(asked.status(), StatusCode::CONTINUE);
    sender.send_data(Bytes::from_static(b"please"), true).unwrap();
    assert_eq!(got(response).await.unwrap().body, "please");
}

#[tokio::test]
async fn a_reset_on_one_side_is_one_on_the_other() {
    let inner = Inner::new(ALL).await;
    let (told, mut tell) = tokio::sync::mpsc::unbounded_channel();
    let on_stream: Arc<OnStream> = Arc::new(move |request, mut respond, _| {
        let told = told.clone();
        tokio::spawn(async move {
            if request.uri().path() == "/reset" {
                respond.send_reset(Code::HTTP_1_1_REQUIRED);
                return;
            }
            let mut sender = respond.send_response(Response::new(()), false).unwrap();
            sender.send_data(Bytes::from_static(b"begun"), false).unwrap();
            if request.uri().path() == "/late" {
                sender.send_reset(Code::ENHANCE_YOUR_CALM);
                return;
            }
            let code = poll_fn(|context| sender.poll_reset(context)).await.unwrap();
            told.send(code).unwrap();
        })
    });
    let server = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    assert_eq!(agent.get("/reset").await.unwrap_err().reason(), Some(Code::HTTP_1_1_REQUIRED));
    assert_eq!(agent.get("/late").await.unwrap_err().reason(), Some(Code::ENHANCE_YOUR_CALM));
    let request = agent.request("GET", "/wait");
    let (response, mut sender) = agent.begin(request, true).await;
    let mut body = response.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "begun");
    sender.send_reset(Code::CANCEL);
    let code = tokio::time::timeout(PATIENCE, tell.recv()).await.unwrap().unwrap();
    assert_eq!(code, Code::CANCEL);
    assert_eq!(agent.get("/reset").await.unwrap_err().reason(), Some(Code::HTTP_1_1_REQUIRED));
}

#[tokio::test]
async fn a_request_that_a_server_did_nothing_of_is_sent_again() {
    let inner = Inner::new(ALL).await;
    let seen = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&seen);
    let on_stream: Arc<OnStream> = Arc::new(move |_, mut respond, _| {
        let mut seen = counted.lock().unwrap();
        *seen += 1;
        match *seen {
            1 => respond.send_reset(Code::REFUSED_STREAM),
            _ => drop(respond.send_response(Response::new(()), true)),
        }
        tokio::spawn(async {})
    });
    let server = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    assert_eq!(agent.get("/").await.unwrap().status, 200);
    assert_eq!(*seen.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_web_socket_is_an_extended_connect_where_the_server_takes_one() {
    let inner = Inner::new(ALL).await;
    let on_stream: Arc<OnStream> = Arc::new(|request, respond, received| {
        tokio::spawn(async move {
            let protocol = request.extensions().get::<h2::ext::Protocol>().map(|it| it.as_str().to_owned());
            assert_eq!(protocol.as_deref(), (request.method() == "CONNECT").then_some("websocket"));
            let _ = echo(request, respond, &received).await;
        })
    });
    let server = Server::start(&inner, |builder| builder.enable_connect_protocol(), Arc::clone(&on_stream)).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    eventually(|| agent.requests.is_extended_connect_protocol_enabled()).await;
    let connect = |agent: &Agent, protocol: &'static str| {
        agent.request("CONNECT", "/chat").extension(h2::ext::Protocol::from_static(protocol))
    };
    let request = connect(&agent, "websocket");
    let (response, mut sender) = agent.begin(request, false).await;
    sender.send_data(Bytes::from_static(b"\x81\x01a"), true).unwrap();
    let answer = got(response).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "\u{fffd}\u{1}a"));
    let request = connect(&agent, "connect-udp");
    assert_eq!(agent.ask(request, b"").await.unwrap().status, 400);
    // What is known of the server by now is in the first settings, time after time.
    for _ in 0..20 {
        let mut agent = Agent::open(&inner, server.port()).await;
        eventually(|| agent.requests.is_extended_connect_protocol_enabled()).await;
        let request = connect(&agent, "websocket");
        assert_eq!(agent.ask(request, b"x").await.unwrap().status, 200);
    }
    // A server that takes none is not offered.
    let plain = Server::start(&inner, |builder| builder, on_stream).await;
    let mut agent = Agent::open(&inner, plain.port()).await;
    assert_eq!(agent.get("/").await.unwrap().status, 200);
    assert!(!agent.requests.is_extended_connect_protocol_enabled());
}

#[tokio::test]
async fn a_connection_without_requests_is_ended_politely() {
    let limits = Limits { keep_alive: Duration::from_millis(100), ..Limits::default() };
    let inner = Inner::with_limits(RULES, limits).await;
    let server = Server::echo(&inner).await;
    let stream = Agent::stream(&inner, server.port(), &["h2"]).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, connection).await.expect("in time");
    assert!(ended.is_ok() || ended.unwrap_err().reason() == Some(Code::NO_ERROR));
    assert!(poll_fn(|context| requests.poll_ready(context)).await.is_err());
}

#[tokio::test]
async fn each_stream_leaves_one_record_whatever_becomes_of_it() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    agent.get("/a").await.unwrap();
    agent.get("/secret/1").await.unwrap();
    agent.ask(agent.request("PUT", "/b"), b"yes please").await.unwrap();
    let elsewhere = Request::builder().method("GET").uri(format!("https://b.example:{}/", server.port()));
    assert_eq!(agent.ask(elsewhere, b"").await.unwrap().status, 421);
    // One that the client takes back while its server waits for the rest.
    let (_response, mut sender) = agent.begin(agent.request("POST", "/c").header("x-mark", "1"), false).await;
    sender.send_data(Bytes::from_static(b"abc"), false).unwrap();
    let counters = inner.world.context.interception.as_ref().unwrap().counters();
    eventually(|| counters.today().intercepted_today == 5).await;
    sender.send_reset(Code::CANCEL);
    let mut lines = seen::lines(&seen::seen(&inner, "h2", 5).await);
    lines.sort();
    let taken_back = lines.remove(3);
    assert!(taken_back.starts_with("POST /c by marked: allow allowed null "), "{taken_back}");
    let expected = [
        "- - by default: block host_mismatch 421 0",
        "GET /a by read: allow allowed 200 0",
        "GET /secret/1 by no-secret: block blocked_by_rule 403 0",
        "PUT /b by said: allow allowed 200 10",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn shutdown_lets_streams_finish_refuses_new_ones_and_cuts_off_the_rest_in_time() {
    let limits = Limits { drain: Duration::from_secs(2), ..Limits::default() };
    let inner = Inner::with_limits(ALL, limits).await;
    let server = Server::echo(&inner).await;
    let idle = Agent::stream(&inner, server.port(), &["h2"]).await.unwrap();
    let (_requests, idle) = h2::client::handshake(idle).await.unwrap();
    let mut agent = Agent::open(&inner, server.port()).await;
    let post = |agent: &Agent| agent.request("POST", "/");
    let request = post(&agent);
    let (finishing, mut sender) = agent.begin(request, false).await;
    let request = post(&agent);
    let (staying, _kept) = agent.begin(request, false).await;
    sender.send_data(Bytes::from_static(b"begun, "), false).unwrap();
    let request = agent.request("GET", "/");
    assert_eq!(agent.ask(request, b"").await.unwrap().status, 200, "what was sent before has arrived as well");
    let asked_at = tokio::time::Instant::now();
    inner.world.shutdown.send(true).unwrap();
    // A connection on which nothing happens is told, and closed at once.
    tokio::time::timeout(Duration::from_secs(1), idle).await.expect("before the drain is over").unwrap();
    assert!(!inner.world.serving.is_finished());
    let refused = async {
        while let Ok(mut ready) = agent.requests.clone().ready().await {
            let request = Request::builder().uri(format!("https://a.example:{}/", agent.port)).body(()).unwrap();
            let Ok((response, _)) = ready.send_request(request, true) else { return };
            if response.await.is_err() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.expect("new streams are refused");
    sender.send_data(Bytes::from_static(b"done"), true).unwrap();
    let answer = got(finishing).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "begun, done"));
    assert!(got(staying).await.is_err(), "what does not finish is cut off");
    tokio::time::timeout(PATIENCE, inner.world.serving).await.unwrap().unwrap().unwrap();
    assert!(asked_at.elapsed() >= Duration::from_secs(2), "and not before the time is over");
}

#[tokio::test]
async fn a_refusal_lets_a_body_on_its_way_end_and_resets_one_that_does_not() {
    let inner = Inner::new(RULES).await;
    let server = Server::echo(&inner).await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let post = |agent: &Agent| agent.request("POST", "/");
    let (request, other) = (post(&agent), post(&agent));
    let (response, mut sender) = agent.begin(request, false).await;
    let (_, mut endless) = agent.begin(other, false).await;
    assert_eq!(reason(&got(response).await.unwrap()), (403, "default", ""));
    // What would have come right behind the answer has arrived with the next one.
    assert_eq!(agent.get("/secret").await.unwrap().status, 403);
    sender.send_data(Bytes::from_static(b"x"), true).expect("the stream is still there");
    let code = tokio::time::timeout(PATIENCE, poll_fn(|context| endless.poll_reset(context))).await.unwrap().unwrap();
    assert_eq!(code, Code::NO_ERROR);
    assert_eq!(server.received().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_gone_after_the_handshake_failed_it() {
    let inner = Inner::new(ALL).await;
    let mut config = inner.server("a.example", |_| {});
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    // It closes with our first frames unread, so that whatever it said before may be lost.
    let upstream = Upstream::start(Box::new(move |client, _| {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let _ = acceptor.accept(client.stream).await;
        })
    }))
    .await;
    for _ in 0..5 {
        let mut agent = Agent::open(&inner, upstream.port()).await;
        assert_eq!(reason(&agent.get("/").await.unwrap()), (502, "", "upstream_handshake_failed"));
    }
}
