//! Events that are a little odd: each record is read on its own, and one that nobody can read fails alone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::event_sources::ways::{ask, event_bridge, notification, request, topic, webhook_to, with_headers};
use crate::support::signing::signed_inside;
use crate::support::{CLIENT_SECRET, World, message, redelivered, sqs_event};

async fn world() -> World {
    World::builder().runs(&["r_0", "r_1", "r_2"]).start().await
}

/// Three messages of the queue, the one in the middle changed.
fn three(change: impl Fn(&mut Value)) -> Value {
    let bodies = ["r_0", "r_1", "r_2"].map(|id| message(id).to_string());
    let mut event = sqs_event(&bodies.each_ref().map(String::as_str), 1);
    change(&mut event["Records"][1]);
    event
}

#[tokio::test]
async fn what_can_be_read_of_an_odd_message_is_enough() {
    for (name, change) in [
        (
            "list values that are null",
            json!({ "messageAttributes": { "a": { "stringValue": "x", "stringListValues": null, "binaryListValues": null, "dataType": "String" } } }),
        ),
        (
            "a number for a count",
            json!({ "attributes": { "ApproximateReceiveCount": 1, "SentTimestamp": 1_767_604_323_120_u64 } }),
        ),
        ("an attribute that is null", json!({ "messageAttributes": { "a": null } })),
        ("attributes as a list", json!({ "messageAttributes": [] })),
        ("attributes that are null", json!({ "messageAttributes": null, "attributes": null })),
        (
            "a binary attribute that is no base64",
            json!({ "messageAttributes": { "a": { "binaryValue": "???", "dataType": "Binary" } } }),
        ),
        ("a body that is an object", json!({ "body": message("r_1") })),
    ] {
        let world = world().await;
        let event = three(|record| {
            for (key, value) in change.as_object().unwrap() {
                record[key] = value.clone();
            }
        });
        let reply = world.handle(&event).await.unwrap();
        assert_eq!(redelivered(&reply), [0; 0], "{name}: {reply}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), 3, "{name}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_fails_alone() {
    for (name, change, listed) in [
        ("no body", json!({ "body": null }), &[1_usize][..]),
        ("a body that is a number", json!({ "body": 7 }), &[1]),
        ("an empty id and no body", json!({ "messageId": "", "body": null }), &[]),
        ("no id and no body", json!({ "messageId": null, "body": null }), &[]),
    ] {
        let world = world().await;
        let event = three(|record| {
            for (key, value) in change.as_object().unwrap() {
                record[key] = value.clone();
            }
        });
        let reply = world.handle(&event).await.unwrap();
        assert_eq!(redelivered(&reply), listed, "{name}: {reply}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), 2, "{name}");
    }
    for odd in [Value::Null, json!(7), json!([]), json!("x"), json!({})] {
        let world = world().await;
        let reply = world.handle(&three(|record| *record = odd.clone())).await.unwrap();
        assert_eq!(redelivered(&reply), [0; 0], "{odd}: {reply}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), 2, "{odd}");
    }
}

#[tokio::test]
async fn an_id_that_comes_twice_is_listed_once() {
    let world = world().await;
    let event = three(|record| {
        record["messageId"] = json!("m0");
        record["body"] = json!("not json");
    });
    let mut event = event;
    event["Records"][0]["body"] = json!("not json either");
    let reply = world.handle(&event).await.unwrap();
    assert_eq!(reply, json!({ "batchItemFailures": [{ "itemIdentifier": "m0" }] }));
}

#[tokio::test]
async fn odd_records_of_a_topic_are_passed_over_and_tombstones_are_nothing() {
    let world = world().await;
    let now = world.sandbox.now();
    let value = signed_inside(&message("r_1").to_string(), CLIENT_SECRET, &now.timestamp().to_string());
    let mut event = topic(&[&value], now.timestamp_millis());
    let records = event["records"]["org_1.runs-0"].as_array_mut().unwrap();
    records.extend([Value::Null, json!(7), json!({ "value": null }), json!({ "value": 7 }), json!({ "value": "???" })]);
    event["records"]["org_1.runs-1"] = Value::Null;
    event["records"]["org_1.runs-2"] = json!({});
    assert_eq!(world.handle(&event).await.unwrap(), json!({}));
    assert_eq!(world.sandbox.gitlab.pipelines().len(), 1);
    let tombstones =
        json!({ "eventSource": "aws:kafka", "records": { "a-0": [{ "offset": 1, "value": null }, { "offset": 2 }] } });
    assert_eq!(world.handle(&tombstones).await.unwrap(), json!({}));
}

#[tokio::test]
async fn envelopes_are_opened_two_deep_in_either_order() {
    let body = message("r_1").to_string();
    let in_sns = notification(&event_bridge(&body), &[]).to_string();
    let in_event_bridge = event_bridge(&notification(&body, &[]).to_string());
    for (name, text) in [("EventBridge in SNS", &in_sns), ("SNS in EventBridge", &in_event_bridge)] {
        let world = world().await;
        assert_eq!(world.queue(&[text]).await, [0; 0], "{name}");
        assert_eq!(world.sandbox.gitlab.pipelines().len(), 1, "{name}");
        let direct = world.handle_text(&in_event_bridge).await.unwrap();
        assert_eq!(direct["outcome"], "Duplicate", "{direct}");
    }
}

#[tokio::test]
async fn a_request_that_lacks_what_is_not_needed_is_served() {
    for (name, change) in [
        ("no time", json!({ "/requestContext/timeEpoch": null })),
        ("no base64 flag", json!({ "/isBase64Encoded": null })),
        ("a number as a header's value", json!({ "/headers/content-length": 7, "/headers/x-forwarded-port": 443 })),
        ("cookies that are null", json!({ "/cookies": null, "/queryStringParameters": null })),
    ] {
        let world = world().await;
        let mut event = webhook_to(&world, "/", "", &message("r_1").to_string());
        for (place, value) in change.as_object().unwrap() {
            let (parent, last) = place.rsplit_once('/').unwrap();
            let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            if value.is_null() && last != "cookies" {
                parent.remove(last);
            } else {
                parent.insert(last.to_owned(), value.clone());
            }
        }
        let (status, answer) = ask(&world, &event).await;
        assert_eq!(status, 200, "{name}: {answer}");
    }
    let world = world().await;
    let mut event = request("POST", "/", "", "{}");
    event["headers"] = Value::Null;
    assert_eq!(ask(&world, &event).await.0, 401, "no headers at all");
    let mut event = webhook_to(&world, "/", "", &message("r_1").to_string());
    let seconds: i64 = event["headers"]["x-glint-timestamp"].as_str().unwrap().parse().unwrap();
    event["headers"]["x-glint-timestamp"] = json!(seconds);
    assert_eq!(ask(&world, &event).await.0, 200, "a number as the time of the signature");
}

#[tokio::test]
async fn paths_are_decoded_once_and_their_slashes_collapsed() {
    for path in ["/acme%2Fbackend%2Fbilling", "//acme//backend/billing/", "/acme/backend%2fbilling"] {
        let world = world().await;
        let body = json!({ "port_context": { "runId": "r_1" } });
        world.sandbox.glint.run("r_1").sent_to("https://fn.example.com/acme/backend/billing", body.clone());
        let (status, answer) = ask(&world, &webhook_to(&world, path, "", &body.to_string())).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    for path in ["/-/hooks/gitlab", "//-/hooks/gitlab", "/base/-/hooks/gitlab/", "/a/b/-/hooks/gitlab"] {
        let world = world().await;
        assert_eq!(ask(&world, &request("POST", path, "", "{}")).await.0, 403, "{path}: hooks are not expected");
    }
}

#[tokio::test]
async fn a_stage_is_cut_on_aws_s_own_hosts_alone() {
    for (domain, header, path, expected) in [
        ("a1.execute-api.eu-west-1.amazonaws.com", "x", "/acme/acme/backend/billing", 200),
        ("A1.Execute-API.eu-west-1.amazonaws.com", "x", "/acme/backend/billing", 422),
        ("hooks.example.com", "x", "/acme/backend/billing", 200),
        ("hooks.example.com", "a1.execute-api.eu-west-1.amazonaws.com", "/acme/backend/billing", 200),
    ] {
        let world = world().await;
        let body = json!({ "port_context": { "runId": "r_1" } });
        world.sandbox.glint.run("r_1").sent_to(&format!("https://{domain}{path}"), body.clone());
        let mut event = with_headers(webhook_to(&world, path, "", &body.to_string()), &[("host", header)]);
        event["requestContext"]["domainName"] = json!(domain);
        event["requestContext"]["stage"] = json!("acme");
        let (status, answer) = ask(&world, &event).await;
        assert_eq!(status, expected, "{domain} {path}: {answer}");
    }
}

#[tokio::test]
async fn a_body_is_told_what_it_seems_to_be() {
    let encoded = json!(message("r_1").to_string()).to_string();
    for (body, words) in [
        (encoded.as_str(), "encoded twice"),
        ("\u{feff}{\"context\":{\"runId\":\"r_1\"}}", "byte order mark"),
        (r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b","s3Key":"k"}]"#, "S3"),
        ("[]", "a list"),
        ("", "empty"),
    ] {
        let world = world().await;
        let (status, answer) = ask(&world, &webhook_to(&world, "/", "", body)).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert!(answer["reason"].as_str().unwrap().contains(words), "{body}: {answer}");
        assert_eq!(world.queue(&[body]).await, [0], "{body}");
    }
}

#[tokio::test]
async fn foreign_events_are_told_what_is_expected() {
    let world = world().await;
    for event in [
        json!({ "Records": [{ "eventSource": "aws:s3", "s3": {} }] }),
        json!({ "Records": [{ "eventSource": "aws:kinesis", "kinesis": { "data": STANDARD.encode("x") } }] }),
        json!({ "Records": [null] }),
        json!({ "Records": "x" }),
    ] {
        let failure = world.handle(&event).await.unwrap_err();
        assert!(failure.message.contains("hint: send an SQS, Kafka, SNS, EventBridge or HTTP event"), "{failure}");
    }
    let scheduled = json!({ "version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    let failure = world.handle(&scheduled).await.unwrap_err();
    assert!(failure.message.contains("the event `Scheduled Event` of `aws.events`"), "{failure}");
    assert!(failure.message.contains("a schedule's input is `{\"sweep\": true}`"), "{failure}");
}

#[tokio::test]
async fn an_event_of_kafka_without_records_is_called_that() {
    let world = world().await;
    for source in ["aws:kafka", "SelfManagedKafka"] {
        for event in [json!({ "eventSource": source, "records": null }), json!({ "eventSource": source })] {
            let failure = world.handle(&event).await.unwrap_err();
            assert_eq!(failure.kind, "UnsupportedEvent", "{event}");
            assert!(failure.message.starts_with("the Kafka event has no `records`\n  hint: "), "{failure}");
        }
        let empty = json!({ "eventSource": source, "records": {} });
        assert_eq!(world.handle(&empty).await.unwrap(), json!({}), "{source}");
    }
}

#[tokio::test]
async fn what_aws_puts_into_an_envelope_itself_is_called_that() {
    let confirmation = json!({ "Type": "SubscriptionConfirmation", "TopicArn": "arn:aws:sns:eu-west-1:1:runs", "Message": "You have chosen", "SubscribeURL": "https://sns" });
    let event = json!({ "detail-type": "Object Created", "source": "aws.s3", "detail": {} });
    for (message, words) in
        [(confirmation, "SNS's `SubscriptionConfirmation`"), (event, "`Object Created` of `aws.s3`")]
    {
        let world = world().await;
        assert_eq!(world.queue(&[&message.to_string()]).await, [0], "{message}");
        let failure = world.handle(&message).await.unwrap_err();
        assert!(failure.message.contains(words), "{failure}");
    }
    // What a partner of AWS sends is another's message, and so is one with members that are called like an envelope's.
    let partner = event_bridge(&message("r_1").to_string()).replace("glint.relay", "aws.partner/glint/runs");
    let mut spread = message("r_2");
    (spread["source"], spread["detail-type"], spread["eventSource"]) = (json!("aws.s3"), json!("x"), json!("aws:s3"));
    for (run, text) in [("r_1", partner), ("r_2", spread.to_string())] {
        let world = world().await;
        let answer = world.handle_text(&text).await.unwrap();
        assert_eq!((&answer["runId"], &answer["outcome"]), (&json!(run), &json!("Started")), "{answer}");
    }
}
