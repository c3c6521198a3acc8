//! Serves the operator's API over a unix socket: one request a connection, each answered in JSON.
//!
//! The reader of heads is the proxy's, so what has two readings is refused here as well, and every refusal is answered in
//! the same envelope. Invariant: no agent reaches this. Its view of the file system does not have the socket, and who
//! lives in a process namespace below ours is refused whatever way it found (see `api::peer`).

mod ca;
mod host;
mod intercept;
mod message;
mod peer;
mod socket;

#[cfg(test)]
mod tests;

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use outcall_schema::api::{ApiResponse, Endpoint, Route, route};
use serde::Serialize;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use self::message::{Asked, Failure, Unread};
use crate::intercept::Interception;
use crate::proxy::last_words;

pub use self::host::{Counter, Failed, Host, Kind, Later};
pub use self::socket::{Place, Socket, SocketError};

/// Connections at a time; further ones wait. A person and a few scripts ask.
const CONNECTIONS: usize = 16;
/// From the connection to the end of the request.
const REQUEST: Duration = Duration::from_secs(5);
/// How long accepting pauses when the process has no descriptors left, so that it does not spin.
const PAUSE: Duration = Duration::from_millis(50);

/// What the endpoints tell of and act on.
#[derive(Debug, Clone)]
pub struct Api {
    /// What looks inside TLS; absent where no policy needs it.
    pub interception: Option<Interception>,
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
struct Limits {
    connections: usize,
    request: Duration,
}

/// Serves whoever may ask, until the future is dropped.
///
/// # Errors
/// The listener cannot be used. What fails on a single connection ends that connection alone.
pub async fn serve(listener: UnixListener, api: Api) -> io::Result<()> {
    serve_within(listener, api, Limits { connections: CONNECTIONS, request: REQUEST }).await
}

async fn serve_within(listener: UnixListener, api: Api, limits: Limits) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        while tasks.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return Ok(()) };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        if let Err(stranger) = peer::check(&stream) {
            // Nothing of theirs is read, nothing waited for.
            let _ = stream.try_write(&message::answer("", &Err(Failure::new(403, stranger.to_string()))));
            continue;
        }
        let api = api.clone();
        tasks.spawn(async move {
            api.converse(stream, limits.request).await;
            drop(place);
        });
    }
}

impl Api {
    /// Reads one request, answers it and closes.
    async fn converse(&self, mut stream: UnixStream, patience: Duration) {
        let (mut reader, mut writer) = stream.split();
        let (method, done) = match timeout(patience, message::read(&mut reader, &mut writer)).await {
            Ok(Ok(asked)) => (asked.method.clone(), self.answer(&asked)),
            Ok(Err(Unread::Failed(failure))) => (String::new(), Err(failure)),
            Ok(Err(Unread::Gone)) => return,
            Err(_) => (String::new(), Err(Failure::new(408, "the request did not arrive in time"))),
        };
        last_words(&mut reader, &mut writer, &message::answer(&method, &done)).await;
    }

    /// Does what is asked for.
    fn answer(&self, asked: &Asked) -> Result<Value, Failure> {
        let endpoint = match route(&asked.method, &asked.path) {
            Route::To(endpoint) => endpoint,
            Route::OtherMethod(method) => return Err(Failure::other_method(method)),
            Route::Nowhere => return Err(Failure::new(404, "there is no such path")),
        };
        asked.nothing_more()?;
        match endpoint {
            Endpoint::CaStatus => data(ca::status(self)?),
            Endpoint::CaBundle => data(ca::bundle(self)?),
            Endpoint::Intercept => data(intercept::status(self)),
            Endpoint::InterceptCacheFlush => data(intercept::flush(self)),
        }
    }
}

fn data(data: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(data).map_err(|error| Failure::new(500, error.to_string()))
}

/// The envelope of an answer.
fn envelope(done: &Result<Value, Failure>) -> ApiResponse<&Value> {
    match done {
        Ok(data) => ApiResponse::done(data),
        Err(failure) => ApiResponse::failed(failure.why.clone()),
    }
}
