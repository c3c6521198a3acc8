//! Answers that may be used again, in bounded memory.

use std::sync::Arc;
use std::time::Instant;

use domain::base::iana::Rtype;
use outcall_schema::api::dns::CacheStatus;
use quick_cache::sync::Cache as Shelf;
use quick_cache::{DefaultHashBuilder, Lifecycle};

use super::answer::Answer;
use crate::meters::Count;

/// A question: a canonical name and a record type.
pub(super) type Key = (Arc<str>, Rtype);

/// Bytes kept at most: some 20,000 ordinary answers.
const BYTES_MAX: u64 = 16 << 20;
/// What an entry weighs besides its content. It also bounds the number of entries: to 65,536.
const ENTRY_WEIGHT: u64 = 256;
/// Entries that the cache is laid out for.
const ENTRIES_EXPECTED: usize = 16_384;

/// The cache. It holds what upstreams said, not what an agent may see: every use is judged anew.
pub(super) struct Cache {
    shelf: Shelf<Key, Arc<Answer>, Weight, DefaultHashBuilder, Evicted>,
    hits: Count,
    misses: Count,
    evicted: Arc<Count>,
}

/// Hears of what has to make room.
#[derive(Clone)]
struct Evicted(Arc<Count>);

impl Lifecycle<Key, Arc<Answer>> for Evicted {
    type RequestState = ();

    fn on_evict(&self, _: &mut (), _: Key, _: Arc<Answer>) {
        self.0.add();
    }
}

#[derive(Clone)]
struct Weight;

impl quick_cache::Weighter<Key, Arc<Answer>> for Weight {
    fn weight(&self, key: &Key, answer: &Arc<Answer>) -> u64 {
        ENTRY_WEIGHT + (key.0.len() + answer.weight()) as u64
    }
}

impl Cache {
    pub(super) fn new() -> Cache {
        let evicted: Arc<Count> = Arc::default();
        let lifecycle = Evicted(Arc::clone(&evicted));
        let shelf = Shelf::with(ENTRIES_EXPECTED, BYTES_MAX, Weight, DefaultHashBuilder::default(), lifecycle);
        Cache { shelf, hits: Count::default(), misses: Count::default(), evicted }
    }

    /// An answer that is still fresh.
    pub(super) fn fresh(&self, key: &Key, now: Instant) -> Option<Arc<Answer>> {
        let answer = self.shelf.get(key).filter(|answer| answer.is_fresh(now));
        if answer.is_some() {
            self.hits.add()
        } else {
            self.misses.add()
        }
        answer
    }

    /// The same for somebody who only looks: it counts for nothing.
    pub(super) fn peek(&self, key: &Key, now: Instant) -> Option<Arc<Answer>> {
        self.shelf.peek(key).filter(|answer| answer.is_fresh(now))
    }

    /// How it stands.
    pub(super) fn status(&self) -> CacheStatus {
        CacheStatus {
            entries: self.shelf.len(),
            max_entries: usize::try_from(BYTES_MAX / ENTRY_WEIGHT).unwrap_or(usize::MAX),
            hits: self.hits.total(),
            misses: self.misses.total(),
            evictions: self.evicted.total(),
            answers: None,
        }
    }

    /// What is kept, in no order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Key, Arc<Answer>)> {
        self.shelf.iter()
    }

    /// Lets go of everything; says how much it was.
    pub(super) fn clear(&self) -> usize {
        self.shelf.drain().count()
    }

    /// Keeps an answer for as long as it says.
    pub(super) fn keep(&self, key: Key, answer: Arc<Answer>) {
        if !answer.ttl.is_zero() {
            self.shelf.insert(key, answer);
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cache({} entries)", self.shelf.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::base::iana::Rcode;

    use super::super::message::{Stored, wire};
    use super::*;

    fn answer(ttl: Duration, received: Instant, bytes: usize) -> Arc<Answer> {
        let owner = wire("a.example").unwrap();
        let records = vec![Stored { owner, rtype: Rtype::TXT, ttl: 60, data: vec![0; bytes] }];
        Arc::new(Answer { rcode: Rcode::NOERROR, records, soa: None, ttl, received })
    }

    #[test]
    fn answers_are_used_until_their_time_is_up() {
        let cache = Cache::new();
        let minute = Duration::from_secs(60);
        let now = Instant::now();
        for (name, ttl, received, expected) in [
            ("fresh.example", minute, now, true),
            ("stale.example", minute, now.checked_sub(minute).unwrap(), false),
            ("never.example", Duration::ZERO, now, false),
        ] {
            let key: Key = (name.into(), Rtype::TXT);
            cache.keep(key.clone(), answer(ttl, received, 10));
            assert_eq!(cache.fresh(&key, now).is_some(), expected, "{name}");
            assert!(cache.fresh(&(name.into(), Rtype::A), now).is_none());
        }
    }

    #[test]
    fn what_is_used_missed_evicted_and_let_go_of_is_counted() {
        let cache = Cache::new();
        let (minute, now) = (Duration::from_secs(60), Instant::now());
        let key = |at: usize| -> Key { (format!("{at}.example").into(), Rtype::TXT) };
        cache.keep(key(0), answer(minute, now, 10));
        assert!(cache.fresh(&key(0), now).is_some() && cache.fresh(&key(1), now).is_none());
        assert!(cache.peek(&key(0), now).is_some() && cache.peek(&key(0), now + minute).is_none());
        let CacheStatus { entries, max_entries, hits, misses, evictions, answers } = cache.status();
        assert_eq!((entries, max_entries, hits, misses, evictions, answers), (1, 65_536, 1, 1, 0, None));
        assert_eq!((cache.entries().count(), cache.clear(), cache.clear()), (1, 1, 0));
        for at in 0..1_000 {
            cache.keep(key(at), answer(minute, now, 32_000));
        }
        let status = cache.status();
        assert_eq!(status.entries + usize::try_from(status.evictions).unwrap(), 1_000);
        assert!(status.evictions > 400);
    }

    #[test]
    fn memory_is_bounded_whatever_is_asked() {
        let cache = Cache::new();
        for at in 0..2_000 {
            let name: Arc<str> = format!("{at}.example").into();
            cache.keep((name, Rtype::TXT), answer(Duration::from_secs(60), Instant::now(), 32_000));
        }
        assert!(cache.shelf.weight() <= BYTES_MAX);
        assert!(cache.shelf.len() < 600 && cache.shelf.len() > 100, "{}", cache.shelf.len());
    }
}
