"""`sam deploy` asks nothing, as far as moto's CloudFormation goes; and the CDK takes the expanded template as it is."""

import json
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import sys
import time

import cloud
from checks import topic
from processes import PARTS, log_directory

ROOT = pathlib.Path(__file__).resolve().parents[2]
# How a question of the SAM CLI ends: `[y/N]: `, `[us-east-1]: `, or a bare `: ` at the end of what was printed.
QUESTION = re.compile(r"(\[[^\]\n]*\]|Parameter \w+|\?)\s*: ?$")
SILENCE_SECONDS = 60
WAIT_SECONDS = 300
BUCKET = "deploy-bucket"
# What CloudFormation takes in a request.
MAX_BODY_BYTES = 51_200


def run_in_terminal(command, cwd, env):
    """Runs it with a terminal as its input and output; returns what it printed and the questions that it asked.

    Each question is answered by Return, so that the next one is seen too.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(command[0], command, env)
    text, line, questions = "", "", []
    until = time.monotonic() + WAIT_SECONDS
    quiet = time.monotonic()
    while time.monotonic() < until:
        ready, _, _ = select.select([terminal], [], [], 0.5)
        if not ready:
            if QUESTION.search(line.rstrip("\r")):
                questions.append(line.strip())
                os.write(terminal, b"\n")
                line = ""
            if time.monotonic() - quiet > SILENCE_SECONDS:
                questions.append("(it waits for something)")
                break
            continue
        try:
            read = os.read(terminal, 65536).decode(errors="replace")
        except OSError:
            break
        if not read:
            break
        quiet = time.monotonic()
        text += read
        line = re.split(r"[\r\n]+", line + read)[-1]
    os.close(terminal)
    os.waitpid(pid, 0)
    return text, questions


def project():
    """What `sam build` leaves: the configuration file, and a template whose code is there."""
    directory = log_directory() / "project"
    built = directory / ".aws-sam/build"
    built.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "samconfig.toml", directory)
    shutil.copy(ROOT / "template.yaml", directory)
    template = (ROOT / "template.yaml").read_text().replace("CodeUri: .", "CodeUri: code")
    (built / "template.yaml").write_text(template)
    (built / "code").mkdir(exist_ok=True)
    (built / "code/bootstrap").write_text("#!/bin/sh\n")
    return directory


def deploy(check, stack):
    moto = cloud.Cloud(stack)
    env = {
        **os.environ,
        "AWS_ENDPOINT_URL": moto.url,
        "AWS_DEFAULT_REGION": cloud.REGION,
        "AWS_ACCESS_KEY_ID": cloud.CHECKS_KEY,
        "AWS_SECRET_ACCESS_KEY": "not-a-secret",
        "SAM_CLI_TELEMETRY": "0",
    }
    directory = project()
    said, questions = run_in_terminal(["sam", "deploy"], directory, env)
    (log_directory() / "sam-deploy.log").write_text(said)
    check.equal("`sam deploy` with the file of defaults asks nothing", questions, [])
    config = directory / "samconfig.toml"
    named = re.findall(r'^#   "(\w+)=', config.read_text(), re.MULTILINE)
    config.write_text(re.sub(r"^# (?=parameter_overrides|  \"|\])", "", config.read_text(), flags=re.MULTILINE))
    unknown = [name for name in named if f"\n  {name}: #" not in (ROOT / "template.yaml").read_text()]
    check.equal("it shows the four parameters that people change, as the template names them", (len(named), unknown), (4, []))
    # moto stops at the bucket that SAM would make; with a bucket of one's own it goes on to the change set.
    moto.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": cloud.REGION})
    own = ["sam", "deploy", "--no-resolve-s3", "--s3-bucket", BUCKET]
    said, questions = run_in_terminal(own, directory, env)
    (log_directory() / "sam-deploy-bucket.log").write_text(said)
    check.equal("nor does it with them and a bucket of one's own", questions, [])
    missing = [text for text in ("glint-gitlab-trigger", *named) if text not in said]
    check.equal("it takes the stack's name and the parameters from that file", missing, [])
    uploaded = moto.client("s3").list_objects_v2(Bucket=BUCKET).get("KeyCount", 0)
    check.that("it packages and uploads code and template, and asks for a change set", uploaded >= 2 and "changeset" in said.lower(), said)
    _, questions = run_in_terminal(["sam", "deploy", "--guided"], directory, env)
    check.that(f"a question would have been seen: --guided asks {len(questions)}", len(questions) > 5, questions)


def check_snippet(check):
    """The code in the document is the code that is run, but for the file's name and the output."""
    shown = (ROOT / "docs/operations.md").read_text().split("```js\n")[1].split("```")[0]
    run = (ROOT / "tests/real/cdk_include.cjs").read_text()
    missing = [line for line in shown.splitlines() if line.strip() and line.strip().rstrip(",;") not in run]
    check.equal("the CDK code of the document is what is run here", missing, [])


def include(check):
    node = PARTS / "node/node_modules/.bin/node"
    expanded = log_directory() / "expanded.json"
    with open(expanded, "w") as out:
        done = subprocess.run([sys.executable, ROOT / "tests/real/expand.py"], stdout=out, stderr=subprocess.PIPE, text=True)
    check.that("the script expands the template", done.returncode == 0, done.stderr)
    lint = subprocess.run(["cfn-lint", "--regions", cloud.REGION, "--", expanded], capture_output=True, text=True)
    check.that("cfn-lint finds nothing in what the release carries", lint.returncode == 0, lint.stdout)
    size = expanded.stat().st_size
    check.that(f"it is small enough to be given without a bucket: {size:,} bytes", size <= MAX_BODY_BYTES)
    env = {**os.environ, "NODE_PATH": str(PARTS / "node/node_modules"), "CDK_DISABLE_VERSION_CHECK": "1"}
    done = subprocess.run(
        [node, ROOT / "tests/real/cdk_include.cjs", expanded], cwd=log_directory(), env=env, capture_output=True, text=True
    )
    if not check.that("the CDK's CfnInclude loads it", done.returncode == 0, done.stderr):
        return
    given, made = json.loads(expanded.read_text()), json.loads(done.stdout)
    check.equal("and makes the same resources of it", sorted(made["Resources"]), sorted(given["Resources"]))
    url = made["Resources"]["ConsumerFunction"]["Properties"]["Environment"]["Variables"]["GITLAB_URL"]
    check.equal("with the parameters that it was given", url, "https://gitlab.example.com")


with topic("the topic `deploy` runs to its end") as (check, stack):
    check_snippet(check)
    include(check)
    deploy(check, stack)
