//! `outcall sign`: who vouches for compiled artifacts; and the same seen from the other side, for `outcall inspect`.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use outcall_schema::artifact::manifest::file;
use outcall_schema::signing::{Signatures, SigningKey, Trust};
use serde_json::json;

use crate::artifacts::{Failure, Files, broken};
use crate::output::{Output, complain};
use crate::{Exit, pair};

/// Sign compiled artifacts: write `manifest.sig` beside `manifest.json`
///
/// The signature covers the manifest, which has the digests of everything else. What is signed has been checked to be whole.
/// A `manifest.sig` that is there is replaced: after compiling again, sign again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A directory that `outcall compile -o` wrote
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// A private key that `outcall keygen` made; its owner alone may have access to the file. May be repeated, for hosts
    /// that trust one of several keys
    #[arg(long, value_name = "FILE", required = true)]
    key: Vec<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    sign(args, out).unwrap_or_else(|(exit, why)| {
        complain(why);
        exit
    })
}

fn sign(args: &Args, out: &mut Output) -> Result<Exit, Failure> {
    let keys = args.key.iter().map(|path| key(path)).collect::<Result<Vec<_>, Failure>>()?;
    let files = Files::read(&args.directory)?;
    files.nft()?;
    files.dns()?;
    files.proxy()?;
    let signatures = Signatures::make(&files.manifest_bytes, &keys)
        .map_err(|why| (Exit::Failed, format!("cannot sign with these keys: {why}")))?;
    let path = args.directory.join(file::SIGNATURE);
    write(&args.directory, &path, &signatures.to_bytes())
        .map_err(|error| (Exit::Usage, format!("cannot write {}: {error}", path.display())))?;
    let ids: Vec<String> = signatures.keys().map(|id| id.to_string()).collect();
    if args.json {
        out.json(&json!({
            "policy_digest": files.manifest.policy_digest,
            "signature": path.to_string_lossy(),
            "keys": ids,
        }));
        return Ok(Exit::Done);
    }
    out.line(format_args!("Signed the policy {}", files.manifest.policy_digest));
    for id in ids {
        out.line(format_args!("by the key        {id}"));
    }
    Ok(Exit::Done)
}

/// Reads a private key.
pub(crate) fn key(path: &Path) -> Result<SigningKey, Failure> {
    let missing = || (Exit::Usage, format!("cannot read {}: there is no such file", path.display()));
    let text = pair::read_private(path).map_err(|why| (Exit::Usage, why))?.ok_or_else(missing)?;
    SigningKey::from_pem(&text).map_err(|why| (Exit::Failed, format!("{}: {why}", path.display())))
}

/// Writes the file so that a reader finds the old or the new one.
fn write(directory: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = tempfile::Builder::new().prefix(".outcall-").tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    // As readable as what it vouches for.
    let mode = directory.join(file::MANIFEST).metadata()?.permissions().mode() & 0o666;
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    temporary.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// Who signed, in words: checked when there are files with keys to trust, else as the file says.
pub(crate) fn signers(files: &Files, trusted: &[PathBuf]) -> Result<String, Failure> {
    let trust = trust(trusted)?;
    let signatures = files.signatures.as_deref().map(str::as_bytes);
    let checked = trust.check(&files.manifest_bytes, signatures).map_err(|why| broken(file::SIGNATURE, why))?;
    if !trust.is_empty() {
        return Ok(listed(checked.iter()));
    }
    let Some(signatures) = signatures else { return Ok("nobody".to_owned()) };
    let said = Signatures::from_bytes(signatures).map_err(|why| broken(file::SIGNATURE, why))?;
    let said: Vec<_> = said.keys().collect();
    Ok(format!("{} (not checked: `--trust` names the public key)", listed(said.iter())))
}

/// The keys that are trusted, from their files.
pub(crate) fn trust(trusted: &[PathBuf]) -> Result<Trust, Failure> {
    let mut trust = Trust::unsigned();
    for path in trusted {
        let missing = || (Exit::Usage, format!("cannot read {}: there is no such file", path.display()));
        let text = pair::read(path).map_err(|why| (Exit::Usage, why))?.ok_or_else(missing)?;
        trust.add_pem(&text).map_err(|why| (Exit::Failed, format!("{}: {why}", path.display())))?;
    }
    Ok(trust)
}

fn listed(ids: impl Iterator<Item = impl ToString>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}
