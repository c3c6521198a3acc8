//! Small things that the daemon remembers, one file of JSON each.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::PoisonError;

use outcall_schema::artifact::manifest::is_name;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{StateDir, StateError, disk};
use crate::load::{Links, bounded};

/// The largest file: ten thousand agents with long names have 2 MiB.
const FILE_MAX: u64 = 4 << 20;
const ENDING: &str = ".json";
const NEXT: &str = ".json.next";

impl StateDir {
    /// Remembers `value` in the place of what was remembered under `name`, in one step. It is on the disk when this returns.
    ///
    /// # Errors
    /// A disk that is full or may only be read; then the old value is still there. A value that is too large or has no
    /// form in JSON, and a name that is no name.
    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let (file, next) = files(name)?;
        let damaged = |why: String| StateError::Damaged { path: self.inner.path.join(&file), why };
        let mut bytes = serde_json::to_vec_pretty(value).map_err(|error| damaged(error.to_string()))?;
        bytes.push(b'\n');
        if bytes.len() as u64 > FILE_MAX {
            return Err(damaged(format!("it would be larger than {FILE_MAX} bytes")));
        }
        let _held = self.inner.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = &self.inner.directory;
        disk::remove(directory, &next)
            .and_then(|()| disk::write_new(directory, &next, &bytes))
            .and_then(|()| disk::replace(directory, &next, &file))
            .and_then(|()| disk::synchronise(directory))
            .map_err(|source| {
                let _ = disk::remove(directory, &next);
                StateError::Io { what: "write", path: self.inner.path.join(&file), source }
            })
    }

    /// What was remembered under `name`; `None` when there is nothing. A file with anything in it that would not be written
    /// again, such as a member that `T` does not know, is refused: another version wrote it.
    ///
    /// # Errors
    /// A file that cannot be read, is too large, or is not what [`StateDir::write_json`] wrote for a `T`.
    pub fn read_json<T: Serialize + DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let (file, _) = files(name)?;
        let path = || self.inner.path.join(&file);
        let damaged = |why: String| StateError::Damaged { path: path(), why };
        let bytes = match bounded(self.inner.directory.as_fd(), &file, FILE_MAX, Links::Refused) {
            Ok((_, bytes)) => bytes.ok_or_else(|| damaged(format!("it is larger than {FILE_MAX} bytes")))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(StateError::Io { what: "read", path: path(), source }),
        };
        let value: T = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let found: Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let again = serde_json::to_value(&value).map_err(|error| damaged(error.to_string()))?;
        if found != again {
            return Err(damaged("it says more, or less, than this version understands".to_owned()));
        }
        Ok(Some(value))
    }
}

fn files(name: &str) -> Result<(String, String), StateError> {
    if !is_name(name) {
        return Err(StateError::Name(name.escape_default().take(80).collect()));
    }
    Ok((format!("{name}{ENDING}"), format!(".{name}{NEXT}")))
}

/// Removes what did not take its place.
pub(super) fn clean(directory: &OwnedFd) {
    for name in disk::names(directory).unwrap_or_default() {
        if let Some(name) = name.to_str().filter(|name| name.starts_with('.') && name.ends_with(NEXT)) {
            let _ = disk::remove(directory, name);
        }
    }
}
