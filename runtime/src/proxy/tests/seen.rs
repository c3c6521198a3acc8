//! What is written and counted of requests inside TLS: one record each, whatever becomes of them, and nothing secret.

use outcall_schema::api::intercept::Today;

use super::inside::{Inner, RULES, get};
use super::*;

/// Waits until there are so many records, and asserts that the counters agree with them.
pub(super) async fn seen(inner: &Inner, protocol: &str, count: usize) -> Vec<Value> {
    eventually(|| inner.world.records().len() >= count).await;
    let records = inner.world.records();
    assert_eq!(records.len(), count, "{records:#?}");
    let blocked = records.iter().filter(|record| record["decision"] == "block").count();
    let today = inner.world.context.interception.as_ref().unwrap().counters().today();
    assert_eq!(today, Today { intercepted_today: count as u64, blocked_today: blocked as u64 });
    for record in &records {
        assert_eq!(
            (&record["subsystem"], &record["layer"]),
            (&"proxy_intercept".into(), &"https".into()),
            "{record:#}"
        );
        assert_eq!(record["protocol"], protocol);
        let timings = record["timings"].as_object().unwrap();
        let [decided, total] = ["decided_us", "total_us"].map(|name| timings[name].as_u64().unwrap());
        let answered = timings.get("answered_us").map_or(decided, |time| time.as_u64().unwrap());
        assert!(decided <= answered && answered <= total, "{record:#}");
    }
    records
}

/// `GET /path by rule: decision reason status bytes`.
fn line(record: &Value) -> String {
    let http = &record["request"]["http"];
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    format!(
        "{} {} by {}: {} {} {} {}",
        text(&http["method"]),
        text(&http["path"]),
        text(&record["rule"]),
        text(&record["decision"]),
        text(&record["reason"]),
        record["status"],
        record["body_bytes"]
    )
}

pub(super) fn lines(records: &[Value]) -> Vec<String> {
    records.iter().map(line).collect()
}

#[tokio::test]
async fn each_request_leaves_one_record_with_its_rule_status_size_and_times() {
    let inner = Inner::new(RULES).await;
    let upstream = inner.upstream(|_| OK.to_owned()).await;
    let port = upstream.port();
    let mut client = inner.open(port).await;
    let head = |line: &str, more: &str| format!("{line} HTTP/1.1\r\nHost: a.example:{port}\r\n{more}\r\n");
    client.ask(&head("GET /a?q=1", "Authorization: Bearer hush\r\n")).await;
    client.ask(&get(port, "/secret/1")).await;
    let chunks = "3\r\nabc\r\n4;x=y\r\nhush\r\n0\r\n\r\n";
    client.ask(&(head("POST /b", "X-Mark: hush\r\nTransfer-Encoding: chunked\r\n") + chunks)).await;
    client.ask(&(head("PUT /c", "Content-Length: 10\r\n") + "yes please")).await;
    client.ask(&(head("PUT /d", "Content-Length: 4\r\n") + "hush")).await;
    client.ask(&head("GET /e", "Host: b.example\r\n")).await;
    let records = seen(&inner, "http/1.1", 6).await;
    let expected = [
        "GET /a?q=1 by read: allow allowed 200 0",
        "GET /secret/1 by no-secret: block blocked_by_rule 403 0",
        "POST /b by marked: allow allowed 200 7",
        "PUT /c by said: allow allowed 200 10",
        "PUT /d by default: block no_rule_allows 403 4",
        "- - by default: block ambiguous_request 400 0",
    ];
    assert_eq!(lines(&records), expected);
    assert_eq!(records[0]["request"]["http"]["host"], "a.example");
    assert_eq!(
        (&records[2]["request"]["http"]["body_size"], &records[3]["request"]["http"]["body_size"]),
        (&(-1).into(), &10.into())
    );
    assert!(records[0]["timings"]["answered_us"].is_u64() && records[1]["timings"]["answered_us"].is_null());
    let all = format!("{records:?}");
    assert!(!all.contains("hush") && !all.contains("please"), "{all}");
    assert_eq!(inner.world.passed(), 3);
}

#[tokio::test]
async fn what_fails_on_the_way_is_one_record_and_says_what_the_agent_got() {
    let inner = Inner::new(RULES).await;
    let answer = |request: &str| match request.split(' ').nth(1) {
        Some("/nonsense") => "nonsense\r\n\r\n".to_owned(),
        Some("/torn") => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n0\r\n\r\n".to_owned(),
        // Its beginning is passed on by the time that the rest is seen.
        Some("/late") => {
            let chunk = "x".repeat(40_000);
            format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9c40\r\n{chunk}\r\nzz\r\n0\r\n\r\n")
        }
        _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nshort".to_owned(),
    };
    let upstream = inner.upstream(answer).await;
    for path in ["/nonsense", "/torn", "/late", "/short"] {
        let mut client = inner.open(upstream.port()).await;
        let host = format!("Host: a.example:{}\r\n", upstream.port());
        client.send(format!("GET {path} HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).await;
        client.rest().await;
    }
    let records = seen(&inner, "http/1.1", 4).await;
    let expected = [
        "GET /nonsense by default: block upstream_malformed 502 0",
        "GET /torn by default: block upstream_malformed 502 0",
        "GET /late by default: block upstream_malformed 200 0",
        "GET /short by read: allow allowed 404 0",
    ];
    assert_eq!(lines(&records), expected);
    assert!(records[0]["timings"]["decided_us"].as_u64() < records[0]["timings"]["total_us"].as_u64());
}

#[tokio::test]
async fn what_the_agent_leaves_is_written_when_it_ends() {
    let inner = Inner::new(RULES).await;
    let silent =
        inner.upstream(|request| if request.starts_with("GET /switch") { SWITCH } else { "" }.to_owned()).await;
    let mut client = inner.open(silent.port()).await;
    let host = format!("Host: a.example:{}\r\n", silent.port());
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET /switch HTTP/1.1\r\n{host}{upgrade}\r\n")).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 101 "));
    let counted = || inner.world.context.interception.as_ref().unwrap().counters().today().intercepted_today;
    assert_eq!((counted(), inner.world.records().len()), (1, 0), "it is counted, and not over");
    drop(client);
    let records = seen(&inner, "http/1.1", 1).await;
    assert_eq!(lines(&records), ["GET /switch by read: allow allowed 101 0"]);

    let mut client = inner.open(silent.port()).await;
    client.send(format!("POST /up HTTP/1.1\r\n{host}X-Mark: 1\r\nContent-Length: 100\r\n\r\nabc")).await;
    eventually(|| counted() == 2).await;
    drop(client);
    let records = seen(&inner, "http/1.1", 2).await;
    assert_eq!(lines(&records[1..]), ["POST /up by marked: allow allowed null 3"]);

    // One that is cut off as the proxy ends.
    let mut client = inner.open(silent.port()).await;
    client.send(get(silent.port(), "/never")).await;
    eventually(|| silent.received().iter().any(|request| request.starts_with("GET /never"))).await;
    inner.world.serving.abort();
    let records = seen(&inner, "http/1.1", 3).await;
    assert_eq!(lines(&records[2..]), ["GET /never by read: allow allowed null 0"]);
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[tokio::test]
async fn requests_in_the_clear_and_tunnels_are_written_as_before() {
    let world = World::new(&usual_rules()).await;
    let upstream = Upstream::ok().await;
    let mut client = world.client().await;
    for path in ["/", "/secret"] {
        let host = format!("a.example:{}", upstream.port());
        client.ask(&format!("GET http://{host}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    }
    let records = world.records();
    assert_eq!(records.len(), 1, "{records:?}");
    assert!(records[0].get("subsystem").is_none() && records[0].get("timings").is_none(), "{records:?}");
    assert_eq!(world.passed(), 1);
}
