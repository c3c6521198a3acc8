//! The authority that intercepts: from the two files that the operator names, or made for one run.
//!
//! From the moment a key is in memory, this process leaves no core dump and cannot be looked into by others of its user.
//! What is forked afterwards would have the key as well: nothing may be.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use outcall_schema::ca::{
    Algorithm, Authority, CaCertificate, CaError, Issuer, PrivateKey, Wanted, Zeroizing, exposed,
};
use rustix::fs::OFlags;

use crate::sys::privilege;

/// Larger files are something else: a chain of eight large certificates has 20 KiB.
const FILE_MAX: usize = 64 << 10;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// Only one of the two files is named.
    #[error("{given} needs {missing} beside it")]
    OnlyOne {
        /// The option that is there.
        given: &'static str,
        /// The option that is not.
        missing: &'static str,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Others than its owner reach the key.
    #[error("{}: {why}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// What is in a file cannot be used.
    #[error("{}: {error}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: CaError,
    },
    /// An authority for one run could not be made.
    #[error("cannot make a certificate authority: {0}")]
    Making(CaError),
    /// This process's memory could not be kept from others.
    #[error("cannot keep the key in confidence: {0}")]
    Hide(io::Error),
}

/// The files of an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    /// What `--ca-cert` and `--ca-key` name; `None` when neither is there.
    ///
    /// # Errors
    /// [`AuthorityError::OnlyOne`].
    pub fn named(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<Files>, AuthorityError> {
        const CERTIFICATE: &str = "--ca-cert";
        const KEY: &str = "--ca-key";
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Files { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(AuthorityError::OnlyOne { given: CERTIFICATE, missing: KEY }),
            (None, Some(_)) => Err(AuthorityError::OnlyOne { given: KEY, missing: CERTIFICATE }),
        }
    }

    /// The file with the private key.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Reads the authority.
    ///
    /// # Errors
    /// A key that others than its owner can read or change, files that cannot be read, and all that [`Authority::of`] and
    /// [`Issuer::new`] refuse. Modes are those of the very file that is read: a link is followed once.
    pub fn load(&self) -> Result<Issuer, AuthorityError> {
        privilege::keep_confidence().map_err(AuthorityError::Hide)?;
        let unusable = |path: &Path| {
            let path = path.to_owned();
            |error| AuthorityError::Unusable { path, error }
        };
        let text = read(&self.certificate, Secrecy::Public)?;
        let certificate = CaCertificate::from_pem(&text).map_err(unusable(&self.certificate))?;
        let text = read(&self.key, Secrecy::Secret)?;
        let key = PrivateKey::from_pem(&text).map_err(unusable(&self.key))?;
        Authority::of(certificate, key, SystemTime::now()).and_then(Issuer::new).map_err(unusable(&self.certificate))
    }
}

/// An authority for one run, on P-256: it takes some 100 µs, and its key is never written anywhere.
///
/// # Errors
/// [`AuthorityError::Making`] and [`AuthorityError::Hide`].
pub fn for_one_run() -> Result<Issuer, AuthorityError> {
    privilege::keep_confidence().map_err(AuthorityError::Hide)?;
    let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now: SystemTime::now() };
    Authority::make(&wanted).and_then(Issuer::new).map_err(AuthorityError::Making)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    Secret,
}

/// The text of a regular file, opened once and without waiting for anybody.
fn read(path: &Path, secrecy: Secrecy) -> Result<Zeroizing<String>, AuthorityError> {
    let failed = |error: io::Error| AuthorityError::Read { path: path.to_owned(), error };
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(failed(io::Error::other("it is no regular file")));
    }
    if secrecy == Secrecy::Secret
        && let Some(why) = exposed(found.mode(), found.uid(), rustix::process::geteuid().as_raw())
    {
        return Err(AuthorityError::Exposed { path: path.to_owned(), why });
    }
    // Sized beforehand: a buffer that grows leaves what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_MAX + 64));
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > FILE_MAX {
        return Err(failed(io::Error::other(format!("it is larger than {FILE_MAX} bytes"))));
    }
    let text = str::from_utf8(&bytes).map_err(|_| failed(io::Error::other("it is not text")))?;
    Ok(Zeroizing::new(text.to_owned()))
}
