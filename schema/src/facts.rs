//! What is known of one request when a question is asked.

use std::net::IpAddr;

use crate::field::Field;

/// A field's value at one point of a request's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fact<T> {
    /// Never known in this layer. A test on it is neither true nor false.
    #[default]
    Unknown,
    /// Not known yet: the answer must hold for every value it may turn out to have.
    Pending,
    /// Known.
    Known(T),
}

impl<T> Fact<T> {
    /// The value, if it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Fact::Known(value) => Some(value),
            Fact::Unknown | Fact::Pending => None,
        }
    }
}

/// Header fields as conditions see them: names in lower case, sorted, each once, repeated values joined by `, `
/// (RFC 9110, section 5.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers {
    fields: Vec<(String, String)>,
}

impl Headers {
    /// Collects headers in the order they were received. Names are lowered; values must already be text.
    pub fn collect<N: AsRef<str>, V: AsRef<str>>(received: impl IntoIterator<Item = (N, V)>) -> Headers {
        let mut fields: Vec<(String, String)> = Vec::new();
        for (name, value) in received {
            let name = name.as_ref().to_ascii_lowercase();
            match fields.binary_search_by(|(known, _)| known.as_str().cmp(&name)) {
                Ok(at) => {
                    if let Some((_, joined)) = fields.get_mut(at) {
                        joined.push_str(", ");
                        joined.push_str(value.as_ref());
                    }
                }
                Err(at) => fields.insert(at, (name, value.as_ref().to_owned())),
            }
        }
        Headers { fields }
    }

    /// The value of the header with this lower-case name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.fields.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
        self.fields.get(at).map(|(_, value)| value.as_str())
    }

    /// All names and values, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The fields of one request. Everything starts unknown; a layer fills in what it knows and marks as pending what it
/// will know later. Strings must be in canonical form ([`crate::host`], [`crate::path`]).
#[derive(Debug, Clone, Default)]
pub struct Facts<'a> {
    /// `network.hostname`
    pub network_hostname: Fact<&'a str>,
    /// `network.ip`
    pub network_ip: Fact<IpAddr>,
    /// `network.port`
    pub network_port: Fact<i64>,
    /// `network.protocol`
    pub network_protocol: Fact<&'a str>,
    /// `http.host`
    pub http_host: Fact<&'a str>,
    /// `http.method`
    pub http_method: Fact<&'a str>,
    /// `http.path`
    pub http_path: Fact<&'a str>,
    /// `http.scheme`
    pub http_scheme: Fact<&'a str>,
    /// `http.headers`
    pub http_headers: Fact<&'a Headers>,
    /// `http.body_size`
    pub http_body_size: Fact<i64>,
    /// `http.body`; `Known(None)` is null.
    pub http_body: Fact<Option<&'a str>>,
    /// `dns.query`
    pub dns_query: Fact<&'a str>,
    /// `dns.record_type`
    pub dns_record_type: Fact<&'a str>,
    /// `tls.sni`
    pub tls_sni: Fact<&'a str>,
    /// `tls.alpn`
    pub tls_alpn: Fact<&'a [String]>,
    /// `agent.name`
    pub agent_name: Fact<&'a str>,
    /// `docker.image`
    pub docker_image: Fact<&'a str>,
    /// `docker.command`
    pub docker_command: Fact<&'a [String]>,
    /// `docker.volumes`
    pub docker_volumes: Fact<&'a [String]>,
    /// `docker.env_keys`
    pub docker_env_keys: Fact<&'a [String]>,
    /// `docker.capabilities`
    pub docker_capabilities: Fact<&'a [String]>,
    /// `run.tool`
    pub run_tool: Fact<&'a str>,
    /// `run.args`
    pub run_args: Fact<&'a [String]>,
    /// `run.flags`
    pub run_flags: Fact<&'a [String]>,
    /// `run.cwd`
    pub run_cwd: Fact<&'a str>,
    /// `run.context`
    pub run_context: Fact<&'a serde_json::Map<String, serde_json::Value>>,
    /// `response.status`
    pub response_status: Fact<i64>,
    /// `response.headers`
    pub response_headers: Fact<&'a Headers>,
}

/// A borrowed value of any field, for code that walks the field table.
#[derive(Debug, Clone, Copy)]
pub enum FieldValue<'a> {
    /// A string.
    Str(&'a str),
    /// An address, which conditions see as its canonical text.
    Ip(IpAddr),
    /// An integer.
    Int(i64),
    /// Null.
    Null,
    /// A list of strings.
    List(&'a [String]),
    /// Headers.
    Headers(&'a Headers),
    /// A JSON object.
    Json(&'a serde_json::Map<String, serde_json::Value>),
}

impl<'a> Facts<'a> {
    /// The value of `field`.
    pub fn fact(&self, field: Field) -> Fact<FieldValue<'a>> {
        fn map<'a, T>(fact: Fact<T>, wrap: impl FnOnce(T) -> FieldValue<'a>) -> Fact<FieldValue<'a>> {
            match fact {
                Fact::Unknown => Fact::Unknown,
                Fact::Pending => Fact::Pending,
                Fact::Known(value) => Fact::Known(wrap(value)),
            }
        }
        match field {
            Field::NetworkHostname => map(self.network_hostname, FieldValue::Str),
            Field::NetworkIp => map(self.network_ip, FieldValue::Ip),
            Field::NetworkPort => map(self.network_port, FieldValue::Int),
            Field::NetworkProtocol => map(self.network_protocol, FieldValue::Str),
            Field::HttpHost => map(self.http_host, FieldValue::Str),
            Field::HttpMethod => map(self.http_method, FieldValue::Str),
            Field::HttpPath => map(self.http_path, FieldValue::Str),
            Field::HttpScheme => map(self.http_scheme, FieldValue::Str),
            Field::HttpHeaders => map(self.http_headers, FieldValue::Headers),
            Field::HttpBodySize => map(self.http_body_size, FieldValue::Int),
            Field::HttpBody => map(self.http_body, |body| body.map_or(FieldValue::Null, FieldValue::Str)),
            Field::DnsQuery => map(self.dns_query, FieldValue::Str),
            Field::DnsRecordType => map(self.dns_record_type, FieldValue::Str),
            Field::TlsSni => map(self.tls_sni, FieldValue::Str),
            Field::TlsAlpn => map(self.tls_alpn, FieldValue::List),
            Field::AgentName => map(self.agent_name, FieldValue::Str),
            Field::DockerImage => map(self.docker_image, FieldValue::Str),
            Field::DockerCommand => map(self.docker_command, FieldValue::List),
            Field::DockerVolumes => map(self.docker_volumes, FieldValue::List),
            Field::DockerEnvKeys => map(self.docker_env_keys, FieldValue::List),
            Field::DockerCapabilities => map(self.docker_capabilities, FieldValue::List),
            Field::RunTool => map(self.run_tool, FieldValue::Str),
            Field::RunArgs => map(self.run_args, FieldValue::List),
            Field::RunFlags => map(self.run_flags, FieldValue::List),
            Field::RunCwd => map(self.run_cwd, FieldValue::Str),
            Field::RunContext => map(self.run_context, FieldValue::Json),
            Field::ResponseStatus => map(self.response_status, FieldValue::Int),
            Field::ResponseHeaders => map(self.response_headers, FieldValue::Headers),
        }
    }
}
