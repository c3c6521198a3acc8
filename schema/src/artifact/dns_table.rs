//! `dns.table`: decides which names resolve, and for whom.

use std::sync::Arc;

use super::ArtifactError;
use super::item::{Child, NO_LEAF};
use super::possible::Possible;
use super::program::Program;
use super::writer::Writer;
use crate::decision::{NameVerdict, RuleIndex};
use crate::facts::{Fact, Facts};

/// What the file begins with.
pub const MAGIC: [u8; 4] = *b"OCDT";

/// Entry points.
const QUERY: u32 = 0;
const IMPLIED_TUNNEL: u32 = 1;
const IMPLIED_INTERCEPT: u32 = 2;
const IMPLIED_HTTP: u32 = 3;
const IMPLIED_HTTPS: u32 = 4;

/// A validated DNS allow-table.
#[derive(Debug, Clone)]
pub struct DnsTable {
    program: Program,
}

/// The entry points of a DNS table to write. The implied ones look at the agent and the host alone; their leaves name the
/// first rule that could let some request to the host pass.
#[derive(Debug, Clone, Copy)]
pub struct DnsRoots {
    /// Decides queries by `dns.*` and `agent.*`.
    pub query: Child,
    /// Connections that could pass as a tunnel.
    pub implied_tunnel: Child,
    /// Connections that could be intercepted.
    pub implied_intercept: Child,
    /// Requests that could pass as plain HTTP.
    pub implied_http: Child,
    /// Requests that could pass inside terminated TLS.
    pub implied_https: Child,
}

impl DnsRoots {
    /// The artifact's bytes.
    pub fn write(&self, writer: Writer) -> Vec<u8> {
        let roots = [
            (QUERY, self.query),
            (IMPLIED_TUNNEL, self.implied_tunnel),
            (IMPLIED_INTERCEPT, self.implied_intercept),
            (IMPLIED_HTTP, self.implied_http),
            (IMPLIED_HTTPS, self.implied_https),
        ];
        writer.finish(&roots, MAGIC)
    }
}

impl DnsTable {
    /// Validates a table: afterwards lookups cannot fail, panic or loop.
    ///
    /// # Errors
    /// Anything but what the writer of this format version wrote.
    pub fn from_bytes(bytes: Arc<[u8]>) -> Result<DnsTable, ArtifactError> {
        Program::open(bytes, MAGIC, "dns.table").map(|program| DnsTable { program })
    }

    /// Decides a query. `dns_query`, `dns_record_type` and `agent_name` must be known in `facts`; nothing else is read.
    ///
    /// A rule that does not test `dns.record_type` allows only A, AAAA, CNAME and HTTPS, and only A, AAAA and HTTPS follow
    /// from other rules; for other types the answer is [`NameVerdict::Block`].
    pub fn lookup(&self, facts: &Facts<'_>) -> NameVerdict {
        let possible = self.root(QUERY, facts);
        match possible.first.rule().map(RuleIndex) {
            Some(rule) if possible.pass != NO_LEAF && possible.single => return NameVerdict::Allow(rule),
            Some(rule) => return NameVerdict::Block(Some(rule)),
            None => {}
        }
        let (Fact::Known(name), Fact::Known("A" | "AAAA" | "HTTPS")) = (facts.dns_query, facts.dns_record_type) else {
            return NameVerdict::Block(None);
        };
        let request = Facts {
            agent_name: facts.agent_name,
            http_host: Fact::Known(name),
            network_hostname: Fact::Known(name),
            tls_sni: Fact::Known(name),
            ..Facts::default()
        };
        let intercepted = if self.root(IMPLIED_INTERCEPT, &request).pass == NO_LEAF {
            Possible::only(NO_LEAF)
        } else {
            self.root(IMPLIED_HTTPS, &request)
        };
        let ways = [self.root(IMPLIED_HTTP, &request), self.root(IMPLIED_TUNNEL, &request), intercepted];
        let first = ways.iter().map(|way| way.pass).min_by_key(|pass| pass.position());
        match first.and_then(Child::rule) {
            Some(rule) => NameVerdict::Implied { rule: RuleIndex(rule), private: ways.iter().any(|way| way.private) },
            None => NameVerdict::Block(None),
        }
    }

    /// What is left of a canonical name without the part that the rules themselves write out, which whoever asks for it could
    /// not choose: nothing of a name that stands in them, the labels before its suffix of one that lies under a name that
    /// does, and all of one that is told by a pattern. Which rules decide makes no difference.
    pub fn unwritten<'a>(&self, name: &'a str) -> &'a str {
        self.program.unwritten(name)
    }

    fn root(&self, number: u32, facts: &Facts<'_>) -> Possible {
        self.program.ask(self.program.root(number).unwrap_or(NO_LEAF), facts)
    }

    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// A name for each entry point, for reports.
    pub(super) fn root_name(number: u32) -> String {
        match number {
            QUERY => "queries",
            IMPLIED_TUNNEL => "names that follow from tunnels",
            IMPLIED_INTERCEPT => "names whose connections may be intercepted",
            IMPLIED_HTTP => "names that follow from plain requests",
            IMPLIED_HTTPS => "names that follow from intercepted requests",
            _ => "unknown",
        }
        .to_owned()
    }
}
