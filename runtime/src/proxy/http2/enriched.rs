//! A request on its way with what enrich rules add, and its response without the secrets that went out.

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::carry::{Activity, Cut, next, send};
use super::head::{self, Head};
use crate::proxy::decoding::More;
use crate::proxy::enrich::{Change, Enrichment};
use crate::proxy::fields::HeadError;
use crate::proxy::frames::Framing;
use crate::proxy::http::ambiguous;
use crate::proxy::judge::Refusal;
use crate::proxy::redact::{BodyRedaction, Redaction};

/// The head with what the rules add, and what the response must not show.
///
/// # Errors
/// As [`Enrichment::apply`].
pub(super) fn request(head: &Head, enrichment: &Enrichment) -> Result<(Head, Option<Redaction>), Refusal> {
    let outgoing = enrichment.apply(pairs(&head.fields).into_iter())?;
    let mut fields = HeaderMap::with_capacity(head.fields.len() + outgoing.added.len());
    for ((name, value), change) in head.fields.iter().zip(&outgoing.changes) {
        match change {
            Change::Keep => drop(fields.append(name, value.clone())),
            Change::Drop => {}
            Change::Set(value) => drop(fields.append(name, secret(value)?)),
        }
    }
    for (name, value) in &outgoing.added {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| ambiguous(HeadError::FieldName))?;
        fields.append(name, secret(value)?);
    }
    let mut head = head.clone();
    head.fields = fields;
    Ok((head, outgoing.redaction))
}

/// A value that the compression of header fields keeps no copy of (RFC 7541, section 7.1.3).
fn secret(value: &[u8]) -> Result<HeaderValue, Refusal> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| ambiguous(HeadError::Control))?;
    value.set_sensitive(true);
    Ok(value)
}

fn pairs(fields: &HeaderMap) -> Vec<(&[u8], &[u8])> {
    fields.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())).collect()
}

/// How a response goes on: its body by itself, its fields by what becomes of that.
pub(super) struct Guard<'r> {
    redaction: &'r Redaction,
    body: BodyRedaction,
}

impl<'r> Guard<'r> {
    /// For the answer to this request. What has no body is watched all the same.
    ///
    /// # Errors
    /// As [`Redaction::body`].
    pub(super) fn of(
        redaction: &'r Redaction,
        request: &Head,
        fields: &HeaderMap,
        over: bool,
    ) -> Result<Guard<'r>, Refusal> {
        let body = if request.websocket {
            redaction.watched(Some(Framing::WebSocket))
        } else if over || request.method == http::Method::HEAD {
            redaction.watched(None)
        } else {
            redaction.body(pairs(fields).into_iter())?
        };
        Ok(Guard { redaction, body })
    }

    /// The head without the secrets.
    pub(super) fn head(&self, mut response: Response<()>) -> Response<()> {
        *response.headers_mut() = redacted(self.redaction, response.headers(), Some(&self.body));
        response
    }

    /// Moves the body and the trailers of the response, as [`super::carry::pump`] does.
    pub(super) async fn pump(
        &mut self,
        from: &mut RecvStream,
        to: &mut SendStream<Bytes>,
        activity: &Activity,
    ) -> Result<(), Cut> {
        let mut out = Vec::new();
        while let Some(data) = next(from, to, activity).await? {
            let mut rest = &data[..];
            loop {
                let more = self.body.advance(&mut rest, &mut out);
                // What came before a secret that cannot be taken out has its place.
                send(to, Bytes::from(std::mem::take(&mut out)), false, activity).await?;
                if more.map_err(Cut::Stopped)? == More::No && rest.is_empty() {
                    break;
                }
            }
            // It is given back to a stream that may be over by now.
            let _ = from.flow_control().release_capacity(data.len());
        }
        self.body.finish(&mut out).map_err(Cut::Stopped)?;
        let trailers = from.trailers().await.map_err(Cut::From)?;
        send(to, Bytes::from(out), trailers.is_none(), activity).await?;
        match trailers {
            Some(trailers) => {
                let trailers = head::trailers(trailers).ok_or(Cut::Trailers)?;
                let trailers = redacted(self.redaction, &trailers, Some(&self.body));
                to.send_trailers(trailers).map_err(|_| Cut::To)
            }
            None => Ok(()),
        }
    }
}

/// The head of an informational response without the secrets.
pub(super) fn informational(redaction: Option<&Redaction>, mut response: Response<()>) -> Response<()> {
    if let Some(redaction) = redaction {
        *response.headers_mut() = redacted(redaction, response.headers(), None);
    }
    response
}

/// Fields without the secrets, for the body as it goes on.
fn redacted(redaction: &Redaction, fields: &HeaderMap, body: Option<&BodyRedaction>) -> HeaderMap {
    let mut out = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields {
        let kept = redaction.field(name.as_str().as_bytes(), value.as_bytes(), body);
        // A marker is as good a value as what it stands for.
        if let Some(value) = kept.and_then(|value| HeaderValue::from_bytes(&value).ok()) {
            out.append(name, value);
        }
    }
    out
}
