//! What users would pick instead of Outcall, put through the techniques of `outcall verify`.
//!
//! A peer is a script in `tests/adversarial/peers` that installs, configures and starts one product; the agent, the
//! techniques and the world are those of `outcall verify`. Nobody else keeps our log or our counters, so the verdict rests
//! on what arrived outside and on what the agent says against the product. What a product has no notion of does not apply to it.

pub mod needs;
mod stand;
pub mod table;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use outcall_verify::helper::Helper;
use outcall_verify::outside;
use outcall_verify::prelude::FRONT_WEB;
use outcall_verify::technique::{Expect, Places, Technique};
use outcall_verify::world::event::{Event, Packet};
use outcall_verify::world::zone;

use needs::{Need, is_ours};
use stand::Stand;

/// A product beside ours.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The name of its script.
    pub name: String,
    /// The script.
    pub script: PathBuf,
    /// Its version, as it says itself.
    pub version: String,
    /// How it was configured, in a few sentences.
    pub about: String,
    /// Whether it starts the agent itself; a proxy is started beside it.
    pub wraps: bool,
    /// What it has a notion of.
    pub has: Vec<Need>,
}

/// What came of one technique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing arrived that must not, and all that must.
    Passed,
    /// Something arrived that must not.
    Leaked(Vec<String>),
    /// What must pass did not.
    Blocked(Vec<String>),
    /// Why it does not apply.
    Foreign(String),
}

/// A column of the table.
#[derive(Debug)]
pub struct Column {
    /// Its head.
    pub name: String,
    /// Its version.
    pub version: String,
    /// How it was configured.
    pub about: String,
    /// What came of each technique, or why the product does not run here.
    pub rows: Result<Vec<(&'static str, Verdict)>, String>,
    /// The techniques during which the product ended of itself. It was started anew for the next one.
    pub ended: Vec<&'static str>,
}

/// How long after a technique what should have arrived is waited for.
const LATE: Duration = Duration::from_secs(2);
/// Between two looks.
const MOMENT: Duration = Duration::from_millis(100);

impl Peer {
    /// Asks a script what it is the script of.
    ///
    /// # Errors
    /// What it says when it fails.
    pub fn read(script: &Path) -> Result<Peer, String> {
        let ask = |what: &str| {
            let output = Command::new(script).arg(what).output().map_err(|error| format!("{what}: {error}"))?;
            if !output.status.success() {
                return Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim()));
            }
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.split_whitespace().collect::<Vec<_>>().join(" "))
        };
        let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let has = ask("has")?.split(' ').filter(|word| !word.is_empty()).map(Need::read).collect::<Result<_, _>>()?;
        let wraps = ask("kind")? == "wrapper";
        Ok(Peer { name, script: script.to_owned(), version: ask("version")?, about: ask("about")?, wraps, has })
    }

    /// Puts it through the techniques.
    pub fn run(&self, helper: &Helper, outcall: &Path, techniques: &[&'static Technique]) -> Column {
        let mut ended = Vec::new();
        let rows = self.try_all(helper, outcall, techniques, &mut ended);
        Column { name: self.name.clone(), version: self.version.clone(), about: self.about.clone(), rows, ended }
    }

    fn try_all(
        &self,
        helper: &Helper,
        outcall: &Path,
        techniques: &[&'static Technique],
        ended: &mut Vec<&'static str>,
    ) -> Result<Vec<(&'static str, Verdict)>, String> {
        let mut stand = Stand::start(self, helper, outcall)?;
        let mut seen = Seen::default();
        seen.warm(&mut stand)?;
        let mut rows: Vec<(&'static str, Verdict)> = Vec::new();
        for technique in techniques {
            let mut verdict = self.attempt(&mut stand, &mut seen, technique)?;
            if stand.has_ended() {
                // It may have died of what was tried before, a moment later: then this says nothing of this one.
                let before = rows.last().map(|(id, _)| *id).filter(|_| matches!(verdict, Verdict::Blocked(_)));
                stand.start_again()?;
                seen.warm(&mut stand)?;
                if before.is_some() {
                    verdict = self.attempt(&mut stand, &mut seen, technique)?;
                }
                if before.is_some() && stand.has_ended() {
                    stand.start_again()?;
                    seen.warm(&mut stand)?;
                    ended.push(technique.id);
                } else {
                    ended.push(before.unwrap_or(technique.id));
                }
            }
            rows.push((technique.id, verdict));
        }
        Ok(rows)
    }

    fn attempt(&self, stand: &mut Stand, seen: &mut Seen, technique: &'static Technique) -> Result<Verdict, String> {
        if matches!(technique.places, Places::Host | Places::Container) {
            return Ok(Verdict::Foreign("needs rights that its agents do not get".to_owned()));
        }
        let said = stand.attempt(technique.id)?;
        let applies = needs::applies(technique, &self.has);
        let expect = &technique.expect;
        let (mut events, mut packets) = (Vec::new(), Vec::new());
        let until = Instant::now() + LATE;
        let faults = loop {
            let (more, sent) = seen.gather(stand)?;
            let quiet = more.is_empty() && sent.is_empty();
            events.extend(more);
            packets.extend(sent);
            let (events, packets) = pardoned(technique, expect, events.clone(), packets.clone());
            let mut faults = outside::faults(expect, events, packets, &seen.before);
            faults.retain(|fault| missing(fault).is_none_or(|what| needs::is_to_arrive(technique, &self.has, what)));
            if (faults.is_empty() && quiet) || Instant::now() > until {
                break faults;
            }
            std::thread::sleep(MOMENT);
        };
        seen.before.extend(events.iter().filter_map(|event| match event {
            Event::Connection { to } => Some((to.ip(), to.port())),
            _ => None,
        }));
        if !faults.is_empty() {
            eprintln!("{}: {}: {faults:?} of {events:?}", self.name, technique.id);
        }
        let (lost, mut leaked): (Vec<String>, Vec<String>) = faults.into_iter().partition(|it| missing(it).is_some());
        let got = said.as_ref().map(Vec::as_slice).unwrap_or_default();
        leaked.extend(got.iter().map(|what| format!("the agent got hold of {what}")));
        Ok(match (leaked.is_empty(), applies, said) {
            (false, _, _) => Verdict::Leaked(leaked),
            (true, Err(why), _) | (true, Ok(()), Err(why)) => Verdict::Foreign(why),
            (true, Ok(()), Ok(_)) if !lost.is_empty() => Verdict::Blocked(lost),
            _ => Verdict::Passed,
        })
    }
}

/// What should have arrived, where that is what a fault says.
fn missing(fault: &str) -> Option<&str> {
    fault.strip_prefix("this did not arrive: ")
}

/// Without what is no more than a product's way to do what it may: to ask for a name that is allowed, to connect to an allowed
/// site and greet it before it has read the request, to name the usual port, and to put a request that we would refuse as
/// ambiguous into a form that is allowed and means one thing.
fn pardoned(
    technique: &Technique,
    expect: &Expect,
    events: Vec<Event>,
    packets: Vec<Packet>,
) -> (Vec<Event>, Vec<Packet>) {
    let proxied = needs::through_proxy(technique);
    let front = |ip: IpAddr, port: u16| proxied && FRONT_WEB.contains(&(ip, port));
    let mut greetings: Vec<&str> = expect.arrives.to_vec();
    let events = events.into_iter().filter_map(|event| match event {
        Event::Query { ref name, .. } if is_ours(name) => None,
        Event::Connection { to } if front(to.ip(), to.port()) => None,
        Event::Tls { sni: Some(ref sni), .. } if proxied && is_ours(sni) => {
            let greeting = format!("tls {sni}");
            let at = greetings.iter().position(|expected| *expected == greeting)?;
            greetings.remove(at);
            Some(event)
        }
        Event::Http { to, sni, head, body } => {
            let head = head.replace(&format!(":{}\r\n", to.port()), "\r\n");
            let event = Event::Http { to, sni, head, body };
            let short = event.short().unwrap_or_default();
            (expect.arrives.contains(&short.as_str()) || !plainly_allowed(&event)).then_some(event)
        }
        other => Some(other),
    });
    let packets = packets.into_iter().filter(|packet| packet.protocol != "tcp" || !front(packet.to, packet.port));
    (events.collect(), packets.collect())
}

/// Whether a request is one that the technique policy allows, in a form that nobody reads in another way.
fn plainly_allowed(event: &Event) -> bool {
    let Event::Http { to, sni, head, .. } = event else { return false };
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
    let request: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, path, "HTTP/1.0" | "HTTP/1.1" | "HTTP/2.0"] = request.as_slice() else { return false };
    let fields: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim())))
        .collect();
    let of = |name: &str| fields.iter().filter(|(is, _)| is == name).map(|(_, value)| *value).collect::<Vec<&str>>();
    let shown = path.bytes().all(|byte| (b'!'..=b'~').contains(&byte));
    let hosts = of("host");
    let framed = match (of("content-length").as_slice(), of("transfer-encoding").as_slice()) {
        ([], [] | ["chunked"]) => true,
        ([length], []) => !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    let clean = head.split("\r\n").all(|line| !line.contains(['\r', '\n', '\0']) && !line.starts_with([' ', '\t']))
        && fields.iter().all(|(name, _)| !name.is_empty() && !name.contains([' ', '\t']));
    let within = shown && path.starts_with("/ok/") && !path.contains(['%', '\\', '#']) && !path.contains("/.");
    let allowed = match (hosts.as_slice(), sni.as_deref(), to.port()) {
        (["allowed.test"], None, 80) | (["allowed.test"], Some("allowed.test"), 443) => shown,
        ([host], None, 80) if needs::is_whole(host) => shown,
        (["paths.wild.test"], None, 80) | (["modern.test"], Some("modern.test"), 443) => *method == "GET" && within,
        _ => false,
    };
    allowed && framed && clean
}

/// How much of what is seen from outside has been looked at.
#[derive(Default)]
struct Seen {
    events: usize,
    packets: Vec<Packet>,
    before: BTreeSet<(IpAddr, u16)>,
}

impl Seen {
    /// Has a product do once what it does slowly the first time, such as certificates: that is not what is judged.
    fn warm(&mut self, stand: &mut Stand) -> Result<(), String> {
        for id in ["inside-refused-path", "allowed-http"] {
            stand.attempt(id)?.ok();
        }
        let (events, _) = self.gather(stand)?;
        self.before.extend(events.iter().filter_map(|event| match event {
            Event::Connection { to } => Some((to.ip(), to.port())),
            _ => None,
        }));
        Ok(())
    }

    /// What came since the last time.
    fn gather(&mut self, stand: &mut Stand) -> Result<(Vec<Event>, Vec<Packet>), String> {
        let (events, packets) = (stand.world.events_now()?, stand.world.packets()?);
        let more = events.get(self.events..).unwrap_or_default().to_vec();
        let mut sent = outside::since(&self.packets, &packets);
        sent.retain(|packet| packet.port != 53 || packet.to != IpAddr::V4(zone::DNS_V4));
        self.events = events.len();
        self.packets = packets;
        Ok((more, sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_and_means_one_thing_is_pardoned() {
        let to = |port| std::net::SocketAddr::from(([93, 184, 216, 34], port));
        let check = |port, head: &str, expected: bool| {
            let sni = (port == 443).then(|| "modern.test".to_owned());
            let event = Event::Http { to: to(port), sni, head: head.to_owned(), body: String::new() };
            assert_eq!(plainly_allowed(&event), expected, "{head:?}");
        };
        check(80, "GET / HTTP/1.1\r\nHost: allowed.test\r\n\r\n", true);
        check(80, "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n", false);
        check(80, "GET / HTTP/1.1\r\nHost: allowed.test\r\nHost: evil.test\r\n\r\n", false);
        check(
            80,
            "GET / HTTP/1.1\r\nHost: allowed.test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            false,
        );
        check(80, "GET / HTTP/1.1\r\nHost: allowed.test\r\nX: a\nY: b\r\n\r\n", false);
        check(80, "GET /ok/a HTTP/1.1\r\nHost: paths.wild.test\r\n\r\n", true);
        check(80, "GET /ok/%2e%2e/a HTTP/1.1\r\nHost: paths.wild.test\r\n\r\n", false);
        check(80, "POST /ok/a HTTP/1.1\r\nHost: paths.wild.test\r\n\r\n", false);
        check(443, "GET /ok/a HTTP/2.0\r\nhost: modern.test\r\n\r\n", true);
        check(443, "GET /no HTTP/2.0\r\nhost: modern.test\r\n\r\n", false);
    }
}
