//! What the policy says about a name.

use domain::base::iana::Rtype;
use outcall_schema::decision::{NameVerdict, RuleIndex};
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::reason::Reason;

use super::message::type_name;
use crate::dial::Reach;
use crate::snapshot::Snapshot;

/// What a question may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Judgement {
    /// An answer.
    Resolve(Allowed),
    /// Nothing: the name does not exist for this agent.
    Refuse(Refusal),
    /// Nothing of this type, while the name exists.
    NoSuchType(Refusal),
    /// Nothing, whatever the name: it asks for no record of a name, but for everything, a whole zone or a transaction.
    NoRecord(Refusal),
}

/// The terms on which a name resolves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowed {
    /// What the table says.
    pub verdict: NameVerdict,
    /// The rule that lets it resolve.
    pub rule: RuleIndex,
    /// Which addresses may be told.
    pub reach: Reach,
}

/// Who refuses, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The rule; `None` for the default.
    pub rule: Option<RuleIndex>,
    /// The reason for the log.
    pub reason: Reason,
}

/// Judges a question by an agent for a canonical name.
pub(super) fn judge(snapshot: &Snapshot, agent: &str, name: &str, rtype: Rtype) -> Judgement {
    // Types 128 to 255 and OPT are questions about the server or the zone, not records of a name (RFC 6895, section 3.1).
    let meta = rtype == Rtype::OPT || (128..=255).contains(&rtype.to_int());
    let rule = match lookup(snapshot, agent, name, rtype) {
        _ if meta => return Judgement::NoRecord(Refusal { rule: None, reason: Reason::RecordTypeNotAllowed }),
        Ok(allowed) => return Judgement::Resolve(allowed),
        Err(rule) => rule,
    };
    // A name that has some address must not be said not to exist: clients would believe that of all its types.
    let exists = [Rtype::A, Rtype::AAAA].into_iter().any(|other| lookup(snapshot, agent, name, other).is_ok());
    if exists {
        return Judgement::NoSuchType(Refusal { rule, reason: Reason::RecordTypeNotAllowed });
    }
    let reason = if rule.is_some() { Reason::BlockedByRule } else { Reason::NoRuleAllows };
    Judgement::Refuse(Refusal { rule, reason })
}

fn lookup(snapshot: &Snapshot, agent: &str, name: &str, rtype: Rtype) -> Result<Allowed, Option<RuleIndex>> {
    let rtype = type_name(rtype);
    let facts = facts(agent, name, &rtype);
    let verdict = snapshot.dns.lookup(&facts);
    let (rule, implied) = match verdict {
        NameVerdict::Block(rule) => return Err(rule),
        NameVerdict::Allow(rule) => (rule, None),
        NameVerdict::Implied { rule, private } => (rule, Some(private)),
    };
    // A rule without egress settings, or one that the rule table does not have, opens nothing.
    let egress = snapshot.egress(rule).ok_or(None)?;
    Ok(Allowed { verdict, rule, reach: Reach::from_rule(implied.unwrap_or(egress.allow_private_ips)) })
}

/// What is known of a question.
pub(super) fn facts<'a>(agent: &'a str, name: &'a str, rtype: &'a str) -> Facts<'a> {
    Facts {
        agent_name: Fact::Known(agent),
        dns_query: Fact::Known(name),
        dns_record_type: Fact::Known(rtype),
        ..Facts::default()
    }
}
