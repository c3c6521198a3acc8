//! Queries in datagrams.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use super::super::message::Carrier;
use super::{Answer, Errors, Shared, Step};

/// Longest datagram looked at. A question and its EDNS options take far less; what is longer arrives cut and is malformed.
const QUERY_MAX: usize = 4_096;

/// Answers datagrams, those that have to wait beside each other.
pub(super) async fn serve<A: Answer>(shared: Arc<Shared<A>>, socket: UdpSocket) -> io::Result<()> {
    let socket = Arc::new(socket);
    let mut buffer = vec![0; QUERY_MAX];
    let mut errors = Errors::default();
    // Dropped with this future, and the tasks with it.
    let mut tasks = JoinSet::new();
    loop {
        // What comes meanwhile waits in the kernel, as long as that has room.
        shared.answer.room().await;
        let (length, peer) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // What an earlier reply met comes back here: the agent closed its socket before the reply came.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) => {
                continue;
            }
            Err(error) => {
                errors.pause(error).await?;
                continue;
            }
        };
        errors.clear();
        while tasks.try_join_next().is_some() {}
        let message = buffer.get(..length).unwrap_or_default();
        let agent = shared.agent(peer);
        match shared.answer.begin(&agent, message, Carrier::Udp) {
            Step::Silence => {}
            Step::Reply(reply) => send(&socket, &reply, peer).await,
            Step::Later(future) => match Arc::clone(&shared.waiting).try_acquire_owned() {
                Ok(permit) => {
                    let socket = Arc::clone(&socket);
                    tasks.spawn(async move {
                        send(&socket, &future.await, peer).await;
                        drop(permit);
                    });
                }
                Err(_) => {
                    drop(future);
                    send(&socket, &shared.answer.overloaded(&agent, message, Carrier::Udp), peer).await;
                }
            },
        }
    }
}

/// Sends a reply. One that cannot be sent is lost, as datagrams are; the agent asks again.
async fn send(socket: &UdpSocket, reply: &[u8], peer: SocketAddr) {
    if !reply.is_empty() {
        let _ = socket.send_to(reply, peer).await;
    }
}
