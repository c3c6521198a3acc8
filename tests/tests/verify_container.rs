//! `outcall verify --container`: what can be done in an operator's own image is bounded, and his engine is left as it was.
#![cfg(test)]

use std::path::Path;
use std::process::{Command, Stdio};

use outcall_tests::fixtures::docker::Docker;
use outcall_tests::fixtures::host::Host;
use outcall_tests::fixtures::world::{PATH, World, binary, is_root};
use serde_json::Value;

/// Within two minutes a user has the answer; this machine may be busy with other tests.
const SECONDS: &str = "300";

/// A machine whose engine has images, or nothing where there is none to be had.
fn operator() -> Option<(Host, Docker)> {
    if !Docker::is_installed() {
        eprintln!("skipped: there is no dockerd here, or no busybox: apt-get install docker.io busybox-static");
        return None;
    }
    let mut docker = Docker::place();
    let host = Host::new("version: \"1\"\nrules:\n  - { id: nothing, action: block, condition: true }\n");
    docker.start(&host);
    docker.import();
    Some((host, docker))
}

/// `outcall verify --container` with these options; its status and what it said.
fn verify(socket: &Path, image: &str, options: &[&str]) -> (i32, String, String) {
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", SECONDS]).arg(binary("outcall")).args(["verify", "--container", image]);
    command.arg("--docker-socket").arg(socket).args(options);
    let output = command.env_clear().env("PATH", PATH).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// All that an operator sees of his engine.
fn seen(docker: &Docker) -> Vec<String> {
    let listed = |question: &str| {
        let mut rows: Vec<String> = docker.docker(question).lines().map(str::to_owned).collect();
        // What was made in the same second comes in any order.
        rows.sort();
        rows
    };
    ["ps -aq --no-trunc", "images -aq --no-trunc", "network ls -q --no-trunc", "volume ls -q"]
        .into_iter()
        .flat_map(listed)
        .collect()
}

/// Nothing fails, and what was not tried could not be.
#[track_caller]
fn check(card: &Value) {
    let rows = card["techniques"].as_array().unwrap();
    let of = |verdict: &str| rows.iter().filter(|row| row["verdict"] == verdict).collect::<Vec<_>>();
    assert!(
        of("failed").is_empty() && card["strays"] == serde_json::json!([]),
        "{:#?}\n{}",
        of("failed"),
        card["strays"]
    );
    let lacks = |row: &&&Value| {
        let why = row["not_tried"].as_str().unwrap();
        ["this kernel has no ", "a container has no right ", "the image has no "].iter().any(|it| why.starts_with(it))
    };
    assert!(of("not_tried").iter().all(|row| lacks(&row)), "{:#?}", of("not_tried"));
    assert!(of("passed").len() >= 250, "{card:#}");
}

#[test]
fn an_image_is_bounded_and_the_engine_that_has_it_is_left_as_it_was() {
    let Some((_host, docker)) = operator() else { return };
    let before = seen(&docker);
    let socket = docker.socket();

    // An image of busybox and its names alone.
    let (status, said, complaint) = verify(&socket, "bare:1", &["--format", "json"]);
    let card: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{status} {error}: {complaint}"));
    assert_eq!(card["place"], "container");
    check(&card);
    assert_eq!(status, 0);

    // One that starts something else by itself, as somebody else, and asks after its own health.
    let dir = socket.parent().unwrap();
    let tar =
        Command::new("tar").arg("-C").arg(dir.join("image")).arg("-cf").arg(dir.join("own.tar")).arg("bin").status();
    assert!(tar.unwrap().success());
    let changes = [
        r#"ENTRYPOINT ["/bin/false"]"#,
        "USER 65534:65534",
        "WORKDIR /bin",
        "HEALTHCHECK --interval=1s CMD echo x | nc -w 1 93.184.216.35 7000",
    ];
    let changes: String = changes.iter().map(|change| format!(" --change '{change}'")).collect();
    docker.docker(&format!("import{changes} {} own:2", dir.join("own.tar").display()));
    let only = ["--only", "udp-datagram", "refused-name", "allowed-http", "operator-over-agents-socket"];
    let (status, said, complaint) = verify(&socket, "own:2", &only);
    assert!(status == 0 && said.contains("4 passed, 0 failed, 0 not tried in"), "{said}{complaint}");
    assert!(said.contains("(container, policy sha256:"), "{said}");
    docker.docker("rmi own:2");
    assert_eq!(seen(&docker), before);

    let (status, said, complaint) = verify(&socket, "other:9", &[]);
    assert!(
        status == 2 && said.is_empty() && complaint.contains("has no image `other:9`"),
        "{status} {said}{complaint}"
    );
    let (status, _, complaint) = verify(&socket, "../json", &[]);
    assert!(status == 2 && complaint.contains("`../json` is no image"), "{status} {complaint}");
    let (status, _, complaint) = verify(Path::new("/nonexistent/docker.sock"), "bare:1", &[]);
    assert!(status == 2 && complaint.contains("no engine of Docker's at /nonexistent"), "{status} {complaint}");
    assert_eq!(seen(&docker), before);
}

#[test]
fn what_it_takes_is_said() {
    let nowhere = Path::new("/nonexistent/docker.sock");
    let (status, said, complaint) = verify(nowhere, "debian:12", &["--host"]);
    assert!(status == 2 && said.is_empty() && complaint.contains("cannot be used with"), "{status} {complaint}");
    let world = World::new();
    let mut command = Command::new("timeout");
    command.args(["--signal=KILL", "60"]);
    if is_root() {
        command.args(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"]);
    }
    command.arg(world.bin().join("outcall")).args(["verify", "--container", "debian:12"]);
    let output = command.env_clear().env("PATH", PATH).stdin(Stdio::null()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && complaint.contains("takes root"), "{output:?}");
}
