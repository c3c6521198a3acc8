//! Asks the daemon: one request over the socket, and an answer within bounds of time and size.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// From the first step to the whole answer. What takes longer is none.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer: what the daemon says has some hundred bytes.
const ANSWER_MAX: usize = 64 << 10;

/// An answer.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

/// Asks for a path with this body; says why there is no answer.
pub(crate) fn ask(socket: &Path, path: &str, body: &[u8]) -> Result<Answer, String> {
    ask_within(socket, path, body, PATIENCE)
}

fn ask_within(socket: &Path, path: &str, body: &[u8], patience: Duration) -> Result<Answer, String> {
    let place = socket.display().to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: outcall\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request = [head.as_bytes(), body].concat();
    let deadline = Instant::now() + patience;
    let (to, socket) = (sync_channel(1), socket.to_owned());
    let (answered, answer) = to;
    // A socket whose queue is full holds up whoever connects, without a bound: that waits where it can be left behind.
    std::thread::spawn(move || {
        let _ = answered.send(converse(&socket, &request, deadline));
    });
    let received = match answer.recv_timeout(patience) {
        Ok(received) => received,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(io::ErrorKind::TimedOut.into()),
    };
    let received = received.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!("cannot connect to outcalld at {place}: is it running?")
        }
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            format!("outcalld at {place} does not answer within {} seconds", patience.as_secs())
        }
        _ => format!("cannot ask outcalld at {place}: {error}"),
    })?;
    read(&received).ok_or_else(|| format!("what outcalld at {place} says is no answer"))
}

fn converse(socket: &Path, request: &[u8], deadline: Instant) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(Some(left)),
    };
    stream.set_write_timeout(left()?)?;
    // Who is refused before anything is read can still read why.
    let written = stream.write_all(request);
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(left()?)?;
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => received.extend_from_slice(buffer.get(..length).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if !received.is_empty() => break,
            Err(error) => return written.and(Err(error)),
        }
        if received.len() > ANSWER_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
    }
    if received.is_empty() {
        written?;
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(received)
}

/// Takes an answer apart. It is one only when it is as long as it says.
fn read(received: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(received).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status: u16 = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    };
    let mut lengths = lines.filter_map(length);
    let (Some(length), None) = (lengths.next(), lengths.next()) else { return None };
    let body: Value = if body.len() == length { serde_json::from_str(body).ok()? } else { return None };
    body.is_object().then_some(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What is said of a daemon that answers with these bytes, and what it was sent.
    fn asked(answer: &'static [u8]) -> (Result<Answer, String>, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let daemon = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut received = Vec::new();
            while !received.ends_with(b"{}") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                received.extend_from_slice(&byte);
            }
            stream.write_all(answer).unwrap();
            String::from_utf8(received).unwrap()
        });
        let answer = ask_within(&path, "/v1/x", b"{}", Duration::from_secs(30));
        (answer, daemon.join().unwrap())
    }

    #[test]
    fn an_answer_is_what_is_whole() {
        let (answer, sent) = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{\"allowed\": true}");
        assert_eq!(answer, Ok(Answer { status: 200, body: serde_json::json!({ "allowed": true }) }));
        assert!(sent.starts_with("POST /v1/x HTTP/1.1\r\nHost: outcall\r\n") && sent.contains("Content-Length: 2\r\n"));
        for broken in [
            &b""[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n{\"allowed\": true}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{\"allowed\": true}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 17\r\nContent-Length: 17\r\n\r\n{\"allowed\": true}",
            b"HTTP/1.1 200 OK\r\n\r\n{\"allowed\": true}",
            b"HTTP/1.0 200 OK\r\nContent-Length: 17\r\n\r\n{\"allowed\": true}",
            b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue",
            b"{\"allowed\": true}",
        ] {
            assert!(asked(broken).0.is_err(), "{}", String::from_utf8_lossy(broken));
        }
    }

    #[test]
    fn nobody_there_and_somebody_silent_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let why = ask(&path, "/", b"").unwrap_err();
        assert!(why.ends_with("is it running?"), "{why}");
        let _listener = UnixListener::bind(&path).unwrap();
        let why = ask_within(&path, "/", b"", Duration::from_millis(50)).unwrap_err();
        assert!(why.contains("does not answer"), "{why}");
    }
}
