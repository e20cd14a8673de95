//! What the other tests rely on: the sandbox is as strict as the systems it stands for, and its faults are what they
//! say.

mod aws;
mod aws_kinds;
mod faults;
mod gitlab;
mod gitlab_kinds;
mod glint;
mod glint_shapes;
mod others;
mod paused_time;
mod pipelines;
mod projects;
mod queue;

use crate::support::plain_client as client;
use reqwest::{Method, Response};
use sandbox::Sandbox;
use serde_json::Value;
use std::time::Duration;

const TOKEN: &str = "glptt-0123456789abcdef";

async fn ask(method: Method, url: String, headers: &[(&str, &str)], body: &Value) -> Result<Response, reqwest::Error> {
    let mut request = client().request(method, url).timeout(Duration::from_secs(30));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_null() {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    request.send().await
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let body = response.bytes().await.expect("the body arrives");
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn sandbox_with_project() -> Sandbox {
    let sandbox = Sandbox::start().await;
    sandbox.gitlab.project("a/b").token(TOKEN);
    sandbox
}
