//! The presets that are carried in the binary: rule sets for well-known services, used by name.

use std::sync::{Arc, OnceLock};

use outcall_schema::egress::EgressMode;
use serde_json::Value;

use crate::Compilation;
use crate::diag::{Finding, SourceFile, SourceSpan};
use crate::resolve::PresetTests;
use crate::syntax::{self, Parameter, PresetFile, Written};

/// One preset.
#[derive(Debug, Clone, Copy)]
pub struct PresetRow {
    /// The name that rule files use.
    pub name: &'static str,
    /// Its text, as it stands in the repository.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        /// Every preset, in the order of their names.
        pub const PRESETS: &[PresetRow] = &[
            $(PresetRow { name: $name, text: include_str!(concat!("../../rules.d/presets/", $name, ".yaml")) },)*
        ];
    };
}

presets! {
    "anthropic",
    "docker-hub",
    "gemini",
    "github-push",
    "github-readonly",
    "gitlab",
    "huggingface",
    "linear",
    "openai",
    "package-mirror",
    "package-mirror-readonly",
    "sentry",
    "slack",
    "slack-webhook",
    "stripe",
}

/// What the name of a preset's text begins with in findings, manifests and logs. No file of a rules directory can have it:
/// those end in `.yaml` or `.yml`.
pub const PREFIX: &str = "preset:";

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static PresetRow> {
    PRESETS.iter().find(|row| row.name == name)
}

impl PresetRow {
    /// What its users read about it: the description and the parameters. `None` only for a text that is no preset.
    pub fn read(&self) -> Option<PresetFile> {
        let (preset, findings) = self.parse(&SourceFile::new(self.source_name(), self.text));
        findings.is_empty().then_some(preset)
    }

    /// Whether one of its rules, or a list of hosts, needs TLS to be terminated.
    pub fn intercepts(&self) -> bool {
        self.read().is_some_and(|preset| {
            !preset.rules.interception.hosts.is_empty()
                || preset
                    .rules
                    .rules
                    .iter()
                    .filter_map(|rule| rule.egress.mode.as_ref())
                    .any(|mode| mode.value == EgressMode::Intercept)
        })
    }

    /// A rule file that uses this preset alone, with its example parameters.
    pub fn example(&self) -> String {
        let parameters = self.read().map(|preset| preset.parameters).unwrap_or_default();
        let given: Vec<String> = parameters
            .iter()
            .filter_map(|parameter| Some(format!("{}: {}", parameter.name.value, shown(example(parameter)?))))
            .collect();
        if given.is_empty() {
            return format!("version: \"1\"\npresets: [{}]\n", self.name);
        }
        format!("version: \"1\"\npresets:\n  - name: {}\n    with: {{ {} }}\n", self.name, given.join(", "))
    }

    /// Compiles this preset alone, with its example parameters and its own tests.
    pub fn compile(&self) -> Compilation {
        let file = SourceFile::new(self.source_name(), self.example());
        crate::compile_files(&[file], Vec::new(), PresetTests::Included)
    }

    /// The text as a source of its own for one use of the preset.
    pub(crate) fn source(&self, used_at: SourceSpan) -> Arc<SourceFile> {
        SourceFile::shipped(self.source_name(), self.text, used_at)
    }

    pub(crate) fn parse(&self, file: &Arc<SourceFile>) -> (PresetFile, Vec<Finding>) {
        let (document, mut findings) = crate::source::yaml::read(file);
        let (preset, mut found) = syntax::read_preset(file, document);
        findings.append(&mut found);
        (preset, findings)
    }

    fn source_name(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}

/// The value of a parameter in the preset's own tests.
pub fn example(parameter: &Parameter) -> Option<&Written> {
    parameter.example.as_ref().or(parameter.default.as_ref()).map(|value| &value.value)
}

/// A value as JSON.
pub fn json(value: &Written) -> Value {
    match value {
        Written::Text(value) => Value::from(value.as_str()),
        Written::List(values) => values.iter().map(|value| Value::from(value.value.as_str())).collect(),
        Written::Other(_) | Written::Refused => Value::Null,
    }
}

/// A value as a rule file may have it, on one line.
pub fn shown(value: &Written) -> String {
    /// Whether YAML reads the same text without quotes, in a list as well.
    fn plain(text: &str) -> bool {
        text.starts_with(|first: char| first.is_ascii_alphabetic())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
            && !matches!(text, "true" | "false" | "null" | "Null" | "NULL")
    }
    // A JSON string is a double-quoted YAML scalar.
    let text = |text: &str| if plain(text) { text.to_owned() } else { Value::from(text).to_string() };
    match value {
        Written::Text(value) => text(value),
        Written::List(values) => {
            format!("[{}]", values.iter().map(|value| text(&value.value)).collect::<Vec<_>>().join(", "))
        }
        Written::Other(_) | Written::Refused => "~".to_owned(),
    }
}

/// The names of all presets, for messages.
pub(crate) fn names() -> &'static [&'static str] {
    static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
    NAMES.get_or_init(|| PRESETS.iter().map(|row| row.name).collect())
}
