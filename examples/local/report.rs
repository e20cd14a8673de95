//! Prints what happened, request by request, and how it looks in Glint afterwards. In colour on a terminal, plain when piped.

use std::io::IsTerminal as _;

use glint_gitlab_trigger::app::Failure;
use serde_json::value::RawValue;

use crate::prepare::CLIENT_SECRET;
use sandbox::{Call, Exchange, Run, Sandbox};

/// More of a body than this hides the rest.
const MAX_SHOWN_CHARS: usize = 320;

pub fn print_header(path: &str, sandbox: &Sandbox) {
    println!("{} {path}", bold("event"));
    println!(
        "  GitLab, Glint and Secrets Manager are the sandbox at {}, {} and {}\n\n{}",
        sandbox.gitlab.url(),
        sandbox.glint.url(),
        sandbox.secrets.url(),
        bold("what the function prints")
    );
}

pub fn print_result(sandbox: &Sandbox, answer: Result<Box<RawValue>, Failure>) {
    let exchanges = sandbox.journal.exchanges();
    let began = exchanges.first().map(|first| first.started);
    println!("\n{}", bold("what the function did"));
    for (index, exchange) in exchanges.iter().enumerate() {
        let at = began.map_or(0.0, |began| (exchange.started - began).as_secs_f64() * 1000.0);
        print_exchange(index + 1, at, exchange, sandbox);
    }
    println!("\n{}", bold("what its source is answered"));
    match answer {
        Ok(answer) => println!("  {}", answer.get()),
        Err(failure) => println!("  the invocation fails, so that the event is redelivered: {failure}"),
    }
    for run in sandbox.glint.runs() {
        print_run(&run);
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

fn print_exchange(number: usize, at: f64, exchange: &Exchange, sandbox: &Sandbox) {
    let took = exchange.ended.map_or(0.0, |ended| (ended - exchange.started).as_secs_f64() * 1000.0);
    let status = exchange.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    println!("{number:>3}  {at:>6.1} ms  {}", bold(describe(exchange.call)));
    println!("                {} {} -> {status} in {took:.1} ms", exchange.method, exchange.path_and_query);
    let sent = exchange.text();
    if !sent.is_empty() {
        println!("                {}", shortened(&redacted(&sent, sandbox)));
    }
}

fn describe(call: Call) -> &'static str {
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

/// A body as it was sent, but for the sandbox's secrets.
fn redacted(body: &str, sandbox: &Sandbox) -> String {
    let tokens = sandbox.gitlab.projects().into_iter().flat_map(|project| project.tokens);
    tokens.chain([CLIENT_SECRET.to_owned()]).fold(body.to_owned(), |body, secret| body.replace(&secret, "[redacted]"))
}

fn print_run(run: &Run) {
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
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn bold(text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
}
