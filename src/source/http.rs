//! Function URLs and HTTP APIs, both of payload format 2.0: Glint's webhooks and GitLab's hooks.

use std::borrow::Cow;
use std::collections::HashMap;

use aws_lambda_events::lambda_function_urls::LambdaFunctionUrlResponse;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Delivery, DeliveryMetadata, Event, Payload, RetryRequested, Source, SourceSettings, target_of_url};
use crate::json::{self, Object};
use crate::outcome::{Handled, Reply};
use crate::verify::{HookSignature, RequestUrl, SignatureHeaders, UnverifiedBody, sha256_hex};

/// What a path ends in where GitLab's pipeline hooks arrive: no group of GitLab can be called `-`.
const HOOK_PATH: &str = "-/hooks/gitlab";
/// Lambda's own limit for what it is invoked with.
const MAX_HOOK_BYTES: usize = 6 * 1024 * 1024;
/// What a URL may not hold as it stands in a message attribute.
const NO_ATTRIBUTE: &AsciiSet = &CONTROLS.add(b' ');

/// The one delivery of a request, or the answer to a request that has none.
pub fn parse(root: &Object, settings: &SourceSettings) -> Event {
    let context = root.object("requestContext").ok().flatten().unwrap_or_default();
    let http = context.object("http").ok().flatten().unwrap_or_default();
    let raw_path = root.string("rawPath");
    let method = http.string("method").or_else(|| root.string("httpMethod"));
    // A WebSocket API's has no method.
    if method.map_or(raw_path.is_some(), |method| !method.eq_ignore_ascii_case("POST")) {
        return answer(405, "only POST is answered here", "send the message with `POST`");
    }
    let Some(raw_path) = raw_path else {
        return answer(
            400,
            "the request is not of payload format 2.0: `rawPath` is missing",
            "send it through a function URL or an HTTP API with payload format 2.0, and not through a REST API, a WebSocket API or a load balancer",
        );
    };
    let path = without_stage(&raw_path, &context);
    let query = root.string("rawQueryString").unwrap_or_default();
    let decoded = RequestUrl::new(path, "").path();
    let is_hook = decoded == HOOK_PATH || decoded.strip_suffix(HOOK_PATH).is_some_and(|base| base.ends_with('/'));
    let headers = Headers::new(root);
    let mut metadata = DeliveryMetadata::new(Source::Http);
    let max_bytes = if is_hook { MAX_HOOK_BYTES } else { settings.max_message_bytes };
    let payload = match body(root, max_bytes) {
        Err(unreadable) => unreadable,
        Ok(body) => {
            metadata.bytes = body.len();
            if is_hook {
                hook(body.into_owned(), &headers, &mut metadata)
            } else {
                message(body.into_owned(), &headers)
            }
        }
    };
    if !is_hook {
        let url = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
        let url = utf8_percent_encode(&url, NO_ATTRIBUTE).to_string();
        metadata.target = target_of_url(&url);
        metadata.url = Some(url);
        metadata.host = context.string("domainName").map(Cow::into_owned);
        metadata.run_id_header = headers.get("run_id").map(str::to_owned);
    }
    Event::Deliveries(vec![Delivery { payload, metadata }], respond)
}

fn message(body: Vec<u8>, headers: &Headers) -> Payload {
    Payload::Message(UnverifiedBody::new(body, SignatureHeaders::find(|name| headers.get(name))))
}

fn hook(body: Vec<u8>, headers: &Headers, metadata: &mut DeliveryMetadata) -> Payload {
    let Ok(body) = String::from_utf8(body) else {
        return Payload::unreadable("the hook's body is not UTF-8", "have GitLab's webhook send to this URL");
    };
    metadata.hook_id = Some(hook_id(&body, headers));
    Payload::Hook { body, signature: hook_signature(headers) }
}

/// The path without the stage, which an HTTP API's own host puts before it unless it is the default one. A custom domain has none, and a header
/// may say anything of the host.
fn without_stage<'a>(path: &'a str, context: &Object) -> &'a str {
    let is_execute_api =
        context.string("domainName").is_some_and(|host| host.to_ascii_lowercase().contains(".execute-api."));
    let stage = context.string("stage").filter(|stage| is_execute_api && stage != "$default");
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage.as_ref()));
    rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path)
}

/// What makes a hook itself: GitLab's `webhook-id`, which a resent hook keeps, else the SHA-256 of its body.
fn hook_id(body: &str, headers: &Headers) -> String {
    let fits = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    headers.get("webhook-id").filter(fits).map_or_else(|| sha256_hex(body), str::to_owned)
}

/// A request's headers, their names in lower case. A number or a boolean counts as its text.
struct Headers(Vec<(String, String)>);

impl Headers {
    fn new(root: &Object) -> Self {
        let headers = root.object("headers").ok().flatten().unwrap_or_default();
        let text =
            |(name, value): (&str, &RawValue)| Some((name.to_ascii_lowercase(), super::scalar(value)?.into_owned()));
        Self(headers.iter().filter_map(text).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next()?;
        // A repeated header leaves open which one is meant.
        values.next().is_none().then_some(value)
    }
}

fn hook_signature(headers: &Headers) -> HookSignature {
    let text = |name: &str| headers.get(name).map(str::to_owned);
    HookSignature {
        id: text("webhook-id"),
        timestamp: text("webhook-timestamp"),
        signature: text("webhook-signature"),
        token: headers.get("x-gitlab-token").map(SecretString::from),
    }
}

fn body<'a>(root: &Object<'a>, max_bytes: usize) -> Result<Cow<'a, [u8]>, Payload> {
    let too_large = || Payload::too_large(format!("the body is longer than {max_bytes} bytes"));
    let text = root.string("body").unwrap_or_default();
    if !root.is_true("isBase64Encoded") {
        let bytes = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        return if bytes.len() > max_bytes { Err(too_large()) } else { Ok(bytes) };
    }
    if text.len() / 4 * 3 > max_bytes + 3 {
        return Err(too_large());
    }
    let bytes = BASE64_STANDARD.decode(text.as_bytes()).map_err(|_| {
        Payload::unreadable(
            "the body is not the base64 that it is said to be",
            "send it through a function URL or an HTTP API",
        )
    })?;
    if bytes.len() > max_bytes { Err(too_large()) } else { Ok(Cow::Owned(bytes)) }
}

/// The answer to a request that is no delivery.
fn answer(status: u16, reason: &'static str, hint: &str) -> Event {
    let reply = Reply {
        status,
        retry_after: None,
        body: serde_json::json!({ "outcome": "Unreadable", "reason": reason, "hint": hint }),
    };
    Event::Answered(write(&reply), reason)
}

/// The response to the one delivery of a request.
fn respond(handled: &[(Option<String>, Handled)]) -> Result<Box<RawValue>, RetryRequested> {
    let none = || Reply { status: 500, retry_after: None, body: Value::Null };
    Ok(write(&handled.first().map_or_else(none, |(_, handled)| handled.reply())))
}

/// `reply` as function URLs and HTTP APIs take it.
fn write(reply: &Reply) -> Box<RawValue> {
    let mut headers = HashMap::from([("content-type", "application/json".to_owned())]);
    if let Some(wait) = reply.retry_after {
        headers.insert("retry-after", wait.as_secs().max(1).to_string());
    }
    if reply.status == 405 {
        headers.insert("allow", "POST".to_owned());
    }
    let mut response = LambdaFunctionUrlResponse::default();
    response.status_code = reply.status.into();
    response.body = Some(reply.body.to_string());
    for (name, value) in headers {
        if let Ok(value) = value.parse() {
            response.headers.insert(name, value);
        }
    }
    json::raw(&response)
}
