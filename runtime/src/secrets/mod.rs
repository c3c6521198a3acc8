//! The secrets that enrich rules inject: where they come from, and how they are kept.
//!
//! A secret is read when it is used, so that one that was changed is the new one from the next request on. It is in the
//! memory of this process alone, which leaves no core dump, and is cleared when nobody needs it any more; it has no form
//! that could be logged.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use outcall_schema::artifact::manifest::is_name;
use zeroize::Zeroizing;

use crate::redact::{ENCODED_MIN_BYTES, Needles};
use crate::sys::privilege;

mod command;
mod file;

use command::Program;

/// The longest secret: what servers commonly accept for one header.
pub const MAX_BYTES: usize = 8 << 10;
/// The shortest: what is shorter stands in ordinary responses by chance, where it would be taken for an echo.
pub const MIN_BYTES: usize = ENCODED_MIN_BYTES;

/// Why there is no such secret, as far as a log may say it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// An option that cannot be read.
    #[error("`{option}`: {why}")]
    Option {
        /// The option's value up to the `=`, as what follows could be a secret that was meant for a file.
        option: String,
        /// What to write.
        why: &'static str,
    },
    /// The directory of secrets cannot be used.
    #[error("cannot use {} for secrets: {error}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Neither an option nor a file has this name.
    #[error("there is no secret `{name}`: give it with `--secrets` or `--secret`")]
    Unknown {
        /// The name.
        name: String,
    },
    /// It is there and cannot be used.
    #[error("the secret `{name}` cannot be used: {why}")]
    Unusable {
        /// The name.
        name: String,
        /// Why; never a part of it.
        why: String,
    },
    /// This process's memory could not be kept from others.
    #[error("cannot keep secrets in confidence: {0}")]
    Hide(io::Error),
}

/// A secret: printable ASCII without blanks around it, of [`MIN_BYTES`] to [`MAX_BYTES`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// What a file or a program gave, without the one line break at its end.
    ///
    /// # Errors
    /// Why it is none; the text says nothing of it.
    pub fn of(text: &Zeroizing<Vec<u8>>) -> Result<Secret, String> {
        let bytes = text.strip_suffix(b"\n").unwrap_or(text);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
            return Err(format!("it has {} bytes, and must have {MIN_BYTES} to {MAX_BYTES}", bytes.len()));
        }
        let blank = |byte: Option<&u8>| byte == Some(&b' ');
        if !bytes.iter().all(|byte| matches!(byte, b' '..=b'~')) || blank(bytes.first()) || blank(bytes.last()) {
            return Err("it is not one line of printable ASCII without blanks around it, as a header's value is".into());
        }
        Ok(Secret(Arc::new(Zeroizing::new(bytes.to_vec()))))
    }

    /// The secret itself, to be sent.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Where a secret that is named by an option comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This variable of the environment.
    Environment(OsString),
    /// What this command, for the shell, writes to its standard output.
    Command(OsString),
}

/// What the options say of secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// A directory with one file a secret.
    pub directory: Option<PathBuf>,
    /// Secrets by name, which come before files.
    pub named: Vec<(String, Source)>,
}

impl Sources {
    /// What `--secrets` and `--secret` say: `NAME=env:VARIABLE` or `NAME=command:COMMAND`.
    ///
    /// # Errors
    /// [`SecretError::Option`].
    pub fn read(directory: Option<PathBuf>, named: &[OsString]) -> Result<Sources, SecretError> {
        const FORM: &str = "write `NAME=env:VARIABLE` or `NAME=command:COMMAND`";
        let mut sources = Sources { directory, named: Vec::new() };
        for option in named {
            let mut parts = option.as_bytes().splitn(2, |byte| *byte == b'=');
            let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            let failed = |why| SecretError::Option { option: name.escape_default().to_string(), why };
            // What has no name at all could be a secret.
            let nameless = || SecretError::Option { option: "--secret".to_owned(), why: FORM };
            let source = parts.next().ok_or_else(nameless)?;
            let rest = |kind: &str| source.strip_prefix(kind.as_bytes()).filter(|rest| !rest.is_empty());
            let source = match (rest("env:"), rest("command:")) {
                (Some(variable), _) => Source::Environment(OsStr::from_bytes(variable).to_owned()),
                (None, Some(command)) => Source::Command(OsStr::from_bytes(command).to_owned()),
                (None, None) => return Err(failed(FORM)),
            };
            if !is_name(&name) {
                return Err(failed("the name of a secret has letters, digits, `.`, `_` and `-`"));
            }
            if sources.named.iter().any(|(known, _)| *known == name) {
                return Err(failed("this secret is given twice"));
            }
            sources.named.push((name, source));
        }
        Ok(sources)
    }

    /// The variables that hold secrets, which no command may inherit.
    pub fn variables(&self) -> impl Iterator<Item = &OsStr> {
        self.named.iter().filter_map(|(_, source)| match source {
            Source::Environment(variable) => Some(variable.as_os_str()),
            Source::Command(_) => None,
        })
    }

    /// The directory and the files outside of it that lead to secrets, links followed: what the command must not see.
    pub fn places(&self) -> Vec<PathBuf> {
        let Some(directory) = self.directory.as_ref().and_then(|path| path.canonicalize().ok()) else {
            return Vec::new();
        };
        let entries = std::fs::read_dir(&directory).into_iter().flatten().flatten();
        let targets = entries.filter_map(|entry| entry.path().canonicalize().ok());
        let mut places: Vec<PathBuf> = targets.filter(|target| !target.starts_with(&directory)).collect();
        places.push(directory);
        places.sort();
        places.dedup();
        places
    }
}

/// The secrets at hand.
#[derive(Debug, Clone, Default)]
pub struct Secrets(Arc<Store>);

#[derive(Debug, Default)]
struct Store {
    directory: Option<PathBuf>,
    named: BTreeMap<String, Kept>,
    /// Of the last requests, as the next ones usually get the same.
    needles: Mutex<VecDeque<Looked>>,
}

/// What was looked for, and the automaton that does.
struct Looked {
    texts: Vec<Zeroizing<Vec<u8>>>,
    needles: Arc<Needles>,
}

impl std::fmt::Debug for Looked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looked(..)")
    }
}

/// How many automata are kept. One for a secret of 50 bytes takes some 30 KiB.
const LOOKED_MAX: usize = 16;

#[derive(Debug)]
enum Kept {
    Fixed(Secret),
    /// Why it cannot be used.
    Broken(String),
    Program(Program),
}

impl Secrets {
    /// Opens the sources. Values of the environment are taken now; `environment` gives them.
    ///
    /// # Errors
    /// [`SecretError::Directory`] where it is none, or others than its owner may write to it; [`SecretError::Hide`].
    pub fn open(sources: &Sources, environment: impl Fn(&OsStr) -> Option<OsString>) -> Result<Secrets, SecretError> {
        privilege::keep_confidence().map_err(SecretError::Hide)?;
        let directory = sources.directory.as_deref().map(directory).transpose()?;
        let kept = |source: &Source| match source {
            Source::Environment(variable) => match environment(variable) {
                None => Kept::Broken(format!("the variable {} is not set", variable.to_string_lossy())),
                Some(value) => match Secret::of(&Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value))) {
                    Ok(secret) => Kept::Fixed(secret),
                    Err(why) => Kept::Broken(why),
                },
            },
            Source::Command(command) => Kept::Program(Program::new(command.clone())),
        };
        let named = sources.named.iter().map(|(name, source)| (name.clone(), kept(source))).collect();
        Ok(Secrets(Arc::new(Store { directory, named, ..Store::default() })))
    }

    /// The secret with this name, as it is now.
    ///
    /// # Errors
    /// [`SecretError::Unknown`] and [`SecretError::Unusable`].
    pub async fn get(&self, name: &str) -> Result<Secret, SecretError> {
        let unusable = |why| SecretError::Unusable { name: name.to_owned(), why };
        match (self.0.named.get(name), &self.0.directory) {
            (Some(Kept::Fixed(secret)), _) => Ok(secret.clone()),
            (Some(Kept::Broken(why)), _) => Err(unusable(why.clone())),
            (Some(Kept::Program(program)), _) => program.secret().await.map_err(unusable),
            // A name that is none could lead out of the directory.
            (None, Some(directory)) if is_name(name) => {
                let path = directory.join(name);
                let read = tokio::task::spawn_blocking(move || file::read(&path)).await;
                match read.unwrap_or_else(|_| Err(file::FileError::Unusable("it could not be read".into()))) {
                    Ok(secret) => Ok(secret),
                    Err(file::FileError::Missing) => Err(SecretError::Unknown { name: name.to_owned() }),
                    Err(file::FileError::Unusable(why)) => Err(unusable(why)),
                }
            }
            (None, _) => Err(SecretError::Unknown { name: name.to_owned() }),
        }
    }

    /// What finds these texts in responses.
    pub(crate) fn needles(&self, texts: Vec<Zeroizing<Vec<u8>>>) -> Arc<Needles> {
        let looked = || self.0.needles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = looked().iter().find(|known| known.texts == texts) {
            return Arc::clone(&known.needles);
        }
        let needles = Arc::new(Needles::of(texts.iter().map(|text| text.as_slice())));
        let mut looked = looked();
        looked.truncate(LOOKED_MAX - 1);
        looked.push_front(Looked { texts, needles: Arc::clone(&needles) });
        needles
    }

    /// Whether there is a source for this name; what it gives shows when it is used.
    pub fn has(&self, name: &str) -> bool {
        let file = |directory: &PathBuf| is_name(name) && directory.join(name).exists();
        self.0.named.contains_key(name) || self.0.directory.as_ref().is_some_and(file)
    }
}

/// A directory of secrets, in which nobody but its owner or root puts files.
fn directory(path: &Path) -> Result<PathBuf, SecretError> {
    use std::os::unix::fs::MetadataExt;
    const OTHERS_WRITE: u32 = 0o022;
    let failed = |error| SecretError::Directory { path: path.to_owned(), error };
    let real = path.canonicalize().map_err(failed)?;
    let found = real.metadata().map_err(failed)?;
    if !found.is_dir() {
        return Err(failed(io::Error::other("it is no directory")));
    }
    let owner = found.uid();
    if found.mode() & OTHERS_WRITE != 0 || owner != 0 && owner != rustix::process::geteuid().as_raw() {
        let why = "others can put files there: it must be yours or root's, and writable for its owner alone";
        return Err(failed(io::Error::other(why)));
    }
    Ok(real)
}

#[cfg(test)]
mod tests;
