//! An nft(8) in the place of the system's, which changes what the host's daemon loads into the kernel on the way there: so
//! can the daemon's own tables be weakened, which are no part of a policy and which it puts back where others change them.
//!
//! Only the daemon sees it: it is mounted over the system's in a namespace of mounts of the daemon's own.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::UnshareFlags;

use crate::helper::{Helper, unshare};

/// Where the daemon looks for the system's.
const PLACES: [&str; 4] = ["/usr/sbin/nft", "/sbin/nft", "/usr/local/sbin/nft", "/usr/bin/nft"];
/// What it takes is mounted over one of these, as the daemon starts programs below `/usr` alone and needs nothing there.
const COVERED: [&str; 3] = ["/usr/src", "/usr/games", "/usr/include"];

/// The words that come before the daemon's own where these texts are to be changed.
pub(crate) fn words(helper: &Helper, work: &Path, changes: &[(&str, &str)]) -> Result<Vec<OsString>, String> {
    let cannot = |error: std::io::Error| format!("nft cannot be replaced: {error}");
    let system = PLACES.into_iter().find(|place| Path::new(place).is_file()).ok_or("there is no nft(8)")?;
    let covered = COVERED.into_iter().find(|place| Path::new(place).is_dir()).ok_or("nft cannot be replaced here")?;
    let parts = work.join("nft");
    std::fs::create_dir(&parts).map_err(cannot)?;
    std::fs::copy(system, parts.join("system")).map_err(cannot)?;
    std::fs::copy(helper.program(), parts.join("outcall")).map_err(cannot)?;
    let list = serde_json::to_vec(changes).map_err(|error| error.to_string())?;
    std::fs::write(parts.join("changes"), list).map_err(cannot)?;
    let between = helper.line("nft").into_iter().skip(1).map(|word| word.to_string_lossy().into_owned());
    let inside = |name: &str| format!("{covered}/{name}");
    let words = std::iter::once(inside("outcall")).chain(between).chain([inside("system"), inside("changes")]);
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let script = parts.join("script");
    std::fs::write(&script, format!("#!/bin/sh\nexec {} \"$@\"\n", quoted.join(" "))).map_err(cannot)?;
    for file in [&parts, &script] {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).map_err(cannot)?;
    }
    let mut line = helper.line("weakened");
    line.extend([parts.into_os_string(), covered.into(), system.into()]);
    Ok(line)
}

/// Has what this process becomes see another nft(8).
///
/// # Errors
/// What the kernel says.
pub(crate) fn hide(parts: &Path, covered: &Path, system: &Path) -> Result<(), String> {
    let cannot = |error: rustix::io::Errno| format!("nft cannot be replaced: {error}");
    unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(cannot)?;
    mount_bind(parts, covered).map_err(cannot)?;
    mount_bind(covered.join("script"), system).map_err(cannot)
}

/// Lives as that nft(8): the system's, told something else.
///
/// # Errors
/// What it says, and when it is told nothing.
pub(crate) fn main(system: &Path, list: &Path, words: &[OsString]) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("nft: {error}");
    let changes: Vec<(String, String)> =
        serde_json::from_slice(&std::fs::read(list).map_err(cannot)?).map_err(|error| error.to_string())?;
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(cannot)?;
    let text = changes.iter().fold(text, |text, (from, to)| text.replace(from, to));
    let mut child = Command::new(system).args(words).stdin(Stdio::piped()).spawn().map_err(cannot)?;
    let mut stdin = child.stdin.take().ok_or("nft: no standard input")?;
    stdin.write_all(text.as_bytes()).map_err(cannot)?;
    drop(stdin);
    let ended = child.wait().map_err(cannot)?;
    ended.success().then_some(()).ok_or_else(|| "nft refused it".to_owned())
}
