//! The authority's private key.

use std::io;

use crate::inside::{Inside, local};
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "authority-key",
    family: Family::Control,
    name: "The authority's private key",
    tries: "Reads the file that this run has the authority's key from.",
    danger: "Who has it can be every site there is, for everybody who trusts the authority.",
    places: Places::Apart,
    steps: &[Step::Do("reads the file, and all beside it", look)],
    expect: NOTHING,
    on_host: None,
};

fn look(inside: &Inside) -> io::Result<()> {
    let key = &inside.around()?.key;
    let beside = key.parent().map(local::files).unwrap_or_default();
    for path in beside.iter().chain([key]) {
        let text = std::fs::read(path).unwrap_or_default();
        if String::from_utf8_lossy(&text).contains("PRIVATE KEY") {
            inside.got(format!("the key in {}", path.display()));
        }
    }
    Ok(())
}
