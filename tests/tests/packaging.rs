//! What packages install, and that what they and the pages say of the daemon's settings is so.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use outcall_tests::fixtures::world::binary;

/// Options that are no settings.
const NOT_SETTINGS: [&str; 3] = ["config", "help", "version"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

fn has(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
    found.status.success()
}

fn is_root() -> bool {
    String::from_utf8(Command::new("id").arg("-u").output().unwrap().stdout).unwrap().trim() == "0"
}

/// What a command says; it must succeed.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{out}{error}");
    out.into_owned()
}

/// Runs a script of packaging on the programs under test, and gives what it made.
fn built(script: &str, to: &Path) -> PathBuf {
    let from = binary("outcalld").parent().unwrap().to_owned();
    let mut command = Command::new("timeout");
    command.arg("600").arg(root().join(script)).arg("--from").arg(from).arg("--to").arg(to);
    let path = PathBuf::from(said(&mut command).trim());
    assert!(path.is_file(), "{}", path.display());
    path
}

/// The daemon's settings with their defaults, as its help has them.
fn settings() -> BTreeMap<String, Option<String>> {
    let help = said(Command::new(binary("outcalld")).arg("--help").env("COLUMNS", "1000"));
    let mut settings = BTreeMap::new();
    let mut last = String::new();
    for line in help.lines() {
        if let Some((_, option)) =
            line.split_once("--").filter(|(before, _)| before.trim_matches([' ', '-', ',']).len() < 2)
        {
            last = option.split([' ', '<', '=']).next().unwrap().replace('-', "_");
            settings.insert(last.clone(), None);
        }
        if let Some((_, default)) = line.split_once("[default: ") {
            settings.insert(last.clone(), default.split(']').next().map(str::to_owned));
        }
    }
    settings.retain(|name, _| !NOT_SETTINGS.contains(&name.as_str()));
    assert!(settings.contains_key("dns_upstream") && settings.len() > 12, "{help}");
    settings
}

#[test]
fn every_setting_is_on_its_page_and_in_the_example_with_its_default() {
    let page = read("docs/configuration.md");
    let mut on_page = BTreeMap::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for name in columns[0].split(", ") {
            on_page.insert(name.trim_matches('`').to_owned(), columns[2].trim_matches('`').to_owned());
        }
    }
    let example = read("packaging/outcalld.toml");
    let in_example: BTreeMap<String, String> = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(" = "))
        .filter(|(name, _)| !name.contains(' '))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect();
    let settings = settings();
    assert_eq!(on_page.keys().collect::<Vec<_>>(), settings.keys().collect::<Vec<_>>(), "docs/configuration.md");
    assert_eq!(in_example.keys().collect::<Vec<_>>(), settings.keys().collect::<Vec<_>>(), "packaging/outcalld.toml");
    for (name, default) in settings.iter().filter_map(|(name, default)| Some((name, default.as_ref()?))) {
        assert_eq!(&on_page[name], default, "{name} in docs/configuration.md");
        if name != "log" && name != "agent_shim" {
            assert_eq!(&in_example[name], default, "{name} in packaging/outcalld.toml");
        }
    }
}

/// Settings are judged in the order of their names, so whatever is wrong with one of the example's is said before the last.
#[test]
fn every_line_of_the_example_is_a_setting_that_the_daemon_takes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("outcalld.toml");
    let is_setting =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' ') && rest.contains(" = "));
    let example = read("packaging/outcalld.toml");
    let lines = example.lines().map(|line| if is_setting(line) { &line[1..] } else { line });
    let text: String = lines.chain(["zzz = 1"]).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, &text).unwrap();
    let output = Command::new(binary("outcalld")).arg("--config").arg(&file).output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!("outcalld.toml:{}: there is no setting `zzz`", text.lines().count());
    assert!(!output.status.success() && error.contains(&expected), "{error}");
}

#[test]
fn units_are_what_systemd_takes() {
    if !has("systemd-analyze") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["60", "systemd-analyze", "verify", "--man=no"]);
    for unit in ["outcalld.service", "outcall-closed.service"] {
        let text = read(&format!("packaging/systemd/{unit}"));
        assert!(text.contains("/usr/bin/outcalld"), "{unit}");
        let path = directory.path().join(unit);
        std::fs::write(&path, text.replace("/usr/bin/outcalld", &binary("outcalld").display().to_string())).unwrap();
        command.arg(path);
    }
    let output = command.output().unwrap();
    let found = String::from_utf8_lossy(&output.stderr).into_owned();
    let ours: Vec<&str> = found.lines().filter(|line| line.contains("outcall")).collect();
    assert!(output.status.success() && ours.is_empty(), "{found}");
}

#[test]
fn the_debian_package_installs_and_what_it_installs_runs() {
    if !has("dpkg-deb") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let package = built("packaging/deb/build", directory.path());
    let listed = said(Command::new("dpkg-deb").arg("--contents").arg(&package));
    for path in [
        "./usr/bin/outcall",
        "./usr/bin/outcalld",
        "./usr/bin/outcall-agent",
        "./usr/lib/systemd/system/outcalld.service",
        "./usr/lib/systemd/system/outcall-closed.service",
        "./usr/lib/sysusers.d/outcall.conf",
        "./etc/outcall/outcalld.toml",
        "./usr/share/man/man1/outcall.1.gz",
        "./usr/share/bash-completion/completions/outcall",
    ] {
        assert!(listed.lines().any(|line| line.ends_with(&format!(" {path}"))), "{path} in\n{listed}");
    }
    assert!(listed.lines().all(|line| line.contains(" root/root ")), "{listed}");
    // The same programs give the same package.
    let first = std::fs::read(&package).unwrap();
    assert!(first == std::fs::read(built("packaging/deb/build", directory.path())).unwrap());
    if !is_root() || !has("dpkg") {
        return;
    }
    // This machine as it is, with whatever is written kept apart and thrown away; what others do when a package comes (an
    // index of all manual pages) takes minutes and is none of ours.
    let script = r#"
        set -e
        mount -t tmpfs none "$1"
        mkdir "$1/upper" "$1/work" "$1/machine"
        mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/machine"
        cp "$2" "$1/machine/outcall.deb"
        exec chroot "$1/machine" sh -ec '
            export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
            dpkg --no-triggers --install /outcall.deb >&2
            outcall --version
            outcalld --version
            outcall-agent --version
            getent group outcall
            dpkg --verify outcall
            outcalld --config /etc/outcall/outcalld.toml 2>&1 | grep -e --dns-upstream
            dpkg --no-triggers --remove outcall >&2
            test -e /etc/outcall/outcalld.toml
            ! test -e /usr/bin/outcalld
            dpkg --no-triggers --purge outcall >&2
            ! test -e /etc/outcall/outcalld.toml
        '
    "#;
    let place = directory.path().join("place");
    std::fs::create_dir(&place).unwrap();
    let mut command = Command::new("timeout");
    command.args(["200", "unshare", "--mount", "--net", "sh", "-c", script, "sh"]).arg(&place).arg(&package);
    let said = said(&mut command);
    let lines: Vec<&str> = said.lines().collect();
    let version = env!("CARGO_PKG_VERSION");
    let programs = ["outcall", "outcalld", "outcall-agent"].map(|name| format!("{name} {version}"));
    assert_eq!(lines[..3], programs, "{said}");
    assert!(lines[3].starts_with("outcall:") && said.contains("--dns-upstream"), "{said}");
}

/// Containers of agents have any C library or none.
#[test]
fn the_shim_runs_where_there_is_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let shim = outcall_tests::fixtures::agent::shim();
    std::fs::copy(shim, directory.path().join("shim")).unwrap();
    let mut command = Command::new("timeout");
    command.args(["20", "unshare"]);
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "chroot"]).arg(directory.path());
    let mut without = Command::new("timeout");
    without.args(command.get_args()).args(["/shim", "checkin"]);
    assert_eq!(
        said(command.args(["/shim", "--version"])).trim(),
        format!("outcall-agent {}", env!("CARGO_PKG_VERSION"))
    );
    let output = without.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(5) && error.contains("is it running?"), "{error}");
}

#[test]
fn the_image_has_all_that_its_programs_need() {
    if !["ldd", "tar", "sha256sum"].into_iter().all(has) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = built("packaging/image/build", directory.path());
    let (whole, layer) = (directory.path().join("whole"), directory.path().join("layer"));
    std::fs::create_dir(&whole).unwrap();
    std::fs::create_dir(&layer).unwrap();
    said(Command::new("tar").arg("-xf").arg(&image).arg("-C").arg(&whole));
    let json = |name: &str| -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(whole.join(name)).unwrap()).unwrap()
    };
    let manifest = json("manifest.json");
    let config = json(manifest[0]["Config"].as_str().unwrap());
    let sum = said(Command::new("sha256sum").arg(whole.join("layer.tar")));
    let sum = sum.split(' ').next().unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{sum}"));
    said(Command::new("tar").arg("-xf").arg(whole.join("layer.tar")).arg("-C").arg(&layer));
    assert!(!layer.join("bin/sh").exists() && !layer.join("usr/bin/sh").exists());
    for program in ["/usr/bin/outcall", "/usr/bin/outcalld", "/usr/bin/outcall-agent", "/usr/sbin/nft"] {
        let mut command = Command::new("timeout");
        command.args(["20", "unshare"]);
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let version = said(command.args(["--mount", "chroot"]).arg(&layer).args([program, "--version"]));
        assert!(version.contains(char::is_numeric), "{program}: {version}");
    }
}
