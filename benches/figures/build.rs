//! What is measured: built here, as it is shipped, and not with the features that tests add.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Outcome;
use super::table::Table;

pub struct Programs {
    pub function: PathBuf,
    /// The least function of the same runtime and profile.
    pub hello: PathBuf,
}

pub fn programs() -> Outcome<Programs> {
    // `target/tmp` lies beside `target/release`.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().ok_or("no target folder")?;
    for what in [["--bin", "glint-gitlab-trigger"], ["--example", "hello"]] {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--release", "--quiet", "--target-dir"]).arg(target).args(what);
        // What cargo tells this bench of itself would have some dependencies built anew, and again at the next `cargo bench`.
        for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        if !cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()?.success() {
            return Err(format!("`{}` cannot be built", what[1]).into());
        }
    }
    let release = target.join("release");
    // What is measured is a copy: a build that goes on meanwhile must not change it.
    let copy = |from: &str, name: &str| {
        let to = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        drop(fs::remove_file(&to));
        fs::copy(release.join(from), &to).map(|_| to)
    };
    Ok(Programs { function: copy("glint-gitlab-trigger", "function")?, hello: copy("examples/hello", "hello")? })
}

pub fn sizes(programs: &Programs, table: &mut Table) -> Outcome {
    for (name, path) in [("function", &programs.function), ("hello-world", &programs.hello)] {
        let value = format!("{}, {} deflated", megabytes(fs::metadata(path)?.len()), megabytes(deflated(path)?));
        table.figure(&format!("binary of the {name}, as built for this machine"), value);
    }
    // Where `cargo lambda build --release --arm64 --output-format zip` leaves it.
    let lambda = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lambda/glint-gitlab-trigger/bootstrap.zip");
    match fs::metadata(lambda) {
        Ok(zip) => {
            let kept = zip.len() <= 2_500_000;
            table.barred("zip of `cargo lambda build`", megabytes(zip.len()), "at most 2.5 MB for arm64", kept);
        }
        Err(_) => table.figure("zip of `cargo lambda build`", "left out: it was not run"),
    }
    Ok(())
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// A zip is this and a hundred bytes more.
fn deflated(path: &Path) -> Outcome<u64> {
    let output = Command::new("gzip").args(["-9", "-c"]).arg(path).stderr(Stdio::inherit()).output()?;
    Ok(output.stdout.len() as u64)
}
