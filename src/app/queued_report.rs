//! Reports that Glint could not take in time: they wait on the queue, in their run's group.

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::context::Context;
use super::start_run::from_glint_error;
use super::verify_delivery::QueuedReport;
use crate::aws::queue_message::{self, REPORT};
use crate::aws::sqs::Message;
use crate::deadlines::ENQUEUE_RESERVE;
use crate::gitlab::types::Pipeline;
use crate::glint::GlintError;
use crate::glint::run::{RunId, RunReport, RunRequest, RunStatus};
use crate::outcome::{Handled, Outcome};
use crate::retry::Retry as _;

impl Context {
    /// Freshness a report that Glint has not taken goes to the queue, where there is one.
    fn report_deadline(&self) -> Instant {
        let last = self.call_deadline();
        if self.app.queue.is_some() { last.checked_sub(ENQUEUE_RESERVE).unwrap_or(last) } else { last }
    }

    /// Queues what Glint should be told of `run`. Whether that worked.
    async fn queue_report(&self, run: &RunRequest, report: RunReport) -> bool {
        let Some(queue) = self.app.queue.as_ref() else { return false };
        let message = Message {
            body: queue_message::write_report(&run.id, &report),
            group: run.id.to_string(),
            deduplication: deduplication(&run.id),
            attributes: Vec::new(),
        };
        let Ok(message) = self.sign_message(REPORT, message).await else { return false };
        queue.send(&message, self.call_deadline()).await.is_ok()
    }

    /// Links the run with its pipeline, and logs it beside that.
    pub async fn reported(&self, run: &RunRequest, pipeline: Pipeline) -> Outcome {
        let started = Outcome::Started(pipeline.clone());
        let Some(mut report) = started.report(false) else { return started };
        let by = self.report_deadline();
        let line = report.log.clone().unwrap_or_default();
        // What Glint shows of the run need not be held while the log line is on its way.
        let link = timeout_at(by, async {
            self.glint(self.app.glint.patch(&run.id, &report.update, self.freshness())).await.map(drop)
        });
        let log = timeout_at(by, self.glint(self.app.glint.log(&run.id, &line, self.freshness())));
        let (linked, logged) = tokio::join!(link, log);
        if let Ok(Ok(_)) = linked {
            return started;
        }
        // What the run's log has already need not be there twice.
        report.log = report.log.filter(|_| !matches!(logged, Ok(Ok(()))));
        let queued = self.queue_report(run, report).await;
        Outcome::Unreported { pipeline, queued }
    }

    /// Tells Glint now, or has the queue do so later. Fails where neither works.
    pub async fn report_or_enqueue(
        &self,
        run: &RunRequest,
        report: Option<RunReport>,
        synchronized: bool,
    ) -> Result<(), GlintError> {
        let now = timeout_at(self.report_deadline(), self.told(&run.id, report.clone(), synchronized)).await;
        let Err(error) = now.unwrap_or_else(|_| Err(GlintError::out_of_time())) else { return Ok(()) };
        let queueable = report.filter(|_| !synchronized && matches!(error, GlintError::Unavailable { .. }));
        let queued = if let Some(report) = queueable { self.queue_report(run, report).await } else { false };
        if queued { Ok(()) } else { Err(error) }
    }

    /// Tells Glint what it could not be told before. A run that has ended meanwhile is left as it is.
    pub async fn report(&self, queued: QueuedReport) -> Handled {
        let told = async {
            let state = self.glint(self.app.glint.run(&queued.run_id, self.freshness())).await?;
            if state.status == RunStatus::Ended {
                return Ok(Outcome::Duplicate);
            }
            let mut report = queued.report;
            if state.is_linked() && report.update.status.is_none() {
                // A hook was faster, and its label is newer.
                report.update.status_label = None;
            }
            self.told(&queued.run_id, Some(report), state.synchronized).await?;
            Ok(Outcome::Ignored("Glint was told what it could not be told before"))
        };
        let outcome = told.await.unwrap_or_else(from_glint_error);
        Handled::new(Some(queued.run_id), outcome)
    }
}

/// `<run id>.report`, or its digest where that is longer than SQS takes.
fn deduplication(run: &RunId) -> String {
    const MAX_LENGTH: usize = 128;
    let id = format!("{run}.report");
    if id.len() <= MAX_LENGTH { id } else { Sha256::digest(&id).iter().map(|byte| format!("{byte:02x}")).collect() }
}
