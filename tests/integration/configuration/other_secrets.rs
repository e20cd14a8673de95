//! What hooks must prove, the read token, and the runs queue, as people set them up.

use serde_json::json;

use super::table::Place::Check;
use super::table::{Case, assert_all_show, put};
use crate::support::READ_TOKEN;
use sandbox::{Call, Fault, Sandbox};

const HOOK: &[(&str, &str)] = &[("GITLAB_HOOK_SECRET_ID", "hook")];
const READ: &[(&str, &str)] = &[("GITLAB_READ_SECRET_ID", "read")];
const QUEUE: &[(&str, &str)] = &[("RUNS_QUEUE_URL", "QUEUE")];

fn read(sandbox: &Sandbox) {
    sandbox.secrets.put("read", READ_TOKEN);
    sandbox.gitlab.read_token(READ_TOKEN);
}

const CASES: &[Case] = &[
    Case {
        name: "hook keys without a name",
        settings: HOOK,
        arrange: |sandbox| put(sandbox, "hook", &json!({ "key": "x" })),
        shows: &[(Check, "the secret `hook` has neither a `signingToken` nor a `token`")],
    },
    Case {
        name: "a signing token that is no base64",
        settings: HOOK,
        arrange: |sandbox| put(sandbox, "hook", &json!({ "signingToken": "whsec_???" })),
        shows: &[(Check, "the `signingToken` of the secret `hook` is not `whsec_` with a key in base64")],
    },
    Case {
        name: "hook keys that are no JSON",
        settings: HOOK,
        arrange: |sandbox| sandbox.secrets.put("hook", "whsec_YWJj"),
        shows: &[(Check, "the secret `hook` is not a JSON object")],
    },
    Case {
        name: "denied hook keys",
        settings: HOOK,
        arrange: |sandbox| sandbox.secrets.deny("hook"),
        shows: &[(Check, "may not read the secret `hook`")],
    },
    Case {
        name: "a read token that GitLab refuses",
        settings: READ,
        arrange: |sandbox| sandbox.secrets.put("read", READ_TOKEN),
        shows: &[(Check, "GitLab refuses the read token of `read`")],
    },
    Case {
        name: "a read token as JSON without a name",
        settings: READ,
        arrange: |sandbox| put(sandbox, "read", &json!({ "pat": READ_TOKEN })),
        shows: &[(Check, "the secret `read` is JSON without a `token`")],
    },
    Case {
        name: "a denied read token",
        settings: READ,
        arrange: |sandbox| sandbox.secrets.deny("read"),
        shows: &[(Check, "may not read the secret `read`")],
    },
    Case {
        name: "a read token without the scope",
        settings: READ,
        arrange: |sandbox| {
            read(sandbox);
            sandbox.fail(Call::ListPipelines).every().with(Fault::status(403));
        },
        shows: &[(Check, "give the token the scope `read_api`")],
    },
    Case {
        name: "a read token of somebody else",
        settings: READ,
        arrange: |sandbox| {
            read(sandbox);
            sandbox.fail(Call::ListPipelines).every().with(Fault::status(404));
        },
        shows: &[(Check, "the read token of `read` sees no such project")],
    },
    Case {
        name: "outputs without a read token",
        settings: &[("OUTPUTS_FILE", "glint.json")],
        arrange: |_| {},
        shows: &[(Check, "`OUTPUTS_FILE` is set, and there is no read token")],
    },
    Case {
        name: "a short visibility timeout",
        settings: QUEUE,
        arrange: |sandbox| drop(sandbox.queue.visibility(30)),
        shows: &[(Check, "its visibility timeout of 30 s is less than 6 times the function's")],
    },
    Case {
        name: "another number of receives",
        settings: QUEUE,
        arrange: |sandbox| drop(sandbox.queue.max_receives(3)),
        shows: &[(Check, "its `maxReceiveCount` is 3, and `MAX_RECEIVES` is 20")],
    },
    Case {
        name: "other dead letters",
        settings: &[
            ("RUNS_QUEUE_URL", "QUEUE"),
            ("DEAD_LETTER_QUEUE_ARN", "arn:aws:sqs:eu-west-1:000000000000:other.fifo"),
        ],
        arrange: |_| {},
        shows: &[(Check, "its dead letters go to `arn:aws:sqs:eu-west-1:000000000000:runs-dead.fifo`")],
    },
    Case {
        name: "no redrive policy",
        settings: &[
            ("RUNS_QUEUE_URL", "QUEUE"),
            ("DEAD_LETTER_QUEUE_ARN", "arn:aws:sqs:eu-west-1:000000000000:runs-dead.fifo"),
        ],
        arrange: |sandbox| drop(sandbox.queue.without_redrive_policy()),
        shows: &[(Check, "it has no redrive policy, so that no dead letter ever reaches `DEAD_LETTER_QUEUE_ARN`")],
    },
    Case {
        name: "a queue that is not there",
        settings: &[("RUNS_QUEUE_URL", "https://127.0.0.1/0/gone.fifo")],
        arrange: |_| {},
        shows: &[(Check, "check `RUNS_QUEUE_URL`")],
    },
];

#[tokio::test]
async fn each_fault_of_hooks_read_token_and_queue_is_named_by_the_check() {
    assert_all_show(CASES).await;
}
