//! A host in the world: `outcalld` with its bridge, and two agents attached to it.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::policy::{AGENT, NEIGHBOUR};
use crate::run::Options;
use crate::stand::DNS_BUDGET;
use crate::world::{World, enter, zone};

/// The proxy and the resolver as an agent on a host is told them.
pub(crate) const PLACES: [&str; 2] = ["10.200.0.1:8080", "10.200.0.1:53"];
/// How long the daemon may take to enforce a policy.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is asked.
const MOMENT: Duration = Duration::from_millis(10);

/// The daemon, and the namespaces of its agents.
#[derive(Debug)]
pub(crate) struct Host {
    daemon: Child,
    suspect: Child,
    neighbour: Child,
    said: PathBuf,
}

impl Host {
    /// Starts the daemon under the policy in `artifacts`, and attaches both agents.
    pub(crate) fn start(
        options: &Options<'_>,
        world: &World,
        artifacts: &Path,
        work: &Path,
        log: &Path,
    ) -> Result<Host, String> {
        let helper = &options.helper;
        let mut forwarding = world.on_host(helper);
        forwarding.args(helper.line("forward"));
        done(&mut forwarding, "the host cannot be told to forward")?;
        let (authority, socket, said) = (work.join("ca"), work.join("host.sock"), work.join("stderr"));
        let mut making = Command::new(&options.outcall);
        making.args(["ca", "init", "--out"]).arg(&authority);
        done(&mut making, "the authority cannot be made")?;
        let mut command = world.on_host(helper);
        command.arg(&options.outcalld).arg("--artifacts").arg(artifacts).arg("--socket").arg(&socket);
        command.arg("--agent-socket").arg(work.join("agent.sock"));
        command.arg("--log").arg(log).arg("--state-dir").arg(work.join("state"));
        command.arg("--ca-cert").arg(authority.join("ca.crt")).arg("--ca-key").arg(authority.join("ca.key"));
        command.arg("--upstream-ca").arg(work.join("ca.pem")).arg("--no-docker");
        command.args(["--dns-upstream", &zone::DNS_V4.to_string(), "--dns-budget-names", DNS_BUDGET]);
        let stderr = File::create(&said).map_err(|error| format!("cannot write a file: {error}"))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let daemon = command.spawn().map_err(|error| format!("outcalld does not start: {error}"))?;
        let (suspect, neighbour) = (namespace(options, world)?, namespace(options, world)?);
        let mut host = Host { daemon, suspect, neighbour, said };
        host.ready(&socket)?;
        for (agent, name) in [(&host.suspect, AGENT), (&host.neighbour, NEIGHBOUR)] {
            let mut attaching = world.on_host(helper);
            attaching.arg(&options.outcall).arg("--socket").arg(&socket);
            attaching.args(["netns", "attach", &format!("/proc/{}/ns/net", agent.id()), "--name", name]);
            done(&mut attaching, "an agent cannot be attached")?;
        }
        Ok(host)
    }

    /// A process in the namespace of the agent that tries.
    pub(crate) fn suspect(&self) -> u32 {
        self.suspect.id()
    }

    /// Waits until the daemon enforces a policy.
    fn ready(&mut self, socket: &Path) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
                break;
            }
            if ask(socket)
                .is_ok_and(|answer| answer.contains("\"success\":true") || answer.contains("\"success\": true"))
            {
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
        for process in [&mut self.suspect, &mut self.neighbour] {
            drop(process.stdin.take());
            let _ = process.kill();
            let _ = process.wait();
        }
        let pid = rustix::process::Pid::from_child(&self.daemon);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let until = Instant::now() + Duration::from_secs(5);
        while Instant::now() < until && matches!(self.daemon.try_wait(), Ok(None)) {
            std::thread::sleep(MOMENT);
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

/// An agent's own kernel says nothing of itself: no groups that it is in, no routers that it looks for, no addresses that it
/// tries. What a program sends is another matter.
const QUIET: &str = "table inet quiet { chain out { type filter hook output priority 0; policy accept; \
    icmpv6 type { mld-listener-report, mld2-listener-report, nd-router-solicit } drop; ip6 saddr :: drop; \
    icmpv6 type nd-neighbor-solicit ip6 saddr fe80::/10 drop; }; }";

/// A network namespace for an agent, held by a process of its own.
fn namespace(options: &Options<'_>, world: &World) -> Result<Child, String> {
    let mut command = world.on_host(&options.helper);
    command.args(options.helper.line("hold")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().map_err(|error| format!("an agent's namespace cannot be made: {error}"))?;
    let mut line = [0; 5];
    let heard = holder.stdout.as_mut().map(|stdout| stdout.read_exact(&mut line));
    let made = match heard {
        Some(Ok(())) => {
            let mut quieting = enter(&options.helper, holder.id());
            done(quieting.args(["nft", QUIET]), "an agent's kernel cannot be quieted")
        }
        _ => Err("an agent's namespace cannot be made".to_owned()),
    };
    if made.is_err() {
        let _ = holder.kill();
        let _ = holder.wait();
    }
    made.map(|()| holder)
}

fn done(command: &mut Command, otherwise: &str) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{otherwise}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{otherwise}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Asks the daemon whether it enforces a policy.
fn ask(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(b"GET /api/v1/ready HTTP/1.1\r\nHost: outcall\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
