//! Policy in, artifacts out.

pub mod expr;
pub(crate) mod layers;
mod nft;

use outcall_schema::artifact::digest::Digest;
use outcall_schema::artifact::manifest::{self, AgentSet, FileRow, Manifest, Needs, RuleRow};
use outcall_schema::decision::Action;
use outcall_schema::egress::EgressMode;
use outcall_schema::field::Field;
use outcall_schema::layer::Layer;

use crate::decide::build::Stats;
use crate::decide::formula::Formulas;
use crate::decide::kernel;
use crate::diag::Finding;
use crate::resolve::Policy;

/// A compiled policy: the content of each artifact.
#[derive(Debug, Clone)]
pub struct Artifacts {
    /// `outcall.nft`
    pub nft: String,
    /// `dns.table`
    pub dns: Vec<u8>,
    /// `proxy.prog`
    pub proxy: Vec<u8>,
    /// `manifest.json`
    pub manifest: Vec<u8>,
    /// What lowering took, by entry point.
    pub stats: Vec<(String, Stats)>,
}

impl Artifacts {
    /// Names and contents, the manifest last.
    pub fn files(&self) -> [(&'static str, &[u8]); 4] {
        [
            (manifest::file::NFT, self.nft.as_bytes()),
            (manifest::file::DNS, &self.dns),
            (manifest::file::PROXY, &self.proxy),
            (manifest::file::MANIFEST, &self.manifest),
        ]
    }
}

/// Lowers a policy. Findings that are errors come instead of artifacts.
pub fn artifacts(policy: &Policy) -> (Option<Artifacts>, Vec<Finding>) {
    let mut formulas = Formulas::new();
    let mut stats = Vec::new();
    let (dns, rows): (Vec<u8>, _) = layers::dns_table(policy, &mut formulas);
    stats.extend(rows);
    let (kernel, findings) = kernel::project(policy, &mut formulas);
    let conditions: Vec<String> = kernel.agents.iter().map(|formula| formulas.show(*formula)).collect();
    let agent_sets = (0..)
        .zip(&conditions)
        .map(|(predicate, condition)| AgentSet {
            name: nft::agent_set(predicate as usize),
            condition: condition.clone(),
            predicate,
        })
        .collect();
    let (proxy, rows): (Vec<u8>, _) = layers::match_program(policy, &mut formulas, &kernel.agents);
    stats.extend(rows);
    if findings.iter().any(Finding::is_error) {
        return (None, findings);
    }
    let nft = nft::write(policy, &kernel, &conditions);
    let mut manifest = Manifest {
        version: manifest::VERSION,
        compiler: env!("CARGO_PKG_VERSION").to_owned(),
        policy_digest: String::new(),
        files: [
            (manifest::file::DNS, dns.as_slice()),
            (manifest::file::NFT, nft.as_bytes()),
            (manifest::file::PROXY, &proxy),
        ]
        .map(|(name, bytes)| FileRow { name: name.to_owned(), size: bytes.len() as u64, digest: Digest::of(bytes) })
        .into(),
        needs: needs(policy),
        rules: rules(policy),
        interception: policy.interception.clone(),
        agent_sets,
        tests: policy.tests.clone(),
    };
    let manifest = manifest.to_bytes();
    (Some(Artifacts { nft, dns, proxy, manifest, stats }), findings)
}

fn needs(policy: &Policy) -> Needs {
    let egress = || policy.rules.iter().filter_map(|rule| rule.egress.as_ref());
    let mut secrets: Vec<String> = policy
        .rules
        .iter()
        .flat_map(|rule| &rule.inject)
        .flat_map(|inject| &inject.value)
        .filter_map(|part| match part {
            manifest::InjectPart::Secret(name) => Some(name.clone()),
            manifest::InjectPart::Text(_) => None,
        })
        .collect();
    secrets.sort();
    secrets.dedup();
    Needs {
        ca: egress().any(|egress| egress.mode == EgressMode::Intercept) || !policy.interception.hosts.is_empty(),
        proxy: egress().any(|egress| egress.mode != EgressMode::DirectIp),
        bodies: policy.rules.iter().any(|rule| {
            let may = rule.action != Action::Allow || rule.egress.as_ref().is_some_and(|egress| egress.match_body);
            may && crate::decide::lower::reads_field(&rule.condition, Field::HttpBody)
        }),
        direct_ip: egress().any(|egress| egress.mode == EgressMode::DirectIp),
        secrets,
    }
}

fn rules(policy: &Policy) -> Vec<RuleRow> {
    policy
        .rules
        .iter()
        .map(|rule| RuleRow {
            id: rule.id.clone(),
            file: rule.span.file.name.clone(),
            line: rule.span.line(),
            action: rule.action,
            priority: rule.priority,
            description: rule.description.clone(),
            condition: rule.condition_text.clone(),
            log: rule.log,
            egress: rule.egress.clone(),
            hold: rule.hold.clone(),
            inject: rule.inject.clone(),
            require_header: rule.require_header.clone(),
        })
        .collect()
}

/// The layers whose requests the match program decides.
pub(crate) const DECIDED: [Layer; 6] =
    [Layer::Network, Layer::Connect, Layer::Http, Layer::Https, Layer::Docker, Layer::Run];
