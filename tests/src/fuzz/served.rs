//! Targets that are servers: the threads on which they run, and the panics there, which nobody else hears of.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};

/// The thread, and what it said.
static UNHEARD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Keeps what a thread says as it panics, where it is one of ours; says nothing itself.
pub(super) fn note(panic: &PanicHookInfo<'_>) {
    if let Some(name) = std::thread::current().name() {
        UNHEARD.lock().unwrap_or_else(PoisonError::into_inner).push((name.to_owned(), panic.to_string()));
    }
}

/// Where a target has its server run.
#[expect(clippy::expect_used, reason = "fixtures stop the test when they cannot be set up")]
pub(super) fn runtime(name: &'static str) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_name(name).enable_all().build().expect("a runtime")
}

/// Fails where a server of this name panicked: its task alone ended, and the client saw no more than the end of a connection.
pub(super) fn heard_no_panic(name: &str) {
    let mut unheard = UNHEARD.lock().unwrap_or_else(PoisonError::into_inner);
    let panicked: Vec<String> = unheard.extract_if(.., |(thread, _)| thread == name).map(|(_, said)| said).collect();
    drop(unheard);
    assert!(panicked.is_empty(), "the server panicked: {panicked:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_task_is_heard() {
        const NAME: &str = "a-server-that-panics";
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            note(panic);
            if std::thread::current().name() != Some(NAME) {
                before(panic);
            }
        }));
        let runtime = runtime(NAME);
        heard_no_panic(NAME);
        assert!(runtime.block_on(runtime.spawn(async { panic!("as a task does") })).is_err());
        assert!(std::panic::catch_unwind(|| heard_no_panic(NAME)).is_err());
        heard_no_panic(NAME);
    }
}
