//! Invariant 9: a change of policy ends what the new one does not allow, and leaves the rest alone.

use std::collections::HashMap;
use std::sync::RwLock;

use super::http2::{ALL, Agent, Server, drain};
use super::inside::Inner;
use super::*;
use crate::identity::Identify;
use bytes::Bytes;

/// Shorter than the second that an operator is promised.
const SOON: Duration = Duration::from_millis(900);

fn addresses(ports: &[u16]) -> String {
    let rule =
        |port: &u16| allow(&format!("raw-{port}"), &format!("network.ip == \"127.0.0.1\" && network.port == {port}"));
    format!("rules:\n{}", ports.iter().map(rule).collect::<String>())
}

/// Says something over a relay and hears it back.
async fn speaks(client: &mut Client, words: &str) {
    client.send(format!("{words}\r\n")).await;
    assert_eq!(client.until("\r\n").await, format!("{words}\r\n"));
}

#[tokio::test]
async fn invariant_9_relays_end_where_the_new_policy_would_not_open_them() {
    let (one, other) = (Upstream::echo().await, Upstream::echo().await);
    let world = World::new(&addresses(&[one.port(), other.port()])).await;
    let (mut to_one, mut to_other) = (world.redirected(one.address).await, world.redirected(other.address).await);
    speaks(&mut to_one, "SSH-2.0-x").await;
    speaks(&mut to_other, "SSH-2.0-y").await;
    // The same in other words changes nothing for either.
    world.change(&addresses(&[other.port(), one.port()]));
    speaks(&mut to_one, "more").await;
    world.change(&addresses(&[other.port()]));
    let ended = tokio::time::timeout(SOON, to_one.stream.read(&mut [0])).await.expect("the relay ends at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    speaks(&mut to_other, "still there").await;
    world.assert_refusals(&[("default", "raw_traffic")]);
    eventually(|| one.received().len() == 1).await;
    assert_eq!(one.received(), ["SSH-2.0-x\r\nmore\r\n"]);
}

#[tokio::test]
async fn invariant_9_a_response_that_is_on_its_way_ends() {
    // The first part of a response that never ends.
    let endless = |_: &str| "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin".to_owned();
    let upstream = Upstream::http(endless).await;
    let world = World::new(&usual_rules()).await;
    let mut clients = Vec::new();
    for host in ["a.example", "b.example"] {
        let mut client = world.client().await;
        let port = upstream.port();
        client.send(format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n")).await;
        client.until("begin").await;
        clients.push(client);
    }
    world.change(&format!("rules:\n{}", allow("web", "http.host == \"a.example\"")));
    let ended = tokio::time::timeout(SOON, clients[1].stream.read(&mut [0])).await.expect("the response ends at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let other = tokio::time::timeout(Duration::from_millis(100), clients[0].stream.read(&mut [0])).await;
    assert!(other.is_err(), "the other one goes on: {other:?}");
    world.assert_refusals(&[("default", "no_rule_allows")]);
}

#[tokio::test]
async fn invariant_9_a_stream_ends_and_its_siblings_go_on() {
    let inner = Inner::new(ALL).await;
    let held = |request: ::http::Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>| async move {
        let mut sender = respond.send_response(::http::Response::new(()), false)?;
        sender.send_data(Bytes::from_static(b"begin"), false)?;
        let mut body = request.into_body();
        let (rest, _) = drain(&mut body).await?;
        sender.send_data(rest.into(), true)
    };
    let server = Server::start(
        &inner,
        |builder| builder,
        Arc::new(move |request, respond, _| {
            tokio::spawn(async move {
                let _ = held(request, respond).await;
            })
        }),
    )
    .await;
    let mut agent = Agent::open(&inner, server.port()).await;
    let mut open = Vec::new();
    for path in ["/goes", "/stays"] {
        let request = agent.request("POST", path);
        let (response, sender) = agent.begin(request, false).await;
        let mut body = response.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "begin");
        open.push((body, sender));
    }
    let block = "  - { id: not-this, action: block, condition: 'http.path == \"/goes\"' }\n";
    inner.world.change(&ALL.replacen("rules:\n", &format!("rules:\n{block}"), 1));
    let (mut stays, mut sender) = open.pop().unwrap();
    let (mut goes, _) = open.pop().unwrap();
    let ended = tokio::time::timeout(SOON, goes.data()).await.expect("the stream ends at once");
    assert!(ended.unwrap().unwrap_err().is_reset());
    sender.send_data(Bytes::from_static(b" end"), true).unwrap();
    let (rest, _) = drain(&mut stays).await.unwrap();
    assert_eq!(rest, b" end");
    inner.world.assert_refusals(&[("not-this", "blocked_by_rule")]);
}

/// Agents by their address, until they are forgotten.
#[derive(Default)]
struct Known(RwLock<HashMap<std::net::IpAddr, Arc<str>>>);

impl Identify for Known {
    fn agent(&self, peer: SocketAddr) -> Arc<str> {
        self.0.read().unwrap().get(&peer.ip()).cloned().unwrap_or_default()
    }

    fn behind(&self, _: &str) -> Arc<str> {
        Arc::default()
    }
}

#[tokio::test]
async fn the_connections_of_an_agent_that_is_gone_end() {
    let upstream = Upstream::echo().await;
    let mut world = World::new(&addresses(&[upstream.port()])).await;
    let known = Arc::new(Known::default());
    known.0.write().unwrap().insert(Ipv4Addr::LOCALHOST.into(), "ci".into());
    world.context.identity = Arc::clone(&known) as crate::identity::Identity;
    let mut client = world.redirected(upstream.address).await;
    speaks(&mut client, "SSH-2.0-x").await;
    known.0.write().unwrap().clear();
    world.changed();
    let ended = tokio::time::timeout(SOON, client.stream.read(&mut [0])).await.expect("the connection ends at once");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}
