//! All deliveries of an invocation at once, those of one run one after the other.

use std::collections::HashMap;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::journey::Journey;
use super::prove::Task;
use crate::event::{Delivery, Terms};
use crate::outcome::{Deferral, Outcome, Verdict};
use crate::telemetry::Metric;

/// A delivery's place in its batch.
type Place = usize;

impl Journey {
    /// Takes every delivery as far as it goes before the deadline. The verdicts are in the order of the deliveries, each with the source's
    /// id for it; one that is missing in the end, because its task panicked or was cut off, comes again.
    pub async fn deliver(&self, deliveries: Vec<Delivery>) -> Vec<(Option<String>, Verdict)> {
        let ids: Vec<Option<String>> = deliveries.iter().map(|delivery| delivery.terms.id.clone()).collect();
        let mut verdicts: Vec<Option<Verdict>> = ids.iter().map(|_| None).collect();
        let groups = self.proven_groups(deliveries, &mut verdicts).await;
        let mut running: JoinSet<Vec<(Place, Verdict)>> = JoinSet::new();
        for group in groups {
            let journey = self.clone();
            running.spawn(async move { journey.one_after_the_other(group).await });
        }
        while let Ok(Some(done)) = timeout_at(self.cut_off(), running.join_next()).await {
            for (place, verdict) in done.unwrap_or_default() {
                verdicts[place] = Some(verdict);
            }
        }
        let missing = || {
            Verdict::new(None, Outcome::Deferred(Deferral::new("the invocation ended before the delivery was done")))
        };
        let verdicts =
            verdicts.into_iter().map(|verdict| verdict.unwrap_or_else(|| self.noted(missing(), Instant::now(), None)));
        ids.into_iter().zip(verdicts).collect()
    }

    /// Proves all deliveries and groups what is left to do by run, each group in the order of its deliveries.
    async fn proven_groups(
        &self,
        deliveries: Vec<Delivery>,
        verdicts: &mut [Option<Verdict>],
    ) -> Vec<Vec<(Place, Task, Terms)>> {
        let mut proving = JoinSet::new();
        for (place, delivery) in deliveries.into_iter().enumerate() {
            let journey = self.clone();
            proving.spawn(async move { (place, journey.proven(delivery).await) });
        }
        let mut tasks = Vec::new();
        while let Ok(Some(proven)) = timeout_at(self.cut_off(), proving.join_next()).await {
            match proven {
                Ok((place, (Ok(task), terms))) => tasks.push((place, task, terms)),
                Ok((place, (Err(outcome), terms))) => {
                    verdicts[place] = Some(self.noted(Verdict::new(None, outcome), Instant::now(), Some(&terms)));
                }
                Err(_) => self.metrics.count(Metric::Panics),
            }
        }
        tasks.sort_by_key(|(place, ..)| *place);
        let mut groups: Vec<Vec<(Place, Task, Terms)>> = Vec::new();
        let mut group_of: HashMap<String, usize> = HashMap::new();
        for task in tasks {
            let index = *group_of.entry(task.1.key()).or_insert(groups.len());
            if index == groups.len() {
                groups.push(Vec::new());
            }
            groups[index].push(task);
        }
        groups
    }

    /// Does the tasks of one run in order. After the first that must come again, so must the rest: the queue keeps their order too.
    async fn one_after_the_other(&self, group: Vec<(Place, Task, Terms)>) -> Vec<(Place, Verdict)> {
        let mut done: Vec<(Place, Verdict)> = Vec::with_capacity(group.len());
        for (place, task, terms) in group {
            let run_id = task.run_id().cloned();
            let blocked = done.last().is_some_and(|(_, verdict)| verdict.again());
            let verdict = if blocked {
                let waits =
                    Outcome::Deferred(Deferral::new("an earlier delivery of the same run must come again first"));
                self.noted(Verdict::new(run_id, waits), Instant::now(), Some(&terms))
            } else {
                let (journey, its_terms, started) = (self.clone(), terms.clone(), Instant::now());
                // A task of its own, so that a panic in it is no panic of its neighbours.
                let verdict =
                    tokio::spawn(async move { journey.done(task, &its_terms).await }).await.unwrap_or_else(|_| {
                        self.metrics.count(Metric::Panics);
                        Verdict::new(
                            run_id,
                            Outcome::Deferred(Deferral::new("an internal error, which the function's log shows")),
                        )
                    });
                self.noted(verdict, started, Some(&terms))
            };
            done.push((place, verdict));
        }
        done
    }

    /// Counts and logs a verdict: the one line that says what became of a delivery.
    fn noted(&self, verdict: Verdict, started: Instant, terms: Option<&Terms>) -> Verdict {
        use crate::event::Redelivery;
        self.metrics.count(Metric::of(&verdict.outcome));
        if verdict.gave_up {
            self.metrics.count(Metric::RunsGivenUp);
        }
        let run_id = verdict.run_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let pipeline = verdict.outcome.pipeline();
        let (reason, hint) = verdict.outcome.reason().unwrap_or_default();
        let attempt = match terms.map(|terms| terms.redelivery) {
            Some(Redelivery::Counted { receives }) => receives,
            _ => 1,
        };
        let subject = if run_id.is_empty() { "a delivery".to_owned() } else { format!("run `{run_id}`") };
        let reason =
            if reason.is_empty() { pipeline.map(|pipeline| pipeline.url.clone()).unwrap_or_default() } else { reason };
        let separator = if reason.is_empty() { "" } else { ": " };
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        let words = format!("{subject} is {}{separator}{reason}{hint}", verdict.outcome.name().to_lowercase());
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    run_id,
                    outcome = verdict.outcome.name(),
                    pipeline_id = pipeline.map(|pipeline| pipeline.id),
                    message_id = terms.and_then(|terms| terms.id.as_deref()),
                    again = verdict.again(),
                    attempt,
                    duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                    "{words}"
                )
            };
        }
        match &verdict.outcome {
            Outcome::Unreported { .. } | Outcome::Unconfirmed(_) => line!(error),
            Outcome::Refused(_)
            | Outcome::Rejected(_)
            | Outcome::Deferred(_)
            | Outcome::Unreadable { .. }
            | Outcome::Unproven(_) => line!(warn),
            _ => line!(info),
        }
        verdict
    }
}
