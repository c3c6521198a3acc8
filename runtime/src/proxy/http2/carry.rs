//! Moves the two halves of a stream from one connection to the other, as fast as the slower side takes them.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason as Code, RecvStream, SendStream};
use tokio::time::{Instant, sleep_until};

use super::head;
use crate::proxy::fields::Guarded;
use crate::proxy::redact::Stopped;

/// Why a half ended before its end.
#[derive(Debug)]
pub(super) enum Cut {
    /// The side that sends it reset the stream, or its connection is over.
    From(h2::Error),
    /// Its trailers may not pass.
    Trailers,
    /// The side that takes it wants no more.
    To,
    /// Nothing moved for too long.
    Idle,
    /// It must not go on.
    Stopped(Stopped),
}

/// When something last moved on a stream, in either direction.
#[derive(Debug)]
pub(super) struct Activity {
    begun: Instant,
    /// Milliseconds after `begun`.
    last: AtomicU64,
}

impl Activity {
    pub(super) fn new() -> Activity {
        Activity { begun: Instant::now(), last: AtomicU64::new(0) }
    }

    pub(super) fn now(&self) {
        let since = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(since, Ordering::Relaxed);
    }

    /// Ends once nothing has moved for this long.
    pub(super) async fn idle(&self, patience: Duration) {
        loop {
            let until = self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed)) + patience;
            if Instant::now() >= until {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// Sends what was kept of a half. Whether that was all of it, end included.
pub(super) async fn flush(
    from: &RecvStream,
    to: &mut SendStream<Bytes>,
    mut kept: VecDeque<Bytes>,
    activity: &Activity,
) -> Result<bool, Cut> {
    while let Some(data) = kept.pop_front() {
        let ends = kept.is_empty() && from.is_end_stream();
        send(to, data, ends, activity).await?;
        if ends {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Moves everything that comes `from` one side to the other, trailers and end included. What was taken is given back to the sender's
/// window once it was sent on, so nothing piles up here. `received` counts the bytes; no trailer passes with a name that is
/// `guarded`.
pub(super) async fn pump(
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
    activity: &Activity,
    received: &AtomicU64,
    guarded: &Guarded,
) -> Result<(), Cut> {
    while let Some(data) = next(from, to, activity).await? {
        let (length, ends) = (data.len(), from.is_end_stream());
        received.fetch_add(length as u64, Ordering::Relaxed);
        send(to, data, ends, activity).await?;
        // It is given back to a stream that may be over by now.
        let _ = from.flow_control().release_capacity(length);
        if ends {
            return Ok(());
        }
    }
    match from.trailers().await.map_err(Cut::From)? {
        Some(trailers) => {
            let trailers = head::trailers(trailers).ok_or(Cut::Trailers)?;
            if trailers.keys().any(|name| guarded.has(name.as_str().as_bytes())) {
                return Err(Cut::Trailers);
            }
            to.send_trailers(trailers).map_err(|_| Cut::To)
        }
        None => to.send_data(Bytes::new(), true).map_err(|_| Cut::To),
    }
}

/// What comes next of a half; `None` before its trailers.
pub(super) async fn next(
    from: &mut RecvStream,
    to: &mut SendStream<Bytes>,
    activity: &Activity,
) -> Result<Option<Bytes>, Cut> {
    let next = tokio::select! {
        biased;
        next = from.data() => next,
        // A side that wants no more says so while there is nothing to send, too.
        _ = poll_fn(|context| to.poll_reset(context)) => return Err(Cut::To),
    };
    activity.now();
    next.transpose().map_err(Cut::From)
}

/// Sends data as the window of the other side opens.
pub(super) async fn send(
    to: &mut SendStream<Bytes>,
    mut data: Bytes,
    ends: bool,
    activity: &Activity,
) -> Result<(), Cut> {
    while !data.is_empty() {
        to.reserve_capacity(data.len());
        let room = match poll_fn(|context| to.poll_capacity(context)).await {
            Some(Ok(room)) => room.min(data.len()),
            Some(Err(_)) | None => return Err(Cut::To),
        };
        let part = data.split_to(room);
        if part.is_empty() {
            continue;
        }
        let last = ends && data.is_empty();
        to.send_data(part, last).map_err(|_| Cut::To)?;
        activity.now();
        if last {
            return Ok(());
        }
    }
    if ends { to.send_data(Bytes::new(), true).map_err(|_| Cut::To) } else { Ok(()) }
}

/// The code to pass on when a stream ends early: the sender's own, where it gave one.
pub(super) fn code(error: &h2::Error) -> Code {
    match error.reason() {
        Some(code) if error.is_reset() && error.is_remote() => code,
        _ => Code::INTERNAL_ERROR,
    }
}
