//! Reads compiled artifacts from a directory, all or nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use outcall_schema::artifact::ArtifactError;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::{Manifest, file};
use outcall_schema::artifact::match_program::MatchProgram;

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

/// Loads the four artifacts from `directory` and validates each and that they belong together.
///
/// # Errors
/// The first problem found, which names the file. There is no partial result.
pub fn from_dir(directory: &Path, authority: Authority) -> Result<Snapshot, LoadError> {
    let manifest = Manifest::from_bytes(&read(directory, file::MANIFEST, MANIFEST_MAX)?)
        .map_err(|source| LoadError::Artifact { file: file::MANIFEST, source })?;
    let mut listed: Vec<&str> = manifest.files.iter().map(|row| row.name.as_str()).collect();
    listed.sort_unstable();
    if listed != [file::DNS, file::NFT, file::PROXY] {
        return Err(LoadError::Files { listed: listed.join(", ") });
    }
    let nft = String::from_utf8(member(directory, &manifest, file::NFT)?).map_err(|_| LoadError::NotText)?;
    let dns = DnsTable::from_bytes(Arc::from(member(directory, &manifest, file::DNS)?))
        .map_err(|source| LoadError::Artifact { file: file::DNS, source })?;
    let program = MatchProgram::from_bytes(Arc::from(member(directory, &manifest, file::PROXY)?))
        .map_err(|source| LoadError::Artifact { file: file::PROXY, source })?;
    if authority == Authority::Absent && manifest.needs.ca {
        return Err(LoadError::InterceptionUnavailable);
    }
    Ok(Snapshot { dns, program, manifest, nft })
}

/// A file that the manifest lists, of the size and digest that it says.
fn member(directory: &Path, manifest: &Manifest, name: &'static str) -> Result<Vec<u8>, LoadError> {
    let bytes = read(directory, name, ARTIFACT_MAX)?;
    let found = bytes.len() as u64;
    match manifest.files.iter().find(|row| row.name == name) {
        Some(row) if row.size != found => Err(LoadError::Size { file: name, found, expected: row.size }),
        Some(row) if row.digest == Digest::of(&bytes) => Ok(bytes),
        Some(_) | None => Err(LoadError::Artifact { file: name, source: ArtifactError::Digest }),
    }
}

fn read(directory: &Path, name: &'static str, limit: u64) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { file: name, source };
    let file = open(&directory.join(name)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(LoadError::TooLarge { file: name, limit });
    }
    Ok(bytes)
}

/// Opens a regular file. Not blocking: a FIFO in its place must not stop the loader.
fn open(path: &Path) -> io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok(file)
}
