//! Reads a TLS ClientHello without taking part in the handshake: across segments, across records, bounded.

use std::collections::HashSet;

use outcall_schema::host::Host;

/// The most bytes of records that are read before the hello must be complete. Post-quantum key shares make hellos of
/// 2 KiB ordinary; this is room for any padding, and the limit that the common servers have too.
pub const MAX_HELLO_BYTES: usize = 64 * 1024;

/// The content type of handshake records (RFC 8446, section 5.1).
pub const HANDSHAKE: u8 = 0x16;

/// The largest fragment of a plain-text record (RFC 8446, section 5.1).
const MAX_FRAGMENT_BYTES: usize = 1 << 14;

const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// Why a hello is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// The first bytes are no handshake record of TLS; an SSL 2.0 hello is none either.
    #[error("the connection does not begin with a TLS handshake record")]
    NotTls,
    /// Over [`MAX_HELLO_BYTES`].
    #[error("the ClientHello is larger than 64 KiB")]
    TooLarge,
    /// A length, a type or a value that RFC 8446 does not allow.
    #[error("the ClientHello is malformed")]
    Malformed,
    /// An extension, or a name within one, stands there twice.
    #[error("the ClientHello has an extension or a name twice")]
    Twice,
    /// The server name is an address, ends in a dot, or has more than one reading.
    #[error("the server name is not one canonical DNS name")]
    ServerName,
}

/// What a ClientHello says in the clear. With Encrypted ClientHello this is the outer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The canonical server name (RFC 6066, section 3); `None` when there is none.
    pub server_name: Option<String>,
    /// The application protocols in the order offered (RFC 7301); bytes that are no UTF-8 become U+FFFD.
    pub alpn: Vec<String>,
    /// The versions offered (RFC 8446, section 4.2.1), or the single legacy version.
    pub versions: Vec<u16>,
}

/// Takes a hello in as it arrives, and keeps every byte so that it can be sent on.
#[derive(Debug, Default)]
pub struct HelloReader {
    raw: Vec<u8>,
    /// How much of `raw` has been taken apart into records.
    parsed: usize,
    message: Vec<u8>,
    failed: Option<HelloError>,
}

impl HelloReader {
    /// Takes in what was received next; gives the hello once it is complete.
    ///
    /// # Errors
    /// Whatever is refused, see [`HelloError`], and the same again on every later call.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Option<Hello>, HelloError> {
        self.raw.extend_from_slice(bytes);
        if let Some(error) = self.failed {
            return Err(error);
        }
        let result = self.advance();
        self.failed = result.as_ref().err().copied();
        result
    }

    /// Every byte that was taken in, also those after the hello.
    pub fn into_bytes(self) -> Vec<u8> {
        self.raw
    }

    fn advance(&mut self) -> Result<Option<Hello>, HelloError> {
        loop {
            let rest = self.raw.get(self.parsed..).unwrap_or_default();
            check_record_start(rest, self.parsed == 0)?;
            let [_, _, _, high, low, rest @ ..] = rest else { return Ok(None) };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            if length == 0 || length > MAX_FRAGMENT_BYTES {
                return Err(HelloError::Malformed);
            }
            if self.parsed + 5 + length > MAX_HELLO_BYTES {
                return Err(HelloError::TooLarge);
            }
            let Some(fragment) = rest.get(..length) else { return Ok(None) };
            self.message.extend_from_slice(fragment);
            self.parsed += 5 + length;
            if let Some(body) = message_body(&self.message)? {
                return parse(body).map(Some);
            }
        }
    }
}

/// Judges as much of a record's first three bytes as there is.
fn check_record_start(bytes: &[u8], first: bool) -> Result<(), HelloError> {
    let kind = bytes.first().is_none_or(|kind| *kind == HANDSHAKE);
    let major = bytes.get(1).is_none_or(|major| *major == 3);
    let minor = bytes.get(2).is_none_or(|minor| *minor <= 4);
    match (kind && major && minor, first) {
        (true, _) => Ok(()),
        (false, true) => Err(HelloError::NotTls),
        (false, false) => Err(HelloError::Malformed),
    }
}

/// The body of the handshake message once it is whole. Nothing may follow it in its last record: what came after would
/// be in the clear in one reading and a second message in another (RFC 8446, section 5.1).
fn message_body(message: &[u8]) -> Result<Option<&[u8]>, HelloError> {
    if message.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
        return Err(HelloError::Malformed);
    }
    let [_, high, middle, low, body @ ..] = message else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes([0, *high, *middle, *low])).unwrap_or(usize::MAX);
    if length > MAX_HELLO_BYTES {
        return Err(HelloError::TooLarge);
    }
    match body.len().cmp(&length) {
        std::cmp::Ordering::Less => Ok(None),
        std::cmp::Ordering::Equal => Ok(Some(body)),
        std::cmp::Ordering::Greater => Err(HelloError::Malformed),
    }
}

/// Reads the body of a ClientHello (RFC 8446, section 4.1.2).
fn parse(body: &[u8]) -> Result<Hello, HelloError> {
    let mut body = Reader(body);
    let legacy_version = body.u16()?;
    if legacy_version >> 8 != 3 {
        return Err(HelloError::Malformed);
    }
    body.take(32)?;
    let session = body.short_list()?;
    let suites = body.long_list()?;
    let compression = body.short_list()?;
    if session.0.len() > 32 || suites.0.is_empty() || suites.0.len() % 2 != 0 || !compression.0.contains(&0) {
        return Err(HelloError::Malformed);
    }
    let mut hello = Hello { server_name: None, alpn: Vec::new(), versions: vec![legacy_version] };
    if body.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = body.long_list()?;
    body.end()?;
    let mut seen = HashSet::new();
    while !extensions.0.is_empty() {
        let kind = extensions.u16()?;
        let content = extensions.long_list()?;
        if !seen.insert(kind) {
            return Err(HelloError::Twice);
        }
        match kind {
            SERVER_NAME => hello.server_name = Some(server_name(content)?),
            ALPN => hello.alpn = protocols(content)?,
            SUPPORTED_VERSIONS => hello.versions = versions(content)?,
            _ => {}
        }
    }
    Ok(hello)
}

/// The one host name of a `server_name` extension (RFC 6066, section 3).
fn server_name(mut content: Reader<'_>) -> Result<String, HelloError> {
    let mut list = content.long_list()?;
    content.end()?;
    let kind = list.u8()?;
    let name = list.long_list()?;
    if !list.0.is_empty() {
        return Err(HelloError::Twice);
    }
    if kind != 0 || name.0.is_empty() {
        return Err(HelloError::Malformed);
    }
    let text = std::str::from_utf8(name.0).map_err(|_| HelloError::ServerName)?;
    match Host::parse(text) {
        // A server compares the name without case and nothing else, so nothing else may have been made canonical.
        Ok(Host::Name(name)) if name.eq_ignore_ascii_case(text) => Ok(name),
        _ => Err(HelloError::ServerName),
    }
}

fn protocols(mut content: Reader<'_>) -> Result<Vec<String>, HelloError> {
    let mut list = content.long_list()?;
    content.end()?;
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let protocol = list.short_list()?;
        if protocol.0.is_empty() {
            return Err(HelloError::Malformed);
        }
        protocols.push(String::from_utf8_lossy(protocol.0).into_owned());
    }
    if protocols.is_empty() { Err(HelloError::Malformed) } else { Ok(protocols) }
}

fn versions(mut content: Reader<'_>) -> Result<Vec<u16>, HelloError> {
    let mut list = content.short_list()?;
    content.end()?;
    let mut versions = Vec::new();
    while !list.0.is_empty() {
        versions.push(list.u16()?);
    }
    if versions.is_empty() { Err(HelloError::Malformed) } else { Ok(versions) }
}

/// What is left to read of a vector; every read is checked against it.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], HelloError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(HelloError::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, HelloError> {
        self.take(1)?.first().copied().ok_or(HelloError::Malformed)
    }

    fn u16(&mut self) -> Result<u16, HelloError> {
        Ok(u16::from_be_bytes([self.u8()?, self.u8()?]))
    }

    /// A vector with one byte of length.
    fn short_list(&mut self) -> Result<Reader<'a>, HelloError> {
        let length = usize::from(self.u8()?);
        self.take(length).map(Reader)
    }

    /// A vector with two bytes of length.
    fn long_list(&mut self) -> Result<Reader<'a>, HelloError> {
        let length = usize::from(self.u16()?);
        self.take(length).map(Reader)
    }

    fn end(&self) -> Result<(), HelloError> {
        if self.0.is_empty() { Ok(()) } else { Err(HelloError::Malformed) }
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
pub(super) mod tests;
