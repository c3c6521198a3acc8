//! The enforcing process: one binary, one command for each way to stand.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use outcall_runtime::dns::Budget;
use outcall_runtime::intercept::{Files, LeafTtl};
use outcall_runtime::sandbox;
use outcall_runtime::secrets::Sources;

mod config;
mod host;

/// The C library's gives large blocks back to the kernel and takes them anew for each body, which was a third of the time:
/// `tests/bench/intercept`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Enforces compiled policies: for all agents of this host, or with a command for one.
#[derive(Debug, Parser)]
#[command(name = "outcalld", version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    host: host::Host,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plugs a network namespace into the bridge, as an agent that the running daemon knows.
    Attach(host::Attach),
    /// Closes the kernel for agents until a daemon opens it, and ends: for the time before there is one.
    Close(host::Close),
    /// Runs a command in a network of its own, where the policy decides on every packet, name and request.
    Sandbox(Box<Sandbox>),
}

#[derive(Debug, clap::Args)]
struct Sandbox {
    /// The directory that `outcall compile` wrote.
    #[arg(long, value_name = "DIR")]
    artifacts: PathBuf,
    /// Remove that directory once it is loaded.
    #[arg(long, hide = true)]
    remove_artifacts: bool,
    /// Load only artifacts that one of the public keys in this file has signed; may be repeated.
    #[arg(long, value_name = "FILE")]
    trust_key: Vec<PathBuf>,
    /// The agent's name, which rules see as `agent.name`.
    #[arg(long, value_name = "AGENT")]
    name: String,
    /// Append one JSON line for each refusal, and for each request inside TLS, to this file.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Serve the operator's API on a unix socket at this path, for the same user and root alone.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A resolver to ask for allowed names, `IP` or `IP:PORT`; may be repeated.
    #[arg(long, value_name = "IP[:PORT]", required = true, value_parser = upstream)]
    dns_upstream: Vec<SocketAddr>,
    #[command(flatten)]
    names: Names,
    /// The certificate authority for rules that look inside TLS, in PEM [default: one for this run alone, in memory].
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Its private key; its owner alone may have access to the file.
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// Certificates in PEM that servers are verified against where TLS is looked into, beside those that this system trusts.
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    #[command(flatten)]
    inside: Inside,
    /// Leave out the summary at the end.
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments.
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// What an agent may ask resolvers for that no rule writes out, on a host as in a sandbox.
#[derive(Debug, clap::Args)]
struct Names {
    /// How many names that no rule writes out an agent may ask for in a minute.
    #[arg(long, value_name = "NAMES", default_value_t = Budget::DEFAULT.names, value_parser = up_to(65_536))]
    dns_budget_names: usize,
    /// How many bytes those names may have together, without the suffixes that rules write out.
    #[arg(long, value_name = "BYTES", default_value_t = Budget::DEFAULT.bytes, value_parser = up_to(16_777_216))]
    dns_budget_bytes: usize,
    /// How many labels one of them may have before its suffix.
    #[arg(long, value_name = "LABELS", default_value_t = Budget::DEFAULT.labels, value_parser = up_to(127))]
    dns_budget_labels: usize,
    /// Let agents ask for any number of names.
    #[arg(long)]
    no_dns_budget: bool,
}

/// Reads a number from 1.
fn up_to(most: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=most)
}

impl Names {
    fn budget(&self) -> Option<Budget> {
        let Names { dns_budget_names: names, dns_budget_bytes: bytes, dns_budget_labels: labels, no_dns_budget } =
            *self;
        (!no_dns_budget).then_some(Budget { names, bytes, labels })
    }
}

/// What rules that look inside TLS take, on a host as in a sandbox.
#[derive(Debug, clap::Args)]
struct Inside {
    /// A directory with one file for each secret that rules inject; its owner alone may have access to the files.
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// A secret from the environment, `NAME=env:VARIABLE`, or from a command, `NAME=command:COMMAND`; may be repeated.
    #[arg(long, value_name = "NAME=SOURCE")]
    secret: Vec<OsString>,
    /// How long the certificates for hosts are valid, 60 to 604800.
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = leaf_ttl)]
    intercept_leaf_ttl_secs: LeafTtl,
    /// The largest body of a request that rules see, up to 16777216; of a larger one `http.body` is null.
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    intercept_body_cap_bytes: u32,
}

impl Inside {
    /// Where the secrets come from. Ends the process where that makes no sense.
    fn sources(&self) -> Sources {
        let sources = Sources::read(self.secrets.clone(), &self.secret);
        sources.unwrap_or_else(|error| usage(ErrorKind::InvalidValue, error))
    }

    /// The largest body that rules see, in bytes.
    fn body_cap_bytes(&self) -> usize {
        usize::try_from(self.intercept_body_cap_bytes).unwrap_or(0)
    }
}

/// The authority of two files, or none. Ends the process where one alone is named.
fn authority(cert: Option<PathBuf>, key: Option<PathBuf>) -> Option<Files> {
    Files::named(cert, key).unwrap_or_else(|error| usage(ErrorKind::MissingRequiredArgument, error))
}

fn upstream(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
        .map_err(|_| "write an address or an address and a port: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:53".into())
}

fn leaf_ttl(text: &str) -> Result<LeafTtl, String> {
    text.parse().ok().and_then(LeafTtl::from_secs).ok_or_else(|| "write a number of seconds from 60 to 604800".into())
}

/// Ends the process as clap does where arguments make no sense.
fn usage(kind: ErrorKind, error: impl std::fmt::Display) -> ! {
    Arguments::command().error(kind, error).exit()
}

fn main() {
    // Pages of 2 MiB would make an idle process twice as large. Where the kernel knows no such setting, it has none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let given: Vec<OsString> = std::env::args_os().collect();
    let closing = given.get(1).is_some_and(|word| word == config::CLOSE);
    let given = config::with_settings(&Arguments::command(), given).unwrap_or_else(|error| match closing {
        true => host::Close::without_settings(&error),
        false => usage(ErrorKind::InvalidValue, error),
    });
    let Arguments { command, host } = Arguments::parse_from(given);
    match command {
        Some(Command::Close(asked)) => asked.run(),
        Some(Command::Sandbox(asked)) => sandbox(*asked),
        Some(Command::Attach(asked)) => asked.run(),
        None => host.run(),
    }
}

fn sandbox(asked: Sandbox) {
    let Sandbox {
        artifacts,
        remove_artifacts,
        trust_key: trust_keys,
        name,
        log,
        socket,
        dns_upstream: upstreams,
        names,
        ca_cert,
        ca_key,
        upstream_ca,
        inside,
        quiet,
        command,
    } = asked;
    sandbox::run(&sandbox::Options {
        artifacts,
        remove_artifacts,
        trust_keys,
        name,
        log,
        socket,
        upstreams,
        dns_budget: names.budget(),
        authority: authority(ca_cert, ca_key),
        upstream_ca,
        leaf_ttl: inside.intercept_leaf_ttl_secs,
        secrets: inside.sources(),
        body_cap_bytes: inside.body_cap_bytes(),
        quiet,
        command,
    })
}
