//! One request as it is read, and the answer as it is written.

use outcall_schema::api::Method;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::envelope;
use crate::proxy::chunked::Chunked;
use crate::proxy::fields::{EndOfHead, Framing, HeadError};
use crate::proxy::request::{Form, Request};

/// The largest head: paths are short, and nobody sends cookies here.
const HEAD_MAX: usize = 16 << 10;
/// The largest body, as for the agents' API.
const BODY_MAX: usize = 64 << 10;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// Refuses parameters and a body where there is nothing that they could say; `{}` says nothing.
    pub(super) fn nothing_more(&self) -> Result<(), Failure> {
        if self.query.is_some() {
            return Err(Failure::new(400, "there are no parameters to this path"));
        }
        let empty = self.body.trim_ascii().is_empty()
            || serde_json::from_slice::<serde_json::Map<String, Value>>(&self.body).is_ok_and(|body| body.is_empty());
        if empty { Ok(()) } else { Err(Failure::new(400, "there is no body to this request, but for `{}`")) }
    }
}

/// Why something is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The status code.
    pub(super) status: u16,
    /// In words.
    pub(super) why: String,
    /// The method that the path is asked with.
    pub(super) allow: Option<Method>,
}

impl Failure {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Failure {
        Failure { status, why: why.into(), allow: None }
    }

    pub(super) fn other_method(method: Method) -> Failure {
        let why = format!("this path is asked with {}", method.name());
        Failure { allow: Some(method), ..Failure::new(405, why) }
    }
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unread {
    Failed(Failure),
    /// Whoever connected is gone, and nobody would hear an answer.
    Gone,
}

impl From<HeadError> for Unread {
    fn from(error: HeadError) -> Unread {
        let status = if error == HeadError::TooLarge { 431 } else { 400 };
        Unread::Failed(Failure::new(status, error.to_string()))
    }
}

/// Reads one request. The caller bounds the time.
pub(super) async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
) -> Result<Asked, Unread> {
    let mut received = Vec::new();
    let mut end = EndOfHead::default();
    let head = loop {
        match end.find(&received)? {
            Some(length) if length <= HEAD_MAX => break length,
            None if received.len() <= HEAD_MAX => {}
            Some(_) | None => return Err(HeadError::TooLarge.into()),
        }
        more(reader, &mut received).await?;
    };
    let rest = received.split_off(head);
    let request = Request::parse(&received)?;
    if request.form != Form::Origin {
        return Err(HeadError::TargetForm.into());
    }
    let (path, query) = match request.path.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (&*request.path, None),
    };
    if request.expects_continue && rest.is_empty() && !too_large(request.framing) {
        writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| Unread::Gone)?;
    }
    let body = body(reader, request.framing, rest).await?;
    Ok(Asked { method: request.method.to_owned(), path: path.to_owned(), query, body })
}

fn too_large(framing: Framing) -> bool {
    matches!(framing, Framing::Length(length) if length > BODY_MAX as u64)
}

async fn body(
    reader: &mut (impl AsyncRead + Unpin),
    framing: Framing,
    mut received: Vec<u8>,
) -> Result<Vec<u8>, Unread> {
    let refused = || Unread::Failed(Failure::new(413, format!("a body has at most {BODY_MAX} bytes")));
    let length = match framing {
        Framing::Length(_) if too_large(framing) => return Err(refused()),
        Framing::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
        Framing::None => 0,
        Framing::Chunked => return chunks(reader, received, refused).await,
        // No request's body is framed like this.
        Framing::UntilClose => return Err(HeadError::Framing.into()),
    };
    while received.len() < length {
        more(reader, &mut received).await?;
    }
    received.truncate(length);
    Ok(received)
}

async fn chunks(
    reader: &mut (impl AsyncRead + Unpin),
    mut received: Vec<u8>,
    refused: impl Fn() -> Unread,
) -> Result<Vec<u8>, Unread> {
    let (mut chunked, mut content, mut total) = (Chunked::default(), Vec::new(), 0_usize);
    loop {
        // With its framing a body may be some times as large, and not endless.
        total = total.saturating_add(received.len());
        chunked.advance(&received, &mut |data| content.extend_from_slice(data))?;
        if content.len() > BODY_MAX || total > 4 * BODY_MAX {
            return Err(refused());
        }
        if chunked.done() {
            return Ok(content);
        }
        received.clear();
        more(reader, &mut received).await?;
    }
}

async fn more(reader: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Result<(), Unread> {
    received.reserve(4096);
    match reader.read_buf(received).await {
        Ok(1..) => Ok(()),
        Ok(_) if received.is_empty() => Err(Unread::Gone),
        Ok(_) => Err(Unread::Failed(Failure::new(400, "the request ends early"))),
        Err(_) => Err(Unread::Gone),
    }
}

/// The answer in bytes, the last on its connection. `HEAD` gets no body.
pub(super) fn answer(method: &str, done: &Result<Value, Failure>) -> Vec<u8> {
    let (status, allow) = match done {
        Ok(_) => (200, None),
        Err(failure) => (failure.status, failure.allow),
    };
    // Strings, numbers and maps with string keys cannot fail to serialise.
    let body = serde_json::to_string(&envelope(done)).unwrap_or_default();
    let allow = allow.map(|method| format!("Allow: {}\r\n", method.name())).unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{allow}Cache-Control: no-store\r\nConnection: close\r\n\r\n",
        phrase(status),
        body.len() + 1,
    );
    if method != "HEAD" {
        answer.push_str(&body);
        answer.push('\n');
    }
    answer.into_bytes()
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
        413 => "Content Too Large",
        431 => "Request Header Fields Too Large",
        _ => "Internal Server Error",
    }
}
