//! An agent in a container: made of the operator's image by `outcall container create`, in an engine of Docker's that belongs
//! to the run and stands in the world.
//!
//! The operator's own engine is on the machine's network, and no container of it can be put into the world. So a second one is
//! started from the same programs, with directories, mounts and a network of its own, and the image is copied into it: the
//! operator's engine is asked for the image, and for nothing else.
//!
//! Invariant: nothing is made, changed or removed in the operator's engine.

mod api;
mod engine;
mod program;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::around::Around;
use crate::helper::Helper;
use crate::host::{PLACES, done};
use crate::policy::{AGENT, IMAGE};
use crate::run::Options;
use crate::world::World;

pub(crate) use api::join;
pub(crate) use engine::{Engine, main};

/// How long the engine may take to be seen by the daemon, and a container to be let in.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const MOMENT: Duration = Duration::from_millis(20);
/// Where containers see the agents' socket.
const AGENTS: &str = "/run/outcall/agent.sock";

/// An image, and the engine that has it.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its name there, such as `debian:12`.
    pub name: String,
    /// The socket of the operator's engine.
    pub engine: PathBuf,
}

/// The container that the agent is in, and the engine around it.
#[derive(Debug)]
pub(crate) struct Contained {
    engine: Engine,
    /// What is mounted into it, of which the agent is started.
    #[expect(dead_code, reason = "it is there to be dropped")]
    program: tempfile::TempDir,
    line: Vec<OsString>,
    pid: u32,
}

impl Contained {
    /// Has the daemon at `socket` make the container.
    pub(crate) fn make(engine: Engine, options: &Options, world: &World, socket: &Path) -> Result<Contained, String> {
        // No agent may see what lies beside the daemon's sockets, so this is elsewhere.
        let program = tempfile::Builder::new().prefix("outcall-verify-agent-").tempdir();
        let program = program.map_err(|error| format!("cannot make a directory: {error}"))?;
        let words = |name: &str| program::line(&options.helper, name);
        program::lay(&options.helper, program.path())?;
        let operator = |words: &[&OsStr]| {
            let mut command = world.on_host(&options.helper);
            command.arg(&options.outcall).arg("--socket").arg(socket).args(words);
            command
        };
        let until = Instant::now() + PATIENCE;
        // The daemon asks the engine again every now and then, and may not have found it yet.
        while let Err(why) = done(&mut operator(&["network".as_ref(), "create".as_ref()]), "there is no network") {
            if Instant::now() > until {
                return Err(why);
            }
            std::thread::sleep(MOMENT * 10);
        }
        let mut making = operator(&["container".as_ref(), "create".as_ref()]);
        making.args(["--name", AGENT, "--env"]).arg(program::VARIABLE);
        let mut volume = program.path().as_os_str().to_owned();
        volume.push(format!(":{}:ro", program::INSIDE));
        making.arg("--volume").arg(volume).args([IMAGE, "--"]).args(words("still"));
        done(&mut making, "the container cannot be made")?;
        let inspected = engine.ask("GET", &format!("/containers/{AGENT}/json"), &Value::Null)?;
        let pid = inspected.pointer("/State/Pid").and_then(Value::as_u64).and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| *pid != 0).ok_or("the container has ended at once")?;
        Ok(Contained { line: words("agent"), engine, program, pid })
    }

    /// The agent: a program that is started in the container, with standard input and output out here.
    pub(crate) fn agent(&self, helper: &Helper) -> Command {
        let mut command = helper.command("join");
        command.arg(self.engine.socket()).arg(AGENT).args(&self.line).args(PLACES);
        command
    }

    /// What stands around it, as it is seen in there.
    pub(crate) fn told(&self, around: &Around) -> Around {
        Around { agents: AGENTS.into(), ..around.clone() }
    }

    /// Its first process.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether nobody in there has a right over the network: neither `CAP_NET_ADMIN` nor `CAP_NET_RAW` of capabilities(7) is in its
    /// bound.
    pub(crate) fn has_no_rights(&self) -> bool {
        const RIGHTS: u64 = 1 << 12 | 1 << 13;
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let bound = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
        bound.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).is_some_and(|bound| bound & RIGHTS == 0)
    }

    /// Waits until the daemon, which was started again, has let it in again.
    pub(crate) fn let_in(&self, list: impl Fn() -> std::io::Result<String>) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if list().is_ok_and(|listed| listed.contains("\"guarded\":true")) {
                return Ok(());
            }
            std::thread::sleep(MOMENT);
        }
        Err("the container is not let in again".to_owned())
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        let _ = self.engine.ask("DELETE", &format!("/containers/{AGENT}?force=true"), &Value::Null);
    }
}

impl Engine {
    /// Copies the operator's image, and makes of it the one that the agent's container is made of: the same, but for what it
    /// starts by itself.
    pub(crate) fn take(&self, image: &Image) -> Result<(), String> {
        api::carry(&image.engine, &image.name, self.socket())?;
        let images = self.ask("GET", "/images/json", &Value::Null)?;
        let id = images.pointer("/0/Id").and_then(Value::as_str).ok_or("the image did not arrive")?;
        // A container that is never started: the engine makes images of containers alone.
        let plain = json!({ "Image": id, "Entrypoint": [""], "Cmd": ["none"], "Healthcheck": { "Test": ["NONE"] } });
        let made = self.ask("POST", "/containers/create", &plain)?;
        let made = made.get("Id").and_then(Value::as_str).ok_or("the engine makes no container of the image")?;
        let (name, tag) = IMAGE.split_once(':').unwrap_or((IMAGE, "latest"));
        self.ask("POST", &format!("/commit?container={made}&repo={name}&tag={tag}"), &Value::Null)?;
        self.ask("DELETE", &format!("/containers/{made}"), &Value::Null).map(drop)
    }
}
