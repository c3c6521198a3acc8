//! `outcall ps`, `outcall logs` and `outcall stop`: the agents of a host, whatever they are.

use outcall_schema::api::Endpoint;
use outcall_schema::api::agents::{AgentKind, AgentRow};
use outcall_schema::api::docker::{Container, ContainerStop, Named};
use serde::Serialize;

use crate::Exit;
use crate::asking::{Printing, print, table};
use crate::container;
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::{Output, complain};

/// List the agents of a host: containers, network namespaces, or the command of `outcall run`
///
/// Containers on the network are listed although they are no agents, as those that have ended.
#[derive(Debug, clap::Args)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    printing: Printing,
}

/// Print the end of what an agent's container has said
#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// The agent
    name: String,
    #[command(flatten)]
    printing: Printing,
}

/// Stop an agent's container
///
/// What runs in a network namespace is not outcall's: `outcall netns detach` takes it off the network.
#[derive(Debug, clap::Args)]
pub(crate) struct StopArgs {
    /// The agent
    name: String,
    #[command(flatten)]
    printing: Printing,
}

/// One line.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    agent: String,
    kind: &'static str,
    /// `attached` for what is no container.
    state: String,
    /// Whether its traffic is guarded; what is not guarded reaches nothing.
    guarded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    addresses: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_at: Option<String>,
    allowed: u64,
    blocked: u64,
}

pub(crate) fn ps(args: &PsArgs, daemon: &Daemon, out: &mut Output) -> Exit {
    let agents = match daemon.ask::<Vec<AgentRow>>(Endpoint::Agents) {
        Ok(agents) => agents,
        Err(why) => return print(Err(why), args.printing, out, list),
    };
    let containers = match daemon.ask::<Vec<Container>>(Endpoint::Containers) {
        Ok(containers) => containers,
        // There is no engine, or nobody asks one: then no container is an agent but those that were.
        Err(NoAnswer::Refused(404, _)) => Vec::new(),
        Err(why) => {
            if agents.iter().any(|row| row.agent.kind == AgentKind::Container) {
                complain(format_args!("how containers are cannot be told: {why}"));
            }
            Vec::new()
        }
    };
    print(Ok(rows(agents, containers)), args.printing, out, list)
}

fn rows(agents: Vec<AgentRow>, mut containers: Vec<Container>) -> Vec<Row> {
    let mut rows: Vec<Row> = agents
        .into_iter()
        .map(|AgentRow { agent, allowed, blocked }| {
            let at = containers.iter().position(|it| agent.kind == AgentKind::Container && it.name == agent.name);
            let container = at.map(|at| containers.remove(at));
            let v6 = agent.ipv6.map(|it| it.to_string());
            Row {
                kind: agent.kind.name(),
                state: match (&container, agent.kind) {
                    (Some(container), _) => container.state.clone(),
                    (None, AgentKind::Container) => "unknown".to_owned(),
                    (None, _) => "attached".to_owned(),
                },
                guarded: true,
                image: container.map(|it| it.image),
                addresses: agent.ipv4.map(|it| it.to_string()).into_iter().chain(v6).collect(),
                attached_at: Some(agent.attached_at),
                name: agent.name,
                agent: agent.agent,
                allowed,
                blocked,
            }
        })
        .collect();
    rows.extend(containers.into_iter().map(|it| Row {
        addresses: it.ipv4.map(|it| it.to_string()).into_iter().chain(it.ipv6.map(|it| it.to_string())).collect(),
        name: it.name,
        agent: it.agent,
        kind: AgentKind::Container.name(),
        state: it.state,
        guarded: it.guarded,
        image: Some(it.image),
        attached_at: None,
        allowed: 0,
        blocked: 0,
    }));
    rows
}

fn list(rows: Vec<Row>, out: &mut Output) {
    if rows.is_empty() {
        out.line("There are no agents.");
        return;
    }
    let cells = |row: Row| {
        let guarded = if row.guarded { "yes" } else { "closed" }.to_owned();
        let (allowed, blocked) = (row.allowed.to_string(), row.blocked.to_string());
        let (kind, addresses) = (row.kind.to_owned(), row.addresses.join(" "));
        [row.name, row.agent, kind, row.state, guarded, addresses, allowed, blocked]
    };
    let rows: Vec<[String; 8]> = rows.into_iter().map(cells).collect();
    table(["NAME", "AGENT", "KIND", "STATE", "GUARDED", "ADDRESSES", "ALLOWED", "BLOCKED"], &rows, out);
}

pub(crate) fn logs(args: &LogsArgs, daemon: &Daemon, out: &mut Output) -> Exit {
    match no_container(daemon, &args.name, "what it says goes to whoever started it") {
        Some(exit) => exit,
        None => container::logs(&args.name, daemon, args.printing, out),
    }
}

pub(crate) fn stop(args: &StopArgs, daemon: &Daemon, out: &mut Output) -> Exit {
    let instead = "end it where it was started, or take it off the network with `outcall netns detach`";
    if let Some(exit) = no_container(daemon, &args.name, instead) {
        return exit;
    }
    let answer = daemon.tell_patiently(Endpoint::ContainerStop, &ContainerStop { name: args.name.clone() });
    print(answer, args.printing, out, |Named { name }, out| out.line(format_args!("Stopped {}.", printable(&name))))
}

/// How the command ends for an agent that is no container.
fn no_container(daemon: &Daemon, name: &str, instead: &str) -> Option<Exit> {
    let agents = match daemon.ask::<Vec<AgentRow>>(Endpoint::Agents) {
        Ok(agents) => agents,
        Err(why) => {
            complain(&why);
            return Some(why.exit());
        }
    };
    let what = match agents.into_iter().find(|row| row.agent.name == name)?.agent.kind {
        AgentKind::Container => return None,
        AgentKind::Netns => "a network namespace",
        AgentKind::Sandbox => "the command of `outcall run`",
    };
    complain(format_args!("`{}` is no container but {what}: {instead}", printable(name)));
    Some(Exit::Failed)
}

#[cfg(test)]
mod tests {
    use outcall_schema::api::agents::Agent;

    use super::*;

    fn agent(name: &str, kind: AgentKind) -> AgentRow {
        let agent = Agent {
            name: name.to_owned(),
            agent: name.to_owned(),
            kind,
            port: None,
            mac: None,
            ipv4: Some([10, 200, 0, 2].into()),
            ipv6: None,
            attached_at: "2026-01-01T00:00:00.000Z".to_owned(),
        };
        AgentRow { agent, allowed: 1, blocked: 2 }
    }

    fn container(name: &str, state: &str, guarded: bool) -> Container {
        Container {
            name: name.to_owned(),
            id: "1".to_owned(),
            image: "tool:1".to_owned(),
            state: state.to_owned(),
            guarded,
            agent: name.to_owned(),
            ipv4: None,
            ipv6: None,
            port: None,
        }
    }

    #[test]
    fn an_agent_has_one_line_and_a_container_that_is_none_has_one_too() {
        let agents =
            vec![agent("a", AgentKind::Container), agent("gone", AgentKind::Container), agent("n", AgentKind::Netns)];
        let rows = rows(agents, vec![container("a", "running", true), container("n", "exited", false)]);
        let shown: Vec<(&str, &str, &str, bool)> =
            rows.iter().map(|row| (row.name.as_str(), row.kind, row.state.as_str(), row.guarded)).collect();
        let expected = [
            ("a", "container", "running", true),
            ("gone", "container", "unknown", true),
            ("n", "netns", "attached", true),
            ("n", "container", "exited", false),
        ];
        assert_eq!(shown, expected);
    }
}
