"""What comes into the tree and into the checks: licences, sources, bans, unused dependencies, and pins by digest.

Advisories are left out: they need a download of their own. `.github/workflows/advisories.yml` asks for them.
"""

import json
import pathlib
import re
import subprocess

import yaml

from checks import topic

ROOT = pathlib.Path(__file__).resolve().parents[2]
REAL = ROOT / "tests/real"
ACTION = re.compile(r"^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
IMAGE = re.compile(r"^[\w./:-]+@sha256:[0-9a-f]{64}$")


def holds(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


def workflows(checks):
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        text = path.read_text()
        used = re.findall(r"uses: (.+)", text)
        loose = [action for action in used if not ACTION.match(action)]
        checks.equal(f"`{path.name}`: every action is pinned by its commit and names its version", loose, [])
        images = re.findall(r"(?:container|image): (\S+)", text)
        loose = [image for image in images if not IMAGE.match(image)]
        checks.equal(f"`{path.name}`: every image is pinned by its digest", loose, [])
        workflow = yaml.safe_load(text)
        writes = [
            f"{name}: {scope}"
            for name, job in workflow["jobs"].items()
            for scope, right in (job.get("permissions") or workflow["permissions"]).items()
            if right == "write" and name != "publish"
        ]
        checks.equal(f"`{path.name}`: only the job that publishes may write", writes, [])


def python_packages(checks):
    for path in sorted(REAL.glob("requirements*.txt")):
        text = path.read_text().replace("\\\n", " ")
        pins = [line for line in text.splitlines() if line and not line.startswith("#")]
        loose = [line.split()[0] for line in pins if not re.match(r"^[\w.\[\]-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line)]
        checks.equal(f"`{path.name}`: each of {len(pins)} packages has one version and its hashes", loose, [])
        named = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", pin)[0]).lower() for pin in pins}
        wanted = re.findall(r"^([\w.-]+)(?:\[\w+\])?==", path.with_suffix(".in").read_text(), re.M)
        checks.equal(f"`{path.name}`: holds what `{path.stem}.in` asks for", [name for name in wanted if name.lower() not in named], [])


def node_packages(checks):
    lock = json.loads((REAL / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    # What lies inside another package is part of what that one's hash covers.
    loose = [name for name, package in packages.items() if not package.get("integrity") and not package.get("inBundle")]
    checks.equal("every npm package has its hash", loose, [])
    checks.equal("none names a registry", [n for n, p in packages.items() if "resolved" in p], [])
    checks.equal("none wants a script of its own to run", [n for n, p in packages.items() if p.get("hasInstallScript")], [])
    checks.that("npm is told to run none", "ignore-scripts=true" in (REAL / ".npmrc").read_text())


with topic("what comes into the tree is checked") as (checks, _):
    for sentence, command in [
        ("every licence is allowed", ("cargo", "deny", "check", "licenses")),
        ("every crate comes from where it may", ("cargo", "deny", "check", "sources")),
        ("nothing is banned, and nothing is there twice without a reason", ("cargo", "deny", "check", "bans")),
        ("every dependency is used", ("cargo", "machete", "--skip-target-dir", str(ROOT))),
    ]:
        held, seen = holds(*command)
        checks.that(sentence, held, seen)
    workflows(checks)
    python_packages(checks)
    node_packages(checks)
