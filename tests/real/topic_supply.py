"""What comes into the tree: licences, sources, bans, versions twice, and dependencies that nobody uses.

Advisories are left out: they need a download of their own. `cargo deny check advisories` asks for them.
"""

import pathlib
import subprocess

from checks import topic

ROOT = pathlib.Path(__file__).resolve().parents[2]


def holds(*command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout + done.stderr


with topic("what comes into the tree is checked") as (checks, _):
    for sentence, command in [
        ("every licence is allowed", ("cargo", "deny", "check", "licenses")),
        ("every crate comes from where it may", ("cargo", "deny", "check", "sources")),
        ("nothing is banned, and nothing is there twice without a reason", ("cargo", "deny", "check", "bans")),
        ("every dependency is used", ("cargo", "machete", "--skip-target-dir", str(ROOT))),
    ]:
        held, seen = holds(*command)
        checks.that(sentence, held, seen)
