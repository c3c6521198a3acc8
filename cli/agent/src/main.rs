//! The shim: what runs beside an agent and asks the daemon of its host, on the agents' socket.
//!
//! It is there in every container of an agent's, also in those with nothing else, so it is built to need nothing: it is linked
//! statically for them (`packaging/agent/build`), reads no file and starts nothing but what it is given.
//!
//! Invariant: nothing is permitted without an answer that says so.
#![forbid(unsafe_code)]

mod ask;
mod words;

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use serde_json::{Map, Value, json};

use self::ask::{Answer, ask};
use self::words::{Asked, Check, Words};

/// It was not permitted, or the daemon does not answer such a thing.
const REFUSED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;
/// The daemon was not reached, or what it said is no answer.
const UNREACHED: u8 = 5;
/// A program cannot be run, and there is none, as shells say it.
const CANNOT_RUN: u8 = 126;
const NO_PROGRAM: u8 = 127;

fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os().skip(1).collect()))
}

fn run(given: Vec<OsString>) -> u8 {
    let words = match Words::read(given) {
        Ok(words) => words,
        Err(why) => {
            say(&why);
            return USAGE;
        }
    };
    match words.asked {
        Asked::Help => {
            print(words::HELP);
            0
        }
        Asked::Version => {
            print(&format!("outcall-agent {}\n", env!("CARGO_PKG_VERSION")));
            0
        }
        Asked::Checkin => match ask(&words.socket, "/v1/checkin", b"") {
            Ok(Answer { status: 200, body }) => {
                print(&if words.json { format!("{body}\n") } else { checked_in(&body) });
                0
            }
            other => failed(other),
        },
        Asked::Check(check) => match permitted(&words.socket, &check) {
            Ok(body) => {
                let allowed = is_allowed(&body);
                if words.json {
                    print(&format!("{body}\n"));
                } else if allowed {
                    print(&format!("Allowed by {}.\n", text(&body, "matched_rule")));
                } else {
                    say(&refusal(&body));
                }
                if allowed { 0 } else { REFUSED }
            }
            Err(status) => status,
        },
        Asked::Exec { action, command } => exec(&words.socket, action, command),
    }
}

/// Asks, and runs the program in the place of this one where it may.
fn exec(socket: &std::path::Path, action: &'static str, command: Vec<OsString>) -> u8 {
    let mut texts = Vec::new();
    for word in &command {
        let Some(text) = word.to_str() else {
            // What is not UTF-8 cannot be asked about as it is, and nothing else is asked about in its place.
            say("a word of the command is not UTF-8, and cannot be asked about");
            return REFUSED;
        };
        texts.push(text.to_owned());
    }
    let (Some(target), Some(program)) = (texts.first().cloned(), command.first()) else { return USAGE };
    let mut check = Check { action, target, metadata: Map::new() };
    check.metadata.insert("args".to_owned(), texts.into_iter().skip(1).collect::<Vec<String>>().into());
    if let Some(cwd) = std::env::current_dir().ok().and_then(|cwd| Some(cwd.to_str()?.to_owned())) {
        check.metadata.insert("cwd".to_owned(), cwd.into());
    }
    match permitted(socket, &check) {
        Ok(body) if is_allowed(&body) => {}
        Ok(body) => {
            say(&refusal(&body));
            return REFUSED;
        }
        Err(status) => return status,
    }
    let error = Command::new(program).args(command.iter().skip(1)).exec();
    say(&format!("cannot run {}: {error}", program.to_string_lossy()));
    if error.kind() == std::io::ErrorKind::NotFound { NO_PROGRAM } else { CANNOT_RUN }
}

/// The daemon's answer to a check, or the status to end with.
fn permitted(socket: &std::path::Path, check: &Check) -> Result<Value, u8> {
    let body = json!({ "action_type": check.action, "target": check.target, "metadata": check.metadata });
    match ask(socket, "/v1/permissions/check", body.to_string().as_bytes()) {
        Ok(Answer { status: 200, body }) if body.get("allowed").is_some_and(Value::is_boolean) => Ok(body),
        other => Err(failed(other)),
    }
}

/// Says why there is no answer, and how to end.
fn failed(answer: Result<Answer, String>) -> u8 {
    match answer {
        Ok(Answer { status: 200, .. }) => {
            say("what outcalld says is no answer");
            UNREACHED
        }
        Ok(Answer { body, .. }) => {
            say(&text(&body, "error"));
            REFUSED
        }
        Err(why) => {
            say(&why);
            UNREACHED
        }
    }
}

fn is_allowed(body: &Value) -> bool {
    body.get("allowed").and_then(Value::as_bool) == Some(true)
}

fn refusal(body: &Value) -> String {
    format!("Blocked by outcall: {} ({})", text(body, "matched_rule"), text(body, "reason"))
}

fn checked_in(body: &Value) -> String {
    let dns: Vec<String> = body.get("dns").and_then(Value::as_array).into_iter().flatten().map(shown).collect();
    let rows = [
        ("name", text(body, "name")),
        ("agent", text(body, "agent")),
        ("kind", text(body, "kind")),
        ("addresses", [text(body, "ipv4"), text(body, "ipv6")].join(" ").trim().to_owned()),
        ("names at", dns.join(" ")),
        ("proxy", text(body, "proxy_url")),
        ("policy", text(body, "policy_digest")),
    ];
    rows.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect()
}

fn text(body: &Value, member: &str) -> String {
    body.get(member).map(shown).unwrap_or_default()
}

/// A text without what would drive the terminal that it is read on.
fn shown(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

fn print(text: &str) {
    // Nobody reads it any more: the status still says it.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn say(why: &str) {
    let _ = writeln!(std::io::stderr(), "outcall-agent: {why}");
}
