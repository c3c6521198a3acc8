//! Tells of the DNS filter and of the proxy, and lets go of answers that are kept.

use std::net::SocketAddr;

use outcall_schema::api::dns::{CacheStatus, DnsStatus, DnsTest, DnsTested};
use outcall_schema::api::intercept::Flushed;
use outcall_schema::api::proxy::ProxyStatus;
use outcall_schema::layer::Layer;

use super::Api;
use super::message::Failure;
use crate::audit::Decision;
use crate::dns;

pub(super) fn status(api: &Api) -> DnsStatus {
    let meters = api.audit.meters();
    let (allowed, blocked) = (meters.dns_allowed.total(), meters.dns_blocked.total());
    let first = api.dns_listening.first();
    DnsStatus {
        running: first.is_some(),
        listen_address: first.map(|address| address.ip().to_string()).unwrap_or_default(),
        listen_port: first.map_or(0, SocketAddr::port),
        listening: texts(&api.dns_listening),
        upstreams: api.resolver.upstreams(),
        cache_entries: api.resolver.cache().entries,
        queries_total: allowed + blocked,
        queries_allowed: allowed,
        queries_blocked: blocked,
    }
}

pub(super) fn cache(api: &Api, entries: bool) -> CacheStatus {
    CacheStatus { answers: entries.then(|| api.resolver.cached_answers()), ..api.resolver.cache() }
}

pub(super) fn flush(api: &Api) -> Flushed {
    Flushed { evicted: api.resolver.flush_cache() }
}

pub(super) async fn test(api: &Api, wanted: &DnsTest) -> Result<DnsTested, Failure> {
    let snapshot = api.policy.load_full();
    dns::examine(&api.resolver, &snapshot, wanted).await.map_err(|error| Failure::new(400, error.to_string()))
}

pub(super) fn proxy(api: &Api) -> ProxyStatus {
    let of_proxy = |layer| matches!(layer, Layer::Network | Layer::Connect | Layer::Http | Layer::Https);
    let (mut total_requests, mut total_blocked) = (0, 0);
    for ((layer, decision, _), count) in api.audit.counts().layers {
        if of_proxy(layer) {
            total_requests += count;
            total_blocked += if decision == Decision::Block { count } else { 0 };
        }
    }
    let first = api.proxy_listening.first();
    ProxyStatus {
        running: first.is_some(),
        listen_address: first.map(ToString::to_string).unwrap_or_default(),
        listening: texts(&api.proxy_listening),
        proxy_url: first.map(|address| format!("http://{address}")).unwrap_or_default(),
        active_connections: api.audit.meters().connections(),
        total_requests,
        total_blocked,
    }
}

fn texts(addresses: &[SocketAddr]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}
