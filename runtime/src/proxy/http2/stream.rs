//! One request on its stream, from its head to the end of the response.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{Reason as Code, RecvStream, SendStream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use outcall_schema::reason::Reason;
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};
use tokio::time::timeout;

use super::Shared;
use super::carry::{self, Activity, Cut, pump};
use super::enriched::{self, Guard};
use super::head::{self, Head};
use crate::intercept::pool::Seat;
use crate::intercept::upstream::Protocol;
use crate::proxy::enrich::{self, Enrichment};
use crate::proxy::entry::Entry;
use crate::proxy::exchange::MAX_INFORMATIONAL;
use crate::proxy::fields::{Guarded, HeadError};
use crate::proxy::http::ambiguous;
use crate::proxy::judge::{self, Refusal, Subject};
use crate::proxy::redact::Redaction;
use crate::proxy::refuse::{self, Answer};
use crate::proxy::revoke::{self, Revoked};
use crate::proxy::seen::{Content, Seen};
use crate::proxy::upstream::{self, Candidate, Found};
use crate::proxy::verified;
use crate::snapshot::Snapshot;

/// How long the rest of a request's body may take once its response is complete.
const AFTER_RESPONSE: Duration = Duration::from_secs(5);
/// How long the rest of a refused request's body may take. Some clients take a stream that is reset while they send for a
/// failure of the whole request, the answer that came before included (curl 7.88 does).
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// How often a request is sent that a server says it did nothing of.
const ATTEMPTS: usize = 3;

/// How a stream ended.
pub(super) enum Ended {
    /// With an answer, or a reset of ours.
    Served,
    /// The client reset it before there was an answer.
    TakenBack,
}

/// Why a request goes nowhere.
enum Failed {
    Refused(Refusal),
    /// The client took it back.
    Gone,
    /// The server reset the stream.
    Reset(Code),
    /// The server did nothing of it.
    Unprocessed,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refused(refusal)
    }
}

/// What was kept of a body to be judged, while there is room for it.
#[derive(Default)]
struct Kept<'a> {
    data: VecDeque<Bytes>,
    /// Whether that is all of it; trailers may follow.
    whole: bool,
    /// Among those of this connection, and among those of this agent.
    _room: Option<(SemaphorePermit<'a>, OwnedSemaphorePermit)>,
}

/// One stream.
pub(super) struct Stream<'a> {
    shared: &'a Shared,
    snapshot: Arc<Snapshot>,
    respond: SendResponse<Bytes>,
    entry: Entry,
    /// Bytes of the request's body that were received.
    received: Arc<AtomicU64>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(shared: &'a Shared, respond: SendResponse<Bytes>) -> Stream<'a> {
        let entry = Entry::begin(Protocol::H2);
        Stream { shared, snapshot: shared.connection.snapshot(), respond, received: entry.body_counter(), entry }
    }

    /// Serves the request to its end.
    pub(super) async fn serve(mut self, request: Request<RecvStream>) -> Ended {
        let (parts, mut body) = request.into_parts();
        let admitted = Head::read(parts, body.is_end_stream()).map_err(ambiguous);
        let admitted = admitted.and_then(|head| Ok((self.shared.inside.admits(&head.authority)?, head)));
        let (port, head) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.shared.inside.unreadable(&self.shared.connection, &self.snapshot, Protocol::H2, &refusal);
                let ended = self.answer(&refusal, &Method::GET, Reads::Text);
                unwanted(body).await;
                return ended;
            }
        };
        let headers = judge::headers(&self.snapshot, || head::facts(&head.fields));
        let asked = head.asked(self.shared.connection.limits().body_bytes, headers);
        let agent = Arc::clone(&self.shared.connection.agent);
        let kind = self.shared.inside.kind(asked);
        let mut subject = Subject::new(&agent, head.authority.host.clone(), port, kind);
        let mut kept = Kept::default();
        let served = match self.candidates(&mut subject, &head, &mut body, &mut kept).await {
            Ok(candidates) => self.forward(&subject, &head, candidates, &mut body, std::mem::take(&mut kept)).await,
            Err(Failed::Refused(refusal)) => Err(Failed::Refused(judge::explained(&self.snapshot, &subject, refusal))),
            Err(failed) => Err(failed),
        };
        match served {
            Ok(()) => Ended::Served,
            Err(Failed::Gone | Failed::Unprocessed) => Ended::TakenBack,
            Err(Failed::Reset(code)) => {
                self.respond.send_reset(code);
                Ended::Served
            }
            Err(Failed::Refused(refusal)) => {
                self.entry.refused(&self.shared.connection, &self.snapshot, &subject, &refusal);
                let content_type = head.fields.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
                let reads = if content_type.is_some_and(refuse::is_grpc) { Reads::Grpc } else { Reads::Text };
                let ended = self.answer(&refusal, &head.method, reads);
                drop(kept);
                unwanted(body).await;
                ended
            }
        }
    }

    /// Answers a refused request.
    fn answer(&mut self, refusal: &Refusal, method: &Method, reads: Reads) -> Ended {
        let answer = Answer::new(&self.snapshot.manifest, refusal);
        let grpc = match reads {
            Reads::Grpc => Some(answer.grpc()),
            Reads::Text => None,
        };
        let Answer { status, why, body, .. } = answer;
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        let fields = response.headers_mut();
        if grpc.is_some() {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(refuse::GRPC));
        } else {
            fields.insert(CONTENT_TYPE, HeaderValue::from_static(refuse::CONTENT_TYPE));
            fields.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        let bare = *method == Method::HEAD || grpc.is_some();
        for (name, value) in why.into_iter().chain(grpc.into_iter().flatten()) {
            // Codes and the ids of rules are plain text.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                fields.insert(name, value);
            }
        }
        match self.respond.send_response(response, bare) {
            // What waits for the client's window is a line, and at most so many streams wait.
            Ok(mut sender) if !bare => match sender.send_data(Bytes::from(body), true) {
                Ok(()) => Ended::Served,
                Err(_) => Ended::TakenBack,
            },
            Ok(_) => Ended::Served,
            Err(_) => Ended::TakenBack,
        }
    }

    /// The addresses that the request may go to, each judged with all that it takes to judge it: the body is read here
    /// if the answer depends on it, and only then.
    async fn candidates(
        &mut self,
        subject: &mut Subject,
        head: &Head,
        body: &mut RecvStream,
        kept: &mut Kept<'a>,
    ) -> Result<Vec<Candidate>, Failed> {
        let connection = &self.shared.connection;
        judge::early(&self.snapshot, subject)?;
        let resolving = upstream::addresses(connection, &self.snapshot, subject);
        let addresses = unless_taken_back(&mut self.respond, resolving).await??;
        if let Found::Allowed(candidates) = upstream::judge(&self.snapshot, subject, &addresses)? {
            return Ok(candidates);
        }
        *kept = self.keep(head, body).await?;
        let cap = connection.limits().body_bytes;
        let content = kept.data.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat();
        let whole = kept.whole && content.len() <= cap;
        let seen = Seen { content: Content::Bytes(content), whole, codings: head.codings(), cap };
        let judging = seen.judge(&connection.share, &self.snapshot, subject, &addresses);
        Ok(unless_taken_back(&mut self.respond, judging).await??)
    }

    /// Reads the body up to the cap.
    async fn keep(&mut self, head: &Head, body: &mut RecvStream) -> Result<Kept<'a>, Failed> {
        let limits = self.shared.connection.limits();
        let shared = self.shared;
        let making_room =
            async { Some((shared.keeping.acquire().await.ok()?, shared.room.body(limits.body_bytes).await?)) };
        let room = unless_taken_back(&mut self.respond, making_room).await?;
        if head.expects_continue() {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::CONTINUE;
            self.respond.send_informational(response).map_err(|_| Failed::Gone)?;
        }
        let mut kept = Kept { _room: room, ..Kept::default() };
        let mut size = 0;
        while size < limits.body_bytes {
            match timeout(limits.body, body.data()).await {
                Ok(Some(Ok(data))) => {
                    size += data.len();
                    self.received.fetch_add(data.len() as u64, Ordering::Relaxed);
                    // It is given back to a stream that may be over by now.
                    let _ = body.flow_control().release_capacity(data.len());
                    kept.data.push_back(data);
                }
                Ok(Some(Err(error))) => return Err(unsent(&error)),
                Ok(None) => {
                    kept.whole = true;
                    break;
                }
                Err(_) => return Err(Refusal::of(Reason::AgentTimeout).into()),
            }
        }
        kept.whole |= body.is_end_stream();
        Ok(kept)
    }

    /// Sends the request and passes the response on; once more where the server says that it did nothing of it.
    async fn forward(
        &mut self,
        subject: &Subject,
        head: &Head,
        candidates: Vec<Candidate>,
        body: &mut RecvStream,
        mut kept: Kept<'a>,
    ) -> Result<(), Failed> {
        let planning = enrich::plan(&self.shared.connection, &self.snapshot, subject, candidates);
        let (candidates, enrichment) = unless_taken_back(&mut self.respond, planning).await??;
        let guarded = enrichment.as_ref().map(Enrichment::guarded).unwrap_or_default();
        let enriched = enrichment.map(|enrichment| enriched::request(head, &enrichment)).transpose()?;
        let (head, redaction) = match &enriched {
            Some((head, redaction)) => (head, redaction.as_ref()),
            None => (head, None),
        };
        if let Some(first) = candidates.first() {
            self.entry.passes(&self.shared.connection, &self.snapshot, subject, *first);
        }
        let ends = head.ends || kept.whole && kept.data.is_empty() && body.is_end_stream();
        for _ in 0..ATTEMPTS {
            let sent = self.open(subject, head, &candidates, ends).await?;
            let passing = Passing { subject, head, redaction, guarded: &guarded, candidate: sent.candidate, ends };
            let half = (&mut *body, std::mem::take(&mut kept));
            let open = revoke::Passing {
                snapshot: &Arc::clone(&self.snapshot),
                subject,
                address: passing.candidate.address,
                fallen: false,
            };
            let connection = self.shared.connection.clone();
            let exchanged = connection.while_allowed(open, self.exchange(&passing, sent, half)).await;
            let exchanged = exchanged.unwrap_or_else(|Revoked { snapshot, refusal }| {
                self.entry.refused(&connection, &snapshot, subject, &refusal);
                Err(Failed::Reset(Code::CANCEL))
            });
            match exchanged {
                Err(Failed::Unprocessed) if ends => {}
                Err(Failed::Unprocessed) => return Err(Failed::Reset(Code::REFUSED_STREAM)),
                served => return served,
            }
        }
        Err(Failed::Reset(Code::REFUSED_STREAM))
    }

    /// Sends the head.
    async fn open(
        &mut self,
        subject: &Subject,
        head: &Head,
        candidates: &[Candidate],
        ends: bool,
    ) -> Result<Sent, Failed> {
        let connection = &self.shared.connection;
        let mut failed = Refusal::because(Reason::UpstreamUnreachable, "the server takes no more requests");
        for _ in 0..ATTEMPTS {
            let finding = verified::h2(connection, &self.snapshot, subject, candidates);
            let (mut seat, candidate) = unless_taken_back(&mut self.respond, finding).await??;
            if head.websocket {
                let asking = timeout(connection.limits().connect, seat.extended());
                if !matches!(unless_taken_back(&mut self.respond, asking).await?, Ok(true)) {
                    let detail = "the server takes no WebSocket over HTTP/2";
                    return Err(Refusal::because(Reason::AlpnMismatch, detail).into());
                }
            }
            let request = head.forwarded().map_err(ambiguous)?;
            if let Ok(requests) = unless_taken_back(&mut self.respond, seat.ready()).await?
                && let Ok((response, sender)) = requests.send_request(request, ends)
            {
                return Ok(Sent { response, sender, seat, candidate });
            }
            if !seat.was_heard() {
                failed = Refusal::because(Reason::UpstreamHandshakeFailed, "the server closed before it said anything");
            }
            seat.over();
        }
        Err(failed.into())
    }

    /// Passes on the request's body and the response, both at once. Writes the record of what was allowed, once a response
    /// came or the client left before it; a refusal's record is the caller's.
    async fn exchange(
        &mut self,
        passing: &Passing<'_>,
        sent: Sent,
        half: (&mut RecvStream, Kept<'_>),
    ) -> Result<(), Failed> {
        let limits = self.shared.connection.limits();
        let Sent { mut response, mut sender, seat, .. } = sent;
        let (body, Kept { data, _room: room, .. }) = half;
        let activity = Activity::new();
        let received = Arc::clone(&self.received);
        let mut sending = pin!(async {
            if carry::flush(body, &mut sender, data, &activity).await? {
                return Ok(());
            }
            drop(room);
            pump(body, &mut sender, &activity, &received, passing.guarded).await
        });
        let mut sending_done = passing.ends;
        let mut informational = 0;
        let answered = loop {
            tokio::select! {
                biased;
                next = poll_fn(|context| poll_next(&mut response, context)) => match next {
                    Next::Final(answered) => break answered,
                    Next::Informational(head) => {
                        informational += 1;
                        if informational > MAX_INFORMATIONAL || head.status() == StatusCode::SWITCHING_PROTOCOLS {
                            return Err(Refusal::because(Reason::UpstreamMalformed, HeadError::Unexpected).into());
                        }
                        let head = enriched::informational(passing.redaction, cleaned(head));
                        self.respond.send_informational(head).map_err(|_| Failed::Gone)?;
                    }
                },
                _ = poll_fn(|context| self.respond.poll_reset(context)) => {
                    self.allowed(passing);
                    return Err(Failed::Gone);
                }
                moved = &mut sending, if !sending_done => {
                    sending_done = true;
                    match moved {
                        // A server may answer without reading on; only its answer can tell.
                        Ok(()) | Err(Cut::To | Cut::Idle | Cut::Stopped(_)) => {}
                        Err(Cut::From(error)) => return Err(unsent(&error)),
                        Err(Cut::Trailers) => return Err(ambiguous(HeadError::Framing).into()),
                    }
                }
                () = activity.idle(limits.response) => return Err(Refusal::of(Reason::UpstreamTimeout).into()),
            }
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(error) => {
                let failed = unanswered(&error, &seat);
                if !error.is_reset() {
                    seat.over();
                }
                if matches!(failed, Failed::Reset(_)) {
                    self.allowed(passing);
                }
                return Err(failed);
            }
        };
        let (parts, mut incoming) = answered.into_parts();
        let (status, address) = (parts.status.as_u16(), passing.candidate.address.ip());
        judge::response(&self.snapshot, passing.subject, address, status, || head::facts(&parts.headers))?;
        let over = incoming.is_end_stream();
        let guard = |redaction| Guard::of(redaction, passing.head, &parts.headers, over);
        let mut guard = passing.redaction.map(guard).transpose()?;
        self.allowed(passing);
        self.entry.answered(status);
        let response = cleaned(Response::from_parts(parts, ()));
        let response = match &guard {
            Some(guard) => guard.head(response),
            None => response,
        };
        let Ok(mut reply) = self.respond.send_response(response, over) else { return Ok(()) };
        if over {
            rest(sending, sending_done).await;
            return Ok(());
        }
        let patience = if passing.head.websocket { limits.tunnel } else { limits.response };
        let answered = AtomicU64::new(0);
        let received = {
            let mut receiving = pin!(async {
                match &mut guard {
                    Some(guard) => guard.pump(&mut incoming, &mut reply, &activity).await,
                    None => pump(&mut incoming, &mut reply, &activity, &answered, &Guarded::default()).await,
                }
            });
            loop {
                tokio::select! {
                    biased;
                    received = &mut receiving => break received,
                    moved = &mut sending, if !sending_done => {
                        sending_done = true;
                        if let Err(Cut::From(_) | Cut::Trailers) = moved {
                            break moved.map_err(|_| Cut::To);
                        }
                    }
                    () = activity.idle(patience) => break Err(Cut::Idle),
                }
            }
        };
        match received {
            Ok(()) => rest(sending, sending_done).await,
            Err(Cut::To | Cut::Idle) => reply.send_reset(Code::CANCEL),
            Err(Cut::Stopped(stopped)) => {
                self.refused(passing, &stopped.refusal());
                reply.send_reset(Code::INTERNAL_ERROR);
            }
            Err(Cut::From(error)) => {
                if error.is_library() {
                    self.refused(passing, &Refusal::because(Reason::UpstreamMalformed, &error));
                }
                reply.send_reset(carry::code(&error));
            }
            Err(Cut::Trailers) => {
                self.refused(passing, &Refusal::because(Reason::UpstreamMalformed, HeadError::Framing));
                reply.send_reset(Code::PROTOCOL_ERROR);
            }
        }
        Ok(())
    }

    fn allowed(&self, passing: &Passing<'_>) {
        self.entry.allowed(&self.shared.connection, &self.snapshot, passing.subject, passing.candidate);
    }

    fn refused(&self, passing: &Passing<'_>, refusal: &Refusal) {
        self.entry.refused(&self.shared.connection, &self.snapshot, passing.subject, refusal);
    }
}

/// What a client makes of an answer.
#[derive(Clone, Copy)]
enum Reads {
    /// Words in a body.
    Text,
    /// A status, in the head of a response that is over with it.
    Grpc,
}

/// A request that may pass.
struct Passing<'a> {
    subject: &'a Subject,
    /// With what enrich rules add.
    head: &'a Head,
    /// What the response must not show, if a secret goes out.
    redaction: Option<&'a Redaction>,
    /// The names that its trailers may not have.
    guarded: &'a Guarded,
    candidate: Candidate,
    /// Whether its head is all of it.
    ends: bool,
}

/// A request whose head was sent.
struct Sent {
    response: ResponseFuture,
    sender: SendStream<Bytes>,
    seat: Seat,
    candidate: Candidate,
}

/// What a server says next.
enum Next {
    Informational(Response<()>),
    Final(Result<Response<RecvStream>, h2::Error>),
}

fn poll_next(response: &mut ResponseFuture, context: &mut Context<'_>) -> Poll<Next> {
    match response.poll_informational(context) {
        Poll::Ready(Some(Ok(head))) => Poll::Ready(Next::Informational(head)),
        // The final response says what is wrong.
        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => Pin::new(response).poll(context).map(Next::Final),
    }
}

/// A response's head without what is for one hop alone.
fn cleaned(mut response: Response<()>) -> Response<()> {
    head::for_one_hop(response.headers_mut());
    response
}

/// Gives the rest of a request's body a moment, once its response is complete.
async fn rest(sending: Pin<&mut impl Future<Output = Result<(), Cut>>>, done: bool) {
    if !done {
        let _ = timeout(AFTER_RESPONSE, sending).await;
    }
}

/// Takes what a client still sends of a request that was answered, as far as its window goes and for a moment. Dropping the
/// stream then tells it that no more is wanted, which resets one that has not ended (RFC 9113, section 8.1).
async fn unwanted(mut body: RecvStream) {
    let _ = timeout(AFTER_REFUSAL, async { while let Some(Ok(_)) = body.data().await {} }).await;
}

/// Does something until the client takes its request back.
async fn unless_taken_back<T>(respond: &mut SendResponse<Bytes>, doing: impl Future<Output = T>) -> Result<T, Failed> {
    tokio::select! {
        biased;
        _ = poll_fn(|context| respond.poll_reset(context)) => Err(Failed::Gone),
        done = doing => Ok(done),
    }
}

/// Why a request's body did not come in whole.
fn unsent(error: &h2::Error) -> Failed {
    // What is not well formed was reset already (RFC 9113, section 8.1.1), so its refusal is only written down.
    if error.is_library() { Refusal::because(Reason::AmbiguousRequest, error).into() } else { Failed::Gone }
}

/// Why there is no response.
fn unanswered(error: &h2::Error, seat: &Seat) -> Failed {
    let refused = |reason| Refusal::because(reason, error).into();
    match error.reason() {
        // Nothing of the request was looked at (RFC 9113, section 8.7).
        Some(Code::REFUSED_STREAM) if error.is_remote() => Failed::Unprocessed,
        Some(Code::NO_ERROR) if error.is_go_away() => Failed::Unprocessed,
        Some(code) if error.is_reset() && error.is_remote() => Failed::Reset(code),
        _ if error.is_library() => refused(Reason::UpstreamMalformed),
        // A server that says no in TLS does so after the handshake, as we see it, if it wants a certificate of ours. What it
        // says is lost where it closes while we still send.
        _ if !seat.was_heard() => refused(Reason::UpstreamHandshakeFailed),
        _ => refused(Reason::UpstreamUnreachable),
    }
}
