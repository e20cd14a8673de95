//! Too much and too deep: refused in time, in bounded memory, and without harm to the neighbours.

use serde_json::{Value, json};

use crate::abuse::refusals::{Case, Checker, method, web_event, with_inputs};
use crate::support::{CLIENT_SECRET, Function, furnish, invoke, message, redelivered, sqs_event};
use sandbox::signing::signature;
use sandbox::{Call, Fault, Reply, Sandbox};

/// What the function may take of memory at its peak, in KiB.
const MOST_MEMORY: u64 = 64 * 1024;
const MIB: usize = 1024 * 1024;

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

#[tokio::test]
async fn what_is_past_gitlabs_limits_is_refused() {
    let inputs = |levels| format!(r#"{{"note":{}}}"#, nested(levels));
    let notes = |size: usize| {
        (0..9).map(|index| (format!("n{index}"), json!("x".repeat(size)))).collect::<serde_json::Map<_, _>>()
    };
    let cases = vec![
        Case::inputs("29 levels below the inputs", "nested deeper than the 32 levels", &inputs(29)),
        Case::inputs("60 levels below the inputs", "nested deeper than the 32 levels", &inputs(60)),
        Case::inputs("80,000 tiny inputs", "80000 user inputs", &tiny(80_000)),
        Case::new("300,000 names of secrets", "user inputs", |message| {
            message["payload"]["censoredProperties"] = json!(vec![""; 300_000]);
        }),
        Case::new("1 MiB as payload and variables together", "more than the 1048576 that GitLab takes", |message| {
            with_inputs(message, notes(60_000).into());
        }),
        Case::new("1 MiB of quotes, which JSON doubles", "more than the 1048576 that GitLab takes", |message| {
            with_inputs(
                message,
                (0..6)
                    .map(|index| (format!("n{index}"), json!("\"".repeat(50_000))))
                    .collect::<serde_json::Map<_, _>>()
                    .into(),
            );
        }),
        Case::new("900 KB in one value", "more than the 122880", |message| {
            with_inputs(message, json!({ "note": "x".repeat(900_000) }));
        }),
        Case::new("900 KB of a project's name", "`projectName`", |message| {
            method(message)["projectName"] = json!("b!".repeat(450_000));
        }),
        Case::new("900 KB of a ref", "user input `ref`", |message| {
            with_inputs(message, json!({ "ref": "b".repeat(900_000) }));
        }),
    ];
    assert_eq!(Checker::start(&[]).await.refuses(cases).await, 9);
}

/// So many inputs that say nothing.
fn tiny(count: usize) -> String {
    let members: Vec<String> = (0..count).map(|index| format!("\"{index:x}\":1")).collect();
    format!("{{{}}}", members.join(","))
}

/// Messages that name no run that could be told: given back, and on their way to the dead-letter queue.
fn unreadable() -> Vec<(&'static str, String)> {
    let deep = |levels: usize| {
        message("r_x").to_string().replacen(r#""entity":null"#, &format!(r#""entity":{}"#, nested(levels)), 1)
    };
    let signed =
        |body: String| body.replacen('{', r#"{"headers":{"X-Port-Signature":"v1,AAAA","X-Port-Timestamp":"1"},"#, 1);
    vec![
        ("65 levels", deep(65)),
        ("10,000 levels", deep(10_000)),
        ("400,000 levels", deep(400_000)),
        ("400,000 levels behind a signature", signed(deep(400_000))),
        ("brackets alone", "[".repeat(900_000)),
        ("braces alone", r#"{"a":"#.repeat(150_000)),
        ("a run id of 1 MB", message(&"r".repeat(1_000_000)).to_string()),
    ]
}

#[tokio::test]
async fn what_is_too_deep_to_read_comes_again_and_its_neighbours_go_on() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let mut function = Function::start(&sandbox, &[]).await;
    for (index, (name, body)) in unreadable().into_iter().enumerate() {
        let run = format!("r_{index}");
        sandbox.glint.run(&run);
        let Reply::Response(reply) = invoke(&sandbox, sqs_event(&[&body, &message(&run).to_string()], 1)).await else {
            panic!("{name}: no reply: {}", function.kill().await);
        };
        assert_eq!(redelivered(&reply), [0], "{name}");
        assert_eq!(sandbox.gitlab.pipelines().len(), index + 1, "{name}");
    }
    for line in function.kill().await.lines() {
        assert!(line.len() < 4096, "{} bytes: {}", line.len(), &line[..200]);
    }
}

/// A genuine webhook of `size` bytes.
fn webhook(sandbox: &Sandbox, size: usize, as_base64: bool) -> Value {
    use base64::Engine as _;
    let mut text = message("r_web").to_string();
    text.push_str(&" ".repeat(size.saturating_sub(text.len())));
    let time = sandbox.now().timestamp().to_string();
    let signature = signature(CLIENT_SECRET, &time, text.as_bytes());
    let headers = [("x-glint-signature", signature.as_str()), ("x-glint-timestamp", time.as_str())];
    let mut event = web_event("/", &headers, &text);
    if as_base64 {
        event["body"] = json!(base64::engine::general_purpose::STANDARD.encode(text));
        event["isBase64Encoded"] = json!(true);
    }
    event
}

/// The most memory that the function has had so far, in KiB.
fn peak(function: &Function, after: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", function.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    let peak = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("peak memory after {after}: {peak} KiB");
    peak
}

#[tokio::test]
async fn all_this_fits_in_64_mib_of_memory() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.secrets.put("hook", json!({ "token": "hook-token" }).to_string());
    let mut function = Function::start(&sandbox, &[("GITLAB_HOOK_SECRET_ID", "hook")]).await;
    peak(&function, "the start");
    large_requests(&sandbox).await;
    peak(&function, "large requests");
    for (_, body) in unreadable() {
        invoke(&sandbox, sqs_event(&[&body], 1)).await;
    }
    peak(&function, "deep messages");
    tiny_inputs(&sandbox).await;
    peak(&function, "tiny inputs");
    lying_upstreams(&sandbox).await;
    peak(&function, "lying upstreams");
    large_batches(&sandbox).await;
    let peak = peak(&function, "large batches");
    assert!(peak <= MOST_MEMORY, "{peak} KiB: {}", function.kill().await);
}

async fn large_requests(sandbox: &Sandbox) {
    sandbox.glint.run("r_web");
    let sizes =
        [(MIB + 1, false, 413), (MIB + 1, true, 413), (4 * MIB, true, 413), (MIB, true, 200), (MIB - 4096, false, 200)];
    for (size, as_base64, status) in sizes {
        sandbox.glint.run("r_web").forget();
        sandbox.glint.run("r_web");
        let Reply::Response(reply) = invoke(sandbox, webhook(sandbox, size, as_base64)).await else { panic!("{size}") };
        assert_eq!(reply["statusCode"], status, "{size}: {reply}");
    }
    let hook = web_event("/-/hooks/gitlab", &[("x-gitlab-token", "hook-token")], &"[".repeat(5_900_000));
    let Reply::Response(reply) = invoke(sandbox, hook).await else { panic!("the hook") };
    assert_eq!(reply["statusCode"], 400, "{reply}");
}

/// As much as SQS hands over at once: 6 MB in ten messages, of which each alone would do.
async fn large_batches(sandbox: &Sandbox) {
    for round in 0..3 {
        let bodies: Vec<String> = (0..10)
            .map(|index| {
                let run = format!("r_large_{round}_{index}");
                sandbox.glint.run(&run);
                let mut message = message(&run);
                let size = if round == 0 { 53_000 } else { 100_000 };
                with_inputs(
                    &mut message,
                    (0..5)
                        .map(|index| (format!("n{index}"), json!("x".repeat(size))))
                        .collect::<serde_json::Map<_, _>>()
                        .into(),
                );
                message.to_string()
            })
            .collect();
        let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let Reply::Response(reply) = invoke(sandbox, sqs_event(&texts, 1)).await else { panic!("round {round}") };
        assert!(redelivered(&reply).is_empty());
    }
    assert_eq!(sandbox.gitlab.pipelines().iter().filter(|one| one.variables.len() == 5).count(), 30);
}

/// Ten messages of nothing but tiny inputs.
async fn tiny_inputs(sandbox: &Sandbox) {
    let ordinary = message("r_0");
    let text = ordinary.to_string().replace(&ordinary["payload"]["properties"].to_string(), &tiny(50_000));
    let bodies: Vec<String> = (0..10).map(|index| text.replace("r_0", &format!("r_tiny_{index}"))).collect();
    (0..10).for_each(|index| drop(sandbox.glint.run(&format!("r_tiny_{index}"))));
    let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
    let Reply::Response(reply) = invoke(sandbox, sqs_event(&texts, 1)).await else { panic!("tiny inputs") };
    assert!(redelivered(&reply).is_empty());
    assert!((0..10).all(|index| sandbox.glint.run_state(&format!("r_tiny_{index}")).status == "FAILURE"));
}

/// Each upstream answers with 10 MB, or with a bomb, to as many as ten runs at once.
async fn lying_upstreams(sandbox: &Sandbox) {
    let calls = [
        (Call::Trigger, 10),
        (Call::GetRun, 10),
        (Call::PatchRun, 2),
        (Call::PostLog, 2),
        (Call::Login, 1),
        (Call::GetSecret, 1),
    ];
    for (call, count) in calls {
        for fault in [Fault::HugeBody, Fault::GzipBomb] {
            let bodies: Vec<String> = (0..count)
                .map(|index| {
                    let run = format!("r_{call:?}_{index}");
                    sandbox.glint.run(&run).forget();
                    sandbox.glint.run(&run);
                    message(&run).to_string()
                })
                .collect();
            sandbox.glint.expire_tokens();
            sandbox.fail(call).every().with(fault.clone());
            let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
            let reply = invoke(sandbox, sqs_event(&texts, 1)).await;
            assert!(matches!(reply, Reply::Response(_)), "{call:?} {fault:?}");
            sandbox.heal();
        }
    }
}
