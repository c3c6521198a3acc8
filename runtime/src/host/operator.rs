//! What the operator's API asks of the daemon.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use outcall_schema::api::agents::{Agent as Row, AgentKind, Attach, Attached, Detach, Detached};
use outcall_schema::api::bridge::Bridge;
use outcall_schema::api::docker;
use outcall_schema::api::grants::{Grant, GrantsFlushed};
use outcall_schema::api::load::Loaded;
use outcall_schema::artifact::bundle::Bundle;

use super::agents::{Agent, AgentError, Origin};
use super::daemon::{Daemon, DaemonError};
use super::gate::GateError;
use super::{bridge, callers};
use crate::api::{Counter, Failed, Host, Kind, Later};
use crate::docker::Docker;
use crate::kernel::elements::Family;
use crate::kernel::link::{self, mac_text};
use crate::kernel::ruleset::RulesetError;
use crate::load::Artifacts;

/// The bytes of the largest packet where the bridge does not say.
const MTU: u32 = 1500;

/// The daemon as the API sees it. What is begun goes on in a task of its own when whoever asked goes away.
pub(super) struct Operator(pub(super) Arc<Daemon>);

impl Operator {
    fn on<'a, T: Send + 'static, F>(&self, work: impl FnOnce(Arc<Daemon>) -> F) -> Later<'a, T>
    where
        F: Future<Output = Result<T, Failed>> + Send + 'static,
    {
        let task = tokio::spawn(work(Arc::clone(&self.0)));
        Box::pin(async move { task.await.unwrap_or_else(|error| Err(Failed::new(Kind::Broken, error.to_string()))) })
    }
}

impl Host for Operator {
    fn bridge(&self) -> Later<'_, Bridge> {
        self.on(|daemon| async move { shown(&daemon).await })
    }

    fn bridge_up(&self) -> Later<'_, Bridge> {
        self.on(|daemon| async move {
            bridge::bring_up(&daemon.gate.network).map_err(|error| Failed::new(Kind::Conflict, error.to_string()))?;
            daemon.gate.settle().await;
            shown(&daemon).await
        })
    }

    fn bridge_down(&self) -> Later<'_, Bridge> {
        self.on(|daemon| async move {
            if let Some(bridge) = link::find(daemon.gate.network.bridge.as_str()).map_err(broken)? {
                link::set_up(bridge.index, false).map_err(broken)?;
            }
            shown(&daemon).await
        })
    }

    fn load(&self, artifacts: Bundle) -> Later<'_, Loaded> {
        self.on(|daemon| async move {
            let artifacts =
                Artifacts::try_from(artifacts).map_err(|error| Failed::new(Kind::Unusable, error.to_string()))?;
            daemon.load(artifacts).await.map_err(failed)
        })
    }

    fn reload(&self) -> Later<'_, Loaded> {
        self.on(|daemon| async move { daemon.reload().await.map_err(failed) })
    }

    fn rollback(&self) -> Later<'_, Loaded> {
        self.on(|daemon| async move { daemon.rollback().await.map_err(failed) })
    }

    fn grants(&self) -> Later<'_, Vec<Grant>> {
        self.on(|daemon| async move { Ok(daemon.gate.grants().await) })
    }

    fn flush_grants(&self) -> Later<'_, GrantsFlushed> {
        self.on(|daemon| async move { daemon.gate.flush().await.map_err(broken) })
    }

    fn is_agent(&self, socket: OwnedFd) -> Later<'_, bool> {
        self.on(|daemon| async move {
            let bridge = daemon.gate.network.bridge.clone();
            let found = tokio::task::spawn_blocking(move || callers::is_behind_a_port(&socket, bridge.as_str())).await;
            found.map_err(|error| broken(io::Error::other(error)))?.map_err(broken)
        })
    }

    fn agents(&self) -> Later<'_, Vec<Row>> {
        self.on(|daemon| async move { Ok(daemon.gate.hold().await.agents.iter().map(row).collect()) })
    }

    fn attach(&self, wanted: Attach) -> Later<'_, Attached> {
        self.on(|daemon| async move {
            let bridge = link::find(daemon.gate.network.bridge.as_str()).map_err(broken)?;
            let mtu = bridge.ok_or_else(|| Failed::new(Kind::Busy, "the bridge is down"))?.mtu;
            let agent = daemon.attach(&wanted.name).await.map_err(of_gate)?;
            Ok(attached(&daemon, &agent, mtu))
        })
    }

    fn detach(&self, wanted: Detach) -> Later<'_, Detached> {
        self.on(|daemon| async move {
            let (agent, unkept) = daemon.detach(&wanted.name).await.map_err(of_gate)?;
            let warning = |why: io::Error| format!("it reaches nothing, and is known again after a restart: {why}");
            Ok(Detached { name: agent.name, warnings: unkept.map(warning).into_iter().collect() })
        })
    }

    fn networks(&self) -> Later<'_, Vec<docker::Network>> {
        self.on(|daemon| async move { engine(&daemon)?.networks().await })
    }

    fn network_config(&self) -> Later<'_, docker::NetworkConfig> {
        self.on(|daemon| async move { Ok(engine(&daemon)?.network_config()) })
    }

    fn network_create(&self, wanted: docker::NetworkCreate) -> Later<'_, docker::Network> {
        self.on(|daemon| async move { engine(&daemon)?.network_create(wanted).await })
    }

    fn network_destroy(&self, wanted: docker::NetworkDestroy) -> Later<'_, docker::Named> {
        self.on(|daemon| async move { engine(&daemon)?.network_destroy(wanted).await })
    }

    fn containers(&self) -> Later<'_, Vec<docker::Container>> {
        self.on(|daemon| async move { engine(&daemon)?.containers().await })
    }

    fn container(&self, name: String) -> Later<'_, docker::ContainerDetail> {
        self.on(|daemon| async move { engine(&daemon)?.container(&name).await })
    }

    fn container_logs(&self, name: String) -> Later<'_, docker::ContainerLogs> {
        self.on(|daemon| async move { engine(&daemon)?.container_logs(&name).await })
    }

    fn container_create(&self, wanted: docker::ContainerCreate) -> Later<'_, docker::Container> {
        self.on(|daemon| async move { engine(&daemon)?.container_create(wanted).await })
    }

    fn container_stop(&self, wanted: docker::ContainerStop) -> Later<'_, docker::Named> {
        self.on(|daemon| async move { engine(&daemon)?.container_stop(wanted).await })
    }

    fn container_remove(&self, wanted: docker::ContainerRemove) -> Later<'_, docker::Named> {
        self.on(|daemon| async move { engine(&daemon)?.container_remove(wanted).await })
    }

    fn container_pull(&self, wanted: docker::ContainerPull) -> Later<'_, docker::Named> {
        self.on(|daemon| async move { engine(&daemon)?.container_pull(wanted).await })
    }

    fn counters(&self) -> Later<'_, Vec<Counter>> {
        self.on(|daemon| async move {
            let mut counters = Vec::new();
            for family in [Family::Inet, Family::Bridge] {
                counters.extend(daemon.gate.counters(family).await.map_err(broken)?);
            }
            let counter = |count: crate::kernel::counters::Count| Counter {
                name: count.name,
                packets: count.packets,
                bytes: count.bytes,
            };
            Ok(counters.into_iter().map(counter).collect())
        })
    }

    fn not_ready(&self) -> Vec<String> {
        self.0.not_ready()
    }
}

/// The containers, where the engine is asked.
fn engine(daemon: &Daemon) -> Result<&Docker, Failed> {
    let without = || Failed::new(Kind::Missing, "outcalld was started with --no-docker");
    daemon.docker.as_ref().ok_or_else(without)
}

async fn shown(daemon: &Daemon) -> Result<Bridge, Failed> {
    let network = &daemon.gate.network;
    let found = link::find(network.bridge.as_str()).map_err(broken)?;
    let v6 = network.v6.map(|v6| format!("{}/{}", v6.gateway(), v6.prefix()));
    let v4 = format!("{}/{}", network.v4.gateway(), network.v4.prefix());
    Ok(Bridge {
        name: network.bridge.to_string(),
        up: found.as_ref().is_some_and(|link| link.up),
        index: found.as_ref().map(|link| link.index),
        nftables: daemon.gate.is_intact().await.map_err(broken)?,
        mac: found.as_ref().and_then(|link| link.mac).map(mac_text),
        mtu: found.map(|link| link.mtu),
        gateways: std::iter::once(v4).chain(v6).collect(),
        agents: daemon.gate.hold().await.agents.iter().count(),
    })
}

pub(super) fn row(agent: &Agent) -> Row {
    Row {
        name: agent.name.clone(),
        agent: agent.shown().to_owned(),
        kind: match agent.origin {
            Origin::Namespace => AgentKind::Netns,
            Origin::Container(_) => AgentKind::Container,
        },
        port: Some(agent.port.clone()),
        mac: Some(mac_text(agent.mac)),
        ipv4: Some(agent.v4),
        ipv6: agent.v6,
        attached_at: agent.attached_at.clone(),
    }
}

fn attached(daemon: &Daemon, agent: &Agent, mtu: u32) -> Attached {
    let network = &daemon.gate.network;
    let gateway = network.v4.gateway();
    Attached {
        name: agent.name.clone(),
        agent: agent.shown().to_owned(),
        bridge: network.bridge.to_string(),
        port: agent.port.clone(),
        mac: mac_text(agent.mac),
        ipv4: agent.v4,
        ipv4_prefix: network.v4.prefix(),
        ipv4_gateway: gateway,
        ipv6: agent.v6,
        ipv6_prefix: network.v6.map(super::network::SubnetV6::prefix),
        ipv6_gateway: network.v6.map(super::network::SubnetV6::gateway),
        mtu: if mtu == 0 { MTU } else { mtu },
        resolver: gateway,
        proxy_url: network.proxy_url(),
    }
}

fn broken(error: impl std::fmt::Display) -> Failed {
    Failed::new(Kind::Broken, error.to_string())
}

fn of_gate(error: GateError) -> Failed {
    let kind = match &error {
        GateError::Agent(AgentError::Unknown(_)) => Kind::Missing,
        GateError::Agent(AgentError::Name) | GateError::Foreign(_) => Kind::Unusable,
        GateError::Agent(AgentError::Taken(_) | AgentError::Full(_) | AgentError::Address(_)) => Kind::Conflict,
        GateError::Ruleset(RulesetError::Refused(_)) => Kind::Unusable,
        GateError::Ruleset(_) | GateError::Kernel(_) | GateError::Memory(_) => Kind::Broken,
    };
    Failed::new(kind, error.to_string())
}

fn failed(error: DaemonError) -> Failed {
    match error {
        DaemonError::Gate(error) => of_gate(error),
        DaemonError::Policy { .. } => Failed::new(Kind::Unusable, error.to_string()),
        DaemonError::NoPrevious => Failed::new(Kind::Missing, error.to_string()),
        error => Failed::new(Kind::Broken, error.to_string()),
    }
}
