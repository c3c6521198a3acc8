//! The agent's program, so that it runs in a container whatever is in its image: with the loader and the libraries that it
//! takes beside it, and its own idea of where the loader is.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::helper::Helper;

/// Where it is seen in the container.
pub(super) const INSIDE: &str = "/outcall-verify";
/// Where its libraries are found there, as a variable of ld.so(8).
pub(super) const VARIABLE: &str = "LD_LIBRARY_PATH=/outcall-verify";
/// The loader there. It stands in the place of `/lib64/ld-linux-x86-64.so.2` and its like, and is shorter than any.
const LOADER: &str = "/outcall-verify/ld.so";

/// The words that start the helper of this name in the container.
pub(super) fn line(helper: &Helper, name: &str) -> Vec<OsString> {
    let program = OsString::from(format!("{INSIDE}/outcall"));
    std::iter::once(program).chain(helper.line(name).into_iter().skip(1)).collect()
}

/// Puts everything into a directory.
pub(super) fn lay(helper: &Helper, directory: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("the agent's program cannot be copied: {error}");
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).map_err(cannot)?;
    let program = helper.program();
    let mut bytes = fs::read(program).map_err(cannot)?;
    if let Some(range) = loader(&bytes) {
        let place = bytes.get_mut(range).ok_or("the agent's program is no program")?;
        let own = String::from_utf8_lossy(place).trim_end_matches('\0').to_owned();
        if place.len() <= LOADER.len() {
            return Err(format!("the agent's program is started by {own}, in the place of which nothing fits"));
        }
        for (at, byte) in place.iter_mut().enumerate() {
            *byte = LOADER.as_bytes().get(at).copied().unwrap_or(0);
        }
        fs::copy(&own, directory.join("ld.so")).map_err(cannot)?;
        let listing = Command::new(&own).arg("--list").arg(program).stdin(Stdio::null()).output().map_err(cannot)?;
        for (name, path) in libraries(&String::from_utf8_lossy(&listing.stdout)) {
            fs::copy(path, directory.join(name)).map_err(cannot)?;
        }
    }
    let copy = directory.join("outcall");
    fs::write(&copy, bytes).map_err(cannot)?;
    for entry in fs::read_dir(directory).map_err(cannot)?.flatten() {
        fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o755)).map_err(cannot)?;
    }
    Ok(())
}

/// The names and places of libraries in what a loader lists: `NAME => PATH (ADDRESS)` a line.
fn libraries(listed: &str) -> impl Iterator<Item = (&str, &str)> {
    listed.lines().filter_map(|line| {
        let (name, rest) = line.trim().split_once(" => ")?;
        let path = rest.rsplit_once(" (").map_or(rest, |(path, _)| path);
        (path.starts_with('/') && !name.contains('/')).then_some((name, path))
    })
}

/// Where in a program its loader is named (elf(5): a header of the type `PT_INTERP`); none in one that needs none. All that
/// we build for has 64 bits and little ends.
fn loader(program: &[u8]) -> Option<std::ops::Range<usize>> {
    let field = |at: usize, length: usize| {
        let bytes = program.get(at..at.checked_add(length)?)?;
        usize::try_from(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))).ok()
    };
    const INTERPRETER: usize = 3;
    let (begin, size, count) = (field(32, 8)?, field(54, 2)?, field(56, 2)?);
    let headers = (0..count).filter_map(|number| begin.checked_add(number.checked_mul(size)?));
    let header = headers.into_iter().find(|at| field(*at, 4) == Some(INTERPRETER))?;
    let (at, length) = (field(header.checked_add(8)?, 8)?, field(header.checked_add(32)?, 8)?);
    Some(at..at.checked_add(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_the_loader_says() {
        let listed = "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7e)\n\t/lib64/ld-linux-x86-64.so.2 (0x7d)\n\tliba.so => not found\n";
        assert_eq!(libraries(listed).collect::<Vec<_>>(), [("libc.so.6", "/lib/x/libc.so.6")]);
    }

    #[test]
    fn a_program_runs_by_the_loader_that_was_laid_beside_it() {
        let own = Helper::own(&[]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        lay(&own, directory.path()).unwrap();
        let bytes = fs::read(directory.path().join("outcall")).unwrap();
        match loader(&bytes) {
            Some(range) => {
                assert!(bytes[range].starts_with(LOADER.as_bytes()));
                assert!(directory.path().join("ld.so").is_file());
            }
            None => assert!(!directory.path().join("ld.so").exists(), "a static program takes nothing"),
        }
        assert_eq!(loader(b"#!/bin/sh\n"), None);
    }
}
