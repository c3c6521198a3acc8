//! Asks a running `outcalld`, over its socket.
//!
//! One request a connection, in the HTTP/1.1 that it answers: the answer is read to its end, within bounds of size and time.
//! Only what is followed has no end.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use outcall_schema::api::{ANSWER_MAX, ApiResponse, Endpoint, JSON_TYPE, SOCKET, UPLOAD_TYPE};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Exit;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the loading of a policy may take, with its upload.
const LOADING: Duration = Duration::from_secs(180);
/// How long something with a container may take: outcalld gives up on an image after 15 minutes.
const CONTAINER: Duration = Duration::from_secs(960);
/// The longest line of what is followed; audit records are shorter.
const LINE_MAX: u64 = 1 << 20;

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

    /// Where it is asked.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// Asks an endpoint that needs to be told nothing.
    pub(crate) fn ask<T: DeserializeOwned>(&self, endpoint: Endpoint) -> Result<T, NoAnswer> {
        self.ask_at(endpoint, endpoint.row().path)
    }

    /// Asks about one thing, or with a parameter: the path is the endpoint's with that in it.
    pub(crate) fn ask_at<T: DeserializeOwned>(&self, endpoint: Endpoint, path: &str) -> Result<T, NoAnswer> {
        self.data(&self.request(endpoint, path, "", b"", PATIENCE)?)
    }

    /// Tells an endpoint something.
    pub(crate) fn tell<T: DeserializeOwned>(&self, endpoint: Endpoint, body: &impl Serialize) -> Result<T, NoAnswer> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error.to_string()))?;
        self.data(&self.request(endpoint, endpoint.row().path, JSON_TYPE, &body, PATIENCE)?)
    }

    /// Tells an endpoint something that takes its time, as to fetch an image does.
    pub(crate) fn tell_patiently<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        body: &impl Serialize,
    ) -> Result<T, NoAnswer> {
        let body = serde_json::to_vec(body).map_err(|error| self.broken(error.to_string()))?;
        self.data(&self.request(endpoint, endpoint.row().path, JSON_TYPE, &body, CONTAINER)?)
    }

    /// Has a policy loaded, with these artifacts or, where there are none to send, from where it knows.
    pub(crate) fn load<T: DeserializeOwned>(&self, endpoint: Endpoint, upload: Option<&[u8]>) -> Result<T, NoAnswer> {
        let (content_type, body) = upload.map_or(("", b"".as_slice()), |bytes| (UPLOAD_TYPE, bytes));
        self.data(&self.request(endpoint, endpoint.row().path, content_type, body, LOADING)?)
    }

    /// A text that is answered as it is.
    pub(crate) fn text(&self, endpoint: Endpoint) -> Result<String, NoAnswer> {
        let answer = self.request(endpoint, endpoint.row().path, "", b"", PATIENCE)?;
        match split(&answer) {
            Some((200, body)) => Ok(String::from_utf8_lossy(body).into_owned()),
            // What is not answered is said in the envelope.
            Some(_) => Err(self.data::<serde_json::Value>(&answer).err().unwrap_or_else(|| self.no_answer())),
            None => Err(self.no_answer()),
        }
    }

    /// Follows what has no end, line by line, until `heard` has enough. Gives whether the other side ended it.
    pub(crate) fn follow(&self, endpoint: Endpoint, mut heard: impl FnMut(&str) -> Heed) -> Result<(), NoAnswer> {
        let path = endpoint.row().path;
        let mut stream = self.connect()?;
        let broken = |error: io::Error| self.broken(error.to_string());
        stream.write_all(head(endpoint, path, "", 0).as_bytes()).map_err(broken)?;
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        let mut answer = Vec::new();
        let next = |lines: &mut BufReader<UnixStream>, line: &mut String| {
            line.clear();
            lines.take(LINE_MAX).read_line(line).map_err(broken)
        };
        while next(&mut lines, &mut line)? > 0 && line != "\r\n" {
            answer.extend_from_slice(line.as_bytes());
        }
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            answer.extend_from_slice(b"\r\n");
            lines.take(LINE_MAX).read_to_end(&mut answer).map_err(broken)?;
            return Err(self.data::<serde_json::Value>(&answer).err().unwrap_or_else(|| self.no_answer()));
        }
        while next(&mut lines, &mut line)? > 0 {
            if heard(line.trim_end()) == Heed::Enough {
                return Ok(());
            }
        }
        Err(self.broken("it ended".to_owned()))
    }

    fn broken(&self, why: String) -> NoAnswer {
        NoAnswer::Broken(self.socket.clone(), why)
    }

    fn no_answer(&self) -> NoAnswer {
        self.broken("what it says is no answer".to_owned())
    }

    /// The data in an answer.
    fn data<T: DeserializeOwned>(&self, answer: &[u8]) -> Result<T, NoAnswer> {
        let (status, body) = split(answer).ok_or_else(|| self.no_answer())?;
        let answer: ApiResponse<T> = serde_json::from_slice(body)
            .map_err(|_| self.broken("what it says is not understood: is it of the same version?".to_owned()))?;
        match answer {
            // With 503 it is said what is not ready.
            ApiResponse { success: true, data: Some(data), error: None } if matches!(status, 200 | 503) => Ok(data),
            ApiResponse { success: false, data: None, error: Some(why) } => Err(NoAnswer::Refused(status, why)),
            ApiResponse { .. } => Err(self.broken("what it says contradicts itself".to_owned())),
        }
    }

    fn connect(&self) -> Result<UnixStream, NoAnswer> {
        UnixStream::connect(&self.socket).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoAnswer::NotRunning(self.socket.clone()),
            _ => self.broken(error.to_string()),
        })
    }

    /// The whole answer to a request.
    fn request(
        &self,
        endpoint: Endpoint,
        path: &str,
        content_type: &str,
        body: &[u8],
        patience: Duration,
    ) -> Result<Vec<u8>, NoAnswer> {
        let stream = self.connect()?;
        let head = head(endpoint, path, content_type, body.len());
        converse(stream, head.as_bytes(), body, patience).map_err(|error| self.broken(error.to_string()))
    }
}

/// Whether more is wanted of what is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heed {
    /// The next line, too.
    More,
    /// No more.
    Enough,
}

fn head(endpoint: Endpoint, path: &str, content_type: &str, length: usize) -> String {
    let method = endpoint.row().method.name();
    let content_type =
        if content_type.is_empty() { String::new() } else { format!("Content-Type: {content_type}\r\n") };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: outcall\r\n{content_type}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn converse(mut stream: UnixStream, head: &[u8], body: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
    stream.set_write_timeout(Some(patience))?;
    // It may refuse before it has read everything; what counts is what it says.
    let written = stream.write_all(head).and_then(|()| stream.write_all(body));
    let deadline = Instant::now() + patience;
    let mut answer = Vec::new();
    let mut buffer = vec![0; 64 << 10];
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
            // It did not read everything. What it said is whole, or is no answer.
            Err(_) if !answer.is_empty() => return Ok(answer),
            Err(error) => return Err(error),
        }
        if answer.len() > ANSWER_MAX {
            return Err(io::Error::other("its answer is too large"));
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
            (vec![b'x'; 1 << 20], "no answer"),
        ] {
            let said = check(&answer);
            assert!(said.starts_with("cannot ask outcalld at S: ") && said.contains(why), "{why}: {said}");
        }
    }

    #[test]
    fn what_is_followed_is_heard_line_by_line_until_it_is_enough() {
        let follow = |answer: &'static [u8]| {
            let directory = tempfile::tempdir().unwrap();
            let socket = directory.path().join("s");
            let listener = UnixListener::bind(&socket).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let _ = stream.read(&mut [0; 4096]).unwrap();
                    let _ = stream.write_all(answer);
                });
                let mut heard = Vec::new();
                let done = Daemon::at(Some(&socket)).follow(Endpoint::Events, |line| {
                    heard.push(line.to_owned());
                    if line == "enough" { Heed::Enough } else { Heed::More }
                });
                (heard, done.map_err(|why| why.to_string().replace(&socket.display().to_string(), "S")))
            })
        };
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
        let (heard, done) = follow(format!("{head}: hello\n\nenough\nmore\n").leak().as_bytes());
        assert_eq!((heard, done), (vec![": hello".to_owned(), String::new(), "enough".to_owned()], Ok(())));
        let (heard, done) = follow(format!("{head}a\n").leak().as_bytes());
        assert_eq!((heard, done), (vec!["a".to_owned()], Err("cannot ask outcalld at S: it ended".to_owned())));
        let refused = with_body("503 Service Unavailable", r#"{"success":false,"error":"too many"}"#).leak();
        assert_eq!(follow(refused), (Vec::new(), Err("too many".to_owned())));
        let nonsense = "cannot ask outcalld at S: what it says is no answer".to_owned();
        assert_eq!(follow(b"nonsense"), (Vec::new(), Err(nonsense)));
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
