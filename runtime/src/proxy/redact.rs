//! Takes the secrets that went out with a request out of its response: fields, body and trailers.

use std::borrow::Cow;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, ReadBuf};
use zeroize::Zeroizing;

use super::coding::{self, Malformed};
use super::decoding::{More, Stages};
use super::frames::{Channel, Frames, Framing};
use super::judge::Refusal;
use crate::redact::{MARKER, Needles, Redactor, redacted};

/// How much is read at once from what is only watched.
const READ_BYTES: usize = 16 * 1024;

/// What a response must not show.
#[derive(Debug, Clone)]
pub(super) struct Redaction {
    needles: Arc<Needles>,
}

/// What becomes of a response's body.
#[derive(Debug)]
pub(super) struct BodyRedaction {
    stages: Stages,
    redactor: Redactor,
    /// What cannot be rewritten ends where a secret shows.
    rewritten: bool,
    /// It showed one.
    echoed: bool,
    /// The same bytes without what frames put between them, for what comes in frames.
    payloads: Option<Payloads>,
}

/// What is in the frames of a stream. A secret whose parts come in several is in one piece here.
#[derive(Debug)]
struct Payloads {
    frames: Frames,
    data: Redactor,
    control: Redactor,
}

impl Payloads {
    fn new(framing: Framing, needles: &Arc<Needles>) -> Payloads {
        let redactor = || Redactor::new(Arc::clone(needles));
        Payloads { frames: Frames::new(framing), data: redactor(), control: redactor() }
    }

    /// Whether a secret shows with these bytes.
    fn show(&mut self, bytes: &[u8]) -> bool {
        let Payloads { frames, data, control } = self;
        let mut seen = Zeroizing::new(Vec::new());
        frames.read(bytes, |channel, payload| match channel {
            Channel::Data => data.push(payload, &mut seen),
            Channel::Control => control.push(payload, &mut seen),
        });
        data.let_go(&mut seen);
        control.let_go(&mut seen);
        data.found() || control.found()
    }
}

/// Why a body does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stopped {
    /// It is not what its encoding says.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It shows a secret and cannot be rewritten.
    #[error("it shows a secret and cannot be rewritten")]
    Echoed,
}

impl Stopped {
    pub(super) fn refusal(self) -> Refusal {
        match self {
            Stopped::Malformed(error) => Refusal::because(Reason::BodyDecodeFailed, format!("the response: {error}")),
            Stopped::Echoed => Refusal::of(Reason::SecretEchoed),
        }
    }
}

impl Redaction {
    pub(super) fn new(needles: Arc<Needles>) -> Redaction {
        Redaction { needles }
    }

    /// A text without the secrets, such as a reason phrase.
    pub(super) fn text<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        redacted(&self.needles, text).map_or(Cow::Borrowed(text), Cow::Owned)
    }

    /// The value of a field of the head, or of a trailer, for the body as it goes on. `None` where the field must go: its very
    /// name shows a secret, or what it says of the body does not hold any more.
    pub(super) fn field<'v>(
        &self,
        name: &[u8],
        value: &'v [u8],
        body: Option<&BodyRedaction>,
    ) -> Option<Cow<'v, [u8]>> {
        /// What is said of the encoded body.
        const OF_ENCODED: [&[u8]; 5] =
            [b"content-encoding", b"content-md5", b"content-digest", b"repr-digest", b"digest"];
        let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
        let (rewrites, decodes) = body.map_or((false, false), |body| (body.rewritten, !body.stages.is_empty()));
        let holds = !(rewrites && is(b"content-length") || decodes && OF_ENCODED.into_iter().any(is));
        if !holds || redacted(&self.needles, name).is_some() {
            return None;
        }
        let value = self.text(value);
        // Of a decoded body the validator is a weak one (RFC 9110, section 8.8.1).
        let weakened = decodes && is(b"etag") && value.starts_with(b"\"");
        Some(if weakened { Cow::Owned([b"W/", &*value].concat()) } else { value })
    }

    /// How the body of a response with these fields is treated.
    ///
    /// # Errors
    /// [`Reason::BodyDecodeFailed`] for an encoding in which a secret would not be found.
    pub(super) fn body<'f>(
        &self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Result<BodyRedaction, Refusal> {
        let values = |wanted: &'static [u8]| {
            fields.clone().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
        };
        let unread = |what: &str| {
            let detail = format!("the response has a {what} in which secrets cannot be found");
            Err(Refusal::because(Reason::BodyDecodeFailed, detail))
        };
        let Some(codings) = coding::codings(values(b"content-encoding")) else {
            return unread("Content-Encoding");
        };
        if values(b"grpc-encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return unread("grpc-encoding");
        }
        let grpc = |value: &[u8]| value.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
        let rewritten = !values(b"content-type").any(grpc);
        if !rewritten && !codings.is_empty() {
            return unread("Content-Encoding");
        }
        let stages = Stages::new(&codings).map_err(|error| Refusal::because(Reason::BodyDecodeFailed, error))?;
        let framing = if rewritten { None } else { Some(Framing::Grpc) };
        Ok(BodyRedaction { stages, rewritten, ..self.watched(framing) })
    }

    /// For bytes that cannot be rewritten, such as a WebSocket's: they go on as they are, and at once, until a secret shows.
    pub(super) fn watched(&self, framing: Option<Framing>) -> BodyRedaction {
        BodyRedaction {
            stages: Stages::default(),
            redactor: Redactor::new(Arc::clone(&self.needles)),
            rewritten: false,
            echoed: false,
            payloads: framing.map(|framing| Payloads::new(framing, &self.needles)),
        }
    }

    /// A reader of a WebSocket that ends with an error where a secret shows; `early` came first.
    pub(super) fn guard<'r, R>(&self, early: &[u8], reader: &'r mut R) -> Guarded<'r, R> {
        let watched = self.watched(Some(Framing::WebSocket));
        let mut guarded = Guarded { reader, watched, ready: Vec::new(), given: 0, ended: false };
        guarded.watched.pass(early, &mut guarded.ready);
        guarded
    }
}

impl BodyRedaction {
    /// Whether its length may change.
    pub(super) fn rewrites(&self) -> bool {
        self.rewritten
    }

    /// Takes in some of what comes next, and appends what can be given out. To be called until it has taken all of `input`
    /// and says that it has nothing more to give: a little can stand for a lot, which comes out piece by piece.
    ///
    /// # Errors
    /// [`Stopped`]; what was given out before stays good.
    pub(super) fn advance(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<More, Stopped> {
        let more = if self.stages.is_empty() {
            self.pass(std::mem::take(input), out);
            More::No
        } else {
            let mut decoded = Vec::new();
            let more = self.stages.advance(input, &mut decoded)?;
            self.pass(&decoded, out);
            more
        };
        self.check()?;
        Ok(more)
    }

    /// Appends what was held back, at the end.
    ///
    /// # Errors
    /// As [`BodyRedaction::advance`], and for a body that is cut short in its encoding.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Stopped> {
        self.stages.finish()?;
        self.redactor.finish(out);
        self.check()
    }

    /// Appends what of these can be given out; of what is not rewritten, nothing from the first secret on. It may be half of a
    /// conversation, so none of it waits for what follows.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.check().is_err() {
            return;
        }
        let before = out.len();
        self.redactor.push(bytes, out);
        if self.rewritten {
            return;
        }
        self.redactor.let_go(out);
        if self.payloads.as_mut().is_some_and(|payloads| payloads.show(bytes)) || self.redactor.found() {
            self.echoed = true;
            let new = out.get(before..).unwrap_or_default();
            let marker = new.windows(MARKER.len()).position(|window| window == MARKER);
            out.truncate(before + marker.unwrap_or(0));
        }
    }

    fn check(&self) -> Result<(), Stopped> {
        if self.echoed { Err(Stopped::Echoed) } else { Ok(()) }
    }
}

/// Bytes that are passed on as long as they show no secret.
pub(super) struct Guarded<'r, R> {
    reader: &'r mut R,
    watched: BodyRedaction,
    ready: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R> Guarded<'_, R> {
    /// Whether a secret showed.
    pub(super) fn found(&self) -> bool {
        self.watched.echoed
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Guarded<'_, R> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let ready = this.ready.get(this.given..).unwrap_or_default();
            if !ready.is_empty() {
                let (now, _) = ready.split_at_checked(ready.len().min(buffer.remaining())).unwrap_or_default();
                buffer.put_slice(now);
                this.given += now.len();
                return Poll::Ready(Ok(()));
            }
            this.watched.check().map_err(io::Error::other)?;
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.given = 0;
            let mut bytes = vec![0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            std::task::ready!(Pin::new(&mut *this.reader).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                this.ended = true;
            } else {
                this.watched.pass(read.filled(), &mut this.ready);
            }
        }
    }
}
