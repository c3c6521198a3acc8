//! Files in a directory that is open: new ones are on the disk before anybody is told of them, and links are never followed.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;

const MODE_OF_FILES: Mode = Mode::RUSR.union(Mode::WUSR);
const MODE_OF_DIRECTORIES: Mode = Mode::RWXU;

/// Makes a directory, which is an error where there is something.
pub(super) fn make_directory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    mkdirat(parent.as_fd(), name, MODE_OF_DIRECTORIES)?;
    open_directory(parent, name)
}

/// Opens a directory that is no link to one.
pub(super) fn open_directory(parent: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Writes a file that is not there yet, and waits until its content is on the disk. Its name is when the directory has been
/// synchronised.
pub(super) fn write_new(directory: impl AsFd, name: &str, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(openat(directory, name, flags, MODE_OF_FILES)?);
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until a directory's names are on the disk.
pub(super) fn synchronise(directory: impl AsFd) -> io::Result<()> {
    Ok(fsync(directory)?)
}

/// Puts one file in the place of another, in one step.
pub(super) fn replace(directory: impl AsFd, from: &str, to: &str) -> io::Result<()> {
    Ok(renameat(directory.as_fd(), from, directory.as_fd(), to)?)
}

/// Removes a file or a link, if it is there.
pub(super) fn remove(directory: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what stands at a name: a directory with the files in it, a file, or a link and not what it leads to.
pub(super) fn remove_all(parent: impl AsFd, name: &str) -> io::Result<()> {
    let directory = match open_directory(parent.as_fd(), name) {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => return remove(parent, name),
    };
    for entry in names(&directory)? {
        unlinkat(&directory, entry, AtFlags::empty())?;
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// What a directory holds.
pub(super) fn names(directory: impl AsFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}
