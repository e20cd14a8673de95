//! Reads GitLab's pipeline hook into a [`Progress`].

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::pipeline::{FailedJob, Phase, Pipeline, Progress, RunClaim};

/// What a hook's body turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Hook {
    Progress(Box<Progress>),
    /// Nothing that moves a run: another event, a child pipeline, a phase between the phases.
    Nothing(&'static str),
}

/// Reads the body of a hook. The error says why it is no JSON that GitLab sends.
pub fn read(text: &str) -> Result<Hook, String> {
    let body: Body = serde_json::from_str(text).map_err(|error| format!("the hook's body cannot be read: {error}"))?;
    if body.object_kind != "pipeline" {
        return Ok(Hook::Nothing("it tells of no pipeline"));
    }
    let (Some(attributes), Some(project)) = (body.object_attributes, body.project) else {
        return Err("the hook's body has no `object_attributes` or no `project`".to_owned());
    };
    if body.source_pipeline.is_some_and(|source| !source.is_null()) || attributes.source.as_deref() != Some("trigger") {
        return Ok(Hook::Nothing("no trigger token started the pipeline"));
    }
    let Some(phase) = attributes.status.as_deref().and_then(Phase::parse) else {
        return Ok(Hook::Nothing("the pipeline is between two phases"));
    };
    let url = attributes.url.unwrap_or_else(|| format!("{}/-/pipelines/{}", project.web_url, attributes.id));
    Ok(Hook::Progress(Box::new(Progress {
        pipeline: Pipeline { id: attributes.id, project_id: project.id, url },
        failed_jobs: if phase == Phase::Failed { failed_jobs(body.builds, &project.web_url) } else { Vec::new() },
        project: project.path_with_namespace,
        phase,
        sha: attributes.sha,
        claim: attributes
            .variables
            .iter()
            .find(|variable| variable.key == "TRIGGER_PAYLOAD")
            .and_then(|variable| claim(&variable.value)),
    })))
}

/// The run that a `TRIGGER_PAYLOAD` names. `None` where it names none, or was not made here.
pub fn claim(trigger_payload: &str) -> Option<RunClaim> {
    #[derive(Deserialize)]
    struct Payload {
        glint: RunClaim,
    }
    serde_json::from_str::<Payload>(trigger_payload).ok().map(|payload| payload.glint)
}

fn failed_jobs(builds: Vec<Build>, project_url: &str) -> Vec<FailedJob> {
    let failed = builds.into_iter().filter(|build| build.status == "failed" && !build.allow_failure);
    let named = failed.map(|build| FailedJob {
        url: format!("{project_url}/-/jobs/{}", build.id),
        name: build.name,
        stage: build.stage,
        reason: build.failure_reason,
    });
    // GitLab lists jobs latest first; people read them as they ran.
    named.map(|job| (job.url.clone(), job)).collect::<BTreeMap<_, _>>().into_values().collect()
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    object_kind: String,
    object_attributes: Option<Attributes>,
    project: Option<ProjectOf>,
    source_pipeline: Option<serde_json::Value>,
    #[serde(default)]
    builds: Vec<Build>,
}

#[derive(Deserialize)]
struct Attributes {
    id: u64,
    source: Option<String>,
    status: Option<String>,
    sha: Option<String>,
    url: Option<String>,
    #[serde(default)]
    variables: Vec<Variable>,
}

#[derive(Deserialize)]
struct Variable {
    key: String,
    #[serde(default)]
    value: String,
}

#[derive(Deserialize)]
struct ProjectOf {
    id: u64,
    path_with_namespace: String,
    #[serde(default)]
    web_url: String,
}

#[derive(Deserialize)]
struct Build {
    id: u64,
    #[serde(default)]
    name: String,
    #[serde(default)]
    stage: String,
    #[serde(default)]
    status: String,
    failure_reason: Option<String>,
    #[serde(default)]
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
        let Hook::Progress(progress) = read(&hook("failed", "trigger", "")).unwrap() else { panic!("nothing") };
        assert_eq!(progress.pipeline.external_id(), "gl_1_31");
        assert_eq!(progress.claim.unwrap().run_id, "r_1");
        let names: Vec<_> = progress.failed_jobs.iter().map(|job| (job.name.as_str(), job.url.as_str())).collect();
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
            assert!(matches!(read(&text), Ok(Hook::Nothing(_))), "{text}");
        }
        assert!(read("nonsense").is_err());
    }
}
