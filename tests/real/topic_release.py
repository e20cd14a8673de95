"""What a release attaches, made by `.ci/release`: the same bytes twice, sums, bill of materials, and a template to deploy.

For x86-64 alone: this machine can run that program, and the topic `build` has the arm64 one. The release itself builds both twice.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import zipfile

import boto3
import documents
import events
import function
from checks import topic
from cloud import CHECKS_KEY, REGION, Cloud
from processes import PARTS, log_directory
from sandbox import Sandbox

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NAME = "glint-gitlab-trigger"
ARCHITECTURE = "x86_64"
ZIP = f"{NAME}-{ARCHITECTURE}.zip"
TEMPLATE = f"{NAME}.json"
# The `e_machine` field of an ELF header.
ELF_X86_64 = 62
# A cold start reads the whole zip: growth past this is to be noticed.
MAX_ZIP_BYTES = 5_000_000
BUCKET = "releases-of-a-team"
VERSION = "v0.1.0"


def release(check):
    """Returns where the files are, or None."""
    output = PARTS / "release"
    shutil.rmtree(output, ignore_errors=True)
    done = subprocess.run(
        [CHECKOUT / ".ci/release", output, ARCHITECTURE],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )
    seen = done.stdout + done.stderr
    (log_directory() / "release.log").write_text(seen)
    if not check.that("`.ci/release` builds twice and gets the same bytes", done.returncode == 0, seen[-3000:]):
        return None
    print("     | " + "; ".join(line for line in seen.splitlines() if line.startswith("built")))
    wanted = {ZIP, TEMPLATE, f"{NAME}.cdx.json", "SHA256SUMS"}
    check.equal("it leaves the zip, the template, the bill of materials and the sums", {p.name for p in output.iterdir()}, wanted)
    summed = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=output, capture_output=True, text=True, check=False)
    check.that("the sums are right", summed.returncode == 0, summed.stdout + summed.stderr)
    check.equal("and name every other file", set(re.findall(r"\S+$", (output / "SHA256SUMS").read_text(), re.M)), wanted - {"SHA256SUMS"})
    return output


def program(check, stack, archive):
    size = archive.stat().st_size
    check.that(f"the zip has {size:,} bytes", size < MAX_ZIP_BYTES)
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        bootstrap = opened.read("bootstrap")
    check.equal("it holds the program alone, executable", [(e.filename, e.external_attr >> 16) for e in entries], [("bootstrap", 0o100755)])
    check.equal("the program is for x86-64", int.from_bytes(bootstrap[18:20], "little"), ELF_X86_64)
    # The class of Rust's exceptions stands only in a program that unwinds.
    check.that("a panic in it unwinds", b"MOZ\0RUST" in bootstrap)
    here = [place for place in (str(pathlib.Path.home()), str(CHECKOUT), "/tmp/") if place.encode() + b"/" in bootstrap]
    check.equal("it names no directory of the machine that built it", here, [])
    function.BINARY = log_directory() / "bootstrap"
    function.BINARY.write_bytes(bootstrap)
    function.BINARY.chmod(0o755)
    sandbox = Sandbox(stack)
    event = events.load("direct")
    reply = function.Function(stack, sandbox.env(aws=True)).invoke(event)
    check.that("it handles `events/direct.json`", not reply.failed, reply.text)
    check.equal("and starts its pipeline", len(sandbox.pipelines_of(events.run_ids(event)[0])), 1)


def materials(check, path):
    listed = json.loads(path.read_text())
    components = {(part["name"], part["version"]) for part in listed["components"]}
    target = f"{ARCHITECTURE}-unknown-linux-gnu"
    command = ["cargo", "tree", "--locked", "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}"]
    tree = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    linked = set(re.findall(r"^([\w-]+) v(\S+)", tree, re.M)) - {(NAME, listed["metadata"]["component"]["version"])}
    check.equal(f"the bill of materials lists the {len(linked)} crates in the program, and no others", components ^ linked, set())
    check.that("it has nothing by chance in it", "serialNumber" not in listed)
    check.that("and no directory of this machine", not re.search(r"/(tmp|root|home)/", path.read_text()), path.read_text()[:2000])


def template(check, stack, output):
    expanded = json.loads((output / TEMPLATE).read_text())
    codes = [r["Properties"]["Code"] for r in expanded["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
    wanted = {"S3Bucket": {"Ref": "CodeBucket"}, "S3Key": {"Ref": "CodeKey"}}
    check.equal("the template's functions take their code from the user's bucket", [code for code in codes if code != wanted], [])
    types = {r["Type"] for r in expanded["Resources"].values()}
    check.equal("nothing is left for SAM", [t for t in types if "Serverless" in t] + [k for k in expanded if k == "Transform"], [])
    stored = upload(check, stack, output)
    check.that("and what is uploaded is the released zip", stored == (output / ZIP).read_bytes())


def upload(check, stack, output):
    """The documented command, with moto's S3; returns what is then in the bucket."""
    cloud = Cloud(stack)
    options = {"endpoint_url": cloud.url, "region_name": REGION, "aws_access_key_id": CHECKS_KEY, "aws_secret_access_key": "not-a-secret"}
    s3 = boto3.client("s3", **options)
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    env = {
        **os.environ, "BUCKET": BUCKET, "VERSION": VERSION, "AWS_ENDPOINT_URL": cloud.url, "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": CHECKS_KEY, "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    }
    script = documents.commands("deploy.md", "## Deploy a release").replace("arm64", ARCHITECTURE)
    shell = ["bash", "-euo", "pipefail", "-c", script]
    done = subprocess.run(shell, cwd=output, env=env, capture_output=True, text=True, check=False)
    if not check.that("the documented upload succeeds", done.returncode == 0, done.stdout + done.stderr):
        return None
    return s3.get_object(Bucket=BUCKET, Key=f"{VERSION}/{ZIP}")["Body"].read()


with topic("the topic `release` runs to its end") as (check, stack):
    if output := release(check):
        program(check, stack, output / ZIP)
        materials(check, output / f"{NAME}.cdx.json")
        template(check, stack, output)
