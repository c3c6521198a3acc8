//! `outcall bridge`: the bridge that a host's agents are attached to.

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::bridge::Bridge;

use crate::Exit;
use crate::asking::{Printing, print, row};
use crate::daemon::Daemon;
use crate::output::Output;

/// Ask a running outcalld for its bridge, or take it up or down
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Command {
    /// Say how the bridge is, and whether our tables are in the kernel
    Status,
    /// Take it up
    Up,
    /// Take it down: agents stay attached and reach nothing
    Down,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let endpoint = match args.command {
        Command::Status => Endpoint::Bridge,
        Command::Up => Endpoint::BridgeUp,
        Command::Down => Endpoint::BridgeDown,
    };
    print(daemon.ask(endpoint), args.printing, out, status)
}

fn status(bridge: Bridge, out: &mut Output) {
    let Bridge { name, up, index, nftables, mac, mtu, gateways, agents } = bridge;
    let number = index.map(|index| format!(", number {index}")).unwrap_or_default();
    row(out, "bridge", format_args!("{name}, {}{number}", if up { "up" } else { "down" }));
    row(out, "nftables", if nftables { "our tables are in force" } else { "our tables are not in the kernel" });
    if let Some(mac) = mac {
        row(out, "address", mac);
    }
    if let Some(mtu) = mtu {
        row(out, "MTU", mtu);
    }
    row(out, "gateways", gateways.join(", "));
    row(out, "agents", agents);
}
