//! Requests made of random bytes, for asking artifacts: every field known, pending or unknown, with values that policies
//! test for and values that nobody thought of.

use std::net::IpAddr;

use outcall_schema::facts::{Fact, Facts, Headers};

use super::mutate::Random;

const HOSTS: &[&str] = &[
    "api.example.com",
    "a.example.com",
    "b.example.com",
    "admin.example.com",
    "x.y.example.org",
    "git.example.com",
    "example.com",
    "wiki.corp.example",
    "shard-12.example.com",
    "ci.tenants.example.com",
    "github.com",
    "203.0.113.9",
    "a",
    "xn--bcher-kva.example",
];
const PATHS: &[&str] =
    &["/", "/v1/", "/v1/items", "/v1/users/a-b", "/v2/items?x=1", "/private/a", "/admin", "/debian/private/keys"];
const WORDS: &[&str] = &[
    "",
    "ci",
    "assistant-1",
    "GET",
    "POST",
    "HEAD",
    "DELETE",
    "CONNECT",
    "http",
    "https",
    "tcp",
    "udp",
    "icmp",
    "A",
    "AAAA",
    "TXT",
    "MX",
    "HTTPS",
    "git",
    "--force",
    "push",
    "h2",
    "http/1.1",
    "registry.example.com/x",
    "t-1",
    "application/json",
    "{\"dry_run\":true}",
    "\u{1F600}",
];
const ADDRESSES: &[&str] = &[
    "203.0.113.9",
    "192.0.2.129",
    "198.51.100.7",
    "169.254.169.254",
    "10.0.0.1",
    "2001:db8:bad::1",
    "fd00:ec2::254",
    "::1",
    "93.184.216.34",
];
const NUMBERS: &[i64] = &[0, 80, 443, 5432, 22, 27001, 65535, -1, 4096, i64::MAX, i64::MIN, 200, 404];

/// The values that [`Facts`] borrow.
#[derive(Debug, Default)]
pub struct Owned {
    hosts: [String; 4],
    path: String,
    words: [String; 12],
    headers: Headers,
    lists: [Vec<String>; 6],
    address: Option<IpAddr>,
    numbers: [i64; 3],
    context: serde_json::Map<String, serde_json::Value>,
    states: [u8; 28],
}

fn word(random: &mut Random, choices: &[&str]) -> String {
    let mut word = random.pick(choices).copied().unwrap_or_default().to_owned();
    if random.below(8) == 0 {
        word.push_str(random.pick(WORDS).copied().unwrap_or_default());
    }
    word
}

impl Owned {
    /// The values that a seed stands for.
    pub fn new(random: &mut Random) -> Owned {
        let mut owned = Owned { path: word(random, PATHS), ..Owned::default() };
        owned.hosts.iter_mut().for_each(|host| *host = word(random, HOSTS));
        // One name for one connection, most of the time.
        if random.below(4) > 0 {
            let [first, rest @ ..] = &mut owned.hosts;
            rest.iter_mut().for_each(|host| host.clone_from(first));
        }
        owned.words.iter_mut().for_each(|text| *text = word(random, WORDS));
        let names = ["x-token", "accept", "x-debug-a", "cookie"];
        let count = random.below(4);
        owned.headers = Headers::collect(
            (0..count).map(|_| (random.pick(&names).copied().unwrap_or("a"), word(random, WORDS))).collect::<Vec<_>>(),
        );
        for list in &mut owned.lists {
            *list = (0..random.below(4)).map(|_| word(random, WORDS)).collect();
        }
        owned.address = random.pick(ADDRESSES).and_then(|text| text.parse().ok());
        owned.numbers.iter_mut().for_each(|number| *number = random.pick(NUMBERS).copied().unwrap_or(0));
        if random.below(2) == 0 {
            owned.context.insert(word(random, WORDS), serde_json::json!([1, "a", null, {"b": 1.5}]));
        }
        owned.states.iter_mut().for_each(|state| *state = u8::try_from(random.below(8)).unwrap_or(0));
        owned
    }

    /// The request.
    pub fn facts(&self) -> Facts<'_> {
        let mut states = self.states.iter().copied();
        // Mostly known; sometimes not yet, sometimes never.
        let mut state = || states.next().unwrap_or(0);
        fn make<T>(state: u8, value: T) -> Fact<T> {
            match state {
                0 => Fact::Unknown,
                1 => Fact::Pending,
                _ => Fact::Known(value),
            }
        }
        let [host, sni, query, hostname] = &self.hosts;
        let [method, scheme, body, kind, agent, image, tool, cwd, protocol, ..] = &self.words;
        let [alpn, command, volumes, keys, capabilities, arguments] = &self.lists;
        let [port, size, status] = self.numbers;
        Facts {
            network_hostname: make(state(), hostname),
            network_ip: self.address.map_or(Fact::Unknown, |address| make(state(), address)),
            network_port: make(state(), port),
            network_protocol: make(state(), protocol),
            http_host: make(state(), host),
            http_method: make(state(), method),
            http_path: make(state(), &self.path),
            http_scheme: make(state(), scheme),
            http_headers: make(state(), &self.headers),
            http_body_size: make(state(), size),
            http_body: make(state(), (size != 0).then_some(body.as_str())),
            dns_query: make(state(), query),
            dns_record_type: make(state(), kind),
            tls_sni: make(state(), sni),
            tls_alpn: make(state(), alpn),
            agent_name: make(state(), agent),
            docker_image: make(state(), image),
            docker_command: make(state(), command),
            docker_volumes: make(state(), volumes),
            docker_env_keys: make(state(), keys),
            docker_capabilities: make(state(), capabilities),
            run_tool: make(state(), tool),
            run_args: make(state(), arguments),
            run_flags: make(state(), alpn),
            run_cwd: make(state(), cwd),
            run_context: make(state(), &self.context),
            response_status: make(state(), status),
            response_headers: make(state(), &self.headers),
        }
    }
}
