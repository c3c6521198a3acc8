//! Where the agent stands: a real sandbox in the world, with its log and its kernel's counters.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::around::{Around, SECRET, Traps, VARIABLE, canary};
use crate::helper::Helper;
use crate::host::Host;
use crate::inside::{MARK_ADDRESS, MARK_PORT, Said, mark_name};
use crate::mutations::{Change, Mutation};
use crate::open;
use crate::policy::AGENT;
use crate::run::{Options, Place};
use crate::technique::{Act, Places, Step, Technique};
use crate::world::{World, enter, zone};

/// The proxy and the resolver as an agent in a sandbox is told them.
const SANDBOX: [&str; 2] = ["127.0.0.1:61080", "127.0.0.1:53"];
/// How many names under a wildcard an agent may ask for in a minute: few, so that it is soon seen that it is few.
const DNS_BUDGET: &str = "16";
/// How long the command of another sandbox goes on.
const MORE: Duration = Duration::from_millis(100);
/// How long one technique may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The options of a daemon, or of a run, for the budget of names under wildcards.
pub(crate) fn dns_budget(mutation: Option<&Mutation>) -> Vec<OsString> {
    match mutation.is_some_and(|mutation| mutation.has(Change::Unbudgeted)) {
        true => vec!["--no-dns-budget".into()],
        false => vec!["--dns-budget-names".into(), DNS_BUDGET.into()],
    }
}

/// An agent where it stands.
#[derive(Debug)]
pub(crate) struct Stand {
    agent: Child,
    orders: Option<ChildStdin>,
    /// Ends before the world around it.
    host: Option<Host>,
    /// The open door in the place of both.
    #[expect(dead_code, reason = "it is there to be dropped")]
    door: Option<Door>,
    traps: Traps,
    pub(crate) world: World,
    helper: Helper,
    place: Place,
    answers: Receiver<String>,
    log: Log,
    guard: Option<u32>,
    stderr: PathBuf,
    second: Second,
}

/// How another sandbox is started, where the agent is in one; elsewhere what would be its command.
#[derive(Debug)]
struct Second {
    line: Vec<OsString>,
    log: PathBuf,
}

/// The audit log, as far as it was read.
#[derive(Debug)]
struct Log {
    path: PathBuf,
    at: u64,
    records: Vec<Value>,
}

impl Stand {
    /// An agent where the options say, under the policy in `artifacts`.
    pub(crate) fn start(options: &Options, world: World, artifacts: &Path, work: &Path) -> Result<Stand, String> {
        let authority = work.join("ca.pem");
        std::fs::write(&authority, &world.ca_pem).map_err(|error| format!("cannot write a certificate: {error}"))?;
        let (log, stderr) = (work.join("audit.jsonl"), work.join("agent-stderr"));
        let said = File::create(&stderr).map_err(|error| format!("cannot write a file: {error}"))?;
        let around = Around::make(options, work)?;
        let traps = Traps::set(options, &world, &around)?;
        let sandbox = |socket: &Path, log: &Path| {
            let mut line = vec![options.outcall.clone().into_os_string()];
            let mut option = |name: &str, value: &OsStr| line.extend([name.into(), value.to_owned()]);
            option("--socket", socket.as_os_str());
            option("run", "--quiet".as_ref());
            option("--name", AGENT.as_ref());
            option("--artifacts", artifacts.as_os_str());
            option("--log", log.as_os_str());
            option("--upstream-ca", authority.as_os_str());
            option("--dns-upstream", zone::DNS_V4.to_string().as_ref());
            option("--ca-cert", around.certificate.as_os_str());
            option("--ca-key", around.key.as_os_str());
            option("--secrets", around.secrets.as_os_str());
            option("--secret", format!("{SECRET}-in-a-variable=env:{VARIABLE}").as_ref());
            line.extend(dns_budget(options.mutation));
            line.push("--".into());
            line
        };
        let (mut command, host) = match options.place {
            Place::Sandbox => {
                let mut command = world.on_host(&options.helper);
                command.args(sandbox(&around.operator, &log)).env(VARIABLE, canary()?);
                command.args(options.helper.line("agent")).args(SANDBOX);
                (command, None)
            }
            Place::Host | Place::Container => {
                let host = Host::start(options, &world, artifacts, &around, &log)?;
                (host.agent(), Some(host))
            }
            Place::Unguarded => {
                File::create(&log).map_err(|error| format!("cannot write a file: {error}"))?;
                let mut command = world.on_host(&options.helper);
                // Nobody takes it out of the environment.
                command.args(options.helper.line("agent")).args(open::PLACES).env(VARIABLE, canary()?);
                (command, None)
            }
        };
        let second = Second { log: work.join("second.jsonl"), line: options.helper.line("sending") };
        let second = match options.place {
            Place::Sandbox => {
                let line = [sandbox(&work.join("second.sock"), &second.log), second.line].concat();
                Second { line, ..second }
            }
            Place::Host | Place::Container | Place::Unguarded => second,
        };
        let door = (options.place == Place::Unguarded).then(|| open_door(options, &world, &around)).transpose()?;
        let mut around = host.as_ref().map_or(around.clone(), |host| host.told(&around));
        if options.mutation.is_some_and(|mutation| mutation.has(Change::Answered)) {
            around.agents.clone_from(&around.operator);
        }
        command.arg(around.word()?).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(said);
        let mut agent = command.spawn().map_err(|error| format!("the agent does not start: {error}"))?;
        let orders = agent.stdin.take();
        let answers = lines(agent.stdout.take().ok_or("no standard output")?);
        let log = Log { path: log, at: 0, records: Vec::new() };
        let (helper, place) = (options.helper.clone(), options.place);
        let mut stand =
            Stand { agent, orders, host, door, traps, world, helper, place, answers, log, guard: None, stderr, second };
        // A first word, so that everything stands.
        stand.order(0, 0, "")?;
        stand.guard = match place {
            Place::Sandbox => stand.process_one(),
            Place::Host | Place::Container => Some(stand.world.host_pid),
            Place::Unguarded => None,
        };
        Ok(stand)
    }

    /// Where this is.
    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Whether the kernel gives the agent no right over its network.
    pub(crate) fn has_no_rights(&self) -> bool {
        self.host.as_ref().is_some_and(Host::has_no_rights)
    }

    /// Has the agent try a technique, and does meanwhile what happens outside.
    pub(crate) fn attempt(&mut self, number: u16, technique: &Technique) -> Result<Said, String> {
        let mut whole = Said::default();
        let mut from = 0;
        loop {
            let said = self.order(number, from, technique.id)?;
            whole.got.extend(said.got);
            whole.notes.extend(said.notes);
            (whole.missing, whole.not_tried) = (said.missing, said.not_tried);
            whole.denied |= said.denied;
            let lacked = whole.denied && technique.places == Places::Host;
            let untried = lacked || whole.missing.is_some() || whole.not_tried.is_some();
            let next = technique.steps.iter().enumerate().skip(from);
            let next =
                next.filter_map(|(at, step)| if let Step::Outside(act) = step { Some((at, *act)) } else { None });
            let acts: Vec<(usize, Act)> = next.collect();
            let Some((at, act)) = acts.first().copied() else { return Ok(whole) };
            self.act(act)?;
            if untried {
                // What follows is not tried either, but what was done outside is undone, and the agent ends it.
                acts.iter().skip(1).try_for_each(|(_, act)| self.act(*act))?;
                self.order(number, technique.steps.len(), technique.id)?;
                return Ok(whole);
            }
            from = at + 1;
        }
    }

    fn act(&mut self, act: Act) -> Result<(), String> {
        match (&mut self.host, act) {
            (_, Act::Wait(milliseconds)) => std::thread::sleep(Duration::from_millis(milliseconds)),
            (Some(host), act) => host.act(act, &self.world)?,
            (None, Act::Begin) => self.begin()?,
            // Where there is no daemon nothing is done to it.
            (None, _) => {}
        }
        Ok(())
    }

    /// Starts another sandbox, whose command sends from its first instruction on, and lets it end. What its log says is said of
    /// this technique.
    fn begin(&mut self) -> Result<(), String> {
        let mut command = self.world.on_host(&self.helper);
        command.args(&self.second.line).env(VARIABLE, canary()?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(|error| format!("another sandbox does not start: {error}"))?;
        let said = lines(process.stdout.take().ok_or("no standard output")?);
        let began = said.recv_timeout(PATIENCE).map_err(|_| "another sandbox does not start".to_owned());
        // It has been sending for as long as it took to say so, and goes on for a moment.
        std::thread::sleep(MORE);
        drop(process.stdin.take());
        end(&mut process);
        let mut log = Log { path: self.second.log.clone(), at: 0, records: Vec::new() };
        if self.place == Place::Sandbox {
            log.read()?;
        }
        self.log.records.extend(log.records);
        began.map(drop)
    }

    fn order(&mut self, number: u16, from: usize, id: &str) -> Result<Said, String> {
        let order = format!("{number} {from} {id}");
        let told = self.orders.as_mut().map(|orders| writeln!(orders, "{order}").and_then(|()| orders.flush()));
        if told.is_none_or(|told| told.is_err()) {
            return Err(self.gone("takes no orders"));
        }
        let line = self.answers.recv_timeout(PATIENCE).map_err(|_| self.gone("does not answer"))?;
        serde_json::from_str(&line).map_err(|_| format!("the agent says `{line}`"))
    }

    fn gone(&self, what: &str) -> String {
        let said = std::fs::read_to_string(&self.stderr).unwrap_or_default();
        format!("the agent {what}: {}", said.trim())
    }

    /// Waits until both marks of a technique are in the log; whether they are.
    pub(crate) fn marked(&mut self, number: u16, until: Instant, moment: Duration) -> Result<bool, String> {
        loop {
            self.log.read()?;
            let nobody_writes = self.place == Place::Unguarded;
            if nobody_writes || self.log.records.iter().filter(|record| mark(record) == Some(number)).count() >= 2 {
                return Ok(true);
            }
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(moment);
        }
    }

    /// The records since the last time, marks left out.
    pub(crate) fn take_records(&mut self) -> Result<Vec<Value>, String> {
        self.log.read()?;
        Ok(std::mem::take(&mut self.log.records).into_iter().filter(|record| mark(record).is_none()).collect())
    }

    /// What was reached on the host since the last time.
    pub(crate) fn touched(&mut self) -> Vec<String> {
        let mut touched = self.traps.touched();
        touched.extend(self.host.as_mut().and_then(Host::neighbour_touched));
        touched
    }

    /// The kernel's counters of refused packets, taken together: on a host those of the bridge as well.
    pub(crate) fn refused(&self) -> Option<u64> {
        if self.place == Place::Unguarded {
            return Some(0);
        }
        let mut command = enter(&self.helper, self.guard?);
        let output = command.args(["nft", "-j", "list", "counters"]).output().ok()?;
        let listed: Value = serde_json::from_slice(&output.stdout).ok()?;
        let counters: Vec<&Value> =
            listed.get("nftables")?.as_array()?.iter().filter_map(|object| object.get("counter")).collect();
        let named = |name: &str| {
            let counter = counters.iter().find(|it| it.get("name").and_then(Value::as_str) == Some(name))?;
            counter.get("packets")?.as_u64()
        };
        let bridge = match self.place {
            Place::Sandbox | Place::Unguarded => 0,
            Place::Host | Place::Container => named("forged")? + named("between_agents")?,
        };
        Some(named("refused")? + bridge)
    }

    /// Process 1 of the sandbox: the parent of the agent, the grandchild of the process that was started.
    fn process_one(&self) -> Option<u32> {
        let supervisor = child(self.agent.id())?;
        child(supervisor)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // The end of its standard input ends the agent, and with it everything around it.
        drop(self.orders.take());
        end(&mut self.agent);
    }
}

/// Waits for a process that was told to end, and no longer than it may take.
fn end(process: &mut Child) {
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        if matches!(process.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = process.kill();
    let _ = process.wait();
}

/// The open door, which ends with its standard input.
#[derive(Debug)]
struct Door(Child);

impl Drop for Door {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Opens the door, on the client host.
fn open_door(options: &Options, world: &World, around: &Around) -> Result<Door, String> {
    let mut command = world.on_host(&options.helper);
    command.args(options.helper.line("open")).arg(&around.operator).stdin(Stdio::piped()).stdout(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("the open door does not start: {error}"))?;
    let mut door = Door(child);
    let mut line = [0; 5];
    match door.0.stdout.as_mut().map(|stdout| stdout.read_exact(&mut line)) {
        Some(Ok(())) => Ok(door),
        _ => Err("the open door does not open".to_owned()),
    }
}

impl Log {
    /// Reads what was appended, whole lines only.
    fn read(&mut self) -> Result<(), String> {
        let cannot = |error: std::io::Error| format!("cannot read the audit log: {error}");
        let mut file = File::open(&self.path).map_err(cannot)?;
        file.seek(SeekFrom::Start(self.at)).map_err(cannot)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(cannot)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
        {
            let record: Value =
                serde_json::from_slice(line).map_err(|error| format!("a line of the audit log: {error}"))?;
            self.records.push(record);
        }
        self.at += whole as u64;
        Ok(())
    }
}

/// Which mark a record is of, if it is one: the refusal of the mark's name or of its datagram.
fn mark(record: &Value) -> Option<u16> {
    let at = |pointer: &str| record.pointer(pointer);
    if let Some(name) = at("/request/dns/query").and_then(Value::as_str) {
        let number = name.strip_prefix("mark-")?.split('.').next()?.parse().ok()?;
        return (mark_name(number) == name).then_some(number);
    }
    let address = at("/request/network/ip").and_then(Value::as_str)?;
    let port = at("/request/network/port").and_then(Value::as_u64)?;
    let is_mark = address == std::net::Ipv4Addr::from(MARK_ADDRESS).to_string();
    u16::try_from(port).ok().filter(|_| is_mark)?.checked_sub(MARK_PORT)
}

/// The lines of a stream, read by a thread of their own so that they can be waited for.
pub(crate) fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
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

/// The one child of a process.
fn child(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything; the state and the parent follow (proc_pid_stat(5)).
        let rest = stat.rsplit_once(") ")?.1;
        (rest.split(' ').nth(1)?.parse() == Ok(parent)).then_some(process)
    })
}
