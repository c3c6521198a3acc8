//! What is said of the DNS filter, and what it is asked to try.

use serde::{Deserialize, Serialize};

/// The answer of `GET dns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DnsStatus {
    /// Whether it answers.
    pub running: bool,
    /// The first address that it listens on.
    pub listen_address: String,
    /// The port.
    pub listen_port: u16,
    /// All addresses with their ports.
    pub listening: Vec<String>,
    /// The resolvers that are asked for allowed names, in the operator's order.
    pub upstreams: Vec<String>,
    /// How many answers are kept.
    pub cache_entries: usize,
    /// Queries that were answered, refused or failed; the sum of the two below.
    pub queries_total: u64,
    /// Those that were answered as the policy allows.
    pub queries_allowed: u64,
    /// Those that were refused or failed.
    pub queries_blocked: u64,
}

/// The answer of `GET dns/cache`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CacheStatus {
    /// How many answers are kept, those whose time is up but whose place was not needed included.
    pub entries: usize,
    /// How many are kept at most; large answers make it fewer.
    pub max_entries: usize,
    /// How often an answer was there that could be used.
    pub hits: u64,
    /// How often there was none.
    pub misses: u64,
    /// How many had to make room.
    pub evictions: u64,
    /// The answers by name and type; there with `?entries=true` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Vec<CacheEntry>>,
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CacheEntry {
    /// The canonical name.
    pub name: String,
    /// The record type.
    pub record_type: String,
    /// The response code that the resolver gave: `NOERROR` or `NXDOMAIN`.
    pub code: String,
    /// The addresses in it, whoever may be told them.
    pub addresses: Vec<String>,
    /// How long it can still be used; 0 when its time is up.
    pub expires_in_secs: u64,
}

/// The body of `POST dns/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DnsTest {
    /// The name, in any case, with or without the dot at its end.
    pub name: String,
    /// The record type by its name or as `TYPE65`; `A` when left out.
    #[serde(default = "record_type_a")]
    pub record_type: String,
    /// The agent that would ask; one without a name when left out.
    #[serde(default)]
    pub agent: String,
    /// Whether an upstream is asked where the policy allows it and no answer is kept. Else no packet is sent.
    #[serde(default)]
    pub resolve: bool,
}

fn record_type_a() -> String {
    "A".to_owned()
}

/// What the filter would answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub enum DnsVerdict {
    /// What the upstream says, as far as the agent may know it.
    Resolve,
    /// That there is no such name.
    Nxdomain,
    /// That the name has no such record.
    NoData,
    /// That it does not answer such a question.
    Refused,
}

impl DnsVerdict {
    /// The name in answers.
    pub const fn name(self) -> &'static str {
        match self {
            DnsVerdict::Resolve => "resolve",
            DnsVerdict::Nxdomain => "nxdomain",
            DnsVerdict::NoData => "no_data",
            DnsVerdict::Refused => "refused",
        }
    }
}

/// The answer of `POST dns/test`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DnsTested {
    /// The name in its canonical form.
    pub name: String,
    /// The record type.
    pub record_type: String,
    /// What would be answered.
    pub verdict: DnsVerdict,
    /// The rule that decided, or `default`.
    pub matched_rule: String,
    /// Its file.
    pub file: Option<String>,
    /// The line of its id.
    pub line: Option<u32>,
    /// Whether no rule lets the query itself pass, but a request to the name could be allowed by this rule.
    pub implied: bool,
    /// The code of the reason.
    pub reason: String,
    /// Whether the agent may be told private addresses.
    pub private_addresses: bool,
    /// Whether an answer is kept that would be used.
    pub cached: bool,
    /// What that answer, or the one that was fetched, says; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<DnsAnswer>,
    /// The code of the reason why no upstream gave one, where it was to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// What an agent would be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct DnsAnswer {
    /// The response code: `NOERROR` or `NXDOMAIN`.
    pub code: String,
    /// How many records there are to tell.
    pub records: usize,
    /// The addresses among them.
    pub addresses: Vec<String>,
    /// Whether addresses are held back because they are private or special.
    pub held_back: bool,
}
