//! The engine's networks on our bridge.

use outcall_schema::api::docker::{Named, Network, NetworkConfig, NetworkCreate, NetworkDestroy};
use serde_json::{Value, json};

use super::Docker;
use super::engine::{EngineError, encoded};
use super::inspected::{Listed, Net};
use crate::api::{Failed, Kind};

/// The option that says on which bridge a network is.
const BRIDGE: &str = "com.docker.network.bridge.name";
const LABEL: &str = "outcall.network";

impl Docker {
    /// What networks are made with.
    pub fn network_config(&self) -> NetworkConfig {
        let network = &self.gate.network;
        let gateway = network.v4.gateway();
        NetworkConfig {
            engine: self.status(),
            bridge: network.bridge.to_string(),
            subnet: network.v4.to_string(),
            gateway,
            subnet6: network.v6.map(|v6| v6.to_string()),
            gateway6: network.v6.map(|v6| v6.gateway()),
            proxy_url: self.proxy_url(),
        }
    }

    pub(super) fn proxy_url(&self) -> String {
        self.gate.network.proxy_url()
    }

    /// Those on our bridge.
    pub(super) async fn ours(&self) -> Result<Vec<Net>, EngineError> {
        let filters = encoded(r#"{"driver":["bridge"]}"#);
        let networks: Vec<Net> = self.engine.get(&format!("/networks?filters={filters}")).await?;
        let bridge = self.gate.network.bridge.as_str();
        Ok(networks.into_iter().filter(|it| it.options.get(BRIDGE).is_some_and(|name| name == bridge)).collect())
    }

    /// The containers on these networks, running or not.
    pub(super) async fn on(&self, networks: &[Net]) -> Result<Vec<Listed>, EngineError> {
        let listed: Vec<Listed> = self.engine.get("/containers/json?all=true").await?;
        let on =
            |it: &Listed| it.network_settings.networks.keys().any(|name| networks.iter().any(|net| net.name == *name));
        Ok(listed.into_iter().filter(on).collect())
    }

    /// Those on our bridge, with the number of containers.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn networks(&self) -> Result<Vec<Network>, Failed> {
        let ours = self.ours().await?;
        let containers = self.on(&ours).await?;
        Ok(ours.iter().map(|net| self.shown(net, &containers)).collect())
    }

    fn shown(&self, net: &Net, containers: &[Listed]) -> Network {
        let on = |it: &&Listed| it.network_settings.networks.contains_key(&net.name);
        Network {
            name: net.name.clone(),
            id: net.id.clone(),
            bridge: self.gate.network.bridge.to_string(),
            subnets: net.ipam.config.iter().map(|pool| pool.subnet.clone()).collect(),
            containers: containers.iter().filter(on).count(),
        }
    }

    /// Makes one. Where it is there nothing changes.
    ///
    /// # Errors
    /// There is another on our bridge, or one of that name elsewhere, or the engine does not make it.
    pub async fn network_create(&self, wanted: NetworkCreate) -> Result<Network, Failed> {
        let NetworkCreate { name } = wanted;
        named(&name)?;
        let _one = self.one.lock().await;
        let ours = self.ours().await?;
        if let Some(other) = ours.iter().find(|net| net.name != name) {
            return Err(Failed::new(
                Kind::Conflict,
                format!("there is the network `{}` on our bridge already", other.name),
            ));
        }
        if ours.is_empty() {
            let made = self.engine.ask("POST", "/networks/create", Some(&self.body(&name))).await;
            made.map_err(|error| match error {
                // It forbids what is taken elsewhere.
                EngineError::Refused { status: 403 | 409, why } => Failed::new(Kind::Conflict, why),
                error => error.into(),
            })?;
            self.audit.note(&self.notice("network_created").with("network", name.as_str()));
        }
        let ours = self.ours().await?;
        let containers = self.on(&ours).await?;
        let made = ours.iter().find(|net| net.name == name);
        let gone = || Failed::new(Kind::Broken, format!("the network `{name}` is not on our bridge"));
        made.map(|net| self.shown(net, &containers)).ok_or_else(gone)
    }

    fn body(&self, name: &str) -> Value {
        let network = &self.gate.network;
        // Containers that others start get the upper half, so that the engine and the host never give one address twice.
        let v4 = json!({
            "Subnet": network.v4.to_string(),
            "IPRange": network.v4.upper_half().to_string(),
            "Gateway": network.v4.gateway().to_string(),
        });
        let v6 = network.v6.map(|v6| {
            json!({ "Subnet": v6.to_string(), "IPRange": v6.apart().to_string(), "Gateway": v6.gateway().to_string() })
        });
        json!({
            "Name": name,
            "CheckDuplicate": true,
            "Driver": "bridge",
            "EnableIPv6": v6.is_some(),
            "IPAM": { "Driver": "default", "Config": std::iter::once(v4).chain(v6).collect::<Vec<Value>>() },
            "Options": {
                BRIDGE: network.bridge.as_str(),
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.enable_ip_masquerade": "false",
            },
            "Labels": { LABEL: "1" },
        })
    }

    /// Removes one. The bridge stays, and with it all other agents.
    ///
    /// # Errors
    /// There is none, or containers are on it and nothing says that they may be.
    pub async fn network_destroy(&self, wanted: NetworkDestroy) -> Result<Named, Failed> {
        let NetworkDestroy { name, force } = wanted;
        named(&name)?;
        let _one = self.one.lock().await;
        let ours = self.ours().await?;
        let none = || Failed::new(Kind::Missing, format!("there is no network `{name}` on our bridge"));
        let net = ours.iter().find(|net| net.name == name).ok_or_else(none)?;
        let containers = self.on(std::slice::from_ref(net)).await?;
        if !force && !containers.is_empty() {
            let names = containers.iter().map(Listed::name).collect::<Vec<_>>().join(", ");
            return Err(Failed::new(Kind::Conflict, format!("there are containers on `{name}`: {names}")));
        }
        for container in &containers {
            self.unplug(&net.id, &container.id).await?;
            self.leave(&container.id).await;
        }
        self.engine.ask("DELETE", &format!("/networks/{}", net.id), None).await?;
        self.audit.note(&self.notice("network_destroyed").with("network", name.as_str()));
        Ok(Named { name })
    }

    /// Takes a container off a network.
    pub(super) async fn unplug(&self, network: &str, container: &str) -> Result<(), EngineError> {
        let body = json!({ "Container": container, "Force": true });
        match self.engine.ask("POST", &format!("/networks/{network}/disconnect"), Some(&body)).await {
            Ok(_) => Ok(()),
            // It is gone by itself.
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Checks that a name is one, before it becomes a part of a path.
pub(super) fn named(name: &str) -> Result<(), Failed> {
    let bad = "a name begins with a letter or a digit and has at most 128 of them, `.`, `_` and `-`";
    let good = outcall_schema::artifact::manifest::is_name(name);
    if good { Ok(()) } else { Err(Failed::new(Kind::Unusable, bad)) }
}
