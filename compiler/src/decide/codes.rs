//! Diagnostics of lowering.
