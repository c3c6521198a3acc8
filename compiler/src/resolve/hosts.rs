//! The host lists for TLS interception in their canonical form.

use outcall_schema::artifact::manifest;
use outcall_schema::host::Host;

use crate::diag::codes_files::HOST_PATTERN;
use crate::diag::{Finding, quoted};
use crate::syntax::{Interception, Spanned};

use super::Resolver;

impl Resolver<'_> {
    /// Adds a file's lists to the policy's.
    pub(super) fn interception(&mut self, written: &Interception, merged: &mut manifest::Interception) {
        self.patterns(&written.hosts, &mut merged.hosts);
        self.patterns(&written.bypass, &mut merged.bypass);
        self.patterns(&written.strict, &mut merged.strict);
    }

    fn patterns(&mut self, written: &[Spanned<String>], merged: &mut Vec<String>) {
        for pattern in written {
            match canonical(&pattern.value) {
                Ok(canonical) => merged.push(canonical),
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
