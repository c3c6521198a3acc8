//! `outcall lsp`: a language server for rule files over standard input and output.

mod actions;
mod message;
mod server;
mod text;
mod workspace;

use std::io::{self, BufReader};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use message::Incoming;
use server::{Server, Then};

use crate::Exit;
use crate::output::complain;

/// Serve editors over standard input and output (the language server protocol)
///
/// Editors start this themselves. It gives diagnostics with fixes, explanations, completion, definitions and formatting. A
/// document is compiled together with the other rule files of its directory, those that are open as they are in the editor.
///
/// Exits with 0 after the client has said so, else with 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Standard input and output, which is the only way there is; some editors add it
    #[arg(long, hide = true)]
    stdio: bool,
}

/// Messages that wait to be looked at. The client waits when there are more.
const WAITING: usize = 2;

pub(crate) fn run(_: &Args) -> Exit {
    let (sender, receiver) = sync_channel(WAITING);
    std::thread::spawn(move || {
        let mut input = BufReader::new(io::stdin());
        loop {
            let incoming = message::read(&mut input);
            let last = matches!(incoming, Incoming::End | Incoming::Lost(_));
            if sender.send(incoming).is_err() || last {
                break;
            }
        }
    });
    match serve(&receiver) {
        Ok(exit) => exit,
        Err(error) => {
            complain(format_args!("cannot write to the client: {error}"));
            Exit::Failed
        }
    }
}

fn serve(messages: &Receiver<Incoming>) -> io::Result<Exit> {
    let mut server = Server::new();
    let mut output = io::stdout().lock();
    loop {
        let incoming = match messages.try_recv() {
            Ok(incoming) => incoming,
            // Compiling waits until the client has nothing more to say: people type faster than large policies compile.
            Err(TryRecvError::Empty) if !server.is_settled() => {
                for message in server.settle() {
                    message::write(&mut output, &message)?;
                }
                continue;
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => match messages.recv() {
                Ok(incoming) => incoming,
                Err(_) => return Ok(Exit::Failed),
            },
        };
        match server.take(incoming) {
            Then::Go(answers) => {
                for message in answers {
                    message::write(&mut output, &message)?;
                }
            }
            Then::Stop(answer, exit) => {
                if let Some(answer) = answer {
                    message::write(&mut output, &answer)?;
                }
                return Ok(exit);
            }
        }
    }
}
