//! The audit log: one line per refusal and per request inside TLS, none lost, and the counters for the summary at the end.

mod line;
mod live;
mod notice;
mod record;
mod tally;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::meters::Meters;

pub use live::{FOLLOWERS_MAX, Follower, Heard, Line};
pub use notice::Notice;
pub(crate) use record::rfc3339;
pub use record::{Decision, Intercepted, Record, Timings};
pub use tally::{Counts, Passed, RuleSummary};

use live::Live;
use tally::Tally;

/// Lines that may wait for the disk: at some 500 bytes each, half a megabyte.
const QUEUE: usize = 1_024;

/// How much is written at once, in bytes.
const BATCH_BYTES: usize = 64 << 10;

/// How long after a writing the next one begins at the earliest, where few lines came. The queue takes those of a million a
/// second.
const MOMENT: Duration = Duration::from_millis(1);

/// The handle that everything that refuses has. Cheap to clone; all clones write to one log.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    queue: SyncSender<Message>,
    tally: Mutex<Tally>,
    live: Arc<Live>,
    meters: Arc<Meters>,
}

enum Message {
    Line(Vec<u8>),
    /// Answer when everything before it is written.
    Flush(SyncSender<io::Result<()>>),
}

impl Audit {
    /// Appends to the file at `path`, which is created readable for its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened or the writer's thread cannot be started.
    pub fn to_path(path: &Path) -> io::Result<Audit> {
        Audit::to_file(Audit::open(path)?)
    }

    /// Opens a file to append to; it is made where it is missing, for its owner alone.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    }

    /// Writes to an open file.
    ///
    /// # Errors
    /// The writer's thread cannot be started.
    pub fn to_file(file: File) -> io::Result<Audit> {
        Audit::to_writer(Box::new(file))
    }

    /// Writes to anything, from a thread of its own.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub fn to_writer(writer: Box<dyn Write + Send>) -> io::Result<Audit> {
        let (queue, messages) = sync_channel(QUEUE);
        thread::Builder::new().name("audit".into()).spawn(move || write_all(messages, writer))?;
        Ok(Audit {
            shared: Arc::new(Shared { queue, tally: Mutex::default(), live: Arc::default(), meters: Arc::default() }),
        })
    }

    /// Counts a decision, and writes its line when it is a refusal or its rule says `log: true`.
    ///
    /// Returns once the line is queued. While the disk is slower than the agents this blocks the caller's thread:
    /// a refusal waits for its record rather than losing it, and cancelling the caller cannot drop one.
    pub fn record(&self, record: &Record) {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).count(record);
        if let Some(intercepted) = &record.intercepted {
            self.shared.meters.inside_decided.observe(Duration::from_micros(intercepted.timings.decided_us));
            self.shared.meters.inside_total.observe(Duration::from_micros(intercepted.timings.total_us));
        }
        let written = record.decision == Decision::Block || record.log;
        if !written && !self.shared.live.followed() {
            return;
        }
        let line = record.to_line();
        self.shared.live.publish(&line);
        if written {
            // The writer's thread ends only when every handle is gone, so the queue is open.
            let _ = self.shared.queue.send(Message::Line(line));
        }
    }

    /// Writes a line that is no decision.
    pub fn note(&self, notice: &Notice) {
        let line = notice.to_line();
        self.shared.live.publish(&line);
        let _ = self.shared.queue.send(Message::Line(line));
    }

    /// Follows the records from now on; `None` when [`FOLLOWERS_MAX`] do.
    pub fn follow(&self) -> Option<Follower> {
        self.shared.live.follow()
    }

    /// How many follow, and how many records were lost by slow ones in all.
    pub fn followers(&self) -> (usize, u64) {
        self.shared.live.state()
    }

    /// What is measured beside the records.
    pub fn meters(&self) -> &Arc<Meters> {
        &self.shared.meters
    }

    /// All decisions so far.
    pub fn counts(&self) -> Counts {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).counts()
    }

    /// Waits until everything recorded so far is written.
    ///
    /// # Errors
    /// The first error that writing has met since the last flush. Blocks; not for a thread that runs tasks.
    pub fn flush(&self) -> io::Result<()> {
        let (done, written) = sync_channel(1);
        let gone = || io::Error::other("the audit log's writer is gone");
        self.shared.queue.send(Message::Flush(done)).map_err(|_| gone())?;
        written.recv().map_err(|_| gone())?
    }

    /// The counters by rule: what passed, then what was refused.
    pub fn summary(&self) -> Vec<RuleSummary> {
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).summary()
    }
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Audit")
    }
}

/// The writer's thread. It goes on after an error, as the disk may get room again; the flush reports it.
///
/// Lines that wait together are written together, and where they come thick, those of a moment: waking this thread and
/// calling the kernel for each took as long as judging the request.
fn write_all(messages: Receiver<Message>, writer: Box<dyn Write + Send>) {
    let mut lines = Lines { writer, failed: None, torn: false };
    let mut waiting = Vec::new();
    let mut written: Option<Instant> = None;
    for message in &messages {
        let mut message = Some(message);
        if let (Some(Message::Line(_)), Some(written)) = (&message, written) {
            thread::sleep(MOMENT.saturating_sub(written.elapsed()));
        }
        while let Some(next) = message.take() {
            match next {
                Message::Line(line) => waiting.extend_from_slice(&line),
                Message::Flush(done) => {
                    lines.write(&waiting);
                    waiting.clear();
                    // Whoever asked may have gone away.
                    let _ = done.send(lines.flush());
                }
            }
            if waiting.len() < BATCH_BYTES {
                message = messages.try_recv().ok();
            }
        }
        lines.write(&waiting);
        // More than that at once must not wait, as those who write it would.
        written = (waiting.len() < BATCH_BYTES).then(Instant::now);
        waiting.clear();
    }
    // Every handle is gone and nobody is left to tell.
    let _ = lines.flush();
}

/// Where the lines go.
struct Lines {
    writer: Box<dyn Write + Send>,
    /// The first error since the last flush.
    failed: Option<io::Error>,
    /// The last line was cut short; it must not swallow the one after it.
    torn: bool,
}

impl Lines {
    /// Writes whole lines. One that cannot be written is given up on, those after it are still tried.
    fn write(&mut self, lines: &[u8]) {
        let mut left = lines;
        while !left.is_empty() {
            let begin = if self.torn { self.writer.write_all(b"\n") } else { Ok(()) };
            match begin.and_then(|()| self.writer.write(left)) {
                Ok(0) => self.give_up(&mut left, lines, io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    self.torn = false;
                    left = left.get(length..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.give_up(&mut left, lines, error),
            }
        }
    }

    /// Leaves out the rest of the line that could not be written.
    fn give_up(&mut self, left: &mut &[u8], lines: &[u8], error: io::Error) {
        let before = lines.len().checked_sub(left.len() + 1).and_then(|at| lines.get(at));
        self.torn |= before.is_some_and(|byte| *byte != b'\n');
        let end = left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |at| at + 1);
        *left = left.get(end..).unwrap_or_default();
        self.failed.get_or_insert(error);
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::record::tests::record;
    use super::*;

    /// A disk that writes one line each time the test lets it.
    struct Slow {
        written: Arc<Mutex<Vec<u8>>>,
        permits: Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.permits.recv();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_slow_disk_loses_no_refusal() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let (permit, permits) = std::sync::mpsc::channel();
        let audit = Audit::to_writer(Box::new(Slow { written: Arc::clone(&written), permits })).unwrap();
        let total = 3 * QUEUE;
        let recording = {
            let audit = audit.clone();
            thread::spawn(move || {
                for at in 0..total {
                    audit.record(&record("default", &format!("{at}.example"), Decision::Block));
                }
            })
        };
        (0..total).for_each(|_| permit.send(()).unwrap());
        recording.join().unwrap();
        audit.flush().unwrap();
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), total);
        assert!(text.lines().last().unwrap().contains(&format!("{}.example", total - 1)));
    }

    #[test]
    fn only_refusals_and_what_is_to_be_logged_are_written_and_all_is_counted() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let audit = Audit::to_path(file.path()).unwrap();
        audit.record(&record("web", "a.example:443", Decision::Allow));
        audit.record(&record("default", "b.example A", Decision::Block));
        audit.record(&Record { log: true, ..record("logged", "c.example:443", Decision::Allow) });
        audit.flush().unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let rules: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["rule"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(rules, ["default", "logged"]);
        assert_eq!(audit.summary().iter().map(|rule| rule.count).sum::<u64>(), 3);
    }

    /// Takes five bytes at a time, and nothing at each of these calls.
    struct Flaky {
        written: Arc<Mutex<Vec<u8>>>,
        failing: Vec<usize>,
        calls: usize,
    }

    impl Write for Flaky {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.failing.contains(&self.calls) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let length = bytes.len().min(5);
            self.written.lock().unwrap().extend_from_slice(&bytes[..length]);
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_takes_no_other_with_it() {
        // Calls: `first`, `..` with the line's end and `se`, `cond.`, its end, `third`, `..`; a torn line costs another one.
        for (failing, expected) in [
            (vec![], "first..\nsecond.\nthird..\n"),
            (vec![1], "second.\nthird..\n"),
            (vec![2], "first\nsecond.\nthird..\n"),
            (vec![3], "first..\nse\nthird..\n"),
            (vec![4], "first..\nsecond.\nthird..\n"),
            (vec![3, 4], "first..\nse"),
            (vec![6], "first..\nsecond.\nthird"),
            (vec![2, 3], "first\nthird..\n"),
            (vec![2, 6], "first\nsecond.\n"),
        ] {
            let written = Arc::new(Mutex::new(Vec::new()));
            let writer = Flaky { written: Arc::clone(&written), failing: failing.clone(), calls: 0 };
            let mut lines = Lines { writer: Box::new(writer), failed: None, torn: false };
            lines.write(b"first..\nsecond.\n");
            lines.write(b"third..\n");
            let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
            assert_eq!(text, expected, "{failing:?}");
            assert_eq!(lines.flush().is_err(), !failing.is_empty());
        }
    }

    #[test]
    fn a_full_disk_is_told_at_the_flush() {
        let audit = Audit::to_file(OpenOptions::new().write(true).open("/dev/full").unwrap()).unwrap();
        audit.record(&record("default", "a.example", Decision::Block));
        assert!(audit.flush().is_err());
        assert!(audit.flush().is_ok());
    }
}
