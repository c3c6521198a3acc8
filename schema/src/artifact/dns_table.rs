//! `dns.table`: decides which names resolve, and for whom.

use super::ArtifactError;
use crate::decision::NameVerdict;
use crate::facts::Facts;

/// A validated DNS allow-table.
#[derive(Debug, Clone)]
pub struct DnsTable {
    _bytes: std::sync::Arc<[u8]>,
}

impl DnsTable {
    /// Validates a table: afterwards lookups cannot fail, panic or loop.
    ///
    /// # Errors
    /// Anything but what the writer of this format version wrote.
    pub fn from_bytes(bytes: std::sync::Arc<[u8]>) -> Result<DnsTable, ArtifactError> {
        Ok(DnsTable { _bytes: bytes })
    }

    /// Decides a query. `dns_query`, `dns_record_type` and `agent_name` must be known in `facts`.
    ///
    /// A rule that does not test `dns.record_type` allows only A, AAAA, CNAME and HTTPS; the table answers `Block` for
    /// the others.
    pub fn lookup(&self, _facts: &Facts<'_>) -> NameVerdict {
        NameVerdict::Block(None)
    }
}
