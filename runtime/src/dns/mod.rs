//! Names: which of them resolve, for whom and to what.
//!
//! Every name is judged by the policy before anything leaves the host, and every address on its way back, whether the
//! agent asked the filter or the proxy asks for a connection.

mod answer;
mod budget;
mod cache;
mod clock;
mod encrypted;
#[cfg(test)]
mod encrypted_tests;
mod examine;
mod filter;
mod judge;
mod message;
pub mod probe;
mod resolver;
mod serve;
mod server;
mod svcb;
mod upstream;

pub use budget::Budget;
pub use clock::Clock;
pub use examine::{Unusable, examine};
pub use filter::{Filter, OnAnswer, Told};
pub use resolver::{ResolveError, Resolver};
pub use serve::Limits;
pub use server::{Server, ServerError};
