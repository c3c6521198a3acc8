//! What is open to agents because a name led there: listed for the operator, and closed.

use std::io;
use std::net::IpAddr;
use std::time::SystemTime;

use outcall_schema::api::grants::{Grant, GrantsFlushed};

use super::{Gate, Held, opened};
use crate::audit::rfc3339;
use crate::host::agents::Agent;
use crate::host::ruleset;
use crate::kernel::elements::{Change, Element};

/// Rules of this kind open ports of whatever protocol has ports.
const PROTOCOL: &str = "any";

impl Gate {
    /// What is open, a row for each address of an agent and each range of ports.
    pub async fn grants(&self) -> Vec<Grant> {
        let held = self.held.lock().await;
        self.listed(&held)
    }

    fn listed(&self, held: &Held) -> Vec<Grant> {
        let (snapshot, now) = (self.policy.load_full(), SystemTime::now());
        let mut rows = Vec::new();
        for granted in self.direct.granted(&snapshot) {
            let (Some(rule), Some(egress)) = (snapshot.rule(Some(granted.rule)), snapshot.egress(granted.rule)) else {
                continue;
            };
            for agent in held.agents.iter().filter(|agent| agent.shown() == &*granted.agent) {
                let own = agent.addresses().filter(|own| own.is_ipv4() == granted.address.is_ipv4());
                rows.extend(own.flat_map(|own| egress.ports.iter().map(move |ports| (own, ports))).map(
                    |(own, ports)| Grant {
                        name: agent.name.clone(),
                        agent: agent.shown().to_owned(),
                        src_ip: own,
                        destination: granted.address,
                        protocol: PROTOCOL.to_owned(),
                        port: ports.to_string(),
                        rule: rule.id.clone(),
                        host: granted.name.clone(),
                        inserted_at: rfc3339(now.checked_sub(granted.age).unwrap_or(now)),
                        expires_in_secs: granted.remaining.as_secs(),
                    },
                ));
            }
        }
        rows
    }

    /// Closes all of them, in the kernel and in what is remembered, and ends the connections that nothing allows any more.
    ///
    /// # Errors
    /// What the kernel says. What it has not closed then is still listed.
    pub async fn flush(&self) -> io::Result<GrantsFlushed> {
        let held = self.held.lock().await;
        let flushed = self.listed(&held).len();
        if held.open {
            let snapshot = self.policy.load_full();
            let leads = self.direct.leads(&snapshot, |_, _| true);
            let closing: Vec<Element> =
                opened(&snapshot, &held.agents, &leads).iter().map(|it| closed(ruleset::opened_element(it))).collect();
            held.elements.change(&closing)?;
        }
        // An answer that is on its way finds nothing here when it has the lock, and opens nothing.
        self.direct.flush();
        let connections_cut = self.cut(&held)?;
        Ok(GrantsFlushed { flushed, connections_cut })
    }

    /// What closes the addresses that names opened to an agent, at those of its own that are `wanted`.
    pub(super) fn closing(&self, held: &Held, agent: &Agent, wanted: impl Fn(&IpAddr) -> bool) -> Vec<Element> {
        if !held.open {
            return Vec::new();
        }
        let snapshot = self.policy.load_full();
        let leads = self.direct.leads(&snapshot, |name, _| name == agent.shown());
        let own = |from: &IpAddr| agent.addresses().any(|own| own == *from) && wanted(from);
        let opened = opened(&snapshot, &held.agents, &leads);
        opened.iter().filter(|it| own(&it.from)).map(|it| closed(ruleset::opened_element(it))).collect()
    }
}

fn closed(element: Element) -> Element {
    Element { change: Change::Remove, ..element }
}
