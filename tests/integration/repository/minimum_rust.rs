//! The oldest Rust that `Cargo.toml` names is told to users, and nothing in the tree needs a newer one. (What of the standard library is newer,
//! clippy says.)

use std::process::Command;

use serde_json::Value;

use crate::repository::documents::file;

/// `1.94.1` as numbers; what is left out is nought.
fn version(text: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = text.split('.').map(|part| part.parse().unwrap()).collect();
    numbers.resize(3, 0);
    numbers
}

#[test]
fn no_package_of_the_tree_needs_a_newer_rust_than_ours() {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let arguments = ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", &platform];
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "the whole tree is looked at");
    let ours = env!("CARGO_PKG_RUST_VERSION");
    for package in packages {
        let Some(needed) = package["rust_version"].as_str() else { continue };
        assert!(
            version(needed) <= version(ours),
            "{} needs Rust {needed}\n  hint: raise `rust-version` in `Cargo.toml`, and say so in the README",
            package["name"]
        );
    }
}

#[test]
fn the_readme_names_the_oldest_rust() {
    let sentence = format!("You need Rust {} or later", env!("CARGO_PKG_RUST_VERSION"));
    assert!(file("README.md").contains(&sentence), "the README does not say: {sentence}");
}
