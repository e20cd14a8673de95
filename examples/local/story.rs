//! Tells what happened, request by request, and how it looks in Glint afterwards. In colour on a terminal, plain when piped.

use std::io::IsTerminal as _;

use glint_gitlab_trigger::app::Failure;
use glint_gitlab_trigger::telemetry::redaction::Redactor;
use serde_json::value::RawValue;

use crate::stage::CLIENT_SECRET;
use sandbox::{Call, Exchange, Run, Sandbox};

/// More of a body than this hides the story.
const LONGEST: usize = 320;

pub fn opens(path: &str, sandbox: &Sandbox) {
    println!("{} {path}", bold("event"));
    println!(
        "  GitLab, Glint and Secrets Manager are the sandbox at {}, {} and {}\n\n{}",
        sandbox.gitlab.url(),
        sandbox.glint.url(),
        sandbox.secrets.url(),
        bold("what the function prints")
    );
}

pub fn tells(sandbox: &Sandbox, answer: Result<Box<RawValue>, Failure>) {
    let exchanges = sandbox.journal.exchanges();
    let began = exchanges.first().map(|first| first.started);
    println!("\n{}", bold("what the function did"));
    for (index, exchange) in exchanges.iter().enumerate() {
        let at = began.map_or(0.0, |began| (exchange.started - began).as_secs_f64() * 1000.0);
        step(index + 1, at, exchange);
    }
    println!("\n{}", bold("what its source is told"));
    match answer {
        Ok(answer) => println!("  {}", answer.get()),
        Err(failure) => println!("  the invocation fails, so that it comes again: {failure}"),
    }
    for run in sandbox.glint.runs() {
        look(&run);
    }
    for entity in sandbox.glint.entities() {
        println!("\n{} {}", bold("entity"), shortened(&format!("{entity:?}")));
    }
    for pipeline in sandbox.gitlab.pipelines() {
        println!("\n{} {}", bold("pipeline"), pipeline.web_url);
        println!("  project    {}", pipeline.project);
        println!("  ref        {}", pipeline.r#ref);
        for (name, value) in &pipeline.variables {
            println!("  variable   {name}={}", shortened(value));
        }
    }
}

fn step(number: usize, at: f64, exchange: &Exchange) {
    let took = exchange.ended.map_or(0.0, |ended| (ended - exchange.started).as_secs_f64() * 1000.0);
    let status = exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    println!("{number:>3}  {at:>6.1} ms  {}", bold(meaning(exchange.call)));
    println!("                {} {} -> {status} in {took:.1} ms", exchange.method, exchange.path_and_query);
    let sent = exchange.text();
    if !sent.is_empty() {
        println!("                {}", shortened(&hidden(&sent)));
    }
}

fn meaning(call: Call) -> &'static str {
    match call {
        Call::GetSecret => "read a secret",
        Call::Login => "log in to Glint",
        Call::GetRun => "look how the run stands",
        Call::FindRuns => "look for the pipeline's run",
        Call::PatchRun => "tell Glint how the run stands now",
        Call::PostLog => "add a line to the run's log",
        Call::UpsertEntity => "write the deployment entity",
        Call::Trigger => "trigger the pipeline",
        Call::ListPipelines | Call::GetPipeline | Call::PipelineVariables | Call::PipelineJobs => "look a pipeline up",
        _ => "another request",
    }
}

/// A body as it was sent, but for its secrets: this one that has no shape, and whatever looks like a token.
fn hidden(body: &str) -> String {
    Redactor::new([&CLIENT_SECRET.into()]).redact(body)
}

fn look(run: &Run) {
    println!("\n{} {}", bold("run in Glint"), run.id);
    println!("  status     {}", run.status);
    let parts = [
        ("label", run.status_label.clone()),
        ("link", Some(run.links().join(" "))),
        ("external", run.external_run_id.clone()),
        ("summary", run.summary.clone()),
    ];
    for (name, text) in parts {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            println!("  {name:<10} {}", text.replace('\n', "\n             "));
        }
    }
    for log in &run.logs {
        println!("  log        {}", log.message.replace('\n', "\n             "));
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}
