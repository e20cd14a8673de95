//! Hooks that GitLab sends about a pipeline, and how its run stands after them.

use serde_json::{Value, json};

use super::World;
use sandbox::{Call, Exchange, Run, Upstream};

/// What the function shows of a pipeline that ended.
pub const FINAL: [(&str, &str, &str); 4] = [
    ("success", "SUCCESS", "GitLab pipeline succeeded"),
    ("failed", "FAILURE", "GitLab pipeline failed"),
    ("canceled", "FAILURE", "GitLab pipeline canceled"),
    ("skipped", "FAILURE", "GitLab pipeline skipped"),
];

/// The function URL's event for a hook of GitLab.
pub fn hook_request(headers: &[(String, String)], body: &str) -> Value {
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

/// The JSON that a request's event carries as its body.
pub fn json_body(event: &Value) -> Value {
    serde_json::from_str(event["body"].as_str().unwrap()).unwrap()
}

impl World {
    /// The event that GitLab's hook about the pipeline, as it stands now, comes to.
    pub fn hook(&self, pipeline: u64) -> Value {
        let (headers, body) = self.sandbox.gitlab.hook(pipeline);
        hook_request(&headers, &String::from_utf8(body).unwrap())
    }

    /// The same with its body changed: GitLab's plain token does not sign it.
    pub fn changed_hook(&self, pipeline: u64, change: impl FnOnce(&mut Value)) -> Value {
        let mut event = self.hook(pipeline);
        let mut body = json_body(&event);
        change(&mut body);
        event["body"] = json!(body.to_string());
        event
    }

    /// Posts a request, and returns the status and the body of the answer.
    pub async fn post(&self, event: &Value) -> (u16, Value) {
        let reply = self.handle(event).await.unwrap();
        let status = reply["statusCode"].as_u64().unwrap().try_into().unwrap();
        (status, json_body(&reply))
    }

    /// The pipeline reaches `status`, and GitLab's hook about that is answered with the status that is returned.
    pub async fn pipeline_reaches(&self, pipeline: u64, status: &str) -> u16 {
        self.sandbox.gitlab.finish(pipeline, status);
        self.post(&self.hook(pipeline)).await.0
    }

    /// How many writes ended the run, and how many tried to.
    pub fn endings(&self, run: &str) -> (usize, usize) {
        let tried = self.sandbox.journal.of(Call::PatchRun).into_iter().filter(|one| is_ending(one, run)).count();
        (self.run(run).writes.iter().filter(|write| write.get("status").is_some()).count(), tried)
    }

    /// Asserts that the run has ended once, as `status` says, is linked to the pipeline, and that nothing strayed.
    pub fn assert_ended_once(&self, run: &str, pipeline: u64, status: &str) -> Run {
        let (_, ending, label) = FINAL.into_iter().find(|(word, ..)| *word == status).unwrap();
        let pipeline = self.sandbox.gitlab.pipeline(pipeline);
        let found = self.run(run);
        assert_eq!((found.status.as_str(), found.status_label.as_deref()), (ending, Some(label)));
        assert_eq!(found.links(), std::slice::from_ref(&pipeline.web_url));
        assert_eq!(found.external_run_id, Some(format!("gl_{}_{}", pipeline.project_id, pipeline.id)));
        assert_eq!(self.endings(run).0, 1, "one terminal write is accepted");
        assert!(self.sandbox.journal.stray().is_empty());
        found
    }

    /// What Glint was told or asked, less the logins.
    pub fn calls_to_glint(&self) -> Vec<Call> {
        let exchanges = self.sandbox.journal.exchanges().into_iter();
        exchanges.filter(|one| one.upstream == Upstream::Glint && one.call != Call::Login).map(|one| one.call).collect()
    }
}

fn is_ending(exchange: &Exchange, run: &str) -> bool {
    exchange.path_and_query.starts_with(&format!("/v1/actions/runs/{run}?")) && exchange.json().get("status").is_some()
}
