//! Parses GitLab's pipeline hook into a [`PipelineEvent`].
//!
//! A hook may have megabytes. It is read once, in place, and no more of it is kept than the event holds.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::jobs::Jobs;
use super::text::{Lenient, Number, Text, others_are_default, parse_time, passes_over_lists, passes_over_objects};
use crate::gitlab::types::{Pipeline, PipelineEvent, PipelineStatus, RunProof, pipeline_page};

/// What a hook's body turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Hook {
    PipelineEvent(Box<PipelineEvent>),
    /// Nothing that moves a run: another event, a child pipeline, a status between the statuses.
    Nothing(&'static str),
}

/// Reads the body of a hook of the GitLab at `base_url`. The error says why it is no JSON that GitLab sends.
pub fn parse(text: &str, base_url: &str) -> Result<Hook, String> {
    // The parser would take a list for the object's members in their order.
    if !text.trim_start().starts_with('{') {
        return Err("the hook's body is not a JSON object".to_owned());
    }
    let body: Body = serde_json::from_str(text).map_err(|error| format!("the hook's body cannot be read: {error}"))?;
    if &*body.object_kind != "pipeline" {
        return Ok(Hook::Nothing("it tells of no pipeline"));
    }
    let (Some(attributes), Some(project)) = (body.object_attributes.0, body.project.0) else {
        return Err("the hook's body has no `object_attributes` or no `project`".to_owned());
    };
    let (Some(id), Some(project_id)) = (attributes.id.0, project.id.0) else {
        return Err("the hook's body does not number its pipeline and its project".to_owned());
    };
    if body.source_pipeline.is_some() || &*attributes.source != "trigger" {
        return Ok(Hook::Nothing("no trigger token started the pipeline"));
    }
    let Jobs { failed, manual, moved_at, manual_job_has_started } = body.builds;
    let has_manual_jobs = !manual.is_empty();
    let Some(status) = PipelineStatus::parse(&attributes.status) else {
        return Ok(Hook::Nothing("the pipeline is between two statuses"));
    };
    let status = status.with_manual_jobs(has_manual_jobs);
    let path = &*project.path_with_namespace;
    Ok(Hook::PipelineEvent(Box::new(PipelineEvent {
        pipeline: Pipeline {
            id,
            project_id: Some(project_id),
            url: pipeline_page(&attributes.url, base_url, path, id),
        },
        project: path.to_owned(),
        status,
        sha: attributes.sha.into_option().filter(|sha| sha.bytes().all(|byte| byte.is_ascii_hexdigit())),
        finished_at: parse_time(&attributes.finished_at),
        moved_at,
        manual_job_has_started,
        failed_jobs: if matches!(status, PipelineStatus::Failed | PipelineStatus::Manual) {
            failed.into_jobs()
        } else {
            Vec::new()
        },
        manual_jobs: if status == PipelineStatus::Manual { manual.into_jobs() } else { Vec::new() },
        run_proof: attributes.variables.0,
    })))
}

/// The run that a `TRIGGER_PAYLOAD` names. `None` where it names none, or was not made here.
pub fn run_proof(trigger_payload: &str) -> Option<RunProof> {
    #[derive(Deserialize)]
    struct Payload {
        glint: RunProof,
    }
    let token = serde_json::from_str::<Payload>(trigger_payload).ok()?.glint;
    (token.run_id.len() <= MAX_RUN_ID_BYTES && token.proof.len() <= MAX_PROOF_BYTES).then_some(token)
}

const MAX_RUN_ID_BYTES: usize = 128;
const MAX_PROOF_BYTES: usize = 256;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    object_kind: Text<64>,
    #[serde(default)]
    object_attributes: Lenient<Attributes>,
    #[serde(default)]
    project: Lenient<ProjectOf>,
    source_pipeline: Option<IgnoredAny>,
    #[serde(default)]
    builds: Jobs,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default)]
    id: Number,
    #[serde(default)]
    source: Text<64>,
    #[serde(default)]
    status: Text<64>,
    #[serde(default)]
    sha: Text<64>,
    #[serde(default)]
    url: Text<2048>,
    #[serde(default)]
    finished_at: Text<64>,
    #[serde(default)]
    variables: TriggerPayload,
}

#[derive(Deserialize)]
struct ProjectOf {
    #[serde(default)]
    id: Number,
    #[serde(default)]
    path_with_namespace: Text<1024>,
}

/// Of a list of variables, the run that its `TRIGGER_PAYLOAD` names.
#[derive(Default)]
struct TriggerPayload(Option<RunProof>);

impl<'de> Deserialize<'de> for TriggerPayload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = TriggerPayload;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
            passes_over_objects!();

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                #[derive(Deserialize)]
                struct Variable {
                    #[serde(default)]
                    key: Text<64>,
                    #[serde(default)]
                    value: Value,
                }
                let mut found = None;
                while let Some(variable) = list.next_element::<Lenient<Variable>>()? {
                    if let Some(Variable { key, value }) = variable.0
                        && &*key == "TRIGGER_PAYLOAD"
                        && found.is_none()
                    {
                        found = value.0;
                    }
                }
                Ok(TriggerPayload(found))
            }
        }

        deserializer.deserialize_any(List)
    }
}

/// A variable's value, of which only the run that it may name is kept: its key may come after it.
#[derive(Default)]
struct Value(Option<RunProof>);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Payload;

        impl<'de> Visitor<'de> for Payload {
            type Value = Value;

            others_are_default!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
            passes_over_lists!();
            passes_over_objects!();

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Value(run_proof(text)))
            }
        }

        deserializer.deserialize_any(Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://gitlab.example.com";

    fn hook(status: &str, source: &str, extra: &str) -> String {
        format!(
            r#"{{"object_kind":"pipeline","object_attributes":{{"id":31,"source":"{source}","status":"{status}","sha":"bc","url":"https://gitlab.example.com/g/p/-/pipelines/31","variables":[{{"key":"TRIGGER_PAYLOAD","value":"{{\"glint\":{{\"runId\":\"r_1\",\"proof\":\"v1,x\"}}}}"}}]}},"project":{{"id":1,"path_with_namespace":"g/p","web_url":"https://gitlab.example.com/g/p"}},"builds":[{{"id":9,"name":"deploy","stage":"deploy","status":"failed","failure_reason":"script_failure"}},{{"id":8,"name":"lint","stage":"test","status":"failed","allow_failure":true}}]{extra}}}"#
        )
    }

    fn event(text: &str) -> PipelineEvent {
        match parse(text, BASE).unwrap() {
            Hook::PipelineEvent(event) => *event,
            Hook::Nothing(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_final_hook_names_the_failed_jobs_and_the_claimed_run() {
        let event = event(&hook("failed", "trigger", ""));
        assert_eq!(event.pipeline.external_id().as_deref(), Some("gl_1_31"));
        assert_eq!(event.pipeline.job_url(event.failed_jobs[0].id), "https://gitlab.example.com/g/p/-/jobs/9");
        assert_eq!(event.failed_jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["deploy"]);
        let token = event.run_proof.unwrap();
        assert_eq!((token.run_id.as_str(), token.report_pipeline_status), ("r_1", true));
    }

    #[test]
    fn what_moves_no_run_is_nothing() {
        for text in [
            hook("success", "push", ""),
            hook("success", "trigger", r#","source_pipeline":{"pipeline_id":30}"#),
            hook("canceling", "trigger", ""),
            r#"{"object_kind":"push"}"#.to_owned(),
            r#"{"object_kind":"issue","object_attributes":{"id":"x"},"project":7,"builds":{"a":[]}}"#.to_owned(),
        ] {
            assert!(matches!(parse(&text, BASE), Ok(Hook::Nothing(_))), "{text}");
        }
        for text in [
            "nonsense",
            r#"{"object_kind":"pipeline"}"#,
            r#"{"object_kind":"pipeline","object_attributes":{},"project":{}}"#,
        ] {
            assert!(parse(text, BASE).is_err(), "{text}");
        }
    }

    #[test]
    fn skipped_with_a_manual_job_waits_for_it_and_blocking_jobs_come_first() {
        let builds = r#"[{"id":7,"name":"optional","status":"manual","allow_failure":true,"manual":true},{"id":9,"name":"approve","status":"manual","manual":true}]"#;
        for status in ["manual", "skipped"] {
            let text = hook(status, "trigger", "").replace(r#""builds":["#, &format!(r#""builds":{builds},"old":["#));
            let event = event(&text);
            assert_eq!(event.status, PipelineStatus::Manual);
            assert_eq!(event.manual_jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [9, 7]);
            assert_eq!(event.manual_job_has_started, None);
        }
        assert_eq!(event(&hook("skipped", "trigger", "")).status, PipelineStatus::Skipped);
    }

    #[test]
    fn a_huge_hook_leaves_a_small_event() {
        let long = "x".repeat(100_000);
        let builds: Vec<String> = (1..=500)
            .map(|id| {
                format!(r#"{{"id":{id},"name":"{long}","stage":"{long}","status":"failed","failure_reason":"{long}"}}"#)
            })
            .collect();
        let text = hook("failed", "trigger", "")
            .replace(r#""builds":["#, &format!(r#""builds":[{}],"old":["#, builds.join(",")))
            .replace(r#""sha":"bc""#, &format!(r#""sha":"{long}""#))
            .replace(r#""path_with_namespace":"g/p""#, &format!(r#""path_with_namespace":"{long}""#))
            .replace("pipelines/31", &format!("pipelines/31{long}"));
        let kept = serde_json::to_string(&event(&text)).unwrap();
        assert!(kept.len() < 20_000, "{} bytes", kept.len());
    }

    #[test]
    fn a_body_of_another_kind_is_told_in_our_own_words() {
        for text in ["", "[]", "[1,2,3]", "\"x\"", "7", "null"] {
            assert_eq!(parse(text, BASE), Err("the hook's body is not a JSON object".to_owned()), "{text}");
        }
    }
}
