//! Asks a running `outcalld`, over its socket.
//!
//! One request a connection, in the HTTP/1.1 that it answers: the answer is read to its end, within bounds of size and time.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outcall_schema::api::{ANSWER_MAX, ApiResponse, Endpoint, SOCKET};
use serde::de::DeserializeOwned;

use crate::Exit;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A daemon to ask.
#[derive(Debug, Clone)]
pub(crate) struct Daemon {
    socket: PathBuf,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nobody listens there.
    NotRunning(PathBuf),
    /// The socket cannot be used, or what comes from it is no answer.
    Broken(PathBuf, String),
    /// It says no: the status code and why.
    Refused(u16, String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::NotRunning(path) => {
                write!(f, "cannot connect to outcalld at {}: is it running?", path.display())
            }
            NoAnswer::Broken(path, why) => write!(f, "cannot ask outcalld at {}: {why}", path.display()),
            NoAnswer::Refused(_, why) => f.write_str(&printable(why)),
        }
    }
}

impl NoAnswer {
    /// How the command ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            NoAnswer::Refused(404, _) => Exit::Missing,
            NoAnswer::NotRunning(_) | NoAnswer::Broken(..) | NoAnswer::Refused(..) => Exit::Failed,
        }
    }
}

impl Daemon {
    /// The one at this socket, else at the usual one.
    pub(crate) fn at(socket: Option<&Path>) -> Daemon {
        Daemon { socket: socket.unwrap_or(Path::new(SOCKET)).to_owned() }
    }

    /// Asks an endpoint that needs to be told nothing.
    pub(crate) fn ask<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, NoAnswer> {
        let row = endpoint.row();
        let broken = |why: String| NoAnswer::Broken(self.socket.clone(), why);
        let request = format!(
            "{} {} HTTP/1.1\r\nHost: outcall\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            row.method.name(),
            row.path
        );
        let answer = self.converse(request.as_bytes()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoAnswer::NotRunning(self.socket.clone()),
            _ => broken(error.to_string()),
        })?;
        let (status, body) = split(&answer).ok_or_else(|| broken("what it says is no answer".to_owned()))?;
        let answer: ApiResponse<T> = serde_json::from_slice(body)
            .map_err(|_| broken("what it says is not understood: is it of the same version?".to_owned()))?;
        match answer {
            ApiResponse { success: true, data: Some(data), error: None } if status == 200 => Ok(data),
            ApiResponse { success: false, data: None, error: Some(why) } => Err(NoAnswer::Refused(status, why)),
            ApiResponse { .. } => Err(broken("what it says contradicts itself".to_owned())),
        }
    }

    fn converse(&self, request: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // It may refuse before it has read everything; what counts is what it says.
        let written = stream.write_all(request);
        let deadline = Instant::now() + PATIENCE;
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::other("it does not answer in time"));
            }
            stream.set_read_timeout(Some(left))?;
            match stream.read(&mut buffer) {
                Ok(0) if answer.is_empty() => return Err(written.err().unwrap_or(io::ErrorKind::UnexpectedEof.into())),
                Ok(0) => return Ok(answer),
                Ok(length) => answer.extend_from_slice(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::Error::other("it does not answer in time"));
                }
                Err(error) => return Err(error),
            }
            if answer.len() > ANSWER_MAX {
                return Err(io::Error::other("its answer is too large"));
            }
        }
    }
}

/// The status code and the body, whose length must be the one that was announced.
fn split(answer: &[u8]) -> Option<(u16, &[u8])> {
    const END: &[u8] = b"\r\n\r\n";
    let at = answer.windows(END.len()).position(|window| window == END)?;
    let (head, body) = (str::from_utf8(answer.get(..at)?).ok()?, answer.get(at + END.len()..)?);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length: usize = lines.find_map(|line| line.strip_prefix("Content-Length: "))?.parse().ok()?;
    (body.len() == length).then_some((status, body))
}

/// What came from elsewhere must not drive the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use outcall_schema::api::intercept::Flushed;

    use super::*;

    /// What is made of an answer.
    fn check(answer: &[u8]) -> String {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 4096];
                let length = stream.read(&mut request).unwrap();
                let request = str::from_utf8(&request[..length]).unwrap();
                assert!(request.starts_with("POST /api/v1/proxy/intercept/cache/flush HTTP/1.1\r\n"), "{request}");
                let _ = stream.write_all(answer);
            });
            let said = Daemon::at(Some(&socket)).ask::<Flushed>(Endpoint::InterceptCacheFlush);
            said.map_or_else(|why| why.to_string().replace(&socket.display().to_string(), "S"), |it| format!("{it:?}"))
        })
    }

    fn with_body(status: &str, body: &str) -> Vec<u8> {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn an_answer_is_data_or_why_there_is_none() {
        assert_eq!(check(&with_body("200 OK", r#"{"success":true,"data":{"evicted":3}}"#)), "Flushed { evicted: 3 }");
        let refused = r#"{"success":false,"error":"no \u001b[2J"}"#;
        assert_eq!(check(&with_body("403 Forbidden", refused)), "no ?[2J");
    }

    #[test]
    fn what_is_no_answer_is_none() {
        let done = r#"{"success":true,"data":{"evicted":3}}"#;
        for (answer, why) in [
            (Vec::new(), "unexpected end of file"),
            (b"nonsense".to_vec(), "no answer"),
            (b"HTTP/1.1 200 OK\r\n\r\n{}".to_vec(), "no answer"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec(), "no answer"),
            (with_body("200 OK", "{}"), "not understood"),
            (with_body("200 OK", r#"{"success":true,"data":{}}"#), "not understood"),
            (with_body("200 OK", r#"{"success":true}"#), "contradicts itself"),
            (with_body("500 X", done), "contradicts itself"),
            (vec![b'x'; ANSWER_MAX + 1], "too large"),
        ] {
            let said = check(&answer);
            assert!(said.starts_with("cannot ask outcalld at S: ") && said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn nobody_there_is_said_with_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let said = |socket: &Path| Daemon::at(Some(socket)).ask::<Flushed>(Endpoint::InterceptCacheFlush).unwrap_err();
        let expected = format!("cannot connect to outcalld at {}: is it running?", socket.display());
        assert_eq!((said(&socket).to_string(), said(&socket).exit()), (expected.clone(), Exit::Failed));
        drop(UnixListener::bind(&socket).unwrap());
        assert_eq!(said(&socket).to_string(), expected);
        assert_eq!(Daemon::at(None).socket, Path::new("/run/outcall/host.sock"));
    }
}
