//! Groups and projects that lead elsewhere.

use serde_json::{Value, json};

use crate::abuse::refusals::{Case, Checker, method};

/// A name for the attack, `groupName`, `projectName`, and the field that the refusal names.
type Row = (&'static str, Value, Value, &'static str);

fn by_group() -> Vec<Row> {
    let by_group = [
        ("a group that is missing", Value::Null),
        ("an empty group", json!("")),
        ("a number for a group", json!(7)),
        ("a list for a group", json!(["acme", "backend"])),
        ("the parent for a group", json!("..")),
        ("a group that climbs out at its end", json!("acme/..")),
        ("a group that climbs sideways", json!("acme/../other")),
        ("a group with a leading slash", json!("/acme/backend")),
        ("a group with a trailing slash", json!("acme/backend/")),
        ("a group with an empty part", json!("acme//backend")),
        ("a group that becomes userinfo", json!("token@evil.test")),
        ("a URL for a group", json!("https://evil.test")),
        ("a port for a group", json!(":8080")),
        ("a group with its slash encoded", json!("acme%2Fbackend")),
        ("a full-width slash", json!("acme／backend")),
        ("a template left unfilled", json!("{{ .entity.group }}")),
        ("a group that ends in a dot", json!("acme.")),
        ("GitLab's API for a group", json!("api/v4/projects")),
        ("a group nested without end", json!(["a"; 22].join("/"))),
    ];
    by_group.into_iter().map(|(name, value)| (name, value, json!("billing"), "`groupName`")).collect()
}

fn by_project() -> Vec<Row> {
    let by_project = [
        ("a project that is missing", Value::Null),
        ("an empty project", json!("")),
        ("an object for a project", json!({ "name": "billing" })),
        ("the parent for a project", json!("..")),
        ("the group itself for a project", json!(".")),
        ("an encoded parent", json!("%2e%2e")),
        ("encoded climbing", json!("..%2f..%2fadmin")),
        ("climbing into another API", json!("billing/../../users")),
        ("a query", json!("billing?token=x")),
        ("a fragment", json!("billing#x")),
        ("backslashes that a URL parser turns", json!("billing\\..\\admin")),
        ("a header behind a line feed", json!("billing\nHost: evil.test")),
        ("a request behind a line end", json!("billing\r\n\r\nGET / HTTP/1.1")),
        ("a NUL", json!("billing\0")),
        ("a tab", json!("billing\t")),
        ("a trailing space", json!("billing ")),
        ("a Cyrillic letter", json!("bіlling")),
        ("a right-to-left mark", json!("billing\u{202e}")),
        ("a leading dash", json!("-billing")),
        ("a repository for a project", json!("billing.git")),
        ("a feed for a project", json!("billing.atom")),
        ("a semicolon", json!("billing;x")),
        ("a pipe", json!("a|b")),
        ("a name of 256 characters", json!("b".repeat(256))),
        ("a name of 100 KB", json!("b ".repeat(50_000))),
    ];
    by_project.into_iter().map(|(name, value)| (name, json!("acme/backend"), value, "`projectName`")).collect()
}

fn without_a_token() -> Vec<Row> {
    let group = json!("acme/backend");
    vec![
        ("a project without a token", group.clone(), json!("payroll"), "no trigger token for the project"),
        ("an object's own members", group, json!("__proto__"), "no trigger token for the project"),
        ("an id without a token", Value::Null, json!("42"), "no trigger token for the project `42`"),
        ("an id with a leading zero", Value::Null, json!("042"), "`groupName`"),
        ("a negative id", Value::Null, json!("-42"), "`groupName`"),
        ("an id past all ids", Value::Null, json!("9".repeat(20)), "`groupName`"),
    ]
}

#[tokio::test]
async fn a_project_that_leads_elsewhere_is_refused() {
    let table = [by_group(), by_project(), without_a_token()].into_iter().flatten();
    let cases: Vec<Case> = table
        .map(|(name, group, project, says)| {
            Case::new(name, says, |message| {
                method(message)["groupName"] = group;
                method(message)["projectName"] = project;
            })
        })
        .collect();
    assert!(Checker::start(&[]).await.refuses(cases).await >= 40);
}
