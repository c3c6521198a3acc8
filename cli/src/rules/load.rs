//! Puts other rules in force: compiled here, enforced there.

use std::path::{Path, PathBuf};

use outcall_compiler::diag::{Severity, render};
use outcall_compiler::{Artifacts, Missing};
use outcall_schema::api::load::Loaded;
use outcall_schema::api::{Endpoint, UPLOAD_MAX};
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::artifact::manifest::file;

use crate::Exit;
use crate::asking::{Printing, print};
use crate::daemon::{Daemon, NoAnswer, printable};
use crate::output::{Output, complain};

/// Where a host's rules are.
const HOST_RULES: &str = "/etc/outcall/rules.d";

pub(super) fn reload(paths: &[PathBuf], own: bool, daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    if own {
        return print(daemon.load(Endpoint::RulesReload, None), printing, out, told);
    }
    let (bundle, files) = match bundle(paths) {
        Ok(found) => found,
        Err(exit) => return exit,
    };
    let bytes = bundle.to_bytes();
    drop(bundle);
    if bytes.len() > UPLOAD_MAX {
        complain(format_args!("the artifacts have {} bytes, and {UPLOAD_MAX} can be uploaded", bytes.len()));
        return Exit::Failed;
    }
    let answer: Result<Loaded, NoAnswer> = daemon.load(Endpoint::RulesArtifacts, Some(&bytes));
    // What was compiled is counted better here than there: files without rules leave no trace in artifacts.
    let counted = |loaded: Loaded| Loaded { files_loaded: files.unwrap_or(loaded.files_loaded), ..loaded };
    print(answer.map(counted), printing, out, told)
}

pub(super) fn rollback(daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    let answer: Result<Loaded, NoAnswer> = daemon.load(Endpoint::RulesRollback, None);
    print(answer, printing, out, |loaded, out| {
        out.line(format_args!(
            "Back to {} rule(s) of policy {}.",
            loaded.rules_loaded,
            printable(&loaded.policy_digest)
        ));
        more(&loaded, out);
    })
}

fn told(loaded: Loaded, out: &mut Output) {
    out.line(format_args!("Reloaded {} rule(s) from {} file(s).", loaded.rules_loaded, loaded.files_loaded));
    more(&loaded, out);
}

fn more(loaded: &Loaded, out: &mut Output) {
    if loaded.connections_cut > 0 {
        out.line(format_args!("Cut {} connection(s) that it does not allow.", loaded.connections_cut));
    }
    for warning in &loaded.warnings {
        out.line(format_args!("warning: {}", printable(warning)));
    }
}

/// What is uploaded, and from how many files it was compiled. What is wrong is reported.
fn bundle(paths: &[PathBuf]) -> Result<(Bundle, Option<usize>), Exit> {
    if let [directory] = paths
        && directory.join(file::MANIFEST).is_file()
    {
        return read(directory).map(|bundle| (bundle, None));
    }
    let default = [PathBuf::from(HOST_RULES)];
    if paths.is_empty() && !Path::new(HOST_RULES).is_dir() {
        complain(format_args!(
            "there is no {HOST_RULES}: name rules, or artifacts with `--artifacts` for outcalld's own"
        ));
        return Err(Exit::Usage);
    }
    let paths = if paths.is_empty() { default.as_slice() } else { paths };
    let compilation = outcall_compiler::compile(paths, Missing::Refused);
    let shown: Vec<_> =
        compilation.findings.iter().filter(|finding| finding.severity != Severity::Note).cloned().collect();
    crate::output::warn(render::human(&shown, render::Colour::Never));
    let unreadable = compilation.unreadable();
    let failed = if unreadable { Exit::Usage } else { Exit::Failed };
    let Artifacts { nft, dns, proxy, manifest, .. } = compilation.artifacts.ok_or(failed)?;
    Ok((Bundle { manifest, nft: nft.into_bytes(), dns, proxy, signature: None }, Some(compilation.files)))
}

/// A directory of artifacts as it is; whoever loads them checks them.
fn read(directory: &Path) -> Result<Bundle, Exit> {
    let contents = |name: &str| {
        std::fs::read(directory.join(name)).map_err(|error| {
            complain(format_args!("cannot read {}: {error}", directory.join(name).display()));
            Exit::Usage
        })
    };
    let signature = directory.join(file::SIGNATURE).exists().then(|| contents(file::SIGNATURE)).transpose()?;
    Ok(Bundle {
        manifest: contents(file::MANIFEST)?,
        nft: contents(file::NFT)?,
        dns: contents(file::DNS)?,
        proxy: contents(file::PROXY)?,
        signature,
    })
}
