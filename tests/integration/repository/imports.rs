//! Which module imports which: a short table for `src/`, and no circle anywhere, `app` included.

use std::collections::{BTreeMap, BTreeSet};

use super::source_files::{File, source_files};

/// The modules of `src/`, each with what of the others it may import. `app` puts them together, so it may import everything.
///
/// Below stand the leaves, then the clients, which know only the types of each other, then what is pure and knows types alone.
const IMPORTS: [(&str, &[&str]); 15] = [
    ("json", &[]),
    ("deadlines", &[]),
    ("config", &[]),
    ("retry", &["deadlines"]),
    ("http", &["config", "deadlines"]),
    ("telemetry", &["config", "http::percent_encode", "json"]),
    ("gitlab", &["deadlines", "http", "json", "retry", "telemetry::redaction"]),
    ("glint", &["deadlines", "gitlab::types", "http", "json", "retry", "telemetry::redaction"]),
    ("aws", &["config", "deadlines", "gitlab::types", "glint::credentials", "glint::run", "http", "json", "retry"]),
    ("verify", &["deadlines", "gitlab::types", "glint::message", "json"]),
    ("trigger", &["gitlab::types", "glint::run", "json"]),
    (
        "outcome",
        &[
            "config",
            "deadlines",
            "gitlab::outputs",
            "gitlab::types",
            "glint::GlintError",
            "glint::message",
            "glint::run",
            "json",
            "telemetry::Metric",
            "trigger::ValidationError",
            "verify::VerifyError",
        ],
    ),
    ("source", &["aws::queue_message", "deadlines", "glint::message", "glint::run", "json", "outcome", "verify"]),
    ("app", &["*"]),
    // No release has it, and nothing imports it.
    (
        "fuzzing",
        &[
            "aws::queue_message",
            "config",
            "gitlab",
            "glint::message",
            "glint::run",
            "http::BaseUrl",
            "json",
            "outcome",
            "source",
            "trigger",
            "verify",
        ],
    ),
];

#[test]
fn every_module_imports_only_what_the_table_allows() {
    let mut broken = Vec::new();
    for file in source_files("src").iter().filter(|file| !is_root(file)) {
        let allowed = IMPORTS.iter().find(|(module, _)| *module == file.module()).map(|(_, allowed)| *allowed);
        let Some(allowed) = allowed else {
            broken.push(format!("{}: `{}` is not in the table", file.path, file.module()));
            continue;
        };
        for path in paths(file).into_iter().filter(|path| first(path) != file.module()) {
            let is_allowed =
                |prefix: &&str| *prefix == "*" || path == **prefix || path.starts_with(&format!("{prefix}::"));
            if !allowed.iter().any(is_allowed) {
                broken.push(format!("{}: `{}` may not import `{path}`", file.path, file.module()));
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: move the code, or change `IMPORTS` on purpose", broken.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let mut imports = Graph::new();
    for file in source_files("src").iter().filter(|file| !is_root(file)) {
        let others = paths(file).into_iter().map(|path| first(&path).to_owned()).filter(|other| other != file.module());
        imports.entry(file.module().to_owned()).or_default().extend(others);
    }
    assert_eq!(circle(imports), Graph::new());
}

#[test]
fn no_files_of_app_import_each_other_in_a_circle() {
    let mut imports = Graph::new();
    for file in source_files("src").iter().filter(|file| file.module() == "app" && file.names.len() > 1) {
        let others = paths(file).into_iter().filter(|path| first(path) == "app").map(|path| second(&path).to_owned());
        imports.entry(file.names[1].clone()).or_default().extend(others.filter(|other| *other != file.names[1]));
    }
    let strange: Vec<&String> = imports.values().flatten().filter(|other| !imports.contains_key(*other)).collect();
    assert!(strange.is_empty(), "`app` imports its files, so none of them imports `app`: {strange:?}");
    assert_eq!(circle(imports), Graph::new());
}

/// A method of a type that another file declares can be called without an import, which would hide a circle.
#[test]
fn every_type_of_app_has_its_methods_in_its_own_file() {
    let mut broken = Vec::new();
    for file in source_files("src").iter().filter(|file| file.module() == "app") {
        for line in &file.lines {
            let Some(rest) = line.strip_prefix("impl").filter(|rest| rest.ends_with('{') && !rest.contains(" for "))
            else {
                continue;
            };
            let rest = rest
                .trim_start()
                .strip_prefix('<')
                .and_then(|rest| rest.split_once("> "))
                .map_or(rest, |(_, rest)| rest);
            let name: String = rest.trim_start().chars().take_while(|c| c.is_alphanumeric()).collect();
            let declares =
                |line: &String| ["struct", "enum"].iter().any(|kind| line.contains(&format!("{kind} {name}")));
            if !file.lines.iter().any(declares) {
                broken.push(format!("{}: `{line}`", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: write functions that take it", broken.join("\n"));
}

/// `main` sees of the crate what everybody sees, and `lib` is the crate.
fn is_root(file: &File) -> bool {
    matches!(file.module(), "lib" | "main")
}

type Graph = BTreeMap<String, BTreeSet<String>>;

/// What is left of the graph once everything is taken out, again and again, that imports nothing that is left: its circles.
fn circle(mut imports: Graph) -> Graph {
    loop {
        let names: BTreeSet<String> = imports.keys().cloned().collect();
        imports.values_mut().for_each(|others| others.retain(|other| names.contains(other)));
        let before = imports.len();
        imports.retain(|_, others| !others.is_empty());
        if imports.len() == before {
            return imports;
        }
    }
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

fn second(path: &str) -> &str {
    path.split("::").nth(1).unwrap_or_default()
}

/// Every path of the crate that the file names, from the crate's root: behind `crate::`, `super::` or the crate's name.
fn paths(file: &File) -> BTreeSet<String> {
    let code: String =
        file.lines.iter().filter(|line| !line.trim_start().starts_with("//")).map(|line| format!("{line}\n")).collect();
    let mut found = BTreeSet::new();
    for root in ["crate::", "super::", "glint_gitlab_trigger::"] {
        for (start, _) in code.match_indices(root) {
            let mut names: Vec<String> = Vec::new();
            let mut rest = &code[start..];
            // What comes before is part of another word or path, or was counted with the first `super::`.
            let before = code[..start].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            if root == "super::" {
                names.clone_from(&file.names);
                while let Some(shorter) = rest.strip_prefix("super::") {
                    names.pop();
                    rest = shorter;
                }
            } else {
                rest = &rest[root.len()..];
            }
            expand(&names.join("::"), rest, &mut found);
        }
    }
    found
}

/// Adds the paths of a tree such as `a::{b, c::{self, d}}`, which begins `code`, below `prefix`.
fn expand(prefix: &str, code: &str, found: &mut BTreeSet<String>) {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = code.find(|c: char| !is_part(c)).unwrap_or(code.len());
    let name = code[..end].trim_end_matches("::");
    let path =
        [prefix, name].into_iter().filter(|part| !part.is_empty() && *part != "self").collect::<Vec<_>>().join("::");
    let Some(list) = code[end..].strip_prefix('{').filter(|_| code[..end].is_empty() || code[..end].ends_with("::"))
    else {
        found.insert(path);
        return;
    };
    let (mut depth, mut item) = (0, 0);
    for (place, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                let part = list[item..place].trim();
                if !part.is_empty() {
                    expand(&path, part, found);
                }
                item = place + 1;
                if c == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

#[test]
fn paths_are_found_in_every_form_of_an_import() {
    let file = File {
        path: String::new(),
        names: vec!["app".to_owned(), "check".to_owned(), "glint".to_owned()],
        lines: vec![
            "use crate::{aws, gitlab::{self, types::Job}};".to_owned(),
            "    super::super::context::f(&super::Line);".to_owned(),
        ],
    };
    let expected = ["app::check::Line", "app::context::f", "aws", "gitlab", "gitlab::types::Job"];
    assert_eq!(paths(&file).into_iter().collect::<Vec<_>>(), expected);
}
