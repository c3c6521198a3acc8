//! Settings from a file: the daemon's long options, with underscores, as TOML. An option on the command line wins.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, Command};
use outcall_schema::signing::exposed_to_change;
use toml::de::{DeTable, DeValue};

/// The option that names the file, and what the file cannot set.
pub(super) const OPTION: &str = "config";
const NOT_SETTINGS: [&str; 3] = [OPTION, "help", "version"];
/// The subcommand that reads the same file, and takes from it what it knows.
pub(super) const CLOSE: &str = "close";
/// Larger files are something else: one with every setting has 2 KiB.
const FILE_MAX: u64 = 1 << 20;
/// What the values of options are called that are whole numbers.
const NUMBERS: [&str; 5] = ["PORT", "SECONDS", "BYTES", "NAMES", "LABELS"];

/// A setting as the option that says the same.
struct Setting {
    id: String,
    arguments: Vec<OsString>,
}

/// The command line, with the settings of the file that it names where it does not say otherwise.
///
/// # Errors
/// What is wrong with the file, and in which line.
pub(super) fn with_settings(command: &Command, mut given: Vec<OsString>) -> Result<Vec<OsString>, String> {
    let relaxed = command.clone().mut_args(|argument| argument.required(false));
    // What is wrong with the options themselves is said when they are read for good.
    let Ok(found) = relaxed.try_get_matches_from(&given) else { return Ok(given) };
    let (own, matches, at) = match found.subcommand() {
        None => (Some(command), &found, 1),
        Some((CLOSE, matches)) => (command.find_subcommand(CLOSE), matches, 2),
        Some(_) => return Ok(given),
    };
    let (Some(own), Some(path)) = (own, matches.get_one::<PathBuf>(OPTION)) else { return Ok(given) };
    let wanted = settings(path, command)?.into_iter().filter(|setting| {
        own.get_arguments().any(|argument| argument.get_id().as_str() == setting.id)
            && matches.value_source(&setting.id) != Some(ValueSource::CommandLine)
    });
    let wanted: Vec<OsString> = wanted.flat_map(|setting| setting.arguments).collect();
    given.splice(at..at, wanted);
    Ok(given)
}

fn settings(path: &Path, command: &Command) -> Result<Vec<Setting>, String> {
    let text = text(path).map_err(|why| format!("{}: {why}", path.display()))?;
    let at = |span: Range<usize>, why: &str| {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("{}:{line}: {why}", path.display())
    };
    let table = DeTable::parse(&text).map_err(|error| at(error.span().unwrap_or_default(), error.message()))?;
    let mut settings = Vec::new();
    for (key, value) in table.get_ref() {
        let option = key.get_ref().replace('_', "-");
        let known = command.get_arguments().find(|argument| argument.get_long() == Some(&option));
        let known = known.filter(|_| !NOT_SETTINGS.contains(&option.as_str()) && !key.get_ref().contains('-'));
        let Some(argument) = known else {
            let why = format!(
                "there is no setting `{}`: settings are the long options of `outcalld --help`, with underscores",
                key.get_ref()
            );
            return Err(at(key.span(), &why));
        };
        let values = values(argument, value.get_ref());
        let values = values.map_err(|why| at(value.span(), &format!("`{}` {why}", key.get_ref())))?;
        let arguments: Vec<OsString> = values.into_iter().map(|value| format!("--{option}{value}").into()).collect();
        for one in &arguments {
            let alone = Command::new("outcalld").no_binary_name(true).arg(argument.clone().required(false));
            if let Err(error) = alone.try_get_matches_from([one]) {
                let said = error.to_string();
                let first = said.lines().next().unwrap_or_default();
                return Err(at(value.span(), first.trim_start_matches("error: ")));
            }
        }
        settings.push(Setting { id: argument.get_id().to_string(), arguments });
    }
    Ok(settings)
}

/// What the file says. Whoever can change it chooses what the daemon enforces, so only its user and root may.
fn text(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read it: {error}");
    let file = File::open(path).map_err(cannot)?;
    let found = file.metadata().map_err(cannot)?;
    if let Some(why) = exposed_to_change(found.mode(), found.uid(), rustix::process::geteuid().as_raw()) {
        return Err(why);
    }
    let mut text = String::new();
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > FILE_MAX { Err(format!("it is larger than {FILE_MAX} bytes")) } else { Ok(text) }
}

/// What follows an option's name, once for each time that it is given.
fn values(argument: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match (argument.get_action(), value) {
        (ArgAction::SetTrue, DeValue::Boolean(true)) => Ok(vec![String::new()]),
        (ArgAction::SetTrue, DeValue::Boolean(false)) => Ok(Vec::new()),
        (ArgAction::SetTrue, other) => Err(format!("wants true or false, not {}", described(other))),
        (ArgAction::Append, DeValue::Array(values)) => {
            values.iter().map(|value| one(argument, value.get_ref())).collect()
        }
        (ArgAction::Append, other) => Err(format!("wants a list, not {}", described(other))),
        (_, value) => Ok(vec![one(argument, value)?]),
    }
}

fn one(argument: &Arg, value: &DeValue<'_>) -> Result<String, String> {
    let names = argument.get_value_names().unwrap_or_default();
    match (names.iter().any(|name| NUMBERS.contains(&name.as_str())), value) {
        (true, DeValue::Integer(number)) if number.radix() == 10 => Ok(format!("={}", number.as_str())),
        (true, other) => Err(format!("wants a decimal number, not {}", described(other))),
        (false, DeValue::String(text)) => Ok(format!("={text}")),
        (false, other) => Err(format!("wants a text in quotes, not {}", described(other))),
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "this number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use crate::Arguments;

    use super::*;

    const MINIMAL: &str = "artifacts = \"/a\"\ndns_upstream = [\"192.0.2.53\"]\n";

    /// The options that come of a file and a command line, or what is wrong, without the file's path.
    fn read(text: &str, given: &[&str]) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("outcalld.toml");
        std::fs::write(&path, text).unwrap();
        let (before, after) = given.split_at(usize::from(given.first().is_some_and(|first| *first == CLOSE)));
        let line = ["outcalld"].iter().chain(before).map(OsString::from);
        let line = line.chain(["--config".into(), path.clone().into()]).chain(after.iter().map(OsString::from));
        let merged = with_settings(&Arguments::command(), line.collect());
        let merged = merged.map_err(|why| why.replace(&path.display().to_string(), "FILE"))?;
        let read = Arguments::try_parse_from(&merged).map_err(|error| error.to_string())?;
        drop(read);
        let config = path.display().to_string();
        let words = merged.into_iter().map(|word| word.into_string().unwrap());
        Ok(words.filter(|word| *word != config && word != "--config").skip(1).collect())
    }

    #[track_caller]
    fn check_refused(text: &str, why: &str) {
        assert_eq!(read(text, &["--artifacts", "/a", "--dns-upstream", "192.0.2.1"]).unwrap_err(), why);
    }

    #[test]
    fn a_file_says_what_options_say_and_an_option_wins() {
        let text = format!("# a comment\n{MINIMAL}dns_port = 5_353\nstate_dir = '/s'\ntrust_key = []\n");
        assert_eq!(
            read(&text, &["--state-dir=/mine"]).unwrap(),
            ["--artifacts=/a", "--dns-port=5353", "--dns-upstream=192.0.2.53", "--state-dir=/mine"]
        );
        let both = read(MINIMAL, &["--dns-upstream", "192.0.2.1"]).unwrap();
        assert_eq!(both, ["--artifacts=/a", "--dns-upstream", "192.0.2.1"], "a list is replaced, not added to");
        assert!(read("", &[]).unwrap_err().contains("--artifacts"), "what neither says is still missing");
    }

    #[test]
    fn closing_takes_from_the_file_what_it_knows() {
        let text = format!("{MINIMAL}bridge = \"agents0\"\nsubnet = \"10.9.0.0/16\"\n");
        assert_eq!(read(&text, &[CLOSE]).unwrap(), [CLOSE, "--bridge=agents0", "--subnet=10.9.0.0/16"]);
        assert_eq!(read(&text, &[CLOSE, "--bridge", "b"]).unwrap(), [CLOSE, "--subnet=10.9.0.0/16", "--bridge", "b"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_line() {
        let names = "settings are the long options of `outcalld --help`, with underscores";
        check_refused("\ndns_prot = 53\n", &format!("FILE:2: there is no setting `dns_prot`: {names}"));
        check_refused("dns-port = 53\n", &format!("FILE:1: there is no setting `dns-port`: {names}"));
        check_refused("config = \"x\"\n", &format!("FILE:1: there is no setting `config`: {names}"));
        check_refused("[artifacts]\n", "FILE:1: `artifacts` wants a text in quotes, not a table");
        check_refused("\n\ndns_port = \"53\"\n", "FILE:3: `dns_port` wants a decimal number, not a text");
        check_refused("dns_port = 0x35\n", "FILE:1: `dns_port` wants a decimal number, not this number");
        check_refused("bridge = 7\n", "FILE:1: `bridge` wants a text in quotes, not this number");
        check_refused("trust_key = \"k\"\n", "FILE:1: `trust_key` wants a list, not a text");
        check_refused("trust_key = [\"k\",\n 1]\n", "FILE:1: `trust_key` wants a text in quotes, not this number");
        for (text, begins) in [
            ("dns_port = 70000\n", "FILE:1: invalid value '70000' for '--dns-port <PORT>'"),
            ("\nsubnet = \"10.0.0.0/33\"\n", "FILE:2: invalid value '10.0.0.0/33' for '--subnet <NETWORK>'"),
            ("bridge = \"a\"\nbridge = \"b\"\n", "FILE:2: duplicate key"),
            ("bridge = \n", "FILE:1: "),
        ] {
            let said = read(text, &["--artifacts", "/a", "--dns-upstream", "192.0.2.1"]).unwrap_err();
            assert!(said.starts_with(begins), "{said}");
        }
    }

    #[test]
    fn a_file_that_others_can_change_is_not_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_permissions(std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(text(file.path()).unwrap_err().contains("others can change it"));
        assert!(text(Path::new("/nonexistent")).unwrap_err().starts_with("cannot read it"));
    }
}
