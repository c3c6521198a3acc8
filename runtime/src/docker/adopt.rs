//! Says of a container whether it is an agent, and ties it to its port.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use super::Docker;
use super::engine::EngineError;
use super::excess::{names_pass_by, of_mount, of_settings};
use super::inspected::{Inspected, Net, Volume};
use crate::audit::rfc3339;
use crate::host::agents::{Agent, AgentError, Origin};
use crate::host::gate::GateError;
use crate::kernel::link::{self, Mac};

/// Where the host says who is asked for names.
const RESOLV: &str = "/etc/resolv.conf";

/// Where a container is on our network.
struct Spot {
    v4: Ipv4Addr,
    v6: Option<Ipv6Addr>,
    mac: Mac,
    port: link::Link,
}

/// Why a container is no agent.
enum Unfit {
    /// It never may be, as it is.
    More(Vec<String>),
    /// Not now: it is not running, or the system does not say where it is.
    NotNow(String),
}

impl Docker {
    /// All about a container; `None` where there is none.
    pub(super) async fn inspect(&self, id: &str) -> Result<Option<Inspected>, EngineError> {
        match self.engine.get(&format!("/containers/{id}/json")).await {
            Err(error) if error.is_missing() => Ok(None),
            found => found.map(Some),
        }
    }

    /// Looks at a container as it is now: an agent that it is is let in, and one that it no longer is let go. Whoever calls
    /// this holds `one`.
    pub(super) async fn consider(&self, id: &str) -> Result<(), EngineError> {
        let Some(found) = self.inspect(id).await? else {
            self.leave(id).await;
            return Ok(());
        };
        let ours = self.ours().await?;
        // Whoever shares an agent's network is that agent.
        if let Some(owner) = found.host_config.network_mode.strip_prefix("container:") {
            let excess = self.excess(&found, &ours).await?;
            if found.state.running && !excess.is_empty() && self.agent_of(owner).await.is_some() {
                let why = excess.into_iter().map(|why| format!("{why}, and shares its network")).collect::<Vec<_>>();
                if let Some(owner) = self.inspect(owner).await? {
                    self.cut_off(&owner, &ours, &why).await?;
                }
            }
            return Ok(());
        }
        match self.fit(&found, &ours).await? {
            Ok(spot) => match self.let_in(&found, spot).await {
                Ok(()) => Ok(()),
                Err(GateError::Agent(error)) => self.cut_off(&found, &ours, &[error.to_string()]).await,
                Err(error) => {
                    crate::say!("cannot let the container `{}` in: {error}", found.plain_name());
                    Ok(())
                }
            },
            Err(Unfit::More(why)) => self.cut_off(&found, &ours, &why).await,
            Err(Unfit::NotNow(why)) => {
                if found.state.running && !why.is_empty() {
                    crate::say!("the container `{}` stays closed: {why}", found.plain_name());
                }
                self.leave(id).await;
                Ok(())
            }
        }
    }

    /// Where a container is, when it may be an agent.
    async fn fit(&self, found: &Inspected, ours: &[Net]) -> Result<Result<Spot, Unfit>, EngineError> {
        let not_now = |why: &str| Ok(Err(Unfit::NotNow(why.to_owned())));
        let networks = &found.network_settings.networks;
        let mut on = networks.iter().filter(|(name, _)| ours.iter().any(|net| net.name == **name));
        let (Some((network, endpoint)), None) = (on.next(), on.next()) else { return not_now("") };
        if !found.state.running || found.state.pid == 0 {
            return not_now("");
        }
        let excess = self.excess(found, ours).await?;
        if !excess.is_empty() {
            return Ok(Err(Unfit::More(excess)));
        }
        let (Some(v4), Some(mac)) = (endpoint.v4(), endpoint.mac()) else { return not_now("it has no address yet") };
        let port = match port_of(found.state.pid, self.gate.network.bridge.as_str()) {
            Ok(Some(port)) => port,
            Ok(None) => return not_now("its port of the bridge is not there"),
            Err(error) => return not_now(&format!("its port of the bridge cannot be found: {error}")),
        };
        // The process may have ended and its number be another's by now.
        let same = self.inspect(&found.id).await?.is_some_and(|again| {
            let there = again.network_settings.networks.get(network);
            again.state.running && again.state.pid == found.state.pid && there == Some(endpoint)
        });
        if !same {
            return not_now("it changed while it was looked at");
        }
        Ok(Ok(Spot { v4, v6: endpoint.v6(), mac, port }))
    }

    /// Why a container may not be an agent.
    pub(super) async fn excess(&self, found: &Inspected, ours: &[Net]) -> Result<Vec<String>, EngineError> {
        let mut excess = of_settings(&found.host_config);
        let protected = self.protected();
        for mount in &found.mounts {
            let device = if mount.kind == "volume" { self.device_of(&mount.name).await? } else { None };
            excess.extend(of_mount(mount, device.as_deref(), &protected));
        }
        let shares = found.host_config.network_mode.starts_with("container:");
        let others = found.network_settings.networks.keys().filter(|name| !ours.iter().any(|net| net.name == **name));
        excess.extend(others.filter(|_| !shares).map(|other| format!("it is on the network `{other}` too")));
        // A file that cannot be read may say anything.
        let resolv = fs::read_to_string(RESOLV).unwrap_or_else(|_| "nameserver 127.0.0.1".to_owned());
        let gateways = self.gate.network.gateways();
        if !shares && names_pass_by(&found.host_config, &self.known().api, &resolv, &gateways) {
            let gateway = self.gate.network.v4.gateway();
            excess.push(format!("the engine would resolve its names past the filter; start it with `--dns {gateway}`"));
        }
        Ok(excess)
    }

    /// What of the host a volume is made of, where it is no directory of the engine's.
    pub(super) async fn device_of(&self, volume: &str) -> Result<Option<String>, EngineError> {
        match self.engine.get::<Volume>(&format!("/volumes/{volume}")).await {
            Ok(volume) => Ok(volume.options.get("device").cloned()),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The agent that a container is.
    pub(super) async fn agent_of(&self, id: &str) -> Option<Agent> {
        let is = |agent: &&Agent| matches!(&agent.origin, Origin::Container(own) if own == id);
        self.gate.hold().await.agents.iter().find(is).cloned()
    }

    async fn let_in(&self, found: &Inspected, spot: Spot) -> Result<(), GateError> {
        let Spot { v4, v6, mac, port } = spot;
        let name = found.plain_name();
        // Isolated as well, for the time that our tables are not there.
        if let Some(bridge) = port.master {
            link::plug(port.index, bridge)?;
        }
        let origin = Origin::Container(found.id.clone());
        let here = |agent: &Agent| agent.name == name && agent.v4 == v4 && agent.mac == mac;
        let known = self.agent_of(&found.id).await;
        let reserved = self.gate.hold().await.agents.get(name).cloned();
        let reserved = reserved.filter(|agent| agent.origin == Origin::Container(String::new()));
        let keep = |agents: &_| self.keep(agents);
        if known.as_ref().or(reserved.as_ref()).is_some_and(here) {
            let changed = known.is_none_or(|known| known.port != port.name || known.v6 != v6);
            self.gate.plugged(name, origin, &port.name, v6, keep).await?;
            if changed {
                self.said_in(name, found, v4);
            }
            return Ok(());
        }
        if let Some(known) = known {
            self.gate.detach(&known.name, keep).await?;
        }
        let attached_at = rfc3339(SystemTime::now());
        let agent = Agent { name: name.to_owned(), origin, port: port.name, mac, v4, v6, attached_at };
        self.gate.adopt(agent, keep).await?;
        self.said_in(name, found, v4);
        Ok(())
    }

    fn said_in(&self, name: &str, found: &Inspected, v4: Ipv4Addr) {
        let notice =
            self.notice("container_attached").with("container", name).with("image", found.config.image.as_str());
        self.audit.note(&notice.with("address", v4.to_string()));
    }

    /// Takes from a container what it has, and off our networks.
    async fn cut_off(&self, found: &Inspected, ours: &[Net], why: &[String]) -> Result<(), EngineError> {
        self.leave(&found.id).await;
        let why = why.join("; ");
        let name = found.plain_name();
        crate::say!("the container `{name}` is cut off: {why}");
        let notice =
            self.notice("container_cut_off").with("container", name).with("image", found.config.image.as_str());
        self.audit.note(&notice.with("decision", "block").with("why", why));
        for net in ours.iter().filter(|net| found.network_settings.networks.contains_key(&net.name)) {
            self.unplug(&net.id, &found.id).await?;
        }
        Ok(())
    }

    /// Lets the agent go that a container was.
    pub(super) async fn leave(&self, id: &str) {
        let Some(agent) = self.agent_of(id).await else { return };
        match self.gate.detach(&agent.name, |agents| self.keep(agents)).await {
            Ok((_, _)) => self.audit.note(&self.notice("container_detached").with("container", agent.name)),
            // Somebody else was faster.
            Err(GateError::Agent(AgentError::Unknown(_))) => {}
            Err(error) => crate::say!("cannot let agent `{}` go: {error}", agent.name),
        }
    }
}

/// The port of the bridge behind which a process is: the one whose other end is in its network namespace.
fn port_of(pid: u32, bridge: &str) -> io::Result<Option<link::Link>> {
    let Some(netns) = link::netns_of(pid)? else { return Ok(None) };
    let links = link::all()?;
    let bridge = links.iter().find(|link| link.name == bridge).map(|bridge| bridge.index);
    let behind = |link: &&link::Link| bridge.is_some() && link.master == bridge && link.peer_netns == Some(netns);
    let mut ports = links.iter().filter(behind);
    match (ports.next(), ports.next()) {
        (Some(port), None) => Ok(Some(port.clone())),
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(io::Error::other("it has more than one")),
    }
}
