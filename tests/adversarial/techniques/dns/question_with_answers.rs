//! Answers within a question.

use crate::prelude::*;

pub(super) const TECHNIQUE: Technique = Technique {
    id: "question-with-answers",
    family: Family::Dns,
    name: "Answers within a question",
    tries: "Sends a message about an allowed name that is no plain question.",
    danger: "Who passes on what he does not understand does not know what he passed on.",
    places: Places::Everywhere,
    steps: &[Step::Udp(
        Resolver,
        Made("the question for allowed.test, said to hold an answer", || question::with_byte("allowed.test", 7, 0x1)),
    )],
    expect: Expect { refusals: &[refusal("dns", "default", "malformed_query")], ..NOTHING },
    on_host: None,
};
