//! Serves the HTTP/2 requests inside one TLS connection, each stream judged by itself.
//!
//! Frames, compression and flow control are `h2`'s; what one connection may take of memory and time is bounded here.

mod carry;
mod enriched;
pub mod head;
mod stream;
mod unseen;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, Connection as Server, SendResponse};
use h2::{Reason as Code, RecvStream};
use http::Request;
use outcall_schema::reason::Reason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::stream::{Ended, Stream};
use self::unseen::{Resets, Seen, Watched, Why};
use super::connection::Connection;
use super::fields::{HeadError, MAX_HEAD_BYTES};
use super::inside::Inside;
use super::judge::Refusal;
use crate::intercept::Room;
use crate::intercept::paced::{OF_CLIENTS, PREFACE, Paced};
use crate::intercept::upstream::Protocol;

/// How many requests of one connection are under way at a time: what RFC 9113, section 6.5.2 asks for at least, and a little.
pub(in crate::proxy) const MAX_STREAMS: u32 = 128;
/// What a client may send ahead on one stream, in bytes. The client is next door.
const STREAM_WINDOW: u32 = 32 << 10;
/// The same on one connection: enough for all streams, or those whose bodies wait to be read would hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// What waits to be sent on one stream, in bytes.
const SEND_BUFFER: usize = 128 << 10;
/// How many bodies of one connection are kept at a time to be judged.
const MAX_KEPT: usize = 4;
/// How many requests a client may take back before it has to have let more come to their end (CVE-2023-44487).
const MAX_TAKEN_BACK: u64 = 200;
/// How long it is waited before a change of settings is tried again.
const AGAIN: Duration = Duration::from_millis(20);
/// How long a connection may take to close once nothing is under way.
const GOODBYE: Duration = Duration::from_secs(1);

/// What the streams of one connection share.
struct Shared {
    connection: Connection,
    inside: Inside,
    /// Bodies that are kept to be judged.
    keeping: Semaphore,
    /// What the agent has room for, over all its connections.
    room: Arc<Room>,
}

/// Serves requests until the connection ends. `extended`: ends with whether the server behind takes an extended CONNECT,
/// which is then offered to the client (RFC 8441, section 3).
pub(super) async fn serve(
    connection: &Connection,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    inside: Inside,
    extended: impl Future<Output = bool>,
) {
    let mut extended = pin!(extended);
    // A server that was talked to before is known already, and the first settings say it.
    let known = tokio::select! {
        biased;
        known = &mut extended => Some(known),
        () = std::future::ready(()) => None,
    };
    let mut builder = Builder::new();
    if known == Some(true) {
        builder.enable_connect_protocol();
    }
    builder
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(MAX_HEAD_BYTES).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER);
    let room = connection.room();
    let resets = Resets::default();
    let shared = Shared { connection: connection.clone(), inside, keeping: Semaphore::new(MAX_KEPT), room };
    let server = match timeout(
        connection.limits().hello,
        builder.handshake::<_, Bytes>(Paced::new(Watched::new(stream, &resets), PREFACE, OF_CLIENTS)),
    )
    .await
    {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => {
            unreadable(&shared, &Refusal::because(Reason::AmbiguousRequest, error));
            return;
        }
        Err(_) => {
            unreadable(&shared, &Refusal::of(Reason::AgentTimeout));
            return;
        }
    };
    let extended = known.is_none().then_some(extended);
    run(server, &resets, Arc::new(shared), extended).await;
}

async fn run<T: AsyncRead + AsyncWrite + Unpin>(
    mut server: Server<T, Bytes>,
    resets: &Resets,
    shared: Arc<Shared>,
    mut extended: Option<Pin<&mut impl Future<Output = bool>>>,
) {
    let idle = shared.connection.limits().keep_alive;
    let mut shutdown = shared.connection.shutdown.clone();
    let mut streams = JoinSet::new();
    let (mut to_offer, mut ending) = (false, false);
    let (mut served, mut taken_back) = (0_u64, 0_u64);
    let mut quiet_since = Instant::now();
    let mut seen = Seen::default();
    loop {
        let quiet_until = quiet_since + if ending { GOODBYE } else { idle };
        tokio::select! {
            next = next(&mut server, resets) => match next {
                Next::Written(streams) => written(&shared, &mut seen, streams),
                Next::Accepted(Some(Ok((request, mut respond)))) => {
                    seen.add(respond.stream_id().as_u32());
                    let Some(place) = shared.room.stream() else {
                        respond.send_reset(Code::REFUSED_STREAM);
                        continue;
                    };
                    let (shared, share) = (Arc::clone(&shared), Arc::clone(&shared.connection.share));
                    streams.spawn(share.run(async move {
                        shared.connection.context.audit.room().await;
                        let ended = Stream::new(&shared, respond).serve(request).await;
                        drop(place);
                        ended
                    }));
                }
                Next::Accepted(Some(Err(error))) => {
                    written(&shared, &mut seen, resets.take());
                    if !error.is_io() {
                        unreadable(&shared, &Refusal::because(Reason::AmbiguousRequest, error));
                    }
                    return;
                }
                Next::Accepted(None) => return written(&shared, &mut seen, resets.take()),
            },
            Some(ended) = streams.join_next() => {
                quiet_since = Instant::now();
                served += 1;
                taken_back += u64::from(matches!(ended, Ok(Ended::TakenBack)));
                if taken_back > MAX_TAKEN_BACK && taken_back > served / 2 {
                    let refusal = Refusal::because(Reason::AmbiguousRequest, "the client takes most of its requests back");
                    unreadable(&shared, &refusal);
                    server.abrupt_shutdown(Code::ENHANCE_YOUR_CALM);
                    streams.abort_all();
                    let _ = timeout(GOODBYE, std::future::poll_fn(|context| server.poll_closed(context))).await;
                    return;
                }
            }
            offered = known(&mut extended), if extended.is_some() => {
                extended = None;
                to_offer = offered && server.enable_connect_protocol().is_err();
            }
            // The settings cannot change again before the client has acknowledged the last ones.
            () = sleep(AGAIN), if to_offer => to_offer = server.enable_connect_protocol().is_err(),
            () = stopped(&mut shutdown), if !ending => {
                ending = true;
                // A connection that was quiet for long still has to say its goodbye.
                quiet_since = Instant::now();
                server.graceful_shutdown();
            }
            () = sleep_until(quiet_until), if streams.is_empty() => {
                if ending {
                    return;
                }
                ending = true;
                quiet_since = Instant::now();
                server.graceful_shutdown();
            }
        }
    }
}

/// A request, an error, or the end.
type Accepted = Option<Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>>;

/// What happens next on a connection.
#[expect(clippy::large_enum_variant, reason = "nearly every one is a request, and none is kept")]
enum Next {
    /// What `h2` gives.
    Accepted(Accepted),
    /// This was written to these streams.
    Written(Vec<(u32, Why)>),
}

/// Every request that came before a reset was written is given before that.
async fn next<T: AsyncRead + AsyncWrite + Unpin>(server: &mut Server<T, Bytes>, resets: &Resets) -> Next {
    std::future::poll_fn(|context| match server.poll_accept(context) {
        Poll::Ready(accepted) => Poll::Ready(Next::Accepted(accepted)),
        Poll::Pending => match resets.take() {
            none if none.is_empty() => Poll::Pending,
            streams => Poll::Ready(Next::Written(streams)),
        },
    })
    .await
}

/// Writes a record of each request that was refused before it was seen.
fn written(shared: &Shared, seen: &mut Seen, streams: Vec<(u32, Why)>) {
    for (stream, why) in streams {
        if !seen.lacks(stream) {
            continue;
        }
        // One that is answered may be reset as well.
        seen.add(stream);
        let refusal = match why {
            Why::Nonsense => {
                Refusal::because(Reason::AmbiguousRequest, "the head of the request makes no sense in HTTP/2")
            }
            Why::Bare => Refusal::because(Reason::HeadTooLarge, HeadError::TooLarge),
        };
        unreadable(shared, &refusal);
    }
}

async fn known(extended: &mut Option<Pin<&mut impl Future<Output = bool>>>) -> bool {
    match extended {
        Some(extended) => extended.await,
        None => std::future::pending().await,
    }
}

async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // Whoever could say so being gone says it, too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn unreadable(shared: &Shared, refusal: &Refusal) {
    let snapshot = shared.connection.snapshot();
    shared.inside.unreadable(&shared.connection, &snapshot, Protocol::H2, refusal);
}
