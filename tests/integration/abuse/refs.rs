//! Refs that git does not allow, or that are more than a branch or tag.

use serde_json::json;

use crate::abuse::refusals::{Case, Checker, method, with_inputs};

const REFS: [(&str, &str); 26] = [
    ("an option", "-x"),
    ("an option with a value", "--upload-pack=evil"),
    ("a range", "main..evil"),
    ("a full ref of nothing", "refs/heads/"),
    ("a merge request's ref", "refs/merge-requests/1/head"),
    ("a space", "main evil"),
    ("a line feed", "main\nevil"),
    ("a line end and a header", "main\r\nHost: evil.test"),
    ("a NUL", "main\0"),
    ("a delete character", "main\u{7f}"),
    ("a control character of Latin-1", "main\u{85}"),
    ("a colon", "main:evil"),
    ("an ancestor", "main~1"),
    ("a parent", "main^"),
    ("a question mark", "main?"),
    ("a star", "*"),
    ("a bracket", "ma[in"),
    ("a backslash", "ma\\in"),
    ("the head's short name", "@"),
    ("a reflog entry", "main@{1}"),
    ("a leading slash", "/main"),
    ("a trailing slash", "main/"),
    ("an empty part", "a//b"),
    ("a hidden part", "a/.b"),
    ("a lock file", "main.lock"),
    ("a trailing dot", "main."),
];

#[tokio::test]
async fn a_ref_that_git_does_not_allow_is_refused() {
    let mut cases = Vec::new();
    for (name, text) in REFS {
        cases.push(Case::new(name, "user input `ref` is no git ref", |message| {
            with_inputs(message, json!({ "ref": text }));
        }));
    }
    cases.push(Case::new("a ref of 256 bytes", "user input `ref` is no git ref", |message| {
        with_inputs(message, json!({ "ref": "é".repeat(128) }));
    }));
    for (name, text) in &REFS[..4] {
        let name = format!("{name} as the default");
        cases.push(Case::new(&name, "action's `defaultRef` is no git ref", |message| {
            method(message)["defaultRef"] = json!(text);
        }));
    }
    assert!(Checker::start(&[]).await.refuses(cases).await >= 31);
}
