//! The API that a running `outcalld` serves to its operator, over a unix socket: the table of its endpoints, and what is
//! said to them.
//!
//! Every answer is one JSON document, an [`ApiResponse`]. The status code says the same as its `success`.

pub mod agents;
pub mod bridge;
pub mod ca;
pub mod intercept;
pub mod load;

use serde::{Deserialize, Serialize};

/// Where `outcalld` serves and `outcall` asks, unless told otherwise.
pub const SOCKET: &str = "/run/outcall/host.sock";

/// The largest answer, in bytes; what is larger is none of ours.
pub const ANSWER_MAX: usize = 1 << 20;

/// How an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// It tells and changes nothing.
    Get,
    /// It changes something.
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

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct EndpointRow {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// How it is asked.
    pub method: Method,
    /// Its whole path.
    pub path: &'static str,
    /// What it gives, in a sentence.
    pub summary: &'static str,
}

macro_rules! endpoints {
    ($($variant:ident, $method:ident, $path:literal, $summary:literal;)*) => {
        /// What can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Endpoint { $(#[doc = $summary] $variant,)* }

        /// The table of endpoints.
        pub const ENDPOINTS: &[EndpointRow] = &[
            $(EndpointRow {
                endpoint: Endpoint::$variant,
                method: Method::$method,
                path: concat!("/api/v1/", $path),
                summary: $summary,
            },)*
        ];
    };
}

endpoints! {
    CaStatus, Get, "ca/status", "the authority that certificates are signed with, and how many are kept";
    CaBundle, Get, "ca/bundle", "the certificates that clients have to trust, in PEM";
    Intercept, Get, "proxy/intercept", "what was seen inside TLS today, and how many certificates are kept";
    InterceptCacheFlush, Post, "proxy/intercept/cache/flush", "lets go of all certificates that are kept, and says how many there were";
}

impl Endpoint {
    /// This endpoint's row of the table.
    pub fn row(self) -> &'static EndpointRow {
        #[expect(clippy::indexing_slicing, reason = "the table has one row per variant, in order; a test walks it")]
        &ENDPOINTS[self as usize]
    }
}

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// To this endpoint.
    To(Endpoint),
    /// Its path is asked with this method and no other.
    OtherMethod(Method),
    /// Nowhere: there is no such path.
    Nowhere,
}

/// Finds where a request for this path goes.
pub fn route(method: &str, path: &str) -> Route {
    let mut at_path = ENDPOINTS.iter().filter(|row| row.path == path);
    match at_path.clone().find(|row| row.method.name() == method) {
        Some(row) => Route::To(row.endpoint),
        None => at_path.next().map_or(Route::Nowhere, |row| Route::OtherMethod(row.method)),
    }
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
            let same = |other: &&EndpointRow| other.path == row.path && other.method == row.method;
            assert_eq!(ENDPOINTS.iter().filter(same).count(), 1, "{}", row.path);
            let plain = |c: char| c.is_ascii_lowercase() || matches!(c, '/' | '_' | '1');
            assert!(row.path.starts_with("/api/v1/") && row.path.chars().all(plain), "{}", row.path);
            assert!(!row.summary.is_empty() && !row.summary.ends_with('.'), "{}", row.path);
        }
    }

    #[test]
    fn a_request_goes_to_one_endpoint_or_is_told_why_not() {
        for row in ENDPOINTS {
            assert_eq!(route(row.method.name(), row.path), Route::To(row.endpoint));
            assert_eq!(route("DELETE", row.path), Route::OtherMethod(row.method));
            assert_eq!(route(row.method.name(), &format!("{}/", row.path)), Route::Nowhere);
        }
        for path in ["/", "", "/api/v1", "/api/v1/", "/api/v2/ca/status", "/API/v1/ca/status", "//api/v1/ca/status"] {
            assert_eq!(route("GET", path), Route::Nowhere);
        }
        assert_eq!(route("get", "/api/v1/ca/status"), Route::OtherMethod(Method::Get));
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
