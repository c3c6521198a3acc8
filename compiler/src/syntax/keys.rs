//! The table of keys: what may stand where in a rule file, from which reading, suggestions and documentation follow.

/// A mapping of the rule language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    /// A rule file.
    File,
    /// An entry of `presets:` that is a mapping.
    Preset,
    /// The text of a preset: a rule file with a head of its own.
    PresetFile,
    /// An entry of a preset's `parameters:`.
    Parameter,
    /// `interception:`
    Interception,
    /// An entry of `rules:`.
    Rule,
    /// `egress:`
    Egress,
    /// `hold:`
    Hold,
    /// `match:`
    Match,
    /// An entry of `inject:`.
    Inject,
    /// An entry of `tests:`.
    Test,
    /// `expect:`
    Expect,
}

impl Context {
    /// Every mapping that may stand in a rule file, in the order of the documentation.
    pub const ALL: [Context; 10] = [
        Context::File,
        Context::Preset,
        Context::Interception,
        Context::Rule,
        Context::Egress,
        Context::Hold,
        Context::Match,
        Context::Inject,
        Context::Test,
        Context::Expect,
    ];

    /// What messages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Context::File => "a rule file",
            Context::Preset => "an entry of `presets`",
            Context::PresetFile => "a preset",
            Context::Parameter => "a parameter",
            Context::Interception => "`interception`",
            Context::Rule => "a rule",
            Context::Egress => "`egress`",
            Context::Hold => "`hold`",
            Context::Match => "`match`",
            Context::Inject => "an entry of `inject`",
            Context::Test => "a test",
            Context::Expect => "`expect`",
        }
    }

    /// Its keys, in the order of the documentation.
    pub fn keys(self) -> impl Iterator<Item = &'static KeyRow> {
        KEYS.iter().filter(move |row| row.context == self)
    }

    /// The mapping that stands under one of its keys; `None` where that is no mapping of the language.
    pub const fn below(self, key: &str) -> Option<Below> {
        Some(match (self, key.as_bytes()) {
            (Context::File, b"presets") => Below::Each(Context::Preset),
            (Context::File | Context::PresetFile, b"interception") => Below::One(Context::Interception),
            (Context::File | Context::PresetFile, b"rules") => Below::Each(Context::Rule),
            (Context::File | Context::PresetFile, b"tests") => Below::Each(Context::Test),
            (Context::Rule, b"egress") => Below::One(Context::Egress),
            (Context::Rule, b"hold") => Below::One(Context::Hold),
            (Context::Rule, b"match") => Below::One(Context::Match),
            (Context::Rule, b"inject") => Below::Each(Context::Inject),
            (Context::Test, b"expect") => Below::One(Context::Expect),
            _ => return None,
        })
    }

    /// The row of one of its keys.
    pub fn key(self, name: &str) -> Option<&'static KeyRow> {
        self.keys().find(|row| row.key == name)
    }
}

/// How a mapping stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Below {
    /// It is the key's value.
    One(Context),
    /// Each entry of the key's list is one.
    Each(Context),
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct KeyRow {
    /// Where it stands.
    pub context: Context,
    /// The key.
    pub key: &'static str,
    /// What it takes, for the documentation.
    pub takes: &'static str,
    /// What holds when it is left out; `required` when it cannot be.
    pub default: &'static str,
    /// What it says, in a sentence.
    pub doc: &'static str,
}

macro_rules! keys {
    ($($context:ident { $($key:literal, $takes:literal, $default:literal, $doc:literal;)* })*) => {
        /// Every key of the rule language.
        pub const KEYS: &[KeyRow] = &[
            $($(KeyRow { context: Context::$context, key: $key, takes: $takes, default: $default, doc: $doc },)*)*
        ];
    };
}

keys! {
    File {
        "version", "`\"1\"` or `1`", "required", "The version of the rule language.";
        "definitions", "name to condition", "none", "Parts of conditions, used as `$name` in this file.";
        "presets", "list of names, or of `{name: ..., with: {...}, as: ...}`", "none",
            "Rule sets that come with outcall; their rules follow this file's own.";
        "interception", "mapping", "none", "Host lists for TLS interception, merged over all files.";
        "rules", "list of rules", "none", "The rules.";
        "tests", "list of tests", "none", "Unit tests of the policy, run by `outcall test`.";
    }
    Preset {
        "name", "text", "required", "The preset's name.";
        "with", "mapping", "none", "Its parameters.";
        "as", "text: a letter or digit, then up to 63 letters, digits, `.`, `_`, `-`", "the preset's name",
            "What the ids of its rules begin with, before a `.`; for using one preset twice.";
    }
    PresetFile {
        "version", "`\"1\"` or `1`", "required", "The version of the rule language.";
        "description", "text", "required", "What the preset allows, and what it does not.";
        "parameters", "name to parameter", "none", "What its users may or must set.";
        "definitions", "name to condition", "none", "Parts of conditions, used as `$name`.";
        "interception", "mapping", "none", "Host lists for TLS interception, merged with those of the files.";
        "rules", "list of rules", "required", "The rules.";
        "tests", "list of tests", "none", "Tests of the preset with its example parameters.";
    }
    Parameter {
        "type", "`hosts`, `string` or `strings`", "required",
            "`hosts`: a list of host names and addresses, in canonical form. `strings`: a list of texts. `string`: one text.";
        "description", "text", "required", "What it is for.";
        "pattern", "regular expression", "any text", "What each text must match as a whole. Not with `hosts`.";
        "form", "text", "required with `pattern`", "The same in words, for messages.";
        "default", "a value of the type", "the parameter must be given", "The value when it is left out.";
        "example", "a value of the type", "the default", "The value in the preset's own tests.";
    }
    Interception {
        "hosts", "list of host patterns", "none", "Terminate TLS for these hosts and decide every request inside.";
        "bypass", "list of host patterns", "none", "Never terminate TLS for these; they are decided as a whole. Wins over `hosts`.";
        "strict", "list of host patterns", "none",
            "Where interception fails for one of these, deny instead of falling back to a tunnel.";
    }
    Rule {
        "id", "text: a letter or digit, then up to 127 letters, digits, `.`, `_`, `-`", "required",
            "The rule's name in logs, headers and reports; unique over all files. `default` is taken.";
        "description", "text", "empty", "What the rule is for.";
        "condition", "condition", "required, but see `match`", "When the rule applies.";
        "action", "`allow`, `block`, `hold` or `enrich`", "required", "What it does.";
        "priority", "whole number", "`100`",
            "Rules are ordered by priority, the lowest first, then by file name, then by their place in the file.";
        "log", "`true` or `false`", "`false`", "Log requests that the rule allows, too.";
        "egress", "mapping", "`{mode: proxy}`", "How an allowed request leaves the host. Only with `action: allow`.";
        "inject", "list", "none", "The headers that are added. Only with `action: enrich`, and required there without `require_header`.";
        "require_header", "header name to `sha256:` and 64 hexadecimal digits", "none",
            "The SHA-256 of the one value that each of these headers may go out with, else the request is refused. Only with `action: enrich`.";
        "hold", "mapping", "its defaults", "How long a message waits, and then what. Only with `action: hold`.";
        "match", "mapping", "none", "What is held, in place of a condition. Only with `action: hold`.";
    }
    Egress {
        "mode", "`proxy`, `direct_ip` or `intercept`", "`proxy`",
            "`proxy`: through the proxy, which tunnels TLS and reads plain HTTP. `direct_ip`: straight through the kernel to the addresses the name resolved to. `intercept`: through the proxy, which terminates TLS and decides each request inside.";
        "ports", "list of ports, each a number or `\"low-high\"`", "any; for `direct_ip` 80 and 443", "The ports the rule opens.";
        "allow_private_ips", "`true` or `false`", "`false`",
            "Whether private, loopback, link-local and other special addresses may be reached.";
        "match_body", "`true` or `false`", "`false`", "Whether the condition sees `http.body`. Only with `mode: intercept`.";
    }
    Hold {
        "direction", "`request`, `response` or `both`", "`request`", "Which messages are held.";
        "timeout", "duration: `30s`, `5m`, `1h`", "300 s; 60 s for WebSocket, SSE and gRPC messages",
            "How long a message waits for a decision, at most 24 hours.";
        "on_timeout", "`drop` or `release`", "`drop`", "What becomes of it when nobody decided.";
    }
    Match {
        "host_pattern", "regular expression", "any host", "`http.host` matches it.";
        "path_pattern", "regular expression", "any path", "`http.path` matches it.";
        "methods", "list of methods, in any case", "any method", "`http.method` is one of them.";
        "header_match", "header name to regular expression", "any headers",
            "Each of these headers is present and its value matches.";
    }
    Inject {
        "header", "header name", "required", "The header to set; what the agent sent under this name is replaced.";
        "value", "text", "required", "Its value, in which `${secret:name}` stands for a secret.";
    }
    Test {
        "name", "text", "required", "What the test shows; unique in its file.";
        "layer", "a layer's name", "what follows from the fields",
            "The question that is asked, where it is not clear from the fields. May also stand in the request.";
        "request", "fields by namespace", "required", "The request.";
        "expect", "mapping", "required", "What must come out.";
    }
    Expect {
        "decision", "`allow`, `block` or `intercept`", "required", "The decision; `intercept` only at the `connect` layer.";
        "rule", "rule id, or `default`", "any", "The rule that decides.";
        "mode", "`proxy`, `direct_ip` or `intercept`", "any", "The egress mode of that rule.";
        "obligations", "list of rule ids", "any", "The hold and enrich rules that apply, in evaluation order.";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_but_the_file_stands_under_one_key() {
        let rows = KEYS.iter().filter(|row| row.context != Context::PresetFile);
        let below = rows.filter_map(|row| row.context.below(row.key));
        let mut reached: Vec<Context> = below.map(|(Below::One(context) | Below::Each(context))| context).collect();
        reached.push(Context::File);
        for context in Context::ALL {
            assert_eq!(reached.iter().filter(|other| **other == context).count(), 1, "{context:?}");
        }
    }

    #[test]
    fn every_mapping_has_keys_and_none_twice() {
        for context in Context::ALL {
            assert!(context.keys().count() > 1, "{context:?}");
            for row in context.keys() {
                assert_eq!(context.keys().filter(|other| other.key == row.key).count(), 1, "{}", row.key);
                assert!(row.doc.ends_with('.') && !row.takes.is_empty() && !row.default.is_empty(), "{}", row.key);
            }
        }
    }
}
