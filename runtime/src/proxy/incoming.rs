//! The bytes that were received and not yet used.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// How much is read at once: what the common kernels hand over in one piece.
const READ_BYTES: usize = 16 * 1024;

/// A buffer in front of a reader. It holds what was read ahead, so it belongs to the connection and not to a message.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    used: usize,
}

impl Incoming {
    /// What was received and not used.
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.used..).unwrap_or_default()
    }

    /// Marks the first `length` unread bytes as used.
    pub(super) fn consume(&mut self, length: usize) {
        self.used = self.used.saturating_add(length).min(self.bytes.len());
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        }
    }

    /// Takes the first `length` unread bytes out.
    pub(super) fn take(&mut self, length: usize) -> Vec<u8> {
        let taken = self.unread().get(..length).unwrap_or_default().to_vec();
        self.consume(taken.len());
        taken
    }

    /// Takes all unread bytes out.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        self.take(self.unread().len())
    }

    /// Receives more. Gives the number of bytes, 0 at the end.
    ///
    /// Cancel safe: what was received is in the buffer.
    pub(super) async fn fill(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        if self.used > 0 {
            self.bytes.drain(..self.used);
            self.used = 0;
        }
        self.bytes.reserve(READ_BYTES);
        reader.read_buf(&mut self.bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_are_used_once_and_in_order() {
        let mut reader: &[u8] = b"abcdef";
        let mut incoming = Incoming { bytes: b"xy".to_vec(), used: 0 };
        assert_eq!(incoming.fill(&mut reader).await.unwrap(), 6);
        assert_eq!(incoming.take(3), b"xya");
        incoming.consume(1);
        assert_eq!(incoming.unread(), b"cdef");
        assert_eq!(incoming.fill(&mut reader).await.unwrap(), 0);
        assert_eq!(incoming.take_all(), b"cdef");
        incoming.consume(5);
        assert!(incoming.unread().is_empty());
    }
}
