//! Secrets on their way in HTTP/2: as in HTTP/1.1, on each stream by itself.

use super::super::enriched::{Keyed, MARKER, RULES, SECRET};
use super::*;
use crate::proxy::coding::Coding;
use crate::proxy::decoding::tests::encoded;

/// What a server answers: fields, pieces of data and trailers.
#[derive(Clone, Default)]
struct Answered {
    fields: Vec<(&'static str, String)>,
    data: Vec<Vec<u8>>,
    trailers: Option<(&'static str, String)>,
}

/// A server that answers every request so.
async fn answering(keyed: &Keyed, answer: Answered) -> Server {
    Server::start(
        &keyed.inner,
        |builder| builder.enable_connect_protocol(),
        Arc::new(move |request, mut respond, received| {
            let answer = answer.clone();
            tokio::spawn(async move {
                let (parts, mut body) = request.into_parts();
                let uri = parts.uri.to_string();
                let websocket = parts.method == Method::CONNECT;
                received.lock().unwrap().push(Received { uri, fields: parts.headers, ..Received::default() });
                let _ = if websocket { Ok((Vec::new(), None)) } else { drain(&mut body).await };
                let mut hint = Response::new(());
                *hint.status_mut() = StatusCode::EARLY_HINTS;
                hint.headers_mut().insert("link", format!("<{SECRET}>").parse().unwrap());
                let _ = respond.send_informational(hint);
                let mut response = Response::builder();
                for (name, value) in &answer.fields {
                    response = response.header(*name, value);
                }
                let Ok(mut sender) = respond.send_response(response.body(()).unwrap(), false) else { return };
                for data in answer.data {
                    if all(&mut sender, Bytes::from(data)).await.is_err() {
                        return;
                    }
                }
                let _ = match answer.trailers {
                    Some((name, value)) => {
                        let trailers = [(name.parse().unwrap(), value.parse().unwrap())];
                        sender.send_trailers(HeaderMap::from_iter(trailers))
                    }
                    None => sender.send_data(Bytes::new(), true),
                };
            })
        }),
    )
    .await
}

/// What an agent gets of an answer.
async fn get_of(keyed: &Keyed, answer: Answered) -> Result<Got, h2::Error> {
    let server = answering(keyed, answer).await;
    Agent::open(&keyed.inner, server.port()).await.get("/").await
}

fn field<'g>(got: &'g Got, name: &str) -> Option<&'g str> {
    got.fields.get(name).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_server_gets_the_secret_once_on_the_streams_it_is_for() {
    let keyed = Keyed::new(RULES).await;
    let server = Server::echo(&keyed.inner).await;
    let mut agent = Agent::open(&keyed.inner, server.port()).await;
    let request = agent.request("GET", "/x").header("authorization", "mine").header("authorization", "too");
    let request = request.header("range", "bytes=0-3").header("accept-encoding", "zstd, br").header("x_team", "red");
    assert_eq!(agent.ask(request, b"").await.unwrap().status, 200);
    let plain = agent.request("GET", "/plain").header("authorization", "Bearer outcall-secret-key");
    assert_eq!(agent.ask(plain, b"").await.unwrap().status, 200);
    let received = server.received();
    let sent = |at: usize| -> Vec<(&str, &str)> {
        received[at].fields.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    };
    let bearer = format!("Bearer {SECRET}");
    let expected = [("authorization", bearer.as_str()), ("accept-encoding", "br"), ("x-team", "blue")];
    assert_eq!(sent(0), expected);
    assert_eq!(sent(1), [("authorization", "Bearer outcall-secret-key")]);
    std::fs::remove_file(keyed.directory.path().join("key")).unwrap();
    let failed = agent.get("/x").await.unwrap();
    assert_eq!(reason(&failed), (502, "", "secret_unavailable"));
    assert_eq!(agent.get("/plain").await.unwrap().status, 200);
    assert_eq!(server.received().len(), 3);
    keyed.inner.world.assert_refusals(&[("team", "secret_unavailable")]);
}

#[tokio::test]
async fn an_echo_is_taken_out_of_fields_data_and_trailers() {
    let keyed = Keyed::new(RULES).await;
    let text = format!("{{\"echo\": \"{SECRET}\"}}");
    for size in [1, 5, 1000] {
        let answer = Answered {
            fields: vec![("x-echo", SECRET.into()), ("content-length", text.len().to_string()), ("x-ok", "1".into())],
            data: text.as_bytes().chunks(size).map(<[u8]>::to_vec).collect(),
            trailers: Some(("x-sum", format!("of {SECRET}"))),
        };
        let got = get_of(&keyed, answer).await.unwrap();
        assert_eq!(got.body, format!("{{\"echo\": \"{MARKER}\"}}"));
        assert_eq!((field(&got, "x-echo"), field(&got, "x-ok")), (Some(MARKER), Some("1")));
        assert_eq!(field(&got, "content-length"), None);
        assert_eq!(got.trailers.unwrap()["x-sum"], format!("of {MARKER}"));
    }
    for (coding, name) in [(Coding::Gzip, "gzip"), (Coding::Brotli, "br"), (Coding::Zstd, "zstd")] {
        let data = encoded(coding, text.as_bytes()).chunks(7).map(<[u8]>::to_vec).collect();
        let fields = vec![("content-encoding", name.into()), ("etag", "\"x\"".into())];
        let got = get_of(&keyed, Answered { fields, data, trailers: None }).await.unwrap();
        assert_eq!(got.body, format!("{{\"echo\": \"{MARKER}\"}}"), "{name}");
        assert_eq!((field(&got, "content-encoding"), field(&got, "etag")), (None, Some("W/\"x\"")));
    }
    let unknown =
        Answered { fields: vec![("content-encoding", "dcz".into())], data: vec![b"x".to_vec()], trailers: None };
    assert_eq!(reason(&get_of(&keyed, unknown).await.unwrap()), (502, "", "body_decode_failed"));
    let broken =
        Answered { fields: vec![("content-encoding", "gzip".into())], data: vec![b"x".to_vec()], trailers: None };
    assert_eq!(get_of(&keyed, broken).await.unwrap_err().reason(), Some(Code::INTERNAL_ERROR));
    let refusals = [("default", "body_decode_failed"); 2];
    keyed.inner.world.assert_refusals(&refusals);
}

#[tokio::test]
async fn what_is_set_does_not_come_in_trailers() {
    let keyed = Keyed::new(RULES).await;
    let server = Server::echo(&keyed.inner).await;
    for (name, passes) in [("x-sum", true), ("x-team", false), ("x_team", false)] {
        let mut agent = Agent::open(&keyed.inner, server.port()).await;
        let before = server.received().len();
        let (answer, mut sender) = agent.begin(agent.request("POST", "/"), false).await;
        sender.send_data(Bytes::from_static(b"x"), false).unwrap();
        sender.send_trailers(HeaderMap::from_iter([(name.parse().unwrap(), "theirs".parse().unwrap())])).unwrap();
        let status = answer.await.map(|answer| answer.status().as_u16());
        assert_eq!(status.as_ref().is_ok_and(|status| *status == 200), passes, "{name}: {status:?}");
        assert_eq!(server.received().len() - before, usize::from(passes), "{name}");
    }
}

#[tokio::test]
async fn early_hints_show_nothing() {
    let keyed = Keyed::new(RULES).await;
    let server = answering(&keyed, Answered::default()).await;
    let mut agent = Agent::open(&keyed.inner, server.port()).await;
    let request = agent.request("GET", "/");
    let (mut response, _) = agent.begin(request, true).await;
    let hint = poll_fn(|context| response.poll_informational(context)).await.unwrap().unwrap();
    assert_eq!(hint.headers()["link"], format!("<{MARKER}>"));
    assert_eq!(got(response).await.unwrap().status, 200);
}

#[tokio::test]
async fn grpc_and_websockets_pass_until_they_show_the_secret() {
    let keyed = Keyed::new(RULES).await;
    let grpc = |data: &[&str]| Answered {
        fields: vec![("content-type", "application/grpc+proto".into())],
        data: data.iter().map(|piece| piece.as_bytes().to_vec()).collect(),
        trailers: Some(("grpc-status", "0".into())),
    };
    let got_fine = get_of(&keyed, grpc(&["\0\0\0\0\u{3}", "abc"])).await.unwrap();
    assert_eq!(
        (got_fine.body.as_str(), &got_fine.trailers.unwrap()["grpc-status"]),
        ("\0\0\0\0\u{3}abc", &"0".parse().unwrap())
    );
    let (first, second) = SECRET.split_at(7);
    let cut = get_of(&keyed, grpc(&["\0\0\0\0\u{20}it is ", first, second, " really"])).await;
    assert_eq!(cut.unwrap_err().reason(), Some(Code::INTERNAL_ERROR));
    let server =
        answering(&keyed, Answered { data: vec![format!("hi {SECRET}").into_bytes()], ..Answered::default() }).await;
    let mut agent = Agent::open(&keyed.inner, server.port()).await;
    // A sibling first, so that the server's settings have been seen.
    assert_eq!(agent.get("/").await.unwrap().body, format!("hi {MARKER}"));
    eventually(|| agent.requests.is_extended_connect_protocol_enabled()).await;
    let request = agent.request("CONNECT", "/ws").header("sec-websocket-extensions", "permessage-deflate");
    let request = request.extension(h2::ext::Protocol::from_static("websocket"));
    let (response, _sender) = agent.begin(request, false).await;
    // The reset may overtake what came before it.
    let cut = got(response).await.unwrap_err();
    assert_eq!(cut.reason(), Some(Code::INTERNAL_ERROR));
    assert!(!server.received()[1].fields.contains_key("sec-websocket-extensions"));
    keyed.inner.world.assert_refusals(&[("default", "secret_echoed"); 2]);
}
