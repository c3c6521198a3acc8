//! A host under load while everything around it goes wrong leaks nothing. `OUTCALL_SOAK_SECONDS` makes it longer;
//! `tests/soak/run` sets it.
#![cfg(test)]

use std::time::Duration;

#[test]
fn nothing_is_left_of_a_host_under_load_and_faults() {
    let seconds = std::env::var("OUTCALL_SOAK_SECONDS").ok();
    let seconds = seconds.map_or(0, |text| text.parse().unwrap_or_else(|_| panic!("OUTCALL_SOAK_SECONDS is a number")));
    let Some(report) = outcall_tests::soak::run(Duration::from_secs(seconds)) else {
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    for line in &report.load {
        println!("{line}");
    }
    let [before, after] = &report.measures;
    println!("before: {before:?}\nafter:  {after:?}");
    let worked = report.load.iter().any(|line| line.contains("\"good well\"") && line.contains("\"good_inside well\""));
    assert!(worked, "somebody got something done: {:#?}", report.load);
    assert!(report.leaks.is_empty(), "{:#?}", report.leaks);
}
