//! TLS ClientHellos written by hand (RFC 8446, section 4.1.2), for what no library would say.

/// An extension: its type and its content.
pub type Extension = (u16, Vec<u8>);

/// The type of Encrypted ClientHello (RFC 9849, section 5).
const ECH: u16 = 0xfe0d;
/// The type of padding (RFC 7685).
const PADDING: u16 = 21;

/// The extension that names a server.
pub fn named(name: &str) -> Extension {
    names(&[(0, name.as_bytes())])
}

/// The extension that names servers, each with the type of the name (RFC 6066, section 3).
pub fn names(names: &[(u8, &[u8])]) -> Extension {
    let list: Vec<u8> = names.iter().flat_map(|(kind, name)| [&[*kind][..], &long(name)].concat()).collect();
    (0, long(&list))
}

/// The extension with an encrypted hello, as a client has it that nobody gave a key.
pub fn encrypted() -> Extension {
    let mut content = vec![0, 0, 1, 0, 1, 7];
    content.extend(long(&[9; 32]));
    content.extend(long(&[8; 144]));
    (ECH, content)
}

/// The extension that fills a hello up.
pub fn padding(length: usize) -> Extension {
    (PADDING, vec![0; length])
}

/// A hello for TLS 1.3 in one record for each 16 KiB.
pub fn hello(extensions: &[Extension]) -> Vec<u8> {
    records(&message(0x0303, &with_versions(extensions)), 1 << 14)
}

/// The same, with so few bytes in each record.
pub fn in_records(extensions: &[Extension], length: usize) -> Vec<u8> {
    records(&message(0x0303, &with_versions(extensions)), length)
}

/// A hello for this version alone and with these extensions alone.
pub fn of_version(version: u16, extensions: &[Extension]) -> Vec<u8> {
    records(&message(version, extensions), 1 << 14)
}

/// A hello with something else behind it in its record.
pub fn followed(extensions: &[Extension], behind: &[u8]) -> Vec<u8> {
    records(&[message(0x0303, &with_versions(extensions)), behind.to_vec()].concat(), 1 << 14)
}

/// The hello of SSL 2.0 in which old clients offered TLS (RFC 5246, appendix E.2). It cannot name a server.
pub fn ssl2() -> Vec<u8> {
    let mut body = vec![1, 3, 1, 0, 3, 0, 0, 0, 16, 0, 0, 0x2f];
    body.extend([5; 16]);
    [&[0x80, u8::try_from(body.len()).unwrap_or(0)][..], &body].concat()
}

fn with_versions(extensions: &[Extension]) -> Vec<Extension> {
    let mut key = vec![0, 0x1d];
    key.extend(long(&[9; 32]));
    let mut all = extensions.to_vec();
    all.extend([
        (10, long(&[0, 0x1d])),
        (13, long(&[4, 3, 8, 4, 4, 1])),
        (43, vec![2, 3, 4]),
        (51, long(&key)),
        (16, long(b"\x08http/1.1")),
    ]);
    all
}

/// The handshake message.
fn message(version: u16, extensions: &[Extension]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.push(0);
    body.extend(long(&[0x13, 1, 0xc0, 0x2b, 0, 0x2f]));
    body.extend([1, 0]);
    let all: Vec<u8> =
        extensions.iter().flat_map(|(kind, content)| [&kind.to_be_bytes()[..], &long(content)].concat()).collect();
    if !all.is_empty() {
        body.extend(long(&all));
    }
    let length = u32::try_from(body.len()).unwrap_or(0).to_be_bytes();
    [&[1][..], length.get(1..).unwrap_or_default(), &body].concat()
}

fn records(message: &[u8], length: usize) -> Vec<u8> {
    message.chunks(length).flat_map(|part| [&[0x16, 3, 1][..], &long(part)].concat()).collect()
}

/// Bytes after their length in two bytes.
fn long(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rustls reads, as a second opinion: the server's name.
    fn read(bytes: &[u8]) -> Result<Option<String>, String> {
        let mut acceptor = rustls::server::Acceptor::default();
        let mut bytes = bytes;
        while acceptor.read_tls(&mut bytes).is_ok_and(|count| count > 0) {}
        let accepted = acceptor.accept().map_err(|(error, _)| error.to_string())?.ok_or("cut")?;
        Ok(accepted.client_hello().server_name().map(str::to_owned))
    }

    #[test]
    fn a_library_reads_them_as_they_are_meant() {
        let name = Some("evil.test".to_owned());
        assert_eq!(read(&hello(&[named("evil.test")])), Ok(name.clone()));
        assert_eq!(read(&hello(&[named("evil.test"), encrypted()])), Ok(name.clone()));
        assert_eq!(read(&in_records(&[named("evil.test")], 8)), Ok(name));
        assert_eq!(read(&hello(&[])), Ok(None));
        assert!(read(&hello(&[named("allowed.test"), named("evil.test")])).is_err());
        assert!(read(&ssl2()).is_err());
    }
}
