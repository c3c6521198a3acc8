//! Asks Docker's engine over its unix socket: one request a connection, whose answer is read with the proxy's own reader.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::api::{Failed, Kind};
use crate::proxy::chunked::Chunked;
use crate::proxy::fields::{EndOfHead, Framing, HeadError};
use crate::proxy::request::Upgrade;
use crate::proxy::response::Response;

/// How long an answer may take. To stop a container takes ten seconds where it does not heed the first signal.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one may take that only tells something: `outcall` waits ten seconds for an answer of ours.
const TELLING: Duration = Duration::from_secs(8);
/// The largest answer: the list of 1,000 containers takes some 3 MiB.
const ANSWER_MAX: usize = 32 << 20;
/// The longest line of what has no end; events take a few KiB.
const LINE_MAX: usize = 1 << 20;

/// The engine's socket.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    socket: PathBuf,
}

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum EngineError {
    /// Nobody answers.
    #[error("Docker's engine does not answer: {0}")]
    Absent(#[from] io::Error),
    /// It took too long.
    #[error("Docker's engine does not answer in time")]
    Late,
    /// What it says is not understood.
    #[error("what Docker's engine says is not understood: {0}")]
    Odd(String),
    /// It says no.
    #[error("Docker's engine says: {why}")]
    Refused {
        /// The status code.
        status: u16,
        /// In its words.
        why: String,
    },
}

impl From<HeadError> for EngineError {
    fn from(error: HeadError) -> EngineError {
        EngineError::Odd(error.to_string())
    }
}

impl EngineError {
    /// Whether it says that there is no such thing.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, EngineError::Refused { status: 404, .. })
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Failed {
        let kind = match &error {
            EngineError::Absent(_) | EngineError::Late => Kind::Busy,
            EngineError::Refused { status: 404, .. } => Kind::Missing,
            EngineError::Refused { status: 403 | 409, .. } => Kind::Conflict,
            EngineError::Refused { status: 400, .. } => Kind::Unusable,
            EngineError::Odd(_) | EngineError::Refused { .. } => Kind::Broken,
        };
        Failed::new(kind, error.to_string())
    }
}

impl Engine {
    pub(super) fn at(socket: PathBuf) -> Engine {
        Engine { socket }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What there is at a path.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let body = timeout(TELLING, self.ask("GET", path, None)).await.map_err(|_| EngineError::Late)??;
        serde_json::from_slice(&body).map_err(|error| EngineError::Odd(format!("{path}: {error}")))
    }

    /// The whole answer to a request that succeeds.
    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>, EngineError> {
        let whole = async {
            let mut answer = self.open(method, path, body).await?;
            let mut content = Vec::new();
            while let Some(piece) = answer.next().await? {
                content.extend_from_slice(&piece);
                if content.len() > ANSWER_MAX {
                    return Err(EngineError::Odd("it is too long".to_owned()));
                }
            }
            Ok(content)
        };
        timeout(PATIENCE, whole).await.map_err(|_| EngineError::Late)?
    }

    /// Whether it is there and answers.
    pub(super) async fn ping(&self) -> Result<(), EngineError> {
        let pong = timeout(TELLING, self.ask("GET", "/_ping", None)).await.map_err(|_| EngineError::Late)??;
        if pong.trim_ascii() == b"OK" { Ok(()) } else { Err(EngineError::Odd("its pong is none".to_owned())) }
    }

    /// What is told as it happens.
    pub(super) async fn follow(&self, path: &str) -> Result<Answer, EngineError> {
        timeout(TELLING, self.open("GET", path, None)).await.map_err(|_| EngineError::Late)?
    }

    /// The beginning of an answer that may have no end.
    pub(super) async fn open(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, EngineError> {
        let mut stream = UnixStream::connect(&self.socket).await?;
        let (kind, body) = match body {
            Some(body) => ("Content-Type: application/json\r\n", body.to_string()),
            None => ("", String::new()),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: docker\r\n{kind}Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let (mut received, mut end) = (Vec::new(), EndOfHead::default());
        let length = loop {
            if let Some(length) = end.find(&received)? {
                break length;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        let rest = received.split_off(length);
        let response = Response::parse(&received, method, Upgrade::None)?;
        let (status, framing) = (response.status, response.framing);
        let mut answer = Answer { stream, framing, chunked: Chunked::default(), rest };
        if (200..400).contains(&status) {
            return Ok(answer);
        }
        let mut said = Vec::new();
        while let Some(piece) = answer.next().await? {
            said.extend_from_slice(&piece);
            if said.len() > LINE_MAX {
                break;
            }
        }
        let value: Value = serde_json::from_slice(&said).unwrap_or_default();
        let message = value.get("message").and_then(Value::as_str).map(str::to_owned);
        let why = message.unwrap_or_else(|| String::from_utf8_lossy(&said).into_owned());
        Err(EngineError::Refused { status, why: why.trim().to_owned() })
    }
}

/// An answer as it comes.
#[derive(Debug)]
pub(super) struct Answer {
    stream: UnixStream,
    framing: Framing,
    chunked: Chunked,
    rest: Vec<u8>,
}

impl Answer {
    /// The next piece of the content.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        loop {
            let ended = match self.framing {
                Framing::None | Framing::Length(0) => true,
                Framing::Chunked => self.chunked.done(),
                Framing::Length(_) | Framing::UntilClose => false,
            };
            if ended {
                return Ok(None);
            }
            if self.rest.is_empty() && self.stream.read_buf(&mut self.rest).await? == 0 {
                return match self.framing {
                    Framing::UntilClose => Ok(None),
                    Framing::None | Framing::Length(_) | Framing::Chunked => {
                        Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
                    }
                };
            }
            let mut received = std::mem::take(&mut self.rest);
            let content = match &mut self.framing {
                Framing::Length(left) => {
                    received.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left = left.saturating_sub(received.len() as u64);
                    received
                }
                Framing::Chunked => {
                    let mut content = Vec::new();
                    self.chunked.advance(&received, &mut |data| content.extend_from_slice(data))?;
                    content
                }
                Framing::None | Framing::UntilClose => received,
            };
            if !content.is_empty() {
                return Ok(Some(content));
            }
        }
    }

    /// Reads JSON documents, a line each, until the end or until `heard` has enough.
    pub(super) async fn lines(mut self, mut lines: Lines<'_>) -> Result<(), EngineError> {
        let mut buffer: Vec<u8> = Vec::new();
        while let Some(piece) = self.next().await? {
            buffer.extend_from_slice(&piece);
            while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                if let Ok(value) = serde_json::from_slice(&line) {
                    lines.heard(value)?;
                }
            }
            if buffer.len() > LINE_MAX {
                return Err(EngineError::Odd("a line is too long".to_owned()));
            }
        }
        Ok(())
    }
}

/// Who hears of each line.
pub(super) struct Lines<'a>(pub(super) Box<dyn FnMut(Value) -> Result<(), EngineError> + Send + 'a>);

impl Lines<'_> {
    fn heard(&mut self, value: Value) -> Result<(), EngineError> {
        (self.0)(value)
    }
}

/// A value in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// What the engine is taken to say when these bytes come.
    async fn check(said: &'static str) -> Result<String, EngineError> {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("engine");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let answer = Engine::at(socket).ask("GET", "/info", None).await;
        assert!(serving.await.unwrap().starts_with("GET /info HTTP/1.1\r\nHost: docker\r\n"));
        answer.map(|answer| String::from_utf8(answer).unwrap())
    }

    #[tokio::test]
    async fn answers_are_read_to_their_end_and_no_further() {
        for (said, answer) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest", "{}"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", "{}"),
            ("HTTP/1.1 200 OK\r\n\r\n{}", "{}"),
            ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ] {
            assert_eq!(check(said).await.unwrap(), answer, "{said}");
        }
    }

    #[tokio::test]
    async fn what_is_no_whole_answer_is_an_error() {
        for said in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        ] {
            assert!(check(said).await.is_err(), "{said}");
        }
        let refused =
            check("HTTP/1.1 409 Conflict\r\nContent-Length: 18\r\n\r\n{\"message\":\"busy\"}").await.unwrap_err();
        assert_eq!(refused.to_string(), "Docker's engine says: busy");
        assert_eq!(Failed::from(refused).kind, Kind::Conflict);
    }

    #[tokio::test]
    async fn a_socket_that_nobody_serves_is_told_from_one_that_refuses() {
        let error = Engine::at("/nonexistent/engine".into()).ask("GET", "/info", None).await.unwrap_err();
        assert_eq!(Failed::from(error).kind, Kind::Busy);
    }

    #[tokio::test]
    async fn lines_may_come_in_pieces() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("engine");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\n9\r\n:1}\n{\"b\":\r\n3\r\n2}\n\r\n0\r\n\r\n";
            stream.write_all(said).await.unwrap();
        });
        let heard = Mutex::new(Vec::new());
        let answer = Engine::at(socket).open("GET", "/events", None).await.unwrap();
        let lines = Lines(Box::new(|value| {
            heard.lock().unwrap().push(value.to_string());
            Ok(())
        }));
        answer.lines(lines).await.unwrap();
        serving.await.unwrap();
        assert_eq!(*heard.lock().unwrap(), [r#"{"a":1}"#, r#"{"b":2}"#]);
    }

    #[test]
    fn what_stands_in_a_query_is_encoded() {
        assert_eq!(encoded(r#"{"a b":1}"#), "%7B%22a%20b%22%3A1%7D");
    }
}
