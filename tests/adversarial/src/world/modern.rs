//! The internet's servers that speak HTTP/2 beside HTTP/1.1.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use rustls::ServerConfig;
use rustls::server::Accepted;
use tokio_rustls::StartHandshake;

use super::event::Event;
use super::upstream::{self, Sink};

/// Longest life of a connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most that is read of a body.
const BODY_BYTES: usize = 1 << 20;

/// Serves one connection to its end, in HTTP/2 where both sides offer it: an [`upstream::Modern`].
pub fn serve(
    accepted: Accepted,
    socket: TcpStream,
    to: SocketAddr,
    config: Arc<ServerConfig>,
    sink: &Sink,
    hello: (Option<String>, Vec<String>),
) {
    let offers = |name: &str| hello.1.iter().any(|offered| offered == name);
    if !(offers("h2") && config.alpn_protocols.iter().any(|name| name == b"h2")) {
        return upstream::plain(accepted, socket, to, config, sink, hello);
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let sink = Arc::clone(sink);
    let _ = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async move {
            socket.set_nonblocking(true)?;
            let socket = tokio::net::TcpStream::from_std(socket)?;
            let stream = StartHandshake::from_parts(accepted, socket).into_stream(config).await?;
            let (sni, alpn) = hello;
            sink(Event::Tls { to, sni: sni.clone(), alpn });
            let mut connection = h2::server::handshake(stream).await.map_err(std::io::Error::other)?;
            while let Some(Ok((request, respond))) = connection.accept().await {
                tokio::spawn(answer(request, respond, to, sni.clone(), Arc::clone(&sink)));
            }
            std::io::Result::Ok(())
        })
        .await
    });
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    to: SocketAddr,
    sni: Option<String>,
    sink: Sink,
) {
    let (parts, mut body) = request.into_parts();
    let mut content = Vec::new();
    while let Some(Ok(data)) = body.data().await {
        let _ = body.flow_control().release_capacity(data.len());
        content.extend_from_slice(&data);
        if content.len() > BODY_BYTES {
            return respond.send_reset(Reason::REFUSED_STREAM);
        }
    }
    let target = parts.uri.path_and_query().map_or("*", |target| target.as_str());
    let mut head = format!("{} {target} HTTP/2.0\r\n", parts.method);
    if let Some(authority) = parts.uri.authority() {
        head.push_str(&format!("host: {authority}\r\n"));
    }
    for (name, value) in &parts.headers {
        head.push_str(&format!("{name}: {}\r\n", String::from_utf8_lossy(value.as_bytes())));
    }
    head.push_str("\r\n");
    sink(Event::Http { to, sni, head, body: String::from_utf8_lossy(&content).into_owned() });
    if let Ok(mut stream) = respond.send_response(Response::new(()), false) {
        let _ = stream.send_data(Bytes::from_static(b"seen\n"), true);
    }
}
