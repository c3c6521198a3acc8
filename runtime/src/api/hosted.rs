//! Passes on what only a host can do: its bridge, its agents, and the loading of policies.

use outcall_schema::api::agents::{Agent, AgentRow, Attach, Attached, Detach, Detached};
use outcall_schema::api::docker::Network;
use outcall_schema::api::load::Loaded;
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::artifact::manifest::is_name;

use super::Api;
use super::host::{Failed, Host};
use super::message::Failure;

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        Failure::new(failed.status(), failed.why)
    }
}

/// The host, where there is one.
pub(super) fn host(api: &Api) -> Result<&dyn Host, Failure> {
    let none = || Failure::new(404, "there is no host behind this socket: it is that of `outcall run`");
    api.host.as_deref().ok_or_else(none)
}

pub(super) async fn load(api: &Api, body: Vec<u8>) -> Result<Loaded, Failure> {
    let host = host(api)?;
    // Taking hundreds of megabytes apart would hold up what else this thread does.
    let bundle = tokio::task::spawn_blocking(move || Bundle::from_bytes(&body));
    let bundle = bundle.await.map_err(|error| Failure::new(500, error.to_string()))?;
    let bundle = bundle.map_err(|error| Failure::new(422, format!("the upload cannot be used: {error}")))?;
    Ok(host.load(bundle).await?)
}

pub(super) async fn agents(api: &Api) -> Result<Vec<AgentRow>, Failure> {
    let agents: Vec<Agent> = match &api.host {
        Some(host) => host.agents().await?,
        None => api.sandbox.iter().cloned().collect(),
    };
    let counts = api.audit.counts();
    let decided = |name: &str| counts.agents.iter().find(|(agent, _)| agent == name).map(|(_, passed)| *passed);
    let row = |agent: Agent| {
        let passed = decided(&agent.agent).unwrap_or_default();
        AgentRow { agent, allowed: passed.allowed, blocked: passed.blocked }
    };
    Ok(agents.into_iter().map(row).collect())
}

pub(super) async fn attach(api: &Api, wanted: Attach) -> Result<Attached, Failure> {
    named(&wanted.name)?;
    Ok(host(api)?.attach(wanted).await?)
}

pub(super) async fn detach(api: &Api, wanted: Detach) -> Result<Detached, Failure> {
    named(&wanted.name)?;
    Ok(host(api)?.detach(wanted).await?)
}

/// The network of this name among those of our bridge.
pub(super) async fn network(api: &Api, name: &str) -> Result<Network, Failure> {
    let networks = host(api)?.networks().await?;
    let none = || Failure::new(404, format!("there is no network `{name}` on our bridge"));
    networks.into_iter().find(|network| network.name == name).ok_or_else(none)
}

fn named(name: &str) -> Result<(), Failure> {
    let why = "an agent's name begins with a letter or a digit and has at most 128 of them, `.`, `_` and `-`";
    if is_name(name) { Ok(()) } else { Err(Failure::new(400, why)) }
}
