//! The exact answers of the analysis against the reference evaluator, on random policies: what is said never to happen
//! does not happen, and what is shown does.
//!
//! `OUTCALL_ANALYSIS_POLICIES` asks for more policies, as 100,000, `OUTCALL_ANALYSIS_SEED` for another beginning.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where its own lists are shorter than it thinks"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use outcall_compiler::analyse::{Analysis, Answer, Example, Fate, Kind, Wanted, diff, query};
use outcall_compiler::cel::{self, Env};
use outcall_schema::decision::{Action, NameVerdict, RuleIndex, Verdict};
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{FIELDS, Field, FieldType, Knowledge};
use outcall_schema::layer::Layer;
use outcall_tests::generate::Random;
use outcall_tests::generate::condition::Conditions;
use outcall_tests::generate::policy::{policy, resolved, rule};
use outcall_tests::generate::request::Constants;
use outcall_tests::reference::compare::{Artifacts, Reader, compile};
use outcall_tests::reference::policy::Policy;
use outcall_tests::reference::value::{Request, Value};

/// Policies in a run of a minute on two cores.
const POLICIES: u64 = 20_000;
/// Requests for each.
const REQUESTS: usize = 10;

const DECIDED: [Layer; 7] =
    [Layer::Dns, Layer::Network, Layer::Connect, Layer::Http, Layer::Https, Layer::Docker, Layer::Run];

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// A request of which everything is known that the layer ever knows.
fn whole(constants: &Constants, random: &mut Random, layer: Layer) -> Request {
    let mut request = constants.request(random, layer);
    for row in FIELDS {
        if matches!(row.field.knowledge(layer), Some(Knowledge::From(_))) {
            request.known.entry(row.field).or_insert_with(|| constants.value(random, row.field));
        }
    }
    // An address is never a server name (RFC 6066, section 3); such a ClientHello is refused before any rule is asked.
    if let Some(Value::Str(name)) = request.known.get_mut(&Field::TlsSni)
        && name.parse::<std::net::IpAddr>().is_ok()
    {
        name.clear();
    }
    request
}

/// The reference's verdict, where it has one: at connect it may depend on what could be inside.
fn verdict(
    policy: &Policy,
    layer: Layer,
    request: &Request,
    constants: &Constants,
    random: &mut Random,
) -> Option<Verdict> {
    if layer != Layer::Connect {
        return policy.possible(layer, request).first().copied();
    }
    let mut samples = |_: &_| (0..6).map(|_| constants.request(random, Layer::Https)).collect();
    let (upper, lower) = policy.connect(request, &mut samples);
    (upper.first() == lower.first()).then(|| upper.first().copied()).flatten()
}

fn index(verdict: Verdict) -> Option<usize> {
    match verdict {
        Verdict::Allow(RuleIndex(rule))
        | Verdict::Intercept(RuleIndex(rule))
        | Verdict::Block(Some(RuleIndex(rule))) => Some(rule as usize),
        Verdict::Block(None) => None,
    }
}

/// An example's fields as the reference takes them.
fn of_example(example: &Example) -> Request {
    let mut request = Request::default();
    for row in FIELDS {
        let Some(value) = example.get(row.field) else { continue };
        let value = match row.field.row().ty {
            FieldType::StringMap => {
                let entries = value.as_object().unwrap().iter();
                Value::Map(entries.map(|(name, value)| (Value::text(name), Value::from_json(value))).collect())
            }
            _ => Value::from_json(value),
        };
        request.known.insert(row.field, value);
    }
    request
}

struct Case<'a> {
    policy: &'a Policy,
    constants: Constants,
    requests: Vec<(Layer, Request)>,
}

impl<'a> Case<'a> {
    fn new(policy: &'a Policy, others: &[&Policy], focus: Layer, random: &mut Random) -> Case<'a> {
        let mut constants = Constants::default();
        for policy in others.iter().copied().chain([policy]) {
            policy.rules.iter().for_each(|rule| constants.collect(&rule.condition));
        }
        let mut requests = Vec::new();
        for _ in 0..REQUESTS {
            let layer = if random.once_in(3) { *random.pick(&DECIDED) } else { focus };
            requests.push((layer, whole(&constants, random, layer)));
        }
        Case { policy, constants, requests }
    }

    fn reach(&self, random: &mut Random) -> Result<BTreeMap<&'static str, u64>, String> {
        let resolved = resolved(self.policy).unwrap();
        let found = Analysis::new(&resolved).reach();
        let intercepts = !self.policy.hosts.is_empty()
            || self.policy.rules.iter().any(|rule| rule.action == Action::Allow && rule.mode == EgressMode::Intercept);
        let mut truths: BTreeMap<(usize, Layer), (bool, bool)> = BTreeMap::new();
        for (layer, request) in &self.requests {
            if *layer == Layer::Https && !intercepts {
                continue;
            }
            let verdict = verdict(self.policy, *layer, request, &self.constants, random);
            let decided = verdict.and_then(index);
            if let Some(rule) = decided
                && !matches!(found.fates[rule], Fate::Reached | Fate::Unknown)
            {
                return Err(format!("rule {rule} decides at {layer} and is {:?}: {request:?}", found.fates[rule]));
            }
            for (number, rule) in self.policy.rules.iter().enumerate() {
                let truth = rule.truth(*layer, request);
                let seen = truths.entry((number, *layer)).or_default();
                *if truth.certain() { &mut seen.0 } else { &mut seen.1 } = true;
                if !truth.certain() {
                    continue;
                }
                let fate = &found.fates[number];
                let passes = matches!(verdict, Some(Verdict::Allow(_)));
                let owed = matches!(rule.action, Action::Hold | Action::Enrich);
                let wrong = match fate {
                    // An allow rule at `dns` is about ordinary types only, and nothing is held or added there.
                    Fate::Never if owed => !matches!(layer, Layer::Dns | Layer::Network),
                    Fate::Never => *layer != Layer::Dns || rule.action != Action::Allow,
                    Fate::Behind(rules) => {
                        !rules.is_empty()
                            && decided.is_some_and(|decided| !rules.contains(&decided))
                            && *layer != Layer::Dns
                            && *layer != Layer::Connect
                    }
                    Fate::Refused => owed && passes && !matches!(layer, Layer::Dns | Layer::Network),
                    Fate::Reached | Fate::Unknown => false,
                };
                if wrong {
                    return Err(format!("rule {number} is true at {layer}, {verdict:?}, and is {fate:?}: {request:?}"));
                }
            }
        }
        for rule in &found.always {
            let mixed = truths.iter().find(|((number, _), seen)| number == rule && **seen == (true, true));
            if let Some(((_, layer), _)) = mixed {
                return Err(format!("rule {rule} is called always true and is not at {layer}"));
            }
        }
        let mut counts = BTreeMap::new();
        for fate in &found.fates {
            let name = match fate {
                Fate::Reached => "reached",
                Fate::Never => "never true",
                Fate::Behind(_) => "behind others",
                Fate::Refused => "owed by nothing",
                Fate::Unknown => "not proven",
            };
            *counts.entry(name).or_default() += 1;
        }
        counts.insert("always true", found.always.len() as u64);
        Ok(counts)
    }

    fn query(&self, condition: &str, random: &mut Random) -> Result<&'static str, String> {
        let resolved = resolved(self.policy).unwrap();
        let Ok(expr) = cel::parse_and_check(condition, &Env::rule()) else { return Ok("no query") };
        // Reads bodies, as the query does.
        let asked = rule(Action::Block, condition.to_owned(), EgressMode::Proxy, true, false).unwrap();
        match query(&resolved, &expr, Wanted::Allow) {
            Answer::Unknown(..) => Ok("query not proven"),
            Answer::None => {
                for (layer, request) in &self.requests {
                    if *layer == Layer::Https || !asked.truth(*layer, request).certain() {
                        continue;
                    }
                    if let Some(Verdict::Allow(rule)) = verdict(self.policy, *layer, request, &self.constants, random) {
                        return Err(format!(
                            "`{condition}` is said to allow nothing, {rule:?} at {layer}: {request:?}"
                        ));
                    }
                }
                Ok("query no")
            }
            Answer::Some(found) => {
                for witness in found {
                    let request = of_example(&witness.example);
                    let layer = witness.example.layer;
                    if !asked.truth(layer, &request).certain() {
                        return Err(format!("`{condition}` is not true of its example: {request:?}"));
                    }
                    // That a name follows from a rule is the table's own business, tried elsewhere.
                    let implied = layer == Layer::Dns;
                    let at = if witness.tunnelled { Layer::Connect } else { layer };
                    let seen = if witness.tunnelled { tunnelled(&request) } else { request.clone() };
                    match verdict(self.policy, at, &seen, &self.constants, random) {
                        None | Some(Verdict::Allow(_)) => {}
                        Some(other) if implied && other == Verdict::DEFAULT => {}
                        Some(other) => {
                            return Err(format!("`{condition}`: its example is {other:?} at {at}: {request:?}"));
                        }
                    }
                }
                Ok("query yes")
            }
        }
    }
}

/// The connection that a request is in.
fn tunnelled(request: &Request) -> Request {
    let mut tunnel = request.clone();
    for field in [Field::HttpHeaders, Field::HttpBody, Field::HttpBodySize] {
        tunnel.known.remove(&field);
    }
    tunnel.known.insert(Field::HttpMethod, Value::text("CONNECT"));
    tunnel.known.insert(Field::HttpPath, Value::text("/"));
    tunnel
}

/// What passes of a verdict.
fn passing(policy: &Policy, verdict: Verdict) -> Option<(EgressMode, bool)> {
    match verdict {
        Verdict::Allow(RuleIndex(rule)) => {
            let rule = &policy.rules[rule as usize];
            Some((rule.mode, rule.private))
        }
        Verdict::Intercept(_) => Some((EgressMode::Intercept, false)),
        Verdict::Block(_) => None,
    }
}

fn compare(before: &Policy, after: &Policy, case: &Case<'_>, random: &mut Random) -> Result<&'static str, String> {
    let (old, new) = (resolved(before).unwrap(), resolved(after).unwrap());
    let difference = diff(&old, &new);
    for (layer, request) in &case.requests {
        // Inside a connection counts what became of the connection; implied names are tried with the tables.
        if !difference.is_none() || matches!(layer, Layer::Https | Layer::Dns) {
            continue;
        }
        let was = verdict(before, *layer, request, &case.constants, random);
        let is = verdict(after, *layer, request, &case.constants, random);
        let (Some(was), Some(is)) = (was, is) else { continue };
        let same = match layer {
            Layer::Connect => passing(before, was).is_some() == passing(after, is).is_some(),
            _ => passing(before, was).map(|it| it.1) == passing(after, is).map(|it| it.1),
        };
        // Terminating a connection in which everything is refused refuses it as well.
        let terminated = matches!(was, Verdict::Intercept(_)) || matches!(is, Verdict::Intercept(_));
        if !same && !terminated {
            return Err(format!("said to be the same, but {was:?} became {is:?} at {layer}: {request:?}"));
        }
    }
    // Names that follow from rules are the tables' own business, so it is the tables that are asked.
    let names = case.requests.iter().filter(|(layer, _)| *layer == Layer::Dns).map(|(_, request)| request.clone());
    let names: Vec<Request> = names.collect();
    let shown = difference.changes.iter().filter(|change| change.layer == Layer::Dns);
    let shown: Vec<(Kind, Request)> =
        shown.flat_map(|change| change.examples.iter().map(|example| (change.kind, of_example(example)))).collect();
    // Today a name is not told that follows from a rule no more, or anew, because of a block before that rule: only that
    // requests to it are refused, or allowed. So silence at `dns` alone proves nothing.
    let silent = difference.is_none();
    if ((silent && !names.is_empty()) || !shown.is_empty())
        && let (Some(was), Some(is)) = (compile(before)?, compile(after)?)
    {
        let answered = |artifacts: &Artifacts, request: &Request| {
            !matches!(request.with_facts(|facts| artifacts.lookup(facts)), NameVerdict::Block(_))
        };
        for request in names.iter().filter(|_| silent) {
            if answered(&was, request) != answered(&is, request) {
                return Err(format!("said to be the same at dns, and is not: {request:?}"));
            }
        }
        for (kind, request) in &shown {
            let expected = match kind {
                Kind::Allowed => (false, true),
                Kind::Refused => (true, false),
                _ => (true, true),
            };
            if (answered(&was, request), answered(&is, request)) != expected {
                return Err(format!("{kind:?} at dns shown by {request:?}"));
            }
        }
    }
    for change in &difference.changes {
        for example in &change.examples {
            let layer = example.layer;
            if matches!(layer, Layer::Dns | Layer::Https) {
                continue;
            }
            let request = if layer == Layer::Connect { tunnelled(&of_example(example)) } else { of_example(example) };
            let was = verdict(before, layer, &request, &case.constants, random);
            let is = verdict(after, layer, &request, &case.constants, random);
            let (Some(was), Some(is)) = (was, is) else { continue };
            let (was, is) = (passing(before, was).is_some(), passing(after, is).is_some());
            let expected = match change.kind {
                Kind::Allowed => (false, true),
                Kind::Refused => (true, false),
                _ => (true, true),
            };
            if (was, is) != expected {
                return Err(format!("{:?} at {layer} shown by {request:?}, which was {was} and is {is}", change.kind));
            }
        }
    }
    Ok(match () {
        () if difference.is_none() => "diff none",
        () if difference.changes.is_empty() => "diff not proven",
        () => "diff some",
    })
}

/// A policy with one thing about it changed; `None` where nothing could be.
fn edited(policy: &Policy, random: &mut Random) -> Option<Policy> {
    let mut edited = policy.clone();
    let at = random.below(policy.rules.len());
    match random.below(5) {
        0 => drop(edited.rules.remove(at)),
        1 if policy.rules.len() > 1 => {
            let other = random.below(policy.rules.len());
            edited.rules.swap(at, other);
        }
        2 => {
            let text = format!("({}) || false", edited.rules[at].text);
            let old = &policy.rules[at];
            let same = rule(old.action, text, old.mode, old.match_body, old.private)?;
            edited.rules[at] = same;
        }
        3 => edited.rules[at].private = !edited.rules[at].private,
        _ => {
            edited.rules[at].action =
                if edited.rules[at].action == Action::Allow { Action::Block } else { Action::Allow };
        }
    }
    Some(edited)
}

fn shown(policy: &Policy) -> String {
    let rules = policy.rules.iter().enumerate().map(|(number, rule)| {
        format!(
            "  {number} {:?} {:?} body {} private {}: {}\n",
            rule.action, rule.mode, rule.match_body, rule.private, rule.text
        )
    });
    format!("{}  hosts {:?} bypass {:?}", rules.collect::<String>(), policy.hosts, policy.bypass)
}

#[test]
fn what_is_proven_holds_and_what_is_shown_happens() {
    check(number("OUTCALL_ANALYSIS_SEED", 1));
}

/// The second half, so that two processors take half as long.
#[test]
fn what_is_proven_of_other_policies_holds_and_what_is_shown_happens() {
    check(number("OUTCALL_ANALYSIS_SEED", 1) + 1_000_000);
}

fn check(seed: u64) {
    let policies = number("OUTCALL_ANALYSIS_POLICIES", POLICIES) / 2;
    let started = Instant::now();
    let mut random = Random::new(seed);
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for number in 0..policies {
        let focus = *random.pick(&DECIDED);
        let policy = policy(&mut random, focus);
        if policy.rules.is_empty() {
            continue;
        }
        let edited = edited(&policy, &mut random);
        let others: Vec<&Policy> = edited.iter().collect();
        let case = Case::new(&policy, &others, focus, &mut random);
        let fail = |why: String| panic!("seed {seed}, policy {number}: {why}\n{}", shown(&policy));
        match case.reach(&mut random) {
            Ok(found) => found.into_iter().for_each(|(name, count)| *counts.entry(name).or_default() += count),
            Err(why) => fail(why),
        }
        let depth = random.below(3);
        let condition = Conditions::new(&mut random, Some(focus)).boolean(depth);
        match case.query(&condition, &mut random) {
            Ok(name) => *counts.entry(name).or_default() += 1,
            Err(why) => fail(why),
        }
        if let Some(edited) = &edited {
            match compare(&policy, edited, &case, &mut random) {
                Ok(name) => *counts.entry(name).or_default() += 1,
                Err(why) => fail(format!("{why}\nedited: {}", shown(edited))),
            }
        }
    }
    println!("{policies} policies in {:.0?}: {counts:?}", started.elapsed());
    for name in
        ["reached", "never true", "behind others", "always true", "query yes", "query no", "diff none", "diff some"]
    {
        assert!(
            counts.get(name).is_some_and(|count| count * 200 > policies || policies < 1_000),
            "hardly any {name}: {counts:?}"
        );
    }
}
