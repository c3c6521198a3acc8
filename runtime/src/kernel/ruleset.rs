//! Loading a ruleset with `nft`, whole or not at all.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where `nft` is looked for before `PATH`, which for ordinary users often lacks the directories of system programs.
const PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// Why a ruleset is not in force.
#[derive(Debug, thiserror::Error)]
pub enum RulesetError {
    /// There is no `nft`.
    #[error("`nft` was not found; install the package nftables")]
    NoNft,
    /// `nft` could not be run.
    #[error("cannot run `{program}`: {error}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        error: std::io::Error,
    },
    /// `nft` refused the ruleset.
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
}

/// The `nft` program.
///
/// # Errors
/// [`RulesetError::NoNft`].
pub fn find_nft() -> Result<PathBuf, RulesetError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    PLACES
        .into_iter()
        .map(PathBuf::from)
        .chain(std::env::split_paths(&path).filter(|place| place.is_absolute()))
        .map(|place| place.join("nft"))
        .find(|program| program.is_file() && rustix::fs::access(program, rustix::fs::Access::EXEC_OK).is_ok())
        .ok_or(RulesetError::NoNft)
}

/// Loads `text` into this thread's network namespace in one transaction.
///
/// # Errors
/// [`RulesetError`]; nothing of the ruleset is then in force.
pub fn load(text: &str) -> Result<(), RulesetError> {
    let program = find_nft()?;
    let failed = |error| RulesetError::Run { program: program.display().to_string(), error };
    let mut child = Command::new(&program)
        .args(["-f", "-"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // nft reads everything before it says anything, so writing cannot block on its output; when it dies early, its
        // exit status tells more than the broken pipe.
        let _ = stdin.write_all(text.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    Err(RulesetError::Refused(first.to_owned()))
}
