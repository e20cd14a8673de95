//! Trigger tokens, as people store them.

use serde_json::json;

use super::table::Place::{Check, Glint};
use super::table::{Case, assert_all_show, case, put};
use crate::support::{CLIENT_SECRET, PROJECT, TOKEN};

const TOKENS: &str = "glint/gitlab-trigger-tokens";
const SPLIT: &[(&str, &str)] = &[("GITLAB_TOKENS_SECRET_ID", "trigger-tokens/{project}")];
const OWN: &str = "trigger-tokens/acme/backend/billing";

const CASES: &[Case] = &[
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
            (Glint, "check the action's project name, and that the trigger token in the secret"),
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
];

#[tokio::test]
async fn each_fault_of_the_trigger_tokens_is_named_by_the_check_and_in_the_run() {
    assert_all_show(CASES).await;
}
