//! The DNS filter over real sockets: a policy compiled from rules, an upstream on loopback that writes down what reaches
//! it, and clients that speak the protocol themselves.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use domain::base::iana::{ExtendedErrorCode, Rcode, Rtype};
use domain::base::{Message, MessageBuilder, Name, ParsedName};
use domain::rdata::AllRecordData;
use outcall_runtime::audit::Audit;
use outcall_runtime::dial::Dialer;
use outcall_runtime::dns::{Clock, Filter, OnAnswer, ResolveError, Resolver, Told};
use outcall_runtime::identity::OneAgent;
use outcall_runtime::snapshot::{Policy, in_force};
use outcall_schema::reason::Reason;

use crate::common::{Asked, Upstream, Zone, message, snapshot};

const RULES: &str = r#"
version: "1"
rules:
  - id: no-evil
    condition: dns.query == "evil.example"
    action: block
    priority: 1
  - id: names
    condition: dns.query in ["a.example", "alias.example", "mixed.example", "loop.example", "gone.example", "big.example", "h.example"] || hostMatches(dns.query, "*.wild.example")
    action: allow
  - id: web
    condition: http.host == "web.example"
    action: allow
  - id: inside
    condition: dns.query == "inside.example"
    action: allow
    egress:
      allow_private_ips: true
  - id: text
    condition: dns.query == "t.example" && dns.record_type in ["TXT", "MX", "ANY"]
    action: allow
  - id: only-ci
    condition: dns.query == "ci.example" && agent.name == "ci"
    action: allow
  - id: only-else
    condition: dns.query == "else.example" && agent.name == "else"
    action: allow
"#;

/// A filter with its upstream.
struct World {
    upstreams: Vec<Upstream>,
    udp: SocketAddr,
    tcp: SocketAddr,
    policy: Policy,
    resolver: Resolver,
    audit: Audit,
    log: tempfile::NamedTempFile,
    seconds: Arc<AtomicU64>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl World {
    fn honest(zone: Zone) -> World {
        World::new(vec![Upstream::honest(zone)], None)
    }

    fn behaving(behaviour: impl Fn(&Asked, &Zone) -> Vec<Vec<u8>> + Send + Sync + 'static) -> World {
        World::new(vec![Upstream::start(zone(), Box::new(behaviour))], None)
    }

    fn new(upstreams: Vec<Upstream>, hook: Option<Arc<dyn OnAnswer>>) -> World {
        let seconds = Arc::new(AtomicU64::new(0));
        let (start, passed) = (Instant::now(), Arc::clone(&seconds));
        let clock = Clock::reading(move || start + Duration::from_secs(passed.load(Ordering::SeqCst)));
        let addresses = upstreams.iter().map(|upstream| upstream.address).collect();
        let resolver = Resolver::with_clock(addresses, Dialer::new(), clock);
        let policy = in_force(snapshot(RULES));
        let log = tempfile::NamedTempFile::new().unwrap();
        let audit = Audit::to_path(log.path()).unwrap();
        let (udp, tcp) = (0..64)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .unwrap();
        let addresses = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
        let identity = Arc::new(OneAgent::named("ci"));
        let mut filter = Filter::new(Arc::clone(&policy), identity, audit.clone(), resolver.clone());
        if let Some(hook) = hook {
            filter = filter.on_answer(hook);
        }
        let (stop, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    ended = filter.serve(vec![udp], vec![tcp]) => ended.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        World { upstreams, udp: addresses.0, tcp: addresses.1, policy, resolver, audit, log, seconds, _stop: stop }
    }

    /// The reply over UDP to a question with EDNS.
    #[track_caller]
    fn ask(&self, name: &str, rtype: Rtype) -> Reply {
        self.exchange(&query(name, rtype, Some(1232), &[]))
    }

    #[track_caller]
    fn exchange(&self, query: &[u8]) -> Reply {
        let socket = self.client();
        socket.send(query).unwrap();
        receive(&socket)
    }

    fn client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.udp).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket
    }

    /// What reached the upstreams.
    fn asked(&self) -> Vec<String> {
        self.upstreams.iter().flat_map(Upstream::questions).collect()
    }

    /// Rule, reason, name and type of each refusal so far.
    fn refusals(&self) -> Vec<String> {
        self.audit.flush().unwrap();
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        text.lines()
            .map(|line| {
                let record: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(record["decision"], "block");
                assert_eq!((record["layer"].as_str(), record["agent"].as_str()), (Some("dns"), Some("ci")));
                assert_eq!(record["policy"], self.policy.load().digest());
                let word = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
                format!(
                    "{} {} {} {}",
                    word(&record["rule"]),
                    word(&record["reason"]),
                    word(&record["request"]["dns"]["query"]),
                    word(&record["request"]["dns"]["record_type"]),
                )
            })
            .collect()
    }

    fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// A reply taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reply {
    rcode: String,
    truncated: bool,
    /// `owner ttl type data`, names without the last dot.
    answer: Vec<String>,
    authority: Vec<String>,
    additional: u16,
    /// The text of an Extended DNS Error with the code for `Filtered`.
    filtered: Option<String>,
    has_edns: bool,
    question: String,
}

fn read(bytes: &[u8]) -> Reply {
    let message = Message::from_octets(bytes).unwrap();
    assert!(message.header().qr() && message.header().ra() && !message.header().aa() && !message.header().ad());
    let show = |section: domain::base::message::RecordSection<'_, &[u8]>| -> Vec<String> {
        section
            .map(|record| {
                let record = record.unwrap();
                let ttl = record.ttl().as_secs();
                let record = record.to_any_record::<AllRecordData<_, ParsedName<_>>>().unwrap();
                format!("{} {ttl} {} {}", record.owner(), record.rtype(), record.data()).trim_end().to_owned()
            })
            .collect()
    };
    let opt = message.opt();
    let error = opt.as_ref().and_then(|opt| opt.opt().extended_error());
    Reply {
        rcode: message.header().rcode().to_string(),
        truncated: message.header().tc(),
        answer: show(message.answer().unwrap()),
        authority: show(message.authority().unwrap()),
        additional: message.header_counts().arcount() - u16::from(opt.is_some()),
        filtered: error.map(|error| {
            assert_eq!(error.code(), ExtendedErrorCode::FILTERED);
            String::from_utf8(error.text_slice().unwrap().to_vec()).unwrap()
        }),
        has_edns: opt.is_some(),
        question: message.sole_question().map(|question| question.qname().to_string()).unwrap_or_default(),
    }
}

#[track_caller]
fn receive(socket: &UdpSocket) -> Reply {
    let mut buffer = [0; 65_535];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..2], [0x12, 0x34]);
    read(&buffer[..length])
}

/// A query with id 0x1234; with EDNS when there is a size, and then with these options.
fn query(name: &str, rtype: Rtype, edns: Option<u16>, options: &[(u16, &[u8])]) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.header_mut().set_id(0x1234);
    builder.header_mut().set_rd(true);
    builder.push((name.parse::<Name<Vec<u8>>>().unwrap(), rtype)).unwrap();
    let mut builder = builder.additional();
    if let Some(size) = edns {
        builder
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                for (code, data) in options {
                    let length = u16::try_from(data.len()).unwrap();
                    opt.push_raw_option((*code).into(), length, |target| {
                        target.extend_from_slice(data);
                        Ok(())
                    })?;
                }
                Ok(())
            })
            .unwrap();
    }
    builder.finish()
}

fn zone() -> Zone {
    Zone::default()
        .address("a.example", 300, "93.184.216.34")
        .address("a.example", 300, "2606:2800:220:1::34")
        .address("web.example", 300, "93.184.216.35")
        .address("one.wild.example", 300, "93.184.216.36")
        .alias("alias.example", 60, "target.elsewhere.example")
        .address("target.elsewhere.example", 300, "93.184.216.37")
        .alias("loop.example", 60, "loop.example")
        .address("evil.example", 300, "93.184.216.66")
        .address("ci.example", 300, "93.184.216.38")
        .address("else.example", 300, "93.184.216.39")
        .raw("t.example", 300, Rtype::TXT, b"\x05hello")
        .raw("t.example", 300, Rtype::MX, b"\x00\x0a\x02mx\x07example\x00")
}

const REFUSAL_SOA: &str = " 60 SOA outcall.invalid. nobody.invalid. 1 3600 600 86400 60";

#[test]
fn a_name_that_is_not_allowed_is_nxdomain_and_never_leaves() {
    let world = World::honest(zone());
    for (name, rule, reason) in [
        ("evil.example", "no-evil", "blocked_by_rule"),
        ("unknown.example", "default", "no_rule_allows"),
        ("wild.example", "default", "no_rule_allows"),
        ("two.one.wild.example", "default", "no_rule_allows"),
        ("a.example.evil.example", "default", "no_rule_allows"),
        ("else.example", "default", "no_rule_allows"),
    ] {
        let reply = world.ask(name, Rtype::A);
        assert_eq!((reply.rcode.as_str(), reply.filtered.as_deref()), ("NXDOMAIN", Some(rule)), "{name}");
        assert_eq!((reply.answer, reply.authority), (vec![], vec![REFUSAL_SOA.to_owned()]), "{name}");
        assert_eq!(world.refusals().last().unwrap(), &format!("{rule} {reason} {name} A"));
        let resolved = block_on(world.resolver.resolve(&world.policy.load(), "ci", name));
        assert!(matches!(resolved, Err(ResolveError::Refused { .. })), "{name}: {resolved:?}");
    }
    let plain = world.exchange(&query("evil.example", Rtype::AAAA, None, &[]));
    assert_eq!((plain.rcode.as_str(), plain.has_edns), ("NXDOMAIN", false));
    assert_eq!(world.refusals().len(), 7);
    assert_eq!(world.asked(), Vec::<String>::new());
}

#[test]
fn an_allowed_name_resolves_and_the_upstream_learns_the_name_and_no_more() {
    let world = World::honest(zone());
    let options: &[(u16, &[u8])] = &[(8, &[0, 1, 24, 0, 198, 51, 100]), (10, &[1; 8]), (3, &[]), (65_001, b"leak")];
    let reply = world.exchange(&query("A.eXample", Rtype::A, Some(4096), options));
    assert_eq!(reply.answer, ["A.eXample 300 A 93.184.216.34"]);
    assert_eq!((reply.rcode.as_str(), reply.filtered, reply.additional), ("NOERROR", None, 0));
    assert_eq!(reply.question, "A.eXample");
    assert_eq!(world.ask("web.example", Rtype::A).answer, ["web.example 300 A 93.184.216.35"]);
    assert_eq!(world.ask("one.wild.example", Rtype::A).answer, ["one.wild.example 300 A 93.184.216.36"]);
    assert_eq!(world.ask("ci.example", Rtype::A).answer, ["ci.example 300 A 93.184.216.38"]);
    let log = world.upstreams[0].log();
    assert_eq!(world.asked(), ["a.example 1", "ci.example 1", "one.wild.example 1", "web.example 1"]);
    assert!(log.iter().all(|asked| asked.has_edns && asked.option_bytes == 0 && !asked.tcp));
    // Neither the agent's id nor one port or id twice: four of each being distinct by chance is certain enough.
    assert!(log.iter().any(|asked| asked.id != 0x1234));
    let distinct = |values: Vec<u16>| values.iter().collect::<std::collections::HashSet<_>>().len();
    assert!(distinct(log.iter().map(|asked| asked.id).collect()) > 1);
    assert!(distinct(log.iter().map(|asked| asked.port).collect()) > 1);
    assert_eq!(world.refusals(), Vec::<String>::new());
}

#[test]
fn a_name_without_a_canonical_form_is_refused_and_never_leaves() {
    let world = World::honest(zone());
    for (name, rcode) in [
        ("a\\.b.example", "NXDOMAIN"),
        ("a\\000.example", "NXDOMAIN"),
        ("a\\032b.example", "NXDOMAIN"),
        ("a%2eexample", "NXDOMAIN"),
        ("127.0.0.1", "NXDOMAIN"),
        ("0x7f000001", "NXDOMAIN"),
        ("2130706433", "NXDOMAIN"),
        ("xn--a.example", "NXDOMAIN"),
        (".", "REFUSED"),
    ] {
        let reply = world.ask(name, Rtype::A);
        assert_eq!((reply.rcode.as_str(), reply.filtered.as_deref()), (rcode, Some("default")), "{name}");
    }
    assert_eq!(world.refusals(), ["default ambiguous_request - A"; 9]);
    assert_eq!(world.asked(), Vec::<String>::new());
}

#[test]
fn names_that_no_rule_writes_out_are_refused_once_the_budget_is_spent() {
    let mut zone = zone();
    for number in 0..601 {
        zone = zone.address(&format!("n{number}.wild.example"), 5, "93.184.216.36");
    }
    let world = World::honest(zone);
    (0..600).for_each(|number| assert_eq!(world.ask(&format!("n{number}.wild.example"), Rtype::A).rcode, "NOERROR"));
    let reply = world.ask("n600.wild.example", Rtype::A);
    assert_eq!((reply.rcode.as_str(), reply.filtered.as_deref()), ("REFUSED", Some("names")));
    assert_eq!((reply.answer, reply.authority), (vec![], vec![]));
    assert_eq!(world.refusals(), ["names dns_budget_spent n600.wild.example A"]);
    for (name, rcode) in [("n7.wild.example", "NOERROR"), ("a.example", "NOERROR"), ("n600.wild.example", "REFUSED")] {
        assert_eq!(world.ask(name, Rtype::A).rcode, rcode, "{name}");
    }
    world.pass(60);
    assert_eq!(world.ask("n600.wild.example", Rtype::A).rcode, "NOERROR");
    assert_eq!(world.refusals().len(), 2);
    assert_eq!(world.asked().len(), 602);
}

#[test]
fn answers_are_kept_as_long_as_they_say_and_age() {
    let world =
        World::honest(zone().address("mixed.example", 30, "93.184.216.1").address("mixed.example", 90, "93.184.216.2"));
    assert_eq!(world.ask("mixed.example", Rtype::A).answer.len(), 2);
    world.pass(29);
    let aged = world.ask("mixed.example", Rtype::A).answer;
    assert_eq!(aged, ["mixed.example 1 A 93.184.216.1", "mixed.example 61 A 93.184.216.2"]);
    assert_eq!(world.asked().len(), 1);
    world.pass(1);
    world.ask("mixed.example", Rtype::A);
    assert_eq!(world.asked().len(), 2);
    // Another type is another question.
    world.ask("mixed.example", Rtype::AAAA);
    assert_eq!(world.asked().len(), 3);
}

#[test]
fn negative_answers_are_kept_as_the_soa_says() {
    let world = World::honest(zone());
    let soa = |ttl: u32| vec![format!("example {ttl} SOA ns.example. h.example. 1 3600 3600 86400 30")];
    let reply = world.ask("gone.example", Rtype::A);
    assert_eq!((reply.rcode.as_str(), reply.filtered), ("NXDOMAIN", None));
    assert_eq!(reply.authority, soa(30));
    world.pass(10);
    assert_eq!(world.ask("gone.example", Rtype::A).authority, soa(20));
    // There, but without that record.
    let reply = world.ask("web.example", Rtype::AAAA);
    assert_eq!((reply.rcode.as_str(), reply.answer.len(), reply.authority), ("NOERROR", 0, soa(30)));
    assert_eq!(world.asked().len(), 2);
    world.pass(20);
    world.ask("gone.example", Rtype::A);
    assert_eq!(world.asked().len(), 3);
    assert_eq!(world.refusals(), Vec::<String>::new());
}

#[test]
fn an_answer_with_a_ttl_of_zero_or_over_the_top_is_used_once() {
    for ttl in [0, 1 << 31, u32::MAX] {
        let world = World::honest(Zone::default().address("a.example", ttl, "93.184.216.34"));
        for _ in 0..2 {
            assert_eq!(world.ask("a.example", Rtype::A).answer, ["a.example 0 A 93.184.216.34"]);
        }
        assert_eq!(world.asked().len(), 2);
    }
    let world = World::honest(Zone::default().address("a.example", 1 << 30, "93.184.216.34"));
    assert_eq!(world.ask("a.example", Rtype::A).answer, ["a.example 86400 A 93.184.216.34"]);
}

/// Holds replies back until it is opened.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        let (open, waited) = self.changed.wait_timeout_while(open, Duration::from_secs(10), |open| !*open).unwrap();
        assert!(*open && !waited.timed_out());
    }
}

#[test]
fn one_question_is_asked_once_however_many_wait_for_it() {
    let gate = Arc::new(Gate::default());
    let passing = Arc::clone(&gate);
    let world = World::behaving(move |asked, zone| {
        passing.pass();
        vec![zone.reply(asked)]
    });
    let clients: Vec<UdpSocket> = (0..20).map(|_| world.client()).collect();
    for client in &clients {
        client.send(&query("a.example", Rtype::A, None, &[])).unwrap();
    }
    // The filter reads in order: once this refusal is back, all twenty have been taken in.
    world.ask("evil.example", Rtype::A);
    gate.open();
    for client in &clients {
        assert_eq!(receive(client).answer, ["a.example 300 A 93.184.216.34"]);
    }
    assert_eq!(world.asked(), ["a.example 1"]);
}

#[test]
fn a_reply_from_somewhere_else_is_not_heard() {
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let world = World::behaving(move |asked, zone| {
        let to = SocketAddr::from(([127, 0, 0, 1], asked.port));
        let forged = message(asked, Rcode::NOERROR, &[(asked.name.clone(), 300, Rtype::A, vec![6; 4])], false, |_| {});
        let _ = stranger.send_to(&forged, to);
        vec![zone.reply(asked)]
    });
    assert_eq!(world.ask("a.example", Rtype::A).answer, ["a.example 300 A 93.184.216.34"]);
}

#[test]
fn an_upstream_that_is_gone_costs_its_time_once() {
    let silent = Upstream::start(zone(), Box::new(|_, _| Vec::new()));
    let world = World::new(vec![silent, Upstream::honest(zone())], None);
    for name in ["a.example", "web.example", "ci.example"] {
        assert_eq!(world.ask(name, Rtype::A).answer.len(), 1);
    }
    assert_eq!(world.upstreams[0].questions(), ["a.example 1"]);
    assert_eq!(world.upstreams[1].log().len(), 3);
}

#[test]
fn when_no_upstream_answers_the_agent_gets_servfail_and_the_log_says_why() {
    let refused = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (behaviour, reason) in [
        (None, "upstream_unreachable"),
        (Some(Rcode::SERVFAIL), "upstream_unreachable"),
        (Some(Rcode::YXDOMAIN), "upstream_unreachable"),
    ] {
        let mut upstream = Upstream::start(
            zone(),
            Box::new(move |asked, zone| {
                vec![zone.reply_with(asked, |header| header.set_rcode(behaviour.unwrap_or(Rcode::NOERROR)))]
            }),
        );
        if behaviour.is_none() {
            upstream.address = refused;
        }
        let world = World::new(vec![upstream], None);
        let reply = world.ask("a.example", Rtype::A);
        assert_eq!((reply.rcode.as_str(), reply.filtered, reply.answer.len()), ("SERVFAIL", None, 0));
        assert_eq!(world.refusals(), [format!("names {reason} a.example A")]);
    }
    let world = World::behaving(|_, _| Vec::new());
    assert_eq!(world.ask("a.example", Rtype::A).rcode, "SERVFAIL");
    assert_eq!(world.refusals(), ["names upstream_timeout a.example A"]);
}

#[test]
fn private_addresses_are_taken_out_in_every_disguise() {
    for (rtype, address) in [
        (Rtype::A, "10.0.0.1"),
        (Rtype::A, "127.0.0.1"),
        (Rtype::A, "0.0.0.0"),
        (Rtype::A, "169.254.169.254"),
        (Rtype::A, "100.64.0.1"),
        (Rtype::A, "224.0.0.1"),
        (Rtype::A, "255.255.255.255"),
        (Rtype::AAAA, "::"),
        (Rtype::AAAA, "::1"),
        (Rtype::AAAA, "fe80::1"),
        (Rtype::AAAA, "fd00:ec2::254"),
        (Rtype::AAAA, "ff02::1"),
        (Rtype::AAAA, "::ffff:10.0.0.1"),
        (Rtype::AAAA, "::ffff:93.184.216.34"),
        (Rtype::AAAA, "::127.0.0.1"),
        (Rtype::AAAA, "64:ff9b::10.0.0.1"),
        (Rtype::AAAA, "64:ff9b:1::10.0.0.1"),
        (Rtype::AAAA, "2002:a00:1::1"),
        (Rtype::AAAA, "2001:0:808:808:0:0:f5ff:fffe"),
        (Rtype::AAAA, "2001:0:a00:1:0:0:f7f7:f7f7"),
        (Rtype::AAAA, "2a00::200:5efe:169.254.169.254"),
    ] {
        let public = if rtype == Rtype::A { "93.184.216.34" } else { "2606:2800:220:1::34" };
        let zone = Zone::default()
            .address("a.example", 300, address)
            .address("mixed.example", 300, address)
            .address("mixed.example", 300, public)
            .address("inside.example", 300, address)
            .alias("alias.example", 300, "a.example")
            .address("web.example", 300, address);
        let world = World::honest(zone);
        for (name, rule) in [("a.example", "names"), ("alias.example", "names"), ("web.example", "web")] {
            let reply = world.ask(name, rtype);
            assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 0), "{address}");
            assert_eq!((reply.filtered.as_deref(), reply.authority.len()), (Some(rule), 1), "{address}");
            assert_eq!(world.refusals().last().unwrap(), &format!("{rule} private_address {name} {rtype}"));
        }
        assert_eq!(world.ask("mixed.example", rtype).answer, [format!("mixed.example 300 {rtype} {public}")]);
        assert_eq!(world.refusals().len(), 3);
        let inside = world.ask("inside.example", rtype).answer;
        let mapped = address.starts_with("::ffff:");
        assert_eq!(inside.len(), usize::from(!mapped), "{address}");
        let resolve = |name| block_on(world.resolver.resolve(&world.policy.load(), "ci", name));
        assert_eq!(resolve("a.example").unwrap_err().reason(), Reason::PrivateAddress);
        assert_eq!(resolve("mixed.example"), Ok(vec![public.parse::<IpAddr>().unwrap()]));
        if !mapped {
            assert_eq!(resolve("inside.example"), Ok(vec![address.parse::<IpAddr>().unwrap()]));
        }
    }
}

#[test]
fn https_records_lose_what_leads_around_the_proxy() {
    let mut data = b"\x00\x01\x00".to_vec();
    for (key, value) in
        [(1_u16, &b"\x02h3\x02h2\x05h3-29"[..]), (4, &[1, 2, 3, 4]), (5, b"\x00\x04echo"), (6, &[0x20; 16])]
    {
        data.extend_from_slice(&key.to_be_bytes());
        data.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        data.extend_from_slice(value);
    }
    let only_h3 = b"\x00\x01\x00\x00\x01\x00\x03\x02h3\x00\x02\x00\x00";
    let world =
        World::honest(
            Zone::default()
                .raw("h.example", 300, Rtype::HTTPS, &data)
                .raw("h.example", 300, Rtype::HTTPS, only_h3)
                .raw("h.example", 300, Rtype::HTTPS, b"\x00\x00\x05other\x07example\x00"),
        );
    let answer = world.ask("h.example", Rtype::HTTPS).answer;
    assert_eq!(answer, ["h.example 300 HTTPS 1 . alpn=h2", "h.example 300 HTTPS 0 other.example."]);
}

#[test]
fn only_what_answers_the_question_is_passed_on() {
    let world = World::behaving(|asked, _| {
        let record = |owner: &str, rtype: Rtype, data: &[u8]| (owner.to_owned(), 300, rtype, data.to_vec());
        let records = [
            record("evil.example", Rtype::A, &[6, 6, 6, 6]),
            record(&asked.name, Rtype::TXT, b"\x01x"),
            record(&asked.name, Rtype::A, &[93, 184, 216, 34]),
            record("xa.example", Rtype::CNAME, b"\x04evil\x07example\x00"),
            record(&asked.name, Rtype::AAAA, &[0x20; 16]),
        ];
        vec![message(asked, Rcode::NOERROR, &records, false, |_| {})]
    });
    let reply = world.ask("a.example", Rtype::A);
    assert_eq!(reply.answer, ["a.example 300 A 93.184.216.34"]);
    assert_eq!((reply.authority.len(), reply.additional), (0, 0));
}

#[test]
fn aliases_are_followed_to_the_end_and_never_in_a_circle() {
    let world = World::honest(zone());
    let chain = ["alias.example 60 CNAME target.elsewhere.example.", "target.elsewhere.example 300 A 93.184.216.37"];
    assert_eq!(world.ask("alias.example", Rtype::A).answer, chain);
    assert_eq!(world.ask("alias.example", Rtype::CNAME).answer, chain[..1]);
    assert_eq!(world.asked(), ["alias.example 1", "alias.example 5"]);
    let circle = World::behaving(|asked, _| {
        let record = |owner: &str, target: &[u8]| (owner.to_owned(), 300, Rtype::CNAME, target.to_vec());
        let records =
            [record("loop.example", b"\x01b\x07example\x00"), record("b.example", b"\x04loop\x07example\x00")];
        vec![message(asked, Rcode::NOERROR, &records, false, |_| {})]
    });
    assert_eq!(circle.ask("loop.example", Rtype::A).rcode, "SERVFAIL");
    assert_eq!(circle.refusals(), ["names upstream_malformed loop.example A"]);
    let strange = World::behaving(|asked, _| {
        let records = [(asked.name.clone(), 300, Rtype::CNAME, b"\x03a.b\x07example\x00".to_vec())];
        vec![message(asked, Rcode::NOERROR, &records, false, |_| {})]
    });
    assert_eq!(strange.ask("a.example", Rtype::A).rcode, "SERVFAIL");
}

#[test]
fn only_the_record_types_that_a_rule_names_are_asked() {
    let world = World::honest(zone());
    for rtype in [Rtype::TXT, Rtype::MX, Rtype::NS, Rtype::SRV, Rtype::PTR] {
        let reply = world.ask("a.example", rtype);
        assert_eq!((reply.rcode.as_str(), reply.answer.len()), ("NOERROR", 0), "{rtype}");
        assert_eq!((reply.filtered.as_deref(), reply.authority), (Some("default"), vec![REFUSAL_SOA.to_owned()]));
        assert_eq!(world.refusals().last().unwrap(), &format!("default record_type_not_allowed a.example {rtype}"));
    }
    assert_eq!(world.ask("t.example", Rtype::A).rcode, "NXDOMAIN");
    for (name, rtype) in
        [("t.example", Rtype::ANY), ("a.example", Rtype::AXFR), ("a.example", Rtype::IXFR), ("x.example", Rtype::ANY)]
    {
        assert_eq!(world.ask(name, rtype).rcode, "REFUSED", "{rtype}");
    }
    assert_eq!(world.asked(), Vec::<String>::new());
    assert_eq!(world.ask("t.example", Rtype::TXT).answer, ["t.example 300 TXT \"hello\""]);
    assert_eq!(world.ask("t.example", Rtype::MX).answer, ["t.example 300 MX 10 mx.example."]);
    assert_eq!(world.refusals().len(), 10);
}

#[test]
fn a_new_policy_judges_what_the_old_one_left_in_the_cache() {
    let world = World::honest(zone());
    assert_eq!(world.ask("a.example", Rtype::A).rcode, "NOERROR");
    world.policy.store(Arc::new(snapshot("version: \"1\"\nrules: []\n")));
    assert_eq!(world.ask("a.example", Rtype::A).rcode, "NXDOMAIN");
    world.policy.store(Arc::new(snapshot(RULES)));
    assert_eq!(world.ask("a.example", Rtype::A).rcode, "NOERROR");
    assert_eq!(world.asked().len(), 1);
}

/// Writes down what it is told, and lets the answer go when the gate opens.
struct Hook {
    told: Mutex<Vec<String>>,
    gate: tokio::sync::Semaphore,
}

impl OnAnswer for Hook {
    fn on_answer<'a>(
        &'a self,
        answer: Told<'a>,
    ) -> std::pin::Pin<Box<dyn std::future::Future<Output = ()> + Send + 'a>> {
        Box::pin(async move {
            self.told.lock().unwrap().push(format!(
                "{} {} {:?} {:?} {}",
                answer.agent,
                answer.name,
                answer.verdict,
                answer.addresses,
                answer.ttl.as_secs()
            ));
            self.gate.acquire().await.unwrap().forget();
        })
    }
}

#[test]
fn the_hook_hears_of_addresses_before_the_agent_does() {
    let hook = Arc::new(Hook { told: Mutex::default(), gate: tokio::sync::Semaphore::new(0) });
    let zone = zone().address("mixed.example", 300, "10.0.0.1").address("mixed.example", 120, "93.184.216.2");
    let world = World::new(vec![Upstream::honest(zone)], Some(Arc::clone(&hook) as Arc<dyn OnAnswer>));
    for round in 0..2 {
        let client = world.client();
        client.send(&query("mixed.example", Rtype::A, None, &[])).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        assert!(client.recv(&mut [0; 512]).is_err(), "no answer before the hook is done");
        hook.gate.add_permits(1);
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(receive(&client).answer.len(), 1);
        let expected = format!("ci mixed.example Allow(RuleIndex(1)) [93.184.216.2] {}", 120 - 20 * round);
        assert_eq!(hook.told.lock().unwrap().last(), Some(&expected));
        world.pass(20);
    }
    // Nothing to hear of: no address, or none that may be told.
    assert_eq!(world.ask("gone.example", Rtype::A).rcode, "NXDOMAIN");
    assert_eq!(world.ask("evil.example", Rtype::A).rcode, "NXDOMAIN");
    assert_eq!(hook.told.lock().unwrap().len(), 2);
}

#[test]
fn a_large_answer_is_cut_over_udp_and_whole_over_tcp() {
    let zone =
        (0..100_u8).fold(Zone::default(), |zone, at| zone.address("big.example", 300, &format!("93.184.1.{at}")));
    let world = World::behaving(move |asked, _| {
        if asked.tcp { vec![zone.reply(asked)] } else { vec![zone.reply_with(asked, |header| header.set_tc(true))] }
    });
    for edns in [None, Some(1232), Some(65_535)] {
        let reply = world.exchange(&query("big.example", Rtype::A, edns, &[]));
        assert_eq!((reply.truncated, reply.answer.len()), (true, 0), "{edns:?}");
    }
    let mut stream = TcpStream::connect(world.tcp).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let query = query("big.example", Rtype::A, None, &[]);
    let framed = [&u16::try_from(query.len()).unwrap().to_be_bytes(), query.as_slice()].concat();
    stream.write_all(&[framed.as_slice(), &framed].concat()).unwrap();
    for _ in 0..2 {
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut reply = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(read(&reply).answer.len(), 100);
    }
}

#[test]
fn malformed_messages_leave_one_record_each_and_change_nothing() {
    let world = World::honest(zone());
    let plain = query("a.example", Rtype::A, None, &[]);
    let change = |at: usize, to: u8| {
        let mut bytes = plain.clone();
        bytes[at] = to;
        bytes
    };
    let client = world.client();
    let mut sent = 0;
    for (bytes, rcode) in [
        (vec![], None),
        (vec![0; 11], None),
        (change(2, 0x81), None),
        (change(2, 0x29), Some("NOTIMP")),
        (change(5, 0), Some("FORMERR")),
        (change(5, 2), Some("FORMERR")),
        (change(7, 1), Some("FORMERR")),
        (change(12, 0xc0), Some("FORMERR")),
        (change(plain.len() - 1, 3), Some("REFUSED")),
        ([plain.as_slice(), &[0]].concat(), Some("FORMERR")),
        (plain[..plain.len() - 3].to_vec(), Some("FORMERR")),
        ([plain.as_slice(), &[0; 9_000]].concat(), Some("FORMERR")),
    ] {
        client.send(&bytes).unwrap();
        sent += 1;
        if let Some(rcode) = rcode {
            assert_eq!(receive(&client).rcode, rcode, "{bytes:?}");
        }
    }
    assert_eq!(world.ask("a.example", Rtype::A).answer.len(), 1);
    assert_eq!(world.refusals(), vec!["default malformed_query - -"; sent]);
    assert_eq!(world.asked(), ["a.example 1"]);
}

#[test]
fn the_proxy_resolves_behind_the_same_policy_and_cache() {
    let world = World::honest(zone());
    world.ask("a.example", Rtype::A);
    let resolve = |agent: &str, name: &str| block_on(world.resolver.resolve(&world.policy.load(), agent, name));
    let addresses: Vec<IpAddr> = vec!["93.184.216.34".parse().unwrap(), "2606:2800:220:1::34".parse().unwrap()];
    assert_eq!(resolve("ci", "a.example"), Ok(addresses));
    assert_eq!(world.asked(), ["a.example 1", "a.example 28"]);
    assert_eq!(resolve("ci", "gone.example"), Err(ResolveError::NotFound));
    assert!(matches!(resolve("", "ci.example"), Err(ResolveError::Refused { .. })));
    assert!(resolve("ci", "ci.example").is_ok());
    for odd in ["A.example", "a.example.", "10.0.0.1", "", "a b"] {
        let refused = Err(ResolveError::Refused { rule: None, reason: Reason::AmbiguousRequest });
        assert_eq!(resolve("ci", odd), refused, "{odd}");
    }
    assert_eq!(world.refusals(), Vec::<String>::new());
}

#[test]
fn dig_understands_all_of_it() {
    let world = World::honest(zone());
    let dig = |arguments: &[&str]| {
        let port = world.udp.port().to_string();
        let output = Command::new("dig")
            .env_clear()
            .args(["@127.0.0.1", "-p", &port, "+tries=1", "+time=10"])
            .args(arguments)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("Warning") && !text.contains("WARNING"), "{text}");
        text
    };
    for transport in ["+notcp", "+tcp"] {
        assert_eq!(dig(&[transport, "+short", "a.example", "AAAA"]), "2606:2800:220:1::34\n");
        let refused = dig(&[transport, "evil.example"]);
        for part in ["status: NXDOMAIN", "EDE: 17 (Filtered): (no-evil)", "outcall.invalid. nobody.invalid."] {
            assert!(refused.contains(part), "{part} is missing: {refused}");
        }
    }
    assert!(dig(&["+noedns", "t.example", "TXT"]).contains("\"hello\""));
    assert!(dig(&["+subnet=198.51.100.0/24", "+nsid", "+cookie", "a.example"]).contains("93.184.216.34"));
}

fn block_on<T>(future: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}
