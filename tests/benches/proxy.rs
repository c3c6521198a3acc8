//! What the proxy costs beside no proxy: tunnels and requests a second, bytes a second through a tunnel.
//!
//! `cargo bench -p outcall-tests --bench proxy`. Client, proxy and upstream are threads of one process in a network namespace
//! of its own, whose kernel redirects what is meant for [`REDIRECTED`] to the proxy. Every reply is checked.
#![cfg_attr(test, expect(clippy::expect_used, reason = "benches stop when they cannot be set up"))]

mod cpu;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cpu::CpuTime;
use criterion::measurement::Measurement;
use criterion::{BenchmarkId, Criterion, Throughput};
use outcall_compiler::Missing;
use outcall_runtime::audit::Audit;
use outcall_runtime::dial::Dialer;
use outcall_runtime::direct::Direct;
use outcall_runtime::dns::Resolver;
use outcall_runtime::identity::OneAgent;
use outcall_runtime::load::{Authority, Trust, from_dir};
use outcall_runtime::proxy::{Context, Limits, Mode, serve};
use outcall_runtime::shares::Shares;
use outcall_runtime::snapshot::in_force;
use outcall_tests::fixtures::dns::Responder;
use outcall_tests::fixtures::{world, zone};
use rustix::time::ClockId;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A name of the fixtures' internet with the one address [`zone::CDN_V4`].
const NAME: &str = "only4.test";

/// Where transparent clients connect to: another address than the name's, for the proxy resolves the name itself.
const REDIRECTED: Ipv4Addr = zone::OTHER_V4;

const RULES: &str = r#"
version: "1"
rules:
  - id: no-secrets
    condition: http.path.startsWith("/secret")
    action: block
  - id: web
    condition: http.host == "only4.test"
    action: allow
    # The server's address is this namespace's own.
    egress: { allow_private_ips: true }
"#;

/// Connections at a time: a package manager opens so many.
const CLIENTS: usize = 16;

/// What goes through a tunnel in one round.
const DOWNLOAD_BYTES: usize = 8 << 20;

/// Set in the process that runs in the namespace.
const INSIDE: &str = "OUTCALL_BENCH_INSIDE";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\nhello, world";

fn main() {
    if std::env::var_os(INSIDE).is_none() {
        enter_namespace();
    }
    let world = World::start();
    let mut wall = Criterion::default().configure_from_args();
    measure(&mut wall, "wall", &world);
    let mut cpu = Criterion::default().with_measurement(CpuTime(ClockId::ProcessCPUTime)).configure_from_args();
    measure(&mut cpu, "cpu", &world);
    wall.final_summary();
}

/// Goes on as a process in fresh namespaces, with the same arguments.
fn enter_namespace() {
    let mut command = Command::new("unshare");
    if !world::is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    let own = std::env::current_exe().expect("the path of this process");
    let error = command.args(["--net", "--"]).arg(own).args(std::env::args_os().skip(1)).env(INSIDE, "1").exec();
    unreachable!("unshare(1) is part of every Debian: {error}");
}

fn run(program: &str, input: &str) {
    let (program, arguments) = program.split_once(' ').unwrap_or((program, ""));
    let mut child = Command::new(program).args(arguments.split(' ')).stdin(Stdio::piped()).spawn().expect(program);
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("a reader");
    assert!(child.wait().expect("a status").success(), "{program} {arguments} (needs user namespaces)");
}

/// The addresses of what was started. All of it lives as long as the process.
struct World {
    /// Answers HTTP requests.
    web: SocketAddr,
    /// Reads a hello, then sends as many bytes as each following number says.
    source: SocketAddr,
    /// The proxy, for those who know of it.
    proxy: SocketAddr,
    /// A ClientHello that names [`NAME`].
    hello: Arc<[u8]>,
}

impl World {
    fn start() -> World {
        let links = format!("link set lo up\naddr add {}/32 dev lo\naddr add {REDIRECTED}/32 dev lo\n", zone::CDN_V4);
        run("ip -batch -", &links);
        // Every tunnel leaves its port to wait for a minute; soon the search for free ones would be all that is measured.
        std::fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "0").expect("a namespace of our own");
        let hello: Arc<[u8]> = client_hello().into();
        let [web, source] = [0, 0].map(|port| TcpListener::bind((zone::CDN_V4, port)).expect("an address of lo"));
        let [explicit, redirected] = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("the loopback"));
        let address = |listener: &TcpListener| listener.local_addr().expect("bound");
        let world = World {
            web: address(&web),
            source: address(&source),
            proxy: address(&explicit),
            hello: Arc::clone(&hello),
        };
        run(
            "nft -f -",
            &format!(
                "table ip bench {{\nchain out {{\ntype nat hook output priority -100\n\
                 ip daddr {REDIRECTED} meta l4proto tcp redirect to :{}\n}}\n}}\n",
                address(&redirected).port()
            ),
        );
        let context = context();
        in_thread(move || async move {
            let (stop, stopped) = tokio::sync::watch::channel(false);
            let (one, two) = tokio::join!(
                serve(explicit, Mode::Explicit, context.clone(), stopped.clone()),
                serve(redirected, Mode::Transparent, context, stopped),
            );
            drop(stop);
            one.and(two)
        });
        in_thread(move || accept(web, answer_requests));
        in_thread(move || accept(source, move |stream| send_bytes(stream, hello.len())));
        world
    }
}

/// Runs something on a thread of its own until the process ends.
fn in_thread<F: Future<Output = std::io::Result<()>>>(serve: impl FnOnce() -> F + Send + 'static) {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(serve()).expect("a server that goes on");
    });
}

/// What the proxy needs: a compiled policy, a resolver with the fixtures' names, an audit log that nobody keeps.
fn context() -> Context {
    let directory = tempfile::tempdir().expect("a directory");
    let rules = directory.path().join("rules.yaml");
    std::fs::write(&rules, RULES).expect("the rules");
    let artifacts = outcall_compiler::compile(&[rules], Missing::Refused).artifacts.expect("a policy");
    for (name, bytes) in artifacts.files() {
        std::fs::write(directory.path().join(name), bytes).expect("an artifact");
    }
    let snapshot = from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).expect("what was just written");
    let upstream = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let resolver = Resolver::new(vec![upstream.local_addr().expect("bound")], Dialer::new());
    std::thread::spawn(move || {
        let responder = Responder::default();
        let mut buffer = [0; 4096];
        while let Ok((length, peer)) = upstream.recv_from(&mut buffer) {
            if let (_, Some(reply)) = responder.respond(buffer.get(..length).unwrap_or_default(), "udp") {
                let _ = upstream.send_to(&reply, peer);
            }
        }
    });
    let log = std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null");
    Context {
        policy: in_force(snapshot),
        identity: Arc::new(OneAgent::named("bench")),
        audit: Audit::to_file(log).expect("a thread"),
        resolver,
        direct: Direct::default(),
        dialer: Dialer::new(),
        interception: None,
        changes: outcall_runtime::proxy::Changes::default(),
        shares: Shares::default(),
        limits: Limits::default(),
    }
}

fn client_hello() -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider's own versions")
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = NAME.try_into().expect("a name");
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut hello = Vec::new();
    client.write_tls(&mut hello).expect("memory");
    hello
}

async fn accept<F: Future<Output = std::io::Result<()>> + 'static>(
    listener: TcpListener,
    serve: impl Fn(tokio::net::TcpStream) -> F,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let tasks = tokio::task::LocalSet::new();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let serving = serve(stream);
            // A client that goes away is no failure of the server.
            tasks.spawn_local(async move { drop(serving.await) });
        }
    };
    tasks.run_until(accepting).await
}

/// Requests are short and come one at a time, so that each arrives whole.
async fn answer_requests(mut stream: tokio::net::TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        assert!(buffer.get(..length).is_some_and(|request| request.ends_with(b"\r\n\r\n")));
        stream.write_all(RESPONSE).await?;
    }
}

async fn send_bytes(mut stream: tokio::net::TcpStream, hello: usize) -> std::io::Result<()> {
    let mut buffer = vec![0; hello.max(64 << 10)];
    stream.read_exact(buffer.get_mut(..hello).unwrap_or_default()).await?;
    loop {
        let mut left = stream.read_u64().await? as usize;
        while left > 0 {
            let some = buffer.get(..left.min(buffer.len())).unwrap_or_default();
            stream.write_all(some).await?;
            left -= some.len();
        }
    }
}

fn measure<M: Measurement>(criterion: &mut Criterion<M>, clock: &str, world: &World) {
    let text = |target: &str, host: SocketAddr| format!("{target} HTTP/1.1\r\nHost: {NAME}:{}\r\n\r\n", host.port());

    let mut group = criterion.benchmark_group(format!("{clock}_request"));
    group.throughput(Throughput::Elements(CLIENTS as u64));
    let transparent = SocketAddr::from((REDIRECTED, world.web.port()));
    for (what, to, target) in [
        ("direct", world.web, "GET /items?page=1".to_owned()),
        ("explicit", world.proxy, format!("GET http://{NAME}:{}/items?page=1", world.web.port())),
        ("transparent", transparent, "GET /items?page=1".to_owned()),
    ] {
        let request = text(&target, world.web);
        let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(to)).collect();
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| {
                clients.iter_mut().for_each(|client| send(client, request.as_bytes()));
                clients.iter_mut().for_each(expect_response);
            });
        });
    }
    group.finish();

    let ask = |count: usize| [&*world.hello, &(count as u64).to_be_bytes()].concat();
    let request = text(&format!("CONNECT {NAME}:{}", world.source.port()), world.source);
    let ways = [
        ("direct", world.source, None),
        ("connect", world.proxy, Some(request.as_bytes())),
        ("transparent", SocketAddr::from((REDIRECTED, world.source.port())), None),
    ];

    let mut group = criterion.benchmark_group(format!("{clock}_tunnel"));
    group.throughput(Throughput::Elements(CLIENTS as u64));
    let one = ask(1);
    for (what, to, request) in ways {
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| {
                let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(to)).collect();
                clients.iter_mut().for_each(|client| send(client, request.unwrap_or_default()));
                for client in &mut clients {
                    expect_tunnel(client, request);
                    send(client, &one);
                }
                clients.iter_mut().for_each(|client| receive(client, &mut [0]));
            });
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group(format!("{clock}_download"));
    group.throughput(Throughput::Bytes(DOWNLOAD_BYTES as u64));
    let mut buffer = vec![0; 64 << 10];
    for (what, to, request) in ways {
        let mut client = connect(to);
        send(&mut client, request.unwrap_or_default());
        expect_tunnel(&mut client, request);
        send(&mut client, &world.hello);
        group.bench_function(BenchmarkId::from_parameter(what), |bencher| {
            bencher.iter(|| {
                send(&mut client, &(DOWNLOAD_BYTES as u64).to_be_bytes());
                let mut left = DOWNLOAD_BYTES;
                while left > 0 {
                    let length = client.read(&mut buffer).expect("more bytes");
                    assert!(length > 0, "the tunnel ended");
                    left -= length;
                }
            });
        });
    }
    group.finish();
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).expect("a connection");
    stream.set_nodelay(true).expect("an option");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream
}

fn send(client: &mut TcpStream, bytes: &[u8]) {
    client.write_all(bytes).expect("a peer that reads");
}

fn receive(client: &mut TcpStream, buffer: &mut [u8]) {
    client.read_exact(buffer).expect("a peer that answers");
}

fn expect_response(client: &mut TcpStream) {
    let mut response = [0; RESPONSE.len()];
    receive(client, &mut response);
    assert_eq!(response, RESPONSE);
}

/// Reads the answer to a CONNECT, where there was one.
fn expect_tunnel(client: &mut TcpStream, request: Option<&[u8]>) {
    const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
    if request.is_some() {
        let mut answer = [0; ESTABLISHED.len()];
        receive(client, &mut answer);
        assert_eq!(answer, ESTABLISHED);
    }
}
