//! What the processes of a sandbox say to each other over their socket pairs.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::RecvFlags;

use crate::sys::descriptors;
use crate::sys::process::Ended;

/// A message. All ends run the same program, so its form needs no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    /// Go on with the next step.
    Go,
    /// Send this signal to the command.
    Signal(i32),
    /// Everything inside is in place; the sockets come with this message.
    Ready,
    /// It cannot be done: the exit status for that, and why.
    Failed(u8, String),
    /// The command has ended.
    Ended(Ended),
}

/// Longer texts are cut; reasons are one line.
const TEXT_BYTES: usize = 4000;

impl Message {
    fn to_bytes(&self) -> Vec<u8> {
        let with = |tag: u8, number: i32| [&[tag][..], &number.to_ne_bytes()].concat();
        match self {
            Message::Go => vec![0],
            Message::Signal(signal) => with(1, *signal),
            Message::Ready => vec![2],
            Message::Failed(status, text) => {
                let text: String = text.chars().take(TEXT_BYTES / 4).collect();
                [&[3, *status], text.as_bytes()].concat()
            }
            Message::Ended(Ended::Exited(status)) => vec![4, *status],
            Message::Ended(Ended::Signalled(signal)) => with(5, *signal),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<Message> {
        let (tag, rest) = bytes.split_first()?;
        let number = || rest.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes));
        Some(match tag {
            0 => Message::Go,
            1 => Message::Signal(number()?),
            2 => Message::Ready,
            3 => {
                let (status, text) = rest.split_first()?;
                Message::Failed(*status, String::from_utf8_lossy(text).into_owned())
            }
            4 => Message::Ended(Ended::Exited(*rest.first()?)),
            5 => Message::Ended(Ended::Signalled(number()?)),
            _ => return None,
        })
    }

    /// Sends the message.
    ///
    /// # Errors
    /// What sendmsg(2) says, `EPIPE` when the other process is gone.
    pub(super) fn send(&self, socket: impl AsFd) -> io::Result<()> {
        descriptors::send(socket, &self.to_bytes(), &[])
    }

    /// Sends the message with descriptors.
    pub(super) fn send_with(&self, socket: impl AsFd, passed: &[BorrowedFd<'_>]) -> io::Result<()> {
        descriptors::send(socket, &self.to_bytes(), passed)
    }

    /// Waits for a message; `None` when the other process is gone.
    ///
    /// # Errors
    /// What recvmsg(2) says; `InvalidData` for anything but a message.
    pub(super) fn receive(socket: impl AsFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        Message::receive_with(socket, RecvFlags::empty())
    }

    /// The message that is there; `WouldBlock` when none is.
    ///
    /// # Errors
    /// As [`Message::receive`].
    pub(super) fn receive_now(socket: impl AsFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        Message::receive_with(socket, RecvFlags::DONTWAIT)
    }

    fn receive_with(socket: impl AsFd, flags: RecvFlags) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let mut buffer = [0; TEXT_BYTES + 16];
        let (count, passed) = loop {
            match descriptors::receive(&socket, &mut buffer, flags) {
                // A process that ended with messages unread; what it said before that comes after the error.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
                received => break received?,
            }
        };
        if count == 0 {
            return Ok(None);
        }
        let message = Message::from_bytes(buffer.get(..count).unwrap_or_default());
        message.map(|message| Some((message, passed))).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_as_they_were_sent() {
        let (left, right) = descriptors::pair().unwrap();
        let messages = [
            Message::Go,
            Message::Signal(15),
            Message::Ready,
            Message::Failed(127, "`x` was not found".into()),
            Message::Ended(Ended::Exited(3)),
            Message::Ended(Ended::Signalled(9)),
        ];
        for message in messages {
            message.send(&left).unwrap();
            assert_eq!(Message::receive(&right).unwrap().unwrap().0, message);
        }
        drop(left);
        assert!(Message::receive(&right).unwrap().is_none());
    }

    #[test]
    fn last_words_are_heard_from_a_process_that_did_not_listen() {
        let (left, right) = descriptors::pair().unwrap();
        Message::Signal(15).send(&right).unwrap();
        Message::Ended(Ended::Exited(0)).send(&left).unwrap();
        drop(left);
        assert_eq!(Message::receive(&right).unwrap().unwrap().0, Message::Ended(Ended::Exited(0)));
        assert!(Message::receive(&right).unwrap().is_none());
    }
}
