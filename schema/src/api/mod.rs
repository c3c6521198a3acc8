//! The APIs that a running `outcalld` serves over unix sockets, to its operator and to agents: the table of their endpoints,
//! and what is said to them.
//!
//! Nearly every answer to an operator is one JSON document, an [`ApiResponse`]. The status code says the same as its `success`.
//! What an agent is answered stands by itself, without that envelope, but for failures.

pub mod agents;
pub mod bridge;
pub mod ca;
pub mod dns;
pub mod docker;
pub mod evaluate;
pub mod grants;
pub mod intercept;
pub mod load;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod permissions;
pub mod process;
pub mod proxy;
pub mod rules;
pub mod strict;

use serde::{Deserialize, Serialize};

/// Where `outcalld` serves and `outcall` asks, unless told otherwise.
pub const SOCKET: &str = "/run/outcall/host.sock";

/// The group whose members may ask as well as root, where there is one.
pub const GROUP: &str = "outcall";

/// The largest answer, in bytes; what is larger is none of ours. The list of 100,000 rules with long descriptions takes some
/// 60 MiB.
pub const ANSWER_MAX: usize = 256 << 20;

/// The largest body, in bytes, but for an upload.
pub const BODY_MAX: usize = 64 << 10;

/// The largest upload of artifacts, in bytes: those of 100,000 rules take some 200 MiB.
pub const UPLOAD_MAX: usize = 512 << 20;

/// The type of JSON bodies.
pub const JSON_TYPE: &str = "application/json";

/// The type of an upload: a [`crate::artifact::bundle::Bundle`].
pub const UPLOAD_TYPE: &str = "application/vnd.outcall.artifacts";

/// The type of the metrics (OpenMetrics 1.0, section 8).
pub const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The type of the events.
pub const EVENTS_TYPE: &str = "text/event-stream";

/// How an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It tells and changes nothing.
    Get,
    /// It changes something, or has to be told more than fits a path.
    Post,
}

impl Method {
    /// As it stands in a request line.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
        }
    }
}

/// What an endpoint is told in the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Nothing; `{}` is nothing.
    Nothing,
    /// One JSON object of at most [`BODY_MAX`] bytes.
    Json,
    /// Artifacts of at most [`UPLOAD_MAX`] bytes.
    Upload,
}

/// What an endpoint answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// An [`ApiResponse`].
    Data,
    /// One JSON document of its own.
    Document,
    /// Metrics as text.
    Metrics,
    /// Events until one of the two sides ends it.
    Events,
}

/// What has to be behind the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behind {
    /// Any `outcalld`.
    Any,
    /// A host with its bridge; there is none behind `outcall run`, which answers 404.
    Host,
    /// A host, at the socket for its agents, which serves this and nothing else.
    Agents,
}

/// A socket that is served on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The operator's.
    Operator,
    /// That of agents.
    Agents,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct EndpointRow {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How it is asked.
    pub method: Method,
    /// Its whole path. A segment `{id}` stands for any one that is not empty.
    pub path: &'static str,
    /// The one parameter that it knows, `true` or `false`.
    pub flag: Option<&'static str>,
    /// What it is told.
    pub takes: Takes,
    /// What it answers.
    pub gives: Gives,
    /// What it needs.
    pub behind: Behind,
    /// What it gives, in a sentence.
    pub summary: &'static str,
}

macro_rules! endpoints {
    ($($variant:ident, $method:ident, $path:literal, $flag:expr, $takes:ident, $gives:ident, $behind:ident, $summary:literal;)*) => {
        /// What can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint { $(#[doc = $summary] $variant,)* }

        /// The table of endpoints.
        pub const ENDPOINTS: &[EndpointRow] = &[
            $(EndpointRow {
                endpoint: Endpoint::$variant,
                method: Method::$method,
                path: $path,
                flag: $flag,
                takes: Takes::$takes,
                gives: Gives::$gives,
                behind: Behind::$behind,
                summary: $summary,
            },)*
        ];
    };
}

endpoints! {
    Rules, Get, "/api/v1/rules", None, Nothing, Data, Any, "the rules in force, in evaluation order, and how many requests each decided";
    Rule, Get, "/api/v1/rule/{id}", None, Nothing, Data, Any, "one rule with its whole condition and its terms";
    RuleEvaluate, Post, "/api/v1/rule/evaluate", None, Json, Data, Any, "what the policy in force decides on a request that is described, not sent";
    RulesArtifacts, Post, "/api/v1/rules/artifacts", None, Upload, Data, Host, "puts a compiled policy in force, or leaves everything as it is";
    RulesReload, Post, "/api/v1/rules/reload", None, Nothing, Data, Host, "reads the directory of artifacts again that outcalld was started with";
    RulesRollback, Post, "/api/v1/rules/rollback", None, Nothing, Data, Host, "puts the policy in force that was before this one";
    RulesActive, Get, "/api/v1/rules/active", None, Nothing, Data, Host, "the addresses that are open to agents because names led there, by rules with `mode: direct_ip`";
    RulesFlush, Post, "/api/v1/rules/flush", None, Nothing, Data, Host, "closes all of them and cuts what uses them; names that are asked for again open them again";
    Dns, Get, "/api/v1/dns", None, Nothing, Data, Any, "where names are answered, who is asked for them, and how many were";
    DnsCache, Get, "/api/v1/dns/cache", Some("entries"), Nothing, Data, Any, "how many answers are kept and how often one could be used; with `?entries=true` which";
    DnsCacheFlush, Post, "/api/v1/dns/cache/flush", None, Nothing, Data, Any, "lets go of all answers that are kept, and says how many there were";
    DnsTest, Post, "/api/v1/dns/test", None, Json, Data, Any, "what a query for a name would be answered, and by which rule";
    Proxy, Get, "/api/v1/proxy", None, Nothing, Data, Any, "where the proxy listens, and how much it has decided";
    Intercept, Get, "/api/v1/proxy/intercept", None, Nothing, Data, Any, "what was seen inside TLS today, and how many certificates are kept";
    InterceptCacheFlush, Post, "/api/v1/proxy/intercept/cache/flush", None, Nothing, Data, Any, "lets go of all certificates that are kept, and says how many there were";
    CaStatus, Get, "/api/v1/ca/status", None, Nothing, Data, Any, "the authority that certificates are signed with, and how many are kept";
    CaBundle, Get, "/api/v1/ca/bundle", None, Nothing, Data, Any, "the certificates that clients have to trust, in PEM";
    Bridge, Get, "/api/v1/bridge", None, Nothing, Data, Host, "the bridge that agents are attached to";
    BridgeUp, Post, "/api/v1/bridge/up", None, Nothing, Data, Host, "takes the bridge up";
    BridgeDown, Post, "/api/v1/bridge/down", None, Nothing, Data, Host, "takes the bridge down, and with it every agent off the network";
    Agents, Get, "/api/v1/agents", None, Nothing, Data, Any, "the agents that are guarded, and how much was decided for each";
    AgentsAttach, Post, "/api/v1/agents/attach", None, Json, Data, Host, "gives a new agent its addresses and its port";
    AgentsDetach, Post, "/api/v1/agents/detach", None, Json, Data, Host, "takes them from it";
    Networks, Get, "/api/v1/networks", None, Nothing, Data, Host, "the networks of Docker's engine on our bridge";
    Network, Get, "/api/v1/network", None, Nothing, Data, Host, "one of them, with `?name=`";
    NetworkConfig, Get, "/api/v1/network/config", None, Nothing, Data, Host, "what such a network is made with, and whether the engine answers";
    NetworkCreate, Post, "/api/v1/network/create", None, Json, Data, Host, "makes a network of the engine's on our bridge; where there is one nothing changes";
    NetworkDestroy, Post, "/api/v1/network/destroy", None, Json, Data, Host, "removes it, with `force` although containers are on it";
    Containers, Get, "/api/v1/containers", None, Nothing, Data, Host, "the containers on our network";
    Container, Get, "/api/v1/container", None, Nothing, Data, Host, "all about one of them, with `?name=`";
    ContainerLogs, Get, "/api/v1/container/logs", None, Nothing, Data, Host, "the end of what one has said, with `?name=`";
    ContainerCreate, Post, "/api/v1/container/create", None, Json, Data, Host, "starts a container as an agent, where the policy allows it";
    ContainerStop, Post, "/api/v1/container/stop", None, Json, Data, Host, "stops a container on our network";
    ContainerRemove, Post, "/api/v1/container/remove", None, Json, Data, Host, "removes one, with `force` although it runs";
    ContainerPull, Post, "/api/v1/container/pull", None, Json, Data, Host, "has the engine fetch an image, where the policy allows it";
    Health, Get, "/api/v1/health", None, Nothing, Data, Any, "that the process lives, since when and by which policy";
    Ready, Get, "/api/v1/ready", None, Nothing, Data, Any, "whether agents are guarded and served, else with status 503 what stands in the way";
    Events, Get, "/api/v1/events", None, Nothing, Events, Any, "the audit records as they come, as server-sent events";
    Metrics, Get, "/api/v1/metrics", None, Nothing, Metrics, Any, "counters, durations and caches as OpenMetrics text";
    MetricsUsual, Get, "/metrics", None, Nothing, Metrics, Any, "the same where scrapers look for it";
    OpenApi, Get, "/api/v1/openapi.json", None, Nothing, Document, Any, "this table and the types of all bodies, as an OpenAPI 3.1 document";
    AgentCheckin, Post, "/v1/checkin", None, Nothing, Document, Agents, "who the agent is, as the host knows it, and what it may use";
    AgentCheck, Post, "/v1/permissions/check", None, Json, Document, Agents, "whether the policy in force allows what the agent wants to do";
}

impl Endpoint {
    /// This endpoint's row of the table.
    pub fn row(self) -> &'static EndpointRow {
        #[expect(clippy::indexing_slicing, reason = "the table has one row per variant, in order; a test walks it")]
        &ENDPOINTS[self as usize]
    }
}

impl EndpointRow {
    /// The socket that it is served on.
    pub fn door(&self) -> Door {
        match self.behind {
            Behind::Any | Behind::Host => Door::Operator,
            Behind::Agents => Door::Agents,
        }
    }

    /// Whether it has to be told with the parameter `name` of what is asked.
    pub fn named(&self) -> bool {
        matches!(self.endpoint, Endpoint::Network | Endpoint::Container | Endpoint::ContainerLogs)
    }

    /// The part of a path that `{id}` stands for, empty where there is none; `None` when it is another path.
    pub fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.path.split_once("{id}") {
            None => (self.path == path).then_some(""),
            Some((before, after)) => {
                let id = path.strip_prefix(before)?.strip_suffix(after)?;
                (!id.is_empty() && !id.contains('/')).then_some(id)
            }
        }
    }

    /// The path of one thing.
    pub fn path_of(&self, id: &str) -> String {
        self.path.replace("{id}", id)
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// To this endpoint, for this thing where its path names one.
    To(Endpoint, &'a str),
    /// Its path is asked with this method and no other.
    OtherMethod(Method),
    /// Nowhere: there is no such path.
    Nowhere,
}

/// Finds where a request for this path goes that came by this socket. A row whose path is the whole of it comes before one
/// with an `{id}`.
pub fn route<'a>(door: Door, method: &str, path: &'a str) -> Route<'a> {
    let served = || ENDPOINTS.iter().filter(|row| row.door() == door);
    let exact = served().filter(|row| row.path == path);
    let matching = served().filter(|row| row.path != path);
    let mut at_path = exact.chain(matching).filter_map(|row| Some((row, row.matches(path)?))).peekable();
    let Some((first, id)) = at_path.peek().copied() else { return Route::Nowhere };
    // All rows of one path have one method, so `rule/evaluate` asked with GET is no rule called `evaluate`.
    if first.method.name() == method { Route::To(first.endpoint, id) } else { Route::OtherMethod(first.method) }
}

/// Every answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiResponse<T> {
    /// Whether it was done.
    pub success: bool,
    /// What was asked for; there exactly when it was done.
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    pub data: Option<T>,
    /// Why it was not done; there exactly when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl<T> ApiResponse<T> {
    /// It was done.
    pub fn done(data: T) -> ApiResponse<T> {
        ApiResponse { success: true, data: Some(data), error: None }
    }

    /// It was not.
    pub fn failed(error: impl Into<String>) -> ApiResponse<T> {
        ApiResponse { success: false, data: None, error: Some(error.into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_per_endpoint_in_order_and_no_path_twice() {
        for (at, row) in ENDPOINTS.iter().enumerate() {
            assert_eq!(row.endpoint as usize, at, "{}", row.path);
            assert_eq!(row.endpoint.row().path, row.path);
            assert_eq!(ENDPOINTS.iter().filter(|other| other.path == row.path).count(), 1, "{}", row.path);
            let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '/' | '_' | '1' | '.' | '{' | '}');
            assert!(row.path.starts_with('/') && row.path.chars().all(plain), "{}", row.path);
            assert!(!row.summary.is_empty() && !row.summary.ends_with('.'), "{}", row.path);
            assert!(row.method == Method::Post || row.takes == Takes::Nothing, "{}", row.path);
            let prefix = if row.door() == Door::Agents { "/v1/" } else { "/api/v1/" };
            let whole = row.path.starts_with(prefix) || row.endpoint == Endpoint::MetricsUsual;
            assert!(whole && row.path.matches('{').count() <= 1, "{}", row.path);
        }
    }

    #[test]
    fn a_request_goes_to_one_endpoint_or_is_told_why_not() {
        for row in ENDPOINTS {
            let path = row.path_of("a.b-1");
            let id = if row.path.contains('{') { "a.b-1" } else { "" };
            let door = row.door();
            assert_eq!(route(door, row.method.name(), &path), Route::To(row.endpoint, id));
            assert_eq!(route(door, "DELETE", &path), Route::OtherMethod(row.method));
            assert_eq!(route(door, row.method.name(), &format!("{path}/")), Route::Nowhere);
            let other = if door == Door::Operator { Door::Agents } else { Door::Operator };
            assert_eq!(route(other, row.method.name(), &path), Route::Nowhere);
        }
        let route = |method, path| route(Door::Operator, method, path);
        for path in ["/", "", "/api/v1", "/api/v1/", "/api/v2/ca/status", "/API/v1/ca/status", "//api/v1/ca/status"] {
            assert_eq!(route("GET", path), Route::Nowhere);
        }
        assert_eq!(route("get", "/api/v1/ca/status"), Route::OtherMethod(Method::Get));
        assert_eq!(route("GET", "/api/v1/rule/evaluate"), Route::OtherMethod(Method::Post));
        assert_eq!(route("POST", "/api/v1/rule/web"), Route::OtherMethod(Method::Get));
        for path in ["/api/v1/rule/", "/api/v1/rule//", "/api/v1/rule/a/b", "/api/v1/rule"] {
            assert_eq!(route("GET", path), Route::Nowhere, "{path}");
        }
    }

    #[test]
    fn an_answer_has_data_or_an_error() {
        let check = |answer: &ApiResponse<u8>, text: &str| {
            assert_eq!(serde_json::to_string(answer).unwrap(), text);
            assert_eq!(serde_json::from_str::<ApiResponse<u8>>(text).unwrap(), *answer);
        };
        check(&ApiResponse::done(7), r#"{"success":true,"data":7}"#);
        check(&ApiResponse::failed("no"), r#"{"success":false,"error":"no"}"#);
    }
}
