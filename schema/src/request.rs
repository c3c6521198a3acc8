//! A request as people write it, in fields by namespace, and as readers take it.

use std::net::IpAddr;

use serde_json::{Map, Value};

use crate::facts::{Fact, Facts, Headers};
use crate::field::{FIELDS, Field, FieldType, Knowledge};
use crate::host::Host;
use crate::layer::Layer;
use crate::path;

/// The fields of a request, owned.
#[derive(Debug, Clone, Default)]
pub struct Request {
    texts: Vec<(Field, String)>,
    numbers: Vec<(Field, i64)>,
    lists: Vec<(Field, Vec<String>)>,
    headers: Vec<(Field, Headers)>,
    context: Option<Map<String, Value>>,
    body_is_null: bool,
    pending: Vec<Field>,
}

/// Why a request cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a group of fields.
    #[error("`{0}` is not a group of fields")]
    Namespace(String),
    /// Not a field.
    #[error("`{0}` is not a field")]
    Field(String),
    /// A value of another type.
    #[error("`{field}` must be {ty}")]
    Type {
        /// The field.
        field: &'static str,
        /// Its type.
        ty: &'static str,
    },
    /// A value that no request can have.
    #[error("`{field}` cannot be {text:?}: {why}")]
    Value {
        /// The field.
        field: &'static str,
        /// The value.
        text: String,
        /// Why not.
        why: String,
    },
    /// A field that this layer does not know, or has another constant for.
    #[error("the `{layer}` layer does not know `{field}`{}", always.map_or(String::new(), |it| format!(" but as `{it}`")))]
    NotKnown {
        /// The layer.
        layer: Layer,
        /// The field.
        field: &'static str,
        /// The constant.
        always: Option<&'static str>,
    },
    /// Which layer is asked does not follow.
    #[error("it does not follow from the fields which layer is asked: {0}")]
    Layer(&'static str),
}

impl Request {
    /// Reads `{"http": {"host": "..."}}`.
    ///
    /// Values come into the form that conditions see.
    ///
    /// # Errors
    /// Anything that is no field, not of its type, or what no request has.
    pub fn from_json(fields: &Map<String, Value>) -> Result<Request, RequestError> {
        let mut request = Request::default();
        for (namespace, values) in fields {
            let values = values.as_object().ok_or_else(|| RequestError::Namespace(namespace.clone()))?;
            if !FIELDS.iter().any(|row| row.name.split('.').next() == Some(namespace)) {
                return Err(RequestError::Namespace(namespace.clone()));
            }
            for (name, value) in values {
                let name = format!("{namespace}.{name}");
                let field = Field::from_name(&name).ok_or(RequestError::Field(name))?;
                request.put(field, value)?;
            }
        }
        Ok(request)
    }

    fn put(&mut self, field: Field, value: &Value) -> Result<(), RequestError> {
        let wrong = || RequestError::Type { field: field.name(), ty: field.row().ty.name() };
        let strings = |value: &Value| -> Option<Vec<String>> {
            value.as_array()?.iter().map(|element| element.as_str().map(str::to_owned)).collect()
        };
        match field.row().ty {
            FieldType::NullableString if value.is_null() => self.body_is_null = true,
            FieldType::String | FieldType::NullableString => {
                self.texts.push((field, canonical(field, value.as_str().ok_or_else(wrong)?)?));
            }
            FieldType::Int => {
                let range = match field {
                    Field::NetworkPort => 0..=65_535,
                    Field::ResponseStatus => 100..=999,
                    _ => -1..=i64::MAX,
                };
                let number = value.as_i64().filter(|number| range.contains(number)).ok_or_else(wrong)?;
                self.numbers.push((field, number));
            }
            FieldType::StringList => self.lists.push((field, strings(value).ok_or_else(wrong)?)),
            FieldType::StringMap => {
                let entries = value.as_object().ok_or_else(wrong)?;
                let entries: Option<Vec<(&str, &str)>> =
                    entries.iter().map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect();
                self.headers.push((field, Headers::collect(entries.ok_or_else(wrong)?)));
            }
            FieldType::DynMap => self.context = Some(value.as_object().ok_or_else(wrong)?.clone()),
        }
        Ok(())
    }

    /// Refuses fields that `layer` does not know: what they say would count for nothing.
    ///
    /// # Errors
    /// [`RequestError::NotKnown`].
    pub fn known_at(&self, layer: Layer) -> Result<(), RequestError> {
        for row in FIELDS.iter().filter(|row| self.given(row.field)) {
            let always = match row.field.knowledge(layer) {
                Some(Knowledge::From(_)) => continue,
                Some(Knowledge::Always(always)) => Some(always),
                None => None,
            };
            let same = |(field, text): &(Field, String)| *field == row.field && Some(text.as_str()) == always;
            if !self.texts.iter().any(same) {
                return Err(RequestError::NotKnown { layer, field: row.name, always });
            }
        }
        Ok(())
    }

    /// The layer that follows from the fields.
    ///
    /// # Errors
    /// [`RequestError::Layer`].
    pub fn layer(&self) -> Result<Layer, RequestError> {
        let text = |field| self.texts.iter().find(|(known, _)| *known == field).map(|(_, text)| text.as_str());
        let port = self.numbers.iter().find(|(known, _)| *known == Field::NetworkPort).map(|(_, port)| *port);
        let scheme = text(Field::HttpScheme);
        layer_of(&|field| self.given(field), scheme, port, text(Field::HttpMethod)).map_err(RequestError::Layer)
    }

    /// Whether anything was said of a field.
    fn given(&self, field: Field) -> bool {
        self.has(field)
            || self.lists.iter().any(|(known, _)| *known == field)
            || self.headers.iter().any(|(known, _)| *known == field)
            || (field == Field::RunContext && self.context.is_some())
            || (field == Field::HttpBody && self.body_is_null)
    }

    /// Sets a text.
    #[must_use]
    pub fn text(mut self, field: Field, text: &str) -> Request {
        self.texts.push((field, text.to_owned()));
        self
    }

    /// Sets a number.
    #[must_use]
    pub fn number(mut self, field: Field, number: i64) -> Request {
        self.numbers.push((field, number));
        self
    }

    /// Marks a field as not known yet.
    #[must_use]
    pub fn pending(mut self, field: Field) -> Request {
        self.pending.push(field);
        self
    }

    /// Whether a field has a value.
    pub fn has(&self, field: Field) -> bool {
        self.texts.iter().any(|(known, _)| *known == field) || self.numbers.iter().any(|(known, _)| *known == field)
    }

    /// Fills in what follows from the rest: one name everywhere, no agent, no headers, no body.
    #[must_use]
    pub fn complete(mut self, layer: Layer) -> Request {
        let name = [Field::HttpHost, Field::NetworkHostname, Field::TlsSni]
            .into_iter()
            .find_map(|field| self.texts.iter().find(|(known, _)| *known == field).map(|(_, text)| text.clone()));
        if let Some(name) = name {
            for field in [Field::HttpHost, Field::NetworkHostname] {
                if !self.has(field) {
                    self.texts.push((field, name.clone()));
                }
            }
            if !self.has(Field::TlsSni) && !self.pending.contains(&Field::TlsSni) {
                // An address is never a server name (RFC 6066, section 3).
                let sni = if name.parse::<IpAddr>().is_ok() { String::new() } else { name };
                self.texts.push((Field::TlsSni, sni));
            }
        }
        for (field, text) in [(Field::AgentName, ""), (Field::DnsRecordType, "A")] {
            if !self.has(field) {
                self.texts.push((field, text.to_owned()));
            }
        }
        for field in [Field::HttpHeaders, Field::ResponseHeaders] {
            if !self.headers.iter().any(|(known, _)| *known == field) && field.knowledge(layer).is_some() {
                self.headers.push((field, Headers::default()));
            }
        }
        if !self.has(Field::HttpBody) {
            self.body_is_null = true;
        }
        if !self.has(Field::HttpBodySize) {
            self.numbers.push((Field::HttpBodySize, 0));
        }
        self
    }

    /// The facts as `layer` knows them: fields that it never knows are unknown, and so are those without a value.
    pub fn facts(&self, layer: Layer) -> Facts<'_> {
        let knows = |field: Field| field.knowledge(layer).is_some();
        let pending = |field: Field| self.pending.contains(&field);
        let text = |field: Field| match self.texts.iter().find(|(known, _)| *known == field) {
            _ if !knows(field) => Fact::Unknown,
            Some((_, text)) => Fact::Known(text.as_str()),
            None if pending(field) => Fact::Pending,
            None => Fact::Unknown,
        };
        let number = |field: Field| match self.numbers.iter().find(|(known, _)| *known == field) {
            _ if !knows(field) => Fact::Unknown,
            Some((_, number)) => Fact::Known(*number),
            None if pending(field) => Fact::Pending,
            None => Fact::Unknown,
        };
        let list = |field: Field| match self.lists.iter().find(|(known, _)| *known == field) {
            _ if !knows(field) => Fact::Unknown,
            Some((_, list)) => Fact::Known(list.as_slice()),
            None if pending(field) => Fact::Pending,
            None => Fact::Unknown,
        };
        let headers = |field: Field| match self.headers.iter().find(|(known, _)| *known == field) {
            Some((_, headers)) if knows(field) => Fact::Known(headers),
            _ => Fact::Unknown,
        };
        let always = |field: Field| match field.knowledge(layer) {
            Some(Knowledge::Always(constant)) => Fact::Known(constant),
            _ => text(field),
        };
        Facts {
            network_hostname: text(Field::NetworkHostname),
            network_ip: match text(Field::NetworkIp) {
                Fact::Known(address) => address.parse().map_or(Fact::Unknown, Fact::Known),
                Fact::Pending => Fact::Pending,
                Fact::Unknown => Fact::Unknown,
            },
            network_port: number(Field::NetworkPort),
            network_protocol: always(Field::NetworkProtocol),
            http_host: text(Field::HttpHost),
            http_method: always(Field::HttpMethod),
            http_path: always(Field::HttpPath),
            http_scheme: always(Field::HttpScheme),
            http_headers: headers(Field::HttpHeaders),
            http_body_size: number(Field::HttpBodySize),
            http_body: match text(Field::HttpBody) {
                Fact::Known(body) => Fact::Known(Some(body)),
                Fact::Unknown if self.body_is_null && knows(Field::HttpBody) => Fact::Known(None),
                Fact::Pending => Fact::Pending,
                Fact::Unknown => Fact::Unknown,
            },
            dns_query: text(Field::DnsQuery),
            dns_record_type: text(Field::DnsRecordType),
            tls_sni: text(Field::TlsSni),
            tls_alpn: list(Field::TlsAlpn),
            agent_name: text(Field::AgentName),
            docker_image: text(Field::DockerImage),
            docker_command: list(Field::DockerCommand),
            docker_volumes: list(Field::DockerVolumes),
            docker_env_keys: list(Field::DockerEnvKeys),
            docker_capabilities: list(Field::DockerCapabilities),
            run_tool: text(Field::RunTool),
            run_args: list(Field::RunArgs),
            run_flags: list(Field::RunFlags),
            run_cwd: text(Field::RunCwd),
            run_context: match &self.context {
                Some(context) if knows(Field::RunContext) => Fact::Known(context),
                _ => Fact::Unknown,
            },
            response_status: number(Field::ResponseStatus),
            response_headers: headers(Field::ResponseHeaders),
        }
    }
}

/// The layer that follows from which fields are given, and from the values of three of them.
///
/// # Errors
/// What to add where none follows.
pub fn layer_of(
    given: &dyn Fn(Field) -> bool,
    scheme: Option<&str>,
    port: Option<i64>,
    method: Option<&str>,
) -> Result<Layer, &'static str> {
    let has =
        |namespace: &str| FIELDS.iter().any(|row| row.name.split('.').next() == Some(namespace) && given(row.field));
    let own = [("response", Layer::Response), ("dns", Layer::Dns), ("docker", Layer::Docker), ("run", Layer::Run)];
    if let Some((_, layer)) = own.into_iter().find(|(namespace, _)| has(namespace)) {
        return Ok(layer);
    }
    let plain = scheme == Some("http") || scheme.is_none() && port == Some(80);
    let encrypted = scheme == Some("https") || scheme.is_none() && port == Some(443);
    let inside = [Field::HttpMethod, Field::HttpPath, Field::HttpHeaders, Field::HttpBody, Field::HttpBodySize];
    let inside = inside.into_iter().any(given);
    match (method == Some("CONNECT"), inside) {
        (true, _) => Ok(Layer::Connect),
        (false, true) if plain => Ok(Layer::Http),
        (false, true) if encrypted => Ok(Layer::Https),
        (false, true) => Err("add `scheme: http` for a plain request, `scheme: https` for one inside terminated TLS"),
        (false, false) if has("http") && plain => Ok(Layer::Http),
        (false, false) if has("http") || has("tls") || given(Field::NetworkHostname) => Ok(Layer::Connect),
        (false, false) if has("network") => Ok(Layer::Network),
        (false, false) => Err("add `layer:` to the request"),
    }
}

/// A text in the form in which conditions see it.
fn canonical(field: Field, text: &str) -> Result<String, RequestError> {
    let cannot = |why: String| RequestError::Value { field: field.name(), text: text.to_owned(), why };
    Ok(match field {
        Field::TlsSni if text.is_empty() => String::new(),
        Field::HttpHost | Field::NetworkHostname | Field::DnsQuery | Field::TlsSni => {
            match Host::parse(text).map_err(|error| cannot(error.to_string()))? {
                Host::Ip(_) if field == Field::TlsSni => return Err(cannot("an address is no server name".to_owned())),
                host => host.as_text().into_owned(),
            }
        }
        Field::NetworkIp => {
            text.parse::<IpAddr>().map_err(|_| cannot("it is no address".to_owned()))?.to_canonical().to_string()
        }
        Field::HttpMethod if is_token(text) => text.to_ascii_uppercase(),
        Field::HttpMethod => return Err(cannot("it is no method".to_owned())),
        Field::HttpPath => {
            path::check(text).map_err(|error| cannot(error.to_string()))?;
            text.to_owned()
        }
        Field::HttpScheme if !matches!(text, "http" | "https") => {
            return Err(cannot("it is neither `http` nor `https`".to_owned()));
        }
        Field::DnsRecordType => text.to_ascii_uppercase(),
        Field::NetworkProtocol => text.to_ascii_lowercase(),
        _ => text.to_owned(),
    })
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let special = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(fields: Value) -> Result<Request, RequestError> {
        Request::from_json(fields.as_object().unwrap())
    }

    #[track_caller]
    fn check_refused(fields: Value, why: &str) {
        let error = request(fields).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn values_come_into_the_form_that_conditions_see() {
        let fields = json!({
            "http": {"host": "EXAMPLE.com.", "method": "get", "path": "/a?b"},
            "network": {"ip": "::ffff:192.0.2.1", "port": 443, "protocol": "TCP"},
        });
        let request = request(fields).unwrap().complete(Layer::Https);
        let facts = request.facts(Layer::Https);
        assert_eq!(facts.http_host, Fact::Known("example.com"));
        assert_eq!(facts.http_method, Fact::Known("GET"));
        assert_eq!(facts.network_ip, Fact::Known("192.0.2.1".parse().unwrap()));
        assert_eq!(facts.network_protocol, Fact::Known("tcp"));
        assert_eq!(facts.tls_sni, Fact::Known("example.com"));
    }

    #[test]
    fn what_no_request_has_is_refused() {
        check_refused(json!({"nonsense": {}}), "not a group");
        check_refused(json!({"http": []}), "not a group");
        check_refused(json!({"http": {"hots": "a"}}), "`http.hots` is not a field");
        check_refused(json!({"http": {"host": 1}}), "must be");
        check_refused(json!({"http": {"host": "a b"}}), "`http.host` cannot be");
        check_refused(json!({"http": {"path": "/../a"}}), "dot segment");
        check_refused(json!({"http": {"method": "G T"}}), "no method");
        check_refused(json!({"http": {"scheme": "HTTP"}}), "neither");
        check_refused(json!({"tls": {"sni": "192.0.2.1"}}), "no server name");
        check_refused(json!({"network": {"ip": "192.0.2.256"}}), "no address");
        check_refused(json!({"network": {"port": 65_536}}), "must be");
        check_refused(json!({"network": {"port": 1.5}}), "must be");
        check_refused(json!({"run": {"args": ["a", 1]}}), "must be");
    }

    #[test]
    fn the_layer_follows_or_it_is_said_what_to_add() {
        for (fields, layer) in [
            (json!({"dns": {"query": "a.example"}}), Layer::Dns),
            (json!({"http": {"host": "a.example"}}), Layer::Connect),
            (json!({"http": {"host": "a.example", "method": "CONNECT"}}), Layer::Connect),
            (json!({"http": {"host": "a.example", "path": "/", "scheme": "https"}}), Layer::Https),
            (json!({"http": {"host": "a.example"}, "network": {"port": 80}}), Layer::Http),
            (json!({"network": {"ip": "192.0.2.1"}}), Layer::Network),
            (json!({"run": {"tool": "git"}}), Layer::Run),
            (json!({"docker": {"image": "a"}}), Layer::Docker),
        ] {
            let request = request(fields.clone()).unwrap();
            assert_eq!(request.layer(), Ok(layer), "{fields}");
            request.known_at(layer).unwrap();
        }
        for fields in [json!({}), json!({"agent": {"name": "a"}}), json!({"http": {"host": "a.example", "path": "/"}})]
        {
            assert!(matches!(request(fields).unwrap().layer(), Err(RequestError::Layer(_))));
        }
    }

    #[test]
    fn fields_that_a_layer_does_not_know_are_refused() {
        let check = |fields: Value, layer| request(fields).unwrap().known_at(layer).map_err(|error| error.to_string());
        let query = json!({"dns": {"query": "a.example"}, "http": {"host": "a.example"}});
        assert_eq!(check(query, Layer::Dns), Err("the `dns` layer does not know `http.host`".to_owned()));
        let plain = json!({"http": {"host": "a.example", "scheme": "http"}});
        assert_eq!(check(plain.clone(), Layer::Http), Ok(()));
        let why = "the `https` layer does not know `http.scheme` but as `https`".to_owned();
        assert_eq!(check(plain, Layer::Https), Err(why));
        let body = json!({"http": {"body": null}});
        assert!(check(body, Layer::Connect).is_err());
    }
}
