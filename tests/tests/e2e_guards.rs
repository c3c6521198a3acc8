//! What becomes of the agent when one of the processes that guard it is killed from outside.
#![cfg(test)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use outcall_tests::fixtures::{Outcall, World};

const RULES: &str = "version: \"1\"\nrules: []\n";

fn children(process: &str) -> Vec<String> {
    let listed = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    listed.split_whitespace().map(str::to_owned).collect()
}

/// The front, the supervisor, process 1 and the agent of a run under `timeout`.
fn chain(child: &Child) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = children(&child.id().to_string());
    while let Some(process) = next.first().cloned() {
        next = children(&process);
        chain.push(process);
    }
    chain
}

#[test]
fn when_one_of_its_guards_is_killed_the_agent_dies_at_once() {
    for (guard, name) in ["front", "supervisor", "process 1"].into_iter().enumerate() {
        let world = World::new();
        let outcall = Outcall::new(&world, RULES);
        let mut child = outcall
            .command(&outcall.log())
            .args(["sh", "-c", "echo ready; exec sleep 55"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let chain = chain(&child);
        let [_, _, _, _] = chain.as_slice() else { panic!("front, supervisor, process 1 and agent: {chain:?}") };
        let began = Instant::now();
        assert!(std::process::Command::new("kill").args(["-KILL", &chain[guard]]).status().unwrap().success());
        // The agent, and every guard but the one that was killed, holds the pipe open until it ends.
        line.clear();
        assert_eq!(stdout.read_line(&mut line).unwrap(), 0, "{name}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        assert_ne!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}

/// Runs the words after the program on a terminal of its own, hangs up when it hears `ready`, and prints how it ended.
const HANG_UP: &str = r#"
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
heard = b""
while b"ready" not in heard:
    heard += os.read(fd, 4096)
os.close(fd)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// An agent that is not in the terminal's foreground group, as a shell is while one of its jobs runs.
const BACKGROUND: &str = "import os, time; os.setpgid(0, 0); os.write(1, b'rea' + b'dy'); time.sleep(55)";

#[test]
fn a_terminal_that_goes_away_takes_the_agent_along() {
    let world = World::new();
    let outcall = Outcall::new(&world, RULES);
    let inner = outcall.command(&outcall.log());
    // The fixture's command enters the world by itself; what stands before `outcall` in it must not lead the session.
    let words: Vec<_> = inner.get_args().skip_while(|word| *word != "outcall").collect();
    let mut hang_up = world.command("python3", 20);
    hang_up.args(["-I", "-c", HANG_UP]).args(words).args(["/usr/bin/python3", "-I", "-c", BACKGROUND]);
    let output = hang_up.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-1\n", "{output:?}");
}
