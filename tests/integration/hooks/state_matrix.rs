//! Every sequence of a pipeline's states, up to five long, and every way in which its hooks can arrive.

use serde_json::{Value, json};

use crate::support::{Handling, World};

/// What a pipeline can report while it goes on.
const MOVING: [&str; 3] = ["pending", "running", "manual"];
const FINAL: [&str; 4] = ["success", "failed", "canceled", "skipped"];
const MAX_LENGTH: usize = 5;

/// How the hooks of one pipeline arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    InOrder,
    Reversed,
    Shuffled,
    Doubled,
    /// Each second one is lost, and the read token is there for a sweep.
    Lossy,
    /// None arrives, and the read token is there for a sweep.
    AllLost,
}

const ARRIVALS: usize = 6;

/// All sequences in which a pipeline moves on, ends, and may be retried: a final state comes last, or before `running`.
fn sequences() -> Vec<Vec<&'static str>> {
    let mut all: Vec<Vec<&str>> = vec![Vec::new()];
    let mut begin = 0;
    for _ in 0..MAX_LENGTH {
        let end = all.len();
        for index in begin..end {
            for next in MOVING.into_iter().chain(FINAL) {
                let last = all[index].last().copied().unwrap_or_default();
                let is_possible = next != last && (!FINAL.contains(&last) || next == "running");
                if is_possible {
                    let mut longer = all[index].clone();
                    longer.push(next);
                    all.push(longer);
                }
            }
        }
        begin = end;
    }
    all.remove(0);
    all
}

/// One cell: the events of a sequence, each made while the pipeline is in that state.
struct Cell {
    name: String,
    states: Vec<&'static str>,
    arrival: Arrival,
    number: usize,
}

impl Cell {
    fn run(&self) -> String {
        format!("r_{}_{:?}", self.number, self.arrival)
    }

    fn order(&self, hooks: Vec<Value>) -> Vec<Value> {
        match self.arrival {
            Arrival::InOrder => hooks,
            Arrival::Reversed => hooks.into_iter().rev().collect(),
            Arrival::Shuffled => {
                let mut keyed: Vec<_> = hooks.into_iter().enumerate().collect();
                keyed.sort_by_key(|(index, _)| (index * 7 + self.number * 3) % 11);
                keyed.into_iter().map(|(_, hook)| hook).collect()
            }
            Arrival::Doubled => hooks.into_iter().flat_map(|hook| [hook.clone(), hook]).collect(),
            Arrival::Lossy => hooks.into_iter().step_by(2).collect(),
            Arrival::AllLost => Vec::new(),
        }
    }

    /// The final states that hooks tell of, in the order of their arrival; behind them what a sweep finds.
    fn told_ends(&self) -> Vec<&'static str> {
        let told: Vec<Value> = self.order(self.states.iter().map(|state| json!(state)).collect());
        let mut ends: Vec<&str> =
            told.iter().filter_map(|state| FINAL.into_iter().find(|end| *end == state.as_str().unwrap())).collect();
        // A sweep looks at no run that has ended.
        if self.is_swept() && ends.is_empty() {
            ends.extend(self.states.last().filter(|last| FINAL.contains(last)));
        }
        ends
    }

    fn is_swept(&self) -> bool {
        matches!(self.arrival, Arrival::Lossy | Arrival::AllLost)
    }

    async fn check(&self, world: &World) {
        let run = self.run();
        let pipeline = world.start_run(&run).await;
        let mut hooks = Vec::new();
        for state in &self.states {
            world.sandbox.gitlab.finish(pipeline, state);
            // GitLab's clock is ahead: what is retried ends later than the run did.
            hooks.push(world.changed_hook(pipeline, |body| {
                if FINAL.contains(state) {
                    body["object_attributes"]["finished_at"] = json!("2100-01-01 00:00:00 UTC");
                }
            }));
        }
        for hook in self.order(hooks) {
            assert_eq!(world.post(&hook).await.0, 200, "{}", self.name);
        }
        if self.is_swept() {
            world.handle(&json!({ "sweep": true })).await.unwrap();
        }
        self.assert_run(world, &run, pipeline);
        // What has not ended is none of the next cell's sweep.
        world.sandbox.glint.run(&run).forget();
    }

    fn assert_run(&self, world: &World, run: &str, pipeline: u64) {
        let found = world.run(run);
        let name = &self.name;
        let pipeline = world.sandbox.gitlab.pipeline(pipeline);
        let expected = match self.told_ends().first() {
            Some(&"success") => ("SUCCESS", "GitLab pipeline succeeded"),
            Some(&"failed") => ("FAILURE", "GitLab pipeline failed"),
            Some(&"canceled") => ("FAILURE", "GitLab pipeline canceled"),
            Some(_) => ("FAILURE", "GitLab pipeline skipped"),
            None => ("IN_PROGRESS", self.label()),
        };
        assert_eq!((found.status.as_str(), found.status_label.as_deref()), (expected.0, Some(expected.1)), "{name}");
        assert_eq!(found.links(), [pipeline.web_url.as_str()], "{name}");
        assert_eq!(found.refused_writes, 0, "{name}: an ended run is never written to");
        let ends = found.writes.iter().filter(|write| write.get("status").is_some()).count();
        assert_eq!(ends, usize::from(expected.0 != "IN_PROGRESS"), "{name}");
        let entities = world.sandbox.glint.entities();
        let entity = entities.iter().find(|entity| entity.properties["jobUrl"] == json!(pipeline.web_url));
        assert_eq!(entity.is_some(), self.told_ends().contains(&"success"), "{name}: the entity");
    }

    /// The label of a run that has not ended: the last state, by arrival where nothing else tells, and never back to pending.
    fn label(&self) -> &'static str {
        let labels = |state: &str| match state {
            "pending" => "GitLab pipeline pending",
            "running" => "GitLab pipeline running",
            _ => "Waiting for a manual job in GitLab",
        };
        let told: Vec<Value> = self.order(self.states.iter().map(|state| json!(state)).collect());
        let mut told: Vec<&str> = told.iter().map(|state| state.as_str().unwrap()).collect();
        if self.is_swept() {
            told.extend(self.states.last());
        }
        let beyond = told.iter().rev().find(|state| **state != "pending");
        beyond.or(told.last()).map_or("GitLab pipeline created", |state| labels(state))
    }
}

async fn check_all(arrival: Arrival) {
    let sequences = sequences();
    let builder = World::builder().hooks(Handling::InPlace).read_token();
    let world = builder.settings(&[("DEPLOYMENT_BLUEPRINT", "deployment")]).start().await;
    let mut cells = 0;
    for (number, states) in sequences.iter().enumerate() {
        // Of the longest, each arrival takes another part.
        if states.len() == MAX_LENGTH && number % ARRIVALS != arrival as usize {
            continue;
        }
        let name = format!("{} {arrival:?}", states.join(" > "));
        Cell { name, states: states.clone(), arrival, number }.check(&world).await;
        cells += 1;
    }
    println!("{} sequences, {cells} cells of {arrival:?}", sequences.len());
    assert!(cells > 400, "{cells}");
}

#[tokio::test]
async fn hooks_in_order_leave_the_right_run() {
    check_all(Arrival::InOrder).await;
}

#[tokio::test]
async fn hooks_in_reverse_order_leave_the_right_run() {
    check_all(Arrival::Reversed).await;
}

#[tokio::test]
async fn hooks_in_any_order_leave_the_right_run() {
    check_all(Arrival::Shuffled).await;
}

#[tokio::test]
async fn hooks_that_come_twice_leave_the_right_run() {
    check_all(Arrival::Doubled).await;
}

#[tokio::test]
async fn a_sweep_after_every_second_hook_was_lost_leaves_the_right_run() {
    check_all(Arrival::Lossy).await;
}

#[tokio::test]
async fn a_sweep_after_all_hooks_were_lost_leaves_the_right_run() {
    check_all(Arrival::AllLost).await;
}
