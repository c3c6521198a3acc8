//! Standard output, where a reader that goes away is no error.

use std::fmt::Display;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Stdout, Write};

use clap::ValueEnum;
use outcall_compiler::diag::render::Colour;

use crate::Exit;

/// How a command prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON document.
    Json,
}

/// Standard output. Nothing more is written once the reader has gone away (`outcall ... | head`), quietly.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    failed: Option<io::Error>,
}

impl Output {
    pub(crate) fn new() -> Output {
        Output { stdout: BufWriter::new(io::stdout()), failed: None }
    }

    /// Whether escape sequences for colours belong in the output.
    pub(crate) fn colour(&self) -> Colour {
        colour_for(&io::stdout())
    }

    /// Whether they belong in what is said on standard error.
    pub(crate) fn colour_of_errors(&self) -> Colour {
        colour_for(&io::stderr())
    }

    pub(crate) fn text(&mut self, text: impl Display) {
        if self.failed.is_none() {
            self.failed = write!(self.stdout, "{text}").err();
        }
    }

    pub(crate) fn line(&mut self, text: impl Display) {
        self.text(format_args!("{text}\n"));
    }

    pub(crate) fn json(&mut self, value: &serde_json::Value) {
        self.line(format_args!("{value:#}"));
    }

    /// Has what was printed so far seen; whether somebody reads it.
    pub(crate) fn flush(&mut self) -> bool {
        if self.failed.is_none() {
            self.failed = self.stdout.flush().err();
        }
        self.failed.is_none()
    }

    /// Flushes; the exit is `exit` unless the output could not be written.
    pub(crate) fn finish(mut self, exit: Exit) -> Exit {
        if self.failed.is_none() {
            self.failed = self.stdout.flush().err();
        }
        // What is buffered must not be tried again on drop.
        let (_, _) = self.stdout.into_parts();
        match self.failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                complain(format_args!("cannot write to standard output: {error}"));
                Exit::Usage
            }
            _ => exit,
        }
    }
}

fn colour_for(stream: &impl IsTerminal) -> Colour {
    let set = |name| std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if stream.is_terminal() && !set("NO_COLOR") && !dumb { Colour::Always } else { Colour::Never }
}

/// Text to standard error.
pub(crate) fn warn(text: impl Display) {
    let _ = write!(io::stderr(), "{text}");
}

/// A line to standard error, which may be gone as well.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "outcall: {message}");
}

/// Text in lines of at most 80 characters.
pub(crate) fn wrapped(text: &str) -> String {
    const WIDTH: usize = 80;
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > WIDTH {
            out.push('\n');
            column = 0;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += width;
    }
    out
}
