//! Moves the body of a message from one side to the other exactly as it came, or keeps it to be judged.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::chunked::Chunked;
use super::fields::{Framing, Guarded, HeadError};
use super::incoming::Incoming;
use super::redact::Stopped;
use super::seen::Content;

/// Why a body did not get through.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// The side that sends it went away before its end.
    #[error("the sender closed the connection within the body")]
    Ended,
    /// Reading failed.
    #[error("receiving the body failed: {0}")]
    Read(io::Error),
    /// Writing failed.
    #[error("sending the body failed: {0}")]
    Write(io::Error),
    /// The sender was silent for too long.
    #[error("the sender was silent for too long")]
    ReadTimeout,
    /// The receiver took nothing for too long.
    #[error("the receiver took nothing for too long")]
    WriteTimeout,
    /// The chunks are not well formed.
    #[error(transparent)]
    Malformed(#[from] HeadError),
    /// It must not go on.
    #[error(transparent)]
    Stopped(Stopped),
}

/// A body and how far it was followed.
#[derive(Debug)]
pub(super) struct Body {
    state: State,
    /// Bytes of content that were received.
    received: Arc<AtomicU64>,
}

#[derive(Debug)]
enum State {
    Remaining(u64),
    Chunked(Box<Chunked>),
    UntilClose,
}

impl Body {
    pub(super) fn new(framing: Framing) -> Body {
        let state = match framing {
            Framing::None => State::Remaining(0),
            Framing::Length(length) => State::Remaining(length),
            Framing::Chunked => State::Chunked(Box::default()),
            Framing::UntilClose => State::UntilClose,
        };
        Body { state, received: Arc::default() }
    }

    /// The same, counted by whoever has the counter too.
    pub(super) fn counted_by(self, received: Arc<AtomicU64>) -> Body {
        Body { received, ..self }
    }

    /// Has no trailer pass with one of these names.
    ///
    /// # Errors
    /// [`HeadError::Chunk`], where one was seen already.
    pub(super) fn guard(&mut self, guarded: Guarded) -> Result<(), HeadError> {
        match &mut self.state {
            State::Chunked(chunked) => chunked.guard(guarded),
            State::Remaining(_) | State::UntilClose => Ok(()),
        }
    }

    /// Whether all of it was seen. A body that lasts until the connection closes never is.
    pub(super) fn done(&self) -> bool {
        match &self.state {
            State::Remaining(length) => *length == 0,
            State::Chunked(chunked) => chunked.done(),
            State::UntilClose => false,
        }
    }

    /// How many of `bytes`, which come next, belong to the body. Its content goes to `content`.
    fn advance(&mut self, bytes: &[u8], content: &mut dyn FnMut(&[u8])) -> Result<usize, HeadError> {
        let Body { state, received } = self;
        let mut content = |data: &[u8]| {
            received.fetch_add(data.len() as u64, Ordering::Relaxed);
            content(data);
        };
        match state {
            State::Remaining(remaining) => {
                let length = usize::try_from(*remaining).unwrap_or(usize::MAX).min(bytes.len());
                content(bytes.get(..length).unwrap_or_default());
                *remaining -= length as u64;
                Ok(length)
            }
            State::Chunked(chunked) => chunked.advance(bytes, &mut content),
            State::UntilClose => {
                content(bytes);
                Ok(bytes.len())
            }
        }
    }

    /// Forwards what is left of the body. Each read and each write may take `idle`.
    pub(super) async fn forward(
        &mut self,
        incoming: &mut Incoming,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        idle: Duration,
    ) -> Result<(), BodyError> {
        while !self.done() {
            if incoming.unread().is_empty() && !self.receive(incoming, reader, idle).await? {
                return Ok(());
            }
            let length = self.advance(incoming.unread(), &mut |_| {})?;
            let bytes = incoming.unread().get(..length).unwrap_or_default();
            match timeout(idle, send(writer, bytes)).await {
                Ok(written) => written.map_err(BodyError::Write)?,
                Err(_) => return Err(BodyError::WriteTimeout),
            }
            incoming.consume(length);
        }
        Ok(())
    }

    /// The next piece of the content without its framing, which may be empty; `None` at the end.
    pub(super) async fn content(
        &mut self,
        incoming: &mut Incoming,
        reader: &mut (impl AsyncRead + Unpin),
        idle: Duration,
    ) -> Result<Option<Vec<u8>>, BodyError> {
        if self.done() || incoming.unread().is_empty() && !self.receive(incoming, reader, idle).await? {
            return Ok(None);
        }
        let mut content = Vec::new();
        let length = self.advance(incoming.unread(), &mut |data| content.extend_from_slice(data))?;
        incoming.consume(length);
        Ok(Some(content))
    }

    /// The trailer section with its empty line, once all of a body was seen that can have one.
    pub(super) fn trailer(&self) -> &[u8] {
        match &self.state {
            State::Chunked(chunked) => chunked.trailer(),
            State::Remaining(_) | State::UntilClose => &[],
        }
    }

    /// Reads the body, up to `cap` bytes of it as sent. Whether it was all is what [`Body::done`] says.
    pub(super) async fn keep(
        &mut self,
        incoming: &mut Incoming,
        reader: &mut (impl AsyncRead + Unpin),
        cap: usize,
        idle: Duration,
    ) -> Result<Kept, BodyError> {
        let (mut raw, mut content) = (Vec::new(), None);
        match self.state {
            // What does not come takes no memory.
            State::Remaining(length) => raw.reserve_exact(usize::try_from(length).unwrap_or(cap).min(cap)),
            State::Chunked(_) => content = Some(Vec::new()),
            State::UntilClose => {}
        }
        while !self.done() && raw.len() < cap {
            let room = cap - raw.len();
            if incoming.unread().is_empty() {
                if let State::Remaining(length) = self.state {
                    let most = usize::try_from(length).unwrap_or(room).min(room);
                    self.receive_into(&mut raw, most, reader, idle).await?;
                    continue;
                }
                if !self.receive(incoming, reader, idle).await? {
                    break;
                }
            }
            let next = incoming.unread();
            let next = next.get(..room).unwrap_or(next);
            let length = self.advance(next, &mut |data| {
                if let Some(content) = &mut content {
                    content.extend_from_slice(data);
                }
            })?;
            raw.extend_from_slice(incoming.unread().get(..length).unwrap_or_default());
            incoming.consume(length);
        }
        Ok(Kept { raw: Raw::Bytes(raw), content, _room: None })
    }

    /// Receives more of a body of a known length, up to `most` bytes, without a buffer in between.
    async fn receive_into(
        &mut self,
        raw: &mut Vec<u8>,
        most: usize,
        reader: &mut (impl AsyncRead + Unpin),
        idle: Duration,
    ) -> Result<(), BodyError> {
        let before = raw.len();
        match timeout(idle, reader.read_buf(&mut (&mut *raw).limit(most))).await {
            Err(_) => return Err(BodyError::ReadTimeout),
            Ok(Err(error)) => return Err(BodyError::Read(error)),
            Ok(Ok(0)) => return Err(BodyError::Ended),
            Ok(Ok(_)) => {}
        }
        self.advance(raw.get(before..).unwrap_or_default(), &mut |_| {})?;
        Ok(())
    }

    /// Moves what has been received already into `bytes`, so that it is sent with what stands there.
    pub(super) fn received(&mut self, incoming: &mut Incoming, bytes: &mut Vec<u8>) -> Result<(), HeadError> {
        if !self.done() && !incoming.unread().is_empty() {
            let length = self.advance(incoming.unread(), &mut |_| {})?;
            bytes.extend_from_slice(incoming.unread().get(..length).unwrap_or_default());
            incoming.consume(length);
        }
        Ok(())
    }

    /// Receives more; false at the regular end of a body that lasts until the connection closes.
    async fn receive(
        &self,
        incoming: &mut Incoming,
        reader: &mut (impl AsyncRead + Unpin),
        idle: Duration,
    ) -> Result<bool, BodyError> {
        match timeout(idle, incoming.fill(reader)).await {
            Err(_) => Err(BodyError::ReadTimeout),
            Ok(Err(error)) => Err(BodyError::Read(error)),
            Ok(Ok(0)) if matches!(self.state, State::UntilClose) => Ok(false),
            Ok(Ok(0)) => Err(BodyError::Ended),
            Ok(Ok(_)) => Ok(true),
        }
    }
}

/// Writes all of it, through whatever buffers on the way: nobody may have to wait for what was written for more to come.
pub(super) async fn send(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    writer.write_all(bytes).await?;
    writer.flush().await
}

/// A body, or its beginning, that was kept.
#[derive(Debug, Default)]
pub(super) struct Kept {
    /// The bytes as they came, to be forwarded.
    pub(super) raw: Raw,
    /// The content without the framing, to be judged, where that is something else.
    pub(super) content: Option<Vec<u8>>,
    /// The room that it takes.
    pub(super) _room: Option<OwnedSemaphorePermit>,
}

/// Bytes that may be judged as they are, too.
#[derive(Debug)]
pub(super) enum Raw {
    Bytes(Vec<u8>),
    Text(Arc<String>),
}

impl Default for Raw {
    fn default() -> Raw {
        Raw::Bytes(Vec::new())
    }
}

impl Raw {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Raw::Bytes(bytes) => bytes,
            Raw::Text(text) => text.as_bytes(),
        }
    }
}

impl Kept {
    /// The content without its framing. To be asked for once.
    pub(super) fn content(&mut self) -> Vec<u8> {
        self.content.take().unwrap_or_else(|| self.raw.bytes().to_vec())
    }

    /// The same of a whole body without an encoding. A large one that is text is not copied to be judged.
    pub(super) fn as_it_is(&mut self) -> Content {
        if self.content.is_some() {
            return Content::Bytes(self.content());
        }
        match std::mem::take(&mut self.raw) {
            Raw::Text(text) => {
                self.raw = Raw::Text(Arc::clone(&text));
                Content::Text(text)
            }
            Raw::Bytes(bytes) => match String::from_utf8(bytes) {
                Ok(text) => {
                    let text = Arc::new(text);
                    self.raw = Raw::Text(Arc::clone(&text));
                    Content::Text(text)
                }
                Err(error) => {
                    self.raw = Raw::Bytes(error.into_bytes());
                    Content::Bytes(self.content())
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Duration = Duration::from_secs(5);

    async fn check(framing: Framing, bytes: &str) -> (Result<(), String>, String, String) {
        let (mut incoming, mut reader, mut out) = (Incoming::default(), bytes.as_bytes(), Vec::new());
        let result = Body::new(framing).forward(&mut incoming, &mut reader, &mut out, IDLE).await;
        let left = String::from_utf8(incoming.take_all()).unwrap();
        (result.map_err(|error| error.to_string()), String::from_utf8(out).unwrap(), left)
    }

    #[tokio::test]
    async fn a_body_is_forwarded_as_it_came_and_not_one_byte_more() {
        let chunks = "3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n";
        for (framing, body) in [(Framing::None, ""), (Framing::Length(4), "abcd"), (Framing::Chunked, chunks)] {
            let (result, out, left) = check(framing, &format!("{body}GET /next")).await;
            assert_eq!((result, out.as_str()), (Ok(()), body));
            assert!(left == "GET /next" || framing == Framing::None);
        }
        assert_eq!(check(Framing::UntilClose, "abc").await, (Ok(()), "abc".into(), String::new()));
    }

    #[tokio::test]
    async fn a_body_cut_short_or_malformed_is_an_error() {
        assert!(check(Framing::Length(4), "abc").await.0.is_err());
        assert!(check(Framing::Chunked, "3\r\nab").await.0.is_err());
        let (result, out, _) = check(Framing::Chunked, "3\r\nabcX\r\n").await;
        assert_eq!((result.is_err(), out.as_str()), (true, ""));
    }

    #[tokio::test]
    async fn a_body_of_a_known_length_is_kept_to_its_end_and_no_further() {
        for text in [&b"abcdefg"[..], &b"abc\xffefg"[..]] {
            for (cap, ahead) in (0..=8).flat_map(|cap| [(cap, 0), (cap, 3)]) {
                let sent = [text, b"next"].concat();
                let (first, mut reader) = sent.split_at(ahead);
                let mut incoming = Incoming::default();
                incoming.fill(&mut &first[..]).await.unwrap();
                let mut body = Body::new(Framing::Length(7));
                let mut kept = body.keep(&mut incoming, &mut reader, cap, IDLE).await.unwrap();
                assert_eq!(kept.raw.bytes(), &text[..cap.min(7)], "{cap} {ahead}");
                assert_eq!(body.done(), cap >= 7);
                match kept.as_it_is() {
                    Content::Text(same) => assert_eq!(same.as_bytes(), kept.raw.bytes()),
                    Content::Bytes(same) => assert!(same == kept.raw.bytes() && same.contains(&0xff)),
                }
                let mut rest = kept.raw.bytes().to_vec();
                body.forward(&mut incoming, &mut reader, &mut rest, IDLE).await.unwrap();
                assert_eq!(rest, text);
            }
        }
    }

    #[tokio::test]
    async fn a_kept_body_stops_at_the_cap_and_goes_on_from_there() {
        let chunks = "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
        for cap in 0..chunks.len() + 3 {
            let (mut incoming, mut reader, mut out) = (Incoming::default(), chunks.as_bytes(), Vec::new());
            let mut body = Body::new(Framing::Chunked);
            let mut kept = body.keep(&mut incoming, &mut reader, cap, IDLE).await.unwrap();
            assert_eq!(body.done(), cap >= chunks.len());
            assert!(kept.raw.bytes().len() <= cap && b"abcdefg".starts_with(&kept.content()));
            out.extend_from_slice(kept.raw.bytes());
            body.forward(&mut incoming, &mut reader, &mut out, IDLE).await.unwrap();
            assert_eq!(out, chunks.as_bytes());
        }
    }
}
