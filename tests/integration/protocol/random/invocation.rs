//! One invocation of a history: what it meets, where it is killed, and what others write meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::{App, Invocation};
use sandbox::{Call, Fault as Met, Hold, Sandbox};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::history::{Fault, Others, Source, Trouble};
use super::player::{FOREIGN_LABEL, FOREIGN_LINK, Player, RUN};
use crate::support::{World, app, borrowed};

impl Player {
    /// One invocation; `None` where it was killed or failed.
    pub async fn invoke(
        &mut self,
        event: &Value,
        trouble: Option<&Trouble>,
        meanwhile: Option<Others>,
    ) -> Option<Value> {
        let kill = self.prepare(trouble);
        if let Some(others) = meanwhile {
            let (glint, written) = (self.world.sandbox.glint.clone(), self.notes.others.clone());
            self.world.sandbox.on(Call::Trigger).after(move |trigger| {
                if glint.others_write(RUN, others.patch()) {
                    written.lock().unwrap().push((trigger.number, others));
                }
            });
        }
        let started = Instant::now();
        let result = {
            let work = self.world.handle(event);
            let killed = wait_for_kill(&self.world.sandbox, kill);
            tokio::pin!(work, killed);
            tokio::select! {
                biased;
                hold = &mut killed => Err(hold),
                reply = &mut work => Ok(reply),
            }
        };
        self.world.sandbox.heal();
        match result {
            Ok(reply) => {
                self.notes.slowest = self.notes.slowest.max(started.elapsed());
                reply.ok()
            }
            Err(hold) => {
                self.notes.kills += 1;
                self.world.app = app(&self.world.sandbox, &borrowed(&self.settings));
                // The connections of the killed environment are closed before anything that it sent goes on.
                tokio::time::sleep(Duration::from_millis(5)).await;
                drop(hold);
                None
            }
        }
    }

    /// Installs what the invocation is to meet; returns where it is to be killed.
    fn prepare(&mut self, trouble: Option<&Trouble>) -> Option<(Call, usize, bool)> {
        let is_fifo = matches!(self.set_up.source, Source::Fifo | Source::UrlToQueue);
        let sandbox = &self.world.sandbox;
        match trouble {
            None => return None,
            Some(Trouble::Kill { call, nth, applied }) => return Some((*call, *nth, *applied)),
            Some(Trouble::Fault { call, first, fault }) => sandbox.fail(*call).first(*first).with(met(*fault)),
            Some(Trouble::LatePatch { nth, seconds }) => {
                // Elsewhere nothing may be under way for longer than a claim takes to count as old.
                let seconds = if is_fifo { *seconds } else { (*seconds).min(50) };
                let late = Met::AppliedLate(Duration::from_secs(u64::from(seconds)));
                sandbox.fail(Call::PatchRun).nth(*nth).with(late);
                self.notes.late_writes += 1;
            }
        }
        self.notes.faults += 1;
        None
    }
}

impl Others {
    /// The body of their PATCH.
    pub fn patch(self) -> Value {
        match self {
            Self::Label => json!({ "statusLabel": FOREIGN_LABEL }),
            Self::Link => json!({ "link": FOREIGN_LINK }),
            Self::Both => json!({ "statusLabel": FOREIGN_LABEL, "link": FOREIGN_LINK }),
        }
    }
}

/// Waits until the request is there; for ever where the invocation is not to be killed.
async fn wait_for_kill(sandbox: &Sandbox, kill: Option<(Call, usize, bool)>) -> Hold {
    let Some((call, nth, applied)) = kill else { return pending().await };
    for _ in 1..nth {
        sandbox.hold_before(call).reached().await;
    }
    let hold = if applied { sandbox.hold(call) } else { sandbox.hold_before(call) };
    hold.reached().await;
    hold
}

pub fn last_request(sandbox: &Sandbox) -> u64 {
    sandbox.journal.exchanges().last().map_or(0, |one| one.number)
}

/// Has one environment handle an event.
pub async fn handle(app: &Arc<App>, world: &World, event: &Value) -> Option<Value> {
    let payload = serde_json::value::to_raw_value(event).unwrap();
    let deadline = SystemTime::from(world.sandbox.now()) + world.time;
    let answer = app.handle(&payload, Invocation { deadline }).await.ok()?;
    Some(serde_json::from_str(answer.get()).unwrap())
}

fn met(fault: Fault) -> Met {
    match fault {
        Fault::ClosedBefore => Met::DropBefore,
        Fault::ClosedAfter => Met::DropAfter,
        Fault::StalledAfter => Met::StallAfter,
        Fault::Unavailable => Met::status(503),
        Fault::UnavailableThoughApplied => Met::status_after(502),
        Fault::Throttled => Met::throttled(1),
        Fault::Garbage => Met::Garbage,
        Fault::Refused => Met::status(422),
    }
}
