//! Loads compiled artifacts and enforces them in the kernel, in DNS and in a proxy.

pub mod proxy;
