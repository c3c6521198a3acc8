//! Adding elements to the ruleset's sets while it is in force.
//!
//! A small writer of nf_tables messages instead of starting `nft`: 4 microseconds an element instead of milliseconds, and
//! no program in the path of an answer.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use super::TABLE;
use super::message::{Messages, flag};
use crate::sys::netlink::{Family, open};

/// The nf_tables part of nfnetlink, and its messages for elements.
const SUBSYSTEM: u16 = 10;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const INET: u8 = 1;
/// `NFTA_SET_ELEM_LIST_*`, `NFTA_LIST_ELEM`, `NFTA_SET_ELEM_*` and `NFTA_DATA_VALUE`.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;

/// The most elements in one batch; the kernel refuses batches of several thousand with `EMSGSIZE`.
const BATCH: usize = 500;

/// The door through which elements enter the sets of one network namespace.
#[derive(Debug)]
pub struct Elements {
    socket: Mutex<OwnedFd>,
}

impl Elements {
    /// Opens the door to the namespace this thread is in.
    ///
    /// # Errors
    /// What socket(2) says.
    pub fn open() -> io::Result<Elements> {
        Ok(Elements::from(open(Family::Netfilter)?))
    }

    /// Puts addresses into the set of this name for `lifetime` from now, whether they are in it already or not. Returns
    /// when the kernel has them.
    ///
    /// # Errors
    /// What the kernel says: `ENOENT` where there is no such set, `EPERM` without `CAP_NET_ADMIN` over the namespace.
    pub fn add(&self, set: &str, addresses: &[IpAddr], lifetime: Duration) -> io::Result<()> {
        let keys: Vec<Vec<u8>> = addresses.iter().map(|address| key(*address)).collect();
        let socket = self.socket.lock().map_err(|_| io::Error::other("an earlier write to the kernel panicked"))?;
        for keys in keys.chunks(BATCH) {
            let mut batch = Messages::default();
            batch.begin(BATCH_BEGIN, 0, &header(0, SUBSYSTEM));
            // Adding an element that is there does not refresh it on every kernel, and deleting one that is not there
            // fails: so add, delete and add again, which the kernel applies as one step.
            write(&mut batch, NEW_ELEMENT, flag::CREATE, set, keys, Some(lifetime));
            write(&mut batch, DELETE_ELEMENT, 0, set, keys, None);
            let last = write(&mut batch, NEW_ELEMENT, flag::CREATE | flag::ACK, set, keys, Some(lifetime));
            batch.begin(BATCH_END, 0, &header(0, SUBSYSTEM));
            batch.commit(&*socket, last)?;
        }
        Ok(())
    }
}

impl From<OwnedFd> for Elements {
    fn from(socket: OwnedFd) -> Elements {
        Elements { socket: Mutex::new(socket) }
    }
}

/// `struct nfgenmsg`.
pub(super) fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn key(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn write(batch: &mut Messages, kind: u16, flags: u16, set: &str, keys: &[Vec<u8>], lifetime: Option<Duration>) -> u32 {
    let sequence = batch.begin(kind, flags, &header(INET, 0));
    batch.text(LIST_TABLE, TABLE);
    batch.text(LIST_SET, set);
    batch.nest(LIST_ELEMENTS, |list| {
        for bytes in keys {
            list.nest(LIST_ELEMENT, |element| {
                element.nest(ELEMENT_KEY, |key| key.attribute(DATA_VALUE, bytes));
                if let Some(lifetime) = lifetime {
                    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
                    element.attribute(ELEMENT_TIMEOUT, &milliseconds.to_be_bytes());
                }
            });
        }
    });
    sequence
}
