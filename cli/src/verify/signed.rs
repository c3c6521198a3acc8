//! A scorecard with the signatures of whoever ran it.

use std::path::{Path, PathBuf};

use outcall_schema::signing::{Signatures, SigningKey};
use serde_json::{Value, json};

use crate::artifacts::Failure;
use crate::output::{Output, complain};
use crate::{Exit, sign};

/// The envelope's version. Changelog: 1, the first.
const VERSION: u64 = 1;
/// What stands before a scorecard in what is signed, so that its signature is good for nothing else: no manifest begins so.
const CONTEXT: &str = "outcall scorecard 1\n";
/// The largest file that is read.
const FILE_MAX_BYTES: u64 = 16 << 20;

/// A scorecard as text, byte for byte what was signed, and its signatures as in `manifest.sig`.
pub(super) fn envelope(card: &Value, keys: &[SigningKey]) -> Result<Value, String> {
    let text = card.to_string();
    let signatures = Signatures::make(&message(&text), keys);
    let signatures = signatures.map_err(|why| format!("cannot sign with these keys: {why}"))?;
    let signatures = String::from_utf8_lossy(&signatures.to_bytes()).into_owned();
    Ok(json!({ "version": VERSION, "scorecard": text, "signatures": signatures }))
}

fn message(text: &str) -> Vec<u8> {
    [CONTEXT, text].concat().into_bytes()
}

/// Prints the scorecard of an envelope that one of these keys signed.
pub(super) fn check(path: &Path, trusted: &[PathBuf], out: &mut Output) -> Exit {
    match opened(path, trusted) {
        Ok(card) => {
            out.json(&card);
            Exit::Done
        }
        Err((exit, why)) => {
            complain(why);
            exit
        }
    }
}

fn opened(path: &Path, trusted: &[PathBuf]) -> Result<Value, Failure> {
    let trust = sign::trust(trusted)?;
    let wrong = |why: &dyn std::fmt::Display| (Exit::Failed, format!("{}: {why}", path.display()));
    let unread = |why: std::io::Error| (Exit::Usage, format!("cannot read {}: {why}", path.display()));
    if trust.is_empty() {
        return Err((Exit::Usage, "there is no key in what `--trust-key` names".to_owned()));
    }
    if std::fs::metadata(path).map_err(unread)?.len() > FILE_MAX_BYTES {
        return Err(wrong(&"it is too large for a scorecard"));
    }
    let envelope: Value = serde_json::from_slice(&std::fs::read(path).map_err(unread)?).map_err(|why| wrong(&why))?;
    let member = |name: &str| envelope.get(name).and_then(Value::as_str);
    let (Some(VERSION), Some(text), Some(signatures)) =
        (envelope.get("version").and_then(Value::as_u64), member("scorecard"), member("signatures"))
    else {
        return Err(wrong(&"it is no signed scorecard of a version that this build reads"));
    };
    let checked = trust.check(&message(text), Some(signatures.as_bytes()));
    checked.map_err(|why| wrong(&why.to_string().replace("manifest.json", "scorecard")))?;
    serde_json::from_str(text).map_err(|why| wrong(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scorecard_that_was_changed_is_not_the_one_that_was_signed() {
        let work = tempfile::tempdir().unwrap();
        let key = SigningKey::generate().unwrap();
        let (public, file) = (work.path().join("key.pub"), work.path().join("card.json"));
        std::fs::write(&public, key.public().unwrap().to_pem()).unwrap();
        let other = work.path().join("other.pub");
        std::fs::write(&other, SigningKey::generate().unwrap().public().unwrap().to_pem()).unwrap();
        let card = json!({"version": 1, "passed": 3, "failed": 0});
        let envelope = envelope(&card, &[key]).unwrap().to_string();
        let read = |text: &str, key: &PathBuf| {
            std::fs::write(&file, text).unwrap();
            opened(&file, std::slice::from_ref(key)).map_err(|(exit, why)| (exit as u8, why))
        };
        assert_eq!(read(&envelope, &public), Ok(card));
        assert!(
            read(&envelope.replace("\\\"passed\\\":3", "\\\"passed\\\":4"), &public).unwrap_err().1.contains("changed")
        );
        assert!(read(&envelope, &other).unwrap_err().1.contains("no signature by a trusted key"));
        assert!(read("{}", &public).unwrap_err().1.contains("no signed scorecard"));
    }
}
