//! The files of a certificate authority: read whole, and made so that a certificate and its key appear together or not at
//! all, whatever happens meanwhile.
//!
//! A directory that is not there yet is made under another name and renamed, which is one step. In one that is there, both
//! files are links to what has been written and synchronised elsewhere; when the second link fails the first is taken
//! back, and what a crash between the two leaves is recognised by that elsewhere and taken back by the next command.
//! Links and this kind of rename never replace anything.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use outcall_schema::ca::{PrivateKey, Zeroizing, exposed};

/// The names of a certificate and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) certificate: &'static str,
    pub(super) key: &'static str,
}

/// The authority that signs.
pub(super) const CURRENT: Names = Names { certificate: "ca.crt", key: "ca.key" };
/// The one that will, after a rotation.
pub(super) const NEXT: Names = Names { certificate: "ca-next.crt", key: "ca-next.key" };

/// Where authorities of the system are.
const SYSTEM: &str = "/var/lib/outcall/ca";
/// What is under way has names that begin so.
const UNDER_WAY: &str = ".outcall-ca-";
/// Larger files are something else: a chain of eight large certificates has 20 KiB.
const FILE_MAX: usize = 64 << 10;

/// The directory where an authority is when nobody says otherwise: the system's for root, else the user's own.
pub(super) fn default_directory() -> Result<PathBuf, String> {
    if caller().map_err(|error| format!("cannot tell who runs this: {error}"))? == 0 {
        return Ok(SYSTEM.into());
    }
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("outcall/ca"))
        .ok_or_else(|| "neither XDG_DATA_HOME nor HOME is set; name a directory".to_owned())
}

/// The user that this process acts as.
fn caller() -> io::Result<u32> {
    Ok(fs::metadata("/proc/self")?.uid())
}

/// The text of a file that is there, of any that may be read.
///
/// # Errors
/// Why it cannot be read; `None` when there is nothing.
pub(super) fn read(path: &Path) -> Result<Option<String>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let Some(file) = open(path).map_err(failed)? else { return Ok(None) };
    text_of(&file).map(|text| Some(text.to_string())).map_err(failed)
}

/// The private key in a file.
///
/// # Errors
/// Why it cannot be used: among other things that others can read it. `None` when there is nothing.
pub(super) fn read_key(path: &Path) -> Result<Option<PrivateKey>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let Some(file) = open(path).map_err(failed)? else { return Ok(None) };
    let found = file.metadata().map_err(failed)?;
    if let Some(why) = exposed(found.mode(), found.uid(), caller().map_err(failed)?) {
        return Err(format!("{}: {why}", path.display()));
    }
    let key = PrivateKey::from_pem(&text_of(&file).map_err(failed)?);
    key.map(Some).map_err(|why| format!("{}: {why}", path.display()))
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
pub(super) fn taken(directory: &Path, names: Names) -> Option<PathBuf> {
    [names.certificate, names.key]
        .map(|name| directory.join(name))
        .into_iter()
        .find(|path| path.symlink_metadata().is_ok())
}

/// Puts a certificate and its key into a directory, which is made when it is not there.
///
/// # Errors
/// What the system says, `AlreadyExists` when either file is there. Then neither is new.
pub(super) fn place(directory: &Path, names: Names, certificate: &str, key: &str) -> io::Result<()> {
    // A relative path of one name has an empty parent.
    let parent = match directory.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => Path::new("/"),
    };
    if directory.symlink_metadata().is_err() {
        fs::create_dir_all(parent)?;
        clean(parent)?;
        let staged = Staged::new(parent, names, certificate, key)?;
        staged.directory.set_permissions(Permissions::from_mode(0o755))?;
        match fs::rename(&staged.path, directory) {
            Ok(()) => return File::open(parent)?.sync_all(),
            // Somebody made it meanwhile.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    clean(directory)?;
    let staged = Staged::new(directory, names, certificate, key)?;
    let (from, to) = (|name: &str| staged.path.join(name), |name: &str| directory.join(name));
    fs::hard_link(from(names.key), to(names.key))?;
    if let Err(error) = fs::hard_link(from(names.certificate), to(names.certificate)) {
        let _ = fs::remove_file(to(names.key));
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

/// A certificate and its key under way: on disk, in a directory of their own that nobody else can enter, and which is
/// locked as long as its maker lives.
struct Staged {
    path: PathBuf,
    directory: File,
}

impl Staged {
    fn new(parent: &Path, names: Names, certificate: &str, key: &str) -> io::Result<Staged> {
        let path = tempfile::Builder::new().prefix(UNDER_WAY).tempdir_in(parent)?.keep();
        let staged = Staged { directory: File::open(&path)?, path };
        staged.directory.lock()?;
        for (name, mode, text) in [(names.key, 0o600, key), (names.certificate, 0o644, certificate)] {
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
        discard(&self.path);
    }
}

/// Removes what is under way at a path, if it is still there, and nothing else.
fn discard(path: &Path) {
    for name in [CURRENT.certificate, CURRENT.key, NEXT.certificate, NEXT.key] {
        let _ = fs::remove_file(path.join(name));
    }
    let _ = fs::remove_dir(path);
}

/// Takes back what commands left that did not come to their end.
pub(super) fn clean(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let ours = entry.file_name().to_string_lossy().starts_with(UNDER_WAY)
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
        for names in [CURRENT, NEXT] {
            let placed = |name: &str| same(&path.join(name), &directory.join(name));
            if placed(names.key) && !placed(names.certificate) {
                fs::remove_file(directory.join(names.key))?;
            }
        }
        discard(&path);
    }
    Ok(())
}

/// Whether two paths are one file.
fn same(one: &Path, other: &Path) -> bool {
    let identity = |path: &Path| path.symlink_metadata().map(|found| (found.dev(), found.ino()));
    matches!((identity(one), identity(other)), (Ok(one), Ok(other)) if one == other)
}

/// Makes the next authority the current one. The key goes first: an interruption leaves a key without its certificate beside
/// it, which nothing accepts, and calling this again comes to the end.
///
/// # Errors
/// What the system says.
pub(super) fn promote(directory: &Path) -> io::Result<()> {
    let (from, to) = (|name: &str| directory.join(name), |name: &str| directory.join(name));
    match fs::rename(from(NEXT.key), to(CURRENT.key)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::open(directory)?.sync_all()?;
    fs::rename(from(NEXT.certificate), to(CURRENT.certificate))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            place(&directory, CURRENT, "certificate", "key").unwrap();
            place(&directory, NEXT, "certificate", "key").unwrap();
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
            assert_eq!(place(home.path(), CURRENT, "c", "k").unwrap_err().kind(), ErrorKind::AlreadyExists);
            assert_eq!(names(home.path()), [name]);
            assert_eq!(fs::read_to_string(home.path().join(name)).unwrap(), "old");
        }
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(home.path().join("elsewhere"), home.path().join("ca.key")).unwrap();
        assert!(place(home.path(), CURRENT, "c", "k").is_err());
        assert_eq!(names(home.path()), ["ca.key"]);
    }

    #[test]
    fn what_a_crash_left_is_taken_back() {
        let home = tempfile::tempdir().unwrap();
        let staged = Staged::new(home.path(), CURRENT, "c", "k").unwrap();
        fs::hard_link(staged.path.join("ca.key"), home.path().join("ca.key")).unwrap();
        clean(home.path()).unwrap();
        assert_eq!(names(home.path()).len(), 2, "its maker lives");
        staged.directory.unlock().unwrap();
        std::mem::forget(staged);
        clean(home.path()).unwrap();
        assert_eq!(names(home.path()), [""; 0]);
    }

    #[test]
    fn what_a_crash_left_complete_stays() {
        let home = tempfile::tempdir().unwrap();
        let staged = Staged::new(home.path(), CURRENT, "c", "k").unwrap();
        for name in ["ca.key", "ca.crt"] {
            fs::hard_link(staged.path.join(name), home.path().join(name)).unwrap();
        }
        staged.directory.unlock().unwrap();
        std::mem::forget(staged);
        clean(home.path()).unwrap();
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
                        scope.spawn(move || place(directory, CURRENT, &number.to_string(), &number.to_string()).is_ok())
                    })
                    .collect();
                runs.into_iter().map(|run| run.join().unwrap()).collect()
            });
            assert_eq!(results.iter().filter(|made| **made).count(), 1, "{results:?}");
            let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
            assert_eq!(text("ca.crt"), text("ca.key"));
        }
    }

    #[test]
    fn an_interrupted_promotion_is_finished() {
        let home = tempfile::tempdir().unwrap();
        place(home.path(), CURRENT, "old", "old").unwrap();
        place(home.path(), NEXT, "new", "new").unwrap();
        fs::rename(home.path().join("ca-next.key"), home.path().join("ca.key")).unwrap();
        promote(home.path()).unwrap();
        assert_eq!(names(home.path()), ["ca.crt", "ca.key"]);
        assert_eq!(fs::read_to_string(home.path().join("ca.crt")).unwrap(), "new");
    }
}
