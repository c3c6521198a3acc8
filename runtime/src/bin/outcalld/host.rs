//! The daemon's own arguments, and those of its helper that plugs namespaces in.

use std::path::PathBuf;
use std::process::exit;

use outcall_runtime::dns::Server;
use outcall_runtime::docker;
use outcall_runtime::host::agents::Agents;
use outcall_runtime::host::attach;
use outcall_runtime::host::bridge::has_v6;
use outcall_runtime::host::daemon::{self, Options};
use outcall_runtime::host::network::{BridgeName, Network, SubnetV4, SubnetV6};
use outcall_runtime::host::ruleset::closed;
use outcall_runtime::kernel::ruleset::{self, RulesetError};
use outcall_runtime::state;
use outcall_schema::api::permissions::AGENT_SOCKET;

use super::{Inside, Names, authority};

/// The daemon.
#[derive(Debug, clap::Args)]
pub(super) struct Host {
    /// A file with settings in TOML: these options with underscores, such as `dns_port = 53`. An option here wins.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory that `outcall compile` wrote.
    #[arg(long, value_name = "DIR", required = true)]
    artifacts: Option<PathBuf>,
    /// A public key that policies must be signed by, in PEM; may be repeated. Without any, unsigned policies load.
    #[arg(long, value_name = "FILE")]
    trust_key: Vec<PathBuf>,
    /// Serve the operator's API on a unix socket at this path.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Answer agents on a unix socket at this path, to which anybody may connect.
    #[arg(long, value_name = "PATH", default_value = AGENT_SOCKET)]
    agent_socket: PathBuf,
    /// The program that containers get to ask with [default: outcall-agent beside outcalld].
    #[arg(long, value_name = "FILE")]
    agent_shim: Option<PathBuf>,
    /// Where the last policies and the agents are remembered.
    #[arg(long, value_name = "DIR", default_value = state::DEFAULT)]
    state_dir: PathBuf,
    /// The bridge that agents are on; made where it is missing.
    #[arg(long, value_name = "NAME", default_value = "outcall0")]
    bridge: BridgeName,
    /// The agents' IPv4 network; its first address is the gateway's.
    #[arg(long, value_name = "NETWORK", default_value = "10.200.0.0/16")]
    subnet: SubnetV4,
    /// The agents' IPv6 network, of unique local addresses.
    #[arg(long, value_name = "NETWORK", default_value = "fd6f:7574:6361:6c6c::/64")]
    subnet6: SubnetV6,
    /// The port of the DNS filter at the gateway.
    #[arg(long, value_name = "PORT", default_value_t = 53, value_parser = clap::value_parser!(u16).range(1..))]
    dns_port: u16,
    /// The port of the proxy at the gateway.
    #[arg(long, value_name = "PORT", default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..))]
    proxy_port: u16,
    /// A resolver to ask for allowed names, `IP`, `IP:PORT`, or over TLS `tls://NAME@IP`; may be repeated.
    #[arg(long, value_name = "RESOLVER", required = true)]
    dns_upstream: Vec<Server>,
    #[command(flatten)]
    names: Names,
    /// Where Docker's engine serves. Without an engine there everything else works, and it is asked again.
    #[arg(long, value_name = "PATH", default_value = docker::SOCKET)]
    docker_socket: PathBuf,
    /// Leave Docker alone: containers are neither made nor let in.
    #[arg(long, conflicts_with = "docker_socket")]
    no_docker: bool,
    /// Append one JSON line for each refusal, and for each request inside TLS, to this file [default: standard output].
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The certificate authority for rules that look inside TLS, in PEM; without it a policy that has any does not load.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Its private key; its owner alone may have access to the file.
    #[arg(long, value_name = "FILE")]
    ca_key: Option<PathBuf>,
    /// Certificates in PEM that servers inside TLS, and resolvers, are verified against beside those that this system trusts.
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    #[command(flatten)]
    inside: Inside,
}

impl Host {
    pub(super) fn run(self) -> ! {
        let network = Network {
            bridge: self.bridge,
            v4: self.subnet,
            v6: has_v6().then_some(self.subnet6),
            dns_port: self.dns_port,
            proxy_port: self.proxy_port,
        };
        ended(daemon::run(Options {
            artifacts: self.artifacts.unwrap_or_default(),
            trust_keys: self.trust_key,
            socket: self.socket,
            agent_socket: self.agent_socket,
            agent_shim: self.agent_shim,
            state: self.state_dir,
            network,
            upstreams: self.dns_upstream,
            dns_budget: self.names.budget(),
            docker: (!self.no_docker).then_some(self.docker_socket),
            log: self.log,
            authority: authority(self.ca_cert, self.ca_key),
            upstream_ca: self.upstream_ca,
            leaf_ttl: self.inside.intercept_leaf_ttl_secs,
            secrets: self.inside.sources(),
            body_cap_bytes: self.inside.body_cap_bytes(),
        }))
    }
}

/// What `outcall netns attach` runs, with the rights over both namespaces that it takes.
#[derive(Debug, clap::Args)]
pub(super) struct Attach {
    /// The network namespace: a name of `ip netns`, or a path such as /proc/PID/ns/net.
    #[arg(value_name = "NETNS")]
    netns: PathBuf,
    /// What the daemon answered: where the agent is to be.
    #[arg(long, value_name = "JSON")]
    place: String,
}

impl Attach {
    pub(super) fn run(self) -> ! {
        ended(attach::plug(&self.netns, &self.place))
    }
}

/// What closes the kernel before there is a daemon.
#[derive(Debug, clap::Parser)]
pub(super) struct Close {
    /// The daemon's file with settings, for those that are options here.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The bridge that agents are on, or will be.
    #[arg(long, value_name = "NAME", default_value = "outcall0")]
    bridge: BridgeName,
    /// The agents' IPv4 network; its first address is the gateway's.
    #[arg(long, value_name = "NETWORK", default_value = "10.200.0.0/16")]
    subnet: SubnetV4,
    /// The agents' IPv6 network, of unique local addresses.
    #[arg(long, value_name = "NETWORK", default_value = "fd6f:7574:6361:6c6c::/64")]
    subnet6: SubnetV6,
}

impl Close {
    pub(super) fn run(self) -> ! {
        ended(self.closed())
    }

    /// Closes what there is by default, and fails: nobody knows what the file meant, and nothing may be open for that.
    pub(super) fn without_settings(error: &str) -> ! {
        let defaults = <Close as clap::Parser>::parse_from(["close"]);
        let bridge = defaults.bridge.to_string();
        match defaults.closed() {
            Ok(()) => outcall_runtime::say!("{error}; closed `{bridge}`, as without the file"),
            Err(closing) => outcall_runtime::say!("{error}; nor is `{bridge}` closed: {closing}"),
        }
        exit(1)
    }

    fn closed(self) -> Result<(), RulesetError> {
        let Close { config: _, bridge, subnet, subnet6 } = self;
        let v6 = has_v6().then_some(subnet6);
        let network = Network { bridge, v4: subnet, v6, dns_port: 53, proxy_port: 8080 };
        ruleset::load(&closed(&network, &Agents::default()))
    }
}

fn ended(done: Result<(), impl std::fmt::Display>) -> ! {
    match done {
        Ok(()) => exit(0),
        Err(error) => {
            outcall_runtime::say!("{error}");
            exit(1)
        }
    }
}
