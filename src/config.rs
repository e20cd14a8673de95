//! The settings: environment variables, read once at cold start, all faults reported together.

mod logging;
mod proxy;
mod reader;
mod secret_ids;
mod trust;

use std::time::Duration;

use secrecy::SecretString;

pub use logging::{LogFormat, LogLevel};
pub use proxy::ProxySettings;
pub use reader::Faults;
use reader::Reader;
pub use trust::TrustedCertificates;

/// Everything that can be set, and nothing else reads the environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// GitLab's base URL, without a trailing slash.
    pub gitlab_url: String,
    /// Glint's base URL with `/v1`, without a trailing slash.
    pub glint_url: String,
    pub glint_secret_id: String,
    pub tokens_secret_id: String,
    pub hook_secret_id: Option<String>,
    pub read_secret_id: Option<String>,
    pub runs_queue_url: Option<String>,
    pub dead_letter_queue_arn: Option<String>,
    pub escape_dollar: bool,
    /// Compared as written, also where the rule that they are exempt from ignores case.
    pub allow_variables: Vec<String>,
    pub deployment: Option<Deployment>,
    /// Artifact of a pipeline's job that holds its outputs.
    pub outputs_file: Option<String>,
    pub user_inputs_as: UserInputsAs,
    pub max_receives: u32,
    pub secrets_ttl: Duration,
    pub aws: Aws,
    /// `SSL_CERT_FILE`: certificates that are trusted beside the public roots.
    pub trusted_certificates: TrustedCertificates,
    pub proxy: Option<ProxySettings>,
    /// `AWS_LAMBDA_LOG_LEVEL` and `AWS_LAMBDA_LOG_FORMAT`, as Lambda's logging controls set them.
    pub log_level: LogLevel,
    pub log_format: LogFormat,
    /// `AWS_LAMBDA_FUNCTION_NAME`: the dimension of every metric.
    pub function_name: String,
}

/// What the standard AWS variables say, as Lambda sets them.
#[derive(Clone, Debug)]
pub struct Aws {
    pub region: String,
    pub keys: Option<AwsKeys>,
    pub secrets_manager_endpoint: Option<String>,
    pub sqs_endpoint: Option<String>,
    pub use_fips: bool,
    pub use_dual_stack: bool,
}

/// The role's keys.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    pub id: String,
    pub secret: SecretString,
    pub session_token: Option<SecretString>,
}

/// The entity that a successful pipeline upserts.
#[derive(Clone, Debug)]
pub struct Deployment {
    pub blueprint: String,
    /// With `{input}` where a user input goes.
    pub identifier: String,
}

/// How user inputs reach the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserInputsAs {
    /// As CI/CD variables: strings, as the agent sends them.
    Variables,
    /// As GitLab's `spec:inputs`, JSON types kept.
    Inputs,
}

/// What stands for a project's path in the name of its own secret.
pub const PROJECT_PLACEHOLDER: &str = "{project}";

/// Every variable that [`Config::read`] asks for, so that a test can hold the documentation to it.
pub const VARIABLES: [&str; 16] = [
    "GITLAB_URL",
    "GLINT_API_URL",
    "GLINT_SECRET_ID",
    "GITLAB_TOKENS_SECRET_ID",
    "GITLAB_HOOK_SECRET_ID",
    "GITLAB_READ_SECRET_ID",
    "RUNS_QUEUE_URL",
    "DEAD_LETTER_QUEUE_ARN",
    "ESCAPE_DOLLAR",
    "ALLOW_VARIABLES",
    "DEPLOYMENT_BLUEPRINT",
    "DEPLOYMENT_IDENTIFIER",
    "OUTPUTS_FILE",
    "USER_INPUTS_AS",
    "MAX_RECEIVES",
    "SECRETS_TTL_SECONDS",
];

impl Config {
    /// Reads the settings through `variable`. An unset and an empty variable mean the same: its default.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, Faults> {
        let mut read = Reader::new(variable);
        let config = Self {
            gitlab_url: read.base_url("GITLAB_URL", "https://gitlab.com", "/api/v4"),
            glint_url: read.base_url("GLINT_API_URL", "https://api.useglint.io", "/v1") + "/v1",
            glint_secret_id: read.text("GLINT_SECRET_ID").unwrap_or_else(|| "glint/credentials".to_owned()),
            tokens_secret_id: read
                .text("GITLAB_TOKENS_SECRET_ID")
                .unwrap_or_else(|| "glint/gitlab-trigger-tokens".to_owned()),
            hook_secret_id: read.text("GITLAB_HOOK_SECRET_ID"),
            read_secret_id: read.text("GITLAB_READ_SECRET_ID"),
            runs_queue_url: read.queue_url("RUNS_QUEUE_URL"),
            dead_letter_queue_arn: read.queue_arn("DEAD_LETTER_QUEUE_ARN"),
            escape_dollar: read.boolean("ESCAPE_DOLLAR"),
            allow_variables: read.list("ALLOW_VARIABLES"),
            deployment: read.deployment(),
            outputs_file: read.artifact_path("OUTPUTS_FILE"),
            user_inputs_as: read
                .choice("USER_INPUTS_AS", &[("variables", UserInputsAs::Variables), ("inputs", UserInputsAs::Inputs)]),
            max_receives: read.number("MAX_RECEIVES", 20, 1, 1000),
            secrets_ttl: Duration::from_secs(read.number("SECRETS_TTL_SECONDS", 300, 0, 86_400).into()),
            aws: read.aws(),
            trusted_certificates: read.trusted_certificates(),
            proxy: read.proxy(),
            log_level: LogLevel::parse(read.text("AWS_LAMBDA_LOG_LEVEL").as_deref()),
            log_format: if read.text("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("json"))
            {
                LogFormat::Json
            } else {
                LogFormat::Text
            },
            function_name: read.text("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|| "glint-gitlab-trigger".to_owned()),
        };
        read.reject_overlapping_tokens_secret_id(&config);
        read.finish(config)
    }
}

/// The settings that are more than one variable.
impl<V: Fn(&str) -> Option<String>> Reader<V> {
    fn aws(&mut self) -> Aws {
        let secret = |name| self.text(name).map(SecretString::from);
        let keys = self.text("AWS_ACCESS_KEY_ID").zip(secret("AWS_SECRET_ACCESS_KEY"));
        let all = self.text("AWS_ENDPOINT_URL");
        Aws {
            region: self
                .text("AWS_REGION")
                .or_else(|| self.text("AWS_DEFAULT_REGION"))
                .unwrap_or_else(|| "us-east-1".to_owned()),
            keys: keys.map(|(id, secret_key)| AwsKeys {
                id,
                secret: secret_key,
                session_token: secret("AWS_SESSION_TOKEN"),
            }),
            secrets_manager_endpoint: self.text("AWS_ENDPOINT_URL_SECRETS_MANAGER").or_else(|| all.clone()),
            sqs_endpoint: self.text("AWS_ENDPOINT_URL_SQS").or(all),
            use_fips: self.boolean("AWS_USE_FIPS_ENDPOINT"),
            use_dual_stack: self.boolean("AWS_USE_DUALSTACK_ENDPOINT"),
        }
    }

    fn deployment(&mut self) -> Option<Deployment> {
        let identifier = self.text("DEPLOYMENT_IDENTIFIER");
        if identifier.as_ref().is_some_and(|text| text.matches('{').count() != text.matches('}').count()) {
            self.fault("DEPLOYMENT_IDENTIFIER", "has a brace without its partner", "write user inputs as `{name}`");
        }
        let blueprint = self.text("DEPLOYMENT_BLUEPRINT")?;
        Some(Deployment { blueprint, identifier: identifier.unwrap_or_else(|| "{service}-{environment}".to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, Faults> {
        Config::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_need_be_set() {
        let config = read(&[]).unwrap();
        assert_eq!(
            (config.gitlab_url.as_str(), config.glint_url.as_str()),
            ("https://gitlab.com", "https://api.useglint.io/v1")
        );
        assert_eq!((config.max_receives, config.secrets_ttl), (20, Duration::from_secs(300)));
        assert!(config.deployment.is_none());
    }

    #[test]
    fn every_variable_that_is_read_is_listed_and_no_other() {
        let asked = std::cell::RefCell::new(Vec::new());
        let config = Config::read(|name| {
            asked.borrow_mut().push(name.to_owned());
            None
        });
        assert!(config.is_ok());
        // Read only where there is a blueprint.
        let asked = [asked.into_inner(), vec!["DEPLOYMENT_IDENTIFIER".to_owned()]].concat();
        for name in &asked {
            let is_standard =
                name.starts_with("AWS_") || name == "SSL_CERT_FILE" || name.to_ascii_uppercase().ends_with("_PROXY");
            assert!(is_standard || VARIABLES.contains(&name.as_str()), "`{name}` is read, and missing in `VARIABLES`");
        }
        for name in VARIABLES {
            assert!(asked.iter().any(|asked| asked == name), "`{name}` is in `VARIABLES`, and nothing reads it");
        }
    }

    #[test]
    fn a_base_url_may_have_a_slash_and_a_sub_path() {
        for (given, kept) in [
            ("https://git.example.com/", "https://git.example.com"),
            ("https://example.com/gitlab//", "https://example.com/gitlab"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:1/", "http://[::1]:1"),
            ("https://Git.Example.com:443/Sub", "https://git.example.com/Sub"),
            ("https://git.example.com/api/v4", "https://git.example.com"),
            ("https://example.com/gitlab/api/v4/", "https://example.com/gitlab"),
        ] {
            assert_eq!(read(&[("GITLAB_URL", given)]).unwrap().gitlab_url, kept);
        }
    }

    #[test]
    fn every_fault_is_reported_at_once_with_a_hint() {
        let message = read(&[
            ("GITLAB_URL", "http://gitlab.example.com"),
            ("GLINT_API_URL", "https://user:pw@api.example.com"),
            ("ESCAPE_DOLLAR", "maybe"),
            ("USER_INPUTS_AS", "env"),
            ("MAX_RECEIVES", "0"),
            ("SECRETS_TTL_SECONDS", "-1"),
            ("RUNS_QUEUE_URL", "runs.fifo"),
            ("DEAD_LETTER_QUEUE_ARN", "dead"),
            ("ALLOW_VARIABLES", "CI_A, $B"),
            ("DEPLOYMENT_IDENTIFIER", "{a"),
        ])
        .unwrap_err()
        .to_string();
        assert!(message.starts_with("10 of the function's settings"), "{message}");
        assert_eq!(message.matches("hint: ").count(), 10);
        for variable in [
            "GITLAB_URL",
            "GLINT_API_URL",
            "ESCAPE_DOLLAR",
            "USER_INPUTS_AS",
            "MAX_RECEIVES",
            "SECRETS_TTL_SECONDS",
            "RUNS_QUEUE_URL",
        ] {
            assert!(message.contains(&format!("`{variable}`")), "{message}");
        }
        assert!(!message.contains("pw"), "{message}");
    }
}
