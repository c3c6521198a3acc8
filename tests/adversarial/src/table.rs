//! The table of techniques.

use crate::technique::{Family, Technique};
use crate::techniques;

/// All techniques, family by family.
pub fn techniques() -> impl Iterator<Item = &'static Technique> {
    Family::ALL.into_iter().flat_map(of).copied()
}

/// The technique of this id.
pub fn technique(id: &str) -> Option<&'static Technique> {
    techniques().find(|technique| technique.id == id)
}

fn of(family: Family) -> &'static [&'static Technique] {
    match family {
        Family::Kernel => techniques::kernel::TECHNIQUES,
        Family::Dns => techniques::dns::TECHNIQUES,
        Family::Http => techniques::http::TECHNIQUES,
        Family::Control => techniques::control::TECHNIQUES,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn each_file_has_a_row_and_each_row_a_file_and_says_everything() {
        let mut ids = BTreeSet::new();
        for family in Family::ALL {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("techniques").join(family.name());
            let files: BTreeSet<String> = std::fs::read_dir(directory)
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().replace('_', "-"))
                .filter(|name| name != "mod")
                .collect();
            let rows: BTreeSet<String> = of(family).iter().map(|row| row.id.to_owned()).collect();
            assert_eq!(files, rows, "{}: the files are the rows", family.name());
            for row in of(family) {
                assert_eq!(row.family, family, "{}", row.id);
                assert!(ids.insert(row.id), "{} is there twice", row.id);
                for text in [row.name, row.tries, row.danger] {
                    assert!(!text.is_empty() && text.trim() == text, "{}: `{text}`", row.id);
                }
                assert!(row.tries.ends_with('.') && row.danger.ends_with('.'), "{}: whole sentences", row.id);
                assert!(!row.steps.is_empty(), "{} does something", row.id);
                let reasons: Vec<&str> = row.expect.refusals.iter().map(|refusal| refusal.reason).collect();
                for reason in reasons {
                    let known = outcall_schema::reason::REASONS.iter().any(|row| row.code == reason);
                    assert!(known, "{}: `{reason}` is no reason code", row.id);
                }
            }
        }
    }
}
