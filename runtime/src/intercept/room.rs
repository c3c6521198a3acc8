//! Bounds what the requests of one agent hold in memory, over all of its connections: how many are under way in HTTP/2, and
//! what is kept of bodies to be judged.
//!
//! Each connection has limits of its own. An agent may have some hundreds of connections, and all of them at their limits are
//! more than one agent is to have of a machine that it shares with others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How many requests of one agent are under way at a time in HTTP/2. 512: four connections at their limit. Each may hold
/// up to the window of a stream to a server.
const MAX_STREAMS: usize = 512;
/// From so many on, windows to servers are narrow; see [`super::pool`]. A page has some 30 under way at a time.
const CROWD: usize = 33;
/// From so few on they are wide again.
const NO_CROWD: usize = 16;
/// How much of bodies is kept at a time to be judged, in KiB: 64 bodies at the cap that is usual.
const MAX_KEPT_KIB: u32 = 64 << 10;

/// The rooms of all agents that have requests under way.
#[derive(Debug, Clone, Default)]
pub struct Rooms {
    agents: Arc<Mutex<HashMap<Arc<str>, Weak<Room>>>>,
}

impl Rooms {
    /// The room of an agent, which all its connections share for as long as one of them holds it.
    pub fn of(&self, agent: &Arc<str>) -> Arc<Room> {
        // Nothing panics half way through a change.
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(room) = agents.get(agent).and_then(Weak::upgrade) {
            return room;
        }
        agents.retain(|_, room| room.strong_count() > 0);
        let room = Arc::new(Room::default());
        agents.insert(Arc::clone(agent), Arc::downgrade(&room));
        room
    }
}

/// What one agent has room for.
#[derive(Debug)]
pub struct Room {
    streams: Mutex<usize>,
    crowded: watch::Sender<bool>,
    kept_kib: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Room {
        Room {
            streams: Mutex::default(),
            crowded: watch::Sender::new(false),
            kept_kib: Arc::new(Semaphore::new(MAX_KEPT_KIB as usize)),
        }
    }
}

impl Room {
    /// Room for one more request in HTTP/2, if there is any.
    pub fn stream(self: &Arc<Room>) -> Option<StreamPlace> {
        let mut streams = self.streams();
        if *streams >= MAX_STREAMS {
            return None;
        }
        *streams += 1;
        if *streams >= CROWD {
            self.crowded.send_if_modified(|crowded| !std::mem::replace(crowded, true));
        }
        Some(StreamPlace { room: Arc::clone(self) })
    }

    /// Whether so many requests are under way that each of them is to hold less.
    pub fn crowded(&self) -> watch::Receiver<bool> {
        self.crowded.subscribe()
    }

    fn streams(&self) -> MutexGuard<'_, usize> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for a body of up to so many bytes, once there is. Whoever has it goes on without whoever waits: an agent that fills
    /// its room and stands still waits for nobody but itself.
    pub async fn body(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(MAX_KEPT_KIB).min(MAX_KEPT_KIB);
        Arc::clone(&self.kept_kib).acquire_many_owned(kib).await.ok()
    }
}

/// The place of one request in HTTP/2; free again when this is dropped.
#[derive(Debug)]
pub struct StreamPlace {
    room: Arc<Room>,
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut streams = self.room.streams();
        *streams = streams.saturating_sub(1);
        if *streams <= NO_CROWD {
            self.room.crowded.send_if_modified(|crowded| std::mem::replace(crowded, false));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_agent_has_so_much_room_and_others_have_theirs() {
        let rooms = Rooms::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let room = rooms.of(&one);
        let streams: Vec<_> = std::iter::from_fn(|| rooms.of(&one).stream()).collect();
        assert_eq!(streams.len(), MAX_STREAMS);
        assert!(rooms.of(&two).stream().is_some());
        assert!(*room.crowded().borrow() && !*rooms.of(&two).crowded().borrow());
        let few: Vec<_> = streams.into_iter().take(NO_CROWD + 1).collect();
        assert!(*room.crowded().borrow());
        drop(few);
        assert!(!*room.crowded().borrow());
        assert!(room.stream().is_some());
        let mut bodies = Vec::new();
        for _ in 0..64 {
            bodies.push(room.body(1 << 20).await.unwrap());
        }
        let another = tokio::spawn({
            let room = Arc::clone(&room);
            async move { room.body(1).await.is_some() }
        });
        tokio::task::yield_now().await;
        assert!(!another.is_finished());
        bodies.pop();
        assert!(another.await.unwrap());
        // One that is larger than all the room has it alone.
        drop(bodies);
        assert!(room.body(usize::MAX).await.is_some());
        drop(room);
        let _other = rooms.of(&two);
        assert_eq!(rooms.agents.lock().unwrap().len(), 1);
    }
}
