//! An answer as it is written, the last on its connection.

use outcall_schema::api::{ApiResponse, JSON_TYPE};
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;

use super::message::Failure;
use crate::audit::Follower;

/// What is answered.
pub(super) enum Reply {
    /// One document.
    Whole {
        /// The status code.
        status: u16,
        /// The type of the body.
        content_type: &'static str,
        /// The body.
        body: Vec<u8>,
    },
    /// The records, as they come.
    Events(Box<Follower>),
}

/// Data in its envelope.
pub(super) fn data(data: impl Serialize) -> Result<Reply, Failure> {
    with_status(200, data)
}

/// Data in its envelope, where the status says more than that it was done.
pub(super) fn with_status(status: u16, data: impl Serialize) -> Result<Reply, Failure> {
    let body = serde_json::to_vec(&ApiResponse::done(data)).map_err(|error| Failure::new(500, error.to_string()))?;
    Ok(Reply::Whole { status, content_type: JSON_TYPE, body })
}

/// A document that is answered as it is.
pub(super) fn document(content_type: &'static str, text: impl Into<Vec<u8>>) -> Result<Reply, Failure> {
    Ok(Reply::Whole { status: 200, content_type, body: text.into() })
}

/// An answer in bytes. `HEAD` gets no body.
pub(super) fn whole(method: &str, status: u16, content_type: &str, body: &[u8], headers: &str) -> Vec<u8> {
    // Each document ends in a line break, for those who read it in a terminal.
    let ending: &[u8] = if body.ends_with(b"\n") { b"" } else { b"\n" };
    let mut answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n{headers}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        phrase(status),
        body.len() + ending.len(),
    )
    .into_bytes();
    if method != "HEAD" {
        answer.extend_from_slice(body);
        answer.extend_from_slice(ending);
    }
    answer
}

/// The most that is thrown away of what somebody sends who is not answered.
const DISMISSED_MAX: usize = 64 << 10;

/// Says why to whoever is not answered, before the connection is closed. Nothing is waited for. What has come is thrown away:
/// closing over it would be told to the other side as an error, which many programs report in place of what they were told.
pub(super) fn dismiss(stream: &UnixStream, why: &Failure) {
    let _ = stream.try_write(&failure("", why));
    let (mut buffer, mut dropped) = ([0; 4096], 0);
    while let Ok(length @ 1..) = stream.try_read(&mut buffer) {
        dropped += length;
        if dropped >= DISMISSED_MAX {
            return;
        }
    }
}

/// Why something is not done, in bytes.
pub(super) fn failure(method: &str, failure: &Failure) -> Vec<u8> {
    // Strings cannot fail to serialise.
    let body = serde_json::to_vec(&ApiResponse::<Value>::failed(failure.why.clone())).unwrap_or_default();
    let allow = failure.allow.map(|method| format!("Allow: {}\r\n", method.name()));
    let later = failure.retry_after_secs.map(|seconds| format!("Retry-After: {seconds}\r\n"));
    let headers: String = allow.into_iter().chain(later).collect();
    whole(method, failure.status, JSON_TYPE, &body, &headers)
}

/// RFC 9110, section 15.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
