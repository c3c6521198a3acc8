//! `outcall keygen`: a key to sign policies with.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use outcall_schema::signing::SigningKey;
use serde_json::json;

use crate::Exit;
use crate::output::{Output, complain};
use crate::pair::{self, Kind, Names};

/// Make a key to sign policies with: `policy.key`, which must stay secret, and `policy.pub`, which hosts trust
///
/// Both files (mode 0600 and 0644) appear or neither, and nothing is ever overwritten. The key is one of Ed25519, and the
/// files are PKCS #8 and SubjectPublicKeyInfo in PEM, which `openssl` reads and writes too.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory, which is made when it is not there [default: $XDG_DATA_HOME/outcall/signing or
    /// ~/.local/share/outcall/signing]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

const KEY: Names = Names { public: "policy.pub", private: "policy.key" };
const FILES: Kind = Kind { under_way: ".outcall-key-", pairs: &[KEY] };

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    make(args, out).unwrap_or_else(|(exit, why)| {
        complain(why);
        exit
    })
}

fn make(args: &Args, out: &mut Output) -> Result<Exit, (Exit, String)> {
    let named = args.out.clone();
    let directory = named.map_or_else(|| pair::users_own("signing"), Ok).map_err(|why| (Exit::Usage, why))?;
    let key = SigningKey::generate();
    let parts = key.and_then(|key| Ok((key.to_pem()?, key.public()?)));
    let (private, public) = parts.map_err(|why| (Exit::Failed, why.to_string()))?;
    pair::place(&directory, FILES, KEY, &public.to_pem(), &private).map_err(|error| failure(&directory, &error))?;
    let [private, public_file] = [KEY.private, KEY.public].map(|name| directory.join(name));
    if args.json {
        out.json(&json!({
            "key_id": public.id(),
            "private_key": private.to_string_lossy(),
            "public_key": public_file.to_string_lossy(),
        }));
        return Ok(Exit::Done);
    }
    out.line(format_args!("Wrote {} and {}.", private.display(), public_file.display()));
    out.line(format_args!("Key id: {}", public.id()));
    out.line(format_args!(
        "`outcall sign DIR --key {}` signs; hosts are told `--trust-key` with the other file.",
        private.display()
    ));
    Ok(Exit::Done)
}

fn failure(directory: &Path, error: &std::io::Error) -> (Exit, String) {
    match pair::taken(directory, KEY).filter(|_| error.kind() == ErrorKind::AlreadyExists) {
        Some(path) => (Exit::Failed, format!("{} exists, and is not overwritten", path.display())),
        None => (Exit::Usage, format!("cannot write to {}: {error}", directory.display())),
    }
}
