//! A policy with all names bound, defaults filled in and types known: what lowering works on.

mod define;
mod hosts;
mod inject;
mod matching;
mod policy_tests;
mod presets;
mod reread;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use outcall_schema::artifact::manifest::{Hold, Inject, Interception, RequiredHeader, TestRow};
use outcall_schema::decision::Action;
use outcall_schema::egress::{Egress, EgressMode, PortRange};

use crate::cel;
use crate::cel::typed::Expr;
use crate::diag::codes_files::DUPLICATE_ID;
use crate::diag::codes_meaning::BLOCK_MAY_FAIL;
use crate::diag::{self, Finding, SourceFile, SourceSpan, quoted};
use crate::source::{self, Suppression};
use crate::syntax::{self, RuleFile, Spanned};
use define::{Budget, Definitions, Expanded};
pub use define::{CONDITION_LIMIT_BYTES, EXPANSION_LIMIT_BYTES};
use presets::{Instance, Uses};
pub use reread::from_manifest;

/// The priority of a rule that names none: there is room before it and after it.
pub const DEFAULT_PRIORITY: i64 = 100;

/// The ports that a `direct_ip` rule opens when it names none.
pub const DIRECT_PORTS: [PortRange; 2] = [PortRange { low: 80, high: 80 }, PortRange { low: 443, high: 443 }];

/// A whole policy.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// The rules in evaluation order: by priority, then file name, then position.
    pub rules: Vec<Rule>,
    /// The merged host lists: canonical patterns, sorted, each once.
    pub interception: Interception,
    /// The policy's unit tests, in file order.
    pub tests: Vec<TestRow>,
    /// The findings that comments in the files suppress.
    pub suppressions: Vec<Suppression>,
    /// The entries of the host lists, each with its place, in file order.
    pub listed_hosts: Vec<ListedHost>,
    /// The definitions of all files.
    pub definitions: Vec<Definition>,
}

/// One of the host lists of `interception:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HostList {
    /// `hosts:`
    Hosts,
    /// `bypass:`
    Bypass,
    /// `strict:`
    Strict,
}

/// An entry of a host list.
#[derive(Debug, Clone)]
pub struct ListedHost {
    /// The list.
    pub list: HostList,
    /// The pattern in its canonical form.
    pub pattern: String,
    /// Where it stands.
    pub span: SourceSpan,
}

/// An entry of `definitions:`.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name, without `$`.
    pub name: String,
    /// Where the name stands.
    pub span: SourceSpan,
    /// Whether some rule uses it, itself or by way of other definitions.
    pub used: bool,
}

/// Where the bytes of a condition come from: sorted, disjoint ranges of its text, each with its place in a file. Where
/// both are equally long they correspond byte by byte; else the place stands for the range as a whole.
pub type ConditionMap = Vec<(Range<usize>, SourceSpan)>;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The id.
    pub id: String,
    /// Where the id stands.
    pub span: SourceSpan,
    /// What it does.
    pub action: Action,
    /// Lower comes first.
    pub priority: i64,
    /// Its description; empty when there is none.
    pub description: String,
    /// Whether matches are logged.
    pub log: bool,
    /// The condition: boolean, definitions expanded.
    pub condition: Expr,
    /// The condition's text after expansion, which the spans in `condition` count in.
    pub condition_text: String,
    /// Where the condition stands in its file.
    pub condition_span: SourceSpan,
    /// For each byte range of `condition_text` that can be told: where it stands in a file. Sorted, see
    /// [`Rule::locate`].
    pub condition_map: ConditionMap,
    /// The egress settings, for an allow rule.
    pub egress: Option<Egress>,
    /// The hold settings, for a hold rule.
    pub hold: Option<Hold>,
    /// What is injected, for an enrich rule.
    pub inject: Vec<Inject>,
    /// The credentials that are insisted on, for an enrich rule: sorted by header, in lower case.
    pub require_header: Vec<RequiredHeader>,
    /// What of this was written out, and where.
    pub written: Written,
}

/// Where parts of a rule stand that have a default, for those that were written out: each the key with its value.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The whole rule.
    pub rule: Option<SourceSpan>,
    /// `priority:`
    pub priority: Option<SourceSpan>,
    /// The value of `egress.mode`.
    pub mode: Option<SourceSpan>,
    /// `egress.ports`
    pub ports: Option<SourceSpan>,
    /// `egress.allow_private_ips`
    pub allow_private_ips: Option<SourceSpan>,
    /// `egress.match_body`
    pub match_body: Option<SourceSpan>,
}

/// Whether a policy holds the tests of the presets it uses, beside those of its own files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetTests {
    /// Only its own: a preset's tests assume its example parameters, and no other rules.
    Left,
    /// Those as well, for a preset that is tried alone.
    Included,
}

/// Resolves rule files, in evaluation order, into a policy. What is wrong comes back as findings, sorted; the policy holds
/// what could be resolved, and is only whole when none of them is an error.
pub fn resolve(files: &[Arc<SourceFile>]) -> (Policy, Vec<Finding>) {
    resolve_with(files, PresetTests::Left)
}

/// A rule file, or the text of a preset for one use.
struct Part<'f> {
    file: &'f Arc<SourceFile>,
    rules: &'f RuleFile,
    /// Which preset; `None` for a rule file.
    preset: Option<&'f Instance>,
}

impl Part<'_> {
    fn prefix(&self) -> &str {
        self.preset.map_or("", |preset| &preset.prefix)
    }
}

/// The same as [`resolve`], with the presets' tests or without.
pub(crate) fn resolve_with(files: &[Arc<SourceFile>], tests: PresetTests) -> (Policy, Vec<Finding>) {
    let mut policy = Policy::default();
    let mut findings = Vec::new();
    let mut written: Vec<(&Arc<SourceFile>, RuleFile)> = Vec::with_capacity(files.len());
    for file in files {
        let (document, mut found) = source::yaml::read(file);
        findings.append(&mut found);
        let (rules, mut found) = syntax::read(file, document);
        findings.append(&mut found);
        written.push((file, rules));
    }
    let partial = written.iter().any(|(_, file)| file.partial);
    let mut uses = Uses::default();
    let mut instances: Vec<Vec<Instance>> = Vec::with_capacity(written.len());
    for (file, rules) in &written {
        let mut resolver = Resolver { file, findings: Vec::new(), partial, prefix: String::new() };
        instances.push(uses.read(&mut resolver, &rules.presets));
        findings.append(&mut resolver.findings);
    }
    // A file's presets follow it, so that their rules follow its own.
    let parts: Vec<Part<'_>> = written
        .iter()
        .zip(&instances)
        .flat_map(|((file, rules), instances)| {
            let presets = instances.iter().map(|preset| Part {
                file: &preset.file,
                rules: &preset.preset.rules,
                preset: Some(preset),
            });
            std::iter::once(Part { file, rules, preset: None }).chain(presets)
        })
        .collect();
    unique_ids(&parts, &mut findings);
    let actions: HashMap<String, Action> = parts
        .iter()
        .flat_map(|part| part.rules.rules.iter().map(move |rule| (part.prefix(), rule)))
        .filter_map(|(prefix, rule)| {
            Some((format!("{prefix}{}", rule.id.as_ref()?.value), rule.action.as_ref()?.value))
        })
        .collect();
    let budget = Budget::new();
    let none = HashMap::new();
    for part in &parts {
        let (file, rules) = (part.file, part.rules);
        let mut resolver = Resolver { file, findings: Vec::new(), partial, prefix: part.prefix().to_owned() };
        let given = part.preset.map_or(&none, |preset| &preset.parameters);
        let definitions = Definitions::read(file, rules, given, &budget, &mut resolver.findings);
        resolver.definitions(&rules.definitions, &definitions);
        resolver.interception(&rules.interception, &mut policy);
        policy.definitions.extend(resolver.used(rules));
        policy.rules.extend(rules.rules.iter().filter_map(|rule| resolver.rule(rule, &definitions)));
        if part.preset.is_none() || tests == PresetTests::Included {
            policy.tests.extend(rules.tests.iter().filter_map(|test| resolver.test(test, &actions)));
        }
        policy.suppressions.extend(rules.suppressions.iter().cloned());
        findings.append(&mut resolver.findings);
    }
    // Stable: within one priority the files' order and the rules' places in them remain.
    policy.rules.sort_by_key(|rule| rule.priority);
    for list in [&mut policy.interception.hosts, &mut policy.interception.bypass, &mut policy.interception.strict] {
        list.sort_unstable();
        list.dedup();
    }
    diag::sort(&mut findings);
    (policy, findings)
}

/// Resolves texts as if they were files: `[("a.yaml", "version: 1 ...")]`.
pub fn from_texts(texts: &[(&str, &str)]) -> (Policy, Vec<Finding>) {
    let files: Vec<_> = texts.iter().map(|(name, text)| SourceFile::new(*name, *text)).collect();
    resolve(&files)
}

fn unique_ids(parts: &[Part<'_>], findings: &mut Vec<Finding>) {
    let mut first: HashMap<String, SourceSpan> = HashMap::new();
    // The files' own rules first, so that what is reported is the one that is not the user's to rename.
    let (presets, own): (Vec<&Part<'_>>, Vec<&Part<'_>>) = parts.iter().partition(|part| part.preset.is_some());
    for part in own.into_iter().chain(presets) {
        for id in part.rules.rules.iter().filter_map(|rule| rule.id.as_ref()) {
            let value = format!("{}{}", part.prefix(), id.value);
            let place = match part.preset {
                Some(preset) => preset.used_at.clone(),
                None => SourceSpan { file: Arc::clone(part.file), start: id.span.start, end: id.span.end },
            };
            match first.entry(value) {
                Entry::Vacant(entry) => {
                    entry.insert(place);
                }
                Entry::Occupied(entry) => {
                    let (other, line) = (&entry.get().file.path, entry.get().line());
                    let message = match part.preset {
                        Some(_) => format!("a rule of this preset has the id {}, which is taken", quoted(entry.key())),
                        None => format!("the rule id {} is used twice", quoted(entry.key())),
                    };
                    let help = format!("it is first used in {other} on line {line}; ids are unique over all files");
                    findings.push(Finding::at(DUPLICATE_ID, place, message).help(help));
                }
            }
        }
    }
}

/// Resolves the parts of one file.
struct Resolver<'f> {
    file: &'f Arc<SourceFile>,
    findings: Vec<Finding>,
    /// Whether some file could only be read in part, so that rules may be missing.
    partial: bool,
    /// What ids of rules begin with: nothing in a rule file, a name and a dot in a preset.
    prefix: String,
}

impl Resolver<'_> {
    fn place(&self, range: &Range<usize>) -> SourceSpan {
        SourceSpan { file: Arc::clone(self.file), start: range.start, end: range.end }
    }

    /// The first line of what stands at `range`, which is enough to mark.
    fn first_line(&self, range: &Range<usize>) -> SourceSpan {
        let text = self.file.text.get(range.clone()).unwrap_or_default();
        let line = text.find(['\n', '\r']).unwrap_or(text.len());
        self.place(&(range.start..range.start + line))
    }

    /// Definitions are checked whether or not a rule uses them: each has to be an expression by itself.
    fn definitions(&mut self, written: &[syntax::Definition], definitions: &Definitions<'_>) {
        for definition in written {
            let Some(text) = &definition.text else { continue };
            if let Some(expanded) = definitions.expanded(&definition.name.value) {
                let whole = self.place(&text.span);
                if let Err(errors) = cel::parse_and_check(&expanded.text, &cel::Env::definition()) {
                    self.condition_errors(&expanded.text, &expanded.map, &whole, errors);
                }
            }
        }
    }

    fn rule(&mut self, rule: &syntax::Rule, definitions: &Definitions<'_>) -> Option<Rule> {
        let matched = rule.matching.as_ref().filter(|_| rule.condition.is_none()).map(matching::condition);
        let text = rule.condition.as_ref().or(matched.as_ref());
        let condition = text.and_then(|text| {
            let expanded = definitions.expand(text, &mut self.findings)?;
            let whole = self.place(&text.span);
            let condition = self.condition(&expanded, &whole)?;
            Some((condition, expanded, whole))
        });
        let inject = self.inject(&rule.inject);
        let (condition, Expanded { text, map, .. }, whole) = condition?;
        let (id, action) = (rule.id.as_ref()?, rule.action.as_ref()?.value);
        if rule.broken {
            return None;
        }
        let egress = (action == Action::Allow).then(|| egress(&rule.egress));
        let hold = (action == Action::Hold).then(|| Hold {
            direction: rule.hold.direction.unwrap_or_default(),
            timeout_ms: rule.hold.timeout_ms,
            on_timeout: rule.hold.on_timeout.unwrap_or_default(),
        });
        if action == Action::Block || !rule.require_header.is_empty() {
            self.never_fails(id, action, &condition, &map, &whole);
        }
        let rule = Rule {
            id: format!("{}{}", self.prefix, id.value),
            span: self.place(&id.span),
            action,
            priority: rule.priority.as_ref().map_or(DEFAULT_PRIORITY, |priority| priority.value),
            description: rule.description.clone(),
            log: rule.log,
            condition,
            condition_text: text,
            condition_span: whole,
            condition_map: map,
            egress,
            hold,
            inject: inject?,
            require_header: required_headers(&rule.require_header),
            written: self.written(rule),
        };
        Some(rule)
    }

    fn written(&self, rule: &syntax::Rule) -> Written {
        let place = |range: &Range<usize>| self.place(range);
        let syntax::Egress { mode, ports_span, allow_private_ips, match_body, .. } = &rule.egress;
        Written {
            rule: Some(place(&rule.span)),
            priority: rule.priority.as_ref().map(|it| place(&it.span)),
            mode: mode.as_ref().map(|it| place(&it.span)),
            ports: ports_span.as_ref().map(place),
            allow_private_ips: allow_private_ips.as_ref().map(|it| place(&it.span)),
            match_body: match_body.as_ref().map(|it| place(&it.span)),
        }
    }

    /// The definitions of a file, with whether its rules use them.
    fn used(&self, written: &RuleFile) -> Vec<Definition> {
        let references = |text: Option<&syntax::Text>| text.map(|text| define::references(&text.value));
        let of_rules = written.rules.iter().filter_map(|rule| references(rule.condition.as_ref())).flatten();
        let mut pending: Vec<String> = match written.definitions.as_slice() {
            [] => return Vec::new(),
            _ => of_rules.map(|(_, name)| name).collect(),
        };
        let mut used: HashSet<String> = HashSet::new();
        let texts: HashMap<&str, Option<&syntax::Text>> =
            written.definitions.iter().map(|it| (it.name.value.as_str(), it.text.as_ref())).collect();
        while let Some(name) = pending.pop() {
            if let Some(text) = texts.get(name.as_str())
                && used.insert(name)
            {
                pending.extend(references(*text).into_iter().flatten().map(|(_, name)| name));
            }
        }
        let definition = |it: &syntax::Definition| Definition {
            name: it.name.value.clone(),
            span: self.place(&it.name.span),
            used: used.contains(&it.name.value),
        };
        written.definitions.iter().map(definition).collect()
    }

    /// A rule that refuses must not open by accident.
    fn never_fails(
        &mut self,
        id: &Spanned<String>,
        action: Action,
        condition: &Expr,
        map: &ConditionMap,
        whole: &SourceSpan,
    ) {
        let (kind, verb) = match action {
            Action::Block => ("block rule", "block"),
            Action::Allow | Action::Hold | Action::Enrich => ("rule with `require_header`", "insist on it"),
        };
        for cel::Fallible { range, why, guard } in cel::fallible(condition) {
            let message = format!("the {kind} {} would let pass what it should stop: {why}", quoted(&id.value));
            let help = if guard.is_empty() {
                "write the condition so that this cannot happen".to_owned()
            } else {
                format!("guard it: `{guard} && ...`, or `!({guard}) || ...` to {verb} then as well")
            };
            self.findings.push(Finding::at(BLOCK_MAY_FAIL, locate(map, whole, &range), message).help(help));
        }
    }

    fn condition(&mut self, expanded: &Expanded, whole: &SourceSpan) -> Option<Expr> {
        match cel::parse_and_check(&expanded.text, &cel::Env::rule()) {
            Ok(condition) => Some(condition),
            Err(errors) => {
                self.condition_errors(&expanded.text, &expanded.map, whole, errors);
                None
            }
        }
    }

    fn condition_errors(&mut self, text: &str, map: &ConditionMap, whole: &SourceSpan, errors: Vec<cel::CelError>) {
        for error in errors {
            let mut finding = Finding::at(error.code, locate(map, whole, &error.range), error.message);
            finding.help = error.help;
            if let Some((range, replacement)) = error.replacement {
                let place = locate(map, whole, &range);
                // Only where the file says literally what the condition does: not behind escapes or folds.
                if text.get(range) == Some(place.text()) {
                    finding = finding.fix(place, replacement);
                }
            }
            self.findings.push(finding);
        }
    }
}

fn required_headers(written: &[syntax::RequiredHeader]) -> Vec<RequiredHeader> {
    let required = |it: &syntax::RequiredHeader| RequiredHeader { header: it.header.value.clone(), digest: it.digest };
    let mut all: Vec<RequiredHeader> = written.iter().map(required).collect();
    all.sort_by(|left, right| left.header.cmp(&right.header));
    all
}

fn egress(written: &syntax::Egress) -> Egress {
    let mode = written.mode.as_ref().map(|mode| mode.value).unwrap_or_default();
    let mut ports = written.ports.clone();
    if ports.is_empty() && mode == EgressMode::DirectIp {
        ports.extend(DIRECT_PORTS);
    }
    let stated = |value: &Option<Spanned<bool>>| value.as_ref().is_some_and(|value| value.value);
    let (allow_private_ips, match_body) = (stated(&written.allow_private_ips), stated(&written.match_body));
    Egress { mode, ports, allow_private_ips, match_body }
}

impl Rule {
    /// Where a range of `condition_text`, such as an expression's span, stands in a file.
    pub fn locate(&self, range: &Range<usize>) -> SourceSpan {
        locate(&self.condition_map, &self.condition_span, range)
    }

    /// Where a range of `condition_text` stands in this rule itself: for what comes out of a definition, the `$name` that
    /// brought it in.
    pub fn locate_here(&self, range: &Range<usize>) -> SourceSpan {
        let here = |place: &SourceSpan| {
            let whole = &self.condition_span;
            Arc::ptr_eq(&place.file, &whole.file) && whole.start <= place.start && place.end <= whole.end
        };
        let place = self.locate(range);
        if here(&place) {
            return place;
        }
        // A definition is written out in parentheses that stand for the `$name`.
        let at = self.condition_map.partition_point(|(from, _)| from.end <= range.start);
        let before = self.condition_map.get(..at).unwrap_or_default();
        let opened = before.iter().rev().map(|(_, place)| place).find(|place| here(place));
        opened.unwrap_or(&self.condition_span).clone()
    }
}

/// Where `range` stands according to `map`; the whole condition where that cannot be told, or where the range begins in
/// one place (a rule) and ends in another (a definition).
pub fn locate(map: &ConditionMap, whole: &SourceSpan, range: &Range<usize>) -> SourceSpan {
    let holding = |byte: usize| {
        let at = map.partition_point(|(from, _)| from.end <= byte);
        map.get(at).filter(|(from, _)| from.start <= byte)
    };
    let exact = |from: &Range<usize>, to: &SourceSpan| from.len() == to.end - to.start;
    if range.is_empty() && range.start > 0 && holding(range.start).is_none() {
        // The end of the text: behind its last byte.
        let last = locate(map, whole, &(range.start - 1..range.start));
        return SourceSpan { start: last.end, ..last };
    }
    let Some((first, start)) = holding(range.start) else { return whole.clone() };
    let begin = if exact(first, start) { start.start + (range.start - first.start) } else { start.start };
    if range.is_empty() {
        return SourceSpan { file: start.file.clone(), start: begin, end: begin };
    }
    let Some((last, end)) = holding(range.end - 1) else { return whole.clone() };
    let finish = if exact(last, end) { end.start + (range.end - last.start) } else { end.end };
    let inside = |part: &SourceSpan| whole.start <= part.start && part.end <= whole.end;
    if !Arc::ptr_eq(&start.file, &end.file) || finish < begin || inside(start) != inside(end) {
        return whole.clone();
    }
    SourceSpan { file: start.file.clone(), start: begin, end: finish }
}
