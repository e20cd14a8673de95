//! Rules of the code, each held by a test that names the file, the line and the rule it breaks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which modules of ours each module of `src/` may import, some of them only in part.
///
/// Pure modules import types, clients never import each other, and only `app` imports everything.
const IMPORTS: [(&str, &[&str]); 14] = [
    ("deadlines", &[]),
    ("json", &[]),
    ("retry", &["deadlines"]),
    ("config", &["telemetry"]),
    ("http", &["config", "deadlines"]),
    ("telemetry", &["config", "http::percent_encode", "json"]),
    ("trigger", &["gitlab::types", "glint::run", "json"]),
    ("verify", &["deadlines", "gitlab::types", "glint::message", "json"]),
    (
        "outcome",
        &[
            "config",
            "deadlines",
            "telemetry",
            "gitlab::types",
            "glint::message",
            "glint::run",
            "json",
            "trigger",
            "verify",
        ],
    ),
    ("source", &["aws::queue_message", "deadlines", "glint::message", "glint::run", "json", "outcome", "verify"]),
    ("gitlab", &["deadlines", "http", "json", "retry", "telemetry::redaction"]),
    ("glint", &["deadlines", "http", "json", "retry", "telemetry::redaction"]),
    ("aws", &["config", "deadlines", "gitlab::types", "glint::credentials", "glint::run", "http", "json", "retry"]),
    ("main", &["app", "aws", "config", "telemetry"]),
];

/// Words that may stand in some modules only, and why.
const PLACES: [(&[&str], &[&str], &str); 6] = [
    (&["reqwest::Client", "Client::builder", ".execute("], &["http"], "one HTTP client serves every upstream"),
    (&["aws_sdk_secretsmanager", "aws_sdk_sqs"], &["aws"], "only clients reach the network"),
    (&["aws_lambda_events"], &["source"], "only `source` knows the event shapes of AWS"),
    (&["println!", "eprintln!", "io::stdout", "io::stderr"], &["telemetry"], "only `telemetry` prints"),
    (&["env::var", "std::env"], &["main", "config"], "only `main` and `config` read the environment"),
    (&["SystemTime::now", "Instant::now", "Utc::now"], &["app", "main"], "time is read in `app` and passed down"),
];

const MAX_FILE_LINES: usize = 300;
const MAX_FUNCTION_LINES: usize = 60;

struct Source {
    path: PathBuf,
    /// The module directly below `src/` that the file is or belongs to.
    module: String,
    /// Its lines up to its unit tests.
    lines: Vec<String>,
}

#[test]
fn every_import_keeps_to_the_rules() {
    let mut broken = Vec::new();
    for source in sources("src") {
        if matches!(source.module.as_str(), "app" | "lib") {
            continue;
        }
        let allowed =
            IMPORTS.iter().find(|(module, _)| *module == source.module).map_or(&[][..], |(_, allowed)| allowed);
        for (number, line) in source.lines.iter().enumerate() {
            for path in imported(line) {
                let is_in = |whole: &str| path == whole || path.starts_with(&format!("{whole}::"));
                if !is_in(&source.module) && !allowed.iter().any(|allowed| is_in(allowed)) {
                    let place = format!("{}:{}", source.path.display(), number + 1);
                    broken.push(format!("{place}: `{}` may not import `{path}`", source.module));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: move the line, or change `IMPORTS` on purpose", broken.join("\n"));
}

#[test]
fn no_two_files_of_app_import_each_other() {
    let mut imports: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources("src/app") {
        let file = source.module;
        let lines = source.lines.iter().filter(|line| !is_comment(line));
        let named = lines
            .flat_map(|line| ["super::", "crate::app::"].into_iter().flat_map(|prefix| names_behind(line, prefix)));
        let files = named.map(|path| path.split("::").next().unwrap_or_default().to_owned());
        imports.insert(file, files.collect());
    }
    let reaches = |from: &str| {
        let mut reached: Vec<&str> = Vec::new();
        let mut next: Vec<&str> = vec![from];
        while let Some(file) = next.pop() {
            for name in imports.get(file).into_iter().flatten().filter(|name| imports.contains_key(*name)) {
                if !reached.contains(&name.as_str()) {
                    reached.push(name);
                    next.push(name);
                }
            }
        }
        reached
    };
    let circle: Vec<&String> = imports.keys().filter(|file| reaches(file).contains(&file.as_str())).collect();
    assert!(circle.is_empty(), "these files of `src/app` import each other in a circle: {circle:?}");
}

#[test]
fn what_belongs_to_one_module_stands_in_no_other() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (words, modules, rule) in PLACES {
            let others = source.lines.iter().enumerate().filter(|_| !modules.contains(&source.module.as_str()));
            for (number, line) in others.filter(|(_, line)| !is_comment(line)) {
                if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                    broken.push(format!("{}:{}: `{word}`, but {rule}", source.path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_and_no_function_is_too_long() {
    let mut broken = Vec::new();
    for source in ["src", "tests", "examples", "benches"].into_iter().flat_map(sources) {
        let all = std::fs::read_to_string(&source.path).unwrap().lines().count();
        if all > MAX_FILE_LINES {
            broken.push(format!("{}: {all} lines, more than {MAX_FILE_LINES}", source.path.display()));
        }
        for (number, length) in functions(&source.lines) {
            if length > MAX_FUNCTION_LINES {
                broken.push(format!("{}:{number}: a function of {length} lines", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: split by idea", broken.join("\n"));
}

#[test]
fn the_documentation_of_the_crate_names_every_module() {
    let text = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: std::collections::BTreeSet<String> = sources("src").into_iter().map(|source| source.module).collect();
    for module in modules.iter().filter(|module| !matches!(module.as_str(), "lib" | "main" | "deadlines")) {
        let names = [format!("`{module}`"), format!("`{module}::"), format!("`app::{module}")];
        assert!(names.iter().any(|name| text.contains(name)), "`src/lib.rs` does not say what `{module}` is for");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<Source> {
    let top = root().join(below);
    let mut files = Vec::new();
    collect(&top, &mut files);
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let inner = path.strip_prefix(&top).unwrap().to_string_lossy().into_owned();
            let module = inner.split(['/', '.']).next().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::to_owned).collect();
            Source { path: path.strip_prefix(root()).unwrap().to_owned(), module, lines }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("properties.rs") {
            files.push(path);
        }
    }
}

/// The paths that a line names behind `crate::`, or behind the crate's name in `main`: a module, and what is directly in it.
fn imported(line: &str) -> Vec<String> {
    if is_comment(line) {
        return Vec::new();
    }
    ["crate::", "glint_gitlab_trigger::"].into_iter().flat_map(|prefix| names_behind(line, prefix)).collect()
}

/// `a::b` of `<prefix>a::b::c`; of a list in braces each member. What begins with a capital is no module.
fn names_behind(line: &str, prefix: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in line.split(prefix).skip(1) {
        let (before, list) = match part.split_once('{') {
            Some((before, list)) if before.is_empty() || before.ends_with("::") => (before, list),
            _ => ("", part),
        };
        let is_list = list.len() < part.len();
        let members: Vec<&str> = if is_list { list.split(['}', ',']).collect() } else { vec![part] };
        for member in members.into_iter().filter(|member| !member.trim().starts_with(';')) {
            let member = format!("{before}{}", member.trim());
            let is_end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
            let path = member.split(is_end).next().unwrap_or_default();
            let segments = path.split("::").take(2).take_while(|name| name.starts_with(char::is_lowercase));
            let path = segments.collect::<Vec<_>>().join("::");
            if !path.is_empty() {
                names.push(path);
            }
        }
    }
    names
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Where each function starts, and how many lines it has: from its `fn` to the brace at the same indentation.
fn functions(lines: &[String]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let is_function = ["fn ", "pub fn ", "pub async fn ", "async fn ", "pub(super) fn ", "pub(crate) fn "]
            .iter()
            .any(|start| code.starts_with(start));
        if !is_function || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        if let Some(length) = lines[start..].iter().position(|line| *line == end) {
            found.push((start + 1, length + 1));
        }
    }
    found
}
