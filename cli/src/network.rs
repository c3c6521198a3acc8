//! `outcall network`: the network of Docker's engine on a host's bridge.

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::docker::{Engine, NETWORK, Named, Network, NetworkConfig, NetworkCreate, NetworkDestroy};

use crate::Exit;
use crate::asking::{Printing, print, row, table};
use crate::daemon::{Daemon, printable};
use crate::output::Output;

/// Make the network that containers are guarded on, show it, or remove it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make it; where it is there nothing changes
    Create {
        /// What Docker is to call it
        #[arg(default_value = NETWORK)]
        name: String,
    },
    /// List those of Docker's engine on the bridge
    List,
    /// Say what it is made with, and whether Docker's engine answers
    Status,
    /// Remove it; the bridge and all other agents stay
    Destroy {
        /// What Docker calls it
        #[arg(default_value = NETWORK)]
        name: String,
        /// Take containers off it that are on it
        #[arg(long)]
        force: bool,
    },
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    match &args.command {
        Command::Create { name } => {
            let answer = daemon.tell_patiently(Endpoint::NetworkCreate, &NetworkCreate { name: name.clone() });
            print(answer, args.printing, out, |network: Network, out| {
                let Network { name, bridge, subnets, .. } = network;
                out.line(printable(&format!("The network {name} is on {bridge}: {}.", subnets.join(", "))));
            })
        }
        Command::List => print(daemon.ask(Endpoint::Networks), args.printing, out, list),
        Command::Status => print(daemon.ask(Endpoint::NetworkConfig), args.printing, out, status),
        Command::Destroy { name, force } => {
            let wanted = NetworkDestroy { name: name.clone(), force: *force };
            let answer = daemon.tell_patiently(Endpoint::NetworkDestroy, &wanted);
            print(answer, args.printing, out, |Named { name }, out| {
                out.line(format_args!("Removed the network {}.", printable(&name)));
            })
        }
    }
}

fn list(networks: Vec<Network>, out: &mut Output) {
    if networks.is_empty() {
        out.line("There is no network of Docker's on the bridge.");
        return;
    }
    let cells = |Network { name, id, bridge, subnets, containers }: Network| {
        [name, id.chars().take(12).collect(), bridge, subnets.join(" "), containers.to_string()]
    };
    let rows: Vec<[String; 5]> = networks.into_iter().map(cells).collect();
    table(["NAME", "ID", "BRIDGE", "SUBNETS", "CONTAINERS"], &rows, out);
}

fn status(config: NetworkConfig, out: &mut Output) {
    let NetworkConfig { engine, bridge, subnet, gateway, subnet6, gateway6, proxy_url } = config;
    let Engine { socket, connected, version, error } = engine;
    let at = socket.map(|socket| format!(" at {socket}")).unwrap_or_default();
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    match (connected, error) {
        (true, _) => row(out, "Docker", format_args!("answers{at}:{version}")),
        (false, why) => row(out, "Docker", format_args!("does not answer{at}: {}", why.unwrap_or_default())),
    }
    row(out, "bridge", bridge);
    row(out, "subnet", format_args!("{subnet}, gateway {gateway}"));
    if let (Some(subnet), Some(gateway)) = (subnet6, gateway6) {
        row(out, "IPv6 subnet", format_args!("{subnet}, gateway {gateway}"));
    }
    row(out, "proxy", proxy_url);
}
