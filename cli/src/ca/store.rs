//! The files of a certificate authority: their names, where they are, and how the next one takes the old one's place.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use outcall_schema::ca::PrivateKey;

use crate::pair::{self, Kind, Names};

/// The authority that signs.
pub(super) const CURRENT: Names = Names { public: "ca.crt", private: "ca.key" };
/// The one that will, after a rotation.
pub(super) const NEXT: Names = Names { public: "ca-next.crt", private: "ca-next.key" };
/// Both, in one directory.
pub(super) const FILES: Kind = Kind { under_way: ".outcall-ca-", pairs: &[CURRENT, NEXT] };

/// Where authorities of the system are.
const SYSTEM: &str = "/var/lib/outcall/ca";

/// The directory where an authority is when nobody says otherwise: the system's for root, else the user's own.
pub(super) fn default_directory() -> Result<PathBuf, String> {
    if pair::caller().map_err(|error| format!("cannot tell who runs this: {error}"))? == 0 {
        return Ok(SYSTEM.into());
    }
    pair::users_own("ca")
}

/// The private key in a file.
///
/// # Errors
/// Why it cannot be used: among other things that others can read it. `None` when there is nothing.
pub(super) fn read_key(path: &Path) -> Result<Option<PrivateKey>, String> {
    let Some(text) = pair::read_private(path)? else { return Ok(None) };
    PrivateKey::from_pem(&text).map(Some).map_err(|why| format!("{}: {why}", path.display()))
}

/// Makes the next authority the current one. The key goes first: an interruption leaves a key without its certificate beside
/// it, which nothing accepts, and calling this again comes to the end.
///
/// # Errors
/// What the system says.
pub(crate) fn promote(directory: &Path) -> io::Result<()> {
    let (from, to) = (|name: &str| directory.join(name), |name: &str| directory.join(name));
    match fs::rename(from(NEXT.private), to(CURRENT.private)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    File::open(directory)?.sync_all()?;
    fs::rename(from(NEXT.public), to(CURRENT.public))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_promotion_is_finished() {
        let home = tempfile::tempdir().unwrap();
        pair::place(home.path(), FILES, CURRENT, "old", "old").unwrap();
        pair::place(home.path(), FILES, NEXT, "new", "new").unwrap();
        fs::rename(home.path().join("ca-next.key"), home.path().join("ca.key")).unwrap();
        promote(home.path()).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(home.path().join("ca.crt")).unwrap(), "new");
    }
}
