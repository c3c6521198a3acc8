//! Says something to whoever reads standard error: an operator's journal, or a file of theirs.
//!
//! Invariant: saying it cannot fail. `eprintln!` panics where standard error cannot be written, such as a file on a disk that
//! is full, and takes with it whoever had something to say.

use std::fmt;
use std::io::{self, Write};

/// Writes one line, if anybody reads it.
pub fn line(line: fmt::Arguments<'_>) {
    // In one call, so that nothing of another thread's comes between.
    let _ = io::stderr().write_all(format!("outcalld: {line}\n").as_bytes());
}

/// Says one line in the name of `outcalld`; takes what `format!` takes.
#[macro_export]
macro_rules! say {
    ($($line:tt)*) => {
        $crate::say::line(::std::format_args!($($line)*))
    };
}
