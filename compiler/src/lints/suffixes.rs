//! The public suffix list: below which names anybody can register one.

/// The registered domain that a name belongs to: `example.co.uk` of `a.example.co.uk`. `None` for what is itself a public
/// suffix.
pub(crate) fn registered(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Whether anybody can register names directly below this one: `com`, `co.uk`, `github.io`. A name of one label that is
/// no known suffix is a network's own affair.
pub(crate) fn is_public(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_those_of_the_list() {
        assert!(is_public("com") && is_public("co.uk") && is_public("github.io"));
        assert!(!is_public("example.com") && !is_public("internal") && !is_public("corp.internal"));
        assert_eq!(registered("a.b.example.co.uk"), Some("example.co.uk"));
        assert_eq!(registered("co.uk"), None);
    }
}
