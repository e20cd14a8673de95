//! What each file of `events/` is.

/// File and purpose, for the list and for the first line of a report.
const PURPOSES: [(&str, &str); 17] = [
    ("check", "the check: what works and what does not; it starts no pipeline"),
    ("direct", "a direct invoke with a message of Glint"),
    ("eventbridge", "an EventBridge event with a message of Glint"),
    ("gitlab-hook", "GitLab's hook of a pipeline that succeeded"),
    ("gitlab-hook-failed", "GitLab's hook of a pipeline that failed, with its failed job"),
    ("http-api", "a webhook that comes through an HTTP API"),
    ("kafka", "a record of Glint's topic on self-managed Kafka"),
    ("kafka-msk", "two records of Glint's topic on MSK"),
    ("secret-input", "a direct invoke with an encrypted input, which the pipeline gets decrypted"),
    ("sns", "an SNS notification with a message of Glint"),
    ("sqs", "an SQS message"),
    ("sqs-eventbridge", "an SQS message that holds an EventBridge event"),
    ("sqs-fifo-batch", "five messages of a FIFO queue: one is a copy of the first, and one cannot be read"),
    ("sqs-sns", "an SQS message that holds an SNS notification"),
    ("sweep", "the sweep: ends a run whose pipeline ended and whose hook was lost"),
    ("webhook", "a GITLAB action's message at the function URL"),
    ("webhook-project", "a WEBHOOK action's message at the function URL, whose path is the project"),
];

/// What the file at `path` is; `None` where it is no file of `events/`.
pub fn purpose(path: &str) -> Option<&'static str> {
    let name = path.strip_prefix("events/")?.strip_suffix(".json")?;
    PURPOSES.iter().find(|(file, _)| *file == name).map(|(_, purpose)| *purpose)
}
