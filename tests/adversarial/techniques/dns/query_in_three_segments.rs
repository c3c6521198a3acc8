//! One query in three segments.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "query-in-three-segments",
    family: Family::Dns,
    name: "One query in three segments",
    tries: "Sends a query for a name that is not allowed over TCP in three pieces, each in a segment of its own, and one for an allowed name likewise.",
    danger: "A filter that reads segments instead of messages sees three fragments of nothing.",
    places: Places::Everywhere,
    steps: &[Step::Do("evil.test A, then fresh.test A, each in three segments", pieces)],
    expect: Expect { asks: &["fresh.test"], refusals: &[refusal("dns", "default", "no_rule_allows")], ..NOTHING },
    on_host: None,
};

fn pieces(inside: &Inside) -> std::io::Result<()> {
    use std::io::{Read, Write};
    for name in ["evil.test", "fresh.test"] {
        let mut stream = inside.connect(inside.resolver())?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(3)))?;
        let message = question::framed(&query(9, name, A));
        for piece in [0..1, 1..20, 20..message.len()] {
            stream.write_all(message.get(piece).unwrap_or_default())?;
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
    }
    Ok(())
}
