//! A host in the world: `outcalld` with its bridge, and two agents on it; the one that tries may be a container.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::around::Around;
use crate::docker::{Contained, Engine};
use crate::helper::Helper;
use crate::mutations::{Change, Mutation, nft};
use crate::policy::{self, AGENT, NEIGHBOUR};
use crate::run::Options;
use crate::stand::dns_budget;
use crate::technique::Act;
use crate::world::{World, enter, zone};

/// The proxy and the resolver as an agent on a host is told them.
pub(crate) const PLACES: [&str; 2] = ["10.200.0.1:8080", "10.200.0.1:53"];
/// The address of the gateway, at which the host answers agents.
pub(crate) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 1);
/// The address of the agent that tries: the first that is attached.
pub(crate) const AGENT_V4: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 2);
/// The addresses of the other agent: the second that is attached.
pub(crate) const NEIGHBOUR_V4: Ipv4Addr = Ipv4Addr::new(10, 200, 0, 3);
/// The same, IPv6.
pub(crate) const NEIGHBOUR_V6: Ipv6Addr = Ipv6Addr::new(0xfd6f, 0x7574, 0x6361, 0x6c6c, 0, 0, 0, 3);
/// How long the daemon may take to enforce a policy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the daemon is dead, and how long an agent has to make use of something.
const DEAD: Duration = Duration::from_millis(300);
/// How long it takes until a kernel asks for a neighbour again that did not answer, and a little.
const ASKED_AGAIN: Duration = Duration::from_millis(1500);
/// Within this the daemon puts back what somebody took away.
const NOTICED: Duration = Duration::from_secs(1);
/// How often it is asked.
const MOMENT: Duration = Duration::from_millis(10);

/// The daemon, and the namespaces of its agents.
#[derive(Debug)]
pub(crate) struct Host {
    process: Child,
    daemon: Daemon,
    suspect: Suspect,
    neighbour: Child,
    policy: Loaded,
    outcall: PathBuf,
    /// How many packets the other agent was sent.
    sent: u64,
}

/// The agent that tries.
#[derive(Debug)]
enum Suspect {
    /// A process that holds a namespace, with every right over it.
    Namespace(Child),
    /// A container, with no rights but those that containers are given.
    Container(Contained),
}

/// How the daemon is started.
#[derive(Debug)]
struct Daemon {
    line: Vec<OsString>,
    helper: Helper,
    said: PathBuf,
    socket: PathBuf,
}

/// The policy that is in force, and how it was made.
#[derive(Debug)]
struct Loaded {
    artifacts: PathBuf,
    work: PathBuf,
    mutation: Option<&'static Mutation>,
}

/// The hardware address that an agent gets with its address.
pub(crate) fn hardware(agent: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = agent.octets();
    [0x02, 0x6f, a, b, c, d]
}

impl Host {
    /// Starts the daemon under the policy in `artifacts`, and attaches both agents.
    pub(crate) fn start(
        options: &Options,
        world: &World,
        artifacts: &Path,
        around: &Around,
        log: &Path,
    ) -> Result<Host, String> {
        let helper = &options.helper;
        let mut forwarding = world.on_host(helper);
        forwarding.args(helper.line("forward"));
        done(&mut forwarding, "the host cannot be told to forward")?;
        let work = log.parent().unwrap_or(log);
        let engine = options.image.as_ref().map(|image| {
            let engine = Engine::start(options, world, &work.join("engine"))?;
            engine.take(image).map(|()| engine)
        });
        let engine = engine.transpose()?;
        let said = work.join("stderr");
        let loaded = options.mutation.map(Mutation::loaded).unwrap_or_default();
        let mut line = if loaded.is_empty() { vec![] } else { nft::words(helper, work, &loaded)? };
        line.push(options.outcalld.clone().into());
        let mut option = |name: &str, value: &OsStr| line.extend([name.into(), value.to_owned()]);
        option("--artifacts", artifacts.as_os_str());
        option("--socket", around.operator.as_os_str());
        option("--agent-socket", around.agents.as_os_str());
        option("--secrets", around.secrets.as_os_str());
        option("--log", log.as_os_str());
        option("--state-dir", work.join("state").as_os_str());
        option("--ca-cert", around.certificate.as_os_str());
        option("--ca-key", around.key.as_os_str());
        option("--upstream-ca", work.join("ca.pem").as_os_str());
        option("--dns-upstream", zone::DNS_V4.to_string().as_ref());
        let budget = dns_budget(options.mutation);
        match &engine {
            Some(engine) => option("--docker-socket", engine.place().as_os_str()),
            None => line.push("--no-docker".into()),
        }
        line.extend(budget);
        let daemon = Daemon { line, helper: helper.clone(), said, socket: around.operator.clone() };
        let mut process = daemon.start(world)?;
        if let Err(why) = daemon.ready(&mut process) {
            end(&mut process);
            return Err(why);
        }
        let suspect = match engine {
            Some(engine) => Contained::make(engine, options, world, &daemon.socket).map(Suspect::Container),
            None => namespace(helper, world, "hold").map(Suspect::Namespace),
        };
        let pair = suspect.and_then(|suspect| Ok((suspect, namespace(helper, world, "hold")?)));
        let (suspect, neighbour) = match pair {
            Ok(pair) => pair,
            Err(why) => {
                end(&mut process);
                return Err(why);
            }
        };
        let policy = Loaded { artifacts: artifacts.to_owned(), work: work.to_owned(), mutation: options.mutation };
        let outcall = options.outcall.clone();
        let host = Host { process, daemon, suspect, neighbour, policy, outcall, sent: 0 };
        let counting = enter(helper, host.neighbour.id()).args(["nft", NEIGHBOUR_COUNTS]).output();
        counting.map_err(|error| format!("what the other agent is sent cannot be counted: {error}"))?;
        match &host.suspect {
            Suspect::Namespace(holder) => host.attach(world, holder.id(), AGENT)?,
            // It is where it belongs since it was made.
            Suspect::Container(contained) => quiet(helper, contained.pid())?,
        }
        host.attach(world, host.neighbour.id(), NEIGHBOUR)?;
        if options.mutation.is_some_and(|mutation| mutation.has(Change::Joined)) {
            let mut joining = world.on_host(helper);
            done(joining.args(helper.line("talking")).args(host.ports(world)?), "the ports cannot be joined")?;
        }
        Ok(host)
    }

    fn attach(&self, world: &World, pid: u32, name: &str) -> Result<(), String> {
        let mut attaching = world.on_host(&self.daemon.helper);
        attaching.arg(&self.outcall).arg("--socket").arg(&self.daemon.socket);
        attaching.args(["netns", "attach", &format!("/proc/{pid}/ns/net"), "--name", name]);
        done(&mut attaching, "an agent cannot be attached")
    }

    /// The ports of agents on the bridge.
    fn ports(&self, world: &World) -> Result<Vec<String>, String> {
        let mut listing = world.on_host(&self.daemon.helper);
        let output = listing.args(["nft", "-j", "list", "set", "bridge", "outcall", "ports"]).output();
        let output = output.map_err(|error| format!("the ports cannot be listed: {error}"))?;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
        let sets = listed.get("nftables").and_then(serde_json::Value::as_array).into_iter().flatten();
        let names = sets.filter_map(|object| object.pointer("/set/elem")?.as_array()).flatten();
        Ok(names.filter_map(|name| name.as_str().map(str::to_owned)).collect())
    }

    /// Does something to the host.
    pub(crate) fn act(&mut self, act: Act, world: &World) -> Result<(), String> {
        match act {
            Act::Kill => {
                self.process.kill().and_then(|()| self.process.wait()).map_err(|error| error.to_string())?;
                // Nobody answers now, and the kernel alone refuses.
                std::thread::sleep(DEAD);
                self.process = self.daemon.start(world)?;
                self.daemon.ready(&mut self.process)?;
                match &self.suspect {
                    Suspect::Namespace(_) => Ok(()),
                    Suspect::Container(contained) => {
                        contained.let_in(|| ask(&self.daemon.socket, "GET /api/v1/containers"))
                    }
                }
            }
            Act::Flush => {
                for family in ["inet", "bridge"] {
                    let mut deleting = world.on_host(&self.daemon.helper);
                    done(deleting.args(["nft", "delete", "table", family, "outcall"]), "a table cannot be deleted")?;
                }
                let until = Instant::now() + NOTICED;
                let there = |family: &str| {
                    let mut listing = world.on_host(&self.daemon.helper);
                    done(listing.args(["nft", "list", "table", family, "outcall"]), "").is_ok()
                };
                while Instant::now() < until && !(there("inet") && there("bridge")) {
                    std::thread::sleep(MOMENT);
                }
                Ok(())
            }
            Act::Rules(from, to) => self.load(&[(from, to)]),
            Act::RulesAgain => self.load(&[]),
            Act::Attach => {
                let mut racing = namespace(&self.daemon.helper, world, "race")?;
                let raced = self.attach(world, racing.id(), &format!("{AGENT}-2"));
                // It has its way out now, if there is any; who asked for the gateway too early asks again after a second.
                std::thread::sleep(ASKED_AGAIN);
                let mut letting_go = world.on_host(&self.daemon.helper);
                letting_go.arg(&self.outcall).arg("--socket").arg(&self.daemon.socket);
                letting_go.args(["netns", "detach", &format!("{AGENT}-2")]);
                let let_go = raced.and_then(|()| done(&mut letting_go, "an agent cannot be let go"));
                drop(racing.stdin.take());
                let _ = racing.kill();
                let _ = racing.wait();
                let_go
            }
            // A host has no sandboxes of its own.
            Act::Begin => Ok(()),
            Act::Wait(milliseconds) => {
                std::thread::sleep(Duration::from_millis(milliseconds));
                Ok(())
            }
        }
    }

    /// Has the daemon load the rules with a change.
    fn load(&self, changes: &[(&str, &str)]) -> Result<(), String> {
        let Loaded { artifacts, work, mutation } = &self.policy;
        let mut rules = mutation.map_or_else(|| policy::RULES.to_owned(), |mutation| mutation.rules(policy::RULES));
        for (from, to) in changes {
            rules = rules.replace(from, to);
        }
        let mut compiled = policy::compile(&rules, &[], work)?;
        if let Some(mutation) = mutation {
            mutation.apply(&mut compiled, work)?;
        }
        policy::write(&compiled, artifacts)?;
        let answer = ask(&self.daemon.socket, "POST /api/v1/rules/reload").map_err(|error| error.to_string())?;
        let loaded = answer.contains("\"success\":true") || answer.contains("\"success\": true");
        loaded.then_some(()).ok_or_else(|| format!("the rules are not loaded: {answer}"))
    }

    /// Whether something was sent to the other agent since the last time.
    pub(crate) fn neighbour_touched(&mut self) -> Option<String> {
        let mut listing = enter(&self.daemon.helper, self.neighbour.id());
        let output = listing.args(["nft", "-j", "list", "counters"]).output().ok()?;
        let listed: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        let objects = listed.get("nftables")?.as_array()?;
        let sent = objects.iter().find_map(|object| object.pointer("/counter/packets"))?.as_u64()?;
        let before = std::mem::replace(&mut self.sent, sent);
        (sent > before).then(|| "the other agent".to_owned())
    }

    /// The agent that tries, but for the last word, which is what stands around it.
    pub(crate) fn agent(&self) -> Command {
        match &self.suspect {
            Suspect::Namespace(holder) => {
                let mut command = enter(&self.daemon.helper, holder.id());
                command.args(self.daemon.helper.line("agent")).args(PLACES);
                command
            }
            Suspect::Container(contained) => contained.agent(&self.daemon.helper),
        }
    }

    /// What stands around it, as it sees it.
    pub(crate) fn told(&self, around: &Around) -> Around {
        match &self.suspect {
            Suspect::Namespace(_) => around.clone(),
            Suspect::Container(contained) => contained.told(around),
        }
    }

    /// Whether the kernel gives the agent no right over its network.
    pub(crate) fn has_no_rights(&self) -> bool {
        match &self.suspect {
            Suspect::Namespace(_) => false,
            Suspect::Container(contained) => contained.has_no_rights(),
        }
    }
}

impl Daemon {
    fn start(&self, world: &World) -> Result<Child, String> {
        let mut command = world.on_host(&self.helper);
        let stderr = File::create(&self.said).map_err(|error| format!("cannot write a file: {error}"))?;
        command.args(&self.line).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        command.spawn().map_err(|error| format!("outcalld does not start: {error}"))
    }

    /// Waits until the daemon enforces a policy.
    fn ready(&self, process: &mut Child) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if process.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            let answer = ask(&self.socket, "GET /api/v1/ready").unwrap_or_default();
            if answer.contains("\"success\":true") || answer.contains("\"success\": true") {
                return Ok(());
            }
            std::thread::sleep(MOMENT);
        }
        let said = std::fs::read_to_string(&self.said).unwrap_or_default();
        Err(format!("outcalld is not ready: {}", said.trim()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let holder = match &mut self.suspect {
            Suspect::Namespace(holder) => Some(holder),
            Suspect::Container(contained) => {
                contained.end();
                None
            }
        };
        for process in holder.into_iter().chain([&mut self.neighbour]) {
            drop(process.stdin.take());
            let _ = process.kill();
            let _ = process.wait();
        }
        end(&mut self.process);
    }
}

/// Ends the daemon.
fn end(process: &mut Child) {
    let pid = rustix::process::Pid::from_child(process);
    let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until && matches!(process.try_wait(), Ok(None)) {
        std::thread::sleep(MOMENT);
    }
    let _ = process.kill();
    let _ = process.wait();
}

/// An agent's own kernel says nothing of itself: no groups that it is in, no routers that it looks for, no addresses that it
/// tries. What a program sends is another matter.
const QUIET: &str = "table inet quiet { chain out { type filter hook output priority 0; policy accept; \
    icmpv6 type { mld-listener-report, mld2-listener-report, nd-router-solicit } drop; ip6 saddr :: drop; \
    icmpv6 type nd-neighbor-solicit ip6 saddr fe80::/10 drop; }; }";

/// Counts what the other agent is sent: it asked for nothing.
const NEIGHBOUR_COUNTS: &str = "table inet sent { counter sent { } chain arriving { \
    type filter hook prerouting priority -300; policy accept; meta l4proto != icmpv6 counter name sent; }; }";

/// A network namespace for an agent, held by a process of its own.
fn namespace(helper: &Helper, world: &World, word: &str) -> Result<Child, String> {
    let mut command = world.on_host(helper);
    command.args(helper.line(word)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().map_err(|error| format!("an agent's namespace cannot be made: {error}"))?;
    let mut line = [0; 5];
    let heard = holder.stdout.as_mut().map(|stdout| stdout.read_exact(&mut line));
    let made = match heard {
        Some(Ok(())) => quiet(helper, holder.id()),
        _ => Err("an agent's namespace cannot be made".to_owned()),
    };
    if made.is_err() {
        let _ = holder.kill();
        let _ = holder.wait();
    }
    made.map(|()| holder)
}

/// Has the kernel of an agent say nothing of itself.
fn quiet(helper: &Helper, pid: u32) -> Result<(), String> {
    let mut quieting = enter(helper, pid);
    done(quieting.args(["nft", QUIET]), "an agent's kernel cannot be quieted")
}

pub(crate) fn done(command: &mut Command, otherwise: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{otherwise}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{otherwise}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Asks the daemon something.
fn ask(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "{line} HTTP/1.1\r\nHost: outcall\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
