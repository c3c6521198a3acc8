//! What a technique asks of a product beyond refusing: where that has no notion of it, the technique does not apply.

use outcall_verify::technique::{Say, Step, Technique, To};

/// The names of the technique policy with rules of their own.
const RULED: &[&str] = &[
    "allowed.test",
    "paths.wild.test",
    "modern.test",
    "bodies.test",
    "expired.test",
    "misnamed.test",
    "selfsigned.test",
];

/// Those that may be reached on the ports of the web, where their addresses are public.
pub const OPEN: &[&str] = &[
    "rebind.test",
    "private.test",
    "metadata.test",
    "mixed.test",
    "loopback.test",
    "mapped.test",
    "nat64.test",
    "sixtofour.test",
    "alias-private.test",
    "alias.test",
    "fresh.test",
    "https.test",
    "alias-evil.test",
    "flip.test",
    "stray.test",
    "forged.test",
    "teredo.test",
    "compatible.test",
    "local-nat64.test",
    "unspecified.test",
    "broadcast.test",
    "link-local.test",
    "multicast.test",
    "unique-local.test",
    "shared.test",
];

/// Whether the technique policy allows a name; aliases are asked for on the way.
pub fn is_ours(name: &str) -> bool {
    RULED.contains(&name) || is_whole(name)
}

/// Whether the technique policy allows everything of a site in the clear.
pub fn is_whole(name: &str) -> bool {
    OPEN.contains(&name) || name == "shards.test" || name.ends_with(".shards.test")
}

/// Something that not every product has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A resolver for the agent.
    Resolver,
    /// Rules on what is inside TLS.
    Inside,
    /// HTTP/2 inside TLS.
    Http2,
    /// Rules on paths.
    Paths,
    /// Rules that differ from agent to agent.
    Agents,
    /// Secrets that are added to requests.
    Secrets,
    /// A host whose daemon, tables and rules may be touched meanwhile.
    Host,
    /// Rules on bodies.
    Bodies,
}

impl Need {
    /// All of them.
    pub const ALL: [Need; 8] =
        [Need::Resolver, Need::Inside, Need::Http2, Need::Paths, Need::Agents, Need::Secrets, Need::Host, Need::Bodies];

    /// As in the scripts.
    pub fn name(self) -> &'static str {
        match self {
            Need::Resolver => "resolver",
            Need::Inside => "inside",
            Need::Http2 => "http2",
            Need::Paths => "paths",
            Need::Agents => "agents",
            Need::Secrets => "secrets",
            Need::Host => "host",
            Need::Bodies => "bodies",
        }
    }

    /// The need of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn read(name: &str) -> Result<Need, String> {
        Need::ALL.into_iter().find(|need| need.name() == name).ok_or_else(|| format!("nobody needs `{name}`"))
    }

    fn lack(self) -> &'static str {
        match self {
            Need::Resolver => "gives its agents no resolver: nothing can be asked of it",
            Need::Inside => "has no rules on what is inside TLS",
            Need::Http2 => "speaks no HTTP/2 with its agents",
            Need::Paths => "has no rules on paths",
            Need::Agents => "has no rules that differ from agent to agent",
            Need::Secrets => "adds no secrets to requests",
            Need::Host => "has no daemon and no rules that could be touched meanwhile",
            Need::Bodies => "has no rules on bodies",
        }
    }
}

/// What one step cannot do without.
fn of(step: &Step) -> Vec<Need> {
    let text = text(step);
    let mut needs = Vec::new();
    let to = match step {
        Step::Ask(..) => Some(To::Resolver),
        // A guest says these through the proxy.
        Step::Tcp(To::Named(_, 80) | To::Named6(_, 80), _) | Step::Tls(To::Named(..) | To::Named6(..), ..) => None,
        Step::Tcp(to, _) | Step::Tls(to, ..) | Step::Udp(to, _) | Step::Socket(_, to, _) => Some(*to),
        Step::Keep(to, _) | Step::Sending(to, _) => Some(*to),
        Step::Tunnel(..) | Step::Do(..) | Step::Again(..) | Step::Outside(..) => None,
    };
    let mut needs_if = |need, is: bool| {
        if is {
            needs.push(need)
        }
    };
    needs_if(Need::Resolver, matches!(to, Some(To::Resolver | To::Named(..) | To::Named6(..))));
    needs_if(Need::Http2, text.contains("PRI * HTTP/2.0"));
    needs_if(
        Need::Inside,
        ["modern.test", "expired.test", "misnamed.test", "selfsigned.test"].iter().any(|it| text.contains(it)),
    );
    needs_if(Need::Bodies, text.contains("bodies.test"));
    needs_if(Need::Paths, text.contains("paths.wild.test"));
    needs_if(Need::Secrets, text.contains("secret.wild.test"));
    needs_if(Need::Host, matches!(step, Step::Outside(..) | Step::Again(..)));
    needs_if(Need::Agents, text.contains("grpc.test"));
    needs
}

fn text(step: &Step) -> String {
    let say = |says: &[Say]| says.iter().flat_map(Say::bytes).collect::<Vec<u8>>();
    let bytes = match step {
        // What is done in code says in words for whom.
        Step::Do(words, _) => words.as_bytes().to_vec(),
        Step::Ask(..) | Step::Outside(..) => Vec::new(),
        Step::Tcp(_, said) | Step::Keep(_, said) | Step::Again(said) => say(said),
        Step::Tls(_, names, said) => [names.sni.as_bytes(), b" ", &say(said)].concat(),
        Step::Tunnel(head, names, said) => [head, b" ".as_slice(), names.sni.as_bytes(), b" ", &say(said)].concat(),
        Step::Udp(_, said) | Step::Socket(_, _, said) | Step::Sending(_, said) => said.bytes(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

fn lack(step: &Step, has: &[Need]) -> Option<Need> {
    of(step).into_iter().find(|need| !has.contains(need))
}

/// Whether a product that has these can be asked at least one step.
///
/// # Errors
/// What it lacks.
pub fn applies(technique: &Technique, has: &[Need]) -> Result<(), String> {
    let lacks: Vec<Option<Need>> = technique.steps.iter().map(|step| lack(step, has)).collect();
    match lacks.first().copied().flatten() {
        Some(need) if lacks.iter().all(Option::is_some) => Err(need.lack().to_owned()),
        _ => Ok(()),
    }
}

/// Whether this is to arrive from a step that a product with these can be asked. A greeting is to arrive with what follows it.
pub fn is_to_arrive(technique: &Technique, has: &[Need], what: &str) -> bool {
    let mut words = what.split(' ');
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let lacking = || technique.steps.iter().any(|step| lack(step, has).is_some());
    match first {
        "tls" => !lacking(),
        _ => technique.steps.iter().filter(|step| lack(step, has).is_none()).any(|step| match step {
            // What it does is not known: where it may need what there is not, nobody is blamed.
            Step::Do(..) => has.contains(&Need::Resolver),
            _ => text(step).contains(second),
        }),
    }
}

/// Whether a technique goes through the proxy that agents are told of.
pub fn through_proxy(technique: &Technique) -> bool {
    technique.steps.iter().any(|step| match step {
        Step::Tcp(To::Proxy | To::Named(..) | To::Named6(..), _) | Step::Keep(..) | Step::Again(..) => true,
        Step::Tls(To::Named(..) | To::Named6(..), ..) | Step::Tunnel(..) | Step::Do(..) => true,
        Step::Ask(..) | Step::Tcp(..) | Step::Tls(..) | Step::Udp(..) | Step::Socket(..) => false,
        Step::Sending(..) | Step::Outside(..) => false,
    })
}

#[cfg(test)]
mod tests {
    use outcall_verify::table;

    use super::*;

    #[test]
    fn what_a_product_lacks_is_read_from_the_steps() {
        let check = |id: &str, has: &[Need], applies_expected: bool| {
            let technique = table::technique(id).unwrap();
            assert_eq!(applies(technique, has).is_ok(), applies_expected, "{id} {has:?}");
        };
        check("refused-name", &[], false);
        check("refused-name", &[Need::Resolver], true);
        check("refused-host", &[], true);
        check("direct-ipv4", &[], true);
        check("h2-allowed", &[Need::Inside], false);
        check("h2-allowed", &[Need::Inside, Need::Http2], true);
        check("identity-by-header", &[], false);
        check("allowed-tls", &[], true);
        let allowed = table::technique("allowed-tls").unwrap();
        assert!(is_to_arrive(allowed, &[], "GET /told allowed.test"));
        assert!(is_to_arrive(allowed, &[], "tls allowed.test"));
    }
}
