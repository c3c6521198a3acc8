//! Tries a condition that is not in force. The enforcing process cannot: it has no reader of conditions.

use std::path::PathBuf;

use outcall_compiler::ask::condition;
use outcall_schema::api::strict;
use outcall_schema::layer::Layer;
use outcall_schema::request::Request;
use serde_json::{Map, Value, json};

use crate::Exit;
use crate::asking::Printing;
use crate::output::{Output, complain};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The condition, in CEL
    #[arg(value_name = "EXPRESSION")]
    expression: String,
    /// The request's fields by namespace, in a file of JSON, or in JSON itself: {"http": {"host": "..."}}
    #[arg(long, value_name = "FILE-OR-JSON")]
    context: String,
    /// The layer that knows the fields [default: the one that follows from them]
    #[arg(long, value_name = "LAYER", value_parser = layer)]
    layer: Option<Layer>,
}

fn layer(text: &str) -> Result<Layer, String> {
    Layer::from_name(text).ok_or_else(|| format!("write one of {}", Layer::ALL.map(Layer::name).join(", ")))
}

pub(super) fn run(args: &Args, printing: Printing, out: &mut Output) -> Exit {
    let (request, layer) = match asked(args) {
        Ok(asked) => asked,
        Err(why) => {
            complain(why);
            return Exit::Usage;
        }
    };
    let (result, error) = match condition(&args.expression, layer, &request) {
        Ok(Some(truth)) => (Value::Bool(truth), None),
        Ok(None) => (Value::Null, None),
        Err(errors) => {
            let shown = |error: &outcall_compiler::cel::CelError| {
                let help = error.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
                format!("{}: {}{help}", error.code, error.message)
            };
            (Value::Null, Some(errors.iter().map(shown).collect::<Vec<_>>().join("; ")))
        }
    };
    if printing.json {
        out.json(&json!({ "result": result, "error": error, "layer": layer }));
    } else if let Some(error) = &error {
        complain(error);
    } else {
        out.line(result.as_bool().map_or("unknown", |truth| if truth { "true" } else { "false" }));
    }
    if error.is_some() { Exit::Failed } else { Exit::Done }
}

fn asked(args: &Args) -> Result<(Request, Layer), String> {
    let text = if args.context.trim_start().starts_with('{') {
        args.context.clone().into_bytes()
    } else {
        let path = PathBuf::from(&args.context);
        std::fs::read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?
    };
    let fields: Map<String, Value> = strict::read(&text)?;
    let request = Request::from_json(&fields).map_err(|error| error.to_string())?;
    let layer = match args.layer {
        Some(layer) => layer,
        None => request.layer().map_err(|error| error.to_string())?,
    };
    request.known_at(layer).map_err(|error| error.to_string())?;
    Ok((request, layer))
}
