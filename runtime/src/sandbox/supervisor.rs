//! The enforcing process: outside the sandbox's namespaces, with the policy, the upstream sockets and the log.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use outcall_schema::api::agents::{Agent, AgentKind};
use outcall_schema::artifact::manifest::{RuleRow, file};
use outcall_schema::egress::EgressMode;
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::control::Message;
use super::front::complain;
use super::handed::Handed;
use super::inside::{self, Plan, Sockets};
use super::maps::Maps;
use super::mounts::Outside;
use super::{Options, SandboxError, intercepting, ruleset, summary};
use crate::api::{self, Api, Place, Socket};
use crate::audit::{Audit, rfc3339};
use crate::dial::Dialer;
use crate::direct::Direct;
use crate::dns::{Filter, Resolver};
use crate::identity::{Identity, OneAgent};
use crate::intercept::{Interception, Trust};
use crate::kernel::counters;
use crate::kernel::elements::Elements;
use crate::load;
use crate::proxy::{self, Context, Mode};
use crate::refusals::{Refusals, Way};
use crate::shares::{Shares, workers};
use crate::snapshot::{Policy, Snapshot, in_force};
use crate::sys::process::{Ended, Forked, Namespace, fork_into};
use crate::sys::{descriptors, privilege};

/// How long connections that are still open may take to notice that the agent is gone.
const WIND_DOWN: Duration = Duration::from_millis(200);
/// Rules that the warning about `direct_ip` names.
const DIRECT_SHOWN: usize = 5;

/// Lives as the supervisor until the command has ended; tells the front how.
pub(super) fn live(front: OwnedFd, options: &Options) -> ! {
    let last = match supervise(&front, options) {
        Ok(ended) => Message::Ended(ended),
        Err(error) => Message::Failed(error.status(), error.to_string()),
    };
    let _ = last.send(front);
    std::process::exit(0);
}

fn supervise(front: &OwnedFd, options: &Options) -> Result<Ended, SandboxError> {
    let step = |step: &str| SandboxError::step(step.to_owned());
    let snapshot = policy(options)?;
    if let Some(warning) = direct_warning(&snapshot).filter(|_| !options.quiet) {
        complain(&warning);
    }
    let unusable = || policy_error(options, "outcall.nft has no policy part".to_owned());
    let log = options.log.as_deref().map(open_log).transpose()?;
    let place = options.socket.as_deref().map(Place::find).transpose()?;
    let plan = Plan {
        command: options.command.clone(),
        secret: options.secrets.variables().map(ToOwned::to_owned).collect(),
        maps: Maps::of_caller().map_err(step("read the user maps"))?,
        outside: Outside::look(place.as_ref().map(Place::path), confidential(options))
            .map_err(step("look for unix sockets"))?,
        ruleset: ruleset::text(ruleset::policy_part(&snapshot.nft).ok_or_else(unusable)?),
    };
    let sandbox = Sandbox::start(&plan)?;
    privilege::hide().map_err(step("hide the supervisor"))?;
    // In a session of its own, no signal to the agent's group reaches this process.
    rustix::process::setsid().map_err(|error| step("leave the session")(error.into()))?;
    // Nothing is forked from here on, so threads may start, and a key that comes into memory stays in this process. The
    // programs that give secrets are started without a copy of it; see `secrets::command`. The operator's socket comes now,
    // too; process 1 covers it for the command on the next word.
    let socket = place.as_ref().map(Place::bind).transpose()?;
    let (interception, trust) = match snapshot.manifest.needs.ca {
        true => intercepting::prepare(options).map(|(interception, trust)| (Some(interception), Some(trust)))?,
        false => (None, None),
    };
    if let Some(warning) = secret_warning(&snapshot, interception.as_ref()).filter(|_| !options.quiet) {
        complain(&warning);
    }
    go(&sandbox, trust.as_ref()).map_err(step("set the sandbox up"))?;
    let audit = match log {
        Some(log) => Audit::to_file(log),
        None => Audit::to_writer(Box::new(io::sink())),
    };
    let audit = audit.map_err(step("start the log"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(step("start the runtime"))?;
    let sockets = match Message::receive(&sandbox.control).map_err(step("wait for the sandbox"))? {
        Some((Message::Ready, passed)) => Sockets::received(passed).ok_or(SandboxError::Gone)?,
        Some((Message::Failed(status, text), _)) => return Err(SandboxError::Command { status, text }),
        _ => return Err(SandboxError::Gone),
    };
    let operator = socket.as_ref().map(Socket::listener).transpose().map_err(step("share the socket"))?;
    let policy = in_force(snapshot);
    let enforcing = Enforcing { policy, audit, direct: Direct::default(), interception, operator, options };
    let ended = runtime.block_on(enforcing.run(front, sandbox, sockets));
    runtime.shutdown_timeout(WIND_DOWN);
    if let Err(error) = enforcing.audit.flush() {
        complain(&format!("the log is not complete: {error}"));
    }
    let ended = ended?;
    if !options.quiet {
        let text = summary::text(options, &enforcing.policy.load(), &enforcing.audit.summary());
        // One write, so that nothing of the command's own output stands in between.
        let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
    }
    Ok(ended)
}

/// Has process 1 set the sandbox up, with what the command is to trust where that is more than the caller does.
fn go(sandbox: &Sandbox, trust: Option<&Trust>) -> io::Result<()> {
    let files = trust.map(Trust::to_files).transpose()?;
    let passed: Vec<BorrowedFd<'_>> = files.iter().flatten().map(AsFd::as_fd).collect();
    Message::Go.send_with(&sandbox.control, &passed)
}

/// The files and directories that the command must not see.
fn confidential(options: &Options) -> Vec<PathBuf> {
    let key = options.authority.as_ref().and_then(|files| files.key().canonicalize().ok());
    options.secrets.places().into_iter().chain(key).collect()
}

/// What is said of secrets that nothing gives: the requests that need them will be answered with an error.
fn secret_warning(snapshot: &Snapshot, interception: Option<&Interception>) -> Option<String> {
    let secrets = &interception?.secrets;
    let needed = snapshot.manifest.needs.secrets.iter();
    let missing: Vec<String> = needed.filter(|name| !secrets.has(name)).map(|name| format!("`{name}`")).collect();
    let text = "the requests that need it fail; give it with --secrets or --secret";
    (!missing.is_empty()).then(|| format!("there is no secret {}: {text}", missing.join(", ")))
}

/// What is said of rules that mean more on a host than they can in a sandbox.
fn direct_warning(snapshot: &Snapshot) -> Option<String> {
    let direct = |row: &&RuleRow| row.egress.as_ref().is_some_and(|egress| egress.mode == EgressMode::DirectIp);
    let rules: Vec<String> = snapshot.manifest.rules.iter().filter(direct).map(|row| format!("`{}`", row.id)).collect();
    let shown = rules.get(..rules.len().min(DIRECT_SHOWN))?.join(", ");
    let more = match rules.len().saturating_sub(DIRECT_SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let text = "a sandbox carries TCP alone, so UDP and other protocols are refused";
    (!rules.is_empty()).then(|| format!("direct_ip in {shown}{more}: {text}"))
}

fn policy(options: &Options) -> Result<Snapshot, SandboxError> {
    let loaded = load::trusted(&options.trust_keys).map_err(|error| error.to_string()).and_then(|trust| {
        let loaded = load::from_dir(&options.artifacts, load::Authority::Present, &trust);
        loaded.map_err(|error| error.to_string())
    });
    if options.remove_artifacts {
        for name in [file::NFT, file::DNS, file::PROXY, file::MANIFEST] {
            let _ = std::fs::remove_file(options.artifacts.join(name));
        }
        let _ = std::fs::remove_dir(&options.artifacts);
    }
    loaded.map_err(|why| policy_error(options, why))
}

fn policy_error(options: &Options, why: String) -> SandboxError {
    SandboxError::Policy { directory: options.artifacts.display().to_string(), why }
}

fn open_log(path: &std::path::Path) -> Result<File, SandboxError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    opened.map_err(SandboxError::step(format!("open the log {}", path.display())))
}

/// The running sandbox. Dropping it ends everything inside and waits until it has.
struct Sandbox {
    control: OwnedFd,
    inside: Pid,
}

impl Sandbox {
    fn start(plan: &Plan) -> Result<Sandbox, SandboxError> {
        let (control, theirs) = descriptors::pair().map_err(SandboxError::step("make a socket pair"))?;
        let namespaces = [Namespace::User, Namespace::Net, Namespace::Mount, Namespace::Pid, Namespace::Ipc];
        let inside = match fork_into(&namespaces).map_err(|error| SandboxError::Namespaces { error })? {
            Forked::Child => {
                drop(control);
                inside::live(&theirs, plan)
            }
            Forked::Parent(inside) => inside,
        };
        drop(theirs);
        let sandbox = Sandbox { control, inside };
        plan.maps.write_first(sandbox.inside).map_err(|error| SandboxError::Namespaces { error })?;
        Ok(sandbox)
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(self.inside, rustix::process::Signal::KILL);
        let _ = waitpid(Some(self.inside), WaitOptions::empty());
    }
}

/// The policy at work.
struct Enforcing<'a> {
    policy: Policy,
    audit: Audit,
    direct: Direct,
    interception: Option<Interception>,
    /// Where the operator asks.
    operator: Option<UnixListener>,
    options: &'a Options,
}

impl Enforcing<'_> {
    /// Serves the sandbox until its command has ended.
    async fn run(&self, front: &OwnedFd, sandbox: Sandbox, sockets: Sockets) -> Result<Ended, SandboxError> {
        let step = |step: &str| SandboxError::step(step.to_owned());
        let Sockets { elements, log, udp, tcp, proxy } = sockets;
        let counting = elements.try_clone().map_err(step("watch the counters"))?;
        let refusals = Refusals {
            policy: Arc::clone(&self.policy),
            audit: self.audit.clone(),
            identity: Arc::new(OneAgent::named(&self.options.name)),
            direct: self.direct.clone(),
            way: Way::Proxy,
            seen: Arc::default(),
        };
        let log = log.map(descriptors::watch).transpose().map_err(step("follow the kernel's log"))?;
        let control = watched(sandbox.control.try_clone().map_err(step("watch the sandbox"))?)?;
        let front = watched(front.try_clone().map_err(step("watch the caller"))?)?;
        // The listeners are bound, so what comes before they are served waits in their queues.
        Message::Go.send(&sandbox.control).map_err(step("start the command"))?;
        let following = async {
            match &log {
                Some(log) => refusals.follow(log).await,
                None => std::future::pending().await,
            }
        };
        let (stop, stopping) = watch::channel(false);
        let serving = self.serve(Elements::from(elements), udp, tcp, proxy, &stopping);
        let mut serving = serving.map_err(step("serve the sandbox"))?;
        let ended = tokio::select! {
            ended = until_ended(&control, &front, &sandbox.control) => ended,
            error = serving.failed() => Err(step("serve the sandbox")(error)),
            Err(error) = following => Err(step("follow the kernel's log")(error)),
        };
        // Everything inside is gone when this returns, so the counts are final.
        drop(sandbox);
        // What it said last, such as why it gave up on a handshake, is still in the sockets, and belongs into the log.
        stop.send_replace(true);
        let _ = timeout(WIND_DOWN, async { while serving.proxies.join_next().await.is_some() {} }).await;
        if let Some(log) = &log {
            let _ = refusals.drain(log.get_ref());
        }
        if let Ok(counted) = counters::packets(&counting, counters::REFUSED) {
            refusals.rest(&self.policy.load(), counted);
        }
        ended
    }
}

impl Enforcing<'_> {
    /// The one agent, as the operator's API tells of it.
    fn agent(&self) -> Agent {
        let name = self.options.name.clone();
        let attached_at = rfc3339(SystemTime::now());
        let kind = AgentKind::Sandbox;
        Agent { agent: name.clone(), name, kind, port: None, mac: None, ipv4: None, ipv6: None, attached_at }
    }

    /// Answers names and carries connections, the latter until `stopping` turns true.
    fn serve(
        &self,
        elements: Elements,
        udp: Vec<UdpSocket>,
        tcp: Vec<TcpListener>,
        proxy: Vec<TcpListener>,
        stopping: &watch::Receiver<bool>,
    ) -> io::Result<Serving> {
        let identity: Identity = Arc::new(OneAgent::named(&self.options.name));
        let dialer = Dialer::measured(self.audit.meters());
        let resolver =
            Resolver::new(self.options.upstreams.clone(), dialer.clone()).with_budget(self.options.dns_budget);
        let filter = Filter::new(Arc::clone(&self.policy), Arc::clone(&identity), self.audit.clone(), resolver.clone())
            .on_answer(Arc::new(Handed { elements, direct: self.direct.clone() }));
        let context = Context {
            policy: Arc::clone(&self.policy),
            identity,
            audit: self.audit.clone(),
            resolver,
            dialer,
            direct: self.direct.clone(),
            interception: self.interception.clone(),
            // One policy from beginning to end.
            changes: proxy::Changes::default(),
            shares: Shares::default(),
            limits: proxy::Limits { body_bytes: self.options.body_cap_bytes, ..proxy::Limits::default() },
        };
        let dns_listening = udp.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let proxy_listening = proxy.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let mut serving = Serving { proxies: JoinSet::new(), others: JoinSet::new() };
        serving.others.spawn(filter.serve(udp, tcp));
        for listener in proxy {
            serving.proxies.spawn(proxy::serve(listener, Mode::Either, context.clone(), stopping.clone()));
        }
        if let Some(operator) = &self.operator {
            let api = Api::new(Arc::clone(&self.policy), self.audit.clone(), context.resolver.clone())
                .listening(dns_listening, proxy_listening)
                .intercepting(self.interception.clone())
                .of_sandbox(self.agent());
            serving.others.spawn(api::serve(operator.try_clone()?, api));
        }
        Ok(serving)
    }
}

/// What serves the sandbox. Dropping it ends all of it.
struct Serving {
    proxies: JoinSet<io::Result<()>>,
    others: JoinSet<io::Result<()>>,
}

impl Serving {
    /// Waits until one of the listeners fails: none ends by itself.
    async fn failed(&mut self) -> io::Error {
        let ended = tokio::select! {
            Some(ended) = self.proxies.join_next() => ended,
            Some(ended) = self.others.join_next() => ended,
        };
        match ended {
            Ok(Err(error)) => error,
            _ => io::Error::other("a listener ended"),
        }
    }
}

/// Passes signals from the front on, until process 1 says how the command ended.
async fn until_ended(
    control: &AsyncFd<OwnedFd>,
    front: &AsyncFd<OwnedFd>,
    inside: &OwnedFd,
) -> Result<Ended, SandboxError> {
    loop {
        tokio::select! {
            message = receive(control) => {
                return match message.map_err(SandboxError::step("watch the sandbox"))? {
                    Some(Message::Ended(ended)) => Ok(ended),
                    Some(Message::Failed(status, text)) => Err(SandboxError::Command { status, text }),
                    Some(Message::Go | Message::Ready | Message::Signal(_)) | None => Err(SandboxError::Gone),
                };
            }
            message = receive(front) => match message.map_err(SandboxError::step("watch the caller"))? {
                Some(signal @ Message::Signal(_)) => {
                    let _ = signal.send(inside);
                }
                Some(_) => {}
                // Whoever started this is gone, and with it whoever would hear how it ends.
                None => return Err(SandboxError::Gone),
            }
        }
    }
}

fn watched(socket: OwnedFd) -> Result<AsyncFd<OwnedFd>, SandboxError> {
    descriptors::watch(socket).map_err(SandboxError::step("watch a socket"))
}

async fn receive(socket: &AsyncFd<OwnedFd>) -> io::Result<Option<Message>> {
    loop {
        let mut ready = socket.readable().await?;
        match Message::receive_now(socket.get_ref()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
            received => return Ok(received?.map(|(message, _)| message)),
        }
    }
}
