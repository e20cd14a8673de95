//! Reports that Glint could not take in time: they wait on the queue, in their run's group.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout_at};

use super::journey::Journey;
use super::prove::Report;
use super::start::of_glint;
use crate::event::{KIND, KIND_REPORT};
use crate::glint::GlintError;
use crate::outcome::{Outcome, Verdict};
use crate::pipeline::Pipeline;
use crate::queue::Message;
use crate::retry::Retry as _;
use crate::run::{Run, RunId, Status, Telling};

impl Journey {
    /// When a report that Glint has not taken goes to the queue, where there is one.
    fn report_by(&self) -> Instant {
        const QUEUEING: Duration = Duration::from_millis(1500);
        let last = self.last_call();
        if self.app.queue.is_some() { last.checked_sub(QUEUEING).unwrap_or(last) } else { last }
    }

    /// Queues what Glint should be told of `run`. Whether that worked.
    async fn queue_report(&self, run: &Run, telling: Telling) -> bool {
        let Some(queue) = self.app.queue.as_ref() else { return false };
        let report = Report { run_id: run.id.clone(), telling };
        let Ok(body) = serde_json::to_string(&report) else { return false };
        let message = Message {
            body,
            group: run.id.to_string(),
            deduplication: deduplication(&run.id),
            attributes: vec![(KIND, KIND_REPORT.to_owned())],
        };
        queue.send(&message, self.last_call()).await.is_ok()
    }

    /// Links the run with its pipeline, and logs it beside that.
    pub async fn reported(&self, run: &Run, pipeline: Pipeline) -> Outcome {
        let started = Outcome::Started(pipeline.clone());
        let Some(mut telling) = started.telling(false) else { return started };
        let by = self.report_by();
        let line = telling.log.clone().unwrap_or_default();
        // What Glint shows of the run need not be held while the log line is on its way.
        let link = timeout_at(by, async { self.update(&run.id, &telling.update).await.map(drop) });
        let log = timeout_at(by, self.log(&run.id, &line));
        let (linked, logged) = tokio::join!(link, log);
        if let Ok(Ok(_)) = linked {
            return started;
        }
        // What the run's log has already need not be there twice.
        telling.log = telling.log.filter(|_| !matches!(logged, Ok(Ok(()))));
        let queued = self.queue_report(run, telling).await;
        Outcome::Unreported { pipeline, queued }
    }

    /// Tells Glint now, or has the queue do so later. Fails where neither works.
    pub async fn told_or_queued(
        &self,
        run: &Run,
        telling: Option<Telling>,
        synchronized: bool,
    ) -> Result<(), GlintError> {
        let now = timeout_at(self.report_by(), self.told(&run.id, telling.clone(), synchronized)).await;
        let Err(error) = now.unwrap_or_else(|_| Err(GlintError::out_of_time())) else { return Ok(()) };
        let queueable = telling.filter(|_| !synchronized && matches!(error, GlintError::Unavailable { .. }));
        let queued = if let Some(telling) = queueable { self.queue_report(run, telling).await } else { false };
        if queued { Ok(()) } else { Err(error) }
    }

    /// Tells Glint what it could not be told before. A run that has ended meanwhile is left as it is.
    pub async fn report(&self, report: Report) -> Verdict {
        let told = async {
            let standing = self.run(&report.run_id).await?;
            if standing.status == Status::Ended {
                return Ok(Outcome::Duplicate);
            }
            let mut telling = report.telling;
            if standing.is_linked() && telling.update.status.is_none() {
                // A hook was faster, and its label is newer.
                telling.update.status_label = None;
            }
            self.told(&report.run_id, Some(telling), standing.synchronized).await?;
            Ok(Outcome::Ignored("Glint was told what it could not be told before"))
        };
        let outcome = told.await.unwrap_or_else(of_glint);
        Verdict::new(Some(report.run_id), outcome)
    }
}

/// `<run id>.report`, or its digest where that is longer than SQS takes.
fn deduplication(run: &RunId) -> String {
    const LONGEST: usize = 128;
    let id = format!("{run}.report");
    if id.len() <= LONGEST { id } else { Sha256::digest(&id).iter().map(|byte| format!("{byte:02x}")).collect() }
}
