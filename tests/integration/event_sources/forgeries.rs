//! Forgeries, each named by what is wrong with it. None is told more than 401, none reaches GitLab or a run.

use serde_json::{Value, json};

use crate::event_sources::ways::{as_base64, reply, request, with_headers};
use crate::support::{CLIENT_SECRET, World, message};
use rstest::rstest;
use sandbox::Call;
use sandbox::signing::{signature, signed_inside};

const OTHER_SECRET: &str = "another-client-secret-0123456789abcdefgh";

/// A webhook with these two headers, on the message of the run `r_1`.
fn with(signature: &str, timestamp: &str) -> Value {
    let headers = [("x-glint-signature", signature), ("x-glint-timestamp", timestamp)];
    with_headers(request("POST", "/", "", &body()), &headers)
}

fn body() -> String {
    message("r_1").to_string()
}

/// What a signer that holds the secret would send at this time.
fn genuine(timestamp: &str) -> String {
    signature(CLIENT_SECRET, timestamp, body().as_bytes())
}

fn wrong_signatures(now: &str) -> Vec<(&'static str, Value)> {
    let good = genuine(now);
    let digest = good.trim_start_matches("v1,");
    let mut flipped = good.clone().into_bytes();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    vec![
        ("no header at all", request("POST", "/", "", &body())),
        ("an empty signature", with("", now)),
        ("a version without a signature", with("v1,", now)),
        ("a version alone", with("v1", now)),
        ("a truncated signature", with(&good[..good.len() - 8], now)),
        ("a signature with a byte less", with(&format!("v1,{}", &digest[..40]), now)),
        ("a signature with one letter changed", with(std::str::from_utf8(&flipped).unwrap(), now)),
        ("a signature with something behind it", with(&format!("{good}AAAA"), now)),
        ("a version that does not exist", with(&format!("v2,{digest}"), now)),
        ("a version in upper case", with(&format!("V1,{digest}"), now)),
        ("no version", with(digest, now)),
        ("hexadecimal instead of base64", with(&format!("v1,{}", "0a".repeat(32)), now)),
        ("base64 for URLs", with(&format!("v1,{}", digest.replace('=', "").replace(['+', '/'], "_")), now)),
        ("what is no base64", with("v1,!!!not base64!!!", now)),
        ("bytes that are no UTF-8, as Lambda shows them", with("v1,\u{fffd}\u{ff}\u{fffd}", now)),
        ("the other secret", with(&signature(OTHER_SECRET, now, body().as_bytes()), now)),
        ("an empty secret", with(&signature("", now, body().as_bytes()), now)),
        ("several wrong signatures", with(&format!("v1,{0} v1,{0}", "A".repeat(43) + "="), now)),
    ]
}

fn wrong_timestamps(now: i64) -> Vec<(&'static str, Value)> {
    let at = |text: String| with(&genuine(&text), &text);
    let good = genuine(&now.to_string());
    vec![
        ("301 seconds old", at((now - 301).to_string())),
        ("301 seconds ahead", at((now + 301).to_string())),
        ("301,000 milliseconds old", at(((now - 301) * 1000).to_string())),
        ("the epoch", at("0".to_owned())),
        ("an empty timestamp", at(String::new())),
        ("a timestamp that is no number", at("yesterday".to_owned())),
        ("a timestamp as a date", at("2026-11-02T09:13:03Z".to_owned())),
        ("a negative timestamp", at(format!("-{now}"))),
        ("a timestamp with a fraction", at(format!("{now}.0"))),
        ("a timestamp with a space", at(format!("{now} "))),
        ("the greatest number there is", at(i64::MAX.to_string())),
        ("a number that no integer holds", at("9".repeat(40))),
        ("another time than was signed", with(&good, &(now - 1).to_string())),
        (
            "no timestamp",
            with_headers(
                request("POST", "/", "", &body()),
                &[("x-glint-signature", &signature(CLIENT_SECRET, "", body().as_bytes()))],
            ),
        ),
        ("a repeated timestamp, as a gateway merges it", with(&good, &format!("{now},{now}"))),
    ]
}

fn wrong_bodies(now: &str) -> Vec<(&'static str, Value)> {
    let sent = |body: &str, signed: &str| {
        let headers = [("x-glint-signature", signature(CLIENT_SECRET, now, signed.as_bytes()))];
        with_headers(
            request("POST", "/", "", body),
            &[("x-glint-signature", &headers[0].1), ("x-glint-timestamp", now)],
        )
    };
    let mut no_text = as_base64(sent(&body(), &body()));
    no_text["body"] = json!("/////w==");
    let inside = signed_inside(&body(), CLIENT_SECRET, now);
    let pretty = serde_json::to_string_pretty(&message("r_1")).unwrap();
    vec![
        ("a header pair on another body", sent(&message("r_2").to_string(), &body())),
        ("a body with a member more", sent(&body().replacen('{', "{\"more\":1,", 1), &body())),
        ("a body that was cut short", sent(&body()[..200], &body())),
        ("an empty body", sent("", &body())),
        ("a signature over nothing", sent(&body(), "")),
        ("a compact body whose signer had it spaced", sent(&body(), &pretty)),
        ("a body with its members in another order", sent(&reordered(), &body())),
        ("a body whose number is spelled otherwise", sent(&respelled("1.0"), &respelled("1"))),
        ("a body that is no text", no_text),
        ("a message signed inside, where headers must prove it", request("POST", "/", "", &inside)),
    ]
}

fn reordered() -> String {
    let text = body();
    let cut = text.find(",\"context\"").unwrap();
    let first = &text[1..cut];
    format!("{{{},{first}}}", &text[cut + 1..text.len() - 1])
}

fn respelled(number: &str) -> String {
    body().replace("\"environment\":\"staging\"", &format!("\"replicas\":{number}"))
}

fn wrong_families(now: &str) -> Vec<(&'static str, Value)> {
    let good = genuine(now);
    let bare = || request("POST", "/", "", &body());
    vec![
        (
            "the signature of one family with the time of the other",
            with_headers(bare(), &[("x-glint-signature", &good), ("x-port-timestamp", now)]),
        ),
        (
            "the proof in the query",
            request("POST", "/", &format!("x-glint-signature={good}&x-glint-timestamp={now}"), &body()),
        ),
        (
            "GitLab's headers",
            with_headers(bare(), &[("webhook-signature", &good), ("webhook-timestamp", now), ("webhook-id", "1")]),
        ),
        (
            "the forged one of headers in two spellings behind the genuine one",
            with_headers(
                bare(),
                &[("X-Glint-Signature", &good), ("x-glint-signature", "v1,AAAA"), ("x-glint-timestamp", now)],
            ),
        ),
        (
            "the forged one before it",
            with_headers(
                bare(),
                &[("x-glint-signature", &good), ("X-Glint-Signature", "v1,AAAA"), ("x-glint-timestamp", now)],
            ),
        ),
        (
            "a forged pair before a genuine one",
            with_headers(
                bare(),
                &[
                    ("x-glint-signature", "v1,AAAA"),
                    ("x-glint-timestamp", now),
                    ("x-port-signature", &good),
                    ("x-port-timestamp", now),
                ],
            ),
        ),
    ]
}

fn all(now: i64) -> Vec<(&'static str, Value)> {
    let text = now.to_string();
    [wrong_signatures(&text), wrong_timestamps(now), wrong_bodies(&text), wrong_families(&text)].concat()
}

/// How often each version of the secret was read.
fn reads(world: &World) -> Vec<(String, usize)> {
    let stage = |body: Value| body["VersionStage"].as_str().unwrap_or("AWSCURRENT").to_owned();
    let asked: Vec<String> = world.sandbox.journal.of(Call::GetSecret).iter().map(|one| stage(one.json())).collect();
    ["AWSCURRENT", "AWSPREVIOUS"]
        .iter()
        .map(|stage| ((*stage).to_owned(), asked.iter().filter(|asked| asked == stage).count()))
        .collect()
}

#[tokio::test]
async fn no_forgery_gets_further_than_401() {
    let world = World::builder().frozen_clock().start().await;
    world.sandbox.glint.run("r_1");
    world.sandbox.glint.run("r_2");
    let forgeries = all(world.now());
    for (name, event) in &forgeries {
        let (status, body) = reply(&world.handle(event).await.unwrap());
        assert_eq!(status, 401, "{name}: {body}");
        assert_eq!((&body["outcome"], &body["runId"]), (&json!("Unauthenticated"), &json!(null)), "{name}: {body}");
    }
    println!("{} forgeries, reads: {:?}", forgeries.len(), reads(&world));
    assert!(forgeries.len() >= 24);
    assert!(
        world.sandbox.journal.calls().iter().all(|call| *call == Call::GetSecret),
        "nothing but secrets is asked for"
    );
    assert_eq!(reads(&world), [("AWSCURRENT".to_owned(), 1), ("AWSPREVIOUS".to_owned(), 1)]);
}

async fn flood(world: &World) -> usize {
    let now = world.now().to_string();
    let batch: Vec<Value> = (0..20).flat_map(|_| wrong_signatures(&now)).map(|(_, event)| event).collect();
    let replies = futures_util::future::join_all(batch.iter().map(|event| world.handle(event))).await;
    assert!(replies.iter().all(|reply| reply.as_ref().unwrap()["statusCode"] == 401));
    replies.len()
}

#[rstest]
#[tokio::test]
async fn a_flood_of_forgeries_costs_one_read_of_each_version_until_secrets_are_read_anew(
    #[values(false, true)] was_rotated: bool,
) {
    let world = World::builder().settings(&[("SECRETS_TTL_SECONDS", "300")]).frozen_clock().start().await;
    if was_rotated {
        let now = json!({ "clientId": "client-id", "clientSecret": CLIENT_SECRET.to_uppercase() }).to_string();
        world.sandbox.secrets.rotate("glint/credentials", now);
    }
    let first = flood(&world).await;
    world.pass(299);
    let second = flood(&world).await;
    println!("{} forgeries, reads: {:?}", first + second, reads(&world));
    assert_eq!(reads(&world), [("AWSCURRENT".to_owned(), 1), ("AWSPREVIOUS".to_owned(), 1)]);
    world.pass(2);
    flood(&world).await;
    assert_eq!(reads(&world), [("AWSCURRENT".to_owned(), 2), ("AWSPREVIOUS".to_owned(), 2)]);
}

#[tokio::test]
async fn a_signature_of_exactly_300_seconds_is_believed() {
    for away in [-300, 300] {
        let world = World::builder().frozen_clock().start().await;
        world.sandbox.glint.run("r_1");
        let time = (world.now() + away).to_string();
        let (status, body) = reply(&world.handle(&with(&genuine(&time), &time)).await.unwrap());
        assert_eq!((status, &body["outcome"]), (200, &json!("Started")), "{away} seconds: {body}");
    }
}
