//! Netlink messages: writing requests (RFC 3549, section 2.3) and reading what comes back.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::net::RecvFlags;

use crate::sys::netlink;

/// Flags of a request; see netlink(7).
pub mod flag {
    /// A request, set on every message of ours.
    pub const REQUEST: u16 = 0x001;
    /// Answer with an acknowledgement.
    pub const ACK: u16 = 0x004;
    /// Make it where it does not exist.
    pub const CREATE: u16 = 0x400;
    /// Replace what is there.
    pub const REPLACE: u16 = 0x100;
    /// Refuse where it exists.
    pub const EXCLUSIVE: u16 = 0x200;
    /// Give everything there is, in several messages.
    pub const DUMP: u16 = 0x300;
    /// Of an answer: what was dumped changed meanwhile.
    pub const INTERRUPTED: u16 = 0x010;
}

/// Set in an attribute's type when other attributes are nested in it.
pub(super) const NESTED: u16 = 0x8000;
/// The type of an acknowledgement or error, and that of a dump's end.
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// As large as the kernel makes the datagrams of a dump.
const DUMP_BYTES: usize = 64 * 1024;
/// Larger than any acknowledgement, which repeats at most the request.
const ANSWER_BYTES: usize = 16 * 1024;

/// The next number that no request of this process has: an answer that came too late for its own request must not be
/// taken for another's.
static NEXT: AtomicU32 = AtomicU32::new(1);

/// One datagram of requests under construction.
#[derive(Debug, Default)]
pub struct Messages {
    bytes: Vec<u8>,
    message: usize,
    first: Option<u32>,
}

impl Messages {
    /// Begins a message with this fixed header and ends the one before. Returns its sequence number.
    pub fn begin(&mut self, kind: u16, flags: u16, header: &[u8]) -> u32 {
        self.message = self.bytes.len();
        let sequence = NEXT.fetch_add(1, Ordering::Relaxed);
        self.first.get_or_insert(sequence);
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | flag::REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&0_u32.to_ne_bytes());
        self.bytes.extend_from_slice(header);
        self.close(self.message, 4);
        sequence
    }

    /// Appends an attribute to the message.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest_with(kind, |messages| messages.bytes.extend_from_slice(value));
    }

    /// What was written so far.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Appends bytes that are no attribute: a fixed header inside one.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.close(self.message, 4);
    }

    /// Appends a text attribute with its final NUL.
    pub fn text(&mut self, kind: u16, value: &str) {
        self.nest_with(kind, |messages| {
            messages.bytes.extend_from_slice(value.as_bytes());
            messages.bytes.push(0);
        });
    }

    /// Appends an attribute that holds whatever attributes `fill` appends.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Messages)) {
        self.nest_with(kind | NESTED, fill);
    }

    fn nest_with(&mut self, kind: u16, fill: impl FnOnce(&mut Messages)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0, 0]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        fill(self);
        self.close(start, 2);
        self.close(self.message, 4);
    }

    /// Writes the length of what began at `start` into its first `width` bytes and pads to four bytes.
    fn close(&mut self, start: usize, width: usize) {
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX).to_ne_bytes();
        let half = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX).to_ne_bytes();
        let text: &[u8] = if width == 2 { &half } else { &length };
        if let Some(place) = self.bytes.get_mut(start..start + width) {
            place.copy_from_slice(text);
        }
        let padded = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(padded, 0);
    }

    /// Sends everything and waits for nothing.
    ///
    /// # Errors
    /// What sending says.
    pub fn send(&self, socket: impl AsFd) -> io::Result<()> {
        netlink::send(socket, &self.bytes)
    }

    /// Sends everything, a request numbered `sequence` that ends in its acknowledgement or in the end of its dump, and
    /// gives each answer to `each`: its type and what follows the header.
    ///
    /// # Errors
    /// What the kernel says; [`io::ErrorKind::Interrupted`] when what was dumped changed meanwhile, so that the answers do
    /// not belong together.
    pub fn ask(&self, socket: impl AsFd, sequence: u32, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.send(socket.as_fd())?;
        let mut buffer = vec![0; DUMP_BYTES];
        let mut interrupted = false;
        loop {
            let count = netlink::receive(socket.as_fd(), &mut buffer, RecvFlags::empty())?;
            for message in Received::all(buffer.get(..count).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                interrupted |= message.flags & flag::INTERRUPTED != 0;
                match message.kind {
                    ERROR | DONE => match message.body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
                        Some(0) if interrupted => return Err(io::ErrorKind::Interrupted.into()),
                        Some(0) => return Ok(()),
                        Some(code) => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
                        None => return Err(io::ErrorKind::InvalidData.into()),
                    },
                    kind => each(kind, message.body),
                }
            }
        }
    }

    /// Sends everything and waits for the acknowledgement of the message numbered `last`.
    ///
    /// # Errors
    /// The first error that the kernel reports for any of the messages.
    pub fn commit(&self, socket: impl AsFd, last: u32) -> io::Result<()> {
        self.send(socket.as_fd())?;
        let mut buffer = vec![0; ANSWER_BYTES];
        loop {
            let count = netlink::receive(socket.as_fd(), &mut buffer, RecvFlags::empty())?;
            let mut done = false;
            for message in Received::all(buffer.get(..count).unwrap_or_default()) {
                if message.kind != ERROR || Some(message.sequence) < self.first || message.sequence > last {
                    continue;
                }
                match message.body.first_chunk().map(|code| i32::from_ne_bytes(*code)) {
                    Some(0) => done |= message.sequence == last,
                    Some(code) => return Err(io::Error::from_raw_os_error(code.saturating_neg())),
                    None => return Err(io::ErrorKind::InvalidData.into()),
                }
            }
            if done {
                return Ok(());
            }
        }
    }
}

/// A message from the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received<'a> {
    /// Its type.
    pub kind: u16,
    /// Its flags.
    pub flags: u16,
    /// The number of the request it answers.
    pub sequence: u32,
    /// What follows its header.
    pub body: &'a [u8],
}

impl<'a> Received<'a> {
    /// The messages of a datagram; stops at the first that is not whole.
    pub fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Received<'a>> {
        std::iter::from_fn(move || {
            let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
            let message = bytes.get(..length)?;
            let kind = u16::from_ne_bytes(*message.get(4..)?.first_chunk()?);
            let flags = u16::from_ne_bytes(*message.get(6..)?.first_chunk()?);
            let sequence = u32::from_ne_bytes(*message.get(8..)?.first_chunk()?);
            let body = message.get(16..)?;
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some(Received { kind, flags, sequence, body })
        })
    }
}

/// The attributes in `bytes`, each as its type without flags and its value; stops at the first that is not whole.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let kind = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?);
        let value = bytes.get(4..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & 0x3fff, value))
    })
}

/// The value of the first attribute of this type.
pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut messages = Messages::default();
        let first = messages.begin(16, flag::ACK, &[1, 2, 3, 4]);
        messages.attribute(7, &[9]);
        messages.nest(3, |inner| inner.text(1, "lo"));
        let second = messages.begin(17, 0, &[]);
        let read: Vec<_> = Received::all(&messages.bytes).collect();
        assert_eq!(read.iter().map(|m| (m.kind, m.sequence)).collect::<Vec<_>>(), [(16, first), (17, second)]);
        let found: Vec<_> = attributes(&read[0].body[4..]).collect();
        assert_eq!(found[0], (7, &[9][..]));
        assert_eq!(attributes(found[1].1).collect::<Vec<_>>(), [(1, &b"lo\0"[..])]);
    }

    #[test]
    fn cut_and_lying_datagrams_end_the_iteration() {
        let mut messages = Messages::default();
        messages.begin(16, 0, &[]);
        messages.attribute(7, &[1, 2, 3, 4]);
        for cut in 0..messages.bytes.len() {
            assert_eq!(Received::all(&messages.bytes[..cut]).count(), 0);
        }
        assert_eq!(Received::all(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[0; 64]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0, 9]).count(), 0);
    }
}
