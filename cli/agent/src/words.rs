//! What the command line asks for.

use std::ffi::OsString;
use std::path::PathBuf;

use serde_json::{Map, Value};

/// Where the daemon answers agents, on a host and in a container.
const SOCKET: &str = "/run/outcall/agent.sock";
/// What can be asked about.
const ACTIONS: [&str; 4] = ["tool_exec", "network_call", "file_access", "shell_exec"];

pub(crate) const HELP: &str = "\
Asks the outcalld of this host, on behalf of the agent that this runs beside

Usage: outcall-agent [--socket PATH] checkin [--json]
       outcall-agent [--socket PATH] check ACTION TARGET [--metadata JSON] [--json]
       outcall-agent [--socket PATH] exec [--action ACTION] -- CMD...

Commands:
  checkin  Show who the agent is, as the host knows it, and what it may use
  check    Ask whether the policy allows an action: tool_exec, network_call, file_access or shell_exec
  exec     Ask whether the policy allows a command (as shell_exec), and run it where it does

Options:
  --socket PATH    Where outcalld answers [default: /run/outcall/agent.sock]
  --metadata JSON  What more there is to say of the action: an object, with the arguments as `args`
  --json           Print the answer as it is
  --help           Print this
  --version        Print the version

Exit status: 0 allowed; 1 not allowed; 2 usage; 5 outcalld was not reached, and nothing is allowed without its answer.
Of exec it is that of the command, 126 where it cannot be run and 127 where there is none.
";

/// A command line.
#[derive(Debug, PartialEq)]
pub(crate) struct Words {
    pub(crate) socket: PathBuf,
    pub(crate) json: bool,
    pub(crate) asked: Asked,
}

/// What it asks for.
#[derive(Debug, PartialEq)]
pub(crate) enum Asked {
    Help,
    Version,
    Checkin,
    Check(Check),
    Exec { action: &'static str, command: Vec<OsString> },
}

/// What is asked about.
#[derive(Debug, PartialEq)]
pub(crate) struct Check {
    pub(crate) action: &'static str,
    pub(crate) target: String,
    pub(crate) metadata: Map<String, Value>,
}

impl Words {
    /// Reads one.
    pub(crate) fn read(given: Vec<OsString>) -> Result<Words, String> {
        let mut given = given.into_iter();
        let (mut socket, mut metadata, mut action) = (None, None, None);
        let (mut json, mut plain, mut command) = (false, Vec::new(), None);
        while let Some(word) = given.next() {
            let text = word.to_str().ok_or_else(|| usage("a word is not UTF-8"))?;
            let mut value = |of: &str| given.next().ok_or_else(|| usage(&format!("{of} wants a value")));
            match text {
                "--" => {
                    command = Some(given.by_ref().collect::<Vec<OsString>>());
                }
                "--json" => json = true,
                "--help" | "-h" => plain = vec!["help".to_owned()],
                "--version" => plain = vec!["version".to_owned()],
                "--socket" => once(&mut socket, value("--socket")?, "--socket")?,
                "--metadata" => once(&mut metadata, value("--metadata")?, "--metadata")?,
                "--action" => once(&mut action, value("--action")?, "--action")?,
                option if option.starts_with('-') && option.len() > 1 => {
                    return Err(usage(&format!("there is no option {option}")));
                }
                word => plain.push(word.to_owned()),
            }
            if matches!(plain.first().map(String::as_str), Some("help" | "version")) {
                break;
            }
        }
        let known = |name: &str| ACTIONS.into_iter().find(|action| *action == name);
        let no_action =
            |name: &str| usage(&format!("there is no action `{name}`: it is one of {}", ACTIONS.join(", ")));
        let words: Vec<&str> = plain.iter().map(String::as_str).collect();
        let (has_metadata, has_action) = (metadata.is_some(), action.is_some());
        let asked = match (words.as_slice(), command) {
            (["help"], _) => Asked::Help,
            (["version"], _) => Asked::Version,
            (["checkin"], None) if !has_metadata && !has_action => Asked::Checkin,
            (["check", name, target], None) if !has_action => Asked::Check(Check {
                action: known(name).ok_or_else(|| no_action(name))?,
                target: (*target).to_owned(),
                metadata: metadata.map_or_else(|| Ok(Map::new()), |text| object(&text))?,
            }),
            (["exec"], Some(command)) if !command.is_empty() && !json && !has_metadata => {
                let name = action.map_or_else(|| Ok("shell_exec".to_owned()), OsString::into_string);
                let name = name.map_err(|_| usage("a word is not UTF-8"))?;
                Asked::Exec { action: known(&name).ok_or_else(|| no_action(&name))?, command }
            }
            _ => return Err(usage("this is no way to ask")),
        };
        Ok(Words { socket: socket.map_or_else(|| SOCKET.into(), PathBuf::from), json, asked })
    }
}

fn once(place: &mut Option<OsString>, value: OsString, name: &str) -> Result<(), String> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(usage(&format!("{name} is given twice"))),
    }
}

fn object(text: &OsString) -> Result<Map<String, Value>, String> {
    let read = text.to_str().and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    read.ok_or_else(|| usage("--metadata wants a JSON object"))
}

fn usage(why: &str) -> String {
    format!("{why}; see outcall-agent --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Result<Words, String> {
        Words::read(line.iter().map(OsString::from).collect())
    }

    #[test]
    fn a_line_asks_for_one_thing() {
        let words = read(&["checkin", "--json"]).unwrap();
        assert_eq!((words.socket.to_str(), words.json, words.asked), (Some(SOCKET), true, Asked::Checkin));
        let words = read(&["--socket", "/s", "check", "tool_exec", "-", "--metadata", "{\"args\":[\"a\"]}"]).unwrap();
        let Asked::Check(check) = words.asked else { panic!("{words:?}") };
        assert_eq!((words.socket.to_str(), check.action, check.target.as_str()), (Some("/s"), "tool_exec", "-"));
        assert_eq!(Value::from(check.metadata), serde_json::json!({ "args": ["a"] }));
        let words = read(&["exec", "--action", "tool_exec", "--", "git", "--json", "--"]).unwrap();
        let command = ["git", "--json", "--"].map(OsString::from).to_vec();
        assert_eq!(words.asked, Asked::Exec { action: "tool_exec", command });
        assert_eq!(read(&["check", "--help"]).unwrap().asked, Asked::Help);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            &[][..],
            &["checkin", "x"],
            &["checkin", "--", "x"],
            &["check", "tool_exec"],
            &["check", "open", "x"],
            &["check", "tool_exec", "x", "--metadata", "[]"],
            &["check", "tool_exec", "x", "--metadata"],
            &["check", "tool_exec", "x", "--", "y"],
            &["exec"],
            &["exec", "--"],
            &["exec", "git"],
            &["exec", "--json", "--", "git"],
            &["exec", "--action", "x", "--", "git"],
            &["--socket", "/a", "--socket", "/b", "checkin"],
            &["checkin", "--nonsense"],
        ] {
            assert!(read(line).is_err(), "{line:?}");
        }
    }
}
