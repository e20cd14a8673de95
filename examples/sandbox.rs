//! GitLab, Glint, Secrets Manager, SQS and the Lambda Runtime API on loopback, until it is stopped.
//!
//!     cargo run --example sandbox
//!
//! makes everything ready that the files of `events/` need, and says how `cargo lambda` uses it.
//!
//!     cargo run --example sandbox -- --seed FILE.json [--control-port N] [--gitlab-port N] ...
//!
//! starts with what the file says, for a program: it prints one line of JSON with the environment to start the function with, further variables that
//! the seed makes possible, what the secrets hold, and the address of the control API, which `control.rs` describes.

#[path = "sandbox/control.rs"]
mod control;
#[path = "sandbox/ready.rs"]
mod ready;
#[path = "sandbox/seed.rs"]
mod seed;

use sandbox::server::{self, Port};
use sandbox::{Ports, Sandbox};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

const HELP: &str = "\
Serves GitLab, Glint and AWS on loopback, until it is stopped, and says how `cargo lambda` uses them.

usage: cargo run --example sandbox -- [OPTIONS]

  --seed FILE.json  starts with what the file says, and prints JSON for a program
  --control-port N, --gitlab-port N, --glint-port N, --secrets-port N, --queue-port N, --runtime-port N
                    a fixed port instead of a free one
  -h, --help        prints this";

#[derive(Default)]
struct Options {
    seed: Option<String>,
    ports: Ports,
    control: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    if let Some("-h" | "--help") = std::env::args().nth(1).as_deref() {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    let sandbox = Arc::new(Sandbox::start_on(SystemTime::now().into(), options.ports)?);
    let control = Port::open(options.control)?;
    match &options.seed {
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| format!("`{file}`: {error}"))?;
            let seed = serde_json::from_str(&text)?;
            seed::sow(&sandbox, &seed)?;
            println!("{}", introduction(&sandbox, &seed, &control.url()));
        }
        None => print!("{}", instructions(&ready::make_ready(&sandbox).await?, &control.url())),
    }
    server::serve(control, move |request, _line| {
        let answer = control::answer(&sandbox, &request);
        async { Some(sandbox::service::respond(answer)) }
    })
    .await;
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(name) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("`{name}` needs a value"));
        let port = match name.as_str() {
            "--seed" => {
                options.seed = Some(value()?);
                continue;
            }
            "--control-port" => &mut options.control,
            "--gitlab-port" => &mut options.ports.gitlab,
            "--glint-port" => &mut options.ports.glint,
            "--secrets-port" => &mut options.ports.secrets,
            "--queue-port" => &mut options.ports.queue,
            "--runtime-port" => &mut options.ports.runtime,
            _ => return Err(format!("there is no option `{name}`\n  hint: `--help` lists them")),
        };
        let value = value()?;
        *port = value.parse().map_err(|_| format!("`{value}` is no port"))?;
    }
    Ok(options)
}

/// What a person does next.
fn instructions(files: &ready::Files, control: &str) -> String {
    let (settings, events) = (files.settings.display(), files.events.display());
    format!(
        "GitLab, Glint and AWS are ready, until this is stopped. In a second terminal:\n\n  \
         cargo lambda watch --ignore-changes --env-file {settings}\n\nIn a third, with any file of that folder (the first invocation waits for the build):\n\n  \
         cargo lambda invoke glint-gitlab-trigger --data-file {events}/sqs.json\n\n\
         How Glint and GitLab look afterwards: {control}/\n\
         The events are those of `events/`. Signatures of webhooks are made afresh every minute.\n"
    )
}

fn introduction(sandbox: &Sandbox, seed: &Value, control: &str) -> Value {
    let text = |(name, value)| (name, Value::String(value));
    json!({
        "control": control,
        "gitlab": sandbox.gitlab.url(),
        "glint": sandbox.glint.url(),
        "secrets_manager": sandbox.secrets.url(),
        "queue": sandbox.queue.url(),
        "runtime": sandbox.runtime.address().to_string(),
        "env": sandbox.env().into_iter().map(text).collect::<Map<_, _>>(),
        "optional_env": {
            "GITLAB_HOOK_SECRET_ID": "glint/gitlab-hook",
            "GITLAB_READ_SECRET_ID": "glint/gitlab-read",
            "RUNS_QUEUE_URL": sandbox.queue.url(),
            "DEAD_LETTER_QUEUE_ARN": sandbox.queue.dead_letter_arn(),
        },
        "secrets": seed["secrets"],
    })
}
