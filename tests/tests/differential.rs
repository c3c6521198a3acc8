//! Compiled policies against the reference evaluator, on random policies and requests.
//!
//! `OUTCALL_DIFFERENTIAL_PAIRS` asks for more pairs, `OUTCALL_DIFFERENTIAL_SEED` for another beginning.
#![expect(clippy::indexing_slicing, reason = "a test stops where its own lists are shorter than it thinks")]

use std::cell::Cell;
use std::time::Instant;

use outcall_compiler::cel::ast::{Ast, AstKind};
use outcall_schema::decision::{Action, NameVerdict, Outcome, RuleIndex, Verdict};
use outcall_schema::egress::EgressMode;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;
use outcall_tests::generate::Random;
use outcall_tests::generate::policy::{policy, rule};
use outcall_tests::generate::request::Constants;
use outcall_tests::reference::compare::{Artifacts, Comparison, Reader, compile};
use outcall_tests::reference::policy::{Policy, Rule};
use outcall_tests::reference::value::{Request, Value};

/// The pairs of a run in a few minutes.
const PAIRS: u64 = 220_000;
/// Requests for each policy.
const REQUESTS: u64 = 120;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn constants(policy: &Policy) -> Constants {
    let mut constants = Constants::default();
    policy.rules.iter().for_each(|rule| constants.collect(&rule.condition));
    constants
}

/// Something done to the compiled side.
type Break = fn(Artifacts) -> Box<dyn Reader>;

/// Asks about one request, the same way for the same seed.
fn ask(policy: &Policy, layer: Layer, request: &Request, seed: u64, make: Break) -> Result<(), String> {
    let Some(artifacts) = compile(policy)? else { return Ok(()) };
    let reader = make(artifacts);
    let constants = constants(policy);
    let imprecise = Cell::new(0);
    let comparison = Comparison { policy, reader: reader.as_ref(), constants: &constants, imprecise: &imprecise };
    comparison.check(layer, request, &mut Random::new(seed))
}

/// A failing case with fewer rules, shorter conditions and fewer fields that fails still.
fn shrink(mut policy: Policy, layer: Layer, mut request: Request, seed: u64, make: Break) -> String {
    let fails = |policy: &Policy, request: &Request| ask(policy, layer, request, seed, make).is_err();
    let mut smaller = true;
    while smaller {
        smaller = false;
        for at in (0..policy.rules.len()).rev() {
            let mut fewer = policy.clone();
            fewer.rules.remove(at);
            if fails(&fewer, &request) {
                (policy, smaller) = (fewer, true);
                continue;
            }
            for part in parts(&policy.rules[at]) {
                let mut shorter = policy.clone();
                shorter.rules[at] = part;
                if fails(&shorter, &request) {
                    (policy, smaller) = (shorter, true);
                    break;
                }
            }
        }
        let lists: [fn(&mut Policy) -> &mut Vec<String>; 3] =
            [|policy| &mut policy.hosts, |policy| &mut policy.bypass, |policy| &mut policy.strict];
        for list in lists {
            let mut fewer = policy.clone();
            if !std::mem::take(list(&mut fewer)).is_empty() && fails(&fewer, &request) {
                (policy, smaller) = (fewer, true);
            }
        }
        let kept = |field: &Field| {
            matches!(
                field,
                Field::HttpHost
                    | Field::HttpBody
                    | Field::HttpHeaders
                    | Field::ResponseHeaders
                    | Field::DnsQuery
                    | Field::DnsRecordType
                    | Field::AgentName
            )
        };
        for field in request.known.keys().copied().filter(|field| !kept(field)).collect::<Vec<_>>() {
            let mut fewer = request.clone();
            fewer.known.remove(&field);
            if fails(&policy, &fewer) {
                (request, smaller) = (fewer, true);
            }
        }
    }
    let error = ask(&policy, layer, &request, seed, make).err().unwrap_or_default();
    let Policy { hosts, bypass, strict, .. } = &policy;
    let mut out = format!("{error}\n\ninterception hosts {hosts:?} bypass {bypass:?} strict {strict:?}\n");
    for rule in &policy.rules {
        let Rule { action, mode, match_body, private, text, .. } = rule;
        out += &format!("{} {} match_body={match_body} private={private}: {text}\n", action.name(), mode.name());
    }
    out + &format!("\n{layer}: {:?}\n", request.known)
}

/// The rule with a part of its condition instead of the whole.
fn parts(whole: &Rule) -> Vec<Rule> {
    fn collect<'a>(ast: &'a Ast, found: &mut Vec<&'a Ast>) {
        let children: Vec<&Ast> = match &ast.kind {
            AstKind::And(items) | AstKind::Or(items) => items.iter().collect(),
            AstKind::Not(operand) => vec![operand],
            AstKind::Conditional(one, two, three) => vec![one, two, three],
            _ => Vec::new(),
        };
        for child in children {
            found.push(child);
            collect(child, found);
        }
    }
    let mut found = Vec::new();
    collect(&whole.condition, &mut found);
    found
        .into_iter()
        .filter_map(|ast| {
            let text = whole.text.get(ast.span.clone())?.to_owned();
            rule(whole.action, text, whole.mode, whole.match_body, whole.private)
        })
        .filter(|part| part.text.len() < whole.text.len())
        .collect()
}

/// Runs policies until `pairs` requests have been asked; the first difference comes back, made small.
fn hunt(seed: u64, pairs: u64, make: Break) -> Result<String, String> {
    let started = Instant::now();
    let mut random = Random::new(seed);
    let imprecise = Cell::new(0);
    let (mut asked, mut policies, mut skipped, mut passed, mut tunnels) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    while asked < pairs {
        let focus = *random.pick(&Layer::ALL);
        let policy = policy(&mut random, focus);
        policies += 1;
        let Some(artifacts) = compile(&policy).map_err(|error| format!("seed {seed}: {error}: {policy:#?}"))? else {
            skipped += 1;
            continue;
        };
        let reader = make(artifacts);
        let constants = constants(&policy);
        let comparison =
            Comparison { policy: &policy, reader: reader.as_ref(), constants: &constants, imprecise: &imprecise };
        for _ in 0..REQUESTS {
            let layer = if random.once_in(3) { *random.pick(&Layer::ALL) } else { focus };
            let request = constants.request(&mut random, layer);
            let case = random.number();
            if comparison.check(layer, &request, &mut Random::new(case)).is_err() {
                let small = shrink(policy.clone(), layer, request, case, make);
                return Err(format!("seed {seed}, after {asked} pairs: {small}"));
            }
            passed += u64::from(request.with_facts(|facts| reader.decide(layer, facts)).may_pass());
            let tunnel = layer == Layer::Connect && request.with_facts(|facts| reader.fallback(facts)).may_pass();
            tunnels += u64::from(tunnel);
            asked += 1;
        }
    }
    // A policy is skipped only where the compiler refuses it, and requests pass often enough to mean something.
    assert!(skipped * 5 < policies, "{skipped} of {policies} policies were refused");
    assert!(passed * 10 > asked, "only {passed} of {asked} requests passed");
    assert!(tunnels * 1000 > asked, "only {tunnels} of {asked} requests were of connections that may fall back");
    Ok(format!(
        "{asked} pairs, {policies} policies, {skipped} refused, {passed} passing, {tunnels} that may fall back, {} answers later than need be, {:.1?}",
        imprecise.get(),
        started.elapsed()
    ))
}

/// Found here: where a caller left the headers or the body unknown instead of saying that there are none, the compiled
/// program took them for missing and null, and an allow rule about their absence matched.
#[test]
fn an_unknown_body_or_header_map_is_not_taken_for_an_absent_one() {
    for (condition, field) in [("!has(http.headers.x)", Field::HttpHeaders), ("http.body == null", Field::HttpBody)] {
        let allow = rule(Action::Allow, condition.to_owned(), EgressMode::Proxy, true, false).unwrap();
        let policy = Policy { rules: vec![allow], ..Policy::default() };
        let mut request = Constants::default().request(&mut Random::new(1), Layer::Http);
        request.known.remove(&field);
        let artifacts = compile(&policy).unwrap().unwrap();
        let compiled = request.with_facts(|facts| artifacts.decide(Layer::Http, facts));
        assert_eq!(compiled, Outcome::Undecided, "{condition}");
        assert_eq!(policy.possible(Layer::Http, &request), [Verdict::DEFAULT]);
    }
}

/// Found here: a body that is null took part in `hostMatches` as a string that is another.
#[test]
fn a_body_that_is_null_matches_no_host_pattern_and_fails_none() {
    let allow =
        rule(Action::Allow, "!hostMatches(http.body, \"example.com\")".to_owned(), EgressMode::Proxy, true, false)
            .unwrap();
    let policy = Policy { rules: vec![allow], ..Policy::default() };
    let artifacts = compile(&policy).unwrap().unwrap();
    let mut request = Constants::default().request(&mut Random::new(1), Layer::Http);
    for (body, verdict) in [
        (Value::Null, Verdict::DEFAULT),
        (Value::text("example.com"), Verdict::DEFAULT),
        (Value::text("example.net"), Verdict::Allow(RuleIndex(0))),
    ] {
        request.known.insert(Field::HttpBody, body);
        assert_eq!(policy.possible(Layer::Http, &request), [verdict]);
        assert_eq!(request.with_facts(|facts| artifacts.decide(Layer::Http, facts)), Outcome::Decided(verdict));
    }
}

/// Found here: a macro over a field that no request has was left open, so that every name followed from the rule.
#[test]
fn no_name_follows_from_a_macro_over_a_field_that_requests_do_not_have() {
    for condition in [
        "run.args.exists(x, x == \"a\")",
        "docker.volumes.all(x, x != \"a\")",
        "size(run.flags.filter(x, x == \"\")) > 0",
    ] {
        let allow = rule(Action::Allow, condition.to_owned(), EgressMode::Proxy, false, false).unwrap();
        let policy = Policy { rules: vec![allow], ..Policy::default() };
        let artifacts = compile(&policy).unwrap().unwrap();
        let facts = Facts {
            dns_query: Fact::Known("evil.example"),
            dns_record_type: Fact::Known("A"),
            agent_name: Fact::Known("ci"),
            ..Facts::default()
        };
        assert_eq!(artifacts.lookup(&facts), NameVerdict::Block(None), "{condition}");
    }
}

fn whole(artifacts: Artifacts) -> Box<dyn Reader> {
    Box::new(artifacts)
}

#[test]
fn compiled_policies_answer_as_the_reference_does() {
    let seed = number("OUTCALL_DIFFERENTIAL_SEED", 20_261_121);
    match hunt(seed, number("OUTCALL_DIFFERENTIAL_PAIRS", PAIRS), whole) {
        Ok(report) => println!("{report}"),
        Err(difference) => panic!("{difference}"),
    }
}

/// A reader that is wrong in one way, to see that the comparison finds it.
struct Wrong {
    artifacts: Artifacts,
    decide: fn(Outcome) -> Outcome,
    name: fn(NameVerdict) -> NameVerdict,
    obligations: fn(Vec<RuleIndex>, bool) -> (Vec<RuleIndex>, bool),
    fallback: fn(Outcome) -> Outcome,
}

impl Wrong {
    fn new(artifacts: Artifacts) -> Wrong {
        Wrong {
            artifacts,
            decide: |outcome| outcome,
            name: |name| name,
            obligations: |rules, settled| (rules, settled),
            fallback: |outcome| outcome,
        }
    }
}

impl Reader for Wrong {
    fn decide(&self, layer: Layer, facts: &Facts<'_>) -> Outcome {
        (self.decide)(self.artifacts.decide(layer, facts))
    }

    fn obligations(&self, layer: Layer, facts: &Facts<'_>) -> (Vec<RuleIndex>, bool) {
        let (rules, settled) = self.artifacts.obligations(layer, facts);
        (self.obligations)(rules, settled)
    }

    fn fallback(&self, facts: &Facts<'_>) -> Outcome {
        (self.fallback)(self.artifacts.fallback(facts))
    }

    fn lookup(&self, facts: &Facts<'_>) -> NameVerdict {
        (self.name)(self.artifacts.lookup(facts))
    }
}

#[test]
fn a_reader_that_is_wrong_in_any_one_way_is_found() {
    let wrong: [(&str, Break); 9] = [
        ("the last rule allows what it should block", |artifacts| {
            Box::new(Wrong {
                decide: |outcome| match outcome {
                    Outcome::Decided(Verdict::Block(Some(RuleIndex(6)))) => {
                        Outcome::Decided(Verdict::Allow(RuleIndex(6)))
                    }
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("a tunnel instead of interception", |artifacts| {
            Box::new(Wrong {
                decide: |outcome| match outcome {
                    Outcome::Decided(Verdict::Intercept(rule)) => Outcome::Decided(Verdict::Allow(rule)),
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("undecided is taken for blocked", |artifacts| {
            Box::new(Wrong {
                decide: |outcome| match outcome {
                    Outcome::Undecided => Outcome::Decided(Verdict::DEFAULT),
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("implied names are blocked", |artifacts| {
            Box::new(Wrong {
                name: |name| match name {
                    NameVerdict::Implied { .. } => NameVerdict::Block(None),
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("implied names open private addresses", |artifacts| {
            Box::new(Wrong {
                name: |name| match name {
                    NameVerdict::Implied { rule, .. } => NameVerdict::Implied { rule, private: true },
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("an obligation is lost", |artifacts| {
            Box::new(Wrong {
                obligations: |mut rules, settled| {
                    rules.pop();
                    (rules, settled)
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("obligations are called settled too early", |artifacts| {
            Box::new(Wrong { obligations: |rules, _| (rules, true), ..Wrong::new(artifacts) })
        }),
        ("what interception would have refused falls back", |artifacts| {
            Box::new(Wrong {
                fallback: |outcome| match outcome {
                    Outcome::Decided(Verdict::Block(Some(rule))) => Outcome::Decided(Verdict::Allow(rule)),
                    other => other,
                },
                ..Wrong::new(artifacts)
            })
        }),
        ("nothing falls back", |artifacts| {
            Box::new(Wrong { fallback: |_| Outcome::Decided(Verdict::DEFAULT), ..Wrong::new(artifacts) })
        }),
    ];
    for (what, make) in wrong {
        assert!(hunt(1, 40_000, make).is_err(), "not found: {what}");
    }
}
