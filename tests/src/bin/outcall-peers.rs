//! Puts Outcall and other products through the techniques of `outcall verify` and prints one table; `tests/adversarial/peers/run`
//! installs them and adds the head.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use outcall_tests::fixtures::world::binary;
use outcall_tests::peers::{Column, Peer, table as page};
use outcall_verify::helper::{self, Helper};
use outcall_verify::run::{Options, Place, run};
use outcall_verify::technique::Technique;
use outcall_verify::{table, world};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["helper", arguments @ ..] => help(arguments),
        ["run", words @ ..] if !words.is_empty() => {
            let mut parts = words.splitn(2, |word| *word == "--only");
            compare(parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
        }
        _ => Err("usage: outcall-peers run SCRIPT... [--only ID...]".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("outcall-peers: {why}");
            ExitCode::FAILURE
        }
    }
}

fn help(arguments: &[&str]) -> Result<(), String> {
    let words: Vec<std::ffi::OsString> = arguments.iter().map(Into::into).collect();
    helper::main(&Helper::own(&["helper"])?, &words, world::modern::serve)
}

/// Tries all techniques, or those of these ids, on Outcall and on the products of these scripts.
fn compare(scripts: &[&str], only: &[&str]) -> Result<(), String> {
    let helper = Helper::own(&["helper"])?;
    let wanted = |technique: &&'static Technique| only.is_empty() || only.contains(&technique.id);
    let techniques: Vec<&'static Technique> = table::techniques().filter(wanted).collect();
    let mut columns = vec![own(&helper, Place::Sandbox, only)?, own(&helper, Place::Host, only)?];
    // Most of the time is spent in waiting for what must not come.
    let others = std::thread::scope(|scope| {
        let running: Vec<_> =
            scripts.iter().map(|script| scope.spawn(|| other(&helper, script, &techniques))).collect();
        running
            .into_iter()
            .map(|one| one.join().map_err(|_| "a run panicked".to_owned()))
            .collect::<Result<Vec<_>, _>>()
    })?;
    columns.extend(others);
    print!("{}", page::page(&columns, &techniques));
    Ok(())
}

fn other(helper: &Helper, script: &str, techniques: &[&'static Technique]) -> Column {
    let name = Path::new(script).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let column = match Peer::read(&PathBuf::from(script)) {
        Ok(peer) => peer.run(helper, &binary("outcall"), techniques),
        Err(why) => {
            Column { name, version: "–".to_owned(), about: "–".to_owned(), rows: Err(why), ended: Vec::new() }
        }
    };
    if let Err(why) = &column.rows {
        eprintln!("{script} does not run: {why}");
    }
    column
}

fn own(helper: &Helper, place: Place, only: &[&str]) -> Result<Column, String> {
    let options = Options {
        helper: helper.clone(),
        outcall: binary("outcall"),
        outcalld: binary("outcalld"),
        place,
        image: None,
        policy: vec![],
        only: only.iter().map(|id| (*id).to_owned()).collect(),
        mutation: None,
    };
    let about = match place {
        Place::Sandbox => "`outcall run`, no root",
        _ => "`outcalld` with its bridge; the agent has every right over its own network namespace",
    };
    let card = run(&options)?;
    eprintln!("outcall --{}: {:?}", place.name(), card.counts());
    Ok(page::own(card, env!("CARGO_PKG_VERSION"), about))
}
