//! Reads a connection a piece at a time, so that a client with a lot to say has no worker for itself.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much is read before others get their turn, in bytes: some 1,900 of the smallest frames, which take less than a millisecond.
const PIECE: usize = 32 << 10;

/// A stream that lets others go first after each piece that was read of it.
#[derive(Debug)]
pub(super) struct Paced<T> {
    stream: T,
    left: usize,
}

impl<T> Paced<T> {
    pub(super) fn new(stream: T) -> Paced<T> {
        Paced { stream, left: PIECE }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = PIECE;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().len().saturating_sub(before);
        self.left = if polled.is_pending() { PIECE } else { self.left.saturating_sub(read) };
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn others_go_first_after_each_piece_and_nothing_is_lost() {
        let sent: Vec<u8> = (0..3 * PIECE).map(|at| (at % 251) as u8).collect();
        let mut paced = Paced::new(&sent[..]);
        let mut bytes = vec![0; sent.len()];
        let mut buffer = ReadBuf::new(&mut bytes[..PIECE]);
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut paced).poll_read(&mut context, &mut buffer).is_ready());
        assert_eq!(buffer.filled(), &sent[..PIECE]);
        let mut more = ReadBuf::new(&mut bytes[PIECE..]);
        assert!(Pin::new(&mut paced).poll_read(&mut context, &mut more).is_pending());
        let mut rest = Vec::new();
        paced.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, &sent[PIECE..]);
    }
}
