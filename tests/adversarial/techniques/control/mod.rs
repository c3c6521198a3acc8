//! Outcall itself.

use crate::technique::Technique;

mod identity_by_header;
mod log_injection;

pub(crate) const TECHNIQUES: &[&Technique] = &[&identity_by_header::TECHNIQUE, &log_injection::TECHNIQUE];
