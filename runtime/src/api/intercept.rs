//! Tells what was seen inside TLS, and lets go of certificates for hosts.

use outcall_schema::api::intercept::{Flushed, InterceptStatus, Today};

use super::Api;
use crate::intercept::Leaves;

pub(super) fn status(api: &Api) -> InterceptStatus {
    let interception = api.interception.as_ref();
    InterceptStatus {
        ca_loaded: interception.is_some(),
        leaf_cache_size: interception.map_or(0, |interception| interception.leaves().len()),
        leaf_cache_max: Leaves::MAX,
        today: interception.map_or(Today::default(), |interception| interception.counters().today()),
    }
}

/// Without an authority there are none.
pub(super) fn flush(api: &Api) -> Flushed {
    Flushed { evicted: api.interception.as_ref().map_or(0, |interception| interception.leaves().flush()) }
}
