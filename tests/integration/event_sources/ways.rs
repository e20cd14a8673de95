//! The ways in: the same message, wrapped as each source wraps it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{CLIENT_SECRET, World};
use sandbox::signing::signature;

/// An HTTP request as a function URL or an HTTP API hands it on, without any proof.
pub fn request(method: &str, path: &str, query: &str, body: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": { "content-type": "application/json", "host": "example.lambda-url.eu-west-1.on.aws" },
        "requestContext": {
            "accountId": "anonymous", "apiId": "example", "domainName": "example.lambda-url.eu-west-1.on.aws",
            "domainPrefix": "example", "requestId": "47469a4d-8cdb-405f-9d2e-16096e36aab0", "routeKey": "$default",
            "stage": "$default", "time": "02/Nov/2026:09:13:03 +0000", "timeEpoch": 1_793_610_783_330_u64,
            "http": { "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.10", "userAgent": "Glint" }
        },
        "body": body, "isBase64Encoded": false
    })
}

/// `request` with further headers.
pub fn with_headers(mut request: Value, headers: &[(&str, &str)]) -> Value {
    for (name, value) in headers {
        request["headers"][*name] = json!(value);
    }
    request
}

/// The request, its body as base64.
pub fn as_base64(mut request: Value) -> Value {
    request["body"] = json!(STANDARD.encode(request["body"].as_str().unwrap()));
    request["isBase64Encoded"] = json!(true);
    request
}

/// Glint's webhook, signed now.
pub fn webhook_to(world: &World, path: &str, query: &str, body: &str) -> Value {
    let now = world.sandbox.now().timestamp().to_string();
    let proof = signature(CLIENT_SECRET, &now, body.as_bytes());
    with_headers(request("POST", path, query, body), &[("x-glint-signature", &proof), ("x-glint-timestamp", &now)])
}

/// The same at `/`.
pub fn webhook(world: &World, body: &str) -> Value {
    webhook_to(world, "/", "", body)
}

/// Status and body of an HTTP reply.
pub fn reply(response: &Value) -> (u64, Value) {
    assert_eq!(response["headers"]["content-type"], "application/json", "{response}");
    let body = response["body"].as_str().expect("a reply has a body");
    (response["statusCode"].as_u64().unwrap(), serde_json::from_str(body).expect("a reply is JSON"))
}

/// Hands the request over, and reads the reply.
pub async fn ask(world: &World, request: &Value) -> (u64, Value) {
    reply(&world.handle(request).await.unwrap())
}

/// A Kafka event with these values in one partition, all of them written at `millis`.
pub fn topic(values: &[&str], millis: i64) -> Value {
    let records: Vec<Value> = (0_u64..).zip(values).map(|(offset, value)| record(value, offset, millis)).collect();
    json!({
        "eventSource": "SelfManagedKafka", "bootstrapServers": "b-1.kafka.example.com:9196",
        "records": { "org_1.runs-0": records }
    })
}

fn record(value: &str, offset: u64, millis: i64) -> Value {
    json!({
        "topic": "org_1.runs", "partition": 0, "offset": offset, "timestamp": millis,
        "timestampType": "CREATE_TIME", "value": STANDARD.encode(value), "headers": []
    })
}

/// An SNS notification as it lies on a subscribed queue.
pub fn notification(message: &str, attributes: &[(&str, &str)]) -> Value {
    let typed = |value: &str| json!({ "Type": "String", "Value": value });
    let attributes: serde_json::Map<String, Value> =
        attributes.iter().map(|(name, value)| ((*name).to_owned(), typed(value))).collect();
    json!({
        "Type": "Notification", "MessageId": "2607679d-6050-414a-9d33-a01c353c631c",
        "TopicArn": "arn:aws:sns:eu-west-1:123456789012:glint-runs", "Message": message,
        "Timestamp": "2026-11-02T09:15:33.420Z", "SignatureVersion": "1", "Signature": "iYyUqOrpuzuekBYDf4Qm",
        "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/cert.pem", "MessageAttributes": attributes
    })
}

/// The event with which SNS invokes a function.
pub fn sns(message: &str, attributes: &[(&str, &str)]) -> Value {
    json!({ "Records": [{
        "EventSource": "aws:sns", "EventVersion": "1.0",
        "EventSubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:glint-runs:6f1e5c3a",
        "Sns": notification(message, attributes)
    }] })
}

/// EventBridge's event around a message, as text: a `Value` would lose the message's order and digits.
pub fn event_bridge(message: &str) -> String {
    format!(
        r#"{{"version":"0","id":"dfd43f37-1200-439d-8687-39fa9d1de2a0","detail-type":"Glint action run","source":"glint.relay","account":"123456789012","time":"2026-11-02T09:16:03Z","region":"eu-west-1","resources":[],"detail":{message}}}"#
    )
}

/// An SQS event whose messages carry attributes.
pub fn with_attributes(mut event: Value, attributes: &[(&str, &str)]) -> Value {
    for record in event["Records"].as_array_mut().unwrap() {
        for (name, value) in attributes {
            record["messageAttributes"][*name] = json!({
                "stringValue": value, "stringListValues": [], "binaryListValues": [], "dataType": "String"
            });
        }
    }
    event
}
