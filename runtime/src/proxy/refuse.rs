//! What an agent sees of a refusal or a failure: HTTP responses and TLS alerts.

use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::reason::{Fault, Reason};

use super::judge::Refusal;
use super::request::Persistence;

/// The answer to a request that is refused or failed.
pub(super) struct Answer {
    pub(super) status: u16,
    phrase: &'static str,
    /// The fields that say why.
    pub(super) why: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// What every answer is.
pub(super) const CONTENT_TYPE: &str = "text/plain";
/// What an answer is that a gRPC client reads.
pub(super) const GRPC: &str = "application/grpc";

impl Answer {
    pub(super) fn new(manifest: &Manifest, refusal: &Refusal) -> Answer {
        const BLOCK: &str = "X-Outcall-Block-Reason";
        const FAILURE: &str = "X-Outcall-Failure-Reason";
        let (status, phrase) = status(refusal.reason);
        let row = refusal.reason.row();
        let rule = manifest.rule_name(refusal.rule).to_owned();
        let code = row.code.to_owned();
        let (why, body) = match (status, row.fault) {
            (403, fault) => {
                let body = format!("Blocked by outcall: {rule}");
                let failure = (fault != Fault::Policy).then_some((FAILURE, code));
                (std::iter::once((BLOCK, rule)).chain(failure).collect(), body)
            }
            (502..=504, _) => (vec![(FAILURE, code)], format!("Outcall could not complete the request: {}", row.words)),
            _ => {
                let detail = refusal.detail.as_deref().unwrap_or(row.words);
                let body = format!("Refused by outcall: {code}: {detail}");
                (vec![(BLOCK, code)], body)
            }
        };
        Answer { status, phrase, why, body }
    }

    /// What a gRPC client reads of it, beside the rest: the status and its words, in a head that stands for a whole response. The
    /// status is what clients make of the code by themselves, and the words are percent-encoded (gRPC over HTTP/2, "Responses").
    pub(super) fn grpc(&self) -> [(&'static str, String); 2] {
        let status = match self.status {
            400 => 13,       // INTERNAL
            403 => 7,        // PERMISSION_DENIED
            502..=504 => 14, // UNAVAILABLE
            _ => 2,          // UNKNOWN
        };
        let mut words = String::new();
        for byte in self.body.bytes() {
            match byte {
                b' '..=b'$' | b'&'..=b'~' => words.push(char::from(byte)),
                _ => words.push_str(&format!("%{byte:02X}")),
            }
        }
        [("grpc-status", status.to_string()), ("grpc-message", words)]
    }

    /// The answer in HTTP/1.1. `HEAD` gets the same head and no body.
    fn to_http11(&self, method: &str, persistence: Persistence) -> Vec<u8> {
        let Answer { status, phrase, why, body } = self;
        let length = body.len();
        let mut response =
            format!("HTTP/1.1 {status} {phrase}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\n");
        for (name, value) in why {
            response.push_str(&format!("{name}: {value}\r\n"));
        }
        response.push_str(if persistence == Persistence::Close { "Connection: close\r\n\r\n" } else { "\r\n" });
        if method != "HEAD" {
            response.push_str(body);
        }
        response.into_bytes()
    }
}

/// The answer in HTTP/1.1 to a request that is refused or failed.
pub(super) fn response(manifest: &Manifest, refusal: &Refusal, method: &str, persistence: Persistence) -> Vec<u8> {
    Answer::new(manifest, refusal).to_http11(method, persistence)
}

/// The status code that stands for a reason.
pub(super) const fn status(reason: Reason) -> (u16, &'static str) {
    match reason {
        Reason::Allowed => (200, "OK"),
        Reason::BlockedByRule
        | Reason::NoRuleAllows
        | Reason::PrivateAddress
        | Reason::PortNotOpen
        | Reason::RecordTypeNotAllowed
        | Reason::RawTraffic
        | Reason::ForgedSource
        | Reason::AgentToAgent
        | Reason::InterceptionUnavailable
        | Reason::CredentialRefused
        | Reason::ObligationUnavailable => (403, "Forbidden"),
        Reason::AmbiguousRequest
        | Reason::NotTls
        | Reason::NotHttp
        | Reason::SniMissing
        | Reason::MalformedHello
        | Reason::MalformedQuery
        | Reason::BadRequest => (400, "Bad Request"),
        Reason::AgentTimeout => (408, "Request Timeout"),
        Reason::HostMismatch => (421, "Misdirected Request"),
        Reason::HeadTooLarge => (431, "Request Header Fields Too Large"),
        Reason::TooManyRequests | Reason::DnsBudgetSpent => (429, "Too Many Requests"),
        Reason::ResolutionFailed
        | Reason::UpstreamUnreachable
        | Reason::UpstreamMalformed
        | Reason::CertGenFailed
        | Reason::ClientHandshakeFailed
        | Reason::UpstreamHandshakeFailed
        | Reason::BodyDecodeFailed
        | Reason::SecretUnavailable
        | Reason::SecretEchoed
        | Reason::AlpnMismatch => (502, "Bad Gateway"),
        Reason::TooManyConnections => (503, "Service Unavailable"),
        Reason::UpstreamTimeout => (504, "Gateway Timeout"),
    }
}

/// Whether this is what calls of gRPC are in.
pub(super) fn is_grpc(content_type: &[u8]) -> bool {
    let (kind, rest) = content_type.split_at_checked(GRPC.len()).unwrap_or((content_type, &[]));
    kind.eq_ignore_ascii_case(GRPC.as_bytes()) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
}

/// The fatal TLS alert that tells a client why its connection ends (RFC 8446, section 6.2).
pub(super) const fn alert(reason: Reason) -> [u8; 7] {
    let description = match reason {
        Reason::HostMismatch => 112,                      // unrecognized_name
        Reason::SniMissing => 109,                        // missing_extension
        Reason::MalformedHello | Reason::NotTls => 50,    // decode_error
        Reason::AgentTimeout => 90,                       // user_canceled
        Reason::AlpnMismatch => 120,                      // no_application_protocol
        _ if matches!(status(reason).0, 500..=599) => 80, // internal_error
        _ => 49,                                          // access_denied
    };
    [0x15, 3, 3, 0, 2, 2, description]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grpc_client_reads_a_status_and_its_words() {
        for (status, body, expected) in [
            (403, "Blocked by outcall: no-secret", ["7", "Blocked by outcall: no-secret"]),
            (502, "100 %, \u{e9}\n", ["14", "100 %25, %C3%A9%0A"]),
            (400, "", ["13", ""]),
            (421, "", ["2", ""]),
        ] {
            let answer = Answer { status, phrase: "", why: Vec::new(), body: body.to_owned() };
            assert_eq!(answer.grpc().map(|(_, value)| value), expected);
        }
        for (kind, expected) in [
            ("application/grpc", true),
            ("Application/GRPC+proto", true),
            ("application/grpc; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_grpc(kind.as_bytes()), expected, "{kind}");
        }
    }
}
