//! `outcall container`: containers of Docker's engine as agents of a host.

use clap::Subcommand;
use outcall_schema::api::Endpoint;
use outcall_schema::api::docker::{
    Container, ContainerCreate, ContainerDetail, ContainerLogs, ContainerPull, ContainerRemove, ContainerStop,
    MEMORY_BYTES, MEMORY_BYTES_MIN, Named, PIDS,
};

use crate::Exit;
use crate::asking::{Printing, print, row, table};
use crate::daemon::{Daemon, printable};
use crate::output::Output;

/// Start containers as agents, show them, stop and remove them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    printing: Printing,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a container whose every way out is guarded, where the policy's `docker` rules allow it
    ///
    /// It has no capabilities but those given, cannot get more rights than it begins with, and sees nothing of the host but
    /// the volumes given.
    Create(Box<Create>),
    /// List those on the network
    List,
    /// Show all about one
    Inspect {
        /// Its name
        name: String,
    },
    /// Stop one
    Stop {
        /// Its name
        name: String,
    },
    /// Remove one
    Remove {
        /// Its name
        name: String,
        /// Kill it where it runs
        #[arg(long)]
        force: bool,
    },
    /// Print the end of what one has said
    Logs {
        /// Its name
        name: String,
    },
    /// Have Docker fetch an image, where the policy's `docker` rules allow it
    Pull {
        /// The image, such as debian:12
        image: String,
    },
}

#[derive(Debug, clap::Args)]
struct Create {
    /// Its name, and the agent's; rules do not see a `-N` at its end
    #[arg(long)]
    name: String,
    /// A variable of its environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// A file or directory of the host or a volume of Docker's, and where it is seen; may be repeated
    #[arg(long, value_name = "SOURCE:TARGET[:ro]")]
    volume: Vec<String>,
    /// A capability to add to none, of those that Docker gives by itself; may be repeated
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// The user that it runs as [default: the image's]
    #[arg(long)]
    user: Option<String>,
    /// The directory that it begins in [default: the image's]
    #[arg(long, value_name = "DIR")]
    workdir: Option<String>,
    /// The most memory that it may use, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = MEMORY_BYTES, value_parser = clap::value_parser!(u64).range(MEMORY_BYTES_MIN..))]
    memory_bytes: u64,
    /// The most processes and threads that it may have
    #[arg(long, value_name = "NUMBER", default_value_t = PIDS, value_parser = clap::value_parser!(u32).range(1..))]
    pids: u32,
    /// The image, such as debian:12
    image: String,
    /// What it runs in the place of the image's own command
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args, daemon: &Daemon, out: &mut Output) -> Exit {
    let printing = args.printing;
    match &args.command {
        Command::Create(create) => {
            let answer = daemon.tell_patiently(Endpoint::ContainerCreate, &create.wanted());
            print(answer, printing, out, |container: Container, out| out.line(printable(&made(&container))))
        }
        Command::List => print(daemon.ask(Endpoint::Containers), printing, out, list),
        Command::Inspect { name } => {
            print(daemon.ask_at(Endpoint::Container, &named(Endpoint::Container, name)), printing, out, inspect)
        }
        Command::Stop { name } => {
            let answer = daemon.tell_patiently(Endpoint::ContainerStop, &ContainerStop { name: name.clone() });
            print(answer, printing, out, |Named { name }, out| {
                out.line(format_args!("Stopped {}.", printable(&name)));
            })
        }
        Command::Remove { name, force } => {
            let wanted = ContainerRemove { name: name.clone(), force: *force };
            print(daemon.tell_patiently(Endpoint::ContainerRemove, &wanted), printing, out, |Named { name }, out| {
                out.line(format_args!("Removed {}.", printable(&name)));
            })
        }
        Command::Logs { name } => logs(name, daemon, printing, out),
        Command::Pull { image } => {
            let answer = daemon.tell_patiently(Endpoint::ContainerPull, &ContainerPull { image: image.clone() });
            print(answer, printing, out, |Named { name }, out| {
                out.line(format_args!("Fetched {}.", printable(&name)));
            })
        }
    }
}

/// Prints the end of what one has said.
pub(crate) fn logs(name: &str, daemon: &Daemon, printing: Printing, out: &mut Output) -> Exit {
    let answer = daemon.ask_at(Endpoint::ContainerLogs, &named(Endpoint::ContainerLogs, name));
    print(answer, printing, out, |logs: ContainerLogs, out| {
        logs.text.lines().for_each(|line| out.line(printable(line)));
    })
}

fn named(endpoint: Endpoint, name: &str) -> String {
    format!("{}?name={}", endpoint.row().path, query(name))
}

impl Create {
    fn wanted(&self) -> ContainerCreate {
        let Create { name, env, volume, cap_add, user, workdir, memory_bytes, pids, image, command } = self;
        ContainerCreate {
            name: name.clone(),
            image: image.clone(),
            command: command.clone(),
            env: env.clone(),
            volumes: volume.iter().map(|volume| real(volume)).collect(),
            capabilities: cap_add.clone(),
            user: user.clone(),
            workdir: workdir.clone(),
            memory_bytes: *memory_bytes,
            pids: *pids,
        }
    }
}

/// A volume with the path of the host's that it leads to, as outcalld may have no right to look where links lead.
fn real(volume: &str) -> String {
    let Some((source, rest)) = volume.split_once(':') else { return volume.to_owned() };
    let path = source.starts_with(['/', '.']).then(|| std::fs::canonicalize(source).ok()).flatten();
    let real = path.as_ref().and_then(|path| path.to_str()).unwrap_or(source);
    format!("{real}:{rest}")
}

/// A name in a query. One that could not be one is refused by who is asked.
fn query(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    name.chars().map(|c| if plain(c) { c } else { '!' }).collect()
}

fn made(container: &Container) -> String {
    let Container { name, agent, ipv4, ipv6, guarded, state, .. } = container;
    if !guarded {
        return format!("Started {name}, and it has ended already: it is {state}.");
    }
    let v4 = ipv4.map(|address| format!(" at {address}")).unwrap_or_default();
    let v6 = ipv6.map(|address| format!(" and {address}")).unwrap_or_default();
    format!("Started {name}: agent `{agent}`{v4}{v6}.")
}

fn list(containers: Vec<Container>, out: &mut Output) {
    if containers.is_empty() {
        out.line("There are no containers on the network.");
        return;
    }
    let cells = |Container { name, image, state, guarded, agent, ipv4, ipv6, port, .. }: Container| {
        let addresses = ipv4.map(|it| it.to_string()).into_iter().chain(ipv6.map(|it| it.to_string()));
        let guarded = if guarded { "yes" } else { "closed" };
        let addresses = addresses.collect::<Vec<_>>().join(" ");
        [name, agent, image, state, guarded.to_owned(), port.unwrap_or_default(), addresses]
    };
    let rows: Vec<[String; 7]> = containers.into_iter().map(cells).collect();
    table(["NAME", "AGENT", "IMAGE", "STATE", "GUARDED", "PORT", "ADDRESSES"], &rows, out);
}

fn inspect(detail: ContainerDetail, out: &mut Output) {
    let ContainerDetail { container, created_at, command, exit_code, memory_bytes, pids, mounts, excess } = detail;
    let Container { name, id, image, state, guarded, agent, ipv4, ipv6, port } = container;
    row(out, "container", format_args!("{name}, {id}"));
    row(out, "image", image);
    if !command.is_empty() {
        row(out, "command", command.join(" "));
    }
    row(out, "state", exit_code.map_or_else(|| state.clone(), |code| format!("{state}, with {code}")));
    row(out, "created", created_at);
    match port {
        Some(port) if guarded => row(out, "agent", format_args!("{agent}, guarded at port {port}")),
        _ => row(out, "agent", "none: it reaches nothing"),
    }
    let addresses = ipv4.map(|it| it.to_string()).into_iter().chain(ipv6.map(|it| it.to_string()));
    row(out, "addresses", addresses.collect::<Vec<_>>().join(", "));
    row(out, "memory", if memory_bytes == 0 { "no bound".to_owned() } else { format!("{memory_bytes} bytes") });
    row(out, "processes", pids.map_or_else(|| "no bound".to_owned(), |pids| pids.to_string()));
    for mount in mounts {
        row(out, "sees", mount);
    }
    for why in excess {
        row(out, "more than allowed", why);
    }
}
