use super::{ask, read};
use reqwest::Method;
use sandbox::{Reply, Sandbox};
use serde_json::{Value, json};
use std::time::Duration;

pub async fn aws(url: String, target: &str, body: &Value) -> (u16, Value) {
    let headers = [("x-amz-target", target), ("authorization", "AWS4-HMAC-SHA256 Credential=x")];
    read(ask(Method::POST, url, &headers, body).await.expect("AWS answers")).await
}

pub async fn secret(sandbox: &Sandbox, query: &Value) -> (u16, Value) {
    aws(sandbox.secrets.url(), "secretsmanager.GetSecretValue", query).await
}

#[tokio::test]
async fn a_secret_is_rotated_denied_and_deleted() {
    let sandbox = Sandbox::start().await;
    sandbox.secrets.put("glint/credentials", "old");
    sandbox.secrets.rotate("glint/credentials", "new");
    let (_, current) = secret(&sandbox, &json!({ "SecretId": sandbox.secrets.arn("glint/credentials") })).await;
    assert_eq!((&current["SecretString"], &current["VersionStages"][0]), (&json!("new"), &json!("AWSCURRENT")));
    let query = json!({ "SecretId": "glint/credentials", "VersionStage": "AWSPREVIOUS" });
    let (_, previous) = secret(&sandbox, &query).await;
    assert_eq!(previous["SecretString"], "old");
    let query = json!({ "SecretId": "glint/credentials", "VersionId": previous["VersionId"] });
    assert_eq!(secret(&sandbox, &query).await.1["SecretString"], "old");
    sandbox.secrets.deny("glint/credentials");
    let query = json!({ "SecretId": "glint/credentials" });
    assert_eq!(secret(&sandbox, &query).await.1["__type"], "AccessDeniedException");
    sandbox.secrets.put("glint/credentials", "again");
    sandbox.secrets.delete("glint/credentials");
    let (status, missing) = secret(&sandbox, &query).await;
    assert_eq!((status, &missing["__type"]), (400, &json!("ResourceNotFoundException")));
    assert_eq!(sandbox.secrets.reads("glint/credentials"), 5);
}

#[tokio::test]
async fn a_runtime_is_handed_an_event_and_reports() {
    let sandbox = Sandbox::start().await;
    let base = format!("http://{}/2018-06-01/runtime", sandbox.runtime.address());
    let worker = async {
        let next = ask(Method::GET, format!("{base}/invocation/next"), &[], &Value::Null).await.expect("an event");
        let id = next.headers()["lambda-runtime-aws-request-id"].to_str().expect("text").to_owned();
        assert!(next.headers().contains_key("lambda-runtime-deadline-ms"));
        let (_, event) = read(next).await;
        ask(Method::POST, format!("{base}/invocation/{id}/response"), &[], &json!({ "got": event })).await
    };
    let invoked = async {
        sandbox.runtime.waiting_for_next().await;
        sandbox.runtime.invoke(json!({ "a": 1 }), Duration::from_secs(5)).await
    };
    let (reply, answer) = tokio::join!(invoked, worker);
    assert_eq!(reply, Reply::Response(json!({ "got": { "a": 1 } })));
    assert_eq!(answer.expect("the API answers").status(), 202);
    let late = ask(Method::POST, format!("{base}/invocation/x/response"), &[], &json!({})).await;
    assert_eq!(late.expect("the API answers").status(), 400);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_says_nothing_or_leaves_has_died() {
    let sandbox = Sandbox::start().await;
    assert_eq!(sandbox.runtime.invoke(json!({}), Duration::from_secs(5)).await, Reply::Died);
    let url = format!("http://{}/2018-06-01/runtime/invocation/next", sandbox.runtime.address());
    let client = super::client();
    let asked = client.get(url).send();
    let invoked = sandbox.runtime.invoke(json!({}), Duration::from_secs(30));
    let left = async {
        asked.await.expect("an event");
        drop(client);
    };
    let start = tokio::time::Instant::now();
    let (reply, ()) = tokio::join!(invoked, left);
    assert_eq!(reply, Reply::Died);
    assert!(start.elapsed() < Duration::from_secs(5), "its connections are closed");
}
