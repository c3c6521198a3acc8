//! `outcall query`: whether any request that an expression is true of gets some decision.

use outcall_schema::artifact::item::Child;
use outcall_schema::artifact::item::LeafKind;
use outcall_schema::layer::Layer;
use serde::Serialize;

use super::example::{Example, example};
use super::explore::{Outcome, Question, Way, explore};
use super::reach::{budget, passes};
use super::side::Side;
use super::space::{ListId, Space};
use super::unproven::Unproven;
use crate::ask::truth;
use crate::cel::typed::Expr;
use crate::decide::build::Mode;
use crate::decide::formula::Formulas;
use crate::decide::lower::{View, fill_in, lower};
use crate::resolve::{Policy, Rule};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Wanted {
    /// Requests that are allowed.
    Allow,
    /// Requests that are refused.
    Block,
}

/// A request that answers.
#[derive(Debug, Clone)]
pub struct Witness<'p> {
    /// The request.
    pub example: Example,
    /// The rule that decides; `None` for the default.
    pub rule: Option<&'p Rule>,
    /// Whether the request lies inside a tunnel, where nobody sees it.
    pub tunnelled: bool,
}

/// What asking came to.
#[derive(Debug, Clone)]
pub enum Answer<'p> {
    /// Yes, as these requests show: one for each layer that has one.
    Some(Vec<Witness<'p>>),
    /// No request can.
    None,
    /// Neither was found out: where, and the steps that were taken.
    Unknown(Vec<Unproven<'p>>, u64),
}

/// Whether any request that `condition` is true of is decided as `wanted`. The condition sees what is inside TLS, too: a
/// tunnel that is allowed allows every request in it.
pub fn query<'p>(policy: &'p Policy, condition: &Expr, wanted: Wanted) -> Answer<'p> {
    let mut formulas = Formulas::new();
    let side = Side::new(policy, &mut formulas, 0);
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    let mut space = Space::new(&mut formulas);
    for layer in [Layer::Dns, Layer::Network, Layer::Connect, Layer::Https, Layer::Http, Layer::Docker, Layer::Run] {
        space.given_up.clear();
        match ask(&mut space, &side, layer, condition, wanted) {
            Some(Some(witness)) => found.push(witness),
            Some(None) => {}
            None => unknown.push(Unproven::of(&space, &[&side], layer)),
        }
    }
    if !found.is_empty() {
        Answer::Some(found)
    } else if unknown.is_empty() {
        Answer::None
    } else {
        Answer::Unknown(unknown, space.steps)
    }
}

/// The verdict on a request, from the answers of the lists of its layer.
fn verdict(layer: Layer, answers: &[Vec<Child>]) -> Option<Child> {
    let first = |at: usize| answers.get(at).and_then(|answer| answer.first()).copied();
    match (layer, first(0)) {
        (Layer::Dns, None) => first(1),
        (Layer::Https, Some(leaf)) if leaf.kind() == LeafKind::Intercept => first(1),
        (_, answer) => answer,
    }
}

/// `None` where it was not found out.
#[expect(clippy::option_option, reason = "not found out, found out that none is, found")]
fn ask<'p>(
    space: &mut Space<'_>,
    side: &Side<'p>,
    layer: Layer,
    condition: &Expr,
    wanted: Wanted,
) -> Option<Option<Witness<'p>>> {
    let view = View { layer, null_body: false };
    let asked = lower(space.formulas, condition, view);
    // Connections are asked about as such, and, at `https`, for the requests in them.
    let mut lists = vec![side.list(if layer == Layer::Https { Layer::Connect } else { layer })];
    match layer {
        Layer::Dns => lists.push(&side.implied),
        Layer::Https => lists.push(side.list(Layer::Https)),
        _ => {}
    }
    let count = lists.iter().map(|list| list.len()).sum();
    let mut ids = vec![space.list(Mode::First, [(asked, Child::leaf(LeafKind::Allow, 0))])];
    for list in lists {
        ids.push(space.list(Mode::First, list.iter().copied()));
    }
    let stop = |space: &Space<'_>, lists: &[ListId]| {
        // Answers that are settled and not as wanted need not be completed.
        let Some(decision) = lists.get(1).and_then(|list| space.get(*list).constant()) else { return false };
        let Some(leaf) = decision.first() else { return wanted == Wanted::Allow && layer != Layer::Dns };
        leaf.kind() != LeafKind::Intercept && leaf.passes() != (wanted == Wanted::Allow)
    };
    let trim = |space: &Space<'_>, lists: &mut [ListId], empty: ListId| {
        let [_, first, second] = lists else { return };
        let Some(answer) = space.get(*first).constant() else { return };
        let terminated = answer.first().is_some_and(|leaf| leaf.kind() == LeafKind::Intercept);
        if if layer == Layer::Dns { !answer.is_empty() } else { !terminated } {
            *second = empty;
        }
    };
    let question = Question {
        stop: &stop,
        trim: &trim,
        first_must_answer: true,
        keep: 6,
        budget: budget(count),
        ..Question::default()
    };
    let summary = explore(space, ids, &question);
    let mut open = summary.open;
    let mut ways: Vec<(&Outcome, &Way)> = summary
        .found
        .iter()
        .filter(|(outcome, _)| {
            let verdict = verdict(layer, outcome.get(1..).unwrap_or_default());
            let passed = passes(verdict.as_slice());
            // A connection that is terminated is decided by the requests in it.
            let terminated = verdict.is_some_and(|leaf| leaf.kind() == LeafKind::Intercept);
            !terminated && passed == (wanted == Wanted::Allow)
        })
        .flat_map(|(outcome, ways)| ways.iter().map(move |way| (outcome, way)))
        .collect();
    ways.sort_by_key(|(_, way)| way.as_ref().map_or(0, |way| way.cost()));
    for (outcome, way) in ways {
        let Some(example) = example(space.formulas, layer, way.as_ref()) else {
            open = true;
            continue;
        };
        let said = verdict(layer, outcome.get(1..).unwrap_or_default());
        if confirmed(space.formulas, side, &example, condition, said) {
            let tunnelled = layer == Layer::Https
                && said.is_some_and(|leaf| {
                    side.replay(space.formulas, Layer::Connect, &example.request().unwrap_or_default())
                        .is_some_and(|connect| connect == leaf && connect.kind() == LeafKind::Allow)
                });
            return Some(Some(Witness { example, rule: said.and_then(|leaf| side.rule(leaf)), tunnelled }));
        }
        // It may lie elsewhere in the same class.
        open = true;
    }
    if open { None } else { Some(None) }
}

/// Whether an example is what it is shown for: the expression and the rules are evaluated on it by themselves.
fn confirmed(
    formulas: &mut Formulas,
    side: &Side<'_>,
    example: &Example,
    condition: &Expr,
    said: Option<Child>,
) -> bool {
    let Some(request) = example.request() else { return false };
    let layer = example.layer;
    let view = View { layer, null_body: false };
    if truth(&fill_in(condition, view), &request.facts(layer)) != Some(true) {
        return false;
    }
    let verdict = match layer {
        Layer::Https => match side.replay(formulas, Layer::Connect, &request) {
            Some(leaf) if leaf.kind() == LeafKind::Intercept => side.replay(formulas, Layer::Https, &request),
            other => other,
        },
        Layer::Dns => match side.replay(formulas, Layer::Dns, &request) {
            // That a name follows from a rule is asked of the table itself.
            None => return side.resolves(formulas, &request) == Some(passes(said.as_slice())),
            other => other,
        },
        _ => side.replay(formulas, layer, &request),
    };
    verdict == said
}
