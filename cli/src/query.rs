//! `outcall query`: whether any request of a kind is allowed.

use clap::ValueEnum;
use outcall_compiler::analyse::{Answer, Wanted, query};
use outcall_compiler::cel::{self, CelError};
use outcall_compiler::diag::{Finding, SourceFile, SourceSpan, render};

use crate::Exit;
use crate::output::{Format, Output};
use crate::policies::{self, Absent};

/// Ask whether any request that a CEL expression is true of can be allowed: an example, or the proof that none can
///
/// The expression may look at everything, also at what is inside TLS: a tunnel that is allowed allows every request in it.
/// Exits with 0 when there is such a request, with 1 when there is none, and with 2 when it could not be asked or the
/// answer was not found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rules, artifacts or a git revision as for outcall diff, then the expression [default: rules.d]
    #[arg(value_name = "PATHS EXPRESSION", required = true)]
    words: Vec<String>,
    /// The decision that is asked about
    #[arg(long, value_enum, default_value_t = Decision::Allow, value_name = "DECISION")]
    decision: Decision,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Decision {
    /// Requests that are allowed
    Allow,
    /// Requests that are refused
    Block,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let Some((expression, paths)) = args.words.split_last() else { return Exit::Usage };
    let condition = match cel::parse_and_check(expression, &cel::Env::rule()) {
        Ok(condition) => condition,
        Err(errors) => {
            let file = SourceFile::new("EXPRESSION", expression.as_str());
            let finding = |error: CelError| {
                let span = SourceSpan { file: file.clone(), start: error.range.start, end: error.range.end };
                let finding = Finding::at(error.code, span, error.message);
                error.help.into_iter().fold(finding, Finding::help)
            };
            let findings: Vec<Finding> = errors.into_iter().map(finding).collect();
            crate::output::warn(render::human(&findings, out.colour_of_errors()));
            return Exit::Usage;
        }
    };
    let policy = match policies::open(paths, Absent::Refused, out) {
        Ok(policy) => policy,
        Err(exit) => return exit,
    };
    let wanted = match args.decision {
        Decision::Allow => Wanted::Allow,
        Decision::Block => Wanted::Block,
    };
    let answer = query(&policy, &condition, wanted);
    match args.format {
        Format::Human => out.text(answer.human(wanted)),
        Format::Json => out.json(&answer.json()),
    }
    match answer {
        Answer::Some(_) => Exit::Done,
        Answer::None => Exit::Failed,
        Answer::Unknown(..) => Exit::Usage,
    }
}
