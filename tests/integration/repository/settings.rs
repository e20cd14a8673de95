//! Every setting is in the code, `docs/configuration.md` and the template, with one default, and nowhere is there another.

use std::collections::BTreeMap;

use glint_gitlab_trigger::{Config, UserInputsAs, VARIABLES};

use crate::repository::documents::file;

/// Variables and the last cells of their rows in the first table of `docs/configuration.md`.
fn tabled() -> BTreeMap<String, String> {
    let document = file("docs/configuration.md");
    let table = document.split("\n## ").next().unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0].trim_matches('`').to_owned(), cells.last().unwrap().to_string())).collect()
}

/// The setting that no operator of a stack needs to change.
const NOT_IN_THE_TEMPLATE: &str = "SECRETS_TTL_SECONDS";

/// The default of the template's parameter that is described as the one for `variable`.
fn parameter_default(template: &str, variable: &str) -> String {
    let section = template.split("\nParameters:").nth(1).expect("the template has parameters");
    let before = section.split(&format!("({variable})")).next().unwrap();
    let default = before.rsplit("Default: ").next().unwrap();
    default.split(", ").next().unwrap().trim_matches('"').to_owned()
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
fn every_setting_is_documented_and_no_other() {
    let tabled = tabled();
    for name in VARIABLES {
        assert!(tabled.contains_key(name), "`{name}` is missing in `docs/configuration.md`");
    }
    for name in tabled.keys() {
        let known = VARIABLES.contains(&name.as_str());
        assert!(known, "`docs/configuration.md` has `{name}`, which is not in `VARIABLES` of `src/config.rs`");
    }
}

#[test]
fn every_setting_but_one_is_set_by_the_template() {
    let template = file("template.yaml");
    for name in VARIABLES {
        let is_set = template.contains(&format!("{name}:"));
        assert!(is_set || name == NOT_IN_THE_TEMPLATE, "`template.yaml` does not set `{name}`");
        assert!(!is_set || name != NOT_IN_THE_TEMPLATE, "`template.yaml` sets `{name}`, which it needs not");
    }
}

#[test]
fn a_default_is_the_same_in_code_document_and_template() {
    let (tabled, template) = (tabled(), file("template.yaml"));
    for (name, default) in defaults() {
        assert!(
            tabled[name].contains(&format!("`{default}`")),
            "the default in `docs/configuration.md` of `{name}` is not `{default}`"
        );
    }
    let defaults = defaults();
    for name in ["GITLAB_URL", "GLINT_API_URL", "MAX_RECEIVES"] {
        assert_eq!(parameter_default(&template, name), defaults[name], "the template's default of `{name}`");
    }
    for name in ["GLINT_SECRET_ID", "GITLAB_TOKENS_SECRET_ID"] {
        let secret = defaults[name].replace("glint/", "${SecretPrefix}/");
        assert!(template.contains(&secret), "the template's default of `{name}` is not `{}`", defaults[name]);
    }
}
