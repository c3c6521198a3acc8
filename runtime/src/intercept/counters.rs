//! How many requests were seen inside TLS today, and how many of them were refused.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use outcall_schema::api::intercept::Today;

const DAY_SECONDS: u64 = 86_400;

/// The counters of one day in UTC. They begin again at midnight, and whenever the clock shows another day.
pub struct Counters {
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    day: Mutex<Day>,
}

#[derive(Debug, Default)]
struct Day {
    /// Days since 1970.
    number: u64,
    today: Today,
}

/// That a request was counted, and on which day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    day: u64,
}

impl Counters {
    /// By this clock, which may jump.
    pub fn reading(now: impl Fn() -> SystemTime + Send + Sync + 'static) -> Counters {
        Counters { now: Arc::new(now), day: Mutex::default() }
    }

    /// Counts a request that was decided on.
    pub fn intercepted(&self) -> Counted {
        let mut day = self.day();
        day.today.intercepted_today += 1;
        Counted { day: day.number }
    }

    /// Counts that the request was refused. Where that happens only on another day nothing is counted, so that no day has
    /// more refusals than requests.
    pub fn blocked(&self, counted: Counted) {
        let mut day = self.day();
        if day.number == counted.day {
            day.today.blocked_today += 1;
        }
    }

    /// The numbers of the day that it is.
    pub fn today(&self) -> Today {
        self.day().today
    }

    fn day(&self) -> MutexGuard<'_, Day> {
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let number = since.as_secs() / DAY_SECONDS;
        // What a thread left behind when it panicked is whole: each change is one assignment.
        let mut day = self.day.lock().unwrap_or_else(PoisonError::into_inner);
        if day.number != number {
            *day = Day { number, today: Today::default() };
        }
        day
    }
}

impl Default for Counters {
    /// By the system's clock.
    fn default() -> Counters {
        Counters::reading(SystemTime::now)
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Counters").field("day", &self.day).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[track_caller]
    fn check(counters: &Counters, intercepted_today: u64, blocked_today: u64) {
        assert_eq!(counters.today(), Today { intercepted_today, blocked_today });
    }

    #[test]
    fn counts_begin_again_at_midnight_in_utc_and_whenever_the_day_is_another() {
        let midnight = 20_000 * DAY_SECONDS;
        let clock = Arc::new(AtomicU64::new(midnight - 1));
        let shown = Arc::clone(&clock);
        let counters = Counters::reading(move || UNIX_EPOCH + Duration::from_secs(shown.load(Ordering::Relaxed)));
        check(&counters, 0, 0);
        let late = counters.intercepted();
        let refused = counters.intercepted();
        counters.blocked(refused);
        check(&counters, 2, 1);
        clock.store(midnight, Ordering::Relaxed);
        check(&counters, 0, 0);
        counters.blocked(late);
        check(&counters, 0, 0);
        let early = counters.intercepted();
        counters.blocked(early);
        clock.store(midnight + DAY_SECONDS - 1, Ordering::Relaxed);
        check(&counters, 1, 1);
        // A clock that is put back begins a day anew rather than adding to one that is over.
        clock.store(midnight - 1, Ordering::Relaxed);
        check(&counters, 0, 0);
    }

    #[test]
    fn no_count_is_lost_between_threads() {
        let counters = Counters::reading(|| UNIX_EPOCH);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| counters.blocked(counters.intercepted())));
            }
        });
        check(&counters, 4_000, 4_000);
    }
}
