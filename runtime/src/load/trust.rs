//! The keys that this host accepts policies from, as files.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use outcall_schema::signing::{KeyError, Trust, exposed_to_change};
use rustix::fs::CWD;

use super::read::{Links, bounded};

/// Larger files are something else: a key has 113 bytes.
const FILE_MAX: u64 = 64 << 10;

/// Why a file does not say whom to trust.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct TrustError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug, thiserror::Error)]
enum Why {
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error("it is larger than {FILE_MAX} bytes, or no text")]
    NotText,
    #[error("{0}")]
    Exposed(String),
    #[error("{0}")]
    Key(#[from] KeyError),
}

/// The keys in these files, public keys in PEM. No files: no keys, and policies need no signature.
///
/// # Errors
/// A file that cannot be read, that others can change, or that holds anything but public keys of Ed25519.
pub fn trusted(files: &[PathBuf]) -> Result<Trust, TrustError> {
    let mut trust = Trust::unsigned();
    for path in files {
        add(&mut trust, path).map_err(|why| TrustError { path: path.clone(), why })?;
    }
    Ok(trust)
}

fn add(trust: &mut Trust, path: &Path) -> Result<(), Why> {
    let (found, bytes) = bounded(CWD, path, FILE_MAX, Links::Followed)?;
    if let Some(why) = exposed_to_change(found.mode(), found.uid(), rustix::process::geteuid().as_raw()) {
        return Err(Why::Exposed(why));
    }
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(Why::NotText)?;
    Ok(trust.add_pem(&text)?)
}
