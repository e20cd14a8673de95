//! The seeds of the fuzz targets, and what was once found, hold on every run of the tests.

use std::path::{Path, PathBuf};

/// Runs `target` on its seeds and on every event of the examples.
fn run(target: fn(&[u8]), name: &str) {
    let seeds = files(&format!("tests/fuzz/seeds/{name}"));
    assert!(!seeds.is_empty(), "{name}");
    for file in seeds.into_iter().chain(files("events")) {
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
}

/// The files of `folder` below the project's root.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_holds_of_everything_holds_of_the_seeds() {
    run(super::hook, "hook");
    run(super::message, "message");
    run(super::queue_message, "queue_message");
    run(super::url, "url");
}
