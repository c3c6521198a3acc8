//! Addresses in an HTTPS record.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "hints-of-services",
    family: Family::Dns,
    name: "Addresses in an HTTPS record",
    tries: "Asks for the HTTPS record of an allowed name, which brings addresses, HTTP/3 and a key to encrypt the ClientHello with.",
    danger: "Who uses them is past the filter's view of addresses, or hides the name from the proxy.",
    places: Places::Everywhere,
    steps: &[Step::Ask("https.test", HTTPS)],
    expect: Expect { asks: &["https.test"], ..NOTHING },
    on_host: None,
};
