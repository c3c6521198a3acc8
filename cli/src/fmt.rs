//! `outcall fmt`: the canonical layout of rule files.

use std::io::Read;
use std::path::{Path, PathBuf};

use outcall_compiler::diag::{SourceFile, render};
use outcall_compiler::format::{Unformatted, format};
use outcall_compiler::source;

use crate::Exit;
use crate::output::{Output, complain, warn};
use crate::rewrite;

/// Bring rule files into their canonical layout
///
/// Comments stay, and so does what the rules say. A file with errors in its YAML or its keys is left as it is, with what is
/// wrong with it. The names of the files that were changed are printed.
///
/// Exits with 0 when all is in order now, with 1 when a file has errors (or, with --check, is laid out otherwise), and with
/// 2 when something could not be read or written.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files, and directories of them; `-` reads standard input and prints the result [default: rules.d]
    paths: Vec<PathBuf>,
    /// Change nothing; only list the files that are laid out otherwise
    #[arg(long)]
    check: bool,
    /// With --check, print what would change as a unified diff
    #[arg(long, requires = "check")]
    diff: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    if args.paths.as_slice() == [Path::new("-")] {
        return filter(args, out);
    }
    let (files, findings) = rewrite::load(&args.paths);
    let mut exit = Exit::Done;
    if !findings.is_empty() {
        warn(render::human(&findings, out.colour_of_errors()));
        exit = Exit::Usage;
    }
    for file in &files {
        let outcome = one(args, file, out);
        exit = if outcome as u8 > exit as u8 { outcome } else { exit };
    }
    exit
}

fn one(args: &Args, file: &std::sync::Arc<SourceFile>, out: &mut Output) -> Exit {
    let text = match format(file) {
        Ok(text) if text == file.text => return Exit::Done,
        Ok(text) => text,
        Err(why) => return refused(&why, file, out),
    };
    if args.diff {
        out.text(rewrite::diff(file, &text));
        return Exit::Failed;
    }
    if args.check {
        out.line(&file.path);
        return Exit::Failed;
    }
    if let Err(error) = rewrite::replace(file, &text) {
        complain(format_args!("cannot write {}: {error}", file.path));
        return Exit::Usage;
    }
    out.line(&file.path);
    Exit::Done
}

fn refused(why: &Unformatted, file: &SourceFile, out: &Output) -> Exit {
    match why {
        Unformatted::Errors(findings) => warn(render::human(findings, out.colour_of_errors())),
        Unformatted::Unsure => complain(format_args!(
            "{} is left as it is: no other layout was found that surely says the same",
            file.path
        )),
    }
    Exit::Failed
}

/// Standard input to standard output, for editors.
fn filter(args: &Args, out: &mut Output) -> Exit {
    let mut bytes = Vec::new();
    let limit = u64::try_from(source::FILE_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if let Err(error) = std::io::stdin().take(limit).read_to_end(&mut bytes) {
        complain(format_args!("cannot read standard input: {error}"));
        return Exit::Usage;
    }
    let file = match source::decode("<stdin>", "<stdin>", &bytes) {
        Ok(file) => file,
        Err(finding) => {
            warn(render::human(&[*finding], out.colour_of_errors()));
            return Exit::Failed;
        }
    };
    match format(&file) {
        Ok(text) if args.check => {
            if text != file.text {
                out.text(if args.diff { rewrite::diff(&file, &text) } else { "<stdin>\n".to_owned() });
                return Exit::Failed;
            }
            Exit::Done
        }
        Ok(text) => {
            out.text(text);
            Exit::Done
        }
        Err(why) => refused(&why, &file, out),
    }
}
