//! `$name` written out: a condition with its definitions in parentheses, and where every part of it stands.

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::{ConditionMap, locate};
use crate::cel;
use crate::diag::codes_files::{DEFINITION_CYCLE, EXPANSION, UNKNOWN_DEFINITION};
use crate::diag::{Finding, SourceFile, SourceSpan, nearest, quoted};
use crate::source::scalar::Segment;
use crate::syntax::{Definition, RuleFile, Text, listed};

/// The most bytes a condition may have with its definitions written out.
pub const CONDITION_LIMIT_BYTES: usize = 64 << 10;

/// How deep definitions may use one another. The condition language nests 64 deep, and each use is a pair of parentheses.
const DEPTH_LIMIT: usize = 60;

/// The most bytes that writing definitions out may add to a policy: 160 for each of 100,000 rules. A small file could ask
/// for gigabytes otherwise.
pub const EXPANSION_LIMIT_BYTES: usize = 16 << 20;

/// A condition with its definitions written out.
#[derive(Debug, Clone, Default)]
pub(super) struct Expanded {
    pub(super) text: String,
    pub(super) map: ConditionMap,
    /// How deep definitions are nested in it.
    depth: usize,
}

/// What may still be written out in this policy.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Budget {
        Budget(Cell::new(EXPANSION_LIMIT_BYTES))
    }

    fn take(&self, bytes: usize) -> bool {
        let rest = self.0.get().checked_sub(bytes);
        self.0.set(rest.unwrap_or_default());
        rest.is_some()
    }
}

/// The definitions of one file.
pub(super) struct Definitions<'f> {
    file: &'f Arc<SourceFile>,
    budget: &'f Budget,
    /// Whether the file could only be read in part, so that definitions may be missing.
    partial: bool,
    /// `None` for one that was refused, so that its uses are not reported as well.
    by_name: HashMap<&'f str, Option<Rc<Expanded>>>,
}

impl<'f> Definitions<'f> {
    /// Writes every definition out. `given` are names that stand for something already: a preset's parameters.
    pub(super) fn read(
        file: &'f Arc<SourceFile>,
        written: &'f RuleFile,
        given: &'f HashMap<String, Option<Expanded>>,
        budget: &'f Budget,
        findings: &mut Vec<Finding>,
    ) -> Definitions<'f> {
        let mut out = Definitions { file, budget, partial: written.partial, by_name: HashMap::new() };
        out.by_name.extend(given.iter().map(|(name, value)| (name.as_str(), value.clone().map(Rc::new))));
        let definitions = written.definitions.as_slice();
        let names: HashMap<&str, usize> =
            definitions.iter().enumerate().map(|(at, definition)| (definition.name.value.as_str(), at)).collect();
        // Each definition's uses of others, and for each of them who waits for it.
        let uses: Vec<Vec<usize>> = definitions
            .iter()
            .map(|definition| {
                let text = definition.text.as_ref().map(|text| text.value.as_str()).unwrap_or_default();
                references(text).iter().filter_map(|(_, name)| names.get(name.as_str()).copied()).collect()
            })
            .collect();
        let mut waiting: Vec<usize> = uses.iter().map(Vec::len).collect();
        let mut users: Vec<Vec<usize>> = vec![Vec::new(); definitions.len()];
        for (user, used) in uses.iter().enumerate() {
            for used in used {
                if let Some(users) = users.get_mut(*used) {
                    users.push(user);
                }
            }
        }
        let mut ready: Vec<usize> = (0..definitions.len()).filter(|at| waiting.get(*at) == Some(&0)).collect();
        while let Some(at) = ready.pop() {
            let Some(definition) = definitions.get(at) else { continue };
            let expanded = definition.text.as_ref().and_then(|text| out.expand(text, findings)).map(Rc::new);
            out.by_name.insert(&definition.name.value, expanded);
            for user in users.get(at).into_iter().flatten() {
                if let Some(left) = waiting.get_mut(*user) {
                    *left -= 1;
                    if *left == 0 {
                        ready.push(*user);
                    }
                }
            }
        }
        out.cycles(definitions, &uses, findings);
        out
    }

    /// What was never ready uses itself, or something that does. Each circle is reported once.
    fn cycles(&mut self, definitions: &'f [Definition], uses: &[Vec<usize>], findings: &mut Vec<Finding>) {
        let mut seen = vec![false; definitions.len()];
        for start in 0..definitions.len() {
            let mut path: Vec<usize> = Vec::new();
            let mut next = Some(start);
            while let Some(at) = next {
                let Some(definition) = definitions.get(at) else { break };
                if let Some(back) = path.iter().position(|earlier| *earlier == at) {
                    let circle = path.get(back..).unwrap_or_default();
                    let names = circle.iter().chain([&at]).filter_map(|at| definitions.get(*at));
                    let shown: Vec<_> = names.map(|definition| format!("${}", definition.name.value)).collect();
                    let message = format!("definitions use each other in a circle: {}", shown_circle(&shown));
                    let help = "write one of them without the others";
                    findings.push(Finding::at(DEFINITION_CYCLE, self.place(&definition.name.span), message).help(help));
                    break;
                }
                if self.by_name.contains_key(definition.name.value.as_str()) || seen.get(at) == Some(&true) {
                    break;
                }
                path.push(at);
                let stuck = |used: &&usize| {
                    definitions.get(**used).is_some_and(|used| !self.by_name.contains_key(used.name.value.as_str()))
                };
                next = uses.get(at).and_then(|used| used.iter().find(stuck)).copied();
            }
            for at in path {
                if let Some(seen) = seen.get_mut(at) {
                    *seen = true;
                }
            }
        }
        for definition in definitions {
            self.by_name.entry(definition.name.value.as_str()).or_insert(None);
        }
    }

    /// A definition written out; `None` when it was refused.
    pub(super) fn expanded(&self, name: &str) -> Option<&Expanded> {
        self.by_name.get(name)?.as_deref()
    }

    /// A condition with its definitions written out; `None` when that was refused and reported.
    pub(super) fn expand(&self, text: &Text, findings: &mut Vec<Finding>) -> Option<Expanded> {
        let references = references(&text.value);
        let whole = self.place(&text.span);
        let written = map_of(self.file, &text.segments);
        if references.is_empty() {
            // The usual case, without a copy of the map. A text that is too long by itself is the parser's to report.
            return Some(Expanded { text: text.value.clone(), map: written, depth: 0 });
        }
        let mut parts: Vec<(Range<usize>, &Expanded)> = Vec::with_capacity(references.len());
        let mut known = true;
        for (range, name) in &references {
            match self.by_name.get(name.as_str()) {
                Some(Some(definition)) => parts.push((range.clone(), definition)),
                Some(None) => known = false,
                None => {
                    known = false;
                    if !self.partial {
                        findings.push(self.unknown(name, locate(&written, &whole, range)));
                    }
                }
            }
        }
        if !known {
            return None;
        }
        let grown: usize = parts.iter().map(|(range, part)| part.text.len() + 2 - range.len().min(2)).sum();
        let length = text.value.len().saturating_add(grown);
        let depth = parts.iter().map(|(_, part)| part.depth + 1).max().unwrap_or_default();
        if length > CONDITION_LIMIT_BYTES || depth > DEPTH_LIMIT {
            let message = if depth > DEPTH_LIMIT {
                format!("definitions use one another more than {DEPTH_LIMIT} deep")
            } else {
                format!(
                    "with its definitions written out this has {length} bytes, more than {CONDITION_LIMIT_BYTES} (64 KiB)"
                )
            };
            let help = "split it over several rules, or write a list with `in`";
            findings.push(Finding::at(EXPANSION, whole, message).help(help));
            return None;
        }
        let mut out = Expanded { text: String::with_capacity(length), map: Vec::new(), depth };
        let mut from = 0;
        for (range, part) in parts {
            copy(&mut out, &text.value, &written, from..range.start);
            let place = locate(&written, &whole, &range);
            wrap(&mut out, "(", &place);
            let base = out.text.len();
            out.text.push_str(&part.text);
            out.map.extend(part.map.iter().map(|(at, place)| (base + at.start..base + at.end, place.clone())));
            wrap(&mut out, ")", &place);
            from = range.end;
        }
        copy(&mut out, &text.value, &written, from..text.value.len());
        self.charge(out, grown, &whole, findings)
    }

    fn charge(
        &self,
        expanded: Expanded,
        grown: usize,
        whole: &SourceSpan,
        findings: &mut Vec<Finding>,
    ) -> Option<Expanded> {
        if self.budget.take(grown) {
            return Some(expanded);
        }
        let message =
            format!("writing definitions out adds more than {EXPANSION_LIMIT_BYTES} bytes (16 MiB) to the policy");
        findings.push(Finding::at(EXPANSION, whole.clone(), message).help("use smaller definitions, or fewer rules"));
        None
    }

    fn unknown(&self, name: &str, place: SourceSpan) -> Finding {
        let finding = Finding::at(
            UNKNOWN_DEFINITION,
            place.clone(),
            format!("there is no definition {} in this file", quoted(&format!("${name}"))),
        );
        let mut names: Vec<&str> = self.by_name.keys().copied().collect();
        names.sort_unstable();
        match nearest(name, names.iter().copied()) {
            Some(near) => {
                let fixed = format!("${near}");
                let exact = place.text().strip_prefix('$') == Some(name);
                let finding = finding.help(format!("did you mean `{fixed}`?"));
                let alone = crate::diag::is_nearest_alone(name, near, names.iter().copied());
                if exact && alone { finding.fix(place, fixed) } else { finding }
            }
            None if names.is_empty() => finding.help("add it under `definitions:`; definitions belong to their file"),
            None => finding.help(format!("this file defines {}", listed(names.into_iter().take(20)))),
        }
    }

    fn place(&self, range: &Range<usize>) -> SourceSpan {
        SourceSpan { file: self.file.clone(), start: range.start, end: range.end }
    }
}

pub(super) fn references(text: &str) -> Vec<(Range<usize>, String)> {
    // Most conditions use none.
    if text.contains('$') { cel::references(text) } else { Vec::new() }
}

/// The names of a circle; a long one without its middle.
fn shown_circle(names: &[String]) -> String {
    match names {
        [first, second, .., last] if names.len() > 8 => format!("`{first}` -> `{second}` -> ... -> `{last}`"),
        names => names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" -> "),
    }
}

fn map_of(file: &Arc<SourceFile>, segments: &[Segment]) -> ConditionMap {
    let place = |range: &Range<usize>| SourceSpan { file: file.clone(), start: range.start, end: range.end };
    segments.iter().map(|segment| (segment.text.clone(), place(&segment.source))).collect()
}

/// Appends a part of the condition as written.
fn copy(out: &mut Expanded, text: &str, map: &ConditionMap, range: Range<usize>) {
    let base = out.text.len();
    out.text.push_str(text.get(range.clone()).unwrap_or_default());
    let first = map.partition_point(|(at, _)| at.end <= range.start);
    for (at, place) in map.iter().skip(first).take_while(|(at, _)| at.start < range.end) {
        let part = at.start.max(range.start)..at.end.min(range.end);
        let mut place = place.clone();
        if at.len() == place.end - place.start {
            place.end = place.start + (part.end - at.start);
            place.start += part.start - at.start;
        }
        out.map.push((base + part.start - range.start..base + part.end - range.start, place));
    }
}

/// Appends a parenthesis, which stands for the `$name`.
fn wrap(out: &mut Expanded, parenthesis: &str, place: &SourceSpan) {
    let base = out.text.len();
    out.text.push_str(parenthesis);
    out.map.push((base..base + parenthesis.len(), place.clone()));
}
