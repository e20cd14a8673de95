//! Where a project's trigger token is found.

use serde_json::{Value, json};

use crate::support::{PROJECT, TOKEN, World, message};
use sandbox::Call;

/// A world in which the map of tokens is this.
async fn with_map(map: &Value) -> World {
    let world = World::new().await;
    world.sandbox.secrets.put("glint/gitlab-trigger-tokens", map.to_string());
    world.sandbox.glint.run("r_1");
    world
}

/// The token that GitLab was shown, if a trigger was sent.
async fn token(world: &World, text: &str) -> Option<String> {
    assert!(world.queue(&[text]).await.is_empty());
    let triggers = world.sandbox.journal.of(Call::Trigger);
    triggers.last().map(|trigger| trigger.json()["token"].as_str().unwrap().to_owned())
}

fn of_project(group: &str, name: &str) -> String {
    let mut message = message("r_1");
    let method = &mut message["payload"]["action"]["invocationMethod"];
    method["groupName"] = json!(group);
    method["projectName"] = json!(name);
    message.to_string()
}

#[tokio::test]
async fn a_token_is_found_under_its_path_and_both_of_the_agents_names() {
    for (map, group, name, expected) in [
        (json!({ PROJECT: TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ "acme_backend_billing": TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ "acme_backend/billing": TOKEN }), "acme", "backend/billing", Some(TOKEN)),
        (json!({ "acme_backend_billing": TOKEN }), "acme", "backend/billing", Some(TOKEN)),
        (json!({ "acme/backend_billing": TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ PROJECT: TOKEN, "acme_backend_billing": "glptt-other" }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ PROJECT: format!(" {TOKEN}\n") }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ "acme/backend/ledger": TOKEN }), "acme/backend", "billing", None),
        (json!({ PROJECT: "" }), "acme/backend", "billing", None),
        (json!({ PROJECT: " ", "acme_backend_billing": TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ "Acme/Backend/Billing": TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ "ACME_BACKEND_BILLING": TOKEN }), "acme/backend", "billing", Some(TOKEN)),
        (
            json!({ format!("\u{feff}{PROJECT}\n"): format!("\u{200b}{TOKEN}\r\n") }),
            "acme/backend",
            "billing",
            Some(TOKEN),
        ),
        (json!({ PROJECT: { "token": TOKEN } }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ PROJECT: json!({ "token": TOKEN }).to_string() }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ PROJECT: json!(TOKEN).to_string() }), "acme/backend", "billing", Some(TOKEN)),
        (json!({ PROJECT: { "key": TOKEN } }), "acme/backend", "billing", None),
        (json!({ PROJECT: json!({ "key": TOKEN }).to_string() }), "acme/backend", "billing", None),
        (json!({ PROJECT: 7 }), "acme/backend", "billing", None),
        (json!({}), "acme/backend", "billing", None),
    ] {
        let world = with_map(&map).await;
        assert_eq!(token(&world, &of_project(group, name)).await.as_deref(), expected, "{map} for {group} and {name}");
        let status = if expected.is_some() { "IN_PROGRESS" } else { "FAILURE" };
        assert_eq!(world.run("r_1").status, status, "{map}");
    }
}

#[tokio::test]
async fn each_project_may_have_a_secret_of_its_own() {
    let quoted = json!(TOKEN).to_string();
    let object = json!({ "token": TOKEN }).to_string();
    for value in [TOKEN.to_owned(), format!("{TOKEN}\n"), format!("\u{feff}{TOKEN}"), quoted, object] {
        let world = World::builder().settings(&[("GITLAB_TOKENS_SECRET_ID", "gitlab/{project}/trigger")]).start().await;
        world.sandbox.secrets.put("gitlab/acme/backend/billing/trigger", value);
        world.sandbox.glint.run("r_1");
        assert_eq!(token(&world, &of_project("acme/backend", "billing")).await.as_deref(), Some(TOKEN));
        let reads = world.sandbox.secrets.all_reads();
        let asked: Vec<_> = reads.iter().filter(|(_, count)| **count > 0).collect();
        assert_eq!(
            asked,
            [(&"gitlab/acme/backend/billing/trigger".to_owned(), &1), (&"glint/credentials".to_owned(), &1)]
        );
    }
}

#[tokio::test]
async fn an_operators_fault_is_refused_in_words_and_an_outage_is_not() {
    type Breaking = fn(&World);
    let table: [(&str, Breaking, &str); 3] = [
        ("missing", |world| world.sandbox.secrets.delete("glint/gitlab-trigger-tokens"), "there is no secret"),
        ("denied", |world| world.sandbox.secrets.deny("glint/gitlab-trigger-tokens"), "may not read"),
        ("no JSON", |world| world.sandbox.secrets.put("glint/gitlab-trigger-tokens", TOKEN), "not a JSON object"),
    ];
    for (name, breaks, words) in table {
        let world = World::new().await;
        world.sandbox.glint.run("r_1");
        breaks(&world);
        assert_eq!(token(&world, &message("r_1").to_string()).await, None);
        let summary = world.run("r_1").summary.unwrap();
        assert!(summary.contains(words) && !summary.contains(TOKEN), "{name}: {summary}");
    }
}

#[tokio::test]
async fn a_token_that_was_added_or_changed_meanwhile_is_found() {
    let world = with_map(&json!({ "acme/backend/ledger": "glptt-ledger" })).await;
    world.sandbox.gitlab.project("acme/backend/ledger").token("glptt-ledger");
    assert_eq!(token(&world, &of_project("acme/backend", "ledger")).await.as_deref(), Some("glptt-ledger"));
    let map = json!({ "acme/backend/ledger": "glptt-ledger", PROJECT: TOKEN }).to_string();
    world.sandbox.secrets.rotate("glint/gitlab-trigger-tokens", map);
    world.sandbox.glint.run("r_2");
    assert_eq!(token(&world, &message("r_2").to_string()).await.as_deref(), Some(TOKEN));
}
