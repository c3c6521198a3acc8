//! What questions are asked about: a directory of artifacts, or rules that are compiled for it.

use std::path::PathBuf;

use outcall_compiler::ask::Compiled;
use outcall_compiler::diag::render;
use outcall_compiler::preset;
use outcall_schema::artifact::manifest::file;

use crate::Exit;
use crate::compile::compile;
use crate::output::{Output, complain};

/// Opens the artifacts in a directory, or compiles rules, or a preset alone (`preset:NAME`). What is wrong is reported.
pub(crate) fn open(paths: &[PathBuf], out: &Output) -> Result<Compiled, Exit> {
    if let [dir] = paths
        && dir.join(file::MANIFEST).is_file()
    {
        return Compiled::open(dir).map_err(|error| {
            complain(error);
            Exit::Usage
        });
    }
    // By this name findings and reports know it; a file of the same name comes first.
    let preset = match paths {
        [path] if !path.exists() => path.to_str().and_then(|path| path.strip_prefix(preset::PREFIX)),
        _ => None,
    };
    let compilation = match preset {
        Some(name) => crate::presets::find(name)?.compile(),
        None => compile(paths),
    };
    let Some(artifacts) = &compilation.artifacts else {
        crate::output::warn(render::human(&compilation.findings, out.colour()));
        return Err(if compilation.unreadable() { Exit::Usage } else { Exit::Failed });
    };
    Compiled::of(artifacts).map_err(|error| {
        complain(error);
        Exit::Failed
    })
}
