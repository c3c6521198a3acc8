//! Rule files that are changed in place: the old or the new text is there, never a part of one.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outcall_compiler::diag::{Finding, SourceFile};
use outcall_compiler::{Missing, source};
use similar::TextDiff;

use crate::compile::DEFAULT_PATH;

/// The rule files that the command line names, and what could not be read.
pub(crate) fn load(paths: &[PathBuf]) -> (Vec<Arc<SourceFile>>, Vec<Finding>) {
    if paths.is_empty() {
        source::load(&[DEFAULT_PATH.into()], Missing::Empty)
    } else {
        source::load(paths, Missing::Refused)
    }
}

/// Puts `text` in the place of what was read as `file`, through a file beside it that has its permissions. A link stays a
/// link: what it leads to is replaced.
///
/// # Errors
/// Anything that goes wrong, and a file that has changed since it was read; what was there is still there then.
pub(crate) fn replace(file: &SourceFile, text: &str) -> std::io::Result<()> {
    let path = fs::canonicalize(&file.path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut temporary = tempfile::Builder::new().prefix(".outcall-").tempfile_in(directory)?;
    temporary.write_all(text.as_bytes())?;
    let metadata = fs::metadata(&path)?;
    temporary.as_file().set_permissions(metadata.permissions())?;
    temporary.as_file().sync_all()?;
    let now = fs::read(&path)?;
    if now.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&now) != file.text.as_bytes() {
        return Err(std::io::Error::other("it changed while it was worked on; try again"));
    }
    temporary.persist(&path).map_err(|error| error.error)?;
    Ok(())
}

/// What changes, as a unified diff.
pub(crate) fn diff(file: &SourceFile, text: &str) -> String {
    let (before, after) = (format!("a/{}", file.path), format!("b/{}", file.path));
    TextDiff::from_lines(file.text.as_str(), text).unified_diff().header(&before, &after).to_string()
}
