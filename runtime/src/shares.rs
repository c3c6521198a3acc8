//! Divides the workers between agents: who has used much of them lately waits for a turn, and who has not is served at once.
//!
//! Every task that works for an agent runs as [`Share::run`]: the time of each of its polls is charged to the agent. An agent
//! within its allowance is polled like any task. One that is past it is heavy: all heavy agents together never have the last
//! worker, nor, while others are about, the last but one, and they take turns by the time that they used. So whatever an agent
//! finds that costs much, a worker is there for the others, and nothing of it has to be known here. An agent that is alone
//! waits for nobody: the runtime has a worker more than processors (see [`workers`]), and that one is the one kept free.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Waker, ready};
use std::time::Instant;

use tokio::sync::Semaphore;

/// How much an agent may use at once after a pause, as time in which it would have been allowed that much. 40 ms, of which it is
/// 10 ms between two agents: a page that opens 30 connections.
const WINDOW: u64 = 40_000_000;
/// After so much too much nothing more is held against an agent, so that it is forgiven soon.
const DEBT: u64 = 200_000_000;
/// All agents within their allowances together use no more than one worker in so many, and thus find the free one free.
const PART: u64 = 2;
/// Who used nothing for so long is not about, in nanoseconds.
const ABOUT: u64 = 100_000_000;
/// How often it is counted who is, in nanoseconds.
const COUNTS: u64 = 5_000_000;

/// How many workers a runtime should have: one more than there are processors, which heavy agents leave to others.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) + 1
}

/// The accounts of all agents. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Shares {
    all: Arc<All>,
}

#[derive(Debug)]
struct All {
    begun: Instant,
    agents: Mutex<HashMap<Arc<str>, Weak<Share>>>,
    /// How many agents are about; at least one.
    about: AtomicU64,
    /// How many of them are within their allowances.
    light: AtomicUsize,
    /// When that was counted.
    counted: AtomicU64,
    hall: Mutex<Hall>,
}

/// Where heavy agents take turns.
#[derive(Debug, Default)]
struct Hall {
    workers: usize,
    /// How many workers heavy agents have.
    busy: usize,
    /// The used time at which turns stand: who comes anew is not given what others used before, but for a window of it.
    turn: u64,
    waiting: Vec<(Arc<Share>, VecDeque<Arc<Ticket>>)>,
}

/// One agent's account.
#[derive(Debug)]
pub struct Share {
    all: Arc<All>,
    /// When the agent is within its allowance again; before now where it has some left. Nanoseconds, as all times here.
    due: AtomicU64,
    /// When it last used any.
    last: AtomicU64,
    /// What it used, for turns.
    used: AtomicU64,
    /// Who does something aside.
    aside: Semaphore,
}

/// A task that waits for its turn.
#[derive(Debug)]
struct Ticket(Mutex<Standing>);

#[derive(Debug)]
enum Standing {
    Waiting(Waker),
    /// It has a worker.
    Called,
    /// The task is no more.
    Gone,
}

impl Default for Shares {
    /// Of one worker, until [`Shares::of_workers`] says otherwise.
    fn default() -> Shares {
        let all = All {
            begun: Instant::now(),
            agents: Mutex::default(),
            about: AtomicU64::new(1),
            light: AtomicUsize::new(0),
            counted: AtomicU64::new(0),
            hall: Mutex::default(),
        };
        Shares { all: Arc::new(all) }
    }
}

impl Shares {
    /// Says how many workers there are to be divided.
    pub fn of_workers(&self, workers: usize) {
        locked(&self.all.hall).workers = workers;
    }

    /// The account of an agent, which all that works for it shares for as long as some of it lasts.
    pub fn of(&self, agent: &Arc<str>) -> Arc<Share> {
        let mut agents = locked(&self.all.agents);
        if let Some(share) = agents.get(agent).and_then(Weak::upgrade) {
            return share;
        }
        agents.retain(|_, share| share.strong_count() > 0);
        let (due, last, used) = Default::default();
        let aside = Semaphore::new((workers() / 2).max(1));
        let share = Arc::new(Share { all: Arc::clone(&self.all), due, last, used, aside });
        agents.insert(Arc::clone(agent), Arc::downgrade(&share));
        share
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics half way through a change.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl All {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Counts who is about, now and then.
    fn count(&self, now: u64) {
        let counted = self.counted.load(Ordering::Relaxed);
        let due = now.saturating_sub(counted) >= COUNTS;
        if !due || self.counted.compare_exchange(counted, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return;
        }
        let (mut about, mut light) = (0, 0);
        for share in locked(&self.agents).values().filter_map(Weak::upgrade) {
            if now.saturating_sub(share.last.load(Ordering::Relaxed)) < ABOUT {
                about += 1;
                light += usize::from(share.is_light(now));
            }
        }
        self.about.store(about.max(1), Ordering::Relaxed);
        self.light.store(light, Ordering::Relaxed);
    }

    fn hall(&self) -> MutexGuard<'_, Hall> {
        locked(&self.hall)
    }

    /// Gives a worker back.
    fn leave(&self) {
        let mut hall = self.hall();
        hall.busy = hall.busy.saturating_sub(1);
        let called = if hall.waiting.is_empty() { Vec::new() } else { hall.call(self) };
        drop(hall);
        called.into_iter().for_each(Waker::wake);
    }
}

impl Hall {
    /// How many workers heavy agents may have.
    fn places(&self, all: &All) -> usize {
        let others = usize::from(all.light.load(Ordering::Relaxed) > 0);
        self.workers.saturating_sub(1 + others).max(1)
    }

    /// A worker for a task of this agent, if there is one.
    fn enter(&mut self, share: &Share) -> bool {
        let free = self.waiting.is_empty() && self.busy < self.places(&share.all);
        if free {
            self.busy += 1;
            self.turn = self.turn.max(share.used.load(Ordering::Relaxed));
        }
        free
    }

    /// Has a task wait.
    fn queue(&mut self, share: &Arc<Share>, ticket: Arc<Ticket>) {
        if let Some((_, queue)) = self.waiting.iter_mut().find(|(other, _)| Arc::ptr_eq(other, share)) {
            queue.push_back(ticket);
            return;
        }
        share.used.fetch_max(self.turn.saturating_sub(WINDOW), Ordering::Relaxed);
        self.waiting.push((Arc::clone(share), VecDeque::from([ticket])));
    }

    /// Calls those whose turn it is, while there are workers: the agents that used the least first.
    fn call(&mut self, all: &All) -> Vec<Waker> {
        let (mut called, places) = (Vec::new(), self.places(all));
        while self.busy < places {
            let used = |(share, _): &(Arc<Share>, _)| share.used.load(Ordering::Relaxed);
            let least = self.waiting.iter().enumerate().min_by_key(|(_, queue)| used(queue)).map(|(at, _)| at);
            let Some((share, queue)) = least.and_then(|at| self.waiting.get_mut(at)) else { break };
            let ticket = queue.pop_front();
            if let Some(waker) = ticket.and_then(|ticket| ticket.call()) {
                self.turn = self.turn.max(share.used.load(Ordering::Relaxed));
                self.busy += 1;
                called.push(waker);
            }
            self.waiting.retain(|(_, queue)| !queue.is_empty());
        }
        called
    }
}

impl Ticket {
    /// Gives it a worker, if its task is still there.
    fn call(&self) -> Option<Waker> {
        let mut standing = locked(&self.0);
        match std::mem::replace(&mut *standing, Standing::Called) {
            Standing::Waiting(waker) => Some(waker),
            before @ (Standing::Called | Standing::Gone) => {
                *standing = before;
                None
            }
        }
    }

    /// Whether it has a worker. Otherwise this waker is told when it has.
    fn is_called(&self, waker: &Waker) -> bool {
        let mut standing = locked(&self.0);
        if let Standing::Waiting(before) = &mut *standing {
            before.clone_from(waker);
        }
        matches!(*standing, Standing::Called)
    }
}

impl Share {
    /// Does something for this agent, in its turn. Not to be used within itself: whoever has a turn would wait for another.
    pub fn run<F: Future>(self: Arc<Share>, doing: F) -> impl Future<Output = F::Output> {
        // In a future of its own it would be there twice, as what is given and as what is pinned.
        let mut doing = Box::pin(doing);
        async move {
            let share = &self;
            let mut turn = Turn { share, ticket: None };
            poll_fn(move |context| {
                let now = share.all.now();
                let place = ready!(turn.poll(context.waker(), now));
                let visit = Visit { share: &**share, since: now, place };
                let polled = doing.as_mut().poll(context);
                drop(visit);
                polled
            })
            .await
        }
    }

    /// Does something that takes long on a thread where nobody waits for another, in the agent's turn and few at a time; `None` if
    /// it panics.
    pub async fn aside<T: Send + 'static>(self: &Arc<Share>, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _place = self.aside.acquire().await.ok()?;
        let share = Arc::clone(self);
        // A task of its own, as whoever waits for this may have a turn already.
        let working = tokio::spawn(async move {
            let place = {
                let mut turn = Turn { share: &share, ticket: None };
                poll_fn(|context| turn.poll(context.waker(), share.all.now())).await
            };
            let working = tokio::task::spawn_blocking(move || {
                let _visit = Visit { since: share.all.now(), share, place };
                work()
            });
            working.await.ok()
        });
        working.await.ok()?
    }

    /// Charges what was done for this agent.
    fn charge(&self, took: u64, now: u64) {
        let cost = took.saturating_mul(PART * self.all.about.load(Ordering::Relaxed));
        let earliest = now.saturating_sub(WINDOW);
        let due = |due: u64| Some(due.max(earliest).saturating_add(cost).min(now + DEBT));
        let _ = self.due.fetch_update(Ordering::Relaxed, Ordering::Relaxed, due);
        self.used.fetch_add(took, Ordering::Relaxed);
        self.last.store(now, Ordering::Relaxed);
        self.all.count(now);
    }

    /// Whether the agent is within its allowance.
    fn is_light(&self, now: u64) -> bool {
        self.due.load(Ordering::Relaxed) <= now
    }
}

/// What a task is polled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but its agent's allowance.
    Light,
    /// One of the workers that heavy agents have.
    Heavy,
}

/// Where a task stands between two polls.
struct Turn<'a> {
    share: &'a Arc<Share>,
    ticket: Option<Arc<Ticket>>,
}

impl Turn<'_> {
    fn poll(&mut self, waker: &Waker, now: u64) -> Poll<Place> {
        let share = self.share;
        if let Some(ticket) = &self.ticket {
            if !ticket.is_called(waker) {
                return Poll::Pending;
            }
            self.ticket = None;
            return Poll::Ready(Place::Heavy);
        }
        if share.is_light(now) {
            return Poll::Ready(Place::Light);
        }
        let mut hall = share.all.hall();
        if hall.enter(share) {
            return Poll::Ready(Place::Heavy);
        }
        let ticket = Arc::new(Ticket(Mutex::new(Standing::Waiting(waker.clone()))));
        hall.queue(share, Arc::clone(&ticket));
        self.ticket = Some(ticket);
        // There may be more workers than a moment ago; if it is this task that is called, it comes back for that.
        let called = hall.call(&share.all);
        drop(hall);
        called.into_iter().for_each(Waker::wake);
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let before = std::mem::replace(&mut *locked(&ticket.0), Standing::Gone);
        if let Standing::Called = before {
            self.share.all.leave();
        }
    }
}

/// A task at work; charged when it is dropped.
struct Visit<S: Deref<Target = Share>> {
    share: S,
    since: u64,
    place: Place,
}

impl<S: Deref<Target = Share>> Drop for Visit<S> {
    fn drop(&mut self) {
        let now = self.share.all.now();
        self.share.charge(now.saturating_sub(self.since), now);
        if self.place == Place::Heavy {
            self.share.all.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn of(workers: usize) -> Shares {
        let shares = Shares::default();
        shares.of_workers(workers);
        shares
    }

    fn agent(shares: &Shares, name: &str) -> Arc<Share> {
        shares.of(&name.into())
    }

    /// Tasks of one agent that are ready for their next poll again and again, each for so long.
    struct Task<'a> {
        turn: Turn<'a>,
        takes: u64,
        /// The end of the poll, while there is one.
        until: Option<(u64, Place)>,
        waited: u64,
    }

    impl Drop for Task<'_> {
        fn drop(&mut self) {
            if let Some((_, Place::Heavy)) = self.until {
                self.turn.share.all.leave();
            }
        }
    }

    fn task(share: &Arc<Share>, takes: u64) -> Task<'_> {
        Task { turn: Turn { share, ticket: None }, takes, until: None, waited: 0 }
    }

    /// Lets tasks run on so many workers until `end`, by a clock of its own; gives how long each was polled.
    fn simulate(tasks: &mut [Task<'_>], workers: usize, begin: u64, end: u64) -> Vec<u64> {
        const STEP: u64 = 10_000;
        let mut polled = vec![0; tasks.len()];
        let mut next = 0;
        for now in (begin..end).step_by(STEP as usize) {
            for (task, polled) in tasks.iter_mut().zip(&mut polled) {
                if let Some((_, place)) = task.until.take_if(|(until, _)| *until <= now) {
                    *polled += task.takes;
                    task.turn.share.charge(task.takes, now);
                    if place == Place::Heavy {
                        task.turn.share.all.leave();
                    }
                }
            }
            // Workers take what is ready, one after the other.
            for _ in 0..tasks.len() {
                next = (next + 1) % tasks.len();
                let busy = tasks.iter().filter(|task| task.until.is_some()).count();
                let task = &mut tasks[next];
                if task.until.is_none() {
                    task.waited += STEP;
                    if busy < workers
                        && let Poll::Ready(place) = task.turn.poll(Waker::noop(), now)
                    {
                        task.until = Some((now + task.takes, place));
                    }
                }
            }
        }
        polled
    }

    #[test]
    fn an_agent_alone_has_all_workers_but_the_spare_one() {
        let shares = of(3);
        let alone = agent(&shares, "alone");
        let polled = simulate(&mut [task(&alone, MS), task(&alone, MS)], 3, 0, 2_000 * MS);
        assert!(polled.iter().all(|polled| *polled > 1_950 * MS), "{polled:?}");
    }

    #[test]
    fn heavy_agents_have_the_same_time_however_long_their_polls() {
        let shares = of(2);
        let (short, long) = (agent(&shares, "short"), agent(&shares, "long"));
        // One that was alone for long has not used up the future.
        simulate(&mut [task(&short, MS / 10)], 2, 0, 1_000 * MS);
        let few = (0..4).map(|_| task(&short, MS / 10));
        let mut tasks = Vec::from_iter(few.chain((0..40).map(|_| task(&long, 2 * MS))));
        let polled = simulate(&mut tasks, 2, 1_000 * MS, 3_000 * MS);
        let (short, long) = (polled[..4].iter().sum::<u64>(), polled[4..].iter().sum::<u64>());
        assert!(short.abs_diff(long) < short / 10, "{short} {long}");
    }

    #[test]
    fn a_flood_leaves_workers_to_who_uses_little() {
        let shares = of(3);
        let (flood, calm) = (agent(&shares, "flood"), agent(&shares, "calm"));
        let mut tasks = Vec::from_iter((0..200).map(|_| task(&flood, MS)));
        simulate(&mut tasks, 3, 0, 1_000 * MS);
        for at in 0..200 {
            let begin = (1_000 + 5 * at) * MS;
            simulate(&mut tasks, 3, begin, begin + 5 * MS);
            let heavy = tasks.iter().filter(|task| task.until.is_some()).count();
            // After the first of them, the flood has one worker.
            assert!(heavy <= 2 && (at < 2 || heavy <= 1), "{at} {heavy}");
            let now = begin + 5 * MS;
            let mut turn = Turn { share: &calm, ticket: None };
            assert_eq!(turn.poll(Waker::noop(), now), Poll::Ready(Place::Light), "{at}");
            calm.charge(MS / 2, now);
        }
    }

    #[test]
    fn what_was_too_much_is_forgiven_soon_and_what_was_saved_is_bounded() {
        let shares = of(3);
        let one = agent(&shares, "one");
        one.charge(3_600_000 * MS, 0);
        assert!(!one.is_light(DEBT - 1));
        assert!(one.is_light(DEBT));
        let later = 1_000_000 * MS;
        one.charge(WINDOW / PART + 1, later);
        assert!(!one.is_light(later));
        assert!(one.is_light(later + PART));
    }

    #[test]
    fn a_task_that_ends_while_it_waits_takes_no_worker_with_it() {
        let shares = of(2);
        let one = agent(&shares, "one");
        one.charge(1_000 * MS, 0);
        let poll = |turn: &mut Turn<'_>| turn.poll(Waker::noop(), 1);
        let turn = || Turn { share: &one, ticket: None };
        let (mut first, mut second, mut third, mut fourth) = (turn(), turn(), turn(), turn());
        assert_eq!(poll(&mut first), Poll::Ready(Place::Heavy));
        for waiting in [&mut second, &mut third, &mut fourth] {
            assert!(poll(waiting).is_pending());
        }
        drop(second);
        shares.all.leave();
        // The third was called and is gone before it came; the fourth is called in its place.
        drop(third);
        assert_eq!(poll(&mut fourth), Poll::Ready(Place::Heavy));
        shares.all.leave();
        assert_eq!(shares.all.hall().busy, 0);
        assert!(shares.all.hall().waiting.is_empty());
    }

    #[test]
    fn agents_that_are_gone_are_forgotten() {
        let shares = of(2);
        let one = agent(&shares, "one");
        assert!(Arc::ptr_eq(&one, &agent(&shares, "one")));
        drop((one, agent(&shares, "two")));
        let _three = agent(&shares, "three");
        assert_eq!(locked(&shares.all.agents).len(), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn heavy_tasks_come_to_their_ends_also_with_work_aside() {
        let shares = of(3);
        let one = agent(&shares, "one");
        one.charge(10_000 * MS, one.all.now());
        let tasks = Vec::from_iter((0..100).map(|number| {
            tokio::spawn(Arc::clone(&one).run({
                let one = Arc::clone(&one);
                async move {
                    tokio::task::yield_now().await;
                    one.charge(10_000 * MS, one.all.now());
                    one.aside(move || number).await
                }
            }))
        }));
        for (number, task) in tasks.into_iter().enumerate() {
            assert_eq!(task.await.unwrap(), Some(number));
        }
        assert_eq!(one.aside(|| panic!("on purpose")).await, None::<()>);
        assert_eq!(shares.all.hall().busy, 0);
    }
}
