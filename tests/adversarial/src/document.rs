//! The table of techniques as text: `tests/adversarial/README.md`, and what `outcall verify --list` prints.

use std::fmt::Write as _;

use crate::mutations::{MUTATIONS, UNSHOWN};
use crate::table;
use crate::technique::{Act, Expect, Family, Places, Say, Step, Technique, To};

/// The page.
pub fn page() -> String {
    let mut page = String::from(BEGINNING);
    let of = |family: Family| table::techniques().filter(move |technique| technique.family == family);
    for family in Family::ALL {
        let _ = writeln!(page, "\n## {}\n", family.title());
        for technique in of(family) {
            section(&mut page, technique);
        }
    }
    page.push_str(MUTATED);
    for mutation in MUTATIONS {
        let failing: Vec<String> = mutation.must_fail.iter().map(|id| format!("`{id}`")).collect();
        let places: Vec<&str> = mutation.places.iter().map(|place| place.name()).collect();
        let (id, what) = (mutation.id, mutation.what);
        let _ = writeln!(page, "| `{id}` | {what} | {} | {} |", places.join(", "), failing.join(", "));
    }
    if !UNSHOWN.is_empty() {
        page.push_str(NONE);
    }
    for (id, why) in UNSHOWN {
        let _ = writeln!(page, "| `{id}` | {why} |");
    }
    page
}

/// One line a technique.
pub fn list() -> String {
    let mut text = String::new();
    for technique in table::techniques() {
        let _ = writeln!(text, "{:<8} {:<28} {}", technique.family.name(), technique.id, technique.name);
    }
    text
}

const BEGINNING: &str = "<!-- Printed from the table of techniques: `UPDATE_GOLDEN=1 cargo test -p outcall-verify` -->
# Techniques

What `outcall verify` has an agent try, and what must be seen of it from outside: at the servers of a world of its own, in the
kernel's counters and in the audit log. [docs/verify.md](../../docs/verify.md) says how to run it and how to read its answer.

Each technique is one file in `tests/adversarial/techniques`, named in the `mod.rs` beside it. Nothing else has to be touched to
add one: the command, the scorecard, this page and the tests follow from the table.
";

const MUTATED: &str = "
## Weakenings

A technique that cannot fail proves nothing. Each of these takes one protection away, and a test sees the named techniques fail.

| weakening | what it takes away | where | must fail then |
|---|---|---|---|
";

const NONE: &str = "
Some under which all techniques are tried make many more fail than they name; the long form of the test prints which none
makes fail. They are these:

| technique | why |
|---|---|
";

fn section(page: &mut String, technique: &Technique) {
    let _ = writeln!(page, "### `{}`: {}\n", technique.id, technique.name);
    let _ = writeln!(page, "{} {}\n", technique.tries, technique.danger);
    match technique.places {
        Places::Everywhere => {}
        Places::Sandbox => page.push_str("Only in a sandbox.\n\n"),
        Places::Apart => page.push_str("Only in a sandbox and in a container.\n\n"),
        Places::Host => page.push_str("Only on a host and in a container.\n\n"),
        Places::Container => page.push_str("Only in a container.\n\n"),
    }
    for (number, step) in technique.steps.iter().enumerate() {
        let _ = writeln!(page, "{}. {}", number + 1, words(step));
    }
    let _ = writeln!(page, "\nMust be seen: {}.", expected(&technique.expect));
    if let Some(expect) = &technique.on_host {
        let _ = writeln!(page, "On a host: {}.", expected(expect));
    }
    page.push('\n');
}

fn words(step: &Step) -> String {
    let all = |say: &[Say]| say.iter().map(quoted).collect::<Vec<_>>().join(", then ");
    let says = |say: &[Say]| if say.is_empty() { String::new() } else { format!(": {}", all(say)) };
    match step {
        Step::Ask(name, kind) => format!("asks the resolver for `{name}`, type {kind}"),
        Step::Tcp(to, say) => format!("TCP to {}{}", place(*to), says(say)),
        Step::Tls(to, tls, say) => {
            format!("TCP to {}, TLS for `{}` {:?}{}", place(*to), tls.sni, tls.alpn, says(say))
        }
        Step::Tunnel(head, tls, say) => {
            let head = quoted(&Say::Bytes(head));
            format!("TCP to the proxy: {head}, in the tunnel TLS for `{}` {:?}{}", tls.sni, tls.alpn, says(say))
        }
        Step::Udp(to, say) => format!("UDP to {}: {}", place(*to), quoted(say)),
        Step::Socket(socket, to, say) => format!(
            "a socket of family {}, type {}, protocol {} to {}: {}",
            socket.family,
            socket.kind,
            socket.protocol,
            place(*to),
            quoted(say)
        ),
        Step::Keep(to, say) => format!("TCP to {}{}, which stays open", place(*to), says(say)),
        Step::Again(say) => format!("over the connection that is open{}", says(say)),
        Step::Sending(to, say) => format!("UDP to {}, over and over: {}", place(*to), quoted(say)),
        Step::Do(words, _) => (*words).to_owned(),
        Step::Outside(act) => format!("meanwhile, outside: {}", outside(*act)),
    }
}

fn outside(act: Act) -> String {
    match act {
        Act::Kill => "the daemon is killed and started again".to_owned(),
        Act::Flush => "somebody deletes the tables of the kernel, and a second passes".to_owned(),
        Act::Rules(from, to) => format!("the rules are loaded with `{to}` in the place of `{from}`"),
        Act::RulesAgain => "the rules are loaded as they were".to_owned(),
        Act::Wait(milliseconds) => format!("{milliseconds} ms pass"),
        Act::Begin => "another sandbox is started, whose command sends datagrams to `93.184.216.35:7000`".to_owned(),
        Act::Attach => {
            "another namespace is attached as the same agent, which sends datagrams to `93.184.216.35:7000` from its first instruction on".to_owned()
        }
    }
}

fn place(to: To) -> String {
    match to {
        To::Proxy => "the proxy".to_owned(),
        To::Resolver => "the resolver".to_owned(),
        To::At(address, port) => format!("`{}`", std::net::SocketAddr::new(address, port)),
        To::Named(name, port) => format!("what `{name}` resolves to, port {port}"),
        To::Named6(name, port) => format!("what `{name}` resolves to over IPv6, port {port}"),
    }
}

/// Bytes as they would be written in a program; long ones are cut.
fn quoted(say: &Say) -> String {
    const SHOWN: usize = 400;
    match say {
        Say::Made(words, _) => (*words).to_owned(),
        Say::Bytes(bytes) => {
            let text: String =
                bytes.iter().take(SHOWN).flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect();
            let cut = if bytes.len() > SHOWN { format!("` and so on, {} bytes", bytes.len()) } else { "`".to_owned() };
            format!("`{}{cut}", text.replace("\\\"", "\"").replace("\\'", "'"))
        }
    }
}

fn expected(expect: &Expect) -> String {
    let mut parts = Vec::new();
    match expect.arrives {
        [] => parts.push("nothing arrives".to_owned()),
        arrives => {
            let arrives: Vec<String> = arrives.iter().map(|it| format!("`{it}`")).collect();
            parts.push(format!("exactly {} arrive", arrives.join(", ")));
        }
    }
    match expect.asks {
        [] => parts.push("no name is asked for outside".to_owned()),
        asks => {
            let asks: Vec<String> = asks.iter().map(|it| format!("`{it}`")).collect();
            parts.push(format!("outside nothing but {} is asked for", asks.join(", ")));
        }
    }
    for refusal in expect.refusals {
        parts.push(format!("{} × `{} {} {}` in the log", refusal.times, refusal.layer, refusal.rule, refusal.reason));
    }
    if expect.refusals.is_empty() {
        parts.push("no refusal in the log".to_owned());
    }
    parts.push(format!("{} packets refused by the kernel", expect.refused_packets));
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_printed_from_the_table() {
        let page_there = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&page_there, page()).unwrap();
        }
        let there = std::fs::read_to_string(&page_there).unwrap_or_default();
        assert!(there == page(), "{} is not in step: UPDATE_GOLDEN=1 prints it again", page_there.display());
    }
}
