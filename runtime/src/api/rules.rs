//! Tells of the rules in force, and decides what is described and not sent.

use std::collections::HashMap;

use outcall_schema::api::evaluate::{Decision, Evaluate, Evaluated};
use outcall_schema::api::rules::{Rule, RuleDetail};
use outcall_schema::decision::{NameVerdict, Outcome, RuleIndex, Verdict};
use outcall_schema::layer::Layer;
use outcall_schema::request::{Request, RequestError};

use super::Api;
use super::message::Failure;
use crate::audit::Passed;
use crate::snapshot::Snapshot;

pub(super) fn list(api: &Api) -> Vec<Rule> {
    let (snapshot, decided) = (api.policy.load(), decided(api));
    let hits = |id: &str| decided.get(id).map_or(0, |passed| passed.allowed + passed.blocked);
    snapshot.manifest.rules.iter().map(|row| Rule::of(row, hits(&row.id))).collect()
}

pub(super) fn one(api: &Api, id: &str) -> Result<RuleDetail, Failure> {
    let snapshot = api.policy.load();
    let rules = &snapshot.manifest.rules;
    let missing = || Failure::new(404, "there is no such rule in the policy in force");
    let (at, row) = rules.iter().enumerate().find(|(_, row)| row.id == id).ok_or_else(missing)?;
    let Passed { allowed, blocked } = decided(api).remove(id).unwrap_or_default();
    Ok(RuleDetail {
        rule: Rule::of(row, allowed + blocked),
        position: at + 1,
        condition: row.condition.clone(),
        log: row.log,
        egress: row.egress.clone(),
        hold: row.hold.clone(),
        injects: row.inject.iter().map(|inject| inject.header.clone()).collect(),
        allowed,
        blocked,
    })
}

/// What each rule decided. Rules that decided nothing are not in it.
fn decided(api: &Api) -> HashMap<String, Passed> {
    api.audit.counts().rules.into_iter().collect()
}

pub(super) fn evaluate(api: &Api, asked: &Evaluate) -> Result<Evaluated, Failure> {
    let refused = |error: RequestError| Failure::new(400, error.to_string());
    let request = Request::from_json(&asked.context).map_err(refused)?;
    let layer = match asked.layer {
        Some(layer) => layer,
        None => request.layer().map_err(refused)?,
    };
    request.known_at(layer).map_err(refused)?;
    let snapshot = api.policy.load();
    let request = request.complete(layer);
    let (decision, rule) = decide(&snapshot, layer, &request);
    let row = snapshot.rule(rule);
    let obligations = match decision {
        Decision::Allow => snapshot.program.obligations(layer, &request.facts(layer)).rules,
        Decision::Block | Decision::Intercept => Vec::new(),
    };
    Ok(Evaluated {
        decision,
        layer,
        matched_rule: snapshot.rule_name(rule).to_owned(),
        file: row.map(|row| row.file.clone()),
        line: row.map(|row| row.line),
        logged: decision != Decision::Allow || layer == Layer::Https || row.is_some_and(|row| row.log),
        mode: row.and_then(|row| row.egress.as_ref()).map(|egress| egress.mode),
        obligations: obligations.into_iter().map(|rule| snapshot.rule_name(Some(rule)).to_owned()).collect(),
        policy_digest: snapshot.digest().to_owned(),
    })
}

/// What the tables in force say, as for a request that is sent.
fn decide(snapshot: &Snapshot, layer: Layer, request: &Request) -> (Decision, Option<RuleIndex>) {
    let facts = request.facts(layer);
    if layer == Layer::Dns {
        return match snapshot.dns.lookup(&facts) {
            NameVerdict::Block(rule) => (Decision::Block, rule),
            NameVerdict::Allow(rule) | NameVerdict::Implied { rule, .. } => (Decision::Allow, Some(rule)),
        };
    }
    match snapshot.program.decide(layer, &facts) {
        Outcome::Decided(Verdict::Block(rule)) => (Decision::Block, rule),
        Outcome::Decided(Verdict::Allow(rule)) => (Decision::Allow, Some(rule)),
        Outcome::Decided(Verdict::Intercept(rule)) => (Decision::Intercept, Some(rule)),
        // Nothing here is still to come, and what is not decided does not pass.
        Outcome::Undecided => (Decision::Block, None),
    }
}
