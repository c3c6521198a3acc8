//! `outcall doctor`: what this host lacks to guard agents, and the command that mends it.
//!
//! Invariant: nothing is changed here.

mod checks;
mod ports;
mod system;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::ValueEnum;
use outcall_schema::artifact::manifest::{Manifest, file};
use serde::Serialize;
use serde_json::json;

use self::checks::CHECKS;
use self::system::System;
use crate::Exit;
use crate::daemon::{Daemon, printable};
use crate::output::{Output, complain, wrapped};

/// Find what this host lacks, and say the command that mends it
///
/// Changes nothing. Exits with 0 when nothing that is needed is missing, else with 1. Some checks see more as root.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// For what
    #[arg(long = "for", value_enum, default_value_t, value_name = "USE")]
    purpose: Purpose,
    /// The artifacts that are to be enforced, which say what they need
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Where the state is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/outcall")]
    state_dir: PathBuf,
    /// The bridge
    #[arg(long, value_name = "NAME", default_value = "outcall0")]
    bridge: String,
    /// The gateway's address on it
    #[arg(long, value_name = "ADDRESS", default_value = "10.200.0.1")]
    gateway: Ipv4Addr,
    /// Where names are answered on the gateway
    #[arg(long, value_name = "PORT", default_value_t = 53)]
    dns_port: u16,
    /// Where the proxy listens on the gateway
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    proxy_port: u16,
    /// Where Docker's engine serves
    #[arg(long, value_name = "PATH", default_value = "/run/docker.sock")]
    docker_socket: String,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What the host is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Purpose {
    /// Guard agents on a bridge, with outcalld
    #[default]
    Host,
    /// Run single commands, with `outcall run`
    Run,
}

/// One row of the table of checks.
struct CheckRow {
    id: &'static str,
    /// What is looked at, in a few words.
    what: &'static str,
    /// What it is for.
    why: &'static str,
    /// Whom it concerns.
    concerns: Concerns,
    look: fn(&Examined<'_>) -> Found,
}

/// Whom a check concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerns {
    Host,
    Both,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    /// It is as it should be.
    Fine(String),
    /// It works without, and something is lost.
    Advised {
        /// What is lost.
        found: String,
        fix: String,
    },
    /// It does not work like this.
    Missing { found: String, fix: String },
    /// It cannot be told from here.
    Unknown(String),
}

/// The host, and what is wanted of it.
struct Examined<'a> {
    system: System,
    args: &'a Args,
    daemon: &'a Daemon,
    /// What the artifacts say, where some are named.
    manifest: Option<Manifest>,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Line {
    id: &'static str,
    what: &'static str,
    why: &'static str,
    status: &'static str,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let manifest = match args.artifacts.as_ref().map(|directory| manifest(directory)).transpose() {
        Ok(manifest) => manifest,
        Err(why) => {
            complain(why);
            return Exit::Usage;
        }
    };
    let examined = Examined { system: System::here(), args, daemon, manifest };
    let lines: Vec<Line> = CHECKS
        .iter()
        .filter(|row| args.purpose == Purpose::Host || row.concerns == Concerns::Both)
        .map(|row| line(row, (row.look)(&examined)))
        .collect();
    let missing = lines.iter().filter(|line| line.status == "missing").count();
    if args.json {
        out.json(&json!({ "ready": missing == 0, "checks": lines }));
    } else {
        lines.iter().for_each(|line| show(line, out));
        out.line(match missing {
            0 => "Nothing that is needed is missing.".to_owned(),
            1 => "1 thing that is needed is missing.".to_owned(),
            more => format!("{more} things that are needed are missing."),
        });
    }
    if missing == 0 { Exit::Done } else { Exit::Failed }
}

fn manifest(directory: &std::path::Path) -> Result<Manifest, String> {
    let path = directory.join(file::MANIFEST);
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Manifest::from_bytes(&bytes).map_err(|error| format!("{}: {error}", path.display()))
}

fn line(row: &CheckRow, found: Found) -> Line {
    let CheckRow { id, what, why, .. } = *row;
    let (status, found, fix) = match found {
        Found::Fine(found) => ("ok", found, None),
        Found::Advised { found, fix } => ("advised", found, Some(fix)),
        Found::Missing { found, fix } => ("missing", found, Some(fix)),
        Found::Unknown(found) => ("unknown", found, None),
    };
    Line { id, what, why, status, found, fix }
}

fn show(line: &Line, out: &mut Output) {
    let Line { what, why, status, found, fix, .. } = line;
    out.line(printable(&format!("{status:8} {what}: {found}")));
    let Some(fix) = fix else { return };
    for line in wrapped(why).lines() {
        out.line(format_args!("         {line}"));
    }
    for line in fix.lines() {
        out.line(format_args!("         $ {}", printable(line)));
    }
}
