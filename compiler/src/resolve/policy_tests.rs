//! The policy's unit tests: which question each asks, and whether the rules it expects exist.

use std::collections::HashMap;

use outcall_schema::artifact::manifest::{self, TestRow};
use outcall_schema::decision::Action;
use outcall_schema::field::{Field, Knowledge};
use outcall_schema::layer::Layer;
use outcall_schema::request::layer_of;
use serde_json::Value;

use super::Resolver;
use crate::diag::codes_files::{TEST_LAYER, TEST_RULE, TEST_VALUE};
use crate::diag::{Finding, nearest, quoted};
use crate::syntax::{self, Expect, Request, Spanned, listed};

impl Resolver<'_> {
    /// A test with its layer known; `None` when something was reported.
    pub(super) fn test(&mut self, test: &syntax::Test, actions: &HashMap<String, Action>) -> Option<TestRow> {
        let before = self.findings.len();
        if let Some(expect) = &test.expect {
            self.expected_rules(expect, actions);
        }
        let layer = test.request.as_ref().and_then(|request| {
            let layer = request.layer.as_ref().map(|layer| layer.value).or_else(|| self.layer(request))?;
            self.known_fields(request, layer);
            Some(layer)
        });
        let (layer, written, expect) = (layer?, test.request.as_ref()?, test.expect.as_ref()?);
        if expect.decision.value == "intercept" && layer != Layer::Connect {
            let message = format!("the `{layer}` layer never decides `intercept`");
            let finding = Finding::at(TEST_LAYER, self.place(&expect.decision.span), message);
            self.findings.push(finding.help("only `connect` does; inside TLS a request is allowed or blocked"));
        }
        if self.findings.len() > before {
            return None;
        }
        let mut request = serde_json::Map::new();
        for (field, value) in &written.fields {
            let Some((namespace, name)) = field.value.name().split_once('.') else { continue };
            let namespace = request.entry(namespace).or_insert_with(|| Value::Object(serde_json::Map::new()));
            if let Value::Object(fields) = namespace {
                fields.insert(name.to_owned(), value.clone());
            }
        }
        let names = |ids: &Vec<Spanned<String>>| ids.iter().map(|id| self.full(&id.value)).collect();
        Some(TestRow {
            name: test.name.value.clone(),
            file: self.file.name.clone(),
            line: self.file.line(test.name.span.start),
            layer: Some(layer),
            request,
            expect: manifest::Expect {
                decision: expect.decision.value.to_owned(),
                rule: expect.rule.as_ref().map(|rule| self.full(&rule.value)),
                mode: expect.mode,
                obligations: expect.obligations.as_ref().map(names),
            },
        })
    }

    /// A rule's id as it is in the policy.
    fn full(&self, id: &str) -> String {
        if id == "default" { id.to_owned() } else { format!("{}{id}", self.prefix) }
    }

    /// The layer that follows from the fields.
    fn layer(&mut self, request: &Request) -> Option<Layer> {
        let given = |field: Field| request.fields.iter().any(|(known, _)| known.value == field);
        let value =
            |field: Field| request.fields.iter().find(|(given, _)| given.value == field).map(|(_, value)| value);
        let text = |field| value(field).and_then(Value::as_str);
        let port = value(Field::NetworkPort).and_then(Value::as_i64);
        match layer_of(&given, text(Field::HttpScheme), port, text(Field::HttpMethod)) {
            Ok(layer) => Some(layer),
            Err(help) => {
                let message = "it does not follow from the request's fields which layer is asked";
                self.findings.push(Finding::at(TEST_LAYER, self.first_line(&request.span), message).help(help));
                None
            }
        }
    }

    /// A field that the layer does not know cannot be given.
    fn known_fields(&mut self, request: &Request, layer: Layer) {
        for (field, value) in &request.fields {
            let name = field.value.name();
            match field.value.knowledge(layer) {
                Some(Knowledge::From(_)) => {}
                Some(Knowledge::Always(always)) if value.as_str() == Some(always) => {}
                Some(Knowledge::Always(always)) => {
                    let message = format!("at the `{layer}` layer `{name}` is always `{always}`");
                    let finding = Finding::at(TEST_VALUE, self.place(&field.span), message);
                    self.findings.push(finding.help("leave it out, or ask another layer with `layer:`"));
                }
                None => {
                    let message = format!("the `{layer}` layer does not know `{name}`");
                    let layers = Layer::ALL.into_iter().filter(|layer| field.value.knowledge(*layer).is_some());
                    let help = format!("it is known at {}", listed(layers.map(Layer::name)));
                    self.findings.push(Finding::at(TEST_LAYER, self.place(&field.span), message).help(help));
                }
            }
        }
    }

    fn expected_rules(&mut self, expect: &Expect, actions: &HashMap<String, Action>) {
        let decides = |action: &Action| matches!(action, Action::Allow | Action::Block);
        let oblige = |action: &Action| matches!(action, Action::Hold | Action::Enrich);
        if let Some(rule) = expect.rule.as_ref().filter(|rule| rule.value != "default") {
            self.expected(rule, actions, decides, "hold and enrich rules never decide; name them under `obligations`");
        }
        for rule in expect.obligations.iter().flatten() {
            self.expected(rule, actions, oblige, "obligations are the ids of hold and enrich rules");
        }
    }

    fn expected(
        &mut self,
        rule: &Spanned<String>,
        actions: &HashMap<String, Action>,
        fits: impl Fn(&Action) -> bool,
        otherwise: &str,
    ) {
        let place = self.place(&rule.span);
        match actions.get(&self.full(&rule.value)) {
            Some(action) if fits(action) => {}
            Some(action) => {
                let message = format!("the rule {} has `action: {}`", quoted(&rule.value), action.name());
                self.findings.push(Finding::at(TEST_RULE, place, message).help(otherwise));
            }
            None if self.partial => {}
            None => {
                let finding =
                    Finding::at(TEST_RULE, place.clone(), format!("there is no rule {}", quoted(&rule.value)));
                let mut ids: Vec<&str> =
                    actions.iter().filter(|(_, action)| fits(action)).map(|(id, _)| id.as_str()).collect();
                ids.sort_unstable();
                self.findings.push(match nearest(&rule.value, ids.iter().copied()) {
                    Some(near) => finding.help(format!("did you mean `{near}`?")).meant(place, &rule.value, near, ids),
                    None => finding.help("name a rule of this policy, or `default` for the block when none decides"),
                });
            }
        }
    }
}
