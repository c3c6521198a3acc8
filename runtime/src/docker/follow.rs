//! Hears of containers that come and go, for as long as the engine answers, and asks again when it does not.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Docker;
use super::engine::{EngineError, Lines, encoded};
use super::inspected::{Info, Listed, Version};
use super::profile;
use crate::host::agents::Origin;

/// How long it waits before it asks again, at first and at most.
const SOON: Duration = Duration::from_millis(250);
const LATER: Duration = Duration::from_secs(5);
/// Events that wait to be looked at. More of them, and all containers are looked at anew.
const WAITING: usize = 4096;
/// How often it is looked whether an engine that has nothing to say is still there.
const PING: Duration = Duration::from_secs(10);

impl Docker {
    /// Follows the engine until the future is dropped.
    pub async fn follow(&self) {
        let mut pause = SOON;
        loop {
            let ended = self.session().await;
            let was = self.known();
            let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
            if was.connected || was.error.as_deref() != Some(&why) {
                crate::say!("no containers are let in while Docker's engine is away: {why}");
            }
            if was.connected {
                pause = SOON;
            }
            self.learn(|known| {
                known.connected = false;
                known.error = Some(why);
            });
            sleep(pause).await;
            pause = (pause * 2).min(LATER);
        }
    }

    /// From the moment that the engine answers to the moment that it no longer does.
    async fn session(&self) -> Result<(), EngineError> {
        let version: Version = self.engine.get("/version").await?;
        let info: Info = self.engine.get("/info").await?;
        if profile::is_needed(&version.api_version) {
            crate::say!(
                "Docker's engine {} lets containers open sockets to the hypervisor, past every rule: those that `outcall container \
                 create` makes cannot, those that are started by hand can",
                version.version
            );
        }
        self.learn(|known| {
            known.version = Some(version.version);
            known.api = version.api_version;
            known.root = Some(info.docker_root_dir.into()).filter(|root: &std::path::PathBuf| root.is_absolute());
        });
        let filters = encoded(
            r#"{"type":["container","network"],"event":["start","die","destroy","rename","connect","disconnect"]}"#,
        );
        // First the events, then what there is: what changes in between is seen twice and not never.
        let events = self.engine.follow(&format!("/events?filters={filters}")).await?;
        let (tell, mut told) = mpsc::channel(WAITING);
        let heard = events.lines(Lines(Box::new(move |event| {
            let Some(id) = container(&event) else { return Ok(()) };
            tell.try_send(id).map_err(|_| EngineError::Odd("more happens than can be looked at".to_owned()))
        })));
        let looked = async {
            self.scan().await?;
            self.learn(|known| {
                known.connected = true;
                known.error = None;
            });
            while let Some(id) = told.recv().await {
                let _one = self.one.lock().await;
                self.consider(&id).await?;
            }
            Ok(())
        };
        // One that hangs keeps its connections open, and says nothing.
        let there = async {
            loop {
                sleep(PING).await;
                self.engine.ping().await?;
            }
        };
        tokio::select! {
            ended = heard => ended,
            ended = looked => ended,
            ended = there => ended,
        }
    }

    /// Looks at everything that there is.
    async fn scan(&self) -> Result<(), EngineError> {
        let _one = self.one.lock().await;
        let ours = self.ours().await?;
        self.reserve().await?;
        let running: Vec<Listed> = self.engine.get("/containers/json").await?;
        let concerns = |it: &&Listed| {
            let on = it.network_settings.networks.keys().any(|name| ours.iter().any(|net| net.name == *name));
            on || it.host_config.network_mode.starts_with("container:")
        };
        let there: BTreeSet<&str> = running.iter().filter(concerns).map(|it| it.id.as_str()).collect();
        let known: Vec<(String, String)> = {
            let held = self.gate.hold().await;
            let of_container = |agent: &crate::host::agents::Agent| match &agent.origin {
                Origin::Container(id) => Some((agent.name.clone(), id.clone())),
                Origin::Namespace => None,
            };
            held.agents.iter().filter_map(of_container).collect()
        };
        // Whoever is gone first: addresses may be others' by now.
        for (_, id) in known.iter().filter(|(_, id)| !there.contains(id.as_str())) {
            self.leave(id).await;
        }
        for id in there {
            self.consider(id).await?;
        }
        Ok(())
    }

    /// Has no agent get the address that a container on our network has, or will have when it is started.
    pub(super) async fn reserve(&self) -> Result<(), EngineError> {
        let ours = self.ours().await?;
        let containers = self.on(&ours).await?;
        let endpoints = containers.iter().flat_map(|it| &it.network_settings.networks);
        let addresses: HashSet<_> = endpoints
            .filter(|(name, _)| ours.iter().any(|net| net.name == **name))
            .filter_map(|(_, endpoint)| endpoint.v4())
            .collect();
        self.gate.reserve(addresses).await;
        Ok(())
    }
}

/// The container that an event is about.
fn container(event: &Value) -> Option<String> {
    let actor = event.get("Actor")?;
    let id = match event.get("Type")?.as_str()? {
        "container" => actor.get("ID")?,
        _ => actor.get("Attributes")?.get("container")?,
    };
    // It becomes a part of a path.
    id.as_str().filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_name_their_container() {
        let check = |event: Value, id: Option<&str>| assert_eq!(container(&event).as_deref(), id, "{event}");
        check(json!({ "Type": "container", "Actor": { "ID": "ab12" } }), Some("ab12"));
        check(
            json!({ "Type": "network", "Actor": { "ID": "n", "Attributes": { "container": "ab12" } } }),
            Some("ab12"),
        );
        check(json!({ "Type": "network", "Actor": { "ID": "n", "Attributes": {} } }), None);
        check(json!({ "Type": "container", "Actor": { "ID": "../x" } }), None);
        check(json!({}), None);
    }
}
