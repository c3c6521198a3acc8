//! The audit records as they come, for whoever follows them.
//!
//! Each follower has a queue of its own. One that reads too slowly loses records and is told how many; nobody who writes a
//! record ever waits for it, and while nobody follows a record costs one load.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

/// Records that may wait for one follower. At some 500 bytes each a quarter of a megabyte, and a second of a busy host.
const QUEUE: usize = 512;
/// Followers at a time: some screens and a shipper of logs.
pub const FOLLOWERS_MAX: usize = 16;

/// Where records are given out.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// How many follow, so that nobody has to look at the list when nobody does.
    count: AtomicUsize,
    followers: Mutex<Followers>,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Followers {
    /// The number of the last record that was given out.
    last: u64,
    list: Vec<Arc<Queue>>,
}

#[derive(Debug)]
struct Queue {
    sender: mpsc::Sender<Line>,
    /// The number of the last record that had no room.
    skipped: AtomicU64,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1; each is one more than that of the record before.
    pub number: u64,
    /// The record as in the log, without the newline.
    pub text: Arc<str>,
}

/// What a follower hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A record.
    Line(Line),
    /// So many records were lost here.
    Gap {
        /// How many.
        lost: u64,
    },
}

/// Follows the records from the moment it was made. Dropping it ends that.
#[derive(Debug)]
pub struct Follower {
    live: Arc<Live>,
    queue: Arc<Queue>,
    lines: mpsc::Receiver<Line>,
    /// The number of the last record that was heard or known to be lost.
    last: u64,
    /// One that was received after a gap, which comes first.
    next: Option<Line>,
}

impl Live {
    /// Whether anybody follows.
    pub(super) fn followed(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// Gives a record out.
    pub(super) fn publish(&self, line: &[u8]) {
        if !self.followed() {
            return;
        }
        // Lines are printable ASCII.
        let text: Arc<str> = str::from_utf8(line).unwrap_or_default().trim_end().into();
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.last += 1;
        let number = followers.last;
        for queue in &followers.list {
            if queue.sender.try_send(Line { number, text: Arc::clone(&text) }).is_err() {
                queue.skipped.store(number, Ordering::Release);
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Follows from now on; `None` when too many do.
    pub(super) fn follow(self: &Arc<Self>) -> Option<Follower> {
        let mut followers = self.followers.lock().unwrap_or_else(PoisonError::into_inner);
        if followers.list.len() >= FOLLOWERS_MAX {
            return None;
        }
        let (sender, lines) = mpsc::channel(QUEUE);
        let queue = Arc::new(Queue { sender, skipped: AtomicU64::new(0) });
        followers.list.push(Arc::clone(&queue));
        self.count.store(followers.list.len(), Ordering::Relaxed);
        Some(Follower { live: Arc::clone(self), queue, lines, last: followers.last, next: None })
    }

    /// How many follow, and how many records were lost by them in all.
    pub(super) fn state(&self) -> (usize, u64) {
        (self.count.load(Ordering::Relaxed), self.lost.load(Ordering::Relaxed))
    }
}

impl Follower {
    /// The next record, or how many were lost before it. Can be dropped at any time without losing one.
    pub async fn next(&mut self) -> Heard {
        if let Some(line) = self.next.take() {
            return self.heard(line);
        }
        // In this order: once the queue is empty, all up to what was skipped then was either heard or lost.
        let skipped = self.queue.skipped.load(Ordering::Acquire);
        let line = match self.lines.try_recv() {
            Ok(line) => line,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) if skipped > self.last => {
                let lost = skipped - self.last;
                self.last = skipped;
                return Heard::Gap { lost };
            }
            Err(_) => match self.lines.recv().await {
                Some(line) => line,
                // The queue is held here as well, so it is never closed.
                None => std::future::pending().await,
            },
        };
        let lost = line.number.saturating_sub(self.last + 1);
        if lost == 0 {
            return self.heard(line);
        }
        self.last += lost;
        self.next = Some(line);
        Heard::Gap { lost }
    }

    fn heard(&mut self, line: Line) -> Heard {
        self.last = line.number;
        Heard::Line(line)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut followers = self.live.followers.lock().unwrap_or_else(PoisonError::into_inner);
        followers.list.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.live.count.store(followers.list.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(live: &Live, from: u64, to: u64) {
        (from..=to).for_each(|number| live.publish(format!("{number}\n").as_bytes()));
    }

    async fn line(follower: &mut Follower) -> String {
        match follower.next().await {
            Heard::Line(line) => line.text.to_string(),
            Heard::Gap { lost } => format!("lost {lost}"),
        }
    }

    #[tokio::test]
    async fn followers_hear_what_comes_after_they_began_in_order() {
        let live = Arc::new(Live::default());
        assert!(!live.followed());
        publish(&live, 0, 0);
        let mut one = live.follow().unwrap();
        publish(&live, 1, 2);
        let mut two = live.follow().unwrap();
        publish(&live, 3, 3);
        assert_eq!([line(&mut one).await, line(&mut one).await, line(&mut one).await], ["1", "2", "3"]);
        assert_eq!(line(&mut two).await, "3");
        drop(one);
        assert_eq!(live.state(), (1, 0));
    }

    #[tokio::test]
    async fn a_slow_follower_loses_the_newest_and_is_told_how_many_where() {
        let live = Arc::new(Live::default());
        let mut follower = live.follow().unwrap();
        let room = QUEUE as u64;
        publish(&live, 1, room + 5);
        assert_eq!(line(&mut follower).await, "1");
        // One has room again, and comes after the gap.
        publish(&live, room + 6, room + 6);
        for number in 2..=room {
            assert_eq!(line(&mut follower).await, number.to_string());
        }
        assert_eq!(line(&mut follower).await, "lost 5");
        assert_eq!(line(&mut follower).await, (room + 6).to_string());
        assert_eq!(live.state(), (1, 5));
    }

    #[tokio::test]
    async fn what_was_lost_at_the_end_is_told_without_waiting_for_more() {
        let live = Arc::new(Live::default());
        let mut follower = live.follow().unwrap();
        let room = QUEUE as u64;
        publish(&live, 1, room + 3);
        for number in 1..=room {
            assert_eq!(line(&mut follower).await, number.to_string());
        }
        assert_eq!(line(&mut follower).await, "lost 3");
        publish(&live, room + 4, room + 4);
        assert_eq!(line(&mut follower).await, (room + 4).to_string());
    }

    #[test]
    fn there_are_so_many_followers_and_no_more() {
        let live = Arc::new(Live::default());
        let mut followers: Vec<Follower> = (0..FOLLOWERS_MAX).map(|_| live.follow().unwrap()).collect();
        assert!(live.follow().is_none());
        followers.pop();
        assert!(live.follow().is_some());
    }
}
