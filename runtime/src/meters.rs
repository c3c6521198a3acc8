//! How much and how long: what is measured while it happens, beside the counters that follow from the audit records.
//!
//! Nothing here waits or allocates once it is made, so it can be told of everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds: from what a decision in memory takes to what nobody waits for.
pub const BUCKETS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One for each bound, and one for what took longer than all.
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// What a histogram holds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// For each bound how many took at most so long, then how many there are in all.
    pub cumulative: [u64; BUCKETS_US.len() + 1],
    /// How long all of them took together.
    pub sum: Duration,
}

impl Histogram {
    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|bound| *bound < micros);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        // Half a millennium of nanoseconds fits.
        self.sum_ns.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What it holds now. While others count, the sum may be ahead of the buckets.
    pub fn measured(&self) -> Measured {
        let mut total = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            total += bucket.load(Ordering::Relaxed);
            total
        });
        Measured { cumulative, sum: Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)) }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn total(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is measured. One for a process, shared by all that have its [`crate::audit::Audit`].
#[derive(Debug, Default)]
pub struct Meters {
    /// From a query to its answer, refusals and answers from the cache included.
    pub dns_answer: Histogram,
    /// From a question to an upstream resolver to its usable answer.
    pub dns_upstream: Histogram,
    /// From dialling an address to the connection.
    pub connect: Histogram,
    /// From the head of a request inside TLS to the decision.
    pub inside_decided: Histogram,
    /// From its head to its end.
    pub inside_total: Histogram,
    /// Queries that were answered as the policy allows, names that follow from other rules included.
    pub dns_allowed: Count,
    /// Queries that were refused or failed.
    pub dns_blocked: Count,
    /// Peers of the operator's socket that were refused.
    pub strangers: Count,
    /// Peers of the agents' socket that were refused as no agents.
    pub agent_strangers: Count,
    connections: AtomicU64,
}

impl Meters {
    /// Counts a connection of the proxy as open until the guard is dropped.
    pub fn connection(self: &Arc<Self>) -> Open {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Open { meters: Arc::clone(self) }
    }

    /// How many connections of the proxy are open.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

/// An open connection.
#[derive(Debug)]
pub struct Open {
    meters: Arc<Meters>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.meters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_duration_is_in_the_first_bucket_that_holds_it_and_in_all_after() {
        for (micros, first) in [(0, 0), (1, 0), (100, 0), (101, 1), (1_000, 3), (10_000_000, 15), (10_000_001, 16)] {
            let histogram = Histogram::default();
            histogram.observe(Duration::from_micros(micros));
            let Measured { cumulative, sum } = histogram.measured();
            let expected: Vec<u64> = (0..=BUCKETS_US.len()).map(|at| u64::from(at >= first)).collect();
            assert_eq!((cumulative.as_slice(), sum), (expected.as_slice(), Duration::from_micros(micros)), "{micros}");
        }
        let longest = Histogram::default();
        longest.observe(Duration::MAX);
        assert_eq!(longest.measured().cumulative.last(), Some(&1));
    }

    #[test]
    fn bounds_rise() {
        assert!(BUCKETS_US.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn connections_are_open_until_they_are_dropped() {
        let meters = Arc::new(Meters::default());
        let (one, two) = (meters.connection(), meters.connection());
        assert_eq!(meters.connections(), 2);
        drop((one, two));
        assert_eq!(meters.connections(), 0);
    }
}
