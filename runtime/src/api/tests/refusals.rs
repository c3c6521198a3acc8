//! What no endpoint takes: walked over the whole table.

use outcall_schema::api::{Door, ENDPOINTS, EndpointRow, Gives, Method, UPLOAD_TYPE};

use super::*;

/// The rows of this socket.
fn rows() -> impl Iterator<Item = &'static EndpointRow> {
    ENDPOINTS.iter().filter(|row| row.door() == Door::Operator)
}

/// A body that the endpoint takes, with its type.
fn good(row: &EndpointRow) -> (&'static str, &'static str) {
    match (row.takes, row.endpoint) {
        (Takes::Nothing, _) => ("text/plain", ""),
        (Takes::Upload, _) => (UPLOAD_TYPE, "OUTCBNDL"),
        (Takes::Json, Endpoint::RuleEvaluate) => (JSON_TYPE, r#"{"context":{"http":{"host":"a.example"}}}"#),
        (Takes::Json, Endpoint::DnsTest) => (JSON_TYPE, r#"{"name":"a.example"}"#),
        (Takes::Json, Endpoint::AgentsAttach | Endpoint::AgentsDetach) => (JSON_TYPE, r#"{"name":"a"}"#),
        (Takes::Json, Endpoint::NetworkCreate | Endpoint::NetworkDestroy) => (JSON_TYPE, r#"{"name":"web"}"#),
        (Takes::Json, Endpoint::ContainerCreate) => (JSON_TYPE, r#"{"name":"web-1","image":"debian:12"}"#),
        (Takes::Json, Endpoint::ContainerStop | Endpoint::ContainerRemove) => (JSON_TYPE, r#"{"name":"web-1"}"#),
        (Takes::Json, Endpoint::ContainerPull) => (JSON_TYPE, r#"{"image":"debian:12"}"#),
        (Takes::Json, other) => panic!("{other:?} has no body to try"),
    }
}

fn request(row: &EndpointRow, query: &str, content_type: &str, body: &str) -> String {
    let (method, path, length) = (row.method.name(), row.path_of("web"), body.len());
    let query = if row.named() && query.is_empty() { "?name=web" } else { query };
    format!(
        "{method} {path}{query} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

fn served() -> Served {
    Served::with(LIMITS, |api| api.intercepting(Some(interception())).of_host(hosted::Recorded::host()))
}

#[tokio::test]
async fn every_endpoint_takes_what_it_takes() {
    let served = served();
    for row in rows().filter(|row| row.gives != Gives::Events) {
        let (content_type, body) = good(row);
        let expected = if row.takes == Takes::Upload { 422 } else { 200 };
        let (status, answer) = served.send(request(row, "", content_type, body)).await;
        assert_eq!(status, expected, "{}: {answer}", row.path);
        let document: Value = match row.gives {
            Gives::Metrics => continue,
            Gives::Document | Gives::Data | Gives::Events => serde_json::from_str(&answer).unwrap(),
        };
        assert_eq!(document.get("success").is_some(), row.gives == Gives::Data, "{}", row.path);
    }
}

#[tokio::test]
async fn every_endpoint_refuses_other_methods_and_paths() {
    let served = served();
    for row in rows() {
        let (name, path) = (row.method.name(), row.path_of("web"));
        let other = if row.method == Method::Get { "POST" } else { "GET" };
        for method in [other, "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X"] {
            let asked = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            let answer = served.raw(&asked).await;
            assert!(
                answer.starts_with("HTTP/1.1 405 ") && answer.contains(&format!("\r\nAllow: {name}\r\n")),
                "{answer}"
            );
            served.check_refused(asked, 405, &format!("asked with {name}")).await;
        }
        assert_eq!(served.ask(&format!("HEAD {path}")).await, (405, String::new()));
        let upper = path.replacen("api", "API", 1).replacen("metrics", "Metrics", 1);
        for path in [format!("{path}/"), format!("/{path}"), upper, format!("{path}/x")] {
            served.check_refused(format!("{name} {path} HTTP/1.1\r\nHost: x\r\n\r\n"), 404, "no such path").await;
        }
    }
}

#[tokio::test]
async fn every_endpoint_refuses_parameters_that_it_does_not_know_or_that_have_two_readings() {
    let served = served();
    for row in rows() {
        let (content_type, body) = good(row);
        let why = match (row.flag, row.named()) {
            (Some(_), _) => "the only parameter",
            (None, true) => "say of what with ?name=NAME",
            (None, false) => "no parameters",
        };
        let flag = row.flag.unwrap_or("entries");
        for query in [
            "?x=1".to_owned(),
            "?".to_owned(),
            format!("?{flag}"),
            format!("?{flag}=1"),
            format!("?{flag}=true&{flag}=false"),
            format!("?{flag}=true&"),
            format!("?{flag}=tru%65"),
            format!("?{flag}=TRUE"),
            "?name=a&name=b".to_owned(),
            "?name=".to_owned(),
            "?name=..%2fa".to_owned(),
            "?name=a%20b".to_owned(),
        ] {
            served.check_refused(request(row, &query, content_type, body), 400, why).await;
        }
    }
}

#[tokio::test]
async fn every_endpoint_refuses_bodies_that_it_does_not_take() {
    let served = served();
    let long = "a".repeat(outcall_schema::api::BODY_MAX + 1);
    for row in rows() {
        let (content_type, body) = good(row);
        let check = |content_type: &str, body: &str, status, why: &'static str| {
            let asked = request(row, "", content_type, body);
            let served = &served;
            async move { served.check_refused(asked, status, why).await }
        };
        match row.takes {
            Takes::Nothing => {
                for body in ["{\"a\":1}", "[]", "null", "{", "\0", "{} {}", "{\"a\":1,\"a\":1}"] {
                    check(JSON_TYPE, body, 400, "no body").await;
                }
                check(JSON_TYPE, &long, 413, "at most 65536").await;
            }
            Takes::Json => {
                for broken in
                    ["", "{", "\0", "[]", "null", "1", "\"x\"", "{} {}", "{}", "\u{feff}{}", "{\"nonsense\":1}"]
                {
                    check(content_type, broken, 400, "the body cannot be used").await;
                }
                let added = body.replacen('{', "{\"nonsense\":1,", 1);
                check(content_type, &added, 400, "unknown field `nonsense`").await;
                let twice = body.replacen(
                    '{',
                    &format!(
                        "{},",
                        body.trim_end_matches('}').replacen(
                            "{\"context\":{\"http\":{\"host\":\"a.example\"",
                            "{\"context\":{}",
                            1
                        )
                    ),
                    1,
                );
                check(content_type, &twice, 400, "given twice").await;
                let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
                check(content_type, &deep, 400, "the body cannot be used").await;
                check(content_type, &long, 413, "at most 65536").await;
            }
            Takes::Upload => {
                for broken in ["", "x", "OUTCBNDL", "{}"] {
                    check(content_type, broken, 422, "cannot be used").await;
                }
                let head = format!("POST {} HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\n", row.path);
                let large = outcall_schema::api::UPLOAD_MAX + 1;
                served.check_refused(format!("{head}Content-Length: {large}\r\n\r\n"), 413, "at most 536870912").await;
            }
        }
        if row.takes != Takes::Nothing {
            for other in [
                "text/plain",
                "",
                "application/json2",
                "application/json; charset=latin1",
                "application/json, application/json",
            ] {
                check(other, body, 415, "Content-Type").await;
            }
            let head = format!("POST {} HTTP/1.1\r\nHost: x\r\n", row.path);
            served.check_refused(format!("{head}\r\n"), 415, "Content-Type").await;
            let twice = format!("{head}Content-Type: {content_type}\r\nContent-Type: {content_type}\r\n\r\n");
            served.check_refused(twice, 415, "Content-Type").await;
        }
    }
}

#[tokio::test]
async fn what_is_for_agents_is_asked_for_at_their_socket_alone() {
    let served = served();
    for row in ENDPOINTS.iter().filter(|row| row.door() == Door::Agents) {
        let (status, answer) = served.send(request(row, "", JSON_TYPE, "{}")).await;
        assert!(status == 404 && answer.contains("no such path"), "{}: {status} {answer}", row.path);
    }
}

#[tokio::test]
async fn the_character_set_that_json_has_anyway_may_be_said() {
    let served = served();
    let row = Endpoint::DnsTest.row();
    for content_type in ["application/json;charset=UTF-8", "Application/JSON ; charset=utf-8", "application/json;"] {
        assert_eq!(served.send(request(row, "", content_type, good(row).1)).await.0, 200, "{content_type}");
    }
}

#[tokio::test]
async fn what_needs_a_host_is_missing_where_there_is_none() {
    let served = Served::with(LIMITS, |api| api);
    for row in rows().filter(|row| row.behind == outcall_schema::api::Behind::Host) {
        let (content_type, body) = good(row);
        let (status, answer) = served.send(request(row, "", content_type, body)).await;
        assert!(status == 404 && answer.contains("no host behind this socket"), "{}: {status} {answer}", row.path);
    }
    let (status, answer) = served.post("/api/v1/rule/test", r#"{"expression":"true","context":{}}"#).await;
    assert!(status == 404 && answer.contains("outcall rules test"), "{status} {answer}");
}

#[tokio::test]
async fn ten_thousand_connections_leave_it_as_it_was() {
    let served = served();
    // What is sent, and whether the answer is waited for: all of it costs a place at most for a moment.
    for at in 0..10_000 {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        match at % 4 {
            0 => drop(stream.write_all(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n").await),
            1 => drop(stream.write_all(b"POST /api/v1/dns/te").await),
            2 => drop(stream.write_all(b"\0\0\0\0").await),
            _ => {}
        }
        if at % 1_000 == 0 {
            assert_eq!(served.ask("GET /api/v1/health").await.0, 200);
        }
    }
    assert_eq!(served.ask("GET /api/v1/health").await.0, 200);
}
