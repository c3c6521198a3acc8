//! What a query would be answered, for an operator who asks: judged as an agent's is, and not recorded as one.

use domain::base::iana::Rtype;
use outcall_schema::api::dns::{DnsAnswer, DnsTest, DnsTested, DnsVerdict};
use outcall_schema::artifact::manifest::is_name;
use outcall_schema::decision::NameVerdict;
use outcall_schema::host::Host;
use outcall_schema::reason::Reason;

use super::judge::{Allowed, Judgement, Refusal, judge};
use super::message::type_name;
use super::resolver::Resolver;
use crate::dial::Reach;
use crate::snapshot::Snapshot;

/// Why nobody could ask that. In words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

/// What the filter would answer, and why. A packet is sent only where the policy lets the name resolve and `wanted` says so.
///
/// # Errors
/// What is no name, no record type or no agent.
pub async fn examine(resolver: &Resolver, snapshot: &Snapshot, wanted: &DnsTest) -> Result<DnsTested, Unusable> {
    let DnsTest { name, record_type, agent, resolve } = wanted;
    let name = match Host::parse(name) {
        Ok(Host::Name(name)) => name,
        Ok(Host::Ip(_)) => return Err(Unusable(format!("{name:?} is an address, not a name"))),
        Err(error) => return Err(Unusable(format!("{name:?}: {error}"))),
    };
    let upper = record_type.to_ascii_uppercase();
    let rtype: Rtype = upper.parse().map_err(|_| Unusable(format!("{record_type:?} is no record type")))?;
    if !agent.is_empty() && !is_name(agent) {
        return Err(Unusable(format!("{agent:?} is no agent's name")));
    }
    let judgement = judge(snapshot, agent, &name, rtype);
    let (verdict, Refusal { rule, reason }) = match judgement {
        Judgement::Resolve(Allowed { rule, .. }) => {
            (DnsVerdict::Resolve, Refusal { rule: Some(rule), reason: Reason::Allowed })
        }
        Judgement::Refuse(refusal) => (DnsVerdict::Nxdomain, refusal),
        Judgement::NoSuchType(refusal) => (DnsVerdict::NoData, refusal),
        Judgement::NoRecord(refusal) => (DnsVerdict::Refused, refusal),
    };
    let row = snapshot.rule(rule);
    let mut tested = DnsTested {
        name,
        record_type: type_name(rtype),
        verdict,
        matched_rule: snapshot.rule_name(rule).to_owned(),
        file: row.map(|row| row.file.clone()),
        line: row.map(|row| row.line),
        implied: false,
        reason: reason.code().to_owned(),
        private_addresses: false,
        cached: false,
        answer: None,
        failure: None,
    };
    if let Judgement::Resolve(allowed) = judgement {
        answer(resolver, allowed, rtype, *resolve, &mut tested).await;
    }
    Ok(tested)
}

/// Adds what the agent would be told of a name that may resolve.
async fn answer(resolver: &Resolver, allowed: Allowed, rtype: Rtype, resolve: bool, tested: &mut DnsTested) {
    tested.implied = matches!(allowed.verdict, NameVerdict::Implied { .. });
    tested.private_addresses = allowed.reach == Reach::PrivateToo;
    let key = (tested.name.as_str().into(), rtype);
    let kept = resolver.kept(&key);
    tested.cached = kept.is_some();
    let found = match kept {
        Some(answer) => answer,
        None if !resolve => return,
        None => match resolver.fetch(&key).await {
            Ok(answer) => answer,
            Err(failure) => {
                tested.failure = Some(failure.reason().code().to_owned());
                return;
            }
        },
    };
    let visible = found.visible(allowed.reach);
    if visible.addresses.is_empty() && visible.held_back {
        tested.verdict = DnsVerdict::NoData;
        tested.reason = Reason::PrivateAddress.code().to_owned();
    }
    tested.answer = Some(DnsAnswer {
        code: found.rcode.to_string(),
        records: visible.records.len(),
        addresses: visible.addresses.iter().map(ToString::to_string).collect(),
        held_back: visible.held_back,
    });
}
