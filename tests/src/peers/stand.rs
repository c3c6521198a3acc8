//! The agent behind a product: beside a proxy in a network of its own, or inside what the product starts.
//!
//! A proxy guards no packets, so it gets the setup that its users are told to give it: the agent is on an internal network,
//! which leads to the proxy's host and has no route, as with `docker network create --internal`, and `HTTP_PROXY` says
//! where the proxy is. The agent is nobody, without a capability.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use outcall_verify::helper::Helper;
use outcall_verify::world::{World, enter, zone};
use serde_json::Value;

use super::Peer;
use super::needs::{Need, OPEN};

/// The proxy's end of the internal network, and the agent's.
const HOST: &str = "10.201.0.1";
const AGENT: &str = "10.201.0.2";
const PORT: &str = "3128";
/// How long a proxy may take to listen.
const STARTING: Duration = Duration::from_secs(60);
/// How long one technique may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// An agent behind a product.
pub(super) struct Stand {
    agent: Option<Agent>,
    proxy: Option<Child>,
    holder: Option<Child>,
    pub(super) world: World,
    peer: Peer,
    helper: Helper,
    work: tempfile::TempDir,
}

struct Agent {
    process: Child,
    orders: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Stand {
    pub(super) fn start(peer: &Peer, helper: &Helper, outcall: &Path) -> Result<Stand, String> {
        let cannot = |error: std::io::Error| format!("cannot set up: {error}");
        let work = tempfile::Builder::new().prefix("outcall-peers-").tempdir().map_err(cannot)?;
        std::fs::set_permissions(work.path(), std::fs::Permissions::from_mode(0o755)).map_err(cannot)?;
        let world = World::start(helper)?;
        std::fs::write(work.path().join("upstream.crt"), &world.ca_pem).map_err(cannot)?;
        std::fs::write(work.path().join("resolv.conf"), format!("nameserver {}\n", zone::DNS_V4)).map_err(cannot)?;
        // Where an agent that is nobody finds it, whatever the rights of the directory it was built in.
        let own = std::env::current_exe().map_err(cannot)?;
        let done = Command::new("install").args(["-m", "755"]).arg(own).arg(work.path().join("guest")).status();
        if !done.map_err(cannot)?.success() {
            return Err("install(1) failed".to_owned());
        }
        let ca = work.path().join("ca");
        finish(Command::new(outcall).args(["ca", "init", "--algorithm", "ecdsa", "--out"]).arg(&ca))?;
        let (peer, helper) = (peer.clone(), helper.clone());
        let mut stand = Stand { agent: None, proxy: None, holder: None, world, peer, helper, work };
        if !stand.peer.wraps {
            stand.lay()?;
            stand.listen()?;
        }
        stand.enlist()?;
        Ok(stand)
    }

    /// A command of the product's script on the host, with the world's resolver as that of the system.
    fn script(&self, what: &str) -> Command {
        let mut command = self.world.on_host(&self.helper);
        let resolver = "mount --make-rprivate / && mount --bind \"$WORK/resolv.conf\" /etc/resolv.conf && exec \"$@\"";
        command.args(["unshare", "--mount", "sh", "-c", resolver, "sh"]).arg(&self.peer.script).arg(what);
        let variables = [("HOST", HOST), ("PORT", PORT), ("AGENT", AGENT)];
        command.envs(variables).env("WORK", self.work.path()).env("RESOLVER", zone::DNS_V4.to_string());
        command.env("OPEN", OPEN.join(" ")).env("HOME", self.work.path()).env("LANG", "C.UTF-8");
        if let Some(installed) = std::env::var_os("PEERS") {
            command.env("PEERS", installed);
        }
        command
    }

    /// The internal network.
    fn lay(&mut self) -> Result<(), String> {
        let mut command = self.world.on_host(&self.helper);
        command.args(self.helper.line("hold")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().map_err(|error| format!("no namespace for the agent: {error}"))?;
        let mut line = [0; 5];
        let heard = holder.stdout.as_mut().map(|stdout| stdout.read_exact(&mut line));
        let pid = holder.id();
        self.holder = Some(holder);
        if !matches!(heard, Some(Ok(()))) {
            return Err("no namespace for the agent".to_owned());
        }
        let script = format!(
            "ip link add agents type veth peer name eth0 netns {pid} && ip address add {HOST}/24 dev agents \
             && echo 1 >/proc/sys/net/ipv6/conf/agents/disable_ipv6 && ip link set agents up"
        );
        finish(self.world.on_host(&self.helper).args(["sh", "-c", &script]))?;
        let script = format!(
            "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up && ip address add {AGENT}/24 dev eth0 \
             && ip link set eth0 up"
        );
        finish(enter(&self.helper, pid).args(["sh", "-c", &script]))
    }

    /// Starts the proxy and waits until it listens.
    fn listen(&mut self) -> Result<(), String> {
        let said = self.work.path().join("said");
        let file = File::create(&said).map_err(|error| error.to_string())?;
        let errors = file.try_clone().map_err(|error| error.to_string())?;
        let mut command = self.script("start");
        let process = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
        self.proxy = Some(process.map_err(|error| format!("does not start: {error}"))?);
        let until = Instant::now() + STARTING;
        while Instant::now() < until {
            let mut asking = self.world.on_host(&self.helper);
            let asked = asking.args(["nc", "-z", HOST, PORT]).stderr(Stdio::null()).status();
            if asked.is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if self.proxy.as_mut().is_some_and(|proxy| matches!(proxy.try_wait(), Ok(Some(_)))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let said = std::fs::read_to_string(said).unwrap_or_default();
        let tail: Vec<&str> = said.lines().rev().take(5).collect();
        Err(format!("it does not listen: {}", tail.into_iter().rev().collect::<Vec<_>>().join(" / ")))
    }

    /// Starts the agent.
    fn enlist(&mut self) -> Result<(), String> {
        self.agent = None;
        let guest = self.work.path().join("guest");
        let system = format!("{}:53", zone::DNS_V4);
        let resolver = if self.peer.has.contains(&Need::Resolver) { system } else { format!("{HOST}:53") };
        let mut command = match &self.holder {
            None => self.script("wrap"),
            Some(holder) => {
                let mut command = enter(&self.helper, holder.id());
                command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
                command.args(["--bounding-set=-all", "--no-new-privs", "env"]);
                command.arg(format!("HTTP_PROXY=http://{HOST}:{PORT}"));
                command
            }
        };
        command.arg(guest).args(["helper", "guest", &resolver]);
        let said = File::create(self.work.path().join("agent")).map_err(|error| error.to_string())?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut process = command.spawn().map_err(|error| format!("the agent does not start: {error}"))?;
        let orders = process.stdin.take();
        let answers = lines(process.stdout.take().ok_or("no standard output")?);
        self.agent = Some(Agent { process, orders, answers });
        match self.ask("") {
            Some(_) => Ok(()),
            None => Err(format!("the agent does not start: {}", self.said())),
        }
    }

    fn said(&self) -> String {
        let said = std::fs::read_to_string(self.work.path().join("agent")).unwrap_or_default();
        let tail: Vec<&str> = said.lines().filter(|line| !line.trim().is_empty()).rev().take(6).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }

    fn ask(&mut self, id: &str) -> Option<Value> {
        let agent = self.agent.as_mut()?;
        let orders = agent.orders.as_mut()?;
        writeln!(orders, "1 {id}").and_then(|()| orders.flush()).ok()?;
        let until = Instant::now() + PATIENCE;
        loop {
            let line = agent.answers.recv_timeout(until.saturating_duration_since(Instant::now())).ok()?;
            // What the product itself prints is no answer.
            let said = serde_json::from_str(&line).ok().filter(|it: &Value| it.get("id").is_some());
            if said.is_some() {
                return said;
            }
        }
    }

    /// Whether the product is no longer there: the proxy, or what started the agent and serves it.
    pub(super) fn has_ended(&mut self) -> bool {
        let agent = self.agent.as_mut().filter(|_| self.peer.wraps).map(|agent| &mut agent.process);
        [self.proxy.as_mut(), agent].into_iter().flatten().any(|process| !matches!(process.try_wait(), Ok(None)))
    }

    /// Starts it once more, as at the beginning.
    pub(super) fn start_again(&mut self) -> Result<(), String> {
        if !self.peer.wraps {
            self.listen()?;
        }
        self.enlist()
    }

    /// Has the agent try a technique, and gives what it got hold of that it must not have; an error within says why it could not
    /// be tried.
    pub(super) fn attempt(&mut self, id: &str) -> Result<Result<Vec<String>, String>, String> {
        let Some(said) = self.ask(id) else {
            // It was ended for what it tried, or hangs in it: that is seen from outside, too.
            self.enlist()?;
            return Ok(Ok(Vec::new()));
        };
        let got = said.get("got").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let got = got.map(str::to_owned).collect();
        let untried = said.get("not_tried").and_then(Value::as_str).map(str::to_owned);
        let missing = said.get("missing").filter(|it| !it.is_null()).map(|_| "no such socket here".to_owned());
        Ok(untried.or(missing).map_or(Ok(got), Err))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.orders.take());
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(20));
        }
        end(&mut self.process);
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.agent = None;
        for process in [self.proxy.as_mut(), self.holder.as_mut()].into_iter().flatten() {
            drop(process.stdin.take());
            let pid = rustix::process::Pid::from_child(process);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let until = Instant::now() + Duration::from_secs(3);
            while Instant::now() < until && matches!(process.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(20));
            }
            end(process);
        }
    }
}

fn end(process: &mut Child) {
    let _ = process.kill();
    let _ = process.wait();
}

fn finish(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// The lines of a stream, read by a thread of their own so that they can be waited for.
fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
