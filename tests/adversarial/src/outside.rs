//! The judge of products that keep no log of ours: what arrived, who was asked, and what crossed the cable.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::judge::{self, Evidence};
use crate::technique::Expect;
use crate::world::event::{Event, Packet};

pub use crate::run::since;

/// What is wrong with what was seen; nothing, where nothing arrived that must not and everything that must.
/// `before` are the places that were reached earlier: packets of those connections may still be on their way.
pub fn faults(
    expect: &Expect,
    events: Vec<Event>,
    packets: Vec<Packet>,
    before: &BTreeSet<(IpAddr, u16)>,
) -> Vec<String> {
    let evidence = Evidence { events, packets, ..Evidence::default() };
    let mut faults = Vec::new();
    judge::arrivals(expect, &evidence, &mut faults);
    judge::cable(expect, &evidence, before, &mut faults);
    judge::names(expect, &evidence, &mut faults);
    faults
}
