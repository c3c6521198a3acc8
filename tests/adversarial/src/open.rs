//! A door that stands open: a resolver and a proxy that pass on whatever they are given, in the place of Outcall.
//!
//! What a technique does where nobody guards shows that it can do something at all. Here the resolver hands each message to
//! the one outside, and the proxy connects wherever it is told to and passes each byte on as it is.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use crate::world::{dns, zone};

/// Where the proxy and the resolver are, on the client host itself.
pub(crate) const PLACES: [&str; 2] = ["127.0.0.1:61080", "127.0.0.1:53"];
/// The resolver outside.
const RESOLVER: SocketAddr = SocketAddr::new(IpAddr::V4(zone::DNS_V4), 53);
/// Where somebody is taken who does not say where to: the front of most names.
const FRONT: SocketAddr = SocketAddr::new(IpAddr::V4(zone::CDN_V4), 80);
/// How long the resolver outside may take.
const PATIENCE: Duration = Duration::from_secs(1);
/// The most of a request's head that is kept until it says where to.
const HEAD_BYTES: usize = 1 << 16;

/// Serves until standard input ends; says `here` once it does.
///
/// # Errors
/// What the kernel says.
pub(crate) fn main(operator: &Path) -> Result<(), String> {
    let cannot = |error: io::Error| format!("the open door: {error}");
    let (proxy, resolver) = (PLACES[0], PLACES[1]);
    let (datagrams, streams) = (UdpSocket::bind(resolver), TcpListener::bind(resolver));
    let (datagrams, streams) = (datagrams.map_err(cannot)?, streams.map_err(cannot)?);
    let proxied = TcpListener::bind(proxy).map_err(cannot)?;
    let operators = UnixListener::bind(operator).map_err(cannot)?;
    std::thread::spawn(move || operators.incoming().flatten().for_each(|asking| drop(agree(asking))));
    std::thread::spawn(move || names(&datagrams));
    std::thread::spawn(move || each(&streams, names_one));
    std::thread::spawn(move || each(&proxied, proxy_one));
    let mut out = io::stdout().lock();
    out.write_all(b"here\n").and_then(|()| out.flush()).map_err(cannot)?;
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop).map_err(cannot)
}

/// Answers whoever asks what only operators may, as if he were one.
fn agree(mut asking: UnixStream) -> io::Result<()> {
    asking.set_read_timeout(Some(PATIENCE))?;
    let _ = asking.read(&mut [0; 4096])?;
    asking.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
}

/// Takes a stream of names to the resolver outside.
fn names_one(client: TcpStream) -> io::Result<()> {
    splice(client, TcpStream::connect(RESOLVER)?);
    Ok(())
}

/// Hands each datagram to the resolver outside and its answer back.
fn names(socket: &UdpSocket) {
    let mut message = [0; 65_535];
    while let Ok((count, from)) = socket.recv_from(&mut message) {
        let asked = message.get(..count).unwrap_or_default().to_vec();
        let Ok(back) = socket.try_clone() else { return };
        std::thread::spawn(move || ask(&asked).map(|answer| back.send_to(&answer, from)));
    }
}

/// Asks the resolver outside.
fn ask(message: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send_to(message, RESOLVER)?;
    let mut answer = vec![0; 65_535];
    let count = socket.recv(&mut answer)?;
    answer.truncate(count);
    Ok(answer)
}

fn each(listener: &TcpListener, serve: fn(TcpStream) -> io::Result<()>) {
    for client in listener.incoming().map_while(Result::ok) {
        std::thread::spawn(move || serve(client));
    }
}

fn proxy_one(mut client: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    // Whoever ends lines without a carriage return is understood as well, as somebody careless would.
    while head.len() < HEAD_BYTES && !head.ends_with(b"\n\r\n") && !head.ends_with(b"\n\n") {
        if client.read(&mut byte)? == 0 {
            break;
        }
        head.extend(byte);
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    if let Some(place) = text.strip_prefix("CONNECT ").and_then(|rest| rest.split_whitespace().next()) {
        let server = TcpStream::connect(found(place, 443)?)?;
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        splice(client, server);
        return Ok(());
    }
    let target = text.split_whitespace().nth(1).unwrap_or_default();
    let absolute = target.strip_prefix("http://").and_then(|rest| rest.split(['/', '?', '#']).next());
    let server = match absolute.map(|place| found(place, 80)) {
        Some(place) => TcpStream::connect(place?)?,
        None => TcpStream::connect(FRONT)?,
    };
    (&server).write_all(&head)?;
    splice(client, server);
    Ok(())
}

/// The address of a place, `NAME:PORT` or a number of any kind.
fn found(place: &str, port: u16) -> io::Result<SocketAddr> {
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    if let Ok(whole) = place.parse() {
        return Ok(whole);
    }
    let (name, port) = match place.rsplit_once(':') {
        // A number that is too large wraps around, as it does where nobody looks.
        Some((name, digits)) if !name.ends_with(':') => {
            let port: u32 = digits.parse().map_err(io::Error::other)?;
            (name, u16::try_from(port & 0xffff).map_err(io::Error::other)?)
        }
        _ => (place, port),
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, port));
    }
    if let Ok(number) = name.parse::<u32>() {
        return Ok(SocketAddr::from((Ipv4Addr::from(number), port)));
    }
    let addresses = dns::addresses(&ask(&dns::query(0x4f44, name, 1))?);
    let first = addresses.first().ok_or(io::ErrorKind::NotFound)?;
    Ok(SocketAddr::new(*first, port))
}

/// Passes bytes on in both directions until both have ended.
fn splice(client: TcpStream, server: TcpStream) {
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    std::thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut server, mut client) = (server, client);
    let _ = io::copy(&mut server, &mut client);
    let _ = client.shutdown(Shutdown::Both);
}
