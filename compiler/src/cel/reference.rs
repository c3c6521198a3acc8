//! The table of operators and functions that the documentation prints.

/// One operator, function or macro.
#[derive(Debug, Clone, Copy)]
pub struct ReferenceRow {
    /// Its name; several operators of one kind share a row.
    pub name: &'static str,
    /// What goes in and what comes out.
    pub types: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    /// An expression that uses it.
    pub example: &'static str,
}

macro_rules! rows {
    ($($name:literal, $types:literal, $example:literal, $doc:literal;)*) => {
        &[$(ReferenceRow { name: $name, types: $types, doc: $doc, example: $example },)*]
    };
}

/// The operators, the loosest first.
pub const OPERATORS: &[ReferenceRow] = rows! {
    "? :", "bool, T, T -> T", "http.method == \"GET\" ? true : http.host == \"api.example.com\"",
        "The second operand where the first is true, else the third; the other one is not looked at.";
    "||", "bool, bool -> bool", "http.host == \"a.example.com\" || http.host == \"b.example.com\"",
        "True when one operand is, even when the other is unknown.";
    "&&", "bool, bool -> bool", "http.host == \"api.example.com\" && http.method == \"GET\"",
        "False when one operand is, even when the other is unknown.";
    "== !=", "T, T -> bool", "http.method != \"DELETE\"",
        "Equal, or not, of one type; `null` is equal only to `null`.";
    "< <= > >=", "int, int or string, string -> bool", "network.port >= 8000 && network.port <= 8010",
        "Order; strings by code point.";
    "in", "T, list(T) or K, map(K, V) -> bool", "http.method in [\"GET\", \"HEAD\"]",
        "Whether a list holds the value, or a map the key.";
    "+ -", "int, int -> int; `+` also string, string and list, list", "http.body_size + 1 < 1000",
        "Sum and difference; overflow is an error. `+` joins strings and lists.";
    "* / %", "int, int -> int", "network.port % 2 == 0",
        "Product, quotient towards zero and remainder; overflow and division by zero are errors.";
    "! -", "bool -> bool; int -> int", "!http.host.endsWith(\".example.com\")", "Not; minus.";
    ". [ ]", "map, key -> value; list, int -> element", "\"x-team\" in http.headers && http.headers[\"x-team\"] == \"docs\"",
        "An entry of a map or an element of a list; a missing one is an error.";
};

/// The functions and macros.
pub const FUNCTIONS: &[ReferenceRow] = rows! {
    "size", "string, list or map -> int", "size(tls.alpn) > 0", "Code points, elements or entries. Also `x.size()`.";
    "has", "field of a map -> bool", "has(http.headers.authorization)", "Whether the map has the entry; never an error.";
    "startsWith", "string.(string) -> bool", "http.path.startsWith(\"/v1/\")", "Whether the string begins with the other.";
    "endsWith", "string.(string) -> bool", "http.host.endsWith(\".example.com\")", "Whether it ends with the other.";
    "contains", "string.(string) -> bool", "http.path.contains(\"/admin/\")", "Whether it holds the other.";
    "matches", "string.(pattern) -> bool", "http.path.matches(r\"^/repos/[^/]+/[^/]+$\")",
        "Whether the regular expression (RE2 syntax, a literal) matches some part of it; anchor with `^` and `$`. Linear time.";
    "lowerAscii", "string.() -> string", "http.path.lowerAscii().startsWith(\"/api/\")", "With A to Z in lower case.";
    "upperAscii", "string.() -> string", "run.tool.upperAscii() == \"GIT\"", "With a to z in upper case.";
    "inCidr", "(string, network) -> bool", "inCidr(network.ip, \"10.0.0.0/8\")",
        "Whether the address lies in the network, a literal; false for a string that is no address.";
    "hostMatches", "(string, host pattern) -> bool", "hostMatches(http.host, \"*.example.com\")",
        "Whether the host matches the pattern, a literal: `*.` is one label, `**.` one or more.";
    "all", "list or map.(x, bool) -> bool", "run.flags.all(flag, flag != \"--force\")",
        "Whether it holds for every element, or every key of a map.";
    "exists", "list or map.(x, bool) -> bool", "docker.volumes.exists(volume, volume.startsWith(\"/etc\"))",
        "Whether it holds for some element.";
    "exists_one", "list or map.(x, bool) -> bool", "tls.alpn.exists_one(name, name == \"h2\")",
        "Whether it holds for exactly one.";
    "filter", "list.(x, bool) -> list", "size(run.args.filter(arg, arg.startsWith(\"-\"))) == 0", "The elements it holds for.";
    "map", "list.(x, T) -> list(T)", "\"net_admin\" in docker.capabilities.map(name, name.lowerAscii())",
        "What comes out for each element; with three arguments only for those the second holds for.";
};

#[cfg(test)]
mod tests {
    use super::super::{Env, check, parse_and_check};
    use super::*;

    #[test]
    fn every_row_has_an_example_that_compiles() {
        for row in OPERATORS.iter().chain(FUNCTIONS) {
            assert!(parse_and_check(row.example, &Env::rule()).is_ok(), "{}: {}", row.name, row.example);
            assert!(row.name.split(' ').any(|name| row.example.contains(name)), "{}", row.name);
            assert!(row.doc.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn every_function_and_macro_has_a_row_and_every_row_is_one() {
        let macros = check::MACROS.iter().map(|(name, _)| *name);
        let mut checked: Vec<&str> = check::FUNCTIONS.iter().map(|row| row.name).chain(macros).chain(["has"]).collect();
        let mut rows: Vec<&str> = FUNCTIONS.iter().map(|row| row.name).collect();
        checked.sort_unstable();
        rows.sort_unstable();
        assert_eq!(checked, rows);
    }
}
