//! Lends the AWS SDK our HTTP client, so that one TLS stack and one set of roots serve every upstream.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use secrecy::ExposeSecret as _;

use crate::config::Aws;
use crate::deadlines::AWS_TIMEOUT;
use crate::http::{Http, SendError};

/// Secrets Manager keeps at most 64 KiB a secret; JSON escapes can double that.
const MAX_RESPONSE_BYTES: usize = 256 * 1024;

/// A client of Secrets Manager.
pub fn secrets_manager_client(aws: &Aws, http: &Http) -> aws_sdk_secretsmanager::Client {
    aws_sdk_secretsmanager::Client::new(&config(aws, http, aws.secrets_manager_endpoint.clone()))
}

/// A client of SQS.
pub fn sqs_client(aws: &Aws, http: &Http) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&config(aws, http, aws.sqs_endpoint.clone()))
}

/// The SDK's own retries are off: `retry` is the one layer.
fn config(aws: &Aws, http: &Http, endpoint: Option<String>) -> SdkConfig {
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(aws.region.clone()))
        .http_client(SharedHttpClient::new(Connector(http.clone())))
        .retry_config(RetryConfig::disabled())
        .use_fips(aws.use_fips)
        .use_dual_stack(aws.use_dual_stack);
    config.set_endpoint_url(endpoint);
    if let Some(keys) = &aws.keys {
        let session_token = keys.session_token.as_ref().map(|token| token.expose_secret().to_owned());
        let credentials = Credentials::new(&keys.id, keys.secret.expose_secret(), session_token, None, "environment");
        config.set_credentials_provider(Some(SharedCredentialsProvider::new(credentials)));
    }
    config.build()
}

#[derive(Clone)]
struct Connector(Http);

impl std::fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("Connector")
    }
}

impl HttpClient for Connector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = outgoing(request)?;
            let answer =
                http.send(request, MAX_RESPONSE_BYTES, AWS_TIMEOUT).await.map_err(|failure| match failure {
                    SendError::NotSent(why) => ConnectorError::io(why.into()),
                    SendError::ResponseLost(why) => ConnectorError::timeout(why.into()),
                })?;
            let status =
                StatusCode::try_from(answer.status).map_err(|error| ConnectorError::other(error.into(), None))?;
            let mut response = HttpResponse::new(status, SdkBody::from(answer.body));
            for (name, value) in &answer.headers {
                if let Ok(value) = value.to_str() {
                    response.headers_mut().append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(response)
        })
    }
}

fn outgoing(request: HttpRequest) -> Result<reqwest::Request, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let request = request.map(|body| body.bytes().map(<[u8]>::to_vec).unwrap_or_default());
    reqwest::Request::try_from(request).map_err(|error| ConnectorError::user(error.without_url().into()))
}

/// The code of an error of AWS, as long as it is the single word that all of AWS's are: what else stands there may be anything.
pub fn error_code(code: &str) -> String {
    const MAX_LENGTH: usize = 64;
    let is_word = code.len() <= MAX_LENGTH && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.');
    if is_word { code.to_owned() } else { "an error without a known code".to_owned() }
}

/// Why the SDK got no answer of the service: the innermost cause, which names no content.
pub fn innermost_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
