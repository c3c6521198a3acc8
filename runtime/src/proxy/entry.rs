//! What is written of one request: exactly one record where it is inside TLS, whatever becomes of it once it was decided.
//!
//! A request inside TLS that passes is written when its exchange has ended, so that the record says how, and when its
//! future is dropped before that. A refusal is written at once and takes the place of what was going to be written.
//! Requests in the clear are written as they always were: when their response begins, or when they are refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use outcall_schema::layer::Layer;
use tokio::time::Instant;

use super::connection::Connection;
use super::judge::{Refusal, Subject};
use super::refuse;
use super::upstream::Candidate;
use crate::audit::{Audit, Intercepted, Record, Timings};
use crate::intercept::upstream::Protocol;
use crate::intercept::{Counted, Interception};
use crate::snapshot::Snapshot;

/// The subsystem that records of requests inside TLS name.
const SUBSYSTEM: &str = "proxy_intercept";

/// One request, from its head to the end of its exchange.
#[derive(Debug)]
pub(super) struct Entry {
    protocol: Protocol,
    begun: Instant,
    body_bytes: Arc<AtomicU64>,
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    decided: Option<Duration>,
    answered: Option<(u16, Duration)>,
    counted: Option<Counted>,
    end: End,
}

/// What is yet to be written.
#[derive(Debug, Default)]
enum End {
    /// Nothing, as nothing was decided.
    #[default]
    Undecided,
    /// This, when the exchange is over.
    Passes { record: Box<Record>, candidate: Candidate, audit: Audit },
    /// Nothing more.
    Written,
}

impl Entry {
    /// Begins with a head that was just received.
    pub(super) fn begin(protocol: Protocol) -> Entry {
        Entry { protocol, begun: Instant::now(), body_bytes: Arc::default(), steps: Mutex::default() }
    }

    /// What counts the bytes of the request's body as they are received.
    pub(super) fn body_counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.body_bytes)
    }

    /// Says that the policy lets the request pass, to `candidate` for all that is known so far.
    pub(super) fn passes(&self, connection: &Connection, snapshot: &Snapshot, subject: &Subject, candidate: Candidate) {
        if subject.layer() != Layer::Https {
            return;
        }
        let mut steps = self.steps();
        let same = match &steps.end {
            End::Undecided => false,
            End::Passes { candidate: before, .. } => *before == candidate,
            End::Written => true,
        };
        if same {
            return;
        }
        steps.decided.get_or_insert(self.begun.elapsed());
        steps.count(connection.context.interception.as_ref());
        let record = Box::new(connection.passing(snapshot, subject, candidate.address, candidate.rule));
        steps.end = End::Passes { record, candidate, audit: connection.context.audit.clone() };
    }

    /// Says that the server's final response was received as far as its head, which is passed on.
    pub(super) fn answered(&self, status: u16) {
        self.steps().answered.get_or_insert((status, self.begun.elapsed()));
    }

    /// Says that the request passes, to this candidate: its response begins, or its client left before one came. To be said
    /// once.
    pub(super) fn allowed(
        &self,
        connection: &Connection,
        snapshot: &Snapshot,
        subject: &Subject,
        candidate: Candidate,
    ) {
        if subject.layer() == Layer::Https {
            self.passes(connection, snapshot, subject, candidate);
        } else {
            let record = connection.passing(snapshot, subject, candidate.address, candidate.rule);
            connection.context.audit.record(&record);
        }
    }

    /// Writes that the request is refused, or failed.
    pub(super) fn refused(&self, connection: &Connection, snapshot: &Snapshot, subject: &Subject, refusal: &Refusal) {
        let record = connection.refusal(snapshot, subject, refusal);
        if subject.layer() == Layer::Https {
            self.block(connection, record, refusal);
        } else {
            connection.context.audit.record(&record);
        }
    }

    /// Writes that what came inside TLS was no request.
    pub(super) fn unreadable(&self, connection: &Connection, record: Record, refusal: &Refusal) {
        self.block(connection, record, refusal);
    }

    fn block(&self, connection: &Connection, mut record: Record, refusal: &Refusal) {
        let mut steps = self.steps();
        if let End::Written = std::mem::replace(&mut steps.end, End::Written) {
            return;
        }
        let interception = connection.context.interception.as_ref();
        steps.count(interception);
        if let (Some(interception), Some(counted)) = (interception, steps.counted) {
            interception.counters().blocked(counted);
        }
        // Where the server's answer was on its way already, the agent got the beginning of that.
        let status = steps.answered.map_or(refuse::status(refusal.reason).0, |(status, _)| status);
        record.intercepted = Some(self.seen(&steps, Some(status)));
        drop(steps);
        connection.context.audit.record(&record);
    }

    fn seen(&self, steps: &Steps, status: Option<u16>) -> Intercepted {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let total_us = micros(self.begun.elapsed());
        let timings = Timings {
            decided_us: steps.decided.map_or(total_us, micros),
            answered_us: steps.answered.map(|(_, time)| micros(time)),
            total_us,
        };
        let body_bytes = self.body_bytes.load(Ordering::Relaxed);
        Intercepted { subsystem: SUBSYSTEM, protocol: self.protocol.name(), body_bytes, status, timings }
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        // What a thread left behind when it panicked is whole: each change is one assignment.
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Steps {
    fn count(&mut self, interception: Option<&Interception>) {
        self.counted = self.counted.or_else(|| interception.map(|it| it.counters().intercepted()));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut steps = self.steps();
        if let End::Passes { mut record, audit, .. } = std::mem::replace(&mut steps.end, End::Written) {
            record.intercepted = Some(self.seen(&steps, steps.answered.map(|(status, _)| status)));
            record.log = true;
            audit.record(&record);
        }
    }
}
