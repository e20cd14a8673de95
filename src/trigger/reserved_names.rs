//! Which names of CI/CD variables a user input may set.
//!
//! A trigger's variables win over all others, and runners and the tools of a job obey some of them: `CI_PRE_CLONE_SCRIPT`, `LD_PRELOAD`
//! or `GIT_SSH_COMMAND` are code that runs with the job's credentials. Such a list is never complete: a job that must not be steered by its
//! users reads `port_payload`, or names what it takes.

use super::ValidationError;
use super::variables::{Field, Subject};

/// The longest name that GitLab stores.
const MAX_LENGTH: usize = 255;

/// Families of names, by their prefix and exactly as written: `git_branch` is an everyday input, and no tool reads it.
const FAMILIES: [&str; 20] = [
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
    "TF_CLI_ARGS",
    "CARGO_",
];

/// Families that programs read in any case.
const FAMILIES_IN_ANY_CASE: [&str; 1] = ["NPM_CONFIG_"];

/// Proxies, in any case: programs disagree on which one they read.
const PROXIES: [&str; 5] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY"];

/// Single names, only as written: an input named `env` or `path` is harmless.
const WORDS: [&str; 58] = [
    "CI",
    "PATH",
    "HOME",
    "SHELL",
    "SHELLOPTS",
    "BASHOPTS",
    "IFS",
    "PS4",
    "PROMPT_COMMAND",
    "ZDOTDIR",
    // Loaded by interpreters before the program.
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONWARNINGS",
    "PERL5OPT",
    "PERL5LIB",
    "PERL5DB",
    "RUBYOPT",
    "RUBYLIB",
    "NODE_OPTIONS",
    "NODE_PATH",
    "LUA_INIT",
    "PHPRC",
    "PHP_INI_SCAN_DIR",
    "R_PROFILE_USER",
    "ERL_FLAGS",
    "ERL_AFLAGS",
    // Options and plugins of build tools.
    "MAKEFLAGS",
    "MFLAGS",
    "GNUMAKEFLAGS",
    "TAR_OPTIONS",
    "GOFLAGS",
    "RUSTFLAGS",
    "RUSTC_WRAPPER",
    "RUSTDOCFLAGS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "JAVA_OPTS",
    "GRADLE_OPTS",
    "SBT_OPTS",
    "ANT_OPTS",
    "ANT_ARGS",
    "BUILDPACK_URL",
    "BUNDLE_GEMFILE",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "TF_CLI_CONFIG_FILE",
    "ANSIBLE_CONFIG",
    "YARN_RC_FILENAME",
    "COMPOSER_HOME",
    // Whom TLS trusts.
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "OPENSSL_CONF",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "ARTIFACT_DOWNLOAD_ATTEMPTS",
    "RESTORE_CACHE_ATTEMPTS",
];

/// Whether `subject` may be a variable of that name. `TRIGGER_PAYLOAD` may never be: GitLab sets it itself and fails the pipeline.
pub fn validate(subject: Subject<'_>, allowed: &[String]) -> Result<(), ValidationError> {
    let Subject { field, name } = subject;
    let (rename, shorten) = match field {
        Field::UserInputs => ("rename the input in the action", "shorten the name in the action"),
        Field::PipelineVariables => {
            ("rename it in the action's `pipelineVariables`", "shorten it in the action's `pipelineVariables`")
        }
    };
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(ValidationError::new(
            format!("{subject} is no name that a CI/CD variable can have"),
            format!("{rename}: letters, digits and `_`"),
        ));
    }
    if name.len() > MAX_LENGTH {
        return Err(ValidationError::new(format!("{subject} has a name longer than {MAX_LENGTH} characters"), shorten));
    }
    let is_fixed = name == "TRIGGER_PAYLOAD";
    if is_fixed || (is_reserved(name) && !allowed.iter().any(|allowed| allowed == name)) {
        let hint = if is_fixed {
            rename.to_owned()
        } else {
            format!("{rename}, or let the function's operator list `{name}` in `ALLOW_VARIABLES`")
        };
        return Err(ValidationError::new(
            format!("{subject} is a reserved CI/CD variable name: GitLab, its runners or the tools of a job obey it"),
            hint,
        ));
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    let begins = |family: &&str| name.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family));
    FAMILIES.iter().any(|family| name.starts_with(family))
        || FAMILIES_IN_ANY_CASE.iter().any(begins)
        || PROXIES.iter().any(|proxy| name.eq_ignore_ascii_case(proxy))
        || WORDS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(name: &str) -> Subject<'_> {
        Subject { field: Field::UserInputs, name }
    }

    #[test]
    fn names_that_take_over_a_runner_are_refused() {
        for name in [
            "CI_JOB_TOKEN",
            "LD_PRELOAD",
            "GIT_SSH_COMMAND",
            "http_proxy",
            "HTTPS_PROXY",
            "PATH",
            "BASH_ENV",
            "KUBECONFIG",
            "MAKEFLAGS",
            "TF_CLI_ARGS_plan",
            "No_Proxy",
            "npm_config_registry",
            "CI",
        ] {
            assert!(validate(input(name), &[]).unwrap_err().what.contains(name), "{name}");
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
            "aws_region",
            "git_branch",
            "docker_image",
            "kubernetes_version",
            "ci_debug_trace",
            "makeflags",
            "ENV",
        ] {
            assert_eq!(validate(input(name), &[]), Ok(()), "{name}");
        }
    }

    #[test]
    fn the_operator_may_allow_all_but_the_payload() {
        let allowed = ["AWS_REGION".to_owned(), "TRIGGER_PAYLOAD".to_owned()];
        assert_eq!(validate(input("AWS_REGION"), &allowed), Ok(()));
        assert!(validate(input("AWS_ROLE"), &allowed).is_err());
        assert!(validate(input("TRIGGER_PAYLOAD"), &allowed).is_err());
    }

    #[test]
    fn names_that_gitlab_rejects_are_refused() {
        for name in ["", "a b", "a-b", "é", "a.b", "a\0", &"a".repeat(256)] {
            assert!(validate(input(name), &[]).is_err(), "{name:?}");
        }
    }
}
