//! The certificates that stand for hosts: minted when first asked for, kept while they are used and fresh.
//!
//! All have one private key, which lives as long as this value and is never written anywhere.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use outcall_schema::ca::{Algorithm, CaCertificate, CaError, Issuer, PrivateKey};
use outcall_schema::host::Host;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, sign};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{NoServerSessionStorage, ProducesTickets, ResolvesServerCertUsingSni};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};

use super::tickets::HostTickets;
use super::upstream::Protocol;

/// How many leaves are kept. Each takes some 2 KiB.
const MAX: usize = 1024;
/// How far leaves are dated back, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// How long leaves are valid, counted from when they are minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafTtl(Duration);

impl LeafTtl {
    /// A time of 60 to 604800 seconds; `None` for any other.
    pub fn from_secs(seconds: u64) -> Option<LeafTtl> {
        (60..=604_800).contains(&seconds).then_some(LeafTtl(Duration::from_secs(seconds)))
    }
}

impl Default for LeafTtl {
    /// A day.
    fn default() -> LeafTtl {
        LeafTtl(Duration::from_secs(86_400))
    }
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LeavesError {
    /// The leaves' key could not be made.
    #[error(transparent)]
    Key(#[from] CaError),
    /// What rustls says.
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A certificate for one host with the key that all leaves have. Who holds one may use it to the end of a handshake, also
/// when the cache has let go of it.
#[derive(Debug)]
pub struct Leaf {
    certified: Arc<CertifiedKey>,
    http11: Arc<ServerConfig>,
    h2: Arc<ServerConfig>,
    not_before: SystemTime,
    /// When a request mints another.
    stale_at: SystemTime,
}

impl Leaf {
    /// The certificate, what leads from it towards the root, and the key.
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }

    /// What a handshake for this host needs: TLS 1.2 and 1.3, and this protocol alone (RFC 7301). Sessions are resumed for this
    /// host alone.
    pub fn server_config(&self, protocol: Protocol) -> Arc<ServerConfig> {
        match protocol {
            Protocol::Http11 => Arc::clone(&self.http11),
            Protocol::H2 => Arc::clone(&self.h2),
        }
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.stale_at
    }
}

/// The place of one host's leaf. Who mints holds it, so that others who ask meanwhile wait for the same leaf.
type Slot = Arc<Mutex<Option<Arc<Leaf>>>>;

#[derive(Debug, Default)]
struct Cache {
    entries: HashMap<Host, Entry>,
    /// Counts look-ups: the entry with the lowest number was asked for longest ago.
    turn: u64,
}

#[derive(Debug)]
struct Entry {
    slot: Slot,
    used: u64,
}

/// Mints leaves and keeps them.
pub struct Leaves {
    issuer: Issuer,
    key: PrivateKey,
    signing: Arc<dyn SigningKey>,
    intermediates: Vec<CertificateDer<'static>>,
    base: ServerConfig,
    tickets: Arc<dyn ProducesTickets>,
    ttl: Duration,
    cache: Mutex<Cache>,
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves").field("authority", &self.issuer.certificate().subject()).finish_non_exhaustive()
    }
}

impl Leaves {
    /// How many leaves are kept at most.
    pub const MAX: usize = MAX;

    /// Leaves of this authority.
    ///
    /// # Errors
    /// Without randomness or memory for the leaves' key.
    pub fn new(issuer: Issuer, ttl: LeafTtl) -> Result<Leaves, LeavesError> {
        let key = PrivateKey::generate(Algorithm::EcdsaP256)?;
        let signing =
            key.with_pkcs8(|der| sign::any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der))))??;
        let mut base = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ResolvesServerCertUsingSni::new()));
        // Tickets keep nothing here, however many clients come.
        base.session_storage = Arc::new(NoServerSessionStorage {});
        // Whoever resumes gets another one then; a second would be made for most to throw away.
        base.send_tls13_tickets = 1;
        let intermediates =
            issuer.certificate().intermediates().map(|der| CertificateDer::from(der.to_vec())).collect();
        Ok(Leaves {
            issuer,
            key,
            signing,
            intermediates,
            base,
            tickets: Ticketer::new()?,
            ttl: ttl.0,
            cache: Mutex::default(),
        })
    }

    /// The authority's certificate.
    pub fn authority(&self) -> &CaCertificate {
        self.issuer.certificate()
    }

    /// The leaf for a host: the one that is kept, or a new one. Minting takes some 20 µs under an authority on P-256 and
    /// about 1.5 ms under one with RSA, and happens on this thread.
    ///
    /// # Errors
    /// [`CaError::NotPermitted`], [`CaError::Expired`] when the authority's own time is over, and [`CaError::Making`].
    pub fn leaf(&self, host: &Host) -> Result<Arc<Leaf>, CaError> {
        self.leaf_at(host, SystemTime::now())
    }

    /// The leaf for a host if it is kept and nobody is minting it just now. Never waits.
    pub fn kept(&self, host: &Host) -> Option<Arc<Leaf>> {
        let now = SystemTime::now();
        self.issuer.certificate().valid_at(now).ok()?;
        let slot = {
            let mut cache = lock(&self.cache);
            cache.turn += 1;
            let used = cache.turn;
            let entry = cache.entries.get_mut(host)?;
            entry.used = used;
            Arc::clone(&entry.slot)
        };
        slot.try_lock().ok()?.as_ref().filter(|leaf| leaf.is_fresh(now)).map(Arc::clone)
    }

    fn leaf_at(&self, host: &Host, now: SystemTime) -> Result<Arc<Leaf>, CaError> {
        self.issuer.certificate().valid_at(now)?;
        if !self.issuer.certificate().permits(host) {
            return Err(CaError::NotPermitted { host: host.to_string() });
        }
        let slot = self.slot(host);
        let mut held = lock(&slot);
        if let Some(leaf) = held.as_ref().filter(|leaf| leaf.is_fresh(now)) {
            return Ok(Arc::clone(leaf));
        }
        let leaf = self.mint(host, now).map(Arc::new);
        match &leaf {
            Ok(leaf) => *held = Some(Arc::clone(leaf)),
            Err(_) => self.forget(host, &slot),
        }
        leaf
    }

    /// How many leaves are kept.
    pub fn len(&self) -> usize {
        lock(&self.cache).entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many leaves are kept at most.
    pub fn max(&self) -> usize {
        MAX
    }

    /// Lets go of all leaves; how many there were. Handshakes that have one go on.
    pub fn flush(&self) -> usize {
        std::mem::take(&mut lock(&self.cache).entries).len()
    }

    /// The slot of a host. Where there is none, the one that was asked for longest ago makes room.
    fn slot(&self, host: &Host) -> Slot {
        let mut cache = lock(&self.cache);
        cache.turn += 1;
        let used = cache.turn;
        if let Some(entry) = cache.entries.get_mut(host) {
            entry.used = used;
            return Arc::clone(&entry.slot);
        }
        // A look at each of a thousand takes a few microseconds, a tenth of a minting.
        let oldest = cache.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(host, _)| host.clone());
        if let Some(oldest) = oldest.filter(|_| cache.entries.len() >= MAX) {
            cache.entries.remove(&oldest);
        }
        let slot = Slot::default();
        cache.entries.insert(host.clone(), Entry { slot: Arc::clone(&slot), used });
        slot
    }

    fn forget(&self, host: &Host, slot: &Slot) {
        let mut cache = lock(&self.cache);
        if cache.entries.get(host).is_some_and(|entry| Arc::ptr_eq(&entry.slot, slot)) {
            cache.entries.remove(host);
        }
    }

    fn mint(&self, host: &Host, now: SystemTime) -> Result<Leaf, CaError> {
        let authority = self.issuer.certificate();
        let not_before = (now - BACKDATED).max(authority.not_before());
        let not_after = (now + self.ttl).min(authority.not_after());
        let der = self.issuer.leaf(host, not_before, not_after, &self.key)?;
        let mut chain = vec![CertificateDer::from(der)];
        chain.extend(self.intermediates.iter().cloned());
        let certified = Arc::new(CertifiedKey::new(chain, Arc::clone(&self.signing)));
        let mut config = self.base.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&certified)));
        config.ticketer = Arc::new(HostTickets::new(host, Arc::clone(&self.tickets)));
        let speaking = |protocol: Protocol| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.alpn().to_vec()];
            Arc::new(config)
        };
        let (http11, h2) = (speaking(Protocol::Http11), speaking(Protocol::H2));
        // A client whose clock is ahead still accepts it; near the authority's end a new one would be valid no longer.
        let renewal = if not_after < authority.not_after() { self.ttl / 4 } else { Duration::ZERO };
        Ok(Leaf { certified, http11, h2, not_before, stale_at: not_after - renewal })
    }
}

/// What a thread left behind when it panicked is whole: each change is one assignment or one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
