//! Values of user inputs that are too much, no text, or more than text.

use serde_json::{Value, json};

use crate::abuse::refusals::{Case, Checker, method, with_inputs};
use crate::abuse::secrets::sealed;
use crate::support::{CLIENT_SECRET, PROJECT, TOKEN, World, message};

const TOO_LONG: &str = "more than the 122880 that GitLab takes";

fn table() -> Vec<Case> {
    let name = |says: &str| format!("`note` {says}");
    let long = |text: String| move |message: &mut Value| with_inputs(message, json!({ "note": text }));
    let many: serde_json::Map<String, Value> = (0..1201).map(|index| (format!("v{index}"), json!(index))).collect();
    let secret = |text: Value| {
        move |message: &mut Value| {
            with_inputs(message, json!({ "note": text }));
            message["payload"]["censoredProperties"] = json!(["note"]);
        }
    };
    let (tampered, other) = (sealed("x", CLIENT_SECRET).replace('/', "A"), sealed("x", &"o".repeat(32)));
    vec![
        Case::new("a NUL", &name("holds a NUL character"), long("a\0b".to_owned())),
        Case::new("a NUL inside a secret", &name("holds a NUL"), secret(json!(sealed("a\0b", CLIENT_SECRET)))),
        Case::new("120 KiB and a byte", &name("has 122881 bytes"), long("x".repeat(122_881))),
        Case::new("120 KiB of two-byte letters and more", TOO_LONG, long("é".repeat(61_441))),
        Case::new("a list of 200 KB", TOO_LONG, |message| with_inputs(message, json!({ "note": vec![7; 100_000] }))),
        Case::new("1,201 inputs", "1201 user inputs, more than the 1200", |message| with_inputs(message, many.into())),
        Case::new("1,201 pipelineVariables", "1201 variables in the action's `pipelineVariables`", |message| {
            let many: serde_json::Map<String, Value> =
                (0..1201).map(|index| (format!("v{index}"), json!(""))).collect();
            method(message)["pipelineVariables"] = many.into();
        }),
        Case::inputs("an input named twice", "`note` is there twice", r#"{"note":"a","note":"b"}"#),
        Case::inputs("an input named twice by an escape", "`note` is there twice", r#"{"note":"a","n\u006fte":"b"}"#),
        Case::inputs("a member named twice below", "`a` is there twice", r#"{"note":{"a":1,"a":2}}"#),
        Case::inputs("half a surrogate pair", &name("cannot be read"), r#"{"note":"\ud800"}"#),
        Case::inputs("half a surrogate pair below", &name("cannot be read"), r#"{"note":["\udfff"]}"#),
        Case::inputs("half a surrogate pair in a name", "cannot be read", r#"{"\ud800":"x"}"#),
        Case::inputs(
            "a name of 100 KB twice",
            "is there twice",
            &format!(r#"{{"{0}":1,"{0}":2}}"#, "n".repeat(100_000)),
        ),
        Case::new("a secret that is no base64", "secret input `note` cannot be decrypted", secret(json!("plain text"))),
        Case::new("a secret that is too short", "cannot be decrypted", secret(json!("AAAA"))),
        Case::new("a secret that was tampered with", "cannot be decrypted", secret(json!(format!("AAAA{tampered}")))),
        Case::new("a secret of another client", "cannot be decrypted", secret(json!(other))),
        Case::new("a secret that is an object", "cannot be decrypted", secret(json!({ "a": 1 }))),
    ]
}

#[tokio::test]
async fn a_value_that_no_variable_can_hold_is_refused() {
    assert!(Checker::start(&[]).await.refuses(table()).await >= 19);
}

#[tokio::test]
async fn as_pipeline_inputs_the_same_limits_hold() {
    let cases = vec![
        Case::new("a NUL", "`note` holds a NUL", |message| with_inputs(message, json!({ "note": ["a\0"] }))),
        Case::new("a NUL as a member's name", "holds a NUL", |message| {
            with_inputs(message, json!({ "note": { "\0": 1 } }));
        }),
        Case::new("120 KiB and more", TOO_LONG, |message| with_inputs(message, json!({ "note": "x".repeat(122_880) }))),
        Case::new("31 levels without a payload", "nested deeper than the 32 levels", |message| {
            let nested = (0..31).fold(json!(1), |inner, _| json!([inner]));
            with_inputs(message, json!({ "note": nested }));
            method(message)["omitPayload"] = json!(true);
        }),
        Case::inputs("half a surrogate pair", "cannot be read", r#"{"note":"\ud800"}"#),
    ];
    let checker = Checker::start(&[("USER_INPUTS_AS", "inputs")]).await;
    checker.sandbox.gitlab.project(PROJECT).inputs(["service", "environment"]);
    assert_eq!(checker.refuses(cases).await, 5);
}

#[tokio::test]
async fn what_only_looks_like_a_nul_passes_as_an_input() {
    let world = World::builder().settings(&[("USER_INPUTS_AS", "inputs")]).start().await;
    world.sandbox.gitlab.project(PROJECT).inputs(["note"]);
    world.sandbox.glint.run("r_1");
    let mut message = message("r_1");
    with_inputs(&mut message, json!({ "note": "\\u0000 and \\\\u0000" }));
    assert_eq!(world.queue(&[&message.to_string()]).await, [0; 0]);
    assert_eq!(world.sandbox.gitlab.pipelines()[0].inputs["note"], "\\u0000 and \\\\u0000");
}

#[tokio::test]
async fn a_dollar_is_escaped_wherever_gitlab_would_expand_it() {
    let attacks = ["$CI_JOB_TOKEN", "${SECRET}", "$$X", "%SECRET%", "a$", "$(id)"];
    for attack in attacks {
        let world = World::builder().settings(&[("ESCAPE_DOLLAR", "true")]).start().await;
        world.sandbox.glint.run("r_1");
        let mut message = message("r_1");
        with_inputs(&mut message, json!({ "note": attack, "list": [attack] }));
        let spelled = message.to_string().replace("{SECRET}", "{SECRE\\u0054}").replace("$CI", "\\u0024CI");
        assert_eq!(world.queue(&[&spelled]).await, [0; 0], "{attack}");
        let pipeline = &world.sandbox.gitlab.pipelines()[0];
        assert_eq!(pipeline.variables["note"], attack.replace('$', "$$"));
        let unexpanded = pipeline.trigger_payload.replace("$$", "");
        assert!(!unexpanded.contains('$') && !unexpanded.contains("\\u0024"), "{attack}: {unexpanded}");
    }
}

#[tokio::test]
async fn no_member_of_a_message_takes_the_place_of_a_bodys_own() {
    let world = World::new().await;
    world.sandbox.glint.run("r_1");
    let mut message = message("r_1");
    for name in ["token", "ref", "variables", "inputs", "id", "port_payload", "glint"] {
        message[name] = json!("evil");
        if name != "ref" {
            message["payload"]["properties"][name] = json!("evil");
        }
    }
    assert_eq!(world.queue(&[&message.to_string()]).await, [0; 0]);
    let pipelines = world.sandbox.gitlab.pipelines();
    assert_eq!((pipelines.len(), pipelines[0].r#ref.as_str()), (1, "main"));
    let call = &world.sandbox.journal.of(sandbox::Call::Trigger)[0];
    let body = call.json();
    assert_eq!(
        (&body["token"], &body["ref"], body.get("inputs"), body.get("id")),
        (&json!(TOKEN), &json!("main"), None, None)
    );
    assert_eq!(body["variables"]["token"], "evil");
    assert_eq!(call.text().matches(TOKEN).count(), 1);
    let names: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 5, "{names:?}");
}
