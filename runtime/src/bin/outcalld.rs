//! The enforcing process: one binary, one command for each way to stand.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use outcall_runtime::sandbox;

/// Enforces compiled policies.
#[derive(Debug, Parser)]
#[command(name = "outcalld", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a command in a network of its own, where the policy decides on every packet, name and request.
    Sandbox(Sandbox),
}

#[derive(Debug, clap::Args)]
struct Sandbox {
    /// The directory that `outcall compile` wrote.
    #[arg(long, value_name = "DIR")]
    artifacts: PathBuf,
    /// Remove that directory once it is loaded.
    #[arg(long, hide = true)]
    remove_artifacts: bool,
    /// The agent's name, which rules see as `agent.name`.
    #[arg(long, value_name = "AGENT")]
    name: String,
    /// Append one JSON line for each refusal to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A resolver to ask for allowed names, `IP` or `IP:PORT`; may be repeated.
    #[arg(long, value_name = "IP[:PORT]", required = true, value_parser = upstream)]
    dns_upstream: Vec<SocketAddr>,
    /// Leave out the summary at the end.
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

fn upstream(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_| "write an address or an address and a port: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:53".into())
}

fn main() {
    let Arguments { command: Command::Sandbox(asked) } = Arguments::parse();
    let Sandbox { artifacts, remove_artifacts, name, log, dns_upstream: upstreams, quiet, command } = asked;
    sandbox::run(&sandbox::Options { artifacts, remove_artifacts, name, log, upstreams, quiet, command })
}
