//! The sockets of the operator and of agents, taken before the daemon gives up the right to, and the shim that containers ask
//! with.
//!
//! Agents in namespaces find theirs where the operator says. Those in containers have one of their own, in a directory that
//! they are given whole: a socket alone would be gone for them with the daemon that made it, as the next one makes another.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::daemon::{DaemonError, Options, system};
use crate::api::{self, Place, Socket, SocketError};
use crate::docker::given;

/// What the shim is called, beside the daemon.
const SHIM: &str = "outcall-agent";
/// A larger file is something else.
const SHIM_MAX: u64 = 64 << 20;

/// The sockets.
pub(super) struct Doors {
    /// The operator's.
    pub(super) operator: Option<Socket>,
    /// Those of agents.
    pub(super) agents: Vec<Socket>,
}

impl Doors {
    /// Takes them. The state directory is this process's by now.
    pub(super) fn open(options: &Options) -> Result<Doors, DaemonError> {
        let operator = options.socket.as_deref().map(|path| Place::find(path).and_then(|place| bound(&place)));
        let operator = operator.transpose()?;
        let path = &options.agent_socket;
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        if let Some(parent) = parent.filter(|parent| !parent.exists()) {
            // `/run` is empty after each boot. One level: what is above was meant to be there.
            let made = fs::DirBuilder::new().mode(0o755).create(parent);
            let open = made.and_then(|()| fs::set_permissions(parent, fs::Permissions::from_mode(0o755)));
            open.map_err(|error| SocketError::Failed { path: path.clone(), error })?;
        }
        let mut agents = vec![Place::find(path)?.bind_for_all()?];
        if options.docker.is_some() {
            let directory =
                given::directory(&options.state).map_err(system("make the directory that containers see"))?;
            agents.push(Place::find(&directory.join(given::SOCKET))?.bind_for_all()?);
        }
        Ok(Doors { operator, agents })
    }
}

/// Takes the operator's socket, for members of the group as well where there is one.
fn bound(place: &Place) -> Result<Socket, SocketError> {
    match api::group() {
        Some(group) => place.bind_for(group),
        None => place.bind(),
    }
}

/// The shim for containers. Without one they can still be answered, and ask by other means.
pub(super) fn shim(options: &Options) -> Result<Option<Vec<u8>>, DaemonError> {
    if options.docker.is_none() {
        return Ok(None);
    }
    let path = match &options.agent_shim {
        Some(path) => path.clone(),
        None => std::env::current_exe().map_err(system("find itself"))?.with_file_name(SHIM),
    };
    let found = fs::metadata(&path).and_then(|found| match found.len() {
        ..=SHIM_MAX => fs::read(&path),
        _ => Err(io::ErrorKind::FileTooLarge.into()),
    });
    match found {
        Ok(program) => {
            if wants_a_loader(&program) {
                let path = path.display();
                crate::say!("{path} is no static program: containers without its C library cannot run it");
            }
            Ok(Some(program))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && options.agent_shim.is_none() => {
            crate::say!("there is no {}: containers are made without the shim", path.display());
            Ok(None)
        }
        Err(error) => Err(DaemonError::Shim { path, error }),
    }
}

/// Whether a program is one that a dynamic loader has to be there for, or none at all (elf(5): a header of the type
/// `PT_INTERP`). All that we build for has 64 bits and little ends.
fn wants_a_loader(program: &[u8]) -> bool {
    let field = |at: usize, length: usize| {
        let bytes = program.get(at..at.checked_add(length)?)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let headers = || {
        let (begin, size, count) = (field(32, 8)?, field(54, 2)?, field(56, 2)?);
        let at = |number: u64| usize::try_from(begin.checked_add(number.checked_mul(size)?)?).ok();
        (0..count).map(|number| field(at(number)?, 4)).collect::<Option<Vec<u64>>>()
    };
    const INTERPRETER: u64 = 3;
    let elf = program.starts_with(b"\x7fELF\x02\x01");
    !elf || headers().is_none_or(|types| types.contains(&INTERPRETER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_wants_a_loader_is_known_by_its_headers() {
        let mut program = vec![0; 64 + 2 * 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        program[32] = 64;
        program[54] = 56;
        program[56] = 2;
        program[64] = 1;
        program[64 + 56] = 6;
        assert!(!wants_a_loader(&program));
        program[64 + 56] = 3;
        assert!(wants_a_loader(&program));
        // This test is linked with the C library as everything here is.
        assert!(wants_a_loader(&fs::read(std::env::current_exe().unwrap()).unwrap()));
        for broken in [&b""[..], b"#!/bin/sh\n", b"\x7fELF\x02\x01", &program[..100]] {
            assert!(wants_a_loader(broken), "{broken:?}");
        }
    }
}
