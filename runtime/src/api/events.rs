//! Sends the audit records as they come, as server-sent events (WHATWG HTML, section 9.2).
//!
//! Each record is an event `record` with its number as the event's id. A reader that is too slow gets an event `gap` that says
//! how many it lost. Nothing that enforces waits for a reader.

use std::time::Duration;

use outcall_schema::api::EVENTS_TYPE;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use super::Api;
use super::answer::Reply;
use super::message::Failure;
use crate::audit::{FOLLOWERS_MAX, Follower, Heard};

/// How long nothing is sent before a comment shows that both sides are still there.
const QUIET: Duration = Duration::from_secs(15);
/// How long a reader may take none of what is sent to it.
const STUCK: Duration = Duration::from_secs(60);

pub(super) fn follow(api: &Api) -> Result<Reply, Failure> {
    let full = || Failure::new(503, format!("{FOLLOWERS_MAX} follow the events already"));
    api.audit.follow().map(|follower| Reply::Events(Box::new(follower))).ok_or_else(full)
}

/// Sends until one of the two sides ends it.
pub(super) async fn send(
    mut follower: Follower,
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {EVENTS_TYPE}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n: following\n\n"
    );
    let mut text = head;
    loop {
        if !matches!(timeout(STUCK, writer.write_all(text.as_bytes())).await, Ok(Ok(()))) {
            return;
        }
        let heard = tokio::select! {
            heard = timeout(QUIET, follower.next()) => heard,
            () = gone(reader) => return,
        };
        text = match heard {
            Ok(Heard::Line(line)) => format!("id: {}\nevent: record\ndata: {}\n\n", line.number, line.text),
            Ok(Heard::Gap { lost }) => format!("event: gap\ndata: {{\"lost\":{lost}}}\n\n"),
            Err(_) => ": quiet\n\n".to_owned(),
        };
    }
}

/// Waits until whoever asked is gone. What else they say counts for nothing.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    let mut thrown_away = [0; 512];
    while matches!(reader.read(&mut thrown_away).await, Ok(1..)) {}
}
