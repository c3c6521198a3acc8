//! What could stand at the cursor.

use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::{FIELDS, Field, FieldType};
use outcall_schema::layer::Layer;

use super::place::{Place, Position, place};
use super::word_at;
use crate::cel::reference::FUNCTIONS;
use crate::preset;
use crate::syntax::keys::{Below, Context, KeyRow};

/// What a candidate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidateKind {
    /// A key of a mapping.
    Key,
    /// One of a few words, or the id of a rule.
    Value,
    /// A field of the request.
    Field,
    /// A function or macro.
    Function,
    /// A definition of the file.
    Definition,
}

/// Something that could stand at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What is shown and compared with what has been typed.
    pub label: String,
    /// What is put there, in place of what was typed.
    pub insert: String,
    /// What it is.
    pub kind: CandidateKind,
    /// Its type, or what it takes, in a few words.
    pub detail: String,
    /// What it means.
    pub doc: String,
    /// Where what it replaces begins.
    pub start: usize,
}

/// What could stand at `offset`. `rules` are the ids of the policy's rules.
pub fn complete(text: &str, offset: usize, rules: &[String]) -> Vec<Candidate> {
    let place = place(text, offset);
    if place.is_condition() {
        return condition(text, offset);
    }
    match place.position {
        Position::Key => keys(&place),
        Position::Value => values(&place, rules),
    }
}

fn keys(place: &Place) -> Vec<Candidate> {
    let request = place.path.iter().position(|key| key == "request");
    if let (None, Some(at), Some("tests")) = (place.context, request, place.path.first().map(String::as_str)) {
        return fields_of(place, place.path.get(at + 1).map(String::as_str));
    }
    let mut found: Vec<Candidate> =
        place.context.iter().flat_map(|context| context.keys()).map(|row| key(row, place)).collect();
    if place.context == Some(Context::Preset) {
        found.extend(preset::names().iter().map(|name| value(name, "a preset", "", place)));
    }
    found
}

fn key(row: &KeyRow, place: &Place) -> Candidate {
    let behind = match row.context.below(row.key) {
        Some(Below::One(_) | Below::Each(_)) => ":",
        None => ": ",
    };
    Candidate {
        label: row.key.to_owned(),
        insert: format!("{}{behind}", row.key),
        kind: CandidateKind::Key,
        detail: row.takes.replace('`', ""),
        doc: format!("{} When left out: {}.", row.doc, row.default),
        start: place.start,
    }
}

/// The keys of a test's request: namespaces, then fields.
fn fields_of(place: &Place, namespace: Option<&str>) -> Vec<Candidate> {
    let candidate = |label: &str, detail: &str, doc: &str| Candidate {
        label: label.to_owned(),
        insert: format!("{label}: "),
        kind: CandidateKind::Field,
        detail: detail.to_owned(),
        doc: doc.to_owned(),
        start: place.start,
    };
    let split = FIELDS.iter().filter_map(|row| row.name.split_once('.').map(|(group, name)| (group, name, row)));
    match namespace {
        Some(namespace) => split
            .filter(|(group, _, _)| *group == namespace)
            .map(|(_, name, row)| candidate(name, row.ty.name(), row.doc))
            .collect(),
        None => {
            let mut groups: Vec<&str> = split.map(|(group, _, _)| group).collect();
            groups.dedup();
            let groups = groups.into_iter().map(|group| candidate(group, "fields", ""));
            groups.chain([candidate("layer", "a layer's name", "The question that is asked.")]).collect()
        }
    }
}

fn value(word: &str, detail: &str, doc: &str, place: &Place) -> Candidate {
    Candidate {
        label: word.to_owned(),
        insert: word.to_owned(),
        kind: CandidateKind::Value,
        detail: detail.to_owned(),
        doc: doc.to_owned(),
        start: place.start,
    }
}

fn values(place: &Place, rules: &[String]) -> Vec<Candidate> {
    let layers = Layer::ALL.map(Layer::name);
    let (Some(key), context) = (place.key(), place.context) else { return Vec::new() };
    let words: &[&str] = match (context, key) {
        (Some(Context::File), "version") => &["\"1\""],
        (Some(Context::File), "presets") | (Some(Context::Preset), "name") => preset::names(),
        (Some(Context::Rule), "action") => &Action::ALL.map(Action::name),
        (Some(Context::Rule), "log") | (Some(Context::Egress), "allow_private_ips" | "match_body") => {
            &["true", "false"]
        }
        (Some(Context::Egress | Context::Expect), "mode") => &EgressMode::ALL.map(EgressMode::name),
        (Some(Context::Hold), "direction") => &["request", "response", "both"],
        (Some(Context::Hold), "on_timeout") => &["drop", "release"],
        (Some(Context::Expect), "decision") => &["allow", "block", "intercept"],
        (Some(Context::Test), "layer") => &layers,
        (None, "layer") if place.path.iter().any(|key| key == "request") => &layers,
        (Some(Context::Expect), "rule" | "obligations") => {
            let ids = rules.iter().map(|id| value(id, "a rule", "", place));
            let default =
                (key == "rule").then(|| value("default", "no rule", "The block when no rule decides.", place));
            return ids.chain(default).collect();
        }
        _ => &[],
    };
    let doc = context.and_then(|context| context.key(key)).map_or("", |row| row.doc);
    words.iter().map(|word| value(word, key, doc, place)).collect()
}

/// What could stand in a condition: fields, functions, definitions.
fn condition(text: &str, offset: usize) -> Vec<Candidate> {
    let start = word_at(text, offset).start;
    let typed = text.get(start..offset).unwrap_or_default();
    if typed.starts_with('$') {
        return super::define::definitions(text)
            .into_iter()
            .map(|(name, _, condition)| Candidate {
                label: format!("${name}"),
                insert: format!("${name}"),
                kind: CandidateKind::Definition,
                detail: "a definition of this file".to_owned(),
                doc: condition,
                start,
            })
            .collect();
    }
    let (receiver, dot) = typed.rsplit_once('.').map_or(("", 0), |(receiver, _)| (receiver, receiver.len() + 1));
    let fields = FIELDS.iter().filter(|row| receiver.is_empty() || row.name.split('.').next() == Some(receiver));
    let mut found: Vec<Candidate> = fields
        .map(|row| Candidate {
            label: row.name.to_owned(),
            insert: row.name.to_owned(),
            kind: CandidateKind::Field,
            detail: row.ty.name().to_owned(),
            doc: row.doc.to_owned(),
            start,
        })
        .collect();
    // Behind a dot stands what is called on a value; elsewhere what takes its values in brackets.
    let ty = Field::from_name(receiver).map(|field| field.row().ty);
    let on_group = ty.is_none() && FIELDS.iter().any(|row| row.name.split('.').next() == Some(receiver));
    let fits = |name: &str| match (receiver.is_empty(), name) {
        (true, name) => matches!(name, "size" | "has" | "inCidr" | "hostMatches"),
        (false, "has" | "inCidr" | "hostMatches") => false,
        (false, name) => match ty {
            None => !on_group,
            Some(FieldType::Int) => false,
            Some(FieldType::String | FieldType::NullableString) => {
                !matches!(name, "all" | "exists" | "exists_one" | "filter" | "map")
            }
            Some(FieldType::StringList | FieldType::StringMap | FieldType::DynMap) => {
                matches!(name, "size" | "all" | "exists" | "exists_one" | "filter" | "map")
            }
        },
    };
    found.extend(FUNCTIONS.iter().filter(|row| fits(row.name)).map(|row| Candidate {
        label: row.name.to_owned(),
        insert: format!("{}(", row.name),
        kind: CandidateKind::Function,
        detail: row.types.to_owned(),
        doc: format!("{} For example: `{}`", row.doc, row.example),
        start: start + dot,
    }));
    found
}
