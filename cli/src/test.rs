//! `outcall test`: runs the policy's own tests.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::output::Output;
use crate::{Exit, asked};

/// Run the tests of a policy on its compiled programs, and say which rules they reach
///
/// Exits with 0 when all pass, with 1 when one fails, and with 2 when something could not be read.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rule files and directories of them, a directory of artifacts, or `preset:NAME` for a preset with its own tests
    /// [default: rules.d]
    paths: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: TestFormat,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum TestFormat {
    /// Text for people
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit's XML, for CI systems
    Junit,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let compiled = match asked::open(&args.paths, out) {
        Ok(compiled) => compiled,
        Err(exit) => return exit,
    };
    let report = compiled.test();
    match args.format {
        TestFormat::Human => out.text(report.human()),
        TestFormat::Json => out.json(&serde_json::to_value(&report).unwrap_or_default()),
        TestFormat::Junit => out.text(report.junit()),
    }
    if report.failed == 0 { Exit::Done } else { Exit::Failed }
}
