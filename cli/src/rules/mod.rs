//! `outcall rules`: the rules that a running `outcalld` has in force, and putting others in force.

mod load;
mod try_out;

use std::path::PathBuf;

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::grants::{Grant, GrantsFlushed};
use outcall_schema::api::rules::{Rule, RuleDetail};

use crate::Exit;
use crate::asking::{Printing, print, row, table};
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::Output;

/// Ask a running outcalld for its rules, or have it load others
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the rules in force, in evaluation order, with how many requests each decided
    List,
    /// Show one rule with its whole condition
    Show {
        /// The rule's id
        id: String,
    },
    /// Compile rules and have outcalld put them in force; it is all of them or nothing
    ///
    /// Of a directory that `outcall compile` wrote the artifacts are loaded as they are, with their signature if there is one.
    Reload {
        /// Rule files, and directories of them, or a directory of artifacts [default: /etc/outcall/rules.d]
        paths: Vec<PathBuf>,
        /// Have outcalld read the directory again that it was started with
        #[arg(long, conflicts_with = "paths")]
        artifacts: bool,
    },
    /// Have outcalld put the policy in force that was before this one
    Rollback,
    /// List the addresses that are open to agents because names led there, by rules with `mode: direct_ip`
    Active,
    /// Close all of them, in the kernel as well, and cut what uses them
    ///
    /// A name that is asked for again opens its addresses again.
    Flush,
    /// Try a condition on a request; no outcalld is asked
    ///
    /// Prints `true`, `false` or `unknown`, on which no rule matches.
    Test(try_out::Args),
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    match &args.command {
        Command::List => print(daemon.ask::<Vec<Rule>>(Endpoint::Rules), args.printing, out, list),
        Command::Show { id } => print(one(daemon, id), args.printing, out, show),
        Command::Reload { paths, artifacts } => load::reload(paths, *artifacts, daemon, args.printing, out),
        Command::Rollback => load::rollback(daemon, args.printing, out),
        Command::Active => print(daemon.ask::<Vec<Grant>>(Endpoint::RulesActive), args.printing, out, active),
        Command::Flush => print(daemon.ask::<GrantsFlushed>(Endpoint::RulesFlush), args.printing, out, flushed),
        Command::Test(asked) => try_out::run(asked, args.printing, out),
    }
}

fn one(daemon: &Daemon, id: &str) -> Result<RuleDetail, NoAnswer> {
    if !outcall_schema::artifact::manifest::is_name(id) {
        return Err(NoAnswer::Refused(404, format!("{id:?} is no rule's id")));
    }
    daemon.ask_at(Endpoint::Rule, &Endpoint::Rule.row().path_of(id))
}

fn list(rules: Vec<Rule>, out: &mut Output) {
    if rules.is_empty() {
        out.line("There are no rules: everything is blocked.");
        return;
    }
    let rows: Vec<[String; 6]> = rules
        .into_iter()
        .map(|rule| {
            let place = format!("{}:{}", rule.file, rule.line);
            let action = rule.action.name().to_owned();
            [rule.hits.to_string(), rule.priority.to_string(), action, rule.id, place, rule.condition_preview]
        })
        .collect();
    table(["HITS", "PRIORITY", "ACTION", "RULE", "PLACE", "CONDITION"], &rows, out);
}

fn active(grants: Vec<Grant>, out: &mut Output) {
    if grants.is_empty() {
        out.line("No name led to an address that is open now.");
        return;
    }
    let cells = |grant: Grant| {
        let Grant { name, src_ip, destination, port, rule, host, inserted_at, expires_in_secs, .. } = grant;
        let (from, to) = (src_ip.to_string(), destination.to_string());
        [name, from, to, port, rule, host, inserted_at, format!("in {expires_in_secs} s")]
    };
    let rows: Vec<[String; 8]> = grants.into_iter().map(cells).collect();
    table(["NAME", "FROM", "TO", "PORT", "RULE", "HOST", "SINCE", "CLOSES"], &rows, out);
}

fn flushed(GrantsFlushed { flushed, connections_cut }: GrantsFlushed, out: &mut Output) {
    out.line(format_args!("Closed {flushed} way(s) that names had opened."));
    if connections_cut > 0 {
        out.line(format_args!("Cut {connections_cut} connection(s) that nothing allows any more."));
    }
}

fn show(detail: RuleDetail, out: &mut Output) {
    let RuleDetail { rule, position, condition, log, egress, hold, injects, allowed, blocked } = detail;
    row(out, "rule", &rule.id);
    if !rule.description.is_empty() {
        row(out, "description", &rule.description);
    }
    row(out, "place", format_args!("{}:{}, number {position} in evaluation order", rule.file, rule.line));
    row(out, "action", rule.action.name());
    row(out, "priority", rule.priority);
    if let Some(egress) = egress {
        row(out, "egress", egress);
    }
    if let Some(hold) = hold {
        row(out, "hold", serde_json::json!(hold));
    }
    if !injects.is_empty() {
        row(out, "sets", injects.join(", "));
    }
    row(out, "logged", if log { "also what it lets pass" } else { "what it refuses" });
    row(out, "decided", format_args!("{}: {allowed} allowed, {blocked} blocked", rule.hits));
    out.line("condition");
    for line in condition.lines() {
        out.line(format_args!("    {}", printable(line)));
    }
}
