//! `outcall ca`: the certificate authority of interception, from its making to its end.

mod running;
mod store;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::{Subcommand, ValueEnum};
use outcall_schema::ca::{Algorithm, Authority, CaCertificate, CaError, Issuer, Wanted, text};
use serde_json::{Value, json};

use self::store::{CURRENT, FILES, NEXT};
use crate::Exit;
use crate::daemon::Daemon;
use crate::output::{Output, complain};
use crate::pair::{self, Names};

/// Make and look after the certificate authority with which TLS is intercepted
///
/// It lives in one directory: `ca.crt`, which clients have to trust, and `ca.key`, which must stay secret. The default
/// directory is /var/lib/outcall/ca for root, else $XDG_DATA_HOME/outcall/ca or ~/.local/share/outcall/ca. `outcall run`
/// needs none of this: it makes an authority for one run, in memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a certificate authority, valid for ten years, and print its fingerprint
    ///
    /// Writes `ca.crt` (mode 0644) and `ca.key` (mode 0600), both or neither, and never over what is there.
    Init(Init),
    /// Print the certificates that clients have to trust, as PEM
    ///
    /// After `outcall ca rotate` these are two. The exit status is 6 when there is no authority. With `--socket` and
    /// without `--dir` it is the certificate that the `outcalld` there signs with.
    Bundle(Place),
    /// Say which authority there is and whether it can be used
    ///
    /// Looks at the files. `loaded` says that the certificate and the key can be read, belong together and are valid, as
    /// `outcalld` would find them. `leaf_cache_size` and `leaf_cache_max` are what a running `outcalld` says that signs
    /// with this very authority, and null where there is none. With `--socket` and without `--dir` all of it is what the
    /// `outcalld` there says, of an authority in memory too. The exit status is 6 when there is no authority, and 1 when it
    /// cannot be used.
    Status(Status),
    /// Make a new authority beside the old one, so that clients can be told to trust it in time
    ///
    /// The old one still signs. `outcall ca bundle` prints both certificates: bring that to all clients, then run `outcall
    /// ca retire`. The new one is of the old one's kind and has its constraints on names, unless told otherwise.
    Rotate(Rotate),
    /// Put the new authority in the place of the old one, whose key is removed and whose certificate leaves the bundle
    ///
    /// When this is interrupted, run it again.
    Retire(Place),
}

#[derive(Debug, clap::Args)]
struct Init {
    /// The directory, which is made when it is not there [default: as `outcall ca --help` says]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The kind of its key
    #[arg(long, value_enum, default_value_t)]
    algorithm: Kind,
    /// Let it sign for this domain and those below it only; may be repeated. It then cannot sign for addresses
    #[arg(long, value_name = "DOMAIN")]
    name_constraint: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Place {
    /// The directory [default: as `outcall ca --help` says]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Status {
    #[command(flatten)]
    place: Place,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    #[command(flatten)]
    place: Place,
    /// The kind of its key [default: that of the old one]
    #[arg(long, value_enum)]
    algorithm: Option<Kind>,
    /// Let it sign for this domain and those below it only; may be repeated [default: those of the old one]
    #[arg(long, value_name = "DOMAIN")]
    name_constraint: Vec<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Kind {
    /// RSA with 4096 bits, which every client understands
    #[default]
    Rsa,
    /// ECDSA on P-384, with which a first connection to a host is about a millisecond faster
    Ecdsa,
}

impl Kind {
    fn algorithm(self) -> Algorithm {
        match self {
            Kind::Rsa => Algorithm::Rsa,
            Kind::Ecdsa => Algorithm::EcdsaP384,
        }
    }
}

type Failure = (Exit, String);

pub(crate) fn run(args: &Args, socket: Option<&Path>, out: &mut Output) -> Exit {
    let done = match (&args.command, socket) {
        (Command::Bundle(Place { dir: None }), Some(_)) => running::bundle(&Daemon::at(socket), out),
        (Command::Status(Status { place: Place { dir: None }, json }), Some(_)) => {
            running::status(&Daemon::at(socket), *json, out)
        }
        (Command::Status(args), _) => status(args, socket, out),
        (Command::Init(args), _) => init(args, out),
        (Command::Bundle(args), _) => bundle(args, out),
        (Command::Rotate(args), _) => rotate(args, out),
        (Command::Retire(args), _) => retire(args, out),
    };
    done.unwrap_or_else(|(exit, why)| {
        complain(why);
        exit
    })
}

fn directory(named: Option<&Path>) -> Result<PathBuf, Failure> {
    named.map_or_else(|| store::default_directory().map_err(|why| (Exit::Usage, why)), |named| Ok(named.to_owned()))
}

fn init(args: &Init, out: &mut Output) -> Result<Exit, Failure> {
    let directory = directory(args.out.as_deref())?;
    let authority = make(&directory, CURRENT, args.algorithm.algorithm(), args.name_constraint.clone())?;
    made(&directory, CURRENT, &authority.certificate, args.json, out);
    if !args.json {
        out.line("Clients have to trust the certificate: see `outcall ca bundle`.");
    }
    Ok(Exit::Done)
}

fn make(directory: &Path, names: Names, algorithm: Algorithm, domains: Vec<String>) -> Result<Authority, Failure> {
    let unwritable = |error: std::io::Error| (Exit::Usage, format!("cannot write to {}: {error}", directory.display()));
    if directory.is_dir() {
        pair::clean(directory, FILES).map_err(unwritable)?;
    }
    let exists = |path: PathBuf| (Exit::Failed, format!("{} exists, and is not overwritten", path.display()));
    // Said before a key is made, which takes a while; what counts is that `place` replaces nothing.
    if let Some(path) = pair::taken(directory, names) {
        return Err(exists(path));
    }
    let wanted = Wanted { algorithm, domains, now: SystemTime::now() };
    let authority = Authority::make(&wanted).map_err(|why| match why {
        CaError::Constraint(_) => (Exit::Usage, format!("--name-constraint: {why}")),
        why => (Exit::Failed, why.to_string()),
    })?;
    let key = authority.key.to_pem().map_err(|why| (Exit::Failed, why.to_string()))?;
    pair::place(directory, FILES, names, &authority.certificate.to_pem(), &key).map_err(|error| match pair::taken(
        directory, names,
    )
    .filter(|_| error.kind() == std::io::ErrorKind::AlreadyExists)
    {
        Some(path) => exists(path),
        None => unwritable(error),
    })?;
    Ok(authority)
}

fn made(directory: &Path, names: Names, certificate: &CaCertificate, json: bool, out: &mut Output) {
    let (crt, key) = (directory.join(names.public), directory.join(names.private));
    if json {
        let mut document = described(certificate);
        if let Some(members) = document.as_object_mut() {
            members.insert("certificate".to_owned(), json!(crt.to_string_lossy()));
            members.insert("key".to_owned(), json!(key.to_string_lossy()));
        }
        out.json(&document);
        return;
    }
    out.line(format_args!("Wrote {} and {}.", crt.display(), key.display()));
    out.line(format_args!("{}, valid until {}", certificate.subject(), text(certificate.not_after())));
    out.line(format_args!("SHA-256 fingerprint: {}", certificate.fingerprint_text()));
}

fn described(certificate: &CaCertificate) -> Value {
    json!({
        "subject": certificate.subject(),
        "fingerprint_sha256": certificate.fingerprint_text(),
        "not_before": text(certificate.not_before()),
        "not_after": text(certificate.not_after()),
    })
}

/// The certificate of an authority that is there.
fn certificate(directory: &Path, names: Names) -> Result<Option<CaCertificate>, Failure> {
    let path = directory.join(names.public);
    match pair::read(&path).map_err(|why| (Exit::Usage, why))? {
        Some(text) => {
            CaCertificate::from_pem(&text).map(Some).map_err(|why| (Exit::Failed, format!("{}: {why}", path.display())))
        }
        None => Ok(None),
    }
}

fn current(directory: &Path) -> Result<CaCertificate, Failure> {
    certificate(directory, CURRENT)?.ok_or_else(|| {
        (Exit::Missing, format!("no certificate authority in {}: make one with `outcall ca init`", directory.display()))
    })
}

/// The same with its key, as long as it can be used.
fn authority(directory: &Path, names: Names, certificate: CaCertificate) -> Result<Authority, Failure> {
    let path = directory.join(names.private);
    let key = store::read_key(&path)
        .and_then(|key| key.ok_or_else(|| format!("{} is missing", path.display())))
        .map_err(|why| (Exit::Failed, why))?;
    Authority::of(certificate, key, SystemTime::now()).map_err(|why| {
        let finish = if why == CaError::Mismatch && directory.join(NEXT.public).exists() {
            "; if `outcall ca retire` was interrupted, run it again"
        } else {
            ""
        };
        (Exit::Failed, format!("{}: {why}{finish}", directory.join(names.public).display()))
    })
}

fn bundle(args: &Place, out: &mut Output) -> Result<Exit, Failure> {
    let directory = directory(args.dir.as_deref())?;
    let current = current(&directory)?;
    let next = certificate(&directory, NEXT)?;
    out.text(current.to_pem());
    if let Some(next) = next {
        out.text(next.to_pem());
    }
    Ok(Exit::Done)
}

fn status(args: &Status, socket: Option<&Path>, out: &mut Output) -> Result<Exit, Failure> {
    let directory = directory(args.place.dir.as_deref())?;
    let current = current(&directory)?;
    let kept = running::kept(socket, &current)?;
    let usable = authority(&directory, CURRENT, current.clone())
        .and_then(|authority| Issuer::new(authority).map_err(|why| (Exit::Failed, why.to_string())));
    let problem = usable.err().map(|(_, why)| why);
    let next = certificate(&directory, NEXT)?;
    let exit = if problem.is_some() { Exit::Failed } else { Exit::Done };
    if args.json {
        let mut document = described(&current);
        if let Some(members) = document.as_object_mut() {
            members.insert("loaded".to_owned(), json!(problem.is_none()));
            members.insert("problem".to_owned(), json!(problem));
            members.insert("next".to_owned(), next.as_ref().map_or(Value::Null, described));
            members.insert("leaf_cache_size".to_owned(), json!(kept.as_ref().map(|kept| kept.leaf_cache_size)));
            members.insert("leaf_cache_max".to_owned(), json!(kept.as_ref().map(|kept| kept.leaf_cache_max)));
        }
        out.json(&document);
        return Ok(exit);
    }
    let mut show = |title: &str, certificate: &CaCertificate| {
        out.line(format_args!("{title:13}{}", certificate.subject()));
        out.line(format_args!("  SHA-256    {}", certificate.fingerprint_text()));
        out.line(format_args!(
            "  valid      from {} to {}",
            text(certificate.not_before()),
            text(certificate.not_after())
        ));
    };
    show("authority", &current);
    if let Some(next) = &next {
        show("next", next);
    }
    if let Some(kept) = &kept {
        out.line(running::in_use(kept));
    }
    match &problem {
        Some(why) => out.line(format_args!("cannot be used: {why}")),
        None if next.is_some() => out.line("can be used; `outcall ca retire` puts the next one in its place"),
        None => out.line("can be used"),
    }
    Ok(exit)
}

fn rotate(args: &Rotate, out: &mut Output) -> Result<Exit, Failure> {
    let directory = directory(args.place.dir.as_deref())?;
    let current = current(&directory)?;
    let algorithm = match args.algorithm {
        Some(kind) => kind.algorithm(),
        None => match store::read_key(&directory.join(CURRENT.private)).ok().flatten().map(|key| key.kind()) {
            Some(Algorithm::EcdsaP384 | Algorithm::EcdsaP256) => Algorithm::EcdsaP384,
            // A key that cannot be used is a reason for a new one.
            Some(Algorithm::Rsa) | None => Algorithm::Rsa,
        },
    };
    let domains = if args.name_constraint.is_empty() {
        current.only_domains().ok_or_else(|| {
            let why = "the authority has constraints that are not only domains: say --name-constraint, or make an \
                       authority where that one came from";
            (Exit::Usage, why.to_owned())
        })?
    } else {
        args.name_constraint.clone()
    };
    let next = make(&directory, NEXT, algorithm, domains).map_err(|(exit, why)| {
        let remedy = if why.contains("is not overwritten") { ": `outcall ca retire` puts it in force" } else { "" };
        (exit, format!("{why}{remedy}"))
    })?;
    made(&directory, NEXT, &next.certificate, args.json, out);
    if !args.json {
        out.line("Bring `outcall ca bundle` to all clients, then run `outcall ca retire`.");
    }
    Ok(Exit::Done)
}

fn retire(args: &Place, out: &mut Output) -> Result<Exit, Failure> {
    let directory = directory(args.dir.as_deref())?;
    let old = current(&directory)?;
    let missing = || (Exit::Failed, "there is no authority to follow: run `outcall ca rotate` first".to_owned());
    let next = certificate(&directory, NEXT)?.ok_or_else(missing)?;
    // Where this was interrupted, the next one's key is in its place already.
    let interrupted = !directory.join(NEXT.private).exists();
    let key = if interrupted { CURRENT.private } else { NEXT.private };
    let names = Names { public: NEXT.public, private: key };
    let next = authority(&directory, names, next)?.certificate;
    store::promote(&directory)
        .map_err(|error| (Exit::Usage, format!("cannot write to {}: {error}", directory.display())))?;
    out.line(format_args!("Retired {} ({}).", old.subject(), old.fingerprint_text()));
    out.line(format_args!("In force: {} ({}).", next.subject(), next.fingerprint_text()));
    out.line("An `outcalld` that is running signs with the old one until it is started again.");
    Ok(Exit::Done)
}
