//! The agent: a process without privilege that tries what it is told to. What it says of itself is whether it got as far as
//! trying, and what it got hold of: that is a fault, whereas nothing that it says speaks for anybody.

pub(crate) mod guest;
pub mod local;
mod steps;
pub(crate) mod ticket;
mod tls;

use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::around::Around;
use crate::table;
use crate::technique::{Places, Step, To};
use crate::world::{dns, internet, zone};

/// How long something may take to be opened: whoever refuses does so at once.
const OPENING: Duration = Duration::from_secs(3);
/// How long the first byte of an answer may take.
const ANSWER: Duration = Duration::from_millis(1500);
/// How long the rest of it may pause.
const REST: Duration = Duration::from_millis(40);
/// How long an answer to a datagram may take that should not come at all.
const DATAGRAM: Duration = Duration::from_millis(150);
/// The most that is read of an answer.
const ANSWER_BYTES: usize = 1 << 20;

/// Where the mark after each technique is sent: documentation's addresses (RFC 5737), which nobody allows.
pub(crate) const MARK_ADDRESS: [u8; 4] = [198, 51, 100, 1];
/// The same for IPv6 (RFC 3849), before the first technique alone.
const MARK_ADDRESS_V6: [u16; 8] = [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1];
/// The first mark's port; each further one is one higher.
pub(crate) const MARK_PORT: u16 = 20_000;

/// What the name begins with whose refusal is the mark in the audit log.
pub(crate) const MARK: &str = "mark-";

/// The name whose refusal is the mark in the audit log.
pub(crate) fn mark_name(number: u16) -> String {
    format!("{MARK}{number}.outcall-verify.invalid")
}

/// Whether marks are sent to this address.
pub(crate) fn is_mark(address: IpAddr) -> bool {
    address == IpAddr::from(MARK_ADDRESS) || address == IpAddr::from(MARK_ADDRESS_V6)
}

/// What the agent says of a technique.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Said {
    /// The technique.
    pub(crate) id: String,
    /// Why it could not be tried, where it could not.
    pub(crate) not_tried: Option<String>,
    /// The family, type and protocol of a socket that the kernel says it does not have.
    pub(crate) missing: Option<(u16, u32, u32)>,
    /// Whether the kernel refused it something for its lack of rights.
    #[serde(default)]
    pub(crate) denied: bool,
    /// What it got hold of that it must not have.
    #[serde(default)]
    pub(crate) got: Vec<String>,
    /// What each step came to.
    pub(crate) notes: Vec<String>,
}

/// What the agent knows of its surroundings.
#[derive(Debug)]
pub struct Inside {
    proxy: SocketAddr,
    resolver: SocketAddr,
    around: Option<Around>,
    got: RefCell<Vec<String>>,
    kept: RefCell<Option<TcpStream>>,
    sending: RefCell<Vec<Arc<AtomicBool>>>,
}

/// Why a step came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It was tried, and this is what became of it.
    Tried(io::Error),
    /// It could not be tried.
    Untried(String),
    /// The kernel refuses it for its lack of rights.
    Denied(io::Error),
    /// There is no such socket here.
    Missing(u16, u32, u32),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Trouble {
        Trouble::Tried(error)
    }
}

/// Tries what standard input says, one `number step id` a line, and answers each with a line of JSON. It goes as far as
/// the next thing that is done outside; what comes after that is another line.
pub(crate) fn main(proxy: SocketAddr, resolver: SocketAddr, around: Around) -> Result<(), String> {
    let inside = Inside::new(proxy, resolver, Some(around));
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let mut words = line.splitn(3, ' ');
        let mut number = || words.next().and_then(|word| word.parse::<u16>().ok()).ok_or("not a number");
        let (number, from) = (number()?, number()?);
        let (said, whole) = inside.attempt(words.next().unwrap_or_default(), from.into());
        if whole {
            inside.end();
            inside.mark(number);
        }
        let mut text = serde_json::to_string(&said).map_err(|error| error.to_string())?;
        text.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Sends datagrams from the first instruction on until standard input ends, wherever they may go.
pub(crate) fn race() -> Result<(), String> {
    let goes_on = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&goes_on);
    let sending = std::thread::spawn(move || {
        while told.load(Ordering::Relaxed) {
            let sent = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
                .and_then(|socket| socket.send_to(b"a secret", (zone::OTHER_V4, 7000)));
            std::thread::sleep(if sent.is_ok() { Duration::from_millis(10) } else { Duration::from_micros(200) });
        }
    });
    let held = internet::hold();
    goes_on.store(false, Ordering::Relaxed);
    let _ = sending.join();
    held
}

impl Inside {
    fn new(proxy: SocketAddr, resolver: SocketAddr, around: Option<Around>) -> Inside {
        let (got, kept, sending) = Default::default();
        Inside { proxy, resolver, around, got, kept, sending }
    }

    /// Does the steps of a technique from the one of this number on; whether they were done to the end.
    fn attempt(&self, id: &str, from: usize) -> (Said, bool) {
        let mut said = Said { id: id.to_owned(), ..Said::default() };
        let Some(technique) = table::technique(id) else {
            said.not_tried = Some("there is no such technique".to_owned());
            return (said, true);
        };
        let mut whole = true;
        let more = technique.steps.iter().skip(from).any(|step| matches!(step, Step::Outside(_)));
        for step in technique.steps.iter().skip(from) {
            if matches!(step, Step::Outside(_)) {
                whole = false;
                break;
            }
            match steps::run(self, step) {
                Ok(note) => said.notes.push(note),
                Err(Trouble::Tried(error)) => said.notes.push(error.to_string()),
                Err(Trouble::Denied(error)) => {
                    said.denied = true;
                    said.notes.push(error.to_string());
                    // What follows would be another technique: whoever is on a host by all rights is denied nothing.
                    if technique.places == Places::Host {
                        whole = !more;
                        break;
                    }
                }
                Err(Trouble::Untried(why)) => {
                    said.not_tried = Some(why);
                    whole = !more;
                    break;
                }
                Err(Trouble::Missing(family, kind, protocol)) => {
                    said.missing = Some((family, kind, protocol));
                    whole = !more;
                    break;
                }
            }
        }
        said.got = self.got.take();
        (said, whole)
    }

    /// Lets go of what a technique kept.
    fn end(&self) {
        drop(self.kept.take());
        for sending in self.sending.take() {
            sending.store(false, Ordering::Relaxed);
        }
    }

    /// Says that the agent got hold of something that it must not have.
    pub fn got(&self, what: impl Into<String>) {
        self.got.borrow_mut().push(what.into());
    }

    /// Leaves a mark in what both the kernel and the filter log, so that everything before it is known to be in the log.
    fn mark(&self, number: u16) {
        if number == 0 {
            // Before the first technique: the kernel asks its neighbours where the way out over IPv6 is, once.
            let _ = self.datagram(SocketAddr::from((MARK_ADDRESS_V6, MARK_PORT)), b"mark", Duration::from_millis(1));
        }
        let to = SocketAddr::from((MARK_ADDRESS, MARK_PORT.saturating_add(number)));
        let _ = self.datagram(to, b"mark", Duration::from_millis(1));
        let _ = self.ask(&mark_name(number), 1);
    }

    /// What stands around it that it must not reach.
    ///
    /// # Errors
    /// Where the agent was told of nothing.
    pub fn around(&self) -> io::Result<&Around> {
        let unknown = || io::Error::new(io::ErrorKind::Unsupported, "the agent was not told what stands around it");
        self.around.as_ref().ok_or_else(unknown)
    }

    /// The proxy's own address.
    pub fn proxy(&self) -> SocketAddr {
        self.proxy
    }

    /// The resolver's own address.
    pub fn resolver(&self) -> SocketAddr {
        self.resolver
    }

    /// The addresses that the resolver gives for a name.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, name: &str, kind: u16) -> io::Result<Vec<IpAddr>> {
        let answer = self.datagram(self.resolver, &dns::query(0x4f43, name, kind), ANSWER)?;
        Ok(dns::addresses(&answer))
    }

    /// Sends a datagram; the answer, empty where none came within `wait`.
    ///
    /// # Errors
    /// What the kernel says of the sending.
    pub fn datagram(&self, to: SocketAddr, bytes: &[u8], wait: Duration) -> io::Result<Vec<u8>> {
        let own: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u8; 16].into() };
        let socket = UdpSocket::bind((own, 0))?;
        socket.set_read_timeout(Some(wait))?;
        socket.connect(to)?;
        socket.send(bytes)?;
        let mut answer = vec![0; 65_535];
        match socket.recv(&mut answer) {
            Ok(count) => answer.truncate(count),
            Err(_) => answer.clear(),
        }
        Ok(answer)
    }

    /// A TCP connection.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn connect(&self, to: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&to, OPENING)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(OPENING))?;
        Ok(stream)
    }

    pub(crate) fn place(&self, to: To) -> Result<SocketAddr, Trouble> {
        let named = |name: &str, kind, port| {
            let found = self.ask(name, kind).map_err(|error| Trouble::Untried(format!("no resolver: {error}")))?;
            let first = found.first().ok_or_else(|| Trouble::Untried(format!("`{name}` has no address in here")))?;
            Ok(SocketAddr::new(*first, port))
        };
        match to {
            To::Proxy => Ok(self.proxy),
            To::Resolver => Ok(self.resolver),
            To::At(address, port) => Ok(SocketAddr::new(address, port)),
            To::Named(name, port) => named(name, 1, port),
            To::Named6(name, port) => named(name, 28, port),
        }
    }
}

/// Waits for an answer and reads it until it pauses.
pub(crate) fn hear<S: Read>(stream: &mut S, socket: &TcpStream) -> io::Result<Vec<u8>> {
    socket.set_read_timeout(Some(ANSWER))?;
    let mut heard = Vec::new();
    let mut buffer = [0; 16_384];
    while heard.len() < ANSWER_BYTES {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => heard.extend(buffer.iter().take(count)),
            Err(error) if heard.is_empty() => return Err(error),
            Err(_) => break,
        }
        socket.set_read_timeout(Some(REST))?;
    }
    Ok(heard)
}
