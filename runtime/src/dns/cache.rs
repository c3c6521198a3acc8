//! Answers that may be used again, in bounded memory.

use std::sync::Arc;
use std::time::Instant;

use domain::base::iana::Rtype;
use quick_cache::sync::Cache as Shelf;

use super::answer::Answer;

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
    shelf: Shelf<Key, Arc<Answer>, Weight>,
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
        Cache { shelf: Shelf::with_weighter(ENTRIES_EXPECTED, BYTES_MAX, Weight) }
    }

    /// An answer that is still fresh.
    pub(super) fn fresh(&self, key: &Key, now: Instant) -> Option<Arc<Answer>> {
        self.shelf.get(key).filter(|answer| answer.is_fresh(now))
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
