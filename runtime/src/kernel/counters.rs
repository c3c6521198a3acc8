//! Reading the ruleset's named counters.

use std::io;
use std::os::fd::AsFd;

use super::TABLE;
use super::elements::{Family, header};
use super::message::{Messages, attribute, flag};

const SUBSYSTEM: u16 = 10;
const NEW_OBJECT: u16 = SUBSYSTEM << 8 | 18;
const GET_OBJECT: u16 = SUBSYSTEM << 8 | 19;
/// `NFTA_OBJ_*`, `NFT_OBJECT_COUNTER` and `NFTA_COUNTER_*`.
const OBJECT_TABLE: u16 = 1;
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const OBJECT_DATA: u16 = 4;
const COUNTER: u32 = 1;
const COUNTER_BYTES: u16 = 1;
const COUNTER_PACKETS: u16 = 2;

/// The counter of refused packets. Part of every policy's ruleset.
pub const REFUSED: &str = "refused";

/// What a named counter has seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The counter's name.
    pub name: String,
    /// Packets.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
}

/// How many packets the counter of this name has seen.
///
/// # Errors
/// What the kernel says: `ENOENT` where there is no such counter.
pub fn packets(socket: impl AsFd, name: &str) -> io::Result<u64> {
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_OBJECT, flag::ACK, &header(Family::Inet as u8, 0));
    messages.text(OBJECT_TABLE, TABLE);
    messages.text(OBJECT_NAME, name);
    messages.attribute(OBJECT_TYPE, &COUNTER.to_be_bytes());
    let mut found = None;
    messages.ask(socket, sequence, |kind, body| found = read(body).filter(|_| kind == NEW_OBJECT))?;
    found.map(|count| count.packets).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// All counters of our table in a family; none where there is no such table.
///
/// # Errors
/// What the kernel says; [`io::ErrorKind::Interrupted`] when the ruleset changes meanwhile.
pub fn all(socket: impl AsFd, family: Family) -> io::Result<Vec<Count>> {
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_OBJECT, flag::DUMP, &header(family as u8, 0));
    messages.text(OBJECT_TABLE, TABLE);
    messages.attribute(OBJECT_TYPE, &COUNTER.to_be_bytes());
    let mut found = Vec::new();
    messages.ask(socket, sequence, |kind, body| found.extend(read(body).filter(|_| kind == NEW_OBJECT)))?;
    Ok(found)
}

fn read(body: &[u8]) -> Option<Count> {
    let body = body.get(4..)?;
    let data = attribute(body, OBJECT_DATA)?;
    let number = |wanted: u16| attribute(data, wanted)?.first_chunk().map(|number| u64::from_be_bytes(*number));
    let name = attribute(body, OBJECT_NAME)?;
    Some(Count {
        name: String::from_utf8_lossy(name.strip_suffix(&[0]).unwrap_or(name)).into_owned(),
        packets: number(COUNTER_PACKETS)?,
        bytes: number(COUNTER_BYTES)?,
    })
}
