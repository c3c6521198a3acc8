//! A name, a network or a port that somebody else has.

use outcall_tests::fixtures::host::Host;

use super::{check_closed, check_does_not_start, check_served, policy, stop};

/// The rules in the kernel that name a link.
fn rules_about(host: &Host, link: &str) -> usize {
    host.sh("nft list ruleset").matches(&format!("\"{link}\"")).count()
}

#[test]
fn a_name_that_something_else_has_is_refused_and_what_has_it_is_left_alone() {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    for (made, name, why) in [
        ("ip link add taken type veth", "taken", "there is an interface `taken` already, and it is no bridge"),
        ("ip link add far type veth peer name near", "far", "there is an interface `far` already"),
        (
            "ip link add br-lan type bridge; ip addr add 192.168.7.1/24 dev br-lan; ip link set br-lan up",
            "br-lan",
            "there is a bridge `br-lan` already, and it is not ours: it has the address 192.168.7.1",
        ),
        (
            "ip link add br-two type bridge; ip link add port0 type veth; ip link set port0 master br-two",
            "br-two",
            "it is not ours: port0 is on it",
        ),
    ] {
        host.sh(made);
        let before = host.sh(&format!("ip addr show dev {name}"));
        host.set_options(&["--bridge", name]);
        check_does_not_start(&mut host, why);
        assert_eq!(host.sh(&format!("ip addr show dev {name}")), before, "{name}");
        assert_eq!(rules_about(&host, name), 0, "{name} is not cut off");
    }
    // One that nobody uses yet is as good as none.
    host.sh("ip link del outcall0; ip link add spare type bridge");
    host.set_options(&["--bridge", "spare"]);
    host.start();
    let agent = host.attach("worker");
    check_served(&host, &agent);
    // Taken while it runs: it says so, and makes its own again once the name is free.
    host.sh("ip link del spare; ip link add spare type veth");
    let taken = host.outcall(&["bridge", "up"]);
    assert!(taken.status == 1 && taken.stderr.contains("it is no bridge"), "{taken}");
    check_closed(&mut host, &agent);
    host.sh("ip link del spare");
    let up = host.outcall(&["bridge", "up"]);
    assert!(up.status == 0 && up.stdout.contains("spare, up"), "{up}");
}

#[test]
fn a_network_that_another_interface_has_is_refused_by_its_name() {
    let mut host = Host::new(&policy("a"));
    let agent = host.attach("worker");
    stop(&mut host);
    for address in ["10.200.9.1/24", "10.0.0.1/8", "fd6f:7574:6361:6c6c::9/64"] {
        host.sh(&format!("ip link add other0 type veth; ip addr add {address} dev other0 nodad"));
        check_does_not_start(&mut host, &format!("is in use: other0 has {address}"));
        check_closed(&mut host, &agent);
        host.sh("ip link del other0");
    }
    host.sh("ip link add other0 type veth; ip addr add 10.200.9.1/24 dev other0");
    host.set_options(&["--subnet", "10.77.0.0/16"]);
    host.start();
    assert!(host.outcall(&["bridge", "status"]).stdout.contains("10.77.0.1/16"));
    // The agent's address is none of this network's: it is no agent here, and is attached anew.
    assert!(host.outcall(&["netns", "list"]).stdout.contains("no agents"));
    check_closed(&mut host, &agent);
}

#[test]
fn a_port_that_another_process_listens_on_is_said_and_nothing_is_open() {
    let mut host = Host::new(&policy("a"));
    let agent = host.attach("worker");
    stop(&mut host);
    for (kind, port, address) in
        [("SOCK_DGRAM", 53, "0.0.0.0"), ("SOCK_STREAM", 53, "10.200.0.1"), ("SOCK_STREAM", 8080, "0.0.0.0")]
    {
        let script = format!(
            "import socket, sys\ns = socket.socket(socket.AF_INET, socket.{kind})\ns.bind(('{address}', {port}))\nif s.type == socket.SOCK_STREAM: s.listen()\nprint('bound', flush=True)\nsys.stdin.read()"
        );
        let mut command = host.world.command("/usr/bin/python3", 120);
        command.args(["-I", "-c", &script]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut other = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(other.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "bound\n");
        check_does_not_start(&mut host, &format!("cannot listen on 10.200.0.1:{port}: Address already in use"));
        check_closed(&mut host, &agent);
        drop(other.stdin.take());
        other.wait().unwrap();
    }
    host.start();
    check_served(&host, &agent);
}

/// nft looks up names of protocols and services there; a minimal system and an image of one program have neither file.
#[test]
fn a_system_without_the_names_of_protocols_and_services_is_guarded_all_the_same() {
    let mut host = Host::new(&policy("a"));
    stop(&mut host);
    let every = ["icmp", "igmp", "tcp", "udp", "dccp", "gre", "esp", "ah", "icmpv6", "sctp", "udplite"];
    let direct: String = every
        .iter()
        .map(|name| {
            format!(
                "  - {{ id: {name}, action: allow, condition: 'network.protocol == \"{name}\" && network.ip == \"192.0.2.7\"', egress: {{ mode: direct_ip }} }}\n"
            )
        })
        .collect();
    host.compile(&(policy("a") + &direct));
    let bare = "mount --make-rprivate /; for file in protocols services; do mount --bind /dev/null /etc/$file; done; exec \"$@\"";
    host.start_through(&["unshare", "--mount", "sh", "-c", bare, "sh"]);
    host.start();
    let agent = host.attach("worker");
    check_served(&host, &agent);
    let table = host.sh("nft list table inet outcall");
    assert!(every.iter().all(|name| table.contains(&format!("counter name \"rule_{name}\""))), "{table}");
}
