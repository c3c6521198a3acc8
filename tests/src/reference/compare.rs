//! A compiled policy beside the reference: asks both, and says where they differ.

use std::cell::Cell;

use outcall_compiler::emit;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::decision::{Action, NameVerdict, Outcome, RuleIndex, Verdict};
use outcall_schema::facts::Facts;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use super::policy::{ANSWER, Fallback, INSIDE, Policy, Rule, reads};
use super::value::{Request, Value};
use crate::generate::Random;
use crate::generate::policy::resolved;
use crate::generate::request::{Constants, at_stage, stages};

/// How many random requests stand for all those that could be made inside a connection or for a name.
const SAMPLES: usize = 12;

/// What answers questions: the compiled artifacts, or something put in their place to see the comparison fail.
pub trait Reader {
    /// [`MatchProgram::decide`]
    fn decide(&self, layer: Layer, facts: &Facts<'_>) -> Outcome;
    /// [`MatchProgram::obligations`]: the rules, and whether that is all.
    fn obligations(&self, layer: Layer, facts: &Facts<'_>) -> (Vec<RuleIndex>, bool);
    /// [`MatchProgram::fallback`]
    fn fallback(&self, facts: &Facts<'_>) -> Outcome;
    /// [`DnsTable::lookup`]
    fn lookup(&self, facts: &Facts<'_>) -> NameVerdict;
}

/// The artifacts.
#[derive(Debug)]
pub struct Artifacts {
    program: MatchProgram,
    dns: DnsTable,
}

impl Reader for Artifacts {
    fn decide(&self, layer: Layer, facts: &Facts<'_>) -> Outcome {
        self.program.decide(layer, facts)
    }

    fn obligations(&self, layer: Layer, facts: &Facts<'_>) -> (Vec<RuleIndex>, bool) {
        let obligations = self.program.obligations(layer, facts);
        (obligations.rules, obligations.settled)
    }

    fn fallback(&self, facts: &Facts<'_>) -> Outcome {
        self.program.fallback(facts)
    }

    fn lookup(&self, facts: &Facts<'_>) -> NameVerdict {
        self.dns.lookup(facts)
    }
}

/// Compiles a policy; `None` where the compiler has a finding against it.
///
/// # Errors
/// Artifacts that their own readers refuse.
pub fn compile(policy: &Policy) -> Result<Option<Artifacts>, String> {
    let Some(resolved) = resolved(policy) else { return Ok(None) };
    let (artifacts, _) = emit::artifacts(&resolved);
    let Some(artifacts) = artifacts else { return Ok(None) };
    let program = MatchProgram::from_bytes(artifacts.proxy.into()).map_err(|error| format!("proxy.prog: {error}"))?;
    let dns = DnsTable::from_bytes(artifacts.dns.into()).map_err(|error| format!("dns.table: {error}"))?;
    Ok(Some(Artifacts { program, dns }))
}

/// One policy with everything needed to ask about it.
pub struct Comparison<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// The compiled side.
    pub reader: &'a dyn Reader,
    /// What the policy mentions, for samples.
    pub constants: &'a Constants,
    /// How often the compiled side left open what Kleene's logic tells: safe, but later than it need be.
    pub imprecise: &'a Cell<u64>,
}

fn passes(verdict: Verdict) -> bool {
    verdict.passes()
}

fn position(verdict: Verdict) -> u32 {
    verdict.rule().map_or(u32::MAX, |rule| rule.0)
}

impl Comparison<'_> {
    /// Asks every question that a request gives rise to at a layer.
    ///
    /// # Errors
    /// The first difference, in words.
    pub fn check(&self, layer: Layer, request: &Request, random: &mut Random) -> Result<(), String> {
        match layer {
            Layer::Dns => return self.check_name(request, random),
            Layer::Response => {}
            _ => self.check_decision(layer, request, random)?,
        }
        if layer == Layer::Connect {
            self.check_fallback(request, random)?;
        }
        match layer {
            Layer::Dns | Layer::Network => Ok(()),
            _ => self.check_obligations(layer, request),
        }
    }

    fn decide(&self, layer: Layer, request: &Request) -> Outcome {
        request.with_facts(|facts| self.reader.decide(layer, facts))
    }

    /// Every answer that the reference cannot rule out, and one that comes no earlier than the right one.
    fn answers(&self, layer: Layer, request: &Request, random: &mut Random) -> (Vec<Verdict>, Option<Verdict>) {
        if layer == Layer::Connect {
            let mut samples = |rule: &Rule| self.samples(rule, random);
            let (upper, lower) = self.policy.connect(request, &mut samples);
            (upper, lower.first().copied().filter(|_| request.pending.is_empty()))
        } else {
            (self.policy.possible(layer, request), None)
        }
    }

    /// Values for what is inside a connection, out of what the rule mentions.
    fn samples(&self, rule: &Rule, random: &mut Random) -> Vec<Request> {
        let mut own = Constants::default();
        own.collect(&rule.condition);
        (0..SAMPLES)
            .map(|_| {
                let known = INSIDE.into_iter().map(|field| (field, own.value(random, field))).collect();
                Request { known, pending: Vec::new() }
            })
            .collect()
    }

    fn check_decision(&self, layer: Layer, request: &Request, random: &mut Random) -> Result<(), String> {
        let last = self.check_final(layer, request, random)?;
        for stage in stages(layer).into_iter().skip(1) {
            let early = at_stage(request, layer, stage);
            let (possible, _) = self.answers(layer, &early, random);
            let answer = self.decide(layer, &early);
            let told = |wrong: &str| {
                Err(format!(
                    "at {layer} before {stage:?} is over: {wrong}: compiled {answer:?}, reference {possible:?}, later {last:?}"
                ))
            };
            let may_pass = possible.iter().any(|verdict| passes(*verdict));
            match (answer, possible.as_slice()) {
                // Where nothing can pass any more, which rule is named is settled by the last question.
                (Outcome::Decided(verdict), _) if !may_pass && !passes(verdict) => {}
                (Outcome::Undecided, _) if !may_pass || possible.len() == 1 => {
                    self.imprecise.set(self.imprecise.get() + 1);
                }
                (Outcome::Undecided, _) => {}
                (Outcome::Decided(verdict), _)
                    if self.may_look_inside(layer, verdict) && !possible.contains(&verdict) =>
                {
                    self.imprecise.set(self.imprecise.get() + 1);
                }
                (Outcome::Decided(verdict), _) if passes(verdict) && !possible.contains(&verdict) => {
                    return told("impossible");
                }
                (Outcome::Decided(verdict), _) => {
                    let mut completions = vec![last];
                    for _ in 0..2 {
                        let mut other = early.clone();
                        for field in std::mem::take(&mut other.pending) {
                            other.known.insert(field, self.constants.value(random, field));
                        }
                        completions.push(self.check_final(layer, &other, random)?);
                    }
                    let agrees = |last: &Verdict| if passes(verdict) { *last == verdict } else { !passes(*last) };
                    if !completions.iter().all(agrees) {
                        return told(&format!("decided too early: {completions:?}"));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_final(&self, layer: Layer, request: &Request, random: &mut Random) -> Result<Verdict, String> {
        let (possible, shown) = self.answers(layer, request, random);
        let verdict = match self.decide(layer, request) {
            Outcome::Decided(verdict) => verdict,
            // Without a word on headers, nothing passes that asks for them.
            Outcome::Undecided if withheld(layer, request) => return Ok(Verdict::DEFAULT),
            Outcome::Undecided => {
                return Err(format!("at {layer}: undecided with everything known, reference {possible:?}"));
            }
        };
        // Which refusal it is may then not be known either.
        if withheld(layer, request) && !passes(verdict) {
            return Ok(verdict);
        }
        let late = shown.is_some_and(|shown| position(verdict) > position(shown));
        if late || !possible.contains(&verdict) {
            if !late && self.may_look_inside(layer, verdict) {
                self.imprecise.set(self.imprecise.get() + 1);
                return Ok(verdict);
            }
            return Err(format!(
                "at {layer}: compiled {verdict:?}, reference {possible:?}, shown by a sample {shown:?}"
            ));
        }
        Ok(verdict)
    }

    /// Whether a verdict intercepts by a rule that reads what is inside: more than a test of one field may be taken there
    /// for possible although it is not. Nothing passes by that; each request inside is decided by itself.
    fn may_look_inside(&self, layer: Layer, verdict: Verdict) -> bool {
        let Verdict::Intercept(RuleIndex(rule)) = verdict else { return false };
        layer == Layer::Connect && self.policy.rules.get(rule as usize).is_some_and(reads_inside)
    }

    /// Nothing may fall back that a sample speaks against; what does for certain must.
    fn check_fallback(&self, request: &Request, random: &mut Random) -> Result<(), String> {
        let samples = self.samples_of_all(random);
        let wanted = self.policy.fallback(request, &samples);
        let ask = |request: &Request| request.with_facts(|facts| self.reader.fallback(facts));
        let last = ask(request);
        match (last, &wanted) {
            (Outcome::Undecided, _) => return Err("fallback: undecided with everything known".to_owned()),
            (Outcome::Decided(Verdict::Intercept(_)), _) => return Err(format!("fallback: {last:?}")),
            (Outcome::Decided(Verdict::Allow(rule)), Fallback::Certain(found) | Fallback::Perhaps(found))
                if rule == *found => {}
            (Outcome::Decided(Verdict::Allow(_)), _) => {
                return Err(format!("fallback: compiled {last:?}, reference {wanted:?}"));
            }
            // More than a test of one field may be taken for false somewhere inside although it is not.
            (Outcome::Decided(_), Fallback::Certain(_)) if self.policy.rules.iter().any(reads_inside) => {
                self.imprecise.set(self.imprecise.get() + 1);
            }
            (Outcome::Decided(_), Fallback::Certain(_)) => {
                return Err(format!("fallback: compiled {last:?}, reference {wanted:?}"));
            }
            (Outcome::Decided(_), Fallback::Perhaps(_) | Fallback::Never(_)) => {}
        }
        for stage in stages(Layer::Connect).into_iter().skip(1) {
            let early = ask(&at_stage(request, Layer::Connect, stage));
            let agrees = match early {
                Outcome::Undecided => true,
                Outcome::Decided(Verdict::Allow(_)) => early == last,
                Outcome::Decided(_) => !last.may_pass(),
            };
            if !agrees {
                return Err(format!("fallback before {stage:?} is over: compiled {early:?}, later {last:?}"));
            }
        }
        Ok(())
    }

    /// Requests inside a connection with their responses, out of what each rule mentions.
    fn samples_of_all(&self, random: &mut Random) -> Vec<Request> {
        let rules = self.policy.rules.iter().filter(|rule| reads_inside(rule));
        let mut samples: Vec<Request> = rules.flat_map(|rule| self.samples(rule, random)).collect();
        if samples.is_empty() {
            samples.push(Request::default());
        }
        for sample in &mut samples {
            sample.known.extend(ANSWER.map(|field| (field, self.constants.value(random, field))));
        }
        samples
    }

    fn check_obligations(&self, layer: Layer, request: &Request) -> Result<(), String> {
        let ask = |request: &Request| request.with_facts(|facts| self.reader.obligations(layer, facts));
        let (wanted, _) = self.policy.obligations(layer, request);
        let (last, settled) = ask(request);
        let held_back = withheld(layer, request);
        if (last != wanted || !settled) && !held_back {
            return Err(format!("obligations at {layer}: compiled {last:?} settled {settled}, reference {wanted:?}"));
        }
        for stage in stages(layer).into_iter().skip(1) {
            let early = at_stage(request, layer, stage);
            let (certain, possible) = self.policy.obligations(layer, &early);
            let (rules, settled) = ask(&early);
            let wrong = !rules.iter().all(|rule| wanted.contains(rule)) || (settled && rules != wanted);
            if !wrong && !settled && (certain == possible || !certain.iter().all(|rule| rules.contains(rule))) {
                self.imprecise.set(self.imprecise.get() + 1);
            }
            if wrong {
                return Err(format!(
                    "obligations at {layer} before {stage:?} is over: compiled {rules:?} settled {settled}, reference \
                     certain {certain:?} possible {possible:?}, later {wanted:?}"
                ));
            }
        }
        Ok(())
    }

    fn check_name(&self, request: &Request, random: &mut Random) -> Result<(), String> {
        let mut request = request.clone();
        for field in [Field::DnsQuery, Field::DnsRecordType, Field::AgentName] {
            request.known.entry(field).or_insert_with(|| self.constants.value(random, field));
        }
        let answer = request.with_facts(|facts| self.reader.lookup(facts));
        let told = |wanted: String| Err(format!("dns: compiled {answer:?}, reference {wanted}"));
        let wanted = match self.policy.possible(Layer::Dns, &request).as_slice() {
            [Verdict::Allow(rule)] => NameVerdict::Allow(*rule),
            [Verdict::Block(Some(rule))] => NameVerdict::Block(Some(*rule)),
            [Verdict::Block(None)] => return self.check_implied(&request, answer, random),
            other => return told(format!("{other:?}")),
        };
        if answer == wanted { Ok(()) } else { told(format!("{wanted:?}")) }
    }

    /// A name that no rule decides: answered where a request to it could pass.
    fn check_implied(&self, query: &Request, answer: NameVerdict, random: &mut Random) -> Result<(), String> {
        let told = |wanted: String| Err(format!("implied name: compiled {answer:?}, {wanted}"));
        let text = |field: Field| query.known.get(&field).cloned().unwrap_or(Value::Null);
        let usual =
            matches!(text(Field::DnsRecordType), Value::Str(name) if matches!(name.as_str(), "A" | "AAAA" | "HTTPS"));
        if !usual {
            return if answer == NameVerdict::Block(None) {
                Ok(())
            } else {
                told("the record type follows from nothing".to_owned())
            };
        }
        let named = |request: &mut Request| {
            request.known.insert(Field::AgentName, text(Field::AgentName));
            for field in [Field::HttpHost, Field::NetworkHostname, Field::TlsSni] {
                request.known.insert(field, text(Field::DnsQuery));
            }
        };
        // From above: everything but the name and the agent open.
        let open = |layer: Layer| {
            let mut request = at_stage(
                &self.constants.request(&mut Random::new(1), layer),
                layer,
                outcall_schema::layer::Stage::Body,
            );
            request.known.clear();
            named(&mut request);
            let fixed: Vec<Field> = request.known.keys().copied().collect();
            request.pending = outcall_schema::field::FIELDS
                .iter()
                .map(|row| row.field)
                .filter(|field| field.knowledge(layer).is_some() && !fixed.contains(field))
                .collect();
            request
        };
        let passing = |possible: Vec<Verdict>| -> Vec<RuleIndex> {
            possible
                .into_iter()
                .filter_map(|verdict| match verdict {
                    Verdict::Allow(rule) => Some(rule),
                    _ => None,
                })
                .collect()
        };
        let mut ways = passing(self.policy.possible(Layer::Http, &open(Layer::Http)));
        let connect = self.policy.connect(&open(Layer::Connect), &mut |_| Vec::new()).0;
        if connect.iter().any(|verdict| matches!(verdict, Verdict::Intercept(_))) {
            ways.extend(passing(self.policy.possible(Layer::Https, &open(Layer::Https))));
        }
        ways.extend(passing(connect));
        let private = |rule: &RuleIndex| self.policy.rules.get(rule.0 as usize).is_some_and(|rule| rule.private);
        match answer {
            NameVerdict::Implied { rule, private: says } => {
                let any = self.policy.rules.iter().any(|rule| rule.action == Action::Allow && rule.private);
                if says && !any {
                    return told("no rule opens private addresses".to_owned());
                }
                if !ways.contains(&rule) || (says && !ways.iter().any(private)) {
                    self.imprecise.set(self.imprecise.get() + 1);
                }
            }
            NameVerdict::Block(None) => {}
            _ => return told("no rule decides the query".to_owned()),
        }
        // From below: some request that does pass.
        for _ in 0..SAMPLES {
            for layer in [Layer::Http, Layer::Connect, Layer::Https] {
                let mut request = self.constants.request(random, layer);
                // A request that is made has all its fields.
                for row in outcall_schema::field::FIELDS {
                    if row.field.knowledge(layer).is_some() && !request.known.contains_key(&row.field) {
                        request.known.insert(row.field, self.constants.value(random, row.field));
                    }
                }
                named(&mut request);
                let (verdicts, _) = self.answers(layer, &request, random);
                let [Verdict::Allow(found)] = verdicts.as_slice() else { continue };
                if layer == Layer::Https && !self.intercepts(&request, random) {
                    continue;
                }
                let fits = match answer {
                    NameVerdict::Implied { rule, private: says } => rule <= *found && (says || !private(found)),
                    _ => false,
                };
                if !fits {
                    return told(format!("a request at {layer} passes by {found:?}: {request:?}"));
                }
            }
        }
        Ok(())
    }

    /// Whether a connection to the host of a request inside TLS is intercepted for certain.
    fn intercepts(&self, request: &Request, random: &mut Random) -> bool {
        let mut samples = |rule: &Rule| self.samples(rule, random);
        let (upper, _) = self.policy.connect(request, &mut samples);
        matches!(upper.as_slice(), [Verdict::Intercept(_)])
    }
}

/// Whether a rule reads what only a request inside a connection has, or its response.
fn reads_inside(rule: &Rule) -> bool {
    let names = INSIDE.iter().chain(&ANSWER).filter_map(|field| field.name().split_once('.'));
    names.into_iter().any(|(namespace, name)| reads(&rule.condition, namespace, name))
}

/// Whether nothing is said of headers where the layer knows them; the runtime always says.
fn withheld(layer: Layer, request: &Request) -> bool {
    [Field::HttpHeaders, Field::ResponseHeaders]
        .into_iter()
        .any(|field| field.knowledge(layer).is_some() && !request.known.contains_key(&field))
}
