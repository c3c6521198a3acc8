//! What makes one command trust the authority, and nobody else: certificates in files of its own, variables that name them.
//!
//! Clients look for what they trust in many places. Most read the system's bundle, which is covered for the command alone
//! (see [`Trust::cover`]); the others are told by variables. What the caller's own variables named is trusted as before.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use outcall_schema::ca::{CaCertificate, bundle, certificate_pem};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mount::mount_bind;

use super::truststore;

/// Where the files are inside, where `/run` is the sandbox's own.
const DIRECTORY: &str = "/run/outcall";
/// The bundle in PEM, inside.
pub const BUNDLE: &str = "/run/outcall/ca-bundle.pem";
/// The trust store, inside.
pub const TRUSTSTORE: &str = "/run/outcall/truststore.p12";

/// Variables that name a file of certificates in PEM, each with the clients that read it.
const PEM_VARIABLES: [(&str, &str); 9] = [
    ("SSL_CERT_FILE", "OpenSSL, Go, Python, Ruby, rustls"),
    ("REQUESTS_CA_BUNDLE", "Python's requests, which has a bundle of its own"),
    ("CURL_CA_BUNDLE", "curl, where it was built without OpenSSL"),
    ("NODE_EXTRA_CA_CERTS", "Node"),
    ("GIT_SSL_CAINFO", "git"),
    ("PIP_CERT", "pip"),
    ("CARGO_HTTP_CAINFO", "cargo"),
    ("AWS_CA_BUNDLE", "the AWS command line and its libraries"),
    ("DENO_CERT", "Deno"),
];
const JAVA_VARIABLE: &str = "JAVA_TOOL_OPTIONS";

/// Where systems keep the bundle of what they trust.
const SYSTEM_BUNDLES: [&str; 8] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/var/lib/ca-certificates/ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/cacert.pem",
    "/usr/lib/ssl/cert.pem",
];

/// The largest bundle that is read: the usual one has 230 KiB.
const BUNDLE_MAX: u64 = 16 << 20;

/// The files that a command is to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    bundle: Vec<u8>,
    truststore: Vec<u8>,
}

impl Trust {
    /// The authority's certificates, then what the caller's variables name, then the system's; each once. Called outside
    /// the sandbox, with a look-up of the caller's variables.
    ///
    /// A file that cannot be read or is no bundle gives nothing: whoever reads it would not trust it either.
    pub fn gather(authority: &CaCertificate, variable: impl Fn(&str) -> Option<OsString>) -> Trust {
        let named = PEM_VARIABLES.iter().filter_map(|(name, _)| variable(name).map(PathBuf::from));
        let system = SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file());
        Trust::of(authority, named.chain(system))
    }

    fn of(authority: &CaCertificate, files: impl Iterator<Item = PathBuf>) -> Trust {
        let mut known = HashSet::new();
        let ours = authority.chain().map(<[u8]>::to_vec);
        let mut certificates: Vec<Vec<u8>> = Vec::new();
        for der in ours.chain(files.filter_map(|path| certificates_in(&path)).flatten()) {
            if known.insert(der.clone()) {
                certificates.push(der);
            }
        }
        let bundle = certificates.iter().map(|der| certificate_pem(der)).collect::<String>().into_bytes();
        Trust { bundle, truststore: truststore::pkcs12(&certificates) }
    }

    /// The bundle in PEM.
    pub fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// The same for Java: a trust store of PKCS #12 without a password.
    pub fn truststore(&self) -> &[u8] {
        &self.truststore
    }

    /// Both as open files in memory, to be handed to the process that sets the sandbox up: it must not have been forked
    /// after the authority's key was there.
    ///
    /// # Errors
    /// What memfd_create(2) and writing say.
    pub fn to_files(&self) -> io::Result<[OwnedFd; 2]> {
        let file = |content: &[u8]| {
            let mut file = File::from(memfd_create("outcall-trust", MemfdFlags::CLOEXEC)?);
            file.write_all(content)?;
            file.rewind()?;
            io::Result::Ok(OwnedFd::from(file))
        };
        Ok([file(&self.bundle)?, file(&self.truststore)?])
    }

    /// What [`Trust::to_files`] made.
    ///
    /// # Errors
    /// What reading says.
    pub fn from_files(files: [OwnedFd; 2]) -> io::Result<Trust> {
        let content = |file: OwnedFd| {
            let mut content = Vec::new();
            File::from(file).take(4 * BUNDLE_MAX).read_to_end(&mut content)?;
            io::Result::Ok(content)
        };
        let [bundle, truststore] = files;
        Ok(Trust { bundle: content(bundle)?, truststore: content(truststore)? })
    }

    /// Puts the files into this process's `/run` and the bundle over each of the system's. Called in a mount namespace of
    /// the sandbox's own, with a `/run` of its own: the host's files stay as they are.
    ///
    /// # Errors
    /// What the system says, with what was tried.
    pub fn cover(&self) -> io::Result<()> {
        let step = |what: String| move |error: io::Error| io::Error::new(error.kind(), format!("{what}: {error}"));
        if !Path::new("/run").is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no /run, where the certificates would be"));
        }
        fs::create_dir_all(DIRECTORY).map_err(step(format!("make {DIRECTORY}")))?;
        for (path, content) in [(BUNDLE, &self.bundle), (TRUSTSTORE, &self.truststore)] {
            fs::write(path, content).map_err(step(format!("write {path}")))?;
        }
        // Some of the paths are links to others: each file once.
        let targets: HashSet<PathBuf> = SYSTEM_BUNDLES
            .iter()
            .filter_map(|path| fs::canonicalize(path).ok())
            .filter(|path| path.is_file())
            .collect();
        for target in targets {
            mount_bind(BUNDLE, &target).map_err(|error| step(format!("cover {}", target.display()))(error.into()))?;
        }
        Ok(())
    }
}

/// The variables that tell the command's clients, with the caller's own to be added to.
///
/// Java takes options in a variable alone, and from the last of several: `-Djavax.net.ssl.trustStore` of the caller's own
/// loses.
pub fn environment(variable: impl Fn(&str) -> Option<OsString>) -> Vec<(&'static str, OsString)> {
    let mut set: Vec<(&str, OsString)> = PEM_VARIABLES.iter().map(|(name, _)| (*name, BUNDLE.into())).collect();
    let mut options = variable(JAVA_VARIABLE).filter(|options| !options.is_empty()).unwrap_or_default();
    if !options.is_empty() {
        options.push(" ");
    }
    options.push(format!("-Djavax.net.ssl.trustStore={TRUSTSTORE} -Djavax.net.ssl.trustStoreType=PKCS12"));
    set.push((JAVA_VARIABLE, options));
    set
}

fn certificates_in(path: &Path) -> Option<Vec<Vec<u8>>> {
    let found = fs::metadata(path).ok().filter(|found| found.is_file() && found.len() <= BUNDLE_MAX)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    File::open(path).ok()?.take(BUNDLE_MAX).read_to_end(&mut bytes).ok()?;
    // Bundles have comments in all encodings; the certificates are ASCII.
    bundle(&String::from_utf8_lossy(&bytes)).ok()
}

/// The names of all variables that [`environment`] sets.
pub fn variables() -> impl Iterator<Item = &'static OsStr> {
    PEM_VARIABLES.iter().map(|(name, _)| *name).chain([JAVA_VARIABLE]).map(OsStr::new)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::process::Command;
    use std::time::SystemTime;

    use outcall_schema::ca::{Algorithm, Authority, Wanted};

    use super::*;

    fn authority() -> CaCertificate {
        let wanted = Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now: SystemTime::now() };
        Authority::make(&wanted).unwrap().certificate
    }

    #[test]
    fn what_was_trusted_is_trusted_still_and_each_once() {
        let (ours, one, two) = (authority(), authority(), authority());
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = home.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let both = write("both", &[b"# \xe9\n", two.to_pem().as_bytes(), one.to_pem().as_bytes()].concat());
        let files = [
            write("one", one.to_pem().as_bytes()),
            both,
            write("broken", [0x2d; 9].as_slice()),
            home.path().join("nowhere"),
            home.path().to_owned(),
        ];
        let trust = Trust::of(&ours, files.into_iter());
        let expected = [ours.to_pem(), one.to_pem(), two.to_pem()].concat();
        assert_eq!(String::from_utf8(trust.bundle().to_vec()).unwrap(), expected);
        let again = Trust::from_files(trust.to_files().unwrap()).unwrap();
        assert_eq!(trust, again);
    }

    #[test]
    fn the_callers_own_variables_are_heeded() {
        let (ours, corporate) = (authority(), authority());
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("corporate.pem");
        fs::write(&path, corporate.to_pem()).unwrap();
        for (name, _) in PEM_VARIABLES {
            let variable = |asked: &str| (asked == name).then(|| path.clone().into_os_string());
            let trust = Trust::gather(&ours, variable);
            let text = String::from_utf8(trust.bundle().to_vec()).unwrap();
            assert!(text.starts_with(&ours.to_pem()) && text.contains(&corporate.to_pem()), "{name}");
        }
    }

    #[test]
    fn every_variable_is_set_and_javas_options_are_added_to() {
        let set: HashMap<&str, OsString> = environment(|_| None).into_iter().collect();
        assert_eq!(set.len(), 10);
        assert!(variables().all(|name| set.contains_key(name.to_str().unwrap())));
        assert_eq!(set["SSL_CERT_FILE"], BUNDLE);
        let set: HashMap<&str, OsString> =
            environment(|name| (name == JAVA_VARIABLE).then(|| "-Xmx1g".into())).into_iter().collect();
        let expected =
            "-Xmx1g -Djavax.net.ssl.trustStore=/run/outcall/truststore.p12 -Djavax.net.ssl.trustStoreType=PKCS12";
        assert_eq!(set[JAVA_VARIABLE], expected);
    }

    #[test]
    fn the_trust_store_is_one() {
        let home = tempfile::tempdir().unwrap();
        let (ours, other) = (authority(), authority());
        fs::write(home.path().join("other.pem"), other.to_pem()).unwrap();
        let trust = Trust::of(&ours, [home.path().join("other.pem")].into_iter());
        let path = home.path().join("truststore.p12");
        fs::write(&path, trust.truststore()).unwrap();
        let output = Command::new("openssl")
            .args(["pkcs12", "-nokeys", "-nomacver", "-passin", "pass:", "-in"])
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(bundle(&text).unwrap(), [ours.der().to_vec(), other.der().to_vec()]);
        assert!(text.contains("friendlyName: outcall-0"), "{text}");
        assert!(text.contains("2.16.840.1.113894.746875.1.1"), "what Java looks for: {text}");
    }
}
