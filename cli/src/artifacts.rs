//! Compiled artifacts in a directory, checked to belong together.

use std::path::Path;
use std::sync::Arc;

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::{Manifest, file};
use outcall_schema::artifact::match_program::MatchProgram;

use crate::{Exit, pair};

/// The files of one policy, as they were found at one time.
pub(crate) struct Files {
    pub(crate) manifest: Manifest,
    /// What signatures are made over.
    pub(crate) manifest_bytes: Vec<u8>,
    /// `manifest.sig`, where there is one.
    pub(crate) signatures: Option<String>,
    nft: Vec<u8>,
    dns: Vec<u8>,
    proxy: Vec<u8>,
}

/// How the command ends, and why.
pub(crate) type Failure = (Exit, String);

impl Files {
    /// Reads all of them, whichever are asked for: one that does not belong to the others says nothing about the policy.
    pub(crate) fn read(directory: &Path) -> Result<Files, Failure> {
        let manifest_bytes = read(directory, file::MANIFEST)?;
        let manifest = Manifest::from_bytes(&manifest_bytes).map_err(|error| broken(file::MANIFEST, error))?;
        let files = [file::NFT, file::DNS, file::PROXY].map(|name| checked(directory, name, &manifest));
        let [nft, dns, proxy] = files;
        let (nft, dns, proxy) = (nft?, dns?, proxy?);
        let signatures = pair::read(&directory.join(file::SIGNATURE)).map_err(|why| (Exit::Usage, why))?;
        Ok(Files { manifest, manifest_bytes, signatures, nft, dns, proxy })
    }

    /// The ruleset for the kernel.
    pub(crate) fn nft(&self) -> Result<&str, Failure> {
        str::from_utf8(&self.nft).map_err(|error| broken(file::NFT, error))
    }

    /// The DNS allow-table.
    pub(crate) fn dns(&self) -> Result<DnsTable, Failure> {
        DnsTable::from_bytes(Arc::from(self.dns.as_slice())).map_err(|error| broken(file::DNS, error))
    }

    /// The proxy's match program.
    pub(crate) fn proxy(&self) -> Result<MatchProgram, Failure> {
        MatchProgram::from_bytes(Arc::from(self.proxy.as_slice())).map_err(|error| broken(file::PROXY, error))
    }
}

fn read(directory: &Path, name: &str) -> Result<Vec<u8>, Failure> {
    let path = directory.join(name);
    std::fs::read(&path).map_err(|error| (Exit::Usage, format!("cannot read {}: {error}", path.display())))
}

fn checked(directory: &Path, name: &str, manifest: &Manifest) -> Result<Vec<u8>, Failure> {
    let bytes = read(directory, name)?;
    match manifest.files.iter().find(|row| row.name == name) {
        Some(row) if row.digest == Digest::of(&bytes) => Ok(bytes),
        Some(_) => Err(broken(name, "it does not have the digest that the manifest says")),
        None => Err(broken(name, "the manifest does not name it")),
    }
}

/// What is wrong with a file.
pub(crate) fn broken(name: &str, why: impl std::fmt::Display) -> Failure {
    (Exit::Failed, format!("{name}: {why}"))
}
