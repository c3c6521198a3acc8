//! `outcall completions` and `outcall man`: what shells and `man` know of the command, made from its definition.

use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::output::{Output, complain};
use crate::{Cli, Exit};

/// Print a script that completes this command in a shell
///
/// For bash: outcall completions bash > ~/.local/share/bash-completion/completions/outcall
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "outcall", &mut script);
    out.text(String::from_utf8_lossy(&script));
    Exit::Done
}

/// Write the manual pages, one for each command, into a directory
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The directory, which is made when it does not exist; `man` finds pages in a directory that is called man1
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(crate) fn man(args: &ManArgs) -> Exit {
    let written = std::fs::create_dir_all(&args.directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), &args.directory));
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            complain(format_args!("cannot write to {}: {error}", args.directory.display()));
            Exit::Usage
        }
    }
}
