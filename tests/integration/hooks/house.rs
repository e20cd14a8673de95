//! What the tests of hooks have in common: a world that expects hooks, requests that bring them, and what must hold of a run at its end.

use serde_json::{Value, json};

use crate::support::{World, furnish, message};
use sandbox::{Call, Exchange, Run, Sandbox};

pub const HOOK_SECRET: &str = "glint/gitlab-hook";
pub const HOOK_TOKEN: &str = "sandbox-hook-token";
pub const READ_SECRET: &str = "glint/gitlab-read";
pub const READ_TOKEN: &str = "glpat-read-0123456789";
/// What the function shows of a settled pipeline in any of these tests.
pub const FINAL: [(&str, &str, &str); 4] = [
    ("success", "SUCCESS", "GitLab pipeline succeeded"),
    ("failed", "FAILURE", "GitLab pipeline failed"),
    ("canceled", "FAILURE", "GitLab pipeline canceled"),
    ("skipped", "FAILURE", "GitLab pipeline skipped"),
];

/// Whether proven hooks go through the runs queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    InPlace,
    Queued,
}

pub const WAYS: [Way; 2] = [Way::InPlace, Way::Queued];

/// A world whose GitLab sends hooks with the plain token, and whose function expects that.
pub async fn world(way: Way, settings: &[(&str, &str)]) -> World {
    let sandbox = Sandbox::start().await;
    of(sandbox, way, settings)
}

/// The same around a sandbox that runs already.
pub fn of(sandbox: Sandbox, way: Way, settings: &[(&str, &str)]) -> World {
    furnish(&sandbox);
    sandbox.secrets.put(HOOK_SECRET, json!({ "token": HOOK_TOKEN }).to_string());
    sandbox.gitlab.hook_token(HOOK_TOKEN);
    let url = sandbox.queue.url();
    let mut all = vec![("GITLAB_HOOK_SECRET_ID", HOOK_SECRET)];
    if way == Way::Queued {
        all.push(("RUNS_QUEUE_URL", &url));
    }
    all.extend(settings);
    World::of(sandbox, &all)
}

/// The function URL's event for a hook of GitLab.
pub fn request(headers: &[(String, String)], body: &str) -> Value {
    let mut members = serde_json::Map::new();
    for (name, value) in headers {
        // A function URL joins repeated headers with commas.
        let joined = match members.get(&name.to_lowercase()).and_then(Value::as_str) {
            Some(first) => format!("{first},{value}"),
            None => value.clone(),
        };
        members.insert(name.to_lowercase(), json!(joined));
    }
    let mut event: Value = serde_json::from_str(include_str!("../../../events/gitlab-hook.json")).unwrap();
    (event["headers"], event["body"]) = (Value::Object(members), json!(body));
    event
}

/// The event that GitLab's hook about the pipeline, as it stands now, comes to.
pub fn event(world: &World, pipeline: u64) -> Value {
    let (headers, body) = world.sandbox.gitlab.hook(pipeline);
    request(&headers, &String::from_utf8(body).unwrap())
}

/// The same with its body changed: GitLab's plain token does not sign it.
pub fn changed(world: &World, pipeline: u64, change: impl FnOnce(&mut Value)) -> Value {
    let mut event = event(world, pipeline);
    let mut body = body_of(&event);
    change(&mut body);
    event["body"] = json!(body.to_string());
    event
}

/// The JSON that a request's event carries as its body.
pub fn body_of(event: &Value) -> Value {
    serde_json::from_str(event["body"].as_str().unwrap()).unwrap()
}

/// The status with which the function answers the request, and its words.
pub async fn answer(world: &World, event: &Value) -> (u16, Value) {
    let reply = world.handle(event).await.unwrap();
    let status = reply["statusCode"].as_u64().unwrap().try_into().unwrap();
    (status, body_of(&reply))
}

/// The pipeline reaches `status`, and GitLab's hook about that is answered.
pub async fn reach(world: &World, pipeline: u64, status: &str) -> u16 {
    world.sandbox.gitlab.finish(pipeline, status);
    answer(world, &event(world, pipeline)).await.0
}

/// Does what waits on the queue, until nothing can be received. The messages that came again are in flight then.
pub async fn drain(world: &World) -> usize {
    let mut came_again = 0;
    loop {
        let event = world.sandbox.queue.receive(10);
        if event["Records"].as_array().unwrap().is_empty() {
            return came_again;
        }
        let reply = world.handle(&event).await.ok();
        came_again += world.sandbox.queue.acknowledge(&event, reply).len();
    }
}

/// A run with these inputs that was started over the queue, and its pipeline.
pub async fn started(world: &World, run: &str) -> u64 {
    world.sandbox.glint.run(run).properties(json!({ "service": "billing", "environment": "staging" }));
    assert_eq!(world.queue(&[&message(run).to_string()]).await, [0; 0]);
    world.sandbox.gitlab.pipelines().last().unwrap().id
}

/// Delivers the run's message over the queue for the first time: the places of the messages that must come again.
pub async fn deliver(world: &World, run: &str) -> Vec<usize> {
    world.queue(&[&message(run).to_string()]).await
}

/// The writes that ended the run: Glint accepts one, and the function must not have tried more.
pub fn endings(world: &World, run: &str) -> (usize, usize) {
    let tried = world.sandbox.journal.of(Call::PatchRun).into_iter().filter(|one| is_ending(one, run)).count();
    (world.run(run).writes.iter().filter(|write| write.get("status").is_some()).count(), tried)
}

fn is_ending(exchange: &Exchange, run: &str) -> bool {
    exchange.path_and_query.starts_with(&format!("/v1/actions/runs/{run}?")) && exchange.json().get("status").is_some()
}

/// The run has ended once, as `status` says, is linked to the pipeline, and nothing strayed.
pub fn assert_ended_once(world: &World, run: &str, pipeline: u64, status: &str) -> Run {
    let (_, ending, label) = FINAL.into_iter().find(|(word, ..)| *word == status).unwrap();
    let pipeline = world.sandbox.gitlab.pipeline(pipeline);
    let found = world.run(run);
    assert_eq!((found.status.as_str(), found.status_label.as_deref()), (ending, Some(label)));
    assert_eq!(found.links(), std::slice::from_ref(&pipeline.web_url));
    assert_eq!(found.external_run_id, Some(format!("gl_{}_{}", pipeline.project_id, pipeline.id)));
    assert_eq!(endings(world, run).0, 1, "one terminal write is accepted");
    assert!(world.sandbox.journal.stray().is_empty());
    found
}

/// What Glint was told or asked, less the logins.
pub fn calls_to_glint(world: &World) -> Vec<Call> {
    use sandbox::Upstream;
    let exchanges = world.sandbox.journal.exchanges().into_iter();
    exchanges.filter(|one| one.upstream == Upstream::Glint && one.call != Call::Login).map(|one| one.call).collect()
}
