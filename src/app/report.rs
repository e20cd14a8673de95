//! Reports that Glint could not take in time: they wait on the queue, in their run's group.

use super::journey::Journey;
use super::prove::Report;
use super::start::of_glint;
use crate::event::{KIND, KIND_REPORT};
use crate::outcome::{Outcome, Verdict};
use crate::queue::Message;
use crate::run::{Run, Telling};

impl Journey {
    /// Queues what Glint should be told of `run`. Whether that worked.
    pub async fn queue_report(&self, run: &Run, telling: Telling) -> bool {
        let Some(queue) = self.app.queue.as_ref() else { return false };
        let report = Report { run_id: run.id.clone(), telling };
        let Ok(body) = serde_json::to_string(&report) else { return false };
        let message = Message {
            body,
            group: run.id.to_string(),
            deduplication: format!("{}.report", run.id),
            attributes: vec![(KIND, KIND_REPORT.to_owned())],
        };
        queue.send(&message, self.last_call()).await.is_ok()
    }

    /// Tells Glint what it could not be told before. A run that has ended meanwhile is left as it is.
    pub async fn report(&self, report: Report) -> Verdict {
        let outcome = match self.told(&report.run_id, Some(report.telling), false).await {
            Ok(_) => Outcome::Ignored("Glint was told what it could not be told before"),
            Err(error) => of_glint(error),
        };
        Verdict::new(Some(report.run_id), outcome)
    }
}
