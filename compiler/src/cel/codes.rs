//! OC01xx: the syntax and the types of conditions.

use crate::diag::Severity;
use crate::diag::codes::{CodeRow, Example};

macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, bad: $bad:expr, good: $good:literal, $explain:literal;)*) => {
        $(#[doc = $title] pub(crate) const $name: &str = $code;)*

        /// The rows of this area.
        pub(crate) const CODES: &[CodeRow] = &[
            $(CodeRow { code: $code, severity: Severity::Error, title: $title, explain: $explain,
                        bad: $bad, good: Example::Condition($good) },)*
        ];
    };
}

/// A rule file with a condition over the limit.
fn overlong() -> Vec<u8> {
    let condition = "true || ".repeat(10_000) + "true";
    format!("version: \"1\"\nrules:\n  - id: example\n    action: allow\n    condition: {condition}\n").into_bytes()
}

codes! {
    SYNTAX = "OC0101", "the condition cannot be parsed",
        bad: Example::Condition("http.host = \"example.com\""), good: "http.host == \"example.com\"",
        "The condition is not an expression of the language. Comparisons are `==` and `!=`, conjunction is `&&`, disjunction is `||`, negation is `!`, and strings stand in single or double quotes.";
    TOO_LONG = "OC0102", "the condition is too long",
        bad: Example::Made("a condition of more than 64 KiB", overlong), good: "http.path.startsWith(\"/v1/\")",
        "A condition, with its definitions expanded, has at most 64 KiB. Split it into several rules: rules that follow one another are alternatives already.";
    TOO_DEEP = "OC0103", "the condition is nested too deeply",
        bad: Example::Condition("((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))))"), good: "((true))",
        "Brackets, signs and `? :` nest at most 64 levels, and at most 128 arithmetic operators or member accesses follow one another. A row of `&&` or `||` counts as one level, however long.";
    NOT_IN_LANGUAGE = "OC0104", "not part of the language",
        bad: Example::Condition("network.port == 443u"), good: "network.port == 443",
        "CEL has more types and functions than conditions need. Unsigned integers, fractions, byte strings, timestamps, durations, messages, optional values and type conversions are refused, so that every condition can be decided exactly and in bounded time.";
    NUMBER_RANGE = "OC0105", "a number does not fit",
        bad: Example::Condition("http.body_size < 9223372036854775808"), good: "http.body_size < 9223372036854775807",
        "Integers are signed and have 64 bits, from -9223372036854775808 to 9223372036854775807.";
    ESCAPE = "OC0106", "an escape in a string is not known",
        bad: Example::Condition("http.path.matches(\"^/v\\d+$\")"), good: "http.path.matches(r\"^/v\\d+$\")",
        "A backslash in a string literal begins an escape. In patterns write the literal as `r\"...\"`, in which a backslash is a backslash.";
    UNKNOWN_NAME = "OC0110", "an unknown name",
        bad: Example::Condition("http.hots == \"example.com\""), good: "http.host == \"example.com\"",
        "The name is no field. A rule that read it would never fire, and nobody would notice, so it is refused. `docs/language.md` lists the fields.";
    UNKNOWN_FUNCTION = "OC0111", "an unknown function",
        bad: Example::Condition("http.host.endswith(\".example.com\")"), good: "http.host.endsWith(\".example.com\")",
        "There is no function of this name, or it is a method that must be called as `value.name(...)`, or the other way round.";
    ARGUMENTS = "OC0112", "wrong arguments",
        bad: Example::Condition("http.host.startsWith(\"api.\", \"www.\")"), good: "http.host.startsWith(\"api.\") || http.host.startsWith(\"www.\")",
        "The function takes another number of arguments, or a macro's variable is not a plain name.";
    WRONG_TYPE = "OC0113", "a value of the wrong type",
        bad: Example::Condition("network.port == \"443\""), good: "network.port == 443",
        "The operator or function is not for values of this type. Types are checked when a policy is compiled; there are no type errors at run time.";
    NOT_BOOLEAN = "OC0114", "the condition is not true or false",
        bad: Example::Condition("http.host"), good: "http.host == \"example.com\"",
        "A rule applies when its condition is true, so the condition must be a boolean.";
    PATTERN = "OC0120", "an invalid pattern",
        bad: Example::Condition("http.path.matches(\"^/(v1|v2\")"), good: "http.path.matches(\"^/(v1|v2)\")",
        "`matches` takes a regular expression in RE2 syntax, as a literal, so that it can be compiled ahead of time and matched in linear time. RE2 has no look-around and no backreferences.";
    NOT_LITERAL = "OC0121", "not a literal",
        bad: Example::Condition("http.path.matches(http.host)"), good: "http.path.matches(\"^/v1/\")",
        "The pattern of `matches`, the network of `inCidr` and the pattern of `hostMatches` are compiled ahead of time, so they must be string literals.";
    NETWORK = "OC0122", "an invalid network",
        bad: Example::Condition("inCidr(network.ip, \"10.0.0.1/8\")"), good: "inCidr(network.ip, \"10.0.0.0/8\")",
        "A network is written as an address and a prefix length, `10.0.0.0/8` or `2001:db8::/32`, with no bits set after the prefix.";
    HOST_PATTERN = "OC0123", "an invalid host pattern",
        bad: Example::Condition("hostMatches(http.host, \"*.Example.com\")"), good: "hostMatches(http.host, \"*.example.com\")",
        "A host pattern is a canonical host, or `*.` and a host for exactly one more label, or `**.` and a host for one or more.";
}
