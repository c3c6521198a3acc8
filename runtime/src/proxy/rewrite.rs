//! Passes an HTTP/1.1 response on without the secrets that went out with its request.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::body::{self, Body, BodyError};
use super::decoding::More;
use super::fields::{self, Field, Framing, HeadError, Values, Version};
use super::incoming::Incoming;
use super::judge::Refusal;
use super::redact::{BodyRedaction, Redaction, Stopped};
use super::request::Upgrade;
use super::response::Response;

/// A response on its way.
pub(super) struct Rewrite<'r> {
    redaction: &'r Redaction,
    /// Absent where there is no body.
    body: Option<BodyRedaction>,
    framing: Framing,
}

impl<'r> Rewrite<'r> {
    /// How this response to a client of `version` is passed on.
    ///
    /// # Errors
    /// As [`Redaction::body`].
    pub(super) fn of(
        redaction: &'r Redaction,
        response: &Response<'_>,
        version: Version,
    ) -> Result<Rewrite<'r>, Refusal> {
        let nothing = matches!(response.framing, Framing::None | Framing::Length(0));
        if nothing || response.upgrade == Upgrade::WebSocket {
            return Ok(Rewrite { redaction, body: None, framing: response.framing });
        }
        let body = redaction.body(response.fields().map(|field| (field.name.as_bytes(), field.value)))?;
        let chunks = version == Version::Http11 && response.version == Version::Http11;
        let framing = match response.framing {
            Framing::Length(length) if !body.rewrites() => Framing::Length(length),
            Framing::Length(_) | Framing::Chunked if chunks => Framing::Chunked,
            Framing::None | Framing::Length(_) | Framing::Chunked | Framing::UntilClose => Framing::UntilClose,
        };
        Ok(Rewrite { redaction, body: Some(body), framing })
    }

    /// Whether the end of the connection says where the body ends.
    pub(super) fn until_close(&self) -> bool {
        self.framing == Framing::UntilClose
    }

    /// The head, as it would be forwarded, without the secrets and for the body as it goes on.
    pub(super) fn head(&self, forwarded: &[u8]) -> Result<Vec<u8>, HeadError> {
        let (line, rest) = fields::split_line(forwarded)?;
        let fields = fields::parse(rest, Values::Bytes)?;
        let mut head = Vec::with_capacity(forwarded.len() + 64);
        // The version and the status have nothing to hide; what comes after is the server's own text.
        let (status, phrase) = line.split_at_checked("HTTP/1.1 200".len()).ok_or(HeadError::StatusLine)?;
        head.extend_from_slice(status);
        head.extend_from_slice(&self.redaction.text(phrase));
        head.extend_from_slice(b"\r\n");
        let framing = |field: &&Field<'_>| self.body.is_some() && field.is("transfer-encoding");
        for field in fields.iter().filter(|field| !framing(field)) {
            write_field(self.redaction, self.body.as_ref(), field, &mut head);
        }
        if self.body.is_some() && self.framing == Framing::Chunked {
            head.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        head.extend_from_slice(b"\r\n");
        Ok(head)
    }

    /// Forwards the body that `framing` ends.
    pub(super) async fn forward(
        &mut self,
        framing: Framing,
        incoming: &mut Incoming,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
        idle: Duration,
    ) -> Result<(), BodyError> {
        let Rewrite { redaction: secrets, body: Some(redaction), framing: new } = self else { return Ok(()) };
        let chunked = *new == Framing::Chunked;
        let mut body = Body::new(framing);
        let mut out = Vec::new();
        while let Some(content) = body.content(incoming, reader, idle).await? {
            let mut rest = content.as_slice();
            loop {
                let more = redaction.advance(&mut rest, &mut out);
                // What came before a secret that cannot be taken out has its place.
                send(writer, &mut out, chunked, idle).await?;
                if more? == More::No && rest.is_empty() {
                    break;
                }
            }
        }
        redaction.finish(&mut out)?;
        send(writer, &mut out, chunked, idle).await?;
        if chunked {
            let mut end = b"0\r\n".to_vec();
            for field in fields::parse(body.trailer(), Values::Bytes).unwrap_or_default() {
                write_field(secrets, Some(redaction), &field, &mut end);
            }
            end.extend_from_slice(b"\r\n");
            write(writer, &end, idle).await?;
        }
        Ok(())
    }
}

/// Writes a field, if it goes on.
fn write_field(secrets: &Redaction, body: Option<&BodyRedaction>, field: &Field<'_>, head: &mut Vec<u8>) {
    match secrets.field(field.name.as_bytes(), field.value, body) {
        None => {}
        Some(value) if *value == *field.value => head.extend_from_slice(field.line),
        Some(value) => {
            [field.name.as_bytes(), b": ", &value, b"\r\n"].iter().for_each(|part| head.extend_from_slice(part));
        }
    }
}

/// Sends what there is, at once.
async fn send(
    writer: &mut (impl AsyncWrite + Unpin),
    out: &mut Vec<u8>,
    chunked: bool,
    idle: Duration,
) -> Result<(), BodyError> {
    if out.is_empty() {
        return Ok(());
    }
    if chunked {
        let mut chunk = format!("{:x}\r\n", out.len()).into_bytes();
        chunk.append(out);
        chunk.extend_from_slice(b"\r\n");
        return write(writer, &chunk, idle).await;
    }
    write(writer, out, idle).await?;
    out.clear();
    Ok(())
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8], idle: Duration) -> Result<(), BodyError> {
    match timeout(idle, body::send(writer, bytes)).await {
        Ok(written) => written.map_err(BodyError::Write),
        Err(_) => Err(BodyError::WriteTimeout),
    }
}

impl From<Stopped> for BodyError {
    fn from(stopped: Stopped) -> BodyError {
        BodyError::Stopped(stopped)
    }
}
