//! A container as it was asked for: checked, with what rules see of it, and as the engine is told to make it.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Component, Path, PathBuf};

use outcall_schema::api::docker::{CAPABILITIES, ContainerCreate, MEMORY_BYTES_MIN};
use outcall_schema::facts::{Fact, Facts};
use serde_json::{Value, json};

use super::excess::capability;
use super::image::{Image, NO_IMAGE};
use super::profile;
use crate::host::agents::{Agent, check_name, without_replica};
use crate::kernel::link::mac_text;

/// The label of what was made here.
pub(super) const LABEL: &str = "outcall.agent";

/// The variables that tell clients of the proxy.
const PROXY_VARIABLES: [&str; 6] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// What is not asked for through it: a container's own.
const NO_PROXY: &str = "localhost,127.0.0.0/8,::1";

/// A container that can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) image: Image,
    command: Vec<String>,
    env: Vec<String>,
    env_keys: Vec<String>,
    volumes: Vec<String>,
    pub(super) mounts: Vec<Bind>,
    capabilities: Vec<String>,
    user: Option<String>,
    workdir: Option<String>,
    memory_bytes: u64,
    pids: u32,
}

/// What of the host, or which volume, is to be seen where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) source: Source,
    target: String,
    writable: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    Host(PathBuf),
    Volume(String),
}

/// Where a container is to be, and what it is given.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) agent: &'a Agent,
    pub(super) network: &'a str,
    /// Whether the network has IPv6.
    pub(super) v6: bool,
    pub(super) gateway: Ipv4Addr,
    pub(super) proxy_url: &'a str,
    /// What of the host it sees, and where; see [`super::given`].
    pub(super) given: &'a [(PathBuf, &'static str)],
    pub(super) trust_variables: &'a [(&'static str, OsString)],
    /// Whether the engine's own filter of system calls lets too much through.
    pub(super) filtered: bool,
}

impl Wanted {
    /// Checks what was asked for. Says why it cannot be.
    pub(super) fn read(asked: ContainerCreate) -> Result<Wanted, String> {
        let ContainerCreate { name, image, command, env, volumes, capabilities, user, workdir, memory_bytes, pids } =
            asked;
        check_name(&name).map_err(|error| error.to_string())?;
        if name.len() < 2 {
            return Err("a container's name has at least 2 letters".to_owned());
        }
        let image = Image::read(&image).ok_or_else(|| NO_IMAGE.to_owned())?;
        let mut env_keys = Vec::new();
        for variable in &env {
            let key = variable.split_once('=').map(|(key, _)| key).filter(|key| is_variable(key));
            let key = key.ok_or_else(|| format!("`{variable}` is no variable: write NAME=VALUE"))?;
            if env_keys.iter().any(|known| known == key) {
                return Err(format!("the variable {key} is given twice"));
            }
            env_keys.push(key.to_owned());
        }
        let mounts: Vec<Bind> = volumes.iter().map(|volume| bind(volume)).collect::<Result<_, _>>()?;
        let capabilities: Vec<String> = capabilities.iter().map(|added| capability(added)).collect();
        if let Some(more) = capabilities.iter().find(|added| !CAPABILITIES.contains(&added.as_str())) {
            return Err(format!("the capability {more} is more than an agent may have"));
        }
        let texts = command.iter().chain(&env).chain(&user).chain(&workdir);
        if texts.into_iter().any(|text| text.contains('\0')) {
            return Err("there is a NUL in it".to_owned());
        }
        if workdir.as_ref().is_some_and(|workdir| !workdir.starts_with('/')) {
            return Err("the directory that it begins in is a path from the root".to_owned());
        }
        if memory_bytes < MEMORY_BYTES_MIN || memory_bytes > i64::MAX as u64 {
            return Err(format!("it takes at least {MEMORY_BYTES_MIN} bytes of memory"));
        }
        if pids == 0 {
            return Err("it takes at least one process".to_owned());
        }
        Ok(Wanted {
            name,
            image,
            command,
            env,
            env_keys,
            volumes,
            mounts,
            capabilities,
            user,
            workdir,
            memory_bytes,
            pids,
        })
    }

    /// What rules see.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            agent_name: Fact::Known(without_replica(&self.name)),
            docker_image: Fact::Known(self.image.as_str()),
            docker_command: Fact::Known(&self.command),
            docker_volumes: Fact::Known(&self.volumes),
            docker_env_keys: Fact::Known(&self.env_keys),
            docker_capabilities: Fact::Known(&self.capabilities),
            ..Facts::default()
        }
    }

    /// What the engine is told.
    pub(super) fn body(&self, place: &Place<'_>) -> Value {
        let mut env: Vec<String> = Vec::new();
        let proxy = PROXY_VARIABLES.iter().map(|name| (*name, place.proxy_url.to_owned()));
        let none = ["NO_PROXY", "no_proxy"].map(|name| (name, NO_PROXY.to_owned()));
        let trust = place.trust_variables.iter().map(|(name, value)| (*name, value.to_string_lossy().into_owned()));
        for (name, value) in proxy.chain(none).chain(trust) {
            // What was asked for comes first: these are a help, and no part of the guard.
            if !self.env_keys.iter().any(|key| key == name) {
                env.push(format!("{name}={value}"));
            }
        }
        env.extend(self.env.iter().cloned());
        let mut mounts: Vec<Value> = self.mounts.iter().map(Bind::body).collect();
        let given = place.given.iter();
        mounts.extend(given.map(|(from, to)| mount("bind", &from.display().to_string(), to, false)));
        let agent = place.agent;
        let mac = mac_text(agent.mac);
        let mut addresses = json!({ "IPv4Address": agent.v4.to_string() });
        if let (true, Some(v6), Some(addresses)) = (place.v6, agent.v6, addresses.as_object_mut()) {
            addresses.insert("IPv6Address".to_owned(), v6.to_string().into());
        }
        let mut security = vec!["no-new-privileges".to_owned()];
        if place.filtered {
            security.push(profile::option());
        }
        let mut body = json!({
            "Image": self.image.as_str(),
            "Env": env,
            "Labels": { LABEL: self.name },
            // Engines before version 1.44 of the API take it here, later ones with the network.
            "MacAddress": mac,
            "HostConfig": {
                "NetworkMode": place.network,
                "Privileged": false,
                "CapDrop": ["ALL"],
                "CapAdd": self.capabilities,
                "SecurityOpt": security,
                "PidsLimit": self.pids,
                "Memory": self.memory_bytes,
                "MemorySwap": self.memory_bytes,
                "IpcMode": "private",
                "Dns": [place.gateway.to_string()],
                "RestartPolicy": { "Name": "no" },
                "Mounts": mounts,
            },
            "NetworkingConfig": {
                "EndpointsConfig": { place.network: { "IPAMConfig": addresses, "MacAddress": mac } },
            },
        });
        if let Some(members) = body.as_object_mut() {
            if !self.command.is_empty() {
                members.insert("Cmd".to_owned(), json!(self.command));
            }
            for (name, value) in [("User", &self.user), ("WorkingDir", &self.workdir)] {
                if let Some(value) = value {
                    members.insert(name.to_owned(), json!(value));
                }
            }
        }
        body
    }
}

impl Bind {
    fn body(&self) -> Value {
        match &self.source {
            Source::Host(path) => mount("bind", &path.display().to_string(), &self.target, self.writable),
            Source::Volume(name) => mount("volume", name, &self.target, self.writable),
        }
    }
}

fn mount(kind: &str, source: &str, target: &str, writable: bool) -> Value {
    let mut mount = json!({ "Type": kind, "Source": source, "Target": target, "ReadOnly": !writable });
    if let (Some(members), "bind") = (mount.as_object_mut(), kind) {
        // What the host mounts below later is not seen, nor the other way round.
        members.insert("BindOptions".to_owned(), json!({ "Propagation": "rprivate" }));
    }
    mount
}

fn is_variable(key: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    key.bytes().next().is_some_and(|first| word(first) && !first.is_ascii_digit()) && key.bytes().all(word)
}

/// Reads `SOURCE:TARGET` with an optional `:ro` or `:rw`.
fn bind(text: &str) -> Result<Bind, String> {
    let wrong = || {
        format!("`{text}` is no volume: write SOURCE:TARGET or SOURCE:TARGET:ro, with whole paths or a volume's name")
    };
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, writable) = match parts.as_slice() {
        [source, target] | [source, target, "rw"] => (*source, *target, true),
        [source, target, "ro"] => (*source, *target, false),
        _ => return Err(wrong()),
    };
    // With `..` or control characters a path reads as another than it is.
    let plain = |path: &str| {
        let parts = Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        path.starts_with('/') && parts && !path.contains(|c: char| c.is_control() || c == ',')
    };
    let source = match source {
        path if plain(path) => Source::Host(path.into()),
        name if check_name(name).is_ok() && name.len() > 1 => Source::Volume(name.to_owned()),
        _ => return Err(wrong()),
    };
    if !plain(target) || target == "/" {
        return Err(wrong());
    }
    Ok(Bind { source, target: target.to_owned(), writable })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::agents::Origin;

    fn asked() -> ContainerCreate {
        serde_json::from_value(json!({ "name": "worker-1", "image": "debian:12" })).unwrap()
    }

    #[test]
    fn a_container_has_no_more_rights_than_it_was_given_and_a_way_through_the_proxy() {
        let asked = ContainerCreate {
            command: vec!["sh".into(), "-c".into(), "true".into()],
            env: vec!["TOKEN=a=b".into(), "https_proxy=http://other".into()],
            volumes: vec!["/srv/data:/data:ro".into(), "cache:/cache".into()],
            capabilities: vec!["cap_chown".into()],
            user: Some("1000:1000".into()),
            ..asked()
        };
        let wanted = Wanted::read(asked).unwrap();
        assert_eq!(wanted.facts().agent_name, Fact::Known("worker"));
        assert_eq!(wanted.facts().docker_env_keys.known().unwrap(), ["TOKEN", "https_proxy"]);
        assert_eq!(wanted.facts().docker_capabilities.known().unwrap(), ["CHOWN"]);
        let agent = Agent {
            name: "worker-1".into(),
            origin: Origin::Container(String::new()),
            port: "oc0ac80002".into(),
            mac: [2, 0x6f, 10, 200, 0, 2],
            v4: Ipv4Addr::new(10, 200, 0, 2),
            v6: Some("fd00::2".parse().unwrap()),
            attached_at: String::new(),
        };
        let body = wanted.body(&Place {
            agent: &agent,
            network: "outcall",
            v6: true,
            gateway: Ipv4Addr::new(10, 200, 0, 1),
            proxy_url: "http://10.200.0.1:8080",
            given: &[("/var/lib/outcall/docker/run".into(), "/run/outcall")],
            trust_variables: &[("SSL_CERT_FILE", "/run/outcall/ca-bundle.pem".into())],
            filtered: true,
        });
        let host = &body["HostConfig"];
        assert_eq!(host["CapDrop"], json!(["ALL"]));
        assert_eq!(host["CapAdd"], json!(["CHOWN"]));
        assert_eq!(host["SecurityOpt"], json!(["no-new-privileges", profile::option()]));
        assert_eq!(
            (&host["Privileged"], &host["PidsLimit"], &host["Memory"]),
            (&json!(false), &json!(512), &json!(1 << 30))
        );
        assert_eq!(host["Dns"], json!(["10.200.0.1"]));
        for member in ["PidMode", "UTSMode", "UsernsMode", "Devices", "Binds", "PortBindings"] {
            assert!(host.get(member).is_none(), "{member}");
        }
        let places = &body["NetworkingConfig"]["EndpointsConfig"]["outcall"];
        assert_eq!(places["IPAMConfig"], json!({ "IPv4Address": "10.200.0.2", "IPv6Address": "fd00::2" }));
        assert_eq!(
            (&body["MacAddress"], &places["MacAddress"]),
            (&json!("02:6f:0a:c8:00:02"), &json!("02:6f:0a:c8:00:02"))
        );
        let env: Vec<&str> = body["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(
            env.contains(&"HTTP_PROXY=http://10.200.0.1:8080")
                && env.contains(&"SSL_CERT_FILE=/run/outcall/ca-bundle.pem")
        );
        assert!(env.contains(&"https_proxy=http://other") && !env.contains(&"https_proxy=http://10.200.0.1:8080"));
        let mounts = host["Mounts"].as_array().unwrap();
        assert_eq!(mounts.len(), 3);
        let read_only: Vec<bool> = mounts.iter().filter_map(|it| it["ReadOnly"].as_bool()).collect();
        assert_eq!(read_only, [true, false, true]);
    }

    #[test]
    fn what_cannot_be_or_reads_in_two_ways_is_refused() {
        let with = |change: &dyn Fn(&mut ContainerCreate)| {
            let mut asked = asked();
            change(&mut asked);
            Wanted::read(asked)
        };
        assert!(with(&|_| {}).is_ok());
        for volume in [
            "/a",
            "a:b",
            "/a:b",
            "./a:/b",
            "/a/../etc:/b",
            "/a:/b:rw:z",
            "/a:/b:z",
            "/a:/",
            "/a:/b/..",
            ":/b",
            "/a:",
            "/a\n:/b",
            "/a,b:/c",
            "",
        ] {
            assert!(with(&|asked| asked.volumes = vec![volume.into()]).is_err(), "{volume:?}");
        }
        for variable in ["", "=a", "a", "1a=b", "a b=c", "a-b=c", "A=\0"] {
            assert!(with(&|asked| asked.env = vec![variable.into()]).is_err(), "{variable:?}");
        }
        for capability in ["ALL", "NET_ADMIN", "SYS_ADMIN", "", "CAP_CAP_CHOWN"] {
            assert!(with(&|asked| asked.capabilities = vec![capability.into()]).is_err(), "{capability:?}");
        }
        assert!(with(&|asked| asked.env = vec!["A=1".into(), "A=2".into()]).is_err());
        assert!(with(&|asked| asked.name = "a".into()).is_err());
        assert!(with(&|asked| asked.name = "../a".into()).is_err());
        assert!(with(&|asked| asked.memory_bytes = 0).is_err());
        assert!(with(&|asked| asked.pids = 0).is_err());
        assert!(with(&|asked| asked.workdir = Some("a".into())).is_err());
        assert!(with(&|asked| asked.command = vec!["\0".into()]).is_err());
    }
}
