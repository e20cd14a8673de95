//! Property tests: a trigger request holds what GitLab takes and nothing else, or is refused with a hint.

use proptest::prelude::*;
use sandbox::arbitrary::{config, hostile_text, json};
use sandbox::samples;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::{TriggerOptions, build_trigger_request};
use crate::glint::message::{self, Message};
use crate::glint::run::UrlTarget;
use crate::json;

/// What a trigger's body is, and its user inputs.
type Built = Option<(Map<String, Value>, String)>;

/// Builds the request of the run whose user inputs are `inputs`. A refusal is held to what all refusals owe.
fn build(inputs: &str, inputs_as_inputs: bool, escape_dollar: bool) -> Result<Built, TestCaseError> {
    let options = TriggerOptions { inputs_as_inputs, escape_dollar, allow_variables: Vec::new() };
    let honest = samples::message("r_1");
    let text = honest.to_string().replace(&honest["payload"]["properties"].to_string(), inputs);
    let Ok(Message::Run(run)) = message::parse(text, None) else { return Ok(None) };
    let secret = SecretString::from("glint-sandbox-client-secret-0123456789");
    match build_trigger_request(&run, &UrlTarget::default(), &options, &secret) {
        Ok(mut request) => {
            request.set_run_proof("r_1", "v1,x");
            let body = request.body.iter();
            let body = body.map(|(name, value)| ((*name).to_owned(), serde_json::from_str(value).unwrap_or_default()));
            let payload = request.body.iter().find(|(name, _)| *name == "port_payload").unwrap();
            Ok(Some((body.collect(), payload.1.clone().into_owned())))
        }
        Err(error) => {
            prop_assert!(!error.hint.is_empty() && error.what.len() < 1000);
            prop_assert!(!error.what.contains(char::is_control), "{:?}", error.what);
            Ok(None)
        }
    }
}

fn inputs() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => "[a-z][a-z0-9_]{0,5}".prop_map(String::from),
        1 => "(?i)(ci|git|ld|aws|kube|path|env|https?_proxy|trigger)_?[a-z]{0,4}",
        1 => hostile_text(),
    ];
    prop::collection::vec((name, json()), 0..5).prop_map(|members| {
        let members = members.into_iter().map(|(name, value)| format!("{}:{value}", json!(name)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    })
}

/// The agent's `tostring`, written a second time; `None` where numbers would have to be compared digit by digit.
fn to_variable(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some("null".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn variables_are_strings_under_names_that_gitlab_takes(inputs in inputs(), escape in any::<bool>()) {
        let Some((body, _)) = build(&inputs, false, escape)? else { return Ok(()) };
        prop_assert_eq!(body.keys().map(String::as_str).collect::<Vec<_>>(), ["glint", "port_payload", "ref", "variables"]);
        let variables = body["variables"].as_object().unwrap();
        let sent: Map<String, Value> = serde_json::from_str(&inputs).unwrap_or_default();
        for (name, value) in variables {
            prop_assert!((1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
            let upper = name.to_ascii_uppercase();
            let dangerous = ["CI_", "GIT_", "LD_", "AWS_", "KUBE", "TRIGGER_"];
            let proxies = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"];
            prop_assert!(!dangerous.iter().any(|family| name.starts_with(family)) && !proxies.contains(&upper.as_str()), "{}", name);
            let text = value.as_str().unwrap();
            prop_assert!(!text.contains('\0') && text.len() <= 120 * 1024);
            if let Some(expected) = sent.get(name).and_then(to_variable) {
                prop_assert_eq!(text, if escape { expected.replace('$', "$$") } else { expected });
            }
            prop_assert!(!escape || !text.replace("$$", "").contains('$'));
        }
        prop_assert!(sent.is_empty() || variables.len() == sent.len());
    }

    #[test]
    fn inputs_keep_their_types(inputs in inputs()) {
        let Some((body, _)) = build(&inputs, true, false)? else { return Ok(()) };
        prop_assert!(body.get("variables").is_none());
        let Ok(mut sent) = serde_json::from_str::<Map<String, Value>>(&inputs) else { return Ok(()) };
        sent.remove("ref");
        prop_assert_eq!(body.get("inputs").cloned().unwrap_or_else(|| json!({})), Value::Object(sent));
    }

    #[test]
    fn the_payload_is_the_message_and_fit_for_gitlab(inputs in inputs(), escape in any::<bool>()) {
        let Some((body, payload)) = build(&inputs, false, escape)? else { return Ok(()) };
        prop_assert!(!json::is_deeper(&payload, 31));
        prop_assert!(!escape || !payload.replace("$$", "").contains('$'));
        prop_assert!(escape || payload.contains(&inputs));
        prop_assert_eq!(&body["glint"], &json!({ "runId": "r_1", "proof": "v1,x" }));
    }
}
