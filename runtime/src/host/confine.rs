//! Which files the daemon reaches once it has opened what it needs (landlock(7)): its state, its policies and secrets, what
//! `nft` is made of, and what the kernel says about itself.
//!
//! Paths hold for what is at them at the start, so a directory that deployments replace is reached by the one it is in.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError,
    RulesetStatus,
};

use super::daemon::Options;
use crate::kernel::ruleset::find_nft;
use crate::secrets::Source;

/// The newest accesses that are asked for; older kernels guard the part of them that they know. Version 5 is the last one
/// about files alone.
const ACCESSES: ABI = ABI::V5;

/// Where programs and their libraries are.
const PROGRAMS: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/nix/store", "/gnu/store"];
/// What the dynamic loader, `nft` and the look-up of groups read, and who Docker's engine asks for names.
const SETTINGS: [&str; 12] = [
    "/etc/group",
    "/etc/iproute2",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
];
/// What the kernel says about itself, and chance.
const KERNEL: [&str; 4] = ["/proc", "/sys", "/dev/random", "/dev/urandom"];
/// Where programs that give secrets may write.
const SCRATCH: [&str; 2] = ["/tmp", "/var/tmp"];

/// What guards files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// Landlock, with all that the daemon asks for.
    Whole,
    /// Landlock as far as this kernel has it.
    Part,
    /// The files' own permissions alone.
    None,
}

/// Confines this thread, and those that it starts, to the files that a running daemon needs.
///
/// # Errors
/// What the kernel says, but for one without Landlock.
pub(super) fn to_own_files(options: &Options) -> Result<Guard, RulesetError> {
    let mut rules = Ruleset::default().handle_access(AccessFs::from_all(ACCESSES))?.create()?;
    for (path, access) in reached(options) {
        // What is not there cannot be reached either.
        if let Ok(fd) = PathFd::new(&path) {
            let access = if path.is_dir() { access } else { access & AccessFs::from_file(ACCESSES) };
            rules = rules.add_rule(PathBeneath::new(fd, access))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Guard::Whole,
        RulesetStatus::PartiallyEnforced => Guard::Part,
        RulesetStatus::NotEnforced => Guard::None,
    })
}

type Reached = (PathBuf, BitFlags<AccessFs>);

fn reached(options: &Options) -> Vec<Reached> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = read | AccessFs::Execute;
    let change = AccessFs::WriteFile | AccessFs::Truncate;
    let own = read | change | AccessFs::MakeReg | AccessFs::MakeDir | AccessFs::RemoveFile | AccessFs::RemoveDir;
    let own = own | AccessFs::Refer;
    let mut reached = vec![
        (options.state.clone(), own),
        (PathBuf::from("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile),
        (PathBuf::from("/proc/sys/net"), read | change),
    ];
    reached.extend(KERNEL.iter().chain(&SETTINGS).map(|path| (PathBuf::from(path), read)));
    reached.extend(PROGRAMS.iter().map(|path| (PathBuf::from(path), run)));
    reached.extend(find_nft().ok().map(|nft| (nft, run)));
    reached.extend(policies(&options.artifacts).into_iter().map(|path| (path, read)));
    reached.extend(options.secrets.directory.clone().map(|path| (path, read)));
    // They are bound already, and removed at the end.
    let sockets = options.socket.as_deref().into_iter().chain([options.agent_socket.as_path()]);
    reached.extend(sockets.map(|socket| (directory(socket), read | AccessFs::RemoveFile)));
    if options.secrets.named.iter().any(|(_, source)| matches!(source, Source::Command(_))) {
        // Programs of the operator's choice need what nobody here knows; what they give would be missing otherwise.
        reached.push((PathBuf::from("/"), run));
        reached.extend(SCRATCH.iter().map(|path| (PathBuf::from(path), own)));
    }
    reached
}

/// The directory of policies and the ones that it is in, by the name that was given and by where that leads: whoever
/// deploys replaces the directory, or the link to it.
fn policies(given: &Path) -> Vec<PathBuf> {
    let leads = given.canonicalize().unwrap_or_else(|_| given.to_owned());
    let places = [given.to_owned(), leads.clone(), directory(given), directory(&leads)];
    // All files there are would be no confinement.
    places.into_iter().filter(|place| place.as_os_str() != "/").collect()
}

/// The directory that something is in; of a relative path with one name, the working directory.
fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}
