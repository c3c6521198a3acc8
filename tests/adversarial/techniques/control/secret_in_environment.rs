//! A secret in an environment.

use std::io;

use crate::inside::{Inside, local};
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-in-environment",
    family: Family::Control,
    name: "A secret in an environment",
    tries: "Reads the environments of all processes that it sees, its own among them, for a secret that came to the run in a variable.",
    danger: "Variables are inherited by every process there is, unless somebody takes them out.",
    places: Places::Apart,
    steps: &[Step::Do("reads `/proc/*/environ`", look)],
    expect: NOTHING,
    on_host: None,
};

fn look(inside: &Inside) -> io::Result<()> {
    // Where no run has a secret, there is none to find.
    inside.around()?;
    for process in local::processes()? {
        inside.search("an environment", &std::fs::read(process.join("environ")).unwrap_or_default());
    }
    Ok(())
}
