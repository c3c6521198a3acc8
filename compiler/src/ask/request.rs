//! A request as people write it, in fields by namespace, and as readers take it.

use std::net::IpAddr;

use outcall_schema::facts::{Fact, Facts, Headers};
use outcall_schema::field::{FIELDS, Field, FieldType};
use outcall_schema::layer::Layer;
use serde_json::{Map, Value};

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
}

impl Request {
    /// Reads `{"http": {"host": "..."}}`.
    ///
    /// # Errors
    /// Anything that is no field, or not of its type.
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
            FieldType::String if field == Field::NetworkIp => {
                let text = value.as_str().filter(|text| text.parse::<IpAddr>().is_ok()).ok_or_else(wrong)?;
                self.texts.push((field, text.to_owned()));
            }
            FieldType::NullableString if value.is_null() => self.body_is_null = true,
            FieldType::String | FieldType::NullableString => {
                self.texts.push((field, value.as_str().ok_or_else(wrong)?.to_owned()));
            }
            FieldType::Int => self.numbers.push((field, value.as_i64().ok_or_else(wrong)?)),
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
            Some(outcall_schema::field::Knowledge::Always(constant)) => Fact::Known(constant),
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
