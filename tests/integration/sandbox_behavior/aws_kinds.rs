//! Secrets Manager and SQS beside the usual: other values, refusals, rotations to come, redrives.

use std::time::Duration;

use super::aws::{aws, secret};
use chrono::TimeDelta;
use rstest::rstest;
use sandbox::queue::Outgoing;
use sandbox::{Call, Sandbox};
use serde_json::{Value, json};

const NAME: &str = "glint/credentials";

async fn read(sandbox: &Sandbox) -> (u16, Value) {
    secret(sandbox, &json!({ "SecretId": NAME })).await
}

#[tokio::test]
async fn a_binary_value_is_shown_as_base64_and_not_as_text() {
    let sandbox = Sandbox::start().await;
    sandbox.secrets.put_binary(NAME, [0xef, 0xbb, 0xbf, b'x']);
    let (status, body) = read(&sandbox).await;
    assert_eq!((status, &body["SecretBinary"], body.get("SecretString")), (200, &json!("77u/eA=="), None));
}

#[rstest]
#[case::without_a_value(|sandbox: &Sandbox| sandbox.secrets.create(NAME), "ResourceNotFoundException", "value for staging label: AWSCURRENT")]
#[case::not_there(|_: &Sandbox| (), "ResourceNotFoundException", "can't find the specified secret.")]
#[case::marked(|sandbox: &Sandbox| sandbox.secrets.mark_for_deletion(NAME), "InvalidRequestException", "marked for deletion")]
#[case::denied(|sandbox: &Sandbox| sandbox.secrets.deny(NAME), "AccessDeniedException", "secretsmanager:GetSecretValue")]
#[case::key(|sandbox: &Sandbox| sandbox.secrets.deny_key(NAME), "AccessDeniedException", "Access to KMS is not allowed")]
#[case::expired(|sandbox: &Sandbox| sandbox.secrets.refuse_credentials(Some("ExpiredTokenException")), "ExpiredTokenException", "expired")]
#[case::unknown(|sandbox: &Sandbox| sandbox.secrets.refuse_credentials(Some("UnrecognizedClientException")), "UnrecognizedClientException", "invalid")]
#[tokio::test]
async fn a_secret_that_cannot_be_read_says_why(#[case] prepare: fn(&Sandbox), #[case] code: &str, #[case] words: &str) {
    let sandbox = Sandbox::start().await;
    prepare(&sandbox);
    let (status, body) = read(&sandbox).await;
    assert_eq!((status, &body["__type"]), (400, &json!(code)));
    assert!(body["message"].as_str().unwrap().contains(words), "{body}");
    sandbox.secrets.refuse_credentials(None);
    sandbox.secrets.put(NAME, "text");
    assert_eq!(read(&sandbox).await.0, 200, "a new value puts it right");
}

#[tokio::test]
async fn a_secret_that_was_never_rotated_has_no_previous_value() {
    let sandbox = Sandbox::start().await;
    sandbox.secrets.put(NAME, "text");
    let query = json!({ "SecretId": NAME, "VersionStage": "AWSPREVIOUS" });
    let (status, body) = secret(&sandbox, &query).await;
    assert_eq!((status, &body["__type"]), (400, &json!("ResourceNotFoundException")));
    assert!(body["message"].as_str().unwrap().ends_with("value for staging label: AWSPREVIOUS"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_happens_at_its_time_and_each_version_says_when_it_was_created() {
    let sandbox = Sandbox::start().await;
    sandbox.secrets.put(NAME, "old");
    let created = sandbox.now();
    sandbox.secrets.rotate_at(NAME, "new", created + TimeDelta::seconds(60));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(read(&sandbox).await.1["SecretString"], "old");
    tokio::time::sleep(Duration::from_secs(61)).await;
    let (_, current) = read(&sandbox).await;
    assert_eq!(current["SecretString"], "new");
    let (_, previous) = secret(&sandbox, &json!({ "SecretId": NAME, "VersionStage": "AWSPREVIOUS" })).await;
    assert_eq!(previous["SecretString"], "old");
    let between = current["CreatedDate"].as_f64().unwrap() - previous["CreatedDate"].as_f64().unwrap();
    assert!((59.0..=61.0).contains(&between), "{between}");
}

/// A queue with one dead letter, and the letter's id.
async fn with_dead_letter(standard: bool) -> (Sandbox, String) {
    let sandbox = Sandbox::start().await;
    let queue = sandbox.queue.max_receives(1).visibility(0);
    if standard {
        queue.standard();
    }
    let id = queue.send(Outgoing::new("one").group("r_1").deduplication("r_1").attribute("project", "a/b"));
    queue.receive(10);
    tokio::time::sleep(Duration::from_secs(60)).await;
    queue.receive(10);
    (sandbox, id)
}

#[rstest]
#[case::fifo(false)]
#[case::standard(true)]
#[tokio::test(start_paused = true)]
async fn a_redriven_message_is_new_and_says_the_same(#[case] standard: bool) {
    let (sandbox, id) = with_dead_letter(standard).await;
    let letter = sandbox.queue.dead_letters().remove(0);
    assert_eq!((letter.id.as_str(), letter.receives), (id.as_str(), 1));
    let ids = sandbox.queue.redrive();
    assert!(sandbox.queue.dead_letters().is_empty());
    let message = sandbox.queue.messages().remove(0);
    assert_eq!(ids, std::slice::from_ref(&message.id));
    assert_ne!(message.id, id);
    assert_eq!((message.receives, &message.body, &message.attributes), (0, &letter.body, &letter.attributes));
    assert!((sandbox.now() - message.sent_at).num_seconds() < 5, "it was sent now");
    let record = sandbox.queue.receive(10)["Records"][0].clone();
    assert_eq!(record["attributes"]["ApproximateReceiveCount"], "1");
    assert!(record["attributes"].get("DeadLetterQueueSourceArn").is_none());
}

#[rstest]
#[case::fifo(false)]
#[case::standard(true)]
#[tokio::test(start_paused = true)]
async fn only_a_fifo_queue_counts_the_age_of_a_dead_letter_anew(#[case] standard: bool) {
    let (sandbox, _) = with_dead_letter(standard).await;
    let age = (sandbox.now() - sandbox.queue.dead_letters()[0].sent_at).num_seconds();
    assert_eq!(age >= 60, standard, "{age}");
}

#[tokio::test(start_paused = true)]
async fn a_queue_names_its_attributes() {
    let (sandbox, _) = with_dead_letter(false).await;
    let queue = &sandbox.queue;
    let ask = async |url: String, names: Value| {
        let query = json!({ "QueueUrl": url, "AttributeNames": names });
        aws(queue.endpoint(), "AmazonSQS.GetQueueAttributes", &query).await
    };
    let (status, body) = ask(queue.url(), json!(["All"])).await;
    let attributes = &body["Attributes"];
    assert_eq!((status, &attributes["FifoQueue"], &attributes["QueueArn"]), (200, &json!("true"), &json!(queue.arn())));
    let policy: Value = serde_json::from_str(attributes["RedrivePolicy"].as_str().unwrap()).unwrap();
    assert_eq!(policy, json!({ "deadLetterTargetArn": queue.dead_letter_arn(), "maxReceiveCount": 1 }));
    let (_, letters) = ask(queue.dead_letter_url(), json!(["ApproximateNumberOfMessages", "RedrivePolicy"])).await;
    assert_eq!(letters["Attributes"], json!({ "ApproximateNumberOfMessages": "1" }));
    assert_eq!(ask("http://127.0.0.1/0/other".to_owned(), json!(["All"])).await.0, 400);
}

#[rstest]
#[case(Call::SendMessage, "AmazonSQS.SendMessage")]
#[case(Call::ChangeVisibility, "AmazonSQS.ChangeMessageVisibility")]
#[case(Call::QueueAttributes, "AmazonSQS.GetQueueAttributes")]
#[tokio::test]
async fn a_call_that_is_denied_changes_nothing(#[case] call: Call, #[case] target: &str) {
    let sandbox = Sandbox::start().await;
    let queue = sandbox.queue.standard();
    queue.deny(call);
    let query = json!({ "QueueUrl": queue.url(), "MessageBody": "one", "AttributeNames": ["All"] });
    let (status, body) = aws(queue.endpoint(), target, &query).await;
    assert_eq!((status, &body["__type"]), (403, &json!("com.amazon.coral.service#AccessDeniedException")));
    assert!(queue.messages().is_empty());
    queue.allow(call);
    assert_ne!(aws(queue.endpoint(), target, &query).await.0, 403);
    queue.refuse_credentials(Some("ExpiredTokenException"));
    assert_eq!(aws(queue.endpoint(), target, &query).await.0, 403);
}
