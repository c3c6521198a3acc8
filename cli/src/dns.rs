//! `outcall dns`: what the DNS filter of a running `outcalld` answers, and what it keeps.

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::dns::{CacheStatus, DnsStatus, DnsTest, DnsTested, DnsVerdict};
use outcall_schema::api::intercept::Flushed;

use crate::Exit;
use crate::asking::{Printing, print, row, table};
use crate::daemon::{Daemon, printable};
use crate::output::Output;

/// Ask a running outcalld what its DNS filter answers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say where names are answered, who is asked for them, and how many were
    Status,
    /// Say what a query would be answered, and by which rule
    ///
    /// No packet is sent, but with `--resolve`. Exits with 0 when the name resolves, with 1 when it does not.
    Test {
        /// The name
        name: String,
        /// The record type
        #[arg(long = "type", value_name = "TYPE", default_value = "A")]
        record_type: String,
        /// The agent that asks
        #[arg(long, value_name = "NAME", default_value = "")]
        agent: String,
        /// Ask an upstream where the policy lets the name resolve and no answer is kept
        #[arg(long)]
        resolve: bool,
    },
    /// Say how many answers are kept, and how often one could be used
    Cache {
        /// And which
        #[arg(long)]
        entries: bool,
    },
    /// Let go of all answers that are kept
    Flush,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let printing = args.printing;
    match &args.command {
        Command::Status => print(daemon.ask(Endpoint::Dns), printing, out, status),
        Command::Test { name, record_type, agent, resolve } => {
            let (name, record_type, agent) = (name.clone(), record_type.clone(), agent.clone());
            let wanted = DnsTest { name, record_type, agent, resolve: *resolve };
            let answer = daemon.tell::<DnsTested>(Endpoint::DnsTest, &wanted);
            let passes =
                answer.as_ref().is_ok_and(|tested| tested.verdict == DnsVerdict::Resolve && tested.failure.is_none());
            match print(answer, printing, out, tested) {
                Exit::Done if !passes => Exit::Failed,
                exit => exit,
            }
        }
        Command::Cache { entries } => {
            let path = Endpoint::DnsCache.row().path;
            let path = if *entries { format!("{path}?entries=true") } else { path.to_owned() };
            print(daemon.ask_at(Endpoint::DnsCache, &path), printing, out, cache)
        }
        Command::Flush => print(daemon.ask(Endpoint::DnsCacheFlush), printing, out, |flushed: Flushed, out| {
            out.line(format_args!("Evicted {} answer(s).", flushed.evicted));
        }),
    }
}

fn status(status: DnsStatus, out: &mut Output) {
    row(out, "DNS filter", if status.running { "running" } else { "not running" });
    row(out, "listens on", status.listening.join(", "));
    row(out, "upstreams", status.upstreams.join(", "));
    let (total, allowed, blocked) = (status.queries_total, status.queries_allowed, status.queries_blocked);
    row(out, "queries", format_args!("{total}: {allowed} allowed, {blocked} blocked"));
    row(out, "cache", format_args!("{} answers kept", status.cache_entries));
}

fn tested(tested: DnsTested, out: &mut Output) {
    let said = match tested.verdict {
        DnsVerdict::Resolve => "resolves",
        DnsVerdict::Nxdomain => "does not exist for this agent (NXDOMAIN)",
        DnsVerdict::NoData => "has no such record for this agent (NOERROR, empty)",
        DnsVerdict::Refused => "is not answered (REFUSED)",
    };
    let DnsTested { name, record_type, .. } = &tested;
    out.line(printable(&format!("{name} {record_type} {said}")));
    let place = match (&tested.file, tested.line) {
        (Some(file), Some(line)) => format!(" ({file}:{line})"),
        _ => String::new(),
    };
    let implied = if tested.implied { ", which could allow a request to it" } else { "" };
    row(out, "  rule", format_args!("{}{place}{implied}", tested.matched_rule));
    row(out, "  reason", &tested.reason);
    if let Some(answer) = &tested.answer {
        let from = if tested.cached { "kept" } else { "fetched" };
        row(out, "  answer", format_args!("{from}: {}, {} record(s)", answer.code, answer.records));
        for address in &answer.addresses {
            row(out, "  address", address);
        }
        if answer.held_back {
            row(out, "  held back", "private or special addresses");
        }
    }
    if let Some(failure) = &tested.failure {
        row(out, "  no answer", failure);
    }
}

fn cache(cache: CacheStatus, out: &mut Output) {
    row(out, "answers", format_args!("{} of at most {} kept", cache.entries, cache.max_entries));
    row(out, "looked up", format_args!("{} hits, {} misses", cache.hits, cache.misses));
    row(out, "evicted", cache.evictions);
    let Some(answers) = cache.answers else { return };
    let rows: Vec<[String; 5]> = answers
        .into_iter()
        .map(|entry| {
            let left = format!("{} s", entry.expires_in_secs);
            [entry.name, entry.record_type, entry.code, left, entry.addresses.join(" ")]
        })
        .collect();
    if !rows.is_empty() {
        table(["NAME", "TYPE", "CODE", "LEFT", "ADDRESSES"], &rows, out);
    }
}
