//! A dead letter ends its run, so that none stays in progress for ever.

use super::journey::Journey;
use super::prove::Task;
use super::start::of_glint;
use crate::outcome::{Deferral, Doubt, Outcome, Verdict};
use crate::run::{Run, Status};
use crate::telemetry::Metric;
use crate::words;

impl Journey {
    /// Ends the run of a message that failed too often, or does what else it asked for one last time.
    pub async fn end_dead_letter(&self, task: Task) -> Verdict {
        match task {
            Task::Start { run, .. } => self.end_dead_run(&run).await,
            Task::Follow(progress) => self.follow(&progress).await,
            Task::Report(report) => self.report(report).await,
        }
    }

    async fn end_dead_run(&self, run: &Run) -> Verdict {
        let verdict = |outcome| Verdict::new(Some(run.id.clone()), outcome);
        let standing = match self.run(&run.id).await {
            Ok(standing) => standing,
            Err(error) => return verdict(of_glint(error)),
        };
        let linked = standing.link.is_some() || standing.external_id.is_some();
        if standing.status == Status::Ended || linked {
            return verdict(Outcome::Duplicate);
        }
        let label = standing.label.as_deref().unwrap_or_default();
        if !words::is_open(label) && !words::is_claim(label) {
            return verdict(Outcome::Ignored("the dead letter's run bears a label that its pipeline may have set"));
        }
        let outcome = if words::is_claim(label) {
            Outcome::Unconfirmed(Doubt {
                why: "GitLab never confirmed the pipeline".to_owned(),
                project_url: self.project_page(run),
                foreign_label: false,
            })
        } else {
            Outcome::Deferred(Deferral::new("the message failed too often and was set aside"))
        };
        match self.told(&run.id, outcome.telling(true), run.synchronized || standing.synchronized).await {
            Ok(_) => {
                self.metrics.count(Metric::RunsDeadLettered);
                Verdict { gave_up: true, ..verdict(outcome) }
            }
            Err(error) => verdict(of_glint(error)),
        }
    }

    fn project_page(&self, run: &Run) -> String {
        let request = run.request.as_ref().ok();
        let path =
            request.and_then(|request| Some(format!("{}/{}", request.group.as_ref()?, request.project.as_ref()?)));
        path.map_or_else(|| "the project".to_owned(), |path| self.app.gitlab.project_url(&path))
    }
}
