//! Secrets end to end: a real client in the sandbox that never holds them, a server behind that gets them and echoes
//! whatever it gets.
#![cfg(test)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use outcall_tests::fixtures::{Event, Outcall, User, World};

const SECRET: &str = "sk-live-0123456789abcdef";

const RULES: &str = r#"
version: "1"
rules:
  - id: api
    condition: http.host in ["allowed.test", "only6.test"]
    action: allow
    egress:
      mode: intercept
  - id: key
    condition: http.host == "allowed.test"
    action: enrich
    inject:
      - header: Authorization
        value: ${secret:api}
"#;

/// A directory with the secret `api`, whose files are this user's.
fn secrets(world: &World, name: &str) -> PathBuf {
    let directory = world.dir().join(name);
    std::fs::create_dir(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
    write(&directory.join("api"), SECRET, 0o600);
    directory
}

fn write(path: &std::path::Path, text: &str, mode: u32) {
    std::fs::write(path, format!("{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The values of `Authorization` that servers got.
fn got(world: &mut World) -> Vec<String> {
    let value = |event| match event {
        Event::Http { head, .. } => {
            let lines = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("authorization:"));
            Some(lines.collect::<Vec<_>>().join("|"))
        }
        _ => None,
    };
    world.events().into_iter().filter_map(value).collect()
}

#[test]
fn the_server_gets_the_secret_and_the_agent_only_its_place() {
    let mut world = World::new();
    let directory = secrets(&world, "secrets");
    let directory = directory.to_str().unwrap();
    let ran = Outcall::new(&world, RULES).options(&["--secrets", directory]).sh(
        "curl -sS https://allowed.test/echo -H 'X-Mine: 1' -H 'authorization: Bearer mine'
         curl -sS --compressed https://allowed.test/echo -u me:outcall-secret-api
         curl -sS -i https://allowed.test/echo-header -H 'Authorization: Bearer outcall-secret-api'
         curl -sS https://only6.test/echo -H 'Authorization: Bearer outcall-secret-api'",
    );
    assert_eq!(ran.status, 0, "{ran}");
    assert!(!format!("{ran}").contains(SECRET), "{ran}");
    let basic = "bWU6c2stbGl2ZS0wMTIzNDU2Nzg5YWJjZGVm";
    assert!(!format!("{ran}").contains(&basic[4..]), "{ran}");
    assert!(ran.stdout.contains("X-Mine: 1"), "{ran}");
    assert_eq!(ran.stdout.matches("[outcall:secret]").count(), 3, "{ran}");
    assert!(ran.stdout.contains("\nX-Echo: [outcall:secret]"), "{ran}");
    assert!(ran.stdout.contains("Authorization: Bearer outcall-secret-api"), "what is no secret there: {ran}");
    assert_eq!(
        got(&mut world),
        [
            format!("authorization: {SECRET}"),
            format!("Authorization: Basic {basic}"),
            format!("Authorization: Bearer {SECRET}"),
            "Authorization: Bearer outcall-secret-api".to_owned(),
        ]
    );
}

#[test]
fn the_command_cannot_read_what_it_is_not_to_hold() {
    let mut world = World::new();
    let directory = secrets(&world, "secrets");
    let elsewhere = secrets(&world, "elsewhere").join("api");
    std::os::unix::fs::symlink(&elsewhere, directory.join("linked")).unwrap();
    std::os::unix::fs::symlink(&directory, world.dir().join("link")).unwrap();
    let made =
        world.command("outcall", 30).args(["ca", "init", "--algorithm", "ecdsa", "--out", "ca"]).output().unwrap();
    assert!(made.status.success());
    let script =
        "ls -A secrets link; cat secrets/api link/api elsewhere/api ca/ca.key; echo x > secrets/new; umount secrets
         echo \"$KEY|\"; env; cat /proc/*/environ; cat /proc/*/cmdline; curl -sS https://allowed.test/echo";
    for source in ["--secrets=secrets", "--secret=api=env:KEY"] {
        let ran = Outcall::new(&world, RULES)
            .env("KEY", SECRET)
            .options(&[source, "--ca-cert=ca/ca.crt", "--ca-key=ca/ca.key"])
            .sh(script);
        assert!(!ran.stdout.contains("PRIVATE KEY"), "{ran}");
        if source == "--secrets=secrets" {
            assert!(ran.stderr.contains("secrets/api: No such file"), "{ran}");
            assert!(ran.stderr.contains("Read-only file system"), "{ran}");
            assert_eq!(ran.stdout.matches("[outcall:secret]").count(), 1, "{ran}");
        } else {
            // What the options do not name is the caller's, and the command's as well; but not the variable.
            assert!(ran.stdout.contains("\n|\n"), "{ran}");
            assert_eq!(ran.stdout.matches(SECRET).count(), 3, "the three files: {ran}");
            assert!(!ran.stdout.contains("KEY="), "{ran}");
        }
    }
    assert_eq!(got(&mut world).len(), 2);
    let ran = Outcall::new(&world, RULES).options(&["--secrets", "."]).sh("echo started");
    assert!(!ran.stdout.contains("started") && ran.stderr.contains("another directory"), "{ran}");
}

#[test]
fn a_secret_comes_from_a_program_outside_of_the_sandbox() {
    let mut world = World::new();
    let program = world.dir().join("give");
    write(&program, &format!("#!/bin/sh\necho asked >> \"$HOME/asked\"; echo {SECRET}"), 0o755);
    let ran = Outcall::new(&world, RULES)
        .options(&["--secret", "api=command:\"$HOME\"/give"])
        .sh("for i in 1 2 3; do curl -sS https://allowed.test/echo; done");
    assert_eq!(ran.stdout.matches("Authorization: [outcall:secret]").count(), 3, "{ran}");
    assert_eq!(std::fs::read_to_string(world.dir().join("asked")).unwrap(), "asked\n");
    assert_eq!(got(&mut world), vec![format!("Authorization: {SECRET}"); 3]);
}

#[test]
fn without_the_secret_nothing_goes_out_and_it_is_said() {
    let mut world = World::new();
    let directory = secrets(&world, "secrets");
    std::fs::set_permissions(directory.join("api"), std::fs::Permissions::from_mode(0o640)).unwrap();
    for (options, why) in [
        (&["--secrets=secrets"][..], "broader than 0600"),
        (&["--secret=other=env:KEY"], "there is no secret `api`"),
        (&["--secret=api=env:NONE"], "NONE is not set"),
        (&["--secret=api=command:exit 4"], "exit status: 4"),
    ] {
        let ran = Outcall::new(&world, RULES).options(options).sh("curl -sS -i https://allowed.test/echo");
        assert!(ran.stdout.contains("HTTP/1.1 502 "), "{ran}");
        assert!(ran.stdout.contains("X-Outcall-Failure-Reason: secret_unavailable"), "{ran}");
        let record = ran.check_one_refusal("https", "key", "secret_unavailable");
        assert!(record.to_string().contains(why), "{record:#}");
        assert_eq!(ran.stderr.contains("there is no secret `api`"), options[0].contains("other"), "{ran}");
    }
    assert_eq!(got(&mut world), [""; 0]);
    for bad in ["--secret=api", "--secret=api=sk-live-0123", "--secret=a/b=env:KEY", "--secrets=nowhere"] {
        let ran = Outcall::new(&world, RULES).options(&[bad]).sh("echo started");
        assert!(ran.status != 0 && !ran.stdout.contains("started") && !ran.stderr.contains("sk-live"), "{ran}");
    }
}

fn nobody<'w>(world: &'w World, place: &std::path::Path) -> Outcall<'w> {
    Outcall::new(world, RULES).user(User::Nobody).env("PLACE", place.to_str().unwrap())
}

#[test]
fn a_new_secret_is_used_at_once_and_root_is_not_needed() {
    let mut world = World::new();
    let place = world.dir().join("open");
    std::fs::create_dir(&place).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o777)).unwrap();
    // The user makes a directory of its own first, since the files must be its own.
    let ran = nobody(&world, &place).sh("umask 077; mkdir $PLACE/secrets && echo sk-one-one-one > $PLACE/secrets/api");
    assert_eq!(ran.status, 0, "{ran}");
    let option = format!("--secrets={}", place.join("secrets").display());
    let ran = nobody(&world, &place).options(&[&option]).sh("curl -sS https://allowed.test/echo; ls $PLACE/secrets");
    assert!(ran.stdout.contains("Authorization: [outcall:secret]") && !ran.stdout.contains("api\n"), "{ran}");
    let rotate = "umask 077; echo sk-two-two-two > $PLACE/secrets/new && mv $PLACE/secrets/new $PLACE/secrets/api";
    assert_eq!(nobody(&world, &place).sh(rotate).status, 0);
    nobody(&world, &place).options(&[&option]).sh("curl -sS https://allowed.test/echo");
    assert_eq!(got(&mut world), ["Authorization: sk-one-one-one", "Authorization: sk-two-two-two"]);
}
