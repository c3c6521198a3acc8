//! What goes on while the daemon lives: its tables are looked at, ports come and go, the service manager hears that all is well.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};

use super::agents::Agent;
use super::daemon::Daemon;
use super::gate::Look;
use crate::audit::Notice;
use crate::kernel::link;

/// How often the kernel is asked whether our tables are still there: what was flushed is put back within a second.
const LOOK: Duration = Duration::from_millis(250);
/// How often ports are looked at, and addresses in use kept open.
const TEND: Duration = Duration::from_secs(1);
/// Addresses that close sooner than this and are in use stay open for [`KEPT`].
const SOON: Duration = Duration::from_secs(5);
const KEPT: Duration = Duration::from_secs(30);
/// How long requests wait for the log before somebody is told.
const HELD_BACK: Duration = Duration::from_secs(3);
/// How long an agent may take to plug in its cable.
const PATIENCE: Duration = Duration::from_secs(60);

type Tending = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Daemon {
    /// Puts our tables back where somebody took them away.
    pub(super) fn look(self: Arc<Daemon>) -> Tending {
        Box::pin(async move {
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut said = String::new();
            loop {
                ticks.tick().await;
                match self.gate.look().await {
                    Ok(Look::Intact) => said.clear(),
                    Ok(Look::Restored) => {
                        crate::say!("somebody changed the tables named outcall; they were put back");
                        self.audit.note(&Notice::new("host", "tables_restored", self.gate.policy.load().digest()));
                    }
                    Err(error) => {
                        let text = error.to_string();
                        if said != text {
                            crate::say!("cannot put the tables named outcall back: {text}");
                        }
                        said = text;
                    }
                }
            }
        })
    }

    /// Lets agents go whose port is gone, keeps open what is in use, remembers what could not be before, and says when
    /// requests wait for the log.
    pub(super) fn tend(self: Arc<Daemon>) -> Tending {
        Box::pin(async move {
            let mut ticks = interval(TEND);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let (mut ports, mut held, mut unkept) = (Ports::default(), HeldBack::default(), false);
            loop {
                ticks.tick().await;
                if held.lasts(self.audit.holds_back()) {
                    crate::say!("requests wait, as the audit log is not written fast enough");
                }
                if let Err(error) = self.gate.renew(SOON, KEPT).await {
                    crate::say!("cannot keep addresses open that are in use: {error}");
                }
                let was = std::mem::replace(&mut unkept, self.gate.keep_again(|agents| self.keep(agents)).await);
                if unkept && !was {
                    crate::say!("the agents cannot be remembered; it is tried again");
                }
                let agents: Vec<Agent> = self.gate.hold().await.agents.iter().cloned().collect();
                let Ok(links) = link::all() else { continue };
                for gone in ports.gone(&agents, &links) {
                    // Where that cannot be remembered it is tried again.
                    if let Err(error) = self.detach(&gone).await {
                        crate::say!("cannot let agent `{gone}` go: {error}");
                    }
                }
            }
        })
    }

    /// Lets containers in and go.
    pub(super) fn containers(self: Arc<Daemon>) -> Tending {
        Box::pin(async move {
            match &self.docker {
                Some(docker) => docker.follow().await,
                None => std::future::pending().await,
            }
        })
    }

    pub(super) fn watchdog(self: Arc<Daemon>) -> Tending {
        Box::pin(async move {
            let Some(period) = self.manager.watchdog else { return std::future::pending().await };
            let mut ticks = interval(period / 3);
            loop {
                ticks.tick().await;
                // Whoever cannot have the lock cannot load a policy either.
                drop(self.gate.hold().await);
                self.manager.tell("WATCHDOG=1");
            }
        })
    }
}

/// When agents were first looked for and whether their ports were there.
#[derive(Debug, Default)]
struct Ports {
    seen: HashMap<String, (Instant, bool)>,
}

impl Ports {
    /// The agents whose port was there and is gone, or that took too long to get one.
    fn gone(&mut self, agents: &[Agent], links: &[link::Link]) -> Vec<String> {
        self.seen.retain(|name, _| agents.iter().any(|agent| agent.name == *name));
        let mut gone = Vec::new();
        for agent in agents {
            let there = links.iter().any(|link| link.name == agent.port);
            let (since, seen) = self.seen.entry(agent.name.clone()).or_insert((Instant::now(), there));
            *seen |= there;
            if !there && (*seen || since.elapsed() > PATIENCE) {
                gone.push(agent.name.clone());
            }
        }
        gone
    }
}

/// Whether requests wait for the audit log for so long that somebody should know.
#[derive(Debug, Default)]
struct HeldBack {
    since: Option<Instant>,
    said: bool,
}

impl HeldBack {
    /// Whether it is time to say so: once, as long as it lasts.
    fn lasts(&mut self, now: bool) -> bool {
        if !now {
            *self = HeldBack::default();
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        let due = !self.said && since.elapsed() >= HELD_BACK;
        self.said |= due;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_that_requests_wait() {
        let mut held = HeldBack::default();
        assert!(!held.lasts(false) && !held.lasts(true));
        held.since = Instant::now().checked_sub(HELD_BACK);
        assert!(held.lasts(true) && !held.lasts(true) && !held.lasts(false) && !held.lasts(true));
    }
}
