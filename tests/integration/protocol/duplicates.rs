//! Two copies of one run, some time apart, handled by two environments at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use glint_gitlab_trigger::{App, Invocation};
use serde_json::Value;

use crate::protocol::history::{End, RECEIVES, Setup, enqueue, hold, receive_until_empty, resend, webhook};
use crate::support::{World, app, borrowed};
use rstest::rstest;
use sandbox::{Call, Fault};

/// What every call to Glint and GitLab takes.
const ROUND_TRIP: Duration = Duration::from_millis(80);
const GAPS: [u64; 7] = [0, 50, 100, 200, 500, 1000, 5000];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Fifo,
    Standard,
    Url,
    /// A URL that hands over to the FIFO queue.
    UrlToQueue,
}

async fn invoke(world: &World, app: &Arc<App>, event: &Value) -> Option<Value> {
    let payload = serde_json::value::to_raw_value(event).unwrap();
    let deadline = SystemTime::from(world.sandbox.now()) + Duration::from_secs(45);
    let answer = app.handle(&payload, Invocation { deadline }).await.ok()?;
    Some(serde_json::from_str(answer.get()).unwrap())
}

/// One environment: what it is given next from the queue, it does.
async fn environment(world: &World, app: &Arc<App>) {
    let event = world.sandbox.queue.receive_next(1).await;
    let reply = invoke(world, app, &event).await;
    world.sandbox.queue.acknowledge(&event, reply);
}

/// Two warm environments before one sandbox, every call to whose upstreams takes its time.
async fn environments(way: Way) -> (World, Arc<App>) {
    let setup = Setup { reads: false, queues: way == Way::UrlToQueue };
    let world = setup.start().await;
    if way == Way::Standard {
        world.sandbox.queue.standard();
    }
    let settings = setup.builder(RECEIVES).prepare(&world.sandbox);
    let second = app(&world.sandbox, &borrowed(&settings));
    for (run, app) in [("r_warm_1", &world.app), ("r_warm_2", &second)] {
        enqueue(&world.sandbox, run);
        environment(&world, app).await;
        assert_eq!(world.run(run).links().len(), 1);
    }
    for call in [Call::GetRun, Call::PatchRun, Call::PostLog, Call::Trigger] {
        world.sandbox.fail(call).every().with(Fault::Delay(ROUND_TRIP));
    }
    (world, second)
}

/// How many pipelines two copies make that come `gap` apart.
async fn pipelines(way: Way, gap: Duration) -> usize {
    let (world, second) = environments(way).await;
    world.sandbox.glint.run("r_1");
    let copy = |place: usize| {
        let (world, app) = (&world, [&world.app, &second][place]);
        async move {
            tokio::time::sleep(gap * u32::try_from(place).unwrap()).await;
            match way {
                Way::Fifo | Way::Standard => {
                    resend(&world.sandbox, "r_1", &format!("copy-{place}"));
                    environment(world, app).await;
                }
                Way::Url | Way::UrlToQueue => {
                    let reply = invoke(world, app, &webhook(&world.sandbox, "r_1")).await.unwrap();
                    // 504 says that the other copy is at work.
                    let expected: &[u64] = if way == Way::Url { &[200, 504] } else { &[202] };
                    assert!(expected.contains(&reply["statusCode"].as_u64().unwrap()), "{reply}");
                }
            }
        }
    };
    tokio::join!(copy(0), copy(1));
    let replies = receive_until_empty(&world).await;
    let pipelines = world.sandbox.gitlab.pipelines().len() - 2;
    assert!(pipelines >= 1, "a run was lost");
    if pipelines == 1 {
        assert_eq!(hold(&world.sandbox, "r_1", &replies), End::Linked, "{way:?}, {gap:?} apart");
    }
    pipelines
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn two_copies_on_the_fifo_queue_never_double(#[values(Way::Fifo, Way::UrlToQueue)] way: Way) {
    for gap in GAPS {
        assert_eq!(pipelines(way, Duration::from_millis(gap)).await, 1, "{gap} ms apart");
    }
    println!("{way:?}: {} gaps from 0 to 5000 ms, no second pipeline", GAPS.len());
}

#[rstest]
#[tokio::test(start_paused = true)]
async fn elsewhere_two_copies_double_only_within_one_round_trip(#[values(Way::Standard, Way::Url)] way: Way) {
    let mut doubled = Vec::new();
    for gap in GAPS {
        if pipelines(way, Duration::from_millis(gap)).await > 1 {
            doubled.push(gap);
        }
    }
    let mut window = Duration::ZERO;
    while pipelines(way, window).await > 1 {
        window += Duration::from_millis(5);
    }
    println!("{way:?}: doubled at gaps of {doubled:?} ms; the window is {window:?} where a call takes {ROUND_TRIP:?}");
    assert!(window <= ROUND_TRIP + Duration::from_millis(10), "{window:?}");
    assert!(doubled.iter().all(|gap| Duration::from_millis(*gap) < window), "{doubled:?}");
}
