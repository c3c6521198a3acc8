//! Who vouches for what is loaded, and that what was verified is what is used.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::common;
use outcall_runtime::load::{Artifacts, Authority, LoadError, Trust, from_dir, trusted};
use outcall_schema::artifact::bundle::Bundle;
use outcall_schema::signing::{Signatures, SigningKey};

fn rules(host: &str) -> String {
    format!("version: \"1\"\nrules:\n  - id: web\n    condition: http.host == \"{host}\"\n    action: allow\n")
}

/// A directory with a policy for this host, signed.
fn signed(host: &str, keys: &[SigningKey]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    common::write_artifacts(&rules(host), home.path());
    let manifest = fs::read(home.path().join("manifest.json")).unwrap();
    fs::write(home.path().join("manifest.sig"), Signatures::make(&manifest, keys).unwrap().to_bytes()).unwrap();
    home
}

fn trust(key: &SigningKey) -> Trust {
    let mut trust = Trust::unsigned();
    trust.add_pem(&key.public().unwrap().to_pem()).unwrap();
    trust
}

#[track_caller]
fn check_refused(home: &Path, trust: &Trust, expected: &str) {
    let error = from_dir(home, Authority::Absent, trust).map(drop).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}\nis not about: {expected}");
}

#[test]
fn with_a_trusted_key_only_its_policies_load() {
    let key = SigningKey::generate().unwrap();
    let other = SigningKey::generate().unwrap();
    let ours = trust(&key);
    let home = signed("a.example", &[key]);
    from_dir(home.path(), Authority::Absent, &ours).unwrap();
    check_refused(home.path(), &trust(&other), "manifest.sig: it has no signature by a trusted key");
    let signature = home.path().join("manifest.sig");
    let good = fs::read(&signature).unwrap();
    fs::write(&signature, &good[..good.len() - 1]).unwrap();
    check_refused(home.path(), &ours, "manifest.sig: it is not a file of signatures");
    fs::write(&signature, vec![b' '; 5000]).unwrap();
    check_refused(home.path(), &ours, "manifest.sig is larger than 4096 bytes");
    fs::remove_file(&signature).unwrap();
    check_refused(home.path(), &ours, "manifest.sig: there is no such file");
    from_dir(home.path(), Authority::Absent, &Trust::unsigned()).unwrap();
    symlink("/dev/zero", &signature).unwrap();
    check_refused(home.path(), &ours, "cannot read manifest.sig: not a regular file");
    fs::remove_file(&signature).unwrap();
    fs::create_dir(&signature).unwrap();
    check_refused(home.path(), &Trust::unsigned(), "cannot read manifest.sig: not a regular file");
}

#[test]
fn files_of_two_signed_policies_do_not_load_together() {
    const NAMES: [&str; 5] = ["manifest.json", "manifest.sig", "outcall.nft", "dns.table", "proxy.prog"];
    let keys = [SigningKey::generate().unwrap()];
    let [old, new] = ["old.example", "new.example"].map(|host| signed(host, &keys));
    let bytes = |home: &tempfile::TempDir| NAMES.map(|name| fs::read(home.path().join(name)).unwrap());
    let mut refused = 0;
    for mixture in 0_u32..1 << NAMES.len() {
        let mixed = tempfile::tempdir().unwrap();
        for (at, name) in NAMES.iter().enumerate() {
            let from = if mixture & (1 << at) == 0 { &old } else { &new };
            fs::copy(from.path().join(name), mixed.path().join(name)).unwrap();
        }
        // The ruleset for the kernel is the same in both: rules on hosts are not its business.
        let whole = [&old, &new].iter().any(|one| bytes(one) == bytes(&mixed));
        assert_eq!(from_dir(mixed.path(), Authority::Absent, &trust(&keys[0])).is_ok(), whole, "{mixture:05b}");
        refused += u32::from(!whole);
    }
    assert_eq!(refused, 28);
}

/// Nothing is read from the directory after [`Artifacts::read`]: whoever exchanges files then changes nothing.
#[test]
fn what_was_read_is_what_is_verified_and_used() {
    let key = SigningKey::generate().unwrap();
    let ours = trust(&key);
    let home = signed("a.example", &[key]);
    let artifacts = Artifacts::read(home.path()).unwrap();
    for name in ["manifest.json", "manifest.sig", "outcall.nft", "dns.table", "proxy.prog"] {
        fs::write(home.path().join(name), "exchanged").unwrap();
    }
    check_refused(home.path(), &ours, "manifest.sig");
    let snapshot = artifacts.verify(&ours, Authority::Absent).unwrap();
    assert_eq!(snapshot.manifest.rules[0].condition, "http.host == \"a.example\"");
    assert_eq!(artifacts.signers(&ours).unwrap(), ours.ids().collect::<Vec<_>>());
}

#[test]
fn a_directory_that_is_exchanged_while_it_is_read_is_one_or_the_other() {
    let home = tempfile::tempdir().unwrap();
    let link = home.path().join("current");
    let policies = [
        signed("a.example", &[SigningKey::generate().unwrap()]),
        signed("b.example", &[SigningKey::generate().unwrap()]),
    ];
    let swap = |to: &Path| {
        symlink(to, home.path().join("next")).unwrap();
        fs::rename(home.path().join("next"), &link).unwrap();
    };
    swap(policies[0].path());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for at in (0..2).cycle() {
                swap(policies[at].path());
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..300 {
            from_dir(&link, Authority::Absent, &Trust::unsigned()).unwrap_or_else(|error| panic!("{error}"));
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// What an upload consists of, with `change` made to it.
fn handed_over(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> Result<Artifacts, LoadError> {
    let home = signed("a.example", &[SigningKey::generate().unwrap()]);
    let artifacts = Artifacts::read(home.path()).unwrap();
    let mut files = artifacts.files().map(|(name, bytes)| (name.to_owned(), bytes.to_vec())).collect();
    change(&mut files);
    Artifacts::from_files(files)
}

#[test]
fn a_policy_that_was_handed_over_in_memory_loads_like_one_of_files() {
    let artifacts = handed_over(|files| files.reverse()).unwrap();
    artifacts.verify(&Trust::unsigned(), Authority::Absent).unwrap();
    let unsigned = handed_over(|files| files.retain(|(name, _)| name != "manifest.sig")).unwrap();
    unsigned.verify(&Trust::unsigned(), Authority::Absent).unwrap();
    let key = SigningKey::generate().unwrap();
    let error = unsigned.verify(&trust(&key), Authority::Absent).map(drop).unwrap_err();
    assert!(matches!(error, LoadError::Signature { .. }), "{error}");
    for artifacts in [&artifacts, &unsigned] {
        let bytes = |wanted: &str| artifacts.files().find(|(name, _)| *name == wanted).map(|(_, bytes)| bytes.to_vec());
        let bundle = Bundle {
            manifest: bytes("manifest.json").unwrap(),
            nft: bytes("outcall.nft").unwrap(),
            dns: bytes("dns.table").unwrap(),
            proxy: bytes("proxy.prog").unwrap(),
            signature: bytes("manifest.sig"),
        };
        let uploaded = Artifacts::try_from(Bundle::from_bytes(&bundle.to_bytes()).unwrap()).unwrap();
        assert!(uploaded.files().eq(artifacts.files()));
    }
    for name in ["manifest.json", "outcall.nft", "dns.table", "proxy.prog"] {
        let error = handed_over(|files| files.retain(|(found, _)| found != name)).unwrap_err();
        assert_eq!(error.to_string(), format!("{name} is missing"));
        let error = handed_over(|files| files.push((name.to_owned(), Vec::new()))).unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}` is not expected or comes twice")), "{error}");
    }
    for name in ["", "../dns.table", "DNS.TABLE", "dns.table\n", "\u{1b}[2J"] {
        let error = handed_over(|files| files.push((name.to_owned(), Vec::new()))).unwrap_err().to_string();
        assert!(error.contains("is not expected") && !error.contains(char::is_control), "{error:?}");
    }
    let error = handed_over(|files| files[1].1 = vec![0; 4097]).unwrap_err().to_string();
    assert!(error.contains("manifest.sig is larger"), "{error}");
}

#[test]
fn a_file_of_trusted_keys_is_one_or_an_error_that_names_it() {
    let home = tempfile::tempdir().unwrap();
    let key = SigningKey::generate().unwrap();
    let path = |name: &str| home.path().join(name);
    let public = key.public().unwrap().to_pem();
    fs::write(path("one.pub"), &public).unwrap();
    fs::write(path("private"), key.to_pem().unwrap().as_bytes()).unwrap();
    fs::write(path("empty"), "").unwrap();
    fs::write(path("binary"), [0xff, 0xfe]).unwrap();
    fs::write(path("large"), public.repeat(1000)).unwrap();
    fs::write(path("open"), &public).unwrap();
    fs::set_permissions(path("open"), Permissions::from_mode(0o664)).unwrap();
    for name in ["one.pub", "private", "empty", "binary", "large"] {
        fs::set_permissions(path(name), Permissions::from_mode(0o644)).unwrap();
    }
    let files: &[PathBuf] = &[];
    assert!(trusted(files).unwrap().is_empty());
    assert_eq!(trusted(&[path("one.pub"), path("one.pub")]).unwrap().ids().count(), 1);
    for (name, expected) in [
        ("nowhere", "No such file"),
        (".", "not a regular file"),
        ("private", "name the file that ends in .pub"),
        ("empty", "something else than public keys"),
        ("binary", "no text"),
        ("large", "larger than"),
        ("open", "its mode is 0664, so others can change it"),
    ] {
        let error = trusted(&[path("one.pub"), path(name)]).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(&path(name).display().to_string()), "{error}");
    }
}
