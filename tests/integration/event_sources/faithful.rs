//! One message through every source: GitLab is sent the same bytes.

use serde_json::json;

use crate::event_sources::ways::{as_base64, event_bridge, notification, reply, sns, topic, webhook, with_attributes};
use crate::support::{CLIENT_SECRET, World, sqs_event};
use sandbox::Call;
use sandbox::signing::{signature, signed_inside};

/// A message with everything that a careless parser would change: order, digits, escapes, scripts.
const MESSAGE: &str = r#"{"zulu":1e-7,"action":"deploy_service","resourceType":"run","status":"TRIGGERED","trigger":{"origin":"UI","at":"2026-01-05T09:12:03.120Z","by":{"userId":"auth0|1","orgId":"org_1"}},"context":{"runId":"r_1","blueprint":"deployment","entity":null},"payload":{"entity":{"b":1.0,"a":[0.00001,1E+21,-0.0,1.10]},"properties":{"zone":"z","share":1e-7,"ceiling":12345678901234567890,"huge":123456789012345678901234567890,"whole":1.0,"minus":-0,"note":"Für Zoë – 請求 🚀","escaped":"\u00e9\/\ud83d\ude80","list":[1.50,{"y":1,"x":2}],"nothing":null,"yes":true},"action":{"invocationMethod":{"type":"GITLAB","projectName":"billing","groupName":"acme/backend","defaultRef":"main","agent":true},"identifier":"deploy_service","trigger":"CREATE"},"censoredProperties":[]},"alpha":{}}"#;

/// What the pipeline's variables are to be, in their order.
const VARIABLES: &str = r#""variables":{"zone":"z","share":"1e-7","ceiling":"12345678901234567890","huge":"123456789012345678901234567890","whole":"1.0","minus":"-0","note":"Für Zoë – 請求 🚀","escaped":"é/🚀","list":"[1.50,{\"y\":1,\"x\":2}]","nothing":"null","yes":"true"}"#;

/// The body that reached GitLab when `event`, as text, reached a function.
async fn sent(name: &str, event: impl AsyncFnOnce(&World) -> String) -> String {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    let event = event(&world).await;
    let answer = world.handle_text(&event).await.unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let triggers = world.sandbox.journal.of(Call::Trigger);
    assert_eq!(triggers.len(), 1, "{name}: {answer}");
    assert_eq!(world.run("r_1").links().len(), 1, "{name}");
    if answer.get("statusCode").is_some() {
        assert_eq!(reply(&answer).0, 200, "{name}: {answer}");
    }
    triggers[0].text()
}

async fn queued() -> String {
    sent("a plain message", async |_| sqs_event(&[MESSAGE], 1).to_string()).await
}

/// With and without the proof that each source asks for.
fn proof(world: &World) -> (String, String) {
    let time = world.sandbox.now().timestamp().to_string();
    (signature(CLIENT_SECRET, &time, MESSAGE.as_bytes()), time)
}

fn inside(world: &World) -> String {
    signed_inside(MESSAGE, CLIENT_SECRET, &world.sandbox.now().timestamp().to_string())
}

#[tokio::test]
async fn the_message_itself_is_sent_as_it_came() {
    let body = queued().await;
    assert!(body.contains(&format!("\"port_payload\":{MESSAGE},")), "{body}");
    assert!(body.contains(VARIABLES), "{body}");
}

#[tokio::test]
async fn every_direct_source_sends_the_same_bytes() {
    let plain = queued().await;
    let millis = |world: &World| world.sandbox.now().timestamp_millis();
    let sources = [
        ("a webhook", sent("a webhook", async |world| webhook(world, MESSAGE).to_string()).await),
        ("base64", sent("base64", async |world| as_base64(webhook(world, MESSAGE)).to_string()).await),
        ("Kafka", sent("Kafka", async |world| topic(&[&inside(world)], millis(world)).to_string()).await),
        ("MSK", sent("MSK", async |world| msk(&inside(world), millis(world))).await),
        ("a direct invoke", sent("a direct invoke", async |_| MESSAGE.to_owned()).await),
        ("EventBridge", sent("EventBridge", async |_| event_bridge(MESSAGE)).await),
        ("SNS", sent("SNS", async |_| sns(MESSAGE, &[]).to_string()).await),
        (
            "SNS, signed",
            sent("SNS, signed", async |world| {
                let (signature, time) = proof(world);
                sns(MESSAGE, &[("x-glint-signature", &signature), ("x-glint-timestamp", &time)]).to_string()
            })
            .await,
        ),
    ];
    println!("{} direct sources", sources.len());
    for (name, body) in sources {
        assert_eq!(body, plain, "{name}");
    }
}

fn msk(value: &str, millis: i64) -> String {
    let mut event = topic(&[value], millis);
    event["eventSource"] = json!("aws:kafka");
    event["eventSourceArn"] = json!("arn:aws:kafka:eu-west-1:123456789012:cluster/glint/0f2c7f0e");
    event.to_string()
}

#[tokio::test]
async fn every_wrapping_on_a_queue_sends_the_same_bytes() {
    let plain = queued().await;
    let queue = |body: &str| sqs_event(&[body], 1).to_string();
    let wrapped = [
        (
            "signed attributes",
            sent("signed attributes", async |world| {
                let (signature, time) = proof(world);
                let attributes = [("x-port-signature", signature.as_str()), ("x-port-timestamp", time.as_str())];
                with_attributes(sqs_event(&[MESSAGE], 1), &attributes).to_string()
            })
            .await,
        ),
        ("signed inside", sent("signed inside", async |world| queue(&inside(world))).await),
        ("SNS", sent("SNS", async |_| queue(&notification(MESSAGE, &[]).to_string())).await),
        (
            "SNS, spaced",
            sent("SNS, spaced", async |_| queue(&serde_json::to_string_pretty(&notification(MESSAGE, &[])).unwrap()))
                .await,
        ),
        ("EventBridge", sent("EventBridge", async |_| queue(&event_bridge(MESSAGE))).await),
    ];
    println!("{} wrappings", wrapped.len());
    for (name, body) in wrapped {
        assert_eq!(body, plain, "{name}");
    }
}

#[tokio::test]
async fn white_space_is_sent_as_it_came_too() {
    let spaced = MESSAGE.replacen("{\"zulu\"", "{ \"zulu\"", 1).replace(",\"alpha\":{}}", " ,\n\t\"alpha\" : { }}");
    let through = async |name: &str, event: String| sent(name, async |_| event).await;
    let plain = through("a plain message", sqs_event(&[&spaced], 1).to_string()).await;
    assert!(plain.contains(&format!("\"port_payload\":{spaced},")), "{plain}");
    assert_eq!(through("EventBridge", event_bridge(&spaced)).await, plain);
    assert_eq!(
        through("SNS on a queue", sqs_event(&[&notification(&spaced, &[]).to_string()], 1).to_string()).await,
        plain
    );
}
