//! One line of the audit log that is no decision about an agent's request: what an operator did, or somebody tried to.

use std::time::SystemTime;

use serde::Serialize;
use serde_json::{Map, Value};

use super::line::ascii_line;
use super::record::rfc3339;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// When, RFC 3339 in UTC with milliseconds.
    time: String,
    /// The part of the runtime that it comes from: `api`.
    subsystem: &'static str,
    /// What happened, in snake case.
    event: &'static str,
    /// The digest of the policy that is in force.
    policy: String,
    /// What more there is to say.
    #[serde(flatten)]
    details: Map<String, Value>,
}

impl Notice {
    /// That something happened now.
    pub fn new(subsystem: &'static str, event: &'static str, policy: &str) -> Notice {
        let time = rfc3339(SystemTime::now());
        Notice { time, subsystem, event, policy: policy.to_owned(), details: Map::new() }
    }

    /// Adds a detail. Its name must not be one that every notice has.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Notice {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// The line, newline included, in printable ASCII.
    pub fn to_line(&self) -> Vec<u8> {
        ascii_line(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_one_line_of_printable_ascii() {
        let line = Notice::new("api", "stranger_refused", "sha256:0").with("why", "é\n").with("uid", 7).to_line();
        let (last, text) = line.split_last().unwrap();
        assert!(*last == b'\n' && text.iter().all(|byte| (b' '..=b'~').contains(byte)));
        let back: Value = serde_json::from_slice(text).unwrap();
        assert_eq!(
            (&back["event"], &back["why"], &back["uid"]),
            (&"stranger_refused".into(), &"é\n".into(), &7.into())
        );
    }
}
