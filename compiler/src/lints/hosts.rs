//! Which hosts a condition can be true for, and where TLS is terminated for them.

use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

use outcall_schema::artifact::manifest::Interception;
use outcall_schema::egress::EgressMode;

use super::condition::Op;
use crate::resolve::Rule;

/// A test of a host that has to come out true.
#[derive(Debug, Clone)]
pub(crate) struct HostTest<'e> {
    /// How.
    pub(crate) op: Op,
    /// Against what.
    pub(crate) text: &'e str,
    /// Where the literal stands.
    pub(crate) span: Range<usize>,
}

impl<'e> HostTest<'e> {
    /// The one host that it is true for.
    pub(crate) fn exact(&self) -> Option<&'e str> {
        match self.op {
            Op::Equals => Some(self.text),
            Op::HostMatches if !self.text.starts_with('*') => Some(self.text),
            _ => None,
        }
    }

    /// The name below which it is true: `example.com` for `**.example.com` and for a suffix `.example.com`.
    pub(crate) fn under(&self) -> Option<&'e str> {
        let below = match self.op {
            Op::HostMatches => self.text.strip_prefix("**.").or_else(|| self.text.strip_prefix("*.")),
            Op::Suffix => self.text.strip_prefix('.'),
            _ => None,
        };
        below.filter(|below| !below.is_empty())
    }

    /// The test as people would say it.
    pub(crate) fn shown(&self) -> String {
        match self.op {
            Op::Suffix => format!("*{}", self.text),
            Op::Prefix => format!("{}*", self.text),
            Op::Contains => format!("*{}*", self.text),
            _ => self.text.to_owned(),
        }
    }
}

/// Hosts that a part of a condition can be true for: it may be true for fewer, never for others.
#[derive(Debug, Clone)]
pub(crate) enum Hosts<'e> {
    /// All of them, as far as can be told.
    Any,
    /// Those for which one of these tests is true.
    Of(Rc<[HostTest<'e>]>),
}

impl<'e> Hosts<'e> {
    pub(crate) fn is_any(&self) -> bool {
        matches!(self, Hosts::Any)
    }

    /// The tests; none for all hosts.
    pub(crate) fn tests(&self) -> &[HostTest<'e>] {
        match self {
            Hosts::Any => &[],
            Hosts::Of(tests) => tests,
        }
    }

    pub(crate) fn union<'a>(parts: impl Iterator<Item = &'a Hosts<'e>>) -> Hosts<'e>
    where
        'e: 'a,
    {
        let mut union = Vec::new();
        for part in parts {
            match part {
                Hosts::Any => return Hosts::Any,
                Hosts::Of(tests) => union.extend(tests.iter().cloned()),
            }
        }
        Hosts::Of(union.into())
    }
}

/// A host and everything it lies under: `a.b.c`, `b.c`, `c`.
pub(crate) fn suffixes(host: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(host), |rest| rest.split_once('.').map(|(_, rest)| rest))
}

/// Host patterns, looked up by hash.
#[derive(Debug, Default)]
pub(crate) struct PatternSet {
    exact: HashSet<String>,
    one_label: HashSet<String>,
    any_labels: HashSet<String>,
    /// Everything that some pattern's base lies under, itself included.
    above: HashSet<String>,
}

impl PatternSet {
    pub(crate) fn of<'p>(patterns: impl Iterator<Item = &'p str>) -> PatternSet {
        let mut set = PatternSet::default();
        for pattern in patterns {
            set.insert(pattern);
        }
        set
    }

    pub(crate) fn insert(&mut self, pattern: &str) {
        let (list, base) = if let Some(base) = pattern.strip_prefix("**.") {
            (&mut self.any_labels, base)
        } else if let Some(base) = pattern.strip_prefix("*.") {
            (&mut self.one_label, base)
        } else {
            (&mut self.exact, pattern)
        };
        list.insert(base.to_owned());
        self.above.extend(suffixes(base).map(str::to_owned));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.above.is_empty()
    }

    /// Whether a host is in the set.
    pub(crate) fn has(&self, host: &str) -> bool {
        let mut parents = suffixes(host).skip(1);
        self.exact.contains(host)
            || parents.next().is_some_and(|parent| self.one_label.contains(parent) || self.any_labels.contains(parent))
            || parents.any(|parent| self.any_labels.contains(parent))
    }

    /// Whether all hosts of a pattern are in the set.
    pub(crate) fn covers(&self, pattern: &str) -> bool {
        if let Some(base) = pattern.strip_prefix("**.") {
            suffixes(base).any(|parent| self.any_labels.contains(parent))
        } else if let Some(base) = pattern.strip_prefix("*.") {
            self.one_label.contains(base) || suffixes(base).any(|parent| self.any_labels.contains(parent))
        } else {
            self.has(pattern)
        }
    }

    /// Whether some host that the test is true for could be in the set.
    pub(crate) fn meets(&self, test: &HostTest<'_>) -> bool {
        match (test.exact(), test.under()) {
            (Some(host), _) => self.has(host),
            (None, Some(base)) => {
                let mut parents = suffixes(base);
                self.above.contains(base)
                    || parents.any(|parent| self.one_label.contains(parent) || self.any_labels.contains(parent))
            }
            (None, None) => !self.is_empty(),
        }
    }

    /// Whether every host that the test is true for is in the set, as far as can be told.
    pub(crate) fn holds_all(&self, test: &HostTest<'_>) -> bool {
        match (test.exact(), test.under()) {
            (Some(host), _) => self.has(host),
            (None, Some(base)) => {
                let one = test.op == Op::HostMatches && !test.text.starts_with("**.");
                suffixes(base).any(|parent| self.any_labels.contains(parent)) || (one && self.one_label.contains(base))
            }
            (None, None) => false,
        }
    }
}

/// Where TLS is terminated.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) hosts: PatternSet,
    pub(crate) bypass: PatternSet,
}

impl Inside {
    pub(crate) fn of(lists: &Interception) -> Inside {
        let set = |patterns: &[String]| PatternSet::of(patterns.iter().map(String::as_str));
        Inside { hosts: set(&lists.hosts), bypass: set(&lists.bypass) }
    }

    /// Whether a rule never sees inside TLS for these hosts.
    pub(crate) fn never(&self, rule: &Rule, hosts: &Hosts<'_>) -> bool {
        let intercepts = rule.egress.as_ref().is_some_and(|egress| egress.mode == EgressMode::Intercept);
        match hosts {
            Hosts::Any => !intercepts && self.hosts.is_empty(),
            Hosts::Of(tests) if intercepts => !tests.is_empty() && tests.iter().all(|test| self.bypass.holds_all(test)),
            Hosts::Of(tests) => tests.iter().all(|test| !self.hosts.meets(test) || self.bypass.holds_all(test)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_patterns_answer_like_the_patterns() {
        let set = PatternSet::of(["api.example.com", "*.example.org", "**.example.net"].into_iter());
        for (host, expected) in [
            ("api.example.com", true),
            ("x.api.example.com", false),
            ("a.example.org", true),
            ("example.org", false),
            ("a.b.example.org", false),
            ("a.example.net", true),
            ("a.b.example.net", true),
            ("example.net", false),
        ] {
            assert_eq!(set.has(host), expected, "{host}");
        }
        for (pattern, expected) in [
            ("*.example.org", true),
            ("**.example.org", false),
            ("*.example.net", true),
            ("**.a.example.net", true),
            ("*.example.com", false),
        ] {
            assert_eq!(set.covers(pattern), expected, "{pattern}");
        }
        let test = |op, text| HostTest { op, text, span: 0..0 };
        for (test, meets, all) in [
            (test(Op::Suffix, ".example.com"), true, false),
            (test(Op::Suffix, ".example.net"), true, true),
            (test(Op::Suffix, ".other.example"), false, false),
            (test(Op::HostMatches, "*.example.org"), true, true),
            (test(Op::HostMatches, "*.b.example.net"), true, true),
            (test(Op::Contains, "x"), true, false),
        ] {
            assert_eq!((set.meets(&test), set.holds_all(&test)), (meets, all), "{test:?}");
        }
    }
}
