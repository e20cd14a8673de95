//! Runs the function on a real event, with nothing to install and no account:
//!
//!     cargo run --example local [-- events/FILE.json]
//!
//! GitLab, Glint and Secrets Manager are the sandbox of `tests/sandbox`, over real HTTP on loopback. The event is taken as it is, but for signatures of
//! webhooks, which have to be young and are made afresh. Every project that it names has a token, and every run is there.

#[path = "local/events.rs"]
mod events;
#[path = "local/function.rs"]
mod function;
#[path = "local/report.rs"]
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use function::Invoked;
use report::Report;
use sandbox::{Call, Fault, Sandbox, scene};
use serde_json::Value;

const HELP: &str = "\
Runs the function on an event against a sandbox of GitLab, Glint and AWS, and tells what happened.

usage: cargo run --example local -- [OPTIONS] [events/FILE.json]

  events/FILE.json  the event; without one, events/sqs.json
  --list            lists the events, and what each is
  --lost-answer     GitLab's answer to the trigger is lost: the pipeline is looked up and linked
  --log             prints the function's own log and metrics too
  -h, --help        prints this

NO_COLOR is honored.";

/// What to run.
#[derive(Default)]
struct Options {
    event: Option<PathBuf>,
    lost_answer: bool,
    log: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if std::env::var_os(function::EVENT).is_some() {
        return function::handle_event().await;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done =
        match arguments.iter().map(String::as_str).find(|argument| matches!(*argument, "-h" | "--help" | "--list")) {
            Some("--list") => list(),
            Some(_) => report::print(&format!("{HELP}\n")),
            None => match options(arguments) {
                Ok(options) => run(options).await,
                Err(why) => Err(why.into()),
            },
        };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads the output has seen enough.
        Err(error) if report::is_broken_pipe(&*error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: Vec<String>) -> Result<Options, String> {
    let mut options = Options::default();
    for argument in arguments {
        match argument.as_str() {
            "--lost-answer" => options.lost_answer = true,
            "--log" => options.log = true,
            option if option.starts_with('-') => {
                return Err(format!("there is no option `{option}`\n  hint: `--help` lists them"));
            }
            _ if options.event.is_some() => return Err("more than one event is named".to_owned()),
            path => options.event = Some(path.into()),
        }
    }
    Ok(options)
}

fn list() -> Result<(), Box<dyn Error>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir("events").map_err(|error| unreadable("events", &error))? {
        names.push(format!("events/{}", entry?.file_name().to_string_lossy()));
    }
    names.sort();
    let line = |name: &String| format!("{name:<30}  {}", events::purpose(name).unwrap_or_default());
    let lines: Vec<String> = names.iter().map(|name| format!("{}\n", line(name).trim_end())).collect();
    report::print(&lines.concat())
}

fn unreadable(path: &str, error: &std::io::Error) -> String {
    format!(
        "`{path}` cannot be read: {error}\n  hint: run this where `Cargo.toml` is, and name a file that `--list` lists"
    )
}

async fn run(options: Options) -> Result<(), Box<dyn Error>> {
    let path = options.event.unwrap_or_else(|| "events/sqs.json".into()).display().to_string();
    let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let event: Value = serde_json::from_str(&text).map_err(|error| format!("`{path}` is not JSON: {error}"))?;
    let sandbox = Sandbox::start().await;
    scene::furnish(&sandbox);
    let contents = scene::prepare(&sandbox, &event);
    if event["sweep"] == true {
        forget_a_pipeline(&sandbox).await?;
    }
    if options.lost_answer {
        sandbox.fail(Call::Trigger).with(Fault::ResetAfter);
    }
    // A webhook's text must stay as it is, but for its headers; all other events are taken byte for byte.
    let signed = scene::sign(event.clone(), sandbox.now().timestamp());
    let text = if signed == event { text } else { signed.to_string() };
    let mut report = Report::new(&sandbox, &path, &contents);
    report.introduce()?;
    let first = function::invoke(&sandbox, &text).await?;
    report.requests("what the function did")?;
    report.response(&first)?;
    let next = report::redelivery(&event, &first).filter(|_| options.lost_answer);
    let mut logs = first.log;
    if let Some(text) = next {
        let Invoked { log, response } = function::invoke(&sandbox, &text).await?;
        report.requests("what the next attempt did, two minutes later")?;
        report.response(&Invoked { log: String::new(), response })?;
        logs.push_str(&log);
    }
    report.state()?;
    if options.log { report.log(&logs) } else { Ok(()) }
}

/// A run whose pipeline ended, and whose hook never came: what a sweep is for.
async fn forget_a_pipeline(sandbox: &Sandbox) -> Result<(), Box<dyn Error>> {
    let text =
        std::fs::read_to_string("events/direct.json").map_err(|error| unreadable("events/direct.json", &error))?;
    scene::prepare(sandbox, &serde_json::from_str(&text)?);
    function::invoke(sandbox, &text).await?;
    let pipeline = sandbox.gitlab.pipelines().pop().ok_or("the sandbox has no pipeline")?;
    sandbox.gitlab.finish(pipeline.id, "success");
    sandbox.journal.clear();
    Ok(())
}
