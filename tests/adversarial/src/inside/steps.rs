//! One step of a technique, done.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketFlags, SocketType, connect, sendto, socket_with};

use super::{DATAGRAM, Inside, Trouble, guest, hear, tls};
use crate::technique::{Say, Socket, Step, Tls, To};

/// What passes between two datagrams of many: fewer than the kernel logs in a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Does one step; what became of it, in words that nobody believes.
pub(super) fn run(inside: &Inside, step: &Step) -> Result<String, Trouble> {
    match step {
        Step::Ask(name, kind) => Ok(format!("{:?}", inside.ask(name, *kind)?)),
        Step::Tcp(to, say) => match guest::site(*to) {
            Some((name, 80)) => {
                let stream = inside.connect(inside.proxy())?;
                converse(inside, &mut &stream, &stream, say, &|said| guest::authorised(guest::absolute(&said, name)))
            }
            _ => {
                let stream = inside.connect(inside.place(*to)?)?;
                let proxied = matches!(to, To::Proxy);
                converse(inside, &mut &stream, &stream, say, &|said| {
                    if proxied { guest::authorised(said) } else { said }
                })
            }
        },
        Step::Tls(to, names, say) => match guest::site(*to) {
            Some((name, port)) => {
                let head = format!("CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n");
                tunnel(inside, head.as_bytes(), names, say)
            }
            None => {
                let socket = inside.connect(inside.place(*to)?)?;
                let mut stream = tls::client(socket.try_clone()?, names)?;
                converse(inside, &mut stream, &socket, say, &std::convert::identity)
            }
        },
        Step::Tunnel(head, names, say) => tunnel(inside, head, names, say),
        Step::Udp(to, say) => {
            let answer = inside.datagram(inside.place(*to)?, &say.bytes(), DATAGRAM)?;
            Ok(format!("{} bytes came back", answer.len()))
        }
        Step::Socket(socket, to, say) => raw(inside, socket, *to, say),
        Step::Keep(to, say) => {
            let stream = inside.connect(inside.place(*to)?)?;
            let said = converse(inside, &mut &stream, &stream, say, &std::convert::identity);
            inside.kept.replace(Some(stream));
            said
        }
        Step::Again(say) => match inside.kept.take() {
            Some(stream) => {
                let said = converse(inside, &mut &stream, &stream, say, &std::convert::identity);
                inside.kept.replace(Some(stream));
                said
            }
            None => Err(Trouble::Untried("no connection was kept".to_owned())),
        },
        Step::Sending(to, say) => {
            sending(inside, inside.place(*to)?, say.bytes())?;
            Ok("it is being sent".to_owned())
        }
        Step::Outside(_) => Ok("this is not the agent's to do".to_owned()),
        Step::Do(words, act) => match act(inside) {
            Ok(()) => Ok((*words).to_owned()),
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Err(Trouble::Untried(error.to_string())),
            Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => Err(Trouble::Denied(error)),
            Err(error) => Err(Trouble::Tried(error)),
        },
    }
}

fn tunnel(inside: &Inside, head: &[u8], names: &Tls, say: &[Say]) -> Result<String, Trouble> {
    let mut stream = inside.greet(head, names)?;
    let socket = stream.sock.try_clone()?;
    converse(inside, &mut stream, &socket, say, &std::convert::identity)
}

/// Sends a datagram over and over, until the technique ends.
fn sending(inside: &Inside, to: SocketAddr, bytes: Vec<u8>) -> io::Result<()> {
    let own: IpAddr = if to.is_ipv4() { [0, 0, 0, 0].into() } else { [0u8; 16].into() };
    let socket = UdpSocket::bind((own, 0))?;
    let goes_on = Arc::new(AtomicBool::new(true));
    inside.sending.borrow_mut().push(Arc::clone(&goes_on));
    std::thread::spawn(move || {
        while goes_on.load(Ordering::Relaxed) {
            let _ = socket.send_to(&bytes, to);
            std::thread::sleep(PAUSE);
        }
    });
    Ok(())
}

/// Says one thing after the other, each `put` into the words that the other side wants.
fn converse<S: Read + Write>(
    inside: &Inside,
    stream: &mut S,
    socket: &TcpStream,
    say: &[Say],
    put: &dyn Fn(Vec<u8>) -> Vec<u8>,
) -> Result<String, Trouble> {
    let mut last = Vec::new();
    for say in say {
        stream.write_all(&put(say.bytes()))?;
        stream.flush()?;
        last = hear(stream, socket)?;
        inside.search("an answer", &last);
    }
    Ok(first_line(&last))
}

pub(super) fn first_line(answer: &[u8]) -> String {
    let line = answer.split(|byte| *byte == b'\r' || *byte == b'\n').next().unwrap_or_default();
    line.iter().take(80).map(|byte| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '?' }).collect()
}

/// Opens a socket by its numbers and sends one packet through it.
fn raw(inside: &Inside, wanted: &Socket, to: To, say: &Say) -> Result<String, Trouble> {
    let to = inside.place(to)?;
    let family = AddressFamily::from_raw(wanted.family);
    let kind = SocketType::from_raw(wanted.kind);
    let protocol = std::num::NonZeroU32::new(wanted.protocol).map(Protocol::from_raw);
    let missing = Trouble::Missing(wanted.family, wanted.kind, wanted.protocol);
    let open = |kind| socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol);
    let is_ping = kind == SocketType::DGRAM && matches!(wanted.protocol, 1 | 58);
    let opened = match open(kind) {
        Ok(opened) => opened,
        // Where nobody may have a socket for pings, whoever may have a raw one sends the same through that.
        Err(Errno::ACCESS) if is_ping => open(SocketType::RAW).map_err(|errno| Trouble::Denied(errno.into()))?,
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => return Err(missing),
        Err(errno @ (Errno::PERM | Errno::ACCESS)) => return Err(Trouble::Denied(errno.into())),
        Err(errno) => return Err(Trouble::Tried(errno.into())),
    };
    let is_internet = family == AddressFamily::INET || family == AddressFamily::INET6;
    if !is_internet {
        inside.got(format!("a socket of family {}", wanted.family));
        return Ok("the socket could be opened".to_owned());
    }
    // Raw sockets over IPv6 take no port.
    let to = if kind == SocketType::RAW { SocketAddr::new(to.ip(), 0) } else { to };
    if kind == SocketType::STREAM || kind == SocketType::SEQPACKET {
        match connect(&opened, &to) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => std::thread::sleep(DATAGRAM),
            Err(errno) => return Err(Trouble::Tried(errno.into())),
        }
    }
    let bytes = say.bytes();
    let sent = if kind == SocketType::STREAM {
        rustix::net::send(&opened, &bytes, SendFlags::NOSIGNAL)
    } else {
        sendto(&opened, &bytes, SendFlags::NOSIGNAL, &to)
    };
    Ok(format!("{} bytes were sent", sent.map_err(io::Error::from)?))
}
