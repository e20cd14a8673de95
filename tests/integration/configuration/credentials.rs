//! Glint's credentials, as people store them.

use serde_json::json;

use super::table::Place::{Check, Log};
use super::table::{Case, assert_all_show, case, put};
use crate::support::CLIENT_SECRET;

const CREDENTIALS: &str = "glint/credentials";
const KEY: &str = "arn:aws:kms:eu-west-1:000000000000:key/0f0f-4a";

const CASES: &[Case] = &[
    case(
        "missing",
        |sandbox| sandbox.secrets.delete(CREDENTIALS),
        &[(Check, "there is no secret `glint/credentials`"), (Log, "there is no secret `glint/credentials`")],
    ),
    case(
        "without a value",
        |sandbox| sandbox.secrets.create(CREDENTIALS),
        &[
            (Check, "the secret `glint/credentials` exists and has no value yet"),
            (Log, "the secret `glint/credentials` exists and has no value yet"),
        ],
    ),
    case("blank", |sandbox| sandbox.secrets.put(CREDENTIALS, " \n"), &[(Check, "has no value yet")]),
    case(
        "denied",
        |sandbox| sandbox.secrets.deny(CREDENTIALS),
        &[
            (Check, "allow `secretsmanager:GetSecretValue` on `glint/credentials` to the function's role"),
            (Log, "the function may not read the secret `glint/credentials`"),
        ],
    ),
    case(
        "a denied key that AWS names",
        |sandbox| {
            let words = format!(
                "User: x is not authorized to perform: kms:Decrypt on resource: {KEY} because no identity-based policy allows it"
            );
            sandbox.secrets.refuse(CREDENTIALS, "AccessDeniedException", &words);
        },
        &[(Check, "it needs `kms:Decrypt` on the KMS key `arn:aws:kms:eu-west-1:000000000000:key/0f0f-4a`")],
    ),
    case(
        "a denied key that AWS does not name",
        |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "AccessDeniedException", "Access to KMS is not allowed");
        },
        &[(Check, "it needs `kms:Decrypt` on its KMS key")],
    ),
    case(
        "a disabled key",
        |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "DecryptionFailure", "Secrets Manager can't decrypt");
        },
        &[(Check, "the KMS key of the secret `glint/credentials` cannot decrypt it")],
    ),
    case(
        "scheduled for deletion",
        |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "InvalidRequestException", "marked for deletion");
        },
        &[(Check, "it is scheduled for deletion")],
    ),
    case(
        "a role that is gone",
        |sandbox| {
            sandbox.secrets.refuse(
                CREDENTIALS,
                "UnrecognizedClientException",
                "The security token included in the request is invalid",
            );
        },
        &[
            (Check, "AWS does not accept the function's own credentials (`UnrecognizedClientException`)"),
            (Log, "`UnrecognizedClientException`"),
        ],
    ),
    case(
        "an expired session",
        |sandbox| {
            sandbox.secrets.refuse(CREDENTIALS, "ExpiredTokenException", "expired");
        },
        &[(Check, "(`ExpiredTokenException`)"), (Log, "(`ExpiredTokenException`)")],
    ),
    case("no JSON", |sandbox| sandbox.secrets.put(CREDENTIALS, CLIENT_SECRET), &[(Check, "is not a JSON object")]),
    case(
        "broken JSON",
        |sandbox| sandbox.secrets.put(CREDENTIALS, r#"{"clientId": "client-id" "clientSecret"}"#),
        &[(Check, "is not valid JSON (line 1, column ")],
    ),
    case(
        "no id",
        |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientSecret": CLIENT_SECRET })),
        &[(Check, "has no `clientId`")],
    ),
    case(
        "no client secret",
        |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientId": "client-id" })),
        &[(Check, "has no `clientSecret`")],
    ),
    case(
        "a blank client secret",
        |sandbox| put(sandbox, CREDENTIALS, &json!({ "clientId": "client-id", "clientSecret": " " })),
        &[(Check, "has no `clientSecret`")],
    ),
    case(
        "a name twice",
        |sandbox| sandbox.secrets.put(CREDENTIALS, r#"{"clientId": "a", "clientId": "b"}"#),
        &[(Check, "names something twice")],
    ),
    case(
        "binary",
        |sandbox| sandbox.secrets.put_binary(CREDENTIALS, [0xff, 0xfe, 0]),
        &[(Check, "is binary and not UTF-8 text")],
    ),
    case(
        "another client's",
        |sandbox| sandbox.glint.rotate_secret("another-client-secret-0123456789"),
        &[(
            Check,
            "Glint login: Glint refuses the client's credentials: store the client's present id and secret in `glint/credentials`",
        )],
    ),
];

#[tokio::test]
async fn each_fault_of_glints_credentials_is_named_and_fails_no_run() {
    assert_all_show(CASES).await;
}
