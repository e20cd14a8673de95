//! `SendMessage`, `ChangeMessageVisibility` and `GetQueueAttributes` (AWS JSON 1.0).

use super::{Outgoing, Queue, event};
use crate::http::{Answer, Request};
use crate::journal::Call;
use crate::{ACCOUNT, secrets};
use chrono::Duration;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Body and attributes of a message together.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

pub fn classify(request: &Request) -> Call {
    if request.method != "POST" {
        return Call::Other;
    }
    match request.header("x-amz-target") {
        Some("AmazonSQS.SendMessage") => Call::SendMessage,
        Some("AmazonSQS.ChangeMessageVisibility") => Call::ChangeVisibility,
        Some("AmazonSQS.GetQueueAttributes") => Call::QueueAttributes,
        _ => Call::Other,
    }
}

impl Queue {
    pub(super) fn answer(&self, call: Call, request: &Request) -> Answer {
        if call == Call::Other {
            return refuse("com.amazon.coral.service#UnknownOperationException", "").stray();
        }
        if !secrets::signed(request) {
            return refuse("MissingAuthenticationToken", "Request is missing Authentication Token");
        }
        if let Some(refusal) = self.refusal(call) {
            return refusal;
        }
        let Some(query) = request.json() else {
            return refuse("com.amazon.coral.service#SerializationException", "");
        };
        let is_known = query["QueueUrl"] == json!(self.url())
            || (call == Call::QueueAttributes && query["QueueUrl"] == json!(self.dead_letter_url()));
        if !is_known {
            let words = "The specified queue does not exist.";
            return refuse("com.amazonaws.sqs#QueueDoesNotExist", words);
        }
        match call {
            Call::SendMessage => self.send_message(&query),
            Call::QueueAttributes => self.attributes(&query),
            _ => self.change_visibility(&query),
        }
    }

    fn send_message(&self, query: &Value) -> Answer {
        let outgoing = match outgoing(query, self.lock().fifo) {
            Ok(outgoing) => outgoing,
            Err(refusal) => return refusal,
        };
        let fifo = self.lock().fifo;
        let mut body = json!({ "MD5OfMessageBody": event::md5_hex(outgoing.body.as_bytes()) });
        if !outgoing.attributes.is_empty() {
            body["MD5OfMessageAttributes"] = json!(event::attributes_md5(&outgoing.attributes));
        }
        let (id, sequence) = self.accept(outgoing);
        body["MessageId"] = json!(id);
        if fifo {
            body["SequenceNumber"] = json!(sequence);
        }
        answer(200, &body)
    }

    /// Of the queue, or of its dead-letter queue, those that are asked for.
    fn attributes(&self, query: &Value) -> Answer {
        let is_dead_letter_queue = query["QueueUrl"] == json!(self.dead_letter_url());
        let now = self.clock.now();
        let state = self.lock();
        let (messages, arn) = match is_dead_letter_queue {
            true => (&state.dead, state.dead_letter_arn()),
            false => (&state.messages, state.arn()),
        };
        let in_flight = messages.iter().filter(|message| message.visible_at > now).count();
        let policy = json!({ "deadLetterTargetArn": state.dead_letter_arn(), "maxReceiveCount": state.max_receives });
        let mut all = json!({
            "QueueArn": arn, "VisibilityTimeout": state.visibility.num_seconds().to_string(),
            "ApproximateNumberOfMessages": (messages.len() - in_flight).to_string(),
            "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
        });
        if state.fifo {
            all["FifoQueue"] = json!("true");
        }
        if !is_dead_letter_queue && !state.has_no_redrive_policy {
            all["RedrivePolicy"] = json!(policy.to_string());
        }
        let names: Vec<&str> =
            query["AttributeNames"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let wanted = |name: &String| names.contains(&"All") || names.contains(&name.as_str());
        let all = all.as_object().cloned().unwrap_or_default().into_iter();
        let shown: Map<String, Value> = all.filter(|(name, _)| wanted(name)).collect();
        answer(200, &if shown.is_empty() { json!({}) } else { json!({ "Attributes": shown }) })
    }

    /// Why the function may not make this call.
    fn refusal(&self, call: Call) -> Option<Answer> {
        let state = self.lock();
        if let Some(code) = state.credentials {
            let words = secrets::credentials_error(code);
            return Some(refuse_with(403, &format!("com.amazon.coral.service#{code}"), words));
        }
        let action = match call {
            Call::SendMessage => "sqs:sendmessage",
            Call::ChangeVisibility => "sqs:changemessagevisibility",
            _ => "sqs:getqueueattributes",
        };
        state.denied.contains(&call).then(|| {
            let user = format!("arn:aws:sts::{ACCOUNT}:assumed-role/sandbox/function");
            let words = format!("User: {user} is not authorized to perform: {action} on resource: {}", state.arn());
            refuse_with(403, "com.amazon.coral.service#AccessDeniedException", &words)
        })
    }

    fn change_visibility(&self, query: &Value) -> Answer {
        let Some(seconds) = query["VisibilityTimeout"].as_i64().filter(|time| (0..=43_200).contains(time)) else {
            return invalid("VisibilityTimeout must be between 0 and 43200");
        };
        let now = self.clock.now();
        let mut state = self.lock();
        let receipt = query["ReceiptHandle"].as_str();
        let found = state.messages.iter_mut().find(|message| message.receipt.as_deref() == receipt);
        match found.filter(|_| receipt.is_some()) {
            None => refuse("com.amazonaws.sqs#ReceiptHandleIsInvalid", "The receipt handle is not valid."),
            Some(message) if message.visible_at <= now => {
                refuse("com.amazonaws.sqs#MessageNotInflight", "The message is not in flight.")
            }
            Some(message) => {
                message.visible_at = now + Duration::seconds(seconds);
                drop(state);
                self.change();
                answer(200, &json!({}))
            }
        }
    }
}

fn outgoing(query: &Value, fifo: bool) -> Result<Outgoing, Answer> {
    let text = |key: &str| query[key].as_str().map(str::to_owned);
    let Some(body) = text("MessageBody").filter(|body| !body.is_empty()) else {
        return Err(missing("MessageBody"));
    };
    let (group, deduplication) = (text("MessageGroupId"), text("MessageDeduplicationId"));
    if fifo && group.is_none() {
        return Err(missing("MessageGroupId"));
    }
    if fifo && deduplication.is_none() {
        let words = "The queue should either have ContentBasedDeduplication enabled or \
            MessageDeduplicationId provided explicitly";
        return Err(invalid(words));
    }
    if !fifo && deduplication.is_some() {
        return Err(invalid("MessageDeduplicationId is not valid for this queue type"));
    }
    for id in group.iter().chain(&deduplication) {
        let allowed = id.chars().all(|c| c.is_ascii_graphic());
        if !allowed || id.is_empty() || id.len() > 128 {
            return Err(invalid("ids can only include alphanumeric and punctuation characters, 1 to 128"));
        }
    }
    let attributes = attributes(&query["MessageAttributes"])?;
    let extra: usize = attributes.iter().map(|(name, value)| name.len() + "String".len() + value.len()).sum();
    if body.len() + extra > MAX_MESSAGE_BYTES {
        return Err(invalid("One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."));
    }
    Ok(Outgoing { body, group, deduplication, attributes })
}

fn attributes(given: &Value) -> Result<BTreeMap<String, String>, Answer> {
    let Some(given) = given.as_object() else {
        return Ok(BTreeMap::new());
    };
    if given.len() > 10 {
        return Err(invalid("Number of message attributes [11] exceeds the allowed maximum [10]."));
    }
    let one = |(name, value): (&String, &Value)| {
        let text = value["StringValue"].as_str().filter(|text| !text.is_empty());
        let text = text.filter(|_| value["DataType"] == "String");
        let words = format!("The message attribute '{name}' must contain a non-empty value of its type.");
        text.map(|text| (name.clone(), text.to_owned())).ok_or_else(|| invalid(&words))
    };
    given.iter().map(one).collect()
}

fn missing(name: &str) -> Answer {
    let words = format!("The request must contain the parameter {name}.");
    refuse("com.amazonaws.sqs#MissingParameter", &words)
}

fn invalid(words: &str) -> Answer {
    refuse("com.amazonaws.sqs#InvalidParameterValue", words)
}

fn refuse(code: &str, message: &str) -> Answer {
    refuse_with(400, code, message)
}

fn refuse_with(status: u16, code: &str, message: &str) -> Answer {
    let name = code.rsplit('#').next().unwrap_or(code);
    let legacy = match name {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue",
        name => name,
    };
    answer(status, &json!({ "__type": code, "message": message }))
        .with("x-amzn-query-error", format!("{legacy};Sender"))
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer::new(status, "application/x-amz-json-1.0", body.to_string())
}
