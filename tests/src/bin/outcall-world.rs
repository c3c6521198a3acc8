//! The world of the end-to-end suites as a program: `helper` lives as one of the processes behind [`World`], `demo` shows an agent in
//! it.

use std::process::ExitCode;

use outcall_tests::fixtures::{World, modern};
use outcall_verify::helper::{self, Helper};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["helper", arguments @ ..] => match help(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("outcall-world: {why}");
                ExitCode::FAILURE
            }
        },
        ["exec", program, arguments @ ..] => exec(program, arguments),
        ["demo"] => exec("tests/demo", &[]),
        _ => {
            eprintln!("usage: outcall-world demo | exec PROGRAM [ARGUMENTS]");
            ExitCode::from(2)
        }
    }
}

fn help(arguments: &[&str]) -> Result<(), String> {
    let words: Vec<std::ffi::OsString> = arguments.iter().map(Into::into).collect();
    helper::main(&Helper::own(&["helper"])?, &words, modern::serve)
}

/// Runs a program on the client host, in the directory and with the terminal of the caller.
fn exec(program: &str, arguments: &[&str]) -> ExitCode {
    let world = World::new();
    let program = std::fs::canonicalize(program).unwrap_or_else(|_| program.into());
    let mut command = world.command(program, 600);
    command.args(arguments).stdin(std::process::Stdio::inherit());
    if let Ok(here) = std::env::current_dir() {
        command.current_dir(here);
    }
    match command.env("OUTCALL_WORLD", world.dir()).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)),
        Err(error) => {
            eprintln!("outcall-world: {error}");
            ExitCode::FAILURE
        }
    }
}
