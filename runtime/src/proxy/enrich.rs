//! What enrich rules do to a request that is on its way to its verified server.
//!
//! Invariant: only called for requests inside TLS, whose server shows a certificate for the very name that was judged.
//! Nothing of this is seen by conditions or by the log, and a request never goes out without what it was to get.

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{Inject, InjectPart};
use outcall_schema::decision::RuleIndex;
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;
use zeroize::Zeroizing;

use super::connection::Connection;
use super::fields::{self, Guarded, HeadError, alike};
use super::judge::{self, Refusal, Subject};
use super::redact::Redaction;
use super::upstream::Candidate;
use crate::redact::base64;
use crate::secrets::{Secret, Secrets};
use crate::snapshot::Snapshot;

/// What an agent sends in place of a secret, before the secret's name.
const PLACEHOLDER: &str = "outcall-secret-";

/// The longest value that comes of putting secrets in the place of placeholders.
const MAX_VALUE_BYTES: usize = 16 << 10;

/// What the true enrich rules add to one request.
pub(super) struct Enrichment {
    sets: Vec<Set>,
    pins: Vec<Pin>,
    secrets: Secrets,
    /// The secrets in what is set.
    used: Vec<Secret>,
}

struct Set {
    header: String,
    value: Value,
}

enum Value {
    /// This, whatever the agent sent.
    Whole(Zeroizing<Vec<u8>>),
    /// This where the agent sent the placeholder, else as the whole value.
    InPlace { placeholder: String, secret: Secret },
}

/// A header that may go out with one value alone.
struct Pin {
    header: String,
    digest: Digest,
    rule: RuleIndex,
}

/// What becomes of a field of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Keep,
    Drop,
    /// It gets this value.
    Set(Zeroizing<Vec<u8>>),
}

/// The fields of a request as they go out.
pub(super) struct Outgoing {
    /// What becomes of each field, in their order.
    pub(super) changes: Vec<Change>,
    /// What comes after them. Names are as the rules write them.
    pub(super) added: Vec<(String, Zeroizing<Vec<u8>>)>,
    /// What the response must not show; absent where no secret goes out.
    pub(super) redaction: Option<Redaction>,
}

/// What the rules that are true of the request add, with the candidates for which these rules are the same: usually all,
/// as few conditions tell addresses apart.
///
/// # Errors
/// [`Reason::SecretUnavailable`], with the secret's name.
pub(super) async fn plan(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    mut candidates: Vec<Candidate>,
) -> Result<(Vec<Candidate>, Option<Enrichment>), Refusal> {
    let Some(first) = candidates.first().filter(|_| subject.layer() == Layer::Https) else {
        return Ok((candidates, None));
    };
    let rules = judge::enriching(snapshot, subject, first.address.ip());
    candidates.retain(|candidate| judge::enriching(snapshot, subject, candidate.address.ip()) == rules);
    if rules.is_empty() {
        return Ok((candidates, None));
    }
    let Some(interception) = &connection.context.interception else {
        return Err(Refusal::of(Reason::InterceptionUnavailable));
    };
    let secrets = interception.secrets.clone();
    let mut enrichment = Enrichment { sets: Vec::new(), pins: Vec::new(), secrets, used: Vec::new() };
    for rule in rules {
        let Some(row) = snapshot.manifest.rule(rule) else { continue };
        for inject in &row.inject {
            enrichment.set(inject).await.map_err(|refusal| Refusal { rule: Some(rule), ..refusal })?;
        }
        let pin = |required: &outcall_schema::artifact::manifest::RequiredHeader| Pin {
            header: required.header.clone(),
            digest: required.digest,
            rule,
        };
        enrichment.pins.extend(row.require_header.iter().map(pin));
    }
    Ok((candidates, Some(enrichment)))
}

/// An HTTP/1.1 request as it goes out.
pub(super) struct Prepared {
    pub(super) candidates: Vec<Candidate>,
    /// The head, and what was kept of the body.
    pub(super) first: Zeroizing<Vec<u8>>,
    /// What the response must not show, if a secret goes out.
    pub(super) redaction: Option<Redaction>,
    /// The names that its trailer may not have.
    pub(super) guarded: Guarded,
}

/// Plans for an HTTP/1.1 request, and changes its head: given as it would be forwarded, with what was kept of its body.
///
/// # Errors
/// As [`plan`] and [`Enrichment::apply`].
pub(super) async fn prepare(
    connection: &Connection,
    snapshot: &Snapshot,
    subject: &Subject,
    candidates: Vec<Candidate>,
    (head, kept): (&[u8], &[u8]),
) -> Result<Prepared, Refusal> {
    let (candidates, enrichment) = plan(connection, snapshot, subject, candidates).await?;
    let ((head, redaction), guarded) = match enrichment {
        Some(enrichment) => (enrichment.head(head)?, enrichment.guarded()),
        None => ((Zeroizing::new(head.to_vec()), None), Guarded::default()),
    };
    // Sized beforehand: a buffer that grows leaves what it held behind.
    let mut first = Zeroizing::new(Vec::with_capacity(head.len() + kept.len()));
    first.extend_from_slice(&head);
    first.extend_from_slice(kept);
    Ok(Prepared { candidates, first, redaction, guarded })
}

impl Enrichment {
    /// Adds a header. Of two rules that set the same one, the first in their order does.
    async fn set(&mut self, inject: &Inject) -> Result<(), Refusal> {
        if self.sets.iter().any(|set| alike(set.header.as_bytes(), inject.header.as_bytes())) {
            return Ok(());
        }
        let mut whole = Zeroizing::new(Vec::with_capacity(MAX_VALUE_BYTES));
        let mut last = None;
        for part in &inject.value {
            match part {
                InjectPart::Text(text) => whole.extend_from_slice(text.as_bytes()),
                InjectPart::Secret(name) => {
                    let got = self.secrets.get(name).await;
                    let secret = got.map_err(|error| Refusal::because(Reason::SecretUnavailable, error))?;
                    whole.extend_from_slice(secret.expose());
                    self.used.push(secret.clone());
                    last = Some((name, secret));
                }
            }
        }
        let value = match (inject.value.as_slice(), last) {
            ([InjectPart::Secret(_)], Some((name, secret))) => {
                Value::InPlace { placeholder: format!("{PLACEHOLDER}{name}"), secret }
            }
            _ => Value::Whole(whole),
        };
        self.sets.push(Set { header: inject.header.clone(), value });
        Ok(())
    }

    /// The headers that are set or pinned. In a trailer they would come after what was looked at, and servers that put
    /// trailers among the headers could take them for it.
    pub(super) fn guarded(&self) -> Guarded {
        let sets = self.sets.iter().map(|set| set.header.clone());
        Guarded::of(sets.chain(self.pins.iter().map(|pin| pin.header.clone())))
    }

    /// How the fields of a request, each a name and a value, go out.
    ///
    /// # Errors
    /// A value that becomes too long, or one that a rule does not let out: [`Reason::CredentialRefused`] with the rule.
    pub(super) fn apply<'f>(
        &self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    ) -> Result<Outgoing, Refusal> {
        let secretive = !self.used.is_empty();
        let change = |(name, value): (&[u8], &[u8])| if secretive { revealing(name, value) } else { Change::Keep };
        let mut changes: Vec<Change> = fields.clone().map(change).collect();
        let mut added = Vec::new();
        let mut sent: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for set in &self.sets {
            let header = set.header.as_bytes();
            let mut present = fields.clone().filter(|(name, _)| alike(name, header));
            let only = present.next().filter(|_| present.next().is_none()).map(|(_, value)| value);
            let value = set.value.for_what_was_sent(only);
            if value.len() > MAX_VALUE_BYTES {
                return Err(Refusal::because(Reason::HeadTooLarge, HeadError::TooLarge));
            }
            sent.push(value.clone());
            let mut value = Some(value);
            for ((name, _), change) in fields.clone().zip(&mut changes).filter(|((name, _), _)| alike(name, header)) {
                // One that only looks like it would be read as a second one by some servers.
                let same = name.eq_ignore_ascii_case(header);
                *change = value.take_if(|_| same).map_or(Change::Drop, Change::Set);
            }
            added.extend(value.map(|value| (set.header.clone(), value)));
        }
        self.check_pins(fields, &changes, &added)?;
        let redaction = secretive.then(|| {
            let secrets = self.used.iter().map(Secret::expose).chain(sent.iter().map(|value| value.as_slice()));
            Redaction::new(self.secrets.needles(secrets.flat_map(telling).collect()))
        });
        Ok(Outgoing { changes, added, redaction })
    }

    fn check_pins<'f>(
        &self,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
        changes: &[Change],
        added: &[(String, Zeroizing<Vec<u8>>)],
    ) -> Result<(), Refusal> {
        let kept = || {
            fields.clone().zip(changes).filter_map(|((name, value), change)| match change {
                Change::Keep => Some((name, value)),
                Change::Drop => None,
                Change::Set(value) => Some((name, value.as_slice())),
            })
        };
        for pin in &self.pins {
            let header = pin.header.as_bytes();
            let new = added.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
            let mut present = kept().chain(new).filter(|(name, _)| alike(name, header));
            let why = match (present.next(), present.next()) {
                (None, _) => "absent",
                (Some(_), Some(_)) => "there more than once",
                (Some((name, value)), None) if name.eq_ignore_ascii_case(header) && Digest::of(value) == pin.digest => {
                    continue;
                }
                (Some(_), None) => "another one",
            };
            let detail = format!("the header `{}` is {why}", pin.header);
            let refusal = Refusal::because(Reason::CredentialRefused, detail);
            return Err(Refusal { rule: Some(pin.rule), ..refusal });
        }
        Ok(())
    }

    /// The head of an HTTP/1.1 request as it goes out: the lines that are not changed stay byte for byte.
    ///
    /// # Errors
    /// As [`Enrichment::apply`].
    pub(super) fn head(&self, head: &[u8]) -> Result<(Zeroizing<Vec<u8>>, Option<Redaction>), Refusal> {
        let ambiguous = |error: HeadError| Refusal::because(Reason::AmbiguousRequest, error);
        let (line, rest) = fields::split_line(head).map_err(ambiguous)?;
        let fields = fields::parse(rest, fields::Values::Text).map_err(ambiguous)?;
        let outgoing = self.apply(fields.iter().map(|field| (field.name.as_bytes(), field.value)))?;
        let grown: usize = outgoing.values().map(|value| value.len() + MAX_NAME_BYTES).sum();
        // Sized beforehand: a buffer that grows leaves what it held behind.
        let mut out = Zeroizing::new(Vec::with_capacity(head.len() + grown));
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        for (field, change) in fields.iter().zip(&outgoing.changes) {
            match change {
                Change::Keep => out.extend_from_slice(field.line),
                Change::Drop => {}
                Change::Set(value) => write_field(&mut out, field.name, value),
            }
        }
        outgoing.added.iter().for_each(|(name, value)| write_field(&mut out, name, value));
        out.extend_from_slice(b"\r\n");
        Ok((out, outgoing.redaction))
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    [name.as_bytes(), b": ", value, b"\r\n"].iter().for_each(|part| out.extend_from_slice(part));
}

/// The longest name of a header that a rule sets, with what stands around it.
const MAX_NAME_BYTES: usize = 256 + 4;

impl Outgoing {
    /// The values that are new.
    fn values(&self) -> impl Iterator<Item = &Zeroizing<Vec<u8>>> {
        let changed = self.changes.iter().filter_map(|change| match change {
            Change::Set(value) => Some(value),
            Change::Keep | Change::Drop => None,
        });
        changed.chain(self.added.iter().map(|(_, value)| value))
    }
}

impl Value {
    /// The value to send, where the agent sent `sent` in the header, once.
    fn for_what_was_sent(&self, sent: Option<&[u8]>) -> Zeroizing<Vec<u8>> {
        match self {
            Value::Whole(value) => value.clone(),
            Value::InPlace { placeholder, secret } => {
                let swapped = sent.and_then(|sent| {
                    let (placeholder, secret) = (placeholder.as_bytes(), secret.expose());
                    swap(sent, placeholder, secret).or_else(|| {
                        let (scheme, credentials) = basic(sent)?;
                        let swapped = swap(&base64::decode(credentials)?, placeholder, secret)?;
                        Some(Zeroizing::new([scheme, b" ", &base64::encode(&swapped)].concat()))
                    })
                });
                swapped.unwrap_or_else(|| Zeroizing::new(secret.expose().to_vec()))
            }
        }
    }
}

/// `text` with `secret` wherever the placeholder stands as a word of its own; `None` where it does not.
fn swap(text: &[u8], placeholder: &[u8], secret: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let mut out = Zeroizing::new(Vec::with_capacity(MAX_VALUE_BYTES + text.len() + secret.len()));
    let (mut rest, mut found, mut before) = (text, false, None);
    while let [byte, after @ ..] = rest {
        match rest.strip_prefix(placeholder) {
            Some(after) if !before.is_some_and(|byte| name(&byte)) && !after.first().is_some_and(name) => {
                if out.len() > MAX_VALUE_BYTES {
                    break;
                }
                out.extend_from_slice(secret);
                (rest, found, before) = (after, true, None);
            }
            _ => {
                out.push(*byte);
                (rest, before) = (after, Some(*byte));
            }
        }
    }
    found.then_some(out)
}

/// The scheme as it is written and the credentials of `Basic` (RFC 7617).
fn basic(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, credentials) = value.split_at_checked(b"basic".len())?;
    let credentials = credentials.strip_prefix(b" ")?.trim_ascii();
    scheme.eq_ignore_ascii_case(b"basic").then_some((scheme, credentials))
}

/// What becomes of a field that could have a response show a secret in a form that is not found: parts of a whole, or an
/// encoding that is not read here.
fn revealing(name: &[u8], value: &[u8]) -> Change {
    const DROPPED: [&[u8]; 5] = [b"range", b"if-range", b"a-im", b"sec-websocket-extensions", b"grpc-accept-encoding"];
    if DROPPED.iter().any(|dropped| name.eq_ignore_ascii_case(dropped)) {
        return Change::Drop;
    }
    if !name.eq_ignore_ascii_case(b"accept-encoding") {
        return Change::Keep;
    }
    // `zstd` is read where a server sends it all the same; but what is read of it comes late, which events must not.
    const READ: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"br", b"identity"];
    let read = |member: &&[u8]| {
        let coding = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        READ.iter().any(|known| coding.eq_ignore_ascii_case(known))
    };
    let members = || value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    if members().all(|member| read(&member)) {
        return Change::Keep;
    }
    let kept: Vec<&[u8]> = members().filter(read).collect();
    Change::Set(Zeroizing::new(if kept.is_empty() { b"identity".to_vec() } else { kept.join(&b", "[..]) }))
}

/// What tells a credential: the whole, what comes after a scheme, and of `Basic` what it encodes and the password in it.
fn telling(value: &[u8]) -> Vec<Zeroizing<Vec<u8>>> {
    /// Less could stand in any response.
    const MIN_BYTES: usize = 4;
    let mut all = vec![Zeroizing::new(value.to_vec())];
    let space = value.iter().position(|byte| *byte == b' ');
    if let Some((scheme, credentials)) = space.and_then(|at| value.split_at_checked(at))
        && fields::token(scheme).is_some()
    {
        all.push(Zeroizing::new(credentials.trim_ascii().to_vec()));
    }
    if let Some(decoded) = basic(value).and_then(|(_, credentials)| base64::decode(credentials)) {
        let colon = decoded.iter().position(|byte| *byte == b':');
        let password = colon.and_then(|at| decoded.get(at + 1..)).unwrap_or_default();
        all.push(Zeroizing::new(password.to_vec()));
        all.push(decoded);
    }
    all.retain(|text| text.len() >= MIN_BYTES);
    all
}

#[cfg(test)]
#[path = "enrich_tests.rs"]
mod tests;
