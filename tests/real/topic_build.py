"""cargo-lambda and SAM from this checkout: a zip for arm64, `sam build`, `watch` and `invoke`. `release` builds for x86-64."""

import json
import os
import pathlib
import subprocess
import urllib.request
import zipfile

import events
from checks import topic
from processes import PARTS, Child, free_port, log_directory

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NAME = "glint-gitlab-trigger"
# `--target-dir` is broken in cargo-lambda 1.9.2. Apart from cargo's own directory: another linker would undo its work.
ENV = {**os.environ, "CARGO_TARGET_DIR": str(PARTS / "cargo")}
# The `e_machine` field of an ELF header.
ELF_ARM64 = 183
# A cold start reads the whole zip: growth past this is to be noticed.
MAX_ZIP_BYTES = 5_000_000


def build(check):
    output = log_directory() / "build-arm64.log"
    zips = PARTS / "zips"
    command = ["cargo", "lambda", "build", "--release", "--verbose", "--arm64", "--output-format", "zip", "--lambda-dir", str(zips)]
    with open(output, "w") as log:
        done = subprocess.run(command, cwd=CHECKOUT, env=ENV, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    found = zips / NAME / "bootstrap.zip"
    built = done.returncode == 0 and found.exists()
    size = found.stat().st_size if built else 0
    sentence = f"`cargo lambda build` makes a zip for arm64: {size:,} bytes"
    if check.that(sentence, built and size < MAX_ZIP_BYTES, output.read_text()[-3000:]):
        with zipfile.ZipFile(found) as opened:
            program = opened.read("bootstrap")
        check.equal("its bootstrap is a program for arm64", int.from_bytes(program[18:20], "little"), ELF_ARM64)
        # cargo-lambda sets it where the profile is silent, and then one panic ends every run of a batch.
        check.that("a panic in it unwinds", "panic=abort" not in output.read_text())


def sam_build(check):
    """By the same cargo-lambda, so that the arm64 build above is all its work."""
    output = log_directory() / "sam-build.log"
    directory = PARTS / "sam"
    env = {**ENV, "SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-west-1"}
    command = ["sam", "build", "--build-dir", str(directory)]
    with open(output, "w") as log:
        done = subprocess.run(command, cwd=CHECKOUT, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    check.that("`sam build` builds the template", done.returncode == 0, output.read_text()[-3000:])
    built = sorted(path.parent.name for path in directory.glob("*/bootstrap"))
    check.equal("and both functions have their program", built, ["ConsumerFunction", "IngressFunction"])


# What the page of the sandbox shows after an event, beside its runs: nothing where the event asks for no run.
SHOWN = {"check": "", "sweep": "SUCCESS", "gitlab-hook": "SUCCESS", "gitlab-hook-failed": "FAILURE"}


def watch(check, stack):
    """Every file of `events/`, by the commands that the sandbox itself prints."""
    sandbox = Child(stack, "sandbox", [os.environ["SANDBOX_BINARY"]], env=ENV, cwd=CHECKOUT)
    settings = sandbox.line(lambda line: "--env-file" in line).split("--env-file")[1].strip()
    folder = pathlib.Path(sandbox.line(lambda line: "--data-file" in line).split("--data-file")[1].strip()).parent
    page = sandbox.line(lambda line: line.startswith("How Glint and GitLab look")).split()[-1]
    port = free_port()
    address = ["-A", "127.0.0.1", "-P", str(port)]
    # `--ignore-changes`: a file that anything writes into the checkout would start the build again.
    command = ["cargo", "lambda", "watch", "--ignore-changes", "--wait", *address, "--env-file", settings]
    Child(stack, "watch", command, env=ENV, cwd=CHECKOUT).listens(port)
    for name in events.names():
        invoke = ["cargo", "lambda", "invoke", *address, NAME, "--data-file", str(folder / f"{name}.json")]
        done = subprocess.run(
            invoke, cwd=CHECKOUT, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900
        )
        seen = done.stdout + done.stderr
        if not check.that(f"`cargo lambda invoke` of `{name}` is answered", done.returncode == 0, seen):
            continue
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(page, timeout=30) as answer:
            text = answer.read().decode()
        runs = {part.split()[0]: part for part in text.split("\nrun ")[1:]}
        wanted = SHOWN.get(name, "GitLab pipeline created")
        for run_id in events.run_ids(events.load(name)):
            check.that(f"and `{run_id}` is shown as it should be", wanted in runs.get(run_id, ""), text)
        if name == "check":
            check.that("and everything works", '"ok":true' in done.stdout.replace(" ", ""), done.stdout)


with topic("the topic `build` runs to its end") as (check, stack):
    build(check)
    sam_build(check)
    watch(check, stack)
