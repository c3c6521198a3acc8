//! What the server answers to each message.

use std::collections::{BTreeMap, BTreeSet};

use outcall_compiler::diag::{Finding, Severity, SourceSpan};
use outcall_compiler::format::format;
use outcall_compiler::language::{self, CandidateKind};
use outcall_compiler::source;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::actions;
use super::message::{Failure, Incoming, answer, notification};
use super::text::{Change, Encoding, Position, Span};
use super::workspace::{Workspace, home, uri};
use crate::Exit;
use crate::output::complain;

/// What happens after a message.
pub(super) enum Then {
    /// These are sent, and the next message is looked at.
    Go(Vec<Value>),
    /// This is sent, and the server ends.
    Stop(Option<Value>, Exit),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Running,
    ShutDown,
}

pub(super) struct Server {
    state: State,
    encoding: Encoding,
    workspace: Workspace,
}

#[derive(Deserialize)]
struct Document {
    uri: String,
}

#[derive(Deserialize)]
struct Opened {
    uri: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Open {
    text_document: Opened,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Changed {
    text_document: Document,
    content_changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    text_document: Document,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct At {
    text_document: Document,
    position: Position,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Within {
    text_document: Document,
    range: Span,
}

fn parameters<T: DeserializeOwned>(params: Value) -> Result<T, Failure> {
    serde_json::from_value(params).map_err(Failure::params)
}

impl Server {
    pub(super) fn new() -> Server {
        Server { state: State::New, encoding: Encoding::Utf16, workspace: Workspace::default() }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.workspace.is_settled()
    }

    pub(super) fn take(&mut self, incoming: Incoming) -> Then {
        let mut message = match incoming {
            Incoming::Message(message) => message,
            Incoming::NotJson(why) => return Then::Go(vec![answer(&Value::Null, Err(Failure::parse(why)))]),
            Incoming::Lost(why) => {
                complain(format_args!("lost the client: {why}"));
                return Then::Stop(Some(answer(&Value::Null, Err(Failure::parse(why)))), Exit::Failed);
            }
            Incoming::End => return Then::Stop(None, self.exit()),
        };
        let id = message.get("id").cloned();
        let valid_id = id.as_ref().is_none_or(|id| id.is_string() || id.is_number());
        let is_answer =
            message.get("method").is_none() && (message.get("result").is_some() || message.get("error").is_some());
        let params = message.get_mut("params").map(Value::take).unwrap_or_default();
        let method = message.get("method").and_then(Value::as_str);
        match (method, id) {
            // The server asks nothing, so answers are nobody's.
            _ if is_answer => Then::Go(Vec::new()),
            (Some(method), Some(id)) if valid_id => Then::Go(vec![answer(&id, self.request(method, params))]),
            (Some("exit"), None) => Then::Stop(None, self.exit()),
            (Some(method), None) => {
                self.notified(method, params);
                Then::Go(Vec::new())
            }
            _ => {
                let why = Failure::request("the message is neither a request nor a notification");
                Then::Go(vec![answer(&Value::Null, Err(why))])
            }
        }
    }

    fn exit(&self) -> Exit {
        if self.state == State::ShutDown { Exit::Done } else { Exit::Failed }
    }

    fn request(&mut self, method: &str, params: Value) -> Result<Value, Failure> {
        match (self.state, method) {
            (State::New, "initialize") => self.initialize(&params),
            (State::New, _) => Err(Failure::early()),
            (State::Running, "initialize") => Err(Failure::request("the server is initialized already")),
            (State::ShutDown, _) => Err(Failure::request("the server was shut down")),
            (State::Running, "shutdown") => {
                self.state = State::ShutDown;
                Ok(Value::Null)
            }
            (State::Running, "textDocument/hover") => self.hover(&parameters(params)?),
            (State::Running, "textDocument/completion") => self.completion(&parameters(params)?),
            (State::Running, "textDocument/definition") => self.definition(&parameters(params)?),
            (State::Running, "textDocument/codeAction") => self.actions(&parameters(params)?),
            (State::Running, "textDocument/formatting") => self.formatting(&parameters(params)?),
            (State::Running, _) => Err(Failure::method(method)),
        }
    }

    fn initialize(&mut self, params: &Value) -> Result<Value, Failure> {
        if !params.is_object() {
            return Err(Failure::params("`initialize` takes an object"));
        }
        let encodings = params.pointer("/capabilities/general/positionEncodings").and_then(Value::as_array);
        if encodings.is_some_and(|encodings| encodings.iter().any(|encoding| encoding == "utf-8")) {
            self.encoding = Encoding::Utf8;
        }
        self.state = State::Running;
        Ok(json!({
            "serverInfo": { "name": "outcall", "version": env!("CARGO_PKG_VERSION") },
            "capabilities": {
                "positionEncoding": match self.encoding { Encoding::Utf8 => "utf-8", Encoding::Utf16 => "utf-16" },
                "textDocumentSync": { "openClose": true, "change": 2, "save": true },
                "hoverProvider": true,
                "completionProvider": { "triggerCharacters": [".", "$", " ", "\""] },
                "definitionProvider": true,
                "codeActionProvider": { "codeActionKinds": ["quickfix"] },
                "documentFormattingProvider": true,
            },
        }))
    }

    /// A notification has no answer, so one that is wrong is only said on standard error.
    fn notified(&mut self, method: &str, params: Value) {
        if self.state != State::Running {
            return;
        }
        let done = match method {
            "textDocument/didOpen" => parameters(params).and_then(|Open { text_document: Opened { uri, text } }| {
                self.workspace.put(&uri, text).map_err(|why| Failure::request(&why))
            }),
            "textDocument/didChange" => parameters(params).and_then(|changed| self.change(changed)),
            "textDocument/didClose" => {
                parameters(params).map(|About { text_document }| self.workspace.close(&text_document.uri))
            }
            "textDocument/didSave" | "workspace/didChangeWatchedFiles" => {
                self.workspace.touch_all();
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(Failure(_, why)) = done {
            complain(format_args!("{method}: {why}"));
        }
    }

    fn change(&mut self, changed: Changed) -> Result<(), Failure> {
        let uri = changed.text_document.uri;
        let mut text = self.text(&uri)?.clone();
        for change in changed.content_changes {
            change.apply(&mut text, self.encoding);
        }
        self.workspace.put(&uri, text).map_err(|why| Failure::request(&why))
    }

    fn text(&self, uri: &str) -> Result<&String, Failure> {
        self.workspace.text(uri).ok_or_else(|| Failure::params("the document is not open"))
    }

    /// Tells the findings of everything that has changed.
    pub(super) fn settle(&mut self) -> Vec<Value> {
        let mut out = Vec::new();
        while let Some(home) = self.workspace.next_changed() {
            self.workspace.policy(&home);
            let mut by_uri: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            let findings = self.workspace.policy(&home).findings.clone();
            for finding in &findings {
                if let Some(place) = place(finding) {
                    let told = diagnostic(finding, place, self.encoding);
                    by_uri.entry(uri(&place.file, &self.workspace)).or_default().push(told);
                }
            }
            // Those that had findings and have none any more are told so, as are documents without any.
            let files = self.workspace.policy(&home).files.clone();
            let open = files.iter().map(|file| uri(file, &self.workspace));
            let open: Vec<String> = open.filter(|uri| self.workspace.text(uri).is_some()).collect();
            let earlier = self.workspace.told.remove(&home).unwrap_or_default();
            for uri in open.into_iter().chain(earlier) {
                by_uri.entry(uri).or_default();
            }
            let with: BTreeSet<String> =
                by_uri.iter().filter(|(_, told)| !told.is_empty()).map(|(uri, _)| uri.clone()).collect();
            self.workspace.told.insert(home.clone(), with);
            self.workspace.forget_unused(&home);
            out.extend(by_uri.into_iter().map(|(uri, told)| {
                notification("textDocument/publishDiagnostics", &json!({ "uri": uri, "diagnostics": told }))
            }));
        }
        out
    }

    fn hover(&self, at: &At) -> Result<Value, Failure> {
        let text = self.text(&at.text_document.uri)?;
        Ok(match language::hover(text, self.encoding.offset(text, at.position)) {
            Some((words, range)) => json!({
                "contents": { "kind": "markdown", "value": words },
                "range": self.encoding.range(text, range),
            }),
            None => Value::Null,
        })
    }

    fn completion(&mut self, at: &At) -> Result<Value, Failure> {
        let text = self.text(&at.text_document.uri)?.clone();
        let offset = self.encoding.offset(&text, at.position);
        let rules = self.workspace.rules_of(&at.text_document.uri);
        let items: Vec<Value> = language::complete(&text, offset, rules)
            .into_iter()
            .map(|candidate| {
                json!({
                    "label": candidate.label,
                    "kind": match candidate.kind {
                        CandidateKind::Key => 10,
                        CandidateKind::Value => 12,
                        CandidateKind::Field => 5,
                        CandidateKind::Function => 3,
                        CandidateKind::Definition => 6,
                    },
                    "detail": candidate.detail,
                    "documentation": { "kind": "markdown", "value": candidate.doc },
                    "textEdit": {
                        "range": self.encoding.range(&text, candidate.start.min(offset)..offset),
                        "newText": candidate.insert,
                    },
                })
            })
            .collect();
        Ok(json!({ "isIncomplete": false, "items": items }))
    }

    fn definition(&mut self, at: &At) -> Result<Value, Failure> {
        let text = self.text(&at.text_document.uri)?;
        let offset = self.encoding.offset(text, at.position);
        let files = self.workspace.policy_of(&at.text_document.uri).files.clone();
        let own = files.iter().find(|file| uri(file, &self.workspace) == at.text_document.uri);
        let found = own.and_then(|own| language::definition(own, offset, &files));
        Ok(found.map_or(Value::Null, |place| self.location(&place)))
    }

    fn location(&self, place: &SourceSpan) -> Value {
        json!({
            "uri": uri(&place.file, &self.workspace),
            "range": self.encoding.range(&place.file.text, place.start..place.end),
        })
    }

    fn actions(&mut self, within: &Within) -> Result<Value, Failure> {
        let own = &within.text_document.uri;
        let text = self.text(own)?;
        let range = self.encoding.offset(text, within.range.start)..self.encoding.offset(text, within.range.end);
        self.workspace.policy(&home(own));
        let findings = self.workspace.policy_of(own).findings.clone();
        let mut found = Vec::new();
        for finding in &findings {
            let Some(place) = place(finding).filter(|place| uri(&place.file, &self.workspace) == *own) else {
                continue;
            };
            if place.start > range.end || range.start > place.end {
                continue;
            }
            found.extend(actions::of(finding, place, self.encoding, |file| uri(file, &self.workspace)));
        }
        Ok(Value::Array(found))
    }

    fn formatting(&self, about: &About) -> Result<Value, Failure> {
        let uri = &about.text_document.uri;
        let text = self.text(uri)?;
        let Ok(file) = source::decode(uri, uri, text.as_bytes()) else { return Ok(Value::Null) };
        Ok(match format(&file) {
            Ok(new) if new == *text => json!([]),
            Ok(new) => json!([{ "range": self.encoding.range(text, 0..text.len()), "newText": new }]),
            // What is wrong stands in the diagnostics.
            Err(_) => Value::Null,
        })
    }
}

/// Where a finding is shown: in a preset's text there is nothing to open, so where the preset is used.
fn place(finding: &Finding) -> Option<&SourceSpan> {
    finding.used_at().or(finding.span.as_ref())
}

pub(super) fn diagnostic(finding: &Finding, place: &SourceSpan, encoding: Encoding) -> Value {
    let message = match &finding.help {
        Some(help) => format!("{}\nhelp: {help}", finding.message),
        None => finding.message.clone(),
    };
    json!({
        "range": encoding.range(&place.file.text, place.start..place.end),
        "severity": match finding.severity { Severity::Error => 1, Severity::Warning => 2, Severity::Note => 3 },
        "code": finding.code,
        "source": "outcall",
        "message": message,
    })
}
