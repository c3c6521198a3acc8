//! Artifacts of any bytes: refused, or safe to ask anything.

use std::sync::Arc;

use outcall_schema::api::agents::Attach;
use outcall_schema::api::dns::DnsTest;
use outcall_schema::api::evaluate::Evaluate;
use outcall_schema::api::strict;
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::dns_table::DnsTable;
use outcall_schema::artifact::manifest::Manifest;
use outcall_schema::artifact::match_program::MatchProgram;
use outcall_schema::facts::Facts;
use outcall_schema::field::FIELDS;
use outcall_schema::layer::Layer;
use outcall_schema::request::Request;

use super::facts::Owned;
use super::mutate::{Random, hash};

/// Questions to an artifact that was accepted.
const QUESTIONS: usize = 8;

/// The container of the binary artifacts: magic, version, number of words, digest.
const HEADER: usize = 44;

/// The input as it is, and with a container that fits its content, so that what lies behind the digest is read as well.
fn with_and_without_sound_container(input: &[u8], magic: &[u8; 4], mut check: impl FnMut(Arc<[u8]>)) {
    check(input.into());
    let content = input.get(HEADER..).unwrap_or_default();
    let content = content.get(..content.len() & !3).unwrap_or_default();
    let mut sound = magic.to_vec();
    sound.extend(1u32.to_le_bytes());
    sound.extend(u32::try_from(content.len() / 4).unwrap_or(u32::MAX).to_le_bytes());
    sound.extend(Digest::of(content).bytes());
    sound.extend(content);
    check(sound.into());
}

fn questions(input: &[u8], mut ask: impl FnMut(&Facts<'_>)) {
    let mut random = Random::new(hash(input));
    ask(&Facts::default());
    for _ in 0..QUESTIONS {
        ask(&Owned::new(&mut random).facts());
    }
}

pub(super) fn dns_tables(input: &[u8]) {
    with_and_without_sound_container(input, &magic(input), |bytes| {
        if let Ok(table) = DnsTable::from_bytes(bytes) {
            questions(input, |facts| {
                let first = table.lookup(facts);
                assert_eq!(table.lookup(facts), first, "the same question has the same answer");
            });
        }
    });
}

pub(super) fn match_programs(input: &[u8]) {
    with_and_without_sound_container(input, &magic(input), |bytes| {
        if let Ok(program) = MatchProgram::from_bytes(bytes) {
            questions(input, |facts| {
                for layer in Layer::ALL {
                    let first = program.decide(layer, facts);
                    assert_eq!(program.decide(layer, facts), first, "the same question has the same answer");
                    let _ = program.obligations(layer, facts);
                    for row in FIELDS {
                        let _ = program.reads(layer, row.field);
                    }
                }
                let _ = program.fallback(facts);
                for number in [0, 1, u32::MAX] {
                    let _ = program.predicate(number, facts);
                }
            });
        }
    });
}

/// The magic that the input has; the right one when it was not touched.
fn magic(input: &[u8]) -> [u8; 4] {
    input.get(..4).and_then(|four| four.try_into().ok()).unwrap_or_default()
}

/// A manifest that is accepted is one that was written: reading and writing it gives the same bytes.
/// Bodies that the operator's API reads: whatever is taken has one reading, and each field of it one form.
pub(super) fn api_bodies(input: &[u8]) {
    if let Ok(value) = strict::read::<serde_json::Value>(input) {
        let again = serde_json::to_vec(&value).unwrap_or_default();
        assert_eq!(strict::read::<serde_json::Value>(&again).as_ref(), Ok(&value));
        assert_eq!(serde_json::from_slice::<serde_json::Value>(input).ok(), Some(value));
    }
    let _ = strict::read::<DnsTest>(input);
    let _ = strict::read::<Attach>(input);
    let Ok(asked) = strict::read::<Evaluate>(input) else { return };
    let Ok(request) = Request::from_json(&asked.context) else { return };
    if let Ok(layer) = request.layer() {
        let _ = request.known_at(layer);
        let complete = request.complete(layer);
        for row in FIELDS {
            let _ = complete.facts(layer).fact(row.field);
        }
    }
}

pub(super) fn bundles(input: &[u8]) {
    if let Ok(bundle) = Bundle::from_bytes(input) {
        assert_eq!(bundle.to_bytes(), input, "there is one way to write a bundle");
    }
}

pub(super) fn manifests(input: &[u8]) {
    if let Ok(mut manifest) = Manifest::from_bytes(input) {
        assert_eq!(manifest.to_bytes(), input);
    }
    // Past the digest: whatever has the members of a manifest can be written, and then read again.
    if let Ok(mut manifest) = serde_json::from_slice::<Manifest>(input) {
        manifest.version = outcall_schema::artifact::manifest::VERSION;
        let bytes = manifest.to_bytes();
        assert_eq!(Manifest::from_bytes(&bytes).as_ref(), Ok(&manifest));
    }
}
