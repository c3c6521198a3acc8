//! Reads a request's head and writes the one that is forwarded.
//!
//! What is matched is what is forwarded: the facts a rule sees are read off the outgoing head, whose lines are the
//! incoming ones byte for byte, in their order, without those that are for one hop alone.

use std::borrow::Cow;

use outcall_schema::facts::Headers;
use outcall_schema::host::Host;

use super::coding::{self, Coding};
use super::fields::{self, Field, Framing, HeadError, Values, Version};

/// The longest method. The longest registered one has 17 letters.
const MAX_METHOD_BYTES: usize = 32;

/// A host and perhaps a port (RFC 3986, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// The canonical host.
    pub host: Host,
    /// The port, where one is written.
    pub port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[v6]:port`.
    ///
    /// # Errors
    /// [`HeadError::Authority`]: userinfo, an empty or non-canonical port, a bare IPv6 address, no host.
    pub fn parse(text: &str) -> Result<Authority, HeadError> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = fields::decimal(port.as_bytes()).and_then(|port| u16::try_from(port).ok());
                (host, Some(port.filter(|port| *port > 0).ok_or(HeadError::Authority)?))
            }
            _ => (text, None),
        };
        let bracketed = host.starts_with('[');
        if bracketed != host.ends_with(']') || bracketed != host.contains(':') || host.contains('@') {
            return Err(HeadError::Authority);
        }
        let host = Host::parse(host).map_err(|_| HeadError::Authority)?;
        Ok(Authority { host, port })
    }

    /// The host as it stands before a port: an IPv6 address in brackets.
    fn host_text(&self) -> String {
        match &self.host {
            Host::Name(name) => name.clone(),
            Host::Ip(std::net::IpAddr::V4(address)) => address.to_string(),
            Host::Ip(std::net::IpAddr::V6(address)) => format!("[{address}]"),
        }
    }

    /// The authority in canonical form, with a port where one was written.
    pub(super) fn text(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host_text()),
            None => self.host_text(),
        }
    }
}

/// The form of a request's target (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `GET /path`
    Origin,
    /// `GET http://host/path`
    Absolute,
    /// `CONNECT host:port`
    Connect,
}

/// Whether a request asks for another protocol that is let through (RFC 9110, section 7.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upgrade {
    /// None, or one that is not forwarded, so that the server answers in HTTP/1.1.
    None,
    /// WebSocket (RFC 6455, section 4.1).
    WebSocket,
}

/// Whether the connection is meant to go on after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Another message may follow.
    KeepAlive,
    /// This is the last.
    Close,
}

/// A request's head.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The method: a token without lower-case letters.
    pub method: &'a str,
    /// The target's form.
    pub form: Form,
    /// Where the request goes: the target's authority, else `Host`.
    pub authority: Authority,
    /// Path and query as they are matched and forwarded; `/` for CONNECT.
    pub path: Cow<'a, str>,
    /// The version.
    pub version: Version,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the connection is meant to go on.
    pub persistence: Persistence,
    /// The protocol asked for.
    pub upgrade: Upgrade,
    /// Whether the client waits for `100 Continue` (RFC 9110, section 10.1.1).
    pub expects_continue: bool,
    fields: Vec<Field<'a>>,
    nominated: Vec<String>,
}

impl<'a> Request<'a> {
    /// Reads a head that ends with its empty line.
    ///
    /// # Errors
    /// Whatever another parser could read differently; see [`HeadError`].
    pub fn parse(head: &'a [u8]) -> Result<Request<'a>, HeadError> {
        let (line, rest) = fields::split_line(head)?;
        let (method, target, version) = request_line(line)?;
        let fields = fields::parse(rest, Values::Text)?;
        let (form, named, path) = read_target(method, target)?;
        let authority = match (host_field(&fields)?, named) {
            (Some(host), None) => host,
            // Clients of version 1.0 send CONNECT without a Host: there is one name, so nothing is ambiguous.
            (None, Some(named)) if form == Form::Connect && version == Version::Http10 => named,
            (None, _) => return Err(HeadError::HostMissing),
            (Some(host), Some(named)) => one_authority(form, host, named)?,
        };
        let framing = fields::framing(&fields, version)?.unwrap_or(Framing::None);
        if form == Form::Connect && !matches!(framing, Framing::None | Framing::Length(0)) {
            return Err(HeadError::Framing);
        }
        let nominated = fields::nominated(&fields)?;
        let close = version == Version::Http10 || nominated.iter().any(|name| name == "close");
        let persistence = if close { Persistence::Close } else { Persistence::KeepAlive };
        let upgrade = upgrade(method, version, framing, &fields, &nominated);
        let expects_continue = version == Version::Http11
            && fields.iter().any(|field| field.is("expect") && field.value.eq_ignore_ascii_case(b"100-continue"));
        Ok(Request {
            method,
            form,
            authority,
            path,
            version,
            framing,
            persistence,
            upgrade,
            expects_continue,
            fields,
            nominated,
        })
    }

    /// How the body is encoded; `None` where that is not known.
    pub(super) fn codings(&self) -> Option<Vec<Coding>> {
        coding::codings(self.fields.iter().filter(|field| field.is("content-encoding")).map(|field| field.value))
    }

    /// The head to send to the server: the target in origin-form and the lines that are not for this hop alone.
    pub fn forwarded(&self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.path, self.version.text()).into_bytes();
        for line in self.kept() {
            head.extend_from_slice(&line.bytes);
        }
        head.extend_from_slice(b"\r\n");
        head
    }

    /// The header fields of the forwarded head, as conditions see them.
    pub fn headers(&self) -> Headers {
        Headers::collect(self.kept().map(|line| (line.name, line.value)))
    }

    fn kept(&self) -> impl Iterator<Item = Kept<'a>> + '_ {
        let mut connection_written = false;
        self.fields.iter().filter_map(move |field| {
            if self.upgrade == Upgrade::WebSocket && field.is("connection") {
                let first = !std::mem::replace(&mut connection_written, true);
                return first.then(|| Kept::rewritten(field.name, "Upgrade"));
            }
            if self.upgrade == Upgrade::WebSocket && field.is("upgrade") {
                return Some(Kept::verbatim(field));
            }
            if fields::hop_by_hop(field, &self.nominated) {
                return None;
            }
            if field.is("host") {
                let canonical = self.host_value();
                if !canonical.as_bytes().eq_ignore_ascii_case(field.value) {
                    return Some(Kept::rewritten(field.name, &canonical));
                }
            }
            Some(Kept::verbatim(field))
        })
    }

    /// The canonical value of `Host`: without the trailing dot and with A-labels, so that the server's reading of it is
    /// the one that was judged.
    fn host_value(&self) -> String {
        self.authority.text()
    }
}

/// A line of the outgoing head.
struct Kept<'a> {
    bytes: Cow<'a, [u8]>,
    name: &'a str,
    value: Cow<'a, str>,
}

impl<'a> Kept<'a> {
    fn verbatim(field: &Field<'a>) -> Kept<'a> {
        Kept { bytes: field.line.into(), name: field.name, value: String::from_utf8_lossy(field.value) }
    }

    fn rewritten(name: &'a str, value: &str) -> Kept<'a> {
        Kept { bytes: format!("{name}: {value}\r\n").into_bytes().into(), name, value: value.to_owned().into() }
    }
}

/// `METHOD SP target SP HTTP/1.x`, with exactly these spaces.
fn request_line(line: &[u8]) -> Result<(&str, &str, Version), HeadError> {
    let line = std::str::from_utf8(line).map_err(|_| HeadError::RequestLine)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if line.bytes().any(|byte| byte.is_ascii_control()) || target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    let version = Version::parse(version.as_bytes()).ok_or(HeadError::Version)?;
    Ok((read_method(method)?, target, version))
}

/// A method: a token without lower-case letters.
pub(super) fn read_method(method: &str) -> Result<&str, HeadError> {
    let upper = |method: &str| !method.bytes().any(|byte| byte.is_ascii_lowercase());
    match fields::token(method.as_bytes()) {
        Some(method) if upper(method) && method.len() <= MAX_METHOD_BYTES => Ok(method),
        _ => Err(HeadError::Method),
    }
}

/// The form of a target, the authority in it and the path.
fn read_target<'a>(method: &str, target: &'a str) -> Result<(Form, Option<Authority>, Cow<'a, str>), HeadError> {
    if method == "CONNECT" {
        let authority = Authority::parse(target)?;
        if authority.port.is_none() {
            return Err(HeadError::TargetForm);
        }
        return Ok((Form::Connect, Some(authority), "/".into()));
    }
    if target.starts_with('/') {
        outcall_schema::path::check(target)?;
        return Ok((Form::Origin, None, target.into()));
    }
    let scheme = target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://"));
    let rest = scheme.and_then(|_| target.get(7..)).ok_or(HeadError::TargetForm)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).ok_or(HeadError::TargetForm)?;
    let path: Cow<'a, str> = match path.as_bytes().first() {
        // `OPTIONS http://host` is sent on as `OPTIONS *` by some and as `OPTIONS /` by others.
        None if method == "OPTIONS" => return Err(HeadError::TargetForm),
        None => "/".into(),
        Some(b'/') => path.into(),
        Some(_) => format!("/{path}").into(),
    };
    outcall_schema::path::check(&path)?;
    Ok((Form::Absolute, Some(Authority::parse(authority)?), path))
}

fn host_field(fields: &[Field<'_>]) -> Result<Option<Authority>, HeadError> {
    let mut hosts = fields.iter().filter(|field| field.is("host"));
    match (hosts.next(), hosts.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(HeadError::HostTwice),
        (Some(host), None) => {
            let text = std::str::from_utf8(host.value).map_err(|_| HeadError::Authority)?;
            Authority::parse(text).map(Some)
        }
    }
}

/// The authority that both `Host` and the target name. A CONNECT's Host may leave out the port.
fn one_authority(form: Form, host: Authority, named: Authority) -> Result<Authority, HeadError> {
    let same_port = match form {
        Form::Connect => host.port.is_none() || host.port == named.port,
        Form::Origin | Form::Absolute => host.port.unwrap_or(80) == named.port.unwrap_or(80),
    };
    if host.host != named.host || !same_port {
        return Err(HeadError::HostDiffers);
    }
    // What is forwarded is the Host field, so a port stands in it or not as the client wrote it.
    Ok(if form == Form::Connect { named } else { host })
}

fn upgrade(method: &str, version: Version, framing: Framing, fields: &[Field<'_>], nominated: &[String]) -> Upgrade {
    let mut asked = fields.iter().filter(|field| field.is("upgrade"));
    let only = match (asked.next(), asked.next()) {
        (Some(only), None) => only.value,
        _ => return Upgrade::None,
    };
    let body = !matches!(framing, Framing::None | Framing::Length(0));
    let asked = only.eq_ignore_ascii_case(b"websocket") && nominated.iter().any(|name| name == "upgrade");
    if asked && method == "GET" && version == Version::Http11 && !body { Upgrade::WebSocket } else { Upgrade::None }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
