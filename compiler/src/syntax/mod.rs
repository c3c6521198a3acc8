//! A rule file as written: its parts with their places, no names looked up and no defaults filled in.

pub mod keys;
mod preset;
mod reader;
mod rule;
mod test;

use std::ops::Range;
use std::sync::Arc;

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{Direction, OnTimeout};
use outcall_schema::decision::Action;
use outcall_schema::egress::{EgressMode, PortRange};

pub use preset::{Argument, Parameter, ParameterType, PresetFile, PresetUse, Written};
pub use rule::Match;
pub use test::{Expect, Request, Test};

use crate::diag::codes_files::{DEFINITION_NAME, VERSION};
use crate::diag::{Finding, Fix, SourceFile, SourceSpan, quoted};
use crate::source::scalar::Segment;
use crate::source::{Document, Suppression};
use keys::Context;
pub(crate) use outcall_schema::artifact::manifest::is_name;
use reader::Reader;
pub(crate) use reader::listed;

/// A value and the bytes it stands at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Range<usize>,
}

/// Text into which findings point.
#[derive(Debug, Clone)]
pub struct Text {
    /// The text.
    pub value: String,
    /// Where it stands.
    pub span: Range<usize>,
    /// Where each part of it stands.
    pub segments: Vec<Segment>,
}

/// A rule file.
#[derive(Debug, Default)]
pub struct RuleFile {
    /// `definitions:`
    pub definitions: Vec<Definition>,
    /// `presets:`
    pub presets: Vec<PresetUse>,
    /// `interception:`
    pub interception: Interception,
    /// `rules:`
    pub rules: Vec<Rule>,
    /// `tests:`
    pub tests: Vec<Test>,
    /// What comments suppress.
    pub suppressions: Vec<Suppression>,
    /// Whether the file could only be read in part, so that names may be missing.
    pub partial: bool,
}

/// An entry of `definitions:`.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: Spanned<String>,
    /// What it stands for; `None` when that was refused.
    pub text: Option<Text>,
}

/// The `interception:` block: host patterns as written.
#[derive(Debug, Default)]
pub struct Interception {
    /// `hosts:`
    pub hosts: Vec<Spanned<String>>,
    /// `bypass:`
    pub bypass: Vec<Spanned<String>>,
    /// `strict:`
    pub strict: Vec<Spanned<String>>,
}

/// An entry of `rules:`. What is `None` was left out, or was wrong and has been reported; `broken` tells the two apart.
#[derive(Debug)]
pub struct Rule {
    /// The whole rule.
    pub span: Range<usize>,
    /// `id:`
    pub id: Option<Spanned<String>>,
    /// `description:`
    pub description: String,
    /// `condition:`
    pub condition: Option<Text>,
    /// `match:`
    pub matching: Option<Match>,
    /// `action:`
    pub action: Option<Spanned<Action>>,
    /// `priority:`
    pub priority: Option<Spanned<i64>>,
    /// `log:`
    pub log: bool,
    /// `egress:`
    pub egress: Egress,
    /// `hold:`
    pub hold: Hold,
    /// `inject:`
    pub inject: Vec<Inject>,
    /// `require_header:`
    pub require_header: Vec<RequiredHeader>,
    /// Whether something was reported that the rule cannot do without.
    pub broken: bool,
}

/// The `egress:` block.
#[derive(Debug, Default)]
pub struct Egress {
    /// `mode:`
    pub mode: Option<Spanned<EgressMode>>,
    /// `ports:`
    pub ports: Vec<PortRange>,
    /// Where `ports:` stands, if it does.
    pub ports_span: Option<Range<usize>>,
    /// `allow_private_ips:`
    pub allow_private_ips: Option<Spanned<bool>>,
    /// `match_body:`
    pub match_body: Option<Spanned<bool>>,
}

/// The `hold:` block.
#[derive(Debug, Default)]
pub struct Hold {
    /// `direction:`
    pub direction: Option<Direction>,
    /// `timeout:`, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// `on_timeout:`
    pub on_timeout: Option<OnTimeout>,
}

/// An entry of `inject:`.
#[derive(Debug)]
pub struct Inject {
    /// `header:`
    pub header: Spanned<String>,
    /// `value:`
    pub value: Spanned<String>,
}

/// An entry of `require_header:`.
#[derive(Debug)]
pub struct RequiredHeader {
    /// The header's name, in lower case.
    pub header: Spanned<String>,
    /// What its value's SHA-256 must be.
    pub digest: Digest,
}

/// Reads a rule file from its tree.
pub fn read(file: &Arc<SourceFile>, document: Document<'_>) -> (RuleFile, Vec<Finding>) {
    let (preset, findings) = read_as(file, document, Context::File);
    (preset.rules, findings)
}

/// Reads the text of a preset from its tree.
pub fn read_preset(file: &Arc<SourceFile>, document: Document<'_>) -> (PresetFile, Vec<Finding>) {
    read_as(file, document, Context::PresetFile)
}

fn read_as(file: &Arc<SourceFile>, document: Document<'_>, context: Context) -> (PresetFile, Vec<Finding>) {
    let partial = !document.cut.is_empty();
    let mut reader = Reader { file, findings: Vec::new(), cut: document.cut, suggested: Vec::new() };
    let rules = RuleFile { suppressions: document.suppressions, partial, ..RuleFile::default() };
    let mut out = PresetFile { rules, ..PresetFile::default() };
    let Some(root) = document.root else {
        missing_version(&mut reader, &(0..0));
        return (out, reader.findings);
    };
    let entries = reader.known(&root, context.name(), context);
    let is_mapping = matches!(root.kind, crate::source::NodeKind::Mapping(_));
    if is_mapping && !entries.iter().any(|entry| entry.key == "version") {
        missing_version(&mut reader, &root.span);
    }
    let PresetFile { description, parameters, rules: file } = &mut out;
    for entry in entries {
        let value = &entry.value;
        match &*entry.key {
            "version" => version(&mut reader, value),
            "description" => *description = reader.filled(value, "`description`"),
            "parameters" => *parameters = preset::parameters(&mut reader, value),
            "definitions" => file.definitions = definitions(&mut reader, value),
            "presets" => file.presets = preset::uses(&mut reader, value),
            "interception" => file.interception = interception(&mut reader, value),
            "rules" => {
                for item in reader.list(value, "`rules`").unwrap_or_default() {
                    file.rules.push(rule::read(&mut reader, item));
                }
            }
            "tests" => file.tests = test::read(&mut reader, value),
            _ => {}
        }
    }
    (out, reader.findings)
}

fn missing_version(reader: &mut Reader<'_>, range: &Range<usize>) {
    let before = reader.findings.len();
    reader.missing(range, "the file", "version", "begin the file with `version: \"1\"`");
    let text = reader.file.text.get(..range.start).unwrap_or_default();
    let indent = text.get(text.rfind('\n').map_or(0, |line| line + 1)..).unwrap_or_default();
    let flow = reader.file.text.get(range.clone()).is_some_and(|text| text.starts_with('{'));
    if let Some(missing) = reader.findings.get_mut(before).filter(|_| !flow && indent.trim().is_empty()) {
        let span = SourceSpan { file: reader.file.clone(), start: range.start, end: range.start };
        missing.fix = Some(Fix { span, replacement: format!("version: \"1\"\n{indent}") });
    }
}

fn version(reader: &mut Reader<'_>, node: &crate::source::Node<'_>) {
    let Some(text) = reader.string(node, "`version`") else { return };
    if text.value != "1" {
        let message = format!("version {} of the rule language is not supported", quoted(&text.value));
        let place = reader.place(&node.span);
        reader.report(Finding::at(VERSION, place.clone(), message).help("write `\"1\"`").fix(place, "\"1\""));
    }
}

fn definitions(reader: &mut Reader<'_>, node: &crate::source::Node<'_>) -> Vec<Definition> {
    let mut out = Vec::new();
    for entry in reader.mapping(node, "`definitions`").unwrap_or_default() {
        let text = reader.located(&entry.value, &format!("the definition {}", quoted(&entry.key)));
        if entry.key.is_empty() {
            continue;
        }
        if !is_definition_name(&entry.key) {
            let message = format!("{} is not a name that a definition can have", quoted(&entry.key));
            let help = "begin with a letter or `_`, go on with letters, digits and `_`, at most 64";
            reader.error(DEFINITION_NAME, &entry.key_span, message, help);
            continue;
        }
        let name = Spanned { value: entry.key.clone().into_owned(), span: entry.key_span.clone() };
        out.push(Definition { name, text });
    }
    out
}

fn is_definition_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 64
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn interception(reader: &mut Reader<'_>, node: &crate::source::Node<'_>) -> Interception {
    let mut out = Interception::default();
    for entry in reader.known(node, "`interception`", Context::Interception) {
        let what = format!("`{}`", entry.key);
        let items = reader.list(&entry.value, &what).unwrap_or_default();
        let patterns = items.iter().filter_map(|item| reader.filled(item, "a host pattern")).collect();
        match &*entry.key {
            "hosts" => out.hosts = patterns,
            "bypass" => out.bypass = patterns,
            "strict" => out.strict = patterns,
            _ => {}
        }
    }
    out
}
