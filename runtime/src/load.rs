//! From files or bytes to a policy that can be put in force, all or nothing, in two stages.
//!
//! [`Artifacts::read`] and [`Artifacts::from_files`] take the bytes in, each file once and bounded. [`Artifacts::verify`]
//! decides on these very bytes: first the signature, then that they belong together, then that each is what its name
//! says. What was verified is what is used and what [`crate::state`] keeps: no file is opened a second time.

mod read;
mod trust;

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use outcall_schema::artifact::ArtifactError;
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::{Manifest, file};
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::signing::{SIGNATURES_MAX_BYTES, SignatureError};

pub use outcall_schema::signing::Trust;
pub(crate) use read::{Links, bounded};
pub use trust::{TrustError, trusted};

use crate::snapshot::Snapshot;

/// Largest manifest that is read: one of 100,000 rules with long conditions takes some 100 MiB.
const MANIFEST_MAX: u64 = 256 << 20;
/// Largest other artifact that is read.
const ARTIFACT_MAX: u64 = 1 << 30;

/// Why a directory of artifacts was not loaded. Nothing is in force from it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The artifact.
        file: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// No key that is trusted has signed the policy.
    #[error("manifest.sig: {source}")]
    Signature {
        /// What is wrong with it.
        #[from]
        source: SignatureError,
    },
    /// A file is not what its name says.
    #[error("{file}: {source}")]
    Artifact {
        /// The artifact.
        file: &'static str,
        /// What is wrong with it.
        source: ArtifactError,
    },
    /// A file is larger than any policy makes it.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// The artifact.
        file: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The manifest does not list exactly the artifacts that there must be.
    #[error("manifest.json lists {listed}, a policy consists of outcall.nft, dns.table and proxy.prog")]
    Files {
        /// What it lists.
        listed: String,
    },
    /// A file is not the one that the manifest was written for.
    #[error("{file} has {found} bytes and the manifest says {expected}: the artifacts do not belong together")]
    Size {
        /// The artifact.
        file: &'static str,
        /// Its size.
        found: u64,
        /// The size in the manifest.
        expected: u64,
    },
    /// An artifact is not among the files that were handed over.
    #[error("{file} is missing")]
    Missing {
        /// The artifact.
        file: &'static str,
    },
    /// Something else is among them, or one of them is there twice.
    #[error(
        "`{name}` is not expected or comes twice: a policy consists of manifest.json, outcall.nft, dns.table and \
         proxy.prog, and manifest.sig where it is signed"
    )]
    Unexpected {
        /// Its name, made printable and cut off.
        name: String,
    },
    /// The ruleset is not text.
    #[error("outcall.nft is not UTF-8")]
    NotText,
    /// The policy terminates TLS, which needs a certificate authority.
    #[error(
        "manifest.json says that the policy needs TLS interception (a rule with `mode: intercept` or an entry in \
         `interception.hosts`), and there is no certificate authority: name one, remove it or write `mode: proxy`"
    )]
    InterceptionUnavailable,
}

/// Whether there is a certificate authority with which to look inside TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority {
    /// There is one, or one will be made.
    Present,
    /// There is none: a policy that needs one does not load.
    Absent,
}

/// Loads the artifacts from `directory` and validates that they are signed by a key of `trust`, where it has any, that each
/// is what it should be and that they belong together.
///
/// # Errors
/// The first problem found, which names the file. There is no partial result.
pub fn from_dir(directory: &Path, authority: Authority, trust: &Trust) -> Result<Snapshot, LoadError> {
    Artifacts::read(directory)?.verify(trust, authority)
}

/// The bytes of a policy's files, not judged yet. Clones share them.
#[derive(Clone)]
pub struct Artifacts {
    manifest: Arc<[u8]>,
    signature: Option<Arc<[u8]>>,
    nft: Arc<[u8]>,
    dns: Arc<[u8]>,
    proxy: Arc<[u8]>,
}

impl std::fmt::Debug for Artifacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sizes = self.files().map(|(name, bytes)| (name, bytes.len()));
        f.debug_map().entries(sizes).finish()
    }
}

impl Artifacts {
    /// Reads each file of a directory once. The directory is looked up once, so that whoever exchanges it meanwhile does
    /// not mix two.
    ///
    /// # Errors
    /// A file that is missing, not a regular one, too large or unreadable. `manifest.sig` may be missing.
    pub fn read(directory: &Path) -> Result<Artifacts, LoadError> {
        let opened = read::directory(directory).map_err(|source| LoadError::Read { file: file::MANIFEST, source })?;
        Artifacts::read_in(opened.as_fd(), Links::Followed)
    }

    /// The same for a directory that is open.
    pub(crate) fn read_in(directory: impl AsFd, links: Links) -> Result<Artifacts, LoadError> {
        let directory = directory.as_fd();
        let one = |name| read::whole(directory, name, limit(name), links).map(Arc::<[u8]>::from);
        let signature = match one(file::SIGNATURE) {
            Err(LoadError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            signature => Some(signature?),
        };
        Ok(Artifacts {
            manifest: one(file::MANIFEST)?,
            signature,
            nft: one(file::NFT)?,
            dns: one(file::DNS)?,
            proxy: one(file::PROXY)?,
        })
    }

    /// Takes files over that came in another way, by their names.
    ///
    /// # Errors
    /// A file that is missing, that comes twice, that is too large, and one that no policy has.
    pub fn from_files(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Artifacts, LoadError> {
        let names = [file::MANIFEST, file::SIGNATURE, file::NFT, file::DNS, file::PROXY];
        let mut found: [Option<Arc<[u8]>>; 5] = [const { None }; 5];
        for (name, bytes) in files {
            let place = names.iter().zip(&mut found).find(|(known, place)| **known == name && place.is_none());
            let Some((known, place)) = place else {
                return Err(LoadError::Unexpected { name: name.escape_default().take(NAME_SHOWN).collect() });
            };
            let limit = limit(known);
            if bytes.len() as u64 > limit {
                return Err(LoadError::TooLarge { file: known, limit });
            }
            *place = Some(Arc::from(bytes));
        }
        let [manifest, signature, nft, dns, proxy] = found;
        let needed = |bytes: Option<Arc<[u8]>>, file| bytes.ok_or(LoadError::Missing { file });
        Ok(Artifacts {
            manifest: needed(manifest, file::MANIFEST)?,
            signature,
            nft: needed(nft, file::NFT)?,
            dns: needed(dns, file::DNS)?,
            proxy: needed(proxy, file::PROXY)?,
        })
    }

    /// The files, by their names.
    pub fn files(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        [
            (file::MANIFEST, Some(&self.manifest)),
            (file::SIGNATURE, self.signature.as_ref()),
            (file::NFT, Some(&self.nft)),
            (file::DNS, Some(&self.dns)),
            (file::PROXY, Some(&self.proxy)),
        ]
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?.as_ref())))
    }

    /// The ids of the trusted keys that signed; none when no keys are trusted, which then need not sign.
    ///
    /// # Errors
    /// [`LoadError::Signature`].
    pub fn signers(&self, trust: &Trust) -> Result<Vec<Digest>, LoadError> {
        Ok(trust.check(&self.manifest, self.signature.as_deref())?)
    }

    /// The policy, when it is signed by a key of `trust`, where it has any, and whole. Nothing of the bytes is read before
    /// the signature has been checked.
    ///
    /// # Errors
    /// The first problem found, which names the file. There is no partial result.
    pub fn verify(&self, trust: &Trust, authority: Authority) -> Result<Snapshot, LoadError> {
        self.signers(trust)?;
        let manifest = Manifest::from_bytes(&self.manifest).map_err(in_file(file::MANIFEST))?;
        let mut listed: Vec<&str> = manifest.files.iter().map(|row| row.name.as_str()).collect();
        listed.sort_unstable();
        if listed != [file::DNS, file::NFT, file::PROXY] {
            return Err(LoadError::Files { listed: listed.join(", ") });
        }
        for (name, bytes) in [(file::NFT, &self.nft), (file::DNS, &self.dns), (file::PROXY, &self.proxy)] {
            belongs(&manifest, name, bytes)?;
        }
        let nft = str::from_utf8(&self.nft).map_err(|_| LoadError::NotText)?.to_owned();
        let dns = DnsTable::from_bytes(Arc::clone(&self.dns)).map_err(in_file(file::DNS))?;
        let program = MatchProgram::from_bytes(Arc::clone(&self.proxy)).map_err(in_file(file::PROXY))?;
        if authority == Authority::Absent && manifest.needs.ca {
            return Err(LoadError::InterceptionUnavailable);
        }
        Ok(Snapshot { dns, program, manifest, nft })
    }
}

impl TryFrom<Bundle> for Artifacts {
    type Error = LoadError;

    /// Takes over what was uploaded.
    ///
    /// # Errors
    /// A file that is too large.
    fn try_from(bundle: Bundle) -> Result<Artifacts, LoadError> {
        let Bundle { manifest, nft, dns, proxy, signature } = bundle;
        let required = [(file::MANIFEST, manifest), (file::NFT, nft), (file::DNS, dns), (file::PROXY, proxy)];
        let files = required.into_iter().chain(signature.map(|bytes| (file::SIGNATURE, bytes)));
        Artifacts::from_files(files.map(|(name, bytes)| (name.to_owned(), bytes)))
    }
}

/// As much of a foreign name is repeated in an error.
const NAME_SHOWN: usize = 80;

fn limit(name: &str) -> u64 {
    match name {
        file::MANIFEST => MANIFEST_MAX,
        file::SIGNATURE => SIGNATURES_MAX_BYTES,
        _ => ARTIFACT_MAX,
    }
}

fn in_file(file: &'static str) -> impl Fn(ArtifactError) -> LoadError {
    move |source| LoadError::Artifact { file, source }
}

/// Whether a file has the size and digest that the manifest says.
fn belongs(manifest: &Manifest, name: &'static str, bytes: &[u8]) -> Result<(), LoadError> {
    let found = bytes.len() as u64;
    match manifest.files.iter().find(|row| row.name == name) {
        Some(row) if row.size != found => Err(LoadError::Size { file: name, found, expected: row.size }),
        Some(row) if row.digest == Digest::of(bytes) => Ok(()),
        Some(_) | None => Err(in_file(name)(ArtifactError::Digest)),
    }
}
