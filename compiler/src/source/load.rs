//! Paths to rule files.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FILE_LIMIT_BYTES, text};
use crate::diag::codes_files::CANNOT_READ;
use crate::diag::{Finding, SourceFile, SourceSpan, quoted};

/// What it means when a path does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// An error: somebody named it.
    Refused,
    /// A directory without rules, which blocks everything: it is only the default place.
    Empty,
}

/// Reads rule files: those of each directory (`.yaml` and `.yml`, not recursively), and the files named themselves. They
/// come back in evaluation order, by file name; what cannot be read becomes a finding.
///
/// A single directory's files are called by their names within it, so that artifacts do not depend on where it stands;
/// where several paths are given, files are called by their paths as given.
pub fn load(paths: &[PathBuf], missing: Missing) -> (Vec<Arc<SourceFile>>, Vec<Finding>) {
    let mut loader = Loader { files: Vec::new(), findings: Vec::new(), seen: HashSet::new(), alone: paths.len() == 1 };
    for path in paths {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => loader.directory(path),
            Ok(_) => loader.file(path),
            Err(error) if error.kind() == ErrorKind::NotFound && missing == Missing::Empty => {}
            Err(error) => loader.unreadable(path, &reason(&error)),
        }
    }
    let Loader { mut files, findings, .. } = loader;
    files.sort_by(|left, right| (base(left), &left.name).cmp(&(base(right), &right.name)));
    (files, findings)
}

/// Rule files from elsewhere, by name: as if they lay in one directory, at `place` for reports.
pub fn from_bytes(place: &str, contents: &[(String, Vec<u8>)]) -> (Vec<Arc<SourceFile>>, Vec<Finding>) {
    let (mut files, mut findings) = (Vec::new(), Vec::new());
    for (name, bytes) in contents {
        match text::decode(name, &format!("{place}/{name}"), bytes) {
            Ok(file) => files.push(file),
            Err(finding) => findings.push(*finding),
        }
    }
    files.sort_by(|left, right| left.name.cmp(&right.name));
    (files, findings)
}

/// The last component, which files are ordered by.
fn base(file: &SourceFile) -> &str {
    file.name.rsplit('/').next().unwrap_or(&file.name)
}

struct Loader {
    files: Vec<Arc<SourceFile>>,
    findings: Vec<Finding>,
    /// Files already read, so that naming a directory and a file in it reads the file once.
    seen: HashSet<PathBuf>,
    /// Whether one path was given.
    alone: bool,
}

impl Loader {
    /// Reads a directory's files, if it is the same before and after: what comes and goes meanwhile may be a block rule.
    fn directory(&mut self, directory: &Path) {
        const CHANGED: &str = "it vanished or changed while it was read";
        let Some(before) = state(directory) else { return self.unreadable(directory, CHANGED) };
        self.entries(directory);
        if Some(before) != state(directory) {
            self.unreadable(directory, CHANGED);
        }
    }

    fn entries(&mut self, directory: &Path) {
        let entries = match fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable(directory, &reason(&error)),
        };
        let mut names: Vec<_> = entries
            .iter()
            .map(fs::DirEntry::file_name)
            .filter(|name| name.as_bytes().ends_with(b".yaml") || name.as_bytes().ends_with(b".yml"))
            .collect();
        names.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
        for name in names {
            let path = directory.join(&name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_file() => self.file(&path),
                Ok(metadata) if metadata.is_dir() => self.unreadable(&path, "it is a directory"),
                // Opening a pipe would wait for a writer.
                Ok(_) => self.unreadable(&path, "it is not a regular file"),
                Err(error) => self.unreadable(&path, &reason(&error)),
            }
        }
    }

    fn file(&mut self, path: &Path) {
        let Some(shown) = path.to_str().filter(|shown| !shown.contains(char::is_control)) else {
            return self.unreadable(path, "its name is not UTF-8 or has a control character");
        };
        let canonical = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if self.seen.contains(&canonical) {
            return;
        }
        let bytes = match read(path) {
            Ok(bytes) => bytes,
            Err(error) => return self.unreadable(path, &reason(&error)),
        };
        self.seen.insert(canonical);
        let name = match path.file_name().and_then(|name| name.to_str()) {
            Some(name) if self.alone => name,
            _ => shown,
        };
        match text::decode(name, shown, &bytes) {
            Ok(file) => self.files.push(file),
            Err(finding) => self.findings.push(*finding),
        }
    }

    fn unreadable(&mut self, path: &Path, why: &str) {
        let shown = path.to_string_lossy();
        let file = SourceFile::with_path(shown.clone(), shown.clone(), "");
        let message = format!("{} cannot be read: {why}", quoted(&shown));
        let help = "nothing is compiled from a part of the rules: what is missing may be a block rule";
        self.findings.push(Finding::at(CANNOT_READ, SourceSpan { file, start: 0, end: 0 }, message).help(help));
    }
}

/// What tells whether a directory is still the same one with the same entries; `None` when it is gone, even where an open
/// handle keeps it alive.
fn state(directory: &Path) -> Option<(u64, u64, i64, i64)> {
    let metadata = fs::metadata(directory).ok().filter(|metadata| metadata.nlink() > 0)?;
    Some((metadata.dev(), metadata.ino(), metadata.mtime(), metadata.mtime_nsec()))
}

/// The file's bytes, or one more than the limit of them.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(FILE_LIMIT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An I/O error in words, the same on every machine.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "it does not exist".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::IsADirectory => "it is a directory".to_owned(),
        ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        _ => {
            let words = error.to_string();
            let words = words.split(" (os error").next().unwrap_or(&words);
            words.chars().take(1).flat_map(char::to_lowercase).chain(words.chars().skip(1)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("outcall-load-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn a_directory_loads_its_yaml_files_by_name_and_nothing_else() {
        let directory = fresh("order");
        for name in ["b.yml", "a.yaml", "10.yaml", "9.yaml", "c.txt", "d.yaml~", "README"] {
            fs::write(directory.join(name), "version: 1\n").unwrap();
        }
        fs::create_dir(directory.join("nested")).unwrap();
        let (files, findings) = load(std::slice::from_ref(&directory), Missing::Refused);
        assert!(findings.is_empty(), "{findings:?}");
        assert_eq!(
            files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(),
            ["10.yaml", "9.yaml", "a.yaml", "b.yml"]
        );
        // Named once more, a file is still read once.
        let (files, _) = load(&[directory.clone(), directory.join("a.yaml")], Missing::Refused);
        assert_eq!(files.len(), 4);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_an_error_with_its_path() {
        let directory = fresh("unreadable");
        fs::create_dir(directory.join("dir.yaml")).unwrap();
        std::os::unix::fs::symlink("gone", directory.join("dangling.yaml")).unwrap();
        std::os::unix::fs::symlink("loop.yaml", directory.join("loop.yaml")).unwrap();
        fs::write(directory.join("fine.yaml"), "version: 1\n").unwrap();
        let (files, findings) = load(std::slice::from_ref(&directory), Missing::Refused);
        assert_eq!(files.len(), 1);
        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].ends_with("dangling.yaml` cannot be read: it does not exist"), "{messages:?}");
        assert!(messages[1].ends_with("dir.yaml` cannot be read: it is a directory"), "{messages:?}");
        assert!(messages[2].ends_with("loop.yaml` cannot be read: too many levels of symbolic links"), "{messages:?}");
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_missing_path_is_an_error_unless_it_is_the_default_place() {
        let gone = fresh("gone");
        fs::remove_dir_all(&gone).unwrap();
        let (files, findings) = load(std::slice::from_ref(&gone), Missing::Refused);
        assert!(files.is_empty());
        assert_eq!(findings.first().map(|finding| finding.code), Some(CANNOT_READ));
        assert_eq!(load(&[gone], Missing::Empty), (Vec::new(), Vec::new()));
    }
}
