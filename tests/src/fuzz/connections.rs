//! The fuzz target of whole connections in HTTP/2: bytes behind the preface, inside TLS that the real proxy ends, with a real
//! server behind it.
//!
//! Whatever comes, the connection ends, the next one is served, and the server is asked for nothing that the rules do not allow.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http::request::Parts;
use outcall_runtime::proxy::{Mode, serve};
use outcall_schema::path;
use outcall_verify::h2::{Field, block, frame, request};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::served;
use crate::abuse;

/// Its name, and that of the threads on which the proxy runs.
pub(super) const NAME: &str = "http2-connections";

/// What stands in inputs for the server's port, which is another in each run; the kernel gives out ports of as many digits.
const PORT: &str = "11111";
const AUTHORITY: &str = "127.0.0.1:11111";

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The type of a frame with settings, with which each side begins (RFC 9113, section 3.4).
const SETTINGS: u8 = 4;

/// How long the proxy may be silent before the client goes: the server is next door, and answers in a few milliseconds.
const QUIET: Duration = Duration::from_millis(12);
/// How long a connection whose client has said all may go on.
const PATIENCE: Duration = Duration::from_secs(4);

pub(super) const WORDS: &[&str] = &[
    "\0\0\0\u{4}\0\0\0\0\0",
    "\0\0\0\u{4}\u{1}\0\0\0\0",
    "\0\0\u{8}\u{6}\0\0\0\0\0abcdefgh",
    "\0\0\u{4}\u{8}\0\0\0\0\u{1}\0\0\u{1}\0",
    "\0\0\u{4}\u{3}\0\0\0\0\u{1}\0\0\0\u{8}",
    "\0\0\0\0\u{1}\0\0\0\u{1}",
    "\0\0\u{5}\0\u{1}\0\0\0\u{1}hello",
    "\0\0\u{6}\u{4}\0\0\0\0\0\0\u{3}\0\0\0\0",
    "\0\0\u{6}\u{4}\0\0\0\0\0\0\u{4}\0\0\0\0",
    "\0\0\u{5}\u{2}\0\0\0\0\u{3}\0\0\0\u{1}\u{10}",
    "\0\0\u{8}\u{7}\0\0\0\0\0\0\0\0\0\0\0\0\0",
    "\u{10}\u{4}host\u{9}evil.test",
    "\u{10}\u{7}:method\u{6}DELETE",
    "\u{10}\u{5}:path\u{9}/../admin",
    "\u{10}\u{a}:authority\u{9}evil.test",
    "\u{10}\u{9}:protocol\u{9}websocket",
    "\u{10}\u{e}content-length\u{1}5",
    "\u{10}\u{11}transfer-encoding\u{7}chunked",
    "\u{10}\u{2}te\u{8}trailers",
    "\u{10}\u{6}expect\u{c}100-continue",
    "\u{10}\u{1}x\u{3}a\r\n",
    "please",
    PORT,
];

pub(super) fn seeds() -> Vec<Vec<u8>> {
    const GET: [Field; 4] = [(":method", "GET"), (":scheme", "https"), (":authority", AUTHORITY), (":path", "/a?b=c")];
    const PUT: [Field; 4] = [(":method", "PUT"), (":scheme", "https"), (":authority", AUTHORITY), (":path", "/")];
    let begin = || frame(SETTINGS, 0, 0, &[]);
    let head = |stream: u32, flags: u8, fields: &[Field]| frame(1, flags, stream, &block(fields));
    let two = [begin(), request(1, &GET), frame(SETTINGS, 1, 0, &[]), request(3, &GET)];
    let body = [begin(), head(1, 4, &PUT), frame(0, 0, 1, b"if you "), frame(0, 1, 1, b"please")];
    let refused = [begin(), head(1, 4, &PUT), frame(0, 1, 1, b"a body"), request(3, &GET)];
    let fields = block(&GET);
    let (first, second) = fields.split_at(fields.len() / 2);
    let pieces = [begin(), frame(1, 1, 1, first), frame(9, 4, 1, second)];
    let trailers = [begin(), head(1, 4, &PUT), frame(0, 0, 1, b"please"), head(1, 5, &[("x-trailer", "y")])];
    let control = [begin(), request(1, &GET), frame(6, 0, 0, b"12345678"), frame(8, 0, 0, &[0, 1, 0, 0])];
    let padded = [begin(), frame(1, 0x2d, 1, &[&[2, 0, 0, 0, 0, 16][..], &fields, &[0, 0]].concat())];
    let taken_back = [begin(), request(1, &GET), frame(3, 0, 1, &[0, 0, 0, 8]), frame(7, 0, 0, &[0; 8])];
    // Indexed fields of the static table, and one that is remembered and named again (RFC 7541, section 6).
    let indexed = [&[0x82, 0x87, 0x84, 0x41, 15][..], AUTHORITY.as_bytes(), &[0x40, 1, b'x', 1, b'y', 0xbe]].concat();
    let remembered = [begin(), frame(1, 5, 1, &indexed), frame(1, 5, 3, &[0x82, 0x87, 0x84, 0xbf, 0xbe])];
    let settings = [frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1, 0, 5, 0, 0, 0x40, 0]), request(1, &GET)];
    vec![
        two.concat(),
        body.concat(),
        refused.concat(),
        pieces.concat(),
        trailers.concat(),
        control.concat(),
        padded.concat(),
        taken_back.concat(),
        remembered.concat(),
        settings.concat(),
    ]
}

struct Stand {
    runtime: tokio::runtime::Runtime,
    proxy: SocketAddr,
    server: SocketAddr,
    connector: TlsConnector,
}

/// The proxy and the server, which are there until the process ends.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
fn stand() -> &'static Stand {
    static STAND: OnceLock<Stand> = OnceLock::new();
    STAND.get_or_init(|| {
        let directory: PathBuf = tempfile::tempdir().expect("a directory").keep();
        abuse::identity(&directory).expect("an identity");
        let server = abuse::server_telling(&directory, tell).expect("a server");
        let context = abuse::context(&directory).expect("a proxy");
        let connector = abuse::connector(&directory).expect("what the agent trusts");
        let _ = std::fs::remove_dir_all(&directory);
        let runtime = served::runtime(NAME);
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let proxy = listener.local_addr().expect("an address");
        let (stop, stopped) = tokio::sync::watch::channel(false);
        drop(runtime.spawn(async move {
            let served = serve(listener, Mode::Explicit, context, stopped).await;
            drop(stop);
            served
        }));
        Stand { runtime, proxy, server, connector }
    })
}

/// What the server was asked that it must not be.
static WRONG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many requests it was asked in all.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn tell(request: &Parts) {
    ASKED.fetch_add(1, Ordering::Relaxed);
    let target = request.uri.path_and_query().map_or("", |target| target.as_str());
    let server = stand().server.to_string();
    let fields = &request.headers;
    let allowed = ["GET", "POST", "PUT"].contains(&request.method.as_str())
        && path::check(target).is_ok()
        && request.uri.authority().is_some_and(|authority| authority.as_str() == server)
        && fields.get_all("host").iter().all(|host| host.as_bytes() == server.as_bytes())
        && !["connection", "proxy-authorization", "transfer-encoding", "upgrade"]
            .iter()
            .any(|it| fields.contains_key(*it));
    if !allowed {
        WRONG.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{request:?}"));
    }
}

pub(super) fn check(input: &[u8]) {
    check_after(QUIET, input);
}

fn check_after(quiet: Duration, input: &[u8]) {
    let stand = stand();
    let port = stand.server.port().to_string();
    assert_eq!(port.len(), PORT.len(), "the kernel gives out ports of five digits");
    let mut said = PREFACE.to_vec();
    said.extend(input);
    for at in 0..said.len().saturating_sub(PORT.len() - 1) {
        if let Some(place) = said.get_mut(at..at + PORT.len())
            && place == PORT.as_bytes()
        {
            place.copy_from_slice(port.as_bytes());
        }
    }
    let heard = stand.runtime.block_on(async { tokio::time::timeout(PATIENCE, converse(stand, &said, quiet)).await });
    let heard = heard.map_err(|_| "the connection does not end").and_then(|heard| heard.map_err(|_| "there is no TLS"));
    match heard {
        Ok(heard) => assert_eq!(heard.get(3), Some(&SETTINGS), "{heard:?} is no beginning of HTTP/2"),
        Err(why) => assert!(why.is_empty(), "{why}"),
    }
    let wrong = std::mem::take(&mut *WRONG.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(wrong.is_empty(), "the server was asked for {wrong:?}");
    served::heard_no_panic(NAME);
}

async fn converse(stand: &Stand, said: &[u8], quiet: Duration) -> std::io::Result<Vec<u8>> {
    let tunnel = abuse::tunnel(stand.proxy, stand.server).await?;
    let mut stream = stand.connector.connect(ServerName::from(stand.server.ip()), tunnel).await?;
    // Whoever is refused within may be told so before all is written.
    let _ = stream.write_all(said).await;
    let mut heard = Vec::new();
    // Who goes away takes back what was not answered yet.
    while let Ok(Ok(1..)) = tokio::time::timeout(quiet, stream.read_buf(&mut heard)).await {}
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut heard).await;
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_reach_the_server() {
        for seed in seeds() {
            check_after(Duration::from_millis(500), &seed);
        }
        let asked = ASKED.load(Ordering::Relaxed);
        assert!(asked >= seeds().len(), "{asked} requests of {} connections", seeds().len());
    }
}
