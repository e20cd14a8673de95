//! Secrets and queues, as people store and set them up.

use serde_json::json;

use super::table::Place::{Check, Glint, Log};
use super::table::{Case, assert_all_show, faults, play};
use crate::support::{CLIENT_SECRET, PROJECT, READ_TOKEN, TOKEN, furnish};
use sandbox::{Call, Fault, Sandbox};

const CREDENTIALS: &str = "glint/credentials";
const TOKENS: &str = "glint/gitlab-trigger-tokens";
const SPLIT: &[(&str, &str)] = &[("GITLAB_TOKENS_SECRET_ID", "trigger-tokens/{project}")];
const OWN: &str = "trigger-tokens/acme/backend/billing";
const HOOK: &[(&str, &str)] = &[("GITLAB_HOOK_SECRET_ID", "hook")];
const READ: &[(&str, &str)] = &[("GITLAB_READ_SECRET_ID", "read")];
const QUEUE: &[(&str, &str)] = &[("RUNS_QUEUE_URL", "QUEUE")];
const KEY: &str = "arn:aws:kms:eu-west-1:000000000000:key/0f0f-4a";

/// A case whose settings are the default ones.
const fn case(
    name: &'static str,
    arrange: fn(&Sandbox),
    shows: &'static [(super::table::Place, &'static str)],
) -> Case {
    Case { name, settings: &[], arrange, shows }
}

fn put(sandbox: &Sandbox, name: &str, value: &serde_json::Value) {
    sandbox.secrets.put(name, value.to_string());
}

#[tokio::test]
async fn each_fault_of_glints_credentials_is_named_and_fails_no_run() {
    assert_all_show(&[
        case("missing", |sandbox| sandbox.secrets.delete(CREDENTIALS), &[
            (Check, "there is no secret `glint/credentials`"),
            (Log, "there is no secret `glint/credentials`"),
        ]),
        case("without a value", |sandbox| sandbox.secrets.create(CREDENTIALS), &[
            (Check, "the secret `glint/credentials` exists and has no value yet"),
            (Log, "the secret `glint/credentials` exists and has no value yet"),
        ]),
        case("blank", |sandbox| sandbox.secrets.put(CREDENTIALS, " \n"), &[(Check, "has no value yet")]),
        case("denied", |sandbox| sandbox.secrets.deny(CREDENTIALS), &[
            (Check, "allow `secretsmanager:GetSecretValue` on `glint/credentials` to the function's role"),
            (Log, "the function may not read the secret `glint/credentials`"),
        ]),
        case("a denied key that AWS names", |sandbox| {
            let words = format!("User: x is not authorized to perform: kms:Decrypt on resource: {KEY} because no identity-based policy allows it");
            sandbox.secrets.refuse(CREDENTIALS, "AccessDeniedException", &words);
        }, &[(Check, "it needs `kms:Decrypt` on the KMS key `arn:aws:kms:eu-west-1:000000000000:key/0f0f-4a`")]),
        case("a denied key that AWS does not name", |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "AccessDeniedException", "Access to KMS is not allowed");
        }, &[(Check, "it needs `kms:Decrypt` on its KMS key")]),
        case("a disabled key", |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "DecryptionFailure", "Secrets Manager can't decrypt");
        }, &[(Check, "the KMS key of the secret `glint/credentials` cannot decrypt it")]),
        case("scheduled for deletion", |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "InvalidRequestException", "marked for deletion");
        }, &[(Check, "it is scheduled for deletion")]),
        case("a role that is gone", |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "UnrecognizedClientException", "The security token included in the request is invalid");
        }, &[(Check, "AWS does not accept the function's own credentials (`UnrecognizedClientException`)"), (Log, "`UnrecognizedClientException`")]),
        case("an expired session", |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "ExpiredTokenException", "expired");
        }, &[(Check, "(`ExpiredTokenException`)"), (Log, "(`ExpiredTokenException`)")]),
        case("no JSON", |sandbox| sandbox.secrets.put(CREDENTIALS, CLIENT_SECRET), &[(Check, "is not a JSON object")]),
        case("broken JSON", |sandbox| sandbox.secrets.put(CREDENTIALS, r#"{"clientId": "client-id" "clientSecret"}"#), &[(Check, "is not valid JSON (line 1, column ")]),
        case("no id", |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientSecret": CLIENT_SECRET })), &[(Check, "has no `clientId`")]),
        case("no client secret", |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientId": "client-id" })), &[(Check, "has no `clientSecret`")]),
        case("a blank client secret", |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientId": "client-id", "clientSecret": " " })), &[(Check, "has no `clientSecret`")]),
        case("a name twice", |sandbox| sandbox.secrets.put(CREDENTIALS, r#"{"clientId": "a", "clientId": "b"}"#), &[(Check, "names something twice")]),
        case("binary", |sandbox| sandbox.secrets.put_binary(CREDENTIALS, &[0xff, 0xfe, 0]), &[(Check, "is binary and not UTF-8 text")]),
        case("another client's", |sandbox| sandbox.glint.rotate_secret("another-client-secret-0123456789"), &[
            (Check, "Glint login: Glint refuses the client's credentials: store the client's present id and secret in `glint/credentials`"),
        ]),
    ])
    .await;
}

#[tokio::test]
async fn each_fault_of_the_trigger_tokens_is_named_by_the_check_and_in_the_run() {
    assert_all_show(&[
        case(
            "missing",
            |sandbox| sandbox.secrets.delete(TOKENS),
            &[
                (Check, "there is no secret `glint/gitlab-trigger-tokens`"),
                (Glint, "there is no secret `glint/gitlab-trigger-tokens`"),
            ],
        ),
        case(
            "without a value",
            |sandbox| sandbox.secrets.create(TOKENS),
            &[
                (Check, "exists and has no value yet: put a value into it"),
                (Glint, "the secret `glint/gitlab-trigger-tokens` exists and has no value yet"),
            ],
        ),
        case(
            "denied",
            |sandbox| sandbox.secrets.deny(TOKENS),
            &[(Check, "may not read"), (Glint, "may not read the secret")],
        ),
        case(
            "a token where a map is expected",
            |sandbox| sandbox.secrets.put(TOKENS, TOKEN),
            &[
                (Check, "`GITLAB_TOKENS_SECRET_ID`; it maps project paths to trigger tokens"),
                (Glint, "the secret `glint/gitlab-trigger-tokens` is not a JSON object"),
            ],
        ),
        case(
            "an empty map",
            |sandbox| sandbox.secrets.put(TOKENS, "{}"),
            &[
                (Check, "secret `glint/gitlab-trigger-tokens`: it names no project"),
                (Glint, "there is no trigger token for the project `acme/backend/billing`"),
            ],
        ),
        case(
            "a number",
            |sandbox| put(sandbox, TOKENS, &json!({ PROJECT: 7 })),
            &[
                (Check, "is no string"),
                (Glint, "the token of `acme/backend/billing` in the secret `glint/gitlab-trigger-tokens` is no string"),
            ],
        ),
        case(
            "JSON without a token",
            |sandbox| put(sandbox, TOKENS, &json!({ PROJECT: { "key": TOKEN } })),
            &[(Check, "is JSON without a `token`"), (Glint, "is JSON without a `token`")],
        ),
        case(
            "in quotes",
            |sandbox| put(sandbox, TOKENS, &json!({ PROJECT: format!("'{TOKEN}'") })),
            &[(Check, "is in quotes"), (Glint, "is in quotes")],
        ),
        case(
            "with a word before it",
            |sandbox| put(sandbox, TOKENS, &json!({ PROJECT: format!("Bearer {TOKEN}") })),
            &[(Check, "holds white space"), (Glint, "holds white space")],
        ),
        case(
            "a blank one",
            |sandbox| put(sandbox, TOKENS, &json!({ PROJECT: "\u{200b}" })),
            &[
                (Check, "there is no trigger token for it in the secret `glint/gitlab-trigger-tokens`"),
                (Glint, "there is no trigger token"),
            ],
        ),
        case(
            "one that GitLab does not know",
            |sandbox| sandbox.gitlab.rotate_token(PROJECT, "glptt-another"),
            &[
                (Check, "GitLab has no such project for the trigger token of the secret `glint/gitlab-trigger-tokens`"),
                (Glint, "check the action's project name, and that the trigger token belongs to it"),
            ],
        ),
        case(
            "a project that forbids variables",
            |sandbox| drop(sandbox.gitlab.project(PROJECT).restrict_variables()),
            &[
                (Check, "lower the project's `Minimum role to use pipeline variables`"),
                (Glint, "Insufficient permissions to set pipeline variables"),
            ],
        ),
        Case {
            name: "its own, missing",
            settings: SPLIT,
            arrange: |_| {},
            shows: &[
                (Check, "there is no secret `trigger-tokens/acme/backend/billing`"),
                (Glint, "there is no secret `trigger-tokens/acme/backend/billing`"),
            ],
        },
        Case {
            name: "its own, blank",
            settings: SPLIT,
            arrange: |sandbox| sandbox.secrets.put(OWN, "\u{feff}\n"),
            shows: &[(Check, "exists and has no value yet"), (Glint, "exists and has no value yet")],
        },
        Case {
            name: "its own, with other credentials",
            settings: SPLIT,
            arrange: |sandbox| put(sandbox, OWN, &json!({ "clientId": "client-id", "clientSecret": CLIENT_SECRET })),
            shows: &[
                (Check, "the secret `trigger-tokens/acme/backend/billing` is JSON without a `token`"),
                (Glint, "is JSON without a `token`"),
            ],
        },
        Case {
            name: "its own, a list",
            settings: SPLIT,
            arrange: |sandbox| put(sandbox, OWN, &json!([TOKEN])),
            shows: &[(Check, "is a JSON list, not a token"), (Glint, "is a JSON list, not a token")],
        },
    ])
    .await;
}

#[tokio::test]
async fn each_fault_of_hooks_read_token_and_queue_is_named_by_the_check() {
    fn read(sandbox: &Sandbox) {
        sandbox.secrets.put("read", READ_TOKEN);
        sandbox.gitlab.read_token(READ_TOKEN);
    }
    assert_all_show(&[
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
            name: "a queue that is not there",
            settings: &[("RUNS_QUEUE_URL", "https://127.0.0.1/0/gone.fifo")],
            arrange: |_| {},
            shows: &[(Check, "check `RUNS_QUEUE_URL`")],
        },
    ])
    .await;
}

#[tokio::test]
async fn values_are_read_as_consoles_editors_and_pipes_leave_them() {
    let credentials = |id: &str, secret: &str| json!({ "clientId": id, "clientSecret": secret }).to_string();
    let plain = credentials("client-id", CLIENT_SECRET);
    let stored = [
        credentials("client-id\n", &format!("{CLIENT_SECRET}\r\n")),
        format!("\u{feff}{plain}\n"),
        credentials(" client-id", &format!("\u{200b}{CLIENT_SECRET}")),
        json!(plain).to_string(),
    ];
    for value in stored {
        let sandbox = Sandbox::start().await;
        furnish(&sandbox);
        sandbox.secrets.put(CREDENTIALS, value.as_str());
        sandbox.secrets.put_binary(TOKENS, json!({ PROJECT: format!("{TOKEN}\n") }).to_string().as_bytes());
        sandbox.secrets.put("hook", json!({ "signingToken": " whsec_YWJjZA\n" }).to_string());
        sandbox.secrets.put("read", json!({ "token": format!("{READ_TOKEN}\n") }).to_string());
        sandbox.gitlab.read_token(READ_TOKEN);
        let queue = sandbox.queue.url();
        let dead = sandbox.queue.dead_letter_arn();
        let seen =
            play(&sandbox, &[HOOK[0], READ[0], ("RUNS_QUEUE_URL", &queue), ("DEAD_LETTER_QUEUE_ARN", &dead)]).await;
        assert_eq!(faults(&seen.check), [""; 0], "{value:?}");
        assert_eq!((seen.check["ok"].as_bool(), seen.run.status.as_str()), (Some(true), "IN_PROGRESS"));
        assert_eq!(sandbox.gitlab.pipelines().len(), 1, "the run, and nothing of the check: {}", seen.printed);
    }
}

#[tokio::test]
async fn a_secret_that_appears_is_found_within_a_minute() {
    let mut world = crate::support::World::builder()
        .frozen_clock()
        .settings(&[("GITLAB_HOOK_SECRET_ID", "hook"), ("GITLAB_READ_SECRET_ID", "read")])
        .start()
        .await;
    world.time = std::time::Duration::from_secs(45);
    let line = async |name: &str| {
        let check = world.handle(&json!({ "check": true })).await.unwrap();
        let lines = check["checks"].as_array().unwrap();
        lines.iter().find(|line| line["check"] == name).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert_eq!(line("hook secret").await, "nothing is stored in `hook`: GitLab's hooks are refused");
    assert!(line("read token").await.starts_with("nothing is stored in `read`: "));
    world.sandbox.secrets.put("hook", json!({ "token": "t" }).to_string());
    world.sandbox.secrets.put("read", READ_TOKEN);
    world.pass(60);
    assert_eq!(line("hook secret").await, "hooks prove the plain token of `hook`");
    assert!(line("read token").await.starts_with("`read` holds one"));
}
