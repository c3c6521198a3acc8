//! Docker's engine over its socket: asked, given an image of another engine's, and joined to a program in a container.
//!
//! Requests are of HTTP/1.0, whose answers end with the connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

/// How long an answer may pause. Before the first byte of an image the engine reads all of it.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most that is read of an answer that is no image.
const ANSWER_BYTES: u64 = 16 << 20;
/// How much of an image is carried at a time.
const PIECE_BYTES: usize = 1 << 16;

/// What came back, with the rest still to be read.
struct Answer {
    status: u16,
    rest: BufReader<UnixStream>,
}

impl Answer {
    /// The rest of it; what the engine says where it refuses.
    fn whole(self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        self.rest.take(ANSWER_BYTES).read_to_end(&mut body).map_err(|error| silent(&error))?;
        if (200..300).contains(&self.status) {
            return Ok(body);
        }
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let text = String::from_utf8_lossy(&body).into_owned();
        Err(said.get("message").and_then(Value::as_str).map_or(text, str::to_owned))
    }
}

fn silent(error: &io::Error) -> String {
    format!("Docker's engine does not answer: {error}")
}

fn open(socket: &Path) -> Result<UnixStream, String> {
    let opened = UnixStream::connect(socket).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    });
    opened.map_err(|error| format!("there is no engine of Docker's at {}: {error}", socket.display()))
}

/// Reads the head of an answer.
fn answered(stream: UnixStream) -> io::Result<Answer> {
    let mut rest = BufReader::new(stream);
    let mut line = String::new();
    rest.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    while !line.trim_end().is_empty() {
        line.clear();
        if rest.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Answer { status, rest })
}

fn begin(socket: &Path, method: &str, path: &str, body: &Value) -> Result<Answer, String> {
    let mut stream = open(socket)?;
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let head = format!(
        "{method} {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| answered(stream)).map_err(|error| silent(&error))
}

/// Asks an engine something; null where it has nothing to say.
pub(super) fn ask(socket: &Path, method: &str, path: &str, body: &Value) -> Result<Value, String> {
    let answer = begin(socket, method, path, body)?.whole()?;
    if answer.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer).map_err(|error| format!("Docker's engine is not understood: {error}"))
}

/// Carries an image from one engine to another, without a stop on the way.
pub(super) fn carry(from: &Path, name: &str, to: &Path) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@".contains(c);
    if name.is_empty() || !name.chars().all(plain) || name.contains("..") {
        return Err(format!("`{name}` is no image: write NAME or NAME:TAG"));
    }
    let known = begin(from, "GET", &format!("/images/{name}/json"), &Value::Null)?;
    if known.status == 404 {
        return Err(format!(
            "the engine at {} has no image `{name}`, and nothing is fetched for this: `docker pull {name}` does",
            from.display()
        ));
    }
    known.whole()?;
    let mut image = begin(from, "GET", &format!("/images/{name}/get"), &Value::Null)?;
    if image.status != 200 {
        return image.whole().map(drop);
    }
    let mut stream = open(to)?;
    let given = give(&mut image.rest, &mut stream);
    // Whatever the engine did not like about it, it says.
    let said = answered(stream).map_err(|error| silent(&error)).and_then(Answer::whole);
    match (said, given) {
        (Err(why), _) => Err(format!("the image cannot be copied: {why}")),
        (Ok(_), Err(error)) => Err(format!("the image cannot be copied: {error}")),
        (Ok(said), Ok(())) => match String::from_utf8_lossy(&said) {
            said if said.contains("\"error\"") => Err(format!("the image cannot be copied: {}", said.trim())),
            _ => Ok(()),
        },
    }
}

/// Gives an engine an image, in chunks (RFC 9112, section 7.1): how long it is nobody knows before its end.
fn give(image: &mut impl Read, stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(
        b"POST /images/load?quiet=true HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
          Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    )?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = image.read(&mut piece)?;
        write!(stream, "{count:x}\r\n")?;
        stream.write_all(piece.get(..count).unwrap_or_default())?;
        stream.write_all(b"\r\n")?;
        if count == 0 {
            return stream.flush();
        }
    }
}

/// Starts a program in a container, and joins its standard input and output to ours until it ends.
///
/// # Errors
/// What the engine says.
pub(crate) fn join(socket: &Path, container: &str, line: &[String]) -> Result<(), String> {
    let wanted = json!({ "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": false, "Cmd": line });
    let made = ask(socket, "POST", &format!("/containers/{container}/exec"), &wanted)?;
    let id = made.get("Id").and_then(Value::as_str).ok_or("nothing can be started in the container")?;
    let body = json!({ "Detach": false, "Tty": false }).to_string();
    let mut stream = open(socket)?;
    let head = format!(
        "POST /exec/{id}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n\
         Upgrade: tcp\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = stream.write_all(head.as_bytes()).and_then(|()| answered(stream)).map_err(|error| silent(&error))?;
    if answer.status != 101 {
        return answer.whole().map(drop);
    }
    let mut said = answer.rest;
    let cannot = |error: io::Error| format!("the container: {error}");
    let mut orders = said.get_ref().try_clone().map_err(cannot)?;
    // It says something when it is told something, and may wait long for that.
    orders.set_read_timeout(None).map_err(cannot)?;
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock(), &mut orders);
        let _ = orders.shutdown(Shutdown::Write);
    });
    unframed(&mut said, &mut io::stdout(), &mut io::stderr()).map_err(cannot)
}

/// Reads the engine's frames: each has the stream's number, three zeros, and the length of what follows.
fn unframed(said: &mut impl Read, out: &mut impl Write, complaints: &mut impl Write) -> io::Result<()> {
    loop {
        let mut head = [0; 8];
        match said.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let [kind, _, _, _, a, b, c, d] = head;
        let mut piece = said.take(u64::from(u32::from_be_bytes([a, b, c, d])));
        match kind {
            2 => drop(io::copy(&mut piece, complaints)?),
            _ => {
                io::copy(&mut piece, out)?;
                out.flush()?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_go_where_they_belong() {
        let said = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x02no\x01\0\0\0\0\0\0\x01\n\x01\0\0\0";
        let (mut out, mut complaints) = (Vec::new(), Vec::new());
        unframed(&mut said.as_slice(), &mut out, &mut complaints).unwrap();
        assert_eq!((out.as_slice(), complaints.as_slice()), (b"one\n".as_slice(), b"no".as_slice()));
    }

    #[test]
    fn what_is_no_image_is_asked_of_nobody() {
        let nowhere = Path::new("/nonexistent/docker.sock");
        for name in ["", "a b", "a?b", "a\r\nb", "../json", "a%2f"] {
            assert!(carry(nowhere, name, nowhere).unwrap_err().contains("is no image"), "{name}");
        }
        let said = carry(nowhere, "debian:12", nowhere).unwrap_err();
        assert!(said.starts_with("there is no engine of Docker's at /nonexistent/docker.sock"), "{said}");
    }
}
