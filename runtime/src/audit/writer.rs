//! Writes lines to the log, from a thread of its own: whole and in order, and none is lost while the disk can take it.
//!
//! Nobody who has a line waits: it is queued at once, and cancelling whoever recorded it cannot drop it. What is held back
//! while the disk is slower than the agents is what would make more lines: whoever takes on requests waits for
//! [`Queue::room`] before each. A disk that refuses is tried again for [`HOLD`]; after that what cannot be written is lost,
//! counted and said, and the log itself says so where the lines are missing, as soon as it can be written again.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::Notify;

use super::notice::Notice;

/// What may wait for the disk before requests are held back, in bytes: some 2,000 lines. Those of requests that are under way
/// still join it.
const ROOM_BYTES: usize = 1 << 20;
/// How much is not waited for more, in bytes.
const BATCH_BYTES: usize = 64 << 10;
/// How long after a writing the next one begins at the earliest, where few lines came: waking this thread and calling the
/// kernel for each line took as long as judging the request.
const MOMENT: Duration = Duration::from_millis(5);
/// How long a disk that refuses holds requests back at most. Long enough for whoever rotates logs, short enough that an
/// agent which fills the disk with refusals does not stop the others for good.
const HOLD: Duration = Duration::from_secs(10);
/// How often such a disk is tried again.
const AGAIN: Duration = Duration::from_millis(100);

/// The lines that wait to be written.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Wakes the writer.
    comes: Condvar,
    /// Whether more waits than should.
    full: AtomicBool,
    /// Wakes who waits for room.
    room: Notify,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Who is to hear when everything before is written.
    flushes: Vec<SyncSender<io::Result<()>>>,
    closed: bool,
}

impl Queue {
    /// Queues a line, its end included.
    pub(super) fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        let first = waiting.lines.is_empty();
        waiting.lines.extend_from_slice(line);
        if waiting.lines.len() >= ROOM_BYTES {
            self.full.store(true, Ordering::Release);
        }
        drop(waiting);
        // Whoever came before has woken the writer, which costs a call of the kernel.
        if first {
            self.comes.notify_one();
        }
    }

    /// Has `done` hear what became of everything before.
    pub(super) fn flush(&self, done: SyncSender<io::Result<()>>) {
        self.waiting().flushes.push(done);
        self.comes.notify_one();
    }

    /// Has the writer end when it has written everything.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.comes.notify_one();
    }

    /// Waits until there is room for the lines of another request.
    pub(super) async fn room(&self) {
        while self.is_full() {
            let room = self.room.notified();
            // It may have come before it was asked for.
            if self.is_full() {
                room.await;
            }
        }
    }

    /// Whether requests are held back.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// How many lines were lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // What is behind it is whole whenever it is let go.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do, at most for `pause`, and takes what there is. Where lines are left over, others are only
    /// taken when everything is to be written: they count as waiting for as long as they do.
    fn take(&self, lines: &mut Vec<u8>, pause: Option<Duration>) -> Due {
        let left = !lines.is_empty();
        let idle =
            |waiting: &mut Waiting| waiting.flushes.is_empty() && !waiting.closed && (left || waiting.lines.is_empty());
        let held = self.waiting();
        let mut waiting = match pause {
            Some(pause) => self.comes.wait_timeout_while(held, pause, idle).unwrap_or_else(PoisonError::into_inner).0,
            None => self.comes.wait_while(held, idle).unwrap_or_else(PoisonError::into_inner),
        };
        let due = Due { flushes: std::mem::take(&mut waiting.flushes), closed: waiting.closed };
        if !left {
            std::mem::swap(lines, &mut waiting.lines);
        } else if due.now() {
            lines.append(&mut waiting.lines);
        } else {
            return due;
        }
        self.full.store(false, Ordering::Release);
        drop(waiting);
        self.room.notify_waiters();
        due
    }
}

/// What is asked of the writer beside lines.
struct Due {
    flushes: Vec<SyncSender<io::Result<()>>>,
    closed: bool,
}

impl Due {
    /// Whether somebody waits for everything to be written.
    fn now(&self) -> bool {
        !self.flushes.is_empty() || self.closed
    }
}

/// The writer's thread: ends when the queue is closed.
pub(super) fn run(queue: &Queue, writer: Box<dyn Write + Send>) {
    let mut log = Log { writer, open: false, torn: false, trouble: None, failed: None };
    let mut lines = Vec::new();
    let mut written: Option<Instant> = None;
    loop {
        if let Some(written) = written {
            thread::sleep(MOMENT.saturating_sub(written.elapsed()));
        }
        let due = queue.take(&mut lines, log.trouble.is_some().then_some(AGAIN));
        // What is much must not wait for more, as those who are held back would.
        written = (lines.len() < BATCH_BYTES).then(Instant::now);
        let lost = log.write(&mut lines, due.now());
        queue.lost.fetch_add(lost, Ordering::Relaxed);
        for done in due.flushes {
            // Whoever asked may have gone away.
            let _ = done.send(log.flush());
        }
        if due.closed {
            // Every handle is gone and nobody is left to tell.
            let _ = log.flush();
            return;
        }
    }
}

/// Where the lines go.
struct Log {
    writer: Box<dyn Write + Send>,
    /// The last byte that was written ended no line.
    open: bool,
    /// That line was given up on; it must not swallow the one after it.
    torn: bool,
    trouble: Option<Trouble>,
    /// Why lines were given up on since the last flush.
    failed: Option<io::Error>,
}

/// What there is to say when it is over.
struct Trouble {
    since: Instant,
    why: String,
    lost: u64,
    /// The digest of the policy that the last line which was lost names.
    policy: String,
}

impl Log {
    /// Writes lines; what is left of them is to be tried again. With `now`, or when they have waited long enough, those
    /// that cannot be written are given up on. Gives their number.
    fn write(&mut self, lines: &mut Vec<u8>, now: bool) -> u64 {
        let Err(error) = self.try_to_write(lines) else {
            if let Some(trouble) = self.trouble.take() {
                let lost = trouble.lost;
                crate::say!("the audit log is written again; {lost} record(s) were lost");
            }
            return 0;
        };
        let trouble = self.trouble.get_or_insert_with(|| {
            let seconds = HOLD.as_secs();
            crate::say!(
                "the audit log cannot be written: {error}; it is tried again, and for {seconds} s no record is lost"
            );
            Trouble { since: Instant::now(), why: error.to_string(), lost: 0, policy: String::new() }
        });
        let lost = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        if lost == 0 || !(now || trouble.since.elapsed() >= HOLD) {
            return 0;
        }
        if trouble.lost == 0 {
            crate::say!("records are lost from now on, as the audit log cannot be written: {}", trouble.why);
        }
        self.failed.get_or_insert(error);
        trouble.lost += lost;
        trouble.policy = policy(lines);
        self.torn = self.open;
        lines.clear();
        lost
    }

    fn try_to_write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if self.torn {
            self.put(&mut b"\n".to_vec())?;
            self.torn = false;
        }
        if let Some(trouble) = self.trouble.as_mut().filter(|trouble| trouble.lost > 0) {
            let notice = Notice::new("audit", "records_lost", &trouble.policy).with("lost", trouble.lost);
            let mut notice = notice.with("why", trouble.why.as_str()).to_line();
            if let Err(error) = self.put(&mut notice) {
                self.torn = self.open;
                return Err(error);
            }
            // What comes after it is another gap, with a notice of its own.
            if let Some(trouble) = self.trouble.take() {
                crate::say!("the audit log is written again; {} record(s) were lost", trouble.lost);
            }
        }
        self.put(lines)
    }

    /// Writes as much as goes, and takes that off.
    fn put(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut done = 0;
        let ended = loop {
            let left = bytes.get(done..).unwrap_or_default();
            if left.is_empty() {
                break Ok(());
            }
            match self.writer.write(left) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => done += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        if let Some(last) = bytes.get(..done).and_then(<[u8]>::last) {
            self.open = *last != b'\n';
        }
        bytes.drain(..done.min(bytes.len()));
        ended
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.writer.flush(),
        }
    }
}

/// The digest that the last of these lines names.
fn policy(lines: &[u8]) -> String {
    let last = lines.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let record: Value = serde_json::from_slice(last).unwrap_or_default();
    record.get("policy").and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
