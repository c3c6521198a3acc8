//! `outcall daemon`: starts and stops outcalld, and says how it is: through systemd where that runs.

use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::bridge::Bridge;
use outcall_schema::api::process::{Health, Ready};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;

use crate::Exit;
use crate::asking::{Printing, print, row};
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::{Output, complain};

/// The daemon's program, as the kernel names its processes.
const PROGRAM: &str = "outcalld";
/// What the packages install.
const UNIT: &str = "outcalld.service";
/// The file of settings that the unit names.
const SETTINGS: &str = "/etc/outcall/outcalld.toml";
/// There where systemd runs (sd_booted(3)).
const BOOTED: &str = "/run/systemd/system";
/// How long outcalld may take to end: connections that are open get some time for it.
const ENDING: Duration = Duration::from_secs(60);

/// Start and stop outcalld, and say how it is
///
/// Where systemd runs it is asked to. Elsewhere outcalld is started by whatever looks after services there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start it
    Start,
    /// Stop it: the kernel is closed first, so that agents reach nothing
    Stop,
    /// Say whether it runs and guards; exits with 1 when it does not
    Status,
    /// Print what it said, where systemd keeps it
    Logs {
        /// How many lines
        #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 100)]
        lines: u32,
        /// Go on with what it says next
        #[arg(long, short)]
        follow: bool,
    },
}

/// How it is.
#[derive(Debug, Serialize)]
struct Status {
    running: bool,
    ready: bool,
    /// What stands in the way, a sentence each.
    waiting_for: Vec<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    health: Option<Health>,
    /// What systemd says of the unit, where it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    match &args.command {
        Command::Start => start(daemon, args.printing, out),
        Command::Stop => stop(daemon, args.printing, out),
        Command::Status => status(daemon, args.printing, out),
        Command::Logs { lines, follow } => logs(*lines, *follow, args.printing),
    }
}

fn has_systemd() -> bool {
    Path::new(BOOTED).is_dir()
}

fn start(daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    if daemon.ask::<Health>(Endpoint::Health).is_ok() {
        return status(daemon, printing, out);
    }
    if !has_systemd() {
        complain(format_args!(
            "no systemd runs here: start `outcalld --config {SETTINGS}` with what looks after services here"
        ));
        return Exit::Failed;
    }
    match systemctl(&["start", UNIT]) {
        Exit::Done => status(daemon, printing, out),
        failed => failed,
    }
}

fn stop(daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    let pid = match daemon.ask::<Health>(Endpoint::Health) {
        Ok(health) => health.pid,
        // It may be about to start, which systemd alone knows.
        Err(NoAnswer::NotRunning(_)) if has_systemd() => return stopped(systemctl(&["stop", UNIT]), printing, out),
        Err(why) => return print::<()>(Err(why), printing, out, |(), _| {}),
    };
    // The one of `outcall run` ends with its command.
    if let Err(why @ NoAnswer::Refused(404, _)) = daemon.ask::<Bridge>(Endpoint::Bridge) {
        return print::<()>(Err(why), printing, out, |(), _| {});
    }
    // Where systemd started it, it would start it again.
    if has_systemd() && said("systemctl", &["show", "--property=MainPID", "--value", UNIT]) == pid.to_string() {
        return stopped(systemctl(&["stop", UNIT]), printing, out);
    }
    match end(pid) {
        Ok(Ended::Yes) => stopped(Exit::Done, printing, out),
        Ok(Ended::NotYet) => {
            complain(format_args!("outcalld, process {pid}, does not end"));
            Exit::Failed
        }
        Ok(Ended::Elsewhere) => {
            complain(format_args!(
                "outcalld at {} has no process here: is it in a container?",
                daemon.socket().display()
            ));
            Exit::Failed
        }
        Err(error) => {
            complain(format_args!("cannot stop outcalld, process {pid}: {error}"));
            Exit::Failed
        }
    }
}

fn stopped(exit: Exit, printing: Printing, out: &mut Output) -> Exit {
    if exit == Exit::Done {
        if printing.json {
            out.json(&serde_json::json!({ "running": false }));
        } else {
            out.line("Stopped outcalld. What is in the kernel lets nothing through.");
        }
    }
    exit
}

/// What became of a process that was told to end.
enum Ended {
    Yes,
    NotYet,
    /// The number is another program's here: it is one of another process namespace.
    Elsewhere,
}

/// Tells outcalld's process to end.
fn end(pid: u32) -> rustix::io::Result<Ended> {
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(Ended::Elsewhere) };
    // The number may be another's as soon as it has ended; what is opened here is of no other.
    let process = match pidfd_open(process, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(Ended::Elsewhere),
        opened => opened?,
    };
    if !std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == PROGRAM) {
        return Ok(Ended::Elsewhere);
    }
    pidfd_send_signal(&process, Signal::TERM)?;
    let deadline = Instant::now() + ENDING;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec::try_from(left).unwrap_or_default();
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            ended => return ended.map(|ended| if ended > 0 { Ended::Yes } else { Ended::NotYet }),
        }
    }
}

fn status(daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    let health = match daemon.ask::<Health>(Endpoint::Health) {
        Ok(health) => Some(health),
        Err(NoAnswer::NotRunning(_)) => None,
        Err(why) => return print::<()>(Err(why), printing, out, |(), _| {}),
    };
    let ready = health.as_ref().map(|_| daemon.ask::<Ready>(Endpoint::Ready));
    let waiting_for = match ready {
        None => vec![NoAnswer::NotRunning(daemon.socket().to_owned()).to_string()],
        Some(Ok(ready)) => ready.waiting_for,
        Some(Err(why)) => vec![why.to_string()],
    };
    let unit = has_systemd().then(|| said("systemctl", &["is-active", UNIT]));
    let running = health.is_some();
    let status = Status { running, ready: running && waiting_for.is_empty(), waiting_for, health, unit };
    let exit = if status.ready { Exit::Done } else { Exit::Failed };
    print(Ok(status), printing, out, show);
    exit
}

fn show(status: Status, out: &mut Output) {
    let Status { running, ready, waiting_for, health, unit } = status;
    let how = if ready {
        "runs, and guards"
    } else if running {
        "runs, and does not guard yet"
    } else {
        "does not run"
    };
    row(out, "outcalld", how);
    for why in waiting_for {
        row(out, "", why);
    }
    if let Some(Health { version, pid, started_at, uptime_secs, policy_digest, rules }) = health {
        row(out, "version", version);
        row(out, "process", pid);
        row(out, "since", format_args!("{started_at}, for {uptime_secs} s"));
        row(out, "policy", format_args!("{policy_digest}, with {rules} rule(s)"));
    }
    if let Some(unit) = unit {
        row(out, "systemd", format_args!("{UNIT} is {unit}"));
    }
}

fn logs(lines: u32, follow: bool, printing: Printing) -> Exit {
    if !has_systemd() {
        complain(
            "no systemd runs here that would keep what outcalld says: it is where its standard error was sent, and \
             its records are in its `log`; `outcall events` prints them as they come",
        );
        return Exit::Failed;
    }
    let lines = lines.to_string();
    let mut arguments = vec!["--unit", UNIT, "--no-pager", "--lines", &lines];
    arguments.extend(follow.then_some("--follow"));
    arguments.extend(printing.json.then_some("--output=json"));
    passed("journalctl", &arguments)
}

fn systemctl(arguments: &[&str]) -> Exit {
    passed("systemctl", arguments)
}

/// Runs a program of systemd's, which says itself what is wrong.
fn passed(program: &str, arguments: &[&str]) -> Exit {
    match Process::new(program).args(arguments).status() {
        Ok(status) if status.success() => Exit::Done,
        Ok(_) => Exit::Failed,
        Err(error) => {
            complain(format_args!("cannot run {program}: {error}"));
            Exit::Failed
        }
    }
}

/// What a program of systemd's says, on one line.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Process::new(program).args(arguments).output();
    output.map_or_else(|_| String::new(), |output| printable(String::from_utf8_lossy(&output.stdout).trim()))
}
