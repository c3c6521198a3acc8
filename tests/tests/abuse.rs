//! What abuse over HTTP/2 costs the proxy and its other agents, for two seconds each and within bounds that hold on any machine.
//! `tests/bench/abuse` measures it.
#![cfg(test)]

use std::process::Command;

#[test]
fn abuse_costs_bounded_memory_and_others_are_served() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_outcall-abuse")).args(["--quick", "--check", "--anywhere"]).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{}", text(&output.stdout));
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}
