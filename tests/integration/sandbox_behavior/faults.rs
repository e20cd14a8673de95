use super::{TOKEN, ask, client, sandbox_with_project};
use reqwest::{Method, Response};
use sandbox::{Call, Exchange, Fault, Sandbox, Upstream};
use serde_json::{Value, json};

pub async fn trigger(sandbox: &Sandbox) -> Result<Response, reqwest::Error> {
    let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline", sandbox.gitlab.url());
    ask(Method::POST, url, &[], &json!({ "token": TOKEN, "ref": "main" })).await
}

fn only(sandbox: &Sandbox) -> Exchange {
    let mut exchanges = sandbox.journal.of(Call::Trigger);
    assert_eq!(exchanges.len(), 1);
    exchanges.remove(0)
}

fn is_reset(error: &reqwest::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    std::iter::from_fn(|| {
        let current = cause?;
        cause = current.source();
        Some(current)
    })
    .filter_map(|error| error.downcast_ref::<std::io::Error>())
    .any(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}

#[tokio::test]
async fn a_cut_connection_tells_nothing_of_whether_it_was_applied() {
    let cases = [
        (Fault::DropBefore, false, false),
        (Fault::DropAfter, true, false),
        (Fault::ResetBefore, false, true),
        (Fault::ResetAfter, true, true),
    ];
    for (fault, applied, reset) in cases {
        let sandbox = sandbox_with_project().await;
        sandbox.fail(Call::Trigger).nth(1).with(fault.clone());
        let error = trigger(&sandbox).await.expect_err("no answer comes");
        assert_eq!(is_reset(&error), reset, "{fault:?}: {error:?}");
        let exchange = only(&sandbox);
        assert_eq!((exchange.status, exchange.applied), (None, applied), "{fault:?}");
        assert_eq!(sandbox.gitlab.pipelines().len(), usize::from(applied), "{fault:?}");
        assert_eq!(trigger(&sandbox).await.expect("the fault is spent").status(), 201);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_can_come_slowly_or_break_off() {
    let sandbox = sandbox_with_project().await;
    sandbox.fail(Call::Trigger).with(Fault::SlowBody);
    let answer = trigger(&sandbox).await.expect("the head comes at once");
    assert_eq!(answer.status(), 201);
    let error = answer.bytes().await.expect_err("the body takes longer than the timeout");
    assert!(error.is_timeout(), "{error:?}");
    sandbox.fail(Call::Trigger).with(Fault::ResetInBody);
    let mut answer = trigger(&sandbox).await.expect("the head comes");
    let length = answer.content_length().expect("the length is announced");
    let mut read = 0;
    let error = loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => read += chunk.len() as u64,
            Ok(None) => panic!("the body came in full"),
            Err(error) => break error,
        }
    };
    assert_eq!(read, length / 2);
    assert!(is_reset(&error), "{error:?}");
    assert_eq!(sandbox.gitlab.pipelines().len(), 2);
}

#[tokio::test]
async fn an_answer_can_be_nonsense_although_the_request_was_applied() {
    let sandbox = sandbox_with_project().await;
    let faults = [Fault::Garbage, Fault::EmptyBody, Fault::WrongTypes, Fault::HugeBody, Fault::GzipBomb];
    let mut bodies = Vec::new();
    for fault in faults {
        sandbox.fail(Call::Trigger).with(fault);
        let answer = trigger(&sandbox).await.expect("an answer comes");
        assert_eq!(answer.status(), 201);
        bodies.push(answer.bytes().await.expect("the body comes"));
    }
    assert!(bodies[0].starts_with(b"<!DOCTYPE html>"));
    assert!(bodies[1].is_empty());
    let wrong: Value = serde_json::from_slice(&bodies[2]).expect("JSON");
    assert_eq!((&wrong["id"], &wrong["web_url"]), (&json!(["wrong"]), &json!(-0.5)));
    assert!(bodies[3].len() > 10 << 20);
    assert!(bodies[4].starts_with(&[0x1f, 0x8b]) && bodies[4].len() < 1 << 20);
    assert_eq!(sandbox.gitlab.pipelines().len(), 5);
}

#[tokio::test]
async fn a_status_or_a_redirect_can_stand_in_for_the_answer() {
    let sandbox = sandbox_with_project().await;
    sandbox.fail(Call::Trigger).nth(1).with(Fault::throttled(7));
    sandbox.fail(Call::Trigger).nth(2).with(Fault::status_after(502));
    let location = "http://elsewhere.invalid/".to_owned();
    sandbox.fail(Call::Trigger).nth(3).with(Fault::Redirect { status: 307, location });
    let answer = trigger(&sandbox).await.expect("an answer");
    assert_eq!(answer.status(), 429);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert_eq!(trigger(&sandbox).await.expect("an answer").status(), 502);
    assert_eq!(sandbox.gitlab.pipelines().len(), 1);
    let answer = trigger(&sandbox).await.expect("an answer");
    assert_eq!(answer.status(), 307);
    assert_eq!(answer.headers()["location"], "http://elsewhere.invalid/");
    let statuses: Vec<_> = sandbox.journal.exchanges().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Some(429), Some(502), Some(307)]);
    assert_eq!(sandbox.gitlab.pipelines().len(), 1);
}

#[tokio::test]
async fn a_hold_stops_a_request_before_or_after_it_is_applied() {
    let sandbox = sandbox_with_project().await;
    for (hold, applied) in [(sandbox.hold_before(Call::Trigger), 0), (sandbox.hold(Call::Trigger), 2)] {
        let watch = async {
            hold.reached().await;
            let seen = sandbox.gitlab.pipelines().len();
            hold.release();
            seen
        };
        let (answer, seen) = tokio::join!(trigger(&sandbox), watch);
        assert_eq!(seen, applied);
        assert_eq!(answer.expect("it goes on").status(), 201);
    }
}

#[tokio::test]
async fn a_refusing_port_closes_what_is_open_and_comes_back() {
    let sandbox = sandbox_with_project().await;
    let client = client();
    let url = format!("{}/api/v4/projects/101", sandbox.gitlab.url());
    client.get(&url).send().await.expect("an answer");
    let refusal = sandbox.refuse(Upstream::GitLab);
    refusal.closed().await;
    let error = client.get(&url).send().await.expect_err("nobody listens");
    assert!(error.is_connect(), "{error:?}");
    drop(refusal);
    client.get(&url).send().await.expect("an answer again");
    assert_eq!(sandbox.connections(Upstream::GitLab), 2);
    assert_eq!(sandbox.connections(Upstream::Glint), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_keeps_order_and_lets_others_wait() {
    let sandbox = sandbox_with_project().await;
    let journal = sandbox.journal.clone();
    let waiter = tokio::spawn(async move {
        journal.wait_for_count(Call::Trigger, 3).await;
        journal.wait_for(|one| one.number == 3 && one.ended.is_some()).await
    });
    for _ in 0..3 {
        trigger(&sandbox).await.expect("an answer");
    }
    let third = waiter.await.expect("the waiter ends");
    assert_eq!((third.status, third.header("content-type")), (Some(201), Some("application/json")));
    assert_eq!(sandbox.journal.calls(), [Call::Trigger; 3]);
}
