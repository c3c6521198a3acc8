//! Copies bytes both ways between two connections until both are done.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// The buffer of each direction. Larger ones gain little on a tunnel and are paid for by every idle connection.
const BUFFER_BYTES: usize = 32 * 1024;

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides closed in an orderly way.
    Closed,
    /// One side went away, so the other was cut off too.
    Broken,
    /// Nothing was sent either way for too long.
    Idle,
}

/// Copies both ways. When one side stops sending, the other is told so and may go on (RFC 9293, section 3.6).
pub(super) async fn relay(
    left: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    right: (&mut (impl AsyncRead + Unpin), &mut (impl AsyncWrite + Unpin)),
    idle: Duration,
) -> Ended {
    let clock = Activity::new();
    let ((left_reader, left_writer), (right_reader, right_writer)) = (left, right);
    let both = async {
        let outgoing = copy(left_reader, right_writer, &clock);
        let incoming = copy(right_reader, left_writer, &clock);
        tokio::try_join!(outgoing, incoming)
    };
    tokio::select! {
        result = both => if result.is_ok() { Ended::Closed } else { Ended::Broken },
        () = clock.quiet_for(idle) => Ended::Idle,
    }
}

async fn copy(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    clock: &Activity,
) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER_BYTES);
    while reader.read_buf(&mut buffer).await? > 0 {
        clock.mark();
        writer.write_all(&buffer).await?;
        writer.flush().await?;
        clock.mark();
        buffer.clear();
    }
    writer.shutdown().await
}

/// When something was last sent.
struct Activity {
    start: Instant,
    last_ms: AtomicU64,
}

impl Activity {
    fn new() -> Activity {
        Activity { start: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    fn mark(&self) {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last_ms.store(elapsed, Ordering::Relaxed);
    }

    async fn quiet_for(&self, idle: Duration) {
        loop {
            let due = self.start + Duration::from_millis(self.last_ms.load(Ordering::Relaxed)) + idle;
            if Instant::now() >= due {
                return;
            }
            tokio::time::sleep_until(due).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{duplex, split};

    use super::*;

    /// Two ends whose bytes pass through a relay, and the relay's end.
    fn pair(idle: Duration) -> (tokio::io::DuplexStream, tokio::io::DuplexStream, tokio::task::JoinHandle<Ended>) {
        let (near, inner_left) = duplex(1024);
        let (inner_right, far) = duplex(1024);
        let task = tokio::spawn(async move {
            let (mut left, mut right) = (split(inner_left), split(inner_right));
            relay((&mut left.0, &mut left.1), (&mut right.0, &mut right.1), idle).await
        });
        (near, far, task)
    }

    #[tokio::test]
    async fn one_side_may_finish_before_the_other() {
        let (mut near, mut far, task) = pair(Duration::from_secs(60));
        near.write_all(b"question").await.unwrap();
        near.shutdown().await.unwrap();
        let mut asked = String::new();
        far.read_to_string(&mut asked).await.unwrap();
        far.write_all(b"answer").await.unwrap();
        far.shutdown().await.unwrap();
        let mut answered = String::new();
        near.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str(), task.await.unwrap()), ("question", "answer", Ended::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_a_relay_and_bytes_put_it_off() {
        let (mut near, mut far, task) = pair(Duration::from_secs(10));
        let start = Instant::now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(9)).await;
            far.write_all(b"x").await.unwrap();
            near.read_u8().await.unwrap();
        }
        assert_eq!(task.await.unwrap(), Ended::Idle);
        assert!(start.elapsed() >= Duration::from_secs(36));
    }
}
