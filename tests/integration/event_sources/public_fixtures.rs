//! Every event of the crate `aws_lambda_events`, as it is published: a clear answer each, although most are of services that are no event source here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::event_sources::ways::reply;
use crate::support::{Function, Handling, World, borrowed, furnish, invoke};
use sandbox::{Call, Reply, Sandbox};

/// What has to become of an event.
#[derive(Clone, Copy, Debug)]
enum Expected {
    /// Exactly these messages come again.
    Queue(&'static [&'static str]),
    /// Its records are passed over.
    Topic,
    /// A request, answered with this status and a reason that says this.
    Request(u64, &'static str),
    /// The invocation fails, since the message cannot be read, with a sentence that says this.
    Unreadable(&'static str),
    /// The invocation fails, since nothing here takes such an event, with a sentence that says this.
    Unsupported(&'static str),
}

use Expected::{Queue, Request, Topic, Unreadable, Unsupported};

const OTHER_METHOD: Expected = Request(405, "only POST is answered");
const OTHER_FORMAT: Expected = Request(400, "not of payload format 2.0");
const AUTHORIZER: Expected = Unsupported("asks a Lambda authorizer");
/// For an event in which nothing says whose it is.
const NAMELESS: Expected = Unreadable("comes from no event source of this function, and names no run");

/// How the names of files begin, and what has to become of these files. The longest beginning counts.
const TABLE: [(&str, Expected); 61] = [
    ("sqs-event", Queue(&["MessageID_1"])),
    ("kafka-event", Topic),
    ("sns-event", Unreadable("the message is not a JSON object")),
    ("sns-event-obj", Unreadable("the message names no run")),
    ("cloudwatch-alarm-sns-payload", Unreadable("the message names no run")),
    ("sns-subscription-confirmation", Unreadable("is SNS's `SubscriptionConfirmation`, not a notification")),
    ("sns-unsubscribe-confirmation", Unreadable("is SNS's `UnsubscribeConfirmation`, not a notification")),
    // EventBridge
    ("autoscaling-event", Unreadable("of `aws.autoscaling`, not Glint's")),
    ("codebuild-", Unreadable("of `aws.codebuild`, not Glint's")),
    ("codedeploy-deployment", Unreadable("of `aws.codedeploy`, not Glint's")),
    ("codedeploy-instance", Unreadable("of `aws.codedeploy`, not Glint's")),
    ("codepipeline-", Unreadable("of `aws.codepipeline`, not Glint's")),
    ("ecr-image-scan", Unreadable("event `ECR Image Scan` of `aws.ecr`, not Glint's")),
    ("eventbridge-event", Unreadable("of `aws.ec2`, not Glint's")),
    ("eventbridge-schedule", Unreadable("event `Scheduled Event` of `aws.events`, not Glint's")),
    // requests
    ("alb-lambda-target-request", OTHER_METHOD),
    ("apigw-sam-", OTHER_METHOD),
    ("apigw-v2-request", OTHER_METHOD),
    ("apigw-console-", OTHER_FORMAT),
    ("apigw-request", OTHER_FORMAT),
    ("apigw-restapi-", OTHER_FORMAT),
    ("apigw-websocket-", OTHER_FORMAT),
    ("vpc-lattice-v2-request", OTHER_FORMAT),
    ("apigw-custom-auth-request", AUTHORIZER),
    ("apigw-v2-custom-authorizer", AUTHORIZER),
    // other services that name themselves
    ("code_commit-event", Unsupported("`Records` are of `aws:codecommit`")),
    ("dynamodb-event", Unsupported("`Records` are of `aws:dynamodb`")),
    ("kinesis-event", Unsupported("`Records` are of `aws:kinesis`")),
    ("s3-event", Unsupported("`Records` are of `aws:s3`")),
    ("ses-", Unsupported("`Records` are of `aws:ses`")),
    ("activemq-event", Unreadable("comes from `aws:mq`")),
    ("cloudwatch-alarm-", Unreadable("comes from `aws.cloudwatch`")),
    ("cloudwatch-cloudtrail-assumed-role", Unreadable("comes from `controltower.amazonaws.com`")),
    ("cloudwatch-cloudtrail-unknown-federate", Unreadable("comes from `sso.amazonaws.com`")),
    ("cloudwatch-cloudtrail-unknown-user", Unreadable("comes from `signin.amazonaws.com`")),
    ("controltower-", Unreadable("comes from `controltower.amazonaws.com`")),
    ("documentdb-", Unreadable("comes from `aws:docdb`")),
    ("dynamodb-event-record", Unreadable("comes from `aws:dynamodb`")),
    ("rabbitmq-event", Unreadable("comes from `aws:rmq`")),
    // other services, and answers to them
    ("alb-lambda-target-response", NAMELESS),
    ("apigw-custom-auth-response", NAMELESS),
    ("apigw-response", NAMELESS),
    ("appsync-", NAMELESS),
    ("bedrock-", NAMELESS),
    ("clientvpn-", NAMELESS),
    ("cloudformation-", NAMELESS),
    ("cloudwatch_logs-", NAMELESS),
    ("codedeploy-lifecycle", NAMELESS),
    ("codepipeline_job", NAMELESS),
    ("cognito-", NAMELESS),
    ("config-", NAMELESS),
    ("connect-", NAMELESS),
    ("firehose-", NAMELESS),
    ("iot", NAMELESS),
    ("kinesis-firehose-", NAMELESS),
    ("lex-", NAMELESS),
    ("s3-object-lambda-", NAMELESS),
    ("secretsmanager-", NAMELESS),
    ("sqs-api-event", NAMELESS),
    ("sqs-batch-response", NAMELESS),
    ("vpc-lattice-", NAMELESS),
];

/// The crate's events by name, read where cargo keeps its source.
fn fixtures() -> BTreeMap<String, Value> {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == "aws_lambda_events").unwrap();
    let folder = PathBuf::from(package["manifest_path"].as_str().unwrap()).with_file_name("src").join("fixtures");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let events: BTreeMap<String, Value> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().trim_start_matches("example-").to_owned();
            (name, serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap())
        })
        .collect();
    assert!(events.len() >= 173, "{} files in {}", events.len(), folder.display());
    events
}

fn row(name: &str) -> Option<(&'static str, Expected)> {
    TABLE.into_iter().filter(|(beginning, _)| name.starts_with(beginning)).max_by_key(|(beginning, _)| beginning.len())
}

/// How many lines tell of an event: one for each of its deliveries, or one for all of it.
fn count_lines(expected: Expected, event: &Value) -> usize {
    if matches!(expected, Unsupported(_)) {
        return 1;
    }
    let partitions = event["records"].as_object().map(|partitions| partitions.values().filter_map(Value::as_array));
    partitions.map(|lists| lists.map(Vec::len).sum()).or_else(|| event["Records"].as_array().map(Vec::len)).unwrap_or(1)
}

/// What the function says of an event, as far as its log has to say the same.
fn sentence(name: &str, expected: Expected, answer: &Reply) -> String {
    println!("{name}: {answer:?}");
    match (expected, answer) {
        (Queue(again), Reply::Response(answer)) => {
            let failures: Vec<Value> = again.iter().map(|id| json!({ "itemIdentifier": id })).collect();
            assert_eq!(answer, &json!({ "batchItemFailures": failures }), "`{name}`");
            String::new()
        }
        (Topic, Reply::Response(answer)) => {
            assert_eq!(answer, &json!({}), "`{name}`");
            String::new()
        }
        (Request(status, words), Reply::Response(answer)) => {
            let (answered, body) = reply(answer);
            let reason = body["reason"].as_str().unwrap();
            assert!(body["hint"].is_string() && reason.contains(words), "`{name}`: {body}");
            assert_eq!((answered, &body["outcome"]), (status, &json!("Unreadable")), "`{name}`: {body}");
            reason.to_owned()
        }
        (Unreadable(words) | Unsupported(words), Reply::Error(error)) => {
            let kind = if matches!(expected, Unreadable(_)) { "RetryRequested" } else { "UnsupportedEvent" };
            assert_eq!(error["errorType"], kind, "`{name}`: {error}");
            let text = error["errorMessage"].as_str().unwrap();
            let (what, hint) = text.split_once("\n  hint: ").expect("one hint");
            assert!(what.contains(words) && !what.contains('\n') && !hint.contains('\n'), "`{name}`: {text}");
            what.to_owned()
        }
        _ => panic!("`{name}`: {answer:?} instead of {expected:?}"),
    }
}

/// The lines of the invocation with this number, but for its metrics and the runtime's own word on a failure.
fn own_lines(printed: &str, number: usize) -> Vec<Value> {
    let id = format!("-{number:012}");
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let of_invocation = |line: &Value| line["span"]["requestId"].as_str().is_some_and(|request| request.ends_with(&id));
    let is_runtimes = |line: &Value| line["message"].as_str().unwrap().starts_with("Diagnostic {");
    lines.filter(|line| of_invocation(line) && !is_runtimes(line)).collect()
}

fn assert_logged(printed: &str, number: usize, name: &str, expected: Expected, said: &str, count: usize) {
    let lines = own_lines(printed, number);
    assert_eq!(lines.len(), count, "`{name}`: {lines:?}");
    let (level, outcomes): (_, &[Value]) = match expected {
        Unsupported(_) => ("ERROR", &[Value::Null]),
        Request(..) | Unreadable(_) => ("WARN", &[json!("Unreadable")]),
        Queue(_) | Topic => ("WARN", &[json!("Unreadable"), json!("Unauthenticated")]),
    };
    for line in &lines {
        assert!(line["level"] == level && outcomes.contains(&line["outcome"]), "`{name}`: {line}");
    }
    assert!(lines.iter().any(|line| line["message"].as_str().unwrap().contains(said)), "`{name}`: {said}: {lines:?}");
}

#[tokio::test]
async fn every_public_event_gets_a_clear_answer_and_one_line() {
    let events = fixtures();
    for handling in Handling::ALL {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        let mut settings = World::builder().hooks(handling).prepare(&sandbox);
        settings.push(("AWS_LAMBDA_LOG_FORMAT".to_owned(), "JSON".to_owned()));
        let mut function = Function::start(&sandbox, &borrowed(&settings)).await;
        let mut said = Vec::new();
        for (name, event) in &events {
            let expected = row(name).map(|(_, expected)| expected).unwrap_or_else(|| panic!("`{name}` has no row"));
            let answer = invoke(&sandbox, event.clone()).await;
            said.push((name, expected, sentence(name, expected, &answer), count_lines(expected, event)));
        }
        let printed = function.kill().await;
        for (number, (name, expected, said, count)) in (1..).zip(said) {
            assert_logged(&printed, number, name, expected, &said, count);
        }
        assert!(!printed.contains("panicked"), "{printed}");
        let calls = sandbox.journal.calls();
        assert!(calls.iter().all(|call| matches!(call, Call::GetSecret | Call::Login)), "{calls:?}");
        assert!(sandbox.journal.stray().is_empty(), "{:?}", sandbox.journal.stray());
    }
    println!("{} events", events.len());
}

#[tokio::test]
async fn every_public_event_comes_again_where_it_is_a_message_on_the_queue() {
    let events = fixtures();
    let bodies: Vec<String> = events.values().map(Value::to_string).collect();
    let world = World::new().await;
    let redelivered = world.queue(&bodies.iter().map(String::as_str).collect::<Vec<_>>()).await;
    assert_eq!(redelivered, (0..events.len()).collect::<Vec<_>>());
    assert!(world.sandbox.gitlab.pipelines().is_empty());
}

#[test]
fn every_row_is_of_a_public_event() {
    let events = fixtures();
    for (beginning, _) in TABLE {
        let is_used = events.keys().any(|name| row(name).is_some_and(|(longest, _)| longest == beginning));
        assert!(is_used, "no event begins with `{beginning}`, or a longer row takes them all");
    }
}
