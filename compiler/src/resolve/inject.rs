//! The values that enrich rules inject, taken apart into text and secrets.

use outcall_schema::artifact::manifest::{Inject, InjectPart};

use super::Resolver;
use crate::diag::codes_files::INJECT_VALUE;
use crate::diag::{Finding, quoted};
use crate::syntax;

/// The longest value: what servers commonly accept for one header, and a bound on what a request grows by.
const VALUE_LIMIT_BYTES: usize = 8 << 10;

impl Resolver<'_> {
    pub(super) fn inject(&mut self, written: &[syntax::Inject]) -> Option<Vec<Inject>> {
        let mut out = Vec::with_capacity(written.len());
        for entry in written {
            match parts(&entry.value.value) {
                Ok(value) => out.push(Inject { header: entry.header.value.clone(), value }),
                Err((why, help)) => {
                    let finding = Finding::at(INJECT_VALUE, self.place(&entry.value.span), why);
                    self.findings.push(finding.help(help));
                }
            }
        }
        (out.len() == written.len()).then_some(out)
    }
}

/// The pieces of a value, or why it cannot be one and what to write instead.
fn parts(value: &str) -> Result<Vec<InjectPart>, (String, &'static str)> {
    const SECRET: &str = "write `${secret:name}`, a name of letters, digits, `.`, `_` and `-`";
    // A field value (RFC 9110, section 5.5), without the bytes beyond ASCII that servers read differently.
    if let Some(bad) = value.chars().find(|character| !matches!(character, ' '..='~')) {
        let message = format!("a header's value cannot hold {}", quoted(&bad.to_string()));
        return Err((message, "use printable ASCII"));
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        let message = "a header's value cannot begin or end with a blank".to_owned();
        return Err((message, "a blank there is not part of a header's value (RFC 9110, section 5.5)"));
    }
    if value.len() > VALUE_LIMIT_BYTES {
        let message = format!("the value has {} bytes, more than {VALUE_LIMIT_BYTES}", value.len());
        return Err((message, "put what is long into a secret"));
    }
    let mut out = Vec::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        if !before.is_empty() {
            out.push(InjectPart::Text(before.to_owned()));
        }
        let Some((inside, after)) = after.split_once('}') else {
            return Err(("`${` is not closed".to_owned(), SECRET));
        };
        match inside.strip_prefix("secret:").filter(|name| syntax::is_name(name)) {
            Some(name) => out.push(InjectPart::Secret(name.to_owned())),
            None => return Err((format!("{} names no secret", quoted(&format!("${{{inside}}}"))), SECRET)),
        }
        rest = after;
    }
    if !rest.is_empty() {
        out.push(InjectPart::Text(rest.to_owned()));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_and_secrets() {
        let text = |text: &str| InjectPart::Text(text.to_owned());
        let secret = |name: &str| InjectPart::Secret(name.to_owned());
        assert_eq!(parts("Bearer ${secret:openai}"), Ok(vec![text("Bearer "), secret("openai")]));
        assert_eq!(parts("${secret:a}${secret:b}x"), Ok(vec![secret("a"), secret("b"), text("x")]));
        assert_eq!(parts("costs $5 {x}"), Ok(vec![text("costs $5 {x}")]));
        for bad in [
            "${openai}",
            "${secret:}",
            "${secret:a b}",
            "${secret:a",
            "a\r\nb",
            "é",
            " a",
            "a ",
            "${}",
            "${secret:${secret:a}}",
        ] {
            assert!(parts(bad).is_err(), "{bad:?}");
        }
        assert!(parts(&"x".repeat(9000)).is_err());
    }
}
