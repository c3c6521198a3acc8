//! Whether our tables are what we made them: a digest over their chains, rules and sets.

use std::io;
use std::os::fd::AsFd;

use outcall_schema::artifact::digest::Digest;

use super::elements::header;
use super::message::{Messages, attribute, attributes, flag};

const SUBSYSTEM: u16 = 10;
const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
const GET_CHAIN: u16 = SUBSYSTEM << 8 | 4;
const GET_RULE: u16 = SUBSYSTEM << 8 | 7;
const GET_SET: u16 = SUBSYSTEM << 8 | 10;
const GET_ELEMENT: u16 = SUBSYSTEM << 8 | 13;
const GET_GENERATION: u16 = SUBSYSTEM << 8 | 16;
const GENERATION_ID: u16 = 1;
/// The attribute with the table's name, in all of these messages.
const OF_TABLE: u16 = 1;
/// What of a table, chain, rule, set and element stays the same while nobody changes it: no counts of users or packets.
const TABLE_KEEPS: [u16; 3] = [1, 2, 4];
const CHAIN_KEEPS: [u16; 6] = [2, 3, 4, 5, 7, 10];
const RULE_KEEPS: [u16; 3] = [2, 3, 4];
const SET_KEEPS: [u16; 7] = [2, 3, 4, 5, 6, 7, 16];
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_TIMEOUT: u32 = 0x10;
const ELEMENT_LIST_SET: u16 = 2;
const ELEMENT_LIST: u16 = 3;

/// The number of the namespace's ruleset, which every change to any table raises.
///
/// # Errors
/// What the kernel says.
pub fn generation(socket: impl AsFd) -> io::Result<u32> {
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_GENERATION, flag::ACK, &header(0, 0));
    let mut found = None;
    messages.ask(socket, sequence, |_, body| {
        let id = body.get(4..).and_then(|told| attribute(told, GENERATION_ID)?.first_chunk());
        found = id.map(|id| u32::from_be_bytes(*id));
    })?;
    found.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A digest over the table of this name in a family (`NFPROTO_*`): the same as long as nobody changes the table, its
/// chains, its rules, its sets or the elements that do not expire.
///
/// # Errors
/// What the kernel says; [`io::ErrorKind::Interrupted`] when somebody changes a ruleset meanwhile.
pub fn fingerprint(socket: impl AsFd, family: u8, table: &str) -> io::Result<Digest> {
    let socket = socket.as_fd();
    let mut seen = Vec::new();
    for (request, keeps) in [(GET_TABLE, &TABLE_KEEPS[..]), (GET_CHAIN, &CHAIN_KEEPS), (GET_RULE, &RULE_KEEPS)] {
        let mut messages = Messages::default();
        let sequence = messages.begin(request, flag::DUMP, &header(family, 0));
        messages.ask(socket, sequence, |_, body| {
            seen.extend(of_table(body, table).into_iter().flat_map(|body| kept(body, keeps)));
        })?;
    }
    let mut sets = Vec::new();
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_SET, flag::DUMP, &header(family, 0));
    messages.ask(socket, sequence, |_, body| {
        let Some(body) = of_table(body, table) else { return };
        seen.extend(kept(body, &SET_KEEPS));
        let flags = attribute(body, SET_FLAGS).and_then(|flags| flags.first_chunk());
        if flags.map_or(0, |flags| u32::from_be_bytes(*flags)) & SET_TIMEOUT == 0 {
            sets.extend(attribute(body, SET_NAME).map(<[u8]>::to_vec));
        }
    })?;
    for set in sets {
        let mut messages = Messages::default();
        let sequence = messages.begin(GET_ELEMENT, flag::DUMP, &header(family, 0));
        messages.text(OF_TABLE, table);
        messages.attribute(ELEMENT_LIST_SET, &set);
        let mut elements: Vec<Vec<u8>> = Vec::new();
        messages.ask(socket, sequence, |_, body| {
            let lists = attributes(body.get(4..).unwrap_or_default()).filter(|(kind, _)| *kind == ELEMENT_LIST);
            elements.extend(lists.flat_map(|(_, list)| attributes(list)).map(|(_, element)| element.to_vec()));
        })?;
        // A hash set tells its elements in no order.
        elements.sort_unstable();
        seen.extend(elements.concat());
    }
    Ok(Digest::of(&seen))
}

/// The attributes of a message, if it is about this table.
fn of_table<'a>(body: &'a [u8], table: &str) -> Option<&'a [u8]> {
    let body = body.get(4..)?;
    let name = attribute(body, OF_TABLE)?;
    (name.strip_suffix(&[0]) == Some(table.as_bytes())).then_some(body)
}

fn kept<'a>(body: &'a [u8], keeps: &'a [u16]) -> impl Iterator<Item = u8> + 'a {
    let kept = attributes(body).filter(|(kind, _)| keeps.contains(kind));
    kept.flat_map(|(kind, value)| kind.to_ne_bytes().into_iter().chain(value.iter().copied()))
}
