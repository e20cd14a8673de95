//! Messages as Lambda's event source mapping shows them to a function, and what it makes of the function's response.

use super::Message;
use crate::REGION;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub fn event(records: Vec<Value>) -> Value {
    json!({ "Records": records })
}

pub fn record(message: &Message, queue: &str, came_from: Option<&str>) -> Value {
    let first = message.first_received_at.unwrap_or(message.sent_at);
    let mut attributes = json!({
        "ApproximateReceiveCount": message.receives.to_string(),
        "SentTimestamp": message.sent_at.timestamp_millis().to_string(),
        "SenderId": "AROASANDBOX:sender",
        "ApproximateFirstReceiveTimestamp": first.timestamp_millis().to_string(),
    });
    if queue.ends_with(".fifo") {
        attributes["SequenceNumber"] = json!(message.sequence);
        attributes["MessageDeduplicationId"] = json!(message.deduplication);
    }
    if let Some(group) = &message.group {
        attributes["MessageGroupId"] = json!(group);
    }
    if let Some(source) = came_from {
        attributes["DeadLetterQueueSourceArn"] = json!(source);
    }
    let shown = message.attributes.iter().map(|(name, value)| {
        let value =
            json!({ "stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String" });
        (name.clone(), value)
    });
    let mut record = json!({
        "messageId": message.id, "receiptHandle": message.receipt, "body": message.body,
        "attributes": attributes, "messageAttributes": shown.collect::<Map<_, _>>(),
        "md5OfBody": md5_hex(message.body.as_bytes()),
        "eventSource": "aws:sqs", "eventSourceARN": queue, "awsRegion": REGION,
    });
    if !message.attributes.is_empty() {
        record["md5OfMessageAttributes"] = json!(attributes_md5(&message.attributes));
    }
    record
}

/// MD5 as SQS states it of every message.
pub fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SQS's digest of attributes: lengths and texts, by name.
pub fn attributes_md5(attributes: &BTreeMap<String, String>) -> String {
    let mut bytes = Vec::new();
    let part = |text: &str, bytes: &mut Vec<u8>| {
        bytes.extend((text.len() as u32).to_be_bytes());
        bytes.extend(text.as_bytes());
    };
    for (name, value) in attributes {
        part(name, &mut bytes);
        part("String", &mut bytes);
        bytes.push(1);
        part(value, &mut bytes);
    }
    md5_hex(&bytes)
}

/// Id and receipt of every record.
pub fn receipts(event: &Value) -> Vec<(String, String)> {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let pair = |record: &Value| (text(record, "messageId"), text(record, "receiptHandle"));
    records.iter().map(pair).collect()
}

/// Which of the records come again. A response that AWS cannot take literally fails the whole batch.
pub fn failed(sent: &[(String, String)], response: Option<Value>) -> Vec<String> {
    let everything = || sent.iter().map(|(id, _)| id.clone()).collect();
    let listed = match response {
        Some(Value::Null) => return Vec::new(),
        Some(Value::Object(response)) => match response.get("batchItemFailures") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(listed)) => listed.clone(),
            Some(_) => return everything(),
        },
        Some(_) | None => return everything(),
    };
    let known = |item: &Value| {
        let id = item["itemIdentifier"].as_str()?;
        sent.iter().find(|(sent, _)| sent == id).map(|(id, _)| id.clone())
    };
    let failed: Option<Vec<String>> = listed.iter().map(known).collect();
    failed.unwrap_or_else(everything)
}
