//! `outcall explain`: the long form of a diagnostic.

use outcall_compiler::diag::{CodeRow, codes, nearest, row};
use serde_json::json;

use crate::Exit;
use crate::output::{Format, Output, complain, wrapped};

/// Explain a diagnostic: why it is refused, an example, and the example put right
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code, such as OC0005; without one, all codes are listed
    code: Option<String>,
    /// How to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let Some(code) = &args.code else {
        list(args.format, out);
        return Exit::Done;
    };
    let wanted = code.to_ascii_uppercase();
    let Some(found) = row(&wanted) else {
        let near = nearest(&wanted, codes().iter().map(|row| row.code));
        let hint =
            near.map_or_else(|| "`outcall explain` lists all codes".to_owned(), |near| format!("did you mean {near}?"));
        complain(format_args!("there is no code {}; {hint}", outcall_compiler::diag::quoted(code)));
        return Exit::Failed;
    };
    match args.format {
        Format::Json => out.json(&value(found)),
        Format::Human => {
            out.line(format_args!("{} ({}): {}\n", found.code, found.severity.name(), found.title));
            out.line(wrapped(found.explain));
            out.line(format_args!("\nFor example:\n\n{}", indented(&found.bad.shown())));
            out.line(format_args!("Instead:\n\n{}", indented(&found.good.shown()).trim_end()));
        }
    }
    Exit::Done
}

fn list(format: Format, out: &mut Output) {
    match format {
        Format::Json => out.json(&codes().iter().map(|row| value(row)).collect()),
        Format::Human => {
            for row in codes() {
                out.line(format_args!("{} {:7} {}", row.code, row.severity.name(), row.title));
            }
        }
    }
}

fn value(row: &CodeRow) -> serde_json::Value {
    json!({
        "code": row.code,
        "severity": row.severity.name(),
        "title": row.title,
        "explain": row.explain,
        "bad": row.bad.shown(),
        "good": row.good.shown(),
    })
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") }).collect()
}
