//! `outcall why`: what becomes of a request, layer by layer, and by which rule.

use std::net::IpAddr;
use std::path::PathBuf;

use outcall_compiler::ask::{Decision, Question, why};
use outcall_schema::layer::Layer;
use serde_json::Value;

use crate::output::{Output, complain};
use crate::{Exit, asked};

/// Explain what becomes of a request: at which layer, by which rule, and which rules nearly applied
///
/// Exits with 0 when it is allowed, with 1 when it is refused, and with 2 when it could not be asked.
#[derive(Debug, clap::Args)]
#[command(after_help = "Questions:
  GET https://api.example.com/v1/models   a request
  dns api.example.com [AAAA]              a name
  connect api.example.com:443             a TLS connection
  tcp 203.0.113.7:22, udp ..., icmp IP    raw traffic")]
pub(crate) struct Args {
    /// A directory of artifacts or rule files, or `preset:NAME`, then the question [default: rules.d]
    #[arg(value_name = "DIR-OR-PATHS QUESTION", required_unless_present = "request")]
    words: Vec<String>,
    /// The agent that asks
    #[arg(long, default_value = "", value_name = "NAME")]
    agent: String,
    /// The address that the name resolves to
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// A request in a file instead: {"layer": "http", "http": {"host": "..."}}
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> Exit {
    let split = if args.request.is_some() { args.words.len() } else { question_start(&args.words) };
    let (paths, words) = args.words.split_at(split);
    let question = match &args.request {
        Some(file) => read_request(file),
        None => Question::parse(words),
    };
    let question = match question {
        Ok(question) => question,
        Err(why) => {
            complain(why);
            return Exit::Usage;
        }
    };
    let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    let compiled = match asked::open(&paths, out) {
        Ok(compiled) => compiled,
        Err(exit) => return exit,
    };
    match why(&compiled, &question, &args.agent, args.ip) {
        Err(why) => {
            complain(why);
            Exit::Usage
        }
        Ok(explanation) => {
            if args.json {
                out.json(&serde_json::to_value(&explanation).unwrap_or(Value::Null));
            } else {
                out.text(explanation.human());
            }
            if explanation.verdict == Decision::Block { Exit::Failed } else { Exit::Done }
        }
    }
}

/// Where the question begins: at a word that names one, or a method with a URL behind it.
fn question_start(words: &[String]) -> usize {
    let is_url = |word: &String| word.starts_with("http://") || word.starts_with("https://");
    let named = ["dns", "connect", "tcp", "udp", "sctp", "icmp"];
    (0..words.len())
        .find(|at| {
            let word = words.get(*at).map_or("", String::as_str);
            words.get(at + 1).is_some_and(is_url)
                || (named.contains(&word) && words.len() - at <= 3 && words.len() - at >= 2)
        })
        .unwrap_or(words.len())
}

fn read_request(file: &PathBuf) -> Result<Question, String> {
    let shown = file.display();
    let text = std::fs::read(file).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let value: Value = serde_json::from_slice(&text).map_err(|error| format!("{shown}: {error}"))?;
    let Value::Object(mut fields) = value else { return Err(format!("{shown}: not a JSON object")) };
    let layer = match fields.remove("layer") {
        Some(Value::String(name)) => {
            Layer::from_name(&name).ok_or_else(|| format!("{shown}: `{name}` is not a layer"))?
        }
        Some(_) => return Err(format!("{shown}: `layer` is not a string")),
        None if fields.contains_key("dns") => Layer::Dns,
        None if fields.contains_key("docker") => Layer::Docker,
        None if fields.contains_key("run") => Layer::Run,
        None => return Err(format!("{shown}: `layer` is missing: one of {}", Layer::ALL.map(Layer::name).join(", "))),
    };
    Ok(Question::Fields { layer, fields })
}
