//! The body of a hook of GitLab, which a project's maintainer may write as they like.

use super::{GITLAB, assert_sentence, assert_shown};
use crate::aws::queue_message::{read_hook, write_hook};
use crate::gitlab::types::{Job, PipelineEvent, PipelineStatus};
use crate::gitlab::webhook::{self, Hook};
use crate::outcome::Outcome;

/// More than the largest event comes to on the queue.
const MAX_EVENT_BYTES: usize = 100_000;

/// A hook that is read has short fields of one line, links to its own pipeline alone, and comes back from the queue as it was put on it.
pub fn hook(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(token) = webhook::run_proof(text) {
        assert!(token.run_id.len() <= 128 && token.proof.len() <= 256);
    }
    match webhook::parse(text, GITLAB) {
        Ok(Hook::PipelineEvent(event)) => judge(*event),
        Ok(Hook::Nothing(why)) => assert_sentence(why),
        Err(why) => assert_sentence(&why),
    }
}

fn judge(event: PipelineEvent) {
    assert_capped(&event.project, 1024);
    assert!(
        event.sha.as_ref().is_none_or(|sha| sha.len() <= 64 && sha.bytes().all(|byte| byte.is_ascii_hexdigit())),
        "{:?}",
        event.sha
    );
    let (url, id) = (&event.pipeline.url, event.pipeline.id);
    assert_capped(url, 2048);
    let is_page = url.to_ascii_lowercase().ends_with(&format!("/-/pipelines/{id}"));
    assert!(is_page && (url.starts_with("https://") || url.starts_with("http://")), "{url:?}");
    assert!(event.pipeline.project_id.is_some() && event.status != PipelineStatus::Deleted);
    assert!(event.failed_jobs.len() <= 21 && event.manual_jobs.len() <= 21);
    for job in event.failed_jobs.iter().chain(&event.manual_jobs) {
        judge_job(&event, job);
    }
    if let Some(token) = &event.run_proof {
        assert!(token.run_id.len() <= 128 && token.proof.len() <= 256);
    }
    let queued = write_hook(&event);
    assert!(queued.len() <= MAX_EVENT_BYTES, "{} bytes", queued.len());
    assert_eq!(read_hook(&queued).as_ref(), Ok(&event));
    let event = Box::new(event);
    assert_shown(if event.status.is_final() { Outcome::Finished(event) } else { Outcome::Progressed(event) });
}

fn judge_job(event: &PipelineEvent, job: &Job) {
    let texts = [Some(&job.name), Some(&job.stage), job.reason.as_ref()];
    texts.into_iter().flatten().for_each(|text| assert_capped(text, 255));
    let page = event.pipeline.job_url(job.id);
    assert!(page.ends_with(&format!("/-/jobs/{}", job.id)) && page.len() <= 2048 + 32, "{page}");
}

fn assert_capped(text: &str, most: usize) {
    assert!(text.len() <= most, "{} bytes: {text:?}", text.len());
    assert!(!text.contains(char::is_control), "{text:?}");
}
