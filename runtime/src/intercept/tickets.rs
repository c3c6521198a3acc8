//! Tickets with which a client resumes a session, good for one host alone.
//!
//! rustls compares the server name of a resumed session itself, but a client need not send one. Here the host that the
//! connection is judged by is in the ticket: what was given out for one host opens nothing for another, whatever the client
//! says.

use std::sync::Arc;

use outcall_schema::artifact::digest::Digest;
use outcall_schema::host::Host;
use rustls::server::ProducesTickets;

/// Tickets for one host, out of a producer that all share.
#[derive(Debug)]
pub(super) struct HostTickets {
    host: Digest,
    shared: Arc<dyn ProducesTickets>,
}

impl HostTickets {
    pub(super) fn new(host: &Host, shared: Arc<dyn ProducesTickets>) -> HostTickets {
        HostTickets { host: Digest::of(host.as_authority().as_bytes()), shared }
    }
}

impl ProducesTickets for HostTickets {
    fn enabled(&self) -> bool {
        self.shared.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.shared.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let bound = zeroize::Zeroizing::new([self.host.bytes().as_slice(), plain].concat());
        self.shared.encrypt(&bound)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let bound = zeroize::Zeroizing::new(self.shared.decrypt(cipher)?);
        bound.strip_prefix(self.host.bytes().as_slice()).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_nothing_for_another_host() {
        let shared = rustls::crypto::aws_lc_rs::Ticketer::new().unwrap();
        let tickets = |host: &str| HostTickets::new(&Host::parse(host).unwrap(), Arc::clone(&shared));
        let ticket = tickets("a.example").encrypt(b"a session").unwrap();
        assert_eq!(tickets("a.example").decrypt(&ticket).as_deref(), Some(b"a session".as_slice()));
        for other in ["b.example", "example", "192.0.2.1", "::1"] {
            assert_eq!(tickets(other).decrypt(&ticket), None, "{other}");
        }
        let bare = shared.encrypt(b"a session").unwrap();
        assert_eq!(tickets("a.example").decrypt(&bare), None);
        for cut in 0..ticket.len() {
            assert_eq!(tickets("a.example").decrypt(&ticket[..cut]), None);
        }
    }
}
