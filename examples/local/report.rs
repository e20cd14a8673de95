//! Prints what happened: who asked for what, request by request, and how Glint and GitLab look afterwards.

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};

use sandbox::scene::{CLIENT_SECRET, Contents};
use sandbox::view::{self, plain, shorten};
use sandbox::{Call, Exchange, Sandbox};
use serde_json::Value;

use crate::events;
use crate::function::Invoked;

type Printed = Result<(), Box<dyn Error>>;

pub struct Report<'a> {
    sandbox: &'a Sandbox,
    path: &'a str,
    contents: &'a Contents,
    /// How many requests were printed.
    printed: usize,
}

impl<'a> Report<'a> {
    pub fn new(sandbox: &'a Sandbox, path: &'a str, contents: &'a Contents) -> Self {
        Self { sandbox, path, contents, printed: 0 }
    }

    /// Who did what, before the function is called.
    pub fn introduce(&self) -> Printed {
        let mut text = format!("{}\n", bold(&format!("event {}", self.path)));
        let purpose = events::purpose(self.path);
        text += &purpose.map(|purpose| format!("  {purpose}\n")).unwrap_or_default();
        for run in &self.contents.runs {
            let inputs = run.inputs.as_object().into_iter().flatten();
            let inputs: Vec<String> =
                inputs.map(|(name, value)| format!("{name}={}", shorten(&plain(value)))).collect();
            text += &format!("  {} ran the action \"{}\" in Glint: run {}\n", run.person, run.action, run.run_id);
            text += &format!("    inputs   {}\n", inputs.join(", "));
            text += &run.project.as_ref().map(|path| format!("    project  {path}\n")).unwrap_or_default();
        }
        for hook in &self.contents.hooks {
            text += &format!("  GitLab says: pipeline {} of {} is {}\n", hook.pipeline, hook.project, hook.status);
        }
        if purpose.is_none() && self.contents == &Contents::default() {
            text += "  it holds no message of Glint and no hook of GitLab\n";
        }
        print(&text)
    }

    /// The requests since the last call of this.
    pub fn requests(&mut self, title: &str) -> Printed {
        let exchanges = self.sandbox.journal.exchanges();
        let new = &exchanges[self.printed..];
        let mut text = format!("\n{}\n", bold(title));
        for exchange in new {
            let at = exchange.started.duration_since(new[0].started).as_secs_f64() * 1000.0;
            text += &request(exchange, at);
        }
        self.printed = exchanges.len();
        print(&text)
    }

    /// What the event source is answered. The lines of a check are printed as a person reads them.
    pub fn response(&self, invoked: &Invoked) -> Printed {
        let title = bold("what its event source is answered");
        match &invoked.response {
            Ok(response) => {
                let value: Value = serde_json::from_str(response).unwrap_or_default();
                let mut text = if value["checks"].is_array() { checks(&value) } else { format!("  {response}\n") };
                if !failures(&value).is_empty() {
                    text += "  each message of this list is delivered again; `--log` shows why\n";
                }
                print(&format!("\n{title}\n{text}"))
            }
            Err(why) => print(&format!("\n{title}\n  the invocation fails: {why}\n")),
        }
    }

    /// How Glint and GitLab look.
    pub fn state(&self) -> Printed {
        print(&view::state(self.sandbox, bold))
    }

    pub fn log(&self, log: &str) -> Printed {
        print(&format!("\n{}\n{log}", bold("what the function printed: its log and its metrics")))
    }
}

/// The event as its source delivers it again; `None` where the first attempt is the final one.
pub fn redelivery(event: &Value, first: &Invoked) -> Option<String> {
    let Ok(response) = &first.response else { return Some(event.to_string()) };
    let response = serde_json::from_str(response).unwrap_or_default();
    let failures = failures(&response);
    let mut event = event.clone();
    let records = event["Records"].as_array_mut().filter(|_| !failures.is_empty())?;
    records.retain(|record| failures.contains(&&record["messageId"]));
    for record in records {
        record["attributes"]["ApproximateReceiveCount"] = "2".into();
    }
    Some(event.to_string())
}

/// The ids of the messages that SQS is asked to deliver again.
fn failures(response: &Value) -> Vec<&Value> {
    response["batchItemFailures"].as_array().into_iter().flatten().map(|failure| &failure["itemIdentifier"]).collect()
}

fn request(exchange: &Exchange, at: f64) -> String {
    let took = exchange.ended.map_or(0.0, |ended| ended.duration_since(exchange.started).as_secs_f64() * 1000.0);
    let status = exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let (method, path) = (&exchange.method, &exchange.path_and_query);
    let mut text = format!("  {at:>6.1} ms  {}\n", bold(&meaning(exchange)));
    text += &format!("             {method} {path} -> {status} in {took:.1} ms\n");
    let body = exchange.text();
    if !body.is_empty() {
        text += &format!("             {}\n", shorten(&hide(&body)));
    }
    text
}

fn meaning(exchange: &Exchange) -> String {
    let body = exchange.json();
    match exchange.call {
        Call::GetSecret => format!("read the secret `{}`", body["SecretId"].as_str().unwrap_or_default()),
        Call::Login => "log in to Glint".to_owned(),
        Call::GetRun => "read the run's state".to_owned(),
        Call::FindRuns => "search Glint for runs".to_owned(),
        Call::PatchRun if body["externalRunId"].as_str().is_some_and(|id| id.starts_with("gl_claim_")) => {
            "claim the run".to_owned()
        }
        Call::PatchRun if body["status"].is_string() => "end the run".to_owned(),
        Call::PatchRun => "update the run".to_owned(),
        Call::PostLog => "add a line to the run's log".to_owned(),
        Call::UpsertEntity => "write the deployment entity".to_owned(),
        Call::Trigger if body["ref"].as_str().is_some_and(|name| name.contains("..")) => {
            "try the trigger token, with a ref that cannot exist".to_owned()
        }
        Call::Trigger => "trigger the pipeline".to_owned(),
        Call::ListPipelines | Call::GetPipeline | Call::PipelineVariables | Call::PipelineJobs => {
            "look a pipeline up".to_owned()
        }
        _ => "another request".to_owned(),
    }
}

/// One line for each thing that was checked.
fn checks(report: &Value) -> String {
    let mut text = String::new();
    for line in report["checks"].as_array().into_iter().flatten() {
        let mark = if line["ok"] == true { "ok    " } else { "FAILED" };
        text += &format!("  {mark}  {}: {}\n", plain(&line["check"]), plain(&line["detail"]));
        if let Some(hint) = line["hint"].as_str() {
            text += &format!("          hint: {hint}\n");
        }
    }
    text + &format!("  together: {}\n", if report["ok"] == true { "ok" } else { "not ok" })
}

/// A body as it was sent, but for its secrets.
fn hide(body: &str) -> String {
    let mut text = body.replace(CLIENT_SECRET, "[redacted]");
    while let Some(start) = text.find("glptt-") {
        let end = text[start..].find('"').map_or(text.len(), |end| start + end);
        text.replace_range(start..end, "[redacted]");
    }
    text
}

fn bold(text: &str) -> String {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) || !io::stdout().is_terminal();
    if is_plain { text.to_owned() } else { format!("\u{1b}[1m{text}\u{1b}[0m") }
}

/// Fails where nobody reads any more.
pub fn print(text: &str) -> Printed {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

pub fn is_broken_pipe(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
