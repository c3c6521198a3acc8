//! Queries as agents send them, and the replies they get (RFC 1035, section 4; RFC 6891; RFC 8914).

use domain::base::iana::{Class, ExtendedErrorCode, Opcode, OptRcode, Rcode, Rtype};
use domain::base::message_builder::{AdditionalBuilder, PushError};
use domain::base::name::Label;
use domain::base::opt::ExtendedError;
use domain::base::rdata::UnknownRecordData;
use domain::base::{Message, MessageBuilder, Name, Record, StaticCompressor, ToName, Ttl};
use outcall_schema::host::{Host, HostError};

/// A domain name that owns its bytes.
pub(super) type WireName = Name<Vec<u8>>;

/// Largest reply sent over UDP, so that it is never fragmented (DNS flag day 2020).
pub(super) const UDP_MAX: u16 = 1_232;
/// Largest reply over UDP to a query without EDNS (RFC 1035, section 4.2.1).
const UDP_PLAIN_MAX: u16 = 512;
/// Longest text of an Extended DNS Error: a rule's id has at most 128 bytes.
const ERROR_TEXT_MAX: usize = 128;
/// How long clients may remember a refusal, in seconds: a policy change is seen within a minute.
const REFUSAL_TTL: u32 = 60;

/// One well-formed question.
#[derive(Debug, Clone)]
pub(super) struct Query {
    /// The message's id, to be repeated.
    pub id: u16,
    /// Whether recursion was desired, to be repeated.
    pub recursion: bool,
    /// The name as it was sent, whose spelling the reply repeats.
    pub asked: WireName,
    /// The name in canonical form, which is what is judged and what is sent on, or why it has none.
    pub name: Result<String, HostError>,
    /// The record type.
    pub rtype: Rtype,
    /// The largest reply over UDP that the client takes, when it speaks EDNS.
    pub edns: Option<u16>,
}

/// A query that is refused whatever the policy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    /// What is wrong with it.
    pub problem: Problem,
    /// Head of the reply; `None` when there must be no reply.
    reply: Option<ErrorHead>,
}

/// What is wrong with a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// Not a query at all: shorter than a header, or a response.
    NotAQuery,
    /// Not a standard query.
    Opcode,
    /// Not exactly one question, records where a query has none, or bytes that cannot be parsed.
    Format,
    /// An EDNS version other than 0.
    EdnsVersion,
    /// A class other than IN.
    Class,
}

impl Problem {
    /// In words, for the log.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Problem::NotAQuery => "not a query",
            Problem::Opcode => "not a standard query",
            Problem::Format => "not one well-formed question",
            Problem::EdnsVersion => "unknown EDNS version",
            Problem::Class => "a class other than IN",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ErrorHead {
    id: u16,
    opcode: Opcode,
    recursion: bool,
    rcode: OptRcode,
}

impl Malformed {
    /// The reply: a header alone, with an OPT record where the error's code needs one.
    pub(super) fn reply(&self) -> Option<Vec<u8>> {
        let head = self.reply?;
        let mut builder = MessageBuilder::from_target(StaticCompressor::new(Vec::with_capacity(32))).ok()?.additional();
        set_head(&mut builder, head.id, head.opcode, head.recursion, head.rcode.rcode());
        if head.rcode.is_ext() {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(UDP_MAX);
                    opt.set_rcode(head.rcode);
                    Ok(())
                })
                .ok()?;
        }
        Some(builder.finish().into_target())
    }
}

impl Query {
    /// Reads a message from an agent.
    pub(super) fn parse(bytes: &[u8]) -> Result<Query, Malformed> {
        let silent = Malformed { problem: Problem::NotAQuery, reply: None };
        let message = Message::from_octets(bytes).map_err(|_| silent)?;
        let header = message.header();
        if header.qr() {
            return Err(silent);
        }
        let refuse = |problem, rcode: OptRcode| Malformed {
            problem,
            reply: Some(ErrorHead { id: header.id(), opcode: header.opcode(), recursion: header.rd(), rcode }),
        };
        let format = refuse(Problem::Format, OptRcode::FORMERR);
        if header.opcode() != Opcode::QUERY {
            return Err(refuse(Problem::Opcode, OptRcode::NOTIMP));
        }
        let counts = message.header_counts();
        if header.tc()
            || counts.qdcount() != 1
            || counts.ancount() != 0
            || counts.nscount() != 0
            || counts.arcount() > 1
        {
            return Err(format);
        }
        let question = message.sole_question().map_err(|_| format)?;
        let edns = additional(&message).ok_or(format)?;
        if edns.as_ref().is_some_and(|edns| edns.version != 0) {
            return Err(refuse(Problem::EdnsVersion, OptRcode::BADVERS));
        }
        if question.qclass() != Class::IN {
            return Err(refuse(Problem::Class, OptRcode::REFUSED));
        }
        Ok(Query {
            id: header.id(),
            recursion: header.rd(),
            asked: question.qname().to_name(),
            name: canonical(question.qname()),
            rtype: question.qtype(),
            edns: edns.map(|edns| edns.payload_max),
        })
    }

    /// The largest reply that fits what carried the query.
    pub(super) fn reply_max(&self, carrier: Carrier) -> u16 {
        match carrier {
            Carrier::Tcp => u16::MAX,
            Carrier::Udp => self.edns.unwrap_or(UDP_PLAIN_MAX).clamp(UDP_PLAIN_MAX, UDP_MAX),
        }
    }
}

/// What carried a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carrier {
    /// One message in a datagram.
    Udp,
    /// A stream of messages with their lengths before them.
    Tcp,
}

struct Edns {
    version: u8,
    payload_max: u16,
}

/// The OPT record, if there is one: `None` when the rest of the message is anything else, or does not end where it should.
fn additional(message: &Message<&[u8]>) -> Option<Option<Edns>> {
    let mut section = message.additional().ok()?;
    let record = section.next().transpose().ok()?;
    let edns = match record {
        None => None,
        Some(record) if record.rtype() == Rtype::OPT && record.owner().is_root() => {
            // The options themselves are of no interest, but they must be well-formed.
            let opt = record.to_record::<domain::base::opt::Opt<_>>().ok()??;
            let opt = domain::base::opt::OptRecord::from(opt);
            Some(Edns { version: opt.version(), payload_max: opt.udp_payload_size() })
        }
        Some(_) => return None,
    };
    (section.next().is_none() && section.pos() == message.as_slice().len()).then_some(edns)
}

/// The canonical form of a name on the wire, if it has one.
pub(super) fn canonical(name: &impl ToName) -> Result<String, HostError> {
    let mut text = String::new();
    for label in name.iter_labels().filter(|label| !label.is_root()) {
        push_label(&mut text, label)?;
    }
    match Host::parse(&text)? {
        // What is matched is what is sent on: nothing but the case may differ.
        Host::Name(name) if name == text => Ok(name),
        Host::Name(_) => Err(HostError::Idna),
        Host::Ip(_) => Err(HostError::AmbiguousNumber),
    }
}

fn push_label(text: &mut String, label: &Label) -> Result<(), HostError> {
    if !text.is_empty() {
        text.push('.');
    }
    for byte in label.as_slice() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte.to_ascii_lowercase())),
            _ => return Err(HostError::Character),
        }
    }
    Ok(())
}

/// The wire form of a canonical name.
pub(super) fn wire(name: &str) -> Option<WireName> {
    name.parse().ok()
}

/// The name that conditions and logs use for a record type: `A`, or `TYPE65280` (RFC 3597, section 5).
pub(super) fn type_name(rtype: Rtype) -> String {
    rtype.to_mnemonic_str().map_or_else(|| format!("TYPE{}", rtype.to_int()), str::to_owned)
}

/// A record as it is kept and sent: names in its data are not compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Whom it is about.
    pub owner: WireName,
    /// Its type.
    pub rtype: Rtype,
    /// How long it may be kept, in seconds from when it was received.
    pub ttl: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// What a query is answered with.
#[derive(Debug, Clone)]
pub(super) struct Reply<'a> {
    /// The code: NOERROR, NXDOMAIN, SERVFAIL or REFUSED.
    pub rcode: Rcode,
    /// The records of the answer.
    pub answer: Vec<&'a Stored>,
    /// The SOA record that bounds how long a negative answer is kept (RFC 2308, section 5).
    pub authority: Option<&'a Stored>,
    /// How many seconds ago the records were received.
    pub age: u32,
    /// For the Extended DNS Error `Filtered` (RFC 8914, section 4.18): who refuses.
    pub filtered_by: Option<&'a str>,
}

impl Reply<'_> {
    /// A reply without records.
    pub(super) fn empty(rcode: Rcode) -> Self {
        Reply { rcode, answer: Vec::new(), authority: None, age: 0, filtered_by: None }
    }

    /// The message. When it does not fit, all records are left out and the message says so (RFC 2181, section 9).
    /// Nothing when the message cannot be written at all, which no query of at most 255 bytes of name can cause.
    pub(super) fn to_bytes(&self, query: &Query, carrier: Carrier) -> Option<Vec<u8>> {
        let max = query.reply_max(carrier);
        let cut = || Reply { answer: Vec::new(), authority: None, ..self.clone() }.compose(query, max, true);
        self.compose(query, max, false).or_else(|_| cut()).ok()
    }

    fn compose(&self, query: &Query, max: u16, truncated: bool) -> Result<Vec<u8>, PushError> {
        let target = StaticCompressor::new(Vec::with_capacity(512));
        let mut builder = MessageBuilder::from_target(target).map_err(|_| PushError::ShortBuf)?;
        builder.set_push_limit(usize::from(max));
        let mut builder = builder.question();
        builder.push((&query.asked, query.rtype))?;
        let mut builder = builder.answer();
        for stored in &self.answer {
            builder.push(record(stored, self.age, query)?)?;
        }
        let mut builder = builder.authority();
        if let Some(soa) = self.authority {
            builder.push(record(soa, self.age, query)?)?;
        }
        let mut builder = builder.additional();
        if query.edns.is_some() {
            let filtered = self.filtered_by.and_then(|by| {
                let text = by.get(..ERROR_TEXT_MAX).unwrap_or(by);
                ExtendedError::<Vec<u8>>::new_with_str(ExtendedErrorCode::FILTERED, text).ok()
            });
            builder.opt(|opt| {
                opt.set_udp_payload_size(UDP_MAX);
                filtered.as_ref().map_or(Ok(()), |error| opt.push(error))
            })?;
        }
        set_head(&mut builder, query.id, Opcode::QUERY, query.recursion, self.rcode);
        builder.header_mut().set_tc(truncated);
        Ok(builder.finish().into_target())
    }
}

/// A record as it is sent: aged, and with the name spelled as it was asked.
fn record<'a>(
    stored: &'a Stored,
    age: u32,
    query: &'a Query,
) -> Result<Record<&'a WireName, UnknownRecordData<&'a [u8]>>, PushError> {
    let owner = if stored.owner == query.asked { &query.asked } else { &stored.owner };
    let data = UnknownRecordData::from_octets(stored.rtype, stored.data.as_slice()).map_err(|_| PushError::ShortBuf)?;
    Ok(Record::new(owner, Class::IN, Ttl::from_secs(stored.ttl.saturating_sub(age)), data))
}

fn set_head(
    builder: &mut AdditionalBuilder<StaticCompressor<Vec<u8>>>,
    id: u16,
    opcode: Opcode,
    recursion: bool,
    rcode: Rcode,
) {
    let header = builder.header_mut();
    header.set_id(id);
    header.set_qr(true);
    header.set_opcode(opcode);
    header.set_rd(recursion);
    header.set_ra(true);
    header.set_rcode(rcode);
}

/// The SOA record of a refusal. The root is above every name, so no client takes it for another zone's.
pub(super) fn refusal_soa() -> Stored {
    let mut data = Vec::with_capacity(64);
    for label in ["outcall", "invalid", "", "nobody", "invalid", ""] {
        data.push(u8::try_from(label.len()).unwrap_or(0));
        data.extend_from_slice(label.as_bytes());
    }
    for number in [1, 3_600, 600, 86_400, REFUSAL_TTL] {
        data.extend_from_slice(&u32::to_be_bytes(number));
    }
    Stored { owner: Name::root_vec(), rtype: Rtype::SOA, ttl: REFUSAL_TTL, data }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query as a client writes it.
    pub(super) fn query(name: &str, rtype: Rtype, edns: Option<u16>) -> Vec<u8> {
        let mut builder = MessageBuilder::new_vec().question();
        builder.header_mut().set_id(7);
        builder.header_mut().set_rd(true);
        builder.push((name.parse::<WireName>().unwrap(), rtype)).unwrap();
        let mut builder = builder.additional();
        if let Some(size) = edns {
            builder
                .opt(|opt| {
                    opt.set_udp_payload_size(size);
                    Ok(())
                })
                .unwrap();
        }
        builder.finish()
    }

    #[test]
    fn a_question_is_read_in_canonical_form() {
        let parsed = Query::parse(&query("API.Example.com", Rtype::AAAA, Some(4096))).unwrap();
        assert_eq!((parsed.id, parsed.name.as_deref(), parsed.rtype), (7, Ok("api.example.com"), Rtype::AAAA));
        assert_eq!(parsed.reply_max(Carrier::Udp), UDP_MAX);
        assert_eq!(parsed.reply_max(Carrier::Tcp), u16::MAX);
        assert_eq!(Query::parse(&query("a.example", Rtype::A, None)).unwrap().reply_max(Carrier::Udp), 512);
        assert_eq!(Query::parse(&query("a.example", Rtype::A, Some(0))).unwrap().reply_max(Carrier::Udp), 512);
    }

    #[test]
    fn what_is_not_one_plain_question_is_refused() {
        let plain = query("a.example", Rtype::A, None);
        let edns = query("a.example", Rtype::A, Some(1232));
        let change = |bytes: &[u8], at: usize, to: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = to;
            bytes
        };
        let version = edns.len() - 5;
        let mut trailing = plain.clone();
        trailing.push(0);
        for (bytes, problem, rcode) in [
            (plain[..11].to_vec(), Problem::NotAQuery, None),
            (change(&plain, 2, 0x80), Problem::NotAQuery, None),
            (change(&plain, 2, 0x28), Problem::Opcode, Some(4)),
            (change(&plain, 2, 0x02), Problem::Format, Some(1)),
            (change(&plain, 5, 0), Problem::Format, Some(1)),
            (change(&plain, 5, 2), Problem::Format, Some(1)),
            (change(&plain, 7, 1), Problem::Format, Some(1)),
            (change(&plain, 9, 1), Problem::Format, Some(1)),
            (change(&plain, 11, 1), Problem::Format, Some(1)),
            (change(&edns, 11, 2), Problem::Format, Some(1)),
            (trailing, Problem::Format, Some(1)),
            (plain[..plain.len() - 1].to_vec(), Problem::Format, Some(1)),
            (change(&plain, 12, 0xc0), Problem::Format, Some(1)),
            (change(&edns, version, 1), Problem::EdnsVersion, Some(0)),
            (change(&plain, plain.len() - 1, 3), Problem::Class, Some(5)),
        ] {
            let malformed = Query::parse(&bytes).unwrap_err();
            assert_eq!(malformed.problem, problem, "{bytes:?}");
            let reply = malformed.reply();
            assert_eq!(reply.as_ref().map(|reply| reply[3] & 15), rcode, "{problem:?}");
            if let Some(reply) = reply {
                assert_eq!(reply[..2], bytes[..2]);
                assert!(reply.len() <= bytes.len() + 11, "no amplification");
            }
        }
        let badvers = Query::parse(&change(&edns, version, 1)).unwrap_err().reply().unwrap();
        assert_eq!(Message::from_octets(badvers).unwrap().opt_rcode(), OptRcode::BADVERS);
    }

    #[test]
    fn a_name_without_a_canonical_form_has_none() {
        let plain = query("a.example", Rtype::A, None);
        let label = |label: &[u8]| {
            let mut bytes = plain[..12].to_vec();
            bytes.push(u8::try_from(label.len()).unwrap());
            bytes.extend_from_slice(label);
            bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
            bytes
        };
        for (bytes, problem) in [
            (label(b"a\0b"), HostError::Character),
            (label(b"a.b"), HostError::Character),
            (label(b"a b"), HostError::Character),
            (label(b"\xc3\xa9"), HostError::Character),
            (label(b"123"), HostError::AmbiguousNumber),
            (label(b"xn--a"), HostError::Idna),
            (query(".", Rtype::NS, None), HostError::Empty),
            (query("127.0.0.1", Rtype::A, None), HostError::AmbiguousNumber),
        ] {
            assert_eq!(Query::parse(&bytes).unwrap().name, Err(problem), "{bytes:?}");
        }
    }

    #[test]
    fn a_reply_that_does_not_fit_is_cut_and_says_so() {
        let parsed = Query::parse(&query("A.example", Rtype::TXT, Some(600))).unwrap();
        let stored = Stored { owner: wire("a.example").unwrap(), rtype: Rtype::TXT, ttl: 60, data: vec![200; 201] };
        let whole = Reply { answer: vec![&stored; 2], age: 10, ..Reply::empty(Rcode::NOERROR) };
        let message = Message::from_octets(whole.to_bytes(&parsed, Carrier::Udp).unwrap()).unwrap();
        assert!(!message.header().tc());
        let record = message.answer().unwrap().next().unwrap().unwrap();
        assert_eq!((record.ttl().as_secs(), record.owner().to_string().as_str()), (50, "A.example"));
        let large = Reply { answer: vec![&stored; 3], ..Reply::empty(Rcode::NOERROR) };
        let message = Message::from_octets(large.to_bytes(&parsed, Carrier::Udp).unwrap()).unwrap();
        assert!(message.header().tc() && message.header_counts().ancount() == 0);
        let message = Message::from_octets(large.to_bytes(&parsed, Carrier::Tcp).unwrap()).unwrap();
        assert!(!message.header().tc() && message.header_counts().ancount() == 3);
    }

    #[test]
    fn a_refusal_names_the_rule_to_those_who_speak_edns() {
        let soa = refusal_soa();
        let refusal = Reply { authority: Some(&soa), filtered_by: Some("no-ads"), ..Reply::empty(Rcode::NXDOMAIN) };
        for (edns, text) in [(None, None), (Some(1232), Some("no-ads"))] {
            let parsed = Query::parse(&query("ads.example", Rtype::A, edns)).unwrap();
            let message = Message::from_octets(refusal.to_bytes(&parsed, Carrier::Udp).unwrap()).unwrap();
            assert_eq!(message.header().rcode(), Rcode::NXDOMAIN);
            let soa = message.authority().unwrap().limit_to::<domain::rdata::Soa<_>>().next().unwrap().unwrap();
            assert_eq!(soa.data().minimum().as_secs(), 60);
            let opt = message.opt();
            let error = opt.as_ref().and_then(|opt| opt.opt().extended_error());
            assert_eq!(error.as_ref().map(|error| error.code()), text.map(|_| ExtendedErrorCode::FILTERED));
            assert_eq!(error.as_ref().and_then(|error| error.text_slice()), text.map(str::as_bytes));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_panic_and_a_query_answers_its_own_question(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..80),
            head in any::<bool>(),
        ) {
            if head && bytes.len() >= 12 {
                bytes[2..12].copy_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
            }
            match Query::parse(&bytes) {
                Ok(query) => {
                    let reply = Reply::empty(Rcode::NOERROR).to_bytes(&query, Carrier::Udp).unwrap();
                    prop_assert_eq!(&reply[..2], &bytes[..2]);
                    if let Ok(name) = query.name {
                        prop_assert_eq!(Host::parse(&name), Ok(Host::Name(name)));
                    }
                }
                Err(malformed) => prop_assert!(malformed.reply().is_none_or(|reply| reply.len() <= 23)),
            }
        }
    }
}
