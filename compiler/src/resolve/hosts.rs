//! The host lists for TLS interception in their canonical form.

use outcall_schema::artifact::manifest;
use outcall_schema::host::Host;

use crate::diag::codes_files::HOST_PATTERN;
use crate::diag::{Finding, quoted};
use crate::syntax::{Interception, Spanned};

use super::{HostList, ListedHost, Policy, Resolver};

impl Resolver<'_> {
    /// Adds a file's lists to the policy's.
    pub(super) fn interception(&mut self, written: &Interception, policy: &mut Policy) {
        let manifest::Interception { hosts, bypass, strict } = &mut policy.interception;
        for (list, written, merged) in [
            (HostList::Hosts, &written.hosts, hosts),
            (HostList::Bypass, &written.bypass, bypass),
            (HostList::Strict, &written.strict, strict),
        ] {
            self.patterns(list, written, merged, &mut policy.listed_hosts);
        }
    }

    fn patterns(
        &mut self,
        list: HostList,
        written: &[Spanned<String>],
        merged: &mut Vec<String>,
        listed: &mut Vec<ListedHost>,
    ) {
        for pattern in written {
            match canonical(&pattern.value) {
                Ok(canonical) => {
                    merged.push(canonical.clone());
                    listed.push(ListedHost { list, pattern: canonical, span: self.place(&pattern.span) });
                }
                Err(why) => {
                    let message = format!("{} is not a host pattern: {why}", quoted(&pattern.value));
                    let help =
                        "write `api.example.com`, `*.example.com` for one label more, `**.example.com` for one or more";
                    self.findings.push(Finding::at(HOST_PATTERN, self.place(&pattern.span), message).help(help));
                }
            }
        }
    }
}

/// The canonical form of a host pattern, or why it is none.
fn canonical(pattern: &str) -> Result<String, String> {
    let (wildcard, rest) = match pattern.split_once('.') {
        Some((wildcard @ ("*" | "**"), rest)) => (Some(wildcard), rest),
        _ => (None, pattern),
    };
    if rest.contains('*') {
        return Err("a wildcard stands only for whole labels at the beginning".to_owned());
    }
    match (Host::parse(rest).map_err(|error| error.to_string())?, wildcard) {
        (Host::Name(name), Some(wildcard)) => Ok(format!("{wildcard}.{name}")),
        (Host::Ip(_), Some(_)) => Err("an address has no labels for a wildcard".to_owned()),
        (host, None) => Ok(host.as_text().into_owned()),
    }
}
