//! The rule files that are open, and the directories they stand in.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use outcall_compiler::diag::{Finding, SourceFile};
use outcall_compiler::resolve::PresetTests;
use outcall_compiler::{Missing, compile_files, source};

/// Documents that may be open at once. Editors have dozens.
const OPEN_LIMIT: usize = 1024;

/// A directory's files, with what is open in their place, and what was found in them.
#[derive(Debug, Default)]
pub(super) struct Policy {
    pub(super) files: Vec<Arc<SourceFile>>,
    pub(super) findings: Vec<Finding>,
    /// The ids of its rules.
    pub(super) rules: Vec<String>,
}

/// What is open.
#[derive(Debug, Default)]
pub(super) struct Workspace {
    /// The texts of open documents, by URI.
    open: HashMap<String, String>,
    /// Policies by the directory or document that they are of, as they were compiled last.
    policies: BTreeMap<PathBuf, Policy>,
    /// Those of them that a document has changed since.
    stale: BTreeSet<PathBuf>,
    /// Policies whose findings have not been told.
    changed: BTreeSet<PathBuf>,
    /// URIs that had findings when they were told last, by policy.
    pub(super) told: HashMap<PathBuf, BTreeSet<String>>,
}

impl Workspace {
    /// Opens a document, or replaces its text. What exceeds the limit is not opened.
    pub(super) fn put(&mut self, uri: &str, text: String) -> Result<(), String> {
        if text.len() > super::message::LONGEST_BYTES {
            return Err("the document is too long".to_owned());
        }
        if !self.open.contains_key(uri) && self.open.len() >= OPEN_LIMIT {
            return Err(format!("more than {OPEN_LIMIT} documents are open"));
        }
        self.open.insert(uri.to_owned(), text);
        self.touch(uri);
        Ok(())
    }

    pub(super) fn close(&mut self, uri: &str) {
        self.open.remove(uri);
        self.touch(uri);
    }

    pub(super) fn text(&self, uri: &str) -> Option<&String> {
        self.open.get(uri)
    }

    fn touch(&mut self, uri: &str) {
        let home = home(uri);
        self.stale.insert(home.clone());
        self.changed.insert(home);
    }

    /// Something on disk has changed.
    pub(super) fn touch_all(&mut self) {
        self.stale.extend(self.policies.keys().cloned());
        self.changed.extend(self.policies.keys().cloned());
    }

    /// One of the policies whose findings have changed since they were told.
    pub(super) fn next_changed(&mut self) -> Option<PathBuf> {
        self.changed.pop_first()
    }

    /// Forgets a policy of which nothing is open any more, after that has been told.
    pub(super) fn forget_unused(&mut self, home: &Path) {
        if !self.open.keys().any(|uri| self::home(uri) == home) {
            self.policies.remove(home);
            self.stale.remove(home);
            self.told.remove(home);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.changed.is_empty()
    }

    /// The policy that a document belongs to.
    pub(super) fn policy_of(&mut self, uri: &str) -> &Policy {
        self.policy(&home(uri))
    }

    /// The ids of a policy's rules as they were when it was last compiled: while somebody types, that is good enough and
    /// does not wait.
    pub(super) fn rules_of(&mut self, uri: &str) -> &[String] {
        let home = home(uri);
        if !self.policies.contains_key(&home) {
            self.policy(&home);
        }
        self.policies.get(&home).map(|policy| policy.rules.as_slice()).unwrap_or_default()
    }

    /// The policy of a directory: its files with the open documents in their place.
    pub(super) fn policy(&mut self, home: &Path) -> &Policy {
        if self.stale.remove(home) || !self.policies.contains_key(home) {
            let policy = self.compile(home);
            self.policies.insert(home.to_owned(), policy);
        }
        self.policies.entry(home.to_owned()).or_default()
    }

    fn compile(&self, home: &Path) -> Policy {
        let own: Vec<(&String, &String)> = self.open.iter().filter(|(uri, _)| self::home(uri) == home).collect();
        if own.is_empty() {
            // Nobody looks at it any more.
            return Policy::default();
        }
        let (mut files, mut findings) =
            if home.is_dir() { source::load(&[home.to_owned()], Missing::Empty) } else { (Vec::new(), Vec::new()) };
        for (uri, text) in own {
            let path = path(uri).unwrap_or_else(|| PathBuf::from(uri));
            let shown = path.to_string_lossy();
            let name = path.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy());
            files.retain(|file| file.path != shown);
            findings.retain(|finding| finding.span.as_ref().is_none_or(|span| span.file.path != shown));
            match source::decode(&name, &shown, text.as_bytes()) {
                Ok(file) => files.push(file),
                Err(finding) => findings.push(*finding),
            }
        }
        files.sort_by(|left, right| (&left.name, &left.path).cmp(&(&right.name, &right.path)));
        let compilation = compile_files(&files, findings, PresetTests::Left);
        let rules = compilation.policy.rules.into_iter().map(|rule| rule.id).collect();
        Policy { files, findings: compilation.findings, rules }
    }
}

/// What a document is compiled with: the directory it stands in, or itself where it is in none.
pub(super) fn home(uri: &str) -> PathBuf {
    match path(uri) {
        Some(path) => path.parent().map_or_else(|| path.clone(), Path::to_owned),
        None => PathBuf::from(uri),
    }
}

/// The path of a `file:` URI.
pub(super) fn path(uri: &str) -> Option<PathBuf> {
    let encoded = uri.strip_prefix("file://")?;
    let encoded = encoded.get(encoded.find('/')?..)?;
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
        bytes.push(high * 16 + low);
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0')).map(PathBuf::from)
}

/// The URI of a file: the one under which it is open, if it is.
pub(super) fn uri(file: &SourceFile, workspace: &Workspace) -> String {
    let path = Path::new(&file.path);
    let open = workspace.open.keys().find(|uri| self::path(uri).as_deref() == Some(path) || **uri == file.path);
    if let Some(uri) = open {
        return uri.clone();
    }
    let mut uri = String::from("file://");
    for byte in file.path.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_uris_lead_to_each_other() {
        let file = SourceFile::new("/rules d/é.yaml", "");
        let uri = uri(&file, &Workspace::default());
        assert_eq!(uri, "file:///rules%20d/%C3%A9.yaml");
        assert_eq!(path(&uri), Some(PathBuf::from("/rules d/é.yaml")));
        for wrong in ["untitled:1", "file://", "file:///%", "file:///%zz", "file:///%00", "file:///%ff", ""] {
            assert_eq!(path(wrong), None, "{wrong}");
        }
    }
}
