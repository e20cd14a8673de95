use super::gitlab::trigger;
use super::{TOKEN, sandbox_with_project};
use sandbox::Sandbox;
use serde_json::json;

#[tokio::test]
async fn a_project_s_settings_refuse_in_gitlab_s_words() {
    let sandbox = Sandbox::start().await;
    sandbox.gitlab.project("a/none").token(TOKEN).no_ci_file();
    sandbox.gitlab.project("a/rules").token(TOKEN).workflow_filters();
    sandbox.gitlab.project("a/closed").token(TOKEN).restrict_variables();
    sandbox.gitlab.project("a/typed").token(TOKEN).inputs(["region"]).tag("v1");
    let plain = json!({ "token": TOKEN, "ref": "main" });
    let cases = [
        ("a%2Fnone", plain.clone(), 400, "Missing CI config file"),
        ("a%2Frules", plain.clone(), 400, "Pipeline filtered out by workflow rules."),
        (
            "a%2Fclosed",
            json!({ "token": TOKEN, "ref": "main", "variables": { "a": "" } }),
            400,
            "Insufficient permissions",
        ),
        ("a%2Fclosed", plain, 201, "created"),
        ("a%2Ftyped", json!({ "token": TOKEN, "ref": "v1", "inputs": { "region": ["eu"] } }), 201, "created"),
    ];
    for (project, body, status, words) in cases {
        let (answered, answer) = trigger(&sandbox, project, &body).await;
        assert_eq!(answered, status, "{project}: {answer}");
        assert!(answer.to_string().contains(words), "{project}: {answer}");
    }
    assert_eq!(sandbox.gitlab.pipelines()[1].inputs["region"], json!(["eu"]));
}

#[tokio::test(start_paused = true)]
async fn the_pipeline_limit_counts_by_minute_owner_and_commit() {
    let sandbox = Sandbox::start_at("2026-03-01T10:00:10Z".parse().expect("a time")).await;
    sandbox.gitlab.project("a/b").token(TOKEN).branch("dev").throttle(2);
    let on = |name: &str| json!({ "token": TOKEN, "ref": name });
    for (name, status) in [("main", 201), ("main", 201), ("main", 400), ("dev", 201)] {
        assert_eq!(trigger(&sandbox, "a%2Fb", &on(name)).await.0, status, "{name}");
    }
    let (_, answer) = trigger(&sandbox, "a%2Fb", &on("main")).await;
    assert_eq!(answer["message"]["base"][0], "Too many pipelines created in the last minute. Try again later.");
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    assert_eq!(trigger(&sandbox, "a%2Fb", &on("main")).await.0, 201);
}

#[tokio::test]
async fn a_rotated_token_is_no_longer_known() {
    let sandbox = sandbox_with_project().await;
    sandbox.gitlab.rotate_token("a/b", "glptt-new");
    assert_eq!(trigger(&sandbox, "a%2Fb", &json!({ "token": TOKEN, "ref": "main" })).await.0, 404);
    assert_eq!(trigger(&sandbox, "a%2Fb", &json!({ "token": "glptt-new", "ref": "main" })).await.0, 201);
}
