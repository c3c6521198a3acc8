//! The kernel's part of the host: the ruleset in force, who is behind which port, and which addresses are open. One lock
//! holds it all together, so that a load, an answer of the DNS filter and an agent that comes or goes follow each other.

mod grants;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::artifact::digest::Digest;
use tokio::sync::{Mutex, MutexGuard, watch};

use super::agents::{Agent, AgentError, Agents, Directory, Origin};
use super::flows;
use super::network::Network;
use super::ruleset::{self, Counts, ForeignRuleset, Opened};
use crate::direct::{Direct, Leads};
use crate::dns::{OnAnswer, Told};
use crate::kernel::counters::Count;
use crate::kernel::elements::{Change, Element, Elements, Family};
use crate::kernel::ruleset::RulesetError;
use crate::kernel::{TABLE, conntrack, counters, link, log, tables};
use crate::snapshot::{Policy, Snapshot};
use crate::sys::netlink;

/// Why the kernel does not enforce what it was to enforce. What was in force before still is.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The policy's ruleset is not what the compiler writes.
    #[error(transparent)]
    Foreign(#[from] ForeignRuleset),
    /// `nft` does not load it.
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
    /// The kernel does not answer.
    #[error("cannot talk to the kernel: {0}")]
    Kernel(#[from] io::Error),
    /// What was to change cannot be remembered.
    #[error("cannot remember the agents: {0}")]
    Memory(io::Error),
    /// There is no such agent, or one too many.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// What is between the agents and everything else.
pub struct Gate {
    /// The agents' network.
    pub network: Network,
    /// The policy in force, as names, requests and connections are decided by it.
    pub policy: Policy,
    /// Who is at which address.
    pub directory: Arc<Directory>,
    direct: Direct,
    changes: watch::Sender<u64>,
    held: Mutex<Held>,
}

/// What the lock protects.
pub struct Held {
    /// The agents.
    pub agents: Agents,
    elements: Elements,
    netfilter: OwnedFd,
    /// Addresses that no new agent gets, as a container that does not run will have them again.
    reserved: HashSet<Ipv4Addr>,
    /// Whether the kernel has the policy's ruleset; before that it has the closed one.
    open: bool,
    /// The number of the ruleset that is known to be ours, and what ours looks like.
    generation: u32,
    prints: Option<[Digest; 2]>,
    /// Whether other agents are remembered than there are.
    unkept: bool,
}

/// What [`Gate::look`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Our tables are as we made them.
    Intact,
    /// Somebody changed them; they were put back.
    Restored,
}

impl Gate {
    /// A gate in front of a kernel that is closed (see [`ruleset::closed`]), with the agents that there were.
    ///
    /// # Errors
    /// See [`GateError`].
    pub fn new(network: Network, policy: Policy, direct: Direct, agents: Agents) -> Result<Gate, GateError> {
        let directory = Arc::new(Directory::default());
        directory.publish(&agents);
        let netfilter = netlink::open(netlink::Family::Netfilter)?;
        let elements = Elements::open()?;
        let reserved = HashSet::new();
        let held =
            Held { agents, elements, netfilter, reserved, open: false, generation: 0, prints: None, unkept: false };
        let (changes, held) = (watch::Sender::new(0), Mutex::new(held));
        Ok(Gate { network, policy, directory, direct, changes, held })
    }

    /// Closes the kernel again: what is open is cut off, nothing new passes.
    ///
    /// # Errors
    /// See [`GateError`].
    pub async fn shut(&self) -> Result<(), GateError> {
        let mut held = self.held.lock().await;
        held.open = false;
        let text = ruleset::closed(&self.network, &held.agents);
        held.install(&text)
    }

    /// Whoever holds this hears of each change after which open connections have to be judged again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The agents, as long as nothing else happens.
    pub async fn hold(&self) -> MutexGuard<'_, Held> {
        self.held.lock().await
    }

    /// Puts a policy in force: in the kernel in one transaction, then for names and requests. Connections that it would not
    /// allow are cut; gives the number of those that the kernel carried.
    ///
    /// # Errors
    /// See [`GateError`]; the policy that was in force still is, everywhere.
    pub async fn enforce(&self, snapshot: Arc<Snapshot>) -> Result<usize, GateError> {
        let mut held = self.held.lock().await;
        let text = self.text(&held, &snapshot)?;
        held.install(&text)?;
        held.open = true;
        self.policy.store(snapshot);
        self.changed();
        Ok(self.cut(&held)?)
    }

    /// Whether our tables are in the kernel as they were made.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn is_intact(&self) -> io::Result<bool> {
        let held = self.held.lock().await;
        Ok(Some(&held.look()?) == held.prints.as_ref())
    }

    /// The named counters of our table in a family.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn counters(&self, family: Family) -> io::Result<Vec<Count>> {
        counters::all(&self.held.lock().await.netfilter, family)
    }

    /// How many packets and frames the kernel has refused. [`io::ErrorKind::NotFound`] where a table is not there.
    ///
    /// # Errors
    /// The kernel does not answer.
    pub async fn refused(&self) -> io::Result<u64> {
        let held = self.held.lock().await;
        let mut sum = 0_u64;
        for (family, names) in
            [(Family::Inet, &[counters::REFUSED][..]), (Family::Bridge, &[log::FORGED, ruleset::BETWEEN][..])]
        {
            let counts = counters::all(&held.netfilter, family)?;
            for name in names {
                let found = counts.iter().find(|count| count.name == *name).ok_or(io::ErrorKind::NotFound)?;
                sum = sum.saturating_add(found.packets);
            }
        }
        Ok(sum)
    }

    /// Whether the kernel enforces a policy.
    pub async fn is_open(&self) -> bool {
        self.held.lock().await.open
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn text(&self, held: &Held, snapshot: &Snapshot) -> Result<String, GateError> {
        // Where the counts cannot be read, counting begins anew; that must not keep a policy from its place.
        let read = |family| counters::all(&held.netfilter, family).unwrap_or_default();
        let counts = Counts { packets: read(Family::Inet), frames: read(Family::Bridge) };
        let leads = self.direct.leads(snapshot, |_, _| true);
        let opened = opened(snapshot, &held.agents, &leads);
        Ok(ruleset::text(snapshot, &self.network, &held.agents, &opened, &counts)?)
    }

    /// Looks whether our tables are still as they were made, and puts them back where they are not.
    ///
    /// # Errors
    /// The kernel does not answer, or does not take them.
    pub async fn look(&self) -> Result<Look, GateError> {
        let mut held = self.held.lock().await;
        let generation = tables::generation(&held.netfilter)?;
        if generation == held.generation {
            return Ok(Look::Intact);
        }
        match held.look() {
            Ok(prints) if Some(&prints) == held.prints.as_ref() => {
                held.generation = generation;
                Ok(Look::Intact)
            }
            // It changes while we look: the next look sees what came of it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Look::Intact),
            Ok(_) | Err(_) => {
                let text = match held.open {
                    true => self.text(&held, &self.policy.load())?,
                    false => ruleset::closed(&self.network, &held.agents),
                };
                held.install(&text)?;
                Ok(Look::Restored)
            }
        }
    }

    /// Gives an agent addresses and a port. `keep` is told all agents before the kernel is, and can refuse.
    ///
    /// # Errors
    /// See [`GateError`]; nothing has changed.
    pub async fn attach(
        &self,
        name: &str,
        origin: Origin,
        keep: impl Fn(&Agents) -> io::Result<()>,
    ) -> Result<Agent, GateError> {
        let mut held = self.held.lock().await;
        let agent = held.agents.place(name, origin, &self.network, &held.reserved)?;
        self.admit(&mut held, agent, keep)
    }

    /// Takes in an agent that has its addresses and its port already.
    ///
    /// # Errors
    /// See [`GateError`]; nothing has changed.
    pub async fn adopt(&self, agent: Agent, keep: impl Fn(&Agents) -> io::Result<()>) -> Result<Agent, GateError> {
        let mut held = self.held.lock().await;
        held.agents.check(&agent, &self.network)?;
        self.admit(&mut held, agent, keep)
    }

    fn admit(
        &self,
        held: &mut Held,
        agent: Agent,
        keep: impl Fn(&Agents) -> io::Result<()>,
    ) -> Result<Agent, GateError> {
        let mut agents = held.agents.clone();
        agents.insert(agent.clone());
        keep(&agents).map_err(GateError::Memory)?;
        let mut elements = ruleset::pins(&agent);
        if held.open {
            elements.extend(ruleset::agent_sets(&self.policy.load(), &agent));
        }
        // Whatever the address was used for before is over.
        if let Err(error) = held.forget(&agent).and_then(|()| held.change(&elements)) {
            held.unkept = keep(&held.agents).is_err();
            return Err(error.into());
        }
        held.unkept = false;
        held.agents = agents;
        self.directory.publish(&held.agents);
        self.know(&agent, true);
        Ok(agent)
    }

    /// Ties an agent to another port, of a container that is known by now, in the place of the one that it had.
    ///
    /// # Errors
    /// See [`GateError`]; the agent is then tied to the port that it had, or to none.
    pub async fn plugged(
        &self,
        name: &str,
        origin: Origin,
        port: &str,
        v6: Option<Ipv6Addr>,
        keep: impl Fn(&Agents) -> io::Result<()>,
    ) -> Result<Agent, GateError> {
        let mut held = self.held.lock().await;
        let mut agents = held.agents.clone();
        let was = agents.remove(name)?;
        let agent = Agent { origin, port: port.to_owned(), v6, ..was.clone() };
        if agent == was {
            return Ok(agent);
        }
        agents.check(&agent, &self.network)?;
        agents.insert(agent.clone());
        keep(&agents).map_err(GateError::Memory)?;
        // Addresses that are no longer its own can be another's soon.
        let gone = |address: &IpAddr| agent.addresses().all(|own| own != *address);
        let closing = self.closing(&held, &was, gone);
        if let Err(error) = held.elements.change(&closing) {
            held.unkept = keep(&held.agents).is_err();
            return Err(error.into());
        }
        let elements = |agent: &Agent| {
            let sets = ruleset::agent_sets(&self.policy.load(), agent).into_iter().filter(|_| held.open);
            ruleset::pins(agent).into_iter().chain(sets).collect::<Vec<Element>>()
        };
        let (old, new) = (elements(&was), elements(&agent));
        let removed = old.into_iter().filter(|it| !new.contains(it)).map(|it| Element { change: Change::Remove, ..it });
        // In one batch: there is no moment in which both are in force, nor one in which the sets of rules lack the agent.
        if let Err(error) = held.change(&removed.chain(new.iter().cloned()).collect::<Vec<_>>()) {
            held.unkept = keep(&held.agents).is_err();
            return Err(error.into());
        }
        held.unkept = false;
        self.know(&was, false);
        held.agents = agents;
        self.directory.publish(&held.agents);
        self.know(&agent, true);
        Ok(agent)
    }

    /// Has no new agent get one of these addresses.
    pub async fn reserve(&self, addresses: HashSet<Ipv4Addr>) {
        self.held.lock().await.reserved = addresses;
    }

    /// Has the host know where an agent's addresses are, so that no other agent can tell it. Where the bridge is not there
    /// yet, it learns so when it is made.
    fn know(&self, agent: &Agent, there: bool) {
        let Ok(Some(bridge)) = link::find(self.network.bridge.as_str()) else { return };
        for address in agent.addresses() {
            if let Err(error) = link::set_neighbour(bridge.index, address, there.then_some(agent.mac)) {
                crate::say!("cannot say where {address} is: {error}");
            }
        }
    }

    /// Has the host know where all agents are, once the bridge is there.
    pub async fn settle(&self) {
        self.held.lock().await.agents.iter().for_each(|agent| self.know(agent, true));
    }

    /// Removes ports that nobody is behind whom we know: their agents reach nothing, and their names are others' to have.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn sweep(&self) -> io::Result<()> {
        let held = self.held.lock().await;
        let known: HashSet<&str> = held.agents.iter().map(|agent| agent.port.as_str()).collect();
        for link in link::all()? {
            let ours = Network::address_of(&link.name).is_some_and(|address| self.network.v4.contains(address));
            if ours && link.kind == "veth" && !known.contains(link.name.as_str()) {
                link::remove(&link.name)?;
            }
        }
        Ok(())
    }

    /// Takes an agent's addresses and port from it. Its connections end, and what it was told is forgotten. Beside it comes
    /// why that could not be remembered, which must not keep an agent attached; see [`Gate::keep_again`].
    ///
    /// # Errors
    /// See [`GateError`]; at most addresses that names led to are closed already.
    pub async fn detach(
        &self,
        name: &str,
        keep: impl Fn(&Agents) -> io::Result<()>,
    ) -> Result<(Agent, Option<io::Error>), GateError> {
        let mut held = self.held.lock().await;
        let mut agents = held.agents.clone();
        let agent = agents.remove(name)?;
        let pins = ruleset::pins(&agent).into_iter();
        let sets = ruleset::agent_sets(&self.policy.load(), &agent).into_iter().filter(|_| held.open);
        let removed: Vec<Element> = pins.chain(sets).map(|it| Element { change: Change::Remove, ..it }).collect();
        // The kernel first: an agent that is half removed is one that reaches nothing. Nor does whoever has the address next
        // reach what names opened to this one.
        held.elements.change(&self.closing(&held, &agent, |_| true))?;
        held.change(&removed)?;
        held.agents = agents;
        self.directory.publish(&held.agents);
        if !held.agents.iter().any(|other| other.shown() == agent.shown()) {
            self.direct.forget(agent.shown());
        }
        self.changed();
        self.know(&agent, false);
        let kept = keep(&held.agents);
        held.unkept = kept.is_err();
        held.forget(&agent)?;
        Ok((agent, kept.err()))
    }

    /// Remembers the agents where that could not be done before. Whether it still cannot.
    pub async fn keep_again(&self, keep: impl Fn(&Agents) -> io::Result<()>) -> bool {
        let mut held = self.held.lock().await;
        if held.unkept {
            held.unkept = keep(&held.agents).is_err();
        }
        held.unkept
    }

    /// Ends the connections that the kernel carries and the policy in force does not allow. Gives their number.
    fn cut(&self, held: &Held) -> io::Result<usize> {
        let snapshot = self.policy.load_full();
        let flows = conntrack::flows(&held.netfilter, |from| self.network.contains(from))?;
        let stays = |flow: &conntrack::Flow| {
            let agent = self.directory.find(flow.from);
            flow.redirected || agent.is_some_and(|agent| flows::passes(&snapshot, &self.direct, &agent, flow))
        };
        let mut ended = 0;
        for flow in flows.iter().filter(|flow| !stays(flow)) {
            conntrack::end(&held.netfilter, flow)?;
            ended += 1;
        }
        Ok(ended)
    }

    /// Keeps open what names led to and what is in use, where it would close within `soon`: for `lifetime` from now.
    ///
    /// # Errors
    /// What the kernel says.
    pub async fn renew(&self, soon: Duration, lifetime: Duration) -> io::Result<()> {
        let held = self.held.lock().await;
        let snapshot = self.policy.load_full();
        let ending = self.direct.leads(&snapshot, |_, _| true);
        if !held.open || !ending.iter().any(|lead| lead.remaining < soon) {
            return Ok(());
        }
        for flow in conntrack::flows(&held.netfilter, |from| self.network.contains(from))? {
            let Some(agent) = self.directory.find(flow.from) else { continue };
            if !flow.redirected
                && !flow.ended
                && ending.iter().any(|it| (&it.agent, it.address) == (&agent, flow.to) && it.remaining < soon)
            {
                self.direct.renew(&agent, flow.to, lifetime);
            }
        }
        let renewed = self.direct.leads(&snapshot, |agent, address| {
            ending.iter().any(|it| &*it.agent == agent && it.address == address && it.remaining < soon)
        });
        let renewed: Vec<Leads> = renewed.into_iter().filter(|lead| lead.remaining > soon).collect();
        held.open_addresses(&snapshot, &renewed)
    }
}

impl Held {
    /// Loads a ruleset in one transaction and remembers what it looks like.
    fn install(&mut self, text: &str) -> Result<(), GateError> {
        let before = tables::generation(&self.netfilter)?;
        tokio::task::block_in_place(|| crate::kernel::ruleset::load(text))?;
        self.remember(before, 1);
        Ok(())
    }

    /// Takes what the kernel has for ours, if nothing but the `steps` of ours happened since ruleset `before`. Where
    /// somebody else changed a ruleset meanwhile, or it cannot be read, the next look puts ours back.
    fn remember(&mut self, before: u32, steps: u32) {
        let ours = before.wrapping_add(steps);
        let prints = self.look();
        let now = tables::generation(&self.netfilter);
        self.prints = prints.ok().filter(|_| now.is_ok_and(|now| now == ours));
        self.generation = if self.prints.is_some() { ours } else { 0 };
    }

    fn look(&self) -> io::Result<[Digest; 2]> {
        let print = |family: Family| tables::fingerprint(&self.netfilter, family as u8, TABLE);
        Ok([print(Family::Inet)?, print(Family::Bridge)?])
    }

    /// Changes elements that stay until they are taken out. What somebody else changed before is not taken for ours by it.
    fn change(&mut self, elements: &[Element]) -> io::Result<()> {
        let before = tables::generation(&self.netfilter)?;
        let ours = before == self.generation || Some(&self.look()?) == self.prints.as_ref();
        let steps = self.elements.change(elements)?;
        if ours {
            self.remember(before, steps);
        }
        Ok(())
    }

    /// Ends all connections of an agent's addresses.
    fn forget(&self, agent: &Agent) -> io::Result<()> {
        let of_agent = |address: IpAddr| agent.addresses().any(|own| own == address);
        for flow in conntrack::flows(&self.netfilter, of_agent)? {
            conntrack::end(&self.netfilter, &flow)?;
        }
        Ok(())
    }

    fn open_addresses(&self, snapshot: &Snapshot, leads: &[Leads]) -> io::Result<()> {
        let elements: Vec<Element> =
            opened(snapshot, &self.agents, leads).iter().map(ruleset::opened_element).collect();
        self.elements.change(&elements)?;
        Ok(())
    }
}

/// What is open, address of an agent by address.
fn opened(snapshot: &Snapshot, agents: &Agents, leads: &[Leads]) -> Vec<Opened> {
    let mut opened = Vec::new();
    for lead in leads {
        let Some(rule) = snapshot.rule(Some(lead.rule)) else { continue };
        let own = agents.iter().filter(|agent| agent.shown() == &*lead.agent).flat_map(Agent::addresses);
        opened.extend(own.filter(|own| own.is_ipv4() == lead.address.is_ipv4()).map(|from| Opened {
            rule: rule.id.clone(),
            from,
            to: lead.address,
            lifetime: lead.remaining,
        }));
    }
    opened
}

impl OnAnswer for Gate {
    fn on_answer<'a>(&'a self, answer: Told<'a>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        if !self.direct.keep(&answer) {
            return Box::pin(std::future::ready(()));
        }
        Box::pin(async move {
            let held = self.held.lock().await;
            // The policy may have changed since the question: what opens is what the one in force opens.
            let snapshot = self.policy.load_full();
            let wanted = |agent: &str, address: IpAddr| agent == answer.agent && answer.addresses.contains(&address);
            let leads = self.direct.leads(&snapshot, wanted);
            if let Err(error) = held.open_addresses(&snapshot, &leads) {
                // The kernel then refuses connections to them: closed, but somebody should know why.
                crate::say!("cannot open {} resolved addresses: {error}", answer.addresses.len());
            }
        })
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("network", &self.network).finish_non_exhaustive()
    }
}
