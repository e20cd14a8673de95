//! Reads GitLab's pipeline hook into a [`PipelineEvent`].

use serde::{Deserialize, Deserializer};

use crate::gitlab::types::{FailedJob, Pipeline, PipelineEvent, PipelineStatus, RunToken};

/// More failed jobs than this are not told of one by one: what is kept of a hook has to fit into a message of the queue.
const MAX_JOBS: usize = 100;

/// What a hook's body turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Hook {
    PipelineEvent(Box<PipelineEvent>),
    /// Nothing that moves a run: another event, a child pipeline, a status between the statuses.
    Nothing(&'static str),
}

/// Reads the body of a hook. The error says why it is no JSON that GitLab sends.
pub fn parse(text: &str) -> Result<Hook, String> {
    let unreadable = |error| format!("the hook's body cannot be read: {error}");
    // Other events call the same members by the same names, and mean other things.
    if serde_json::from_str::<Kind>(text).map_err(unreadable)?.object_kind.as_deref() != Some("pipeline") {
        return Ok(Hook::Nothing("it tells of no pipeline"));
    }
    let body: Body = serde_json::from_str(text).map_err(unreadable)?;
    let (Some(attributes), Some(project)) = (body.object_attributes, body.project) else {
        return Err("the hook's body has no `object_attributes` or no `project`".to_owned());
    };
    if body.source_pipeline.is_some_and(|source| !source.is_null()) || attributes.source.as_deref() != Some("trigger") {
        return Ok(Hook::Nothing("no trigger token started the pipeline"));
    }
    let Some(status) = attributes.status.as_deref().and_then(PipelineStatus::parse) else {
        return Ok(Hook::Nothing("the pipeline is between two statuses"));
    };
    let url = attributes.url.unwrap_or_else(|| format!("{}/-/pipelines/{}", project.web_url, attributes.id));
    Ok(Hook::PipelineEvent(Box::new(PipelineEvent {
        pipeline: Pipeline { id: attributes.id, project_id: project.id, url },
        failed_jobs: if status == PipelineStatus::Failed {
            failed_jobs(body.builds, &project.web_url)
        } else {
            Vec::new()
        },
        project: project.path_with_namespace,
        status,
        sha: attributes.sha,
        run_token: attributes
            .variables
            .iter()
            .find(|variable| variable.key == "TRIGGER_PAYLOAD")
            .and_then(|variable| run_token(&variable.value)),
    })))
}

/// The run that a `TRIGGER_PAYLOAD` names. `None` where it names none, or was not made here.
pub fn run_token(trigger_payload: &str) -> Option<RunToken> {
    #[derive(Deserialize)]
    struct Payload {
        glint: RunToken,
    }
    serde_json::from_str::<Payload>(trigger_payload).ok().map(|payload| payload.glint)
}

fn failed_jobs(mut builds: Vec<Build>, project_url: &str) -> Vec<FailedJob> {
    // GitLab lists jobs latest first; people read them as they ran.
    builds.sort_by_key(|build| build.id);
    builds.dedup_by_key(|build| build.id);
    let failed = builds.into_iter().filter(|build| build.status == "failed" && !build.allow_failure);
    let named = failed.take(MAX_JOBS).map(|build| FailedJob {
        url: format!("{project_url}/-/jobs/{}", build.id),
        name: build.name,
        stage: build.stage,
        reason: build.failure_reason,
    });
    named.collect()
}

/// A member's value, or its type's own nothing where GitLab says `null`.
fn or_nothing<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[derive(Deserialize)]
struct Kind {
    object_kind: Option<String>,
}

#[derive(Deserialize)]
struct Body {
    object_attributes: Option<Attributes>,
    project: Option<ProjectOf>,
    source_pipeline: Option<serde_json::Value>,
    #[serde(default, deserialize_with = "or_nothing")]
    builds: Vec<Build>,
}

#[derive(Deserialize)]
struct Attributes {
    id: u64,
    source: Option<String>,
    status: Option<String>,
    sha: Option<String>,
    url: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    variables: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    #[serde(default, deserialize_with = "or_nothing")]
    value: String,
}

#[derive(Deserialize)]
struct ProjectOf {
    id: u64,
    path_with_namespace: String,
    #[serde(default, deserialize_with = "or_nothing")]
    web_url: String,
}

#[derive(Deserialize)]
struct Build {
    id: u64,
    #[serde(default, deserialize_with = "or_nothing")]
    name: String,
    #[serde(default, deserialize_with = "or_nothing")]
    stage: String,
    #[serde(default, deserialize_with = "or_nothing")]
    status: String,
    failure_reason: Option<String>,
    #[serde(default, deserialize_with = "or_nothing")]
    allow_failure: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(status: &str, source: &str, extra: &str) -> String {
        format!(
            r#"{{"object_kind":"pipeline","object_attributes":{{"id":31,"source":"{source}","status":"{status}","sha":"bc","url":"https://gitlab.example.com/g/p/-/pipelines/31","variables":[{{"key":"TRIGGER_PAYLOAD","value":"{{\"glint\":{{\"runId\":\"r_1\",\"proof\":\"v1,x\"}}}}"}}]}},"project":{{"id":1,"path_with_namespace":"g/p","web_url":"https://gitlab.example.com/g/p"}},"builds":[{{"id":9,"name":"deploy","stage":"deploy","status":"failed","failure_reason":"script_failure"}},{{"id":8,"name":"lint","stage":"test","status":"failed","allow_failure":true}}]{extra}}}"#
        )
    }

    #[test]
    fn a_final_hook_names_the_failed_jobs_and_the_claimed_run() {
        let Hook::PipelineEvent(event) = parse(&hook("failed", "trigger", "")).unwrap() else { panic!("nothing") };
        assert_eq!(event.pipeline.external_id(), "gl_1_31");
        assert_eq!(event.run_token.unwrap().run_id, "r_1");
        let names: Vec<_> = event.failed_jobs.iter().map(|job| (job.name.as_str(), job.url.as_str())).collect();
        assert_eq!(names, [("deploy", "https://gitlab.example.com/g/p/-/jobs/9")]);
    }

    #[test]
    fn what_moves_no_run_is_nothing() {
        for text in [
            hook("success", "push", ""),
            hook("success", "trigger", r#","source_pipeline":{"pipeline_id":30}"#),
            hook("manual", "trigger", ""),
            hook("canceling", "trigger", ""),
            r#"{"object_kind":"push"}"#.to_owned(),
        ] {
            assert!(matches!(parse(&text), Ok(Hook::Nothing(_))), "{text}");
        }
        assert!(parse("nonsense").is_err());
    }
}
