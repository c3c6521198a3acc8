//! The memory and the files of other processes.

use std::io;

use crate::inside::{Inside, local};
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "supervisor-memory",
    family: Family::Control,
    name: "The memory and the files of other processes",
    tries: "Opens the memory, the descriptors and the root of every process that it sees but its own.",
    danger: "The keys are in the memory of the process that enforces, and a descriptor of its is a way out.",
    places: Places::Sandbox,
    steps: &[Step::Do("opens `/proc/*/mem`, `/proc/*/fd` and `/proc/*/root`", look)],
    expect: NOTHING,
    on_host: None,
};

fn look(inside: &Inside) -> io::Result<()> {
    let own = std::process::id().to_string();
    for process in local::processes()?.into_iter().filter(|process| !process.ends_with(&own)) {
        for (file, what) in [("mem", "the memory"), ("fd", "the descriptors"), ("root", "the root")] {
            let path = process.join(file);
            let opened = match file {
                "mem" => std::fs::File::open(&path).is_ok(),
                // That there are descriptors may be seen, but not of what.
                "fd" => std::fs::read_dir(&path)
                    .is_ok_and(|mut opened| opened.any(|it| it.is_ok_and(|it| it.path().read_link().is_ok()))),
                _ => std::fs::read_dir(&path).is_ok(),
            };
            if opened {
                inside.got(format!("{what} of {}", process.display()));
            }
        }
    }
    Ok(())
}
