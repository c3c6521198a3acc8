//! Secrets from files, variables and programs, and what is refused of each.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::*;

const GOOD: &str = "sk-0123456789";

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), Permissions::from_mode(0o700)).unwrap();
        Place(place)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    }

    fn secrets(&self, named: &[&str]) -> Result<Secrets, SecretError> {
        let named: Vec<OsString> = named.iter().map(OsString::from).collect();
        let sources = Sources::read(Some(self.0.path().to_owned()), &named)?;
        Secrets::open(&sources, |name| (name == "KEY").then(|| GOOD.into()))
    }
}

/// What `get` gives: the secret, or why there is none.
async fn get(secrets: &Secrets, name: &str) -> Result<String, String> {
    match secrets.get(name).await {
        Ok(secret) => Ok(String::from_utf8(secret.expose().to_vec()).unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

#[tokio::test]
async fn a_file_is_read_whenever_it_is_used() {
    let place = Place::new();
    let secrets = place.secrets(&[]).unwrap();
    assert!(get(&secrets, "a").await.unwrap_err().contains("there is no secret `a`"));
    for (text, expected) in
        [("sk-0123456789\n", GOOD), ("sk-other one", "sk-other one"), ("sk-012345\r\n", "sk-012345")]
    {
        place.write("a", text);
        assert_eq!(get(&secrets, "a").await.as_deref(), Ok(expected));
    }
    std::fs::remove_file(place.0.path().join("a")).unwrap();
    assert!(get(&secrets, "a").await.is_err());
}

#[tokio::test]
async fn what_is_no_headers_value_or_not_kept_is_refused_without_a_word_of_it() {
    let place = Place::new();
    let secrets = place.secrets(&[]).unwrap();
    for text in
        ["", "short", "two lines\nof it", " sk-blank", "sk-blank ", "sk-\x01234567", "sk-émile-xyz", "a\r\nb: cdefgh"]
    {
        place.write("a", text);
        let why = get(&secrets, "a").await.unwrap_err();
        assert!(
            why.starts_with("the secret `a` cannot be used: it ") && (text.is_empty() || !why.contains(text)),
            "{why}"
        );
    }
    place.write("a", "x".repeat(MAX_BYTES));
    assert!(get(&secrets, "a").await.is_ok());
    place.write("a", "x".repeat(MAX_BYTES + 1));
    assert!(get(&secrets, "a").await.is_err());
    for mode in [0o640, 0o604, 0o660, 0o700] {
        place.write("a", GOOD);
        std::fs::set_permissions(place.0.path().join("a"), Permissions::from_mode(mode)).unwrap();
        let why = get(&secrets, "a").await.unwrap_err();
        assert!(why.contains("chmod 600") && !why.contains(GOOD), "{why}");
    }
    std::fs::create_dir(place.0.path().join("b")).unwrap();
    assert!(get(&secrets, "b").await.unwrap_err().contains("no regular file"));
    let fifo = place.0.path().join("c");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(get(&secrets, "c").await.is_err());
    place.write("d", GOOD);
    for name in ["../d", "/etc/passwd", ".", "..", "", "a/../d"] {
        assert!(get(&secrets, name).await.unwrap_err().contains("there is no secret"), "{name}");
    }
}

#[test]
fn a_directory_that_others_fill_is_refused() {
    let place = Place::new();
    for (mode, good) in [(0o700, true), (0o755, true), (0o770, false), (0o777, false)] {
        std::fs::set_permissions(place.0.path(), Permissions::from_mode(mode)).unwrap();
        assert_eq!(place.secrets(&[]).is_ok(), good, "{mode:o}");
    }
    let sources = Sources { directory: Some("/nonexistent".into()), named: Vec::new() };
    assert!(Secrets::open(&sources, |_| None).unwrap_err().to_string().contains("/nonexistent"));
}

#[tokio::test]
async fn variables_and_programs_come_before_files() {
    let place = Place::new();
    ["a", "b", "c"].iter().for_each(|name| place.write(name, "sk-in a file"));
    let secrets = place.secrets(&["a=env:KEY", "b=command:printf 'sk-%s\\n' program", "x=env:NONE"]).unwrap();
    assert_eq!(get(&secrets, "a").await.as_deref(), Ok(GOOD));
    assert_eq!(get(&secrets, "b").await.as_deref(), Ok("sk-program"));
    assert_eq!(get(&secrets, "c").await.as_deref(), Ok("sk-in a file"));
    assert!(get(&secrets, "x").await.unwrap_err().contains("NONE is not set"));
    assert!(secrets.has("x") && secrets.has("c") && !secrets.has("d") && !secrets.has("../a"));
}

#[test]
fn options_are_read_and_what_follows_the_name_is_never_shown() {
    for bad in [
        "a",
        "sk-0123456789",
        "a=",
        "a=sk-0123456789",
        "a=env:",
        "a=command:",
        "=env:KEY",
        "a b=env:KEY",
        "a=file:x",
        "",
    ] {
        let error = Sources::read(None, &[bad.into()]).unwrap_err().to_string();
        assert!(!error.contains("sk-"), "{error}");
    }
    assert!(Sources::read(None, &["a=env:K".into(), "a=command:x".into()]).is_err());
    let sources = Sources::read(None, &["a=env:K=L".into(), "b=command:x=y".into()]).unwrap();
    assert_eq!(sources.variables().collect::<Vec<_>>(), ["K=L"]);
}

#[tokio::test]
async fn a_program_is_asked_once_in_a_while_and_not_more_often_when_it_fails() {
    let place = Place::new();
    let count = place.0.path().join("count");
    let command = |then: &str| format!("echo x >> {}; {then}", count.display());
    let asked = || std::fs::read_to_string(&count).unwrap_or_default().lines().count();
    let program = Program::new(command("echo sk-0123456789").into());
    let (first, second) = tokio::join!(program.secret(), program.secret());
    assert!(first.is_ok() && first == second && program.secret().await == first);
    assert_eq!(asked(), 1);
    for (then, expected) in [
        ("exit 3", "exit status: 3"),
        ("echo short", "bytes"),
        ("head -c 100000 /dev/zero", "its command failed"),
        ("yes | head -c 9000", "more than"),
        ("kill -9 $$", "signal: 9"),
        ("printf 'two\\nlines of it'", "one line"),
    ] {
        let (program, before) = (Program::new(command(then).into()), asked());
        let why = program.secret().await.unwrap_err();
        assert!(why.contains(expected) || then.starts_with("head"), "{then}: {why}");
        assert_eq!(program.secret().await.unwrap_err(), why);
        assert_eq!(asked(), before + 1, "{then}");
    }
}

#[tokio::test]
async fn a_program_that_takes_too_long_ends_with_all_it_started() {
    let place = Place::new();
    let pid = place.0.path().join("pid");
    let command = format!("sleep 1000 & echo $! > {}; wait", pid.display());
    let program = Program::with_patience(command.into(), Duration::from_millis(500));
    let why = program.secret().await.unwrap_err();
    assert!(why.contains("longer than 0.5 s"), "{why}");
    let pid: i32 = std::fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
    let gone = async {
        // A process that ended and that nobody has waited for is still listed.
        let ended = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !ended() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("the program's child is ended");
}

#[test]
fn the_places_of_secrets_include_what_links_lead_to() {
    let (place, other) = (Place::new(), Place::new());
    place.write("a", GOOD);
    other.write("b", GOOD);
    symlink(other.0.path().join("b"), place.0.path().join("b")).unwrap();
    symlink(place.0.path().join("a"), place.0.path().join("c")).unwrap();
    let link = other.0.path().join("link");
    symlink(place.0.path(), &link).unwrap();
    let sources = Sources { directory: Some(link), named: Vec::new() };
    let mut expected = vec![place.0.path().canonicalize().unwrap(), other.0.path().canonicalize().unwrap().join("b")];
    expected.sort();
    assert_eq!(sources.places(), expected);
    assert_eq!(format!("{:?}", Secret::of(&Zeroizing::new(GOOD.into())).unwrap()), "Secret(..)");
}
