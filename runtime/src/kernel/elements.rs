//! Adding elements to the ruleset's sets while it is in force.
//!
//! A small writer of nf_tables messages instead of starting `nft`: 4 microseconds an element instead of milliseconds, and
//! no program in the path of an answer.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Mutex;
use std::time::Duration;

use super::TABLE;
use super::link::{Mac, mac_text};
use super::message::{Messages, flag};
use crate::sys::netlink::{self, open};

/// The nf_tables part of nfnetlink, and its messages for elements.
const SUBSYSTEM: u16 = 10;
const NEW_ELEMENT: u16 = SUBSYSTEM << 8 | 12;
const DELETE_ELEMENT: u16 = SUBSYSTEM << 8 | 14;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFTA_SET_ELEM_LIST_*`, `NFTA_LIST_ELEM`, `NFTA_SET_ELEM_*` and `NFTA_DATA_VALUE`.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const LIST_ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;

/// `IFNAMSIZ`
const NAME_BYTES: usize = 16;

/// The most elements in one batch; the kernel refuses batches of several thousand with `EMSGSIZE`.
const BATCH: usize = 500;

/// The family of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IP packets of both versions.
    Inet = 1,
    /// Frames on a bridge.
    Bridge = 7,
}

/// What happens to an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is in the set from now on, for a time or until it is taken out, whether it was in it before or not.
    Put(Option<Duration>),
    /// It is no longer in the set, whether it was in it before or not.
    Remove,
}

/// A part of an element's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// An IP address.
    Address(IpAddr),
    /// A hardware address.
    Mac(Mac),
    /// The name of a link.
    Link(String),
}

impl Part {
    /// Appends the part as the kernel has it.
    fn append(&self, bytes: &mut Vec<u8>) {
        let begin = bytes.len();
        match self {
            Part::Address(IpAddr::V4(address)) => bytes.extend(address.octets()),
            Part::Address(IpAddr::V6(address)) => bytes.extend(address.octets()),
            Part::Mac(mac) => bytes.extend(mac),
            Part::Link(name) => {
                bytes.extend(name.bytes());
                bytes.resize(begin + NAME_BYTES, 0);
            }
        }
    }
}

impl fmt::Display for Part {
    /// As nft writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Address(address) => address.fmt(f),
            Part::Mac(mac) => f.write_str(&mac_text(*mac)),
            Part::Link(name) => write!(f, "\"{name}\""),
        }
    }
}

/// A change to an element of one of our sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The table's family.
    pub family: Family,
    /// The set.
    pub set: String,
    /// The parts of its key in order.
    pub key: Vec<Part>,
    /// What happens to it.
    pub change: Change,
}

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
        Ok(Elements::from(open(netlink::Family::Netfilter)?))
    }

    /// Puts addresses into the set of this name for `lifetime` from now, whether they are in it already or not. Returns
    /// when the kernel has them.
    ///
    /// # Errors
    /// What the kernel says: `ENOENT` where there is no such set, `EPERM` without `CAP_NET_ADMIN` over the namespace.
    pub fn add(&self, set: &str, addresses: &[IpAddr], lifetime: Duration) -> io::Result<()> {
        let put = |address: &IpAddr| Element {
            family: Family::Inet,
            set: set.to_owned(),
            key: vec![Part::Address(*address)],
            change: Change::Put(Some(lifetime)),
        };
        self.change(&addresses.iter().map(put).collect::<Vec<_>>())?;
        Ok(())
    }

    /// Makes all changes, up to some hundred in one step. Returns when the kernel has made them, with the number of steps:
    /// each raises the ruleset's number by one.
    ///
    /// # Errors
    /// As [`Elements::add`].
    pub fn change(&self, elements: &[Element]) -> io::Result<u32> {
        let socket = self.socket.lock().map_err(|_| io::Error::other("an earlier write to the kernel panicked"))?;
        let mut steps = 0;
        for elements in elements.chunks(BATCH) {
            let mut batch = Messages::default();
            batch.begin(BATCH_BEGIN, 0, &header(0, SUBSYSTEM));
            let mut last = 0;
            for alike in elements
                .chunk_by(|one, other| (one.family, &one.set, one.change) == (other.family, &other.set, other.change))
            {
                // Adding an element that is there does not refresh it on every kernel, and deleting one that is not there
                // fails: so add, delete and add again, which the kernel applies as one step.
                write(&mut batch, NEW_ELEMENT, flag::CREATE, alike);
                last = write(&mut batch, DELETE_ELEMENT, flag::ACK, alike);
                if alike.first().is_some_and(|element| element.change != Change::Remove) {
                    last = write(&mut batch, NEW_ELEMENT, flag::CREATE | flag::ACK, alike);
                }
            }
            batch.begin(BATCH_END, 0, &header(0, SUBSYSTEM));
            batch.commit(&*socket, last)?;
            steps += 1;
        }
        Ok(steps)
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

/// One message for elements of one set, to be changed in one way.
fn write(batch: &mut Messages, kind: u16, flags: u16, alike: &[Element]) -> u32 {
    let Some(first) = alike.first() else { return 0 };
    let sequence = batch.begin(kind, flags, &header(first.family as u8, 0));
    batch.text(LIST_TABLE, TABLE);
    batch.text(LIST_SET, &first.set);
    batch.nest(LIST_ELEMENTS, |list| {
        for Element { key, change, .. } in alike {
            let mut bytes = Vec::new();
            for part in key {
                part.append(&mut bytes);
                // Of several parts each takes a multiple of four bytes.
                if key.len() > 1 {
                    bytes.resize(bytes.len().next_multiple_of(4), 0);
                }
            }
            list.nest(LIST_ELEMENT, |element| {
                element.nest(ELEMENT_KEY, |key| key.attribute(DATA_VALUE, &bytes));
                if let (Change::Put(Some(lifetime)), NEW_ELEMENT) = (change, kind) {
                    let milliseconds = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
                    element.attribute(ELEMENT_TIMEOUT, &milliseconds.to_be_bytes());
                }
            });
        }
    });
    sequence
}
