//! `outcall presets`: the rule sets that come with outcall, and what each takes.

use outcall_compiler::diag::{nearest, quoted};
use outcall_compiler::preset::{self, PRESETS, PresetRow};
use outcall_compiler::syntax::{Parameter, PresetFile};
use serde_json::{Value, json};

use crate::Exit;
use crate::output::{Format, Output, complain, wrapped};

/// List the rule sets that come with outcall, or print one
///
/// A rule file uses them by name: `presets: [github-readonly, {name: package-mirror, with: {hosts: [...]}}]`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The preset whose text is printed; without one, all are listed
    name: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let Some(name) = &args.name else {
        match args.format {
            Format::Json => out.json(&PRESETS.iter().map(value).collect()),
            Format::Human => list(out),
        }
        return Exit::Done;
    };
    let row = match find(name) {
        Ok(row) => row,
        Err(exit) => return exit,
    };
    match args.format {
        Format::Json => out.json(&value(row)),
        Format::Human => out.text(row.text),
    }
    Exit::Done
}

/// The preset of this name; that there is none is reported.
pub(crate) fn find(name: &str) -> Result<&'static PresetRow, Exit> {
    preset::find(name).ok_or_else(|| {
        let near = nearest(name, PRESETS.iter().map(|row| row.name));
        let hint =
            near.map_or_else(|| "`outcall presets` lists them".to_owned(), |near| format!("did you mean {near}?"));
        complain(format_args!("there is no preset {}; {hint}", quoted(name)));
        Exit::Failed
    })
}

fn list(out: &mut Output) {
    for row in PRESETS {
        let Some(PresetFile { description, parameters, .. }) = row.read() else { continue };
        let description = description.map(|text| text.value).unwrap_or_default();
        out.line(row.name);
        out.line(indented(&wrapped(&description), 4));
        for parameter in &parameters {
            let Parameter { name, kind, description, default, .. } = parameter;
            let default = match default {
                Some(default) => format!("default {}", preset::shown(&default.value)),
                None => "required".to_owned(),
            };
            let text = format!("{} ({}, {default}): {description}", name.value, kind.name());
            out.line(indented(&wrapped(&text), 8));
        }
        out.line("");
    }
    out.line("`outcall presets NAME` prints one, `outcall test preset:NAME` runs its tests.");
}

fn value(row: &PresetRow) -> Value {
    let preset = row.read().unwrap_or_default();
    let parameters: Vec<Value> = preset
        .parameters
        .iter()
        .map(|parameter| {
            json!({
                "name": parameter.name.value,
                "type": parameter.kind.name(),
                "description": parameter.description,
                "form": parameter.form,
                "required": parameter.default.is_none(),
                "default": parameter.default.as_ref().map(|value| preset::json(&value.value)),
                "example": preset::example(parameter).map(preset::json),
            })
        })
        .collect();
    json!({
        "name": row.name,
        "description": preset.description.map(|text| text.value),
        "needs_interception": row.intercepts(),
        "parameters": parameters,
        "rules": preset.rules.rules.iter().filter_map(|rule| rule.id.as_ref()).map(|id| &id.value).collect::<Vec<_>>(),
        "text": row.text,
    })
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}", "")).collect::<Vec<_>>().join("\n")
}
