//! What a hook must prove, in every form that its headers may have.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::{HOOK_SECRET, HOOK_TOKEN, Handling, World, hook_request};
use sandbox::signing::hook_signature;
use sandbox::{Call, Fault};

const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const OTHER: &str = "whsec_YW5vdGhlciBrZXksIGFsc28gb2YgMzIgYnl0ZXMuLi4=";
const ID: &str = "5a0db0c5-0000-4000-8000-000000000001";

/// A final hook, and what its headers are made of.
struct Sender {
    body: String,
    now: i64,
}

impl Sender {
    fn new(world: &World, pipeline: u64) -> Self {
        world.sandbox.gitlab.finish(pipeline, "success");
        let body = world.hook(pipeline)["body"].as_str().unwrap().to_owned();
        Self { body, now: world.sandbox.now().timestamp() }
    }

    fn signature(&self, key: &str, seconds: i64) -> String {
        hook_signature(key, ID, &seconds.to_string(), self.body.as_bytes())
    }

    /// The three headers of a signed hook.
    fn signed(&self, seconds: i64, signature: &str) -> Vec<(&'static str, String)> {
        vec![
            ("Webhook-Id", ID.to_owned()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signature.to_owned()),
        ]
    }

    fn good(&self) -> Vec<(&'static str, String)> {
        self.signed(self.now, &self.signature(KEY, self.now))
    }

    fn without(&self, name: &str) -> Vec<(&'static str, String)> {
        self.good().into_iter().filter(|(known, _)| !known.eq_ignore_ascii_case(name)).collect()
    }

    fn with(&self, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
        let mut headers = self.without(name);
        headers.push((name, value.to_owned()));
        headers
    }

    fn event(&self, headers: &[(&'static str, String)]) -> Value {
        let mut all = vec![("X-Gitlab-Event".to_owned(), "Pipeline Hook".to_owned())];
        all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        hook_request(&all, &self.body)
    }
}

fn plain(token: &str) -> Vec<(&'static str, String)> {
    vec![("X-Gitlab-Token", token.to_owned())]
}

fn both() -> Value {
    json!({ "signingToken": KEY, "token": HOOK_TOKEN })
}

/// Name, the function's secret, the headers, and the status they are answered with.
type Form = (&'static str, Value, Vec<(&'static str, String)>, u16);

fn signed_forms(hook: &Sender) -> Vec<Form> {
    let (now, sign) = (hook.now, |seconds| hook.signature(KEY, seconds));
    let wrong = hook.signature(OTHER, now);
    let alone = || json!({ "signingToken": KEY });
    let at = |seconds: i64| hook.signed(seconds, &sign(seconds));
    let signature = |value: &str| hook.with("webhook-signature", value);
    let bare = BASE64_STANDARD.encode(b"not a mac, but as long as one is");
    vec![
        ("signed", alone(), hook.good(), 200),
        ("signed, with a token that nobody asked for", alone(), [hook.good(), plain("x")].concat(), 200),
        ("two signatures, the second good", alone(), signature(&format!("{wrong} {}", sign(now))), 200),
        ("two signatures, the first good", alone(), signature(&format!("{} {wrong}", sign(now))), 200),
        ("two signatures joined by a comma", alone(), signature(&format!("{wrong},{}", sign(now))), 200),
        ("an asymmetric one beside it", alone(), signature(&format!("v1a,{bare} {}", sign(now))), 200),
        ("290 seconds old", alone(), at(now - 290), 200),
        ("290 seconds ahead", alone(), at(now + 290), 200),
        ("310 seconds old", alone(), at(now - 310), 401),
        ("310 seconds ahead", alone(), at(now + 310), 401),
        ("signed at another time than it says", alone(), hook.with("webhook-timestamp", &(now - 1).to_string()), 401),
        ("signed under another id", alone(), hook.with("Webhook-Id", "another"), 401),
        ("with another key", alone(), signature(&wrong), 401),
        ("two signatures, both wrong", alone(), signature(&format!("{wrong} v1,{bare}")), 401),
        ("a version that is not known", alone(), signature(&sign(now).replace("v1,", "v2,")), 401),
        ("a version alone", alone(), signature("v1,"), 401),
        ("a signature cut short", alone(), signature(&sign(now)[..24]), 401),
        ("a signature without a version", alone(), signature(&sign(now)[3..]), 401),
        ("an empty signature", alone(), signature(""), 401),
        ("no id", alone(), hook.without("webhook-id"), 401),
        ("no timestamp", alone(), hook.without("webhook-timestamp"), 401),
        ("a timestamp that is no number", alone(), hook.with("webhook-timestamp", "yesterday"), 401),
        ("a timestamp that no clock can show", alone(), hook.with("webhook-timestamp", "-9223372036854775808"), 401),
        ("no signature", alone(), hook.without("webhook-signature"), 401),
        ("nothing", alone(), Vec::new(), 401),
        ("a plain token where a signature is due", alone(), plain(HOOK_TOKEN), 401),
        ("the signing token itself as plain token", alone(), plain(KEY), 401),
    ]
}

fn other_forms(hook: &Sender) -> Vec<Form> {
    let alone = || json!({ "token": HOOK_TOKEN });
    let wrong = hook.with("webhook-signature", &hook.signature(OTHER, hook.now));
    let old = hook.signed(hook.now - 3600, &hook.signature(KEY, hook.now - 3600));
    vec![
        ("plain", alone(), plain(HOOK_TOKEN), 200),
        ("plain, with a signature that nobody can check", alone(), [plain(HOOK_TOKEN), wrong.clone()].concat(), 200),
        ("another plain token", alone(), plain("sandbox-hook-tokem"), 401),
        ("a longer plain token", alone(), plain("sandbox-hook-token2"), 401),
        ("a shorter plain token", alone(), plain("sandbox-hook-toke"), 401),
        ("an empty plain token", alone(), plain(""), 401),
        ("two plain tokens", alone(), [plain(HOOK_TOKEN), plain("x")].concat(), 401),
        ("no plain token", alone(), Vec::new(), 401),
        ("a signature where a plain token is due", alone(), hook.good(), 401),
        ("both set, signed", both(), hook.good(), 200),
        ("both set, plain", both(), plain(HOOK_TOKEN), 200),
        ("both set, both good", both(), [hook.good(), plain(HOOK_TOKEN)].concat(), 200),
        ("both set, a wrong signature beside a good token", both(), [wrong, plain(HOOK_TOKEN)].concat(), 401),
        ("both set, an old signature beside a good token", both(), [old, plain(HOOK_TOKEN)].concat(), 401),
        ("both set, neither sent", both(), Vec::new(), 401),
        ("a secret that names neither", json!({}), plain(HOOK_TOKEN), 401),
        ("a secret whose parts are empty", json!({ "signingToken": "", "token": "" }), plain(""), 401),
        ("a signing token without a key", json!({ "signingToken": "whsec_" }), keyless(hook), 401),
        ("a signing token that is not base64", json!({ "signingToken": "whsec_???" }), hook.good(), 401),
    ]
}

/// Signed with no key at all.
fn keyless(hook: &Sender) -> Vec<(&'static str, String)> {
    hook.signed(hook.now, &hook.signature("whsec_", hook.now))
}

#[tokio::test]
async fn every_form_of_proof_is_judged_as_the_table_says() {
    let mut forms = 0;
    for group in [signed_forms, other_forms] {
        for index in 0.. {
            let world = World::builder().hooks(Handling::InPlace).start().await;
            let pipeline = world.start_run("r_1").await;
            let sender = Sender::new(&world, pipeline);
            let Some((name, secret, headers, expected)) = group(&sender).into_iter().nth(index) else { break };
            world.sandbox.secrets.put(HOOK_SECRET, secret.to_string());
            world.sandbox.journal.clear();
            let (status, words) = world.post(&sender.event(&headers)).await;
            assert_eq!(status, expected, "{name}: {words}");
            if expected == 200 {
                world.assert_ended_once("r_1", pipeline, "success");
            } else {
                let calls = world.sandbox.journal.calls();
                assert!(
                    calls.iter().all(|call| *call == Call::GetSecret),
                    "{name}: nothing is asked on its word: {calls:?}"
                );
                assert_eq!(words["outcome"], "Unauthenticated", "{name}");
                for secret in [HOOK_TOKEN, &KEY[6..]] {
                    assert!(!words.to_string().contains(secret), "{name}: {words}");
                }
            }
            forms += 1;
        }
    }
    println!("{forms} forms of proof");
    assert_eq!(forms, 46);
}

#[tokio::test]
async fn a_signature_over_other_bytes_proves_nothing() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.secrets.put(HOOK_SECRET, json!({ "signingToken": KEY }).to_string());
    let pipeline = world.start_run("r_1").await;
    let sender = Sender::new(&world, pipeline);
    let headers = sender.good();
    let spaced = sender.body.replace("\",\"", "\", \"");
    let failed = sender.body.replace("\"success\"", "\"failed\"");
    for body in [spaced, failed, format!("{} ", sender.body), format!("{{}}{}", sender.body), String::new()] {
        assert_ne!(body, sender.body);
        let forged = Sender { body, now: sender.now };
        assert_eq!(world.post(&forged.event(&headers)).await.0, 401);
    }
    assert_eq!(world.run("r_1").status, "IN_PROGRESS");
    assert_eq!(world.post(&sender.event(&headers)).await.0, 200);
}

#[tokio::test]
async fn what_gitlab_itself_signs_is_proven_also_as_base64() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    world.sandbox.gitlab.sign_hooks_with(KEY);
    world.sandbox.secrets.put(HOOK_SECRET, json!({ "signingToken": KEY }).to_string());
    let pipeline = world.start_run("r_1").await;
    world.sandbox.gitlab.finish(pipeline, "success");
    let mut event = world.hook(pipeline);
    event["body"] = json!(BASE64_STANDARD.encode(event["body"].as_str().unwrap()));
    event["isBase64Encoded"] = json!(true);
    assert_eq!(world.post(&event).await.0, 200);
    world.assert_ended_once("r_1", pipeline, "success");
}

#[tokio::test]
async fn hooks_are_forbidden_where_nobody_set_a_secret_for_them() {
    let world = World::builder().hooks(Handling::InPlace).settings(&[("GITLAB_HOOK_SECRET_ID", "")]).start().await;
    let pipeline = world.start_run("r_1").await;
    let sender = Sender::new(&world, pipeline);
    world.sandbox.journal.clear();
    for headers in [plain(HOOK_TOKEN), sender.good(), Vec::new()] {
        let (status, words) = world.post(&sender.event(&headers)).await;
        assert_eq!(status, 403);
        assert!(words["hint"].as_str().unwrap().contains("GITLAB_HOOK_SECRET_ID"), "{words}");
    }
    assert!(world.sandbox.journal.calls().is_empty());
}

#[tokio::test]
async fn an_unproven_hook_is_told_of_the_hook_s_secret_and_not_of_glint_s() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    let (_, words) = world.post(&Sender::new(&world, pipeline).event(&plain("wrong"))).await;
    assert!(words["hint"].as_str().unwrap().contains("GITLAB_HOOK_SECRET_ID"), "{words}");
}

#[tokio::test]
async fn a_hook_whose_secret_cannot_be_read_now_may_come_again() {
    for break_it in [
        |world: &World| world.sandbox.fail(Call::GetSecret).every().with(Fault::status(500)),
        |world: &World| {
            world.sandbox.secrets.deny(HOOK_SECRET);
        },
    ] {
        let world = World::builder().hooks(Handling::InPlace).start().await;
        let pipeline = world.start_run("r_1").await;
        break_it(&world);
        let (status, words) = world.post(&Sender::new(&world, pipeline).event(&plain(HOOK_TOKEN))).await;
        assert_eq!(status, 503, "{words}");
    }
}

#[tokio::test]
async fn a_rotated_hook_secret_is_read_anew_and_the_one_before_holds_on() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let (first, second) = (world.start_run("r_1").await, world.start_run("r_2").await);
    assert_eq!(world.post(&world.hook(first)).await.0, 200, "the secret is kept now");
    world.sandbox.secrets.rotate(HOOK_SECRET, json!({ "token": "the token after" }).to_string());
    assert_eq!(world.post(&Sender::new(&world, first).event(&plain("the token after"))).await.0, 200);
    assert_eq!(world.post(&Sender::new(&world, second).event(&plain(HOOK_TOKEN))).await.0, 200);
    world.assert_ended_once("r_1", first, "success");
    world.assert_ended_once("r_2", second, "success");
    assert_eq!(world.post(&Sender::new(&world, first).event(&plain("neither"))).await.0, 401);
}

#[tokio::test]
async fn the_path_of_hooks_takes_posts_alone() {
    let world = World::builder().hooks(Handling::InPlace).start().await;
    let pipeline = world.start_run("r_1").await;
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"] {
        let mut event = world.hook(pipeline);
        event["requestContext"]["http"]["method"] = json!(method);
        let reply = world.handle(&event).await.unwrap();
        assert_eq!((&reply["statusCode"], &reply["headers"]["allow"]), (&json!(405), &json!("POST")), "{method}");
    }
}
