//! Why a container may not be an agent: with more rights than these it could do as it likes to the host, or has another way
//! to the network than the one that is guarded.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use outcall_schema::api::docker::CAPABILITIES;

use super::inspected::{HostConfig, Mount};
use super::profile;

/// What no agent may see of the host, whatever the policy says: to write there, or to talk to what listens there, is to own
/// the host or the guard.
#[derive(Debug, Clone, Default)]
pub(super) struct Protected {
    trees: Vec<PathBuf>,
    own: Vec<PathBuf>,
}

impl Protected {
    /// Protects these paths with all that is below them, and what leads to them; `own` is what of ours agents are given to
    /// read, and nothing below or above it.
    pub(super) fn new(paths: impl IntoIterator<Item = PathBuf>, own: Vec<PathBuf>) -> Protected {
        let system = ["/proc", "/sys", "/dev", "/run/docker.sock", "/run/docker", "/run/containerd"].map(PathBuf::from);
        let trees = paths.into_iter().chain(system).flat_map(|path| [resolved(&path), path]).collect();
        Protected { trees, own }
    }

    /// Whether a path of the host's would let an agent see what it must not.
    pub(super) fn touched_by(&self, source: &Path) -> bool {
        let real = resolved(source);
        [source, &real].iter().any(|path| {
            !path.is_absolute() || self.trees.iter().any(|tree| path.starts_with(tree) || tree.starts_with(path))
        })
    }
}

/// The path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => resolved(parent).join(name),
        _ => path.to_owned(),
    }
}

/// A capability as the engine's default set has it.
pub(super) fn capability(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

/// What of a container's settings is more than an agent may have, a sentence each.
pub(super) fn of_settings(host: &HostConfig) -> Vec<String> {
    let mut excess = Vec::new();
    if host.privileged {
        excess.push("it is privileged".to_owned());
    }
    for added in host.cap_add.iter().map(|added| capability(added)) {
        if !CAPABILITIES.contains(&added.as_str()) {
            excess.push(format!("it has the capability {added}"));
        }
    }
    for (mode, what) in [
        (&host.pid_mode, "processes"),
        (&host.ipc_mode, "shared memory"),
        (&host.uts_mode, "name"),
        (&host.userns_mode, "users"),
        (&host.network_mode, "network"),
    ] {
        if mode == "host" {
            excess.push(format!("it has the host's {what}"));
        }
    }
    if host.pid_mode.starts_with("container:") {
        excess.push("it has another container's processes".to_owned());
    }
    if !(host.devices.is_empty() && host.device_requests.is_empty() && host.device_cgroup_rules.is_empty()) {
        excess.push("it has devices of the host".to_owned());
    }
    for option in &host.security_opt {
        let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
        if matches!((name, value), (_, "unconfined") | ("label", "disable")) {
            excess.push(format!("it is not confined by {name}"));
        }
    }
    let open = |paths: &Option<Vec<String>>| paths.as_ref().is_some_and(Vec::is_empty);
    if open(&host.masked_paths) || open(&host.readonly_paths) {
        excess.push("it can write the kernel's settings".to_owned());
    }
    excess
}

/// What of the host's files is more than an agent may see.
pub(super) fn of_mount(mount: &Mount, device: Option<&str>, protected: &Protected) -> Option<String> {
    let source = match (mount.kind.as_str(), device) {
        ("bind", _) => mount.source.as_str(),
        ("volume", Some(device)) => device,
        _ => return None,
    };
    let path = Path::new(source);
    if !mount.writable && protected.own.iter().any(|own| own == path) {
        return None;
    }
    protected.touched_by(path).then(|| format!("it sees {source} of the host"))
}

/// Whether the engine would look names up by itself, from the host's network: then the filter never hears of them.
///
/// Its resolver in a container asks the servers of the host's resolv.conf where none are given. From version 1.45 of its API
/// it asks them from the host's network, before that those alone that are the host's own.
pub(super) fn names_pass_by(host: &HostConfig, api: &str, resolv: &str, gateways: &[IpAddr]) -> bool {
    if !host.dns.is_empty() {
        let own = |server: &String| server.parse::<IpAddr>().is_ok_and(|server| server.is_loopback());
        let gateway = |server: &String| server.parse::<IpAddr>().is_ok_and(|server| gateways.contains(&server));
        // Others are asked from the container's network, where they are turned to the filter.
        return host.dns.iter().any(own) && !host.dns.iter().all(gateway);
    }
    let old = profile::version(api).is_some_and(|version| version < (1, 45));
    let servers = resolv.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim);
    let local = |server: &str| server.parse::<IpAddr>().is_ok_and(|server| server.is_loopback());
    !old || servers.into_iter().any(local)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain() -> HostConfig {
        HostConfig {
            network_mode: "outcall".into(),
            masked_paths: Some(vec!["/proc/kcore".into()]),
            ..HostConfig::default()
        }
    }

    #[test]
    fn what_is_more_than_usual_is_said() {
        assert_eq!(of_settings(&plain()), Vec::<String>::new());
        let usual = HostConfig {
            cap_add: vec!["CAP_CHOWN".into(), "net_raw".into()],
            security_opt: vec!["no-new-privileges".into(), "seccomp=/x.json".into()],
            ipc_mode: "private".into(),
            ..plain()
        };
        assert_eq!(of_settings(&usual), Vec::<String>::new());
        for host in [
            HostConfig { privileged: true, ..plain() },
            HostConfig { cap_add: vec!["ALL".into()], ..plain() },
            HostConfig { cap_add: vec!["net_admin".into()], ..plain() },
            HostConfig { cap_add: vec!["CAP_SYS_ADMIN".into()], ..plain() },
            HostConfig { pid_mode: "host".into(), ..plain() },
            HostConfig { pid_mode: "container:x".into(), ..plain() },
            HostConfig { ipc_mode: "host".into(), ..plain() },
            HostConfig { uts_mode: "host".into(), ..plain() },
            HostConfig { userns_mode: "host".into(), ..plain() },
            HostConfig { network_mode: "host".into(), ..plain() },
            HostConfig { devices: vec![serde_json::json!({})], ..plain() },
            HostConfig { device_requests: vec![serde_json::json!({})], ..plain() },
            HostConfig { device_cgroup_rules: vec!["a *:* rwm".into()], ..plain() },
            HostConfig { security_opt: vec!["seccomp=unconfined".into()], ..plain() },
            HostConfig { security_opt: vec!["apparmor:unconfined".into()], ..plain() },
            HostConfig { security_opt: vec!["label=disable".into()], ..plain() },
            HostConfig { masked_paths: Some(Vec::new()), ..plain() },
            HostConfig { readonly_paths: Some(Vec::new()), ..plain() },
        ] {
            assert_eq!(of_settings(&host).len(), 1, "{host:?}");
        }
    }

    #[test]
    fn neither_what_is_protected_nor_what_leads_there_is_seen() {
        let home = tempfile::tempdir().unwrap();
        let (state, link) = (home.path().join("state"), home.path().join("link"));
        fs::create_dir(&state).unwrap();
        std::os::unix::fs::symlink(&state, &link).unwrap();
        let own = state.join("bundle.pem");
        let protected = Protected::new([state.clone(), PathBuf::from("/run/outcall")], vec![own.clone()]);
        let bind = |source: &Path, writable| Mount {
            kind: "bind".into(),
            source: source.display().to_string(),
            writable,
            ..Mount::default()
        };
        for source in [
            "/",
            "/run",
            "/var/run",
            "/run/docker.sock",
            "/var/run/docker.sock",
            "/proc",
            "/proc/1",
            "/sys/fs/cgroup",
            "/dev/mem",
            "/run/outcall/host.sock",
            "relative",
        ] {
            assert!(of_mount(&bind(source.as_ref(), false), None, &protected).is_some(), "{source}");
        }
        for source in [state.as_path(), link.as_path(), &link.join("new"), home.path(), &own] {
            assert!(of_mount(&bind(source, true), None, &protected).is_some(), "{}", source.display());
        }
        assert_eq!(of_mount(&bind(&own, false), None, &protected), None);
        assert_eq!(of_mount(&bind(&home.path().join("work"), true), None, &protected), None);
        let volume = Mount { kind: "volume".into(), name: "data".into(), source: "/v".into(), ..Mount::default() };
        assert_eq!(of_mount(&volume, None, &protected), None);
        assert!(of_mount(&volume, Some("/run"), &protected).is_some());
    }

    #[test]
    fn names_are_asked_for_by_nobody_but_the_filter() {
        let gateways = ["10.200.0.1".parse().unwrap()];
        let with = |dns: &[&str]| HostConfig { dns: dns.iter().map(|it| (*it).to_owned()).collect(), ..plain() };
        for (dns, api, resolv, pass_by) in [
            (&["10.200.0.1"][..], "1.48", "nameserver 127.0.0.53", false),
            (&["9.9.9.9"], "1.41", "", false),
            (&["127.0.0.53"], "1.41", "", true),
            (&[], "1.41", "nameserver 192.0.2.1\n", false),
            (&[], "1.41", "search a\nnameserver 192.0.2.1\nnameserver 127.0.0.53\n", true),
            (&[], "1.41", "nameserver ::1\n", true),
            (&[], "1.45", "nameserver 192.0.2.1\n", true),
            (&[], "2.0", "nameserver 192.0.2.1\n", true),
            (&[], "", "nameserver 192.0.2.1\n", true),
        ] {
            assert_eq!(names_pass_by(&with(dns), api, resolv, &gateways), pass_by, "{dns:?} {api} {resolv}");
        }
    }
}
