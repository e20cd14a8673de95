//! Rules of the code, each held by a test that names the file, the line and the rule it breaks.

use std::collections::BTreeSet;

use super::source_files::{File, files, relative, root, source_files};

/// What may stand in some modules only, and why.
const PLACES: [(&[&str], &[&str], &str); 6] = [
    (&["reqwest::Client", " Client::builder", ".execute("], &["http"], "one HTTP client serves every upstream"),
    (&["aws_sdk_secretsmanager", "aws_sdk_sqs"], &["aws"], "only clients reach the network"),
    (&["aws_lambda_events"], &["source"], "only `source` knows the event shapes of AWS"),
    (&["println!", "eprintln!", "io::stdout", "io::stderr"], &["telemetry"], "only `telemetry` prints"),
    (&["env::var", "std::env"], &["main", "config"], "only `main` and `config` read the environment"),
    (&["SystemTime::now", "Utc::now"], &["app", "main"], "time is read in `app` and passed down"),
];

/// Metaphors for what AWS, GitLab, Glint and Rust have words for.
const METAPHORS: [&str; 13] = [
    "aim", "aims", "door", "doors", "house", "journey", "journeys", "patience", "room", "rooms", "telling", "tellings",
    "trail",
];
/// What shows that `again` is used as a noun or a name.
const AGAIN: [&str; 5] = ["fn again(", ".again(", "let again", "an again", "the again"];

const MAX_FILE_LINES: usize = 300;
const MAX_FUNCTION_LINES: usize = 60;

#[test]
fn what_belongs_to_one_module_stands_in_no_other() {
    let mut broken = Vec::new();
    for file in source_files("src") {
        for (words, modules, rule) in PLACES {
            let lines = file.lines.iter().enumerate().filter(|_| !modules.contains(&file.module()));
            for (number, line) in lines.filter(|(_, line)| !line.trim_start().starts_with("//")) {
                if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                    broken.push(format!("{}:{}: `{word}`, but {rule}", file.path, number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_and_no_function_is_too_long_to_read() {
    let mut broken = Vec::new();
    for folder in ["src", "tests", "examples", "benches"] {
        for path in files(folder).iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let lines = std::fs::read_to_string(path).unwrap().lines().count();
            if lines > MAX_FILE_LINES {
                broken.push(format!("{}: {lines} lines, more than {MAX_FILE_LINES}", relative(path)));
            }
        }
        for file in source_files(folder) {
            for (number, length) in functions(&file).into_iter().filter(|(_, length)| *length > MAX_FUNCTION_LINES) {
                broken.push(format!("{}:{number}: a function of {length} lines", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: split by idea", broken.join("\n"));
}

#[test]
fn the_map_names_every_module() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: BTreeSet<String> = source_files("src").iter().map(|file| file.module().to_owned()).collect();
    for module in modules.iter().filter(|module| *module != "lib") {
        assert!(map.contains(&format!("`{module}`")), "`src/lib.rs` does not say what `{module}` is for");
    }
}

#[test]
fn no_metaphor_stands_where_the_field_has_a_word() {
    let mut broken = Vec::new();
    let texts =
        ["src", "tests", "examples", "benches", "docs", "events", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
    let others = ["template.yaml", "samconfig.toml", "Cargo.toml", "deny.toml"];
    for path in texts.into_iter().chain(others).flat_map(files).filter(|path| !path.ends_with("code_rules.rs")) {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            let metaphor = words(line).into_iter().find(|word| METAPHORS.contains(&word.as_str()));
            let again = || AGAIN.iter().find(|again| line.contains(**again)).map(ToString::to_string);
            if let Some(word) = metaphor.or_else(again) {
                broken.push(format!("{}:{}: `{word}`", relative(&path), number + 1));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// The words of a line in lower case, those of a name each by itself.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in line.chars() {
        if !c.is_alphabetic() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphabetic() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words
}

/// Where each function starts, and how many lines it has: from its `fn` to the brace at the same indentation.
fn functions(file: &File) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for (start, line) in file.lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let code = line.trim_start();
        let is_function = ["", "pub ", "pub(super) ", "pub(crate) "].iter().any(|visibility| {
            let code = code.strip_prefix(visibility).unwrap_or_default();
            ["fn ", "async fn ", "const fn "].iter().any(|start| code.starts_with(start))
        });
        if !is_function || code.ends_with(';') || code.ends_with('}') {
            continue;
        }
        let end = format!("{}}}", " ".repeat(indent));
        if let Some(length) = file.lines[start..].iter().position(|line| *line == end) {
            found.push((start + 1, length + 1));
        }
    }
    found
}
