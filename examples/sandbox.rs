//! GitLab, Glint, Secrets Manager, SQS and the Lambda Runtime API on loopback, until it is stopped.
//!
//!     cargo run --example sandbox [-- --seed FILE.json] [--control-port N] [--gitlab-port N] ...
//!
//! It prints one line of JSON: the environment to start the function with, further variables that a seed makes
//! possible, what the secrets hold, and the address of the control API, which `control.rs` describes.

#[path = "sandbox/control.rs"]
mod control;
#[path = "sandbox/seed.rs"]
mod seed;

use sandbox::server::{self, Port};
use sandbox::{Ports, Sandbox};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

/// What there is when no other seed is named; also what a seed looks like.
const SEED: &str = include_str!("sandbox/seed.json");

#[derive(Default)]
struct Options {
    seed: Option<String>,
    ports: Ports,
    control: u16,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = options(std::env::args().skip(1))?;
    let text = match &options.seed {
        Some(file) => std::fs::read_to_string(file).map_err(|error| format!("`{file}`: {error}"))?,
        None => SEED.to_owned(),
    };
    let seed = serde_json::from_str(&text)?;
    let sandbox = Arc::new(Sandbox::start_on(SystemTime::now().into(), options.ports)?);
    seed::sow(&sandbox, &seed)?;
    let control = Port::open(options.control)?;
    println!("{}", introduction(&sandbox, &seed, &control.url()));
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
        let value = arguments.next().ok_or_else(|| format!("`{name}` needs a value"))?;
        let port = match name.as_str() {
            "--seed" => {
                options.seed = Some(value);
                continue;
            }
            "--control-port" => &mut options.control,
            "--gitlab-port" => &mut options.ports.gitlab,
            "--glint-port" => &mut options.ports.glint,
            "--secrets-port" => &mut options.ports.secrets,
            "--queue-port" => &mut options.ports.queue,
            "--runtime-port" => &mut options.ports.runtime,
            _ => return Err(format!("`{name}` is no option of the sandbox")),
        };
        *port = value.parse().map_err(|_| format!("`{value}` is no port"))?;
    }
    Ok(options)
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
