//! `outcall schema`: the rule file as JSON Schema.

use crate::Exit;
use crate::output::Output;

/// Print the JSON Schema (2020-12) of rule files, for editors that complete and check YAML
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args, out: &mut Output) -> Exit {
    out.json(&outcall_compiler::schema_json::rule_file());
    Exit::Done
}
