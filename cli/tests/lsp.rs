//! `outcall lsp` with a client: the real binary, over its standard input and output.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where its fixtures cannot be set up"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// Longer than any answer takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = "version: \"1\"\n\ndefinitions:\n  # é😀 of two kinds\n  docs: http.host == \"docs.example.com\"\n\nrules:\n  - id: docs\n    condition: $docs && http.hots == \"x\"\n    action: allow\n";

struct Client {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    waiting: Vec<Value>,
    number: i64,
    home: tempfile::TempDir,
}

impl Client {
    fn start(files: &[(&str, &str)]) -> Client {
        let home = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(home.path().join(name), text).unwrap();
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_outcall"))
            .arg("lsp")
            .env_clear()
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            while let Some(message) = read(&mut output) {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let input = child.stdin.take();
        Client { child, input, messages, waiting: Vec::new(), number: 0, home }
    }

    /// A client that has shaken hands.
    fn ready(files: &[(&str, &str)]) -> Client {
        let mut client = Client::start(files);
        let result = client.ask("initialize", json!({ "processId": null, "rootUri": null, "capabilities": {} }));
        assert_eq!(result["capabilities"]["positionEncoding"], "utf-16");
        client.tell("initialized", json!({}));
        client
    }

    fn raw(&mut self, bytes: &[u8]) {
        // The server may have gone, which is then seen in its status.
        let _ = self.input.as_mut().unwrap().write_all(bytes);
        let _ = self.input.as_mut().unwrap().flush();
    }

    fn send(&mut self, message: &Value) {
        let body = message.to_string();
        self.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
    }

    fn tell(&mut self, method: &str, params: Value) {
        self.send(&json!({ "jsonrpc": "2.0", "method": method, "params": params }));
    }

    /// The answer to a request, result or error.
    fn answer(&mut self, method: &str, params: Value) -> Value {
        self.number += 1;
        let id = self.number;
        self.send(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        self.until(|message| message["id"] == id)
    }

    fn ask(&mut self, method: &str, params: Value) -> Value {
        let answer = self.answer(method, params);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.waiting.iter().position(&wanted) {
            return self.waiting.remove(at);
        }
        loop {
            match self.messages.recv_timeout(PATIENCE) {
                Ok(message) if wanted(&message) => return message,
                Ok(message) => self.waiting.push(message),
                Err(error) => panic!("{error}; before it came {:#?}", self.waiting),
            }
        }
    }

    fn uri(&self, name: &str) -> String {
        format!("file://{}/{name}", self.home.path().display())
    }

    fn open(&mut self, name: &str, text: &str) {
        let uri = self.uri(name);
        self.tell(
            "textDocument/didOpen",
            json!({ "textDocument": { "uri": uri, "languageId": "yaml", "version": 1, "text": text } }),
        );
    }

    fn change(&mut self, name: &str, changes: Value) {
        let uri = self.uri(name);
        self.tell(
            "textDocument/didChange",
            json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": changes }),
        );
    }

    /// The next diagnostics of a document.
    fn diagnostics(&mut self, name: &str) -> Vec<Value> {
        let uri = self.uri(name);
        let told = self
            .until(|message| message["method"] == "textDocument/publishDiagnostics" && message["params"]["uri"] == uri);
        told["params"]["diagnostics"].as_array().unwrap().clone()
    }

    /// Parameters that point to the first `word` of a text, `within` characters into it.
    fn at(&self, name: &str, text: &str, word: &str, within: usize) -> Value {
        let before = &text[..text.find(word).unwrap_or_else(|| panic!("{word} in {text}"))];
        let line = before.matches('\n').count();
        let character = before.rsplit('\n').next().unwrap().encode_utf16().count() + within;
        json!({ "textDocument": { "uri": self.uri(name) }, "position": { "line": line, "character": character } })
    }

    fn labels(&mut self, name: &str, text: &str, word: &str, within: usize) -> Vec<String> {
        let params = self.at(name, text, word, within);
        let found = self.ask("textDocument/completion", params);
        found["items"].as_array().unwrap().iter().map(|item| item["label"].as_str().unwrap().to_owned()).collect()
    }

    /// Closes the input and waits for the end: the status, and what was said on standard error.
    fn end(mut self) -> (ExitStatus, String) {
        self.input = None;
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap(), said)
    }
}

fn read(output: &mut impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if output.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end().split_once(": ") {
            Some(("Content-Length", number)) => length = number.parse().ok()?,
            _ => break,
        }
    }
    let mut body = vec![0; length];
    output.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// A text with edits of one document made.
fn edited(text: &str, edits: &Value) -> String {
    let offset = |position: &Value| {
        let line = usize::try_from(position["line"].as_u64().unwrap()).unwrap();
        let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
        let mut left = position["character"].as_u64().unwrap();
        let mut at = start;
        for character in text[start..].chars() {
            if left == 0 {
                break;
            }
            left -= character.len_utf16() as u64;
            at += character.len_utf8();
        }
        at
    };
    let mut edits: Vec<(usize, usize, &str)> = edits
        .as_array()
        .unwrap()
        .iter()
        .map(|edit| (offset(&edit["range"]["start"]), offset(&edit["range"]["end"]), edit["newText"].as_str().unwrap()))
        .collect();
    edits.sort();
    let mut out = text.to_owned();
    for (start, end, new) in edits.into_iter().rev() {
        out.replace_range(start..end, new);
    }
    out
}

#[test]
fn a_session_from_beginning_to_end() {
    let mut client = Client::ready(&[]);
    client.open("a.yaml", RULES);
    let found = client.diagnostics("a.yaml");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0]["code"].as_str(), found[0]["severity"].as_i64()), (Some("OC0110"), Some(1)));
    assert_eq!(
        found[0]["range"],
        json!({ "start": { "line": 8, "character": 24 }, "end": { "line": 8, "character": 33 } })
    );
    assert!(found[0]["message"].as_str().unwrap().contains("help: did you mean `http.host`?"), "{found:#?}");

    // The fix, in the editor's hands.
    let range = found[0]["range"].clone();
    let uri = client.uri("a.yaml");
    let actions = client.ask(
        "textDocument/codeAction",
        json!({ "textDocument": { "uri": uri }, "range": range, "context": { "diagnostics": found } }),
    );
    assert_eq!(actions.as_array().unwrap().len(), 1, "{actions:#}");
    let mended = edited(RULES, &actions[0]["edit"]["changes"][&uri]);
    assert!(mended.contains("$docs && http.host == \"x\""), "{mended}");
    client.change("a.yaml", json!([{ "range": range, "text": "http.host" }]));
    let left = client.diagnostics("a.yaml");
    assert!(left.iter().all(|finding| finding["severity"] != 1), "{left:#?}");

    let hover = |client: &mut Client, word: &str, within: usize| {
        let params = client.at("a.yaml", &mended, word, within);
        client.ask("textDocument/hover", params)["contents"]["value"].as_str().unwrap_or_default().to_owned()
    };
    assert!(hover(&mut client, "http.host ==", 6).contains("The canonical host without a port."));
    assert!(hover(&mut client, "$docs", 2).contains("http.host == \"docs.example.com\""));
    assert!(hover(&mut client, "action", 1).contains("What it does."));
    assert!(hover(&mut client, "allow", 1).contains("What it does."));
    assert_eq!(hover(&mut client, "\n\n", 0), "");

    let params = client.at("a.yaml", &mended, "$docs", 3);
    let definition = client.ask("textDocument/definition", params);
    assert_eq!(definition["uri"], uri);
    assert_eq!(definition["range"]["start"], json!({ "line": 4, "character": 2 }));

    let formatted = client.ask(
        "textDocument/formatting",
        json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 2, "insertSpaces": true } }),
    );
    assert_eq!(formatted, json!([]), "it is in its layout");
    let messy = mended.replace("    action: allow\n", "    action:   allow   \n\n\n");
    client.change("a.yaml", json!([{ "text": messy }]));
    let formatted = client.ask("textDocument/formatting", json!({ "textDocument": { "uri": uri }, "options": {} }));
    assert_eq!(edited(&messy, &formatted), mended);

    assert_eq!(client.ask("shutdown", Value::Null), Value::Null);
    assert_eq!(client.answer("textDocument/hover", json!({}))["error"]["code"], -32600);
    client.tell("exit", Value::Null);
    let (status, said) = client.end();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn what_is_completed_depends_on_the_place() {
    let mut client = Client::ready(&[]);
    let text = "version: \"1\"\ndefinitions:\n  mine: http.host == \"a\"\nrules:\n  - id: docs\n    ac\n    condition: $m || http.he || http.host.st\n    action: a\n    egress: { mode:  }\ntests:\n  - name: t\n    expect: { decision: block, rule: d }\n    request: { http: { h } }\n";
    client.open("a.yaml", text);
    let check = |client: &mut Client, word: &str, within: usize, wanted: &[&str], unwanted: &[&str]| {
        let labels = client.labels("a.yaml", text, word, within);
        for label in wanted {
            assert!(labels.iter().any(|found| found == label), "{word}: {label} is not in {labels:?}");
        }
        for label in unwanted {
            assert!(!labels.iter().any(|found| found == label), "{word}: {label} is in {labels:?}");
        }
    };
    check(&mut client, "    ac\n", 6, &["action", "condition", "egress"], &["version", "mode"]);
    check(&mut client, "$m", 2, &["$mine"], &["http.host"]);
    check(&mut client, "http.he", 7, &["http.headers", "http.host"], &["dns.query", "startsWith"]);
    check(&mut client, "http.host.st", 12, &["startsWith", "matches"], &["exists", "http.host"]);
    check(&mut client, "action: a", 9, &["allow", "block", "hold", "enrich"], &["action"]);
    check(&mut client, "mode:  }", 6, &["proxy", "direct_ip", "intercept"], &[]);
    check(&mut client, "rule: d", 7, &["default"], &["allow"]);
    check(&mut client, "{ h }", 3, &["host", "headers"], &["query"]);
}

#[test]
fn a_directory_is_one_policy_with_unsaved_texts_on_top() {
    let other =
        "version: \"1\"\nrules:\n  - id: docs\n    action: allow\n    condition: http.host == \"b.example.com\"\n";
    let mut client = Client::ready(&[("b.yaml", other)]);
    let text =
        "version: \"1\"\nrules:\n  - id: docs\n    action: block\n    condition: http.host == \"a.example.com\"\n";
    client.open("a.yaml", text);
    client.until(|message| message.to_string().contains("OC0021"));
    // A rule of the file on disk is found from a test in the open one.
    let text = "version: \"1\"\ntests:\n  - name: t\n    request: { dns: { query: b.example.com } }\n    expect: { decision: allow, rule: docs }\n";
    client.change("a.yaml", json!([{ "text": text }]));
    let params = client.at("a.yaml", text, "docs", 1);
    let definition = client.ask("textDocument/definition", params);
    assert_eq!(definition["uri"], client.uri("b.yaml"));
    assert_eq!(definition["range"]["start"]["line"], 2);
    // Unsaved, it is gone from the other file, and the test says so.
    client.open("b.yaml", "version: \"1\"\n");
    let gone = client.until(|message| message.to_string().contains("OC0039"));
    assert_eq!(gone["params"]["uri"], client.uri("a.yaml"));
    // Closed, what is on disk counts again.
    let uri = client.uri("b.yaml");
    client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
    loop {
        let found = client.diagnostics("a.yaml");
        if !found.iter().any(|finding| finding["code"] == "OC0039") {
            break;
        }
    }
}

#[test]
fn a_warning_can_be_suppressed_by_an_action() {
    let mut client = Client::ready(&[]);
    let text = "version: \"1\"\ndefinitions:\n  unused: http.host == \"a.example.com\"\n";
    client.open("a.yaml", text);
    let found = client.diagnostics("a.yaml");
    let warning = found.iter().find(|finding| finding["severity"] == 2).unwrap_or_else(|| panic!("{found:#?}"));
    let uri = client.uri("a.yaml");
    let params = json!({ "textDocument": { "uri": uri }, "range": warning["range"], "context": { "diagnostics": [] } });
    let actions = client.ask("textDocument/codeAction", params);
    let action =
        actions.as_array().unwrap().iter().find(|action| action["title"].as_str().unwrap().starts_with("Suppress"));
    let quiet = edited(text, &action.unwrap()["edit"]["changes"][&uri]);
    assert!(quiet.contains("\n  # outcall: allow OC"), "{quiet}");
    client.change("a.yaml", json!([{ "text": quiet }]));
    assert_eq!(client.diagnostics("a.yaml"), Vec::<Value>::new(), "{quiet}");
    let code = warning["code"].as_str().unwrap();
    let params = client.at("a.yaml", &quiet, code, 3);
    let hover = client.ask("textDocument/hover", params);
    assert!(hover["contents"]["value"].as_str().unwrap().contains(code), "{hover}");
}

#[test]
fn a_document_that_is_closed_has_no_findings_any_more() {
    let mut client = Client::ready(&[]);
    for _ in 0..2 {
        client.open("a.yaml", "version: \"2\"\n");
        assert_eq!(client.diagnostics("a.yaml").len(), 1);
        let uri = client.uri("a.yaml");
        client.tell("textDocument/didClose", json!({ "textDocument": { "uri": uri } }));
        assert_eq!(client.diagnostics("a.yaml"), Vec::<Value>::new());
    }
}

#[test]
fn columns_count_bytes_for_a_client_that_asks_for_it() {
    let mut client = Client::start(&[]);
    let capabilities = json!({ "general": { "positionEncodings": ["utf-8", "utf-16"] } });
    let result = client.ask("initialize", json!({ "capabilities": capabilities }));
    assert_eq!(result["capabilities"]["positionEncoding"], "utf-8");
    client.open("a.yaml", "version: \"1\" # é😀\nx😀: 1\n");
    let found = client.diagnostics("a.yaml");
    assert_eq!(found[0]["range"]["end"], json!({ "line": 1, "character": 5 }), "{found:#?}");
}

#[test]
fn wrong_messages_are_answered_and_the_session_goes_on() {
    let mut client = Client::start(&[]);
    assert_eq!(client.answer("textDocument/hover", json!({}))["error"]["code"], -32002);
    client.tell("textDocument/didOpen", json!({}));
    assert_eq!(client.answer("initialize", json!([]))["error"]["code"], -32602);
    client.ask("initialize", json!({ "capabilities": {} }));
    assert_eq!(client.answer("initialize", json!({}))["error"]["code"], -32600);
    assert_eq!(client.answer("no/such", json!({}))["error"]["code"], -32601);
    for params in [
        json!({}),
        json!(null),
        json!([1]),
        json!({ "textDocument": 1 }),
        json!({ "textDocument": { "uri": "x" }, "position": { "line": -1, "character": 0 } }),
    ] {
        assert_eq!(client.answer("textDocument/hover", params)["error"]["code"], -32602);
    }
    // Nothing is open under that name.
    let params = json!({ "textDocument": { "uri": "file:///x" }, "position": { "line": 0, "character": 0 } });
    assert_eq!(client.answer("textDocument/hover", params)["error"]["code"], -32602);
    for body in ["{", "\"", "[[[[", "\u{0}", "{\"id\": {}, \"method\": \"x\"}", "[]", "1", "{}"] {
        client.raw(format!("Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes());
        let answer = client.until(|message| message["id"].is_null() && message.get("error").is_some());
        assert!(matches!(answer["error"]["code"].as_i64(), Some(-32700 | -32600)), "{body}: {answer}");
    }
    client.raw(b"Content-Length: 16\r\n\r\n{\"method\": \"\xff\xfe\"}");
    assert_eq!(client.until(|message| message["id"].is_null())["error"]["code"], -32700);
    client.raw(format!("Content-Length: 400\r\n\r\n{}{}", "[".repeat(200), "]".repeat(200)).as_bytes());
    client.until(|message| message["id"].is_null());
    // Notifications have no answer; these are wrong, unknown, or about nothing.
    client.tell("textDocument/didChange", json!({ "textDocument": { "uri": "file:///x" }, "contentChanges": [] }));
    client.tell("textDocument/didOpen", json!({ "textDocument": { "uri": 1 } }));
    client.tell("$/cancelRequest", json!({ "id": 1 }));
    client.send(&json!({ "jsonrpc": "2.0", "id": 7, "result": null }));
    // Any text can be open, anywhere.
    for uri in ["untitled:1", "", "file://", "file:///%zz", "file:///a%00b", "file:///"] {
        client.tell("textDocument/didOpen", json!({ "textDocument": { "uri": uri, "text": "a: [\u{0}\u{feff}" } }));
        let params = json!({ "textDocument": { "uri": uri }, "position": { "line": 9, "character": 9 } });
        client.ask("textDocument/hover", params.clone());
        client.ask("textDocument/completion", params.clone());
        client.ask("textDocument/definition", params.clone());
        client.ask("textDocument/formatting", params);
    }
    client.ask("shutdown", Value::Null);
    client.tell("exit", Value::Null);
    assert_eq!(client.end().0.code(), Some(0));
}

#[test]
fn a_client_that_speaks_something_else_is_told_and_left() {
    let huge = format!("Content-Length: {}\r\n\r\n", u64::MAX);
    let many = "X: y\r\n".repeat(100);
    let long = "x".repeat(100_000);
    for (bytes, words) in [
        ("GET / HTTP/1.1\r\n\r\n", "without a colon"),
        ("Content-Length: 2.0\r\n\r\n{}", "Content-Length"),
        ("Content-Length:\r\n\r\n{}", "Content-Length"),
        ("Content-Length: 5\n\nhello", "carriage return"),
        ("Content-Length: -5\r\n\r\n", "Content-Length"),
        ("Content-Length: 99999999999999999999\r\n\r\n", "Content-Length"),
        ("Content-Length: 1000000000000\r\n\r\n{", "Content-Length"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", "two Content-Length"),
        ("Content-Type: x\r\n\r\n", "no Content-Length"),
        ("\r\n", "no Content-Length"),
        (&huge, "Content-Length"),
        (&many, "too many lines"),
        (&long, "too long"),
        ("Content-Length: 100\r\n\r\n{\"jsonrpc\":", "ends within"),
        ("Content-Le", "carriage return"),
    ] {
        let mut client = Client::start(&[]);
        client.raw(bytes.as_bytes());
        client.input = None;
        let answer = client.until(|message| message["id"].is_null());
        assert_eq!(answer["error"]["code"], -32700, "{bytes:.60}");
        let (status, said) = client.end();
        assert_eq!(status.code(), Some(1), "{bytes:.60}: {said}");
        assert!(said.starts_with("outcall: lost the client: ") && said.contains(words), "{bytes:.60}: {said}");
    }
    let mut client = Client::start(&[]);
    client.raw(b"Content-Length: 2\xff\r\n\r\n{}");
    client.input = None;
    let (status, said) = client.end();
    assert_eq!((status.code(), said.as_str()), (Some(1), "outcall: lost the client: a header that is not text\n"));
    // An end between two messages is no error, but nobody said goodbye.
    let (status, said) = Client::start(&[]).end();
    assert_eq!((status.code(), said.as_str()), (Some(1), ""));
}
