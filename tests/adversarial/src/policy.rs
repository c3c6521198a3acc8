//! The rules that techniques are tried under, and their compilation.

use std::path::{Path, PathBuf};

use outcall_compiler::diag::{Severity, render};
use outcall_compiler::{Artifacts, Missing};

/// The agent that tries, as rules see it.
pub const AGENT: &str = "suspect";
/// Another agent, whom other rules are for.
pub const NEIGHBOUR: &str = "neighbour";
/// The site whose requests get a secret.
pub(crate) const SECRET_SITE: &str = "secret.wild.test";
/// What the agent's container is made of, as rules see it.
pub(crate) const IMAGE: &str = "outcall-verify:agent";
/// What the rules' file is called in records. It sorts before whatever an operator's own is called.
pub const FILE: &str = "000-outcall-verify.yaml";

/// The rules. They come before all others and speak of names themselves, so that what must pass passes whatever else is in
/// force: a name that only follows from a rule is refused where another rule blocks it.
pub const RULES: &str = r#"version: "1"
rules:
  - id: web
    description: "a site that shares its address and its certificate with one that is not allowed"
    priority: -1000000
    condition: dns.query == "allowed.test" || http.host == "allowed.test"
    action: allow
    egress: { ports: [80, 443] }
  - id: paths
    description: "a part of a site"
    priority: -1000000
    condition: >-
      dns.query == "paths.wild.test" || http.host == "paths.wild.test" && http.scheme == "http" && http.method == "GET" && http.path.startsWith("/ok/")
    action: allow
    egress: { ports: [80] }
  - id: inside
    description: "a part of a site, seen inside TLS"
    priority: -1000000
    condition: >-
      dns.query == "modern.test" || http.host == "modern.test" && http.scheme == "https" && http.method == "GET" && http.path.startsWith("/ok/")
    action: allow
    egress: { mode: intercept, ports: [443] }
  - id: public-names
    description: "names that lead to addresses that are not public"
    priority: -1000000
    condition: >-
      dns.query in ["rebind.test", "private.test", "metadata.test", "mixed.test", "loopback.test", "mapped.test",
      "nat64.test", "sixtofour.test", "alias-private.test", "alias.test"] ||
      http.host in ["rebind.test", "private.test", "metadata.test", "mixed.test", "loopback.test", "mapped.test",
      "nat64.test", "sixtofour.test", "alias-private.test", "alias.test"]
    action: allow
    egress: { ports: [80, 443] }
  - id: odd-names
    description: "names whose servers answer in odd ways"
    priority: -1000000
    condition: >-
      dns.query in ["fresh.test", "https.test", "alias-evil.test", "flip.test", "stray.test", "forged.test", "teredo.test",
      "compatible.test", "local-nat64.test", "unspecified.test", "broadcast.test", "link-local.test", "multicast.test",
      "unique-local.test", "shared.test"] ||
      http.host in ["fresh.test", "https.test", "alias-evil.test", "flip.test", "stray.test", "forged.test", "teredo.test",
      "compatible.test", "local-nat64.test", "unspecified.test", "broadcast.test", "link-local.test", "multicast.test",
      "unique-local.test", "shared.test"]
    action: allow
    egress: { ports: [80, 443] }
  - id: shards
    description: "whatever the agent puts before a suffix"
    priority: -1000000
    condition: >-
      hostMatches(dns.query, "**.shards.test") || hostMatches(http.host, "**.shards.test") && http.scheme == "http"
    action: allow
    egress: { ports: [80] }
  - id: certificates
    description: "servers whose certificates nobody should believe, seen inside TLS"
    priority: -1000000
    condition: >-
      dns.query in ["expired.test", "misnamed.test", "selfsigned.test"] ||
      http.host in ["expired.test", "misnamed.test", "selfsigned.test"] && http.scheme == "https"
    action: allow
    egress: { mode: intercept, ports: [443] }
  - id: bodies
    description: "a site that is sent texts without one word"
    priority: -1000000
    condition: >-
      dns.query == "bodies.test" || http.host == "bodies.test" && http.scheme == "http" && http.method == "POST" &&
      http.body != null && !http.body.contains("secret")
    action: allow
    egress: { mode: intercept, match_body: true, ports: [80] }
  - id: neighbour-alone
    description: "a site for another agent"
    priority: -1000000
    condition: http.host == "grpc.test" && agent.name == "neighbour"
    action: allow
    egress: { ports: [80, 443] }
  - id: straight
    description: "a name whose addresses are open for as long as it says, to what is not the web"
    priority: -1000000
    condition: dns.query == "brief.test"
    action: allow
    egress: { mode: direct_ip, ports: [7000] }
  - id: image
    description: "the image of the agent's container"
    priority: -1000000
    condition: docker.image == "outcall-verify:agent" && agent.name == "suspect"
    action: allow
  - id: secret-site
    description: "a site whose requests get a secret"
    priority: -1000000
    condition: >-
      dns.query == "secret.wild.test" || http.host == "secret.wild.test" && http.scheme == "https" && http.method == "GET"
    action: allow
    egress: { mode: intercept, ports: [443] }
  - id: secret
    description: "the secret"
    priority: -1000000
    condition: http.host == "secret.wild.test"
    action: enrich
    inject:
      - header: Authorization
        value: "${secret:canary}"
"#;

/// Compiles the rules, with an operator's own beside them, into a directory.
///
/// # Errors
/// What is wrong with the operator's, in words.
pub fn compile(rules: &str, others: &[PathBuf], work: &Path) -> Result<Artifacts, String> {
    let file = work.join(FILE);
    std::fs::write(&file, rules).map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let paths: Vec<PathBuf> = std::iter::once(file).chain(others.iter().cloned()).collect();
    let compilation = outcall_compiler::compile(&paths, Missing::Refused);
    let errors: Vec<_> =
        compilation.findings.iter().filter(|finding| finding.severity == Severity::Error).cloned().collect();
    compilation
        .artifacts
        .ok_or_else(|| format!("the rules do not compile:\n{}", render::human(&errors, render::Colour::Never)))
}

/// Writes artifacts to where a runtime reads them.
///
/// # Errors
/// What the file system says.
pub fn write(artifacts: &Artifacts, directory: &Path) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("cannot write to {}: {error}", directory.display());
    std::fs::create_dir_all(directory).map_err(cannot)?;
    for (name, content) in artifacts.files() {
        std::fs::write(directory.join(name), content).map_err(cannot)?;
    }
    Ok(())
}
