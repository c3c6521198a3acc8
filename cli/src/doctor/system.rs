//! What can be read of a host: its kernel, its files, its programs.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long Docker's engine may take to say that it is there.
const PATIENCE: Duration = Duration::from_secs(3);

/// The host below a directory, which is `/` but in tests.
pub(super) struct System {
    root: PathBuf,
    /// Whether it is the one that this runs on.
    here: bool,
}

/// Whether the kernel has a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// It is loaded or built in.
    There,
    /// It is loaded when it is needed.
    Loadable,
    /// There is none in a kernel that says what it has.
    Absent,
    /// The kernel does not say.
    Unknown,
}

/// Whether Docker's engine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Engine {
    /// With what it says that it is.
    Answers(String),
    /// There is no socket.
    Absent,
    /// There is one, and no engine behind it.
    Dead(String),
    /// Whoever asks may not.
    Denied,
}

/// A directory or file with whom it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owned {
    pub(super) directory: bool,
    pub(super) user: u32,
    pub(super) mode: u32,
}

impl System {
    pub(super) fn here() -> System {
        System { root: "/".into(), here: true }
    }

    #[cfg(test)]
    pub(super) fn below(root: &Path) -> System {
        System { root: root.to_owned(), here: false }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A file's text without the blanks around it.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&fs::read(self.at(path)).ok()?).trim().to_owned())
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.at(path).exists()
    }

    pub(super) fn owned(&self, path: &Path) -> Option<Owned> {
        let found = fs::metadata(self.at(path.to_str()?)).ok()?;
        Some(Owned { directory: found.is_dir(), user: found.uid(), mode: found.permissions().mode() & 0o7777 })
    }

    /// Asks Docker's engine whether it is there.
    pub(super) fn engine(&self, socket: &str) -> Engine {
        match ping(&self.at(socket)) {
            Ok(answer) => {
                // No other of its headers comes from an engine alone.
                let mut lines = answer.lines().skip(1);
                let engine = answer.starts_with("HTTP/1.1 200 ") && answer.contains("\r\nApi-Version: ");
                match lines.find_map(|line| line.strip_prefix("Server: ")).filter(|_| engine) {
                    Some(server) => Engine::Answers(server.trim().to_owned()),
                    None => Engine::Dead("what answers there is no engine of Docker's".to_owned()),
                }
            }
            Err(error) => match error.kind() {
                ErrorKind::NotFound => Engine::Absent,
                ErrorKind::PermissionDenied => Engine::Denied,
                ErrorKind::WouldBlock => Engine::Dead("the engine does not answer in time".to_owned()),
                _ => Engine::Dead(format!("the engine does not answer: {error}")),
            },
        }
    }

    /// Where a program is that ordinary users often do not have in their `PATH`.
    pub(super) fn program(&self, name: &str) -> Option<String> {
        let places = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin", "/bin", "/usr/local/bin"];
        places.into_iter().map(|place| format!("{place}/{name}")).find(|path| self.at(path).is_file())
    }

    /// Whether a command works in a network of its own, which is gone with it. Nothing of the host's is touched.
    pub(super) fn can(&self, command: &[&str]) -> bool {
        let [name, arguments @ ..] = command else { return false };
        let Some(program) = self.program(name).filter(|_| self.here) else { return false };
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--net", "--", &program]).args(arguments);
        let quiet = unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        quiet.status().is_ok_and(|status| status.success())
    }

    /// The kernel's version, its first two numbers.
    pub(super) fn kernel(&self) -> Option<(u32, u32)> {
        let release = self.read("/proc/sys/kernel/osrelease")?;
        let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    }

    /// Whether the kernel has a module, built in or not. `option` is what its configuration calls it.
    pub(super) fn feature(&self, module: &str, option: &str) -> Feature {
        if self.exists(&format!("/sys/module/{module}")) {
            return Feature::There;
        }
        let Some(release) = self.read("/proc/sys/kernel/osrelease") else { return Feature::Unknown };
        // Modules are listed by their paths, in which names have dashes or underscores.
        let named = |line: &str| {
            let path = line.split(':').next().unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            name.split('.').next().is_some_and(|name| name.replace('-', "_") == module)
        };
        let listed = |list: &str| {
            let text = self.read(&format!("/lib/modules/{release}/{list}"))?;
            Some(text.lines().any(named))
        };
        match (listed("modules.builtin"), listed("modules.dep")) {
            (Some(true), _) => return Feature::There,
            (_, Some(true)) => return Feature::Loadable,
            (Some(false), Some(false)) => return Feature::Absent,
            _ => {}
        }
        let Some(config) = self.read(&format!("/boot/config-{release}")) else { return Feature::Unknown };
        match config.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('=')) {
            Some("y") => Feature::There,
            Some(_) => Feature::Loadable,
            None => Feature::Absent,
        }
    }
}

/// The beginning of the answer to `GET /_ping`.
fn ping(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")?;
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer)?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A host with these files.
    pub(crate) fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let system = System::below(root.path());
        (root, system)
    }

    #[test]
    fn the_kernel_s_version_is_its_first_two_numbers() {
        for (release, version) in
            [("6.5.0-14-generic\n", Some((6, 5))), ("5.10.0", Some((5, 10))), ("6.12+", Some((6, 12))), ("x", None)]
        {
            assert_eq!(host(&[("/proc/sys/kernel/osrelease", release)]).1.kernel(), version);
        }
        assert_eq!(host(&[]).1.kernel(), None);
    }

    #[test]
    fn a_feature_is_found_wherever_the_kernel_says_so() {
        let release = ("/proc/sys/kernel/osrelease", "6.1.0");
        let check = |files: &[(&str, &str)], expected| {
            let (_root, system) = host(files);
            assert_eq!(system.feature("nf_tables", "CONFIG_NF_TABLES"), expected, "{files:?}");
        };
        let (builtin, dep) = ("/lib/modules/6.1.0/modules.builtin", "/lib/modules/6.1.0/modules.dep");
        check(&[("/sys/module/nf_tables/x", "")], Feature::There);
        check(&[release, (builtin, "kernel/net/netfilter/nf_tables.ko\n"), (dep, "")], Feature::There);
        check(&[release, (builtin, ""), (dep, "kernel/net/nf-tables.ko.zst: kernel/a.ko\n")], Feature::Loadable);
        check(&[release, (builtin, ""), (dep, "kernel/net/nf_tables_x.ko: kernel/nf_tables.ko\n")], Feature::Absent);
        check(&[release, ("/boot/config-6.1.0", "CONFIG_NF_TABLES=m\n")], Feature::Loadable);
        check(&[release, ("/boot/config-6.1.0", "CONFIG_NF_TABLES_INET=y\n")], Feature::Absent);
        check(&[release], Feature::Unknown);
        check(&[], Feature::Unknown);
    }
}
