//! Whatever an agent and a server say to each other inside TLS arrives as it was said, what is for one hop alone aside.

use ::http::{HeaderMap, HeaderName, HeaderValue, Response};
use bytes::Bytes;
use proptest::prelude::*;

use super::http2::{ALL, Agent, OnStream, Received, Server, all, drain};
use super::inside::Inner;
use super::*;

/// What one side says on a stream.
#[derive(Debug, Clone, Default)]
struct Said {
    fields: Vec<(String, Vec<u8>)>,
    pieces: Vec<Vec<u8>>,
    trailers: Vec<(String, Vec<u8>)>,
}

#[derive(Debug, Clone)]
struct Asked {
    method: &'static str,
    path: String,
    request: Said,
    status: u16,
    response: Said,
}

fn fields() -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
    let name = "x-[a-z0-9!#$%&'*+.^_`|~-]{0,10}|accept|cookie|user-agent|authorization|referer|etag";
    // No lookalikes of what says where a message goes or ends begin with `x-`.
    let value = "([!-~]([ -~\t]{0,30}[!-~])?)?".prop_map(String::into_bytes);
    proptest::collection::vec((name, value), 0..12)
}

fn said() -> impl Strategy<Value = Said> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..200),
        1 => (1_usize..60_000, any::<u8>()).prop_map(|(length, byte)| vec![byte; length]),
    ];
    let trailers = proptest::collection::vec(("x-[a-z]{1,8}", "[!-~]{0,20}".prop_map(String::into_bytes)), 0..3);
    (fields(), proptest::collection::vec(piece, 0..5), trailers).prop_map(|(fields, pieces, trailers)| Said {
        fields,
        pieces,
        trailers,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let method = proptest::sample::select(vec!["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PURGE"]);
    let path = "(/([a-zA-Z0-9_~!$&'()*+,;=:@-]|%[4-5][1-9]){0,8}){1,4}(\\?[a-z=&/?]{0,10})?";
    let status = proptest::sample::select(vec![200_u16, 201, 301, 404, 418, 500, 599]);
    (method, path, said(), status, said()).prop_map(|(method, path, request, status, response)| Asked {
        method,
        path,
        request,
        status,
        response,
    })
}

fn map(fields: &[(String, Vec<u8>)]) -> HeaderMap {
    let field = |(name, value): &(String, Vec<u8>)| {
        (HeaderName::try_from(name.as_str()).unwrap(), HeaderValue::from_bytes(value).unwrap())
    };
    fields.iter().map(field).collect::<Vec<_>>().into_iter().fold(HeaderMap::new(), |mut map, (name, value)| {
        map.append(name, value);
        map
    })
}

async fn speak(sender: &mut h2::SendStream<Bytes>, said: &Said) -> Result<(), h2::Error> {
    for piece in &said.pieces {
        all(sender, Bytes::from(piece.clone())).await?;
    }
    match said.trailers.is_empty() {
        true => sender.send_data(Bytes::new(), true),
        false => sender.send_trailers(map(&said.trailers)),
    }
}

async fn ask(agent: &mut Agent, number: usize, asked: &Asked) {
    let mut request = agent.request(asked.method, &asked.path).header("number", number.to_string());
    for (name, value) in &asked.request.fields {
        request = request.header(name.as_str(), value.as_slice());
    }
    let (response, mut sender) = agent.begin(request, false).await;
    let said = asked.request.clone();
    tokio::spawn(async move { speak(&mut sender, &said).await });
    let (parts, mut body) = response.await.unwrap().into_parts();
    let (content, trailers) = drain(&mut body).await.unwrap();
    assert_eq!((parts.status.as_u16(), parts.headers), (asked.status, map(&asked.response.fields)));
    assert!(content == asked.response.pieces.concat(), "{} bytes", content.len());
    assert_eq!(trailers.unwrap_or_default(), map(&asked.response.trailers));
}

fn same(received: &Received, asked: &Asked, port: u16) {
    let mut fields = received.fields.clone();
    fields.remove("number");
    let uri = format!("https://a.example:{port}{}", asked.path);
    assert_eq!((received.method.as_str(), &received.uri, fields), (asked.method, &uri, map(&asked.request.fields)));
    assert!(received.body == asked.request.pieces.concat(), "{} bytes", received.body.len());
    assert_eq!(received.trailers.clone().unwrap_or_default(), map(&asked.request.trailers));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_http2_both_sides_get_what_the_other_said(asked in proptest::collection::vec(asked(), 1..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let inner = Inner::new(ALL).await;
            let answers = Arc::new(asked.clone());
            let on_stream: Arc<OnStream> = Arc::new(move |request, mut respond, received| {
                let answers = Arc::clone(&answers);
                tokio::spawn(async move {
                    let (parts, mut body) = request.into_parts();
                    let number: usize = parts.headers["number"].to_str().unwrap().parse().unwrap();
                    let (content, trailers) = drain(&mut body).await.unwrap();
                    let (method, uri, fields) = (parts.method.to_string(), parts.uri.to_string(), parts.headers);
                    received.lock().unwrap().push(Received { method, uri, fields, body: content, trailers });
                    let mut response = Response::builder().status(answers[number].status).body(()).unwrap();
                    *response.headers_mut() = map(&answers[number].response.fields);
                    let mut sender = respond.send_response(response, false).unwrap();
                    let _ = speak(&mut sender, &answers[number].response).await;
                })
            });
            let server = Server::start(&inner, |builder| builder, on_stream).await;
            let mut agents = tokio::task::JoinSet::new();
            let first = Agent::open(&inner, server.port()).await;
            for (number, asked) in asked.clone().into_iter().enumerate() {
                let mut agent = Agent { requests: first.requests.clone(), port: first.port };
                agents.spawn(async move { ask(&mut agent, number, &asked).await });
            }
            let all = async { while let Some(ended) = agents.join_next().await { ended.unwrap(); } };
            tokio::time::timeout(PATIENCE, all).await.expect("in time");
            for received in server.received() {
                let number: usize = received.fields["number"].to_str().unwrap().parse().unwrap();
                same(&received, &asked[number], server.port());
            }
            assert_eq!(server.received().len(), asked.len());
        });
    }
}

/// The head's lines after the first, and the lines that pass.
fn lines() -> impl Strategy<Value = (String, String)> {
    let line = prop_oneof![
        5 => "[xX]-[a-zA-Z]{1,8}: ?[!-~]{0,20}( [!-~]{1,5})? ?\r\n".prop_map(|line| (line.clone(), line)),
        1 => Just(("Proxy-Authorization: Basic eDp5\r\n".to_owned(), String::new())),
        1 => Just(("Keep-Alive: timeout=5\r\n".to_owned(), String::new())),
        1 => Just(("Connection: y-hop\r\nY-Hop: 1\r\n".to_owned(), String::new())),
    ];
    proptest::collection::vec(line, 0..6).prop_map(|lines| {
        let mut seen = false;
        // Fields that nominate others are given once.
        let lines: Vec<_> = lines
            .into_iter()
            .filter(|(line, _)| !line.starts_with("Connection") || !std::mem::replace(&mut seen, true))
            .collect();
        (lines.iter().map(|it| it.0.as_str()).collect(), lines.iter().map(|it| it.1.as_str()).collect())
    })
}

/// A line that says how long a body is, and the body.
fn framed() -> impl Strategy<Value = String> {
    let whole = "[a-z\r\n]{0,40}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let chunks = proptest::collection::vec("[a-z\r\n]{1,20}", 0..5).prop_map(|chunks| {
        let chunks: String = chunks.iter().map(|chunk| format!("{:X};e=\"1\"\r\n{chunk}\r\n", chunk.len())).collect();
        format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Trailer: t\r\n\r\n")
    });
    prop_oneof![whole, chunks]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_http11_both_sides_get_the_bytes_that_the_other_sent(
        exchanges in proptest::collection::vec((lines(), framed(), lines(), framed(), 0..4_usize), 1..6)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let inner = Inner::new(ALL).await;
            let status = |at: usize| ["200 OK", "201 ", "404 Not  Found", "500 \u{e9}!"][at];
            let answers: Vec<String> = exchanges
                .iter()
                .map(|(_, _, lines, framed, at)| format!("HTTP/1.1 {}\r\n{}{framed}", status(*at), lines.0))
                .collect();
            let upstream = inner.upstream(move |message| {
                let number: usize = message[6..].split(' ').next().unwrap().parse().unwrap();
                answers[number].clone()
            }).await;
            let port = upstream.port();
            let mut client = inner.open(port).await;
            let mut sent = Vec::new();
            for (number, (lines, framed, answer, answered, at)) in exchanges.iter().enumerate() {
                let message = |lines: &str| format!("POST /{number} HTTP/1.1\r\nHost: a.example:{port}\r\n{lines}{framed}");
                // The fixture reads the number after `POST /`.
                let got = client.ask(&message(&lines.0)).await;
                assert_eq!(got, format!("HTTP/1.1 {}\r\n{}{answered}", status(*at), answer.1));
                sent.push(message(&lines.1));
            }
            assert_eq!(upstream.received(), sent);
        });
    }
}
