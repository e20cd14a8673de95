//! The seeds of the fuzz targets, and what was once found, hold on every run of the tests.

use std::path::{Path, PathBuf};

/// Runs `target` on each file of `folder` below the project's root, and tells how many there are.
fn run(target: fn(&[u8]), folder: &str) -> usize {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    for file in &files {
        println!("{}", file.display());
        target(&std::fs::read(file).unwrap());
    }
    files.len()
}

#[test]
fn what_holds_of_everything_holds_of_the_seeds() {
    let targets: [(fn(&[u8]), &str); 4] = [
        (super::hook, "tests/fuzz/seeds/hook"),
        (super::message, "tests/fuzz/seeds/message"),
        (super::queue_message, "tests/fuzz/seeds/queue_message"),
        (super::url, "tests/fuzz/seeds/url"),
    ];
    for (target, folder) in targets {
        assert!(run(target, folder) >= 3, "{folder}");
        run(target, "events");
    }
}
