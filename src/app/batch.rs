//! All deliveries of an invocation at once, those of one run one after the other.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt as _, select_all};
use tokio::time::{Instant, timeout_at};

use super::context::Context;
use super::log_outcome::LogFields;
use super::verify_delivery::Task;
use crate::glint::run::RunId;
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::source::{Delivery, DeliveryMetadata};
use crate::telemetry::Metric;

/// A delivery's place in its batch.
type Place = usize;

/// What is to be done for one run, in the order of its deliveries.
type Group = Vec<(Place, Task, DeliveryMetadata)>;

impl Context {
    /// Takes every delivery as far as it goes before the deadline. The handled are in the order of the deliveries,
    /// each with the source's id for it; a delivery that has none by then comes again.
    pub async fn deliver(&self, deliveries: Vec<Delivery>) -> Vec<(Option<String>, Handled)> {
        let ids: Vec<Option<String>> = deliveries.iter().map(|delivery| delivery.metadata.id.clone()).collect();
        let mut results: Vec<Option<Handled>> = ids.iter().map(|_| None).collect();
        let groups = self.proven_groups(deliveries, &mut results).await;
        let mut done = select_all(groups.into_iter().map(|group| Box::pin(self.one_after_the_other(group))));
        while let Ok(Some((place, handled))) = timeout_at(self.response_deadline(), done.next()).await {
            results[place] = Some(handled);
        }
        // What still runs ends here: it must not go on in the next invocation, while its delivery comes again.
        drop(done);
        let response_deadline =
            |id: &Option<String>| self.log_outcome(deferred(None, CUT_OFF), Instant::now(), &LogFields::message(id));
        let or_cut_off = |(id, handled): (_, Option<Handled>)| {
            let handled = handled.unwrap_or_else(|| response_deadline(&id));
            (id, handled)
        };
        ids.into_iter().zip(results).map(or_cut_off).collect()
    }

    /// Proves all deliveries and groups what is left to do by run, each group in the order of its deliveries.
    async fn proven_groups(&self, deliveries: Vec<Delivery>, results: &mut [Option<Handled>]) -> Vec<Group> {
        let proven = |(place, delivery): (Place, Delivery)| async move {
            let fields = LogFields::delivery(&delivery.metadata, None);
            (place, fields, caught(self.verify_delivery(delivery)).await)
        };
        let mut proving: FuturesUnordered<_> = deliveries.into_iter().enumerate().map(proven).collect();
        let mut tasks = Vec::new();
        while let Ok(Some((place, fields, proven))) = timeout_at(self.response_deadline(), proving.next()).await {
            let handled = match proven {
                Ok((Ok(task), metadata)) => {
                    tasks.push((place, task, metadata));
                    continue;
                }
                Ok((Err(outcome), _)) => Handled::new(None, outcome),
                Err(Panicked) => self.panicked(None),
            };
            results[place] = Some(self.log_outcome(handled, Instant::now(), &fields));
        }
        tasks.sort_by_key(|(place, ..)| *place);
        let mut groups: Vec<Group> = Vec::new();
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

    /// Does the tasks of one run in order. After the first that must come again, so must the rest: the queue keeps
    /// their order too.
    fn one_after_the_other(&self, group: Group) -> impl Stream<Item = (Place, Handled)> {
        stream::unfold((group.into_iter(), false), async move |(mut rest, blocked)| {
            let (place, task, metadata) = rest.next()?;
            let (started, fields) = (Instant::now(), LogFields::delivery(&metadata, Some(&task)));
            let run_id = task.run_id().cloned();
            let handled = if blocked {
                deferred(run_id, BLOCKED)
            } else {
                // Boxed: the stream copies a step into its place when it begins, and this one has kilobytes.
                caught(Box::pin(self.done(task, &metadata))).await.unwrap_or_else(|Panicked| self.panicked(run_id))
            };
            let again = handled.should_redeliver();
            Some(((place, self.log_outcome(handled, started, &fields)), (rest, again)))
        })
    }

    fn panicked(&self, run_id: Option<RunId>) -> Handled {
        self.metrics.count(Metric::Panics);
        deferred(run_id, PANICKED)
    }
}

/// A panic, which was printed where it happened.
struct Panicked;

/// Awaits `work`, so that a panic in it is no panic of its neighbours.
async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    // What it was doing is given up as a whole, and all that it shares with others is behind locks.
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| Panicked)
}

const CUT_OFF: &str = "the invocation ended before the delivery was done";
const BLOCKED: &str = "an earlier delivery of the same run must come again first";
const PANICKED: &str = "an internal error, which the function's log shows";

fn deferred(run_id: Option<RunId>, why: &str) -> Handled {
    Handled::new(run_id, Outcome::Deferred(RetryLater::new(why)))
}
