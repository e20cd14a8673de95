//! Every setting is in the code, the README and the template, with one default, and nowhere is there another.

use std::collections::BTreeMap;

use glint_gitlab_trigger::config::{Config, UserInputsAs, VARIABLES};

use crate::repository::documents::file;

/// Variables and the last cells of their rows in the README's configuration table.
fn tabled() -> BTreeMap<String, String> {
    let readme = file("README.md");
    let section = readme.split("\n## Configuration").nth(1).expect("the README has a section on configuration");
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].trim_matches('`').to_owned(), cells.last().unwrap().to_string())).collect()
}

/// The template's parameters, each with its lines.
fn parameters() -> BTreeMap<String, String> {
    let template = file("template.yaml");
    let section = template.split("\nParameters:\n").nth(1).expect("the template has parameters");
    let section = section.split("\n\n").next().unwrap();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    let mut name = String::new();
    for line in section.lines() {
        if !line.starts_with("   ") {
            name = line.trim().trim_end_matches(':').to_owned();
        }
        *parameters.entry(name.clone()).or_default() += &format!("{line}\n");
    }
    parameters
}

/// The defaults that are not "unset".
fn defaults() -> BTreeMap<&'static str, String> {
    let config = Config::read(|name| (name == "DEPLOYMENT_BLUEPRINT").then(|| "deployment".to_owned())).unwrap();
    let inputs_as = if config.user_inputs_as == UserInputsAs::Variables { "variables" } else { "inputs" };
    BTreeMap::from([
        ("GITLAB_URL", config.gitlab_url),
        ("GLINT_API_URL", config.glint_url.trim_end_matches("/v1").to_owned()),
        ("GLINT_SECRET_ID", config.glint_secret_id),
        ("GITLAB_TOKENS_SECRET_ID", config.tokens_secret_id),
        ("ESCAPE_DOLLAR", config.escape_dollar.to_string()),
        ("DEPLOYMENT_IDENTIFIER", config.deployment.unwrap().identifier),
        ("USER_INPUTS_AS", inputs_as.to_owned()),
        ("MAX_RECEIVES", config.max_receives.to_string()),
        ("SECRETS_TTL_SECONDS", config.secrets_ttl.as_secs().to_string()),
    ])
}

#[test]
fn every_setting_is_in_the_readme_and_no_other() {
    let tabled = tabled();
    for name in VARIABLES {
        assert!(tabled.contains_key(name), "`{name}` is missing in the README's configuration table");
    }
    for name in tabled.keys() {
        let known = VARIABLES.contains(&name.as_str());
        assert!(known, "the README's configuration table has `{name}`, which is not in `VARIABLES` of `src/config.rs`");
    }
}

#[test]
fn every_setting_is_a_parameter_of_the_template() {
    let (template, parameters) = (file("template.yaml"), parameters());
    for name in VARIABLES {
        assert!(template.contains(&format!("{name}:")), "`template.yaml` does not set `{name}`");
        assert!(
            parameters.values().any(|lines| lines.contains(&format!("({name})"))),
            "no parameter of `template.yaml` is described as the one for `({name})`"
        );
    }
    let groups = template.split("\nParameters:\n").next().unwrap();
    for name in parameters.keys() {
        let grouped = groups.lines().any(|line| line.trim() == format!("- {name}"));
        assert!(grouped, "the parameter `{name}` is in none of the template's `ParameterGroups`");
    }
}

#[test]
fn a_default_is_the_same_in_code_readme_and_template() {
    let (tabled, parameters) = (tabled(), parameters());
    for (name, default) in defaults() {
        assert!(tabled[name].contains(&format!("`{default}`")), "the README's default of `{name}` is not `{default}`");
        let lines = parameters.values().find(|lines| lines.contains(&format!("({name})"))).unwrap();
        let written = lines.lines().find_map(|line| line.trim().strip_prefix("Default: ")).unwrap_or_default();
        assert_eq!(written.trim_matches('"'), default, "the template's default of `{name}`");
    }
}
