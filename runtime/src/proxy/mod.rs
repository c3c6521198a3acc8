//! Decides and forwards TCP connections: explicit and transparent, TLS by its ClientHello, HTTP/1.1 by each request.
//!
//! One name holds from end to end: the CONNECT target, the ClientHello's server name, `Host` and the name whose resolved
//! address is dialled are the same, or nothing is forwarded. Nothing is resolved before the policy says that it could
//! pass, nothing is dialled before it says that it does, and what is forwarded is what was judged.
//!
//! A connection is judged by what it carries: TLS at the connect layer, and where a rule sees inside, each request in it
//! at the https layer; HTTP at the http layer, request by request, and
//! anything else at the network layer. What the stricter layers refuse is refused; it never falls through to the network
//! layer, or a block rule on a host would be undone by an allow rule on its address.

pub mod chunked;
pub mod coding;
pub mod decoding;
pub mod fields;
pub mod hello;
pub mod http2;
pub mod request;
pub mod response;
mod revoke;

mod body;
mod connection;
mod context;
mod enrich;
mod entry;
mod exchange;
mod fallback;
mod frames;
mod http;
mod incoming;
mod inside;
mod judge;
mod listen;
mod raw;
mod redact;
mod refuse;
mod relay;
mod rewrite;
mod seen;
mod sniff;
mod tunnel;
mod upstream;
mod verified;

#[cfg(test)]
mod tests;

pub(crate) use connection::last_words;
pub use context::{Context, Limits, Mode};
pub use listen::serve;
pub use revoke::Changes;
