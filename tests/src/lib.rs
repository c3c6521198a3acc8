//! What the suites share: the world they run in and the second opinions they ask.
#![forbid(unsafe_code)]

pub mod abuse;
pub mod fixtures;
pub mod fuzz;
pub mod generate;
pub mod golden;
pub mod load;
pub mod peers;
pub mod reference;
pub mod scale;
pub mod soak;
