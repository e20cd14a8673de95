//! The built binary, as Lambda runs it: its environment, its runtime API, and what it prints.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use sandbox::{Reply, Sandbox};

/// A running function. It is killed when this is dropped.
pub struct Function {
    child: Child,
    printed: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Function {
    /// Starts the binary with the sandbox's environment and `settings`, and waits until it asks for its first event.
    pub async fn start(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Self {
        let function = Self::spawn(sandbox, settings);
        sandbox.runtime.waiting_for_next().await;
        function
    }

    /// Starts the binary, which may refuse to.
    pub fn spawn(sandbox: &Sandbox, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_glint-gitlab-trigger"));
        command.env_clear().envs(sandbox.env()).envs(settings.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("the binary is built beside this test");
        let printed = Arc::default();
        let readers = vec![read(child.stdout.take().unwrap(), &printed), read(child.stderr.take().unwrap(), &printed)];
        Self { child, printed, readers }
    }

    /// Everything it has printed so far, on both outputs.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Ends it without a warning, as Lambda does, and waits until it is gone and its outputs are read.
    pub async fn kill(&mut self) -> String {
        self.child.kill().await.unwrap();
        self.read_to_end().await
    }

    /// Waits until it ends by itself: its exit code, and what it printed.
    pub async fn ended(&mut self) -> (Option<i32>, String) {
        let status = self.child.wait().await.unwrap();
        (status.code(), self.read_to_end().await)
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    async fn read_to_end(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.await.unwrap();
        }
        self.printed()
    }
}

fn read(output: impl AsyncRead + Unpin + Send + 'static, printed: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let printed = Arc::clone(printed);
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    })
}

/// Invokes whichever function waits at the sandbox's runtime API.
pub async fn invoke(sandbox: &Sandbox, event: Value) -> Reply {
    sandbox.runtime.invoke(event, Duration::from_secs(45)).await
}
