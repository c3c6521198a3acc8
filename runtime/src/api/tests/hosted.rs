//! What is passed on to a host, and what comes back from it.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use outcall_schema::api::UPLOAD_TYPE;
use outcall_schema::api::agents::{Agent, AgentKind, AgentRow, Attach, Attached, Detach, Detached};
use outcall_schema::api::bridge::Bridge;
use outcall_schema::api::docker;
use outcall_schema::api::grants::{Grant, GrantsFlushed};
use outcall_schema::api::load::Loaded;
use outcall_schema::artifact::bundle::Bundle;

use super::*;

/// A host that does nothing but remember what it was asked for.
#[derive(Default)]
pub(super) struct Recorded {
    asked: Mutex<Vec<String>>,
    fails: Option<Failed>,
}

impl Recorded {
    pub(super) fn host() -> Arc<dyn Host> {
        Arc::new(Recorded::default())
    }

    fn done<T: Send + 'static>(&self, asked: String, data: T) -> Later<'_, T> {
        self.asked.lock().unwrap().push(asked);
        let done = self.fails.clone().map_or(Ok(data), Err);
        Box::pin(async { done })
    }
}

/// One of two counters of the same name.
fn counter(packets: u64, bytes: u64) -> Counter {
    Counter { name: "rule_web".to_owned(), packets, bytes }
}

fn bridge(up: bool) -> Bridge {
    Bridge {
        name: "outcall0".to_owned(),
        up,
        index: Some(7),
        nftables: true,
        mac: None,
        mtu: Some(1500),
        gateways: vec!["10.200.0.1/24".to_owned()],
        agents: 1,
    }
}

fn loaded() -> Loaded {
    Loaded {
        files_loaded: 1,
        rules_loaded: 3,
        warnings: Vec::new(),
        policy_digest: "sha256:1".to_owned(),
        replaced_digest: "sha256:0".to_owned(),
        connections_cut: 0,
    }
}

fn agent() -> Agent {
    Agent {
        name: "web-1".to_owned(),
        agent: "web".to_owned(),
        kind: AgentKind::Netns,
        port: Some("oc-web-1".to_owned()),
        mac: None,
        ipv4: Some(Ipv4Addr::new(10, 200, 0, 2)),
        ipv6: None,
        attached_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

fn grant() -> Grant {
    Grant {
        name: "web-1".to_owned(),
        agent: "web".to_owned(),
        src_ip: Ipv4Addr::new(10, 200, 0, 2).into(),
        destination: Ipv4Addr::new(192, 0, 2, 1).into(),
        protocol: "any".to_owned(),
        port: "22".to_owned(),
        rule: "git".to_owned(),
        host: "git.example".to_owned(),
        inserted_at: "2026-01-01T00:00:00.000Z".to_owned(),
        expires_in_secs: 60,
    }
}

fn docker_network(name: &str) -> docker::Network {
    docker::Network {
        name: name.to_owned(),
        id: "1".to_owned(),
        bridge: "outcall0".to_owned(),
        subnets: vec!["10.200.0.0/16".to_owned()],
        containers: 1,
    }
}

fn container(name: &str) -> docker::Container {
    docker::Container {
        name: name.to_owned(),
        id: "1".to_owned(),
        image: "debian:12".to_owned(),
        state: "running".to_owned(),
        guarded: true,
        agent: "web".to_owned(),
        ipv4: None,
        ipv6: None,
        port: None,
    }
}

impl Host for Recorded {
    fn bridge(&self) -> Later<'_, Bridge> {
        self.done("bridge".to_owned(), bridge(true))
    }

    fn bridge_up(&self) -> Later<'_, Bridge> {
        self.done("up".to_owned(), bridge(true))
    }

    fn bridge_down(&self) -> Later<'_, Bridge> {
        self.done("down".to_owned(), bridge(false))
    }

    fn load(&self, artifacts: Bundle) -> Later<'_, Loaded> {
        self.done(format!("load {} {}", artifacts.nft.len(), artifacts.signature.is_some()), loaded())
    }

    fn reload(&self) -> Later<'_, Loaded> {
        self.done("reload".to_owned(), loaded())
    }

    fn rollback(&self) -> Later<'_, Loaded> {
        self.done("rollback".to_owned(), loaded())
    }

    fn grants(&self) -> Later<'_, Vec<Grant>> {
        self.done("grants".to_owned(), vec![grant()])
    }

    fn flush_grants(&self) -> Later<'_, GrantsFlushed> {
        self.done("flush".to_owned(), GrantsFlushed { flushed: 1, connections_cut: 2 })
    }

    fn is_agent(&self, _: OwnedFd) -> Later<'_, bool> {
        Box::pin(async { Ok(true) })
    }

    fn agents(&self) -> Later<'_, Vec<Agent>> {
        self.done("agents".to_owned(), vec![agent()])
    }

    fn attach(&self, wanted: Attach) -> Later<'_, Attached> {
        let attached = Attached {
            name: wanted.name.clone(),
            agent: wanted.name.clone(),
            bridge: "outcall0".to_owned(),
            port: "oc-1".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            ipv4: Ipv4Addr::new(10, 200, 0, 2),
            ipv4_prefix: 24,
            ipv4_gateway: Ipv4Addr::new(10, 200, 0, 1),
            ipv6: None,
            ipv6_prefix: None,
            ipv6_gateway: None,
            mtu: 1500,
            resolver: Ipv4Addr::new(10, 200, 0, 1),
            proxy_url: "http://10.200.0.1:8080".to_owned(),
        };
        self.done(format!("attach {}", wanted.name), attached)
    }

    fn detach(&self, wanted: Detach) -> Later<'_, Detached> {
        self.done(format!("detach {}", wanted.name), Detached { name: wanted.name, warnings: Vec::new() })
    }

    fn networks(&self) -> Later<'_, Vec<docker::Network>> {
        self.done("networks".to_owned(), vec![docker_network("web")])
    }

    fn network_config(&self) -> Later<'_, docker::NetworkConfig> {
        let engine = docker::Engine { socket: None, connected: false, version: None, error: None };
        let config = docker::NetworkConfig {
            engine,
            bridge: "outcall0".to_owned(),
            subnet: "10.200.0.0/16".to_owned(),
            gateway: Ipv4Addr::new(10, 200, 0, 1),
            subnet6: None,
            gateway6: None,
            proxy_url: "http://10.200.0.1:8080".to_owned(),
        };
        self.done("network config".to_owned(), config)
    }

    fn network_create(&self, wanted: docker::NetworkCreate) -> Later<'_, docker::Network> {
        self.done(format!("network create {}", wanted.name), docker_network(&wanted.name))
    }

    fn network_destroy(&self, wanted: docker::NetworkDestroy) -> Later<'_, docker::Named> {
        self.done(format!("network destroy {} {}", wanted.name, wanted.force), docker::Named { name: wanted.name })
    }

    fn containers(&self) -> Later<'_, Vec<docker::Container>> {
        self.done("containers".to_owned(), vec![container("web-1")])
    }

    fn container(&self, name: String) -> Later<'_, docker::ContainerDetail> {
        let detail = docker::ContainerDetail {
            container: container(&name),
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
            command: Vec::new(),
            exit_code: None,
            memory_bytes: 0,
            pids: None,
            mounts: Vec::new(),
            excess: Vec::new(),
        };
        self.done(format!("container {name}"), detail)
    }

    fn container_logs(&self, name: String) -> Later<'_, docker::ContainerLogs> {
        self.done(format!("container logs {name}"), docker::ContainerLogs { name, text: "said\n".to_owned() })
    }

    fn container_create(&self, wanted: docker::ContainerCreate) -> Later<'_, docker::Container> {
        self.done(format!("container create {} {}", wanted.name, wanted.image), container(&wanted.name))
    }

    fn container_stop(&self, wanted: docker::ContainerStop) -> Later<'_, docker::Named> {
        self.done(format!("container stop {}", wanted.name), docker::Named { name: wanted.name })
    }

    fn container_remove(&self, wanted: docker::ContainerRemove) -> Later<'_, docker::Named> {
        self.done(format!("container remove {} {}", wanted.name, wanted.force), docker::Named { name: wanted.name })
    }

    fn container_pull(&self, wanted: docker::ContainerPull) -> Later<'_, docker::Named> {
        self.done(format!("container pull {}", wanted.image), docker::Named { name: wanted.image })
    }

    fn counters(&self) -> Later<'_, Vec<Counter>> {
        self.done("counters".to_owned(), vec![counter(1, 60), counter(2, 120)])
    }

    fn not_ready(&self) -> Vec<String> {
        self.fails.iter().map(|failed| failed.why.clone()).collect()
    }
}

fn served(fails: Option<Failed>) -> (Served, Arc<Recorded>) {
    let host = Arc::new(Recorded { asked: Mutex::default(), fails });
    let behind: Arc<dyn Host> = Arc::clone(&host) as Arc<dyn Host>;
    (Served::with(LIMITS, |api| api.of_host(behind)), host)
}

fn upload(bytes: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /api/v1/rules/artifacts HTTP/1.1\r\nHost: x\r\nContent-Type: {UPLOAD_TYPE}\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    [head.as_bytes(), bytes].concat()
}

#[tokio::test]
async fn what_a_host_does_is_passed_on_answered_and_written_down() {
    let (served, host) = served(None);
    assert_eq!(served.data::<Bridge>("GET /api/v1/bridge").await, bridge(true));
    assert_eq!(served.data::<Bridge>("POST /api/v1/bridge/down").await, bridge(false));
    assert_eq!(served.data::<Bridge>("POST /api/v1/bridge/up").await, bridge(true));
    assert_eq!(served.data::<Loaded>("POST /api/v1/rules/reload").await, loaded());
    assert_eq!(served.data::<Loaded>("POST /api/v1/rules/rollback").await, loaded());
    assert_eq!(served.data::<Vec<Grant>>("GET /api/v1/rules/active").await, [grant()]);
    let flushed: GrantsFlushed = served.data("POST /api/v1/rules/flush").await;
    assert_eq!(flushed, GrantsFlushed { flushed: 1, connections_cut: 2 });
    let agents: Vec<AgentRow> = served.data("GET /api/v1/agents").await;
    assert_eq!(agents, [AgentRow { agent: agent(), allowed: 0, blocked: 0 }]);
    assert_eq!(served.posted::<Attached>("/api/v1/agents/attach", r#"{"name":"web-1"}"#).await.name, "web-1");
    assert_eq!(served.posted::<Detached>("/api/v1/agents/detach", r#"{"name":"web-1"}"#).await.name, "web-1");
    // More than any other body, in pieces as they come.
    let bundle = Bundle { nft: vec![b'x'; 3 << 20], ..Bundle::default() };
    let (status, answer) = served.send(upload(&bundle.to_bytes())).await;
    assert_eq!(status, 200, "{answer}");
    let expected =
        "bridge|down|up|reload|rollback|grants|flush|agents|attach web-1|detach web-1|load 3145728 false".split('|');
    assert_eq!(*host.asked.lock().unwrap(), expected.collect::<Vec<_>>());
    let noted: Vec<(String, u64)> = served
        .log()
        .iter()
        .map(|line| (line["path"].as_str().unwrap().to_owned(), line["status"].as_u64().unwrap()))
        .collect();
    let paths = [
        "bridge/down",
        "bridge/up",
        "rules/reload",
        "rules/rollback",
        "rules/flush",
        "agents/attach",
        "agents/detach",
        "rules/artifacts",
    ];
    assert_eq!(noted, paths.map(|path| (format!("/api/v1/{path}"), 200)));
    assert_eq!(served.log()[0]["uid"], rustix::process::getuid().as_raw());
}

#[tokio::test]
async fn what_a_host_cannot_do_is_told_by_its_kind() {
    for (kind, expected) in
        [(Kind::Missing, 404), (Kind::Conflict, 409), (Kind::Unusable, 422), (Kind::Busy, 503), (Kind::Broken, 500)]
    {
        let (served, _) = served(Some(Failed::new(kind, "for a reason")));
        let (status, answer) = served.send(upload(&Bundle::default().to_bytes())).await;
        assert_eq!((status, answer.as_str()), (expected, "{\"success\":false,\"error\":\"for a reason\"}\n"));
        assert_eq!(served.log()[0]["why"], "for a reason");
        let (status, answer) = served.ask("GET /api/v1/ready").await;
        assert!(status == 503 && answer.contains("for a reason"), "{answer}");
    }
}

#[tokio::test]
async fn names_that_no_agent_has_do_not_reach_the_host() {
    let (served, host) = served(None);
    let long = "a".repeat(129);
    for name in ["", " ", "..", "-a", "a/b", "é", "a\u{0}", &long] {
        for path in ["attach", "detach"] {
            let body = serde_json::json!({ "name": name }).to_string();
            assert_eq!(served.post(&format!("/api/v1/agents/{path}"), &body).await.0, 400, "{name:?}");
        }
    }
    assert!(host.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn of_two_uploads_at_a_time_the_second_is_told_to_wait() {
    let (served, _) = served(None);
    let mut first = UnixStream::connect(&served.path).await.unwrap();
    let bytes = upload(&Bundle::default().to_bytes());
    let (head, rest) = bytes.split_at(bytes.len() - 1);
    first.write_all(head).await.unwrap();
    // The first is being read once the second is refused; until then it may still be on its way.
    let begun = Instant::now();
    while served.send(&bytes).await.0 != 503 {
        assert!(begun.elapsed() < PATIENCE);
    }
    first.write_all(rest).await.unwrap();
    assert_eq!(super::rest(first).await.0, 200);
    assert_eq!(served.send(&bytes).await.0, 200);
}

#[tokio::test]
async fn what_is_said_of_containers_and_networks_is_passed_on() {
    let (served, host) = served(None);
    for (path, body, asked) in [
        ("network/create", r#"{"name":"n"}"#, "network create n"),
        ("network/destroy", r#"{"name":"n","force":true}"#, "network destroy n true"),
        ("container/create", r#"{"name":"web-1","image":"debian"}"#, "container create web-1 debian"),
        ("container/stop", r#"{"name":"web-1"}"#, "container stop web-1"),
        ("container/remove", r#"{"name":"web-1"}"#, "container remove web-1 false"),
        ("container/pull", r#"{"image":"debian"}"#, "container pull debian"),
    ] {
        let (status, answer) = served.post(&format!("/api/v1/{path}"), body).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(host.asked.lock().unwrap().pop().unwrap(), asked);
    }
    for (path, asked) in [
        ("networks", "networks"),
        ("network?name=web", "networks"),
        ("network/config", "network config"),
        ("containers", "containers"),
        ("container?name=web-1", "container web-1"),
        ("container/logs?name=web-1", "container logs web-1"),
    ] {
        let (status, answer) = served.ask(&format!("GET /api/v1/{path}")).await;
        assert_eq!(status, 200, "{path}: {answer}");
        assert_eq!(host.asked.lock().unwrap().pop().unwrap(), asked);
    }
    assert_eq!(served.ask("GET /api/v1/network?name=other").await.0, 404);
}
