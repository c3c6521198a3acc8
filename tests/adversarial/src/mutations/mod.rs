//! The list of weakenings: each takes away one thing that protects, and names the techniques that must then fail. It shows
//! that they can.
//!
//! Nothing of the product can be told to be weaker. A mutation changes the rules before they are compiled, or an artifact
//! after, with its digest in the manifest made to fit, as somebody who got hold of the policy could.

use std::path::Path;

use outcall_compiler::Artifacts;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{Manifest, file};

use crate::policy;
use crate::technique::Family;

/// One weakening.
#[derive(Debug)]
pub struct Mutation {
    /// Its name.
    pub id: &'static str,
    /// Whose protection it takes away.
    pub family: Family,
    /// What it changes, in a sentence.
    pub what: &'static str,
    /// The change.
    pub change: Change,
    /// The techniques that must fail.
    pub must_fail: &'static [&'static str],
}

/// What is put in the place of what.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// In the rules: text for text.
    Rules(&'static str, &'static str),
    /// In the compiled ruleset: text for text.
    Ruleset(&'static str, &'static str),
    /// The table of names is that of the rules with this change.
    Names(&'static str, &'static str),
    /// The match program is that of the rules with this change.
    Program(&'static str, &'static str),
}

const ONE_SITE: &str = "http.host == \"allowed.test\"";
const MANY_SITES: &str = "http.host in [\"allowed.test\", \"evil.test\"]";

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    Mutation {
        id: "refusals-unlogged",
        family: Family::Kernel,
        what: "The kernel refuses without telling the log.",
        change: Change::Ruleset("		limit rate 200/second burst 200 packets log group 28515\n", ""),
        must_fail: &["direct-ipv4", "direct-ipv6", "udp-datagram", "icmp-echo", "metadata-address"],
    },
    Mutation {
        id: "refusals-uncounted",
        family: Family::Kernel,
        what: "The kernel refuses without counting.",
        change: Change::Ruleset("	chain refuse {\n		counter name \"refused\"\n", "	chain refuse {\n"),
        must_fail: &["direct-ipv4", "quic-port"],
    },
    Mutation {
        id: "name-added-to-the-table",
        family: Family::Dns,
        what: "The table of names has one name more than the rules.",
        change: Change::Names(ONE_SITE, "http.host in [\"allowed.test\", \"a-secret.evil.test\", \"evil.test\"]"),
        must_fail: &["refused-name", "other-resolver", "other-resolver-tcp"],
    },
    Mutation {
        id: "text-records-allowed",
        family: Family::Dns,
        what: "A rule allows the text records of a name that is for the web.",
        change: Change::Rules(
            "rules:\n",
            "rules:\n  - { id: text-records, action: allow, condition: 'dns.query == \"allowed.test\" && dns.record_type == \"TXT\"' }\n",
        ),
        must_fail: &["text-record"],
    },
    Mutation {
        id: "private-addresses-allowed",
        family: Family::Dns,
        what: "The rule for public names allows private addresses.",
        change: Change::Rules(
            "\"alias.test\"]\n    action: allow\n    egress: { ports: [80, 443] }",
            "\"alias.test\"]\n    action: allow\n    egress: { ports: [80, 443], allow_private_ips: true }",
        ),
        must_fail: &["name-of-private-address"],
    },
    Mutation {
        id: "rule-too-wide",
        family: Family::Http,
        what: "The rule for one site allows its neighbour as well.",
        change: Change::Rules(ONE_SITE, MANY_SITES),
        must_fail: &["refused-host", "pipelined-other-host"],
    },
    Mutation {
        id: "program-of-another-policy",
        family: Family::Http,
        what: "The match program is that of a wider policy; the kernel's part and the names are not.",
        change: Change::Program(ONE_SITE, MANY_SITES),
        must_fail: &["refused-host", "pipelined-other-host"],
    },
    Mutation {
        id: "anybody-is-the-neighbour",
        family: Family::Control,
        what: "The rule for another agent forgets to ask who it is.",
        change: Change::Rules(" && agent.name == \"neighbour\"", ""),
        must_fail: &["identity-by-header"],
    },
];

impl Mutation {
    /// The rules to compile.
    pub fn rules(&self, rules: &str) -> String {
        match self.change {
            Change::Rules(from, to) => rules.replacen(from, to, 1),
            Change::Ruleset(..) | Change::Names(..) | Change::Program(..) => rules.to_owned(),
        }
    }

    /// Changes the artifacts, and has the manifest agree.
    ///
    /// # Errors
    /// When what is to be changed is not there.
    pub fn apply(&self, artifacts: &mut Artifacts, work: &Path) -> Result<(), String> {
        let nothing = || format!("the mutation `{}` finds nothing to change", self.id);
        let other = |from: &str, to: &str| {
            let rules = policy::RULES.replacen(from, to, 1);
            if rules == policy::RULES { Err(nothing()) } else { policy::compile(&rules, &[], work) }
        };
        match self.change {
            Change::Rules(from, _) => {
                return if policy::RULES.contains(from) { Ok(()) } else { Err(nothing()) };
            }
            Change::Ruleset(from, to) => {
                if !artifacts.nft.contains(from) {
                    return Err(nothing());
                }
                artifacts.nft = artifacts.nft.replace(from, to);
            }
            Change::Names(from, to) => artifacts.dns = other(from, to)?.dns,
            Change::Program(from, to) => artifacts.proxy = other(from, to)?.proxy,
        }
        let mut manifest = Manifest::from_bytes(&artifacts.manifest).map_err(|error| error.to_string())?;
        for row in &mut manifest.files {
            let bytes = match row.name.as_str() {
                file::NFT => artifacts.nft.as_bytes(),
                file::DNS => artifacts.dns.as_slice(),
                _ => artifacts.proxy.as_slice(),
            };
            (row.size, row.digest) = (bytes.len() as u64, Digest::of(bytes));
        }
        artifacts.manifest = manifest.to_bytes();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table;

    #[test]
    fn each_family_has_one_and_each_names_techniques_that_there_are() {
        for family in Family::ALL {
            assert!(MUTATIONS.iter().any(|mutation| mutation.family == family), "{}", family.name());
        }
        let work = tempfile::tempdir().unwrap();
        for mutation in MUTATIONS {
            assert!(MUTATIONS.iter().filter(|other| other.id == mutation.id).count() == 1, "{}", mutation.id);
            assert!(!mutation.must_fail.is_empty(), "{}", mutation.id);
            for id in mutation.must_fail {
                assert!(table::technique(id).is_some(), "{}: `{id}`", mutation.id);
            }
            let mut artifacts = policy::compile(&mutation.rules(policy::RULES), &[], work.path()).unwrap();
            let before = artifacts.manifest.clone();
            mutation.apply(&mut artifacts, work.path()).unwrap();
            let is_text = matches!(mutation.change, Change::Rules(..));
            assert_eq!(artifacts.manifest == before, is_text, "{}", mutation.id);
            assert!(Manifest::from_bytes(&artifacts.manifest).is_ok(), "{}", mutation.id);
        }
    }
}
