//! `outcall events` and `outcall metrics`: what a running `outcalld` decides, as it does.

use outcall_schema::api::Endpoint;
use serde_json::Value;

use crate::Exit;
use crate::daemon::{Daemon, Heed, printable};
use crate::output::{Output, complain};

/// Follow the audit records of a running outcalld, those of what passes too
///
/// It goes on until it is interrupted or outcalld ends. Where this reads too slowly it is told how many records were lost.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only what is refused
    #[arg(long)]
    blocked: bool,
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// End after so many records
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Print each record as a line of JSON
    #[arg(long)]
    json: bool,
}

/// Print the metrics of a running outcalld, as OpenMetrics text
#[derive(Debug, clap::Args)]
pub(crate) struct MetricsArgs {}

pub(crate) fn metrics(daemon: &Daemon, out: &mut Output) -> Exit {
    match daemon.text(Endpoint::Metrics) {
        Ok(text) => {
            out.text(text);
            Exit::Done
        }
        Err(why) => {
            complain(&why);
            why.exit()
        }
    }
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let mut event = String::new();
    let mut left = args.count.unwrap_or(u64::MAX);
    let done = daemon.follow(Endpoint::Events, |line| {
        if let Some(kind) = line.strip_prefix("event: ") {
            kind.clone_into(&mut event);
        }
        let Some(data) = line.strip_prefix("data: ") else { return Heed::More };
        match serde_json::from_str::<Value>(data) {
            Ok(data) if event == "gap" => {
                let lost = data.get("lost").and_then(Value::as_u64).unwrap_or(0);
                complain(format_args!("{lost} record(s) were lost: this reads too slowly"));
            }
            Ok(record) if wanted(&record, args) => {
                out.line(if args.json { data.to_owned() } else { shown(&record) });
                left = left.saturating_sub(1);
            }
            Ok(_) => {}
            Err(_) => complain("what was received is no record"),
        }
        // Whoever reads this wants it now, and a reader that is gone wants no more.
        if out.flush() && left > 0 { Heed::More } else { Heed::Enough }
    });
    match done {
        Ok(()) => Exit::Done,
        Err(why) => {
            complain(&why);
            why.exit()
        }
    }
}

fn wanted(record: &Value, args: &Args) -> bool {
    let blocked = record["decision"] == "block";
    let agent = args.agent.as_ref().is_none_or(|agent| record["agent"] == agent.as_str());
    agent && (blocked || !args.blocked)
}

/// One record on one line.
pub(crate) fn shown(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let time: String = text("time").chars().skip(11).take(12).collect();
    let Some(decision) = record["layer"].as_str().and(record["decision"].as_str()) else {
        let rest = record.as_object().map(|record| {
            let of_all = ["time", "subsystem", "event", "policy"];
            let rest = record.iter().filter(|(name, _)| !of_all.contains(&name.as_str()));
            rest.map(|(name, value)| format!(" {name}={value}")).collect::<String>()
        });
        return printable(&format!("{time} {} {}{}", text("subsystem"), text("event"), rest.unwrap_or_default()));
    };
    let place = match (record["file"].as_str(), record["line"].as_u64()) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        _ => String::new(),
    };
    let reason = if decision == "allow" { String::new() } else { format!(" {}", text("reason")) };
    let agent = record["agent"].as_str().filter(|agent| !agent.is_empty()).unwrap_or("-");
    let request = request(&record["request"]);
    let line = format!("{time} {decision:5} {:8} {agent} {request} by {}{place}{reason}", text("layer"), text("rule"));
    printable(&line)
}

/// What was asked for, in a few words.
pub(crate) fn request(request: &Value) -> String {
    let value = |namespace: &str, name: &str| request.get(namespace)?.get(name);
    let text = |namespace: &str, name: &str| value(namespace, name)?.as_str();
    if let Some(query) = text("dns", "query") {
        return format!("{query} {}", text("dns", "record_type").unwrap_or_default());
    }
    let host = text("http", "host").or(text("network", "hostname")).or(text("tls", "sni")).or(text("network", "ip"));
    let port = value("network", "port").and_then(Value::as_u64).map(|port| format!(":{port}")).unwrap_or_default();
    let method = text("http", "method").map(|method| format!("{method} ")).unwrap_or_default();
    let path = text("http", "path").filter(|_| text("http", "method") != Some("CONNECT")).unwrap_or_default();
    match host {
        Some(host) => format!("{method}{host}{port}{path}"),
        None => request.as_object().filter(|it| !it.is_empty()).map_or("-".to_owned(), |_| request.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_record_is_one_line_that_does_not_drive_the_terminal() {
        let check = |record: Value, expected: &str| assert_eq!(shown(&record), expected);
        check(
            json!({"time": "2026-01-02T03:04:05.678Z", "agent": "ci", "layer": "dns", "decision": "block", "rule": "default",
                "reason": "no_rule_allows", "request": {"dns": {"query": "a\u{1b}.example", "record_type": "A"}}}),
            "03:04:05.678 block dns      ci a?.example A by default no_rule_allows",
        );
        check(
            json!({"time": "2026-01-02T03:04:05.678Z", "agent": "", "layer": "https", "decision": "allow", "rule": "web",
                "file": "a.yaml", "line": 7, "request": {"http": {"host": "a.example", "method": "GET", "path": "/x"},
                "network": {"port": 443}}}),
            "03:04:05.678 allow https    - GET a.example:443/x by web (a.yaml:7)",
        );
        check(
            json!({"time": "2026-01-02T03:04:05.678Z", "subsystem": "api", "event": "operator_request", "policy": "p", "uid": 0}),
            "03:04:05.678 api operator_request uid=0",
        );
    }
}
