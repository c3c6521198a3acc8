//! The events over a real socket.

use outcall_schema::facts::{Fact, Facts};
use outcall_schema::layer::Layer;
use outcall_schema::reason::Reason;

use super::*;
use crate::audit::Record;

fn refuse(audit: &Audit, name: &str) {
    let facts = Facts { dns_query: Fact::Known(name), ..Facts::default() };
    audit.record(&Record::refusal(&policy(RULES), Layer::Dns, &facts, None, Reason::NoRuleAllows));
}

struct Reader {
    stream: UnixStream,
    text: String,
}

impl Reader {
    async fn new(served: &Served) -> Reader {
        let mut stream = UnixStream::connect(&served.path).await.unwrap();
        stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut reader = Reader { stream, text: String::new() };
        let head = reader.until("\n\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n: following\n\n"), "{head}");
        reader
    }

    async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.text.find(end) {
                let rest = self.text.split_off(at + end.len());
                return std::mem::replace(&mut self.text, rest);
            }
            let mut buffer = [0; 4096];
            let length = timeout(PATIENCE, self.stream.read(&mut buffer)).await.expect("in time").unwrap();
            assert_ne!(length, 0, "{}", self.text);
            self.text.push_str(str::from_utf8(&buffer[..length]).unwrap());
        }
    }

    async fn event(&mut self) -> String {
        self.until("\n\n").await
    }
}

#[tokio::test]
async fn records_are_sent_as_they_come_to_each_who_follows() {
    let served = Served::with(LIMITS, |api| api);
    let mut one = Reader::new(&served).await;
    refuse(&served.audit, "a.example");
    let mut other = Reader::new(&served).await;
    refuse(&served.audit, "b.example");
    let first = one.event().await;
    let (head, data) = first.split_once("\ndata: ").unwrap();
    assert_eq!(head, "id: 1\nevent: record");
    let record: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&record["request"]["dns"]["query"], &record["decision"]), (&"a.example".into(), &"block".into()));
    let second = one.event().await;
    assert!(second.starts_with("id: 2\n") && second.contains("b.example"), "{second}");
    assert_eq!(other.event().await, second);
}

#[tokio::test]
async fn a_reader_that_stops_holds_nobody_up_and_hears_how_much_it_lost() {
    let served = Served::with(LIMITS, |api| api);
    let mut slow = Reader::new(&served).await;
    let mut lost = 0;
    let mut sent = 0;
    // More than the socket's buffers and the queue hold.
    while lost == 0 {
        for _ in 0..500 {
            refuse(&served.audit, &"a".repeat(60));
            sent += 1;
        }
        tokio::task::yield_now().await;
        lost = served.audit.followers().1;
        assert!(sent < 200_000, "nothing is ever lost");
    }
    refuse(&served.audit, "last.example");
    let (mut heard, mut gaps) = (0, 0);
    while heard + gaps < sent + 1 {
        let event = slow.event().await;
        match event.strip_prefix("event: gap\ndata: {\"lost\":") {
            Some(rest) => gaps += rest.trim_end().trim_end_matches('}').parse::<usize>().unwrap(),
            None => heard += 1,
        }
    }
    assert_eq!(heard + gaps, sent + 1);
    assert!(gaps > 0);
}

#[tokio::test]
async fn who_is_gone_is_no_longer_followed_and_there_is_room_for_others() {
    let served = Served::new(Limits { connections: FOLLOWERS_MAX + 2, ..LIMITS }, None);
    let mut readers = Vec::new();
    for _ in 0..FOLLOWERS_MAX {
        readers.push(Reader::new(&served).await);
    }
    let (status, answer) = served.ask("GET /api/v1/events").await;
    assert!(status == 503 && answer.contains("follow the events already"), "{answer}");
    // Others are answered as before.
    assert_eq!(served.ask("GET /api/v1/health").await.0, 200);
    readers.clear();
    let begun = Instant::now();
    while served.audit.followers().0 > 0 {
        assert!(begun.elapsed() < PATIENCE);
        tokio::task::yield_now().await;
    }
    Reader::new(&served).await;
}
