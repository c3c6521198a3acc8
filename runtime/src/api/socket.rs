//! The socket's place in the file system: taken by one `outcalld` at a time, and given back at its end.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, flock};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};

use crate::sys::peer;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// How long the directory's lock may take to be had, and how often it is tried.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(5);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The system says no.
    #[error("cannot serve on {}: {error}", path.display())]
    Failed {
        /// Where.
        path: PathBuf,
        /// What it says.
        error: io::Error,
    },
    /// Somebody serves there.
    #[error("cannot serve on {}: another outcalld does", path.display())]
    Taken {
        /// Where.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("cannot serve on {}: there is something that is no socket, and it is not replaced", path.display())]
    NoSocket {
        /// Where.
        path: PathBuf,
    },
    /// Agents could not be told from their operator.
    #[error("cannot serve on a socket: this kernel does not say well enough who asks; it takes Linux 6.5")]
    Kernel,
}

/// Where the socket is to be: an absolute path without links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
}

impl Place {
    /// Finds it. The directory has to be there.
    ///
    /// # Errors
    /// [`SocketError::Failed`], and [`SocketError::Kernel`].
    pub fn find(path: &Path) -> Result<Place, SocketError> {
        let failed = |error| SocketError::Failed { path: path.to_owned(), error };
        let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let path = parent.canonicalize().map_err(failed)?.join(name);
        let (one, _other) = UnixStream::pair().map_err(failed)?;
        peer::process(&one).map_err(|_| SocketError::Kernel)?;
        Ok(Place { path })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the place for members of this group as well: 0660, where [`Place::bind`] gives 0600.
    ///
    /// # Errors
    /// See [`SocketError`]; also when the file cannot be given to the group.
    pub fn bind_for(&self, group: u32) -> Result<Socket, SocketError> {
        let socket = self.bind()?;
        let failed = |error: rustix::io::Errno| SocketError::Failed { path: self.path.clone(), error: error.into() };
        // Nobody but us may write to the directory, or the socket would be theirs to replace anyway. First the group, then the
        // mode: there is no moment at which another group may connect.
        let group = Some(rustix::fs::Gid::from_raw(group));
        rustix::fs::chownat(rustix::fs::CWD, &self.path, None, group, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_err(failed)?;
        self.set_mode(Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP)?;
        Ok(socket)
    }

    /// Takes the place for everybody: 0666. Who may ask is then for those who serve to say.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind_for_all(&self) -> Result<Socket, SocketError> {
        let socket = self.bind()?;
        self.set_mode(Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH)?;
        Ok(socket)
    }

    fn set_mode(&self, mode: Mode) -> Result<(), SocketError> {
        let changed = rustix::fs::chmodat(rustix::fs::CWD, &self.path, mode, rustix::fs::AtFlags::empty());
        changed.map_err(|error| SocketError::Failed { path: self.path.clone(), error: error.into() })
    }

    /// Takes the place. A socket that an `outcalld` left behind when it was killed is replaced.
    ///
    /// # Errors
    /// See [`SocketError`].
    pub fn bind(&self) -> Result<Socket, SocketError> {
        let failed = |error| SocketError::Failed { path: self.path.clone(), error };
        // Of two that start at the same time the second must not take a new socket for one that was left behind.
        let directory = fs::File::open(self.path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
        alone(&directory).map_err(failed)?;
        self.clear()?;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let socket = socket.map_err(|error| failed(error.into()))?;
        let bound = || -> rustix::io::Result<()> {
            // The file gets the mode that the socket has, so that there is no moment at which others could connect.
            rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
            bind(&socket, &SocketAddrUnix::new(&self.path)?)?;
            listen(&socket, BACKLOG)
        };
        bound().map_err(|error| failed(error.into()))?;
        let found = fs::symlink_metadata(&self.path).map_err(failed)?;
        Ok(Socket { listener: socket.into(), path: self.path.clone(), file: (found.dev(), found.ino()) })
    }

    /// Removes a socket that nobody serves on.
    fn clear(&self) -> Result<(), SocketError> {
        let failed = |error| SocketError::Failed { path: self.path.clone(), error };
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
            Ok(found) if !found.file_type().is_socket() => {
                return Err(SocketError::NoSocket { path: self.path.clone() });
            }
            Ok(_) => {}
        }
        match connects(&self.path) {
            Err(rustix::io::Errno::CONNREFUSED) => fs::remove_file(&self.path).map_err(failed),
            // One whose queue is full serves too.
            Ok(()) | Err(rustix::io::Errno::AGAIN) => Err(SocketError::Taken { path: self.path.clone() }),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// Waits until no other looks at the places in this directory. Whoever does is done within microseconds; one that is not
/// does it to be in the way, as agents who see the directory could, and is not heeded.
fn alone(directory: &fs::File) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::AGAIN) if Instant::now() < deadline => std::thread::sleep(PAUSE),
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            locked => return Ok(locked?),
        }
    }
}

/// Whether somebody listens, without waiting.
fn connects(path: &Path) -> rustix::io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(socket.as_fd(), &SocketAddrUnix::new(path)?)
}

/// A socket that is served on. Dropping it removes it, unless something else has taken its place.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl Socket {
    /// What to accept on.
    ///
    /// # Errors
    /// Without a descriptor left.
    pub fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| (found.dev(), found.ino()) == self.file) {
            // Left behind it harms nobody: the next one replaces it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[track_caller]
    fn said(path: &Path) -> String {
        Place::find(path).and_then(|place| place.bind()).unwrap_err().to_string()
    }

    #[test]
    fn a_place_is_taken_once_readable_by_its_owner_alone_and_given_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let place = Place::find(&path).unwrap();
        let socket = place.bind().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(said(&path).ends_with("another outcalld does"));
        drop(socket);
        assert!(!path.exists());
        place.bind().unwrap();
    }

    #[test]
    fn a_place_for_a_group_is_readable_by_it_and_by_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let group = rustix::process::getegid().as_raw();
        let _socket = Place::find(&path).unwrap().bind_for(group).unwrap();
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.permissions().mode() & 0o7777, found.gid()), (0o660, group));
    }

    #[test]
    fn a_place_for_all_can_be_connected_to_by_all_whatever_the_mask() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let _socket = Place::find(&path).unwrap().bind_for_all().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o666);
    }

    #[test]
    fn whoever_locks_the_directory_for_good_is_not_heeded() {
        let directory = tempfile::tempdir().unwrap();
        let held = fs::File::open(directory.path()).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        Place::find(&directory.path().join("s")).unwrap().bind().unwrap();
    }

    #[test]
    fn of_many_that_want_a_place_one_gets_it_and_neighbours_do_not_matter() {
        let directory = tempfile::tempdir().unwrap();
        drop(UnixListener::bind(directory.path().join("s")).unwrap());
        let bound: Vec<bool> = std::thread::scope(|scope| {
            let bind = |name: &'static str| {
                let path = directory.path().join(name);
                scope.spawn(move || Place::find(&path).and_then(|place| place.bind()))
            };
            let threads: Vec<_> = ["s", "s", "s", "s", "s", "s", "a", "b"].map(bind).into_iter().collect();
            let sockets: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            sockets.iter().map(Result::is_ok).collect()
        });
        assert_eq!(bound.iter().take(6).filter(|bound| **bound).count(), 1);
        assert_eq!(bound.get(6..), Some([true, true].as_slice()));
    }

    #[test]
    fn what_was_left_behind_is_replaced_and_nothing_else_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        drop(UnixListener::bind(&path).unwrap());
        let first = Place::find(&path).unwrap().bind().unwrap();
        // Somebody removed it and serves there: that is not ours to remove.
        fs::remove_file(&path).unwrap();
        let other = UnixListener::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(other);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "precious").unwrap();
        assert!(said(&path).contains("no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(said(&link).contains("no socket"));
    }

    #[test]
    fn a_place_that_cannot_be_is_told_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        assert!(said(&directory.path().join("none/s")).contains("none/s: No such file"));
        let long = directory.path().join("s".repeat(120));
        assert!(said(&long).contains("sss: "), "{}", said(&long));
        assert!(said(Path::new("/")).contains("cannot serve on /"));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        let place = Place::find(&link.join("s")).unwrap();
        assert_eq!(place.path(), directory.path().canonicalize().unwrap().join("s"));
    }
}
