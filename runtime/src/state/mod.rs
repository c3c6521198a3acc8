//! What the daemon remembers over its own end: the policies it had in force, and small things of its own.
//!
//! ```text
//! /var/lib/outcall/          not writable by others, locked while a daemon uses it
//!   policies/                0700
//!     current                which generations there are, the one in force first
//!     7/                     a generation: manifest.json, manifest.sig, outcall.nft, dns.table, proxy.prog
//!   agents.json              and other small files
//! ```
//!
//! `current` and the small files are replaced by renaming what is on the disk already, so that a crash at any moment leaves
//! the old or the new one, whole. Everything is reached through directories that are held open, and links inside are
//! never followed.
//!
//! All of this waits for the disk: call it where blocking is allowed.

mod disk;
mod generations;
mod history;
mod json;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use outcall_schema::signing::exposed_to_change;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, fstat, openat};
use rustix::io::Errno;

pub use generations::{Generation, Pending};
use history::History;

/// Where the state is when nobody says otherwise.
pub const DEFAULT: &str = "/var/lib/outcall";

const POLICIES: &str = "policies";

/// Why something is not remembered, or cannot be recalled. The policy in force is not touched by any of these.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refuses.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says: among others that the disk is full or may only be read.
        source: io::Error,
    },
    /// Others could change what is remembered.
    #[error("{} is not safe: {why}", path.display())]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another process remembers things in the same place.
    #[error("{} is in use by another outcalld", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// A file is not what was written.
    #[error("{} cannot be used: {why}; remove it to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A policy is on its way already.
    #[error("another policy is being loaded")]
    UnderWay,
    /// A name or a digest that is none.
    #[error("`{0}` cannot name what is remembered")]
    Name(String),
}

/// The directory of the daemon's state, held open and locked. Clones share it.
#[derive(Debug, Clone)]
pub struct StateDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    directory: OwnedFd,
    policies: OwnedFd,
    known: Mutex<Known>,
    /// Whether a [`Pending`] lives.
    under_way: AtomicBool,
    /// Held while a small file is written.
    writing: Mutex<()>,
}

/// Which policies there are.
#[derive(Debug)]
struct Known {
    history: History,
    /// A number that no generation has had.
    next: u64,
}

impl StateDir {
    /// Opens the directory, which is made when it is not there, takes it for this process alone, and removes what a process
    /// left that did not come to its end. Where the disk may only be read, what is remembered can be recalled all the same.
    ///
    /// # Errors
    /// A directory that others can change, that another daemon uses, or whose list of generations is damaged.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        let failed = |what| move |source| StateError::Io { what, path: path.to_owned(), source };
        let directory = open_or_make(path).map_err(failed("open the state directory"))?;
        check_safe(&directory, path)?;
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(StateError::InUse { path: path.to_owned() }),
            locked => locked.map_err(io::Error::from).map_err(failed("lock the state directory"))?,
        }
        let below = path.join(POLICIES);
        let failed = |source| StateError::Io { what: "open", path: below.clone(), source };
        let policies = match disk::open_directory(&directory, POLICIES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                disk::make_directory(&directory, POLICIES).and_then(|made| disk::synchronise(&directory).map(|()| made))
            }
            opened => opened,
        };
        let policies = policies.map_err(failed)?;
        check_safe(&policies, &below)?;
        let history = History::read(&policies, &below)?;
        let next = generations::clean(&policies, &history);
        json::clean(&directory);
        let known = Mutex::new(Known { history, next });
        let (under_way, writing) = (AtomicBool::new(false), Mutex::new(()));
        let inner = Inner { path: path.to_owned(), directory, policies, known, under_way, writing };
        Ok(StateDir { inner: Arc::new(inner) })
    }
}

fn open_or_make(path: &Path) -> io::Result<OwnedFd> {
    let open = || openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    match open() {
        Err(Errno::NOENT) => {
            // A relative path of one name has an empty parent.
            let parent = path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
            std::fs::create_dir_all(parent)?;
            match std::fs::DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                Ok(()) | Err(_) => {}
            }
            File::open(parent)?.sync_all()?;
            Ok(open()?)
        }
        opened => Ok(opened?),
    }
}

/// Whether nobody but this process's user and root can change what is in a directory.
fn check_safe(directory: &OwnedFd, path: &Path) -> Result<(), StateError> {
    let found = fstat(directory).map_err(|error| StateError::Io {
        what: "look at",
        path: path.to_owned(),
        source: error.into(),
    })?;
    match exposed_to_change(found.st_mode, found.st_uid, rustix::process::geteuid().as_raw()) {
        Some(why) => Err(StateError::Exposed { path: path.to_owned(), why }),
        None => Ok(()),
    }
}
