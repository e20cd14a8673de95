use super::faults::trigger;
use super::{TOKEN, client, read, sandbox_with_project};
use sandbox::{Call, Fault};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_stall_meets_the_client_s_timeout_at_its_exact_moment() {
    for (fault, applied) in [(Fault::StallBefore, false), (Fault::StallAfter, true)] {
        let sandbox = sandbox_with_project().await;
        sandbox.fail(Call::Trigger).nth(2).with(fault);
        let real = std::time::Instant::now();
        let before = Instant::now();
        assert_eq!(trigger(&sandbox).await.expect("the first is answered").status(), 201);
        assert!(before.elapsed() < Duration::from_secs(1), "an answer takes next to no virtual time");
        let start = Instant::now();
        let error = trigger(&sandbox).await.expect_err("the second is not");
        assert!(error.is_timeout(), "{error:?}");
        let waited = start.elapsed();
        assert!(waited >= Duration::from_secs(30) && waited < Duration::from_millis(30_100), "{waited:?}");
        assert!(real.elapsed() < Duration::from_secs(10), "and little real time");
        assert_eq!(sandbox.gitlab.pipelines().len(), 1 + usize::from(applied));
        let hung = sandbox.journal.wait_for(|one| one.number == 2 && one.ended.is_some()).await;
        assert_eq!((hung.status, hung.applied), (None, applied));
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_in_paused_time_meet_no_timeout_of_theirs() {
    let sandbox = sandbox_with_project().await;
    for pause in [0, 1, 100, 900, 5_000, 60_000] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let url = format!("{}/api/v4/projects/a%2Fb/trigger/pipeline", sandbox.gitlab.url());
        let body = json!({ "token": TOKEN, "ref": "main" }).to_string();
        let client = client();
        let send = || {
            let request = client.post(&url).header("content-type", "application/json");
            request.timeout(Duration::from_secs(1)).body(body.clone()).send()
        };
        let answers = tokio::join!(send(), send(), send(), send());
        for answer in [answers.0, answers.1, answers.2, answers.3] {
            let (status, _) = read(answer.expect("no timeout")).await;
            assert_eq!(status, 201, "after {pause} ms");
        }
    }
    assert_eq!(sandbox.journal.count(Call::Trigger), 24);
}

#[tokio::test(start_paused = true)]
async fn a_delay_is_waited_out_and_a_condition_chooses() {
    let sandbox = sandbox_with_project().await;
    let delay = Duration::from_secs(2);
    sandbox.fail(Call::Trigger).of(|one| one.text().contains("no such")).every().with(Fault::DropBefore);
    sandbox.fail(Call::Trigger).first(1).with(Fault::Delay(delay));
    let start = Instant::now();
    assert_eq!(trigger(&sandbox).await.expect("an answer").status(), 201);
    assert!(start.elapsed() >= delay);
    let start = Instant::now();
    assert_eq!(trigger(&sandbox).await.expect("an answer").status(), 201);
    assert!(start.elapsed() < delay);
}
