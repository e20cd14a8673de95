use super::aws::aws;
use sandbox::Sandbox;
use sandbox::queue::Outgoing;
use serde_json::{Value, json};
use std::time::Duration;

async fn send(sandbox: &Sandbox, run: &str, body: &str) -> (u16, Value) {
    let message = json!({
        "QueueUrl": sandbox.queue.url(), "MessageBody": body, "MessageGroupId": run, "MessageDeduplicationId": run,
        "MessageAttributes": { "project": { "DataType": "String", "StringValue": "a/b" } },
    });
    aws(sandbox.queue.endpoint(), "AmazonSQS.SendMessage", &message).await
}

fn bodies(event: &Value) -> Vec<&str> {
    let records = event["Records"].as_array().expect("an SQS event");
    records.iter().map(|record| record["body"].as_str().expect("a body")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_fifo_queue_drops_duplicates_for_five_minutes_even_of_deleted_messages() {
    let sandbox = Sandbox::start().await;
    let (status, first) = send(&sandbox, "r_1", "hello").await;
    assert_eq!((status, &first["MD5OfMessageBody"]), (200, &json!("5d41402abc4b2a76b9719d911017c592")));
    let event = sandbox.queue.receive(10);
    assert!(sandbox.queue.acknowledge(&event, Some(json!({ "batchItemFailures": [] }))).is_empty());
    assert!(sandbox.queue.messages().is_empty());
    assert_eq!(send(&sandbox, "r_1", "hello").await.1["MessageId"], first["MessageId"]);
    assert!(sandbox.queue.messages().is_empty());
    tokio::time::sleep(Duration::from_secs(301)).await;
    send(&sandbox, "r_1", "hello").await;
    assert_eq!(sandbox.queue.messages().len(), 1);
}

#[tokio::test]
async fn an_event_looks_as_lambda_s_event_source_mapping_makes_it() {
    let sandbox = Sandbox::start_at("2026-03-01T10:00:00Z".parse().expect("a time")).await;
    send(&sandbox, "r_1", "{}").await;
    let record = &sandbox.queue.receive(10)["Records"][0];
    assert_eq!(record["attributes"]["MessageGroupId"], "r_1");
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    let sent: i64 = record["attributes"]["SentTimestamp"].as_str().expect("a text").parse().expect("digits");
    assert!((1_772_359_200_000..1_772_359_260_000).contains(&sent), "{sent}");
    assert_eq!(record["messageAttributes"]["project"]["stringValue"], "a/b");
    assert_eq!(record["eventSourceARN"], "arn:aws:sqs:eu-west-1:000000000000:runs.fifo");
    assert_eq!(record["md5OfBody"], "99914b932bd37a50b983c5e7c90ae93b");
}

#[tokio::test(start_paused = true)]
async fn a_group_is_locked_while_one_of_its_messages_is_in_flight() {
    let sandbox = Sandbox::start().await;
    for (body, id) in [("one", "1"), ("two", "2")] {
        sandbox.queue.send(Outgoing::new(body).group("r_1").deduplication(id));
    }
    let first = sandbox.queue.receive(1);
    assert_eq!(bodies(&first), ["one"]);
    assert!(bodies(&sandbox.queue.receive(10)).is_empty(), "its group is locked");
    sandbox.queue.send(Outgoing::new("other").group("r_2").deduplication("3"));
    assert_eq!(bodies(&sandbox.queue.receive(10)), ["other"]);
    sandbox.queue.acknowledge(&first, Some(Value::Null));
    assert_eq!(bodies(&sandbox.queue.receive(10)), ["two"]);
}

#[tokio::test]
async fn a_reply_is_settled_by_aws_s_rules() {
    let cases = [
        (Some(json!({ "batchItemFailures": [] })), 0),
        (Some(json!({ "batchItemFailures": null })), 0),
        (Some(Value::Null), 0),
        (Some(json!({ "batchItemFailures": [{ "itemIdentifier": "first" }] })), 1),
        (Some(json!({ "batchItemFailures": [{ "itemIdentifier": "" }] })), 2),
        (Some(json!({ "batchItemFailures": [{ "itemIdentifier": null }] })), 2),
        (Some(json!({ "batchItemFailures": [{ "id": "first" }] })), 2),
        (Some(json!({ "batchItemFailures": [{ "itemIdentifier": "unknown" }] })), 2),
        (Some(json!("fine")), 2),
        (None, 2),
    ];
    for (reply, again) in cases {
        let sandbox = Sandbox::start().await;
        let queue = sandbox.queue.standard();
        let first = queue.send(Outgoing::new("one"));
        queue.send(Outgoing::new("two"));
        let event = queue.receive(10);
        let text = reply.clone().map(|reply: Value| reply.to_string().replace("\"first\"", &format!("\"{first}\"")));
        let reply = text.map(|text| serde_json::from_str(&text).expect("JSON"));
        assert_eq!(queue.acknowledge(&event, reply.clone()).len(), again, "{reply:?}");
        assert_eq!(queue.messages().len(), again, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_again_after_its_visibility_and_dies_after_its_last_receive() {
    let sandbox = Sandbox::start().await;
    let queue = sandbox.queue.max_receives(2);
    queue.send(Outgoing::new("one").group("r_1").deduplication("r_1"));
    let first = queue.receive(10);
    queue.acknowledge(&first, None);
    let change = json!({
        "QueueUrl": queue.url(), "ReceiptHandle": first["Records"][0]["receiptHandle"], "VisibilityTimeout": 60,
    });
    assert_eq!(aws(queue.endpoint(), "AmazonSQS.ChangeMessageVisibility", &change).await.0, 200);
    let before = sandbox.now();
    let second = queue.receive_next(10).await;
    let waited = (sandbox.now() - before).num_seconds();
    assert!((59..=60).contains(&waited), "{waited}");
    assert_eq!(second["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
    queue.acknowledge(&second, None);
    tokio::time::sleep(Duration::from_secs(271)).await;
    assert!(bodies(&queue.receive(10)).is_empty());
    assert_eq!(queue.dead_letters().len(), 1);
    let dead = queue.receive_dead_letters();
    assert_eq!(dead["Records"][0]["eventSourceARN"], queue.dead_letter_arn());
    queue.acknowledge(&dead, Some(Value::Null));
    assert!(queue.dead_letters().is_empty());
}
