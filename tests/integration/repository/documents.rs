//! README, `events/`, `template.yaml` and code say the same.

use std::path::{Path, PathBuf};

pub fn file(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn events() -> Vec<String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("events");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "json")).collect()
}

#[test]
fn every_event_is_named_in_the_readme() {
    let readme = file("README.md");
    for event in events() {
        assert!(readme.contains(&format!("events/{event}")), "the README does not name `events/{event}`");
    }
}

#[test]
fn every_link_and_every_file_named_in_the_readme_is_there() {
    let readme = file("README.md");
    for target in readme.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let path = target.split('#').next().unwrap();
        if path.is_empty() || target.starts_with("https://") {
            continue;
        }
        assert!(
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path).exists(),
            "the README links `{target}`, which is not there"
        );
    }
    for anchor in readme.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let titles =
            readme.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
        let slug = |title: &str| {
            let kept = title.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>()
        };
        assert!(titles.map(slug).any(|title| title == anchor), "the README links `#{anchor}`, which is no heading");
    }
}

/// Commands of the README that CI cannot run, and why.
const NEEDS: [(&str, &str); 4] = [
    ("aws ", "an AWS account"),
    ("sam deploy", "an AWS account"),
    ("openssl rand", "nothing: any long random text does"),
    ("export $(jq", "a terminal of its own; `tests/real/topic_build.py` does the same in one"),
];

/// Where CI runs the others.
const RUN_BY: [(&str, &str, &str); 6] = [
    ("cargo run --example local", ".ci/run", "cargo run --quiet --example local"),
    ("cargo test", ".ci/run", "cargo test"),
    ("tests/real/run", ".ci/run", "tests/real/run"),
    (".ci/run", ".github/workflows/ci.yml", ".ci/run"),
    ("mkdir -p target && cargo run --example sandbox", "tests/real/run", "cargo build --quiet --example sandbox"),
    ("cargo lambda invoke", "tests/real/topic_build.py", "\"invoke\""),
];

#[test]
fn every_command_of_the_readme_is_run_by_ci_or_says_why_not() {
    let readme = file("README.md");
    let blocks = readme.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    let lines = blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty());
    for line in lines.filter(|line| !line.starts_with("--") && !line.starts_with('#')) {
        let excused = NEEDS.iter().any(|(command, _)| line.starts_with(command));
        let run = RUN_BY.iter().find(|(command, ..)| line.starts_with(command));
        assert!(
            excused || run.is_some(),
            "nothing runs the README's `{line}`\n  hint: let CI run it, or say why it cannot"
        );
        if let Some((_, place, words)) = run {
            assert!(file(place).contains(words), "`{place}` does not run the README's `{line}` any more");
        }
    }
}
