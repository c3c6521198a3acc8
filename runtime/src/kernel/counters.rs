//! Reading the ruleset's named counters.

use std::io;
use std::os::fd::AsFd;

use rustix::net::RecvFlags;

use super::TABLE;
use super::elements::header;
use super::message::{Messages, Received, attributes};
use crate::sys::netlink;

const SUBSYSTEM: u16 = 10;
const NEW_OBJECT: u16 = SUBSYSTEM << 8 | 18;
const GET_OBJECT: u16 = SUBSYSTEM << 8 | 19;
const ERROR: u16 = 2;
const INET: u8 = 1;
/// `NFTA_OBJ_*`, `NFT_OBJECT_COUNTER` and `NFTA_COUNTER_PACKETS`.
const OBJECT_TABLE: u16 = 1;
const OBJECT_NAME: u16 = 2;
const OBJECT_TYPE: u16 = 3;
const OBJECT_DATA: u16 = 4;
const COUNTER: u32 = 1;
const COUNTER_PACKETS: u16 = 2;
/// A counter's message takes some 100 bytes.
const ANSWER_BYTES: usize = 4096;

/// How many packets the counter of this name has seen.
///
/// # Errors
/// What the kernel says: `ENOENT` where there is no such counter.
pub fn packets(socket: impl AsFd, name: &str) -> io::Result<u64> {
    let mut messages = Messages::default();
    let sequence = messages.begin(GET_OBJECT, 0, &header(INET, 0));
    messages.text(OBJECT_TABLE, TABLE);
    messages.text(OBJECT_NAME, name);
    messages.attribute(OBJECT_TYPE, &COUNTER.to_be_bytes());
    messages.send(socket.as_fd())?;
    let mut buffer = vec![0; ANSWER_BYTES];
    loop {
        let count = netlink::receive(socket.as_fd(), &mut buffer, RecvFlags::empty())?;
        for message in Received::all(buffer.get(..count).unwrap_or_default()) {
            match message {
                Received { sequence: answered, .. } if answered != sequence => {}
                Received { kind: NEW_OBJECT, body, .. } => {
                    return read(body).ok_or_else(|| io::ErrorKind::InvalidData.into());
                }
                Received { kind: ERROR, body, .. } => {
                    let code =
                        body.first_chunk().map_or(libc::EINVAL, |code| i32::from_ne_bytes(*code).saturating_neg());
                    return Err(io::Error::from_raw_os_error(code));
                }
                Received { .. } => {}
            }
        }
    }
}

fn read(body: &[u8]) -> Option<u64> {
    let (_, data) = attributes(body.get(4..)?).find(|(kind, _)| *kind == OBJECT_DATA)?;
    let (_, packets) = attributes(data).find(|(kind, _)| *kind == COUNTER_PACKETS)?;
    packets.first_chunk().map(|packets| u64::from_be_bytes(*packets))
}
