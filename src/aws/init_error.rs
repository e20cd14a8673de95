//! Tells Lambda why the function does not start, so that the invoker's response says it.

use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};
use serde_json::json;

use crate::config::TrustedCertificates;
use crate::deadlines::AWS_TIMEOUT;
use crate::http::Http;
use crate::json;

const ERROR_TYPE: &str = "Runtime.InvalidConfiguration";
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Posts `why` to the Runtime API at `api`, a host and a port. Best effort: the log has it too.
pub async fn report_init_error(api: &str, why: &str) {
    let Ok(url) = Url::parse(&format!("http://{api}/2018-06-01/runtime/init/error")) else { return };
    let Ok(http) = Http::new(&TrustedCertificates::default(), None) else { return };
    let mut request = Request::new(Method::POST, url);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.headers_mut().insert("lambda-runtime-function-error-type", HeaderValue::from_static(ERROR_TYPE));
    let body = json!({ "errorMessage": why, "errorType": ERROR_TYPE, "stackTrace": [] });
    *request.body_mut() = Some(json::to_text(&body).into());
    drop(http.send(request, MAX_RESPONSE_BYTES, AWS_TIMEOUT).await);
}
