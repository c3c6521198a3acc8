//! `outcall`: the operator's command. It compiles rules and answers questions about them.
#![forbid(unsafe_code)]

mod agents;
mod artifacts;
mod asked;
mod asking;
mod bridge;
mod ca;
mod compile;
mod completions;
mod container;
mod daemon;
mod diff;
mod dns;
mod doctor;
mod events;
mod explain;
mod fix;
mod fmt;
mod inspect;
mod keygen;
mod lsp;
mod netns;
mod network;
mod output;
mod pair;
mod policies;
mod presets;
mod proxy;
mod query;
mod rewrite;
mod rules;
mod run;
mod schema;
mod service;
mod sign;
mod test;
mod top;
mod verify;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use daemon::Daemon;
use output::Output;

/// Decides what an agent may reach, and proves it.
///
/// Rules are YAML files with conditions in CEL. They are compiled ahead of time into a kernel ruleset, a DNS table and a
/// proxy program, which a small runtime enforces.
#[derive(Debug, Parser)]
#[command(
    name = "outcall",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Exit codes:
  0  done; for `why`, it is allowed; for `query`, there is such a request
  1  failed, or findings that fail; for `why`, it is refused; for `query`, there is none
  2  called wrongly, or something could not be read or written
  3  `diff --deny widening` found that something becomes reachable
  6  there is no such thing: no such rule, no authority, no host behind the socket
What `outcall run` started ends it with its own."
)]
struct Cli {
    /// Where outcalld serves: `outcall run` makes this socket [default: none], other commands ask there [default:
    /// /run/outcall/host.sock]
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bridge(bridge::Args),
    Ca(ca::Args),
    Compile(compile::Args),
    Completions(completions::Args),
    Container(container::Args),
    Daemon(service::Args),
    Diff(diff::Args),
    Dns(dns::Args),
    Doctor(doctor::Args),
    Events(events::Args),
    Explain(explain::Args),
    Fix(fix::Args),
    Fmt(fmt::Args),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
    Logs(agents::LogsArgs),
    Lsp(lsp::Args),
    Man(completions::ManArgs),
    Metrics(events::MetricsArgs),
    Netns(netns::Args),
    Network(network::Args),
    Presets(presets::Args),
    Proxy(proxy::Args),
    Ps(agents::PsArgs),
    Query(query::Args),
    Rules(rules::Args),
    Run(Box<run::Args>),
    Schema(schema::Args),
    Sign(sign::Args),
    Stop(agents::StopArgs),
    Test(test::Args),
    Top(top::Args),
    Verify(verify::Args),
    #[command(name = verify::HELPER, hide = true)]
    VerifyHelper(verify::HelperArgs),
    Why(why::Args),
}

/// How a command ended. The numbers are a part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    /// Done.
    Done = 0,
    /// It failed, or there are findings that fail.
    Failed = 1,
    /// It was called wrongly, or something could not be read or written.
    Usage = 2,
    /// Something becomes reachable that was not, and that was asked to fail.
    Widened = 3,
    /// There is no such thing.
    Missing = 6,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Output::new();
    let socket = cli.socket.as_deref();
    let daemon = Daemon::at(socket);
    let exit = match cli.command {
        Command::Bridge(args) => bridge::run(&args, &daemon, &mut out),
        Command::Ca(args) => ca::run(&args, socket, &mut out),
        Command::Compile(args) => compile::run(&args, &mut out),
        Command::Completions(args) => completions::run(&args, &mut out),
        Command::Container(args) => container::run(&args, &daemon, &mut out),
        Command::Daemon(args) => service::run(&args, &daemon, &mut out),
        Command::Diff(args) => diff::run(&args, &mut out),
        Command::Dns(args) => dns::run(&args, &daemon, &mut out),
        Command::Doctor(args) => doctor::run(&args, &daemon, &mut out),
        Command::Events(args) => events::run(&args, &daemon, &mut out),
        Command::Explain(args) => explain::run(&args, &mut out),
        Command::Fix(args) => fix::run(&args, &mut out),
        Command::Fmt(args) => fmt::run(&args, &mut out),
        Command::Inspect(args) => inspect::run(&args, &mut out),
        Command::Keygen(args) => keygen::run(&args, &mut out),
        Command::Logs(args) => agents::logs(&args, &daemon, &mut out),
        Command::Lsp(args) => lsp::run(&args),
        Command::Man(args) => completions::man(&args),
        Command::Metrics(_) => events::metrics(&daemon, &mut out),
        Command::Netns(args) => netns::run(&args, &daemon, &mut out),
        Command::Network(args) => network::run(&args, &daemon, &mut out),
        Command::Presets(args) => presets::run(&args, &mut out),
        Command::Proxy(args) => proxy::run(&args, &daemon, &mut out),
        Command::Ps(args) => agents::ps(&args, &daemon, &mut out),
        Command::Query(args) => query::run(&args, &mut out),
        Command::Rules(args) => rules::run(&args, &daemon, &mut out),
        Command::Run(args) => run::run(&args, socket),
        Command::Schema(args) => schema::run(&args, &mut out),
        Command::Sign(args) => sign::run(&args, &mut out),
        Command::Stop(args) => agents::stop(&args, &daemon, &mut out),
        Command::Test(args) => test::run(&args, &mut out),
        Command::Top(args) => top::run(&args, &daemon, &mut out),
        Command::Verify(args) => verify::run(&args, &mut out),
        Command::VerifyHelper(args) => verify::help(&args),
        Command::Why(args) => why::run(&args, &mut out),
    };
    ExitCode::from(out.finish(exit) as u8)
}
