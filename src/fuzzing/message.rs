//! A message of Glint, whose inputs a user writes, and whose whole body the author of a template.

use secrecy::SecretString;
use serde_json::value::RawValue;

use super::{CLIENT_SECRET, TRIGGER_TOKEN, assert_shown};
use crate::gitlab::request_body;
use crate::gitlab::types::GitRef;
use crate::glint::message::{self, Message};
use crate::glint::run::{RunRequest, UrlTarget};
use crate::json::{self, Object};
use crate::outcome::Outcome;
use crate::trigger::{MAX_PAYLOAD_BYTES, TriggerOptions, TriggerRequest, build_trigger_request};
use crate::verify::{SignatureHeaders, UnverifiedBody};

const PROOF: &str = "v1,cHJvb2Y=";
const JUNK: &str = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A message that is read names a run by a safe id, and what is sent of it has the members that are ours, as we set them.
pub fn message(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let secret = SecretString::from(CLIENT_SECRET);
    for (_, value) in Object::parse(text).unwrap_or_default().iter().filter(|(_, value)| value.get().starts_with('"')) {
        let read = serde_json::from_str::<String>(value.get()).ok();
        assert_eq!(json::string(value).map(String::from), read, "as the parser reads it");
    }
    // In form and age it is one of Glint's.
    let headers = SignatureHeaders { signature: JUNK.to_owned(), timestamp: "1767604323".to_owned() };
    assert!(UnverifiedBody::new(text, Some(headers)).verify(&secret).is_err(), "nobody signed it");
    assert!(UnverifiedBody::signed_inside(text.to_owned()).verify(&secret).is_err(), "nobody signed it");
    match message::parse(text.to_owned(), None) {
        Ok(Message::Run(run)) => judge(&run, &secret),
        Ok(Message::ChangeLog) => assert!(message::is_change_log_text(text)),
        Err(why) => {
            assert_shown(Outcome::Unreadable { why, too_large: false });
            // A header names the run where the message names none, and nothing of that is signed.
            if let Ok(Message::Run(run)) = message::parse(text.to_owned(), Some("r_header")) {
                assert!(run.is_id_unsigned && run.id.as_str() == "r_header");
                judge(&run, &secret);
            }
        }
    }
}

fn judge(run: &RunRequest, secret: &SecretString) {
    let id = run.id.as_str();
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    assert!((1..=128).contains(&id.len()) && id.bytes().all(is_safe), "{id:?}");
    let payload = run.payload();
    let members = Object::parse(&payload).expect("what the pipeline is given is a JSON object");
    assert!(members.iter().all(|(name, _)| name != "headers"), "the headers were for the way");
    let of_url = UrlTarget {
        project: Some("acme/shop".to_owned()),
        default_ref: Some("stable".to_owned()),
        omit_payload: Some(true),
        report_pipeline_status: Some(false),
        ..UrlTarget::default()
    };
    for (inputs_as_inputs, escape_dollar, target) in
        [(false, false, &UrlTarget::default()), (false, true, &of_url), (true, false, &of_url)]
    {
        let options = TriggerOptions { inputs_as_inputs, escape_dollar, allow_variables: Vec::new() };
        match build_trigger_request(run, target, &options, secret) {
            Ok(request) => judge_request(run, request, &options),
            Err(fault) => {
                assert!(!fault.hint.is_empty());
                assert_shown(Outcome::Invalid(fault));
            }
        }
    }
}

/// Reads the body as GitLab gets it.
fn judge_request(run: &RunRequest, mut request: TriggerRequest, options: &TriggerOptions) {
    request.set_run_proof(run.id.as_str(), PROOF);
    let body = request_body(&request.body, &SecretString::from(TRIGGER_TOKEN));
    let body = std::str::from_utf8(&body).expect("JSON is UTF-8");
    assert!(body.len() <= MAX_PAYLOAD_BYTES + 1024, "{} bytes", body.len());
    let members = Object::parse(body).expect("the body is a JSON object, and no member is there twice");
    let (values, other) = if options.inputs_as_inputs { ("inputs", "variables") } else { ("variables", "inputs") };
    let known = ["ref", "token", values, "port_payload", "glint"];
    assert!(members.iter().all(|(name, _)| known.contains(&name)) && members.get(other).is_none(), "{body}");
    assert_eq!(members.string("token").as_deref(), Some(TRIGGER_TOKEN));
    let git_ref = members.string("ref").expect("a ref");
    assert!(git_ref == request.git_ref.as_str() && GitRef::parse(&git_ref).is_ok(), "{git_ref:?}");
    let glint = members.object("glint").ok().flatten().expect("the run's token");
    assert_eq!(glint.string("runId").as_deref(), Some(run.id.as_str()));
    assert_eq!(glint.string("proof").as_deref(), Some(PROOF));
    assert!(members.get("port_payload").is_some_and(|payload| payload.get().starts_with('{')));
    assert!(!json::is_deeper(body, 32));
    let values = members.object(values).expect("each name once").unwrap_or_default();
    values.iter().for_each(|(name, value)| judge_value(name, value, options));
    assert_one_segment(&request.project.segment());
}

fn judge_value(name: &str, value: &RawValue, options: &TriggerOptions) {
    if options.inputs_as_inputs {
        return;
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    assert!((1..=255).contains(&name.len()) && name.bytes().all(is_name), "{name:?}");
    let families = ["CI_", "LD_", "AWS_", "TRIGGER_"];
    assert!(!families.iter().any(|family| name.starts_with(family)), "{name}");
    let text = json::string(value).expect("GitLab takes strings alone");
    assert!(!options.escape_dollar || !text.replace("$$", "").contains('$'), "{text:?}");
}

/// A project's segment stays one segment, and adds nothing to the URL that it is put into.
pub fn assert_one_segment(segment: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'%');
    assert!(!segment.is_empty() && segment.bytes().all(is_plain), "{segment:?}");
    assert!(segment.split('%').skip(1).all(|rest| rest.starts_with("2F")), "{segment:?}");
    let text = format!("https://gitlab.example.com/api/v4/projects/{segment}/trigger/pipeline");
    let url = ::url::Url::parse(&text).expect("a URL");
    assert_eq!(url.as_str(), text);
    assert_eq!(url.path_segments().map(Iterator::count), Some(6));
}
