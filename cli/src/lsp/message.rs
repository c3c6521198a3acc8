//! Messages of the language server protocol: a header with the length, then JSON. What comes in is bounded before it is
//! allocated.
//!
//! The `lsp-server` crate reads as many bytes as the header says; this reads at most [`LONGEST_BYTES`].

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

/// The longest message that is read: rule files have at most 1 MiB, and escapes make them at most six times as long.
pub(super) const LONGEST_BYTES: usize = 16 << 20;

/// The longest line of a header, and the most lines.
const HEADER_BYTES: u64 = 1024;
const HEADER_LINES: usize = 16;

/// What was read.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A message; JSON, but not necessarily of the protocol.
    Message(Value),
    /// A message that is not JSON. The next one can be read.
    NotJson(String),
    /// Something after which no beginning of a message can be found.
    Lost(String),
    /// The end, between two messages.
    End,
}

/// Reads one message.
pub(super) fn read(input: &mut impl BufRead) -> Incoming {
    match frame(input) {
        Ok(Some(bytes)) => match serde_json::from_slice(&bytes) {
            Ok(message) => Incoming::Message(message),
            Err(error) => Incoming::NotJson(format!("the message is not JSON: {error}")),
        },
        Ok(None) => Incoming::End,
        Err(why) => Incoming::Lost(why),
    }
}

fn frame(input: &mut impl BufRead) -> Result<Option<Vec<u8>>, String> {
    let mut length = None;
    for number in 0..HEADER_LINES {
        let mut line = Vec::new();
        let read = input.by_ref().take(HEADER_BYTES).read_until(b'\n', &mut line).map_err(|error| error.to_string())?;
        if read == 0 && number == 0 {
            return Ok(None);
        }
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Err(
                "a header's line does not end with a carriage return and a line feed, or is too long".to_owned()
            );
        };
        if line.is_empty() {
            let length = length.ok_or("the header has no Content-Length")?;
            let mut bytes = Vec::new();
            let limit = u64::try_from(length).unwrap_or(u64::MAX);
            input.by_ref().take(limit).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
            if bytes.len() < length {
                return Err("the input ends within a message".to_owned());
            }
            return Ok(Some(bytes));
        }
        let line = std::str::from_utf8(line).map_err(|_| "a header that is not text")?;
        let (name, value) = line.split_once(':').ok_or("a header's line without a colon")?;
        if name.eq_ignore_ascii_case("content-length") {
            let value = value.trim();
            let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let number = value.parse::<usize>().ok().filter(|number| digits && *number <= LONGEST_BYTES);
            let number = number.ok_or_else(|| format!("a Content-Length that is no number up to {LONGEST_BYTES}"))?;
            if length.replace(number).is_some() {
                return Err("two Content-Length headers".to_owned());
            }
        }
    }
    Err("a header with too many lines".to_owned())
}

/// Writes one message.
pub(super) fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let body = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    output.flush()
}

/// An answer to a request.
pub(super) fn answer(id: &Value, result: Result<Value, Failure>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(Failure(code, message)) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": message } })
        }
    }
}

/// A notification.
pub(super) fn notification(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// Why a request failed: a code of JSON-RPC or of the protocol, and words.
#[derive(Debug)]
pub(super) struct Failure(pub(super) i32, pub(super) String);

impl Failure {
    pub(super) fn parse(why: String) -> Failure {
        Failure(-32700, why)
    }

    pub(super) fn request(why: &str) -> Failure {
        Failure(-32600, why.to_owned())
    }

    pub(super) fn method(name: &str) -> Failure {
        Failure(-32601, format!("there is no method {}", outcall_compiler::diag::quoted(name)))
    }

    pub(super) fn params(why: impl std::fmt::Display) -> Failure {
        Failure(-32602, format!("wrong parameters: {why}"))
    }

    pub(super) fn early() -> Failure {
        Failure(-32002, "the server is not initialized".to_owned())
    }
}
