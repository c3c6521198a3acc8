//! `outcall top`: agents, decisions and rules of a running `outcalld`, live.
//!
//! It redraws a screen of text; nothing is read from the terminal but its size, and an interrupt ends it.

mod frame;
mod numbers;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::RangedU64ValueParser;
use outcall_schema::api::Endpoint;
use outcall_schema::api::process::Health;
use serde_json::Value;

use self::frame::{Frame, Size};
use self::numbers::Numbers;
use crate::Exit;
use crate::daemon::{Daemon, Heed, NoAnswer};
use crate::events;
use crate::output::{Output, complain};

/// Records that are kept to be shown.
const RECENT: usize = 64;

/// Watch a running outcalld: its agents, its decisions and its rules
///
/// Where standard output is no terminal, and with `--once`, one frame is printed as text.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds between frames
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..=3600))]
    interval: u64,
    /// Print one frame and end
    #[arg(long)]
    once: bool,
    /// Print one frame as a JSON document and end
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let live = std::io::stdout().is_terminal() && !args.once && !args.json;
    let done = if live { watch(args, daemon, out) } else { once(args, daemon, out) };
    match done {
        Ok(()) => Exit::Done,
        Err(why) => {
            complain(&why);
            why.exit()
        }
    }
}

fn look(daemon: &Daemon) -> Result<(Health, Numbers), NoAnswer> {
    Ok((daemon.ask(Endpoint::Health)?, Numbers::read(&daemon.text(Endpoint::Metrics)?)))
}

fn once(args: &Args, daemon: &Daemon, out: &mut Output) -> Result<(), NoAnswer> {
    let (health, numbers) = look(daemon)?;
    let frame = Frame::new(&health, &numbers, None);
    if args.json {
        out.json(&serde_json::json!(frame));
    } else {
        out.text(frame.text(Size::WHOLE, &[]));
    }
    Ok(())
}

fn watch(args: &Args, daemon: &Daemon, out: &mut Output) -> Result<(), NoAnswer> {
    let interval = Duration::from_secs(args.interval);
    let recent: Arc<Mutex<VecDeque<String>>> = Arc::default();
    follow(daemon, &recent);
    let mut before: Option<(Numbers, Instant)> = None;
    loop {
        let (health, numbers) = look(daemon)?;
        let now = Instant::now();
        let since = before.as_ref().map(|(numbers, then)| (numbers, now.duration_since(*then)));
        let lines: Vec<String> = recent.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
        // To the upper left, each line to its end, and whatever is left below.
        let text = Frame::new(&health, &numbers, since).text(Size::of_terminal(), &lines);
        out.text(format_args!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n")));
        if !out.flush() {
            return Ok(());
        }
        before = Some((numbers, now));
        thread::sleep(interval);
    }
}

/// Keeps the last records. When they end so does the process, as it is told of it by its other questions.
fn follow(daemon: &Daemon, recent: &Arc<Mutex<VecDeque<String>>>) {
    let (daemon, recent) = (daemon.clone(), Arc::clone(recent));
    thread::spawn(move || {
        let keep = |line: String| {
            let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.truncate(RECENT - 1);
            recent.push_front(line);
        };
        let followed = daemon.follow(Endpoint::Events, |line| {
            if let Some(record) = line.strip_prefix("data: ").and_then(|data| serde_json::from_str::<Value>(data).ok())
            {
                match record.get("lost") {
                    Some(lost) => keep(format!("{lost} record(s) not seen")),
                    None => keep(events::shown(&record)),
                }
            }
            Heed::More
        });
        if let Err(why) = followed {
            keep(why.to_string());
        }
    });
}
