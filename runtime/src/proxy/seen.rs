//! Judges a request whose body was received, as far as it fits the cap.

use std::net::IpAddr;
use std::sync::Arc;

use outcall_schema::decision::RuleIndex;
use outcall_schema::reason::Reason;

use super::coding::{self, Coding, Decoded};
use super::judge::{self, BodyText, Refusal, Subject};
use super::upstream::{self, Candidate, Found};
use crate::shares::Share;
use crate::snapshot::Snapshot;

/// The bytes of a body.
pub(super) enum Content {
    Bytes(Vec<u8>),
    /// All of it, without an encoding, and valid text.
    Text(Arc<String>),
}

/// What was received of a body.
pub(super) struct Seen {
    pub(super) content: Content,
    /// Whether that is all of it.
    pub(super) whole: bool,
    /// How it is encoded; `None` where that is not known.
    pub(super) codings: Option<Vec<Coding>>,
    /// The most bytes that it may stand for.
    pub(super) cap: usize,
}

impl Seen {
    /// The addresses that the request may go to; never none.
    pub(super) async fn judge(
        self,
        share: &Arc<Share>,
        snapshot: &Snapshot,
        subject: &mut Subject,
        addresses: &[IpAddr],
    ) -> Result<Vec<Candidate>, Refusal> {
        let judged = |subject: &Subject| match upstream::judge(snapshot, subject, addresses)? {
            Found::Allowed(candidates) => Ok(candidates),
            Found::Undecided | Found::Inside(_) => Err(Refusal::of(Reason::NoRuleAllows)),
        };
        let Seen { content, whole, codings, cap } = self;
        let content = match content {
            Content::Bytes(content) => content,
            Content::Text(text) => {
                subject.set_body(BodyText::Text(text));
                return judged(subject);
            }
        };
        let Some(codings) = codings.filter(|_| whole) else {
            let enriching =
                |subject: &Subject, candidate: &Candidate| judge::enriching(snapshot, subject, candidate.address.ip());
            return unseen(subject, whole.then_some(content.as_slice()), judged, enriching);
        };
        let decoded = if codings.is_empty() {
            Decoded::Content(content)
        } else {
            let decoded = coding::decoded(codings, content, cap, share).await;
            decoded.map_err(|error| Refusal::because(Reason::BodyDecodeFailed, error))?
        };
        subject.set_body(match decoded {
            Decoded::Content(content) => judge::text(content),
            Decoded::OverCap => BodyText::Null,
        });
        judged(subject)
    }
}

/// The addresses for a body that rules see as null: over the cap, or all there and of an unknown encoding.
fn unseen(
    subject: &mut Subject,
    whole: Option<&[u8]>,
    judged: impl Fn(&Subject) -> Result<Vec<Candidate>, Refusal>,
    enriching: impl Fn(&Subject, &Candidate) -> Vec<RuleIndex>,
) -> Result<Vec<Candidate>, Refusal> {
    let as_it_is = match whole {
        Some(content) => {
            // A server may not know the encoding either and take the bytes as they are, so both readings have to be
            // allowed.
            subject.set_body(judge::text(content.to_vec()));
            let judged = judged(subject)?.into_iter();
            Some(judged.map(|candidate| (candidate.address, enriching(subject, &candidate))).collect::<Vec<_>>())
        }
        None => None,
    };
    subject.set_body(BodyText::Null);
    let mut candidates = judged(subject)?;
    if let Some(other) = as_it_is {
        // What is insisted on for one of them must not be evaded by the other.
        candidates.retain(|candidate| other.contains(&(candidate.address, enriching(subject, candidate))));
    }
    if candidates.is_empty() { Err(Refusal::of(Reason::NoRuleAllows)) } else { Ok(candidates) }
}
