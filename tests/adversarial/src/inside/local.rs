//! What an agent finds on the machine it is on: sockets, files and processes.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{ANSWER, Inside};
use crate::around::shows_secret;

/// The most files that are looked at in one place, and how deep.
const FILES: usize = 4_000;
const DEPTH: usize = 6;
/// The most that is read of an answer.
const ANSWER_BYTES: u64 = 1 << 20;

impl Inside {
    /// Says something over a unix socket, and gives what comes back.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn unix(&self, path: &Path, bytes: &[u8]) -> io::Result<Vec<u8>> {
        talk(UnixStream::connect(path)?, bytes)
    }

    /// The same over a socket with an abstract name.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn hidden(&self, name: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
        talk(UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?, bytes)
    }

    /// Says so where a text shows a secret.
    pub fn search(&self, place: &str, text: &[u8]) {
        if shows_secret(text) {
            self.got(format!("a secret in {place}"));
        }
    }
}

fn talk(mut stream: UnixStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut answer = Vec::new();
    if bytes.is_empty() {
        return Ok(answer);
    }
    stream.write_all(bytes)?;
    // Whoever answers may keep the connection open: what came by then is the answer.
    let _ = stream.take(ANSWER_BYTES).read_to_end(&mut answer);
    Ok(answer)
}

/// The directories of all processes in sight.
///
/// # Errors
/// When there is no `/proc`.
pub fn processes() -> io::Result<Vec<PathBuf>> {
    let is_number = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.bytes().all(|it| it.is_ascii_digit()))
    };
    Ok(std::fs::read_dir("/proc")?.flatten().map(|entry| entry.path()).filter(is_number).collect())
}

/// Looks at the ordinary files in a directory and below it for as long as there is time, those of the directories nearest to it
/// first. Links are not followed, and what the kernel makes up is left out.
pub fn visit(place: &Path, until: Instant, look: &mut dyn FnMut(&Path)) {
    let mut left = VecDeque::from([place.to_owned()]);
    while let Some(directory) = left.pop_front() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if Instant::now() > until {
                return;
            }
            let made_up = ["proc", "sys"].iter().any(|name| entry.file_name() == *name);
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !made_up => left.push_back(entry.path()),
                Ok(kind) if kind.is_file() => look(&entry.path()),
                _ => {}
            }
        }
    }
}

/// The ordinary files in a directory and below it, links not followed.
pub fn files(place: &Path) -> Vec<PathBuf> {
    let (mut found, mut left) = (Vec::new(), vec![(place.to_owned(), 0)]);
    while let Some((directory, depth)) = left.pop() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth < DEPTH => left.push((entry.path(), depth + 1)),
                Ok(kind) if kind.is_file() && found.len() < FILES => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}
