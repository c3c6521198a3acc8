//! Queries in streams (RFC 7766).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::super::message::Carrier;
use super::{Answer, Errors, Shared, Step};

/// Accepts connections. Those over the limits are closed at once.
pub(super) async fn serve<A: Answer>(shared: Arc<Shared<A>>, listener: TcpListener) -> io::Result<()> {
    let mut errors = Errors::default();
    // Dropped with this future, and the connections with it.
    let mut tasks = JoinSet::new();
    loop {
        shared.answer.room().await;
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                errors.pause(error).await?;
                continue;
            }
        };
        errors.clear();
        while tasks.try_join_next().is_some() {}
        let agent = shared.agent(peer);
        let (Ok(permit), Some(place)) = (Arc::clone(&shared.connections).try_acquire_owned(), shared.place(&agent))
        else {
            shared.answer.turned_away(&agent);
            continue;
        };
        let shared = Arc::clone(&shared);
        tasks.spawn(async move {
            connection(&shared, stream, &agent).await;
            drop((permit, place));
        });
    }
}

/// Answers the queries of one connection; those that have to wait do not hold up the others.
async fn connection<A: Answer>(shared: &Arc<Shared<A>>, stream: TcpStream, agent: &Arc<str>) {
    // Failing to say so costs speed alone.
    let _ = stream.set_nodelay(true);
    let (mut from, to) = stream.into_split();
    let (replies, outbox) = mpsc::channel::<Vec<u8>>(shared.limits.waiting_per_connection.max(1));
    let idle = shared.limits.idle;
    let mut tasks = JoinSet::new();
    tasks.spawn(write_replies(to, outbox, idle));
    let places = Arc::new(Semaphore::new(shared.limits.waiting_per_connection.max(1)));
    let mut message = Vec::new();
    while read_frame(&mut from, &mut message, idle).await.is_some() {
        shared.answer.room().await;
        match shared.answer.begin(agent, &message, Carrier::Tcp) {
            Step::Silence => {}
            Step::Reply(reply) => {
                if replies.send(reply).await.is_err() {
                    break;
                }
            }
            Step::Later(future) => {
                // An agent that sends faster than it is answered waits here, and with it its connection alone.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
                match Arc::clone(&shared.waiting).try_acquire_owned() {
                    Ok(permit) => {
                        let replies = replies.clone();
                        tasks.spawn(async move {
                            // The connection may be gone by now.
                            let _ = replies.send(future.await).await;
                            drop((place, permit));
                        });
                    }
                    Err(_) => {
                        drop(future);
                        if replies.send(shared.answer.overloaded(agent, &message, Carrier::Tcp)).await.is_err() {
                            break;
                        }
                    }
                }
            }
        }
        while tasks.try_join_next().is_some() {}
    }
    // Whoever has half-closed still gets what was asked for: the writer ends when the last reply is in.
    drop(replies);
    while tasks.join_next().await.is_some() {}
}

/// Reads one message: its length, then itself. `None` at the end of the stream, or when it takes too long. Memory is taken
/// only once a length has come, and is at most 64 KiB.
async fn read_frame(from: &mut OwnedReadHalf, message: &mut Vec<u8>, idle: Duration) -> Option<()> {
    timeout(idle, async {
        let length = usize::from(from.read_u16().await.ok()?);
        message.resize(length, 0);
        from.read_exact(message).await.ok().map(drop)
    })
    .await
    .ok()?
}

/// Writes replies as they come, each in one piece with its length.
async fn write_replies(mut to: OwnedWriteHalf, mut outbox: mpsc::Receiver<Vec<u8>>, idle: Duration) {
    let mut frame = Vec::new();
    while let Some(reply) = outbox.recv().await {
        let Ok(length) = u16::try_from(reply.len()) else { return };
        if length == 0 {
            continue;
        }
        frame.clear();
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&reply);
        if !matches!(timeout(idle, to.write_all(&frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}
