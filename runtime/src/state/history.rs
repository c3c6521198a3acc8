//! `current`: the generations that are kept, the one in force first and then those that were before it.
//!
//! Text in exactly one form: the line `outcall-generations 1`, then a line for each, its number and its policy's digest.

use std::fmt::Write;
use std::os::fd::AsFd;
use std::path::Path;

use outcall_schema::artifact::digest::Digest;

use super::StateError;
use super::generations::Generation;
use crate::load::{Links, bounded};

/// The file's name.
pub(super) const FILE: &str = "current";
/// The name of the one that takes its place.
pub(super) const NEXT: &str = "current.next";
/// The format's first line. Changelog: 1, the first.
const HEAD: &str = "outcall-generations 1";
/// How many are kept: enough to go back from some bad changes in a row, and few enough for policies of 100 MiB.
pub(super) const KEPT: usize = 5;
/// Larger files are something else: five lines have half a KiB.
const FILE_MAX: u64 = 4096;

/// The generations that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History {
    rows: Vec<Generation>,
}

impl History {
    /// The one in a directory; without the file there are no generations.
    pub(super) fn read(directory: impl AsFd, path: &Path) -> Result<History, StateError> {
        let path = path.join(FILE);
        match bounded(directory.as_fd(), FILE, FILE_MAX, Links::Refused) {
            Ok((_, bytes)) => bytes
                .and_then(|bytes| History::from_bytes(&bytes))
                .ok_or_else(|| StateError::Damaged { path, why: "it is not a list of generations".to_owned() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(History::default()),
            Err(source) => Err(StateError::Io { what: "read", path, source }),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Option<History> {
        let mut lines = str::from_utf8(bytes).ok()?.lines();
        lines.next().filter(|head| *head == HEAD)?;
        let rows = lines.map(|line| {
            let (number, digest) = line.split_once(' ')?;
            Some(Generation { number: number.parse().ok()?, digest: digest.parse().ok()? })
        });
        let history = History { rows: rows.collect::<Option<Vec<_>>>()? };
        let distinct = history.rows.iter().enumerate().all(|(at, row)| history.position(row.number) == Some(at));
        let fits = !history.rows.is_empty() && history.rows.len() <= KEPT;
        (distinct && fits && history.to_bytes() == bytes).then_some(history)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{HEAD}\n");
        for Generation { number, digest } in &self.rows {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{number} {digest}");
        }
        text.into_bytes()
    }

    fn position(&self, number: u64) -> Option<usize> {
        self.rows.iter().position(|row| row.number == number)
    }

    pub(super) fn has(&self, number: u64) -> bool {
        self.position(number).is_some()
    }

    pub(super) fn rows(&self) -> &[Generation] {
        &self.rows
    }

    /// With another one in force. Where the one in force is of the same policy, it takes its place: going back is meant to
    /// change something.
    pub(super) fn with(&self, number: u64, digest: Digest) -> History {
        let again = self.rows.first().is_some_and(|row| row.digest == digest);
        let before = self.rows.iter().skip(usize::from(again)).copied();
        History { rows: std::iter::once(Generation { number, digest }).chain(before).take(KEPT).collect() }
    }

    /// With the one before in force; `None` where there is none.
    pub(super) fn back(&self) -> Option<History> {
        let rows = self.rows.get(1..).filter(|rows| !rows.is_empty())?;
        Some(History { rows: rows.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn digest(of: u8) -> Digest {
        Digest::of(&[of])
    }

    /// The numbers after these policies were put in force one after another, by their letters; `<` goes back.
    fn check(policies: &str, expected: &[u64]) {
        let mut history = History::default();
        for (number, policy) in (1..).zip(policies.bytes()) {
            history = match policy {
                b'<' => history.back().unwrap(),
                policy => history.with(number, digest(policy)),
            };
            assert_eq!(History::from_bytes(&history.to_bytes()).as_ref(), Some(&history));
        }
        assert_eq!(history.rows().iter().map(|row| row.number).collect::<Vec<_>>(), expected, "{policies}");
    }

    #[test]
    fn the_last_five_policies_are_kept_and_going_back_leads_to_another() {
        check("a", &[1]);
        check("abc", &[3, 2, 1]);
        check("abcdefg", &[7, 6, 5, 4, 3]);
        check("abbb", &[4, 1]);
        check("aba", &[3, 2, 1]);
        check("ab<", &[1]);
        check("ab<c", &[4, 1]);
        check("abc<<", &[1]);
        check("ab<b", &[4, 1]);
        assert_eq!(History::default().back(), None);
        assert_eq!(History::default().with(1, digest(1)).back(), None);
    }

    #[test]
    fn there_is_one_form_and_no_other() {
        let history = History::default().with(7, digest(1)).with(9, digest(2));
        let text = String::from_utf8(history.to_bytes()).unwrap();
        assert!(text.starts_with("outcall-generations 1\n9 sha256:"), "{text}");
        let row = text.lines().nth(1).unwrap();
        for bad in [
            String::new(),
            "outcall-generations 1\n".to_owned(),
            text.replacen('1', "2", 1),
            text.replacen("9 ", "+9 ", 1),
            text.replacen("9 ", "09 ", 1),
            text.replacen("9 ", "9  ", 1),
            text.replacen("9 ", "7 ", 1),
            text.replacen("9 ", "../9 ", 1),
            text.replace("sha256", "SHA256"),
            text.replace('\n', "\r\n"),
            text.trim_end().to_owned(),
            format!("{text}{row}\n"),
            format!("{text}\n"),
            format!("{text}{}", "1 x\n".repeat(9)),
        ] {
            assert_eq!(History::from_bytes(bad.as_bytes()), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_cut_and_no_flipped_bit_is_taken_for_a_shorter_list_of_the_same(at in 0_usize..200, bit in 0_u32..8) {
            let history = History::default().with(7, digest(1)).with(9, digest(2));
            let bytes = history.to_bytes();
            let at = at % bytes.len();
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            prop_assert_ne!(History::from_bytes(&flipped), Some(history));
            let cut = History::from_bytes(&bytes[..at]);
            // Between two lines it is a list. Nothing writes less than a whole file and renames it.
            prop_assert!(cut.is_none() || bytes[..at].ends_with(b"\n"));
        }
    }
}
