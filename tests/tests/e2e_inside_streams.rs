//! Conversations inside TLS that go on for longer: gRPC, WebSockets and event streams, in the protocols that carry them.
//! Each step waits for the one before it to have come through, so that whatever is held back fails the test.
#![cfg(test)]

use outcall_tests::fixtures::world::clients;
use outcall_tests::fixtures::{Outcall, Ran, World};

const GRPC: &str = r#"
version: "1"
rules:
  - id: no-secret
    condition: http.path.startsWith("/outcall.test.Echo/Secret")
    action: block
  - id: echo
    condition: http.host == "grpc.test" && http.method == "POST" && http.path.startsWith("/outcall.test.Echo/")
    action: allow
    egress:
      mode: intercept
"#;

#[test]
fn grpc_calls_of_every_kind_are_judged_by_their_method() {
    let mut world = World::new();
    world.install("outcall-grpc");
    let ran = Outcall::new(&world, GRPC).run(&["outcall-grpc", "https://grpc.test"]);
    let expected = [
        "Unary: hello",
        "Unary: 2000000 bytes",
        // Our 403 is a status as gRPC has them, with the rule in its words and in the metadata.
        "Secret: PermissionDenied \"Blocked by outcall: no-secret\" no-secret",
        // Statuses alone, without a message before them, from the service and from the server.
        "Refuse: NotFound \"there is none\" -",
        "Missing: Unimplemented \"no such method\" -",
        // The client's own deadline.
        "Hang: Cancelled \"Timeout expired\" -",
        "Count: one of 0",
        "Count: one of 1",
        "Count: one of 2",
        "Count: over",
        // A status in the trailers, after a message.
        "Count:  0",
        "Count: DataLoss \"nothing to say\" -",
        "Count: over",
        "Gather: a b c",
        "Talk: you said first",
        "Talk: you said second",
        "Talk: you said third",
        "Talk: over true",
    ];
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran}");
    let calls = ["Unary", "Unary", "Refuse", "Missing", "Hang", "Count", "Count", "Gather", "Talk"];
    let mut arrived = world.arrived();
    assert_eq!(arrived.remove(0), "tls grpc.test", "one connection carries all");
    // When the server notices that a call was given up is its own affair.
    let (given_up, arrived): (Vec<&str>, Vec<&str>) = arrived
        .iter()
        .map(|line| line.trim_start_matches("POST /outcall.test.Echo/").trim_start_matches("bytes "))
        .map(|line| line.trim_end_matches(" grpc.test"))
        .partition(|line| *line == "given up");
    assert_eq!((given_up.len(), arrived.as_slice()), (1, &calls[..]), "{ran}");
    ran.check_one_refusal("https", "no-secret", "blocked_by_rule");
}

const CHAT: &str = r#"
version: "1"
rules:
  - id: no-secret
    condition: http.path.startsWith("/secret")
    action: block
  - id: talk
    condition: http.host == "modern.test" && http.method in ["GET", "CONNECT"]
    action: allow
    egress:
      mode: intercept
"#;

/// What came of a chat: both sides spoke, and the one that may not be is refused before the server hears of it.
#[track_caller]
fn check_chat(world: &mut World, ran: &Ran, method: &str) {
    let expected = ["welcome", "you said one", "you said two", "closed", "refused 403"];
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran}");
    // Some clients name the port, and what they say is passed on.
    let arrived = world.arrived().into_iter().map(|line| line.replace("test:443", "test"));
    let arrived: Vec<String> = arrived.filter(|line| !line.starts_with("tls ")).collect();
    let opened = format!("{method} /chat modern.test");
    assert_eq!(arrived, [opened.as_str(), "bytes one", "bytes two", "bytes bye"], "{ran}");
    ran.check_one_refusal("https", "no-secret", "blocked_by_rule");
}

#[test]
fn web_sockets_of_python_pass_over_http_1() {
    let mut world = World::new();
    let python = clients().join("python/bin/python");
    let program = "import asyncio, websockets
async def chat():
    async with websockets.connect('wss://modern.test/chat') as socket:
        print(await socket.recv())
        for said in ('one', 'two'):
            await socket.send(said)
            print(await socket.recv())
        await socket.send('bye')
        await socket.wait_closed()
        print('closed')
    try:
        await websockets.connect('wss://modern.test/secret/chat')
    except websockets.exceptions.InvalidStatus as error:
        print('refused', error.response.status_code)
asyncio.run(asyncio.wait_for(chat(), 30))";
    let ran = Outcall::new(&world, CHAT).run(&[python.to_str().unwrap(), "-I", "-c", program]);
    check_chat(&mut world, &ran, "GET");
}

fn node(world: &World, program: &str) -> Ran {
    let node_path = clients().join("node_modules");
    Outcall::new(world, CHAT).env("NODE_PATH", node_path.to_str().unwrap()).run(&["node", "-e", program])
}

#[test]
fn web_sockets_of_node_pass_over_http_1() {
    let mut world = World::new();
    let program = "const WebSocket = require('ws');
const socket = new WebSocket('wss://modern.test/chat');
const say = ['one', 'two', 'bye'];
socket.on('message', data => { console.log(data.toString()); socket.send(say.shift()); });
socket.on('close', () => {
  console.log('closed');
  new WebSocket('wss://modern.test/secret/chat').on('error', () => {})
    .on('unexpected-response', (_, answer) => { console.log('refused', answer.statusCode); process.exit(); });
});";
    let ran = node(&world, program);
    check_chat(&mut world, &ran, "GET");
}

#[test]
fn web_sockets_of_node_pass_over_http_2() {
    let mut world = World::new();
    // Frames by hand (RFC 6455, section 5.2): a client's are masked, and all are short here.
    let program = "const session = require('http2').connect('https://modern.test');
const open = path => session.request({ ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' }, { endStream: false });
const frame = (kind, text) => { const mask = Buffer.from([1, 2, 3, 4]); const data = Buffer.from(text).map((byte, at) => byte ^ mask[at % 4]);
  return Buffer.concat([Buffer.from([0x80 | kind, 0x80 | data.length]), mask, data]); };
session.on('remoteSettings', settings => {
  if (!settings.enableConnectProtocol || session.begun) return;
  session.begun = true;
  const socket = open('/chat');
  const say = ['one', 'two', 'bye'];
  let pending = Buffer.alloc(0);
  socket.on('data', data => {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 2 && pending.length >= 2 + pending[1]) {
      const [kind, text] = [pending[0] & 15, pending.subarray(2, 2 + pending[1]).toString()];
      pending = pending.subarray(2 + pending[1]);
      if (kind === 8) { socket.end(frame(8, '')); continue; }
      console.log(text);
      socket.write(frame(1, say.shift()));
    }
  });
  socket.on('end', () => {
    console.log('closed');
    const refused = open('/secret/chat');
    refused.on('response', head => { console.log('refused', head[':status']); process.exit(); });
  });
});";
    let ran = node(&world, program);
    check_chat(&mut world, &ran, "CONNECT");
}

#[test]
fn a_web_socket_over_http_2_is_offered_only_where_the_server_takes_one() {
    // The shared front speaks HTTP/1.1 alone, so its clients do as well.
    let world = World::new();
    let rules = CHAT.replace("modern.test", "allowed.test");
    let ran = Outcall::new(&world, &rules).sh("curl --http2 -sS -w '%{http_version}\\n' https://allowed.test/");
    assert!(ran.stdout.ends_with("1.1\n"), "{ran}");
}

#[test]
fn events_come_one_by_one() {
    let python = clients().join("python/bin/python");
    for (option, protocol) in [("True", "HTTP/2"), ("False", "HTTP/1.1")] {
        let mut world = World::new();
        // The server holds each event back until the client has asked for it, having seen the one before.
        let program = format!(
            "import httpx
client = httpx.Client(http2={option}, timeout=15)
with client.stream('GET', 'https://modern.test/events/gate/4') as answer:
    print(answer.http_version, answer.headers['content-type'])
    for line in answer.iter_lines():
        if line.startswith('data: '):
            print(line)
            client.get('https://modern.test/next/gate').raise_for_status()
print(client.get('https://modern.test/secret/events/gate/4').status_code)"
        );
        let ran = Outcall::new(&world, CHAT).run(&[python.to_str().unwrap(), "-I", "-c", &program]);
        let first = format!("{protocol} text/event-stream");
        let expected = [first.as_str(), "data: event 0", "data: event 1", "data: event 2", "data: event 3", "403"];
        assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), expected, "{ran}");
        assert_eq!(world.arrived().iter().filter(|line| line.starts_with("GET /next/")).count(), 4);
    }
}
