use super::gitlab::trigger;
use super::{TOKEN, ask, read, sandbox_with_project};
use reqwest::Method;
use sandbox::Sandbox;
use serde_json::{Value, json};

pub async fn look_up(sandbox: &Sandbox, path: &str, token: &str) -> (u16, Value) {
    let url = format!("{}/api/v4/projects/{path}", sandbox.gitlab.url());
    let answer = ask(Method::GET, url, &[("private-token", token)], &Value::Null).await;
    read(answer.expect("GitLab answers")).await
}

#[tokio::test]
async fn only_a_read_token_looks_pipelines_up_page_by_page() {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.read_token("glpat-reader");
    for _ in 0..3 {
        let body = json!({ "token": TOKEN, "ref": "main", "variables": { "env": "prod" } });
        trigger(&sandbox, "a%2Fb", &body).await;
    }
    sandbox.gitlab.finish(1001, "failed");
    sandbox.gitlab.add_job(1001, "deploy", "failed", Some("script_failure"));
    assert_eq!(look_up(&sandbox, "a%2Fb/pipelines", "glpat-other").await.0, 401);
    let url = format!("{}/api/v4/projects/a%2Fb/pipelines?source=trigger&ref=main&per_page=2", sandbox.gitlab.url());
    let headers = [("private-token", "glpat-reader")];
    let page = ask(Method::GET, url, &headers, &Value::Null).await.expect("GitLab answers");
    assert_eq!(page.headers()["x-next-page"], "2");
    let ids: Vec<_> = read(page).await.1.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect();
    assert_eq!(ids, [1003, 1002]);
    let (_, none) = look_up(&sandbox, "a%2Fb/pipelines?ref=other", "glpat-reader").await;
    assert_eq!(none, json!([]));
    let (_, one) = look_up(&sandbox, "a%2Fb/pipelines/1001", "glpat-reader").await;
    assert_eq!(one["status"], "failed");
    let (_, jobs) = look_up(&sandbox, "a%2Fb/pipelines/1001/jobs", "glpat-reader").await;
    assert_eq!(jobs[0]["failure_reason"], "script_failure");
    let (_, variables) = look_up(&sandbox, "a%2Fb/pipelines/1001/variables", "glpat-reader").await;
    assert_eq!(variables[0], json!({ "key": "env", "value": "prod", "variable_type": "env_var", "raw": false }));
    assert_eq!(variables[1]["key"], "TRIGGER_PAYLOAD");
    assert_eq!(look_up(&sandbox, "a%2Fb", "glpat-reader").await.1["path_with_namespace"], "a/b");
    assert_eq!(look_up(&sandbox, "a%2Fc", "glpat-reader").await.0, 404);
}

#[tokio::test]
async fn a_hook_is_signed_over_its_id_time_and_body() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use hmac::{Hmac, KeyInit, Mac};
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.hook_token("plain");
    sandbox.gitlab.sign_hooks_with(&format!("whsec_{}", STANDARD.encode("hook key")));
    trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await;
    sandbox.gitlab.finish(1001, "success");
    let (headers, body) = sandbox.gitlab.hook(1001);
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).expect("it is sent").1.clone();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"hook key").expect("a key");
    mac.update(format!("{}.{}.", header("webhook-id"), header("webhook-timestamp")).as_bytes());
    mac.update(&body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    assert_eq!(header("webhook-signature"), format!("v1,{signature}"));
    assert_eq!(header("Idempotency-Key"), header("webhook-id"));
    assert_eq!((header("X-Gitlab-Event"), header("X-Gitlab-Token")), ("Pipeline Hook".into(), "plain".into()));
    let hook: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(hook["object_attributes"]["status"], "success");
    assert_eq!(hook["object_attributes"]["variables"][0]["key"], "TRIGGER_PAYLOAD");
    assert_eq!(hook["project"]["path_with_namespace"], "a/b");
}
