//! Reads an HTTP/2 connection no faster than is fair, so that a peer with a lot to say has no worker for itself.
//!
//! Others get their turn after each piece. Frames that carry little, which cost their sender next to nothing, are read at a
//! bounded rate: what is beyond it waits in the kernel, and then with the peer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How much is read before others get their turn, in bytes.
const PIECE: usize = 32 << 10;
/// How many small frames of a client are read a second; each takes well under a microsecond. Streams of small messages stay
/// below.
pub(crate) const OF_CLIENTS: f64 = 20_000.0;
/// The same of a server, whose connection carries what many clients asked for.
pub(crate) const OF_SERVERS: f64 = 200_000.0;
/// How many may come at once.
const BURST: f64 = 2_000.0;
/// How long is waited once there were too many.
const PAUSE: Duration = Duration::from_millis(5);
/// A frame of `DATA` with so much is not small, in bytes.
const LARGE: usize = 1 << 10;
/// The flag of the last frame of a stream (RFC 9113, section 6.1).
const END_STREAM: u8 = 1;
/// The length of a frame's head (RFC 9113, section 4.1).
const HEAD: usize = 9;
/// What a client sends before its first frame (RFC 9113, section 3.4), in bytes.
pub(crate) const PREFACE: usize = 24;

/// A stream that lets others go first after each piece that was read of it.
#[derive(Debug)]
pub(crate) struct Paced<T> {
    stream: T,
    left: usize,
    frames: Frames,
    /// How many small frames are read a second.
    rate: f64,
    /// How many small frames may be read.
    allowance: f64,
    since: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<T> Paced<T> {
    /// `preface`: how many bytes come before the first frame. `rate`: how many small frames are read a second.
    pub(crate) fn new(stream: T, preface: usize, rate: f64) -> Paced<T> {
        let frames = Frames { skip: preface, ..Frames::default() };
        Paced { stream, left: PIECE, frames, rate, allowance: BURST, since: Instant::now(), pause: None }
    }

    /// Takes this many small frames off the allowance.
    fn charge(&mut self, frames: u32) {
        let now = Instant::now();
        let earned = now.duration_since(self.since).as_secs_f64() * self.rate;
        self.since = now;
        self.allowance = (self.allowance + earned).min(BURST) - f64::from(frames);
        if self.allowance < 0.0 {
            self.pause = Some(Box::pin(sleep(PAUSE.max(Duration::from_secs_f64(-self.allowance / self.rate)))));
        }
    }
}

/// Follows frames through the bytes of a connection.
#[derive(Debug, Default)]
struct Frames {
    /// What is left of the frame's payload, or of what comes before the first one.
    skip: usize,
    head: [u8; HEAD],
    filled: usize,
}

impl Frames {
    /// How many small frames begin in these bytes, which come next.
    fn small(&mut self, mut bytes: &[u8]) -> u32 {
        let mut small = 0;
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some(room) = self.head.get_mut(self.filled..) else { return small };
            let length = room.len().min(bytes.len());
            let (now, rest) = bytes.split_at_checked(length).unwrap_or_default();
            for (to, from) in room.iter_mut().zip(now) {
                *to = *from;
            }
            self.filled += length;
            bytes = rest;
            if self.filled < HEAD {
                return small;
            }
            let [high, middle, low, kind, flags, ..] = self.head;
            self.skip = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.filled = 0;
            // Requests are bounded where they are read, and so are their ends.
            small += match kind {
                0 if self.skip >= LARGE || flags & END_STREAM != 0 => 0,
                1 => 0,
                _ => 1,
            };
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.left == 0 {
            self.left = PIECE;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let read = buffer.filled().get(before..).unwrap_or_default();
        let small = self.frames.small(read);
        self.left = if polled.is_pending() { PIECE } else { self.left.saturating_sub(read.len()) };
        if small > 0 {
            self.charge(small);
        }
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
        let mut paced = Paced::new(&sent[..], sent.len(), OF_CLIENTS);
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

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        [&[high, middle, low, kind, 0, 0, 0, 0, 0][..], &vec![7; length]].concat()
    }

    #[test]
    fn small_frames_are_counted_however_the_bytes_come_in() {
        let mut last = frame(0, 100);
        last[4] = END_STREAM;
        let frames =
            [frame(6, 8), last, frame(0, LARGE), frame(0, LARGE - 1), frame(1, 20), frame(8, 4), frame(99, 70_000)];
        let sent = [&[b'P'; PREFACE][..], &frames.concat(), &frame(4, 0)].concat();
        for piece in [1, 2, 8, 9, 10, 1_000, sent.len()] {
            let mut follower = Frames { skip: PREFACE, ..Frames::default() };
            let small: u32 = sent.chunks(piece).map(|bytes| follower.small(bytes)).sum();
            assert_eq!(small, 5, "{piece}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_small_frames_is_read_at_the_rate_and_others_are_not_slowed() {
        for (one, count, bounds) in [
            (frame(6, 8), 100_000, Duration::from_secs(4)..Duration::from_secs(6)),
            (frame(0, 16 << 10), 5_000, Duration::ZERO..Duration::from_millis(1)),
            (frame(8, 4), BURST as usize, Duration::ZERO..Duration::from_millis(1)),
        ] {
            let sent = one.repeat(count);
            let begun = Instant::now();
            let mut received = Vec::with_capacity(sent.len());
            Paced::new(&sent[..], 0, OF_CLIENTS).read_to_end(&mut received).await.unwrap();
            assert_eq!(received.len(), sent.len());
            assert!(bounds.contains(&begun.elapsed()), "{:?}", begun.elapsed());
        }
    }
}
