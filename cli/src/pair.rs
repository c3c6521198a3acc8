//! A public file and the private one that belongs to it, as a certificate and its key: read whole, and made so that both
//! appear together or not at all, whatever happens meanwhile.
//!
//! A directory that is not there yet is made under another name and renamed, which is one step. In one that is there, both
//! files are links to what has been written and synchronised elsewhere; when the second link fails the first is taken
//! back, and what a crash between the two leaves is recognised by that elsewhere and taken back by the next command.
//! Links and this kind of rename never replace anything.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use outcall_schema::ca::{Zeroizing, exposed};

/// The names of a public file and the private one beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) public: &'static str,
    pub(crate) private: &'static str,
}

/// What stands in one directory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// What is under way has names that begin so.
    pub(crate) under_way: &'static str,
    /// All pairs that there can be.
    pub(crate) pairs: &'static [Names],
}

/// Larger files are something else: a chain of eight large certificates has 20 KiB.
const FILE_MAX: usize = 64 << 10;

/// A directory for the user's own data, below `outcall`.
pub(crate) fn users_own(name: &str) -> Result<PathBuf, String> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("outcall").join(name))
        .ok_or_else(|| "neither XDG_DATA_HOME nor HOME is set; name a directory".to_owned())
}

/// The user that this process acts as.
pub(crate) fn caller() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// The text of a file that is there, of any that may be read.
///
/// # Errors
/// Why it cannot be read; `None` when there is nothing.
pub(crate) fn read(path: &Path) -> Result<Option<String>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let Some(file) = open(path).map_err(failed)? else { return Ok(None) };
    text_of(&file).map(|text| Some(text.to_string())).map_err(failed)
}

/// The text of a file that holds a private key.
///
/// # Errors
/// Why it cannot be used: among other things that others can read it. `None` when there is nothing.
pub(crate) fn read_private(path: &Path) -> Result<Option<Zeroizing<String>>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let Some(file) = open(path).map_err(failed)? else { return Ok(None) };
    let found = file.metadata().map_err(failed)?;
    if let Some(why) = exposed(found.mode(), found.uid(), caller().map_err(failed)?) {
        return Err(format!("{}: {why}", path.display()));
    }
    text_of(&file).map(Some).map_err(failed)
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match fs::metadata(path) {
        Ok(found) if found.is_file() => File::open(path).map(Some),
        Ok(_) => Err(io::Error::other("it is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn text_of(file: &File) -> io::Result<Zeroizing<String>> {
    // Sized beforehand: a buffer that grows leaves what it held behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_MAX + 64));
    file.take(FILE_MAX as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes")));
    }
    let text = str::from_utf8(&bytes).map_err(|_| io::Error::other("it is not text"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Whether either of these files is there, and which.
pub(crate) fn taken(directory: &Path, names: Names) -> Option<PathBuf> {
    [names.public, names.private]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
}

/// Puts both files into a directory, which is made when it is not there.
///
/// # Errors
/// What the system says, `AlreadyExists` when either file is there. Then neither is new.
pub(crate) fn place(directory: &Path, kind: Kind, names: Names, public: &str, private: &str) -> io::Result<()> {
    // A relative path of one name has an empty parent.
    let parent = match directory.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    if directory.symlink_metadata().is_err() {
        fs::create_dir_all(parent)?;
        clean(parent, kind)?;
        let staged = Staged::new(parent, kind, names, public, private)?;
        staged.directory.set_permissions(Permissions::from_mode(0o755))?;
        match fs::rename(&staged.path, directory) {
            Ok(()) => return File::open(parent)?.sync_all(),
            // Somebody made it meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    clean(directory, kind)?;
    let staged = Staged::new(directory, kind, names, public, private)?;
    let (from, to) = (|name: &str| staged.path.join(name), |name: &str| directory.join(name));
    fs::hard_link(from(names.private), to(names.private))?;
    if let Err(error) = fs::hard_link(from(names.public), to(names.public)) {
        let _ = fs::remove_file(to(names.private));
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// Both files under way: on disk, in a directory of their own that nobody else can enter, and which is
/// locked as long as its maker lives.
struct Staged {
    path: PathBuf,
    directory: File,
    kind: Kind,
}

impl Staged {
    fn new(parent: &Path, kind: Kind, names: Names, public: &str, private: &str) -> io::Result<Staged> {
        let path = tempfile::Builder::new().prefix(kind.under_way).tempdir_in(parent)?.keep();
        let staged = Staged { directory: File::open(&path)?, path, kind };
        staged.directory.lock()?;
        for (name, mode, text) in [(names.private, 0o600, private), (names.public, 0o644, public)] {
            let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(staged.path.join(name));
            let mut file = options?;
            file.write_all(text.as_bytes())?;
            file.set_permissions(Permissions::from_mode(mode))?;
            file.sync_all()?;
        }
        staged.directory.sync_all()?;
        Ok(staged)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        discard(&self.path, self.kind);
    }
}

/// Removes what is under way at a path, if it is still there, and nothing else.
fn discard(path: &Path, kind: Kind) {
    for names in kind.pairs {
        let _ = fs::remove_file(path.join(names.private));
        let _ = fs::remove_file(path.join(names.public));
    }
    let _ = fs::remove_dir(path);
}

/// Takes back what commands left that did not come to their end.
pub(crate) fn clean(directory: &Path, kind: Kind) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(kind.under_way)
            && entry.metadata().is_ok_and(|found| found.is_dir() && caller().is_ok_and(|caller| found.uid() == caller));
        if !ours {
            continue;
        }
        let path = entry.path();
        // A lock says that its maker lives.
        let Ok(lock) = File::open(&path) else { continue };
        if lock.try_lock().is_err() {
            continue;
        }
        for names in kind.pairs {
            let placed = |name: &str| same(&path.join(name), &directory.join(name));
            if placed(names.private) && !placed(names.public) {
                fs::remove_file(directory.join(names.private))?;
            }
        }
        discard(&path, kind);
    }
    Ok(())
}

/// Whether two paths are one file.
fn same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.symlink_metadata().map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CURRENT: Names = Names { public: "ca.crt", private: "ca.key" };
    const NEXT: Names = Names { public: "ca-next.crt", private: "ca-next.key" };
    const KIND: Kind = Kind { under_way: ".test-", pairs: &[CURRENT, NEXT] };

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: PathBuf) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn both_files_appear_with_their_modes_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let there = home.path().join("there");
        fs::create_dir(&there).unwrap();
        fs::write(there.join("other"), "").unwrap();
        for directory in [home.path().join("new/deeper"), there] {
            place(&directory, KIND, CURRENT, "certificate", "key").unwrap();
            place(&directory, KIND, NEXT, "certificate", "key").unwrap();
            let others = names(&directory).into_iter().filter(|name| name == "other" || name.starts_with('.')).count();
            assert_eq!(names(&directory).len() - others, 4);
            assert!(names(&directory).iter().all(|name| !name.starts_with('.')), "{:?}", names(&directory));
            assert_eq!((mode(directory.join("ca.crt")), mode(directory.join("ca.key"))), (0o644, 0o600));
            assert_eq!(fs::read_to_string(directory.join("ca.key")).unwrap(), "key");
        }
        assert_eq!(names(home.path()), ["new", "there"]);
    }

    #[test]
    fn neither_file_is_replaced_and_then_neither_is_new() {
        for name in ["ca.crt", "ca.key"] {
            let home = tempfile::tempdir().unwrap();
            fs::write(home.path().join(name), "old").unwrap();
            assert_eq!(place(home.path(), KIND, CURRENT, "c", "k").unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(names(home.path()), [name]);
            assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), "old");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(home.path().join("elsewhere"), home.path().join("ca.key")).unwrap();
        assert!(place(home.path(), KIND, CURRENT, "c", "k").is_err());
        assert_eq!(names(home.path()), ["ca.key"]);
    }

    #[test]
    fn what_a_crash_left_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let staged = Staged::new(home.path(), KIND, CURRENT, "c", "k").unwrap();
        fs::hard_link(staged.path.join("ca.key"), home.path().join("ca.key")).unwrap();
        clean(home.path(), KIND).unwrap();
        assert_eq!(names(home.path()).len(), 2, "its maker lives");
        staged.directory.unlock().unwrap();
        std::mem::forget(staged);
        clean(home.path(), KIND).unwrap();
        assert_eq!(names(home.path()), [""; 0]);
    }

    #[test]
    fn what_a_crash_left_complete_stays() {
        let home = tempfile::tempdir().unwrap();
        let staged = Staged::new(home.path(), KIND, CURRENT, "c", "k").unwrap();
        for name in ["ca.key", "ca.crt"] {
            fs::hard_link(staged.path.join(name), home.path().join(name)).unwrap();
        }
        staged.directory.unlock().unwrap();
        std::mem::forget(staged);
        clean(home.path(), KIND).unwrap();
        assert_eq!(names(home.path()), ["ca.crt", "ca.key"]);
    }

    #[test]
    fn only_one_of_many_makes_it() {
        let home = tempfile::tempdir().unwrap();
        for directory in [home.path().join("new"), home.path().to_owned()] {
            let results: Vec<bool> = std::thread::scope(|scope| {
                let directory = &directory;
                let runs: Vec<_> = (0..8)
                    .map(|number: u32| {
                        scope.spawn(move || {
                            place(directory, KIND, CURRENT, &number.to_string(), &number.to_string()).is_ok()
                        })
                    })
                    .collect();
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|made| **made).count(), 1, "{results:?}");
            let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
            assert_eq!(text("ca.crt"), text("ca.key"));
        }
    }
}
