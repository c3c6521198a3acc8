//! What the agent sees of the file system: everything as it was, but for the ways out that lead through it.
//!
//! A network namespace cuts abstract unix sockets, not those with a path. Behind such a socket may stand a resolver (nscd,
//! systemd-resolved, Avahi), something that starts processes outside (Docker, D-Bus, systemd, tmux) or something that
//! connects for others (ssh's control sockets). So every socket that anybody on the host has bound is covered, and `/run`,
//! where they appear later, is empty but for what programs need there.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_bind_recursive, mount_change};

use super::SandboxError;
use crate::sys::mount::{no_privilege, read_only};

/// Parts of `/run` that hold programs and removable media, on some distributions the very `PATH`: they stay.
const KEPT_OF_RUN: [&str; 5] = ["current-system", "booted-system", "wrappers", "opengl-driver", "media"];

/// Kernel files that root may write although it has no capability, some of which start programs outside.
const KERNEL_FILES: [&str; 5] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs"];

const RESOLV_CONF: &str = "/etc/resolv.conf";
const RESOLVER_SOURCE: &str = "/run/outcall-resolv.conf";
const RESOLVER: &str = "# outcall answers all names in here, whatever resolver is asked\nnameserver 127.0.0.1\n";

/// What must be known from outside the namespaces before they are entered.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    sockets: Vec<PathBuf>,
    root: bool,
    /// Files and directories that the agent must not see, links followed.
    confidential: Vec<PathBuf>,
}

impl Outside {
    /// Looks around in the host's namespaces. `own` is where a socket will be by the time that they are entered.
    ///
    /// # Errors
    /// What reading `/proc/net/unix` says.
    pub(super) fn look(own: Option<&Path>, confidential: Vec<PathBuf>) -> io::Result<Outside> {
        let mut sockets = bound_sockets(&fs::read("/proc/net/unix")?);
        sockets.extend(own.map(Path::to_owned));
        sockets.sort();
        sockets.dedup();
        Ok(Outside { sockets, root: rustix::process::geteuid().is_root(), confidential })
    }
}

/// The paths in the kernel's table of unix sockets (proc_pid_net(5)). Abstract names begin with `@`.
fn bound_sockets(table: &[u8]) -> Vec<PathBuf> {
    table
        .split(|byte| *byte == b'\n')
        .skip(1)
        .filter_map(|mut line| {
            // Seven columns, then the path, which may itself hold blanks.
            for _ in 0..7 {
                line = line.trim_ascii_start();
                line = line.get(line.iter().position(|byte| *byte == b' ')?..)?;
            }
            line.get(1..).filter(|path| path.starts_with(b"/")).map(|path| PathBuf::from(OsStr::from_bytes(path)))
        })
        .collect()
}

/// Arranges the mount namespace that this process has just been put into.
///
/// # Errors
/// The first step that fails; the agent must then not be started.
pub(super) fn arrange(outside: &Outside) -> Result<(), SandboxError> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| SandboxError::step("detach the mounts from the host's")(error.into()))?;
    // No privilege would come of such files anyway, but the kernel refuses to start one that asks for a capability which
    // cannot be had; without the request, `ping` starts and does with the socket that needs none.
    no_privilege(Path::new("/")).map_err(SandboxError::step("take setuid from the mounts"))?;
    for path in &outside.confidential {
        cover_confidential(path)?;
    }
    let resolv_conf = final_target(Path::new(RESOLV_CONF));
    cover_run(outside)?;
    resolver_file(&resolv_conf)?;
    for socket in &outside.sockets {
        cover_socket(socket)?;
    }
    let hardened = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", "/proc", "proc", hardened, None::<&std::ffi::CStr>)
        .map_err(|error| SandboxError::step("mount /proc for the new process namespace")(error.into()))?;
    if outside.root {
        protect_kernel_files()?;
    }
    Ok(())
}

/// Where a path leads when all links are followed, also when nothing is there.
fn final_target(path: &Path) -> PathBuf {
    let mut path = path.to_path_buf();
    // As many links as the kernel itself would follow.
    for _ in 0..40 {
        if let Ok(real) = path.canonicalize() {
            return real;
        }
        match (fs::read_link(&path), path.parent()) {
            (Ok(target), Some(parent)) => path = normal(&parent.join(target)),
            _ => break,
        }
    }
    path
}

/// A path without `.` and `..`, taken as text: for links that lead nowhere.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                normal.pop();
            }
            std::path::Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// An empty `/run`, with a private directory for the user's runtime files, a place for locks, and what must stay.
fn cover_run(outside: &Outside) -> Result<(), SandboxError> {
    let step = |what: &str| SandboxError::step(format!("{what} in the new /run"));
    let kept: Vec<(PathBuf, fs::File)> = KEPT_OF_RUN
        .into_iter()
        .map(|name| Path::new("/run").join(name))
        .filter_map(|path| Some((path.clone(), fs::File::open(&path).ok()?)))
        .collect();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    for run in ["/run", "/var/run"] {
        let separate = fs::symlink_metadata(run).is_ok_and(|found| found.is_dir());
        if separate {
            mount("tmpfs", run, "tmpfs", flags, Some(c"mode=0755,size=64m"))
                .map_err(|error| SandboxError::step(format!("cover {run}"))(error.into()))?;
        }
    }
    if !Path::new("/run").is_dir() {
        return Ok(());
    }
    for (path, opened) in kept {
        fs::create_dir(&path).map_err(step("make a directory"))?;
        let source = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
        mount_bind_recursive(source, &path).map_err(|error| step("keep a directory")(error.into()))?;
    }
    fs::create_dir("/run/lock").map_err(step("make a directory"))?;
    fs::set_permissions("/run/lock", Permissions::from_mode(0o1777)).map_err(step("open a directory"))?;
    let wanted = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.starts_with("/run"));
    if let Some(path) = wanted.filter(|_| !outside.root) {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(step("make the user's directory"))?;
    }
    Ok(())
}

/// Makes `/etc/resolv.conf` name the filter. A host without the file needs none: the C library then asks 127.0.0.1.
fn resolver_file(target: &Path) -> Result<(), SandboxError> {
    let step = || SandboxError::step(format!("put the resolver's address into {}", target.display()));
    if !target.exists() && !target.starts_with("/run") {
        return Ok(());
    }
    if target.starts_with("/run") {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(step())?;
        }
        return fs::write(target, RESOLVER).map_err(step());
    }
    // It is bound from the new /run, which vanishes with the namespace.
    fs::write(RESOLVER_SOURCE, RESOLVER).map_err(step())?;
    mount_bind(RESOLVER_SOURCE, target).map_err(|error| step()(error.into()))
}

/// Covers what holds a key or secrets: a directory with an empty one, a file with one that cannot be opened for more.
fn cover_confidential(path: &Path) -> Result<(), SandboxError> {
    let step = || SandboxError::step(format!("cover {}", path.display()));
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    if !found.is_dir() {
        return mount_bind("/dev/null", path).map_err(|error| step()(error.into()));
    }
    // A process is where it is whatever is mounted there later, so this would show what it is to hide.
    let inside = std::env::current_dir().is_ok_and(|here| here.starts_with(path));
    if inside {
        let why = "the command would start within it; start it from another directory";
        return Err(step()(io::Error::other(why)));
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
    mount("tmpfs", path, "tmpfs", flags, Some(c"mode=0555,size=4k")).map_err(|error| step()(error.into()))
}

/// Covers a bound socket with a file that nobody listens on.
fn cover_socket(path: &Path) -> Result<(), SandboxError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        // Gone, in another file system's view, or under what is already covered. What this user may not even look at, the
        // agent may not either.
        _ => return Ok(()),
    }
    mount_bind("/dev/null", path)
        .map_err(|error| SandboxError::step(format!("cover the socket {}", path.display()))(error.into()))
}

/// The kernel's own files, which root could write by mere ownership, become read-only.
fn protect_kernel_files() -> Result<(), SandboxError> {
    for path in KERNEL_FILES.map(Path::new) {
        if fs::symlink_metadata(path).is_ok() {
            mount_bind_recursive(path, path)
                .map_err(io::Error::from)
                .and_then(|()| read_only(path))
                .map_err(SandboxError::step(format!("make {} read-only", path.display())))?;
        }
    }
    let sys = Path::new("/sys");
    let mounted = fs::metadata(sys).is_ok_and(|found| fs::metadata("/").is_ok_and(|root| root.dev() != found.dev()));
    if mounted {
        read_only(sys).map_err(SandboxError::step("make /sys read-only"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_sockets_are_found_and_abstract_ones_left_out() {
        let table = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 15017 /run/docker.sock\n\
            0000000000000000: 00000002 00000000 00000000 0002 01 12345 @/tmp/.X11-unix/X0\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 20000\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 15018 /tmp/with blank\n";
        assert_eq!(bound_sockets(table), ["/run/docker.sock", "/tmp/with blank"].map(PathBuf::from));
    }

    #[test]
    fn links_that_lead_nowhere_are_followed_as_text() {
        assert_eq!(normal(Path::new("/etc/../run/./systemd/resolve/stub")), Path::new("/run/systemd/resolve/stub"));
    }
}
