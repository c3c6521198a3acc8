//! Reading a file of a directory: whole, bounded, a regular one, without ever waiting for somebody to write.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};

use super::LoadError;

/// What is made of a symbolic link in a file's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// It is followed: in directories that the operator keeps, links are how a new policy is put in place.
    Followed,
    /// It is an error: in the daemon's own directory nobody else puts anything.
    Refused,
}

/// Opens a directory.
pub(super) fn directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The bytes of a file.
pub(super) fn whole(
    directory: BorrowedFd<'_>,
    name: &'static str,
    limit: u64,
    links: Links,
) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read { file: name, source };
    let (_, bytes) = bounded(directory, name, limit, links).map_err(failed)?;
    bytes.ok_or(LoadError::TooLarge { file: name, limit })
}

/// A file in a directory: what it is, and its bytes, `None` when they are more than `limit`.
///
/// # Errors
/// What the system says, and what is no regular file.
pub(crate) fn bounded(
    directory: BorrowedFd<'_>,
    path: impl AsRef<Path>,
    limit: u64,
    links: Links,
) -> io::Result<(Metadata, Option<Vec<u8>>)> {
    let follow = match links {
        Links::Followed => OFlags::empty(),
        Links::Refused => OFlags::NOFOLLOW,
    };
    // Not blocking: a FIFO in its place must not stop the loader.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | follow;
    let file = File::from(openat(directory, path.as_ref(), flags, Mode::empty())?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len().min(limit)).unwrap_or_default());
    file.take(limit + 1).read_to_end(&mut bytes)?;
    let fits = bytes.len() as u64 <= limit;
    Ok((found, fits.then_some(bytes)))
}
