//! `outcall netns`: network namespaces as agents of a host.

use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::agents::{AgentRow, Attach, Attached, Detach, Detached};
use serde_json::json;

use crate::Exit;
use crate::asking::{Printing, print, table};
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::{Output, complain};
use crate::run::find_outcalld;

/// Attach network namespaces to a host's bridge, so that what runs in them is guarded
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give a namespace an address and a way through the guard, and none past it
    ///
    /// Takes the rights over both namespaces, as root has.
    Attach {
        /// The namespace: a name of `ip netns`, or a path such as /proc/PID/ns/net
        #[arg(value_name = "NETNS")]
        netns: PathBuf,
        /// What the agent is called [default: the namespace's name]; rules do not see a `-N` at its end
        #[arg(long, value_name = "AGENT")]
        name: Option<String>,
    },
    /// Take them from an agent
    Detach {
        /// The agent
        name: String,
    },
    /// List the agents on the bridge, with how much was decided for each
    List,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    match &args.command {
        Command::Attach { netns, name } => attach(netns, name.as_deref(), daemon, args.printing, out),
        Command::Detach { name } => {
            let answer = daemon.tell(Endpoint::AgentsDetach, &Detach { name: name.clone() });
            print(answer, args.printing, out, |detached: Detached, out| {
                out.line(format_args!("Detached {}.", printable(&detached.name)));
                for warning in &detached.warnings {
                    out.line(format_args!("warning: {}", printable(warning)));
                }
            })
        }
        Command::List => print(daemon.ask(Endpoint::Agents), args.printing, out, list),
    }
}

fn attach(netns: &Path, name: Option<&str>, daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    let own = netns.file_name().and_then(|name| name.to_str()).filter(|_| netns.components().count() == 1);
    let Some(name) = name.or(own) else {
        complain("a namespace that is given by its path has no name: say what the agent is called with `--name`");
        return Exit::Usage;
    };
    let Some(outcalld) = find_outcalld() else {
        complain("cannot find `outcalld`: install it beside `outcall` or in PATH");
        return Exit::Failed;
    };
    let answer: Result<Attached, NoAnswer> = daemon.tell(Endpoint::AgentsAttach, &Attach { name: name.to_owned() });
    let attached = match answer {
        Ok(attached) => attached,
        Err(why) => {
            complain(&why);
            return why.exit();
        }
    };
    let plugged =
        Process::new(outcalld).arg("attach").arg("--place").arg(json!(attached).to_string()).arg(netns).status();
    if !plugged.is_ok_and(|status| status.success()) {
        // What was given is given back, or the name would stay taken.
        if let Err(why) = daemon.tell::<Detached>(Endpoint::AgentsDetach, &Detach { name: name.to_owned() }) {
            complain(format_args!("and it is still known as an agent: {why}"));
        }
        return Exit::Failed;
    }
    print(Ok(attached), printing, out, |attached: Attached, out| {
        let v6 = attached.ipv6.map(|address| format!(" and {address}")).unwrap_or_default();
        let Attached { name, agent, ipv4, proxy_url, .. } = attached;
        out.line(printable(&format!("Attached {name}: agent `{agent}` at {ipv4}{v6}, proxy {proxy_url}.")));
    })
}

fn list(agents: Vec<AgentRow>, out: &mut Output) {
    if agents.is_empty() {
        out.line("There are no agents.");
        return;
    }
    let rows: Vec<[String; 7]> = agents
        .into_iter()
        .map(|AgentRow { agent, allowed, blocked }| {
            let addresses = agent.ipv4.map(|it| it.to_string()).into_iter().chain(agent.ipv6.map(|it| it.to_string()));
            let addresses = addresses.collect::<Vec<_>>().join(" ");
            let port = agent.port.unwrap_or_default();
            let (allowed, blocked) = (allowed.to_string(), blocked.to_string());
            [agent.name, agent.agent, agent.kind.name().to_owned(), port, addresses, allowed, blocked]
        })
        .collect();
    table(["NAME", "AGENT", "KIND", "PORT", "ADDRESSES", "ALLOWED", "BLOCKED"], &rows, out);
}
