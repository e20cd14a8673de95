//! Handles all deliveries of an invocation concurrently, those of one run one after the other.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use futures_util::stream::{self, FuturesUnordered, Stream, StreamExt as _, select_all};
use futures_util::{FutureExt as _, TryFutureExt as _};
use tokio::time::{Instant, timeout_at};

use super::context::Context;
use super::log_outcome::{LogFields, log_outcome};
use super::verify_delivery::{Task, verify_delivery};
use crate::glint::run::RunId;
use crate::outcome::{Handled, Outcome, RetryLater};
use crate::source::{Delivery, DeliveryMetadata};
use crate::telemetry::Metric;

/// A delivery's position in its batch.
type Position = usize;

/// What is to be done for one run, in the order of its deliveries.
type Group = Vec<(Position, Task, DeliveryMetadata)>;

/// Handles every delivery as far as it gets before the deadline, each task of a verified one with `handle`. The handled are in the order of the
/// deliveries, each with the source's id for it; a delivery that has none by then is delivered again.
pub async fn handle_all<F: Future<Output = Handled>>(
    context: &Context,
    deliveries: Vec<Delivery>,
    handle: impl Fn(Task, DeliveryMetadata) -> F,
) -> Vec<(Option<String>, Handled)> {
    let fields: Vec<LogFields> =
        deliveries.iter().map(|delivery| LogFields::delivery(&delivery.metadata, None)).collect();
    let ids: Vec<Option<String>> = deliveries.iter().map(|delivery| delivery.metadata.id.clone()).collect();
    let mut results: Vec<Option<Handled>> = ids.iter().map(|_| None).collect();
    let groups = verified_groups(context, deliveries, &fields, &mut results).await;
    let mut done = select_all(groups.into_iter().map(|group| Box::pin(handle_group(context, group, &handle))));
    while let Ok(Some((position, handled))) = timeout_at(context.response_deadline(), done.next()).await {
        results[position] = Some(handled);
    }
    // Cancels what still runs: it must not continue in the next invocation while its delivery is redelivered.
    drop(done);
    let or_cut_off = |((id, fields), handled): ((_, LogFields), Option<Handled>)| {
        let cut_off = || log_outcome(context, deferred(None, CUT_OFF), Instant::now(), &fields);
        (id, handled.unwrap_or_else(cut_off))
    };
    ids.into_iter().zip(fields).zip(results).map(or_cut_off).collect()
}

/// Verifies all deliveries and groups what is left to do by run, each group in the order of its deliveries.
async fn verified_groups(
    context: &Context,
    deliveries: Vec<Delivery>,
    fields: &[LogFields],
    results: &mut [Option<Handled>],
) -> Vec<Group> {
    let verified = |(position, delivery): (Position, Delivery)| async move {
        (position, catch_panic(verify_delivery(context, delivery)).await)
    };
    let mut verifying: FuturesUnordered<_> = deliveries.into_iter().enumerate().map(verified).collect();
    let mut tasks = Vec::new();
    while let Ok(Some((position, verified))) = timeout_at(context.response_deadline(), verifying.next()).await {
        let handled = match verified {
            Ok((Ok(task), metadata)) => {
                tasks.push((position, task, metadata));
                continue;
            }
            Ok((Err(outcome), _)) => Handled::new(None, outcome),
            Err(Panicked) => report_panic(context, None),
        };
        results[position] = Some(log_outcome(context, handled, Instant::now(), &fields[position]));
    }
    tasks.sort_by_key(|(position, ..)| *position);
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks {
        let index = *group_of.entry(task.1.group_key()).or_insert(groups.len());
        if index == groups.len() {
            groups.push(Vec::new());
        }
        groups[index].push(task);
    }
    groups
}

/// Handles the tasks of one run in order. After the first that has to be redelivered, the rest are too, which keeps their order.
fn handle_group<F: Future<Output = Handled>>(
    context: &Context,
    group: Group,
    handle: &impl Fn(Task, DeliveryMetadata) -> F,
) -> impl Stream<Item = (Position, Handled)> {
    stream::unfold((group.into_iter(), false), async move |(mut rest, blocked)| {
        let (position, task, metadata) = rest.next()?;
        let (started, fields) = (Instant::now(), LogFields::delivery(&metadata, Some(&task)));
        let run_id = task.run_id().cloned();
        let is_hook = matches!(task, Task::Follow(_));
        let handled = if blocked {
            deferred(run_id, BLOCKED)
        } else {
            // Boxed: the stream copies a step into its place when it begins, and this one has kilobytes.
            let work = Box::pin(handle(task, metadata));
            catch_panic(work).await.unwrap_or_else(|Panicked| report_panic(context, run_id))
        };
        let is_redelivered = handled.should_redeliver();
        let mut handled = log_outcome(context, handled, started, &fields);
        if is_hook {
            // Whoever sends a hook is not told which run it is of.
            handled.run_id = None;
        }
        Some(((position, handled), (rest, is_redelivered)))
    })
}

fn report_panic(context: &Context, run_id: Option<RunId>) -> Handled {
    context.metrics.count(Metric::Panics);
    deferred(run_id, PANICKED)
}

/// A panic, which was printed where it happened.
struct Panicked;

/// Awaits `work` and turns a panic into an error, so that the other deliveries continue.
fn catch_panic<T>(work: impl Future<Output = T>) -> impl Future<Output = Result<T, Panicked>> {
    // Unwind safe: the work is dropped as a whole, and what it shares with others is behind locks.
    AssertUnwindSafe(work).catch_unwind().map_err(|_| Panicked)
}

const CUT_OFF: &str = "the invocation ended before the delivery was done";
const BLOCKED: &str = "an earlier delivery of the same run has to be redelivered first";
const PANICKED: &str = "an internal error, which the function's log shows";

fn deferred(run_id: Option<RunId>, why: &str) -> Handled {
    Handled::new(run_id, Outcome::Deferred(RetryLater::new(why)))
}
