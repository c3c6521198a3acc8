//! What the integration tests share: policies from text, and an upstream DNS server that keeps a log.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Record, Ttl};
use domain::rdata::{A, Aaaa, Cname, Soa};
use outcall_compiler::Missing;
use outcall_runtime::snapshot::Snapshot;

/// Compiles rules and writes the artifacts to `directory`.
pub(crate) fn write_artifacts(rules: &str, directory: &Path) {
    let source = tempfile::tempdir().unwrap();
    let file = source.path().join("rules.yaml");
    std::fs::write(&file, rules).unwrap();
    let compilation = outcall_compiler::compile(&[file], Missing::Refused);
    let artifacts = compilation.artifacts.unwrap_or_else(|| panic!("{:?}", compilation.findings));
    for (name, bytes) in artifacts.files() {
        std::fs::write(directory.join(name), bytes).unwrap();
    }
}

/// The policy that these rules make.
pub(crate) fn snapshot(rules: &str) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    write_artifacts(rules, directory.path());
    use outcall_runtime::load::{Authority, Trust, from_dir};
    from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).unwrap()
}

/// A query as it arrived at the upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) rtype: Rtype,
    pub(crate) tcp: bool,
    pub(crate) id: u16,
    pub(crate) port: u16,
    pub(crate) has_edns: bool,
    /// How many bytes of EDNS options there were.
    pub(crate) option_bytes: usize,
}

/// What an upstream does with a query.
pub(crate) type Behaviour = dyn Fn(&Asked, &Zone) -> Vec<Vec<u8>> + Send + Sync;

/// The upstream's records by owner.
#[derive(Default, Clone)]
pub(crate) struct Zone {
    records: HashMap<String, Vec<(u32, Rtype, Vec<u8>)>>,
}

type WireName = Name<Vec<u8>>;

fn name(text: &str) -> WireName {
    text.parse().unwrap()
}

impl Zone {
    pub(crate) fn address(mut self, owner: &str, ttl: u32, address: &str) -> Zone {
        let (rtype, data) = match address.parse().unwrap() {
            IpAddr::V4(address) => (Rtype::A, address.octets().to_vec()),
            IpAddr::V6(address) => (Rtype::AAAA, address.octets().to_vec()),
        };
        self.records.entry(owner.into()).or_default().push((ttl, rtype, data));
        self
    }

    pub(crate) fn alias(mut self, owner: &str, ttl: u32, target: &str) -> Zone {
        self.records.entry(owner.into()).or_default().push((ttl, Rtype::CNAME, name(target).as_slice().to_vec()));
        self
    }

    pub(crate) fn raw(mut self, owner: &str, ttl: u32, rtype: Rtype, data: &[u8]) -> Zone {
        self.records.entry(owner.into()).or_default().push((ttl, rtype, data.to_vec()));
        self
    }

    /// An honest reply: the chain of aliases, the records, an SOA record where there are none.
    pub(crate) fn reply(&self, asked: &Asked) -> Vec<u8> {
        self.reply_with(asked, |_| {})
    }

    /// An honest reply with `extra` records of the caller's, and its header to be changed.
    pub(crate) fn reply_with(&self, asked: &Asked, change: impl FnOnce(&mut domain::base::Header)) -> Vec<u8> {
        let mut records = Vec::new();
        let mut at = asked.name.clone();
        let known = loop {
            let Some(here) = self.records.get(&at) else { break !records.is_empty() && self.records.contains_key(&at) };
            let alias = here.iter().find(|(_, rtype, _)| *rtype == Rtype::CNAME && asked.rtype != Rtype::CNAME);
            match alias {
                Some((ttl, rtype, data)) => {
                    records.push((at, *ttl, *rtype, data.clone()));
                    at = Name::from_octets(data.clone()).unwrap().to_string();
                }
                None => {
                    for (ttl, rtype, data) in here.iter().filter(|(_, rtype, _)| *rtype == asked.rtype) {
                        records.push((at.clone(), *ttl, *rtype, data.clone()));
                    }
                    break true;
                }
            }
        };
        let found = records.iter().any(|(_, _, rtype, _)| *rtype == asked.rtype);
        let rcode = if known { Rcode::NOERROR } else { Rcode::NXDOMAIN };
        message(asked, rcode, &records, !found, change)
    }
}

/// A reply of these records.
pub(crate) fn message(
    asked: &Asked,
    rcode: Rcode,
    records: &[(String, u32, Rtype, Vec<u8>)],
    negative: bool,
    change: impl FnOnce(&mut domain::base::Header),
) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec().question();
    builder.push((name(&asked.name), asked.rtype)).unwrap();
    let header = builder.header_mut();
    header.set_id(asked.id);
    header.set_qr(true);
    header.set_ra(true);
    header.set_rcode(rcode);
    change(header);
    let mut builder = builder.answer();
    for (owner, ttl, rtype, data) in records {
        let data = UnknownRecordData::from_octets(*rtype, data.as_slice()).unwrap();
        builder.push(Record::new(name(owner), Class::IN, Ttl::from_secs(*ttl), data)).unwrap();
    }
    let mut builder = builder.authority();
    if negative {
        let soa = Soa::new(
            name("ns.example"),
            name("h.example"),
            1.into(),
            Ttl::HOUR,
            Ttl::HOUR,
            Ttl::DAY,
            Ttl::from_secs(30),
        );
        builder.push((name("example"), Class::IN, Ttl::from_secs(60), soa)).unwrap();
    }
    let mut builder = builder.additional();
    // What nobody asked for, in the section that no reply of ours may have.
    builder.push((name("planted.example"), Class::IN, Ttl::HOUR, A::from_octets(9, 9, 9, 9))).unwrap();
    builder.push((name("planted.example"), Class::IN, Ttl::HOUR, Aaaa::new("2606::9".parse().unwrap()))).unwrap();
    builder.push((name("www.planted.example"), Class::IN, Ttl::HOUR, Cname::new(name("planted.example")))).unwrap();
    builder.finish()
}

/// An upstream resolver on loopback, over UDP and TCP, that writes down every query.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Upstream {
    /// Answers from its zone.
    pub(crate) fn honest(zone: Zone) -> Upstream {
        Upstream::start(zone, Box::new(|asked, zone| vec![zone.reply(asked)]))
    }

    /// Sends whatever `behaviour` says, one datagram or framed message each.
    pub(crate) fn start(zone: Zone, behaviour: Box<Behaviour>) -> Upstream {
        let (udp, tcp) = (0..64)
            .find_map(|_| {
                let udp = UdpSocket::bind("127.0.0.1:0").ok()?;
                let tcp = TcpListener::bind(udp.local_addr().ok()?).ok()?;
                Some((udp, tcp))
            })
            .expect("a port that is free for UDP and TCP");
        let address = udp.local_addr().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::new((zone, behaviour, Arc::clone(&log)));
        let serve = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                let asked = asked(&buffer[..length], false, peer.port());
                serve.2.lock().unwrap().push(asked.clone());
                for reply in (serve.1)(&asked, &serve.0) {
                    udp.send_to(&reply, peer).unwrap();
                }
            }
        });
        std::thread::spawn(move || {
            for stream in tcp.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let asked = asked(&query, true, stream.peer_addr().unwrap().port());
                shared.2.lock().unwrap().push(asked.clone());
                for reply in (shared.1)(&asked, &shared.0) {
                    stream.write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes()).unwrap();
                    stream.write_all(&reply).unwrap();
                }
            }
        });
        Upstream { address, log }
    }

    /// Every query so far.
    pub(crate) fn log(&self) -> Vec<Asked> {
        self.log.lock().unwrap().clone()
    }

    /// The names and types asked for so far, sorted.
    pub(crate) fn questions(&self) -> Vec<String> {
        let mut questions: Vec<String> =
            self.log().iter().map(|asked| format!("{} {}", asked.name, asked.rtype.to_int())).collect();
        questions.sort();
        questions
    }
}

fn asked(bytes: &[u8], tcp: bool, port: u16) -> Asked {
    let message = Message::from_octets(bytes).unwrap();
    let question = message.sole_question().unwrap();
    let opt = message.opt();
    Asked {
        name: question.qname().to_string(),
        rtype: question.qtype(),
        tcp,
        id: message.header().id(),
        port,
        has_edns: opt.is_some(),
        option_bytes: opt.map_or(0, |opt| opt.opt().len()),
    }
}
