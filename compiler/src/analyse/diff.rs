//! `outcall diff`: what one policy allows, refuses or treats otherwise than another, each with a request that shows it.

use std::collections::BTreeMap;
use std::rc::Rc;

use outcall_schema::artifact::item::{Child, LeafKind};
use outcall_schema::artifact::manifest::{Direction, Hold, Inject, InjectPart, OnTimeout, RequiredHeader};
use outcall_schema::egress::{EgressMode, PortRange};
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;
use serde::Serialize;
use serde_json::Value;

use super::example::{Example, example, put};
use super::explore::{Outcome, Question, Way, explore};
use super::names;
use super::reach::budget;
use super::side::Side;
use super::space::{ListId, Space};
use super::unproven::Unproven;
use crate::ask::Request;
use crate::decide::build::{Entry, Mode};
use crate::decide::formula::Formulas;
use crate::decide::lower::reads_field;
use crate::diag::quoted;
use crate::resolve::{Policy, Rule};

/// What kind of change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Refused before, allowed now.
    Allowed,
    /// Allowed before and now, with less in the way: a hold gone, more ports, private addresses, past the proxy.
    Loosened,
    /// Allowed before and now, otherwise.
    Changed,
    /// Allowed before and now, with more in the way.
    Tightened,
    /// Allowed before, refused now.
    Refused,
}

impl Kind {
    /// Whether anything becomes reachable that was not.
    pub const fn widens(self) -> bool {
        matches!(self, Kind::Allowed | Kind::Loosened)
    }
}

/// One change: the requests that the same rules decide on both sides.
#[derive(Debug, Clone)]
pub struct Change<'p> {
    /// What kind.
    pub kind: Kind,
    /// The layer that decides.
    pub layer: Layer,
    /// The rule that decided before; `None` for the default.
    pub before: Option<&'p Rule>,
    /// The rule that decides now.
    pub after: Option<&'p Rule>,
    /// What is otherwise, in words; empty where allowed became refused or the reverse.
    pub what: Vec<String>,
    /// Requests that show it, each confirmed on both sides, with the region in which the same holds. Never empty.
    pub examples: Vec<Example>,
    /// How many such regions there are, when more than are shown.
    pub more: bool,
}

/// What changed from one policy to another.
#[derive(Debug, Clone, Default)]
pub struct Difference<'p> {
    /// The changes: what widens first.
    pub changes: Vec<Change<'p>>,
    /// Layers in which something may have changed that could be neither shown nor excluded.
    pub unproven: Vec<Unproven<'p>>,
    /// The steps that were taken.
    pub steps: u64,
}

impl Difference<'_> {
    /// Whether anything becomes reachable.
    pub fn widens(&self) -> bool {
        self.changes.iter().any(|change| change.kind.widens())
    }

    /// Whether no request is treated otherwise: a proof.
    pub fn is_none(&self) -> bool {
        self.changes.is_empty() && self.unproven.is_empty()
    }
}

/// What makes requests one change: the kind, who decides on each side, and what is otherwise.
type Sameness = (Kind, Option<Child>, Option<Child>, Vec<String>);

/// How many regions of a change are shown.
const SHOWN: usize = 4;

/// The questions, by the layer that a change is reported at. `https` takes in connections.
const PLACES: [Layer; 8] = [
    Layer::Dns,
    Layer::Network,
    Layer::Https,
    // Only for what is owed by a connection as such.
    Layer::Connect,
    Layer::Http,
    Layer::Response,
    Layer::Docker,
    Layer::Run,
];

/// What changed from `old` to `new`.
pub fn diff<'p>(old: &'p Policy, new: &'p Policy) -> Difference<'p> {
    let mut formulas = Formulas::new();
    let offset = u32::try_from(old.rules.len()).unwrap_or(u32::MAX);
    let sides = [Side::new(old, &mut formulas, 0), Side::new(new, &mut formulas, offset)];
    let mut space = Space::new(&mut formulas);
    let mut difference = Difference::default();
    for layer in PLACES {
        compare(&mut space, &sides, layer, &mut difference);
    }
    difference.changes.sort_by(|left, right| {
        let place = |change: &Change<'_>| {
            let at = |rule: Option<&Rule>| rule.map(|rule| (rule.span.file.name.clone(), rule.span.start));
            (change.kind, change.layer, at(change.after), at(change.before))
        };
        place(left).cmp(&place(right))
    });
    difference.steps = space.steps;
    difference
}

/// How a request is treated, rules' names aside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Treatment {
    passes: bool,
    mode: EgressMode,
    ports: Vec<(u16, u16)>,
    private: bool,
    /// Whether it goes on as a tunnel where it cannot be looked into.
    falls_back: bool,
    /// What the hold and enrich rules owe.
    duties: Vec<Duty>,
}

/// What a hold or enrich rule owes, its name aside.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Duty {
    Hold(Hold),
    Enrich(Vec<Inject>),
    Require(Vec<RequiredHeader>),
}

impl Duty {
    /// What a rule owes to what passes a layer: requests are held on their way out, responses on their way back, and
    /// headers are added to requests.
    fn of(rule: &Rule, layer: Layer) -> Vec<Duty> {
        let response = layer == Layer::Response;
        let other = if response { Direction::Request } else { Direction::Response };
        let hold = rule.hold.as_ref().filter(|hold| hold.direction != other);
        let mut duties: Vec<Duty> = hold.map(|hold| Duty::Hold(hold.clone())).into_iter().collect();
        if !response || reads_response(rule) {
            let inject = (!rule.inject.is_empty()).then(|| Duty::Enrich(rule.inject.clone()));
            let require = (!rule.require_header.is_empty()).then(|| Duty::Require(rule.require_header.clone()));
            duties.extend(inject.into_iter().chain(require));
        }
        duties
    }

    /// Whether a hold lets through no more than another: neither by itself nor sooner.
    fn is_as_strict_as(&self, other: &Duty) -> bool {
        match (self, other) {
            (Duty::Hold(own), Duty::Hold(other)) => {
                own.on_timeout == OnTimeout::Drop
                    || (other.on_timeout == OnTimeout::Release
                        && timeout_ms(own.timeout_ms) >= timeout_ms(other.timeout_ms))
            }
            _ => self == other,
        }
    }

    fn words(&self) -> String {
        match self {
            Duty::Hold(hold) => {
                let then = match hold.on_timeout {
                    OnTimeout::Drop => "dropped",
                    OnTimeout::Release => "released",
                };
                let after = match hold.timeout_ms {
                    Some(time) if time.is_multiple_of(1000) => format!(" after {} s", time / 1000),
                    Some(time) => format!(" after {time} ms"),
                    None => String::new(),
                };
                format!("{then}{after} when nobody decides")
            }
            Duty::Enrich(inject) => {
                let header = |inject: &Inject| {
                    let secrets: Vec<String> = inject
                        .value
                        .iter()
                        .filter_map(|part| match part {
                            InjectPart::Secret(name) => Some(quoted(name)),
                            InjectPart::Text(_) => None,
                        })
                        .collect();
                    let with =
                        if secrets.is_empty() { "a text".to_owned() } else { format!("secret {}", secrets.join(", ")) };
                    format!("{} from {with}", quoted(&inject.header))
                };
                inject.iter().map(header).collect::<Vec<_>>().join(", ")
            }
            Duty::Require(required) => {
                let digest = |it: &RequiredHeader| -> String {
                    let digest: String = it.digest.to_string().chars().take(DIGEST_SHOWN).collect();
                    format!("{} with {digest}...", quoted(&it.header))
                };
                required.iter().map(digest).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// Of a digest, as much as tells two apart.
const DIGEST_SHOWN: usize = "sha256:".len() + 12;

/// How long a message over HTTP is held when the rule does not say.
const HOLD_MS: u64 = 300_000;

fn timeout_ms(written: Option<u64>) -> u64 {
    written.unwrap_or(HOLD_MS)
}

fn reads_response(rule: &Rule) -> bool {
    [Field::ResponseStatus, Field::ResponseHeaders].into_iter().any(|field| reads_field(&rule.condition, field))
}

/// The answers of one side's lists at a place.
struct Answers<'a> {
    lists: &'a [Vec<Child>],
}

impl Answers<'_> {
    fn leaf(&self, layer: Layer) -> Option<Child> {
        let first = |at: usize| self.lists.get(at).and_then(|answer| answer.first()).copied();
        match (layer, first(0)) {
            (Layer::Dns, None) => first(1),
            (Layer::Https, Some(leaf)) if leaf.kind() == LeafKind::Intercept => first(1),
            (_, leaf) => leaf,
        }
    }

    /// What becomes of TLS. It can go through unseen where the rule that decides on the connection lets it pass so as well.
    fn inside(&self) -> Inside {
        let first = |at: usize| self.lists.get(at).and_then(|answer| answer.first());
        match (first(0), first(2).and_then(|leaf| leaf.rule())) {
            (Some(leaf), unseen) if leaf.kind() == LeafKind::Intercept => match unseen {
                Some(rule) if leaf.rule() == Some(rule) => Inside::SeenIfPossible,
                _ => Inside::Seen,
            },
            _ => Inside::Unseen,
        }
    }

    fn intercepted(&self) -> bool {
        self.inside() != Inside::Unseen
    }
}

/// The lists of one side at a place: what decides, then what is owed. Of TLS: what decides on the connection, on a request
/// in it, and on the connection where it cannot be looked into.
fn lists(space: &mut Space<'_>, side: &Side<'_>, layer: Layer) -> Vec<ListId> {
    let first = |space: &mut Space<'_>, entries: &[Entry]| space.list(Mode::First, tail_stripped(entries));
    let decided = match layer {
        Layer::Https => {
            let inside = if side.intercepts { side.list(Layer::Https) } else { &[] };
            vec![first(space, side.list(Layer::Connect)), first(space, inside), first(space, &side.fallback)]
        }
        _ => vec![first(space, side.list(layer))],
    };
    let owed = space.list(Mode::All, side.duties(layer).iter().copied());
    decided.into_iter().chain([owed]).collect()
}

/// Blocks at the end do what the default does.
pub(super) fn tail_stripped(entries: &[Entry]) -> Vec<Entry> {
    let end = entries.iter().rposition(|(formula, leaf)| leaf.passes() && *formula != Formulas::FALSE);
    entries.iter().take(end.map_or(0, |end| end + 1)).copied().collect()
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// Nothing is looked into.
    Unseen,
    /// TLS is looked into, and refused where it cannot be.
    Seen,
    /// TLS is looked into, and goes on as a tunnel where it cannot be.
    SeenIfPossible,
}

fn treatment(sides: &[Side<'_>; 2], layer: Layer, leaf: Option<Child>, inside: Inside, owed: &[Child]) -> Treatment {
    let rule = |leaf: Child| sides.iter().find_map(|side| side.rule(leaf));
    let passes = leaf.is_some_and(Child::passes);
    let refused = Treatment {
        passes: false,
        mode: EgressMode::Proxy,
        ports: Vec::new(),
        private: false,
        falls_back: false,
        duties: Vec::new(),
    };
    let Some(decided) = leaf.filter(|_| passes).and_then(rule) else { return refused };
    let egress = decided.egress.clone().unwrap_or_default();
    let mut duties: Vec<Duty> = Vec::new();
    for duty in owed.iter().filter_map(|leaf| rule(*leaf)).flat_map(|rule| Duty::of(rule, layer)) {
        if !duties.contains(&duty) {
            duties.push(duty);
        }
    }
    let mode = match egress.mode {
        _ if inside != Inside::Unseen => EgressMode::Intercept,
        // Not terminated: in `interception.bypass`.
        EgressMode::Intercept => EgressMode::Proxy,
        mode => mode,
    };
    Treatment {
        passes,
        mode,
        ports: egress.ports.iter().map(|range| (range.low, range.high)).collect(),
        private: egress.allow_private_ips,
        falls_back: inside == Inside::SeenIfPossible,
        duties,
    }
}

fn compare<'p>(space: &mut Space<'_>, sides: &[Side<'p>; 2], layer: Layer, difference: &mut Difference<'p>) {
    let [old, new] = sides;
    if owed_only(layer) && old.duties(layer).is_empty() && new.duties(layer).is_empty() {
        return;
    }
    space.given_up.clear();
    let before = lists(space, old, layer);
    // Names are decided by the rules on them, then by those that they follow from; they owe nothing.
    let width = if layer == Layer::Dns { 3 } else { before.len() };
    let all: Vec<ListId> = before.into_iter().chain(lists(space, new, layer)).collect();
    let effect = |space: &Space<'_>, leaf: Child, owed: bool| {
        // What the leaf does by itself, whichever policy it is of.
        let alone = [leaf];
        if owed {
            treatment_key(sides, layer, None, &alone)
        } else {
            let _ = space;
            format!("{:?}{}", leaf.kind(), treatment_key(sides, layer, Some(leaf), &[]))
        }
    };
    let effects = std::cell::RefCell::new(std::collections::HashMap::new());
    let same = |space: &Space<'_>, left: ListId, right: ListId, owed: bool| {
        if left == right {
            return true;
        }
        let (left, right) = (space.get(left), space.get(right));
        let mut effects = effects.borrow_mut();
        left.entries.len() == right.entries.len()
            && left.entries.iter().zip(&right.entries).all(|((one, leaf), (other, leaf2))| {
                one == other && {
                    let of = |effects: &mut std::collections::HashMap<Child, String>, leaf: Child| {
                        effects.entry(leaf).or_insert_with(|| effect(space, leaf, owed)).clone()
                    };
                    of(&mut effects, *leaf) == of(&mut effects, *leaf2)
                }
            })
    };
    let stop = |space: &Space<'_>, lists: &[ListId]| {
        let (before, after) = lists.split_at(width.min(lists.len()));
        let refuse = |lists: &[ListId]| {
            // Refused for certain: by the deciding list, and at `https` not terminated.
            let answer = lists.first().and_then(|list| space.get(*list).constant());
            match answer.as_ref().map(|answer| answer.first().copied()) {
                None => false,
                Some(None) => true,
                Some(Some(leaf)) if leaf.kind() == LeafKind::Intercept => lists.get(1).is_some_and(|list| {
                    space.get(*list).constant().is_some_and(|answer| !answer.first().is_some_and(|leaf| leaf.passes()))
                }),
                Some(Some(leaf)) => !leaf.passes(),
            }
        };
        (refuse(before) && refuse(after))
            || before
                .iter()
                .zip(after)
                .enumerate()
                .all(|(at, (left, right))| same(space, *left, *right, at + 1 == width))
    };
    let trim = |space: &Space<'_>, lists: &mut [ListId], empty: ListId| {
        if layer != Layer::Https {
            return;
        }
        for side in lists.chunks_mut(width) {
            let [first, inside, fallback, owed] = side else { continue };
            let Some(answer) = space.get(*first).constant() else { continue };
            let terminated = answer.first().is_some_and(|leaf| leaf.kind() == LeafKind::Intercept);
            if !terminated {
                (*inside, *fallback, *owed) = (empty, empty, empty);
            }
        }
    };
    let count = old.list(layer).len() + new.list(layer).len();
    let question = Question { stop: &stop, trim: &trim, keep: SHOWN, budget: budget(count), ..Question::default() };
    let summary = match layer {
        Layer::Dns => {
            let effect = |leaf: Child| format!("{:?}{}", leaf.kind(), treatment_key(sides, layer, Some(leaf), &[]));
            Rc::new(names::outcomes(space, sides, &effect, SHOWN))
        }
        _ => explore(space, all, &question),
    };
    let mut unproven = summary.open;
    let mut grouped: BTreeMap<Sameness, Vec<(Outcome, Way)>> = BTreeMap::new();
    for (outcome, ways) in &summary.found {
        let (kind, what) = match change(sides, layer, width, outcome) {
            Some(change) => change,
            None => continue,
        };
        let (before, after) = outcome.split_at(width.min(outcome.len()));
        let key = (kind, Answers { lists: before }.leaf(layer), Answers { lists: after }.leaf(layer), what);
        let group = grouped.entry(key).or_default();
        group.extend(ways.iter().map(|way| (outcome.clone(), way.clone())));
    }
    for ((kind, before, after, what), mut ways) in grouped {
        ways.sort_by_key(|(_, way)| way.as_ref().map_or(0, |way| way.cost()));
        let mut examples: Vec<Example> = Vec::new();
        for (outcome, way) in &ways {
            if examples.len() == SHOWN {
                break;
            }
            let shown = example(space.formulas, layer, way.as_ref()).and_then(|example| {
                let usual = example.get(Field::NetworkPort).and_then(Value::as_u64);
                let usual = usual.and_then(|port| u16::try_from(port).ok());
                // With a port that the rules are about, where the port does not matter to who decides.
                let port = usual.and_then(|usual| telling_port(sides, [before, after], kind, usual));
                let with_port = port.and_then(|port| example.clone().at_port(port));
                [with_port, Some(example)]
                    .into_iter()
                    .flatten()
                    .find(|example| confirmed(space.formulas, sides, layer, width, outcome, example))
            });
            match shown {
                Some(mut shown) => {
                    let tunnels = outcome.split_at(width.min(outcome.len()));
                    if layer == Layer::Https
                        && !(Answers { lists: tunnels.0 }.intercepted() || Answers { lists: tunnels.1 }.intercepted())
                    {
                        shown = shown.into_connection();
                    }
                    if !examples.iter().any(|known| known.region == shown.region) {
                        examples.push(shown);
                    }
                }
                None => unproven = true,
            }
        }
        if examples.is_empty() {
            continue;
        }
        let rule = |leaf: Option<Child>| leaf.and_then(|leaf| sides.iter().find_map(|side| side.rule(leaf)));
        let place = layer;
        let layer = examples.first().map_or(layer, |example| example.layer);
        let more = ways.len() > examples.len();
        let [before, after] = [(before, &sides[0]), (after, &sides[1])].map(|(leaf, side)| {
            // A block that does what the default does is still the one that refuses, if it is the same for all examples.
            let blocked = |example: &Example| {
                let request = example.request()?;
                let (passes, leaf, _) = replay(space.formulas, side, place, &request);
                rule(leaf.filter(|_| !passes))
            };
            rule(leaf).or_else(|| same_rule(examples.iter().map(blocked)))
        });
        difference.changes.push(Change { kind, layer, before, after, what, examples, more });
    }
    if unproven {
        difference.unproven.push(Unproven::of(space, &[old, new], layer));
    }
}

/// The rule that all name.
fn same_rule<'p>(mut rules: impl Iterator<Item = Option<&'p Rule>>) -> Option<&'p Rule> {
    let first = rules.next().flatten()?;
    rules.all(|rule| rule.is_some_and(|rule| rule.id == first.id)).then_some(first)
}

/// A port that shows a change: open on the side that allows more and, if possible, not on the other.
fn telling_port(sides: &[Side<'_>; 2], leaves: [Option<Child>; 2], kind: Kind, usual: u16) -> Option<u16> {
    let [before, after] = leaves.map(|leaf| {
        let rule = leaf.filter(|leaf| leaf.passes()).and_then(|leaf| sides.iter().find_map(|side| side.rule(leaf)));
        rule.and_then(|rule| rule.egress.as_ref()).map(|egress| egress.ports.clone()).unwrap_or_default()
    });
    let (open, other) = if kind.widens() { (after, before) } else { (before, after) };
    let within = |ports: &[PortRange], port: u16| ports.iter().any(|range| (range.low..=range.high).contains(&port));
    let mut candidates: Vec<u16> = [usual, 443, 80].into_iter().collect();
    candidates.extend(open.iter().flat_map(|range| [range.low, range.high]));
    candidates.retain(|port| open.is_empty() || within(&open, *port));
    let beyond = candidates.iter().find(|port| !other.is_empty() && !within(&other, **port));
    beyond.or(candidates.first()).copied()
}

/// Whether a place is asked about for what is owed there only: what decides is told elsewhere.
fn owed_only(layer: Layer) -> bool {
    matches!(layer, Layer::Connect | Layer::Response)
}

fn treatment_key(sides: &[Side<'_>; 2], layer: Layer, leaf: Option<Child>, owed: &[Child]) -> String {
    match leaf {
        Some(leaf) => {
            let inside = if leaf.kind() == LeafKind::Intercept { Inside::Seen } else { Inside::Unseen };
            format!("{:?}", treatment(sides, layer, Some(leaf), inside, &[]))
        }
        None => owed
            .iter()
            .filter_map(|leaf| sides.iter().find_map(|side| side.rule(*leaf)))
            .map(|rule| format!("{:?}{:?}{:?}", rule.hold, rule.inject, rule.require_header))
            .collect(),
    }
}

/// What an outcome changes, if anything.
fn change(sides: &[Side<'_>; 2], layer: Layer, width: usize, outcome: &Outcome) -> Option<(Kind, Vec<String>)> {
    let (before, after) = outcome.split_at(width.min(outcome.len()));
    let [was, is] = [before, after].map(|lists| {
        let answers = Answers { lists };
        let owed = lists.last().map_or(&[][..], Vec::as_slice);
        let inside = if layer == Layer::Https { answers.inside() } else { Inside::Unseen };
        treatment(sides, layer, answers.leaf(layer), inside, owed)
    });
    if owed_only(layer) && !(was.passes && is.passes) {
        return None;
    }
    match (was.passes, is.passes) {
        (false, false) => return None,
        (false, true) => return Some((Kind::Allowed, Vec::new())),
        (true, false) => return Some((Kind::Refused, Vec::new())),
        (true, true) => {}
    }
    let mut what: Vec<(bool, bool, String)> = Vec::new();
    if layer != Layer::Dns && !owed_only(layer) {
        if was.mode != is.mode {
            let looser = is.mode == EgressMode::DirectIp || was.mode == EgressMode::Intercept;
            let what_of = match is.mode {
                EgressMode::Intercept => "TLS is looked into",
                EgressMode::DirectIp => "it goes past the proxy",
                EgressMode::Proxy if was.mode == EgressMode::Intercept => "TLS is no longer looked into",
                EgressMode::Proxy => "it goes through the proxy",
            };
            what.push((looser, !looser, format!("{what_of}: mode {} instead of {}", is.mode.name(), was.mode.name())));
        }
        // Whatever is no longer looked into is told of as that.
        if was.falls_back != is.falls_back && was.mode == is.mode {
            let text = match is.falls_back {
                true => "TLS that cannot be looked into goes through unseen",
                false => "TLS that cannot be looked into is refused",
            };
            what.push((is.falls_back, !is.falls_back, text.to_owned()));
        }
        if was.ports != is.ports {
            let covers = |wide: &[(u16, u16)], narrow: &[(u16, u16)]| {
                wide.is_empty()
                    || (!narrow.is_empty()
                        && narrow.iter().all(|(low, high)| {
                            (*low..=*high).all(|port| wide.iter().any(|(from, to)| (*from..=*to).contains(&port)))
                        }))
            };
            let looser = !covers(&was.ports, &is.ports);
            what.push((looser, !looser, format!("{} instead of {}", ports(&is.ports), ports(&was.ports))));
        }
    }
    if was.private != is.private && !owed_only(layer) {
        let text = if is.private { "private addresses are reached" } else { "private addresses are refused" };
        what.push((is.private, !is.private, text.to_owned()));
    }
    what.extend(duties_changed(&was.duties, &is.duties));
    let looser = what.iter().any(|(looser, _, _)| *looser);
    let tighter = what.iter().any(|(_, tighter, _)| *tighter);
    let kind = match (looser, tighter) {
        (true, _) => Kind::Loosened,
        (false, true) => Kind::Tightened,
        (false, false) => Kind::Changed,
    };
    let what: Vec<String> = what.into_iter().map(|(_, _, text)| text).collect();
    (!what.is_empty()).then_some((kind, what))
}

/// What is owed otherwise, each with whether less or more is in the way.
fn duties_changed(was: &[Duty], is: &[Duty]) -> Vec<(bool, bool, String)> {
    let only = |here: &[Duty], there: &[Duty]| -> [Vec<Duty>; 3] {
        let mut missing = [Vec::new(), Vec::new(), Vec::new()];
        let [holds, enriches, requires] = &mut missing;
        for duty in here.iter().filter(|duty| !there.contains(duty)) {
            match duty {
                Duty::Hold(_) => holds.push(duty.clone()),
                Duty::Enrich(_) => enriches.push(duty.clone()),
                Duty::Require(_) => requires.push(duty.clone()),
            }
        }
        missing
    };
    let ([gone, less, free], [come, more, bound]) = (only(was, is), only(is, was));
    let words = |duties: &[Duty]| duties.iter().map(Duty::words).collect::<Vec<_>>().join("; ");
    let covered = |duties: &[Duty], by: &[Duty]| duties.iter().all(|duty| by.iter().any(|it| it.is_as_strict_as(duty)));
    let mut what = Vec::new();
    if !gone.is_empty() || !come.is_empty() {
        let text = match (was.iter().any(|duty| matches!(duty, Duty::Hold(_))), come.is_empty()) {
            (_, true) if is.iter().any(|duty| matches!(duty, Duty::Hold(_))) => {
                format!("it is held by fewer rules: no longer {}", words(&gone))
            }
            (_, true) => "it is no longer held".to_owned(),
            (false, false) => format!("it is held: {}", words(&come)),
            (true, false) if gone.is_empty() => format!("it is held once more: {}", words(&come)),
            (true, false) => format!("it is held otherwise: {}, instead of {}", words(&come), words(&gone)),
        };
        what.push((!covered(&gone, is), covered(&gone, is) && !covered(&come, was), text));
    }
    for (duties, text) in [(less, "it no longer gets"), (more, "it gets")] {
        if !duties.is_empty() {
            what.push((false, false, format!("{text} {}", words(&duties))));
        }
    }
    for (duties, looser, text) in [(free, true, "it need no longer have"), (bound, false, "it must have")] {
        if !duties.is_empty() {
            what.push((looser, !looser, format!("{text} {}", words(&duties))));
        }
    }
    what
}

fn ports(ranges: &[(u16, u16)]) -> String {
    if ranges.is_empty() {
        return "any port".to_owned();
    }
    let ranges: Vec<String> =
        ranges.iter().map(|(low, high)| if low == high { low.to_string() } else { format!("{low}-{high}") }).collect();
    let one = matches!(ranges.as_slice(), [range] if !range.contains('-'));
    format!("port{} {}", if one { "" } else { "s" }, ranges.join(", "))
}

/// Whether both sides, each rule evaluated by itself, treat an example as the outcome says.
fn confirmed(
    formulas: &mut Formulas,
    sides: &[Side<'_>; 2],
    layer: Layer,
    width: usize,
    outcome: &Outcome,
    example: &Example,
) -> bool {
    let Some(request) = example.request() else { return false };
    let (before, after) = outcome.split_at(width.min(outcome.len()));
    sides.iter().zip([before, after]).all(|(side, lists)| {
        let answers = Answers { lists };
        let owed = lists.last().map_or(&[][..], Vec::as_slice);
        let leaf = answers.leaf(layer);
        let passes = leaf.is_some_and(Child::passes);
        let replayed = replay(formulas, side, layer, &request);
        let rules = match layer {
            Layer::Dns => replayed.0 == passes,
            // Blocks at the end were taken for the default.
            _ => {
                let same = replayed.1 == leaf || (leaf.is_none() && !replayed.0);
                same && replayed.0 == passes && replayed.2 == (layer == Layer::Https && answers.intercepted())
            }
        };
        // A tunnel owes nothing of what a request in it would.
        let blind = layer == Layer::Https && !answers.intercepted();
        rules && (!passes || blind || side.replay_duties(layer, &request) == owed)
    })
}

/// Whether a request passes, the leaf that decides, and whether that was inside a terminated connection.
fn replay(formulas: &mut Formulas, side: &Side<'_>, layer: Layer, request: &Request) -> (bool, Option<Child>, bool) {
    let (leaf, inside) = match layer {
        Layer::Dns => match side.replay(formulas, Layer::Dns, request) {
            None => return (side.resolves(formulas, request).unwrap_or(false), None, false),
            leaf => (leaf, false),
        },
        Layer::Https => match side.replay(formulas, Layer::Connect, request) {
            Some(leaf) if leaf.kind() == LeafKind::Intercept => (side.replay(formulas, Layer::Https, request), true),
            leaf => (leaf, false),
        },
        _ => (side.replay(formulas, layer, request), false),
    };
    (leaf.is_some_and(Child::passes), leaf, inside)
}

impl Example {
    /// The connection that a request is in.
    fn into_connection(mut self) -> Example {
        self.layer = Layer::Connect;
        if let Some(Value::Object(http)) = self.fields.get_mut("http") {
            http.retain(|name, _| matches!(name.as_str(), "host" | "scheme"));
        }
        put(&mut self.fields, Field::HttpMethod, None, "CONNECT".into());
        put(&mut self.fields, Field::HttpPath, None, "/".into());
        self
    }

    /// The request at another port, where the port is known and does not matter to who decides.
    fn at_port(mut self, port: u16) -> Option<Example> {
        if self.region.iter().any(|part| part.starts_with("network.port ")) {
            return None;
        }
        self.get(Field::NetworkPort)?;
        put(&mut self.fields, Field::NetworkPort, None, port.into());
        Some(self)
    }

    /// What the region says of the agent, if it says something: `is x`.
    pub fn agent(&self) -> Option<&str> {
        self.region.iter().find_map(|part| part.strip_prefix("agent.name "))
    }
}
