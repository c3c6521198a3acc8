//! A secret in a file of its own.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use outcall_schema::ca::exposed;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::{MAX_BYTES, Secret};

/// Room for the line break as well.
const FILE_MAX: usize = MAX_BYTES + 2;

/// Why a file gives no secret.
#[derive(Debug)]
pub(super) enum FileError {
    /// There is none.
    Missing,
    /// This is wrong with it.
    Unusable(String),
}

impl From<String> for FileError {
    fn from(why: String) -> FileError {
        FileError::Unusable(why)
    }
}

/// Reads the file, anew each time: that takes some microseconds, and a changed one is never missed. Its mode is that of the
/// very file that is read.
pub(super) fn read(path: &Path) -> Result<Secret, FileError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => FileError::Missing,
        _ => FileError::Unusable(error.to_string()),
    };
    // Not waiting: a FIFO in its place must not stop anybody.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned().into());
    }
    if let Some(why) = exposed(found.mode(), found.uid(), rustix::process::geteuid().as_raw()) {
        return Err(format!("the file: {why}").into());
    }
    // Sized beforehand: a buffer that grows leaves what it held behind.
    let mut text = Zeroizing::new(Vec::with_capacity(FILE_MAX + 64));
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() > FILE_MAX {
        return Err(format!("it has more than {MAX_BYTES} bytes").into());
    }
    Ok(Secret::of(&text)?)
}
