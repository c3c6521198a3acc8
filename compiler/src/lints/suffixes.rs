//! The public suffix list: below which names anybody can register one.

/// The registered domain that a name belongs to: `example.co.uk` of `a.example.co.uk`. `None` for what is itself a public
/// suffix.
pub(crate) fn registered(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Who has the names below a public suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Public {
    /// Whoever registers them: `com`, `co.uk`.
    Registry,
    /// The customers of somebody who hands them out: `github.io`.
    Customers,
}

/// Whether names below this one belong to different people. A name of one label that is no known suffix is a network's own
/// affair.
pub(crate) fn public(name: &str) -> Option<Public> {
    let suffix = psl::suffix(name.as_bytes()).filter(|suffix| suffix.as_bytes() == name.as_bytes())?;
    match suffix.typ()? {
        psl::Type::Icann => Some(Public::Registry),
        psl::Type::Private => Some(Public::Customers),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_those_of_the_list() {
        assert_eq!(["com", "co.uk"].map(public), [Some(Public::Registry); 2]);
        assert_eq!(public("github.io"), Some(Public::Customers));
        assert_eq!(["example.com", "internal", "corp.internal", "a.github.io"].map(public), [None; 4]);
        assert_eq!(registered("a.b.example.co.uk"), Some("example.co.uk"));
        assert_eq!(registered("co.uk"), None);
    }
}
