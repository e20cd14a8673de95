use super::{ask, read};
use reqwest::Method;
use sandbox::Sandbox;
use serde_json::{Value, json};

/// Logs in and calls Glint.
pub async fn glint(sandbox: &Sandbox, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let token = login(sandbox).await.1["accessToken"].as_str().unwrap_or_default().to_owned();
    let url = format!("{}{path}", sandbox.glint.url());
    let bearer = format!("Bearer {token}");
    let answer = ask(method, url, &[("authorization", &bearer)], body).await;
    read(answer.expect("Glint answers")).await
}

pub async fn login(sandbox: &Sandbox) -> (u16, Value) {
    use sandbox::glint::{CLIENT_ID, CLIENT_SECRET};
    let body = json!({ "clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET });
    let url = format!("{}/v1/auth/access_token", sandbox.glint.url());
    read(ask(Method::POST, url, &[], &body).await.expect("Glint answers")).await
}

#[tokio::test]
async fn a_login_gives_the_same_token_until_it_expires() {
    let sandbox = Sandbox::start().await;
    let (status, first) = login(&sandbox).await;
    assert_eq!((status, &first["tokenType"]), (200, &json!("Bearer")));
    assert_eq!(login(&sandbox).await.1["accessToken"], first["accessToken"]);
    sandbox.glint.expire_tokens();
    assert_ne!(login(&sandbox).await.1["accessToken"], first["accessToken"]);
    sandbox.glint.rotate_secret("another");
    assert_eq!(login(&sandbox).await.0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_token_lives_as_long_as_it_said() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.token_ttl(60);
    sandbox.glint.run("r_1");
    let token = login(&sandbox).await.1["accessToken"].as_str().expect("a token").to_owned();
    let bearer = format!("Bearer {token}");
    let url = format!("{}/v1/actions/runs/r_1", sandbox.glint.url());
    let headers = [("authorization", bearer.as_str())];
    let look = || ask(Method::GET, url.clone(), &headers, &Value::Null);
    assert_eq!(look().await.expect("Glint answers").status(), 200);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    assert_eq!(look().await.expect("Glint answers").status(), 401);
}

#[tokio::test]
async fn a_run_is_read_in_both_shapes() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1").label("busy").link("https://x").external_id("gl_1_2");
    let (_, newer) = glint(&sandbox, Method::GET, "/v1/actions/runs/r_1?version=v2", &Value::Null).await;
    assert_eq!(newer["run"]["statusLabel"], "busy");
    assert_eq!(newer["run"]["externalRunId"], "gl_1_2");
    assert_eq!(newer["run"]["action"]["identifier"], "deploy_service");
    sandbox.glint.run("r_1").older_shape();
    let (_, older) = glint(&sandbox, Method::GET, "/v1/actions/runs/r_1?version=v2", &Value::Null).await;
    assert_eq!(older["run"]["action"], "deploy_service");
    assert!(older["run"].get("statusLabel").is_none());
    let path = "/v1/actions/runs?external_run_id=gl_1_2&active=true&version=v2";
    let (_, found) = glint(&sandbox, Method::GET, path, &Value::Null).await;
    assert_eq!(found["runs"][0]["id"], "r_1");
    let (status, unknown) = glint(&sandbox, Method::GET, "/v1/actions/runs/r_2", &Value::Null).await;
    assert_eq!((status, &unknown["error"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn a_patch_is_strict_and_an_ended_run_takes_none() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    sandbox.glint.run("r_s").synchronized();
    let cases = [
        ("r_1", json!({ "statusLabel": "Triggering GitLab pipeline" }), 200, ""),
        ("r_1", json!({ "logs": "x" }), 422, "`logs`"),
        ("r_1", json!({ "status": "IN_PROGRESS" }), 422, "`status`"),
        ("r_1", json!({ "summary": 7 }), 422, "`summary`"),
        ("r_s", json!({ "status": "SUCCESS" }), 422, "run_synchronized_error"),
        ("r_s", json!({ "link": ["https://x"] }), 200, ""),
        ("r_2", json!({ "link": "https://x" }), 404, "not_found"),
        ("r_1", json!({ "status": "SUCCESS", "link": "https://x" }), 200, ""),
        ("r_1", json!({ "link": "https://y" }), 422, "has ended"),
    ];
    for (run, body, status, words) in cases {
        let path = format!("/v1/actions/runs/{run}");
        let (answered, answer) = glint(&sandbox, Method::PATCH, &path, &body).await;
        assert_eq!(answered, status, "{run} {body}: {answer}");
        assert!(answer.to_string().contains(words), "{run} {body}: {answer}");
    }
    let run = sandbox.glint.run_state("r_1");
    assert_eq!((run.status.as_str(), run.writes.len(), run.refused_writes), ("SUCCESS", 2, 1));
    assert_eq!(run.link, Some(json!("https://x")));
    assert!(sandbox.journal.stray().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_a_patch_moves_the_time_of_update() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let created = sandbox.glint.run_state("r_1").updated_at;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (status, _) = glint(&sandbox, Method::POST, "/v1/actions/runs/r_1/logs", &json!({ "message": "hello" })).await;
    assert_eq!(status, 201);
    assert_eq!(sandbox.glint.run_state("r_1").updated_at, created);
    glint(&sandbox, Method::PATCH, "/v1/actions/runs/r_1", &json!({ "statusLabel": "x" })).await;
    assert!(sandbox.glint.run_state("r_1").updated_at > created);
}

#[tokio::test]
async fn a_glint_may_forget_labels() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    sandbox.glint.forget_labels();
    let body = json!({ "statusLabel": "x", "link": "https://x" });
    let (status, answer) = glint(&sandbox, Method::PATCH, "/v1/actions/runs/r_1?version=v2", &body).await;
    assert_eq!(status, 200);
    assert!(answer["run"].get("statusLabel").is_none());
    assert_eq!(answer["run"]["link"], "https://x");
}

#[tokio::test]
async fn entities_merge_while_their_run_is_in_progress() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let path = "/v1/blueprints/deployment/entities?upsert=true&merge=true&run_id=r_1";
    let first = json!({ "identifier": "cart-prod", "properties": { "a": 1, "b": 1 } });
    assert_eq!(glint(&sandbox, Method::POST, path, &first).await.0, 201);
    let second = json!({ "identifier": "cart-prod", "properties": { "b": 2 }, "relations": {} });
    assert_eq!(glint(&sandbox, Method::POST, path, &second).await.0, 201);
    let entity = sandbox.glint.entities().remove(0);
    assert_eq!(Value::Object(entity.properties), json!({ "a": 1, "b": 2 }));
    assert_eq!(glint(&sandbox, Method::POST, path, &json!({ "identifier": "a b" })).await.0, 422);
    assert_eq!(glint(&sandbox, Method::POST, path, &json!({ "identifier": "a", "x": 1 })).await.0, 422);
    sandbox.glint.run("r_1").status("SUCCESS");
    assert_eq!(glint(&sandbox, Method::POST, path, &second).await.0, 422);
    assert_eq!(sandbox.glint.run_state("r_1").refused_writes, 1);
}

#[tokio::test]
async fn glint_refuses_large_bodies_and_strangers() {
    let sandbox = Sandbox::start().await;
    sandbox.glint.run("r_1");
    let large = json!({ "summary": "x".repeat(1 << 20) });
    assert_eq!(glint(&sandbox, Method::PATCH, "/v1/actions/runs/r_1", &large).await.0, 413);
    let url = format!("{}/v1/actions/runs/r_1", sandbox.glint.url());
    let stranger = ask(Method::GET, url, &[("authorization", "Bearer x")], &Value::Null).await;
    assert_eq!(stranger.expect("Glint answers").status(), 401);
    sandbox.glint.refuse_all(Some(503));
    assert_eq!(login(&sandbox).await.0, 503);
    sandbox.glint.refuse_all(None);
    assert_eq!(login(&sandbox).await.0, 200);
}
