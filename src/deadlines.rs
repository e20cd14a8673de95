//! All budgets and deadlines, in one place so that they can be compared.
//!
//! An invocation of 30 seconds, at its tightest: the trigger is not sent with less than [`MIN_TIME_TO_START`] left; GitLab gets what is left
//! less [`REPORT_RESERVE`]; the last call ends [`CALL_MARGIN`] before Lambda's deadline, and the response is out by [`RESPONSE_MARGIN`].

use std::time::{Duration, SystemTime};

use chrono::TimeDelta;
use tokio::time::Instant;

/// The limits of a call: cached data must still be valid at `now`, and the answer has to be there by `deadline`.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    pub now: SystemTime,
    pub deadline: Instant,
}

// Connections.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum idle time of a pooled connection. While Lambda is frozen the server may have closed it, and a trigger must not be sent twice.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

// Calls, connection included.
pub const GLINT_TIMEOUT: Duration = Duration::from_secs(3);
pub const AWS_TIMEOUT: Duration = Duration::from_secs(3);
/// The most that GitLab gets for one trigger.
pub const TRIGGER_TIMEOUT: Duration = Duration::from_secs(30);
/// With less time than this, a slow connect could leave the result unknown, so nothing is sent.
pub const MIN_TRIGGER_TIMEOUT: Duration = Duration::from_millis(2500);
pub const LOOKUP_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that one probe of `{"check": true}` gets.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

// One invocation, counted back from Lambda's deadline.
/// The response is out this long before the deadline.
pub const RESPONSE_MARGIN: Duration = Duration::from_millis(650);
/// The last call ends this long before the deadline.
pub const CALL_MARGIN: Duration = Duration::from_millis(900);
/// With less time left, no run is started: a large CI file takes GitLab seconds to read.
pub const MIN_TIME_TO_START: Duration = Duration::from_secs(10);
/// What must be left of it once the claim is written.
pub const MIN_TIME_TO_TRIGGER: Duration = Duration::from_secs(7);
/// What a trigger leaves for the report after it.
pub const REPORT_RESERVE: Duration = Duration::from_secs(3);
/// A run that was last seen so long ago is read again before it is linked: hooks follow a new pipeline within seconds.
pub const MAX_SIGHT_AGE: Duration = Duration::from_secs(3);
/// The most that this takes.
pub const READ_AGAIN_TIMEOUT: Duration = Duration::from_secs(1);
/// What a report to Glint leaves for queueing it, where there is a queue.
pub const ENQUEUE_RESERVE: Duration = Duration::from_millis(1500);
/// With less time left, the sweep looks at no further run.
pub const MIN_TIME_TO_SWEEP: Duration = Duration::from_secs(8);
/// The most that warming up takes after a cold start.
pub const WARM_UP_TIMEOUT: Duration = Duration::from_secs(8);

// Retries within an invocation; the queue is the other layer.
pub const MAX_RETRIES: usize = 2;
pub const FIRST_RETRY_DELAY: Duration = Duration::from_millis(150);
/// A longer `Retry-After` is left to the queue.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(3);

// The queue.
/// A webhook tries for so long to get its delivery onto the queue.
pub const ENQUEUE_TIMEOUT: Duration = Duration::from_secs(10);
pub const ENQUEUE_INTERVAL: Duration = Duration::from_secs(1);
/// The least wait of a deferred run: GitLab counts pipelines by the minute.
pub const MIN_REDELIVERY_DELAY: Duration = Duration::from_secs(60);
/// Added to it, another one for each run and attempt, so that a burst does not come back as one.
pub const MAX_REDELIVERY_JITTER: Duration = Duration::from_secs(60);
/// SQS's limit for a visibility timeout, counted from the receive.
pub const MAX_VISIBILITY_TIMEOUT: Duration = Duration::from_secs(12 * 3600 - 60);
/// Kafka retries a batch until it succeeds; records older than this are not retried.
pub const MAX_RECORD_AGE: TimeDelta = TimeDelta::minutes(15);

// Claims.
/// GitLab aborts requests after 60 s, so a pipeline that is still missing after this will not appear.
pub const CLAIM_TTL: TimeDelta = TimeDelta::seconds(90);
/// How far the clocks of GitLab and Glint may be apart: a pipeline is looked for from so long before its run was created.
pub const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(10);
/// Where Glint does not show when a run was created: no message waits longer than this.
pub const MAX_MESSAGE_AGE: TimeDelta = TimeDelta::days(14);
/// How long a final attempt waits between two looks at the pipelines.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(4);
/// With less time left, a final attempt looks no more, and ends its run.
pub const MIN_TIME_TO_LOOK_AGAIN: Duration = Duration::from_secs(14);
/// Glint's reads may lag: a run that it does not know yet may be created, as long as its message is younger than this.
pub const MAX_READ_LAG: TimeDelta = TimeDelta::minutes(1);
/// A report that was queued behind its run's message is received by then, once that message was set aside.
pub const REPORT_GRACE: TimeDelta = TimeDelta::minutes(1);
/// A dead letter whose pipeline cannot be looked up is tried for so long before its run is ended.
pub const MAX_DEAD_LETTER_AGE: TimeDelta = TimeDelta::hours(1);
/// No delivery works any more on a claim that has not changed for so long: the sweep ends it.
pub const MAX_CLAIM_AGE: TimeDelta = TimeDelta::days(1);
/// A claim of this age is ended although its pipeline cannot be looked up.
pub const MAX_UNREADABLE_CLAIM_AGE: TimeDelta = TimeDelta::days(2);
/// SQS keeps no message for longer than [`MAX_MESSAGE_AGE`], so no delivery works on a run of this age, whoever else writes to it.
pub const MAX_RUN_AGE: TimeDelta = TimeDelta::days(15);

// Signatures.
/// How far a webhook's signed time may lie from now, on either side.
pub const MAX_SIGNATURE_AGE: TimeDelta = TimeDelta::seconds(300);

// Secrets.
/// What the previous version of a key signed holds if it was signed before the current one was this old.
pub const ROTATION_OVERLAP: TimeDelta = TimeDelta::hours(1);
/// A secret is not read out of turn more often than this, so that a wrong token cannot flood Secrets Manager.
pub const SECRET_REFRESH_INTERVAL: Duration = Duration::from_secs(30);
/// How long it is remembered that a secret is missing, denied or unusable: its operator is probably about to fix it.
pub const SECRET_NEGATIVE_TTL: Duration = Duration::from_secs(15);
/// How long a secret is used beyond its time while Secrets Manager cannot be reached.
pub const SECRET_STALE_TTL: Duration = Duration::from_secs(3600);
