//! The runtime's parts against real sockets, real artifacts and a real upstream.

mod common;
mod filter;
mod load;
mod resolve;
mod signed;
mod state;
mod state_crash;
