//! Webhooks that are not Glint's: nothing but a login ever leaves the function for them.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};

use crate::abuse::refusals::web_event;
use crate::support::{CLIENT_SECRET, Function, furnish, invoke, message};
use sandbox::signing::signature;
use sandbox::{Call, Reply, Sandbox};

/// What a forger sends: a name for it, the signature and the timestamp, each of them perhaps not at all.
type Forgery = (&'static str, Option<String>, Option<String>);

fn table(now: i64, body: &str) -> Vec<Forgery> {
    let time = now.to_string();
    let genuine = signature(CLIENT_SECRET, &time, body.as_bytes());
    let code = genuine.trim_start_matches("v1,").to_owned();
    let bytes = STANDARD.decode(&code).unwrap();
    let at = |time: &str| (Some(signature(CLIENT_SECRET, time, body.as_bytes())), Some(time.to_owned()));
    let now_with = |signature: String| (Some(signature), Some(time.clone()));
    let with = |name, (signature, timestamp): (Option<String>, Option<String>)| (name, signature, timestamp);
    vec![
        with("no headers", (None, None)),
        with("a timestamp alone", (None, Some(time.clone()))),
        with("a signature without its time", (Some(genuine.clone()), None)),
        with("an empty signature", now_with(String::new())),
        with("a version alone", now_with("v1,".to_owned())),
        with("a version and a space", now_with("v1, ".to_owned())),
        with("one letter", now_with("v1,A".to_owned())),
        with("the code without a version", now_with(code.clone())),
        with("another version", now_with(format!("v2,{code}"))),
        with("a version in capitals", now_with(format!("V1,{code}"))),
        with("the first half of the code", now_with(format!("v1,{}", STANDARD.encode(&bytes[..16])))),
        with("the code and one byte more", now_with(format!("v1,{}", STANDARD.encode([&bytes[..], &[0]].concat())))),
        with("a code of zeros", now_with(format!("v1,{}", STANDARD.encode([0; 32])))),
        with(
            "the code in hexadecimal",
            now_with(format!("v1,{}", bytes.iter().map(|b| format!("{b:02x}")).collect::<String>())),
        ),
        with("the code without padding", now_with(format!("v1,{}", STANDARD_NO_PAD.encode(&bytes)))),
        with(
            "another client's code",
            now_with(signature("another-client-secret-0123456789abcdef", &time, body.as_bytes())),
        ),
        with("an empty secret's code", now_with(signature("", &time, body.as_bytes()))),
        with("another body's code", now_with(signature(CLIENT_SECRET, &time, b"{}"))),
        with(
            "another time's code",
            (Some(signature(CLIENT_SECRET, &(now - 1).to_string(), body.as_bytes())), Some(time.clone())),
        ),
        with("a thousand wrong codes", now_with(vec![format!("v1,{}", URL_SAFE.encode([1; 32])); 1000].join(" "))),
        with("301 seconds ago", at(&(now - 302).to_string())),
        with("in 301 seconds", at(&(now + 330).to_string())),
        with("a negative time", at("-1")),
        with("a time past all numbers", at("99999999999999999999")),
        with("a time that is no number", at("now")),
        with("the greatest time there is", at(&i64::MAX.to_string())),
    ]
}

#[tokio::test]
async fn a_forged_webhook_is_answered_401_and_goes_nowhere() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    sandbox.glint.run("r_1");
    let body = message("r_1").to_string();
    let mut function = Function::start(&sandbox, &[]).await;
    let forgeries = table(sandbox.now().timestamp(), &body);
    for (name, signature, timestamp) in &forgeries {
        let mut headers = Vec::new();
        headers.extend(signature.as_deref().map(|value| ("x-glint-signature", value)));
        headers.extend(timestamp.as_deref().map(|value| ("x-glint-timestamp", value)));
        let Reply::Response(reply) = invoke(&sandbox, web_event("/", &headers, &body)).await else { panic!("{name}") };
        assert_eq!(reply["statusCode"], 401, "{name}: {reply}");
        assert!(reply["body"].as_str().unwrap().contains("\"hint\""), "{name}: {reply}");
    }
    for call in [Call::Trigger, Call::GetRun, Call::PatchRun, Call::PostLog] {
        assert_eq!(sandbox.journal.count(call), 0, "{call:?}");
    }
    let now = sandbox.now().timestamp().to_string();
    let genuine = signature(CLIENT_SECRET, &now, body.as_bytes());
    let headers = [("x-glint-signature", genuine.as_str()), ("x-glint-timestamp", now.as_str())];
    let Reply::Response(reply) = invoke(&sandbox, web_event("/", &headers, &body)).await else { panic!() };
    assert_eq!(reply["statusCode"], 200, "{reply}: {}", function.kill().await);
    println!("{} cases", forgeries.len());
    assert!(forgeries.len() >= 24);
}

#[tokio::test]
async fn a_forged_webhook_of_any_text_is_answered_401() {
    let sandbox = Sandbox::start().await;
    furnish(&sandbox);
    let mut function = Function::start(&sandbox, &[]).await;
    let time = sandbox.now().timestamp().to_string();
    let junk = signature("another-client-secret-0123456789abcdef", &time, b"");
    let headers = [("x-glint-signature", junk.as_str()), ("x-glint-timestamp", time.as_str())];
    let bodies =
        ["", "\"", "\\", "\"\\", "\"\\é", "\"\\\u{1F600}", " \"é", "{ \"a\": \"\\é\" }", "\u{feff}{ }", "é\\é\"\\\\é"];
    for body in bodies {
        let Reply::Response(reply) = invoke(&sandbox, web_event("/", &headers, body)).await else { panic!("{body:?}") };
        assert_eq!(reply["statusCode"], 401, "{body:?}: {reply}");
    }
    let log = function.kill().await;
    assert!(!log.contains("panicked"), "{log}");
}
