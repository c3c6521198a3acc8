//! Whether a connection that the kernel carries is still one that the policy lets pass.

use std::net::SocketAddr;
use std::sync::Arc;

use outcall_schema::decision::{Outcome, RuleIndex, Verdict};
use outcall_schema::egress::EgressMode;
use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;

use crate::dial::Reach;
use crate::direct::Direct;
use crate::kernel::conntrack::Flow;
use crate::kernel::log::protocol_name;
use crate::snapshot::Snapshot;

/// Whether the first rule that speaks of the flow lets it straight out.
pub(super) fn passes(snapshot: &Snapshot, direct: &Direct, agent: &Arc<str>, flow: &Flow) -> bool {
    let protocol = protocol_name(flow.protocol);
    let facts = Facts {
        network_ip: Fact::Known(flow.to),
        network_port: flow.port.map_or(Fact::Unknown, |port| Fact::Known(i64::from(port))),
        network_protocol: Fact::Known(&protocol),
        agent_name: Fact::Known(agent),
        ..Facts::default()
    };
    let named = flow
        .port
        .and_then(|port| direct.opens(snapshot, agent, SocketAddr::new(flow.to, port)))
        .map(|opened| opened.rule);
    let before = |rule: Option<RuleIndex>| named.is_some_and(|named| rule.is_none_or(|rule| named < rule));
    match snapshot.program.decide(Layer::Network, &facts) {
        Outcome::Decided(Verdict::Allow(rule)) if !before(Some(rule)) => snapshot.egress(rule).is_some_and(|egress| {
            egress.mode == EgressMode::DirectIp
                && flow.port.is_none_or(|port| egress.opens(port))
                && Reach::from_rule(egress.allow_private_ips).refuses(flow.to).is_none()
        }),
        Outcome::Decided(Verdict::Block(rule)) => before(rule),
        Outcome::Decided(Verdict::Allow(_) | Verdict::Intercept(_)) | Outcome::Undecided => named.is_some(),
    }
}
