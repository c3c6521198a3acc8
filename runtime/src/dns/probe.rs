//! The readers of foreign DNS messages by themselves, as the fuzz targets ask them: bytes in, bytes out.
//!
//! Invariant: no socket, no cache and no policy is touched here.

use std::time::Instant;

use domain::base::iana::Rcode;

use super::answer::Answer;
use super::message::{Carrier, Query, Reply, refusal_soa, type_name, wire};
use crate::dial::Reach;

/// What a message from an agent came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// One question: its canonical name if it has one, its record type, and a refusal of it over UDP.
    Question {
        /// The name.
        name: Option<String>,
        /// The type.
        record_type: String,
        /// The reply that refuses it, naming `default`.
        refusal: Option<Vec<u8>>,
    },
    /// Malformed, with the reply to that if there is one.
    Malformed(Option<Vec<u8>>),
}

/// Reads a message as if an agent had sent it.
pub fn query(bytes: &[u8]) -> Read {
    match Query::parse(bytes) {
        Ok(query) => {
            let soa = refusal_soa();
            let refusal =
                Reply { authority: Some(&soa), filtered_by: Some("default"), ..Reply::empty(Rcode::NXDOMAIN) };
            Read::Question {
                refusal: refusal.to_bytes(&query, Carrier::Udp),
                record_type: type_name(query.rtype),
                name: query.name.ok(),
            }
        }
        Err(malformed) => Read::Malformed(malformed.reply()),
    }
}

/// Reads a message as if the upstream had answered `question` with it, and gives what the agent would be told where only
/// public addresses may be reached: the message, and the addresses in it.
pub fn answer(question: &[u8], bytes: &[u8]) -> Option<(Vec<u8>, Vec<std::net::IpAddr>)> {
    let query = Query::parse(question).ok()?;
    let answer =
        Answer::parse(bytes, query.id, &wire(query.name.as_deref().ok()?)?, query.rtype, Instant::now()).ok()?;
    let visible = answer.visible(Reach::PublicOnly);
    let reply = Reply { answer: visible.records, authority: answer.soa.as_ref(), ..Reply::empty(answer.rcode) };
    Some((reply.to_bytes(&query, Carrier::Tcp)?, visible.addresses))
}
