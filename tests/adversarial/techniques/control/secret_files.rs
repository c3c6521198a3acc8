//! Files with secrets.

use std::io;

use crate::inside::{Inside, local};
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "secret-files",
    family: Family::Control,
    name: "Files with secrets",
    tries: "Looks through the directory that this run has its secrets from, and through every place where Outcall keeps things.",
    danger: "A secret that can be read needs no rule to leave.",
    places: Places::Apart,
    steps: &[Step::Do("reads all files in these directories", look)],
    expect: NOTHING,
    on_host: None,
};

fn look(inside: &Inside) -> io::Result<()> {
    let around = inside.around()?;
    let work = around.secrets.parent().unwrap_or(&around.secrets);
    for place in [work, &around.secrets, "/etc/outcall".as_ref(), "/var/lib/outcall".as_ref(), "/run".as_ref()] {
        for path in local::files(place) {
            inside.search(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default());
        }
    }
    Ok(())
}
