//! How commands end that ask a running `outcalld`, and how they print what it says.

use serde::Serialize;
use serde_json::json;

use crate::Exit;
use crate::daemon::{NoAnswer, printable};
use crate::output::{Output, complain};

/// How a command prints.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Printing {
    /// Print one JSON document
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// Prints an answer as JSON, or as `human` prints it; what there is no answer to is said.
pub(crate) fn print<T: Serialize>(
    answer: Result<T, NoAnswer>,
    printing: Printing,
    out: &mut Output,
    human: impl FnOnce(T, &mut Output),
) -> Exit {
    match answer {
        Ok(data) if printing.json => out.json(&json!(data)),
        Ok(data) => human(data, out),
        Err(why) => {
            complain(&why);
            return why.exit();
        }
    }
    Exit::Done
}

/// A line of a label and what it is.
pub(crate) fn row(out: &mut Output, label: &str, value: impl std::fmt::Display) {
    out.line(format_args!("{label:16}{}", printable(&value.to_string())));
}

/// Rows in columns as wide as what stands in them, the last one as it is.
pub(crate) fn table<const COLUMNS: usize>(heads: [&str; COLUMNS], rows: &[[String; COLUMNS]], out: &mut Output) {
    let rows: Vec<[String; COLUMNS]> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let mut widths = heads.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut line = |cells: Vec<&str>| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:width$}  "));
        }
        out.line(text.trim_end());
    };
    line(heads.to_vec());
    for row in &rows {
        line(row.iter().map(String::as_str).collect());
    }
}
