//! What endpoints tell where there is something to tell.

use outcall_schema::api::agents::{Agent, AgentKind, AgentRow};
use outcall_schema::api::dns::{CacheStatus, DnsStatus, DnsTested, DnsVerdict};
use outcall_schema::api::evaluate::{Decision, Evaluated};
use outcall_schema::api::process::{Health, Ready};
use outcall_schema::api::proxy::ProxyStatus;
use outcall_schema::api::rules::{Rule, RuleDetail};
use outcall_schema::decision::RuleIndex;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;

use super::*;
use crate::audit::Record;

/// Has the rule `web` decide once each way, and the default twice.
fn decide(audit: &Audit) {
    let snapshot = policy(RULES);
    let facts = Facts { agent_name: Fact::Known("ci"), http_host: Fact::Known("web.example"), ..Facts::default() };
    audit.record(&Record::allowed(&snapshot, Layer::Http, &facts, RuleIndex(1)));
    audit.record(&Record::refusal(&snapshot, Layer::Http, &facts, Some(RuleIndex(1)), Reason::UpstreamUnreachable));
    audit.record(&Record::refusal(&snapshot, Layer::Connect, &facts, None, Reason::NoRuleAllows));
    audit.record(&Record::refusal(&snapshot, Layer::Dns, &facts, None, Reason::NoRuleAllows));
}

#[tokio::test]
async fn rules_are_listed_in_evaluation_order_with_what_they_decided() {
    let served = Served::with(LIMITS, |api| api);
    decide(&served.audit);
    let rules: Vec<Rule> = served.data("GET /api/v1/rules").await;
    let shown: Vec<(&str, u32, i64, u64)> =
        rules.iter().map(|rule| (rule.id.as_str(), rule.line, rule.priority, rule.hits)).collect();
    assert_eq!(shown, [("no-admin", 3, 5, 0), ("web", 8, 100, 2), ("names", 12, 100, 0)]);
    assert_eq!((rules[0].description.as_str(), rules[0].file.as_str()), ("nobody's", "test.yaml"));
    assert_eq!(rules[1].condition_preview, "http.host == \"web.example\"");
    let detail: RuleDetail = served.data("GET /api/v1/rule/web").await;
    assert_eq!(detail.rule, rules[1]);
    assert_eq!((detail.position, detail.allowed, detail.blocked, detail.log), (2, 1, 1, true));
    assert!(detail.egress.is_some() && detail.condition.contains("web.example"));
    for id in ["nobody", "WEB", "web%20", "..", "default"] {
        let (status, answer) = served.ask(&format!("GET /api/v1/rule/{id}")).await;
        assert!(matches!(status, 400 | 404) && !answer.contains("web.example"), "{id}: {status} {answer}");
    }
}

#[tokio::test]
async fn a_described_request_is_decided_as_a_sent_one_would_be() {
    let served = Served::with(LIMITS, |api| api);
    for (body, decision, rule, layer, logged) in [
        (r#"{"http":{"host":"WEB.example."}}"#, Decision::Allow, "web", Layer::Connect, true),
        (r#"{"http":{"host":"other.example"}}"#, Decision::Block, "default", Layer::Connect, true),
        (
            r#"{"http":{"host":"web.example","path":"/admin","method":"GET","scheme":"http"}}"#,
            Decision::Block,
            "no-admin",
            Layer::Http,
            true,
        ),
        (r#"{"dns":{"query":"web.example"}}"#, Decision::Allow, "web", Layer::Dns, true),
        (r#"{"dns":{"query":"only.example","record_type":"TXT"}}"#, Decision::Allow, "names", Layer::Dns, false),
        (
            r#"{"network":{"ip":"192.0.2.1","port":22,"protocol":"tcp"}}"#,
            Decision::Block,
            "default",
            Layer::Network,
            true,
        ),
    ] {
        let answer: Evaluated = served.posted("/api/v1/rule/evaluate", &format!("{{\"context\":{body}}}")).await;
        let found = (answer.decision, answer.matched_rule.as_str(), answer.layer, answer.logged);
        assert_eq!(found, (decision, rule, layer, logged), "{body}");
        assert_eq!(answer.file.is_some(), rule != "default");
    }
    for (body, why) in [
        (r#"{"context":{}}"#, "which layer"),
        (r#"{"context":{"http":{"hots":"a"}}}"#, "is not a field"),
        (r#"{"context":{"nonsense":{}}}"#, "not a group"),
        (r#"{"context":{"http":{"host":"a"}},"layer":"nonsense"}"#, "unknown variant"),
        (r#"{"context":{"http":{"host":"a"}},"layer":"dns"}"#, "does not know"),
        (r#"{"context":{"dns":{"query":"a"},"http":{"host":"a"}}}"#, "does not know"),
        (r#"{"context":{"http":{"host":"a","host":"b"}}}"#, "given twice"),
    ] {
        let (status, answer) = served.post("/api/v1/rule/evaluate", body).await;
        assert!(status == 400 && answer.contains(why), "{body}: {status} {answer}");
    }
    assert_eq!(served.log(), Vec::<Value>::new(), "nothing was sent, so nothing is recorded");
}

#[tokio::test]
async fn a_name_is_judged_and_no_packet_is_sent_for_it() {
    let served = Served::with(LIMITS, |api| api);
    for (body, verdict, rule, implied, reason) in [
        (r#"{"name":"WEB.example."}"#, DnsVerdict::Resolve, "web", true, "allowed"),
        (r#"{"name":"only.example","record_type":"txt"}"#, DnsVerdict::Resolve, "names", false, "allowed"),
        (r#"{"name":"other.example"}"#, DnsVerdict::Nxdomain, "default", false, "no_rule_allows"),
        (
            r#"{"name":"web.example","record_type":"ANY"}"#,
            DnsVerdict::Refused,
            "default",
            false,
            "record_type_not_allowed",
        ),
    ] {
        let answer: DnsTested = served.posted("/api/v1/dns/test", body).await;
        let found = (answer.verdict, answer.matched_rule.as_str(), answer.implied, answer.reason.as_str());
        assert_eq!(found, (verdict, rule, implied, reason), "{body}");
        assert_eq!((answer.cached, answer.answer, answer.failure), (false, None, None));
    }
    // There is nobody to ask, which is told where somebody was to be asked.
    let answer: DnsTested = served.posted("/api/v1/dns/test", r#"{"name":"web.example","resolve":true}"#).await;
    assert_eq!((answer.verdict, answer.failure.as_deref()), (DnsVerdict::Resolve, Some("upstream_unreachable")));
    let refused: DnsTested = served.posted("/api/v1/dns/test", r#"{"name":"other.example","resolve":true}"#).await;
    assert_eq!((refused.verdict, refused.failure), (DnsVerdict::Nxdomain, None));
    for body in [
        r#"{"name":""}"#,
        r#"{"name":"a b"}"#,
        r#"{"name":"192.0.2.1"}"#,
        r#"{"name":"a","record_type":"NONSENSE"}"#,
        r#"{"name":"a","agent":"/"}"#,
        r#"{"name":"a","resolve":1}"#,
        r#"{"name":["a"]}"#,
    ] {
        assert_eq!(served.post("/api/v1/dns/test", body).await.0, 400, "{body}");
    }
}

#[tokio::test]
async fn what_is_told_of_the_process_is_so() {
    let served = Served::with(LIMITS, |api| api);
    decide(&served.audit);
    let health: Health = served.data("GET /api/v1/health").await;
    assert_eq!((health.pid, health.rules), (std::process::id(), 3));
    assert!(health.policy_digest.starts_with("sha256:") && health.started_at.ends_with('Z'));
    let ready: Ready = served.data("GET /api/v1/ready").await;
    assert_eq!(ready, Ready { ready: true, waiting_for: Vec::new() });
    let dns: DnsStatus = served.data("GET /api/v1/dns").await;
    assert_eq!((dns.running, dns.listen_address.as_str(), dns.listen_port), (true, "127.0.0.1", 53));
    assert_eq!(dns.queries_total, 0);
    let cache: CacheStatus = served.data("GET /api/v1/dns/cache").await;
    assert_eq!((cache.entries, cache.max_entries, cache.answers), (0, 65_536, None));
    assert_eq!(served.data::<CacheStatus>("GET /api/v1/dns/cache?entries=true").await.answers, Some(Vec::new()));
    assert_eq!(served.data::<CacheStatus>("GET /api/v1/dns/cache?entries=false").await.answers, None);
    assert_eq!(served.data::<Flushed>("POST /api/v1/dns/cache/flush").await, Flushed { evicted: 0 });
    let proxy: ProxyStatus = served.data("GET /api/v1/proxy").await;
    assert_eq!((proxy.total_requests, proxy.total_blocked, proxy.active_connections), (3, 2, 0));
    assert_eq!(proxy.proxy_url, "http://127.0.0.1:8080");
    assert_eq!(served.data::<Vec<AgentRow>>("GET /api/v1/agents").await, Vec::new());
}

#[tokio::test]
async fn what_does_not_listen_yet_is_not_ready_and_says_so() {
    let served = Served::with(LIMITS, |api| api.listening(Vec::new(), Vec::new()));
    let (status, answer) = served.ask("GET /api/v1/ready").await;
    let ready: Ready = serde_json::from_str::<ApiResponse<Ready>>(&answer).unwrap().data.unwrap();
    assert_eq!((status, ready.ready, ready.waiting_for.len()), (503, false, 2));
    let dns: DnsStatus = served.data("GET /api/v1/dns").await;
    assert!(!dns.running && dns.listening.is_empty());
    assert!(!served.data::<ProxyStatus>("GET /api/v1/proxy").await.running);
}

#[tokio::test]
async fn a_sandbox_has_its_one_agent() {
    let agent = Agent {
        name: "ci".to_owned(),
        agent: "ci".to_owned(),
        kind: AgentKind::Sandbox,
        port: None,
        mac: None,
        ipv4: None,
        ipv6: None,
        attached_at: "2026-01-01T00:00:00.000Z".to_owned(),
    };
    let served = Served::with(LIMITS, |api| api.of_sandbox(agent.clone()));
    decide(&served.audit);
    let agents: Vec<AgentRow> = served.data("GET /api/v1/agents").await;
    assert_eq!(agents, [AgentRow { agent, allowed: 1, blocked: 3 }]);
}

#[tokio::test]
async fn a_large_answer_arrives_whole_at_a_slow_reader() {
    let rule = |at: usize| {
        let description = "x".repeat(400);
        format!(
            "  - {{id: r{at}, action: allow, condition: 'http.host == \"h{at}.example\"', description: {description}}}\n"
        )
    };
    let text = format!("version: \"1\"\nrules:\n{}", (0..2_000).map(rule).collect::<String>());
    let served = Served::with(LIMITS, |api| Api { policy: in_force(policy(&text)), ..api });
    let mut stream = UnixStream::connect(&served.path).await.unwrap();
    stream.write_all(b"GET /api/v1/rules HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // More than the socket holds; longer than a refusal would be waited for to be read.
    stream.readable().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, body) = rest(stream).await;
    let rules: ApiResponse<Vec<Rule>> = serde_json::from_str(&body).unwrap();
    assert_eq!((status, rules.data.map(|rules| rules.len())), (200, Some(2_000)));
    assert!(body.len() > 1 << 20, "{}", body.len());
}
