//! The table of fields a condition can read: one row each, from which type checking, documentation, JSON Schema and the
//! layers' projections follow.

use crate::layer::{Layer, Stage};

/// The type of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// A string.
    String,
    /// A string, or null.
    NullableString,
    /// A 64-bit signed integer.
    Int,
    /// A list of strings.
    StringList,
    /// A map from string to string.
    StringMap,
    /// A map from string to anything that JSON can say.
    DynMap,
}

impl FieldType {
    /// The type as the documentation writes it.
    pub const fn name(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::NullableString => "string or null",
            FieldType::Int => "int",
            FieldType::StringList => "list(string)",
            FieldType::StringMap => "map(string, string)",
            FieldType::DynMap => "map(string, dyn)",
        }
    }
}

/// What a layer knows of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// Known from this stage on, pending before.
    From(Stage),
    /// Always this text, whatever the request.
    Always(&'static str),
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct FieldRow {
    /// The field.
    pub field: Field,
    /// The name in conditions, `namespace.name`.
    pub name: &'static str,
    /// Its type.
    pub ty: FieldType,
    /// What it holds, in a sentence for the documentation.
    pub doc: &'static str,
    /// A value to show in examples, as it would stand in a condition.
    pub example: &'static str,
    /// The layers that know it and from when on; in every other layer it is unknown.
    pub layers: &'static [(Layer, Knowledge)],
}

macro_rules! fields {
    ($($variant:ident = $number:literal, $name:literal, $ty:ident, $example:literal, $doc:literal, $layers:expr;)*) => {
        /// A field that a condition can read. The number is its number in the artifacts.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $(#[doc = $doc] $variant = $number,)* }

        /// The table of fields, in the order of their numbers.
        pub const FIELDS: &[FieldRow] = &[
            $(FieldRow { field: Field::$variant, name: $name, ty: FieldType::$ty, doc: $doc, example: $example,
                         layers: $layers },)*
        ];
    };
}

use Knowledge::{Always, From};
use Layer::{Connect, Dns, Docker, Http, Https, Network, Response, Run};
use Stage::{Address, Body, Head, Hello};

const REQUEST: &[(Layer, Knowledge)] =
    &[(Connect, From(Head)), (Http, From(Head)), (Https, From(Head)), (Response, From(Head))];
const INSIDE: &[(Layer, Knowledge)] = &[(Http, From(Head)), (Https, From(Head)), (Response, From(Head))];

fields! {
    NetworkHostname = 0, "network.hostname", String, "\"api.example.com\"",
        "The name being connected to, canonical, if known.", REQUEST;
    NetworkIp = 1, "network.ip", String, "\"203.0.113.7\"",
        "The destination address in canonical text form; `inCidr(network.ip, \"10.0.0.0/8\")` tests membership.",
        &[(Network, From(Head)), (Connect, From(Address)), (Http, From(Address)), (Https, From(Address)),
          (Response, From(Head))];
    NetworkPort = 2, "network.port", Int, "443",
        "The destination port, 0 to 65535.",
        &[(Network, From(Head)), (Connect, From(Head)), (Http, From(Head)), (Https, From(Head)),
          (Response, From(Head))];
    NetworkProtocol = 3, "network.protocol", String, "\"tcp\"",
        "The transport: `tcp`, `udp`, `icmp`, `icmpv6`, `sctp` or another IP protocol's name.",
        &[(Network, From(Head)), (Connect, Always("tcp")), (Http, Always("tcp")), (Https, Always("tcp")),
          (Response, Always("tcp"))];
    HttpHost = 4, "http.host", String, "\"api.example.com\"",
        "The canonical host without a port.", REQUEST;
    HttpMethod = 5, "http.method", String, "\"GET\"",
        "The method in upper case; `CONNECT` on a tunnel.",
        &[(Connect, Always("CONNECT")), (Http, From(Head)), (Https, From(Head)), (Response, From(Head))];
    HttpPath = 6, "http.path", String, "\"/v1/models?limit=5\"",
        "Path and query, exactly the bytes that are forwarded; `/` on a tunnel.",
        &[(Connect, Always("/")), (Http, From(Head)), (Https, From(Head)), (Response, From(Head))];
    HttpScheme = 7, "http.scheme", String, "\"https\"",
        "`http` or `https`.",
        &[(Connect, Always("https")), (Http, Always("http")), (Https, Always("https")), (Response, From(Head))];
    HttpHeaders = 8, "http.headers", StringMap, "{\"accept\": \"*/*\"}",
        "The request's headers: names in lower case, repeated values joined by `, `; a missing name is an error, so guard it with `has(http.headers.x)` or `\"x-y\" in http.headers`.",
        INSIDE;
    HttpBodySize = 9, "http.body_size", Int, "512",
        "The body's length in bytes as declared or counted; -1 when not known.", INSIDE;
    HttpBody = 10, "http.body", NullableString, "\"{}\"",
        "The request's body where it fits the cap, else null; in an allow rule null unless the rule has `match_body: true`. Invalid UTF-8 becomes U+FFFD.",
        &[(Http, From(Body)), (Https, From(Body)), (Response, From(Head))];
    DnsQuery = 11, "dns.query", String, "\"api.example.com\"",
        "The canonical name asked for, without the trailing dot.", &[(Dns, From(Head))];
    DnsRecordType = 12, "dns.record_type", String, "\"A\"",
        "The record type asked for: `A`, `AAAA`, `TXT`, ... or `TYPE65280` for one without a name.", &[(Dns, From(Head))];
    TlsSni = 13, "tls.sni", String, "\"api.example.com\"",
        "The server name of the ClientHello, canonical; empty when the client sent none.",
        &[(Connect, From(Hello)), (Https, From(Head)), (Response, From(Head))];
    TlsAlpn = 14, "tls.alpn", StringList, "[\"h2\", \"http/1.1\"]",
        "The application protocols the ClientHello offers, in its order.",
        &[(Connect, From(Hello)), (Https, From(Head)), (Response, From(Head))];
    AgentName = 15, "agent.name", String, "\"ci\"",
        "The agent's name as the host verified it, never from anything the agent sends; empty when not identified.",
        &[(Dns, From(Head)), (Network, From(Head)), (Connect, From(Head)), (Http, From(Head)), (Https, From(Head)),
          (Response, From(Head)), (Docker, From(Head)), (Run, From(Head))];
    DockerImage = 16, "docker.image", String, "\"debian:12\"",
        "The image of a container to create or pull.", &[(Docker, From(Head))];
    DockerCommand = 17, "docker.command", StringList, "[\"sh\", \"-c\", \"true\"]",
        "The command of a container to create.", &[(Docker, From(Head))];
    DockerVolumes = 18, "docker.volumes", StringList, "[\"/data:/data:ro\"]",
        "The volumes of a container to create.", &[(Docker, From(Head))];
    DockerEnvKeys = 19, "docker.env_keys", StringList, "[\"PATH\"]",
        "The names of the environment variables of a container to create.", &[(Docker, From(Head))];
    DockerCapabilities = 20, "docker.capabilities", StringList, "[\"NET_ADMIN\"]",
        "The capabilities a container asks to have added.", &[(Docker, From(Head))];
    RunTool = 21, "run.tool", String, "\"git\"",
        "The tool the agent wants to use.", &[(Run, From(Head))];
    RunArgs = 22, "run.args", StringList, "[\"push\", \"origin\"]",
        "The tool's arguments that are not flags.", &[(Run, From(Head))];
    RunFlags = 23, "run.flags", StringList, "[\"--force\"]",
        "The tool's flags.", &[(Run, From(Head))];
    RunCwd = 24, "run.cwd", String, "\"/workspace\"",
        "The directory the tool would run in.", &[(Run, From(Head))];
    RunContext = 25, "run.context", DynMap, "{\"attempt\": 1}",
        "What the shim tells about the action; a missing name is an error.", &[(Run, From(Head))];
    ResponseStatus = 26, "response.status", Int, "200",
        "The response's status code.", &[(Response, From(Head))];
    ResponseHeaders = 27, "response.headers", StringMap, "{\"content-type\": \"text/html\"}",
        "The response's headers, formed like `http.headers`.", &[(Response, From(Head))];
}

impl Field {
    /// This field's row of the table.
    pub fn row(self) -> &'static FieldRow {
        #[expect(clippy::indexing_slicing, reason = "the table has one row per variant, in order; a test walks it")]
        &FIELDS[self as usize]
    }

    /// The name in conditions.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The field with this name.
    pub fn from_name(name: &str) -> Option<Field> {
        FIELDS.iter().find(|row| row.name == name).map(|row| row.field)
    }

    /// The field with this number in the artifacts.
    pub fn from_number(number: u8) -> Option<Field> {
        FIELDS.get(usize::from(number)).map(|row| row.field)
    }

    /// What `layer` knows of this field; `None` when it never does.
    pub fn knowledge(self, layer: Layer) -> Option<Knowledge> {
        self.row().layers.iter().find(|(known, _)| *known == layer).map(|(_, knowledge)| *knowledge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_per_number_in_order_and_no_name_twice() {
        for (number, row) in FIELDS.iter().enumerate() {
            assert_eq!(row.field as usize, number, "{}", row.name);
            assert_eq!(Field::from_name(row.name), Some(row.field), "{}", row.name);
            assert!(!row.layers.is_empty() && !row.doc.is_empty() && !row.example.is_empty(), "{}", row.name);
        }
    }
}
