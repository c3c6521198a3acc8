//! `outcall proxy`: what the proxy of a running `outcalld` sees.

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::intercept::{Flushed, InterceptStatus};
use outcall_schema::api::proxy::ProxyStatus;
use serde_json::json;

use crate::Exit;
use crate::asking::{Printing, print, row};
use crate::daemon::{Daemon, NoAnswer};
use crate::output::{Output, complain};

/// Ask a running outcalld what its proxy sees
///
/// It is asked over its socket: see `--socket`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say where the proxy listens, and how much it has decided
    Status(Printing),
    /// Say how many requests were seen inside TLS today and how many of them refused, and how many certificates are kept
    ///
    /// The day is that of UTC.
    Intercept(Intercept),
}

#[derive(Debug, clap::Args)]
struct Intercept {
    #[command(subcommand)]
    action: Option<Action>,
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Let go of all certificates for hosts, which are then made again when they are needed
    ///
    /// Connections that are open go on.
    Flush,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let args = match &args.command {
        Command::Status(printing) => return print(daemon.ask(Endpoint::Proxy), *printing, out, status),
        Command::Intercept(args) => args,
    };
    let done = match &args.action {
        None => intercept(args, daemon, out),
        Some(Action::Flush) => flush(args, daemon, out),
    };
    match done {
        Ok(()) => Exit::Done,
        Err(why) => {
            complain(&why);
            why.exit()
        }
    }
}

fn status(status: ProxyStatus, out: &mut Output) {
    row(out, "proxy", if status.running { "running" } else { "not running" });
    row(out, "listens on", status.listening.join(", "));
    row(out, "clients say", &status.proxy_url);
    row(out, "connections", format_args!("{} open", status.active_connections));
    row(out, "decided", format_args!("{}, of which {} blocked", status.total_requests, status.total_blocked));
}

fn intercept(args: &Intercept, daemon: &Daemon, out: &mut Output) -> Result<(), NoAnswer> {
    let status: InterceptStatus = daemon.ask(Endpoint::Intercept)?;
    if args.json {
        out.json(&json!(status));
        return Ok(());
    }
    let InterceptStatus { ca_loaded, leaf_cache_size, leaf_cache_max, today } = status;
    out.line(if ca_loaded { "authority       loaded" } else { "authority       none: no rule looks inside TLS" });
    out.line(format_args!("certificates    {leaf_cache_size} of at most {leaf_cache_max} kept"));
    out.line(format_args!("requests today  {}, of which {} blocked", today.intercepted_today, today.blocked_today));
    Ok(())
}

fn flush(args: &Intercept, daemon: &Daemon, out: &mut Output) -> Result<(), NoAnswer> {
    let flushed: Flushed = daemon.ask(Endpoint::InterceptCacheFlush)?;
    if args.json {
        out.json(&json!(flushed));
    } else {
        out.line(format_args!("Evicted {} certificate(s).", flushed.evicted));
    }
    Ok(())
}
