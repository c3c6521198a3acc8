//! The agent in somebody else's sandbox, or behind somebody else's proxy: it is told of the proxy as programs are, by its
//! environment, and leaves no marks, as nobody keeps a log to find them in.
//!
//! Where a technique speaks to a site by its name, without a word of a proxy, the agent says the same through the proxy that it
//! was told of: with the site before the path of each request, or in a tunnel. Other products lead nobody there unasked.

use std::io::{self, BufRead, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use super::Inside;
use crate::technique::To;

/// Set where this is a guest: the name and the secret that the proxy wants to see, where it gave them out.
static GUEST: OnceLock<Option<String>> = OnceLock::new();

/// Tries what standard input says, one `number id` a line, and answers each with a line of JSON.
///
/// # Errors
/// When the environment names no proxy, or nobody listens any more.
pub(crate) fn main(resolver: SocketAddr) -> Result<(), String> {
    let proxy = ["HTTP_PROXY", "http_proxy"].iter().find_map(|name| std::env::var(name).ok());
    let (proxy, credentials) = read(&proxy.ok_or("HTTP_PROXY is not set")?).ok_or("HTTP_PROXY is not understood")?;
    GUEST.get_or_init(|| credentials);
    let inside = Inside::new(proxy, resolver, None);
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let id = line.split_once(' ').ok_or("not a number and an id")?.1;
        let mut text = serde_json::to_string(&inside.attempt(id, 0).0).map_err(|error| error.to_string())?;
        text.push('\n');
        inside.end();
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The proxy of `http://[NAME:SECRET@]HOST:PORT[/]`, and its name and secret.
fn read(url: &str) -> Option<(SocketAddr, Option<String>)> {
    let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    let (credentials, place) = rest.rsplit_once('@').map_or((None, rest), |(before, after)| (Some(before), after));
    let (host, port) = place.rsplit_once(':')?;
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let address = if host == "localhost" { local } else { host.parse().ok()? };
    Some((SocketAddr::new(address, port.parse().ok()?), credentials.map(unescaped)))
}

/// `%41` is `A` in a URL (RFC 3986, section 2.1).
fn unescaped(text: &str) -> String {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let byte = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                out.push('%');
                out.push_str(part);
            }
        }
    }
    out
}

/// What is said to the proxy, with the credentials behind each line that looks like the beginning of a request.
pub(super) fn authorised(said: Vec<u8>) -> Vec<u8> {
    match GUEST.get() {
        Some(Some(credentials)) => with(said, credentials),
        _ => said,
    }
}

/// The site to name to the proxy for a connection to there.
pub(super) fn site(to: To) -> Option<(&'static str, u16)> {
    GUEST.get()?;
    match to {
        To::Named(name, port) | To::Named6(name, port) => Some((name, port)),
        To::Proxy | To::Resolver | To::At(..) => None,
    }
}

/// What is said to a site on port 80, as it is said to a proxy: `GET /path` becomes `GET http://site/path` (RFC 9112, section
/// 3.2.2). Requests behind the first one go where their own Host field says.
pub(super) fn absolute(said: &[u8], site: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(said.len() + 64);
    let mut lines = said.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let is_first = out.is_empty();
        let is_request = line.trim_ascii_end().ends_with(b" HTTP/1.1") || line.trim_ascii_end().ends_with(b" HTTP/1.0");
        let path = line.windows(2).position(|two| two == b" /").filter(|_| is_first || is_request);
        let (before, after) = line.split_at(path.map_or(0, |at| at + 1));
        out.extend_from_slice(before);
        if path.is_some() {
            let own = lines.peek().and_then(|next| next.strip_prefix(b"Host: ")).filter(|_| !is_first);
            out.extend_from_slice(b"http://");
            out.extend_from_slice(own.map_or(site.as_bytes(), |host| host.trim_ascii_end()));
        }
        out.extend_from_slice(after);
    }
    out
}

fn with(said: Vec<u8>, credentials: &str) -> Vec<u8> {
    let field = format!("Proxy-Authorization: Basic {}\r\n", base64(credentials.as_bytes()));
    let mut out = Vec::with_capacity(said.len() + field.len());
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(line);
        let text = line.trim_ascii_end();
        let is_head = text.len() < line.len() && (text.ends_with(b" HTTP/1.1") || text.ends_with(b" HTTP/1.0"));
        if is_head {
            out.extend_from_slice(field.as_bytes());
        }
    }
    out
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0u32, |bits, (at, byte)| bits | u32::from(*byte) << (16 - 8 * at));
        for at in 0..4 {
            let digit = DIGITS.get((bits >> (18 - 6 * at) & 63) as usize).filter(|_| at <= three.len());
            out.push(digit.map_or('=', |digit| char::from(*digit)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_from_the_environment() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(read("http://10.0.0.1:3128"), Some((at("10.0.0.1:3128"), None)));
        let named = Some((at("127.0.0.1:99"), Some("a.b:c/d".to_owned())));
        assert_eq!(read("http://a.b:c%2Fd@localhost:99/"), named);
        assert_eq!(read("http://proxy.test:99"), None);
        assert_eq!(read("http://10.0.0.1"), None);
    }

    #[test]
    fn each_request_carries_the_credentials_and_nothing_else_does() {
        let two = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\nGET http://b.test/ HTTP/1.0\n\n".to_vec();
        let expected = "GET http://a.test/ HTTP/1.1\r\nProxy-Authorization: Basic YTpi\r\nHost: a.test\r\n\r\n\
                        GET http://b.test/ HTTP/1.0\nProxy-Authorization: Basic YTpi\r\n\n";
        assert_eq!(String::from_utf8(with(two, "a:b")).unwrap(), expected);
        assert_eq!(with(b"no request".to_vec(), "a:b"), b"no request");
    }

    #[test]
    fn what_is_said_to_a_site_is_said_to_a_proxy() {
        let said = b"GET  /a HTTP/1.1\r\nHost: /b\r\nX: y /z\r\n\r\nGET /c HTTP/1.1\r\nHost: t.test\r\n\r\n";
        let expected = "GET  http://s.test/a HTTP/1.1\r\nHost: /b\r\nX: y /z\r\n\r\n\
                        GET http://t.test/c HTTP/1.1\r\nHost: t.test\r\n\r\n";
        assert_eq!(String::from_utf8(absolute(said, "s.test")).unwrap(), expected);
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
