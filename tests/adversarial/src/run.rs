//! A run: the world, an agent in it, one technique after the other, and the scorecard.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use crate::docker::Image;
use crate::helper::Helper;
use crate::inside::{MARK, Said, is_mark};
use crate::judge::{self, Before, Evidence, Rules};
use crate::mutations::Mutation;
use crate::policy;
use crate::stand::Stand;
use crate::table;
use crate::technique::{Expect, NOTHING, Places, Technique};
use crate::world::World;
use crate::world::event::{Event, Packet};

/// Where the agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a sandbox of `outcall run`.
    Sandbox,
    /// In a network namespace on the bridge of a host of `outcalld`, with every right over it.
    Host,
    /// In a container on the bridge of a host of `outcalld`, made as `outcall container create` makes one.
    Container,
    /// On the client host itself, with a resolver and a proxy that pass everything on: what techniques do where nobody guards.
    Unguarded,
}

impl Place {
    /// As it is said on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Place::Sandbox => "sandbox",
            Place::Host => "host",
            Place::Container => "container",
            Place::Unguarded => "unguarded",
        }
    }

    /// Whether a technique can be tried here.
    pub fn has(self, technique: &Technique) -> bool {
        match technique.places {
            Places::Everywhere => true,
            Places::Sandbox => matches!(self, Place::Sandbox | Place::Unguarded),
            Places::Apart => self != Place::Host,
            Places::Host => matches!(self, Place::Host | Place::Container),
            Places::Container => self == Place::Container,
        }
    }
}

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How this program is started as one of its own helpers.
    pub helper: Helper,
    /// The program `outcall`.
    pub outcall: PathBuf,
    /// The program `outcalld`.
    pub outcalld: PathBuf,
    /// Where the agent stands.
    pub place: Place,
    /// What the container is made of, where it stands in one, and in no other place.
    pub image: Option<Image>,
    /// An operator's own rules, in force beside ours.
    pub policy: Vec<PathBuf>,
    /// The techniques; all where this is empty.
    pub only: Vec<String>,
    /// What is weakened beforehand, to see the techniques fail.
    pub mutation: Option<&'static Mutation>,
}

/// What came of it.
#[derive(Debug)]
pub struct Scorecard {
    /// Where the agent stood.
    pub place: Place,
    /// The digest of the policy that was in force.
    pub policy: String,
    /// A row for each technique.
    pub rows: Vec<Row>,
    /// What was seen after the last technique, and belongs to none.
    pub strays: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

/// What came of one technique.
#[derive(Debug)]
pub struct Row {
    /// The technique.
    pub technique: &'static Technique,
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen from outside.
    pub evidence: String,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as it must be.
    Passed,
    /// What was not.
    Failed(Vec<String>),
    /// Why it could not be tried.
    NotTried(String),
}

impl Row {
    /// Whether something got out, or passed that must not, beside what is missing.
    pub fn got_out(&self) -> bool {
        matches!(&self.verdict, Verdict::Failed(faults) if !judge::harmless(faults))
    }
}

impl Scorecard {
    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.strays.is_empty() && !self.rows.iter().any(|row| matches!(row.verdict, Verdict::Failed(_)))
    }

    /// How many passed, failed and were not tried.
    pub fn counts(&self) -> (usize, usize, usize) {
        let count = |is: fn(&Verdict) -> bool| self.rows.iter().filter(|row| is(&row.verdict)).count();
        (
            count(|verdict| *verdict == Verdict::Passed),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
            count(|verdict| matches!(verdict, Verdict::NotTried(_))),
        )
    }
}

/// Why a container cannot try what takes rights over its network.
const NO_RIGHT: &str = "a container has no right over its network, nor to raw sockets";

/// How long after its mark the log is looked at again where a record is missing.
const LATE: Duration = Duration::from_secs(1);
/// The same where something was weakened, and techniques are to fail.
const WEAKENED_LATE: Duration = Duration::from_millis(300);
/// How long the log may take to hold a mark.
const MARKED: Duration = Duration::from_secs(3);
/// How often it is looked at.
const MOMENT: Duration = Duration::from_millis(5);

/// Runs.
///
/// # Errors
/// When the world does not stand or nothing can be started in it, in words.
pub fn run(options: &Options) -> Result<Scorecard, String> {
    let began = Instant::now();
    let wanted = wanted(options)?;
    if options.image.is_some() != (options.place == Place::Container) {
        return Err("an agent in a container takes an image, and no other does".to_owned());
    }
    let work = tempfile::Builder::new().prefix("outcall-verify-").tempdir();
    let work = work.map_err(|error| format!("cannot make a directory: {error}"))?;
    let rules = options.mutation.map_or_else(|| policy::RULES.to_owned(), |mutation| mutation.rules(policy::RULES));
    let mut artifacts = policy::compile(&rules, &options.policy, work.path())?;
    if let Some(mutation) = options.mutation {
        mutation.apply(&mut artifacts, work.path())?;
    }
    let directory = work.path().join("policy");
    policy::write(&artifacts, &directory)?;
    let world = World::start(&options.helper)?;
    let mut stand = Stand::start(options, world, &directory, work.path())?;
    let strictness = if options.policy.is_empty() { Rules::Named } else { Rules::Others };
    let weakened = options.mutation.is_some() || options.place == Place::Unguarded;
    let (late, marked) = if weakened { (WEAKENED_LATE, WEAKENED_LATE) } else { (LATE, MARKED) };
    let mut session = Session {
        stand: &mut stand,
        strictness,
        late,
        marked,
        before: Before::new(),
        number: 0,
        seen: Seen::default(),
    };
    session.begin()?;
    let rows = wanted.into_iter().map(|technique| session.attempt(technique)).collect::<Result<_, _>>()?;
    let strays = session.strays()?;
    let digest = outcall_schema::artifact::manifest::Manifest::from_bytes(&artifacts.manifest);
    let policy = digest.map(|manifest| manifest.policy_digest).unwrap_or_default();
    Ok(Scorecard { place: options.place, policy, rows, strays, took: began.elapsed() })
}

fn wanted(options: &Options) -> Result<Vec<&'static Technique>, String> {
    if let Some(unknown) = options.only.iter().find(|id| table::technique(id).is_none()) {
        return Err(format!("there is no technique `{unknown}`; --list prints them"));
    }
    let chosen = |technique: &&Technique| options.only.is_empty() || options.only.iter().any(|id| id == technique.id);
    Ok(table::techniques().filter(chosen).filter(|technique| options.place.has(technique)).collect())
}

/// How much of what is seen from outside has been looked at.
#[derive(Default)]
struct Seen {
    events: usize,
    packets: Vec<Packet>,
    refused: Option<u64>,
}

struct Session<'a> {
    stand: &'a mut Stand,
    strictness: Rules,
    late: Duration,
    marked: Duration,
    before: Before,
    number: u16,
    seen: Seen,
}

impl Session<'_> {
    /// What there was before the first technique belongs to none.
    fn begin(&mut self) -> Result<(), String> {
        self.stand.marked(0, Instant::now() + MARKED, MOMENT)?;
        self.gather(None, Vec::new()).map(drop)
    }

    fn attempt(&mut self, technique: &'static Technique) -> Result<Row, String> {
        self.number += 1;
        let said = self.stand.attempt(self.number, technique)?;
        // What the agent says of its rights is believed where the kernel says the same of it.
        let denied = said.denied && self.stand.has_no_rights();
        let lacked = denied && technique.places == Places::Host;
        let expect = match self.stand.place() {
            Place::Sandbox | Place::Unguarded => &technique.expect,
            Place::Container if lacked => &NOTHING,
            // Then it is what it is for everybody without rights.
            Place::Container if denied => &technique.expect,
            Place::Host | Place::Container => technique.on_host.as_ref().unwrap_or(&technique.expect),
        };
        let evidence = self.gather(Some(expect), said.got.clone())?;
        let faults = judge::faults(expect, &evidence, self.strictness, &self.before);
        self.before.extend(expect.reaches);
        let not_tried = not_tried(&said).or_else(|| lacked.then(|| NO_RIGHT.to_owned()));
        let verdict = match (not_tried, faults.is_empty()) {
            // What could not be tried and still did something has failed.
            (Some(why), true) => Verdict::NotTried(why),
            (Some(why), false) if judge::harmless(&faults) => Verdict::NotTried(why),
            (_, false) => Verdict::Failed(faults),
            (None, true) => Verdict::Passed,
        };
        Ok(Row { technique, verdict, evidence: judge::seen(&evidence) })
    }

    /// What was seen since the last time. With an expectation, a record that is late is waited for.
    fn gather(&mut self, expect: Option<&Expect>, got: Vec<String>) -> Result<Evidence, String> {
        let mut evidence = Evidence { complete: expect.is_none(), got, ..Evidence::default() };
        if expect.is_some() {
            let marked = self.stand.marked(self.number, Instant::now() + self.marked, MOMENT)?;
            // What was weakened may keep marks from the log: that alone shows nothing of a technique.
            evidence.complete = marked || self.marked < MARKED;
        }
        let until = Instant::now() + self.late;
        evidence.audit = self.stand.take_records()?;
        let (events, packets) = (self.stand.world.events_now()?, self.stand.world.packets()?);
        evidence.events = events.get(self.seen.events..).unwrap_or_default().to_vec();
        self.seen.events = events.len();
        evidence.packets = since(&self.seen.packets, &packets);
        if self.marked < MARKED {
            unmarked(&mut evidence);
        }
        self.seen.packets = packets;
        let refused = self.stand.refused();
        // The mark's own datagram is one of them.
        let marks = u64::from(expect.is_some());
        evidence.touched = self.stand.touched();
        let moved = refused.zip(self.seen.refused).map(|(now, before)| now.saturating_sub(before));
        evidence.refused = moved.map(|moved| moved.saturating_sub(marks));
        self.seen.refused = refused;
        let Some(expect) = expect else { return Ok(evidence) };
        // A request may arrive, or its record be written, after the agent was told of its end.
        while !judge::faults(expect, &evidence, self.strictness, &self.before).is_empty() && Instant::now() < until {
            std::thread::sleep(MOMENT * 10);
            evidence.audit.extend(self.stand.take_records()?);
            let events: Vec<Event> = self.stand.world.events_now()?;
            evidence.events.extend(events.iter().skip(self.seen.events).cloned());
            self.seen.events = events.len();
        }
        Ok(evidence)
    }

    /// What was seen after the last technique.
    fn strays(&mut self) -> Result<Vec<String>, String> {
        let events = self.stand.world.events()?;
        let late = events.iter().skip(self.seen.events).filter_map(|event| match event {
            Event::Query { name, kind, .. } => Some(format!("asked outside: {name} {kind}")),
            Event::Connection { to } => Some(format!("a connection to {to}")),
            other => other.short(),
        });
        Ok(late.collect())
    }
}

/// Without what the agent's marks were, which nobody may have kept back.
fn unmarked(evidence: &mut Evidence) {
    evidence.packets.retain(|packet| !is_mark(packet.to));
    evidence.events.retain(|event| !matches!(event, Event::Query { name, .. } if name.starts_with(MARK)));
}

/// Packets that were counted since.
pub fn since(before: &[Packet], now: &[Packet]) -> Vec<Packet> {
    let earlier = |packet: &Packet| {
        let same = |old: &&Packet| (&old.protocol, old.to, old.port) == (&packet.protocol, packet.to, packet.port);
        before.iter().find(same).map_or(0, |old| old.count)
    };
    let more = |packet: &Packet| Packet { count: packet.count.saturating_sub(earlier(packet)), ..packet.clone() };
    now.iter().map(more).filter(|packet| packet.count > 0).collect()
}

fn not_tried(said: &Said) -> Option<String> {
    if let Some(why) = &said.not_tried {
        return Some(why.clone());
    }
    let (family, kind, protocol) = said.missing?;
    // What the agent was told there is none of may be there, and have been kept from it: that is a refusal.
    let numbers = (AddressFamily::from_raw(family), SocketType::from_raw(kind));
    let protocol_number = std::num::NonZeroU32::new(protocol).map(Protocol::from_raw);
    match socket_with(numbers.0, numbers.1, SocketFlags::CLOEXEC, protocol_number) {
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::SOCKTNOSUPPORT) => {
            Some(format!("this kernel has no socket of family {family}, type {kind}, protocol {protocol}"))
        }
        _ => None,
    }
}
