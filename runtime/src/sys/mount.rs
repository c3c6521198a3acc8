//! Restricting whole mount trees (mount_setattr(2), which rustix does not have).

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `struct mount_attr` of the kernel's first version.
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Makes the mount at `path` and all below it read-only.
///
/// # Errors
/// What mount_setattr(2) says; `EINVAL` when `path` is not a mount.
pub fn read_only(path: &Path) -> io::Result<()> {
    set(path, libc::MOUNT_ATTR_RDONLY)
}

/// Has programs on the mount at `path` and all below it start without the privilege that their files would bring.
///
/// # Errors
/// What mount_setattr(2) says; `EINVAL` when `path` is not a mount.
pub fn no_privilege(path: &Path) -> io::Result<()> {
    set(path, libc::MOUNT_ATTR_NOSUID)
}

fn set(path: &Path, set: u64) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let attributes = MountAttr { set, clear: 0, propagation: 0, user_namespace: 0 };
    // SAFETY: the path ends with a NUL and outlives the call, and the structure has the size that is passed with it; the
    // kernel only reads both.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<MountAttr>(),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
