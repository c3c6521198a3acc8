//! Opens the kernel for addresses that the DNS filter hands out, before the agent hears of them.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

use super::front::complain;
use super::ruleset::{HANDED_V4, HANDED_V6};
use crate::direct::Direct;
use crate::dns::{OnAnswer, Told};
use crate::kernel::elements::Elements;

/// How long an address stays at least, whatever the answer's time to live: clients keep addresses for a while, and whatever
/// they send there is judged by the proxy anyway.
const AT_LEAST: Duration = Duration::from_secs(300);

/// Puts what is handed out into the ruleset's sets, so that the proxy gets to decide on it, and tells the proxy which names
/// led there.
#[derive(Debug)]
pub(super) struct Handed {
    pub(super) elements: Elements,
    pub(super) direct: Direct,
}

impl OnAnswer for Handed {
    fn on_answer<'a>(&'a self, answer: Told<'a>) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.direct.keep(&answer);
        // Some microseconds an address, less than handing the work to another thread would take.
        self.add(answer.addresses, answer.ttl.max(AT_LEAST));
        Box::pin(std::future::ready(()))
    }
}

impl Handed {
    fn add(&self, addresses: &[IpAddr], lifetime: Duration) {
        let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv4());
        for (set, addresses) in [(HANDED_V4, v4), (HANDED_V6, v6)] {
            if addresses.is_empty() {
                continue;
            }
            // The kernel then refuses connections to them: closed, but somebody should know why.
            if let Err(error) = self.elements.add(set, &addresses, lifetime) {
                complain(&format!("cannot open {} resolved addresses: {error}", addresses.len()));
            }
        }
    }
}
