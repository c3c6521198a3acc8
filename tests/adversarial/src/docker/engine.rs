//! An engine of Docker's that belongs to a run: its data, its sockets, its mounts and its network are nobody else's.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, waitpid};
use rustix::thread::UnshareFlags;
use serde_json::Value;

use super::api;
use crate::helper::unshare;
use crate::run::Options;
use crate::world::{PATH, World};

/// The engine's program.
const PROGRAM: &str = "dockerd";
/// How long it may take to come.
const COMING: Duration = Duration::from_secs(60);
/// How long it may take to go before it is killed.
const GOING: Duration = Duration::from_secs(20);
/// How often it is asked.
const MOMENT: Duration = Duration::from_millis(20);

/// An engine, on the client host of the world.
#[derive(Debug)]
pub(crate) struct Engine {
    process: Child,
    socket: PathBuf,
}

impl Engine {
    /// Starts it, with everything of its own in a directory.
    pub(crate) fn start(options: &Options, world: &World, dir: &Path) -> Result<Engine, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("an agent in a container takes root, as Docker's engine does".to_owned());
        }
        if !PATH.split(':').any(|place| Path::new(place).join(PROGRAM).is_file()) {
            return Err(format!(
                "there is no `{PROGRAM}` on this machine: the image is tried in an engine of its own, of the programs of Docker's"
            ));
        }
        let real = std::fs::canonicalize(dir.parent().unwrap_or(dir));
        if real.map_err(|error| format!("cannot find {}: {error}", dir.display()))?.starts_with("/run") {
            return Err(
                "the engine hides /run from itself, where the others are: set TMPDIR to another directory".to_owned()
            );
        }
        std::fs::create_dir(dir).map_err(|error| format!("cannot make a directory: {error}"))?;
        let mut command = world.on_host(&options.helper);
        command.args(options.helper.line("engine")).arg(dir).stdin(Stdio::piped()).stdout(Stdio::null());
        let process = command.spawn().map_err(|error| format!("{PROGRAM} does not start: {error}"))?;
        let mut engine = Engine { process, socket: dir.join("docker.sock") };
        let until = Instant::now() + COMING;
        while engine.ask("GET", "/version", &Value::Null).is_err() {
            let ended = engine.process.try_wait().is_ok_and(|ended| ended.is_some());
            if ended || Instant::now() > until {
                let log = std::fs::read_to_string(log(dir)).unwrap_or_default();
                return Err(format!("{PROGRAM} does not start: {}", log.lines().last().unwrap_or_default()));
            }
            std::thread::sleep(MOMENT);
        }
        Ok(engine)
    }

    /// Its socket.
    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where the daemon finds it.
    pub(crate) fn place(&self) -> &Path {
        &self.socket
    }

    /// Asks it something.
    pub(super) fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        api::ask(&self.socket, method, path, body)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The end of its standard input is its order to go.
        drop(self.process.stdin.take());
        let until = Instant::now() + GOING * 2;
        while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(MOMENT);
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn log(dir: &Path) -> PathBuf {
    dir.join("log")
}

/// Lives as the process around the engine: what the engine mounts nobody else sees, and what it leaves behind ends with it.
///
/// # Errors
/// What the kernel says.
pub(crate) fn main(dir: &Path) -> Result<(), String> {
    let cannot = |error: rustix::io::Errno| format!("the engine: {error}");
    unshare(UnshareFlags::NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).map_err(cannot)?;
    // Other engines, and what they are made of, serve there, and this one would take what it finds for its own.
    mount("outcall-verify", "/run", "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None).map_err(cannot)?;
    set_child_subreaper(Some(getpid())).map_err(cannot)?;
    let mut engine = start(dir).map_err(|error| format!("{PROGRAM}: {error}"))?;
    let pid = Pid::from_child(&engine);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = kill_process(pid, Signal::TERM);
        std::thread::sleep(GOING);
        let _ = kill_process(pid, Signal::KILL);
    });
    let ended = engine.wait();
    reap();
    ended.map(drop).map_err(|error| error.to_string())
}

fn start(dir: &Path) -> std::io::Result<Child> {
    let config = dir.join("config.json");
    std::fs::write(&config, "{}")?;
    let log = File::create(log(dir))?;
    let mut command = Command::new(PROGRAM);
    command.env_clear().env("PATH", PATH).arg("--config-file").arg(config);
    command.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
    command
        .arg("--pidfile")
        .arg(dir.join("pid"))
        .arg("--host")
        .arg(format!("unix://{}", dir.join("docker.sock").display()));
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--shutdown-timeout=3"]);
    // The manager of services would be asked where it cannot be found.
    command.args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()
}

/// Ends what is left: whoever loses its parent becomes a child of this process.
fn reap() {
    let until = Instant::now() + GOING;
    while Instant::now() < until {
        let children = children();
        if children.is_empty() {
            return;
        }
        for child in children {
            let _ = kill_process(child, Signal::KILL);
            let _ = waitpid(Some(child), WaitOptions::empty());
        }
    }
}

fn children() -> Vec<Pid> {
    let own = getpid().as_raw_nonzero().get();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let child = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything; the state and the parent follow (proc_pid_stat(5)).
        let parent: i32 = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
        Pid::from_raw(entry.file_name().to_str()?.parse().ok()?).filter(|_| parent == own)
    };
    processes.filter_map(child).collect()
}
