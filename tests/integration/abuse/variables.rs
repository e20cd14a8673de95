//! Names of variables that GitLab refuses, or that take over a runner.

use serde_json::{Value, json};

use crate::abuse::refusals::{Case, Checker, method, with_inputs};
use crate::support::{World, message};

/// Why the names of a row are refused, as the refusal says it.
const OBEYED: &str = "is a reserved CI/CD variable name";
const NO_NAME: &str = "is no name that a CI/CD variable can have";

/// Families in several cases, and single words, written a second time.
const RESERVED: &str = "
    CI CI_JOB_TOKEN CI_PRE_CLONE_SCRIPT CI_DEBUG_TRACE CI_REGISTRY CI_SERVER_URL
    CI_DEBUG_SERVICES GITLAB_USER_LOGIN GITLAB_FEATURES GIT_SSH_COMMAND GIT_CONFIG_COUNT GIT_STRATEGY
    GIT_ASKPASS FF_NETWORK_PER_BUILD RUNNER_SCRIPT_TIMEOUT DOCKER_AUTH_CONFIG DOCKER_HOST KUBECONFIG
    KUBE_TOKEN SECURE_ANALYZERS_PREFIX AWS_ACCESS_KEY_ID AWS_ROLE_ARN AWS_PROFILE LD_PRELOAD
    LD_LIBRARY_PATH LD_AUDIT DYLD_INSERT_LIBRARIES BASH_ENV BASH_FUNC_x TRIGGER_PAYLOAD
    TRIGGER_X CHAT_INPUT npm_config_registry NPM_CONFIG_REGISTRY PIP_INDEX_URL MAVEN_OPTS
    JAVA_TOOL_OPTIONS http_proxy HTTPS_PROXY Https_Proxy all_proxy NO_PROXY PATH HOME SHELL IFS PS4
    PROMPT_COMMAND PYTHONPATH PYTHONSTARTUP PERL5OPT PERL5LIB RUBYOPT NODE_OPTIONS GOFLAGS CARGO_HOME
    RUSTC_WRAPPER SSL_CERT_FILE CURL_CA_BUNDLE MAKEFLAGS TAR_OPTIONS _JAVA_OPTIONS BUILDPACK_URL RUSTFLAGS
    TF_CLI_ARGS TF_CLI_ARGS_plan NODE_EXTRA_CA_CERTS SSL_CERT_DIR JDK_JAVA_OPTIONS Npm_Config_Registry
";

const MALFORMED: [(&str, &str); 14] = [
    ("an empty name", ""),
    ("a space", "a b"),
    ("a leading space, which GitLab would strip", " PATH"),
    ("a trailing line feed, which GitLab would strip", "PATH\n"),
    ("a dash", "a-b"),
    ("a dot", "a.b"),
    ("an equals sign", "A=B"),
    ("a NUL", "A\0B"),
    ("a letter with an accent", "é"),
    ("a full-width letter", "ＰＡＴＨ"),
    ("a dollar", "$A"),
    ("a bracket, which frameworks nest by", "a[b]"),
    ("an escape sequence", "\u{1b}[31m"),
    ("a quote", "\""),
];

#[tokio::test]
async fn a_name_that_takes_over_a_runner_is_refused() {
    let mut cases: Vec<Case> = RESERVED
        .split_whitespace()
        .map(|name| {
            Case::new(name, &format!("`{name}` {OBEYED}"), |message| with_inputs(message, json!({ name: "x" })))
        })
        .collect();
    cases.push(Case::new("REQUESTS_CA_BUNDLE among ordinary ones", OBEYED, |message| {
        with_inputs(message, json!({ "service": "a", "REQUESTS_CA_BUNDLE": "/x", "zone": "b" }));
    }));
    cases.push(Case::new(
        "a reserved name in pipelineVariables",
        "`LD_PRELOAD` of the action's `pipelineVariables` is a reserved",
        |message| {
            method(message)["pipelineVariables"] = json!({ "LD_PRELOAD": "/builds/evil.so" });
        },
    ));
    cases.push(Case::new("a reserved name with an object for a value", "`GIT_DIR`", |message| {
        with_inputs(message, json!({ "GIT_DIR": { "a": [1] } }));
    }));
    for name in ["ARTIFACT_DOWNLOAD_ATTEMPTS", "RESTORE_CACHE_ATTEMPTS"] {
        cases.push(Case::new(name, OBEYED, |message| with_inputs(message, json!({ name: "999" }))));
    }
    assert!(Checker::start(&[]).await.refuses(cases).await >= 60);
}

#[tokio::test]
async fn a_name_that_gitlab_rejects_is_refused() {
    let mut cases: Vec<Case> = MALFORMED
        .iter()
        .map(|(name, text)| Case::new(name, NO_NAME, |message| with_inputs(message, json!({ *text: "x" }))))
        .collect();
    cases.push(Case::new("256 characters", "longer than 255 characters", |message| {
        with_inputs(message, json!({ "a".repeat(256): "x" }));
    }));
    cases.push(Case::new("a malformed name of 100 KB", NO_NAME, |message| {
        with_inputs(message, json!({ "- ".repeat(50_000): "x" }));
    }));
    assert!(Checker::start(&[]).await.refuses(cases).await >= 16);
}

#[tokio::test]
async fn an_operator_may_allow_a_name_and_that_name_alone() {
    let allowed = "AWS_REGION, TRIGGER_PAYLOAD";
    let cases = ["AWS_REGION_", "AWS_REGIO", "AWS_REGION_2", "TRIGGER_PAYLOAD", "TRIGGER_PAYLOAD_"];
    let cases = cases.map(|name| Case::new(name, OBEYED, |message| with_inputs(message, json!({ name: "x" }))));
    assert_eq!(Checker::start(&[("ALLOW_VARIABLES", allowed)]).await.refuses(cases.into()).await, 5);
    let world = World::builder().settings(&[("ALLOW_VARIABLES", allowed)]).start().await;
    world.sandbox.glint.run("r_1");
    let mut message = message("r_1");
    with_inputs(&mut message, json!({ "AWS_REGION": "eu-west-1" }));
    assert_eq!(world.queue(&[&message.to_string()]).await, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines()[0].variables["AWS_REGION"], "eu-west-1");
}

#[tokio::test]
async fn everyday_names_that_look_alike_pass() {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    let names = [
        "env",
        "path",
        "home",
        "ci",
        "git",
        "kind",
        "github_org",
        "cicd",
        "Path",
        "2fa",
        "_",
        "docker",
        "ld",
        "aws_region",
        "git_branch",
        "docker_image",
        "kubernetes_version",
        "ci_job_token",
        "trigger_payload",
        "ENV",
    ];
    let inputs: serde_json::Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), json!("x"))).collect();
    let mut message = message("r_1");
    with_inputs(&mut message, Value::Object(inputs));
    assert_eq!(world.queue(&[&message.to_string()]).await, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines()[0].variables.len(), names.len());
}
