//! Messages as Glint sends them, and events as AWS brings them.

use serde_json::{Value, json};

/// A run message of a GITLAB action, as Glint sends it.
pub fn message(run: &str) -> Value {
    json!({
        "action": "deploy_service", "resourceType": "run", "status": "TRIGGERED",
        "trigger": { "by": { "orgId": "org_1", "userId": "auth0|1" }, "origin": "UI", "at": "2026-01-05T09:12:03.120Z" },
        "context": { "entity": null, "blueprint": "deployment", "runId": run },
        "payload": {
            "entity": null,
            "action": {
                "identifier": "deploy_service",
                "invocationMethod": { "type": "GITLAB", "projectName": "billing", "groupName": "acme/backend", "defaultRef": "main", "agent": true },
                "trigger": "CREATE"
            },
            "properties": { "service": "billing", "environment": "staging" },
            "censoredProperties": []
        }
    })
}

/// An SQS event with messages of these bodies; message `n` has the id `m<n>`.
pub fn sqs_event(bodies: &[&str], receives: u32) -> Value {
    let records: Vec<Value> = bodies.iter().enumerate().map(|(index, body)| json!({
        "messageId": format!("m{index}"), "receiptHandle": format!("h{index}"), "body": body,
        "attributes": { "ApproximateReceiveCount": receives.to_string(), "SentTimestamp": "1767604323120", "MessageGroupId": format!("g{index}") },
        "messageAttributes": {}, "md5OfBody": "", "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-west-1:000000000000:runs.fifo", "awsRegion": "eu-west-1"
    })).collect();
    json!({ "Records": records })
}

/// The places of the messages that a reply to SQS lists as failed.
pub fn redelivered(reply: &Value) -> Vec<usize> {
    let failures = reply["batchItemFailures"].as_array().expect("a reply to SQS lists failures");
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap()[1..].parse().unwrap()).collect()
}
