//! The world itself: it answers, it logs, and it cannot be left.
#![cfg(test)]

use outcall_tests::fixtures::{Event, World, zone};

fn out(command: &mut std::process::Command) -> String {
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_internet_answers_over_both_families_and_logs_what_it_got() {
    let mut world = World::new();
    for (server, kind, expected) in [
        (zone::DNS_V4.to_string(), "A", zone::CDN_V4.to_string()),
        (zone::DNS_V6.to_string(), "AAAA", zone::CDN_V6.to_string()),
    ] {
        let server = format!("@{server}");
        let dig = out(world.command("dig", 20).args(["+short", &server, "allowed.test", kind]));
        assert_eq!(dig.trim(), expected);
        let site = format!("allowed.test:443:{}", if kind == "A" { expected } else { format!("[{expected}]") });
        let curl = out(world.command("curl", 20).args(["-sS", "--resolve", &site, "https://allowed.test/hello"]));
        assert!(curl.contains("saw GET /hello for allowed.test with 0 bytes"), "{curl}");
        let target = if kind == "A" { zone::CDN_V4.to_string() } else { zone::CDN_V6.to_string() };
        let echo = format!("printf hello | nc -N -w 5 {target} {}", zone::ECHO_PORT);
        assert_eq!(out(world.command("sh", 20).args(["-c", &echo])), "hello");
    }
    let events = world.events();
    let queries: Vec<&str> = events
        .iter()
        .filter_map(|event| if let Event::Query { kind, .. } = event { Some(kind.as_str()) } else { None })
        .collect();
    assert_eq!(queries, ["A", "AAAA"]);
    let heads = events.iter().filter(|event| {
        matches!(event, Event::Http { head, sni: Some(sni), .. } if head.starts_with("GET /hello HTTP/1.1\r\n") && sni == "allowed.test")
    });
    assert_eq!(heads.count(), 2);
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Bytes { text, .. } if text == "hello")).count(), 2);
}

#[test]
fn any_address_is_the_internets_and_each_packet_is_counted() {
    let mut world = World::new();
    let script = "printf x | nc -u -w 1 203.0.113.9 999; ping -c 2 -i 0.2 -W 1 198.51.100.1 >/dev/null; \
                  ping -c 1 -W 1 2001:4860::1 >/dev/null; curl -sS http://45.33.32.156:8080/any";
    let shown = out(world.command("sh", 30).args(["-c", script]));
    assert!(shown.contains("upstream 45.33.32.156:8080 saw GET /any"), "{shown}");
    let packets = world.packets();
    let count = |protocol: &str, to: &str, port: u16| {
        packets
            .iter()
            .filter(|packet| packet.protocol == protocol && packet.to.to_string() == to && packet.port == port)
            .map(|packet| packet.count)
            .sum::<u64>()
    };
    assert_eq!(count("udp", "203.0.113.9", 999), 1, "{packets:?}");
    assert_eq!(count("icmp", "198.51.100.1", 0), 2, "{packets:?}");
    assert_eq!(count("icmpv6", "2001:4860::1", 0), 1, "{packets:?}");
    assert!(count("tcp", "45.33.32.156", 8080) > 3, "{packets:?}");
}

#[test]
fn nothing_leaves_the_world() {
    let world = World::new();
    let links = out(world.command("ip", 10).args(["-brief", "link"]));
    let names: Vec<&str> = links.lines().filter_map(|line| line.split(['@', ' ']).next()).collect();
    assert_eq!(names, ["lo", "up0"], "only the loopback and the cable are there");
}
