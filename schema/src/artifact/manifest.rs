//! `manifest.json`: what belongs together, the rule table, and what the host must provide.

use std::io::{self, BufWriter, Write};

use serde::{Deserialize, Serialize};

use super::ArtifactError;
use super::digest::{Digest, Hasher};
use crate::decision::{Action, RuleIndex};
use crate::egress::Egress;
use crate::layer::Layer;

/// The manifest's format version. Changelog: 1, the first.
pub const VERSION: u32 = 1;

/// The names of the artifacts in their directory.
pub mod file {
    /// The ruleset for the kernel, as text.
    pub const NFT: &str = "outcall.nft";
    /// The DNS allow-table.
    pub const DNS: &str = "dns.table";
    /// The proxy's match program.
    pub const PROXY: &str = "proxy.prog";
    /// The manifest.
    pub const MANIFEST: &str = "manifest.json";
    /// Signatures over the manifest, where the policy has been signed; see [`crate::signing`].
    pub const SIGNATURE: &str = "manifest.sig";
}

/// `manifest.json`. Its policy digest stands for the whole policy: it covers the digests of all other artifacts and
/// everything else in the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Format version.
    pub version: u32,
    /// The version of the compiler that wrote it.
    pub compiler: String,
    /// SHA-256 over this manifest with this member set to the empty string.
    pub policy_digest: String,
    /// The other artifacts, in the order of their names.
    pub files: Vec<FileRow>,
    /// What the host must provide.
    pub needs: Needs,
    /// All rules in evaluation order; a [`RuleIndex`] counts from the first.
    pub rules: Vec<RuleRow>,
    /// The host lists for TLS interception, merged over all files, sorted.
    pub interception: Interception,
    /// Sets of agents that the kernel's ruleset refers to by name.
    pub agent_sets: Vec<AgentSet>,
    /// The policy's own unit tests.
    pub tests: Vec<TestRow>,
}

/// An artifact beside the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// The file's name.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
}

/// What the host must provide for the policy to work.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Needs {
    /// Some rule or list asks for TLS interception, so a CA must be loaded.
    pub ca: bool,
    /// Some rule lets requests through the proxy.
    pub proxy: bool,
    /// Some rule reads bodies.
    pub bodies: bool,
    /// Some rule opens direct traffic in the kernel.
    pub direct_ip: bool,
    /// The names of the secrets that enrich rules inject, sorted.
    pub secrets: Vec<String>,
}

/// A rule as the runtime and the reports need it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleRow {
    /// The rule's id.
    pub id: String,
    /// The rule file, relative to the directory that was compiled.
    pub file: String,
    /// The line of the rule's id, from 1.
    pub line: u32,
    /// What it does.
    pub action: Action,
    /// Its priority; lower comes first.
    pub priority: i64,
    /// Its description; empty when it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The condition with its definitions expanded, in CEL.
    pub condition: String,
    /// Whether a match is logged although it is allowed.
    #[serde(default)]
    pub log: bool,
    /// The egress settings of an allow rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Egress>,
    /// The settings of a hold rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What an enrich rule adds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inject: Vec<Inject>,
    /// The credentials that an enrich rule insists on, in the order of the headers' names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require_header: Vec<RequiredHeader>,
}

/// Which way a held message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Requests.
    #[default]
    Request,
    /// Responses.
    Response,
    /// Both.
    Both,
}

/// What becomes of a held message that nobody decided on in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTimeout {
    /// It is dropped: a security tool does not open by itself.
    #[default]
    Drop,
    /// It is released.
    Release,
}

/// The `hold:` block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// Which messages are held.
    #[serde(default)]
    pub direction: Direction,
    /// How long, in milliseconds; absent for the protocol's default (300 s for HTTP and raw, 60 s for messages).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// And then what.
    #[serde(default)]
    pub on_timeout: OnTimeout,
}

/// One entry of an enrich rule's `inject:` list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// The header's name as it will be sent.
    pub header: String,
    /// Its value in pieces, to be joined.
    pub value: Vec<InjectPart>,
}

/// One entry of an enrich rule's `require_header:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequiredHeader {
    /// The header's name in lower case.
    pub header: String,
    /// The digest of the one value that it may go out with.
    pub digest: Digest,
}

/// A piece of an injected value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InjectPart {
    /// Text as it stands.
    Text(String),
    /// The secret with this name, resolved by the runtime; never in an artifact.
    Secret(String),
}

/// The merged `interception:` blocks: canonical host patterns, sorted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interception {
    /// Terminate TLS for these.
    pub hosts: Vec<String>,
    /// Never terminate for these.
    pub bypass: Vec<String>,
    /// Deny instead of tunnelling when interception fails.
    pub strict: Vec<String>,
}

/// A set of agents in the kernel's ruleset: the addresses of every agent for which predicate number `predicate` of the
/// match program is true belong in the sets `<name>_v4` and `<name>_v6`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSet {
    /// The common part of the two sets' names.
    pub name: String,
    /// The condition in CEL, over `agent.name` alone.
    pub condition: String,
    /// The number of the predicate in the match program.
    pub predicate: u32,
}

/// A policy unit test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestRow {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub file: String,
    /// Its line, from 1.
    pub line: u32,
    /// The layer asked; absent when it follows from the request's fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Layer>,
    /// The fields, `{"http": {"host": "..."}}`.
    pub request: serde_json::Map<String, serde_json::Value>,
    /// What must come out.
    pub expect: Expect,
}

/// What a policy test expects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// `allow`, `block`, or `intercept` at the connect layer.
    pub decision: String,
    /// The id of the rule that must decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The egress mode of that rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<crate::egress::EgressMode>,
    /// The ids of the hold and enrich rules that must apply, in evaluation order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obligations: Option<Vec<String>>,
}

/// Whether `text` can name a rule or a secret: `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`. Such a name is no path.
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 128
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

impl Manifest {
    /// The row of a rule.
    pub fn rule(&self, rule: RuleIndex) -> Option<&RuleRow> {
        self.rules.get(rule.0 as usize)
    }

    /// The rule's id, or `default` where none decided.
    pub fn rule_name(&self, rule: Option<RuleIndex>) -> &str {
        rule.and_then(|rule| self.rule(rule)).map_or("default", |row| row.id.as_str())
    }

    /// The manifest as bytes, with its policy digest computed and filled in.
    pub fn to_bytes(&mut self) -> Vec<u8> {
        // Nothing in these types can fail to serialise: there are no maps with other keys than strings.
        self.policy_digest = self.computed().map(|digest| digest.to_string()).unwrap_or_default();
        let mut bytes = Vec::new();
        match self.write(&mut bytes) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    /// The digest as it should be. The manifest of many rules has tens of MiB, so no second one is made for this.
    fn computed(&mut self) -> io::Result<Digest> {
        let said = std::mem::take(&mut self.policy_digest);
        let mut hasher = BufWriter::new(Hasher::new());
        let written = self.write(&mut hasher);
        self.policy_digest = said;
        written?;
        Ok(hasher.into_inner()?.finish())
    }

    fn write(&self, mut to: impl Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut to, self)?;
        to.write_all(b"\n")?;
        to.flush()
    }

    /// Reads a manifest and checks its version and its policy digest.
    ///
    /// # Errors
    /// [`ArtifactError`] for anything but bytes that [`Manifest::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Manifest, ArtifactError> {
        /// Read first, so that a newer manifest is told apart from a broken one.
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head =
            serde_json::from_slice(bytes).map_err(|_| ArtifactError::Magic { expected: "manifest.json" })?;
        if head.version != VERSION {
            return Err(ArtifactError::Version { found: head.version, supported: VERSION });
        }
        let mut manifest: Manifest = serde_json::from_slice(bytes)
            .map_err(|_| ArtifactError::Invalid("manifest.json does not have the members of its format"))?;
        let mut rest = Expected(bytes);
        let as_read = manifest.write(BufWriter::new(&mut rest)).is_ok() && rest.0.is_empty();
        let digest = manifest.computed().map_err(|_| ArtifactError::Digest)?;
        if !as_read || digest.to_string() != manifest.policy_digest {
            return Err(ArtifactError::Digest);
        }
        Ok(manifest)
    }
}

/// What is still to be written; anything else is an error.
struct Expected<'a>(&'a [u8]);

impl Write for Expected<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.strip_prefix(bytes).ok_or(io::ErrorKind::InvalidData)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
