//! Lines on disks that are slow, full, and full in the middle of a line.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use super::*;

/// A disk that writes once each time the test lets it.
struct Slow {
    written: Arc<Mutex<Vec<u8>>>,
    permits: Receiver<()>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.permits.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn slow() -> (Arc<Queue>, Arc<Mutex<Vec<u8>>>, Sender<()>) {
    let (queue, written) = (Arc::new(Queue::default()), Arc::default());
    let (permit, permits) = channel();
    let writer = Slow { written: Arc::clone(&written), permits };
    let served = Arc::clone(&queue);
    thread::spawn(move || run(&served, Box::new(writer)));
    (queue, written, permit)
}

fn flushed(queue: &Queue) -> io::Result<()> {
    let (done, written) = sync_channel(1);
    queue.flush(done);
    written.recv_timeout(Duration::from_secs(20)).unwrap()
}

#[test]
fn a_slow_disk_holds_requests_back_and_loses_no_line() {
    let (queue, written, permit) = slow();
    let line = |at: usize| format!("{at:0>99}\n");
    // The first is on its way to the disk, where it stays; then as many as there is room for, and those under way.
    queue.push(line(0).as_bytes());
    while !queue.waiting().lines.is_empty() {
        thread::yield_now();
    }
    let total = 2 * ROOM_BYTES / 100;
    (1..total).for_each(|at| queue.push(line(at).as_bytes()));
    assert!(queue.is_full());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let room = |patience: u64| {
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(patience), queue.room()).await.is_ok() })
    };
    assert!(!room(50), "requests wait");
    // Whatever it takes the writer to write what waits; the test lets it.
    drop(permit);
    assert!(room(20_000), "there is room again");
    flushed(&queue).unwrap();
    let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    assert!(text == (0..total).map(line).collect::<String>(), "every line, in order");
    assert_eq!(queue.lost(), 0);
    queue.close();
}

/// Takes five bytes at a time, and nothing at some calls.
struct Flaky {
    written: Arc<Mutex<Vec<u8>>>,
    failing: Vec<usize>,
    calls: usize,
}

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.failing.contains(&self.calls) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let length = bytes.len().min(5);
        self.written.lock().unwrap().extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn log(failing: &[usize]) -> (Log, Arc<Mutex<Vec<u8>>>) {
    let written = Arc::new(Mutex::new(Vec::new()));
    let writer = Flaky { written: Arc::clone(&written), failing: failing.to_owned(), calls: 0 };
    (Log { writer: Box::new(writer), open: false, torn: false, trouble: None, failed: None }, written)
}

fn text(written: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(written.lock().unwrap().clone()).unwrap()
}

const LINES: &str = "first..\nsecond.\nthird..\n";

#[test]
fn what_is_tried_again_is_written_whole_wherever_it_was_cut() {
    for failing in [vec![], vec![1], vec![2], vec![3], vec![2, 3, 5], (1..20).collect()] {
        let (mut log, written) = log(&failing);
        let mut lines = LINES.as_bytes().to_vec();
        let lost: u64 = (0..30).map(|_| log.write(&mut lines, false)).sum();
        assert_eq!((text(&written).as_str(), lost, log.trouble.is_none()), (LINES, 0, true), "{failing:?}");
        assert!(log.flush().is_ok(), "nothing is missing");
    }
}

#[test]
fn what_is_given_up_on_takes_no_other_line_with_it_and_the_log_says_how_many() {
    let record = |name: &str| format!("{{\"n\":\"{name}\",\"policy\":\"sha256:1\"}}\n");
    for (failing, left) in [(vec![1], ""), (vec![3], "{\"n\":\"a\",\"\n")] {
        let (mut log, written) = log(&failing);
        let mut lines = (record("a") + &record("b")).into_bytes();
        assert_eq!(log.write(&mut lines, true), 2, "{failing:?}");
        assert!(lines.is_empty() && log.trouble.is_some());
        assert!(log.flush().is_err() && log.flush().is_ok());
        let mut lines = record("c").into_bytes();
        assert_eq!(log.write(&mut lines, false), 0);
        let text = text(&written);
        let rest = text.strip_prefix(left).unwrap_or_else(|| panic!("{text}"));
        let (notice, rest) = rest.split_once('\n').unwrap();
        let notice: Value = serde_json::from_str(notice).unwrap();
        assert_eq!((&notice["event"], &notice["lost"]), (&"records_lost".into(), &2.into()), "{notice}");
        assert_eq!(notice["policy"], "sha256:1");
        assert!(notice["why"].as_str().is_some_and(|why| !why.is_empty()));
        assert_eq!(rest, record("c"));
        assert!(log.trouble.is_none());
    }
}

#[test]
fn the_last_words_are_written_when_every_handle_is_gone() {
    let (queue, written, permit) = slow();
    queue.push(b"last\n");
    queue.close();
    drop(permit);
    let began = Instant::now();
    while text(&written) != "last\n" {
        assert!(began.elapsed() < Duration::from_secs(20));
        thread::yield_now();
    }
}
