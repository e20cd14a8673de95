//! Secret inputs: decrypted for the pipeline, ciphertext in what every maintainer can see, in no output at all.

use aes_gcm::aead::Aead as _;
use aes_gcm::aead::array::Array;
use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, Function, TOKEN, World, furnish, invoke, message, redelivered, sqs_event};
use rstest::rstest;
use sandbox::{Call, Fault, Reply, Sandbox};

const PLAIN: &str = "pl41n-s3cr3t \"quoted\" é";

/// What Glint makes of a secret input: base64 of nonce, ciphertext and tag, the key being the secret's first 32 bytes.
pub fn sealed(plain: &str, secret: &str) -> String {
    let nonce: [u8; 16] = *b"sixteen byte non";
    let cipher = AesGcm::<Aes256, U16>::new_from_slice(&secret.as_bytes()[..32]).unwrap();
    let ciphertext = cipher.encrypt(&Array::from(nonce), plain.as_bytes()).unwrap();
    STANDARD.encode([&nonce[..], &ciphertext].concat())
}

/// A message whose input `password` is secret, as the message itself says.
fn with_secret(run: &str, value: &Value) -> Value {
    let mut message = message(run);
    message["payload"]["properties"]["password"] = value.clone();
    message["payload"]["censoredProperties"] = json!(["password"]);
    message
}

fn as_the_form_says(run: &str, value: &str) -> Value {
    let mut message = with_secret(run, &json!(value));
    message["payload"]["censoredProperties"] = json!([]);
    message["payload"]["action"]["userInputs"] =
        json!({ "properties": { "password": { "type": "string", "encryption": "aes256-gcm" }, "service": {} } });
    message
}

const INPUTS: [&str; 3] = ["service", "environment", "password"];

#[tokio::test]
async fn a_secret_is_decrypted_for_variables_and_stays_sealed_in_the_payload() {
    let sealed = sealed(PLAIN, CLIENT_SECRET);
    for message in [with_secret("r_1", &json!(sealed)), as_the_form_says("r_1", &sealed)] {
        let world = World::builder().run("r_1").inputs(&INPUTS).start().await;
        assert!(world.queue(&[&message.to_string()]).await.is_empty());
        let body = world.sandbox.journal.of(Call::Trigger)[0].json();
        assert_eq!(body["variables"]["password"], PLAIN);
        assert_eq!(body["port_payload"]["payload"]["properties"]["password"], json!(sealed));
        assert_eq!(body["variables"]["service"], "billing");
        assert!(!body["port_payload"].to_string().contains("pl41n"));
    }
}

#[tokio::test]
async fn a_secret_becomes_a_typed_input_and_an_object_stays_one() {
    for (plain, expected) in [
        (PLAIN, json!(PLAIN)),
        (r#"{"user":"a","keys":[1,2]}"#, json!({ "user": "a", "keys": [1, 2] })),
        ("7", json!("7")),
        ("{not json", json!("{not json")),
    ] {
        let world = World::builder().settings(&[("USER_INPUTS_AS", "inputs")]).run("r_1").inputs(&INPUTS).start().await;
        let message = with_secret("r_1", &json!(sealed(plain, CLIENT_SECRET)));
        assert!(world.queue(&[&message.to_string()]).await.is_empty());
        let body = world.sandbox.journal.of(Call::Trigger)[0].json();
        assert_eq!(body["inputs"]["password"], expected, "{plain}");
        assert!(body.get("variables").is_none());
    }
}

#[tokio::test]
async fn what_cannot_be_decrypted_is_refused_in_words() {
    let good = sealed(PLAIN, CLIENT_SECRET);
    let mut flipped = STANDARD.decode(&good).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    for (name, value) in [
        ("another secret's", json!(sealed(PLAIN, "another-client-secret-0123456789abcdefgh"))),
        ("a changed one", json!(STANDARD.encode(flipped))),
        ("a shortened one", json!(good[..24])),
        ("plain text", json!(PLAIN)),
        ("a number", json!(7)),
    ] {
        let world = World::builder().run("r_1").inputs(&INPUTS).start().await;
        assert!(world.queue(&[&with_secret("r_1", &value).to_string()]).await.is_empty(), "{name}");
        let run = world.run("r_1");
        assert_eq!(run.status, "FAILURE", "{name}");
        let summary = run.summary.unwrap();
        assert!(summary.contains("the secret input `password` cannot be decrypted"), "{name}: {summary}");
        assert!(!summary.contains("pl41n"), "{name}: {summary}");
        assert!(world.sandbox.gitlab.pipelines().is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_client_secret_too_short_for_a_key_is_refused_too() {
    let world = World::builder().run("r_1").inputs(&INPUTS).start().await;
    world.sandbox.glint.credentials("client-id", "short");
    world
        .sandbox
        .secrets
        .put("glint/credentials", json!({ "clientId": "client-id", "clientSecret": "short" }).to_string());
    let message = with_secret("r_1", &json!(sealed(PLAIN, CLIENT_SECRET)));
    assert!(world.queue(&[&message.to_string()]).await.is_empty());
    assert!(world.run("r_1").summary.unwrap().contains("cannot be decrypted"));
}

/// Everything the function says of a started, a refused, a rejected and an unconfirmed run.
async fn printed(level: &str, format: &str) -> String {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let settings = [("AWS_LAMBDA_LOG_LEVEL", level), ("AWS_LAMBDA_LOG_FORMAT", format), ("RUST_LOG", "trace")];
    let mut function = Function::start(&sandbox, &settings).await;
    let wrong = sealed(PLAIN, "another-client-secret-0123456789abcdefgh");
    let good = sealed(PLAIN, CLIENT_SECRET);
    let messages = [("r_1", &good), ("r_2", &wrong), ("r_3", &good), ("r_4", &good)].map(|(id, value)| {
        sandbox.glint.run(id);
        with_secret(id, &json!(value)).to_string()
    });
    let echo = Fault::status_with(400, json!({ "message": format!("no {TOKEN}") }).to_string());
    sandbox.fail(Call::Trigger).of(|one| one.text().contains("r_3")).with(echo);
    sandbox.fail(Call::Trigger).of(|one| one.text().contains("r_4")).with(Fault::ResetAfter);
    let bodies: Vec<&str> = messages.iter().map(String::as_str).collect();
    let Reply::Response(reply) = invoke(&sandbox, sqs_event(&bodies, 1)).await else { panic!("no response") };
    assert_eq!(redelivered(&reply), [3]);
    assert!(sandbox.journal.exchanges().iter().all(|one| !one.token_in_url), "no token in a URL");
    for run in sandbox.glint.runs() {
        let told = format!("{:?}{:?}", run.writes, run.logs);
        assert!(!told.contains("pl41n") && !told.contains(TOKEN), "{told}");
    }
    function.kill().await
}

#[rstest]
#[tokio::test]
async fn no_secret_is_printed_at_any_level(
    #[values("TRACE", "DEBUG", "INFO", "WARN", "ERROR")] level: &str,
    #[values("Text", "JSON")] format: &str,
) {
    let printed = printed(level, format).await;
    assert_eq!(printed.contains("is started"), !["WARN", "ERROR"].contains(&level), "{level}: {printed}");
    for secret in ["pl41n", TOKEN, CLIENT_SECRET, "eyJzYW5kYm94", "\"sandbox\""] {
        assert!(!printed.contains(secret), "{level} {format} prints `{secret}`: {printed}");
    }
}
