//! Serving DNS over real sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use super::*;
use crate::identity::OneAgent;

/// Answers with the agent, the carrier and the message; `wait...` when it is told to, `quiet` not at all.
#[derive(Clone, Default)]
struct Echo {
    go: Arc<Notify>,
    begun: Arc<AtomicUsize>,
    turned_away: Arc<AtomicUsize>,
}

impl Answer for Echo {
    async fn room(&self) {}

    fn begin(&self, agent: &Arc<str>, message: &[u8], carrier: Carrier) -> Step {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let text = String::from_utf8_lossy(message).into_owned();
        let reply = format!("{agent} {carrier:?} {text}").into_bytes();
        match text {
            text if text.starts_with("quiet") => Step::Silence,
            text if text.starts_with("wait") => {
                let go = Arc::clone(&self.go);
                Step::Later(Box::pin(async move {
                    go.notified().await;
                    reply
                }))
            }
            _ => Step::Reply(reply),
        }
    }

    fn overloaded(&self, _agent: &Arc<str>, message: &[u8], _carrier: Carrier) -> Vec<u8> {
        [b"overloaded ", message].concat()
    }

    fn turned_away(&self, _agent: &Arc<str>) {
        self.turned_away.fetch_add(1, Ordering::SeqCst);
    }
}

/// A server on loopback with its own thread; stops with the test.
struct Served {
    echo: Echo,
    udp: SocketAddr,
    tcp: SocketAddr,
    _stop: tokio::sync::oneshot::Sender<()>,
}

fn start(limits: Limits) -> Served {
    let echo = Echo::default();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addresses, answer) = ((udp.local_addr().unwrap(), tcp.local_addr().unwrap()), echo.clone());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                ended = serve(answer, Arc::new(OneAgent::named("ci")), limits, vec![udp], vec![tcp]) => ended.unwrap(),
                _ = stopped => {}
            }
        });
    });
    Served { echo, udp: addresses.0, tcp: addresses.1, _stop: stop }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn frame(message: &str) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes(), message.as_bytes()].concat()
}

fn read(stream: &mut TcpStream) -> String {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).unwrap();
    String::from_utf8(message).unwrap()
}

fn udp_client(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(to).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 9_000];
    let length = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

#[test]
fn datagrams_do_not_wait_for_each_other() {
    let served = start(Limits::default());
    let socket = udp_client(served.udp);
    for message in ["wait one", "quiet", "two"] {
        socket.send(message.as_bytes()).unwrap();
    }
    assert_eq!(receive(&socket), "ci Udp two");
    served.echo.go.notify_one();
    assert_eq!(receive(&socket), "ci Udp wait one");
}

#[test]
fn an_over_long_datagram_arrives_cut_and_an_empty_one_as_it_is() {
    let served = start(Limits::default());
    let socket = udp_client(served.udp);
    socket.send(&[]).unwrap();
    assert_eq!(receive(&socket), "ci Udp ");
    socket.send(&[b'x'; 8_000]).unwrap();
    assert_eq!(receive(&socket).len(), "ci Udp ".len() + 4_096);
}

#[test]
fn a_client_that_is_gone_does_not_stop_the_socket() {
    let served = start(Limits::default());
    for _ in 0..200 {
        udp_client(served.udp).send(b"gone").unwrap();
    }
    let socket = udp_client(served.udp);
    socket.send(b"here").unwrap();
    assert_eq!(receive(&socket), "ci Udp here");
}

#[test]
fn two_queries_in_one_segment_and_one_in_three() {
    let served = start(Limits::default());
    let mut stream = connect(served.tcp);
    stream.write_all(&[frame("one"), frame("two")].concat()).unwrap();
    assert_eq!(read(&mut stream), "ci Tcp one");
    assert_eq!(read(&mut stream), "ci Tcp two");
    let three = frame("three");
    // Each piece is on its way before the next is written: the reply to a whole query in between says so.
    let mut other = connect(served.tcp);
    for piece in [&three[..1], &three[1..4], &three[4..]] {
        stream.write_all(piece).unwrap();
        other.write_all(&frame("meanwhile")).unwrap();
        assert_eq!(read(&mut other), "ci Tcp meanwhile");
    }
    assert_eq!(read(&mut stream), "ci Tcp three");
}

#[test]
fn a_slow_answer_does_not_hold_up_those_behind_it_and_a_half_closed_stream_gets_it() {
    let served = start(Limits::default());
    let mut stream = connect(served.tcp);
    stream.write_all(&[frame("wait one"), frame("two"), frame("quiet"), frame("")].concat()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read(&mut stream), "ci Tcp two");
    assert_eq!(read(&mut stream), "ci Tcp ");
    served.echo.go.notify_one();
    assert_eq!(read(&mut stream), "ci Tcp wait one");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_stream_takes_the_longest_message_there_is() {
    let served = start(Limits::default());
    let mut stream = connect(served.tcp);
    let long = "x".repeat(65_000);
    stream.write_all(&frame(&long)).unwrap();
    assert_eq!(read(&mut stream).len(), long.len() + "ci Tcp ".len());
}

#[test]
fn an_idle_connection_and_an_unfinished_query_are_closed() {
    let served = start(Limits { idle: Duration::from_millis(100), ..Limits::default() });
    for begun in [&[][..], &[0], &[0, 9, b'x']] {
        let mut stream = connect(served.tcp);
        stream.write_all(begun).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
}

#[test]
fn connections_over_the_limit_are_closed_and_told_of_and_a_closed_one_makes_room() {
    let served = start(Limits { connections_per_agent: 2, ..Limits::default() });
    let mut open: Vec<TcpStream> = (0..2).map(|_| connect(served.tcp)).collect();
    for stream in &mut open {
        stream.write_all(&frame("in")).unwrap();
        assert_eq!(read(stream), "ci Tcp in");
    }
    let closed = |mut stream: TcpStream| {
        let _ = stream.write_all(&frame("out"));
        !matches!(stream.read(&mut [0]), Ok(1))
    };
    assert!(closed(connect(served.tcp)));
    assert_eq!(served.echo.turned_away.load(Ordering::SeqCst), 1);
    drop(open);
    // Its place is free once the server has seen it go.
    let started = std::time::Instant::now();
    while closed(connect(served.tcp)) {
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn what_waits_is_bounded_over_all_and_told_so() {
    let served = start(Limits { waiting: 2, ..Limits::default() });
    let socket = udp_client(served.udp);
    for message in ["wait 1", "wait 2", "wait 3"] {
        socket.send(message.as_bytes()).unwrap();
    }
    assert_eq!(receive(&socket), "overloaded wait 3");
    let mut stream = connect(served.tcp);
    stream.write_all(&frame("wait 4")).unwrap();
    assert_eq!(read(&mut stream), "overloaded wait 4");
    served.echo.go.notify_waiters();
    let mut replies = [receive(&socket), receive(&socket)];
    replies.sort();
    assert_eq!(replies, ["ci Udp wait 1", "ci Udp wait 2"]);
}

#[test]
fn a_connection_that_asks_too_much_at_a_time_waits_alone() {
    let served = start(Limits { waiting_per_connection: 2, ..Limits::default() });
    let mut stream = connect(served.tcp);
    (0..5).for_each(|_| stream.write_all(&frame("wait")).unwrap());
    let mut other = connect(served.tcp);
    other.write_all(&frame("other")).unwrap();
    assert_eq!(read(&mut other), "ci Tcp other");
    for _ in 0..5 {
        served.echo.go.notify_one();
        assert_eq!(read(&mut stream), "ci Tcp wait");
    }
}

#[tokio::test]
async fn without_a_socket_there_is_nothing_to_serve() {
    let identity = Arc::new(OneAgent::named("ci"));
    assert!(serve(Echo::default(), identity, Limits::default(), Vec::new(), Vec::new()).await.is_err());
}
