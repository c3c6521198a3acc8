//! What an agent wants to do, as rules see it.
//!
//! A target that could be read in two ways is refused: a rule would judge one reading, and the agent act on the other.

use std::net::IpAddr;

use outcall_schema::api::permissions::{ActionType, Check};
use outcall_schema::facts::{Fact, Facts};
use serde_json::{Map, Value};

/// What a shell takes for itself wherever it stands, and blanks that part words but for the plain one.
const OF_SHELLS: &str = "\"'`$\\|&;<>(){}[]*?!#~^%";

/// An action. What it does not have stays unknown to rules.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    pub(super) action_type: ActionType,
    pub(super) target: String,
    tool: Option<String>,
    arguments: Option<(Vec<String>, Vec<String>)>,
    cwd: Option<String>,
    context: Map<String, Value>,
}

/// Why there is no action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAction {
    /// It is not what can be asked.
    Bad(String),
    /// It could be read in two ways.
    Ambiguous(String),
}

impl Action {
    /// Reads one.
    pub(super) fn read(check: Check) -> Result<Action, NoAction> {
        let Check { action_type, target, metadata: mut context } = check;
        let bad = |why: &str| NoAction::Bad(why.to_owned());
        if target.is_empty() || target.contains('\0') {
            return Err(bad("the target is a text without NUL, and not empty"));
        }
        for own in ["action_type", "target"] {
            if context.contains_key(own) {
                return Err(NoAction::Ambiguous(format!("`{own}` is said twice: leave it out of the metadata")));
            }
        }
        if context.contains_key("flags") {
            return Err(bad("there are no flags in the metadata: those of `args` that begin with `-` are"));
        }
        let args = context.remove("args").map(|args| list(args).ok_or(())).transpose();
        let args = args.map_err(|()| bad("`args` is a list of texts without NUL"))?;
        let cwd = match context.remove("cwd") {
            None => None,
            Some(Value::String(cwd)) if plain_path(&cwd) => Some(cwd),
            Some(Value::String(_)) => return Err(NoAction::Ambiguous(format!("`cwd` {PLAIN_PATH}"))),
            Some(_) => return Err(bad("`cwd` is a text")),
        };
        let (tool, args) = match action_type {
            ActionType::ToolExec => (Some(target.clone()), args),
            ActionType::ShellExec => {
                let (tool, args) = command(&target, args)?;
                (Some(tool), Some(args))
            }
            ActionType::FileAccess if !plain_path(&target) => {
                return Err(NoAction::Ambiguous(format!("the target of file_access {PLAIN_PATH}")));
            }
            ActionType::NetworkCall if !plain_address(&target) => {
                let why = "the target of network_call is a URL of http or https, or a host with or without a port, in \
                           printable ASCII without a user, blanks, quotes and backslashes";
                return Err(NoAction::Ambiguous(why.to_owned()));
            }
            // Which tool does it is not known.
            ActionType::FileAccess | ActionType::NetworkCall => (None, args),
        };
        context.insert("action_type".to_owned(), action_type.name().into());
        context.insert("target".to_owned(), target.clone().into());
        let arguments = args.map(|args| args.into_iter().partition(|argument| !is_flag(argument)));
        Ok(Action { action_type, target, tool, arguments, cwd, context })
    }

    /// What rules see.
    pub(super) fn facts<'a>(&'a self, agent: &'a str) -> Facts<'a> {
        fn fact<T>(value: Option<T>) -> Fact<T> {
            value.map_or(Fact::Unknown, Fact::Known)
        }
        let arguments = self.arguments.as_ref();
        Facts {
            agent_name: Fact::Known(agent),
            run_tool: fact(self.tool.as_deref()),
            run_args: fact(arguments.map(|(args, _)| args.as_slice())),
            run_flags: fact(arguments.map(|(_, flags)| flags.as_slice())),
            run_cwd: fact(self.cwd.as_deref()),
            run_context: Fact::Known(&self.context),
            ..Facts::default()
        }
    }
}

const PLAIN_PATH: &str = "is a path from the root without `.`, `..` and empty parts";

fn list(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    let text = |value: Value| match value {
        Value::String(text) if !text.contains('\0') => Some(text),
        _ => None,
    };
    values.into_iter().map(text).collect()
}

/// A program and its arguments. Where the arguments are not said the target is a command line, in which nothing may stand that
/// a shell would take for more than words.
fn command(target: &str, args: Option<Vec<String>>) -> Result<(String, Vec<String>), NoAction> {
    if let Some(args) = args {
        return Ok((target.to_owned(), args));
    }
    let blank = |character: char| character.is_whitespace() && character != ' ';
    let assigns = target.split(' ').find(|word| !word.is_empty()).is_some_and(|word| word.contains('='));
    if assigns || target.contains(|character: char| OF_SHELLS.contains(character) || blank(character)) {
        let why = "a shell would make more than words of the target: name the program, and say its arguments as `args`";
        return Err(NoAction::Ambiguous(why.to_owned()));
    }
    let mut words = target.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
    let tool = words.next().ok_or_else(|| NoAction::Bad("the target names no program".to_owned()))?;
    Ok((tool, words.collect()))
}

/// Whether most programs would take an argument for a flag. Where it stands does not matter: not all of them heed `--`.
fn is_flag(argument: &str) -> bool {
    argument.len() > 1 && argument.starts_with('-')
}

/// Whether a path leads where it says, as far as text can tell. One `/` may stand at its end.
fn plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    !path.contains('\0')
        && path != "//"
        && (rest.is_empty() || rest.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

/// Whether clients agree on which host is meant.
fn plain_address(target: &str) -> bool {
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"'@`<>^{|}".contains(&byte)) {
        return false;
    }
    let authority = match target.split_once("://") {
        Some(("http" | "https", rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        Some(_) => return false,
        None => target,
    };
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon of an address without brackets is none before a port.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => (authority, None),
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|number| number > 0 && number.to_string() == port));
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let host = match outcall_schema::host::Host::parse(bare) {
        // In its canonical form alone, so that a rule on it sees what others see.
        Ok(parsed) => parsed.as_text() == bare && (bare == host || bare.parse::<IpAddr>().is_ok()),
        Err(_) => false,
    };
    port && host
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(action_type: &str, target: &str, metadata: Value) -> Result<Action, NoAction> {
        let check = json!({ "action_type": action_type, "target": target, "metadata": metadata });
        Action::read(serde_json::from_value(check).unwrap())
    }

    #[track_caller]
    fn check(action_type: &str, target: &str, metadata: Value, tool: Option<&str>, args: &[&str], flags: &[&str]) {
        let action = read(action_type, target, metadata).unwrap();
        let facts = action.facts("a");
        assert_eq!(facts.run_tool.known(), tool, "{target}");
        let texts = |list: Fact<&[String]>| list.known().map(<[String]>::to_vec).unwrap_or_default();
        assert_eq!(
            (texts(facts.run_args), texts(facts.run_flags)),
            (args.iter().map(|it| (*it).to_owned()).collect(), flags.iter().map(|it| (*it).to_owned()).collect()),
            "{target}"
        );
        let context = facts.run_context.known().unwrap();
        assert_eq!((&context["action_type"], &context["target"]), (&json!(action_type), &json!(target)));
        assert!(!context.contains_key("args") && !context.contains_key("cwd"));
    }

    #[test]
    fn programs_have_arguments_and_flags_wherever_these_stand() {
        let args = json!({ "args": ["push", "--force", "origin", "-", "--", "-n"], "cwd": "/workspace", "attempt": 1 });
        check("shell_exec", "git", args.clone(), Some("git"), &["push", "origin", "-"], &["--force", "--", "-n"]);
        check(
            "tool_exec",
            "web search",
            args.clone(),
            Some("web search"),
            &["push", "origin", "-"],
            &["--force", "--", "-n"],
        );
        check("shell_exec", " git  push -f ./a=b ", json!({}), Some("git"), &["push", "./a=b"], &["-f"]);
        // With its arguments said the program is the whole of the target.
        check("shell_exec", "my tool $x", json!({ "args": [] }), Some("my tool $x"), &[], &[]);
        let action = read("shell_exec", "git", args).unwrap();
        let facts = action.facts("a");
        assert_eq!((facts.run_cwd, facts.agent_name), (Fact::Known("/workspace"), Fact::Known("a")));
        assert_eq!(facts.run_context.known().unwrap()["attempt"], 1);
    }

    #[test]
    fn what_is_not_said_is_not_known() {
        let action = read("tool_exec", "search", json!({})).unwrap();
        let facts = action.facts("a");
        assert_eq!((facts.run_args, facts.run_flags, facts.run_cwd), (Fact::Unknown, Fact::Unknown, Fact::Unknown));
        for (action_type, target) in [("file_access", "/workspace/a"), ("network_call", "https://a.example/")] {
            assert_eq!(read(action_type, target, json!({})).unwrap().facts("a").run_tool, Fact::Unknown);
        }
    }

    #[test]
    fn what_a_shell_would_read_in_its_own_way_is_ambiguous() {
        for target in [
            "git push && rm -rf /",
            "a;b",
            "a|b",
            "a>b",
            "$HOME/x",
            "`a`",
            "\"a b\"",
            "'a'",
            "a\\ b",
            "a\nb",
            "a\tb",
            "a*",
            "a{b,c}",
            "A=1 a",
            "~/a",
            "a # b",
            "!a",
            "a\u{a0}b",
        ] {
            assert!(matches!(read("shell_exec", target, json!({})), Err(NoAction::Ambiguous(_))), "{target}");
        }
    }

    #[test]
    fn paths_and_addresses_have_one_reading() {
        for (path, plain) in [
            ("/", true),
            ("/a", true),
            ("/a/b/", true),
            ("/a/.b/..c", true),
            ("a", false),
            ("/a/../b", false),
            ("/a/.", false),
            ("//a", false),
            ("/a//b", false),
            ("/a//", false),
            ("//", false),
            ("./a", false),
            ("~/a", false),
            ("", false),
            ("/..", false),
        ] {
            assert_eq!(plain_path(path), plain, "{path}");
        }
        for (target, plain) in [
            ("a.example", true),
            ("a.example:443", true),
            ("https://a.example/x?y#z", true),
            ("http://10.0.0.1:80", true),
            ("[2001:db8::1]:443", true),
            ("2001:db8::1", true),
            ("https://[2001:db8::1]/", true),
            ("https://good.example@evil.example/", false),
            ("https://evil.example\\@good.example", false),
            ("https://A.example/", false),
            ("a.example.", false),
            ("0x7f000001", false),
            ("127.1", false),
            ("a b", false),
            ("ftp://a.example", false),
            ("a.example:0", false),
            ("a.example:080", false),
            ("a.example:99999", false),
            ("a.example:", false),
            ("https:///", false),
            ("[a.example]", false),
            ("é.example", false),
            ("a.example/x", false),
        ] {
            assert_eq!(plain_address(target), plain, "{target}");
        }
    }

    #[test]
    fn what_is_said_twice_or_is_none_is_refused() {
        for metadata in [
            json!({ "target": "x" }),
            json!({ "action_type": "x" }),
            json!({ "cwd": "a" }),
            json!({ "cwd": "/a/../b" }),
        ] {
            assert!(matches!(read("tool_exec", "a", metadata.clone()), Err(NoAction::Ambiguous(_))), "{metadata}");
        }
        for metadata in [
            json!({ "args": "a" }),
            json!({ "args": [1] }),
            json!({ "args": ["\0"] }),
            json!({ "flags": [] }),
            json!({ "cwd": 1 }),
        ] {
            assert!(matches!(read("tool_exec", "a", metadata.clone()), Err(NoAction::Bad(_))), "{metadata}");
        }
        for target in ["", "a\0"] {
            assert!(matches!(read("tool_exec", target, json!({})), Err(NoAction::Bad(_))));
        }
        assert!(matches!(read("shell_exec", "  ", json!({})), Err(NoAction::Bad(_))));
    }
}
