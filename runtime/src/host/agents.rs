//! Who lives on the bridge: names, addresses and ports, and which agent an address is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

use super::network::Network;
use crate::audit::rfc3339;
use crate::identity::Identify;
use crate::kernel::link::Mac;

/// The name under which the agents are remembered.
pub const AGENTS: &str = "agents";

/// The longest name of an agent, in bytes.
const NAME_MAX: usize = 128;

/// Where an agent came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Origin {
    /// A network namespace that the operator attached.
    Namespace,
    /// A container, by its id.
    Container(String),
}

/// An agent and what it may say it is: the addresses that its port lets through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// Its name, one of a kind on this host.
    pub name: String,
    /// Where it came from.
    pub origin: Origin,
    /// The port of the bridge that it is behind.
    pub port: String,
    /// Its hardware address.
    pub mac: Mac,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Option<Ipv6Addr>,
    /// Since when it is known, RFC 3339 in UTC.
    pub attached_at: String,
}

impl Agent {
    /// The name as rules see it.
    pub fn shown(&self) -> &str {
        without_replica(&self.name)
    }

    /// Whether its addresses and its port are such as the network gives.
    pub fn fits(&self, network: &Network) -> bool {
        let v4 = network.v4.contains(self.v4) && self.v4 != network.v4.gateway();
        // The engine gives a container that somebody starts by hand whatever address it likes.
        v4 && match &self.origin {
            Origin::Namespace => self.v6 == network.v6.map(|v6| v6.beside(network.v4, self.v4)),
            Origin::Container(_) => {
                self.v6.is_none_or(|own| network.v6.is_some_and(|v6| v6.contains(own) && own != v6.gateway()))
            }
        }
    }

    /// Its addresses.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        std::iter::once(IpAddr::V4(self.v4)).chain(self.v6.map(IpAddr::V6))
    }
}

/// The name without the number of a replica: `worker` for `worker-3`.
pub fn without_replica(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, number)) if !rest.is_empty() && is_number(number) => rest,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Why there is no such agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// The name cannot be one.
    #[error("an agent's name has 1 to 128 letters, digits, `.`, `_` and `-`, and begins with a letter or digit")]
    Name,
    /// There is one already.
    #[error("there is an agent `{0}` already")]
    Taken(String),
    /// There is none.
    #[error("there is no agent `{0}`")]
    Unknown(String),
    /// No address is left.
    #[error("all addresses of {0} are taken")]
    Full(String),
    /// The address is another's, or none of the network's.
    #[error("the address {0} is not one that this agent can have")]
    Address(IpAddr),
}

/// Checks that a name can be an agent's.
///
/// # Errors
/// [`AgentError::Name`].
pub fn check_name(name: &str) -> Result<(), AgentError> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if plain && begins && name.len() <= NAME_MAX { Ok(()) } else { Err(AgentError::Name) }
}

/// All agents, by name. What is changed is written by whoever holds the host's lock; see [`super::gate`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Agents {
    all: BTreeMap<String, Agent>,
}

impl Agents {
    /// Finds room for an agent: the first address that nobody has and that is not reserved.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn place(
        &self,
        name: &str,
        origin: Origin,
        network: &Network,
        reserved: &HashSet<Ipv4Addr>,
    ) -> Result<Agent, AgentError> {
        check_name(name)?;
        if self.all.contains_key(name) {
            return Err(AgentError::Taken(name.to_owned()));
        }
        let taken: HashSet<Ipv4Addr> = self.all.values().map(|agent| agent.v4).collect();
        let v4 = network.v4.hosts().find(|address| !taken.contains(address) && !reserved.contains(address));
        let v4 = v4.ok_or_else(|| AgentError::Full(network.v4.to_string()))?;
        Ok(Agent {
            name: name.to_owned(),
            origin,
            port: Network::port(v4),
            mac: Network::mac(v4),
            v4,
            v6: network.v6.map(|v6| v6.beside(network.v4, v4)),
            attached_at: rfc3339(SystemTime::now()),
        })
    }

    /// Checks that an agent that has its addresses already can be one beside these.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub fn check(&self, agent: &Agent, network: &Network) -> Result<(), AgentError> {
        check_name(&agent.name)?;
        if self.all.contains_key(&agent.name) {
            return Err(AgentError::Taken(agent.name.clone()));
        }
        if !agent.fits(network) {
            return Err(AgentError::Address(agent.v4.into()));
        }
        let taken = |own: &IpAddr| self.iter().flat_map(Agent::addresses).any(|other| other == *own);
        agent.addresses().find(taken).map_or(Ok(()), |address| Err(AgentError::Address(address)))
    }

    /// Adds an agent.
    pub fn insert(&mut self, agent: Agent) {
        self.all.insert(agent.name.clone(), agent);
    }

    /// Removes an agent.
    ///
    /// # Errors
    /// [`AgentError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<Agent, AgentError> {
        self.all.remove(name).ok_or_else(|| AgentError::Unknown(name.to_owned()))
    }

    /// The agent of this name.
    pub fn get(&self, name: &str) -> Option<&Agent> {
        self.all.get(name)
    }

    /// All agents in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Agent> {
        self.all.values()
    }

    /// Keeps those for which `keep` is true.
    pub fn retain(&mut self, keep: impl Fn(&Agent) -> bool) {
        self.all.retain(|_, agent| keep(agent));
    }
}

/// Which agent an address is, and which agents there are. Reading takes no lock.
#[derive(Debug, Default)]
pub struct Directory {
    by_address: ArcSwap<HashMap<IpAddr, Arc<str>>>,
    agents: ArcSwap<Agents>,
}

impl Directory {
    /// Has the directory tell of these agents and of no others.
    pub fn publish(&self, agents: &Agents) {
        let mut names: HashMap<&str, Arc<str>> = HashMap::new();
        let mut by_address = HashMap::new();
        for agent in agents.iter() {
            // Replicas share one name, so that what is counted by agent is counted for all of them together.
            let name = names.entry(agent.shown()).or_insert_with(|| agent.shown().into());
            by_address.extend(agent.addresses().map(|address| (address, Arc::clone(name))));
        }
        self.by_address.store(Arc::new(by_address));
        self.agents.store(Arc::new(agents.clone()));
    }

    /// The agents that there are.
    pub fn agents(&self) -> Arc<Agents> {
        self.agents.load_full()
    }

    /// The agent at an address, as rules see it.
    pub fn find(&self, address: IpAddr) -> Option<Arc<str>> {
        self.by_address.load().get(&address.to_canonical()).map(Arc::clone)
    }
}

impl Identify for Directory {
    fn agent(&self, peer: SocketAddr) -> Arc<str> {
        // The bridge lets nobody through whom the host does not know; this is for the moment in which one is forgotten.
        self.find(peer.ip()).unwrap_or_default()
    }

    fn behind(&self, link: &str) -> Arc<str> {
        self.agents.load().iter().find(|agent| agent.port == link).map(|agent| agent.shown().into()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        Network {
            bridge: "outcall0".parse().unwrap(),
            v4: "10.200.0.0/29".parse().unwrap(),
            v6: Some("fd00:200::/64".parse().unwrap()),
            dns_port: 53,
            proxy_port: 8080,
        }
    }

    #[test]
    fn the_number_of_a_replica_is_not_part_of_the_name() {
        for (name, shown) in [
            ("worker-3", "worker"),
            ("worker", "worker"),
            ("a-b-12", "a-b"),
            ("a-12-b", "a-12-b"),
            ("worker-", "worker-"),
            ("-3", "-3"),
            ("worker-3x", "worker-3x"),
        ] {
            assert_eq!(without_replica(name), shown);
        }
    }

    #[test]
    fn each_agent_has_the_first_free_address_and_one_name() {
        let (network, mut agents) = (network(), Agents::default());
        for (name, address) in [("a", "10.200.0.2"), ("b", "10.200.0.3"), ("c", "10.200.0.4")] {
            let agent = agents.place(name, Origin::Namespace, &network, &HashSet::new()).unwrap();
            assert_eq!(agent.v4.to_string(), address);
            agents.insert(agent);
        }
        assert_eq!(agents.place("b", Origin::Namespace, &network, &HashSet::new()), Err(AgentError::Taken("b".into())));
        agents.remove("b").unwrap();
        let again = agents.place("d", Origin::Namespace, &network, &HashSet::new()).unwrap();
        assert_eq!((again.v4.to_string(), again.v6.unwrap().to_string()), ("10.200.0.3".into(), "fd00:200::3".into()));
        agents.insert(again);
        for name in ["e", "f"] {
            agents.insert(agents.place(name, Origin::Namespace, &network, &HashSet::new()).unwrap());
        }
        assert_eq!(
            agents.place("g", Origin::Namespace, &network, &HashSet::new()),
            Err(AgentError::Full("10.200.0.0/29".into()))
        );
        for name in ["", ".a", "a b", "a/b", &"a".repeat(129), "ä"] {
            assert_eq!(
                agents.place(name, Origin::Namespace, &network, &HashSet::new()),
                Err(AgentError::Name),
                "{name}"
            );
        }
    }

    #[test]
    fn the_directory_tells_who_is_at_an_address_now() {
        let (network, mut agents, directory) = (network(), Agents::default(), Directory::default());
        agents.insert(agents.place("worker-1", Origin::Namespace, &network, &HashSet::new()).unwrap());
        directory.publish(&agents);
        for peer in ["10.200.0.2:9", "[::ffff:10.200.0.2]:9", "[fd00:200::2]:9"] {
            assert_eq!(&*directory.agent(peer.parse().unwrap()), "worker");
        }
        assert_eq!(&*directory.agent("10.200.0.3:9".parse().unwrap()), "");
        directory.publish(&Agents::default());
        assert_eq!(&*directory.agent("10.200.0.2:9".parse().unwrap()), "");
    }
}
