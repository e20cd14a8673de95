//! Makes the sandbox ready for `cargo lambda`: everything that the files of `events/` need, settings in a file, and events with young signatures.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sandbox::{Sandbox, scene};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Signatures hold for 300 seconds.
const SIGN_INTERVAL: Duration = Duration::from_secs(60);
/// A run whose pipeline ended, and whose hook never came: what a sweep is for.
const FORGOTTEN_RUN: &str = "r_Sw33pF0rg0tt3n1A";
const FORGOTTEN_PROJECT: &str = "acme/backend/billing";

/// Where `cargo lambda` finds what it needs.
pub struct Files {
    pub settings: PathBuf,
    pub events: PathBuf,
}

impl Files {
    /// Below cargo's target directory, which no build watches.
    fn new() -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let folder = target.join("sandbox");
        Self { settings: folder.join("settings.env"), events: folder.join("events") }
    }
}

/// Creates what every file of `events/` needs, and writes the settings and the signed events.
pub async fn make_ready(sandbox: &Arc<Sandbox>) -> Result<Files, Box<dyn Error>> {
    let files = Files::new();
    std::fs::create_dir_all(&files.events)?;
    scene::furnish(sandbox);
    let events = read_events(Path::new("events"))?;
    for (_, event, _) in &events {
        scene::prepare(sandbox, event);
    }
    add_forgotten_pipeline(sandbox).await?;
    std::fs::write(&files.settings, settings(sandbox))?;
    write_events(&files.events, &events, sandbox.now().timestamp())?;
    let (sandbox, folder) = (Arc::clone(sandbox), files.events.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(SIGN_INTERVAL).await;
            if let Err(error) = write_events(&folder, &events, sandbox.now().timestamp()) {
                eprintln!("the events cannot be signed again: {error}");
            }
        }
    });
    Ok(files)
}

type Event = (PathBuf, Value, String);

fn read_events(folder: &Path) -> Result<Vec<Event>, Box<dyn Error>> {
    let hint = "run this where `Cargo.toml` is";
    let entries =
        std::fs::read_dir(folder).map_err(|error| format!("`events` cannot be read: {error}\n  hint: {hint}"))?;
    let mut events = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        events.push((path, serde_json::from_str(&text)?, text));
    }
    Ok(events)
}

fn write_events(folder: &Path, events: &[Event], seconds: i64) -> std::io::Result<()> {
    for (path, event, text) in events {
        let signed = scene::sign(event.clone(), seconds);
        // An event without a signature of its own is taken byte for byte.
        let text = if signed == *event { text.clone() } else { format!("{signed:#}") };
        std::fs::write(folder.join(path.file_name().unwrap_or_default()), text)?;
    }
    Ok(())
}

/// The settings of the function, without those that the emulator of `cargo lambda` sets itself.
fn settings(sandbox: &Sandbox) -> String {
    let of_lambda = |name: &str| name.starts_with("AWS_LAMBDA_") || name.starts_with('_');
    let upstreams = sandbox.env().into_iter().filter(|(name, _)| !of_lambda(name));
    let more = scene::SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    upstreams.chain(more).map(|(name, value)| format!("{name}={value}\n")).collect()
}

/// Triggers a pipeline as the function does, links its run, and lets it end unheard.
async fn add_forgotten_pipeline(sandbox: &Sandbox) -> Result<(), Box<dyn Error>> {
    let text = format!("glint-gitlab-trigger\n{FORGOTTEN_PROJECT}\n{FORGOTTEN_RUN}");
    let mut mac = Hmac::<Sha256>::new_from_slice(scene::CLIENT_SECRET.as_bytes())?;
    mac.update(text.as_bytes());
    let proof = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
    let token = format!("glptt-sandbox-{}", FORGOTTEN_PROJECT.replace('/', "-"));
    let glint = json!({ "runId": FORGOTTEN_RUN, "proof": proof });
    let body = json!({ "ref": "main", "token": token, "variables": {}, "glint": glint }).to_string();
    let host = sandbox.gitlab.url().trim_start_matches("http://").to_owned();
    let path = format!("/api/v4/projects/{}/trigger/pipeline", FORGOTTEN_PROJECT.replace('/', "%2F"));
    let head = "content-type: application/json\r\nconnection: close\r\n";
    let request = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{head}content-length: {}\r\n\r\n{body}", body.len());
    let mut connection = TcpStream::connect(&host).await?;
    connection.write_all(request.as_bytes()).await?;
    connection.read_to_end(&mut Vec::new()).await?;
    let pipeline = sandbox.gitlab.pipelines().pop().ok_or("the sandbox created no pipeline")?;
    let inputs = json!({ "service": "billing", "environment": "staging" });
    let run = sandbox.glint.run(FORGOTTEN_RUN).properties(inputs).link(&pipeline.web_url);
    drop(run.external_id(&format!("gl_{}_{}", pipeline.project_id, pipeline.id)));
    sandbox.gitlab.finish(pipeline.id, "success");
    sandbox.journal.clear();
    Ok(())
}
