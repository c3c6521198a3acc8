//! What it takes to abuse an intercepting proxy over HTTP/2 and to see what that costs others: the proxy, a server, an agent that
//! behaves, and [`ABUSES`].

mod kinds;
mod sides;
mod wire;

pub use kinds::ABUSES;
pub use sides::{Calm, calm, identity, proxy, server};
pub(crate) use sides::{connector, context, server_telling, tunnel};

use std::io::{self, Error, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One way to do harm. Each connection that ends is opened again.
#[derive(Debug, Clone, Copy)]
pub struct Abuse {
    /// What it is called.
    pub name: &'static str,
    /// How many connections do it at a time.
    connections: usize,
    /// Its SETTINGS.
    settings: &'static [(u16, u32)],
    /// What is sent first, and then again and again; the port is the server's, the number counts from 0. Nothing: it waits.
    first: fn(u16) -> Vec<u8>,
    again: fn(u16, u32) -> Vec<u8>,
    /// How long it waits after each piece.
    pace: Duration,
    /// Whether it comes to HTTP/2 at all, or sends what it has instead of TLS.
    tls: bool,
}

#[derive(Debug, Default)]
struct Counts {
    pieces: AtomicU64,
    bytes: AtomicU64,
    ended: AtomicU64,
}

impl Abuse {
    /// Goes on against a server of its own until standard input ends, and says on standard output that it has begun and at last
    /// what it did.
    ///
    /// # Errors
    /// It cannot begin.
    pub fn run(&'static self, proxy: SocketAddr, directory: &Path) -> io::Result<()> {
        let server = sides::server(directory)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let counts = Arc::new(Counts::default());
        for _ in 0..self.connections {
            let (counts, directory) = (Arc::clone(&counts), PathBuf::from(directory));
            runtime.spawn(async move {
                loop {
                    let _ = self.once(proxy, server, &directory, &counts).await;
                    counts.ended.fetch_add(1, Ordering::Relaxed);
                    // One that is turned away at once does not do without end what the proxy has no part in.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        let mut output = io::stdout();
        writeln!(output, "begun")?;
        output.flush()?;
        io::stdin().read_to_end(&mut Vec::new())?;
        let [pieces, bytes, ended] =
            [&counts.pieces, &counts.bytes, &counts.ended].map(|count| count.load(Ordering::Relaxed));
        writeln!(output, "{pieces} pieces of {} KiB in all, {ended} connections ended", bytes >> 10)?;
        output.flush()?;
        runtime.shutdown_background();
        Ok(())
    }

    async fn once(&self, proxy: SocketAddr, server: SocketAddr, directory: &Path, counts: &Counts) -> io::Result<()> {
        let port = server.port();
        if !self.tls {
            let mut stream = sides::tunnel(proxy, server).await?;
            stream.write_all(&(self.first)(port)).await?;
            return stream.read_to_end(&mut Vec::new()).await.map(|_| ());
        }
        let stream = sides::open(proxy, server, directory).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let reading = tokio::spawn(async move {
            let mut buffer = vec![0; 16 << 10];
            while reader.read(&mut buffer).await? > 0 {}
            Err::<(), _>(Error::from(io::ErrorKind::UnexpectedEof))
        });
        let settings: Vec<u8> = self.settings.iter().flat_map(|(id, value)| wire::setting(*id, *value)).collect();
        let begin = [wire::PREFACE, &wire::frame(wire::SETTINGS, 0, 0, &settings), &(self.first)(port)].concat();
        writer.write_all(&begin).await?;
        writer.flush().await?;
        for number in 0.. {
            let piece = (self.again)(port, number);
            if piece.is_empty() || reading.is_finished() {
                break;
            }
            writer.write_all(&piece).await?;
            writer.flush().await?;
            counts.pieces.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if !self.pace.is_zero() {
                tokio::time::sleep(self.pace).await;
            }
        }
        reading.await.map_err(Error::other)?
    }
}
