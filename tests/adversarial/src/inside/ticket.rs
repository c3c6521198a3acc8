//! Tickets of a session with one server, in the hand of a client that offers them to every server.

use std::io::{self, Write};
use std::sync::Arc;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, NamedGroup};

use super::{Inside, tls};
use crate::prelude::{CONNECT_MODERN, MODERN_HTTP1, OK_1};

/// Asks the site that is seen inside TLS for an allowed page, and keeps the tickets that come with the answer.
///
/// # Errors
/// When there is no handshake or no answer.
pub(crate) fn of_modern(inside: &Inside) -> io::Result<Arc<ClientConfig>> {
    let mut config = tls::config(MODERN_HTTP1.alpn)?;
    config.resumption = Resumption::store(Arc::new(OneServer(ClientSessionMemoryCache::new(32))));
    let config = Arc::new(config);
    let mut stream = inside.resume(CONNECT_MODERN, MODERN_HTTP1.sni, &config)?;
    stream.write_all(&OK_1.bytes())?;
    inside.answer(&mut stream)?;
    Ok(config)
}

/// A memory that takes every server for the same one.
#[derive(Debug)]
struct OneServer(ClientSessionMemoryCache);

fn one() -> ServerName<'static> {
    ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into())
}

impl ClientSessionStore for OneServer {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(one(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&one())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(one(), value);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&one())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&one());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, value: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(one(), value);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&one())
    }
}
