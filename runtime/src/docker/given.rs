//! What of the host containers see, all of it to read alone: a directory with the socket that they ask the daemon on and the
//! certificates that they trust, and the shim.
//!
//! The directory is given whole, and what is in it is replaced: a container that runs finds the socket of the next daemon there,
//! and certificates of the authority that it has.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use outcall_schema::api::permissions::SHIM;

use crate::intercept::Trust;
use crate::intercept::trust::{BUNDLE, TRUSTSTORE};

/// The socket's name in the directory.
pub const SOCKET: &str = "agent.sock";
/// Where the directory is in a container.
const INSIDE: &str = "/run/outcall";

/// Makes the directory that containers see, and says where it is.
///
/// # Errors
/// What the system says.
pub fn directory(state: &Path) -> io::Result<PathBuf> {
    let above = made(fs::canonicalize(state)?.join("docker"))?;
    made(above.join("run"))
}

/// Everybody may read it: what the daemon's mask for files says is not for containers.
fn made(path: PathBuf) -> io::Result<PathBuf> {
    match fs::DirBuilder::new().mode(0o755).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?,
    }
    Ok(path)
}

/// Writes what containers see. Gives what is mounted, from where to where.
pub(super) fn write(
    state: &Path,
    trust: Option<&Trust>,
    shim: Option<&[u8]>,
) -> io::Result<Vec<(PathBuf, &'static str)>> {
    let seen = directory(state)?;
    for (inside, content) in [(BUNDLE, trust.map(Trust::bundle)), (TRUSTSTORE, trust.map(Trust::truststore))] {
        let name = Path::new(inside).file_name().unwrap_or_default();
        put(&seen.join(name), content, 0o644)?;
    }
    let program = seen.with_file_name("outcall-agent");
    put(&program, shim, 0o755)?;
    let mounted = [Some((seen, INSIDE)), shim.map(|_| (program, SHIM))];
    Ok(mounted.into_iter().flatten().collect())
}

/// Has a file with this content, or none. Whoever has the one before open keeps it.
fn put(path: &Path, content: Option<&[u8]>, mode: u32) -> io::Result<()> {
    let Some(content) = content else {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    };
    let same = fs::read(path).ok().as_deref() == Some(content);
    if same && fs::symlink_metadata(path)?.permissions().mode() & 0o7777 == mode {
        return Ok(());
    }
    let next = path.with_extension("next");
    let _ = fs::remove_file(&next);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&next)?;
    file.write_all(content)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    fs::rename(&next, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_containers_see_is_there_for_all_of_their_users_and_nothing_else_is() {
        let state = tempfile::tempdir().unwrap();
        let listed = |path: &Path| {
            let mut names: Vec<(String, u32)> = fs::read_dir(path)
                .unwrap()
                .map(|entry| {
                    let entry = entry.unwrap();
                    (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o7777)
                })
                .collect();
            names.sort();
            names
        };
        assert_eq!(write(state.path(), None, None).unwrap().len(), 1);
        let given = write(state.path(), None, Some(b"program")).unwrap();
        let state = state.path().canonicalize().unwrap();
        let (run, shim) = (state.join("docker/run"), state.join("docker/outcall-agent"));
        assert_eq!(given, [(run.clone(), "/run/outcall"), (shim.clone(), "/usr/local/bin/outcall")]);
        assert_eq!(listed(&run), []);
        assert_eq!(listed(&state.join("docker")), [("outcall-agent".into(), 0o755), ("run".into(), 0o755)]);
        // A program that runs, or is mounted, is not written to.
        let before = fs::File::open(&shim).unwrap();
        write(&state, None, Some(b"next")).unwrap();
        assert_eq!(io::read_to_string(before).unwrap(), "program");
        assert_eq!(fs::read(&shim).unwrap(), b"next");
        put(&run.join("ca-bundle.pem"), Some(b"a"), 0o644).unwrap();
        fs::set_permissions(run.join("ca-bundle.pem"), fs::Permissions::from_mode(0o600)).unwrap();
        put(&run.join("ca-bundle.pem"), Some(b"a"), 0o644).unwrap();
        assert_eq!(listed(&run), [("ca-bundle.pem".into(), 0o644)]);
        write(&state, None, None).unwrap();
        assert_eq!((listed(&run), shim.exists()), (vec![], false));
    }
}
