//! What Glint, its agent and a rotation really send: every one of them is believed.

use serde_json::{Value, json};

use crate::event_sources::ways::{reply, request, with_headers};
use crate::support::{CLIENT_SECRET, World, message, redelivered, sqs_event};
use sandbox::Call;
use sandbox::signing::signature;

fn body() -> String {
    message("r_1").to_string()
}

async fn started(world: &World, name: &str, event: &Value) {
    world.sandbox.glint.run("r_1").forget();
    world.sandbox.glint.run("r_1");
    let (status, answer) = reply(&world.handle(event).await.unwrap());
    assert_eq!((status, &answer["outcome"]), (200, &json!("Started")), "{name}: {answer}");
}

fn pair(family: &str, signature: &str, timestamp: &str) -> Value {
    let names = (format!("{family}-Signature"), format!("{family}-Timestamp"));
    with_headers(request("POST", "/", "", &body()), &[(&names.0, signature), (&names.1, timestamp)])
}

#[tokio::test]
async fn both_families_of_headers_and_both_units_of_time_are_believed() {
    let world = World::builder().frozen_clock().start().await;
    for family in ["X-Glint", "x-glint", "X-Port", "x-port", "X-PORT"] {
        for factor in [1, 1000] {
            let time = (world.now() * factor + i64::from(factor > 1) * 123).to_string();
            let event = pair(family, &signature(CLIENT_SECRET, &time, body().as_bytes()), &time);
            started(&world, &format!("{family} at {time}"), &event).await;
        }
    }
}

#[tokio::test]
async fn one_right_signature_among_several_is_enough() {
    let world = World::builder().frozen_clock().start().await;
    let time = world.now().to_string();
    let (good, bad) = (signature(CLIENT_SECRET, &time, body().as_bytes()), format!("v1,{}=", "A".repeat(43)));
    for header in [
        format!("{good} {bad}"),
        format!("{bad} {good}"),
        format!("{bad} v2,AAAA {good}"),
        format!("{bad},{good}"),
        format!("{bad}, {good}"),
        format!("{good} {good}"),
    ] {
        started(&world, &header, &pair("x-glint", &header, &time)).await;
    }
}

#[tokio::test]
async fn a_foreign_header_in_any_script_keeps_nobody_out() {
    let world = World::builder().frozen_clock().start().await;
    let time = world.now().to_string();
    let event = pair("x-glint", &signature(CLIENT_SECRET, &time, body().as_bytes()), &time);
    let event = with_headers(event, &[("x-requested-by", "Zoë – 請求"), ("cookie", "a=b; c=\u{fffd}")]);
    started(&world, "a header that is not ASCII", &event).await;
}

#[tokio::test]
async fn a_rotation_drops_nothing() {
    const NEWER: &str = "the-newer-client-secret-0123456789abcdef";
    let world = World::builder().frozen_clock().start().await;
    let sent = |secret: &str| {
        let time = world.now().to_string();
        pair("x-glint", &signature(secret, &time, body().as_bytes()), &time)
    };
    started(&world, "before the rotation", &sent(CLIENT_SECRET)).await;
    world.sandbox.glint.rotate_secret(NEWER);
    let rotated = json!({ "clientId": "client-id", "clientSecret": NEWER }).to_string();
    world.sandbox.secrets.rotate("glint/credentials", rotated);
    started(&world, "signed with the newer secret, the older one at hand", &sent(NEWER)).await;
    started(&world, "signed with the older secret, the newer one at hand", &sent(CLIENT_SECRET)).await;
    world.pass(1000);
    started(&world, "signed with the older secret, long after", &sent(CLIENT_SECRET)).await;
    started(&world, "signed with the newer secret, long after", &sent(NEWER)).await;
    let forged = reply(&world.handle(&sent("never-a-client-secret-0123456789abcdef")).await.unwrap());
    assert_eq!(forged.0, 401);
    println!("{} reads of secrets", world.sandbox.journal.count(Call::GetSecret));
}

/// Python's `json.dumps`: what is not ASCII is escaped.
fn python(value: &Value, item: &str, member: &str) -> String {
    let text = |text: &str| {
        let quoted = Value::from(text).to_string();
        let mut out = String::new();
        for unit in quoted.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => out.push(byte.into()),
                _ => out.push_str(&format!("\\u{unit:04x}")),
            }
        }
        out
    };
    match value {
        Value::String(value) => text(value),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(|value| python(value, item, member)).collect();
            format!("[{}]", items.join(item))
        }
        Value::Object(members) => {
            let members: Vec<_> =
                members.iter().map(|(name, value)| text(name) + member + &python(value, item, member)).collect();
            format!("{{{}}}", members.join(item))
        }
        other => other.to_string(),
    }
}

#[tokio::test]
async fn a_body_that_the_agent_spaced_after_signing_is_believed_and_sent_on_as_it_came() {
    let world = World::builder().frozen_clock().start().await;
    let mut message = message("r_1");
    message["payload"]["properties"]["note"] = json!("Für Zoë – 請求 🚀 \"quoted\" \\ \u{7f}");
    message["payload"]["properties"]["share"] = json!(0.5);
    let (signed, sent) = (python(&message, ",", ":"), python(&message, ", ", ": "));
    assert!(signed.is_ascii() && sent.contains("\\ud83d\\ude80"));
    let time = world.now().to_string();
    let headers =
        [("x-port-signature", signature(CLIENT_SECRET, &time, signed.as_bytes())), ("x-port-timestamp", time)];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    started(&world, "the agent's", &with_headers(request("POST", "/", "", &sent), &headers)).await;
    let trigger = world.sandbox.journal.of(Call::Trigger)[0].text();
    assert!(trigger.contains(&format!("\"port_payload\":{sent}")), "{trigger}");
}

/// Secret, timestamp, signed body, signature: computed elsewhere.
const VECTORS: [(&str, &str, &str, &str); 2] = [
    (
        "glint-test-client-secret-0123456789abcdef",
        "1718000000",
        r#"{"action":"deploy","context":{"runId":"r_ab12CD34ef56GH78"}}"#,
        "v1,HQhFsnuG4D+5+dYJG27lZEQV2MRJU8pmLNNMSs+viNc=",
    ),
    (
        "glint-test-client-secret-0123456789abcdef",
        "1718000000",
        r#"{"action":"déploy","context":{"runId":"r_ab12CD34ef56GH78"}}"#,
        "v1,ZNWWQy9wmBh952fRCOQqWEoECWLR7oXC7DQ+zv/dwZU=",
    ),
];

fn furnish_with(world: &World, secret: &str) {
    world.sandbox.glint.credentials("client-id", secret);
    world
        .sandbox
        .secrets
        .put("glint/credentials", json!({ "clientId": "client-id", "clientSecret": secret }).to_string());
}

#[tokio::test]
async fn known_vectors_prove_a_webhook_of_their_time() {
    for (secret, timestamp, body, proof) in VECTORS {
        let world = World::builder().frozen_clock().start().await;
        furnish_with(&world, secret);
        world.sandbox.glint.run("r_ab12CD34ef56GH78");
        world.pass(timestamp.parse::<i64>().unwrap() - world.now());
        let headers = [("x-glint-signature", proof), ("x-glint-timestamp", timestamp)];
        let (status, answer) =
            reply(&world.handle(&with_headers(request("POST", "/", "", body), &headers)).await.unwrap());
        // The vector names no project: it is believed, read, and refused.
        assert_eq!((status, &answer["runId"]), (422, &json!("r_ab12CD34ef56GH78")), "{answer}");
    }
}

/// A GITLAB action's message as it was signed: compact, and without the `headers` that it has on the topic.
const GITLAB_MESSAGE: &str = include_str!("kafka-gitlab-message.json");
const GITLAB_PROOF: &str = "v1,UuQ29HR3WdZtu4uRmB3vNxObt3vARsgVCdajYYIiHd0=";
/// The same of a WEBHOOK action: signed without `headers`, and as all but GITLAB's are, with `"headers":{}` behind it.
const WEBHOOK_PROOFS: [&str; 2] =
    ["v1,iqkRKLGPJtlvAQaqogy5YFBGaK0idyJXSyD85CM9SHI=", "v1,uuBMfcio3oscejO5bOtL97K1AmiZjxDvou7sChjMNeE="];

fn on_the_topic(message: &str, proof: &str, time: &str) -> String {
    let headers = format!(r#""headers":{{"X-Port-Signature":"{proof}","X-Port-Timestamp":{time}}}"#);
    format!("{},{headers}}}", message.strip_suffix('}').unwrap())
}

async fn of_the_vectors() -> World {
    let world = World::builder().frozen_clock().start().await;
    // Glint's client secrets are longer than the vectors'.
    furnish_with(&world, "test");
    world.sandbox.glint.run("r_jE5FhDURh4Uen2Qr");
    world.sandbox.gitlab.project("group/project").token("glptt-project");
    world.sandbox.secrets.put("glint/gitlab-trigger-tokens", json!({ "group/project": "glptt-project" }).to_string());
    world
}

#[tokio::test]
async fn known_vectors_prove_a_record_of_the_topic() {
    let message = GITLAB_MESSAGE.trim_end();
    for time in ["1713277889", "\"1713277889\""] {
        let world = of_the_vectors().await;
        let event =
            crate::event_sources::ways::topic(&[&on_the_topic(message, GITLAB_PROOF, time)], world.now() * 1000);
        assert_eq!(world.handle(&event).await.unwrap(), json!({}));
        let pipelines = world.sandbox.gitlab.pipelines();
        assert_eq!(pipelines.len(), 1, "at {time}");
        assert!(pipelines[0].trigger_payload.contains(&format!("\"port_payload\":{message}")));
    }
}

#[tokio::test]
async fn known_vectors_prove_a_message_of_another_type() {
    let method = r#"{"type":"GITLAB","agent":true,"defaultRef":"main","projectName":"project","groupName":"group"}"#;
    let other = r#"{"type":"WEBHOOK","agent":true,"url":"http://localhost:80/api/test"}"#;
    let message = GITLAB_MESSAGE.trim_end().replace(method, other);
    assert_eq!(message.len(), 812);
    let world = of_the_vectors().await;
    for proof in WEBHOOK_PROOFS {
        let genuine = on_the_topic(&message, proof, "1713277889");
        let forged = genuine.replace("/api/test", "/api/tess");
        // On a queue one sees the difference: what is believed is done with, here because it names no project.
        let answer = world.handle(&sqs_event(&[&genuine, &forged], 1)).await.unwrap();
        assert_eq!(redelivered(&answer), [1], "{proof}");
    }
}
