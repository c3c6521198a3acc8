//! The cases of `h2spec`, against the side that terminates TLS: one row a case, in the order of RFC 9113 and RFC 7541.
//!
//! A row says what may come of it by the standard. What the library makes of it is among that, or the row is in
//! [`DEVIATIONS`] with what happens instead and why that harms nobody. An error of a stream may be one of its connection
//! (RFC 9113, section 5.4.1); rows say which it is, as siblings are spared by the one and not by the other.

mod compression;
mod connection;
mod frames;
mod messages;
mod streams;
pub(super) mod wire;

use std::collections::BTreeSet;

use h2::Reason as Code;

use self::wire::*;
use super::http2::{ALL, Server};
use super::inside::Inner;
use super::*;

/// What a client sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// A GOAWAY with this code, and the end of the connection.
    Connection(Code),
    /// A RST_STREAM with this code; siblings go on.
    Stream(Code),
    /// The end of the connection without a GOAWAY.
    Closed,
    /// A response on the last stream that was opened; nothing else.
    Answered,
    /// Nothing: the connection goes on as if nothing had been said.
    Ignored,
    /// What [`Step::Expect`] waits for, and then the connection goes on.
    Seen,
}
use Outcome::{Answered, Closed, Connection, Ignored, Seen, Stream};

/// What a client does.
enum Step {
    Send(Vec<u8>),
    /// Reads until the response on this stream is over.
    AwaitAnswer(u32),
    /// Reads until such a frame comes.
    Expect(fn(&Frame) -> bool),
}

/// The steps of a case. Stream 1 is the first.
struct Script {
    port: u16,
    steps: Vec<Step>,
    settings: Vec<u8>,
    /// Whether nothing is said before the steps.
    silent: bool,
    /// The last stream that a request was sent on.
    last: u32,
}

impl Script {
    fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Script {
        self.steps.push(Step::Send(bytes.as_ref().to_vec()));
        self
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> &mut Script {
        if kind == HEADERS {
            self.last = stream;
        }
        self.bytes(frame(kind, flags, stream, payload))
    }

    /// A request without a body.
    fn get(&mut self, stream: u32) -> &mut Script {
        let fields = self.fields("GET", &[]);
        self.frame(HEADERS, WHOLE, stream, fields)
    }

    /// A request whose body is to come.
    fn post(&mut self, stream: u32) -> &mut Script {
        let fields = self.fields("POST", &[]);
        self.frame(HEADERS, END_HEADERS, stream, fields)
    }

    fn answered(&mut self, stream: u32) -> &mut Script {
        self.steps.push(Step::AwaitAnswer(stream));
        self
    }

    fn expect(&mut self, so: fn(&Frame) -> bool) -> &mut Script {
        self.steps.push(Step::Expect(so));
        self
    }

    /// Ends a row's chain.
    fn done(&self) {}

    /// The fields of a request to the connection's host.
    fn fields(&self, method: &str, more: &[(&str, &str)]) -> Vec<u8> {
        [request(self.port, method, "/"), block(more)].concat()
    }

    /// The same with the pseudo-header fields as given; `@` is the authority.
    fn exactly(&self, fields: &[(&str, &str)]) -> Vec<u8> {
        let authority = format!("a.example:{}", self.port);
        fields
            .iter()
            .flat_map(|(name, value)| literal(name, if *value == "@" { authority.as_str() } else { value }))
            .collect()
    }
}

/// Section and what is sent, the steps, and what may come of it.
type Case = (&'static str, fn(&mut Script), &'static [Outcome]);

/// Rows whose outcome is not what the standard says.
struct Deviation {
    instead: Outcome,
    why: &'static str,
    rows: &'static [&'static str],
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        instead: Connection(Code::PROTOCOL_ERROR),
        why: "the same end of the connection, under the general code in place of the particular one",
        rows: &[
            "4.3: a block that is none",
            "5.1 half-closed: DATA",
            "5.1 half-closed: HEADERS",
            "5.1 reset: HEADERS",
            "6.3: PRIORITY of four octets",
            "6.3: PRIORITY of six octets",
            "6.4: RST_STREAM of three octets",
            "6.4: RST_STREAM of five octets",
            "6.5: an acknowledgement with payload",
            "6.5: SETTINGS of five octets",
            "6.5: SETTINGS of seven octets",
            "6.5.2: a window of 2^31",
            "6.7: PING of six octets",
            "6.7: PING of nine octets",
            "6.8: GOAWAY of seven octets",
            "6.9: WINDOW_UPDATE of three octets",
            "6.9: WINDOW_UPDATE of five octets",
            "8.1: trailers twice",
            "8.1: a body of its own after trailers",
            "HPACK 2.3.3: an index that stands for nothing",
            "HPACK 2.3.3: the index of a name that stands for nothing",
            "HPACK 4.2: a table's size after a field",
            "HPACK 5.1: a number without an end",
            "HPACK 5.2: Huffman padding of more than seven bits",
            "HPACK 5.2: Huffman padding of zeros",
            "HPACK 5.2: Huffman with EOS",
            "HPACK 5.2: a string that is longer than the block",
            "HPACK 6.1: index 0",
            "HPACK 6.3: a table larger than was allowed",
            "HPACK 6.3: a table that was emptied",
        ],
    },
    Deviation {
        instead: Ignored,
        why: "settings that do not come first come later or stay what they are at the beginning: nothing of it is forwarded",
        rows: &["3.4: a frame other than SETTINGS after the preface"],
    },
    Deviation {
        instead: Answered,
        why: "the pseudo-header field is dropped, so neither a rule nor a server sees it",
        rows: &["8.3: one in trailers"],
    },
];

fn deviation(name: &str) -> Option<&'static Deviation> {
    DEVIATIONS.iter().find(|deviation| deviation.rows.contains(&name))
}

struct Play<'a> {
    raw: Raw,
    script: &'a Script,
    /// Streams whose response is over.
    over: BTreeSet<u32>,
}

impl Play<'_> {
    /// Reads one frame. The outcome, if it is one for sure.
    async fn read(&mut self) -> (Option<Frame>, Option<Outcome>) {
        let Some(frame) = self.raw.next().await else { return (None, Some(Closed)) };
        let outcome = match frame.kind {
            GOAWAY if frame.code() != 0 => {
                while self.raw.next().await.is_some() {}
                Some(Connection(frame.code().into()))
            }
            RST_STREAM => Some(Stream(frame.code().into())),
            DATA | HEADERS if frame.has(END_STREAM) => {
                self.over.insert(frame.stream);
                None
            }
            _ => None,
        };
        (Some(frame), outcome)
    }

    async fn run(&mut self, expects: &[Outcome]) -> Result<Outcome, String> {
        for step in &self.script.steps {
            match step {
                Step::Send(bytes) => {
                    self.raw.send(bytes).await;
                }
                Step::AwaitAnswer(stream) => {
                    while !self.over.contains(stream) {
                        if let (_, Some(outcome)) = self.read().await {
                            return Ok(outcome);
                        }
                    }
                }
                Step::Expect(so) => loop {
                    match self.read().await {
                        (_, Some(outcome)) => return Ok(outcome),
                        (Some(frame), None) if so(&frame) => break,
                        _ => {}
                    }
                },
            }
        }
        if matches!(expects, [Ignored] | [Seen]) {
            return self.goes_on(expects[0], expects).await;
        }
        loop {
            if self.over.contains(&self.script.last) {
                return self.goes_on(Answered, expects).await;
            }
            match self.read().await {
                (_, Some(Stream(code))) => return self.goes_on(Stream(code), expects).await,
                (_, Some(outcome)) => return Ok(outcome),
                _ => {}
            }
        }
    }

    /// A connection that goes on takes another request.
    async fn goes_on(&mut self, outcome: Outcome, expects: &[Outcome]) -> Result<Outcome, String> {
        const NEXT: u32 = 0x1001;
        let another = frame(HEADERS, WHOLE, NEXT, self.raw.request("GET", "/another"));
        self.raw.send(&another).await;
        while !self.over.contains(&NEXT) {
            match self.read().await {
                // A stream that is over may be reset for what it did not read.
                (Some(frame), Some(Stream(_))) if matches!(outcome, Stream(_)) && frame.stream != NEXT => {}
                (Some(frame), Some(Stream(Code::NO_ERROR))) if self.over.contains(&frame.stream) => {}
                // All places are taken still.
                (Some(frame), Some(Stream(Code::REFUSED_STREAM))) if frame.stream == NEXT => return Ok(outcome),
                // Who goes on sending does not get away with it.
                (_, Some(worse)) if matches!(outcome, Ignored | Answered) || expects.contains(&worse) => {
                    return Ok(worse);
                }
                (_, Some(worse)) => return Err(format!("{outcome:?}, and then {worse:?}")),
                _ => {}
            }
        }
        Ok(outcome)
    }
}

/// Plays each case on a connection of its own.
async fn check(cases: &[Case]) {
    let inner = Inner::new(ALL).await;
    let server = Server::echo(&inner).await;
    let mut wrong = Vec::new();
    for (name, steps, expects) in cases {
        let port = server.port();
        let mut script = Script { port, steps: Vec::new(), settings: Vec::new(), silent: false, last: 1 };
        steps(&mut script);
        let raw = if script.silent {
            Raw::open(&inner, port).await
        } else {
            Raw::with_settings(&inner, port, &script.settings).await
        };
        let mut play = Play { raw, script: &script, over: BTreeSet::new() };
        let expected = deviation(name).map_or(expects.to_vec(), |deviation| vec![deviation.instead]);
        assert!(deviation(name).is_none_or(|deviation| !expects.contains(&deviation.instead)), "{name} is none");
        let outcome = tokio::time::timeout(PATIENCE / 2, play.run(&expected)).await;
        let fine = matches!(&outcome, Ok(Ok(outcome)) if expected.contains(outcome));
        if !fine {
            wrong.push(format!("{name}: {outcome:?}, not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[test]
fn names_are_given_once_and_deviations_are_rows() {
    let tables = [connection::CASES, streams::CASES, frames::CASES, messages::CASES, compression::CASES];
    let names: Vec<_> = tables.iter().flat_map(|table| table.iter().map(|(name, _, _)| *name)).collect();
    let once: BTreeSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len());
    let deviating: Vec<_> = DEVIATIONS.iter().flat_map(|deviation| deviation.rows).collect();
    assert!(deviating.iter().all(|name| once.contains(*name)), "{deviating:?}");
    assert_eq!(deviating.iter().collect::<BTreeSet<_>>().len(), deviating.len());
    assert!(DEVIATIONS.iter().all(|deviation| !deviation.why.is_empty()));
}
