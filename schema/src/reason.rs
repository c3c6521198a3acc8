//! The table of reason codes: why something was refused or failed. One reason, one audit record, one counter.

/// Who has to act for another try to end differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The policy says no.
    Policy,
    /// The agent sent something that is refused whatever the policy.
    Agent,
    /// The upstream or the resolver failed.
    Upstream,
    /// Outcall itself could not.
    Host,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct ReasonRow {
    /// The reason.
    pub reason: Reason,
    /// The code in logs, headers and metrics.
    pub code: &'static str,
    /// Who caused it.
    pub fault: Fault,
    /// In words, for people.
    pub words: &'static str,
}

macro_rules! reasons {
    ($($variant:ident, $code:literal, $fault:ident, $words:literal;)*) => {
        /// Why something was refused or failed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $(#[doc = $words] $variant,)* }

        /// The table of reasons.
        pub const REASONS: &[ReasonRow] = &[
            $(ReasonRow { reason: Reason::$variant, code: $code, fault: Fault::$fault, words: $words },)*
        ];
    };
}

reasons! {
    Allowed, "allowed", Policy, "a rule allows it";
    BlockedByRule, "blocked_by_rule", Policy, "a block rule refuses it";
    NoRuleAllows, "no_rule_allows", Policy, "no rule allows it";
    PrivateAddress, "private_address", Policy, "the address is private or special and the rule does not say `allow_private_ips`";
    PortNotOpen, "port_not_open", Policy, "the rule does not open this port";
    RecordTypeNotAllowed, "record_type_not_allowed", Policy, "the record type is not one that a rule names";
    InterceptionUnavailable, "interception_unavailable", Host, "the rule needs TLS interception, which is not available";
    AmbiguousRequest, "ambiguous_request", Agent, "the request can be read in two ways";
    HostMismatch, "host_mismatch", Agent, "the names of one connection differ";
    SniMissing, "sni_missing", Agent, "the TLS ClientHello names no server";
    NotTls, "not_tls", Agent, "the tunnel does not carry TLS";
    NotHttp, "not_http", Agent, "the connection carries neither TLS nor HTTP";
    MalformedHello, "malformed_client_hello", Agent, "the TLS ClientHello cannot be parsed";
    MalformedQuery, "malformed_query", Agent, "the DNS message cannot be parsed";
    HeadTooLarge, "head_too_large", Agent, "the request's head is larger than the limit";
    AgentTimeout, "agent_timeout", Agent, "the agent was too slow";
    TooManyConnections, "too_many_connections", Agent, "the agent has too many connections open";
    TooManyRequests, "too_many_requests", Agent, "the agent asks too often";
    DnsBudgetSpent, "dns_budget_spent", Agent, "the agent asks for more names, or longer ones, than its budget for names that no rule writes out";
    BadRequest, "bad_request", Agent, "the agent asks for what cannot be answered";
    ResolutionFailed, "resolution_failed", Upstream, "the name could not be resolved";
    UpstreamUnreachable, "upstream_unreachable", Upstream, "the upstream could not be reached";
    UpstreamMalformed, "upstream_malformed", Upstream, "the upstream's answer cannot be parsed";
    UpstreamTimeout, "upstream_timeout", Upstream, "the upstream was too slow";
    ObligationUnavailable, "obligation_unavailable", Host, "a hold or enrich rule applies to the request and cannot be acted on";
    RawTraffic, "raw_traffic", Policy, "no rule allows this address, port and protocol";
    ForgedSource, "forged_source", Agent, "the packet does not have the addresses of the agent that sent it";
    AgentToAgent, "agent_to_agent", Agent, "agents on one bridge do not reach each other";
    CertGenFailed, "cert_gen_failed", Host, "no certificate could be made for the host";
    ClientHandshakeFailed, "client_handshake_failed", Agent, "the TLS handshake with the client failed";
    UpstreamHandshakeFailed, "upstream_handshake_failed", Upstream, "the TLS handshake with the upstream failed or its certificate is not valid for the host";
    BodyDecodeFailed, "body_decode_failed", Agent, "a body is not what its Content-Encoding says or cannot be decoded";
    SecretUnavailable, "secret_unavailable", Host, "a secret that the request was to get is not available";
    CredentialRefused, "credential_refused", Policy, "a header does not have the one value that an enrich rule lets out";
    SecretEchoed, "secret_echoed", Upstream, "the response shows a secret where it cannot be taken out";
    AlpnMismatch, "alpn_mismatch", Host, "client and upstream have no protocol in common that is read inside TLS";
}

impl Reason {
    /// This reason's row of the table.
    pub fn row(self) -> &'static ReasonRow {
        #[expect(clippy::indexing_slicing, reason = "the table has one row per variant, in order; a test walks it")]
        &REASONS[self as usize]
    }

    /// The code in logs, headers and metrics.
    pub fn code(self) -> &'static str {
        self.row().code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_per_reason_in_order_and_no_code_twice() {
        for (at, row) in REASONS.iter().enumerate() {
            assert_eq!(row.reason as usize, at, "{}", row.code);
            assert_eq!(REASONS.iter().filter(|other| other.code == row.code).count(), 1, "{}", row.code);
        }
    }
}
