//! The rules of the house, each held by a test that names the file, the line and the rule it breaks.

use std::path::{Path, PathBuf};

/// Which rooms may be entered from which: a module of `src/` and the modules of ours that it imports.
///
/// Nouns import nothing of ours, pure modules import nouns, clients import nouns and never each other, and only `app` imports everything.
const IMPORTS: [(&str, &[&str]); 24] = [
    ("run", &[]),
    ("pipeline", &[]),
    ("credentials", &[]),
    ("json", &[]),
    ("retry", &[]),
    ("percent", &[]),
    ("config", &[]),
    ("http", &[]),
    ("redact", &["json", "percent"]),
    ("message", &["json", "run"]),
    ("hook", &["pipeline"]),
    ("signature", &["credentials", "json", "message"]),
    ("plan", &["json", "pipeline", "run"]),
    ("words", &["pipeline", "plan"]),
    ("entity", &["config", "json", "pipeline", "run"]),
    ("outcome", &["message", "pipeline", "plan", "run", "signature", "words"]),
    ("event", &["json", "outcome", "run", "signature"]),
    ("telemetry", &["config", "outcome", "redact"]),
    ("aws", &["config", "http"]),
    ("gitlab", &["http", "json", "percent", "pipeline", "redact", "retry"]),
    ("glint", &["credentials", "http", "json", "percent", "redact", "retry", "run"]),
    ("secrets", &["aws", "config", "credentials", "json", "pipeline", "retry"]),
    ("queue", &["aws", "retry"]),
    ("main", &["app", "config", "telemetry"]),
];

/// Words that may stand in some rooms only, and why.
const PLACES: [(&[&str], &[&str], &str); 6] = [
    (&["reqwest::Client", "Client::builder", ".execute("], &["http"], "one HTTP client serves every upstream"),
    (&["aws_sdk_secretsmanager", "aws_sdk_sqs"], &["aws", "secrets", "queue"], "only clients reach the network"),
    (&["aws_lambda_events"], &["event"], "only `event` knows the shapes of AWS"),
    (&["println!", "eprintln!", "io::stdout", "io::stderr"], &["telemetry"], "only `telemetry` prints"),
    (&["env::var", "std::env"], &["main", "config"], "only `main` and `config` read the environment"),
    (&["SystemTime::now", "Instant::now", "Utc::now"], &["app", "main"], "time is read in `app` and passed down"),
];

const LONGEST_FILE: usize = 300;
const LONGEST_FUNCTION: usize = 60;

struct Source {
    path: PathBuf,
    /// The module directly below `src/` that the file is or belongs to.
    room: String,
    /// Its lines up to its unit tests.
    lines: Vec<String>,
}

#[test]
fn every_import_keeps_to_the_rules() {
    let mut broken = Vec::new();
    for source in sources("src") {
        let allowed = IMPORTS.iter().find(|(room, _)| *room == source.room).map(|(_, allowed)| *allowed);
        if matches!(source.room.as_str(), "app" | "lib") {
            continue;
        }
        for (number, line) in source.lines.iter().enumerate() {
            for room in imported(line) {
                if room != source.room && !allowed.is_some_and(|allowed| allowed.contains(&room.as_str())) {
                    let place = format!("{}:{}", source.path.display(), number + 1);
                    broken.push(format!("{place}: `{}` may not import `{room}`", source.room));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: move the line, or change `IMPORTS` on purpose", broken.join("\n"));
}

#[test]
fn what_belongs_to_one_room_stands_in_no_other() {
    let mut broken = Vec::new();
    for source in sources("src") {
        for (words, rooms, rule) in PLACES {
            let strangers = source.lines.iter().enumerate().filter(|_| !rooms.contains(&source.room.as_str()));
            for (number, line) in strangers.filter(|(_, line)| !is_comment(line)) {
                if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                    broken.push(format!("{}:{}: `{word}`, but {rule}", source.path.display(), number + 1));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_file_and_no_function_outgrows_a_reader() {
    let mut broken = Vec::new();
    for source in ["src", "tests", "examples", "benches"].into_iter().flat_map(sources) {
        let all = std::fs::read_to_string(&source.path).unwrap().lines().count();
        if all > LONGEST_FILE {
            broken.push(format!("{}: {all} lines, more than {LONGEST_FILE}", source.path.display()));
        }
        for (number, length) in functions(&source.lines) {
            if length > LONGEST_FUNCTION {
                broken.push(format!("{}:{number}: a function of {length} lines", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}\n  hint: split by idea", broken.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms: std::collections::BTreeSet<String> = sources("src").into_iter().map(|source| source.room).collect();
    for room in rooms
        .iter()
        .filter(|room| !matches!(room.as_str(), "lib" | "main" | "aws" | "http" | "percent" | "credentials"))
    {
        assert!(map.contains(&format!("[`{room}`]")), "`src/lib.rs` does not say what `{room}` is for");
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
            let room = inner.split(['/', '.']).next().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::to_owned).collect();
            Source { path: path.strip_prefix(root()).unwrap().to_owned(), room, lines }
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

/// The rooms that a line names behind `crate::`, or behind the crate's name in `main`.
fn imported(line: &str) -> Vec<String> {
    if is_comment(line) {
        return Vec::new();
    }
    let mut rooms = Vec::new();
    for prefix in ["crate::", "glint_gitlab_trigger::"] {
        for part in line.split(prefix).skip(1) {
            let list = part.strip_prefix('{').map(|list| list.split('}').next().unwrap_or(list));
            let names: Vec<&str> = list.map_or_else(|| vec![part], |list| list.split(',').collect());
            let word = |name: &str| {
                name.trim().split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("").to_owned()
            };
            rooms.extend(
                names.into_iter().map(word).filter(|room| !room.is_empty() && room.chars().all(|c| !c.is_uppercase())),
            );
        }
    }
    rooms
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
