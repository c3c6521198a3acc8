//! One request as it is read: first its head, then, for whoever may send one, a body of the size that is allowed there.

use std::ops::ControlFlow;

use outcall_schema::api::{BODY_MAX, EndpointRow, JSON_TYPE, Method, Takes, UPLOAD_MAX, UPLOAD_TYPE, strict};
use outcall_schema::artifact::manifest::is_name;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::proxy::chunked::Chunked;
use crate::proxy::fields::{EndOfHead, Framing, HeadError};
use crate::proxy::request::{Form, Request};

/// The largest head: paths are short, and nobody sends cookies here.
const HEAD_MAX: usize = 16 << 10;

/// A request's head, and what was received behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    query: Option<String>,
    content_type: Option<String>,
    framing: Framing,
    expects_continue: bool,
    rest: Vec<u8>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// Whether the endpoint's one parameter is there and `true`.
    pub(super) flag: bool,
    /// What is asked about, where the endpoint has to be told.
    pub(super) name: String,
    pub(super) body: Vec<u8>,
}

impl Asked {
    /// The body as a type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        strict::read(&self.body).map_err(|why| Failure::new(400, format!("the body cannot be used: {why}")))
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
    /// When to ask again, where that can help.
    pub(super) retry_after_secs: Option<u64>,
}

impl Failure {
    pub(super) fn new(status: u16, why: impl Into<String>) -> Failure {
        Failure { status, why: why.into(), allow: None, retry_after_secs: None }
    }

    pub(super) fn later(seconds: u64, why: impl Into<String>) -> Failure {
        Failure { retry_after_secs: Some(seconds), ..Failure::new(429, why) }
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

impl From<Failure> for Unread {
    fn from(failure: Failure) -> Unread {
        Unread::Failed(failure)
    }
}

/// Reads a head. The caller bounds the time.
pub(super) async fn head(reader: &mut (impl AsyncRead + Unpin)) -> Result<Head, Unread> {
    let mut received = Vec::new();
    let mut end = EndOfHead::default();
    let head = loop {
        match end.find(&received)? {
            Some(length) if length <= HEAD_MAX => break length,
            None if received.len() <= HEAD_MAX => {}
            Some(_) | None => return Err(HeadError::TooLarge.into()),
        }
        if more(reader, &mut received).await?.is_break() {
            return Err(if received.is_empty() { Unread::Gone } else { ends_early().into() });
        }
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
    Ok(Head {
        method: request.method.to_owned(),
        path: path.to_owned(),
        query,
        content_type: request.headers().get("content-type").map(str::to_owned),
        framing: request.framing,
        expects_continue: request.expects_continue,
        rest,
    })
}

impl Head {
    /// The one parameter that `row` knows. A query that could be read in two ways is none.
    fn flag(&self, row: &EndpointRow) -> Result<bool, Failure> {
        let Some(query) = &self.query else { return Ok(false) };
        let Some(flag) = row.flag else {
            return Err(Failure::new(400, "there are no parameters to this path"));
        };
        match query.split_once('=') {
            Some((name, "true")) if name == flag => Ok(true),
            Some((name, "false")) if name == flag => Ok(false),
            _ => Err(Failure::new(400, format!("the only parameter here is {flag}=true or {flag}=false, once"))),
        }
    }

    /// The name that `row` has to be told, empty where there is none.
    fn name(&self, row: &EndpointRow) -> Result<String, Failure> {
        if !row.named() {
            return Ok(String::new());
        }
        let name = self.query.as_deref().and_then(|query| query.strip_prefix("name=")).filter(|name| is_name(name));
        name.map(str::to_owned).ok_or_else(|| Failure::new(400, "say of what with ?name=NAME, and nothing else"))
    }

    /// Whether the body is of the type that `row` takes.
    fn typed(&self, row: &EndpointRow) -> Result<(), Failure> {
        let expected = match row.takes {
            Takes::Nothing => return Ok(()),
            Takes::Json => JSON_TYPE,
            Takes::Upload => UPLOAD_TYPE,
        };
        let given = self.content_type.as_deref().unwrap_or_default();
        let (name, parameter) = given.split_once(';').unwrap_or((given, ""));
        let utf8 = parameter.trim().eq_ignore_ascii_case("charset=utf-8") && row.takes == Takes::Json;
        if name.trim().eq_ignore_ascii_case(expected) && (parameter.trim().is_empty() || utf8) {
            return Ok(());
        }
        Err(Failure::new(415, format!("the body must be {expected}, and Content-Type must say so")))
    }

    /// Reads the rest of a request to `row`. The caller bounds the time.
    pub(super) async fn body(
        mut self,
        row: &EndpointRow,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Asked, Unread> {
        let name = self.name(row)?;
        let flag = !row.named() && self.flag(row)?;
        self.typed(row)?;
        let limit = if row.takes == Takes::Upload { UPLOAD_MAX } else { BODY_MAX };
        let too_large = || Failure::new(413, format!("a body has at most {limit} bytes here"));
        let rest = std::mem::take(&mut self.rest);
        let length = match self.framing {
            Framing::Length(length) if length > limit as u64 => return Err(too_large().into()),
            Framing::Length(length) => Some(usize::try_from(length).unwrap_or(usize::MAX)),
            Framing::None => Some(0),
            Framing::Chunked => None,
            // No request's body is framed like this.
            Framing::UntilClose => return Err(HeadError::Framing.into()),
        };
        if self.expects_continue && rest.is_empty() {
            writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| Unread::Gone)?;
        }
        let body = match length {
            Some(length) => whole(reader, rest, length).await?,
            None => chunks(reader, rest, limit).await?.ok_or_else(too_large)?,
        };
        if row.takes == Takes::Nothing && !says_nothing(&body) {
            return Err(Failure::new(400, "there is no body to this request, but for `{}`").into());
        }
        Ok(Asked { flag, name, body })
    }
}

/// Whether a body is no more than a form of none.
fn says_nothing(body: &[u8]) -> bool {
    body.trim_ascii().is_empty() || strict::read::<Map<String, Value>>(body).is_ok_and(|body| body.is_empty())
}

async fn whole(reader: &mut (impl AsyncRead + Unpin), mut received: Vec<u8>, length: usize) -> Result<Vec<u8>, Unread> {
    // Pages that nothing is written to take no memory, so that announcing much costs nothing.
    if received.try_reserve_exact(length.saturating_sub(received.len())).is_err() {
        return Err(Failure::new(413, "there is no memory for so large a body").into());
    }
    while received.len() < length {
        if more(reader, &mut received).await?.is_break() {
            return Err(ends_early().into());
        }
    }
    received.truncate(length);
    Ok(received)
}

/// The content; `None` when it is too large.
async fn chunks(
    reader: &mut (impl AsyncRead + Unpin),
    mut received: Vec<u8>,
    limit: usize,
) -> Result<Option<Vec<u8>>, Unread> {
    let (mut chunked, mut content, mut total) = (Chunked::default(), Vec::new(), 0_usize);
    loop {
        // With its framing a body may be some times as large, and not endless.
        total = total.saturating_add(received.len());
        chunked.advance(&received, &mut |data| content.extend_from_slice(data))?;
        if content.len() > limit || total > limit.saturating_mul(4) {
            return Ok(None);
        }
        if chunked.done() {
            return Ok(Some(content));
        }
        received.clear();
        if more(reader, &mut received).await?.is_break() {
            return Err(ends_early().into());
        }
    }
}

fn ends_early() -> Failure {
    Failure::new(400, "the request ends early")
}

/// Receives a piece; breaks off when there is no more.
async fn more(reader: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> Result<ControlFlow<()>, Unread> {
    if received.capacity() == received.len() {
        received.reserve(4096);
    }
    match reader.read_buf(received).await {
        Ok(1..) => Ok(ControlFlow::Continue(())),
        Ok(_) => Ok(ControlFlow::Break(())),
        Err(_) => Err(Unread::Gone),
    }
}
