//! The bare loop: sends the requests of one run again and again through the function's own HTTP client, and does nothing else. It is a
//! process of its own, as the function is. Either it is told on its standard input how many runs to send, or it is a function too, and the
//! runtime's two requests of each run are among what it sends.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use lambda_runtime::{LambdaEvent, service_fn};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use super::Outcome;
use super::process::{self, Process};
use super::stage::Stage;
use glint_gitlab_trigger::{Config, Http};
use sandbox::{Exchange, Upstream};

/// Names the file with the requests; where it is set, this program is the loop.
pub const SCRIPT: &str = "FIGURES_SCRIPT";

const LIMIT: Duration = Duration::from_secs(30);
const CAP: usize = 8 << 20;

/// Set where the loop is a function.
const IS_FUNCTION: &str = "FIGURES_IS_FUNCTION";

/// The loop as the measuring side sees it.
pub struct Replay {
    pub process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Replay {
    /// Starts the loop with the requests of one run, under `valgrind` or not.
    pub async fn start(stage: &mut Stage, valgrind: Option<Command>) -> Outcome<Self> {
        let variables = recorded(stage).await?;
        let program = std::env::current_exe()?;
        let command = match valgrind {
            None => Command::new(program),
            Some(mut valgrind) => {
                valgrind.arg(program);
                valgrind
            }
        };
        let mut process = Process::spawn(command, &variables, true)?;
        let (input, output) = process.talk()?;
        Ok(Self { process, input, output: BufReader::new(output) })
    }

    /// Sends so many runs: how long they took, and how long on a CPU.
    pub async fn send(&mut self, runs: usize) -> Outcome<(Duration, Duration)> {
        self.input.write_all(format!("{runs}\n").as_bytes()).await?;
        let mut line = String::new();
        self.output.read_line(&mut line).await?;
        let (took, cpu) = line.trim().split_once(' ').ok_or("the bare loop ended")?;
        Ok((Duration::from_nanos(took.parse()?), Duration::from_nanos(cpu.parse()?)))
    }
}

/// The loop as a function of its own, in the place of `function`, which has sent a run before.
pub async fn in_place_of(function: Process, stage: &mut Stage) -> Outcome<Process> {
    let mut variables = recorded(stage).await?;
    variables.push((IS_FUNCTION.to_owned(), "true".to_owned()));
    function.end().await?;
    Process::start(&std::env::current_exe()?, &variables)
}

/// Records one run of the function that waits, and gives back the loop's environment.
async fn recorded(stage: &mut Stage) -> Outcome<Vec<(String, String)>> {
    stage.sandbox.journal.clear();
    stage.send(1).await?;
    let exchanges = stage.sandbox.journal.exchanges();
    let run = exchanges[0].path_and_query.split(['/', '?']).find(|part| part.starts_with("r_"));
    // It was forgotten after it was sent.
    stage.sandbox.glint.run(run.ok_or("the first request names no run")?);
    let requests: Vec<Value> = exchanges.iter().map(|exchange| request(stage, exchange)).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("requests.json");
    std::fs::write(&file, Value::from(requests).to_string())?;
    let mut variables = stage.sandbox.env();
    variables.push((SCRIPT.to_owned(), file.display().to_string()));
    Ok(variables)
}

fn request(stage: &Stage, exchange: &Exchange) -> Value {
    let base =
        if exchange.upstream == Upstream::GitLab { stage.sandbox.gitlab.url() } else { stage.sandbox.glint.url() };
    let headers: Vec<(&str, &str)> = ["authorization", "content-type"]
        .into_iter()
        .filter_map(|name| exchange.header(name).map(|value| (name, value)))
        .collect();
    json!({
        "method": exchange.method, "url": format!("{base}{}", exchange.path_and_query), "headers": headers,
        "body": exchange.text(),
    })
}

/// The loop itself.
pub async fn play() -> Outcome {
    let script: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(std::env::var(SCRIPT)?)?)?;
    let requests = script.iter().map(prepared).collect::<Outcome<Vec<reqwest::Request>>>()?;
    let http = Http::new(&Config::read(|name| std::env::var(name).ok())?.trusted_certificates, None)?;
    if std::env::var_os(IS_FUNCTION).is_some() {
        return lambda_runtime::run(service_fn(async |_: LambdaEvent<Box<RawValue>>| {
            run(&http, &requests).await.map(|()| json!({ "batchItemFailures": [] }))
        }))
        .await
        .map_err(|error| error.to_string().into());
    }
    for line in std::io::stdin().lock().lines() {
        let runs: usize = line?.parse()?;
        let (start, cpu) = (Instant::now(), process::cpu("self")?);
        for _ in 0..runs {
            run(&http, &requests).await.map_err(|error| error.to_string())?;
        }
        let (took, cpu) = (start.elapsed(), process::cpu("self")? - cpu);
        println!("{} {}", took.as_nanos(), cpu.as_nanos());
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// One run: all requests in order, the last two side by side.
async fn run(http: &Http, requests: &[reqwest::Request]) -> Result<(), Box<dyn Error + Send + Sync>> {
    let [first @ .., link, log] = requests else { return Err("too few requests".into()) };
    for request in first {
        send(http, request).await?;
    }
    let (linked, logged) = tokio::join!(send(http, link), send(http, log));
    linked.and(logged)
}

async fn send(http: &Http, request: &reqwest::Request) -> Result<(), Box<dyn Error + Send + Sync>> {
    let answer = http.send(request.try_clone().ok_or("the body cannot be repeated")?, CAP, LIMIT).await?;
    if answer.status < 300 { Ok(()) } else { Err("an answer is no success".into()) }
}

fn prepared(script: &Value) -> Outcome<reqwest::Request> {
    let text = |name: &str| script[name].as_str().ok_or("the script is incomplete");
    let mut request = reqwest::Request::new(text("method")?.parse()?, text("url")?.parse()?);
    for header in script["headers"].as_array().into_iter().flatten() {
        let (name, value) = (header[0].as_str().unwrap_or_default(), header[1].as_str().unwrap_or_default());
        request.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::from_str(value)?);
    }
    let body = text("body")?;
    if !body.is_empty() {
        *request.body_mut() = Some(body.to_owned().into());
    }
    Ok(request)
}
