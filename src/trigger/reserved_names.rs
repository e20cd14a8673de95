//! Which names of CI/CD variables a user input may set.
//!
//! A trigger's variables win over all others, and runners and the tools of a job obey some of them: `CI_PRE_CLONE_SCRIPT`, `LD_PRELOAD`
//! or `GIT_SSH_COMMAND` are code that runs with the job's credentials.

use super::ValidationError;

/// The longest name that GitLab stores.
const MAX_LENGTH: usize = 255;

/// Families of names, by their prefix and in any case.
const FAMILIES: [&str; 18] = [
    "CI_",
    "GITLAB_",
    "GIT_",
    "FF_",
    "RUNNER_",
    "DOCKER_",
    "KUBE",
    "SECURE_",
    "AWS_",
    "LD_",
    "DYLD_",
    "BASH_",
    "TRIGGER_",
    "CHAT_",
    "NPM_CONFIG_",
    "PIP_",
    "MAVEN_",
    "JAVA_TOOL",
];

/// Proxies, in any case: programs disagree on which one they read.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];

/// Single names, only as written: an input named `env` or `path` is harmless.
const WORDS: [&str; 22] = [
    "CI",
    "PATH",
    "HOME",
    "SHELL",
    "ENV",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "GOFLAGS",
    "CARGO_HOME",
    "RUSTC_WRAPPER",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "ARTIFACT_DOWNLOAD_ATTEMPTS",
    "RESTORE_CACHE_ATTEMPTS",
];

/// Whether a user input may become the variable `name`. `TRIGGER_PAYLOAD` may never: GitLab sets it itself and fails the pipeline.
pub fn validate(name: &str, allowed: &[String]) -> Result<(), ValidationError> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(ValidationError::new(
            format!("the user input \"{}\" is no name that a CI/CD variable can have", crate::json::excerpt(name)),
            "rename the input in the action: letters, digits and `_`",
        ));
    }
    if name.len() > MAX_LENGTH {
        return Err(ValidationError::new(
            format!("the user input `{}...` has a name longer than {MAX_LENGTH} characters", &name[..32]),
            "shorten the name in the action",
        ));
    }
    let fixed = name.eq_ignore_ascii_case("TRIGGER_PAYLOAD");
    if fixed || (is_reserved(name) && !allowed.iter().any(|allowed| allowed == name)) {
        let hint = if fixed {
            "rename the input in the action"
        } else {
            "rename the input in the action, or let the function's operator list it in `ALLOW_VARIABLES`"
        };
        return Err(ValidationError::new(
            format!("the user input `{name}` would set a variable that GitLab, its runners or the tools of a job obey"),
            hint,
        ));
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    let begins = |family: &&str| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family));
    FAMILIES.iter().any(begins) || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy)) || WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_take_over_a_runner_are_refused() {
        for name in [
            "CI_JOB_TOKEN",
            "ci_debug_trace",
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "http_proxy",
            "HTTPS_PROXY",
            "PATH",
            "ENV",
            "BASH_ENV",
            "Kubeconfig",
            "npm_config_registry",
            "CI",
        ] {
            assert!(validate(name, &[]).unwrap_err().what.contains(name), "{name}");
        }
    }

    #[test]
    fn everyday_inputs_pass() {
        for name in [
            "env",
            "path",
            "home",
            "service",
            "environment",
            "replicas",
            "dryRun",
            "git",
            "ci",
            "docker",
            "_x",
            "version_1",
            "cicd",
            "github_org",
            "2fa",
        ] {
            assert_eq!(validate(name, &[]), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_operator_may_allow_all_but_the_payload() {
        let allowed = ["AWS_REGION".to_owned(), "TRIGGER_PAYLOAD".to_owned()];
        assert_eq!(validate("AWS_REGION", &allowed), Ok(()));
        assert!(validate("AWS_ROLE", &allowed).is_err());
        assert!(validate("TRIGGER_PAYLOAD", &allowed).is_err());
    }

    #[test]
    fn names_that_gitlab_rejects_are_refused() {
        for name in ["", "a b", "a-b", "é", "a.b", "a\0", &"a".repeat(256)] {
            assert!(validate(name, &[]).is_err(), "{name:?}");
        }
    }
}
