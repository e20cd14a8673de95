use super::{TOKEN, ask, client, read, sandbox_with_project};
use reqwest::Method;
use sandbox::Sandbox;
use serde_json::{Value, json};

pub async fn trigger(sandbox: &Sandbox, project: &str, body: &Value) -> (u16, Value) {
    let url = format!("{}/api/v4/projects/{project}/trigger/pipeline", sandbox.gitlab.url());
    read(ask(Method::POST, url, &[], body).await.expect("GitLab answers")).await
}

#[tokio::test]
async fn gitlab_creates_a_pipeline_and_writes_its_payload_again_in_the_order_it_came() {
    let sandbox = sandbox_with_project().await;
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline", sandbox.gitlab.url());
    let body = r#"{"zeta": {"b": 1.0, "a": [1e3, "x  y", 1e-7, 1E+21, 12345678901234567890, "\u00e9\/<&", -0, 0.10]}, "zeta2": 1, "zeta2": 2,
        "token": "glptt-0123456789abcdef", "ref": "main", "variables": {"env": "prod"}}"#;
    let request = client().post(url).header("content-type", "application/json").body(body);
    let (status, answer) = read(request.send().await.expect("GitLab answers")).await;
    assert_eq!(status, 201, "{answer}");
    let pipeline = sandbox.gitlab.pipelines().remove(0);
    assert_eq!(answer["id"], json!(pipeline.id));
    assert_eq!(answer["web_url"], json!(pipeline.web_url));
    assert_eq!(pipeline.variables["env"], "prod");
    assert_eq!(
        pipeline.trigger_payload,
        r#"{"zeta":{"b":1.0,"a":[1000.0,"x  y",1.0e-07,1.0e+21,12345678901234567890,"é/\u003c\u0026",0,0.1]},"zeta2":2,"ref":"main","variables":{"env":"prod"},"id":"a/b"}"#
    );
}

/// A right order with these members put in or replaced.
fn order(more: Value) -> Value {
    let mut order = json!({ "token": TOKEN, "ref": "main" });
    for (key, value) in more.as_object().expect("an object") {
        order[key] = value.clone();
    }
    order
}

#[tokio::test]
async fn gitlab_refuses_what_it_cannot_read() {
    let sandbox = sandbox_with_project().await;
    let cases = [
        (json!({ "ref": "main" }), "token is missing"),
        (json!({ "token": TOKEN }), "ref is missing"),
        (order(json!({ "ref": " " })), "ref is empty"),
        (order(json!({ "ref": "gone" })), "Reference not found"),
        (order(json!({ "variables": [] })), "variables is invalid"),
        (order(json!({ "variables": { "n": 1 } })), "map of key-valued strings"),
        (order(json!({ "variables": { "n-1": "" } })), "Failed to build the pipeline!"),
        (order(json!({ "inputs": { "x": 1 } })), "unknown input arguments: x"),
    ];
    for (body, words) in cases {
        let (status, answer) = trigger(&sandbox, "a%2Fb", &body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer.to_string().contains(words), "{body}: {answer}");
    }
    assert!(sandbox.gitlab.pipelines().is_empty());
    assert!(sandbox.journal.stray().is_empty());
}

#[tokio::test]
async fn gitlab_tells_a_wrong_token_from_a_missing_project_to_nobody() {
    let sandbox = sandbox_with_project().await;
    let wrong = trigger(&sandbox, "a%2Fb", &order(json!({ "token": "glptt-wrong" }))).await;
    let missing = trigger(&sandbox, "a%2Fc", &order(json!({}))).await;
    assert_eq!(wrong, (404, json!({ "message": "404 Not Found" })));
    assert_eq!(missing, wrong);
    assert!(sandbox.journal.stray().is_empty());
    let unencoded = trigger(&sandbox, "a/b", &order(json!({}))).await;
    assert_eq!(unencoded, (404, json!({ "error": "404 Not Found" })));
    let strays = sandbox.journal.stray();
    assert_eq!(strays.len(), 1, "only the unencoded path met no route");
    assert_eq!(strays[0].path_and_query, "/api/v4/projects/a/b/trigger/pipeline");
    assert!(sandbox.gitlab.pipelines().is_empty());
}

#[tokio::test]
async fn gitlab_answers_a_trigger_with_every_field_of_the_real_one() {
    let sandbox = sandbox_with_project().await;
    let (_, answer) = trigger(&sandbox, "101", &json!({ "token": TOKEN, "ref": "main" })).await;
    let real = [
        "id",
        "iid",
        "project_id",
        "sha",
        "ref",
        "status",
        "source",
        "created_at",
        "updated_at",
        "web_url",
        "before_sha",
        "tag",
        "yaml_errors",
        "user",
        "started_at",
        "finished_at",
        "committed_at",
        "duration",
        "queued_duration",
        "coverage",
        "detailed_status",
    ];
    for field in real {
        assert!(answer.get(field).is_some(), "`{field}` is missing in {answer}");
    }
    assert_eq!((&answer["status"], &answer["source"]), (&json!("created"), &json!("trigger")));
}

#[tokio::test]
async fn what_fails_after_creation_leaves_a_failed_pipeline_and_a_422() {
    let sandbox = sandbox_with_project().await;
    let body = json!({ "token": TOKEN, "ref": "main", "variables": { "TRIGGER_PAYLOAD": "x" } });
    let (status, answer) = trigger(&sandbox, "a%2Fb", &body).await;
    assert_eq!(status, 422);
    assert_eq!(answer["message"]["base"][0], "Duplicate variable name: TRIGGER_PAYLOAD");
    sandbox.gitlab.project("a/b").yaml_error();
    let (status, _) = trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await;
    assert_eq!(status, 422);
    let statuses: Vec<_> = sandbox.gitlab.pipelines().into_iter().map(|one| one.status).collect();
    assert_eq!(statuses, ["failed", "failed"]);
}

#[tokio::test]
async fn json_too_deep_a_hook_s_header_and_a_token_in_the_url_are_noticed() {
    let sandbox = sandbox_with_project().await;
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let deep = |depth: usize| {
        let text = format!(r#"{{"token":"{TOKEN}","ref":"main","deep":{}}}"#, nested(depth - 1));
        serde_json::from_str::<Value>(&text).expect("valid JSON")
    };
    assert_eq!(trigger(&sandbox, "a%2Fb", &deep(32)).await.0, 201);
    assert_eq!(trigger(&sandbox, "a%2Fb", &deep(33)).await.0, 400);
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline", sandbox.gitlab.url());
    let body = json!({ "token": TOKEN, "ref": "main" });
    let looped = ask(Method::POST, url, &[("x-gitlab-event", "Pipeline Hook")], &body).await;
    assert_eq!(read(looped.expect("GitLab answers")).await.0, 403);
    assert!(sandbox.journal.stray().is_empty());
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline?token={TOKEN}", sandbox.gitlab.url());
    ask(Method::POST, url, &[], &body).await.expect("GitLab answers");
    let strays = sandbox.journal.stray();
    assert_eq!(strays.len(), 1);
    assert!(strays[0].token_in_url);
}
