//! The table of checks.

use std::net::UdpSocket;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use outcall_schema::api::GROUP;
use outcall_schema::api::dns::DnsStatus;
use outcall_schema::api::process::{Health, Ready};
use outcall_schema::api::{Endpoint, ca::CaStatus};

use super::ports::{route_to, taken};
use super::system::{Engine, Feature, Owned};
use super::{CheckRow, Concerns, Examined, Found};
use crate::daemon::NoAnswer;

/// The first kernel that says well enough who is at the other end of a socket.
const KERNEL: (u32, u32) = (6, 5);
/// How long a resolver may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where the rules of a host are.
const RULES: &str = "/etc/outcall/rules.d";

use Concerns::{Both, Host};

pub(super) const CHECKS: &[CheckRow] = &[
    CheckRow {
        id: "kernel",
        what: "kernel",
        why: "The operator's socket tells agents from their operator by a feature of Linux 6.5.",
        concerns: Both,
        look: kernel,
    },
    CheckRow { id: "nft", what: "program nft", why: "The ruleset is loaded with nft.", concerns: Both, look: nft },
    CheckRow {
        id: "nf_tables",
        what: "nftables in the kernel",
        why: "Packets are decided in the kernel.",
        concerns: Both,
        look: |it| feature(it, "nf_tables", "CONFIG_NF_TABLES", &["nft", "add", "table", "inet", "outcall"]),
    },
    CheckRow {
        id: "conntrack",
        what: "connection tracking",
        why: "Answers are let through because what they answer was.",
        concerns: Both,
        look: |it| feature(it, "nf_conntrack", "CONFIG_NF_CONNTRACK", &[]),
    },
    CheckRow {
        id: "bridge",
        what: "bridges",
        why: "Agents are attached to one.",
        concerns: Host,
        look: |it| feature(it, "bridge", "CONFIG_BRIDGE", &["ip", "link", "add", "oc-probe", "type", "bridge"]),
    },
    CheckRow {
        id: "veth",
        what: "pairs of interfaces",
        why: "They lead from the bridge into an agent's namespace.",
        concerns: Host,
        look: |it| feature(it, "veth", "CONFIG_VETH", &["ip", "link", "add", "oc-probe", "type", "veth"]),
    },
    CheckRow {
        id: "user_namespaces",
        what: "user namespaces",
        why: "`outcall run` makes one, so that it needs no root.",
        concerns: Both,
        look: user_namespaces,
    },
    CheckRow {
        id: "br_netfilter",
        what: "br_netfilter",
        why: "With it the host's own rules see packets between ports of a bridge.",
        concerns: Host,
        look: br_netfilter,
    },
    CheckRow {
        id: "ip_forward",
        what: "forwarding",
        why: "Rules with `mode: direct_ip` open a way through the kernel; all else goes through the proxy.",
        concerns: Host,
        look: ip_forward,
    },
    CheckRow {
        id: "docker",
        what: "Docker",
        why: "Without it there are no containers; namespaces can be attached all the same.",
        concerns: Host,
        look: docker,
    },
    CheckRow {
        id: "group",
        what: "group outcall",
        why: "Its members may ask outcalld; without it root alone.",
        concerns: Host,
        look: group,
    },
    CheckRow { id: "rules", what: "rules", why: "Without rules everything is blocked.", concerns: Host, look: rules },
    CheckRow {
        id: "state",
        what: "state directory",
        why: "The last good policy is kept there; who can write to it decides the policy.",
        concerns: Host,
        look: state,
    },
    CheckRow {
        id: "subnet",
        what: "subnet",
        why: "A network that the host reaches another way cannot be the bridge's.",
        concerns: Host,
        look: subnet,
    },
    CheckRow {
        id: "dns_port",
        what: "DNS port of the gateway",
        why: "Names are answered there.",
        concerns: Host,
        look: |it| port(it, it.args.dns_port),
    },
    CheckRow {
        id: "proxy_port",
        what: "proxy port of the gateway",
        why: "The proxy listens there.",
        concerns: Host,
        look: |it| port(it, it.args.proxy_port),
    },
    CheckRow {
        id: "resolver",
        what: "resolver",
        why: "Allowed names are asked of it.",
        concerns: Both,
        look: resolver,
    },
    CheckRow {
        id: "socket",
        what: "outcalld",
        why: "Without it what is in the kernel still refuses, and nothing is let through.",
        concerns: Host,
        look: socket,
    },
    CheckRow {
        id: "authority",
        what: "certificate authority",
        why: "Rules that look inside TLS sign certificates with it.",
        concerns: Host,
        look: authority,
    },
];

fn fine(found: impl Into<String>) -> Found {
    Found::Fine(found.into())
}

fn missing(found: impl Into<String>, fix: impl Into<String>) -> Found {
    Found::Missing { found: found.into(), fix: fix.into() }
}

fn advised(found: impl Into<String>, fix: impl Into<String>) -> Found {
    Found::Advised { found: found.into(), fix: fix.into() }
}

fn kernel(it: &Examined<'_>) -> Found {
    match it.system.kernel() {
        Some(version) if version >= KERNEL => fine(format!("{}.{}", version.0, version.1)),
        Some((major, minor)) => missing(
            format!("{major}.{minor}, and it takes {}.{}", KERNEL.0, KERNEL.1),
            "apt-get install linux-image-amd64 && reboot",
        ),
        None => Found::Unknown("/proc does not say".to_owned()),
    }
}

fn nft(it: &Examined<'_>) -> Found {
    match it.system.program("nft") {
        Some(path) => fine(path),
        None => missing("not installed", "apt-get install nftables"),
    }
}

/// `probe` is what a program is asked to do with it, in a network of its own.
fn feature(it: &Examined<'_>, module: &str, option: &str, probe: &[&str]) -> Found {
    let feature = match it.system.feature(module, option) {
        Feature::Unknown if it.system.can(probe) => Feature::There,
        feature => feature,
    };
    match feature {
        Feature::There => fine("there"),
        Feature::Loadable => fine("loaded when it is needed"),
        Feature::Absent => missing(
            format!("this kernel has no {module}"),
            format!("apt-get install linux-image-amd64 && reboot && modprobe {module}"),
        ),
        Feature::Unknown => Found::Unknown("this kernel does not say what it has".to_owned()),
    }
}

fn user_namespaces(it: &Examined<'_>) -> Found {
    let number = |path: &str| it.system.read(path).and_then(|text| text.parse::<u64>().ok());
    let off = [
        ("/proc/sys/user/max_user_namespaces", 0, "sysctl -w user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", 0, "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            1,
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    match off.into_iter().find(|(path, value, _)| number(path) == Some(*value)) {
        Some((path, value, fix)) if it.args.purpose == super::Purpose::Run => {
            missing(format!("{path} is {value}"), fix)
        }
        Some((path, value, fix)) => advised(format!("{path} is {value}, so only root can use `outcall run`"), fix),
        None => fine("allowed"),
    }
}

fn br_netfilter(it: &Examined<'_>) -> Found {
    match it.system.read("/proc/sys/net/bridge/bridge-nf-call-iptables").as_deref() {
        None => fine("not loaded"),
        Some("0") => fine("loaded, and off"),
        // Docker may need it, and agents speak to the gateway, which is not forwarding.
        Some(_) => fine("on: the host's own rules see packets between ports as well, and ours hold either way"),
    }
}

fn ip_forward(it: &Examined<'_>) -> Found {
    const FIX: &str = "sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1";
    let needed = it.manifest.as_ref().map(|manifest| manifest.needs.direct_ip);
    match (it.system.read("/proc/sys/net/ipv4/ip_forward").as_deref(), needed) {
        (Some("1"), _) => fine("on"),
        (_, Some(false)) => fine("off, and no rule needs it"),
        (Some(_), Some(true)) => missing("off, and rules have `mode: direct_ip`", FIX),
        (Some(_), None) => advised("off, so rules with `mode: direct_ip` let nothing through", FIX),
        (None, _) => Found::Unknown("/proc does not say".to_owned()),
    }
}

fn docker(it: &Examined<'_>) -> Found {
    let socket = &it.args.docker_socket;
    let version = match it.system.engine(socket) {
        Engine::Answers(version) => version,
        Engine::Absent => {
            return advised("no engine is running", "apt-get install docker.io && systemctl start docker");
        }
        Engine::Dead(why) => return advised(format!("{socket}: {why}"), "systemctl restart docker"),
        Engine::Denied => return Found::Unknown(format!("{socket} may not be used by this user")),
    };
    // Docker refuses what others forward, in a chain of its own that asks this one first.
    let bridge = &it.args.bridge;
    match it.manifest.as_ref().map(|manifest| manifest.needs.direct_ip) {
        Some(true) => advised(
            format!("{version} answers; it refuses what other bridges forward, which rules with `mode: direct_ip` do"),
            format!(
                "iptables -I DOCKER-USER -i {bridge} -j ACCEPT\niptables -I DOCKER-USER -o {bridge} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT"
            ),
        ),
        Some(false) | None => fine(format!("{version} answers")),
    }
}

fn group(it: &Examined<'_>) -> Found {
    let groups = it.system.read("/etc/group").unwrap_or_default();
    if groups.lines().any(|line| line.split(':').next() == Some(GROUP)) {
        return fine("there");
    }
    advised("there is none", format!("groupadd --system {GROUP}"))
}

fn rules(it: &Examined<'_>) -> Found {
    match it.system.owned(RULES.as_ref()) {
        Some(Owned { mode, user, .. }) if mode & 0o022 != 0 || user != 0 => missing(
            format!("{RULES} can be written by others than root"),
            format!("chown -R root: {RULES} && chmod -R go-w {RULES}"),
        ),
        Some(_) => fine(RULES),
        None if it.manifest.is_some() => fine("those of the artifacts"),
        None => advised(format!("there is no {RULES}"), format!("install -d -m 0755 {RULES}")),
    }
}

fn state(it: &Examined<'_>) -> Found {
    let path = it.args.state_dir.display();
    match it.system.owned(&it.args.state_dir) {
        None => advised(
            format!("there is no {path}; outcalld makes it when it can"),
            format!("install -d -m 0700 -o root {path}"),
        ),
        Some(Owned { directory: false, .. }) => {
            missing(format!("{path} is no directory"), format!("rm {path} && install -d -m 0700 -o root {path}"))
        }
        Some(Owned { mode, user, .. }) if mode & 0o022 != 0 || user != 0 => missing(
            format!("{path} can be written by others than root"),
            format!("chown root: {path} && chmod 0700 {path}"),
        ),
        Some(_) => fine(path.to_string()),
    }
}

fn subnet(it: &Examined<'_>) -> Found {
    let (bridge, gateway) = (&it.args.bridge, it.args.gateway);
    match route_to(&it.system, gateway) {
        None => fine("free"),
        Some(name) if name == *bridge => fine(format!("of {bridge}")),
        Some(name) => missing(
            format!("{gateway} is in a network that {name} leads to"),
            "outcalld --subnet 10.201.0.0/16 --artifacts DIR",
        ),
    }
}

fn port(it: &Examined<'_>, port: u16) -> Found {
    if it.daemon.ask::<Health>(Endpoint::Health).is_ok() {
        return fine("outcalld runs and has it");
    }
    match taken(&it.system, it.args.gateway, port) {
        None => fine(format!("{port} is free")),
        Some(list) => missing(
            format!("another process listens on {port} of every address, or of the gateway ({list})"),
            format!("ss -lntup 'sport = :{port}'"),
        ),
    }
}

fn resolver(it: &Examined<'_>) -> Found {
    let running = it.daemon.ask::<DnsStatus>(Endpoint::Dns).map(|status| status.upstreams);
    let servers: Vec<String> = running.unwrap_or_else(|_| {
        let text = it.system.read("/etc/resolv.conf").unwrap_or_default();
        let named = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
        named.map(|server| server.trim().to_owned()).filter(|server| !server.is_empty()).collect()
    });
    if servers.is_empty() {
        return missing("none is named", "outcalld --dns-upstream ADDRESS --artifacts DIR");
    }
    // One that is asked over TLS is not asked here: that takes more than a packet.
    let plain: Vec<&String> = servers.iter().filter(|server| !server.contains("://")).collect();
    match plain.iter().find(|server| answers(server)) {
        Some(server) => fine(format!("{server} answers")),
        None if plain.is_empty() => Found::Unknown(format!("{} is not asked from here", servers.join(", "))),
        None => {
            missing(format!("no answer from {}", servers.join(", ")), "outcalld --dns-upstream ADDRESS --artifacts DIR")
        }
    }
}

/// Whether a resolver answers when it is asked for the servers of the root (RFC 1035, section 4.1).
fn answers(server: &str) -> bool {
    const QUERY: [u8; 17] = [0x0c, 0xa1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];
    let address = server.parse().or_else(|_| server.parse().map(|address| std::net::SocketAddr::new(address, 53)));
    let Ok(address) = address else { return false };
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let asked = || -> std::io::Result<bool> {
        let socket = UdpSocket::bind(own)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(&QUERY)?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer)?;
        // The same number, and the bit that says that it is an answer.
        Ok(length >= 12
            && answer.first_chunk::<2>() == QUERY.first_chunk::<2>()
            && answer.get(2).is_some_and(|flags| flags & 0x80 != 0))
    };
    asked().unwrap_or(false)
}

fn socket(it: &Examined<'_>) -> Found {
    let path = it.daemon.socket().display();
    match it.daemon.ask::<Health>(Endpoint::Health) {
        Ok(health) => match it.daemon.ask::<Ready>(Endpoint::Ready) {
            Ok(ready) if !ready.ready => missing(ready.waiting_for.join("; "), "journalctl -u outcalld"),
            _ => fine(format!("version {} runs, with {} rule(s)", health.version, health.rules)),
        },
        Err(NoAnswer::Refused(403, why)) => missing(why, format!("usermod -aG {GROUP} \"$USER\"")),
        Err(NoAnswer::NotRunning(_)) => missing(format!("nobody serves at {path}"), "systemctl start outcalld"),
        Err(NoAnswer::Broken(..)) if denied(it) => {
            missing(format!("{path} may not be used by this user"), format!("usermod -aG {GROUP} \"$USER\""))
        }
        Err(why) => missing(why.to_string(), "systemctl restart outcalld"),
    }
}

fn denied(it: &Examined<'_>) -> bool {
    UnixStream::connect(it.daemon.socket()).is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
}

fn authority(it: &Examined<'_>) -> Found {
    match it.daemon.ask::<CaStatus>(Endpoint::CaStatus) {
        Ok(status) if status.loaded => fine(format!("{}, until {}", status.subject, status.not_after)),
        Ok(status) => missing(
            format!("its time is over or has not come: {} to {}", status.not_before, status.not_after),
            "outcall ca rotate",
        ),
        Err(NoAnswer::Refused(404, _)) => fine("no rule looks inside TLS"),
        Err(_) => match it.manifest.as_ref().map(|manifest| manifest.needs.ca) {
            Some(false) => fine("no rule looks inside TLS"),
            Some(true) if it.system.exists(&format!("{}/ca/ca.key", it.args.state_dir.display())) => fine("there"),
            Some(true) => missing("rules look inside TLS, and there is none", "outcall ca init"),
            None => Found::Unknown("outcalld does not run".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;

    use super::super::system::System;
    use super::super::system::tests::host;
    use super::super::{Args, line};
    use super::*;
    use crate::daemon::Daemon;

    #[derive(Parser)]
    struct Arguments {
        #[command(flatten)]
        args: Args,
    }

    /// What a check finds on a host with these files: its status and its fix.
    fn check(id: &str, files: &[(&str, &str)], arguments: &[&str]) -> (&'static str, String) {
        let (_root, system) = host(files);
        find(id, system, arguments)
    }

    fn find(id: &str, system: System, arguments: &[&str]) -> (&'static str, String) {
        let arguments = Arguments::parse_from([&["doctor"], arguments].concat());
        let daemon = Daemon::at(Some(Path::new("/nonexistent/s")));
        let row = CHECKS.iter().find(|row| row.id == id).unwrap();
        let examined = Examined { system, args: &arguments.args, daemon: &daemon, manifest: None };
        let line = line(row, (row.look)(&examined));
        (line.status, line.fix.unwrap_or_default())
    }

    #[test]
    fn the_table_has_no_id_twice_and_each_row_says_why() {
        for row in CHECKS {
            assert_eq!(CHECKS.iter().filter(|other| other.id == row.id).count(), 1, "{}", row.id);
            assert!(row.why.ends_with('.') && !row.what.is_empty(), "{}", row.id);
        }
    }

    #[test]
    fn what_is_missing_comes_with_what_mends_it() {
        let release = |version| ("/proc/sys/kernel/osrelease", version);
        for (id, files, status, fix) in [
            ("kernel", vec![release("6.5.0")], "ok", ""),
            ("kernel", vec![release("6.4.9")], "missing", "linux-image"),
            ("kernel", vec![], "unknown", ""),
            ("nft", vec![("/usr/sbin/nft", "")], "ok", ""),
            ("nft", vec![], "missing", "apt-get install nftables"),
            ("veth", vec![("/sys/module/veth/x", "")], "ok", ""),
            ("group", vec![("/etc/group", "outcall:x:998:\n")], "ok", ""),
            ("group", vec![("/etc/group", "outcall2:x:998:\n")], "advised", "groupadd --system outcall"),
            ("br_netfilter", vec![], "ok", ""),
            ("br_netfilter", vec![("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n")], "ok", ""),
            ("ip_forward", vec![("/proc/sys/net/ipv4/ip_forward", "1\n")], "ok", ""),
            ("ip_forward", vec![("/proc/sys/net/ipv4/ip_forward", "0\n")], "advised", "ip_forward=1"),
            ("docker", vec![], "advised", "docker"),
            ("docker", vec![("/run/docker.sock", "")], "advised", "restart docker"),
            ("state", vec![], "advised", "install -d -m 0700"),
            ("state", vec![("/var/lib/outcall", "")], "missing", "install -d"),
            ("rules", vec![], "advised", "/etc/outcall/rules.d"),
            ("socket", vec![], "missing", "systemctl start outcalld"),
            ("resolver", vec![], "missing", "--dns-upstream"),
            ("resolver", vec![("/etc/resolv.conf", "nameserver nonsense\n")], "missing", "--dns-upstream"),
            ("authority", vec![], "unknown", ""),
            ("user_namespaces", vec![("/proc/sys/user/max_user_namespaces", "0\n")], "advised", "max_user_namespaces"),
        ] {
            let (found, mends) = check(id, &files, &[]);
            assert!(
                found == status && mends.contains(fix) && fix.is_empty() == mends.is_empty(),
                "{id} {files:?}: {found} {mends}"
            );
        }
        let off = [("/proc/sys/user/max_user_namespaces", "0\n")];
        assert_eq!(check("user_namespaces", &off, &["--for", "run"]).0, "missing");
    }

    #[test]
    fn an_engine_of_docker_s_that_answers_is_told_from_one_that_does_not() {
        use std::io::{Read, Write};
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("run")).unwrap();
        let socket = root.path().join("run/docker.sock");
        let look = || find("docker", System::below(root.path()), &[]);
        let pong = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nServer: Docker/20.10\r\nContent-Length: 2\r\n\r\nOK";
        for (said, status) in
            [(pong, "ok"), ("HTTP/1.1 200 OK\r\n\r\n", "advised"), ("nonsense", "advised"), ("", "advised")]
        {
            let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let _ = stream.read(&mut [0; 256]);
                    let _ = stream.write_all(said.as_bytes());
                });
                assert_eq!(look().0, status, "{said}");
            });
            drop(listener);
            assert_eq!(look().0, "advised", "nobody listens there any more");
            std::fs::remove_file(&socket).unwrap();
        }
        // One that takes the connection and says nothing.
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(look(), ("advised", "systemctl restart docker".to_owned()));
    }

    #[test]
    fn directories_that_others_can_write_are_missing_their_rights() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let state = root.path().join("var/lib/outcall");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
        let (status, fix) = find("state", System::below(root.path()), &[]);
        assert!(status == "missing" && fix.contains("chmod 0700"), "{status} {fix}");
    }

    #[test]
    fn a_resolver_that_answers_is_found() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut query = [0; 64];
                let (length, from) = server.recv_from(&mut query).unwrap();
                query[2] |= 0x80;
                server.send_to(&query[..length], from).unwrap();
            });
            assert!(answers(&address));
        });
        assert!(!answers("nonsense"));
    }
}
