//! Function URLs and HTTP APIs, both of payload format 2.0: Glint's webhooks and GitLab's hooks.

use std::collections::HashMap;

use aws_lambda_events::lambda_function_urls::{LambdaFunctionUrlRequest, LambdaFunctionUrlResponse};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::SecretString;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{Delivery, DeliveryMetadata, Event, Payload, RetryRequested, Source, SourceSettings, url_target};
use crate::glint::run::UrlTarget;
use crate::json::{self, Object};
use crate::outcome::{Handled, Reply};
use crate::verify::{HookSignature, SignatureHeaders, UnverifiedBody};

/// Where GitLab's pipeline hooks arrive: no group of GitLab can be called `-`.
const HOOK_PATH: &str = "/-/hooks/gitlab";
/// Lambda's own limit for what it is invoked with.
const MAX_HOOK_BYTES: usize = 6 * 1024 * 1024;

/// The one delivery of a request, or the answer to a request that has none.
pub fn parse(event: &RawValue, root: &Object, settings: &SourceSettings) -> Event {
    let Ok(request) = serde_json::from_str::<LambdaFunctionUrlRequest>(event.get()) else {
        return refused(
            400,
            "the request cannot be read",
            "send it through a function URL or an HTTP API with payload format 2.0",
        );
    };
    if !request.request_context.http.method.as_deref().is_some_and(|method| method.eq_ignore_ascii_case("POST")) {
        return refused(405, "only POST is answered here", "send the message with `POST`");
    }
    let path = path(&request, root);
    let query = request.raw_query_string.clone().unwrap_or_default();
    let headers = Headers::of(root);
    let is_hook = path.trim_end_matches('/') == HOOK_PATH;
    let payload = match body(&request, if is_hook { MAX_HOOK_BYTES } else { settings.max_message_bytes }) {
        Err(unreadable) => unreadable,
        Ok(body) if is_hook => match String::from_utf8(body) {
            Ok(body) => Payload::Hook { body, signature: hook_signature(&headers) },
            Err(_) => Payload::unreadable("the body is not UTF-8"),
        },
        Ok(body) => Payload::Message(UnverifiedBody::new(body, SignatureHeaders::find(|name| headers.get(name)))),
    };
    let project = path.trim_matches('/');
    let parameter = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    };
    let target = if is_hook {
        UrlTarget::default()
    } else {
        url_target(Some(project).filter(|path| !path.is_empty()), parameter)
    };
    let metadata =
        DeliveryMetadata { id: content_id(&payload, &headers), target, ..DeliveryMetadata::new(Source::Http) };
    Event::Deliveries(vec![Delivery { payload, metadata }], respond)
}

/// The path without the stage, which an HTTP API puts before it unless it is the default one.
fn path<'a>(request: &'a LambdaFunctionUrlRequest, root: &Object) -> &'a str {
    let path = request.raw_path.as_deref().unwrap_or_default();
    let context = root.object("requestContext").ok().flatten().unwrap_or_default();
    let stage = context.string("stage").filter(|stage| stage != "$default");
    let rest = stage.and_then(|stage| path.strip_prefix('/')?.strip_prefix(stage.as_ref()));
    rest.filter(|rest| rest.is_empty() || rest.starts_with('/')).unwrap_or(path)
}

/// What makes a hook itself: GitLab's `webhook-id`, which a resent hook keeps, else the SHA-256 of its body.
fn content_id(payload: &Payload, headers: &Headers) -> Option<String> {
    let Payload::Hook { body, .. } = payload else { return None };
    let fits = |id: &&str| (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let digest = || Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(headers.get("webhook-id").filter(fits).map_or_else(digest, str::to_owned))
}

/// A request's headers, their names in lower case. `LambdaFunctionUrlRequest` would keep the last of two spellings of one name.
struct Headers(Vec<(String, String)>);

impl Headers {
    fn of(root: &Object) -> Self {
        let headers = root.object("headers").ok().flatten().unwrap_or_default();
        let text =
            |(name, value): (&str, &RawValue)| Some((name.to_ascii_lowercase(), json::string(value)?.into_owned()));
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

fn body(request: &LambdaFunctionUrlRequest, most: usize) -> Result<Vec<u8>, Payload> {
    let too_large = || Payload::Unreadable { why: format!("the body is longer than {most} bytes"), too_large: true };
    let text = request.body.as_deref().unwrap_or_default();
    if !request.is_base64_encoded {
        return if text.len() > most { Err(too_large()) } else { Ok(text.as_bytes().to_vec()) };
    }
    if text.len() / 4 * 3 > most + 3 {
        return Err(too_large());
    }
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|_| Payload::unreadable("the body is not the base64 that it is said to be"))?;
    if bytes.len() > most { Err(too_large()) } else { Ok(bytes) }
}

fn refused(status: u16, reason: &str, hint: &str) -> Event {
    let reply = Reply {
        status,
        retry_after: None,
        body: serde_json::json!({ "outcome": "Invalid", "reason": reason, "hint": hint }),
    };
    Event::Answered(write(&reply))
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
