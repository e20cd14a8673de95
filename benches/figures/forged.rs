//! What a request costs that nobody signed, held against a genuine one of the same body that starts nothing; and the memory of the largest
//! that are taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::Outcome;
use super::build::Programs;
use super::callgrind::{total, valgrind};
use super::process::Process;
use super::stage::{CLIENT_SECRET, Stage};
use super::table::Table;
use sandbox::signing::{code, hook_signature, signature};
use sandbox::{Authority, Call, Reply};

/// The difference between a few requests and some more is theirs alone.
const FEW: usize = 2;
const MORE: usize = 8;
/// Requests of one kind until the peak of memory is read.
const REPEATED: usize = 10;

/// The cost of a forged request over a genuine one's, the bytes of its log, and the memory of any over an idle process.
const OVER_PLAIN: f64 = 2.0;
const LOG: usize = 1024;
const MEMORY: u64 = 24_000_000;

const KIB: usize = 1024;
const MIB: usize = 1024 * 1024;
/// The largest event that Lambda hands over.
const LARGEST_EVENT: usize = 6 * MIB;
const SIGNING_TOKEN: &str = "whsec_UHJvYmVDYW5hcnlIb29rS2V5MDEyMzQ1Njc4OWFi";
const RUN: &str = "r_large";

#[derive(Clone, Copy, PartialEq)]
enum Proof {
    None,
    Junk,
    Genuine,
}

/// A request by its path and body.
#[derive(Clone)]
struct Request {
    is_hook: bool,
    body: String,
    as_base64: bool,
}

impl Request {
    fn webhook(body: String) -> Self {
        Self { is_hook: false, body, as_base64: false }
    }

    fn hook(body: String) -> Self {
        Self { is_hook: true, body, as_base64: false }
    }

    /// The event of a function URL, signed at this moment.
    fn event(&self, stage: &Stage, proof: Proof) -> Value {
        let (time, body) = (stage.sandbox.now().timestamp().to_string(), self.body.as_bytes());
        let signature = match (proof, self.is_hook) {
            (Proof::Junk, _) => code(b"another key", &[b"another body"]),
            (_, false) => signature(CLIENT_SECRET, &time, body),
            (_, true) => hook_signature(SIGNING_TOKEN, "id", &time, body),
        };
        let headers = match (proof, self.is_hook) {
            (Proof::None, _) => json!({}),
            (_, false) => json!({ "x-glint-signature": signature, "x-glint-timestamp": time }),
            (_, true) => json!({ "webhook-id": "id", "webhook-signature": signature, "webhook-timestamp": time }),
        };
        let body = if self.as_base64 { STANDARD.encode(body) } else { self.body.clone() };
        json!({
            "version": "2.0", "rawPath": if self.is_hook { "/-/hooks/gitlab" } else { "/" }, "rawQueryString": "",
            "headers": headers, "body": body, "isBase64Encoded": self.as_base64,
            "requestContext": { "http": { "method": "POST" }, "domainName": "a.lambda-url.eu-west-1.on.aws", "stage": "$default" },
        })
    }
}

/// News of an entity, which start nothing, of about `size` bytes: `text` again and again, with spaces between the tokens.
fn news(size: usize, text: &str) -> String {
    let start = r#"{ "resourceType": "entity", "diff": {}, "list": [""#;
    let count = (size - start.len() - 8) / (text.len() + 4);
    format!("{start}{}\"] }}", vec![text; count].join("\", \""))
}

/// A pipeline's event of about `size` bytes, of a pipeline that no trigger started where `moves` is not set.
fn pipeline_event(size: usize, moves: bool) -> String {
    let source = if moves { "trigger" } else { "push" };
    let start = format!(
        r#"{{"object_kind":"pipeline","object_attributes":{{"id":31,"source":"{source}","status":"failed"}},"project":{{"id":1,"path_with_namespace":"g/p"}},"builds":["#
    );
    let build = r#"{"id":9,"name":"deploy","stage":"deploy","status":"failed","failure_reason":"script_failure"}"#;
    let count = (size - start.len() - 2) / (build.len() + 1);
    format!("{start}{}]}}", vec![build; count].join(","))
}

pub async fn rows(programs: &Programs, authority: &Authority, table: &mut Table) -> Outcome {
    let ascii = "plain words of a description in ASCII";
    let other = "Für Zoë – 請求サービス ✓ und so fort";
    let kinds = [
        ("webhook of 1 KiB, junk signature", Request::webhook(news(KIB, ascii)), Proof::Junk),
        ("webhook of 1 MiB of ASCII, junk signature", Request::webhook(news(MIB, ascii)), Proof::Junk),
        ("webhook of 1 MiB, not ASCII, junk signature", Request::webhook(news(MIB, other)), Proof::Junk),
        ("webhook of 1 MiB, no signature", Request::webhook(news(MIB, ascii)), Proof::None),
        ("hook of 1 MiB, junk signature", Request::hook(pipeline_event(MIB, false)), Proof::Junk),
    ];
    let has_valgrind = Command::new("valgrind").arg("--version").output().await.is_ok();
    for (name, request, proof) in &kinds {
        if has_valgrind {
            let forged = instructions(programs, authority, request, *proof).await?;
            let plain = instructions(programs, authority, request, Proof::Genuine).await?;
            let ratio = forged / plain;
            let value = format!("{:.2} million, a genuine one's {:.2}; ratio {ratio:.2}", forged / 1e6, plain / 1e6);
            let bar = format!("at most {OVER_PLAIN:.2}");
            table.barred(&format!("CPU instructions of a forged {name}"), value, bar, ratio <= OVER_PLAIN);
        }
        let used = use_of(programs, authority, request, *proof).await?;
        let value = format!("{} bytes; {}", used.log, used.calls);
        let kept = used.log <= LOG && used.only_keys;
        table.barred(&format!("its log; calls of {}", REPEATED + 1), value, "at most 1 KB; keys alone", kept);
        used.memory(&format!("its peak memory over idle, after {REPEATED}"), table);
    }
    largest(programs, authority, table).await
}

/// The largest hook that fits into an event, as text and as base64, genuine and not, and the largest message.
async fn largest(programs: &Programs, authority: &Authority, table: &mut Table) -> Outcome {
    const ENVELOPE: usize = 1024;
    let quotes = |text: &str| text.bytes().filter(|byte| *byte == b'"').count();
    let sample = pipeline_event(MIB, true);
    // Each quote is escaped in the event.
    let fits = (LARGEST_EVENT - ENVELOPE) as f64 * sample.len() as f64 / (sample.len() + quotes(&sample)) as f64;
    let text = Request::hook(pipeline_event(fits as usize, true));
    let base64 = Request { as_base64: true, ..Request::hook(pipeline_event((LARGEST_EVENT - ENVELOPE) / 4 * 3, true)) };
    for (name, request, proof) in [
        ("the largest hook, as text", &text, Proof::Genuine),
        ("the largest hook, as base64", &base64, Proof::Genuine),
        ("the largest hook, junk signature", &text, Proof::Junk),
        ("the largest message", &Request::webhook(large_message()), Proof::Genuine),
    ] {
        let used = use_of(programs, authority, request, proof).await?;
        used.memory(&format!("peak memory over idle of {name}"), table);
    }
    Ok(())
}

/// The message of the usual event, with a description that brings it to the largest size which is taken.
fn large_message() -> String {
    const EVENT: &str = include_str!("../../events/sqs.json");
    /// What the request to GitLab, which has the same limit, holds beside the message.
    const BESIDE: usize = 2048;
    let event: Value = serde_json::from_str(EVENT).unwrap_or_default();
    let text = event["Records"][0]["body"].as_str().unwrap_or_default().replace("r_k3Jw81QmZpLx0aTb", RUN);
    let words = "\\\"word\\\" ".repeat((MIB - BESIDE - text.len()) / 9);
    text.replace("\"Run a deployment\"", &format!("\"{words}\""))
}

/// The instructions of one request.
async fn instructions(programs: &Programs, authority: &Authority, request: &Request, proof: Proof) -> Outcome<f64> {
    let mut totals = [0, 0];
    for (requests, counted) in [FEW, MORE].into_iter().zip(&mut totals) {
        let stage = Stage::new(authority)?;
        let (mut command, file) = valgrind("forged");
        command.arg(&programs.function);
        let function = Process::spawn(command, &environment(&stage), false)?;
        for _ in 0..requests {
            send(&stage, request, proof).await?;
        }
        function.terminate().await?;
        *counted = total(&file)?;
    }
    Ok((totals[1] - totals[0]) as f64 / (MORE - FEW) as f64)
}

/// What some requests of one kind used.
struct Used {
    over_idle: u64,
    /// Of each, in bytes.
    log: usize,
    calls: String,
    only_keys: bool,
}

impl Used {
    fn memory(&self, name: &str, table: &mut Table) {
        let value = format!("{:.2} MB", self.over_idle as f64 / 1e6);
        table.barred(name, value, "at most 24 MB", self.over_idle <= MEMORY);
    }
}

async fn use_of(programs: &Programs, authority: &Authority, request: &Request, proof: Proof) -> Outcome<Used> {
    let stage = Stage::new(authority)?;
    let mut function = Process::spawn(Command::new(&programs.function), &environment(&stage), true)?;
    let (_input, mut output) = function.talk()?;
    let log = tokio::spawn(async move {
        let mut text = String::new();
        output.read_to_string(&mut text).await.map(|_| text)
    });
    // What a cold start does, whatever comes.
    stage.sandbox.journal.wait_for(|exchange| exchange.call == Call::Login && exchange.ended.is_some()).await;
    stage.sandbox.journal.clear();
    // The first reads what else there is of the keys. What waits then is idle.
    let small = Request { body: request.body[..0].to_owned(), ..request.clone() };
    send(&stage, &small, if proof == Proof::Genuine { Proof::Junk } else { proof }).await?;
    let idle = function.memory("VmRSS")?;
    for _ in 0..REPEATED {
        send(&stage, request, proof).await?;
    }
    let over_idle = function.memory("VmHWM")?.saturating_sub(idle);
    function.end().await?;
    let log = log.await??.len() / (REPEATED + 1);
    let calls = stage.sandbox.journal.calls();
    let keys = calls.iter().filter(|call| **call == Call::GetSecret).count();
    let only_keys = keys == calls.len();
    Ok(Used { over_idle, log, calls: format!("{keys} calls for keys, {} others", calls.len() - keys), only_keys })
}

fn environment(stage: &Stage) -> Vec<(String, String)> {
    stage.sandbox.secrets.put("hook", json!({ "signingToken": SIGNING_TOKEN }).to_string());
    let mut variables = stage.sandbox.env();
    variables.push(("GITLAB_HOOK_SECRET_ID".to_owned(), "hook".to_owned()));
    variables
}

/// Sends the request, which is refused where it is forged and taken where it is genuine.
async fn send(stage: &Stage, request: &Request, proof: Proof) -> Outcome {
    let is_run = !request.is_hook && request.body.contains(RUN);
    let run = is_run.then(|| stage.sandbox.glint.run(RUN));
    let event = request.event(stage, proof);
    let reply = stage.sandbox.runtime.invoke(event, std::time::Duration::from_secs(120)).await;
    let Reply::Response(response) = reply else { return Err(format!("no response: {reply:?}").into()) };
    let expected = if proof == Proof::Genuine { 200 } else { 401 };
    if response["statusCode"] != expected {
        return Err(format!("not {expected}: {response}").into());
    }
    if let Some(run) = run {
        run.forget();
    }
    Ok(())
}
