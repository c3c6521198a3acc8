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

fn alive(process: &str) -> bool {
    // The third word of `stat`; a zombie is no longer alive.
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['Z', 'X']))
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
        let [_, _, _, agent] = chain.as_slice() else { panic!("front, supervisor, process 1 and agent: {chain:?}") };
        assert!(alive(agent));
        let began = Instant::now();
        assert!(std::process::Command::new("kill").args(["-KILL", &chain[guard]]).status().unwrap().success());
        // The agent holds the pipe open until it is gone.
        line.clear();
        assert_eq!(stdout.read_line(&mut line).unwrap(), 0, "{name}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        assert!(!alive(agent), "{name}");
        assert_ne!(child.wait().unwrap().code(), Some(0), "{name}");
    }
}
