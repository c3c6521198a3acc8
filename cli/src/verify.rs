//! `outcall verify`: the proof, from inside.

mod signed;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;
use outcall_verify::docker::Image;
use outcall_verify::helper::{self, Helper};
use outcall_verify::run::{Options, Place, run as verify};
use outcall_verify::{document, report, world};

use crate::Exit;
use crate::output::{Output, complain};
use crate::run::find_outcalld;
use crate::sign;

/// Try to get past Outcall on this machine, with every technique it knows, and say what came of it
///
/// Starts a world of its own, in which nothing outside is ever contacted: a resolver and servers that log every byte, and
/// an agent without privilege in a real sandbox. The agent tries one technique after the other; the verdict rests on what
/// arrived, on the kernel's counters and on the audit log alone. Needs no root and no other program than `outcall run`;
/// with --container it takes root and the programs of Docker's engine.
/// Exits with 1 when a technique fails, and with 2 when it could not be run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Put the agent into a sandbox of `outcall run`, which is the default
    #[arg(long)]
    sandbox: bool,
    /// Put the agent into a network namespace on the bridge of a host, with an `outcalld` of its own in the world
    #[arg(long, conflicts_with = "sandbox")]
    host: bool,
    /// Put the agent into a container that is made of this image as `outcall container create` makes them, in an engine of
    /// Docker's that is started for it; the image is copied from the engine that has it
    #[arg(long, value_name = "IMAGE", conflicts_with_all = ["sandbox", "host"])]
    container: Option<String>,
    /// Where the engine serves that has the image
    #[arg(long, value_name = "PATH", requires = "container", default_value = ENGINE)]
    docker_socket: PathBuf,
    /// Rules to have in force beside those that are brought along: files, and directories of them; may be repeated
    #[arg(long, value_name = "DIR")]
    policy: Vec<PathBuf>,
    /// Try these techniques only
    #[arg(long, value_name = "ID", num_args = 1..)]
    only: Vec<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// Print the techniques, and try none
    #[arg(long)]
    list: bool,
    /// Sign the scorecard with a private key that `outcall keygen` made, and print it in an envelope of JSON; may be repeated
    #[arg(long, value_name = "KEY")]
    sign: Vec<PathBuf>,
    /// Check the signature of such an envelope and print the scorecard in it, and try nothing
    #[arg(long, value_name = "FILE", requires = "trust_key", conflicts_with_all = ["sign", "list"])]
    check: Option<PathBuf>,
    /// A public key that the scorecard must be signed by, in PEM; may be repeated
    #[arg(long, value_name = "FILE", requires = "check")]
    trust_key: Vec<PathBuf>,
}

/// Where Docker's engine serves unless somebody says otherwise.
const ENGINE: &str = "/run/docker.sock";

/// How the scorecard is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit's XML, for continuous integration
    Junit,
    /// A page of Markdown
    Markdown,
}

/// The command behind which the processes of a run are started.
pub(crate) const HELPER: &str = "verify-helper";

/// A part of `outcall verify`; does nothing by itself
#[derive(Debug, clap::Args)]
pub(crate) struct HelperArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    if args.list {
        out.text(document::list());
        return Exit::Done;
    }
    if let Some(path) = &args.check {
        return signed::check(path, &args.trust_key, out);
    }
    // A key that cannot be used is said before anything is tried.
    let keys = match args.sign.iter().map(|path| sign::key(path)).collect::<Result<Vec<_>, _>>() {
        Ok(keys) => keys,
        Err((exit, why)) => {
            complain(why);
            return exit;
        }
    };
    if !keys.is_empty() && args.format != Format::Json {
        complain("what is signed is the JSON document: --sign goes with --format json");
        return Exit::Usage;
    }
    let image = args.container.clone().map(|name| Image { name, engine: args.docker_socket.clone() });
    let place = match (&image, args.host) {
        (Some(_), _) => Place::Container,
        (None, true) => Place::Host,
        (None, false) => Place::Sandbox,
    };
    let ran = Helper::own(&[HELPER]).and_then(|helper| {
        let outcall = std::env::current_exe().map_err(|error| format!("cannot find this program: {error}"))?;
        let outcalld = find_outcalld().ok_or("cannot find `outcalld`: install it beside `outcall` or in PATH")?;
        let (policy, only) = (args.policy.clone(), args.only.clone());
        verify(&Options { helper, outcall, outcalld, place, image, policy, only, mutation: None })
    });
    let card = match ran {
        Ok(card) => card,
        Err(why) => {
            complain(why);
            return Exit::Usage;
        }
    };
    match args.format {
        Format::Human => out.text(report::human(&card)),
        Format::Json if keys.is_empty() => out.json(&report::json(&card)),
        Format::Json => match signed::envelope(&report::json(&card), &keys) {
            Ok(envelope) => out.json(&envelope),
            Err(why) => {
                complain(why);
                return Exit::Usage;
            }
        },
        Format::Junit => out.text(report::junit(&card)),
        Format::Markdown => out.text(report::markdown(&card)),
    }
    if card.passed() { Exit::Done } else { Exit::Failed }
}

pub(crate) fn help(args: &HelperArgs) -> Exit {
    let lived = Helper::own(&[HELPER]).and_then(|own| helper::main(&own, &args.words, world::modern::serve));
    match lived {
        Ok(()) => Exit::Done,
        Err(why) => {
            complain(why);
            Exit::Failed
        }
    }
}
