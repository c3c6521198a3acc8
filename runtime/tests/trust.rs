//! What a command comes to trust, in a mount namespace of its own: the system's bundle as clients find it by themselves, the
//! files that variables name, and nothing of it outside.
//!
//! The one test starts this very program again inside new namespaces, where it is told by a variable what to do.
#![expect(clippy::unwrap_used, reason = "a test stops where its fixtures cannot be set up")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use outcall_runtime::intercept::{LeafTtl, Leaves, Trust, trust};
use outcall_schema::ca::{Algorithm, Authority, CaCertificate, Issuer, Wanted, certificate_pem};
use outcall_schema::host::Host;
use rustix::mount::{MountFlags, mount};

const INSIDE: &str = "OUTCALL_TEST_TRUST_INSIDE";
/// Where clients look by themselves: a file, and what is a link to it on some systems.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";
const LINK: &str = "/etc/ssl/cert.pem";

fn made() -> Authority {
    Authority::make(&Wanted { algorithm: Algorithm::EcdsaP256, domains: Vec::new(), now: SystemTime::now() }).unwrap()
}

#[test]
fn the_command_trusts_the_authority_and_nobody_else_does() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let bundles = || [SYSTEM, LINK].map(|path| fs::read(path).ok());
    let before = bundles();
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_command_trusts_the_authority_and_nobody_else_does", "--nocapture"])
        .env(INSIDE, "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(before, bundles());
    assert!(!Path::new("/run/outcall/ca-bundle.pem").exists());
}

fn inside() {
    let over = |path: &str| mount("tmpfs", path, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None).unwrap();
    // OpenSSL's own settings are there too on some systems.
    let settings = fs::read("/etc/ssl/openssl.cnf").ok();
    over("/run");
    over("/etc/ssl");
    if let Some(settings) = settings {
        fs::write("/etc/ssl/openssl.cnf", settings).unwrap();
    }
    fs::create_dir("/etc/ssl/certs").unwrap();
    let (ours, system) = (made(), made().certificate);
    fs::write(SYSTEM, system.to_pem()).unwrap();
    std::os::unix::fs::symlink(SYSTEM, LINK).unwrap();

    let gathered = Trust::gather(&ours.certificate, |_| None);
    Trust::from_files(gathered.to_files().unwrap()).unwrap().cover().unwrap();
    let expected = [ours.certificate.to_pem(), system.to_pem()].concat();
    for path in [SYSTEM, LINK, "/run/outcall/ca-bundle.pem"] {
        assert_eq!(fs::read_to_string(path).unwrap(), expected, "{path}");
    }
    check_clients(ours, &system);
}

fn check_clients(ours: Authority, system: &CaCertificate) {
    let leaves = Leaves::new(Issuer::new(ours).unwrap(), LeafTtl::default()).unwrap();
    let leaf = leaves.leaf(&Host::parse("a.example").unwrap()).unwrap();
    fs::write("/run/leaf.crt", certificate_pem(leaf.certified_key().end_entity_cert().unwrap())).unwrap();
    let run = |program: &str, arguments: &[&str], variables: bool| {
        let mut command = Command::new(program);
        command.args(arguments).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").stdin(Stdio::null());
        if variables {
            command.envs(trust::environment(|_| None));
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
        said
    };
    let verify = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "a.example", "/run/leaf.crt"];
    run("openssl", &verify, true);
    let python = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))";
    assert_eq!(run("python3", &["-I", "-c", python], true).trim(), "2");
    // Those that know no variable: each names the file that its distribution gives it.
    let named = [&verify[..1], &["-CAfile", SYSTEM], &verify[1..]].concat();
    run("openssl", &named, false);
    assert!(system.permits(&Host::parse("a.example").unwrap()));
    // Java is no part of the tests' requirements; where it is installed, it has its say.
    if Path::new("/usr/bin/javac").exists() {
        fs::write("/run/Trusted.java", JAVA).unwrap();
        let said = run("java", &["/run/Trusted.java"], true);
        assert!(said.contains("trusted: 2"), "{said}");
    }
}

/// How many authorities Java's TLS trusts when nobody tells it otherwise.
const JAVA: &str = r#"
import javax.net.ssl.*;
public class Trusted {
    public static void main(String[] arguments) throws Exception {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init((java.security.KeyStore) null);
        X509TrustManager manager = (X509TrustManager) factory.getTrustManagers()[0];
        System.out.println("trusted: " + manager.getAcceptedIssuers().length);
    }
}
"#;
