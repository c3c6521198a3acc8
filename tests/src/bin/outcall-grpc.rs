//! A gRPC client for the end-to-end suites: makes every kind of call there is and says what came of it, a line each.
//!
//! It trusts what the environment says, as programs do, and knows no proxy.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use http::uri::PathAndQuery;
use outcall_tests::fixtures::grpc::{SERVICE, Said, codec};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

/// No call takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let Some(origin) = std::env::args().nth(1) else {
        eprintln!("usage: outcall-grpc ORIGIN");
        return ExitCode::from(2);
    };
    let ran = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(calls(origin)));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("failed: {failure:?}");
            ExitCode::FAILURE
        }
    }
}

async fn calls(origin: String) -> Result<(), Failure> {
    let tls = ClientTlsConfig::new().with_native_roots();
    let channel = Endpoint::from_shared(origin)?.tls_config(tls)?.connect_timeout(PATIENCE).connect().await?;
    let mut client = Grpc::new(channel);
    unary(&mut client, "Unary", "hello", PATIENCE).await?;
    unary(&mut client, "Unary", &"long ".repeat(400_000), PATIENCE).await?;
    unary(&mut client, "Secret", "hello", PATIENCE).await?;
    unary(&mut client, "Refuse", "hello", PATIENCE).await?;
    unary(&mut client, "Missing", "hello", PATIENCE).await?;
    unary(&mut client, "Hang", "hello", Duration::from_millis(300)).await?;
    for said in [Said { text: "one of".to_owned(), times: 3 }, Said { text: String::new(), times: 1 }] {
        client.ready().await?;
        let calling = client.server_streaming(Request::new(said), method("Count")?, codec());
        stream("Count", calling).await;
    }
    client.ready().await?;
    let said = tokio_stream::iter(["a", "b", "c"].map(Said::new));
    let gathered = within(client.client_streaming(Request::new(said), method("Gather")?, codec())).await;
    println!("Gather: {}", outcome(gathered));
    talk(&mut client).await
}

fn method(name: &str) -> Result<PathAndQuery, Failure> {
    Ok(PathAndQuery::try_from(format!("/{SERVICE}/{name}"))?)
}

async fn unary(client: &mut Grpc<Channel>, name: &str, text: &str, deadline: Duration) -> Result<(), Failure> {
    client.ready().await?;
    let mut request = Request::new(Said::new(text));
    request.set_timeout(deadline);
    let said = within(client.unary(request, method(name)?, codec())).await;
    println!("{name}: {}", outcome(said));
    Ok(())
}

async fn stream(name: &str, calling: impl Future<Output = Result<Response<Streaming<Said>>, Status>>) {
    match within(calling).await {
        Err(status) => println!("{name}: {}", failed(&status)),
        Ok(response) => {
            let mut messages = response.into_inner();
            while let Some(message) = messages.next().await {
                println!("{name}: {}", outcome(message.map(Response::new)));
            }
            println!("{name}: over");
        }
    }
}

/// Says the next thing only once the answer to the last is there.
async fn talk(client: &mut Grpc<Channel>) -> Result<(), Failure> {
    client.ready().await?;
    let (sender, receiver) = mpsc::channel(1);
    sender.send(Said::new("first")).await?;
    let calling = client.streaming(Request::new(ReceiverStream::new(receiver)), method("Talk")?, codec());
    let mut answers = within(calling).await?.into_inner();
    for next in [Some("second"), Some("third"), None] {
        let answer = within(answers.message()).await?;
        println!("Talk: {}", answer.map_or_else(String::new, |said| said.text));
        if let Some(next) = next {
            sender.send(Said::new(next)).await?;
        }
    }
    drop(sender);
    println!("Talk: over {}", within(answers.message()).await?.is_none());
    Ok(())
}

async fn within<T>(calling: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::time::timeout(PATIENCE, calling).await.unwrap_or_else(|_| Err(Status::aborted("nothing came")))
}

fn outcome(answer: Result<Response<Said>, Status>) -> String {
    match answer {
        Ok(said) => {
            let text = said.into_inner().text;
            if text.len() > 100 { format!("{} bytes", text.len()) } else { text }
        }
        Err(status) => failed(&status),
    }
}

fn failed(status: &Status) -> String {
    let reason = status.metadata().get("x-outcall-block-reason").and_then(|value| value.to_str().ok());
    format!("{:?} {:?} {}", status.code(), status.message(), reason.unwrap_or("-"))
}
