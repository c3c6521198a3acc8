//! Presets as written: where a rule file uses one, and the head that a preset's own text has.

use std::ops::Range;

use super::keys::Context;
use super::reader::{Reader, is_null};
use super::{RuleFile, Spanned, is_definition_name};
use crate::diag::codes_files::{DEFINITION_NAME, PRESET_TWICE, WRONG_KIND};
use crate::diag::quoted;
use crate::source::{Node, NodeKind};

/// The longest `as:`, which leaves room for a rule's own name in an id.
const PREFIX_LIMIT: usize = 64;

/// An entry of `presets:`.
#[derive(Debug)]
pub struct PresetUse {
    /// The preset's name.
    pub name: Spanned<String>,
    /// `as:`
    pub prefix: Option<Spanned<String>>,
    /// `with:`
    pub arguments: Vec<Argument>,
    /// Where `with` stands.
    pub with: Option<Range<usize>>,
}

/// An entry of `with:`.
#[derive(Debug)]
pub struct Argument {
    /// The parameter's name.
    pub name: Spanned<String>,
    /// Its value.
    pub value: Spanned<Written>,
}

/// A parameter's value as written: what it has to be is known only to the preset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// A text.
    Text(String),
    /// A list of texts.
    List(Vec<Spanned<String>>),
    /// Neither; in words.
    Other(&'static str),
    /// Something that has been reported.
    Refused,
}

/// What a parameter's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterType {
    /// A list of host names and addresses.
    Hosts,
    /// One text.
    Text,
    /// A list of texts.
    Texts,
}

impl ParameterType {
    /// Every type, with its name.
    pub const ALL: [(&'static str, ParameterType); 3] =
        [("hosts", ParameterType::Hosts), ("string", ParameterType::Text), ("strings", ParameterType::Texts)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, other)| *other == self).map_or("", |(name, _)| name)
    }

    /// In words.
    pub const fn words(self) -> &'static str {
        match self {
            ParameterType::Hosts => "a list of hosts",
            ParameterType::Text => "a text",
            ParameterType::Texts => "a list of texts",
        }
    }
}

/// An entry of a preset's `parameters:`.
#[derive(Debug)]
pub struct Parameter {
    /// Its name, which conditions use with a `$` before it.
    pub name: Spanned<String>,
    /// `type:`
    pub kind: ParameterType,
    /// `description:`
    pub description: String,
    /// `pattern:`
    pub pattern: Option<Spanned<String>>,
    /// `form:`
    pub form: Option<String>,
    /// `default:`
    pub default: Option<Spanned<Written>>,
    /// `example:`
    pub example: Option<Spanned<Written>>,
}

/// A preset's text.
#[derive(Debug, Default)]
pub struct PresetFile {
    /// `description:`
    pub description: Option<Spanned<String>>,
    /// `parameters:`
    pub parameters: Vec<Parameter>,
    /// The rest, which is a rule file.
    pub rules: RuleFile,
}

/// Reads `presets:`.
pub(super) fn uses(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<PresetUse> {
    let mut out = Vec::new();
    for item in reader.list(node, "`presets`").unwrap_or_default() {
        let mut found = (None, None, Vec::new(), None);
        if !matches!(item.kind, NodeKind::Mapping(_)) {
            found.0 = reader.filled(item, "a preset");
        } else {
            let mut named = false;
            for entry in reader.known(item, "a preset", Context::Preset) {
                match &*entry.key {
                    "name" => {
                        named = true;
                        found.0 = reader.filled(&entry.value, "`name`");
                    }
                    "as" => found.1 = prefix(reader, &entry.value),
                    "with" => {
                        found.2 = arguments(reader, &entry.value);
                        found.3 = Some(entry.key_span.clone());
                    }
                    _ => {}
                }
            }
            if !named {
                reader.missing(&item.span, "the preset", "name", "");
            }
        }
        let (name, prefix, arguments, with) = found;
        out.extend(name.map(|name| PresetUse { name, prefix, arguments, with }));
    }
    out
}

fn prefix(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<Spanned<String>> {
    let prefix = reader.filled(node, "`as`")?;
    if super::is_name(&prefix.value) && prefix.value.len() <= PREFIX_LIMIT {
        return Some(prefix);
    }
    let message = format!("rule ids cannot begin with {}", quoted(&prefix.value));
    let help =
        format!("begin with a letter or digit, go on with letters, digits, `.`, `_` and `-`, at most {PREFIX_LIMIT}");
    reader.error(PRESET_TWICE, &prefix.span, message, &help);
    None
}

fn arguments(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Argument> {
    // `with:` with nothing behind it gives nothing, as `with: {}` does.
    if matches!(&node.kind, NodeKind::Scalar(scalar) if is_null(scalar)) {
        return Vec::new();
    }
    let mut out = Vec::new();
    for entry in reader.mapping(node, "`with`").unwrap_or_default() {
        if entry.key.is_empty() {
            continue;
        }
        let name = Spanned { value: entry.key.clone().into_owned(), span: entry.key_span.clone() };
        out.push(Argument { name, value: written(reader, &entry.value) });
    }
    out
}

fn written(reader: &mut Reader<'_>, node: &Node<'_>) -> Spanned<Written> {
    let value = match &node.kind {
        NodeKind::Refused => Written::Refused,
        NodeKind::Scalar(scalar) if is_null(scalar) => Written::Other("nothing"),
        NodeKind::Scalar(scalar) => Written::Text(scalar.text.clone().into_owned()),
        NodeKind::Mapping(_) => Written::Other("a mapping"),
        NodeKind::List(items) => {
            let texts: Vec<Option<Spanned<String>>> =
                items.iter().map(|item| reader.string(item, "an entry of the list")).collect();
            texts.into_iter().collect::<Option<_>>().map_or(Written::Refused, Written::List)
        }
    };
    Spanned { value, span: node.span.clone() }
}

/// Reads a preset's `parameters:`.
pub(super) fn parameters(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<Parameter> {
    let mut out = Vec::new();
    for item in reader.mapping(node, "`parameters`").unwrap_or_default() {
        if !is_definition_name(&item.key) {
            let message = format!("{} is not a name that a parameter can have", quoted(&item.key));
            reader.error(DEFINITION_NAME, &item.key_span, message, "it is used as `$name` in conditions");
            continue;
        }
        let name = Spanned { value: item.key.clone().into_owned(), span: item.key_span.clone() };
        let (mut kind, mut description) = (None, None);
        let (mut pattern, mut form, mut default, mut example) = (None, None, None, None);
        for entry in reader.known(&item.value, "a parameter", Context::Parameter) {
            match &*entry.key {
                "type" => kind = reader.choice(&entry.value, "`type`", &ParameterType::ALL),
                "description" => description = reader.filled(&entry.value, "`description`"),
                "pattern" => pattern = reader.filled(&entry.value, "`pattern`"),
                "form" => form = reader.filled(&entry.value, "`form`"),
                "default" => default = Some(written(reader, &entry.value)),
                "example" => example = Some(written(reader, &entry.value)),
                _ => {}
            }
        }
        let (Some(kind), Some(description)) = (kind, description) else {
            let message = format!("the parameter {} needs `type` and `description`", quoted(&item.key));
            reader.error(WRONG_KIND, &item.key_span, message, "");
            continue;
        };
        let (kind, description) = (kind.value, description.value);
        let form = form.map(|form| form.value);
        out.push(Parameter { name, kind, description, pattern, form, default, example });
    }
    out
}
