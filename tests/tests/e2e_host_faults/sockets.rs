//! Whatever may be where Docker's engine should: nobody, a socket that nobody serves, one that says nothing, or nonsense.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use outcall_tests::fixtures::host::Host;

use super::{check_served, eventually, policy};

/// Has each connection to the socket answered with this, after which it ends; or, with nothing to say, held open.
fn serve(path: &Path, says: &'static [u8]) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(says);
            if says.is_empty() {
                held.push(stream);
            }
        }
    });
}

#[test]
fn what_is_no_engine_is_said_and_everything_else_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    drop(UnixListener::bind(at("dead")).unwrap());
    serve(&at("silent"), b"");
    serve(&at("nonsense"), b"what do you want?\r\n\r\n");
    serve(&at("other"), b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nyes");
    serve(&at("sorry"), b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 19\r\n\r\n{\"message\":\"broken\"}");
    serve(&at("endless"), b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{");
    std::fs::write(at("file"), "").unwrap();
    for (name, why) in [
        ("absent", "does not answer: No such file"),
        ("dead", "does not answer: Connection refused"),
        ("file", "does not answer: Connection refused"),
        ("silent", "does not answer in time"),
        ("nonsense", "is not understood"),
        ("other", "is not understood"),
        ("sorry", "broken"),
        ("endless", "Docker's engine"),
    ] {
        let host = Host::with_options(&policy("a"), &["--docker-socket", at(name).to_str().unwrap()]);
        eventually(name, || {
            let status = host.outcall(&["network", "status"]);
            status.status == 0 && status.stdout.contains(why)
        });
        // The command is answered in its time.
        let began = Instant::now();
        let list = host.outcall(&["container", "list"]);
        assert!(list.status == 1 && list.stderr.contains("Docker's engine"), "{name}: {list}");
        assert!(began.elapsed() < Duration::from_secs(12), "{name} took {:?}", began.elapsed());
        let agent = host.attach("plain");
        check_served(&host, &agent);
        let ps = host.outcall(&["ps"]);
        assert!(ps.status == 0 && ps.stdout.contains("plain") && ps.stdout.contains("netns"), "{name}: {ps}");
        let said = host.said();
        assert!(
            said.matches("while Docker's engine is away").count() <= 2,
            "{name} is not said again and again: {said}"
        );
        let doctor = host.outcall(&["doctor", "--docker-socket", at(name).to_str().unwrap()]);
        let line = doctor.stdout.lines().find(|line| line.contains(" Docker:")).unwrap();
        assert!(line.starts_with("advised"), "{name}: {line}");
    }
}
