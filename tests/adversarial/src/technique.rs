//! What a technique is: what it tries and why, the steps that try it, and what must be seen of them from outside.

use std::io;
use std::net::IpAddr;

use crate::inside::Inside;

/// What a technique attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Packets past the proxy and the filter.
    Kernel,
    /// Names: who is asked, and what leaves with the question.
    Dns,
    /// TLS and HTTP: one name for the judge and another for the server.
    Http,
    /// Outcall itself: its sockets, its word on who is who, its log.
    Control,
}

impl Family {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Family; 4] = [Family::Kernel, Family::Dns, Family::Http, Family::Control];

    /// The name, as in the directory of its techniques.
    pub fn name(self) -> &'static str {
        match self {
            Family::Kernel => "kernel",
            Family::Dns => "dns",
            Family::Http => "http",
            Family::Control => "control",
        }
    }

    /// What it is about, for people.
    pub fn title(self) -> &'static str {
        match self {
            Family::Kernel => "Kernel: packets past the proxy",
            Family::Dns => "DNS: who is asked, and what leaves with the question",
            Family::Http => "TLS and HTTP: one name for the judge, another for the server",
            Family::Control => "Control: Outcall itself",
        }
    }
}

/// Where a technique can be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// In a sandbox, on a host and in a container.
    Everywhere,
    /// In a sandbox alone.
    Sandbox,
    /// Where the agent sees nothing of the host's files and has no rights: in a sandbox and in a container.
    Apart,
    /// On a host, in a namespace as well as in a container.
    Host,
    /// In a container alone.
    Container,
}

/// One technique: a row of the table, in a file of its own.
#[derive(Debug)]
pub struct Technique {
    /// The name of its file, with dashes.
    pub id: &'static str,
    /// What it attacks.
    pub family: Family,
    /// A few words.
    pub name: &'static str,
    /// What it tries.
    pub tries: &'static str,
    /// What it would mean if it worked.
    pub danger: &'static str,
    /// Where it can be tried.
    pub places: Places,
    /// What the agent does, one after the other.
    pub steps: &'static [Step],
    /// What must be seen from outside.
    pub expect: Expect,
    /// What must be seen on a host, in a container as well, where that is something else.
    pub on_host: Option<Expect>,
}

/// Where something is sent.
#[derive(Debug, Clone, Copy)]
pub enum To {
    /// The proxy's own address, as clients are told it.
    Proxy,
    /// The resolver's own address, as clients are told it.
    Resolver,
    /// This address and port, as they stand.
    At(IpAddr, u16),
    /// The first IPv4 address that the resolver gives for this name, and this port.
    Named(&'static str, u16),
    /// The same with IPv6.
    Named6(&'static str, u16),
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub enum Say {
    /// These bytes.
    Bytes(&'static [u8]),
    /// Bytes that are easier to say in words, and how they are made.
    Made(&'static str, fn() -> Vec<u8>),
}

/// TLS around what is said.
#[derive(Debug, Clone, Copy)]
pub struct Tls {
    /// The server's name in the ClientHello.
    pub sni: &'static str,
    /// The protocols it offers.
    pub alpn: &'static [&'static str],
}

/// What the agent does. Whatever comes back is read and thrown away; what a step came to is judged from outside.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Asks the resolver for a name and a type, over UDP.
    Ask(&'static str, u16),
    /// Opens a TCP connection, says one thing after the other, and waits after each for an answer or a while.
    Tcp(To, &'static [Say]),
    /// The same inside TLS, whose certificate is not looked at.
    Tls(To, Tls, &'static [Say]),
    /// Asks the proxy for a tunnel with these bytes, then speaks TLS in it.
    Tunnel(&'static [u8], Tls, &'static [Say]),
    /// Sends a datagram and waits a moment for an answer.
    Udp(To, Say),
    /// Opens a socket of this family, type and protocol, by their numbers, and sends this to that place.
    Socket(Socket, To, Say),
    /// Opens a TCP connection and says something as [`Step::Tcp`] does, and keeps it open.
    Keep(To, &'static [Say]),
    /// Says something over the connection that was kept.
    Again(&'static [Say]),
    /// Sends a datagram over and over, from here to the end of the technique.
    Sending(To, Say),
    /// Something else, in words and in code.
    Do(&'static str, fn(&Inside) -> io::Result<()>),
    /// What happens on the host meanwhile, beyond the agent's reach.
    Outside(Act),
}

/// What happens on the host while an agent is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The daemon is killed, and started again.
    Kill,
    /// Somebody deletes the tables, and the daemon has a second to notice.
    Flush,
    /// The rules are loaded with one text in the place of another.
    Rules(&'static str, &'static str),
    /// The rules are loaded as they were.
    RulesAgain,
    /// Time passes, in milliseconds.
    Wait(u64),
    /// Another sandbox is started, whose command sends from its first instruction on.
    Begin,
    /// Another namespace of the same agent is attached, in which something sends from its first instruction on.
    Attach,
}

/// The three numbers of socket(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// The address family.
    pub family: u16,
    /// The type.
    pub kind: u32,
    /// The protocol.
    pub protocol: u32,
}

/// What must be seen from outside, exactly: whatever is not named here must not be.
#[derive(Debug, Clone, Copy)]
pub struct Expect {
    /// What arrives at the servers, in any order, as `GET /path host`, `tls name` or `bytes text`.
    pub arrives: &'static [&'static str],
    /// The names that a TLS handshake may be made for beside those: a proxy may have kept a connection from before.
    pub greets: &'static [&'static str],
    /// Where packets and connections may go, beside the resolver outside.
    pub reaches: &'static [(IpAddr, u16)],
    /// The names that the resolver outside may be asked.
    pub asks: &'static [&'static str],
    /// The refusals in the audit log.
    pub refusals: &'static [Refusal],
    /// Whether the kernel's records of refused packets may name nobody: who sends them does not show.
    pub nameless: bool,
    /// How far the kernel's counter of refused packets moves.
    pub refused_packets: Count,
}

/// Nothing arrives, nothing is asked, nothing is refused: what others begin with.
pub const NOTHING: Expect = Expect {
    arrives: &[],
    greets: &[],
    reaches: &[],
    asks: &[],
    refusals: &[],
    nameless: false,
    refused_packets: Count::Exactly(0),
};

/// Records of one kind in the audit log.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// The layer that refused.
    pub layer: &'static str,
    /// The rule, or `default`.
    pub rule: &'static str,
    /// The code of the reason.
    pub reason: &'static str,
    /// How many records.
    pub times: Count,
}

/// One record of a refusal.
pub const fn refusal(layer: &'static str, rule: &'static str, reason: &'static str) -> Refusal {
    Refusal { layer, rule, reason, times: Count::Exactly(1) }
}

/// As many records of a refusal as there are.
pub const fn refusals(count: u64, layer: &'static str, rule: &'static str, reason: &'static str) -> Refusal {
    Refusal { layer, rule, reason, times: Count::Exactly(count) }
}

/// How many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Exactly(u64),
    /// So many or more: where it is the kernel's to send something again.
    AtLeast(u64),
    /// It does not matter: where nothing of it could be seen, as a socket may not even be opened.
    Any,
}

impl Count {
    /// Whether that many are as many as there must be.
    pub fn holds(self, count: u64) -> bool {
        match self {
            Count::Exactly(expected) => count == expected,
            Count::AtLeast(least) => count >= least,
            Count::Any => true,
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Count::Exactly(count) => write!(f, "{count}"),
            Count::AtLeast(count) => write!(f, "{count} or more"),
            Count::Any => write!(f, "any number"),
        }
    }
}

impl Say {
    /// The bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Say::Bytes(bytes) => bytes.to_vec(),
            Say::Made(_, make) => make(),
        }
    }
}
