//! OC00xx: files, YAML, keys and values.

use super::Severity;
use super::codes::{CodeRow, Example};

macro_rules! codes {
    ($($(#[$attribute:meta])* $name:ident = $code:literal, $severity:ident, $title:literal, bad: $bad:expr, good: $good:expr,
       $explain:literal;)*) => {
        $(#[doc = $title] pub(crate) const $name: &str = $code;)*

        /// The rows of this area.
        pub(crate) const CODES: &[CodeRow] = &[
            $(CodeRow { code: $code, severity: Severity::$severity, title: $title, explain: $explain, bad: $bad,
                        good: $good },)*
        ];
    };
}

use Example::{File, Files, Made, Rules};

const ALLOW: &str = "- id: docs
  action: allow
  condition: http.host == \"docs.example.com\"
";

codes! {
    CANNOT_READ = "OC0001", Error, "a file or directory cannot be read",
        bad: Files(&[("rules.yaml/inside", "a directory whose name ends like a rule file's\n")]),
        good: File("version: \"1\"\n"),
        "A path that was named does not exist, or a file in a rules directory cannot be read. Nothing is compiled from a \
         directory that can only be read in part, because the missing file may hold a block rule. Check the path and its \
         permissions.";
    TOO_LARGE = "OC0002", Error, "a file is too large",
        bad: Made("# a file of more than 1 MiB\n", || {
            let mut text = String::from("version: \"1\"\n");
            while text.len() <= crate::source::FILE_LIMIT_BYTES {
                text.push_str("# the same line over and over again\n");
            }
            text.into_bytes()
        }),
        good: File("version: \"1\"\n"),
        "A rule file has at most 1 MiB. Split the rules over several files: they load in the order of their names, and \
         rule ids are unique over all of them.";
    NOT_UTF8 = "OC0003", Error, "a file is not UTF-8",
        bad: Made("version: \"1\" # \\xff\n", || b"version: \"1\" # \xff\n".to_vec()),
        good: File("version: \"1\"\n"),
        "Rule files are UTF-8. Bytes that belong to no character could be read in more than one way, so the file is refused \
         instead of repaired. Save it as UTF-8, without a byte order mark of UTF-16.";
    FORBIDDEN_CHARACTER = "OC0004", Error, "an invisible or misleading character",
        bad: Made("version: \"1\" # \\u202e a mark that turns the line around\n", || {
            "version: \"1\" # \u{202e} a mark that turns the line around\n".into()
        }),
        good: File("version: \"1\" # \"\\u202e\" is how to write it where it is needed\n"),
        "Control characters, a carriage return without a line feed, line separators that only some editors show and marks \
         that turn the direction of text around make a file look different from what it says. Rule files are reviewed by \
         people, so these characters are refused; write them as escapes inside double quotes where a condition needs them.";
    YAML_SYNTAX = "OC0005", Error, "not valid YAML",
        bad: File("version: \"1\"\nrules: [\n"),
        good: File("version: \"1\"\nrules: []\n"),
        "The file is not valid YAML. The place is where reading had to end; the mistake is there or just before it. Common \
         causes are a missing quote or bracket, a value that holds `: ` without quotes, and a condition that begins with a \
         quote: put the whole condition in quotes of the other kind, or write it below `|-`.";
    SEVERAL_DOCUMENTS = "OC0006", Error, "several documents in one file",
        bad: File("version: \"1\"\n---\nversion: \"1\"\n"),
        good: File("---\nversion: \"1\"\n"),
        "A rule file is one YAML document. Tools differ in whether they read what follows a second `---`, so a file with \
         more than one is refused. Put the other rules into a file of their own.";
    ANCHOR = "OC0007", Error, "a YAML anchor or alias",
        bad: File("version: \"1\"\ninterception:\n  hosts: [*.example.com]\n"),
        good: File("version: \"1\"\ninterception:\n  hosts: [\"*.example.com\"]\n"),
        "Anchors (`&name`) and aliases (`*name`) are not part of the rule language: a reader would have to look elsewhere to \
         know what a rule says, and a few of them can stand for gigabytes. Use `definitions:` for what several rules share. \
         A value that begins with `*` or `&`, such as a host pattern, has to be quoted.";
    MERGE_KEY = "OC0008", Error, "a YAML merge key",
        bad: File("version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: 'true'\n    <<: {log: true}\n"),
        good: File("version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: 'true'\n    log: true\n"),
        "The merge key `<<` is an extension that some YAML readers have and others do not, so the same file would mean \
         different things. Write the keys out.";
    TAG = "OC0009", Error, "a YAML tag",
        bad: Rules("- id: docs\n  action: allow\n  condition: !str 'true'\n"),
        good: Rules("- id: docs\n  action: allow\n  condition: '!false'\n"),
        "Tags (`!name`) change what a value is and are not part of the rule language. A condition that begins with `!` reads \
         as a tag: put it in quotes, or write it below `|-`.";
    DIRECTIVE = "OC0010", Error, "a YAML directive",
        bad: File("%YAML 1.1\n---\nversion: \"1\"\n"),
        good: File("version: \"1\"\n"),
        "Directives (`%YAML`, `%TAG`) change how the rest of a file is read and are not part of the rule language. Rule \
         files are YAML 1.2.";
    NESTED_TOO_DEEP = "OC0011", Error, "nested too deep",
        bad: Made("version: \"1\"\nrules: [[[[ ... 65 of them ... ]]]]\n", || {
            format!("version: \"1\"\nrules: {}{}\n", "[".repeat(65), "]".repeat(65)).into_bytes()
        }),
        good: File("version: \"1\"\nrules: []\n"),
        "Lists and mappings are nested at most 64 deep. No rule needs more than five, so deeper nesting is either a mistake \
         or an attempt to exhaust whatever reads the file.";
    DUPLICATE_KEY = "OC0012", Error, "a key is given twice",
        bad: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  action: block\n"),
        good: Rules(ALLOW),
        "A mapping has each key once. YAML readers differ in whether the first or the last one counts, so a reviewer could \
         read one and the compiler the other. Remove one of them.";
    KEY_NOT_TEXT = "OC0013", Error, "a key is not text",
        bad: File("version: \"1\"\ninterception:\n  ? [hosts]\n  : []\n"),
        good: File("version: \"1\"\ninterception:\n  hosts: []\n"),
        "Keys are plain text. YAML also allows lists, mappings and nothing at all as keys, which the rule language has no \
         use for; mostly a brace or a colon is in the wrong place.";
    SUPPRESSION = "OC0014", Warning, "a comment to outcall has no effect",
        bad: File("# outcall: allow OC9999 because we know better\nversion: \"1\"\n"),
        good: File(
            "version: \"1\"\ndefinitions:\n  # outcall: allow OC0216 the next rule will use it\n  docs: http.host == \"docs.example.com\"\n",
        ),
        "A comment `# outcall: allow OC0203 why`, on a line of its own directly above a rule or a key, suppresses that \
         finding there. This one does not: the code does not exist or is an error (errors cannot be suppressed), the reason \
         is missing, or nothing follows on the next line.";
    UNKNOWN_KEY = "OC0015", Error, "an unknown key",
        bad: Rules("- id: docs\n  action: allow\n  conditon: http.host == \"docs.example.com\"\n"),
        good: Rules(ALLOW),
        "The key is not part of the rule language where it stands. Unknown keys are refused instead of ignored: a misspelt \
         one would silently leave out what it was meant to say.";
    WRONG_KIND = "OC0016", Error, "a value of the wrong kind",
        bad: File("version: \"1\"\nrules: docs\n"),
        good: File("version: \"1\"\nrules: []\n"),
        "The key takes another kind of value: text, a list, a mapping, `true` or `false`, or a whole number. Words that some \
         YAML readers take for booleans (`yes`, `on`) are not.";
    MISSING_KEY = "OC0017", Error, "a key is missing",
        bad: Rules("- id: docs\n  condition: http.host == \"docs.example.com\"\n"),
        good: Rules(ALLOW),
        "Some keys must be given: `version` in a file; `id`, `action` and `condition` in a rule; `header` and `value` in an \
         entry of `inject`; `name`, `request` and `expect` in a test; `decision` in `expect`.";
    VERSION = "OC0018", Error, "an unsupported version of the language",
        bad: File("version: \"2\"\n"),
        good: File("version: \"1\"\n"),
        "Every file says which version of the rule language it is written in, so that its meaning never changes when the \
         compiler does. This compiler reads version 1.";
    UNKNOWN_VALUE = "OC0019", Error, "not one of the possible values",
        bad: Rules("- id: docs\n  action: permit\n  condition: http.host == \"docs.example.com\"\n"),
        good: Rules(ALLOW),
        "The key takes one of a few words, which the help lists. They are written in lower case.";
    RULE_ID = "OC0020", Error, "a rule id that cannot be used",
        bad: Rules("- id: allow docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n"),
        good: Rules("- id: allow-docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n"),
        "A rule id appears in headers, logs and the kernel's ruleset. It begins with a letter or digit and has at most 128 \
         letters, digits, `.`, `_` and `-`. The id `default` is taken: it stands for the block when no rule decides.";
    DUPLICATE_ID = "OC0021", Error, "a rule id is used twice",
        bad: Files(&[
            ("a.yaml", "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: 'true'\n"),
            ("b.yaml", "version: \"1\"\nrules:\n  - id: docs\n    action: block\n    condition: 'true'\n"),
        ]),
        good: Files(&[
            ("a.yaml", "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: 'true'\n"),
            ("b.yaml", "version: \"1\"\nrules:\n  - id: no-docs\n    action: block\n    condition: 'true'\n"),
        ]),
        "Rule ids are unique over all files of a policy, because logs and reports name rules by their ids alone.";
    KEY_NOT_FOR_ACTION = "OC0022", Error, "a key that this action does not take",
        bad: Rules("- id: docs\n  action: block\n  condition: http.host == \"docs.example.com\"\n  egress: {mode: proxy}\n"),
        good: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {mode: proxy}\n"),
        "`egress` belongs to `allow`, `hold` and `match` to `hold`, `inject` and `require_header` to `enrich`. On another action the key would have \
         no effect, and whoever wrote it expects one.";
    PORT = "OC0023", Error, "not a port",
        bad: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {ports: [70000]}\n"),
        good: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {ports: [443, \"8000-8010\"]}\n"),
        "A port is a number from 1 to 65535; a range is written as text, `\"8000-8010\"`, the lower port first.";
    HOST_PATTERN = "OC0024", Error, "not a host pattern",
        bad: File("version: \"1\"\ninterception:\n  hosts: [\"https://api.example.com/\"]\n"),
        good: File("version: \"1\"\ninterception:\n  hosts: [api.example.com, \"*.example.com\", \"**.example.org\"]\n"),
        "A host list holds host names and addresses, without scheme, port or path. `*.example.com` stands for exactly one \
         label before `example.com`, `**.example.com` for one or more; a wildcard stands nowhere but at the beginning.";
    NUMBER = "OC0025", Error, "a number that cannot be used",
        bad: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  priority: 010\n"),
        good: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  priority: 10\n"),
        "A whole number in decimal, within the range that the help names. Leading zeros are refused because some YAML readers \
         take them for octal, as are `0x10`, `1_000` and `1e3`.";
    MATCH_BODY = "OC0026", Error, "`match_body` without interception",
        bad: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {mode: proxy, match_body: true}\n"),
        good: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {mode: intercept, match_body: true}\n"),
        "Bodies are only read where TLS is terminated for the rule, so `match_body: true` needs `mode: intercept`.";
    CONDITION_OR_MATCH = "OC0027", Error, "a hold rule that does not say what it holds",
        bad: Rules("- id: review\n  action: hold\n  condition: 'true'\n  match: {methods: [POST]}\n"),
        good: Rules("- id: review\n  action: hold\n  match: {methods: [POST]}\n"),
        "A hold rule has either a `condition` or a `match` with at least one entry. With both it would not be clear whether \
         one or both must hold.";
    DURATION = "OC0028", Error, "not a duration",
        bad: Rules("- id: review\n  action: hold\n  condition: 'true'\n  hold: {timeout: 300}\n"),
        good: Rules("- id: review\n  action: hold\n  condition: 'true'\n  hold: {timeout: 5m}\n"),
        "A duration is a number with its unit: `500ms`, `30s`, `5m`, `1h`, or several from large to small as in `1m30s`. It \
         is more than nothing and at most 24 hours.";
    EMPTY = "OC0029", Error, "nothing where something must stand",
        bad: Rules("- id: docs\n  action: allow\n  condition: http.host == \"docs.example.com\"\n  egress: {ports: []}\n"),
        good: Rules(ALLOW),
        "An empty list or text here could mean everything or nothing. Leave the key out for the default, or say what it \
         should hold.";
    DEFINITION_NAME = "OC0030", Error, "a name that a definition cannot have",
        bad: File("version: \"1\"\ndefinitions:\n  my-hosts: http.host == \"docs.example.com\"\n"),
        good: File("version: \"1\"\ndefinitions:\n  my_hosts: http.host == \"docs.example.com\"\n"),
        "A definition is used as `$name` inside conditions, so its name begins with a letter or `_` and has only letters, \
         digits and `_`, at most 64.";
    UNKNOWN_DEFINITION = "OC0031", Error, "an unknown definition",
        bad: Rules("- id: docs\n  action: allow\n  condition: $docs\n"),
        good: File("version: \"1\"\ndefinitions:\n  docs: http.host == \"docs.example.com\"\nrules:\n  - id: docs\n    action: allow\n    condition: $docs\n"),
        "The condition uses `$name`, and the file has no such entry under `definitions:`. Definitions belong to the file they \
         stand in.";
    DEFINITION_CYCLE = "OC0032", Error, "definitions that use each other in a circle",
        bad: File("version: \"1\"\ndefinitions:\n  a: $b\n  b: $a\n"),
        good: File("version: \"1\"\ndefinitions:\n  a: $b\n  b: http.host == \"docs.example.com\"\n"),
        "A definition may use others, but not itself, directly or through others: it would never end.";
    EXPANSION = "OC0033", Error, "a condition that grows too large",
        bad: Made("# 20 definitions, each of which uses the one before it twice\n", || {
            let mut text = String::from("version: \"1\"\ndefinitions:\n  d0: http.host == \"docs.example.com\"\n");
            for number in 1..20 {
                text.push_str(&format!("  d{number}: $d{0} || $d{0}\n", number - 1));
            }
            text.into_bytes()
        }),
        good: File("version: \"1\"\ndefinitions:\n  d0: http.host == \"docs.example.com\"\n  d1: $d0 || $d0\n"),
        "With its definitions written out, a condition has at most 64 KiB, and definitions use one another at most 60 deep. \
         A list with `in` is often shorter than many comparisons joined by `||`.";
    UNKNOWN_PRESET = "OC0034", Error, "an unknown preset",
        bad: File("version: \"1\"\npresets: [github-readwrite]\n"),
        good: File("version: \"1\"\npresets: [github-readonly]\n"),
        "A preset is a set of rules that comes with outcall. The name is not one of them, and a policy that leaves rules out \
         silently would not be the one that was meant.";
    HEADER_NAME = "OC0035", Error, "a header that cannot be used here",
        bad: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - header: Content-Length\n      value: \"0\"\n"),
        good: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - header: X-Api-Key\n      value: ${secret:example}\n"),
        "A header name is made of letters, digits and `!#$%&'*+-.^_`|~` (RFC 9110, section 5.6.2). Headers that say where a \
         message goes, where it ends or how the connection is used (`Host`, `Content-Length`, `Transfer-Encoding`, \
         `Connection` and their like) can be neither injected nor required.";
    INJECT_VALUE = "OC0036", Error, "a value that cannot be injected",
        bad: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - header: X-Api-Key\n      value: ${example}\n"),
        good: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - header: X-Api-Key\n      value: ${secret:example}\n"),
        "A value is printable ASCII that neither begins nor ends with a blank, in which `${secret:name}` stands for a secret \
         that the runtime fills in. A secret's name begins with a letter or digit and has at most 128 letters, digits, `.`, \
         `_` and `-`.";
    TEST_FIELD = "OC0037", Error, "a test names an unknown field",
        bad: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {http: {hostname: docs.example.com}}\n    expect: {decision: block}\n"),
        good: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {http: {host: docs.example.com, scheme: http}}\n    expect: {decision: block}\n"),
        "A test's request gives fields by namespace, `http: {host: docs.example.com}` for `http.host`. The fields are those \
         that conditions have.";
    TEST_VALUE = "OC0038", Error, "a test gives a field a value that it never has",
        bad: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {http: {host: Docs.Example.Com, scheme: http}}\n    expect: {decision: block}\n"),
        good: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {http: {host: docs.example.com, scheme: http}}\n    expect: {decision: block}\n"),
        "Fields have a type and, for hosts, paths, methods and header names, one canonical form. A request with any other \
         value never reaches the policy, so a test on it would prove nothing.";
    TEST_RULE = "OC0039", Error, "a test expects a rule that does not exist",
        bad: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {dns: {query: docs.example.com}}\n    expect: {decision: block, rule: no-docs}\n"),
        good: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {dns: {query: docs.example.com}}\n    expect: {decision: block, rule: default}\n"),
        "`rule` is the id of the rule that decides, or `default` for the block when none does; `obligations` are the ids of \
         hold and enrich rules. None of the files has a rule with this id, or it has another action.";
    TEST_LAYER = "OC0040", Error, "a test does not say which question it asks",
        bad: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {agent: {name: ci}}\n    expect: {decision: block}\n"),
        good: File("version: \"1\"\ntests:\n  - name: blocked\n    request: {layer: dns, agent: {name: ci}}\n    expect: {decision: block}\n"),
        "The layer that is asked follows from the fields: `dns`, `docker` and `run` from their own, `response` likewise, \
         `http` and `https` from `http.scheme` where a method or path is given, `connect` from a host alone, `network` from \
         an address without a host. Where it does not, or the layer does not know one of the fields, `layer:` in the \
         request says it.";
    GIVEN_TWICE = "OC0041", Error, "the same name is given twice",
        bad: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - {header: X-Api-Key, value: \"${secret:one}\"}\n    - {header: x-api-key, value: \"${secret:two}\"}\n"),
        good: Rules("- id: key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  inject:\n    - {header: X-Api-Key, value: \"${secret:one}\"}\n"),
        "One rule injects a header once, and the tests of one file have different names; else only one of the two would \
         count or be found in a report.";
    PRESET_PARAMETER = "OC0042", Error, "a parameter of a preset is missing or unknown",
        bad: File("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {host: mirror.example.com}\n"),
        good: File("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {hosts: [mirror.example.com]}\n"),
        "A preset says which parameters it takes; those without a default must be given under `with`, and no others can be. \
         `outcall presets NAME` prints them.";
    PARAMETER_VALUE = "OC0043", Error, "a value that a preset's parameter cannot have",
        bad: File("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {hosts: [\"https://mirror.example.com/\"]}\n"),
        good: File("version: \"1\"\npresets:\n  - name: package-mirror\n    with: {hosts: [mirror.example.com]}\n"),
        "A parameter has a type and often a form, such as host names without scheme and port, or the name of an organisation. \
         Its value becomes a literal in the preset's conditions, never a part of their text, and a value of another form \
         would make rules that never apply or that mean something else.";
    PRESET_TWICE = "OC0044", Error, "two presets under one name",
        bad: File("version: \"1\"\npresets:\n  - {name: package-mirror, with: {hosts: [one.example.com]}}\n  - {name: package-mirror, with: {hosts: [two.example.com]}}\n"),
        good: File("version: \"1\"\npresets:\n  - {name: package-mirror, with: {hosts: [one.example.com]}}\n  - {name: package-mirror, as: second-mirror, with: {hosts: [two.example.com]}}\n"),
        "The ids of a preset's rules begin with the preset's name, and ids are unique over all files. To use one preset \
         twice, give one of the two another name with `as`: a letter or digit, then up to 63 letters, digits, `.`, `_` and \
         `-`. One policy uses at most 256 presets.";
    HEADER_DIGEST = "OC0045", Error, "not the digest of a header's value",
        bad: Rules("- id: own-key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  require_header:\n    Authorization: Bearer 123456\n"),
        good: Rules("- id: own-key\n  action: enrich\n  condition: http.host == \"api.example.com\"\n  require_header:\n    Authorization: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n"),
        "`require_header` holds digests, so that no rule file and no artifact holds a credential: `sha256:` and 64 hexadecimal \
         digits, which `printf %s VALUE | sha256sum` gives for the whole value of the header. A digest of what can be guessed \
         can be found out, so this is for long random keys.";
}
