//! What the operator asks of containers: to make, show, stop and remove them, and to fetch their images.

use std::time::Duration;

use outcall_schema::api::docker::{
    Container, ContainerCreate, ContainerDetail, ContainerLogs, ContainerPull, ContainerRemove, ContainerStop, Named,
};
use outcall_schema::decision::{Outcome, Verdict};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use serde_json::Value;
use tokio::time::timeout;

use super::Docker;
use super::engine::{EngineError, Lines, encoded};
use super::image::{Image, NO_IMAGE};
use super::inspected::{Listed, Net};
use super::networks::named;
use super::profile;
use super::wanted::{Place, Source, Wanted};
use crate::api::{Failed, Kind};
use crate::audit::Record;
use crate::host::agents::{Agent, AgentError, Origin};
use crate::host::gate::GateError;

/// How long an image may take to come.
const PULLING: Duration = Duration::from_secs(900);
/// How many lines of what a container said are shown.
const TAIL: u32 = 1000;

impl Docker {
    /// Those on our network.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn containers(&self) -> Result<Vec<Container>, Failed> {
        let ours = self.ours().await?;
        let mut rows = Vec::new();
        for listed in self.on(&ours).await? {
            rows.push(self.row(&listed, &ours).await);
        }
        rows.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(rows)
    }

    async fn row(&self, listed: &Listed, ours: &[Net]) -> Container {
        let agent = self.agent_of(&listed.id).await;
        let networks = &listed.network_settings.networks;
        let endpoint = networks.iter().find(|(name, _)| ours.iter().any(|net| net.name == **name)).map(|(_, it)| it);
        Container {
            name: listed.name().to_owned(),
            id: listed.id.clone(),
            image: listed.image.clone(),
            state: listed.state.clone(),
            guarded: agent.is_some(),
            agent: agent.as_ref().map(|agent| agent.shown().to_owned()).unwrap_or_default(),
            ipv4: endpoint.and_then(|endpoint| endpoint.v4()),
            ipv6: endpoint.and_then(|endpoint| endpoint.v6()),
            port: agent.map(|agent| agent.port),
        }
    }

    /// The container of this name on our network.
    async fn find(&self, name: &str) -> Result<(Listed, Vec<Net>), Failed> {
        named(name)?;
        let ours = self.ours().await?;
        let found = self.on(&ours).await?.into_iter().find(|listed| listed.name() == name);
        let none = || Failed::new(Kind::Missing, format!("there is no container `{name}` on our network"));
        Ok((found.ok_or_else(none)?, ours))
    }

    /// All about one.
    ///
    /// # Errors
    /// There is none, or the engine does not answer.
    pub async fn container(&self, name: &str) -> Result<ContainerDetail, Failed> {
        let (listed, ours) = self.find(name).await?;
        let gone = || Failed::new(Kind::Missing, format!("the container `{name}` is gone"));
        let found = self.inspect(&listed.id).await?.ok_or_else(gone)?;
        let excess = self.excess(&found, &ours).await?;
        let ended = !found.state.running && found.state.status != "created";
        let mounts = found.mounts.iter().map(|mount| {
            let source = if mount.kind == "volume" { &mount.name } else { &mount.source };
            format!("{source}:{}{}", mount.destination, if mount.writable { "" } else { ":ro" })
        });
        Ok(ContainerDetail {
            container: self.row(&listed, &ours).await,
            created_at: found.created.clone(),
            command: found.config.cmd.clone(),
            exit_code: ended.then_some(found.state.exit_code),
            memory_bytes: found.host_config.memory,
            pids: found.host_config.pids_limit.filter(|pids| *pids > 0),
            mounts: mounts.collect(),
            excess,
        })
    }

    /// What the policy says; a refusal leaves a record.
    fn decide(&self, facts: &Facts<'_>) -> Result<(), Failed> {
        let snapshot = self.gate.policy.load_full();
        let verdict = match snapshot.program.decide(Layer::Docker, facts) {
            Outcome::Decided(verdict) => verdict,
            // Everything is known.
            Outcome::Undecided => Verdict::DEFAULT,
        };
        let rule = match verdict {
            Verdict::Allow(rule) => {
                self.audit.record(&Record::allowed(&snapshot, Layer::Docker, facts, rule));
                return Ok(());
            }
            Verdict::Block(rule) => rule,
            Verdict::Intercept(rule) => Some(rule),
        };
        let reason = if rule.is_some() { Reason::BlockedByRule } else { Reason::NoRuleAllows };
        self.audit.record(&Record::refusal(&snapshot, Layer::Docker, facts, rule, reason));
        Err(Failed::new(Kind::Refused, format!("Blocked by outcall: {}", snapshot.rule_name(rule))))
    }

    /// Starts one as an agent.
    ///
    /// # Errors
    /// It cannot be, the policy does not allow it, or the engine does not make it. Nothing of it is left.
    pub async fn container_create(&self, asked: ContainerCreate) -> Result<Container, Failed> {
        let wanted = Wanted::read(asked).map_err(|why| Failed::new(Kind::Unusable, why))?;
        self.decide(&wanted.facts())?;
        let _one = self.one.lock().await;
        let protected = self.protected();
        for mount in &wanted.mounts {
            let source = match &mount.source {
                Source::Host(path) => Some(path.clone()),
                Source::Volume(name) => self.device_of(name).await?.map(Into::into),
            };
            if let Some(source) = source.filter(|source| protected.touched_by(source)) {
                let why = format!("no agent may see {} of the host", source.display());
                return Err(Failed::new(Kind::Unusable, why));
            }
        }
        let ours = self.ours().await?;
        let none = "there is no network of Docker's on our bridge: make one with `outcall network create`";
        let net = ours.first().ok_or_else(|| Failed::new(Kind::Conflict, none))?;
        self.reserve().await?;
        let origin = Origin::Container(String::new());
        let agent = self.gate.attach(&wanted.name, origin, |agents| self.keep(agents)).await.map_err(of_gate)?;
        let made = self.make(&wanted, &agent, net).await;
        if let Err(error) = self.give_back(&wanted.name).await {
            crate::say!("the place of `{}` cannot be given back: {error}", wanted.name);
        }
        let id = made?;
        let (listed, ours) = self.find(&wanted.name).await?;
        let row = self.row(&listed, &ours).await;
        if row.id != id {
            return Err(Failed::new(Kind::Broken, format!("`{}` is another container by now", wanted.name)));
        }
        Ok(row)
    }

    async fn make(&self, wanted: &Wanted, agent: &Agent, net: &Net) -> Result<String, Failed> {
        let place = Place {
            agent,
            network: &net.name,
            v6: net.ipam.config.iter().any(|pool| pool.subnet.contains(':')),
            gateway: self.gate.network.v4.gateway(),
            proxy_url: &self.proxy_url(),
            given: &self.given,
            trust_variables: &self.trust_variables,
            filtered: profile::is_needed(&self.known().api),
        };
        let path = format!("/containers/create?name={}", wanted.name);
        let answer = self.engine.ask("POST", &path, Some(&wanted.body(&place))).await.map_err(|error| match error {
            EngineError::Refused { status: 404, why } => {
                let hint = format!("{why}; fetch it with `outcall container pull {}`", wanted.image.as_str());
                Failed::new(Kind::Missing, hint)
            }
            error => error.into(),
        })?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let odd = || EngineError::Odd("it does not say what it made".to_owned());
        let id = answer.get("Id").and_then(Value::as_str).ok_or_else(odd)?.to_owned();
        let started = async {
            self.engine.ask("POST", &format!("/containers/{id}/start"), None).await?;
            self.consider(&id).await?;
            let found = self.inspect(&id).await?;
            let running = found.is_some_and(|found| found.state.running);
            if running && self.agent_of(&id).await.is_none() {
                return Err(Failed::new(Kind::Broken, "the container runs and could not be tied to its port"));
            }
            Ok(())
        };
        let started: Result<(), Failed> = started.await;
        if let Err(why) = started {
            let removed = self.engine.ask("DELETE", &format!("/containers/{id}?force=true"), None).await;
            if let Err(error) = removed {
                crate::say!("the container `{}` is left behind, closed: {error}", wanted.name);
            }
            self.leave(&id).await;
            return Err(why);
        }
        Ok(id)
    }

    /// Lets a place go that no container has taken.
    async fn give_back(&self, name: &str) -> Result<(), GateError> {
        let left = self.gate.hold().await.agents.get(name).cloned();
        if left.is_some_and(|agent| agent.origin == Origin::Container(String::new())) {
            self.gate.detach(name, |agents| self.keep(agents)).await?;
        }
        Ok(())
    }

    /// Stops one.
    ///
    /// # Errors
    /// There is none, or the engine does not stop it.
    pub async fn container_stop(&self, wanted: ContainerStop) -> Result<Named, Failed> {
        let (listed, _) = self.find(&wanted.name).await?;
        self.engine.ask("POST", &format!("/containers/{}/stop?t=10", listed.id), None).await?;
        let _one = self.one.lock().await;
        self.consider(&listed.id).await?;
        Ok(Named { name: wanted.name })
    }

    /// Removes one.
    ///
    /// # Errors
    /// There is none, it runs and nothing says that it may, or the engine does not remove it.
    pub async fn container_remove(&self, wanted: ContainerRemove) -> Result<Named, Failed> {
        let (listed, _) = self.find(&wanted.name).await?;
        let path = format!("/containers/{}?force={}", listed.id, wanted.force);
        self.engine.ask("DELETE", &path, None).await?;
        let _one = self.one.lock().await;
        self.consider(&listed.id).await?;
        Ok(Named { name: wanted.name })
    }

    /// Has the engine fetch an image.
    ///
    /// # Errors
    /// It is none, the policy does not allow it, or it does not come.
    pub async fn container_pull(&self, wanted: ContainerPull) -> Result<Named, Failed> {
        let image = Image::read(&wanted.image).ok_or_else(|| Failed::new(Kind::Unusable, NO_IMAGE))?;
        // To fetch is to ask for an image and for nothing else.
        self.decide(&Facts {
            agent_name: Fact::Known(""),
            docker_image: Fact::Known(image.as_str()),
            docker_command: Fact::Known(&[]),
            docker_volumes: Fact::Known(&[]),
            docker_env_keys: Fact::Known(&[]),
            docker_capabilities: Fact::Known(&[]),
            ..Facts::default()
        })?;
        let (name, tag) = image.parts();
        let path = format!("/images/create?fromImage={}&tag={}", encoded(name), encoded(tag));
        let pulled = async {
            let answer = self.engine.open("POST", &path, None).await?;
            // It has said 200 by the time that it knows.
            let heard = |line: Value| match line.get("error").and_then(Value::as_str) {
                Some(why) => Err(EngineError::Refused { status: 500, why: why.to_owned() }),
                None => Ok(()),
            };
            answer.lines(Lines(Box::new(heard))).await
        };
        timeout(PULLING, pulled).await.map_err(|_| EngineError::Late)??;
        Ok(Named { name: image.as_str().to_owned() })
    }

    /// The end of what one has said.
    ///
    /// # Errors
    /// There is none, or the engine does not answer.
    pub async fn container_logs(&self, name: &str) -> Result<ContainerLogs, Failed> {
        let (listed, _) = self.find(name).await?;
        let found = self.inspect(&listed.id).await?;
        let path = format!("/containers/{}/logs?stdout=true&stderr=true&tail={TAIL}", listed.id);
        let said = self.engine.ask("GET", &path, None).await?;
        let text = if found.is_some_and(|found| found.config.tty) { said } else { unframed(&said) };
        Ok(ContainerLogs { name: name.to_owned(), text: String::from_utf8_lossy(&text).into_owned() })
    }
}

/// What was said, without the engine's frames: each has the stream's number, three zeros, and the length of what follows.
fn unframed(mut said: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let [0..=2, 0, 0, 0, a, b, c, d, rest @ ..] = said {
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX).min(rest.len());
        let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        text.extend_from_slice(piece);
        said = after;
    }
    text
}

fn of_gate(error: GateError) -> Failed {
    let kind = match &error {
        GateError::Agent(AgentError::Name) => Kind::Unusable,
        GateError::Agent(_) => Kind::Conflict,
        GateError::Foreign(_) | GateError::Ruleset(_) | GateError::Kernel(_) | GateError::Memory(_) => Kind::Broken,
    };
    Failed::new(kind, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_told_without_frames() {
        let said =
            [b"\x01\0\0\0\0\0\0\x03one".as_slice(), b"\x02\0\0\0\0\0\0\x01\n", b"\x01\0\0\0\0\0\0\x09cut"].concat();
        assert_eq!(unframed(&said), b"one\ncut");
        assert_eq!(unframed(b"\x01\0\0"), b"");
        assert_eq!(unframed(b""), b"");
    }
}
