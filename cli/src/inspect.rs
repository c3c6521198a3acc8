//! `outcall inspect`: compiled artifacts as text.

use std::fmt::Write;
use std::path::PathBuf;

use clap::ValueEnum;
use outcall_schema::artifact::manifest::{Manifest, RuleRow};
use outcall_schema::artifact::render;

use crate::Exit;
use crate::artifacts::{Failure, Files};
use crate::output::{Output, complain};
use crate::sign::signers;

/// Print compiled artifacts as text, after checking that they belong together
///
/// Exits with 0 when they do, with 1 when they do not, are damaged or not signed by whom `--trust` names, and with 2 when one cannot be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A directory that `outcall compile -o` wrote
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Which of them
    #[arg(value_enum, default_value_t)]
    artifact: Artifact,
    /// Insist on a signature by one of the public keys in this file; may be repeated
    #[arg(long, visible_alias = "trust-key", value_name = "FILE")]
    trust: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Artifact {
    /// The ruleset for the kernel
    Nft,
    /// The DNS allow-table
    Dns,
    /// The proxy's match program
    Proxy,
    /// What belongs together, what the host must provide, and the rules
    #[default]
    Manifest,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    match text(args) {
        Ok(text) => {
            out.text(text);
            Exit::Done
        }
        Err((exit, why)) => {
            complain(why);
            exit
        }
    }
}

fn text(args: &Args) -> Result<String, Failure> {
    let files = Files::read(&args.directory)?;
    let signers = signers(&files, &args.trust)?;
    match args.artifact {
        Artifact::Manifest => Ok(overview(&files.manifest, &signers)),
        Artifact::Nft => files.nft().map(str::to_owned),
        Artifact::Dns => Ok(render::dns_table(&files.dns()?, &files.manifest)),
        Artifact::Proxy => Ok(render::match_program(&files.proxy()?, &files.manifest)),
    }
}

/// The manifest for people.
fn overview(manifest: &Manifest, signers: &str) -> String {
    let mut text = String::new();
    let needs = &manifest.needs;
    let provided = [
        (needs.ca, "a certificate authority for interception"),
        (needs.proxy, "the proxy"),
        (needs.bodies, "bodies to be read"),
        (needs.direct_ip, "direct traffic through the kernel"),
    ];
    let mut needed: Vec<String> =
        provided.into_iter().filter(|(needed, _)| *needed).map(|(_, what)| what.to_owned()).collect();
    needed.extend(needs.secrets.iter().map(|name| format!("the secret `{name}`")));
    let lines = [
        ("policy", manifest.policy_digest.clone()),
        ("signed by", signers.to_owned()),
        ("format", manifest.version.to_string()),
        ("compiler", manifest.compiler.clone()),
        ("needs", if needed.is_empty() { "nothing".to_owned() } else { needed.join(", ") }),
        ("intercepts", listed(&manifest.interception.hosts)),
        ("bypasses", listed(&manifest.interception.bypass)),
        ("strict", listed(&manifest.interception.strict)),
        ("tests", manifest.tests.len().to_string()),
    ];
    // Writing to a string cannot fail.
    for (name, value) in lines {
        let _ = writeln!(text, "{name:12}{value}");
    }
    for row in &manifest.files {
        let _ = writeln!(text, "{:12}{} ({} bytes)", row.name, row.digest, row.size);
    }
    let _ = writeln!(text, "\n{} rules, the first that is true decides, else block:", manifest.rules.len());
    for row in &manifest.rules {
        rule(&mut text, row);
    }
    text
}

fn rule(text: &mut String, row: &RuleRow) {
    let _ = writeln!(text, "\n{} {} ({}:{}, priority {})", row.action.name(), row.id, row.file, row.line, row.priority);
    if !row.description.is_empty() {
        let _ = writeln!(text, "  # {}", row.description.replace('\n', " "));
    }
    for line in row.condition.lines() {
        let _ = writeln!(text, "  {line}");
    }
    if let Some(egress) = &row.egress {
        let _ = writeln!(text, "  -> {egress}");
    }
    for inject in &row.inject {
        let _ = writeln!(text, "  -> sets {}", inject.header);
    }
    for required in &row.require_header {
        let _ = writeln!(text, "  -> insists on {} {}", required.header, required.digest);
    }
}

fn listed(patterns: &[String]) -> String {
    if patterns.is_empty() { "nothing".to_owned() } else { patterns.join(", ") }
}
