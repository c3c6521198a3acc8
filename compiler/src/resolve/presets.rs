//! Which presets a file uses, and the values of their parameters as literals of the condition language.
//!
//! Invariant: what a rule file gives for a parameter reaches a condition only as a string literal or a list of them, with
//! everything escaped that could end it. A value never becomes syntax.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use outcall_schema::host::Host;
use regex_automata::meta::Regex;

use super::Resolver;
use super::define::Expanded;
use super::matching::push_literal;
use crate::diag::codes_files::{PARAMETER_VALUE, PRESET_PARAMETER, PRESET_TWICE, UNKNOWN_PRESET};
use crate::diag::{Finding, SourceFile, SourceSpan, nearest, quoted};
use crate::preset::{self, PresetRow};
use crate::syntax::{Argument, Parameter, ParameterType, PresetFile, PresetUse, Spanned, Written, listed};

/// The most presets of one policy: each is parsed once for every use, and nobody needs a tenth of this.
const USES_LIMIT: usize = 256;

/// One use of a preset: its text, and what its parameters stand for.
pub(super) struct Instance {
    /// The preset's text, for this use.
    pub(super) file: Arc<SourceFile>,
    /// What it says.
    pub(super) preset: PresetFile,
    /// What its rules' ids begin with, the dot included.
    pub(super) prefix: String,
    /// Where it is used.
    pub(super) used_at: SourceSpan,
    /// Its parameters by name; one that was refused is `None`.
    pub(super) parameters: HashMap<String, Option<Expanded>>,
}

/// What the policy's presets have in common.
#[derive(Default)]
pub(super) struct Uses {
    /// The prefixes so far, each with the path and line of its use.
    prefixes: HashMap<String, SourceSpan>,
}

impl Uses {
    /// The presets that a file uses, in its order.
    pub(super) fn read(&mut self, resolver: &mut Resolver<'_>, uses: &[PresetUse]) -> Vec<Instance> {
        uses.iter().filter_map(|written| self.instance(resolver, written)).collect()
    }

    fn instance(&mut self, resolver: &mut Resolver<'_>, written: &PresetUse) -> Option<Instance> {
        let name = &written.name;
        let place = resolver.place(&name.span);
        let Some(row) = preset::find(&name.value) else {
            let finding =
                Finding::at(UNKNOWN_PRESET, place.clone(), format!("there is no preset {}", quoted(&name.value)));
            resolver.findings.push(match nearest(&name.value, preset::names().iter().copied()) {
                Some(near) => {
                    let names = preset::names().iter().copied();
                    finding.help(format!("did you mean `{near}`?")).meant(place, &name.value, near, names)
                }
                None => finding.help("`outcall presets` lists them; what has none is written out as rules"),
            });
            return None;
        };
        self.unique(resolver, written, &place)?;
        let file = row.source(place.clone());
        let (preset, mut findings) = row.parse(&file);
        resolver.findings.append(&mut findings);
        let parameters = bind(resolver, row, &preset, written, &file);
        let prefix = format!("{}.", written.prefix.as_ref().unwrap_or(name).value);
        Some(Instance { file, preset, prefix, used_at: place, parameters })
    }

    /// Refuses a second use under the same name, whose rules would have the same ids.
    fn unique(&mut self, resolver: &mut Resolver<'_>, written: &PresetUse, place: &SourceSpan) -> Option<()> {
        let prefix = written.prefix.as_ref().unwrap_or(&written.name);
        let at = resolver.place(&prefix.span);
        if let Some(first) = self.prefixes.get(&prefix.value) {
            let message = format!("two presets of this policy are called {}", quoted(&prefix.value));
            let help = format!(
                "the first is in {} on line {}; remove one, or give one a name of its own: `{{name: {}, as: other}}`",
                first.file.path,
                first.line(),
                written.name.value
            );
            resolver.findings.push(Finding::at(PRESET_TWICE, at, message).help(help));
            return None;
        }
        if self.prefixes.len() >= USES_LIMIT {
            let message = format!("this policy uses more than {USES_LIMIT} presets");
            let help = "give one preset several values where it takes a list, or write rules";
            resolver.findings.push(Finding::at(PRESET_TWICE, place.clone(), message).help(help));
            return None;
        }
        self.prefixes.insert(prefix.value.clone(), at);
        Some(())
    }
}

/// The values of a preset's parameters: those given, and the defaults of the others.
fn bind(
    resolver: &mut Resolver<'_>,
    row: &PresetRow,
    preset: &PresetFile,
    written: &PresetUse,
    text: &Arc<SourceFile>,
) -> HashMap<String, Option<Expanded>> {
    let names = || preset.parameters.iter().map(|parameter| parameter.name.value.as_str());
    let mut meant = Vec::new();
    for argument in &written.arguments {
        if !names().any(|name| name == argument.name.value) {
            meant.extend(nearest(&argument.name.value, names()));
            unknown(resolver, row, argument, names());
        }
    }
    let mut out = HashMap::new();
    for parameter in &preset.parameters {
        let given = written.arguments.iter().find(|argument| argument.name.value == parameter.name.value);
        let bound = match (given, &parameter.default) {
            (Some(argument), _) => value(resolver, parameter, &argument.value),
            (None, Some(default)) => {
                // Shipped, and tried by the tests: a finding here would be ours.
                let mut own = Resolver { file: text, findings: Vec::new(), partial: false, prefix: String::new() };
                let bound = value(&mut own, parameter, default);
                resolver.findings.append(&mut own.findings);
                bound
            }
            // Probably misspelt, which has been said.
            (None, None) if meant.contains(&parameter.name.value.as_str()) => None,
            (None, None) => {
                missing(resolver, row, parameter, written);
                None
            }
        };
        out.insert(parameter.name.value.clone(), bound);
    }
    out
}

fn unknown<'a>(
    resolver: &mut Resolver<'_>,
    row: &PresetRow,
    argument: &Argument,
    names: impl Iterator<Item = &'a str>,
) {
    let names: Vec<&str> = names.collect();
    let place = resolver.place(&argument.name.span);
    let message = format!("the preset `{}` has no parameter {}", row.name, quoted(&argument.name.value));
    let finding = Finding::at(PRESET_PARAMETER, place.clone(), message);
    resolver.findings.push(match nearest(&argument.name.value, names.iter().copied()) {
        Some(near) => finding.help(format!("did you mean `{near}`?")).meant(place, &argument.name.value, near, names),
        None if names.is_empty() => finding.help("it takes none; remove `with`"),
        None => finding.help(format!("it takes {}", listed(names.into_iter()))),
    });
}

fn missing(resolver: &mut Resolver<'_>, row: &PresetRow, parameter: &Parameter, written: &PresetUse) {
    let name = &parameter.name.value;
    let place = resolver.place(written.with.as_ref().unwrap_or(&written.name.span));
    let message = format!("the preset `{}` needs the parameter `{name}`", row.name);
    let example = preset::example(parameter).map(preset::shown).unwrap_or_default();
    let help = if written.with.is_some() {
        format!("add `{name}: {example}`: {}", parameter.description)
    } else {
        format!("write `{{name: {}, with: {{{name}: {example}}}}}`: {}", row.name, parameter.description)
    };
    resolver.findings.push(Finding::at(PRESET_PARAMETER, place, message).help(help));
}

/// A value as a literal; `None` when it was refused and reported.
fn value(resolver: &mut Resolver<'_>, parameter: &Parameter, written: &Spanned<Written>) -> Option<Expanded> {
    let name = &parameter.name.value;
    match (parameter.kind, &written.value) {
        (_, Written::Refused) => None,
        (ParameterType::Text, Written::Text(text)) => {
            let text = Spanned { value: text.clone(), span: written.span.clone() };
            let checked = element(resolver, parameter, &text)?;
            Some(literal(resolver, &[(checked, &text)], false))
        }
        (ParameterType::Hosts | ParameterType::Texts, Written::List(items)) if items.is_empty() => {
            let place = resolver.place(&written.span);
            let finding = Finding::at(PARAMETER_VALUE, place, format!("the list of `{name}` is empty"));
            resolver.findings.push(finding.help("without an entry the preset's rules never apply; remove the preset"));
            None
        }
        (ParameterType::Hosts | ParameterType::Texts, Written::List(items)) => {
            let checked: Vec<Option<(String, &Spanned<String>)>> =
                items.iter().map(|item| Some((element(resolver, parameter, item)?, item))).collect();
            let mut checked: Vec<(String, &Spanned<String>)> = checked.into_iter().collect::<Option<_>>()?;
            let mut seen = HashSet::new();
            checked.retain(|(text, _)| seen.insert(text.clone()));
            Some(literal(resolver, &checked, true))
        }
        (kind, other) => {
            let found = match other {
                Written::Text(text) => format!("the text {}", quoted(text)),
                Written::List(_) => "a list".to_owned(),
                Written::Other(what) => (*what).to_owned(),
                Written::Refused => return None,
            };
            let example = preset::example(parameter).map(preset::shown).unwrap_or_default();
            let place = resolver.first_line(&written.span);
            let message = format!("`{name}` must be {}, not {found}", kind.words());
            resolver
                .findings
                .push(Finding::at(PARAMETER_VALUE, place, message).help(format!("write `{name}: {example}`")));
            None
        }
    }
}

/// One text of a value, in the form that conditions compare with.
fn element(resolver: &mut Resolver<'_>, parameter: &Parameter, text: &Spanned<String>) -> Option<String> {
    let name = &parameter.name.value;
    let refused = |why: String, help: &str| (why, help.to_owned());
    let checked = if parameter.kind == ParameterType::Hosts {
        match Host::parse(&text.value) {
            Ok(host) => Ok(host.as_text().into_owned()),
            Err(_) if text.value.contains('*') => Err(refused(
                format!("`{name}` takes whole hosts, not the pattern {}", quoted(&text.value)),
                "name each host; for a pattern write a rule with `hostMatches`",
            )),
            Err(error) => Err(refused(
                format!("`{name}` cannot hold {}: {error}", quoted(&text.value)),
                "write a host without scheme, port or path, such as `mirror.example.com`",
            )),
        }
    } else if let Some(pattern) = &parameter.pattern {
        let form = parameter.form.as_deref().unwrap_or(&pattern.value);
        if matches_whole(&pattern.value, &text.value) {
            Ok(text.value.clone())
        } else {
            Err((format!("`{name}` cannot be {}", quoted(&text.value)), format!("it is {form}")))
        }
    } else if text.value.is_empty() {
        Err(refused(format!("`{name}` is empty"), "an empty text would apply to everything or to nothing"))
    } else {
        Ok(text.value.clone())
    };
    match checked {
        Ok(text) => Some(text),
        Err((message, help)) => {
            let place = resolver.first_line(&text.span);
            resolver.findings.push(Finding::at(PARAMETER_VALUE, place, message).help(help));
            None
        }
    }
}

/// Whether the expression matches all of the text. One that does not compile matches nothing; the tests try them all.
fn matches_whole(pattern: &str, text: &str) -> bool {
    Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|pattern| pattern.is_match(text))
}

/// Texts as a string literal, or as a list of them, each with its place in the rule file.
fn literal(resolver: &Resolver<'_>, texts: &[(String, &Spanned<String>)], list: bool) -> Expanded {
    let mut out = Expanded::default();
    if list {
        out.text.push('[');
    }
    for (at, (text, written)) in texts.iter().enumerate() {
        if at > 0 {
            out.text.push_str(", ");
        }
        let start = out.text.len();
        push_literal(&mut out.text, text);
        out.map.push((start..out.text.len(), resolver.place(&written.span)));
    }
    if list {
        out.text.push(']');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_all_of_a_text_or_nothing() {
        assert!(matches_whole("[a-z]+", "abc"));
        for text in ["", "abc\n", "abc/", "Abc", "abc\0"] {
            assert!(!matches_whole("[a-z]+", text), "{text:?}");
        }
        assert!(!matches_whole("a|ab", "abc") && matches_whole("a|ab", "ab"));
        assert!(!matches_whole("(", "("));
    }
}
