//! A walk through everything that can be read.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::around::Around;
use crate::inside::local;
use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "files-everywhere",
    family: Family::Control,
    name: "A walk through everything that can be read",
    tries: "Looks for the authority's key and for secrets in small files everywhere: in the places where programs leave copies, and in the root, the directory and the open files of every process in sight.",
    danger: "That a file is covered at one path helps little where there is a copy, a link or another view of the same directory.",
    places: Places::Apart,
    steps: &[Step::Do(
        "walks through `/`, `/proc/*/root`, `/proc/*/cwd` and `/proc/*/fd`, what is nearest first",
        walk,
    )],
    expect: NOTHING,
    on_host: None,
};

/// How long the walk may take, and how long in one place: on a large disk it does not get to the end, and the likely places come
/// first.
const PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_millis(500)];
/// A key has some hundred bytes, a secret fewer.
const LARGE: u64 = 16 << 10;

fn walk(inside: &Inside) -> io::Result<()> {
    let around = inside.around()?;
    let until = Instant::now() + PATIENCE[0];
    let mut places: Vec<PathBuf> = ["/tmp", "/var/tmp", "/dev/shm", "/run", "/etc", "."].map(PathBuf::from).into();
    places.extend(std::env::var_os("HOME").map(PathBuf::from));
    for process in local::processes()? {
        places.extend(["root/tmp", "root/run", "root", "cwd"].map(|name| process.join(name)));
        let opened = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        for entry in opened {
            look(inside, around, &entry.path());
        }
    }
    places.push(PathBuf::from("/"));
    for place in places {
        local::visit(&place, until.min(Instant::now() + PATIENCE[1]), &mut |path| look(inside, around, path));
    }
    Ok(())
}

fn look(inside: &Inside, around: &Around, path: &Path) {
    // Opening a pipe or a device may wait, or do something.
    if std::fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= LARGE)
        && let Ok(text) = std::fs::read(path)
        && around.is_kept(&text)
    {
        inside.got(format!("a key or a secret in {}", path.display()));
    }
}
