//! The processes that a run needs beside itself: each is the program that started it, with words of its own.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use crate::mutations::nft;
use crate::world::{cable, internet, upstream};
use crate::{around, docker, inside, open};

/// How this program is started as one of its own helpers: the words that lead to [`main`].
#[derive(Debug, Clone)]
pub struct Helper {
    program: PathBuf,
    words: Vec<OsString>,
}

impl Helper {
    /// That program with these words before those of the helper.
    pub fn new(program: impl Into<PathBuf>, words: &[&str]) -> Helper {
        Helper { program: program.into(), words: words.iter().map(OsString::from).collect() }
    }

    /// The running program.
    ///
    /// # Errors
    /// When it does not know where it is.
    pub fn own(words: &[&str]) -> Result<Helper, String> {
        let program = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        Ok(Helper::new(program, words))
    }

    /// The helper of this name.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words).arg(name);
        command
    }

    /// The program.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The words of the helper of this name, for a command line that something else starts.
    pub fn line(&self, name: &str) -> Vec<OsString> {
        let program = self.program.clone().into_os_string();
        [program].into_iter().chain(self.words.iter().cloned()).chain([name.into()]).collect()
    }
}

/// Lives as the helper that the words name; `modern` serves the internet's names that speak more than HTTP/1.1.
///
/// # Errors
/// Why it could not, in words.
pub fn main(helper: &Helper, words: &[OsString], modern: upstream::Modern) -> Result<(), String> {
    let names: Vec<&str> = words.iter().map(|word| word.to_str().unwrap_or_default()).collect();
    match names.as_slice() {
        ["internet"] => {
            fresh_network()?;
            internet::main(helper, modern)
        }
        ["hold"] => {
            unshare(UnshareFlags::NEWNET)?;
            internet::hold()
        }
        ["open", operator] => open::main(Path::new(operator)),
        ["trap", path, hidden] => around::trap(path, hidden),
        ["own"] => own(),
        ["weakened", parts, covered, system, ..] => {
            nft::hide(Path::new(parts), Path::new(covered), Path::new(system))?;
            become_of(words.get(4..))
        }
        ["nft", system, list, ..] => nft::main(Path::new(system), Path::new(list), words.get(3..).unwrap_or_default()),
        ["talking", ports @ ..] => cable::talking(ports).map_err(|error| format!("the ports of the bridge: {error}")),
        ["engine", dir] => docker::main(Path::new(dir)),
        ["join", socket, container, line @ ..] => {
            let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            docker::join(Path::new(socket), container, &line)
        }
        ["still"] => loop {
            std::thread::park();
        },
        ["race"] => {
            unshare(UnshareFlags::NEWNET)?;
            inside::race()
        }
        ["sending"] => inside::race(),
        ["forward"] => {
            for file in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
                std::fs::write(format!("/proc/sys/net/{file}"), "1").map_err(|error| format!("{file}: {error}"))?;
            }
            Ok(())
        }
        ["enter", pid, ..] => {
            enter(pid)?;
            become_of(words.get(2..))
        }
        ["agent", proxy, resolver, around] => {
            let place = |text: &str| text.parse().map_err(|_| format!("`{text}` is no address with a port"));
            let around = serde_json::from_str(around).map_err(|error| format!("`{around}`: {error}"))?;
            inside::main(place(proxy)?, place(resolver)?, around)
        }
        ["guest", resolver] => {
            inside::guest::main(resolver.parse().map_err(|_| format!("`{resolver}` is no address with a port"))?)
        }
        _ => Err("this is a part of `outcall verify` and does nothing by itself".to_owned()),
    }
}

/// Becomes the program that a line starts.
fn become_of(line: Option<&[OsString]>) -> Result<(), String> {
    let (program, arguments) = line.and_then(<[_]>::split_first).ok_or("nothing to start")?;
    Err(format!("cannot start {}: {}", program.display(), Command::new(program).args(arguments).exec()))
}

/// Makes namespaces to be root in, and says what it can take from there.
fn own() -> Result<(), String> {
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET)?;
    for (name, kind) in [("net", LinkNameSpaceType::Network), ("user", LinkNameSpaceType::User)] {
        let opened = std::fs::File::open(format!("/proc/1/ns/{name}"));
        if opened.is_ok_and(|opened| move_into_link_name_space(opened.as_fd(), Some(kind)).is_ok()) {
            println!("the {name} namespace of process 1");
        }
    }
    Ok(())
}

/// Moves into a network namespace of its own; without root, into a user namespace first in which that may be made.
fn fresh_network() -> Result<(), String> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    if user.is_root() && unshare(UnshareFlags::NEWNET).is_ok() {
        return Ok(());
    }
    let hint = "without root this needs user namespaces: sysctl user.max_user_namespaces";
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWNET).map_err(|why| format!("{why} ({hint})"))?;
    let maps = [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {} 1", user.as_raw())),
        ("gid_map", format!("0 {} 1", group.as_raw())),
    ];
    for (file, text) in maps {
        std::fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("cannot write {file}: {error}"))?;
    }
    Ok(())
}

pub(crate) fn unshare(flags: UnshareFlags) -> Result<(), String> {
    #[expect(deprecated, reason = "its successor is unsafe for the sake of CLONE_FILES, which is not used here")]
    let done = rustix::thread::unshare(flags);
    done.map_err(|error| format!("no namespace can be made: {error}"))
}

/// Joins the network namespace of a process, and its user namespace where that is another.
fn enter(pid: &str) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot enter the namespaces of {pid}: {error}");
    let mut entered = Vec::new();
    for (name, kind) in [("user", LinkNameSpaceType::User), ("net", LinkNameSpaceType::Network)] {
        let theirs = format!("/proc/{pid}/ns/{name}");
        let own = format!("/proc/self/ns/{name}");
        if std::fs::read_link(&theirs).map_err(cannot)? != std::fs::read_link(own).map_err(cannot)? {
            entered.push((std::fs::File::open(theirs).map_err(cannot)?, kind));
        }
    }
    // All are opened first: within the other user namespace the process itself may be out of sight.
    for (opened, kind) in entered {
        move_into_link_name_space(opened.as_fd(), Some(kind)).map_err(|error| cannot(error.into()))?;
    }
    Ok(())
}
