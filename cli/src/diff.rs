//! `outcall diff`: what a change of rules changes, proven.

use clap::ValueEnum;
use outcall_compiler::analyse::diff;

use crate::Exit;
use crate::output::Output;
use crate::policies::{self, Absent};

/// Compare two policies: what becomes reachable, what stops, what is treated otherwise, each with a request that shows it
///
/// Exits with 0 when the two were compared, with 1 when rules do not compile, and with 2 when it was called wrongly or
/// something could not be read. With --deny widening, exits with 3 when something becomes reachable, or when it could not be
/// proven that nothing does.
#[derive(Debug, clap::Args)]
#[command(after_help = "OLD and NEW are each
  a directory of rules, or a rule file
  a directory of artifacts
  git:REV[:PATH]   the rules at a revision, PATH being rules.d when it is not given

Where a revision has no rules yet, OLD is a policy that blocks everything; NEW must be there.")]
pub(crate) struct Args {
    /// What was
    old: String,
    /// What is to be
    new: String,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
    /// What fails
    #[arg(long, value_enum, value_name = "WHAT")]
    deny: Option<Deny>,
}

/// How differences are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// Text for people.
    #[default]
    Human,
    /// Text for a pull request.
    Markdown,
    /// One JSON document.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Deny {
    /// Anything becoming reachable, or that it does not being unproven
    Widening,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let old = match policies::open(std::slice::from_ref(&args.old), Absent::BlocksAll, out) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let new = match policies::open(std::slice::from_ref(&args.new), Absent::Refused, out) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let difference = diff(&old, &new);
    match args.format {
        Format::Human => out.text(difference.human()),
        Format::Markdown => out.text(difference.markdown()),
        Format::Json => out.json(&difference.json()),
    }
    let open = difference.widens() || !difference.unproven.is_empty();
    if args.deny == Some(Deny::Widening) && open { Exit::Widened } else { Exit::Done }
}
