//! Whole policies, for the reference and for the compiler.

use outcall_compiler::cel::{self, Env};
use outcall_compiler::diag::{SourceFile, SourceSpan};
use outcall_compiler::resolve;
use outcall_schema::artifact::manifest::Interception;
use outcall_schema::decision::Action;
use outcall_schema::egress::{Egress, EgressMode};
use outcall_schema::layer::Layer;

use super::Random;
use super::condition::Conditions;
use crate::reference::policy::{Policy, Rule};

/// A rule with this condition; `None` where the condition does not compile.
pub fn rule(action: Action, text: String, mode: EgressMode, match_body: bool, private: bool) -> Option<Rule> {
    cel::parse_and_check(&text, &Env::rule()).ok()?;
    let condition = cel::parse(&text).ok()?;
    Some(Rule { action, text, condition, mode, match_body, private })
}

/// A policy of a few rules, mostly about one layer.
pub fn policy(random: &mut Random, layer: Layer) -> Policy {
    let mut policy = Policy::default();
    let count = 1 + random.below(7);
    for _ in 0..count {
        let focus = (!random.once_in(4)).then_some(layer);
        let depth = random.below(4);
        let text = Conditions::new(random, focus).boolean(depth);
        let action = match random.below(10) {
            0..=4 => Action::Allow,
            5..=7 => Action::Block,
            8 => Action::Hold,
            _ => Action::Enrich,
        };
        let mode = *random.pick(&[EgressMode::Proxy, EgressMode::Proxy, EgressMode::Intercept, EgressMode::DirectIp]);
        // Bodies are matched only inside TLS, and secrets belong to the reference in both cases.
        let match_body = random.once_in(2);
        policy.rules.extend(rule(action, text, mode, match_body, random.once_in(4)));
    }
    let mut patterns = |one_in: usize| -> Vec<String> {
        let all = ["example.com", "*.example.com", "**.example.com", "a.b.example.com", "*.com", "10.0.0.1"];
        let mut chosen: Vec<String> =
            all.iter().filter(|_| random.once_in(one_in)).map(|pattern| (*pattern).to_owned()).collect();
        chosen.sort();
        chosen
    };
    policy.hosts = patterns(if layer == Layer::Connect { 2 } else { 8 });
    policy.bypass = patterns(12);
    policy.strict = patterns(12);
    policy
}

/// The policy as the compiler takes it.
pub fn resolved(policy: &Policy) -> Option<resolve::Policy> {
    let span = SourceSpan { file: SourceFile::new("random.yaml", ""), start: 0, end: 0 };
    let rules: Option<Vec<resolve::Rule>> = (0..)
        .zip(&policy.rules)
        .map(|(number, rule): (u32, &Rule)| {
            let condition = cel::parse_and_check(&rule.text, &Env::rule()).ok()?;
            Some(resolve::Rule {
                id: format!("rule-{number}"),
                span: span.clone(),
                action: rule.action,
                priority: 100,
                description: String::new(),
                log: false,
                condition,
                condition_text: rule.text.clone(),
                condition_span: span.clone(),
                condition_map: Default::default(),
                egress: (rule.action == Action::Allow).then(|| Egress {
                    mode: rule.mode,
                    ports: Vec::new(),
                    allow_private_ips: rule.private,
                    match_body: rule.match_body,
                }),
                hold: (rule.action == Action::Hold).then(Default::default),
                inject: Vec::new(),
                require_header: Vec::new(),
                written: Default::default(),
            })
        })
        .collect();
    let interception =
        Interception { hosts: policy.hosts.clone(), bypass: policy.bypass.clone(), strict: policy.strict.clone() };
    Some(resolve::Policy { rules: rules?, interception, ..resolve::Policy::default() })
}
