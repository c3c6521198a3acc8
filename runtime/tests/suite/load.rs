//! The loader takes four whole artifacts that belong together, or nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use crate::common;
use outcall_runtime::load::{Authority, LoadError, Trust, from_dir};
use outcall_schema::artifact::manifest::Manifest;

const RULES: &str = r#"
version: "1"
rules:
  - id: web
    condition: http.host == "a.example"
    action: allow
"#;

const FILES: [&str; 4] = ["outcall.nft", "dns.table", "proxy.prog", "manifest.json"];

/// Loads RULES after `change` was made to the directory: the error's text.
fn check(change: impl FnOnce(&Path)) -> Result<(), String> {
    let directory = tempfile::tempdir().unwrap();
    common::write_artifacts(RULES, directory.path());
    change(directory.path());
    from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn what_was_compiled_loads() {
    let snapshot = common::snapshot(RULES);
    assert_eq!(snapshot.manifest.rules[0].id, "web");
    assert!(snapshot.digest().starts_with("sha256:"));
    assert!(snapshot.nft.contains("policy drop"));
}

#[test]
fn a_missing_or_strange_file_is_named() {
    for file in FILES {
        let error = check(|dir| std::fs::remove_file(dir.join(file)).unwrap()).unwrap_err();
        assert!(error.contains(file) && error.contains("No such file"), "{error}");
        let error = check(|dir| {
            std::fs::remove_file(dir.join(file)).unwrap();
            std::fs::create_dir(dir.join(file)).unwrap();
        });
        assert!(error.unwrap_err().contains(file));
        // Must not wait for somebody to write.
        let error = check(|dir| {
            let path = dir.join(file);
            std::fs::remove_file(&path).unwrap();
            rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
            assert!(path.metadata().unwrap().file_type().is_fifo());
        });
        assert!(error.unwrap_err().contains(file));
        let error = check(|dir| {
            std::fs::remove_file(dir.join(file)).unwrap();
            symlink("/dev/zero", dir.join(file)).unwrap();
        });
        assert!(error.unwrap_err().contains(file));
    }
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    assert!(matches!(
        from_dir(Path::new("/nonexistent"), Authority::Absent, &Trust::unsigned()),
        Err(LoadError::Read { file: "manifest.json", .. })
    ));
}

#[test]
fn no_truncation_loads_and_each_names_its_file() {
    for file in FILES {
        let directory = tempfile::tempdir().unwrap();
        common::write_artifacts(RULES, directory.path());
        let whole = std::fs::read(directory.path().join(file)).unwrap();
        let step = (whole.len() / 64).max(1);
        for length in (0..whole.len()).step_by(step) {
            std::fs::write(directory.path().join(file), &whole[..length]).unwrap();
            let error =
                from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).map(drop).unwrap_err().to_string();
            assert!(error.contains(file), "{file} at {length}: {error}");
        }
        std::fs::write(directory.path().join(file), [&whole[..], b"\n"].concat()).unwrap();
        assert!(from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).is_err(), "{file} with a byte more");
        std::fs::write(directory.path().join(file), &whole).unwrap();
        from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).unwrap();
    }
}

#[test]
fn no_flipped_bit_loads() {
    for file in FILES {
        let directory = tempfile::tempdir().unwrap();
        common::write_artifacts(RULES, directory.path());
        let whole = std::fs::read(directory.path().join(file)).unwrap();
        let step = (whole.len() / 200).max(1);
        for at in (0..whole.len()).step_by(step) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(directory.path().join(file), &flipped).unwrap();
            let error =
                from_dir(directory.path(), Authority::Absent, &Trust::unsigned()).map(drop).unwrap_err().to_string();
            assert!(error.contains(file), "{file} at {at}: {error}");
        }
    }
}

#[test]
fn artifacts_of_two_policies_do_not_load_together() {
    for file in FILES {
        let error = check(|dir| {
            let other = tempfile::tempdir().unwrap();
            let rules = "version: \"1\"\nrules:\n  - id: raw\n    condition: network.ip == \"1.2.3.4\" && http.host == \"b.example\" && dns.query == \"c.example\" || network.ip == \"1.1.1.1\" || dns.query == \"d.example\"\n    action: allow\n    egress: { mode: direct_ip }\n";
            common::write_artifacts(rules, other.path());
            std::fs::copy(other.path().join(file), dir.join(file)).unwrap();
        });
        assert!(error.is_err(), "{file}");
    }
}

/// Writes the manifest anew, digest and all.
fn rewrite(directory: &Path, change: impl FnOnce(&mut Manifest)) {
    let path = directory.join("manifest.json");
    let mut manifest = Manifest::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, manifest.to_bytes()).unwrap();
}

#[test]
fn a_manifest_that_lists_other_files_is_refused() {
    let missing = check(|dir| rewrite(dir, |manifest| drop(manifest.files.pop())));
    assert!(missing.unwrap_err().contains("a policy consists of"));
    let twice = check(|dir| rewrite(dir, |manifest| manifest.files.push(manifest.files[0].clone())));
    assert!(twice.unwrap_err().contains("a policy consists of"));
    let elsewhere = check(|dir| rewrite(dir, |manifest| manifest.files[0].name = "../outcall.nft".into()));
    assert!(elsewhere.unwrap_err().contains("a policy consists of"));
}

#[test]
fn a_policy_that_needs_interception_is_refused_with_what_to_write_instead() {
    let error = check(|dir| rewrite(dir, |manifest| manifest.needs.ca = true)).unwrap_err();
    assert!(error.contains("interception") && error.contains("mode: proxy"), "{error}");
}

#[test]
fn with_an_authority_a_policy_that_intercepts_and_injects_loads() {
    let directory = tempfile::tempdir().unwrap();
    common::write_artifacts(RULES, directory.path());
    rewrite(directory.path(), |manifest| manifest.needs.ca = true);
    from_dir(directory.path(), Authority::Present, &Trust::unsigned()).unwrap();
    rewrite(directory.path(), |manifest| manifest.needs.secrets = vec!["openai".to_owned()]);
    from_dir(directory.path(), Authority::Present, &Trust::unsigned()).unwrap();
    // Without interception it loads as before: the requests that an enrich rule applies to are refused.
    rewrite(directory.path(), |manifest| manifest.needs.ca = false);
    from_dir(directory.path(), Authority::Present, &Trust::unsigned()).unwrap();
}
