//! The audit log: one line per refusal and per request inside TLS, none lost, and the counters for the summary at the end.

mod line;
mod live;
mod notice;
mod record;
mod tally;
mod writer;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::meters::Meters;

pub use live::{FOLLOWERS_MAX, Follower, Heard, Line};
pub use notice::Notice;
pub(crate) use record::rfc3339;
pub use record::{Decision, Intercepted, Record, Timings};
pub use tally::{Counts, Passed, RuleSummary};

use live::Live;
use tally::Tally;
use writer::Queue;

/// The handle that everything that refuses has. Cheap to clone; all clones write to one log.
#[derive(Clone)]
pub struct Audit {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Arc<Queue>,
    tally: Mutex<Tally>,
    live: Arc<Live>,
    meters: Arc<Meters>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
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
        let queue = Arc::new(Queue::default());
        let served = Arc::clone(&queue);
        thread::Builder::new().name("audit".into()).spawn(move || writer::run(&served, writer))?;
        Ok(Audit {
            shared: Arc::new(Shared { queue, tally: Mutex::default(), live: Arc::default(), meters: Arc::default() }),
        })
    }

    /// Counts a decision, and writes its line when it is a refusal or its rule says `log: true`.
    ///
    /// Returns once the line is queued, which takes no waiting; see [`Audit::room`].
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
            self.shared.queue.push(&line);
        }
    }

    /// Waits until there is room for another record: whoever takes on a request of an agent's does so before. While the disk
    /// is slower than the agents, requests are held back rather than records lost.
    pub async fn room(&self) {
        self.shared.queue.room().await;
    }

    /// Whether requests are held back, as the log is not written fast enough.
    pub fn holds_back(&self) -> bool {
        self.shared.queue.is_full()
    }

    /// How many records were lost, as the log could not be written for too long.
    pub fn lost(&self) -> u64 {
        self.shared.queue.lost()
    }

    /// Writes a line that is no decision.
    pub fn note(&self, notice: &Notice) {
        let line = notice.to_line();
        self.shared.live.publish(&line);
        self.shared.queue.push(&line);
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

    /// Waits until everything recorded so far is written, or given up on.
    ///
    /// # Errors
    /// The first error since the last flush for which records were given up on. Blocks; not for a thread that runs tasks.
    pub fn flush(&self) -> io::Result<()> {
        let (done, written) = sync_channel(1);
        self.shared.queue.flush(done);
        written.recv().map_err(|_| io::Error::other("the audit log's writer is gone"))?
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

#[cfg(test)]
mod tests {
    use super::record::tests::record;
    use super::*;

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

    #[test]
    fn a_full_disk_is_told_at_the_flush() {
        let audit = Audit::to_file(OpenOptions::new().write(true).open("/dev/full").unwrap()).unwrap();
        audit.record(&record("default", "a.example", Decision::Block));
        assert!(audit.flush().is_err());
        assert_eq!(audit.lost(), 1);
    }
}
