//! Documents, `events/` and code say the same.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub fn file(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn names(folder: &str, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == ending)).collect()
}

/// Every document of the project, by its path.
fn documents() -> Vec<String> {
    let docs = names("docs", "md").into_iter().map(|name| format!("docs/{name}"));
    ["README.md", "CONTRIBUTING.md", "examples/deploy-service/README.md"]
        .map(str::to_owned)
        .into_iter()
        .chain(docs)
        .collect()
}

#[test]
fn every_event_is_named_among_the_event_sources() {
    let document = file("docs/event-sources.md");
    for event in names("events", "json") {
        assert!(
            document.contains(&format!("events/{event}")),
            "`docs/event-sources.md` does not name `events/{event}`"
        );
    }
}

#[test]
fn every_event_that_a_document_names_is_there() {
    for document in documents() {
        let text = file(&document);
        let named = text.split("events/").skip(1).filter_map(|rest| rest.split_once(".json")).map(|(name, _)| name);
        for name in named.filter(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')) {
            assert!(root().join(format!("events/{name}.json")).exists(), "{document} names `events/{name}.json`");
        }
    }
}

#[test]
fn every_document_is_linked_from_the_readme() {
    let readme = file("README.md");
    for document in documents().into_iter().skip(1) {
        assert!(readme.contains(&format!("({document}")), "the README does not link `{document}`");
    }
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    for document in documents() {
        let text = file(&document);
        for target in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
            let path = if path.is_empty() { document.clone() } else { beside(&document, path) };
            assert!(root().join(&path).exists(), "{document} links `{target}`, which is not there");
            if let Some(anchor) = anchor {
                let titles = headings(&file(&path));
                assert!(titles.iter().any(|title| title == anchor), "{document} links `{target}`, which is no heading");
            }
        }
    }
}

/// The path that a link of `document` means.
fn beside(document: &str, link: &str) -> String {
    let mut parts: Vec<&str> = document.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        if part == ".." {
            let _ = parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

/// The anchors of a document's headings.
fn headings(text: &str) -> Vec<String> {
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    titles.map(anchor).collect()
}

/// Commands that CI does not run, and why.
const NOT_RUN: [(&str, &str); 7] = [
    ("aws ", "needs an AWS account"),
    (
        "sam ",
        "`sam build` is run by `tests/real/topic_build.py`, `sam deploy` as far as moto goes by `topic_deploy.py`",
    ),
    ("cargo bench", "needs a quiet machine"),
    ("tests/fuzz/run", "takes as long as it is given; `cargo test` runs its seeds"),
    ("run_id=", "is a line of a pipeline"),
    ("cp self-reporting", "is shown with placeholders; `tests/real/topic_guide.py` runs the same pipelines"),
    ("cd /path/to", "the same"),
];

/// Where CI runs the others.
const RUN_BY: [(&str, &str, &str); 9] = [
    ("cargo run --example local -- ", "tests/integration/examples.rs", "every_event_is_played"),
    ("cargo run --example local", ".ci/run", "cargo run --quiet --example local"),
    ("cargo run --example sandbox", "tests/real/topic_build.py", "\"sandbox\""),
    ("cargo test", ".ci/run", "cargo test"),
    ("tests/real/run", ".ci/run", "tests/real/run"),
    (".ci/run", ".github/workflows/ci.yml", ".ci/run"),
    ("cargo lambda build", "tests/real/topic_build.py", "\"build\""),
    ("cargo lambda watch", "tests/real/topic_build.py", "\"watch\""),
    ("cargo lambda invoke", "tests/real/topic_build.py", "\"invoke\""),
];

/// `docs/deploy.md` has a test of its own, `tests/real/topic_cargo_lambda.py`; `docs/operations.md` is for an account with a stack.
const TESTED_ELSEWHERE: [&str; 2] = ["docs/deploy.md", "docs/operations.md"];

#[test]
fn every_command_of_a_document_is_run_by_ci_or_says_why_not() {
    for document in documents().into_iter().filter(|document| !TESTED_ELSEWHERE.contains(&document.as_str())) {
        let text = file(&document);
        let blocks = text.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
        let lines = blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
        for line in lines.filter(|line| !line.starts_with("--") && !line.starts_with('#')) {
            let is_excused = NOT_RUN.iter().any(|(command, _)| line.starts_with(command));
            let run = RUN_BY.iter().find(|(command, ..)| line.starts_with(command));
            let hint = "hint: let CI run it, or say why it cannot";
            assert!(
                is_excused || run.is_some() || line.starts_with("gitlab-ci-local"),
                "nothing runs `{line}` of {document}\n  {hint}"
            );
            if let Some((_, place, words)) = run {
                assert!(file(place).contains(words), "`{place}` does not run `{line}` of {document} any more");
            }
        }
    }
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let mut tests = String::new();
    collect(&root().join("tests/integration"), &mut tests);
    let document = file("docs/security.md");
    let rows = document.lines().filter(|line| line.starts_with("| "));
    let named = rows.filter_map(|row| row.trim_matches(['|', ' ']).rsplit(" | ").next()?.strip_prefix('`'));
    for name in named.filter_map(|name| name.strip_suffix('`')) {
        assert!(tests.contains(&format!("fn {name}(")), "`docs/security.md` names `{name}`, which is no test");
    }
}

fn collect(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, text);
        } else {
            text.push_str(&std::fs::read_to_string(path).unwrap());
        }
    }
}

/// A longer sentence has to be read twice.
const MAX_SENTENCE_WORDS: usize = 38;

#[test]
fn no_sentence_of_a_document_has_to_be_read_twice() {
    let mut long = Vec::new();
    for document in documents() {
        let text = file(&document);
        let outside_code = text.split("```").step_by(2).collect::<String>();
        let prose: Vec<&str> =
            outside_code.lines().filter(|line| !line.trim_start().starts_with(['|', '#', '<'])).collect();
        let prose = prose.join(" ");
        let ends = |word: &str| word.ends_with(['.', '!', '?', ':']);
        let words: Vec<&str> = prose.split_whitespace().collect();
        for sentence in words.split_inclusive(|word| ends(word)).filter(|one| one.len() > MAX_SENTENCE_WORDS) {
            long.push(format!("{document}: {} words: {}", sentence.len(), sentence[..12].join(" ")));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
