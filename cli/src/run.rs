//! `outcall run`: a command in a network of its own, under compiled rules.
//!
//! Compiling happens here and enforcing in `outcalld`, which this process becomes: the enforcing process holds no parser of
//! rules, and the caller's terminal, process group and signals are its own.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use outcall_compiler::Artifacts;
use outcall_compiler::diag::{Severity, render};

use crate::Exit;
use crate::compile::compile;
use crate::output::complain;

/// Run a command in a network of its own, where the rules decide on every packet, name and request
///
/// Needs no root. The exit status is the command's; it is 1 or 2 when the command was not started, with the reason on
/// standard error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files, and directories of them; may be repeated [default: rules.d]
    #[arg(long, value_name = "PATHS", num_args = 1.., conflicts_with = "artifacts")]
    rules: Vec<PathBuf>,
    /// A directory that `outcall compile` wrote, instead of rules
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Load only artifacts that one of the public keys in this file has signed; may be repeated
    #[arg(long, value_name = "FILE", requires = "artifacts")]
    trust_key: Vec<PathBuf>,
    /// The agent's name, which rules see as `agent.name` [default: the command's own name without its directories, other
    /// characters than letters, digits, `.`, `_` and `-` as `-`]
    #[arg(long, value_name = "AGENT")]
    name: Option<OsString>,
    /// Append one JSON line for each refusal, and for each request inside TLS, to this file
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// A resolver to ask for allowed names; may be repeated [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "IP[:PORT]", value_parser = upstream)]
    dns_upstream: Vec<SocketAddr>,
    /// How many names that no rule writes out the command may ask for in a minute [default: 600]
    #[arg(long, value_name = "NAMES", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    dns_budget_names: Option<u32>,
    /// How many bytes those names may have together, without the suffixes that rules write out [default: 16384]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    dns_budget_bytes: Option<u32>,
    /// How many labels one of them may have before its suffix [default: 10]
    #[arg(long, value_name = "LABELS", value_parser = clap::value_parser!(u32).range(1..=127))]
    dns_budget_labels: Option<u32>,
    /// Let the command ask for any number of names
    #[arg(long)]
    no_dns_budget: bool,
    /// The certificate authority for rules that look inside TLS, in PEM [default: one for this run alone, in memory]
    #[arg(long, value_name = "FILE", requires = "ca_key")]
    ca_cert: Option<PathBuf>,
    /// Its private key; its owner alone may have access to the file
    #[arg(long, value_name = "FILE", requires = "ca_cert")]
    ca_key: Option<PathBuf>,
    /// Certificates in PEM that servers are verified against where TLS is looked into, beside those that this system trusts
    #[arg(long, value_name = "FILE")]
    upstream_ca: Option<PathBuf>,
    /// A directory with one file for each secret that rules inject; its owner alone may have access to the files
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// A secret from the environment, `NAME=env:VARIABLE`, or from a command, `NAME=command:COMMAND`; may be repeated
    #[arg(long, value_name = "NAME=SOURCE")]
    secret: Vec<OsString>,
    /// How long the certificates for hosts are valid, 60 to 604800 [default: 86400]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=604_800))]
    intercept_leaf_ttl_secs: Option<u32>,
    /// The largest body of a request that rules see, up to 16777216 [default: 1048576]; of a larger one `http.body` is null
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=16_777_216))]
    intercept_body_cap_bytes: Option<u32>,
    /// Leave out warnings and the summary at the end
    #[arg(long)]
    quiet: bool,
    /// The command and its arguments
    #[arg(required = true, last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// The host's resolvers (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";
/// As many resolvers as the C library asks (`MAXNS` of resolv.conf(5)).
const RESOLVERS_MAX: usize = 3;
const DNS_PORT: u16 = 53;

pub(crate) fn run(args: &Args, socket: Option<&Path>) -> Exit {
    let upstreams = match upstreams(args) {
        Ok(upstreams) => upstreams,
        Err(why) => {
            complain(why);
            return Exit::Usage;
        }
    };
    let Some(outcalld) = find_outcalld() else {
        complain("cannot find `outcalld`: install it beside `outcall` or in PATH");
        return Exit::Failed;
    };
    let (directory, ours) = match &args.artifacts {
        Some(directory) => (directory.clone(), false),
        None => match compiled(args) {
            Ok(directory) => (directory, true),
            Err(exit) => return exit,
        },
    };
    let name = args.name.clone().unwrap_or_else(|| agent_name(args.command.first()).into());
    let mut command = Command::new(&outcalld);
    command.arg("sandbox").arg(option("artifacts", &directory)).arg(option("name", &name));
    if ours {
        command.arg("--remove-artifacts");
    }
    if let Some(log) = &args.log {
        command.arg(option("log", log));
    }
    command.args(args.trust_key.iter().map(|file| option("trust-key", file)));
    command.args(socket.map(|socket| option("socket", socket)));
    command.args(upstreams.iter().map(|upstream| format!("--dns-upstream={upstream}")));
    for (name, file) in [("ca-cert", &args.ca_cert), ("ca-key", &args.ca_key), ("upstream-ca", &args.upstream_ca)] {
        command.args(file.as_ref().map(|file| option(name, file)));
    }
    command.args(args.secrets.as_ref().map(|directory| option("secrets", directory)));
    command.args(args.secret.iter().map(|secret| option("secret", secret)));
    for (name, number) in [
        ("dns-budget-names", args.dns_budget_names),
        ("dns-budget-bytes", args.dns_budget_bytes),
        ("dns-budget-labels", args.dns_budget_labels),
        ("intercept-leaf-ttl-secs", args.intercept_leaf_ttl_secs),
        ("intercept-body-cap-bytes", args.intercept_body_cap_bytes),
    ] {
        command.args(number.map(|number| option(name, number.to_string())));
    }
    if args.no_dns_budget {
        command.arg("--no-dns-budget");
    }
    if args.quiet {
        command.arg("--quiet");
    }
    let error = command.arg("--").args(&args.command).exec();
    complain(format_args!("cannot run {}: {error}", outcalld.display()));
    if ours {
        let _ = fs::remove_dir_all(&directory);
    }
    Exit::Failed
}

/// As long as the names of containers may be.
const NAME_MAX: usize = 63;
/// The name where the command has none that could be used.
const NAMELESS: &str = "agent";

/// An agent's name from its command: the last part of the path, in the characters that names of agents have.
fn agent_name(command: Option<&OsString>) -> String {
    let last = command.and_then(|command| Path::new(command).file_name()).unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = last.chars().map(plain).skip_while(|c| !c.is_ascii_alphanumeric()).take(NAME_MAX).collect();
    if name.is_empty() { NAMELESS.to_owned() } else { name }
}

/// `--name=value` as one word, so that a value may begin with a dash.
fn option(name: &str, value: impl AsRef<OsStr>) -> OsString {
    let mut word = OsString::from(format!("--{name}="));
    word.push(value);
    word
}

/// Compiles the rules into a directory that nobody else can read, which `outcalld` removes once they are loaded.
fn compiled(args: &Args) -> Result<PathBuf, Exit> {
    let compilation = compile(&args.rules);
    let shown = |severity| match severity {
        Severity::Error => true,
        Severity::Warning => !args.quiet,
        Severity::Note => false,
    };
    let findings: Vec<_> = compilation.findings.iter().filter(|it| shown(it.severity)).cloned().collect();
    if !findings.is_empty() {
        let text = render::human(&findings, render::Colour::Never);
        let _ = io::Write::write_all(&mut io::stderr(), text.as_bytes());
    }
    let Some(artifacts) = &compilation.artifacts else {
        complain("the rules do not compile, so the command was not started");
        return Err(if compilation.unreadable() { Exit::Usage } else { Exit::Failed });
    };
    if compilation.policy.rules.is_empty() && !args.quiet {
        complain("there are no rules, so everything is blocked");
    }
    write(artifacts).map_err(|error| {
        complain(format_args!("cannot write the compiled rules to {}: {error}", std::env::temp_dir().display()));
        Exit::Usage
    })
}

fn write(artifacts: &Artifacts) -> io::Result<PathBuf> {
    let directory = tempfile::Builder::new().prefix("outcall-").tempdir()?;
    for (name, content) in artifacts.files() {
        fs::write(directory.path().join(name), content)?;
    }
    Ok(directory.keep())
}

/// The program beside this one, else the first in `PATH`. Relative entries there are passed over: what stands between the
/// command and the network must not depend on the directory one is in.
pub(crate) fn find_outcalld() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|this| this.parent().map(Path::to_owned));
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path).filter(|place| place.is_absolute()))
        .map(|place| place.join("outcalld"))
        .find(|program| program.is_file())
}

fn upstreams(args: &Args) -> Result<Vec<SocketAddr>, String> {
    if !args.dns_upstream.is_empty() {
        return Ok(args.dns_upstream.clone());
    }
    let remedy = "name a resolver with --dns-upstream";
    let text = fs::read(RESOLV_CONF).map_err(|error| format!("cannot read {RESOLV_CONF}: {error}; {remedy}"))?;
    let found = nameservers(&String::from_utf8_lossy(&text));
    if found.is_empty() { Err(format!("{RESOLV_CONF} names no resolver; {remedy}")) } else { Ok(found) }
}

/// The resolvers that a resolv.conf(5) names, in its order. Lines that do not parse are passed over, as resolvers do.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().map(str::split_whitespace);
    let named = lines.filter_map(|mut words| if words.next()? == "nameserver" { words.next() } else { None });
    named.filter_map(nameserver).take(RESOLVERS_MAX).collect()
}

fn nameserver(text: &str) -> Option<SocketAddr> {
    // A link-local address comes with the name or number of its interface (RFC 4007, section 11).
    if let Some((address, zone)) = text.split_once('%') {
        let index = || fs::read_to_string(Path::new("/sys/class/net").join(zone).join("ifindex")).ok();
        let zone = zone.parse().ok().or_else(|| index()?.trim().parse().ok())?;
        return Some(SocketAddrV6::new(address.parse().ok()?, DNS_PORT, 0, zone).into());
    }
    Some(SocketAddr::new(text.parse().ok()?, DNS_PORT))
}

fn upstream(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, DNS_PORT));
    text.parse()
        .or(address)
        .map_err(|_| "write an address or an address and a port: 192.0.2.53, 192.0.2.53:5353, [2001:db8::53]:53".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn resolvers_are_read_as_the_c_library_reads_them() {
        check("", &[]);
        check("# nameserver 192.0.2.1\n; nameserver 192.0.2.2\nsearch nameserver 192.0.2.3\n", &[]);
        check("nameserver 192.0.2.1\n\tnameserver\t2001:db8::53 # why\n", &["192.0.2.1:53", "[2001:db8::53]:53"]);
        check("nameserver\nnameservers 192.0.2.1\nnameserver 1.2.3\nnameserver 127.0.0.53\n", &["127.0.0.53:53"]);
        check("nameserver fe80::1%7\n", &["[fe80::1%7]:53"]);
        check("nameserver fe80::1%lo\n", &["[fe80::1%1]:53"]);
        check("nameserver fe80::1%nowhere\nnameserver 192.0.2.1%1\n", &[]);
        let many: String = (1..=9).map(|last| format!("nameserver 192.0.2.{last}\n")).collect();
        check(&many, &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    }

    #[test]
    fn an_upstream_is_an_address_with_or_without_a_port() {
        for (text, expected) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(upstream(text).unwrap().to_string(), expected);
        }
        for text in ["", "dns.example", "192.0.2.53:", "192.0.2.53:0x35", "127.1", "192.0.2.53:99999"] {
            assert!(upstream(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_agent_is_called_like_its_command() {
        for (command, expected) in [
            ("claude", "claude"),
            ("/usr/bin/python3", "python3"),
            ("./bin/My_Agent-2.1", "My_Agent-2.1"),
            ("tools/run agent.sh", "run-agent.sh"),
            ("bin/", "bin"),
            (".hidden", "hidden"),
            ("--x", "x"),
            ("\u{1b}[2J\n", "2J-"),
            ("caf\u{e9}", "caf-"),
            ("\u{65e5}\u{672c}", "agent"),
            ("..", "agent"),
            ("/", "agent"),
            ("", "agent"),
        ] {
            assert_eq!(agent_name(Some(&command.into())), expected, "{command:?}");
        }
        assert_eq!(agent_name(None), "agent");
        assert_eq!(agent_name(Some(&"x".repeat(500).into())), "x".repeat(63));
        let bytes = std::os::unix::ffi::OsStringExt::from_vec(b"a\xffb".to_vec());
        assert_eq!(agent_name(Some(&bytes)), "a-b");
    }

    #[test]
    fn a_value_that_begins_with_a_dash_stays_a_value() {
        assert_eq!(option("name", "-x"), "--name=-x");
    }
}
