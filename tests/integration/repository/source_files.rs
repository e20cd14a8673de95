//! The Rust files of the project, as its rules look at them.

use std::path::{Path, PathBuf};

/// A Rust file, without its unit tests.
pub struct File {
    /// From the project's root.
    pub path: String,
    /// Its module's path, from the folder that was asked for.
    pub names: Vec<String>,
    /// Its lines up to its unit tests.
    pub lines: Vec<String>,
}

impl File {
    /// The module directly below the folder that was asked for.
    pub fn module(&self) -> &str {
        &self.names[0]
    }
}

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The Rust files below `folder`, without those that hold unit tests alone.
pub fn source_files(folder: &str) -> Vec<File> {
    let top = root().join(folder);
    let is_code = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        path.extension().is_some_and(|extension| extension == "rs") && name != "properties" && !name.ends_with("tests")
    };
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let inner = path.strip_prefix(&top).unwrap().with_extension("");
        File {
            path: relative(&path),
            names: inner.iter().map(|name| name.to_string_lossy().into_owned()).collect(),
            lines: text.lines().take_while(|line| *line != "#[cfg(test)]").map(str::to_owned).collect(),
        }
    };
    files(folder).into_iter().filter(is_code).map(read).collect()
}

/// All files below `folder`, or the file of that name.
pub fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root().join(folder), &mut found);
    found.sort();
    found
}

pub fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

fn collect(path: &Path, found: &mut Vec<PathBuf>) {
    if !path.is_dir() {
        found.push(path.to_owned());
        return;
    }
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_name() != "target" {
            collect(&entry.path(), found);
        }
    }
}
