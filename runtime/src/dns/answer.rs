//! What an upstream's reply says about the question, and nothing else it says.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use domain::base::iana::{Class, Rcode, Rtype};
use domain::base::name::ToName;
use domain::base::rdata::ComposeRecordData;
use domain::base::record::ParsedRecord;
use domain::base::{Message, ParsedName, Ttl};
use domain::rdata::{AllRecordData, Cname, Soa};

use super::message::{Stored, WireName, canonical};
use super::svcb;
use crate::dial::Reach;

/// Longest chain of aliases that is followed; resolvers commonly stop at 8 to 16.
const CHAIN_MAX: usize = 16;
/// Longest a positive answer is kept, in seconds, whatever its records say (RFC 8767, section 4 names up to a week; a
/// day bounds how long a wrong answer lives).
const TTL_MAX: u32 = 86_400;
/// Longest a negative answer is kept, in seconds (RFC 2308, section 5 suggests one to three hours; five minutes keeps a
/// name that is just being set up from hiding).
const NEGATIVE_TTL_MAX: u32 = 300;
/// Most records that are kept of one answer.
const RECORDS_MAX: usize = 256;

/// A checked answer, the same for every agent and policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// NOERROR or NXDOMAIN.
    pub rcode: Rcode,
    /// The chain of aliases in order, then the records of the type that was asked for.
    pub records: Vec<Stored>,
    /// For a negative answer, the zone's SOA record.
    pub soa: Option<Stored>,
    /// How long it may be kept.
    pub ttl: Duration,
    /// When it was received.
    pub received: Instant,
}

/// Why a message gives no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is no reply to this question: somebody else's, or forged. The right one may still come.
    NotOurs,
    /// It is cut off; ask again over TCP.
    Truncated,
    /// The server does not understand EDNS (RFC 6891, section 7).
    NoEdns,
    /// The server failed or refuses; ask another.
    Failed,
    /// It cannot be parsed or contradicts itself; ask another.
    Malformed,
}

impl Answer {
    /// Reads the reply to the question with this id, name and type.
    pub(super) fn parse(
        bytes: &[u8],
        id: u16,
        name: &WireName,
        rtype: Rtype,
        now: Instant,
    ) -> Result<Answer, Unusable> {
        let message = Message::from_octets(bytes).map_err(|_| Unusable::NotOurs)?;
        let header = message.header();
        if !header.qr() || header.id() != id {
            return Err(Unusable::NotOurs);
        }
        // A server that does not know EDNS may leave the question out of its error.
        if header.rcode() == Rcode::FORMERR && message.header_counts().qdcount() == 0 {
            return Err(Unusable::NoEdns);
        }
        let question = message.sole_question().map_err(|_| Unusable::NotOurs)?;
        let ours = question.qname().name_eq(name) && question.qtype() == rtype && question.qclass() == Class::IN;
        if !ours {
            return Err(Unusable::NotOurs);
        }
        match header.rcode() {
            _ if header.tc() => return Err(Unusable::Truncated),
            Rcode::NOERROR | Rcode::NXDOMAIN => {}
            Rcode::FORMERR | Rcode::NOTIMP => return Err(Unusable::NoEdns),
            _ => return Err(Unusable::Failed),
        }
        read(&message, name, rtype, now).ok_or(Unusable::Malformed)
    }

    /// The addresses that may be told, and whether others were held back.
    pub(super) fn visible(&self, reach: Reach) -> Visible<'_> {
        let mut visible = Visible { records: Vec::new(), addresses: Vec::new(), held_back: false };
        for record in &self.records {
            match address(record) {
                None => visible.records.push(record),
                Some(address) if told(address, reach) => {
                    visible.records.push(record);
                    visible.addresses.push(address);
                }
                Some(_) => visible.held_back = true,
            }
        }
        visible
    }

    /// How long ago it was received.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.received)
    }

    /// Whether it may still be used.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        self.age(now) < self.ttl
    }

    /// Roughly how many bytes it takes in memory.
    pub(super) fn weight(&self) -> usize {
        let record = |record: &Stored| size_of::<Stored>() + record.data.len() + record.owner.as_slice().len();
        size_of::<Answer>() + self.records.iter().chain(&self.soa).map(record).sum::<usize>()
    }
}

/// The part of an answer that an agent may see.
#[derive(Debug)]
pub(super) struct Visible<'a> {
    /// The records.
    pub records: Vec<&'a Stored>,
    /// The addresses among them.
    pub addresses: Vec<IpAddr>,
    /// Whether there were special addresses that the rule does not open.
    pub held_back: bool,
}

/// An IPv4-mapped address is never told: it is another spelling of an address that was not judged.
fn told(address: IpAddr, reach: Reach) -> bool {
    let mapped = matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some());
    !mapped && reach.refuses(address).is_none()
}

fn address(record: &Stored) -> Option<IpAddr> {
    match record.rtype {
        Rtype::A => Some(Ipv4Addr::from(<[u8; 4]>::try_from(record.data.as_slice()).ok()?).into()),
        Rtype::AAAA => Some(Ipv6Addr::from(<[u8; 16]>::try_from(record.data.as_slice()).ok()?).into()),
        _ => None,
    }
}

type Parsed<'a> = ParsedRecord<'a, &'a [u8]>;

fn read(message: &Message<&[u8]>, name: &WireName, rtype: Rtype, now: Instant) -> Option<Answer> {
    let answer: Vec<ParsedRecord<'_, _>> = message.answer().ok()?.collect::<Result<_, _>>().ok()?;
    let mut aliases: HashMap<WireName, (WireName, u32)> = HashMap::new();
    for record in answer.iter().filter(|record| record.class() == Class::IN && record.rtype() == Rtype::CNAME) {
        let alias = record.to_record::<Cname<ParsedName<_>>>().ok()??;
        let (owner, ttl) = (lower(alias.owner())?, seconds(alias.ttl()));
        let target = lower(alias.data().cname())?;
        // Two aliases of one name contradict each other (RFC 2181, section 10.1).
        if aliases.insert(owner, (target.clone(), ttl)).is_some_and(|(before, _)| before != target) {
            return None;
        }
    }
    let mut records = Vec::new();
    let mut at = name.clone();
    if rtype != Rtype::CNAME {
        while let Some((target, ttl)) = aliases.get(&at) {
            if records.len() == CHAIN_MAX {
                return None;
            }
            // Nobody can connect to a name without a canonical form, so nobody has to be told of one.
            canonical(target).ok()?;
            let data = target.as_slice().to_vec();
            records.push(Stored { owner: at, rtype: Rtype::CNAME, ttl: *ttl, data });
            at = target.clone();
        }
    }
    let chain = records.len();
    for record in answer.iter().filter(|record| record.class() == Class::IN && record.rtype() == rtype) {
        if record.owner().name_eq(&at) && records.len() < RECORDS_MAX + chain {
            records.extend(stored(record)?);
        }
    }
    let found = records.len() > chain;
    let rcode = message.header().rcode();
    if found && rcode == Rcode::NXDOMAIN {
        return None;
    }
    let soa = if found { None } else { zone(message, &at)? };
    let kept = match &soa {
        // Without a SOA record a negative answer is not kept (RFC 2308, section 5).
        _ if found => TTL_MAX,
        Some(soa) => soa.ttl,
        None => 0,
    };
    let ttl = records.iter().map(|record| record.ttl).fold(kept, u32::min);
    Some(Answer { rcode, records, soa, ttl: Duration::from_secs(u64::from(ttl)), received: now })
}

/// A record with its names decompressed; `Some(None)` when nothing that may be told is left of it.
fn stored(record: &Parsed<'_>) -> Option<Option<Stored>> {
    let parsed = record.to_any_record::<AllRecordData<_, ParsedName<_>>>().ok()?;
    let mut data = Vec::new();
    parsed.data().compose_rdata(&mut data).ok()?;
    if matches!(record.rtype(), Rtype::HTTPS | Rtype::SVCB) {
        match svcb::stripped(&data) {
            Some(stripped) => data = stripped,
            None => return Some(None),
        }
    }
    let ttl = seconds(record.ttl());
    Some(Some(Stored { owner: lower(&record.owner())?, rtype: record.rtype(), ttl, data }))
}

/// The SOA record of the zone that says no, with the time a negative answer may be kept (RFC 2308, section 5).
fn zone(message: &Message<&[u8]>, name: &WireName) -> Option<Option<Stored>> {
    for record in message.authority().ok()? {
        let record = record.ok()?;
        if record.class() != Class::IN || record.rtype() != Rtype::SOA || !name.ends_with(&record.owner()) {
            continue;
        }
        let soa = record.to_record::<Soa<ParsedName<_>>>().ok()??;
        let ttl = seconds(soa.ttl()).min(seconds(soa.data().minimum())).min(NEGATIVE_TTL_MAX);
        let mut data = Vec::new();
        soa.data().compose_rdata(&mut data).ok()?;
        return Some(Some(Stored { owner: lower(soa.owner())?, rtype: Rtype::SOA, ttl, data }));
    }
    Some(None)
}

/// A time to live in bounds. One with the top bit set counts as zero (RFC 2181, section 8).
fn seconds(ttl: Ttl) -> u32 {
    match ttl.as_secs() {
        over if over > i32::MAX.cast_unsigned() => 0,
        ttl => ttl.min(TTL_MAX),
    }
}

/// A name in lower case, so that names compare as bytes.
fn lower(name: &impl ToName) -> Option<WireName> {
    let bytes = name.to_vec().as_slice().to_ascii_lowercase();
    WireName::from_octets(bytes).ok()
}

#[cfg(test)]
mod tests {
    use domain::base::MessageBuilder;
    use domain::base::rdata::UnknownRecordData;
    use domain::base::record::Record;
    use proptest::prelude::*;

    use super::super::message::wire;
    use super::*;

    const ID: u16 = 7;

    type Line<'a> = (&'a str, Rtype, u32, &'a [u8]);

    /// A reply to the question for `name`.
    fn reply(name: &str, rtype: Rtype, rcode: Rcode, answer: &[Line<'_>], authority: &[Line<'_>]) -> Vec<u8> {
        let record = |line: &Line<'_>| {
            let data = UnknownRecordData::from_octets(line.1, line.3.to_vec()).unwrap();
            Record::new(wire(line.0).unwrap(), Class::IN, Ttl::from_secs(line.2), data)
        };
        let mut builder = MessageBuilder::new_vec().question();
        builder.header_mut().set_id(ID);
        builder.header_mut().set_qr(true);
        builder.header_mut().set_rcode(rcode);
        builder.push((wire(name).unwrap(), rtype)).unwrap();
        let mut builder = builder.answer();
        answer.iter().for_each(|line| builder.push(record(line)).unwrap());
        let mut builder = builder.authority();
        authority.iter().for_each(|line| builder.push(record(line)).unwrap());
        builder.finish()
    }

    fn read(bytes: &[u8], name: &str, rtype: Rtype) -> Result<Answer, Unusable> {
        Answer::parse(bytes, ID, &wire(name).unwrap(), rtype, Instant::now())
    }

    /// The answer as lines of owner, type, time to live.
    fn lines(answer: &Answer) -> Vec<String> {
        let line = |record: &Stored| format!("{} {} {}", record.owner, record.rtype.to_int(), record.ttl);
        answer.records.iter().map(line).collect()
    }

    fn soa(minimum: u32) -> Vec<u8> {
        let mut data = vec![0, 0];
        [1, 2, 3, 4, minimum].iter().for_each(|number| data.extend_from_slice(&u32::to_be_bytes(*number)));
        data
    }

    #[test]
    fn the_chain_comes_in_order_and_nothing_beside_it() {
        let (b, c) = (wire("b.example").unwrap(), wire("C.Example").unwrap());
        let answer = [
            ("c.example", Rtype::A, 30, &[1, 2, 3, 4][..]),
            ("other.example", Rtype::A, 5, &[6, 6, 6, 6]),
            ("b.example", Rtype::CNAME, 200, c.as_slice()),
            ("A.example", Rtype::CNAME, 100, b.as_slice()),
            ("c.example", Rtype::AAAA, 5, &[0x20; 16]),
            ("a.example", Rtype::A, 5, &[6, 6, 6, 6]),
        ];
        let answer = read(&reply("a.example", Rtype::A, Rcode::NOERROR, &answer, &[]), "a.example", Rtype::A).unwrap();
        assert_eq!(lines(&answer), ["a.example 5 100", "b.example 5 200", "c.example 1 30"]);
        assert_eq!(answer.ttl, Duration::from_secs(30));
        assert_eq!(answer.soa, None);
    }

    #[test]
    fn negative_answers_are_kept_as_long_as_the_right_zone_says() {
        for (rcode, zone, soa_ttl, minimum, kept) in [
            (Rcode::NXDOMAIN, "example", 60, 30, 30),
            (Rcode::NOERROR, "a.example", 20, 30, 20),
            (Rcode::NXDOMAIN, ".", 86_400, 86_400, NEGATIVE_TTL_MAX),
            (Rcode::NXDOMAIN, "b.example", 60, 60, 0),
            (Rcode::NXDOMAIN, "example", 0x8000_0000, 60, 0),
        ] {
            let data = soa(minimum);
            let bytes = reply("a.example", Rtype::A, rcode, &[], &[(zone, Rtype::SOA, soa_ttl, &data)]);
            let answer = read(&bytes, "a.example", Rtype::A).unwrap();
            assert_eq!((answer.rcode, answer.ttl.as_secs()), (rcode, u64::from(kept)), "{zone} {soa_ttl} {minimum}");
            assert_eq!(answer.soa.is_some(), zone != "b.example");
        }
        let bare = read(&reply("a.example", Rtype::A, Rcode::NXDOMAIN, &[], &[]), "a.example", Rtype::A).unwrap();
        assert!(bare.ttl.is_zero());
    }

    #[test]
    fn what_contradicts_itself_is_malformed() {
        let (b, c, a) = (wire("b.example").unwrap(), wire("c.example").unwrap(), wire("a.example").unwrap());
        let odd = [1, b'*', 0];
        let (b, c, a) = (b.as_slice(), c.as_slice(), a.as_slice());
        for (what, rcode, answer) in [
            ("two aliases", Rcode::NOERROR, vec![("a.example", Rtype::CNAME, 1, b), ("a.example", Rtype::CNAME, 1, c)]),
            ("a circle", Rcode::NOERROR, vec![("a.example", Rtype::CNAME, 1, b), ("b.example", Rtype::CNAME, 1, a)]),
            ("itself", Rcode::NOERROR, vec![("a.example", Rtype::CNAME, 1, a)]),
            ("no name", Rcode::NOERROR, vec![("a.example", Rtype::CNAME, 1, &odd[..])]),
            ("found and not", Rcode::NXDOMAIN, vec![("a.example", Rtype::A, 1, &[1, 2, 3, 4][..])]),
            ("three bytes", Rcode::NOERROR, vec![("a.example", Rtype::A, 1, &[1, 2, 3][..])]),
        ] {
            let bytes = reply("a.example", Rtype::A, rcode, &answer, &[]);
            assert_eq!(read(&bytes, "a.example", Rtype::A).unwrap_err(), Unusable::Malformed, "{what}");
        }
    }

    #[test]
    fn invariant_7_special_addresses_are_told_only_where_the_rule_opens_them() {
        let mut mapped = [0; 16];
        mapped[10..].copy_from_slice(&[255, 255, 8, 8, 8, 8]);
        let v4 = [("a.example", Rtype::A, 9, &[10, 0, 0, 1][..]), ("a.example", Rtype::A, 9, &[8, 8, 8, 8])];
        let v6 = [("a.example", Rtype::AAAA, 9, &mapped[..])];
        let v4 = read(&reply("a.example", Rtype::A, Rcode::NOERROR, &v4, &[]), "a.example", Rtype::A).unwrap();
        let v6 = read(&reply("a.example", Rtype::AAAA, Rcode::NOERROR, &v6, &[]), "a.example", Rtype::AAAA).unwrap();
        for (answer, reach, told, held_back) in [
            (&v4, Reach::PublicOnly, vec!["8.8.8.8"], true),
            (&v4, Reach::PrivateToo, vec!["10.0.0.1", "8.8.8.8"], false),
            (&v6, Reach::PublicOnly, vec![], true),
            (&v6, Reach::PrivateToo, vec![], true),
        ] {
            let visible = answer.visible(reach);
            let addresses: Vec<String> = visible.addresses.iter().map(IpAddr::to_string).collect();
            assert_eq!((addresses, visible.held_back), (told.iter().map(|&told| told.into()).collect(), held_back));
            assert_eq!(visible.records.len(), visible.addresses.len());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_behind_our_question_are_read_without_panic(
            rest in proptest::collection::vec(prop_oneof![Just(0xc0), Just(0x0c), Just(0), Just(1), any::<u8>()], 0..120),
            counts in proptest::array::uniform3(0_u8..4),
            rtype in prop_oneof![Just(Rtype::A), Just(Rtype::HTTPS), Just(Rtype::TXT), Just(Rtype::MX), Just(Rtype::CNAME), any::<u16>().prop_map(Rtype::from_int)],
        ) {
            let mut bytes = reply("a.example", rtype, Rcode::NOERROR, &[], &[]);
            (bytes[7], bytes[9], bytes[11]) = (counts[0], counts[1], counts[2]);
            bytes.extend_from_slice(&rest);
            if let Ok(answer) = read(&bytes, "a.example", rtype) {
                prop_assert!(answer.visible(Reach::PublicOnly).addresses.iter().all(|address| outcall_schema::addr::special(*address).is_none()));
                prop_assert!(answer.ttl.as_secs() <= u64::from(TTL_MAX));
            }
        }

        #[test]
        fn any_bytes_at_all_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = read(&bytes, "a.example", Rtype::A);
        }
    }
}
