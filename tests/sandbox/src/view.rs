//! How Glint and GitLab look, as text for a person.

use serde_json::Value;

use crate::{Entity, Pipeline, Run, Sandbox};

/// A longer text hides the rest of the page.
const MAX_CHARACTERS: usize = 240;

/// All runs, entities and pipelines, their titles written by `title`.
pub fn state(sandbox: &Sandbox, title: impl Fn(&str) -> String) -> String {
    let runs = sandbox.glint.runs().into_iter().filter(Run::was_written).map(|one| run(&one, &title));
    let entities = sandbox.glint.entities().into_iter().map(|one| entity(&one, &title));
    let pipelines = sandbox.gitlab.pipelines().into_iter().map(|one| pipeline(&one, &title));
    runs.chain(entities).chain(pipelines).collect()
}

fn run(run: &Run, title: impl Fn(&str) -> String) -> String {
    let mut text = format!("\n{}\n  status     {}\n", title(&format!("run {} in Glint", run.id)), run.status);
    let parts = [
        ("label", run.status_label.clone()),
        ("link", Some(run.links().join(" "))),
        ("external", run.external_run_id.clone()),
        ("summary", run.summary.clone()),
    ];
    for (name, value) in parts {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text += &format!("  {name:<10} {}\n", indented(&value));
        }
    }
    for log in &run.logs {
        text += &format!("  log        {}\n", indented(&log.message));
    }
    text
}

fn indented(text: &str) -> String {
    text.replace('\n', "\n             ")
}

fn entity(entity: &Entity, title: impl Fn(&str) -> String) -> String {
    let title = title(&format!("entity {} of blueprint {} in Glint", entity.identifier, entity.blueprint));
    let lines = entity.properties.iter().map(|(name, value)| format!("  {name:<14} {}\n", plain(value)));
    format!("\n{title}\n{}", lines.collect::<String>())
}

fn pipeline(pipeline: &Pipeline, title: impl Fn(&str) -> String) -> String {
    let title = title(&format!("pipeline {} in GitLab", pipeline.id));
    let (project, git_ref, url) = (&pipeline.project, &pipeline.r#ref, &pipeline.web_url);
    let mut text = format!(
        "\n{title}\n  page       {url}\n  project    {project}\n  ref        {git_ref}\n  status     {}\n",
        pipeline.status
    );
    for (name, value) in &pipeline.variables {
        text += &format!("  variable   {name}={}\n", shorten(value));
    }
    text
}

/// A string as it is, and anything else as JSON.
pub fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The beginning of a long text, and its size.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}
