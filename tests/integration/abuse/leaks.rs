//! Upstreams that repeat every secret in every spelling, before the binary at its most talkative.

use serde_json::{Value, json};

use crate::abuse::refusals::web_event;
use crate::abuse::secrets::{self, CLIENT, INPUT, SETTINGS, are_absent, furnish};
use crate::support::{Function, invoke, sqs_event};
use sandbox::spellings::forms;
use sandbox::{Call, Exchange, Fault, Reply, Sandbox};

/// As many messages as a batch has.
const AT_ONCE: usize = 10;
/// The last receive: what went wrong is told in Glint too.
const LAST: u32 = 20;

/// One upstream that talks: a name for it, which call is answered, the status, and how the secret is worded.
type Leak = (&'static str, Call, u16, fn(&str) -> String);

fn in_a_message(form: &str) -> String {
    json!({ "message": format!("{form} is not valid, {form}!") }).to_string()
}

fn in_lists(form: &str) -> String {
    json!({ "message": { form: [form], "base": ["no", { "deep": form }] }, "error": form }).to_string()
}

fn in_a_code(form: &str) -> String {
    json!({ "ok": false, "error": form, "message": form, "__type": form, "Message": form }).to_string()
}

fn as_text(form: &str) -> String {
    format!("<html>{form}</html>")
}

fn in_a_link(form: &str) -> String {
    json!({ "id": 5, "project_id": 1, "web_url": format!("https://gitlab.test/x?a={form}") }).to_string()
}

fn as_a_run(form: &str) -> String {
    json!({ "run": { "id": "r", "status": form, "statusLabel": form, "createdBy": form } }).to_string()
}

const LEAKS: [Leak; 18] = [
    ("GitLab refuses the token", Call::Trigger, 401, in_a_message),
    ("GitLab refuses the request", Call::Trigger, 400, in_lists),
    ("GitLab forbids", Call::Trigger, 403, in_a_message),
    ("GitLab finds no project", Call::Trigger, 404, in_a_message),
    ("GitLab cannot process", Call::Trigger, 422, in_lists),
    ("GitLab fails", Call::Trigger, 500, in_a_message),
    ("GitLab's proxy fails", Call::Trigger, 502, as_text),
    ("GitLab throttles", Call::Trigger, 429, in_a_message),
    ("GitLab's link", Call::Trigger, 201, in_a_link),
    ("Glint refuses the claim", Call::PatchRun, 422, in_a_message),
    ("Glint refuses the claim with a code", Call::PatchRun, 400, in_a_code),
    ("Glint fails", Call::PatchRun, 500, in_a_message),
    ("Glint refuses the log", Call::PostLog, 422, in_a_code),
    ("Glint refuses to show the run", Call::GetRun, 422, in_a_code),
    ("Glint shows another run", Call::GetRun, 200, as_a_run),
    ("Glint refuses the login", Call::Login, 401, in_a_message),
    ("Glint's login is unreadable", Call::Login, 200, in_a_code),
    ("Secrets Manager refuses", Call::GetSecret, 400, in_a_code),
];

#[tokio::test]
async fn no_secret_that_an_upstream_repeats_comes_to_light() {
    for (name, call, status, worded) in LEAKS {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        let mut settings = SETTINGS.to_vec();
        // Each secret is read anew, so that the last of them can be answered so too.
        settings.push(("SECRETS_TTL_SECONDS", "0"));
        let mut function = Function::start(&sandbox, &settings).await;
        let bearer = bearer_of(&sandbox).await;
        let secrets = secrets::all(&bearer);
        let sent = sent_to(call);
        let echoed: Vec<String> =
            secrets.iter().filter(|(name, _)| sent.contains(name)).flat_map(|(_, secret)| forms(secret)).collect();
        let mut replies = Vec::new();
        for (batch, forms) in echoed.chunks(AT_ONCE).enumerate() {
            for (nth, form) in forms.iter().enumerate() {
                sandbox.fail(call).nth(nth + 1).with(Fault::status_with(status, worded(form)));
            }
            replies.push(delivered(&sandbox, batch, forms.len()).await);
            sandbox.heal();
        }
        let printed = function.kill().await;
        println!("{name}: {} spellings, {} lines printed", echoed.len(), printed.lines().count());
        assert!(printed.lines().count() > echoed.len(), "{name}: it says what happened");
        are_absent(&printed, &secrets, &format!("what is printed when {name}"));
        are_absent(&format!("{replies:?}"), &secrets, &format!("a reply when {name}"));
        exchanges_keep_them(&sandbox, &secrets, name);
    }
    assert!(LEAKS.len() >= 12);
}

/// What an upstream can repeat: what it was sent, or gave out itself, at this call or another.
fn sent_to(call: Call) -> &'static [&'static str] {
    match call {
        Call::Trigger => &["trigger token", "read token", "hook key", "secret input", "client secret"],
        Call::GetSecret => {
            &["trigger token", "read token", "hook key", "hook token", "client secret", "secret input", "bearer token"]
        }
        _ => &["bearer token", "client secret", "trigger token", "read token", "hook key"],
    }
}

/// The token of the login with which the function starts.
async fn bearer_of(sandbox: &Sandbox) -> String {
    sandbox.glint.run("r_first");
    let Reply::Response(_) = invoke(sandbox, sqs_event(&[&secrets::message("r_first").to_string()], 1)).await else {
        panic!("the first run")
    };
    assert_eq!(sandbox.gitlab.pipelines()[0].variables["password"], INPUT);
    let calls = sandbox.journal.of(Call::PatchRun);
    calls[0].header("authorization").unwrap().trim_start_matches("Bearer ").to_owned()
}

/// Brings so many runs for the last time, and tells the reply.
async fn delivered(sandbox: &Sandbox, batch: usize, count: usize) -> Reply {
    let runs: Vec<String> = (0..count).map(|index| format!("r_{batch}_{index}")).collect();
    let bodies: Vec<String> = runs.iter().map(|run| secrets::message(run).to_string()).collect();
    runs.iter().for_each(|run| drop(sandbox.glint.run(run)));
    let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
    invoke(sandbox, sqs_event(&texts, LAST)).await
}

/// Secrets stand only where they have to: the token and the inputs in a trigger, the client secret in a login.
fn exchanges_keep_them(sandbox: &Sandbox, secrets: &[(&'static str, String)], name: &str) {
    for exchange in sandbox.journal.exchanges() {
        let place = format!("{:?} when {name}", exchange.call);
        are_absent(&exchange.path_and_query, secrets, &format!("the URL of {place}"));
        let kept: &[&str] = match exchange.call {
            Call::Trigger => &["trigger token", "secret input"],
            Call::Login => &["client secret"],
            _ => &[],
        };
        let others: Vec<_> = secrets.iter().filter(|(name, _)| !kept.contains(name)).cloned().collect();
        are_absent(&exchange.text(), &others, &format!("the body of {place}"));
        if exchange.call == Call::Trigger {
            are_absent(&exchange.json()["port_payload"].to_string(), secrets, &format!("the payload of {place}"));
        }
        are_absent(&headers_but_the_due(&exchange), secrets, &format!("the headers of {place}"));
    }
}

fn headers_but_the_due(exchange: &Exchange) -> String {
    let due = |name: &str| matches!(name, "authorization" | "private-token");
    let kept: Vec<String> = exchange
        .headers
        .iter()
        .filter(|(name, _)| !due(name))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    kept.join("\n")
}

#[tokio::test]
async fn no_secret_comes_to_light_when_a_secret_is_not_what_it_should_be() {
    for (name, secret, value) in [
        ("no JSON", "glint/credentials", CLIENT.to_owned()),
        ("no client id", "glint/credentials", json!({ "clientSecret": CLIENT }).to_string()),
        ("a list", "glint/gitlab-trigger-tokens", json!([secrets::TRIGGER_TOKEN]).to_string()),
        ("a token twice", "glint/gitlab-trigger-tokens", format!(r#"{{"{0}":1,"{0}":2}}"#, secrets::TRIGGER_TOKEN)),
        ("a hook secret that is no JSON", "hook", secrets::HOOK_TOKEN.to_owned()),
        ("a read token with a line end", "read", format!("a\r\n{}", secrets::READ_TOKEN)),
    ] {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        sandbox.secrets.put(secret, value);
        sandbox.glint.run("r_1").label("Waiting for GitLab to confirm");
        sandbox.glint.run("r_2");
        let mut function = Function::start(&sandbox, &SETTINGS).await;
        let bodies = ["r_1", "r_2"].map(|run| secrets::message(run).to_string());
        let hook = web_event("/-/hooks/gitlab", &[("x-gitlab-token", secrets::HOOK_TOKEN)], "{}");
        let mut replies = Vec::new();
        for event in
            [sqs_event(&[&bodies[0], &bodies[1]], LAST), hook, json!({ "check": true }), json!({ "sweep": true })]
        {
            replies.push(invoke(&sandbox, event).await);
        }
        let secrets = secrets::all("eyJzYW5kYm94.token-1");
        are_absent(&function.kill().await, &secrets, &format!("what is printed with {name}"));
        are_absent(&format!("{replies:?}"), &secrets, &format!("a reply with {name}"));
        exchanges_keep_them(&sandbox, &secrets, name);
    }
}

#[tokio::test]
async fn a_hooks_words_are_short_and_plain_when_glint_is_told_them() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_1");
    let mut function = Function::start(&sandbox, &SETTINGS).await;
    let started = invoke(&sandbox, sqs_event(&[&secrets::message("r_1").to_string()], 1)).await;
    let pipeline = sandbox.gitlab.pipelines()[0].id;
    for index in 0..500 {
        sandbox.gitlab.add_job(
            pipeline,
            &format!("{index}\u{1b}[31m\n{}{}", CLIENT, "n".repeat(1000)),
            "failed",
            Some("x\u{7}"),
        );
    }
    sandbox.gitlab.finish(pipeline, "failed");
    let (headers, body) = sandbox.gitlab.hook(pipeline);
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let reply = invoke(&sandbox, web_event("/-/hooks/gitlab", &headers, &String::from_utf8(body).unwrap())).await;
    let Reply::Response(Value::Object(reply)) = reply else { panic!("{started:?}") };
    assert_eq!(reply["statusCode"], 200, "{reply:?}");
    let run = sandbox.glint.run_state("r_1");
    let summary = run.summary.unwrap();
    assert_eq!(run.status, "FAILURE");
    assert!(summary.len() < 16 * 1024 && !summary.contains(['\u{1b}', '\u{7}']), "{} bytes", summary.len());
    assert!(summary.contains("and more jobs failed"), "{summary}");
    are_absent(&summary, &secrets::all("eyJzYW5kYm94.token-1"), "the summary");
    are_absent(&run.logs.last().unwrap().message, &secrets::all("eyJzYW5kYm94.token-1"), "the log");
    are_absent(&function.kill().await, &secrets::all("eyJzYW5kYm94.token-1"), "what is printed");
}
