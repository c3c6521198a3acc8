//! Decides and forwards TCP connections: explicit and transparent, TLS by its ClientHello, HTTP/1.1 by each request.

pub mod chunked;
pub mod fields;
pub mod hello;
pub mod request;
pub mod response;
